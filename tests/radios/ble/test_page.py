"""Requests for the page over BLE: put together, bounded, answered in pieces. PROTOCOL 16.5."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.cbor import CodecError
from radios.ble import gatt, page
from radios.ble.page import Pages


class Line:
    """A connection whose queue has room for so many pieces, and a node that answers when told to."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.sent: list[bytes] = []
        self.asked: list[tuple[bytes, Callable[[bytes], None]]] = []
        self.pages = Pages(lambda request, answer: self.asked.append((request, answer)), self.send)

    def send(self, piece: bytes) -> bool:
        assert len(piece) <= gatt.FRAME_BYTES_MAX
        if len(self.sent) >= self.room:
            return False
        self.sent.append(piece)
        return True

    def answers(self) -> dict[int, bytes]:
        """What has been answered in whole, by id."""
        open_ones: dict[int, bytes] = {}
        whole: dict[int, bytes] = {}
        for piece in self.sent:
            number = int.from_bytes(piece[2:4], "big")
            open_ones[number] = open_ones.get(number, b"") + piece[5:]
            if piece[4]:
                whole[number] = open_ones.pop(number)
        return whole


def piece(number: int, data: bytes, last: int = 1) -> bytes:
    return bytes((0, page.PAGE)) + number.to_bytes(2, "big") + bytes((last,)) + data


def test_a_request_and_its_answer() -> None:
    line = Line()
    line.pages.take(piece(513, b"GET /api/", 0))
    assert not line.asked
    line.pages.take(piece(513, b"status"))
    request, answer = line.asked[0]
    assert request == b"GET /api/status"
    answer(b"200\n{}")
    assert line.sent == [bytes.fromhex("00030201 01") + b"200\n{}"]


@given(st.integers(1, page.ANSWER_BYTES_MAX))
def test_answers_of_every_length_come_whole(size: int) -> None:
    line = Line()
    line.pages.take(piece(7, b"GET /api/board"))
    answer = (b"200\n" + b"abcdefg" * 10000)[:size]
    line.asked[0][1](answer)
    assert line.answers() == {7: answer}


def test_what_has_no_room_waits_its_turn() -> None:
    line = Line(room=2)
    for number in (1, 2):
        line.pages.take(piece(number, b"GET /api/board"))
    line.asked[1][1](b"2" * 10000)
    line.asked[0][1](b"1" * 10000)
    while len(line.sent) < 6:
        line.room += 1
        line.pages.go_on()
    assert line.answers() == {1: b"1" * 10000, 2: b"2" * 10000}


@pytest.mark.parametrize("bad", [
    b"", bytes((0, page.PAGE)), piece(1, b""), piece(1, b"GET", 2), bytes((0, 4)) + piece(1, b"GET")[2:],
])  # fmt: skip
def test_malformed_pieces_are_dropped(bad: bytes) -> None:
    line = Line()
    with pytest.raises(CodecError, match="ble.page"):
        line.pages.take(bad)
    assert not line.asked


def test_two_at_a_time_and_no_third() -> None:
    line = Line()
    for number in (1, 2):
        line.pages.take(piece(number, b"GET /api/status"))
    for number in (1, 3):
        with pytest.raises(CodecError, match="ble.page"):
            line.pages.take(piece(number, b"GET /api/status"))
    line.asked[0][1](b"200\n{}")
    line.pages.take(piece(3, b"GET /api/peers"))
    assert [request for request, _ in line.asked] == [b"GET /api/status"] * 2 + [b"GET /api/peers"]


def test_an_answer_holds_its_place_until_it_is_sent() -> None:
    line = Line(room=0)
    for number in (1, 2):
        line.pages.take(piece(number, b"GET /api/status"))
        line.asked[-1][1](b"200\n{}")
    with pytest.raises(CodecError, match="ble.page"):
        line.pages.take(piece(3, b"GET /api/status"))


def test_what_is_too_long_is_refused_and_not_kept() -> None:
    line = Line()
    for _ in range(3):
        line.pages.take(piece(1, bytes(4000), 0))
    line.pages.take(piece(1, bytes(400)))
    assert line.answers()[1].startswith(b"413\n")
    line.pages.take(piece(2, b"GET /api/board?limit=200"))
    line.asked[0][1](bytes(page.ANSWER_BYTES_MAX + 1))
    assert line.answers()[2].startswith(b"507\n")


def test_an_answer_after_the_end_is_for_nobody() -> None:
    line = Line()
    line.pages.take(piece(1, b"GET /api/status"))
    line.pages.close()
    line.asked[0][1](b"200\n{}")
    line.pages.go_on()
    assert not line.sent


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=5000), st.integers(0, 1)), max_size=30))
def test_a_hostile_one_is_bounded(pieces: list[tuple[int, bytes, int]]) -> None:
    line = Line(room=3)
    for number, data, last in pieces:
        try:
            line.pages.take(piece(number, data, last))
        except CodecError:
            pass
    assert len(line.asked) <= 2
    assert all(len(request) <= page.REQUEST_BYTES_MAX for request, _ in line.asked)
