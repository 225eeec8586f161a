"""What people's own radios say (Meshtastic): a text, or merely that they are there. Facts only; nothing is decided."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.lora.modem import Signal


class Text:
    """A text of a person (Meshtastic only). sender: 4 bytes; channel: its name, "" in a direct message (to_us);
    hops: how far it came, None where unknown; alert: it came on the alert port."""

    __slots__ = ("sender", "to_us", "channel", "text", "id", "hops", "signal", "alert")

    def __init__(self, sender: bytes, to_us: bool, channel: str, text: str, id: int, hops: int | None,
                 signal: Signal, alert: bool = False) -> None:
        self.sender = sender
        self.to_us = to_us
        self.channel = channel
        self.text = text
        self.id = id
        self.hops = hops
        self.signal = signal
        self.alert = alert


class Radio:
    """A person's radio was heard, whatever it said (Meshtastic only). sender: 4 bytes; name, short: what its owner
    calls it, "" unknown."""

    __slots__ = ("sender", "name", "short", "signal")

    def __init__(self, sender: bytes, name: str, short: str, signal: Signal) -> None:
        self.sender = sender
        self.name = name
        self.short = short
        self.signal = signal
