"""What the store takes, keeps and gives back."""

from __future__ import annotations

import pytest

from edge.core.effects import CONFLICTING, DUPLICATE, NEW, PROVED
from edge.core.message import Message
from edge.store.store import Store
from tests.store.conftest import Opener
from tests.store.samples import START_S, WEEK_S, Body, direct, key, make, many, receipt


def outcomes(store: Store, *messages: Message) -> list[int]:
    return [outcome for _, outcome, _ in store.commit(list(messages))]


def held(store: Store) -> set[bytes]:
    return {id for _, _, id in store.boot_rows()}


def test_a_batch_is_new_once(store: Store) -> None:
    batch = many(100)
    assert store.commit(batch) == [(m.id, NEW, None) for m in batch]
    assert store.commit(batch[10:50]) == [(m.id, DUPLICATE, None) for m in batch[10:50]]
    assert outcomes(store, batch[0], *many(1, first=100), batch[1]) == [DUPLICATE, NEW, DUPLICATE]
    assert store.stats()["messages"] == 101


def test_the_same_message_twice_in_a_batch(store: Store) -> None:
    batch = many(40)
    assert outcomes(store, *batch, batch[3], batch[3]) == [NEW] * 40 + [DUPLICATE] * 2
    assert store.stats()["messages"] == 40


def test_an_empty_batch(store: Store) -> None:
    assert store.commit([]) == []


def test_what_was_committed_is_there_after_a_restart(opener: Opener) -> None:
    batch = many(300)
    opener().commit(batch)
    store = opener()
    assert held(store) == {m.id for m in batch}
    assert store.fetch([m.key for m in batch]) == [m.data for m in batch]
    assert store.stats()["lanes"]["1"]["messages"] == 60
    assert store.check() == []


def test_fetch_keeps_the_order_and_leaves_out_what_is_missing(store: Store) -> None:
    batch = many(5)
    store.commit(batch)
    keys = [batch[4].key, bytes(16), batch[0].key, batch[4].key[:6] + bytes(10)]
    assert store.fetch(keys) == [batch[4].data, batch[0].data]


def test_boot_rows_are_lane_by_lane_and_in_order(store: Store) -> None:
    batch = many(2500)
    store.commit(batch)
    rows = list(store.boot_rows())
    assert rows == sorted((m.lane, m.hlc, m.id) for m in batch)


def test_two_messages_with_one_number_are_both_kept_as_proof(opener: Opener) -> None:
    store = opener()
    first, second = make(salt=b"1"), make(salt=b"2")
    assert store.commit([first]) == [(first.id, NEW, None)]
    assert store.commit([second]) == [(second.id, CONFLICTING, first.id)]
    assert outcomes(store, first, second) == [DUPLICATE, DUPLICATE]
    assert held(store) == {first.id, second.id}
    assert len(store.fetch([first.key, second.key])) == 2
    proof = {"author": key(1), "seq": 1, "first": first.data, "second": second.data}
    assert store.conflicts() == [proof]
    assert all(row["conflict"] and row["seq"] == 1 for row in store.list_messages(now_s=START_S))
    store.expire(START_S + 2 * WEEK_S)
    assert held(store) == set()
    assert opener().conflicts() == [proof]


