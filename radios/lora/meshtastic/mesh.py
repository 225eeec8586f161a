"""What the two ways into a Meshtastic mesh share: the facts of the link, and what people's radios say there.

A modem of either kind hands in each packet that it can read, or hear only, with its sender; texts and who is near come
out of it on the modem's three outlets. The radios that were heard are bounded in number and told of at most once a
minute each, so that a busy mesh costs nothing. It sends nothing.
"""

from __future__ import annotations

from radios.lora.meshtastic import facts, wire
from radios.lora.meshtastic.told import signal_of
from radios.lora.modem import Modem
from radios.lora.people import Radio, Text
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.meshtastic.wire import Record
    from radios.lora.modem import Pace

HEARD_MAX = 256
AGAIN_MS = 60000  # a radio that goes on talking is told of once in so long
NAME_LETTERS_MAX = 40
SHORT_LETTERS_MAX = 8


class MeshModem(Modem):
    """A modem with a mesh under it."""

    mtu_bytes = facts.FRAME_BYTES_MAX
    csma = True
    mesh = True
    paces_itself = True

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self._on_text: Callable[[Text], None] = lambda text: None
        self._radios: dict[int, tuple[int, str, str]] = {}  # number -> (told of at, name, short name)

    def _met(self, packet: Record, data: Record | None) -> None:
        """A packet of another node was heard; data: what is in it, None where it can't be read."""
        number = packet["from"]
        told_ms, name, short = self._radios.pop(number, (0, "", ""))
        names = (name, short)
        if data is not None and data["portnum"] == facts.PORT_NODEINFO:
            try:
                names = _names(wire.decode(wire.USER, data["payload"]))
            except wire.WireError:
                pass
        if names != (name, short) or not told_ms or now_ms() - told_ms >= AGAIN_MS // self._pace.speed:
            told_ms = now_ms()
            self.on_radio(Radio(number.to_bytes(4, "big"), *names, signal_of(packet)))
        self._remember(number, told_ms, names)

    def _called(self, number: int, user: Record) -> None:
        """A node is called so, as our device knows from before."""
        told_ms = self._radios.pop(number, (0, "", ""))[0]
        self._remember(number, told_ms, _names(user))

    def _remember(self, number: int, told_ms: int, names: tuple[str, str]) -> None:
        if len(self._radios) >= HEARD_MAX:
            del self._radios[next(iter(self._radios))]
        self._radios[number] = (told_ms, *names)  # the one heard last stands last

    def _read(self, packet: Record, data: Record, to_us: bool, channel: str) -> None:
        """A text or an alert of a person, if it is one; emojis are answers to something else."""
        port, payload = data["portnum"], data["payload"]
        if port not in (facts.PORT_TEXT, facts.PORT_ALERT) or not payload or data["emoji"]:
            return
        self._count("rx.texts")
        signal = signal_of(packet)
        self._on_text(Text(packet["from"].to_bytes(4, "big"), to_us, "" if to_us else channel,
                           payload.decode("utf-8", "replace"), packet["id"], signal.hops, signal,
                           port == facts.PORT_ALERT))


def _names(user: Record) -> tuple[str, str]:
    """A radio's long and short name, as far as a person can read them."""
    return _readable(user["long_name"][:NAME_LETTERS_MAX]), _readable(user["short_name"][:SHORT_LETTERS_MAX])


def _readable(text: str) -> str:
    return "".join(one for one in text if one.isprintable()).strip()
