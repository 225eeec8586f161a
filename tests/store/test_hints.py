"""Hints in the store: each text is judged once and its hint goes with it; a restart and a crash change nothing."""

from __future__ import annotations

from typing import Any

from edge.store.store import Store
from tests.store.conftest import Opener
from tests.store.samples import START_S, direct, make, many

FOUND = {"labels": ["water"], "why": {"water": [["en", "well"]]}}


class Judge:
    """Finds wells, and remembers what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, text: str) -> dict[str, Any] | None:
        self.seen.append(text)
        return FOUND if "well" in text else None

    def all(self, store: Store, limit: int = 16) -> list[bytes]:
        ids: list[bytes] = []
        while (found := store.judge_some(self, limit)) is not None:
            ids += [id for id, _ in found]
        return ids


def hints(store: Store) -> dict[bytes, Any]:
    rows = store.list_messages(now_s=START_S, limit=1000)
    return {row["id"]: row["hint"] for row in rows if row["hint"] is not None}


def test_each_text_once(opener: Opener) -> None:
    store = opener()
    well = make(7, body={1: "the well is open"})
    other = [make(8, body={1: "hello"}), make(9, type=77, body={1: "a well"}), make(10, body={2: "well"})]
    store.commit([*many(40), well, *other])
    judge = Judge()
    assert judge.all(store) == [well.id]
    assert len(judge.seen) == 42, "types and bodies without a text are passed over"
    assert judge.all(store) == [] and len(judge.seen) == 42
    store.commit([make(11, body={1: "another well"})])
    assert len(judge.all(store)) == 1 and len(judge.seen) == 43
    assert set(hints(store)) == {well.id, make(11, body={1: "another well"}).id}
    assert hints(store)[well.id] == {"found": FOUND, "mark": None}


def test_over_a_restart(opener: Opener, path: str) -> None:
    store = opener()
    well = make(7, body={1: "the well is open"})
    store.commit([*many(100), well])
    Judge().all(store)
    store.index_some()  # writes how far it is along with the words
    store.close()
    again = Judge()
    store = opener()
    assert again.all(store) == [] and again.seen == []
    assert hints(store) == {well.id: {"found": FOUND, "mark": None}}


def test_without_a_hint_nothing_is_written(opener: Opener) -> None:
    store = opener()
    store.commit(many(100))
    changes = store._db.total_changes
    Judge().all(store)
    assert store._db.total_changes == changes


def test_a_crash_between_writes_only_judges_again(opener: Opener) -> None:
    store = opener()
    well = make(7, body={1: "the well is open"})
    store.commit([well, *many(20)])
    Judge().all(store, 4)
    store.set_mark(well.id, {"urgent": True})
    store._judged = [0, 0, 0, 0]
    Judge().all(store)
    assert hints(store) == {well.id: {"found": FOUND, "mark": {"urgent": True}}}


def test_marks(opener: Opener) -> None:
    store = opener()
    plain, sealed = make(7, body={1: "hello"}), direct(1, 2)
    store.commit([plain, sealed])
    assert store.set_mark(plain.id, {"urgent": True, "name": "Ana"})
    assert hints(store) == {plain.id: {"found": None, "mark": {"urgent": True, "name": "Ana"}}}
    assert not store.set_mark(sealed.id, {"urgent": True}) and not store.set_mark(b"\0" * 16, {"urgent": True})
    assert store.set_mark(plain.id, None)
    assert hints(store) == {}


def test_a_hint_goes_with_its_message(opener: Opener) -> None:
    store = opener()
    store.commit([make(7, ttl_s=60, body={1: "the well is open"})])
    Judge().all(store)
    count = "SELECT count(*) FROM hint"
    assert store._db.execute(count).fetchone() == (1,)
    store.expire(START_S + 60)
    assert store._db.execute(count).fetchone() == (0,)


def test_a_number_is_not_used_twice(opener: Opener) -> None:
    """The last row of a lane goes and the node restarts: the next message must not pass for judged."""
    store = opener()
    store.commit([make(7, ttl_s=60, body={1: "first"})])
    Judge().all(store)
    store.index_some()
    store.expire(START_S + 60)
    store.close()
    store = opener()
    store.commit([make(8, body={1: "the well is open"})])
    assert len(Judge().all(store)) == 1
