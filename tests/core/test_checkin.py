"""The body of a check-in (PROTOCOL 19)."""

from __future__ import annotations

from edge.core import checkin
from tests.core.mutate import reason_of


def test_read() -> None:
    assert checkin.read({1: "Ann", 2: checkin.SAFE}) == ("Ann", checkin.SAFE, "", "")
    assert checkin.read({1: "Ann", 2: 2, 3: "broken leg", 4: "Mill Lane", 9: []}) == (
        "Ann", checkin.HELP, "broken leg", "Mill Lane")
    for bad in ({}, {1: "Ann"}, {1: "", 2: 1}, {1: " . ", 2: 1}, {1: "Ann", 2: 0}, {1: "Ann", 2: 3},
                {1: "Ann", 2: True}, {1: b"Ann", 2: 1}, {1: "x" * 65, 2: 1}, {1: "Ann", 2: 1, 3: "x" * 201},
                {1: "Ann", 2: 1, 4: 5}):
        assert reason_of(checkin.read, bad) == "checkin.form"
