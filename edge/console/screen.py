"""Text for a terminal of 80 columns that knows ASCII only, a screen at a time.

Whatever is said is folded to ASCII (letters without their accents, dashes and quotes as on a typewriter, "?" for the
rest), broken at words, and given out in pages that wait for a key, so that nothing important runs off a screen that
can't be scrolled back. It reads and writes no device.
"""

from __future__ import annotations

import unicodedata

COLUMNS = 80
ROWS = 24
MORE = "-- more: any key; q: enough --"
_FOLDS = {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "…": "...",
          "·": ".", "•": "*", "→": "->", "←": "<-", "°": " deg", "×": "x", "ß": "ss", "æ": "ae",
          "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "ł": "l", "Ł": "L", "€": "EUR", " ": " "}


def to_ascii(text: str) -> str:
    """Text of any script as printable ASCII and line ends."""
    if text.isascii() and text.isprintable():
        return text
    out = []
    for letter in text:
        if letter == "\n" or " " <= letter <= "~":
            out.append(letter)
        elif letter == "\t":
            out.append("    ")
        elif letter in _FOLDS:
            out.append(_FOLDS[letter])
        elif ord(letter) >= 128:
            plain = "".join(one for one in unicodedata.normalize("NFKD", letter) if " " <= one <= "~")
            out.append(plain or ("" if unicodedata.combining(letter) else "?"))
    return "".join(out)


def fold(line: str, columns: int = COLUMNS) -> list[str]:
    """One line as lines of at most `columns` characters, broken at words and indented as it was (up to a third)."""
    line = to_ascii(line).rstrip()
    indent = " " * min(len(line) - len(line.lstrip()), columns // 3)
    out = []
    while len(line) > columns:
        cut = line.rfind(" ", len(indent) + 1, columns + 1)
        if cut <= len(indent):
            cut = columns
        out.append(line[:cut].rstrip())
        line = indent + line[cut:].lstrip()
    return [*out, line]


class Pager:
    """Gives lines out until a screen is full. rows: lines of the terminal; 0: no pages."""

    def __init__(self, rows: int = ROWS) -> None:
        self.rows = rows
        self.waiting: list[str] = []
        self.asking = False  # for a key
        self._room = max(rows - 2, 1)

    def put(self, line: str) -> bytes:
        """One more line of output: what to write now; the rest waits."""
        self.waiting.extend(fold(line))
        return self._give()

    def key(self, data: bytes) -> bytes:
        """A key while lines are waiting: the next screen, or nothing more after "q" or ^C."""
        self.asking = False
        clear = b"\r" + b" " * len(MORE) + b"\r"
        if data[:1] in (b"q", b"Q", b"\x03"):
            self.waiting = []
            return clear
        self._room = max(self.rows - 2, 1)
        return clear + self._give()

    def _give(self) -> bytes:
        room = self._room if self.rows else len(self.waiting)
        now = self.waiting[:room]
        del self.waiting[:room]
        self._room -= len(now)
        out = b"".join(line.encode() + b"\r\n" for line in now)
        if self.waiting and not self.asking:
            self.asking = True
            out += MORE.encode()
        return out
