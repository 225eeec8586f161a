"""Counting starts that failed. edge/starts.py"""

from __future__ import annotations

from pathlib import Path

from edge.starts import FAILED_MAX, Starts


def test_after_three_that_failed_a_safe_one(tmp_path: Path) -> None:
    safe = [Starts(str(tmp_path)).begin() for _ in range(5)]
    assert safe == [False, False, False, True, True] and FAILED_MAX == 3
    one = Starts(str(tmp_path))
    assert one.begin()
    one.well()
    again = Starts(str(tmp_path))
    assert not again.begin(), "an ordinary one"
    assert Starts(str(tmp_path)).begin(), "which failed: a safe one"
    well = Starts(str(tmp_path))
    well.failed = 0
    well.well()
    assert [Starts(str(tmp_path)).begin() for _ in range(4)] == [False, False, False, True]


def test_one_that_went_well_clears_the_count(tmp_path: Path) -> None:
    for _ in range(10):
        for _ in range(2):
            assert not Starts(str(tmp_path)).begin()
        one = Starts(str(tmp_path))
        assert not one.begin()
        one.well()


def test_a_reason_is_told_once(tmp_path: Path) -> None:
    assert Starts(str(tmp_path)).reason() == ""
    Starts(str(tmp_path)).restarts("the loop stood still\nfor long" + "x" * 1000)
    assert Starts(str(tmp_path)).reason().startswith("the loop stood still")
    assert Starts(str(tmp_path)).reason() == ""


def test_files_that_cannot_be_are_none(tmp_path: Path) -> None:
    for text in (b"", b"many\n", b"\xff\xfe", b"-3", b"\xd9\xa3", b"9" * 400):
        (tmp_path / "starts").write_bytes(text)
        assert Starts(str(tmp_path)).begin() is (text[:1] == b"9")
    gone = Starts(str(tmp_path / "none"))
    assert not gone.begin()
    gone.well()
    gone.restarts("x")
    assert gone.reason() == ""
