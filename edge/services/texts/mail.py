"""Mail between people with radios: what waits for whom, on every node alike, and what was delivered. PROTOCOL 20.

A mail is a message that all nodes carry and anybody can read; whichever node hears the radio that it is for hands it
over and says so in a message of its own, upon which the others stop. Both are told here in any order, and twice does no
harm. The table is bounded: what was delivered goes first, then the oldest.
"""

from __future__ import annotations

from edge.core import message as messages
from edge.core.cbor import CodecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.message import Message

TEXT, NAME, TO, FROM, DELIVERED = 1, 2, 4, 5, 6  # keys of a body
RADIO_BYTES = 4
DELIVERED_MAX = 64  # mails that one message says were delivered
MAILS_MAX = 1024
WAITING_MAX = 32  # for one radio
FROM_MAX = 64  # of one sender that wait
NAME_BYTES_MAX = 40
TEXT_BYTES_MAX = 400


class Mail:
    """One mail. sender: 4 bytes or None. delivered_ms: 0 while it waits."""

    __slots__ = ("id", "key", "to", "sender", "name", "text", "time_ms", "expires_s", "delivered_ms")

    def __init__(self, one: Message, body: dict[int, Any]) -> None:
        self.id = one.id
        self.key = one.key  # its order is that of time
        self.to: bytes = body[TO]
        self.sender: bytes | None = body.get(FROM)
        self.name: str = body.get(NAME, "")
        self.text: str = body[TEXT]
        self.time_ms = one.time_ms
        self.expires_s = one.expires_s
        self.delivered_ms = 0


def body_of(to: bytes, sender: bytes | None, name: str, text: str) -> dict[int, Any]:
    """The body of a mail. sender, name: None, "" where no radio wrote it."""
    body: dict[int, Any] = {TEXT: text, TO: to}
    if name:
        body[NAME] = name
    if sender is not None:
        body[FROM] = sender
    return body


def body_of_delivered(ids: list[bytes]) -> dict[int, Any]:
    """The body of the message that says that these (at most DELIVERED_MAX) were delivered."""
    return {DELIVERED: b"".join(ids)}


class Mails:
    """All mails that are known."""

    def __init__(self) -> None:
        self._mails: dict[bytes, Mail] = {}
        self._delivered: dict[bytes, int] = {}  # of mails that did not come yet

    def take(self, one: Message) -> Mail | None:
        """A message of type MAIL: a mail that is new and waits, or None. Whatever is in it is tolerated."""
        try:
            body = one.body()
        except CodecError:
            return None
        if _is_delivered(body):
            size = messages.ID_BYTES
            for at in range(0, len(body[DELIVERED]), size):
                self._note(body[DELIVERED][at:at + size], one.time_ms)
            return None
        if not _is_mail(body) or one.id in self._mails:
            return None
        mail = self._mails[one.id] = Mail(one, body)
        mail.delivered_ms = self._delivered.pop(one.id, 0)
        self._make_room()
        return mail if not mail.delivered_ms else None

    def waiting(self, to: bytes, now_s: int) -> list[Mail]:
        """What waits for a radio, the oldest first."""
        found = [mail for mail in self._mails.values()
                 if mail.to == to and not mail.delivered_ms and mail.expires_s > now_s]
        return sorted(found, key=lambda mail: mail.key)

    def to(self, radio: bytes, now_s: int) -> list[Mail]:
        """All to a radio, the newest first, those that were delivered as well."""
        found = [mail for mail in self._mails.values() if mail.to == radio and mail.expires_s > now_s]
        return sorted(found, key=lambda mail: mail.key, reverse=True)

    def by(self, radio: bytes) -> list[Mail]:
        """All from a radio, the newest first."""
        found = [mail for mail in self._mails.values() if mail.sender == radio]
        return sorted(found, key=lambda mail: mail.key, reverse=True)

    def room(self, sender: bytes, to: bytes, now_s: int) -> bool:
        """Whether one more may be written."""
        waits = sum(not mail.delivered_ms and mail.expires_s > now_s for mail in self.by(sender))
        return waits < FROM_MAX and len(self.waiting(to, now_s)) < WAITING_MAX

    def _note(self, id: bytes, time_ms: int) -> None:
        mail = self._mails.get(id)
        if mail is not None:
            mail.delivered_ms = mail.delivered_ms or time_ms
        elif id not in self._delivered:
            if len(self._delivered) >= MAILS_MAX:
                del self._delivered[next(iter(self._delivered))]
            self._delivered[id] = time_ms

    def _make_room(self) -> None:
        while len(self._mails) > MAILS_MAX:
            worst = min(self._mails.values(), key=lambda mail: (not mail.delivered_ms, mail.key))
            del self._mails[worst.id]


def _is_delivered(body: dict[int, Any]) -> bool:
    ids = body.get(DELIVERED)
    return isinstance(ids, bytes) and 0 < len(ids) <= DELIVERED_MAX * messages.ID_BYTES and not len(ids) % 16


def _is_mail(body: dict[int, Any]) -> bool:
    sender, name = body.get(FROM), body.get(NAME, "")
    return (isinstance(body.get(TEXT), str) and bool(body[TEXT].strip()) and isinstance(name, str)
            and _is_radio(body.get(TO)) and (sender is None or _is_radio(sender)))


def _is_radio(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == RADIO_BYTES
