"""The lexicon: what must be caught in each language, what must not, and how its files may be written."""

from __future__ import annotations

import os

import pytest

from edge.triage import lexicon
from edge.triage.judge import LABELS, open_judge
from edge.words import words

HERE = os.path.dirname(os.path.abspath(__file__))
LEXICON = open_judge(use_model=False)


def lines(name: str) -> list[str]:
    with open(os.path.join(HERE, "must_catch", name), encoding="utf-8") as file:
        return [line.strip() for line in file if line.strip() and not line.startswith("#")]


CAUGHT = [(language, line) for language in ("en", "es", "fr", "ht") for line in lines(language + ".txt")]


@pytest.mark.parametrize(("language", "line"), CAUGHT)
def test_must_catch(language: str, line: str) -> None:
    labels, _, text = line.partition(":")
    verdict = LEXICON.judge(text)
    assert set(labels.split()) <= set(verdict.labels), (verdict.labels, verdict.why)
    for label in labels.split():
        assert language in {source for source, _ in verdict.why[label]}, "caught by another language's chance"


def test_the_list_is_long_enough() -> None:
    for language in ("en", "es", "fr", "ht"):
        assert sum(one == language for one, _ in CAUGHT) >= 35
        seen = {label for one, line in CAUGHT if one == language for label in line.partition(":")[0].split()}
        assert seen >= set(LABELS) - {"cold"}, language


@pytest.mark.parametrize("text", lines("calm.txt"))
def test_calm(text: str) -> None:
    both = open_judge()
    assert not LEXICON.judge(text).urgent
    assert not both.judge(text).urgent


@pytest.mark.parametrize("write", [str.upper, lambda text: text.replace("'", "\u2019"), lambda text: text + "!!!"])
def test_how_it_is_written_does_not_matter(write: object) -> None:
    for _, line in CAUGHT:
        labels, _, text = line.partition(":")
        assert set(labels.split()) <= set(LEXICON.judge(write(text)).labels), text  # type: ignore[operator]


def test_words() -> None:
    assert words(
        "L\u2019eau MONTE, n'est-ce pas? I CAN\u2019T",
    ) == ["l", "eau", "monte", "n", "est", "ce", "pas", "i", "cant"]
    assert words("Cr\u00e8me, bru\u0302le\u0301e; \u0153uf_stra\u00dfe") == ["creme", "brulee", "oeuf", "strasse"]
    help_me = ["\u043f\u043e\u043c\u043e\u0433\u0438", "\u6551\u547d"]
    assert words("! ".join(help_me)) == help_me


def test_rules_of_a_file() -> None:
    text = "# x\n[fire urgent]\nhouse|barn .. burn*\nl'eau|dlo .. fin\n[nothing]\nburning love\n"
    found = lexicon.Lexicon([("xx", text)], LABELS)
    assert found.count == 4  # l'eau is a phrase of its own

    def labels(text: str) -> set[str]:
        return {label for one, _, _ in found.find(words(text)) for label in one}

    assert labels("the barn is still burning") == {"fire", "urgent"}
    assert labels("house a b c d burning") == set(), "more than three words between"
    assert labels("house, burning love") == set(), "what means no harm is passed over"
    assert labels("l'eau est fin") == labels("dlo fin") == {"fire", "urgent"}
    assert labels("burning") == labels("") == set()


@pytest.mark.parametrize(("text", "said"), [
    ("house", "xx.txt:1: a phrase needs a [heading]"), ("[fire\nx", "xx.txt:1: [fire is no heading"),
    ("[fyre]\nx", "labels: cold, earthquake"), ("[]\nx", "no heading"),
    ("[fire]\n\nbu*", "xx.txt:3: bu* needs 3 letters"),
    ("[fire]\n.. house", "begins and ends with a word"), ("[fire]\nhouse ..", "begins and ends with a word"),
    ("[fire]\nhouse || x", "holds no word"),
])
def test_a_faulty_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="xx.txt") as info:
        lexicon.Lexicon([("xx", text)], LABELS)
    assert said in str(info.value)


def test_it_never_takes_long() -> None:
    """A text made to be slow: many beginnings of phrases, and no end of them."""
    import time

    text = " ".join(["water i have not no need please help the"] * 100)
    start_s = time.process_time()
    LEXICON.judge(text)
    assert time.process_time() - start_s < 0.25
