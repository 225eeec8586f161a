"""The quota: what goes first, what stays, and that the file obeys."""

from __future__ import annotations

import os

import pytest

from edge.core.effects import FULL, NEW
from edge.store.quota import LANE_SHARES, Quota
from edge.store.store import Store
from tests.store.conftest import Opener
from tests.store.samples import START_S, direct, key, make, many

SMALL = 2_000_000


def on_disk(path: str) -> int:
    return sum(os.path.getsize(path + tail) for tail in ("", "-wal", ".reserve") if os.path.exists(path + tail))


def fill(store: Store, count: int, path: str, batch: int = 128, **more: object) -> tuple[set[bytes], int]:
    """Commit messages; gives the ids that were reported gone, and the largest size of the files."""
    gone: set[bytes] = set()
    largest = 0
    for first in range(0, count, batch):
        some = many(min(batch, count - first), first=first, **more)  # type: ignore[arg-type]
        assert all(outcome == NEW for _, outcome, _ in store.commit(some))
        for rows, floor_hlc in store.evict().values():
            assert floor_hlc == max(hlc for hlc, _ in rows) + 1
            gone |= {id for _, id in rows}
        largest = max(largest, on_disk(path))
    return gone, largest


@pytest.mark.parametrize("index", [False, True])
def test_the_files_stay_under_the_quota_with_the_newest_kept(opener: Opener, path: str, index: bool) -> None:
    store = opener(quota_bytes=SMALL)
    if index:
        commit = store.commit
        store.commit = lambda batch: (commit(batch), store.index_some())[0]  # type: ignore[method-assign]
    gone, largest = fill(store, 12_000, path, lanes=(3,))
    assert largest <= SMALL
    assert largest > SMALL * 2 // 3
    rows = list(store.boot_rows())
    ids = {id for _, _, id in rows}
    assert len(ids) > 2000
    newest = many(len(ids), first=12_000 - len(ids), lanes=(3,))
    assert ids == {m.id for m in newest}
    assert not ids & gone
    assert len(gone) + len(ids) == 12_000
    stats = store.stats()["lanes"]["3"]
    assert stats["evicted"] == len(gone)
    assert stats["bytes"] > 0
    assert store.check() == []
    floors = opener(quota_bytes=SMALL).boot_state(key(1), START_S)[1]
    assert floors[3] == min(hlc for _, hlc, _ in rows) or floors[3] == stats["floor_hlc"]
    assert floors[2] == 0


def test_the_lowest_lane_goes_first(opener: Opener, path: str) -> None:
    store = opener(quota_bytes=SMALL)
    store.commit(many(500, lanes=(0, 1, 2, 2, 2)))
    fill(store, 9_000, path, lanes=(3,), base=1000)
    lanes = store.stats()["lanes"]
    assert [lanes[n]["evicted"] for n in "012"] == [0, 0, 0]
    assert lanes["3"]["evicted"] > 0
    assert lanes["3"]["messages"] > 0


def test_a_lane_has_a_cap_of_its_own(opener: Opener, path: str) -> None:
    store = opener(quota_bytes=SMALL)
    store.commit(many(1000, lanes=(2,)))
    fill(store, 6_000, path, lanes=(0,), base=1000)
    lanes = store.stats()["lanes"]
    assert lanes["0"]["bytes"] <= Quota(SMALL).file_bytes * LANE_SHARES[0][1] // 1000
    assert lanes["0"]["evicted"] > 0
    assert lanes["2"]["evicted"] == 0


def test_a_lane_keeps_its_least_share(opener: Opener, path: str) -> None:
    store = opener(quota_bytes=SMALL)
    fill(store, 9_000, path, lanes=(1, 2, 2, 3))
    file_bytes = Quota(SMALL).file_bytes
    for lane, facts in store.stats()["lanes"].items():
        if lane != "0":
            assert facts["bytes"] > file_bytes * LANE_SHARES[int(lane)][0] // 1000 * 8 // 10


def test_our_waiting_direct_messages_are_not_evicted(opener: Opener, path: str) -> None:
    store = opener(quota_bytes=SMALL)
    store.boot_state(key(1), START_S)
    mine = [direct(1, 2, seq=n, at_s=START_S - 100) for n in range(1, 21)]
    store.commit(mine)
    fill(store, 9_000, path, lanes=(1,), base=1000)
    stored = {id for _, _, id in store.boot_rows()}
    assert {m.id for m in mine} <= stored
    assert store.stats()["lanes"]["1"]["evicted"] > 0


def test_only_what_may_go_is_tried(opener: Opener, path: str) -> None:
    store = opener(quota_bytes=1_000_000)
    store.boot_state(key(1), START_S)
    body = {3: b"x" * 8000}
    mine = [make(1, n, lane=1, type=2, dest=2, body=body) for n in range(1, 120)]
    outcomes = [store.commit([m])[0][1] for m in mine]
    assert outcomes[0] == NEW
    assert outcomes[-1] == FULL  # nothing may be evicted for it, and the file may not grow
    assert on_disk(path) <= 1_300_000
    assert store.stats()["lanes"]["1"]["refused"] == outcomes.count(FULL)


def test_a_smaller_quota_takes_effect_at_the_next_start(opener: Opener, path: str) -> None:
    fill(opener(quota_bytes=4 * SMALL), 12_000, path)
    store = opener(quota_bytes=SMALL)
    steps = 0
    while gone := store.evict():
        assert sum(len(rows) for rows, _ in gone.values()) <= 8 * Quota(SMALL).rows_max
        steps += 1
    assert steps > 2
    while store._ask(store._free_pages) and on_disk(path) > SMALL:
        before = on_disk(path)
        store.tidy()
        store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if on_disk(path) == before:
            break
    assert store.stats()["messages"] > 1000
    assert store.check() == []
    assert on_disk(path) <= SMALL


def test_in_an_emergency_alerts_keep_more(opener: Opener, path: str) -> None:
    def held_permille() -> int:
        sizes = [lane["bytes"] for lane in store.stats()["lanes"].values()]
        return sizes[0] * 1000 // sum(sizes)

    store = opener(quota_bytes=SMALL)
    store.reserve_for_alerts(500)
    fill(store, 6_000, path, lanes=(0, 2))
    assert held_permille() > 400
    fill(store, 3_000, path, lanes=(1, 2, 3), base=2000)
    assert held_permille() > 400, "no flood in the other lanes pushes alerts out"
    store.tidy()
    store.reserve_for_alerts(250)
    fill(store, 3_000, path, lanes=(1, 2, 3), base=4000)
    assert held_permille() < 300


def test_a_quota_must_be_usable() -> None:
    with pytest.raises(ValueError, match="at least"):
        Quota(999_999)


