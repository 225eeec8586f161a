"""Who may use the one worker, when, and with which model: the line before it, loading, unloading, the policy.

One job runs and WAITING_MAX wait, each told how many are before it. A model is loaded when it is asked for and leaves
when another is wanted, when nobody has asked for a while, or when the node's policy (heat, battery, emergency) says so.
A worker that breaks costs its job an error; the next job starts another, but a model that breaks again and again is
left alone for a minute.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from edge.errors import CapacityExceeded, Unavailable
from edge.models import budget
from edge.models.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from edge.models.catalogue import Catalogue, Record

WAITING_MAX = 2
SIGN_S = 10  # between two signs of life to whoever waits for the line or for a model that is being loaded
BREAKS_MAX = 3
REST_S = 60
DATA_BYTES_MIN = 128 << 20  # of private memory that any worker may have
NONE, SMALL, FULL = "none", "small", "full"
_SAID = ("context", "threads", "user", "landlock", "seccomp")  # of a worker, in the log


class Host:
    """The line and the worker. settings: section `models` of the configuration; log(level, text)."""

    def __init__(self, catalogue: Catalogue, settings: dict[str, Any], log: Callable[[str, str], None]) -> None:
        self.policy = FULL
        self.why = ""  # the policy's reason
        self._catalogue = catalogue
        self._settings = settings
        self._log = log
        self._line: deque[_Turn] = deque()
        self._session: Session | None = None
        self._ending: set[Session] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._breaks: dict[str, tuple[int, float]] = {}  # how often in a row, and when last

    @property
    def busy(self) -> int:
        """Jobs that run or wait."""
        return len(self._line)

    @property
    def session(self) -> Session | None:
        """The worker, if one has a model now."""
        return self._session if self._session is not None and self._session.alive else None

    async def stream(self, record: Record, job: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Do one job: {"state": "queued", "before": n}, {"state": "loading"}, {"state": "reading", "done": n, "of": n}
        as they apply, again and again while they do; {"text"} as it comes, then {"done": facts}. Raises
        CapacityExceeded when the line is full, Unavailable by the policy."""
        self._allowed(record)
        if len(self._line) > WAITING_MAX:
            raise CapacityExceeded("the model is busy and others wait already", allowed=f"{WAITING_MAX} waiting",
                                   hint="try again in a moment")
        turn = _Turn()
        self._line.append(turn)
        if self._idle is not None:
            self._idle.cancel()
        try:
            while before := self._line.index(turn):
                yield {"state": "queued", "before": before}
                await turn.moved(SIGN_S)
            held = self.session
            if held is None or held.record.blob != record.blob or not await held.answers():
                signs = self._loading(record)
                try:
                    async for sign in signs:
                        yield sign
                finally:
                    await signs.aclose()
            self._allowed(record)
            parts = self._session.job(job)  # type: ignore[union-attr]
            try:
                async for part in parts:
                    if isinstance(part, tuple):
                        yield {"state": "reading", "done": part[0], "of": part[1]}
                    else:
                        yield {"text": part} if isinstance(part, str) else {"done": part}
            finally:
                await parts.aclose()
            self._breaks.pop(record.name, None)
        finally:
            self._line.remove(turn)
            for one in self._line:
                one.move()
            if not self._line:
                self._idle = asyncio.get_running_loop().call_later(self._settings["idle_s"], self.unload, "nobody asks")

    def admit(self, record: Record) -> tuple[budget.Need, bool]:
        """What a model needs, and whether there is plenty. Raises Unavailable, CapacityExceeded if it can't run now."""
        self._allowed(record)
        context = self._settings["context"]
        need = budget.of_gguf(record.facts, context) if record.kind == "gguf" else budget.of_tflite(record.bytes)
        held = self.session
        returning = budget.process_bytes(held.pid, "RssAnon") if held is not None else 0
        return need, budget.admit(record.name, need, self._settings["memory_mb"] * 1000000, returning)

    def set_policy(self, policy: str, why: str) -> None:
        """What may run from now on: NONE, SMALL (models up to models.small_mb, one thread) or FULL."""
        changed = policy != self.policy
        self.policy, self.why = policy, why
        session = self.session
        if session is None:
            return
        try:
            self._allowed(session.record)
        except Unavailable as error:
            session.end(error)
            self._forget(session)
            return
        if changed and not self._line:
            self.unload("it comes back with other settings")

    def unload(self, why: str) -> None:
        """End the worker, if there is one."""
        if self._session is not None:
            self._session.end(Unavailable(f"the model was stopped: {why}", hint="ask again"))
            self._forget(self._session)

    async def close(self) -> None:
        """End the worker and wait until it has gone."""
        if self._idle is not None:
            self._idle.cancel()
        self.unload("the node stops")
        while self._ending:
            await asyncio.wait([session.ended for session in self._ending])

    # --- the worker

    def _allowed(self, record: Record) -> None:
        small = record.bytes <= self._settings["small_mb"] * 1000000
        if self.policy == FULL or (self.policy == SMALL and small):
            return
        said = "models rest now"
        if self.policy == SMALL:
            said = f"only models up to {self._settings['small_mb']} MB run now"
        raise Unavailable(said + (f": {self.why}" if self.why else ""), hint="ask again when the node is better off")

    async def _loading(self, record: Record) -> AsyncGenerator[dict[str, Any], None]:
        """Load a model, with signs of life meanwhile."""
        loading = asyncio.ensure_future(self._load(record))
        try:
            while not loading.done():
                yield {"state": "loading"}
                await asyncio.wait([loading], timeout=SIGN_S)
            loading.result()
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)

    async def _load(self, record: Record) -> None:
        count, last_s = self._breaks.get(record.name, (0, 0.0))
        rest_s = last_s + REST_S - asyncio.get_running_loop().time()
        if count >= BREAKS_MAX and rest_s > 0:
            raise Unavailable(f"{record.name} broke {count} times in a row", hint=f"try again in {int(rest_s) + 1} s")
        need, roomy = self.admit(record)
        fd = await self._open(record)
        try:
            await self._leave()
            session = self._session = Session(record, self._ended)
            self._ending.add(session)
            one = self.policy == SMALL
            limit_bytes = max(DATA_BYTES_MIN, need.total + (need.weights if roomy else 0) + DATA_BYTES_MIN)
            await session.load(fd, {
                "kind": record.kind, "context": self._settings["context"], "embeds": "chat" not in record.does,
                "threads": 1 if one else budget.threads(self._settings["threads"], record.bytes),
                "repack": roomy, "memory_bytes": limit_bytes,
            }, limit_bytes)
        finally:
            os.close(fd)
        said = ", ".join(f"{key} {session.facts.get(key)}" for key in _SAID)
        self._log("info", f"models: {record.name} is loaded: {said}")

    async def _open(self, record: Record) -> int:
        """The model's file, checked again beside the loop where that is due."""
        opening = asyncio.get_running_loop().run_in_executor(None, self._catalogue.open, record)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(lambda done: None if done.exception() else os.close(done.result()))
            raise

    async def _leave(self) -> None:
        """End the worker that is there; its memory has come back on return."""
        self.unload("another model is wanted")
        if self._ending:
            await asyncio.wait([session.ended for session in self._ending])

    def _forget(self, session: Session) -> None:
        if self._session is session:
            self._session = None

    def _ended(self, session: Session, said: str) -> None:
        self._ending.discard(session)
        self._forget(session)
        if session.broke:
            name = session.record.name
            self._breaks[name] = (self._breaks.get(name, (0, 0.0))[0] + 1, asyncio.get_running_loop().time())
            self._log("warning", f"models: the worker of {name} broke: {said}")


class _Turn:
    """A place in the line."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def move(self) -> None:
        self._event.set()

    async def moved(self, most_s: float) -> None:
        try:
            async with asyncio.timeout(most_s):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()

