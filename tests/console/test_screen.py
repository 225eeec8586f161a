"""Folding to ASCII, breaking lines, pages. edge/console/screen.py."""

from __future__ import annotations

import random

import pytest

from edge.console.screen import COLUMNS, MORE, Pager, fold, to_ascii


@pytest.mark.parametrize(("text", "ascii_"), [
    ("plain", "plain"),
    ("Größe „gut“ – 5 €", 'Grosse "gut" - 5 EUR'),
    ("naïve façade… Łódź", "naive facade... Lodz"),
    ("水\x1b[2J\x07", "?[2J"),
    ("a\tb", "a    b"),
])
def test_to_ascii(text: str, ascii_: str) -> None:
    assert to_ascii(text) == ascii_


def test_lines_are_broken_at_words_and_keep_their_indent() -> None:
    lines = fold("    " + "word " * 40)
    assert all(len(line) <= COLUMNS and line.startswith("    word") for line in lines)
    assert " ".join(" ".join(lines).split()) == ("word " * 40).strip()
    assert [len(line) for line in fold("x" * 200)] == [80, 80, 40]
    assert fold("") == [""]


def test_nothing_is_lost_in_any_text() -> None:
    rng = random.Random(3)
    for _ in range(300):
        text = "".join(rng.choice("ab  \t-") for _ in range(rng.randrange(400)))
        lines = fold(text)
        assert all(len(line) <= COLUMNS for line in lines)
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_pages_wait_for_a_key() -> None:
    pager = Pager(rows=6)
    out = b"".join(pager.put(f"line {n}") for n in range(10))
    assert out.endswith(b"line 3\r\n" + MORE.encode()) and pager.asking
    out = pager.key(b" ")
    assert b"line 4" in out and b"line 7" in out and out.endswith(MORE.encode())
    assert b"line" not in pager.key(b"q") and not pager.asking and not pager.waiting


def test_a_screen_that_is_just_full_asks_for_nothing() -> None:
    pager = Pager(rows=6)
    out = b"".join(pager.put(f"line {n}") for n in range(4))
    assert MORE.encode() not in out and not pager.asking
    assert pager.put("one more") == MORE.encode()


def test_no_pages() -> None:
    pager = Pager(rows=0)
    assert b"".join(pager.put(str(n)) for n in range(100)).count(b"\r\n") == 100
