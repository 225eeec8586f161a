"""Group commit: one thread that owns all writing, so that the event loop never waits for a disk.

While a commit runs, what is submitted gathers and becomes the next batch; a single message on a quiet node is committed
at once. Under load commits are GATHER_MS or GATHER_MESSAGES apart, since what a commit costs is shared by its messages.
The thread sleeps on its queue: no wake-ups when nothing is to do. Answers come in the loop's thread, in order.
"""

from __future__ import annotations

import queue
import threading
import time

from edge.core import limits
from edge.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any, TypeVar

    from edge.core.message import Message
    from edge.store.intake import Outcome
    from edge.store.store import Gone, Store

    T = TypeVar("T")

    OnDone = Callable[[list[Outcome], StoreError | None], None]
    OnGone = Callable[[int, list[tuple[int, bytes]], int], None]
    OnJudged = Callable[[list[tuple[bytes, dict[str, Any]]]], None]

BATCH_MESSAGES_MAX = 512  # in one transaction
GATHER_MS = 10  # between two commits that follow each other; a quiet node never waits
GATHER_MESSAGES = limits.PENDING_MAX // 3  # no longer than this: one batch gathers while one is committed
INDEX_ROWS = 512  # taken into the search index in one go
INDEX_ROUNDS = 4  # so often after each `expire` even while the node is busy, and on until done when it isn't
JUDGE_ROWS = 48  # texts that are judged in one go: a commit waits that long at most
JUDGE_QUIET_S = 0.2  # texts are judged when no commit has come for so long,
JUDGE_LATEST_S = 2.0  # or when the first of them has waited for so long
FLUSH_S = 600  # what `keep` was given is written by then, where no commit has taken it along


