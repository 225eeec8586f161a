"""Messages that come in a file instead of over a radio: the courier link.

One MESSAGES frame at a time is given to the core as a neighbour's would be, and the answer waits for its commit. It
trusts nothing in the file; every message is verified like any other. PROTOCOL 11.
"""

from __future__ import annotations

import asyncio

from edge.core import effects
from edge.core.cbor import CodecError
from edge.core.frame import MESSAGES, unpack_messages
from edge.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.machine import Machine

COURIER = "courier"  # the link's name
_PEER = b"courier"


class Intake:
    """Counts what becomes of each message of an imported frame.

    drain() carries out what the core has waiting; perform(effects) carries out a list of effects.
    """

    def __init__(self, machine: Machine, now_ms: Callable[[], int], drain: Callable[[], None],
                 perform: Callable[[list[tuple[Any, ...]]], None]) -> None:
        self._machine = machine
        self._now_ms = now_ms
        self._drain = drain
        self._perform = perform
        self._watched: dict[bytes, Callable[[int], None]] = {}

    async def frame(self, frame: bytes) -> dict[str, Any]:
        """Take one frame: {"new": n, "known": n, "refused": {reason: n}} once all of it is committed or refused."""
        if not frame or frame[0] != MESSAGES:
            raise BadRequest("not a MESSAGES frame", allowed="a frame of a courier file")
        try:
            total = len(unpack_messages(frame))
        except CodecError as error:
            raise BadRequest(f"malformed frame: {error.reason}") from error
        self._drain()  # so that the effects below are this frame's alone
        now_ms = self._now_ms()
        self._machine.command(now_ms, effects.PEER_UP, COURIER, _PEER, None, False)
        self._machine.receive(now_ms, COURIER, _PEER, frame)
        self._machine.command(now_ms, effects.PEER_DOWN, COURIER, _PEER)
        pending = self._machine.drain()
        ids = [effect[1].id for effect in pending if effect[0] == effects.STORE]
        refused: dict[str, int] = {}
        for effect in pending:
            if effect[0] == effects.DROP:
                refused[effect[1]] = refused.get(effect[1], 0) + 1
        known = total - len(ids) - sum(refused.values())
        outcomes = await self._commit(pending, ids)
        for outcome, reason in ((effects.FULL, "store_full"), (effects.PROVED, "conflict.proved")):
            if outcome in outcomes:
                refused[reason] = refused.get(reason, 0) + outcomes.count(outcome)
        new = outcomes.count(effects.NEW) + outcomes.count(effects.CONFLICTING)
        return {"new": new, "known": known + outcomes.count(effects.DUPLICATE), "refused": refused}

    async def _commit(self, pending: list[tuple[Any, ...]], ids: list[bytes]) -> list[int]:
        outcomes: list[int] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def committed(outcome: int) -> None:
            outcomes.append(outcome)
            if len(outcomes) == len(ids) and not done.done():
                done.set_result(None)

        for id in ids:
            self._watched[id] = committed
        self._perform(pending)
        if ids:
            await done
        return outcomes

    def stored(self, results: list[tuple[bytes, int, bytes | None]]) -> None:
        """The outcome of a commit, ours or not."""
        if self._watched:
            for id, outcome, _other in results:
                watcher = self._watched.pop(id, None)
                if watcher is not None:
                    watcher(outcome)
