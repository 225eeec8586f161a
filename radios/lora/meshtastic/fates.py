"""What became of the packets that asked for an acknowledgement, told once each.

A direct text is "acked" by its addressee; that a neighbour was heard repeating it is told as "relayed" and is not the
end. A text to a channel is "acked" (reason "relayed") as soon as anybody repeats it. A refusal, or silence until the
deadline, is "failed" with a reason. Packets are remembered while the device is lost, for it may still tell when it is
back; nothing is told while paused, nor of a packet whose `send` has not returned. It sends nothing.
"""

from __future__ import annotations

import asyncio

from radios.lora.meshtastic.facts import EVERYBODY, ROUTING_REASONS
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PENDING_MAX = 64


class _Pending:
    __slots__ = ("to", "deadline_ms", "relayed")

    def __init__(self, to: int, deadline_ms: int) -> None:
        self.to = to
        self.deadline_ms = deadline_ms
        self.relayed = False


class Fates:
    """Packets by id. tell(state, id, reason) is called from the loop while not paused."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}
        self._tell: Callable[[str, int, str], None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._sending = 0
        self._early: list[tuple[str, str]] = []  # what became of it before its sender knows its id

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, id: int) -> bool:
        return id in self._pending

    def resume(self, tell: Callable[[str, int, str], None]) -> None:
        """From now on `tell` hears; what ran out meanwhile is told soon."""
        self._tell = tell
        self._set_alarm()

    def pause(self) -> None:
        """Tell nothing until `resume`."""
        self._tell = None
        self._set_alarm()

    def expect(self, id: int, to: int, within_ms: int) -> None:
        """A packet is about to be sent; `returned` or `forget` follows. to: its addressee, or EVERYBODY.

        The oldest is given up where there are many.
        """
        if len(self._pending) >= PENDING_MAX:
            self._end(next(iter(self._pending)), "failed", "no_ack")
        self._pending[id] = _Pending(to, now_ms() + within_ms)
        self._sending, self._early = id, []
        self._set_alarm()

    def returned(self) -> None:
        """The sender knows its id as soon as the current task waits again."""
        id, self._sending = self._sending, 0
        for state, reason in self._early:
            asyncio.get_running_loop().call_soon(self._say, state, id, reason)
        self._early = []

    def forget(self, id: int) -> None:
        """It did not go out after all; the sender was told so."""
        self._sending, self._early = 0, []
        self._pending.pop(id, None)
        self._set_alarm()

    def routing(self, sender: int, id: int, error: int, ours: bool) -> None:
        """A routing result for packet `id` came from node `sender`; ours: that is our own device."""
        pending = self._pending.get(id)
        if pending is None:
            return
        if error:
            self._end(id, "failed", ROUTING_REASONS.get(error, "tx_failed"))
        elif not ours:
            if pending.to in (EVERYBODY, sender):
                self._end(id, "acked", "")
        elif pending.to == EVERYBODY:
            self._end(id, "acked", "relayed")
        elif not pending.relayed:
            pending.relayed = True
            self._say("relayed", id, "")

    def _end(self, id: int, state: str, reason: str) -> None:
        del self._pending[id]
        self._set_alarm()
        self._say(state, id, reason)

    def _say(self, state: str, id: int, reason: str) -> None:
        if id == self._sending:
            self._early.append((state, reason))
        elif self._tell is not None:
            self._tell(state, id, reason)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._tell is not None and self._pending:
            first_ms = min(p.deadline_ms for p in self._pending.values())
            wait_s = (max(first_ms - now_ms(), 0) + 1) / 1000
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._alarm = None
        late_ms = now_ms()
        for id in [id for id, p in self._pending.items() if p.deadline_ms <= late_ms]:
            if id in self._pending:
                self._end(id, "failed", "no_ack")
        self._set_alarm()
