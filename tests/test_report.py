"""What a node says of itself: a trouble is said in one place, whoever noticed it."""

from __future__ import annotations

import pytest

from edge import report


@pytest.mark.parametrize(("said", "noticed", "wanted"), [
    ("", {}, []),
    ("", {"lan": ("port_taken", "taken")}, [("lan", "port_taken", "taken")]),
    ("the disk is full", {}, [("store", "store", "the disk is full")]),
    ("the disk is full", {"store": ("store", "read-only"), "lan": ("x", "y")},
     [("lan", "x", "y"), ("store", "store", "read-only")]),
])
def test_a_full_disk_is_a_trouble(said: str, noticed: dict[str, tuple[str, str]],
                                  wanted: list[tuple[str, str, str]]) -> None:
    facts = report.parts({}, {"trouble": said}, noticed)
    assert [(one["part"], one["reason"], one["text"]) for one in facts["trouble"]] == wanted
    assert "store" not in noticed or len(noticed) == 2
