"""Group commit: batches, order, failures and idleness."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.core.effects import NEW
from edge.core.message import Message
from edge.errors import StoreError
from edge.store import writer
from edge.store.store import Store
from edge.store.writer import GATHER_MESSAGES, GATHER_MS, Writer
from tests.store.conftest import Opener
from tests.store.samples import START_S, WEEK_S, make, many
from tests.waiting import PATIENCE

Result = tuple[list[tuple[bytes, int, bytes | None]], StoreError | None]


class Bench:
    """A store that notes its commits, and waiting for answers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sizes: list[int] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.fail: Exception | None = None
        self.gone: list[tuple[int, int, int]] = []
        commit = store.commit

        def noted(batch: list[Message]) -> list[tuple[bytes, int, bytes | None]]:
            self.gate.wait()
            self.sizes.append(len(batch))
            self.threads.add(threading.current_thread().name)
            if self.fail is not None:
                raise self.fail
            return commit(batch)

        store.commit = noted  # type: ignore[method-assign]
        self.writer = Writer(store, asyncio.get_running_loop(), lambda lane, rows, floor: self.gone.append(
            (lane, len(rows), floor)))

    def submit(self, messages: list[Message]) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.writer.submit(messages, lambda outcomes, error: future.set_result((outcomes, error)))
        return future

    async def call(self, action: Callable[[], Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.writer.call(action, lambda value, error: future.set_result(error or value))
        return await future


def run(store: Store, scenario: Callable[[Bench], Awaitable[None]]) -> Bench:
    bench: list[Bench] = []

    async def main() -> None:
        bench.append(Bench(store))
        try:
            await asyncio.wait_for(scenario(bench[0]), 20 * PATIENCE)
        finally:
            bench[0].gate.set()
            bench[0].writer.close()

    asyncio.run(main())
    return bench[0]


def test_one_message_is_committed_at_once_in_the_thread(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        m = make()
        assert await bench.submit([m]) == ([(m.id, NEW, None)], None)

    bench = run(store, scenario)
    assert bench.sizes == [1]
    assert bench.threads == {"store"}


def test_what_one_turn_of_the_loop_brings_is_one_batch(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        parts = [many(3, first=3 * n) for n in range(20)]
        found = await asyncio.gather(*[bench.submit(part) for part in parts])
        for part, (outcomes, error) in zip(parts, found, strict=True):
            assert error is None
            assert [id for id, _, _ in outcomes] == [m.id for m in part]

    assert run(store, scenario).sizes == [60]


def test_batches_grow_while_a_commit_runs_and_stay_bounded(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        bench.gate.clear()
        first = bench.submit(many(1))
        await asyncio.sleep(0)
        rest = [bench.submit([m]) for m in many(1200, first=1)]
        await asyncio.sleep(0)
        bench.gate.set()
        await first
        await asyncio.gather(*rest)

    assert run(store, scenario).sizes == [1, 512, 512, 176]


def test_under_load_commits_are_apart_but_never_long(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.submit(many(1))
        waiting = []
        started = time.monotonic()
        for n in range(GATHER_MESSAGES * 2):
            waiting.append(bench.submit([make(500, n + 1)]))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        took_ms.append(1000 * (time.monotonic() - started))

    took_ms: list[float] = []
    sizes = run(store, scenario).sizes
    assert sum(sizes) == 1 + 2 * GATHER_MESSAGES
    assert len(sizes) < 5 + took_ms[0] / GATHER_MS, "one a gathering, two that were full, the first and the last"


def test_answers_come_in_order_in_the_loops_thread(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        here = threading.current_thread()
        seen: list[int] = []
        last = asyncio.Event()
        for n in range(50):
            def done(_outcomes: object, _error: object, n: int = n) -> None:
                assert threading.current_thread() is here
                seen.append(n)
                if n == 49:
                    last.set()

            bench.writer.submit([make(1, n + 1)], done)
            if n % 7 == 0:
                await asyncio.sleep(0.001)
        await last.wait()
        assert seen == list(range(50))

    run(store, scenario)


def test_a_failed_commit_is_told_to_each_and_the_next_one_works(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        bench.fail = StoreError("the disk failed")
        found = await asyncio.gather(bench.submit(many(2)), bench.submit(many(2, first=2)))
        assert found == [([], bench.fail), ([], bench.fail)]
        bench.fail = None
        outcomes, error = await bench.submit(many(2))
        assert error is None
        assert len(outcomes) == 2

    run(store, scenario)
    assert store.stats()["messages"] == 2


def test_a_bug_is_told_too_and_the_thread_lives(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        bench.fail = RuntimeError("a bug")
        outcomes, error = await bench.submit(many(1))
        assert outcomes == []
        assert error is not None
        assert "a bug" in str(error)
        bench.fail = None
        assert (await bench.submit(many(1)))[1] is None

    run(store, scenario)


def test_a_locked_database_is_an_error_and_recovers(store: Store, path: str) -> None:
    async def scenario(bench: Bench) -> None:
        store._db.execute("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        _, error = await bench.submit(many(1))
        assert error is not None
        assert store.stats()["trouble"]
        other.close()
        assert (await bench.submit(many(1)))[1] is None
        assert not store.stats()["trouble"]

    run(store, scenario)


def test_expired_and_evicted_messages_are_told(opener: Opener) -> None:
    store = opener(quota_bytes=1_000_000)

    async def scenario(bench: Bench) -> None:
        await bench.submit([make(900, ttl_s=60)])
        bench.writer.expire(START_S + 60)
        await bench.call(lambda: None)
        assert bench.gone == [(2, 1, 0)]
        for first in range(0, 5000, 100):
            await bench.submit(many(100, first=first, lanes=(3,)))
        assert bench.gone[-1][0] == 3
        assert bench.gone[-1][2] > START_S << 16

    bench = run(store, scenario)
    evicted = sum(count for lane, count, _ in bench.gone if lane == 3)
    assert evicted == store.stats()["lanes"]["3"]["evicted"] > 0


def test_everything_expires_in_the_end_and_is_indexed_behind(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.submit(many(1500))
        bench.writer.expire(START_S)
        while store.list_messages(search="x" * 60, now_s=START_S, limit=2000) == []:
            await bench.call(lambda: None)
        bench.writer.expire(START_S + 2 * WEEK_S)
        while store.stats()["messages"]:
            await bench.call(lambda: None)
        await bench.call(lambda: None)
        assert sum(count for _, count, _ in bench.gone) == 1500

    run(store, scenario)


def test_a_call_gives_its_value_or_its_error(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        assert await bench.call(store.check) == []
        assert isinstance(await bench.call(lambda: 1 // 0), ZeroDivisionError)

    run(store, scenario)


def test_a_fault_in_what_can_wait_ends_no_writing(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        store.index_some = lambda limit=0: 1 // 0  # type: ignore[method-assign]
        bench.writer.expire(START_S)
        while "ZeroDivisionError" not in store.stats()["trouble"]:
            await bench.call(lambda: None)
        outcomes, error = await bench.submit(many(5))
        assert len(outcomes) == 5 and error is None

    run(store, scenario)


def test_close_commits_what_waits(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        for n in range(700):
            bench.submit([make(1, n + 1)])
        bench.writer.close()
        assert store.stats()["messages"] == 700
        bench.writer.close()

    run(store, scenario)


def test_nothing_is_due_when_nothing_waits(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.submit(many(5))
        await bench.submit(many(5, first=5))
        loop: Any = asyncio.get_running_loop()
        due = [repr(handle) for handle in loop._scheduled if not handle.cancelled()]
        assert not [one for one in due if "_hand_over" in one]
        assert bench.writer._jobs.empty()

    run(store, scenario)


def test_an_idle_node_writes_nothing(store: Store) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.submit(many(5))
        bench.writer.expire(START_S)
        await bench.call(lambda: None)
        await bench.call(lambda: None)
        version = store._reader.execute("PRAGMA data_version").fetchone()
        for _ in range(5):
            store.keep("hlc", START_S)
            bench.writer.expire(START_S)
            await bench.call(lambda: None)
            await bench.call(lambda: None)
        assert store._reader.execute("PRAGMA data_version").fetchone() == version

    run(store, scenario)


def test_texts_are_judged_between_commits_and_in_the_end_among_them(opener: Opener,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "JUDGE_QUIET_S", 3600)
    monkeypatch.setattr(writer, "JUDGE_LATEST_S", 0.05)

    async def scenario(bench: Bench) -> None:
        told: asyncio.Queue[int] = asyncio.Queue()
        bench.writer.judge(lambda text: {"labels": []}, lambda found: told.put_nowait(len(found)))
        left = many(3000)
        seen = 0
        while left and not seen:  # the commits do not pause for it
            await bench.submit([left.pop(0)])
            seen += 0 if told.empty() else told.get_nowait()
        assert left, "judged while they came"
        monkeypatch.setattr(writer, "JUDGE_QUIET_S", 0)
        done = 3000 - len(left)
        await bench.submit([left.pop(0)])
        async with asyncio.timeout(20 * PATIENCE):
            while seen < done + 1:
                seen += await told.get()

    run(opener(), scenario)
