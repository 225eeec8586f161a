"""What a phone asks of the node's page over a BLE session: requests put together, answers cut into pieces.

One of these belongs to one connection. It knows bytes and their bounds, not what is asked; who answers is handed in.
Whoever is near may ask, so it believes nothing and holds little. docs/PROTOCOL.md section 16.5.

    PAGE    00 03 | id u16 | last u8 | bytes, at least one
"""

from __future__ import annotations

from edge.core.cbor import CodecError
from radios.ble import gatt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[bytes, Callable[[bytes], None]], None]  # ask(request, answer); answer is called once

PAGE = 3  # the control's number, beside those of a session
REQUEST_BYTES_MAX = 12288  # a notice of the longest text, with room for what JSON escapes
ANSWER_BYTES_MAX = 65536
UNDER_WAY_MAX = 2  # requests of one connection
HEAD_BYTES = 5
PIECE_BYTES = gatt.FRAME_BYTES_MAX - HEAD_BYTES
_ERROR = '%d\n{"error":{"code":"%s","message":"%s","hint":"%s"}}'
TOO_LONG = (_ERROR % (507, "capacity_exceeded", "the answer is too long for Bluetooth", "ask for less")).encode()
REQUEST_TOO_LONG = (_ERROR % (413, "bad_request", "the request is too long", "make it shorter")).encode()


class Pages:
    """The requests of one connection. send(plaintext) queues one piece for it; False: no room, `go_on` comes later."""

    def __init__(self, ask: Ask, send: Callable[[bytes], bool]) -> None:
        self._ask = ask
        self._send = send
        self._asked: dict[int, bytearray | None] = {}  # under way; None once it is whole, or refused
        self._answers: list[tuple[int, memoryview]] = []

    def take(self, plaintext: bytes) -> None:
        """One PAGE record. Raises CodecError ble.page: it was dropped, and nothing else happens."""
        if len(plaintext) <= HEAD_BYTES or plaintext[:2] != bytes((0, PAGE)) or plaintext[4] > 1:
            raise CodecError("ble.page")
        number = int.from_bytes(plaintext[2:4], "big")
        if number not in self._asked and len(self._asked) < UNDER_WAY_MAX:
            self._asked[number] = bytearray()
        request = self._asked.get(number)
        if request is None:
            raise CodecError("ble.page")  # one too many, or the id of one that is being answered
        request += memoryview(plaintext)[HEAD_BYTES:]
        if len(request) > REQUEST_BYTES_MAX:
            self._asked[number] = None
            self._answered(number, REQUEST_TOO_LONG)
        elif plaintext[4]:
            self._asked[number] = None
            self._ask(bytes(request), lambda answer: self._answered(number, answer))

    def go_on(self) -> None:
        """There may be room again: queue what waits."""
        while self._answers:
            number, rest = self._answers[0]
            piece = rest[:PIECE_BYTES]
            last = len(piece) == len(rest)
            if not self._send(bytes((0, PAGE)) + number.to_bytes(2, "big") + bytes((last,)) + piece):
                return
            if last:
                del self._answers[0], self._asked[number]
            else:
                self._answers[0] = (number, rest[PIECE_BYTES:])

    def close(self) -> None:
        """The connection is over; an answer that comes later is for nobody."""
        self._asked.clear()
        self._answers.clear()

    def _answered(self, number: int, answer: bytes) -> None:
        if number in self._asked:  # else the connection is gone
            self._answers.append((number, memoryview(answer if len(answer) <= ANSWER_BYTES_MAX else TOO_LONG)))
            self.go_on()
