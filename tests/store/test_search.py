"""Full-text search: complete at once, cheap later, gone with the message."""

from __future__ import annotations

import pytest

from edge.core.message import DIRECT
from edge.store.store import Store
from tests.store.samples import START_S, WEEK_S, make

TEXTS = (
    "The well at the school is open from eight",
    "Lost: a grey cat near the well",
    "Médecin à la clinique mardi",
    "गाँव की बैठक कल सुबह",
    "Generator needs diesel",
)


def find(store: Store, words: str, **more: int) -> list[int]:
    rows = store.list_messages(search=words, now_s=START_S, **more)  # type: ignore[arg-type]
    return sorted(row["seq"] for row in rows)


@pytest.fixture(params=["behind the index", "in the index", "half of it"])
def texts(store: Store, request: pytest.FixtureRequest) -> Store:
    store.commit([make(seq=n, fraction=n, body={1: text}) for n, text in enumerate(TEXTS, 1)])
    if request.param != "behind the index":
        assert store.index_some(2 if request.param == "half of it" else 100) > 0
    return store


@pytest.mark.parametrize(("words", "found"), [
    ("well", [1, 2]),
    ("WELL", [1, 2]),
    ("well cat", [2]),
    ("gen", [5]),
    ("गाँव", [4]),
    ("clinique", [3]),
    ("absent", []),
    ("", []),
    ('"', []),
    ('well" OR "cat', []),
    ("well AND cat", []),
    ("lost:", [2]),
    ("* ( ) ^", []),
])
def test_words(texts: Store, words: str, found: list[int]) -> None:
    assert find(texts, words) == found


def test_accents_do_not_matter_in_the_index(store: Store) -> None:
    store.commit([make(body={1: TEXTS[2]})])
    store.index_some()
    assert find(store, "medecin") == [1]


def test_filters_apply_to_what_was_found(texts: Store) -> None:
    assert find(texts, "well", lane=3) == []
    assert find(texts, "well", lane=2, type=5) == [1, 2]
    assert find(texts, "well", limit=1) == [2]


def test_what_cannot_be_read_is_not_indexed(store: Store) -> None:
    store.commit([make(seq=1, type=DIRECT, dest=2, lane=1, body={3: b"well"}), make(seq=2, body={1: 17}),
                  make(seq=3, body={1: b"well"})])
    assert store.index_some() == 3
    assert find(store, "well") == []


def test_a_deleted_message_is_found_no_more(texts: Store) -> None:
    texts.expire(START_S + WEEK_S)
    assert texts.list_messages(search="well", now_s=0) == []
    texts.commit([make(seq=50, body={1: "dry"})])
    while texts.index_some():
        pass
    assert find(texts, "well") == []
    assert find(texts, "dry") == [50]
    assert texts.check() == []


def test_the_index_is_filled_in_steps(store: Store) -> None:
    store.commit([make(seq=n, body={1: f"number{n}"}) for n in range(1, 101)])
    assert [store.index_some(40) for _ in range(4)] == [40, 40, 20, 0]
    assert find(store, "number77") == [77]
