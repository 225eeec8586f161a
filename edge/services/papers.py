"""What the community's stewards have signed, as this node holds it: certificates and the order to halt.

Papers come as CERT and HALT messages of anybody; what counts is who signed them (edge/core/certs.py and halt.py). The
order that holds is kept beside the messages, so it outlives a reboot, and the loss of its message. Nothing that comes
over a link changes who the stewards are: they stand in waypost.toml.
"""

from __future__ import annotations

from edge.core import certs, halt
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.core.stewards import Stewards
from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.message import Message

PAPER = 1  # the key of a CERT's or a HALT's body


class Papers:
    """kept(key) -> number or None and keep(key, number) outlive a reboot. sure_s(): Unix seconds that have surely come.
    changed(): told when a certificate or an order changed something; count(name): counts what is no good."""

    def __init__(self, stewards: Stewards, kept: Callable[[str], int | None], keep: Callable[[str, int], None],
                 sure_s: Callable[[], int], count: Callable[[str], None]) -> None:
        self.stewards = stewards
        self.book = certs.Book(stewards)
        self.halt = halt.Halt(stewards)
        self.changed: Callable[[], None] = lambda: None
        self._count = count
        self._keep = keep
        self._sure_s = sure_s
        self.halt.restore(kept)

    def take(self, message: Message) -> None:
        """A CERT or HALT message is committed. What is no good is counted and otherwise ignored."""
        data = message.body().get(PAPER)
        try:
            if not isinstance(data, bytes):
                raise CodecError("cosign.form")
            self.offer(message.type, data)
        except CodecError as error:
            self._count("drop." + error.reason)

    def offer(self, type: int, data: bytes) -> bool:
        """A paper, as bytes: True where something changed by it. Raises CodecError."""
        if type == messages.CERT:
            new = self.book.add(data)
        else:
            new = self.halt.offer(data)
            for key, number in self.halt.kept():
                self._keep(key, number)
        if new:
            self.changed()
        return bool(new)

    def allows(self, key: bytes, role: str, at_s: int) -> bool:
        """Whether a key had a role for what it signed at that time."""
        return bool(self.book.allows(key, role, at_s))

    def halted(self) -> list[str]:
        """What is halted now: names of halt.SCOPES; none for nothing."""
        return list(halt.words(self.halt.scopes(self._sure_s())))

    def halted_words(self) -> str:
        """The same as a sentence, "" for nothing."""
        scopes = self.halted()
        if not scopes:
            return ""
        reason = f": {self.halt.reason}" if self.halt.reason else ""
        return f"the community's stewards have halted {' and '.join(scopes)}{reason}"


def stewards_of(settings: dict[str, Any]) -> Stewards:
    """The Stewards of a node's settings (section "community"). Raises ConfigError."""
    keys = [bytes.fromhex(one) for one in settings["stewards"]]
    try:
        return Stewards(settings["name"], keys, settings["stewards_needed"])
    except ValueError as error:
        raise ConfigError(str(error), where="community.stewards",
                          hint="nobody's certificates and orders count until this is put right") from None
