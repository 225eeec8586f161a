"""Cutting answers: every part fits, nothing is lost, cuts come where a reader would make them."""

from __future__ import annotations

import random

import pytest

from edge.services.texts.parts import cut, short

WORDS = ("soup", "Straße", "вода", "水", "🚰", "👩‍👩‍👧", "e\u0301", "👍🏽", "a" * 70, "\n", "→", "x")


@pytest.mark.parametrize("bytes_max", [16, 63, 200])
def test_every_part_fits_and_nothing_is_lost(bytes_max: int) -> None:
    rng = random.Random(bytes_max)
    for _ in range(300):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(80)))
        parts = cut(text, bytes_max)
        assert all(0 < len(part.encode()) <= bytes_max and part == part.strip() for part in parts)
        assert "".join("".join(parts).split()) == "".join(text.split())


def test_cuts_stand_between_lines_then_words() -> None:
    assert cut("") == cut(" \n ") == []
    assert cut("one two three", 8) == ["one two", "three"]
    assert cut("one two\nthree four", 13) == ["one two", "three four"]
    assert cut("a" * 20, 8) == ["a" * 8, "a" * 8, "a" * 4]
    assert cut("aaaae\u0301bbb", 6) == ["aaaa", "e\u0301bbb"]  # a letter keeps its accent
    assert cut("aaaa👍🏽", 9) == ["aaaa", "👍🏽"]


def test_short() -> None:
    assert short("soup\n at six", 20) == "soup at six"
    assert short("soup at six in the town hall", 14) == "soup at six…"
    assert len(short("水" * 40, 20).encode()) <= 20