class Writer:
    """The one thread that writes to a store.

    loop: where all callbacks run. on_gone(lane, [(hlc, id)], floor_hlc): what expired (floor 0) or was evicted, told
    behind the outcome of the commit that it made room for. Every method but `close` returns at once.
    """

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, on_gone: OnGone | None = None) -> None:
        self.store = store
        self._loop = loop
        self._on_gone = on_gone
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting: list[tuple[list[Message], OnDone]] = []
        self._waiting_count = 0
        self._busy = False  # a commit is on its way
        self._timer: asyncio.Handle | None = None  # of the next hand-over
        self._committed_s = 0.0
        self._flushed_s = time.monotonic()
        self._judge: Callable[[str], dict[str, Any] | None] | None = None
        self._on_judged: OnJudged | None = None
        self._judging = False  # a round runs or waits in the queue
        self._judge_timer: asyncio.TimerHandle | None = None
        self._judge_by_s = 0.0  # while the timer runs: when it must have fired
        self._began_s: float | None = None  # of the job that runs, where one does that must be quick
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def submit(self, messages: list[Message], on_done: OnDone) -> None:
        """Commit messages; on_done(outcomes, None), or on_done([], StoreError) when none of them is in."""
        self._waiting.append((messages, on_done))
        self._waiting_count += len(messages)
        if self._busy:
            return
        if self._timer is None:
            # at the end of this turn of the loop, with what else it brings
            self._timer = self._loop.call_soon(self._hand_over)
        elif self._waiting_count >= GATHER_MESSAGES:
            self._timer.cancel()
            self._hand_over_now()

    def expire(self, now_s: int) -> None:
        """Delete what has expired by `now_s` (unix seconds) and do what can wait: search index, kept numbers, size."""
        self._jobs.put(("expire", now_s))

    def judge(self, judge: Callable[[str], dict[str, Any] | None], on_judged: OnJudged) -> None:
        """Have the texts of all messages judged, those before included, when the commits that bring them are over.

        judge(text) runs in this thread; on_judged([(id, found)]) is told what it found, in the loop's.
        """
        self._judge, self._on_judged = judge, on_judged
        self._judge_now()

    def call(self, action: Callable[[], Any], on_done: Callable[[Any, Exception | None], None]) -> None:
        """Run `action` (a backup, a check) in this thread, between commits; on_done(value, None) or (None, error)."""
        self._jobs.put(("call", action, on_done))

    async def ask(self, action: Callable[[], T]) -> T:
        """The same for a coroutine: what `action` gives or raises."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(value: T, error: Exception | None) -> None:
            if future.done():
                return  # whoever asked has gone
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        self.call(action, done)
        return await future

    def flush(self) -> None:
        """Write what `Store.keep` was given, soon."""
        self._jobs.put(("flush",))

    async def flushed(self) -> None:
        """The same, and wait until it is on the disk; a fault shows in the store's trouble."""
        try:
            await self.ask(self.store.flush)
        except StoreError:
            pass

    def keep_people(self, rows: list[tuple[Any, ...]]) -> None:
        """Keep rows of edge/store/people.py, between commits; a fault shows in the store's trouble."""
        self.call(lambda: self.store.keep_people(rows), lambda _value, _error: None)

    def busy_s(self) -> float:
        """For how long it has been at a job that should be quick, in seconds; 0 while it is at none."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def close(self) -> None:
        """Commit what is still waiting, tell its outcome to the loop, and end the thread. Blocks until then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._judge_timer is not None:
            self._judge_timer.cancel()
        while self._waiting:
            self._hand_over_now()
        if self._thread.is_alive():
            self._jobs.put(("close",))
            self._thread.join()

    # --- in the loop's thread

    def _hand_over(self) -> None:
        self._timer = None
        wait_s = self._committed_s + GATHER_MS / 1000 - time.monotonic()
        if wait_s > 0 and self._waiting_count < GATHER_MESSAGES:
            self._timer = self._loop.call_later(wait_s, self._hand_over_now)
        else:
            self._hand_over_now()

    def _hand_over_now(self) -> None:
        self._timer = None
        parts: list[tuple[int, OnDone]] = []
        batch: list[Message] = []
        n_bytes = 0
        for messages, on_done in self._waiting:
            if batch and (len(batch) + len(messages) > BATCH_MESSAGES_MAX or n_bytes > self.store.batch_bytes):
                break
            parts.append((len(messages), on_done))
            batch += messages
            n_bytes += sum([len(m.data) for m in messages])
        del self._waiting[: len(parts)]
        self._waiting_count -= len(batch)
        self._busy = True
        self._committed_s = time.monotonic()
        self._jobs.put(("commit", batch, parts))

    def _committed(self, parts: list[tuple[int, OnDone]], outcomes: list[Outcome], error: StoreError | None,
                   gone: Gone) -> None:
        self._busy = False
        at = 0
        for count, on_done in parts:
            on_done(outcomes[at : at + count], error)
            at += count
        self._tell_gone(gone)
        if self._judge is not None:
            self._judge_soon()
        if self._waiting and not self._busy and self._timer is None:
            self._hand_over()

    def _judge_soon(self) -> None:
        now_s = self._loop.time()
        if self._judge_timer is None:
            self._judge_by_s = now_s + JUDGE_LATEST_S
        else:
            self._judge_timer.cancel()
        self._judge_timer = self._loop.call_at(min(now_s + JUDGE_QUIET_S, self._judge_by_s), self._judge_now)

    def _judge_now(self) -> None:
        self._judge_timer = None
        if not self._judging:
            self._judging = True
            self._jobs.put(("judge",))

    def _tell_gone(self, gone: Gone) -> None:
        if self._on_gone is not None:
            for lane in sorted(gone):
                self._on_gone(lane, *gone[lane])

    # --- in the thread

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            self._began_s = None if job[0] == "call" else time.monotonic()  # a backup may take its time
            try:
                if job[0] == "commit":
                    self._do_commit(job[1], job[2])
                elif job[0] == "expire":
                    self._do_expire(job[1])
                elif job[0] == "index":
                    self._do_index(job[1])
                elif job[0] == "flush":
                    self.store.flush()
                elif job[0] == "judge":
                    self._do_judge()
                elif job[0] == "call":
                    self._do_call(job[1], job[2])
                else:
                    return
            except StoreError:
                pass  # the store keeps the trouble, its status shows it, and the next write tries again
            except Exception as failure:  # a fault of ours in what can wait must not end all writing
                self.store.trouble = f"unexpected: {failure!r}; please report it"
            self._began_s = None

    def _do_commit(self, batch: list[Message], parts: list[tuple[int, OnDone]]) -> None:
        outcomes: list[Outcome] = []
        error = None
        gone: Gone = {}
        try:
            outcomes = self.store.commit(batch)
            gone = self.store.evict()
        except StoreError as failure:
            # a failed eviction is no failed commit: it is tried again behind the next one
            error = None if outcomes else failure
        except Exception as failure:
            error = StoreError(f"unexpected: {failure!r}", where=self.store.path, hint="please report it")
        self._tell(self._committed, parts, outcomes, error, gone)

    def _do_expire(self, now_s: int) -> None:
        found = self.store.expire(now_s)
        if found:
            self._tell(self._tell_gone, {lane: (rows, 0) for lane, rows in found.items()})
        gone = self.store.evict()  # a quota that was made smaller has no commit to wait for
        if gone:
            self._tell(self._tell_gone, gone)
        if found or gone:
            self._jobs.put(("expire", now_s))  # behind what came meanwhile
            return
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self._flushed_s = time.monotonic()
            self.store.flush()
        self._jobs.put(("index", INDEX_ROUNDS))

    def _do_index(self, rounds: int) -> None:
        if self.store.index_some(INDEX_ROWS) == INDEX_ROWS and (rounds > 1 or self._jobs.empty()):
            self._jobs.put(("index", rounds - 1))
        elif self._jobs.empty():
            self.store.tidy()

    def _do_judge(self) -> None:
        """One round; another one goes behind what came meanwhile, until all is judged."""
        if self._judge is None or self._on_judged is None:
            return
        found = None
        try:
            found = self.store.judge_some(self._judge, JUDGE_ROWS)
        finally:
            self._judging = found is not None
        if found is not None:
            self._jobs.put(("judge",))
        if found:
            self._tell(self._on_judged, found)

    def _do_call(self, action: Callable[[], Any], on_done: Callable[[Any, Exception | None], None]) -> None:
        try:
            value, error = action(), None
        except Exception as failure:
            value, error = None, failure
        self._tell(on_done, value, error)

    def _tell(self, callback: Callable[..., None], *values: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *values)
        except RuntimeError:
            pass  # the loop is closed: nobody is left to be told
