"""The line editor: keys, noise, completion. edge/console/line.py."""

from __future__ import annotations

import random

import pytest

from edge.console.line import BELL, END, HISTORY_MAX, INTERRUPT, LINE, LINE_CHARS_MAX, LineEditor


def typed(editor: LineEditor, data: bytes) -> list[str]:
    """The lines that come of some bytes."""
    return [text for kind, text in editor.feed(data)[0] if kind == LINE]


@pytest.fixture
def editor() -> LineEditor:
    words = {"": ["status", "stop", "send"], "send ": ["library", "clinic"]}
    one = LineEditor("> ", lambda text: words.get(text[:text.rfind(" ") + 1], []))
    one.start()
    return one


@pytest.mark.parametrize(("data", "text"), [
    (b"status\r", "status"),
    (b"status\n", "status"),
    (b"  status  \r\n", "status"),
    (b"stayus\x7f\x7f\x7ftus\r", "status"),  # backspace
    (b"tatus\x01s\r", "status"),  # ^A
    (b"status x\x1b[D\x1b[D\x0b\r", "status"),  # left, left, ^K
    (b"junk status\x17\x15status\r", "status"),  # ^W, ^U
    (b"satus\x1b[H\x1b[C\x1b[C\x02\x02\x06t\x1b[F!\x7f\r", "status"),  # home, right, ^B, ^F, end
    (b"sxtatus\x1b[1~\x1b[C\x1b[3~\r", "status"),  # delete
    ("größe\r".encode(), "größe"),
])
def test_keys(editor: LineEditor, data: bytes, text: str) -> None:
    assert typed(editor, data) == [text]
    again = LineEditor("> ", lambda _: [])
    again.start()
    lines = [line for byte in data for line in typed(again, bytes((byte,)))]
    assert lines == [text], "the same, byte by byte"


def test_return_and_newline_end_one_line(editor: LineEditor) -> None:
    assert typed(editor, b"a\r\nb\nc\r\r") == ["a", "b", "c", ""]
    assert typed(editor, b"a\r") + typed(editor, b"\nb\r") == ["a", "b"]


def test_interrupt_and_end(editor: LineEditor) -> None:
    assert editor.feed(b"half a line\x03")[0] == [(INTERRUPT, "")]
    assert editor.feed(b"\x04")[0] == [(END, "")]
    assert editor.feed(b"x\x04")[0] == []


def test_history(editor: LineEditor) -> None:
    for n in range(HISTORY_MAX + 5):
        typed(editor, b"%d\r" % n)
    assert typed(editor, b"\x1b[A\x1b[A\r") == [str(HISTORY_MAX + 3)]
    assert typed(editor, b"kept\x1b[A\x1b[B\r") == ["kept"]
    assert BELL in editor.feed(b"\x1b[A" * 100)[1]


def test_completion(editor: LineEditor) -> None:
    assert typed(editor, b"sen\tcl\t\r") == ["send clinic"]
    out = editor.feed(b"st\t")[1]
    assert b"status  stop" in out
    assert editor.feed(b"zz\t")[1].endswith(BELL)


def test_noise_is_left_out_and_counted(editor: LineEditor) -> None:
    assert typed(editor, b"\x00\x80\xffsta\xc3\x1ctus\xe2\x82\r") == ["status"]
    assert editor.noise >= 5
    assert typed(editor, b"\x1b[999999999status\r")[-1:] != [], "an escape sequence without end ends somewhere"


def test_a_line_without_end_stays_bounded(editor: LineEditor) -> None:
    editor.feed(b"x" * 100000)
    assert typed(editor, b"\r") == ["x" * LINE_CHARS_MAX]


def test_whatever_comes_the_next_line_is_whole(editor: LineEditor) -> None:
    rng = random.Random(7)
    for _ in range(300):
        noise = rng.randbytes(rng.randrange(64)).replace(b"\t", b"")
        editor.feed(noise)
        editor.feed(b"\x1b[A"[:rng.randrange(4)])
        editor.feed(b"\r\x03\r")  # what a person does: Enter, ^C, Enter
        out = editor.feed(b"status\r")
        assert (LINE, "status") in out[0]
        assert all(byte in b"\r\n\b\a\x1b" or 32 <= byte < 127 for byte in out[1]), "ASCII only"


def test_a_secret_is_not_shown(editor: LineEditor) -> None:
    editor.secret = True
    events, out = editor.feed(b"1234\r")
    assert events == [(LINE, "1234")] and b"1" not in out and out.count(b"*") == 4
    editor.secret = False
    assert typed(editor, b"\x1b[A\r") == [""], "nor kept"
