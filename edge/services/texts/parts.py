"""An answer, and cutting it into texts that a radio carries: at most 200 bytes each, at ends of lines or words where
it can.

Nothing is lost but space at the cuts, and no letter is cut from its accents. Pure.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PART_BYTES = 200
_JOINED = ("\u200d", "\ufe0e", "\ufe0f")  # these and the letter behind a joiner belong to what stands before


class Answer:
    """text: what to say; at_once: parts of it that are sent without being asked for `more`; further(): what follows it
    when all of it was sent, None: nothing."""

    __slots__ = ("text", "at_once", "further")

    def __init__(self, text: str, at_once: int = 2, further: Callable[[], Awaitable[Answer]] | None = None) -> None:
        self.text = text
        self.at_once = at_once
        self.further = further


def cut(text: str, bytes_max: int = PART_BYTES) -> list[str]:
    """The parts of a text, each of 1..bytes_max bytes (4 or more) in UTF-8; none of an empty one."""
    parts = []
    rest = text.strip()
    while rest:
        at = _fits(rest, bytes_max)
        if at < len(rest):
            at = _better(rest, at)
        parts.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return parts


def short(text: str, bytes_max: int) -> str:
    """The beginning of a text on one line, with an ellipsis where something is left out."""
    line = " ".join(text.split())
    if len(line.encode()) <= bytes_max:
        return line
    return cut(line, bytes_max - 3)[0] + "\u2026"


def _fits(text: str, bytes_max: int) -> int:
    """How many letters of it fit."""
    return len(text.encode()[:bytes_max].decode("utf-8", "ignore"))


def _better(text: str, at: int) -> int:
    """A place not far before `at` where one would rather cut."""
    for mark in ("\n", " "):
        found = text.rfind(mark, at // 2, at + 1)
        if found > 0:
            return found
    begin = at
    while begin > at // 2 and _belongs(text[begin - 1], text[begin]):
        begin -= 1
    return begin if begin > at // 2 else at


def _belongs(before: str, letter: str) -> bool:
    return (letter in _JOINED or before == _JOINED[0] or "\u0300" <= letter <= "\u036f"
            or "\U0001f3fb" <= letter <= "\U0001f3ff")