def test_two_conflicting_messages_in_one_batch(store: Store) -> None:
    first, second = make(salt=b"1"), make(salt=b"2")
    assert store.commit([first, second]) == [(first.id, NEW, None), (second.id, CONFLICTING, first.id)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_of_many_with_one_number_all_nodes_keep_the_same_two(store: Store, order: tuple[int, ...]) -> None:
    four = sorted([make(salt=b"%d" % n) for n in range(4)], key=lambda m: m.id)
    for n in order:
        store.commit([four[n]])
    assert held(store) == {four[0].id, four[1].id}
    assert outcomes(store, four[2]) == [PROVED]
    assert store.stats()["messages"] == 2
    gone = [id for rows, _ in store.evict().values() for _, id in rows]
    assert set(gone) == set() if order == (0, 1, 2, 3) else {four[2].id, four[3].id} >= set(gone) != set()
    assert store.stats()["lanes"]["2"]["floor_hlc"] == 0


def test_proofs_are_bounded_for_each_author(store: Store) -> None:
    store.commit([make(seq=n) for n in range(1, 10)])
    assert outcomes(store, *[make(seq=n, salt=b"x") for n in range(1, 10)]) == [CONFLICTING] * 9
    assert len(store.conflicts()) == 4


def test_a_failed_batch_leaves_nothing(store: Store) -> None:
    batch = many(50)
    broken = make(9, 77)
    broken.type = 2**70  # no such integer in SQLite
    with pytest.raises(OverflowError):
        store.commit([*batch, broken])
    assert held(store) == set()
    assert store.stats()["messages"] == 0
    assert outcomes(store, *batch) == [NEW] * 50


def test_the_outbox_waits_for_the_receipt_of_the_destination(opener: Opener) -> None:
    store = opener()
    mine, other = direct(1, 2), direct(1, 3, seq=2)
    store.commit([mine, other, make(1, seq=3)])
    outbox = store.boot_state(key(1), START_S)[2]
    assert outbox == [(mine.id, key(2), mine.expires_s), (other.id, key(3), other.expires_s)]
    store.commit([receipt(mine, 3, 1)])  # not by its destination
    assert len(store.boot_state(key(1), START_S)[2]) == 2
    store.commit([receipt(mine, 2, 1)])
    store = opener()
    assert [id for id, _, _ in store.boot_state(key(1), START_S)[2]] == [other.id]
    assert store.receipts([mine.id, other.id, bytes(16)]) == {mine.id: [key(2)], other.id: [], bytes(16): []}
    assert store.boot_state(key(1), START_S + 2 * WEEK_S)[2] == []


def test_a_receipt_that_we_have_not_signed_yet_is_owed(opener: Opener) -> None:
    store = opener()
    theirs = direct(2, 1)
    store.commit([theirs, direct(2, 3, seq=2)])
    assert store.boot_state(key(1), START_S)[4] == [(theirs.id, key(2))]
    store.commit([receipt(theirs, 1, 2)])
    assert opener().boot_state(key(1), START_S)[4] == []


def test_malformed_receipts_change_nothing(store: Store) -> None:
    mine = direct(1, 2)
    bodies: list[Body] = [{}, {1: 7}, {1: "text"}, {1: b"short"}]
    wrong = [make(2, n, lane=1, type=3, dest=1, body=body) for n, body in enumerate(bodies, 1)]
    assert outcomes(store, mine, *wrong) == [NEW] * 5
    assert len(store.boot_state(key(1), START_S)[2]) == 1


def test_our_numbers_never_go_back(opener: Opener) -> None:
    store = opener()
    assert store.boot_state(key(1), START_S)[0] == 1
    store.commit([make(1, seq=n, at_s=START_S + n) for n in range(1, 8)])
    store.commit([make(1, seq=7, salt=b"fork"), make(2, seq=500)])
    assert store.boot_state(key(1), START_S)[0] == 8
    store.expire(START_S + 2 * WEEK_S)
    store = opener()
    state = store.boot_state(key(1), START_S)
    assert state[0] == 8
    assert state[3] == (START_S + 7) << 16


def test_a_lost_database_does_not_repeat_numbers(opener: Opener) -> None:
    store = opener(key_is_new=False)
    seq = store.boot_state(key(1), START_S)[0]
    assert seq > 100_000_000
    assert store.boot_state(key(1), START_S)[0] == seq
    assert opener(key_is_new=False).boot_state(key(1), START_S + 100)[0] == seq


def test_kept_numbers(opener: Opener) -> None:
    store = opener()
    assert store.kept("hlc") is None
    store.keep("hlc", 5)
    store.keep("hlc", START_S << 16)
    assert store.kept("hlc") == START_S << 16
    store = opener()
    assert store.kept("hlc") == START_S << 16
    assert store.boot_state(key(1), START_S)[3] == START_S << 16


def test_a_kept_number_goes_along_with_the_next_commit(store: Store, path: str) -> None:
    from edge.store.files import connect

    store.keep("hlc", 77)
    store.commit(many(1))
    other = connect(path, "ro")
    assert other.execute("SELECT value FROM kept WHERE key = 'hlc'").fetchone() == (77,)
    other.close()


def test_expiry_by_time_alone(store: Store) -> None:
    short, long = make(seq=1, ttl_s=60), make(seq=2, ttl_s=3600)
    store.commit([short, long])
    assert store.expire(START_S + 59) == {}
    assert store.expire(START_S + 60) == {2: [(short.hlc, short.id)]}
    assert held(store) == {long.id}
    assert store.stats()["lanes"]["2"]["expired"] == 1
    assert store.stats()["lanes"]["2"]["floor_hlc"] == 0


def test_expiry_goes_in_bounded_steps(store: Store) -> None:
    store.commit(many(1200))
    found = []
    while some := store.expire(START_S + 2 * WEEK_S):
        found.append(sum(len(rows) for rows in some.values()))
    assert found == [512, 512, 176]
    lanes = store.stats()["lanes"]
    assert all(lane["messages"] == lane["bytes"] == 0 for lane in lanes.values())


class TestListing:
    """Newest first, by what services ask for."""

    @pytest.fixture
    def full(self, store: Store) -> Store:
        store.commit(many(200))
        store.commit([direct(5, 1, seq=900)])
        return store

    def test_all(self, full: Store) -> None:
        rows = full.list_messages(now_s=START_S, limit=500)
        assert len(rows) == 201
        assert [row["hlc"] for row in rows] == sorted((row["hlc"] for row in rows), reverse=True)

    def test_a_row(self, full: Store) -> None:
        m = direct(5, 1, seq=900)
        (row,) = full.list_messages(dest=key(1), now_s=START_S)
        assert row == {"id": m.id, "author": key(5), "seq": 900, "hlc": m.hlc, "time_ms": m.time_ms, "lane": 1,
                       "type": 2, "expires_s": m.expires_s, "dest": key(1), "data": m.data, "conflict": False,
                       "hint": None}

    def test_filters(self, full: Store) -> None:
        for lane in range(4):
            rows = full.list_messages(lane=lane, now_s=START_S, limit=500)
            assert len(rows) == {0: 0, 1: 41, 2: 120, 3: 40}[lane]
            assert {row["lane"] for row in rows} <= {lane}
        assert len(full.list_messages(type=2, now_s=START_S)) == 1
        assert len(full.list_messages(author=key(5), now_s=START_S)) == 11
        assert len(full.list_messages(author=key(5), type=5, now_s=START_S)) == 10
        assert full.list_messages(author=key(99), now_s=START_S) == []
        assert full.list_messages(dest=key(99), now_s=START_S) == []

    def test_limit_and_pages(self, full: Store) -> None:
        first = full.list_messages(now_s=START_S, limit=50)
        second = full.list_messages(now_s=START_S, limit=50, before_hlc=first[-1]["hlc"])
        assert len(first) == len(second) == 50
        assert second[0]["hlc"] < first[-1]["hlc"]
        newest = full.list_messages(author=key(5), type=5, now_s=START_S, limit=3)
        assert [row["seq"] for row in newest] == [10, 9, 8]

    def test_expired_ones_are_not_shown(self, full: Store) -> None:
        assert full.list_messages(now_s=START_S + 2 * WEEK_S) == []

    def test_stats_can_cross_the_bus(self, full: Store) -> None:
        from edge.core import cbor

        assert cbor.decode(cbor.encode(full.stats())) == full.stats()
