"""Finding passages: how people ask, what counts as a good match, and the figures that docs/PACKS.md promises."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.library import INDEX_NAME, index, shelf
from edge.library.passages import passages
from edge.library.search import Library
from edge.library.speech import Speech, split
from edge.library.text import sections
from tests.library.shelves import FACTS, library_of
from tests.shared_data import shared

HERE = os.path.dirname(os.path.abspath(__file__))


def questions(name: str) -> Iterator[list[str]]:
    with open(os.path.join(HERE, "questions", name), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                yield [part.strip() for part in line.split(" | ")]


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """The survival manual as a library."""
    folder = shared("data", "survival-manual")
    path = str(tmp_path_factory.mktemp("manual") / INDEX_NAME)
    rows = []
    for name in sorted(os.listdir(folder)):
        text = Path(folder, name).read_text(encoding="utf-8")
        rows += [(name, "", *row) for row in passages(sections("md", text, name[:-3].replace("-", " ")))]
    db = index.open_writer(path)
    assert index.add(db, FACTS, rows) > 400
    db.close()
    library = Library(path)
    library.search("water")
    yield library
    library.close()


def share_found(library: Library, name: str) -> float:
    """The part of the questions whose right passage is among the first three."""
    hits = []
    for question, pages, wanted in questions(name):
        rows = library.search(question, 3).passages
        hits.append(any(row["doc"][:-3] in pages.split() and re.search(
            wanted, f"{row['title']} {row['heading']}\n{row['text']}", re.IGNORECASE) for row in rows))
    return sum(hits) / len(hits)


def test_plain_questions(manual: Library) -> None:
    assert len(list(questions("plain.txt"))) == 40
    assert share_found(manual, "plain.txt") >= 0.92


def test_questions_in_panic(manual: Library) -> None:
    assert len(list(questions("panic.txt"))) == 20
    assert share_found(manual, "panic.txt") >= 0.6


def test_questions_that_came_later(manual: Library) -> None:
    """Written when the search was done; it was not changed for them."""
    assert share_found(manual, "later.txt") >= 0.85


def test_what_it_does_not_know(manual: Library) -> None:
    wrong = [question for (question,) in questions("none.txt") if manual.search(question).good]
    assert len(wrong) <= 2, wrong
    right = [question for question, *_ in questions("plain.txt") if manual.search(question).good]
    assert len(right) >= 38
    panic = [question for question, *_ in questions("panic.txt") if manual.search(question).good]
    assert len(panic) >= 16


@pytest.mark.parametrize(("name", "found", "good"), [
    ("everyday.txt", 0.95, 0.95), ("everyday-later.txt", 0.9, 0.85), ("languages.txt", 0.9, 0.9)])
def test_what_people_ask_of_the_pack_that_comes_with_it(tmp_path: Path, name: str, found: float, good: float) -> None:
    """The right page is among the first three, and it is not said that there is no good match."""
    assert shelf.ensure(str(tmp_path), built_in=True) == []
    library = Library(str(tmp_path / INDEX_NAME))
    results = [(question, docs.split(), library.search(question, 3)) for question, docs in questions(name)]
    library.close()
    missed = [question for question, docs, one in results if not any(row["doc"][:-3] in docs for row in one.passages)]
    assert len(missed) <= (1 - found) * len(results), missed
    refused = [question for question, _, one in results if not one.good]
    assert len(refused) <= (1 - good) * len(results), refused


def test_it_is_quick(manual: Library) -> None:
    """Less than 2 ms a question in the mean; the best of some rounds, since the machine may be busy."""
    asked = [question for name in ("plain.txt", "panic.txt") for question, *_ in questions(name)]
    best_ms = 1000.0
    for _ in range(5):
        start_s = time.process_time()
        for question in asked:
            manual.search(question)
        best_ms = min(best_ms, (time.process_time() - start_s) * 1000 / len(asked))
    assert best_ms < 2


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    found = Library(library_of(tmp_path, [
        ("Wounds", "Severe bleeding", "Press hard on the wound with a clean cloth. Use a tourniquet for a leg."),
        ("Water", "Boil it", "Bring water to a boil for one minute. Then it is safe to drink."),
        ("Water", "Bleach", "Two drops of bleach for a litre of water."),
        ("Cold", "Hypothermia", "Take off wet clothes. Speech is slurred."),
        ("Bread", "", "Knead the dough and let it rest. \u00c9clairs are another matter."),
    ]))
    yield found
    found.close()


def test_marks_show_what_was_asked_for(library: Library) -> None:
    (row, *_) = library.search("How do I boil water?").passages
    assert (row["pack"], row["title"], row["heading"], row["doc"]) == ("rows", "Water", "Boil it", "doc.md")
    assert {row["text"][at:end].lower() for at, end in row["marks"]} >= {"water", "boil"}
    assert row["score"] == 1000


@pytest.mark.parametrize(("question", "heading"), [
    ("blood is gushing out", "Severe bleeding"), ("he is stiff with cold and mumbling", "Hypothermia"),
    ("ECLAIRS", ""), ("is the water safe", "Boil it"), ("boiling", "Boil it"),
])
def test_how_people_ask(library: Library, question: str, heading: str) -> None:
    assert library.search(question).passages[0]["heading"] == heading


@pytest.mark.parametrize("question", [
    "", "?!", "the of and", "xyzzy", '"', "a" * 5000, "NEAR(a b)", 'AND OR NOT "', "col:x*", "\u6551\u547d",
    "x' OR 1=1 --",
])
def test_questions_of_every_kind(library: Library, question: str) -> None:
    found = library.search(question)
    assert not found.good


def test_only_one_pack(library: Library) -> None:
    assert library.search("water", 3, "rows").passages and not library.search("water", 3, "other").passages


def test_no_index_is_an_empty_library(tmp_path: Path) -> None:
    library = Library(str(tmp_path / "none.db"))
    assert library.search("water").passages == [] and library.packs() == []
    library.close()


def test_what_another_process_adds_is_found_at_once(tmp_path: Path) -> None:
    path = library_of(tmp_path, [("Water", "", "Boil it.")])
    library = Library(path)
    assert not library.search("bread").passages
    db = index.open_writer(path)
    index.add(db, FACTS | {"name": "more"}, [("b.md", "", "Bread", "", "Bread and butter.")])
    assert library.search("bread").passages[0]["pack"] == "more"
    assert index.remove(db, "more") and not index.remove(db, "more")
    assert not library.search("bread").passages
    db.close()
    library.close()


def test_a_failed_pack_changes_nothing(tmp_path: Path) -> None:
    path = library_of(tmp_path, [("Water", "", "Boil it.")])
    db = index.open_writer(path)

    def rows() -> Iterator[tuple[str, str, str, str, str]]:
        yield "a", "", "Bread", "", "Bread."
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        index.add(db, FACTS | {"version": 2}, rows())
    assert [row["version"] for row in index.packs(db)] == [1]
    db.close()
    library = Library(path)
    assert library.search("water boil").passages and not library.search("bread").passages
    library.close()


def test_tables_of_speech(tmp_path: Path) -> None:
    assert split("L'eau can\u2019t be h\u00f4t!") == ["leau", "cant", "be", "hot"]
    (tmp_path / "stopwords.txt").write_text("en: the is\n")
    (tmp_path / "synonyms.txt").write_text('# x\nbleed* gash: bleeding "direct pressure"\n"turned blue": breathing\n')
    speech = Speech(str(tmp_path))
    found = {term.word: term for term in speech.terms("The man is bleeding and turned blue")}
    assert list(found) == ["man", "bleeding", "and", "turned", "blue", "turned blue"]
    assert found["bleeding"].others == ("direct pressure",) and found["bleeding"].topical
    assert found["turned blue"].is_phrase and found["turned blue"].others == ("breathing",)
    assert not found["man"].topical
    assert speech.terms("the is") == []
    assert len(speech.terms(" ".join(f"word{n}" for n in range(50)))) == 12
    for table in ("x", ": y", "x:", "ab*: y"):
        (tmp_path / "synonyms.txt").write_text(table)
        with pytest.raises(ValueError, match="synonyms.txt:1"):
            Speech(str(tmp_path))


def test_the_shipped_tables_can_be_read() -> None:
    assert [term.word for term in Speech().terms("How do I make water safe to drink?")] == ["water", "safe", "drink"]
