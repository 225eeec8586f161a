"""A line editor for whatever terminal is at the other end of a cable: bytes in, lines and echo out.

It asks of the terminal no more than carriage return, backspace and "erase to the end of the line", and writes ASCII
only. It decides what a key does; it reads and writes no device. Noise on the line (bytes that are no text, broken
escape sequences, lines without end) costs nothing but itself: it is counted and left out, so that it never becomes part
of a command. The keys are those of ECMA-48 terminals.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LINE_CHARS_MAX = 512
HISTORY_MAX = 32
ESCAPE_BYTES_MAX = 8
BELL = b"\a"

LINE, INTERRUPT, END = "line", "interrupt", "end"  # what `feed` reports

_ESCAPES = {b"[A": "_older", b"[B": "_newer", b"[C": "_right", b"[D": "_left", b"OA": "_older", b"OB": "_newer",
            b"OC": "_right", b"OD": "_left", b"[H": "_home", b"[F": "_last", b"OH": "_home", b"OF": "_last",
            b"[1~": "_home", b"[4~": "_last", b"[3~": "_delete"}
_KEYS = {1: "_home", 2: "_left", 4: "_end_of_input", 5: "_last", 6: "_right", 8: "_back", 9: "_complete",
         11: "_kill_right", 12: "_redraw", 14: "_newer", 16: "_older", 21: "_kill_left", 23: "_kill_word", 127: "_back"}


class LineEditor:
    """One line being typed, and those typed before.

    complete(text) gives the words that may stand where `text` ends, for Tab. prompt: ASCII.
    """

    def __init__(self, prompt: str, complete: Callable[[str], list[str]]) -> None:
        self.prompt = prompt
        self.noise = 0  # bytes that were no text
        self.secret = False  # echo stars
        self._complete_words = complete
        self._text = ""
        self._at = 0
        self._history: list[str] = []
        self._browsing = 0  # how far back in the history, 0: not at all
        self._kept = ""  # what was typed before browsing
        self._utf8 = b""
        self._escape: bytes | None = None
        self._was_return = False
        self._out = bytearray()

    def start(self) -> bytes:
        """A new line: what to write for its prompt."""
        self._text, self._at, self._browsing = "", 0, 0
        return self.prompt.encode("ascii", "replace")

    def feed(self, data: bytes) -> tuple[list[tuple[str, str]], bytes]:
        """([(LINE, text) | (INTERRUPT, "") | (END, "")], what to echo) for bytes as they came."""
        events: list[tuple[str, str]] = []
        for byte in data:
            self._byte(byte, events)
        out = bytes(self._out)
        self._out.clear()
        return events, out

    # --- bytes

    def _byte(self, byte: int, events: list[tuple[str, str]]) -> None:
        if self._escape is not None:
            self._in_escape(byte)
            return
        was_return, self._was_return = self._was_return, byte == 13
        if byte in (10, 13):
            if not (byte == 10 and was_return):
                self._enter(events)
        elif byte == 3:
            self._out += b"^C\r\n"
            self._text, self._at = "", 0
            events.append((INTERRUPT, ""))
        elif byte == 27:
            self._escape = b""
        elif byte == 4 and not self._text:
            events.append((END, ""))
        elif byte in _KEYS:
            self._utf8 = b""
            getattr(self, _KEYS[byte])()
        elif byte >= 32:
            self._letter(byte)
        else:
            self.noise += 1

    def _in_escape(self, byte: int) -> None:
        self._escape = (self._escape or b"") + bytes((byte,))
        if self._escape in _ESCAPES:
            getattr(self, _ESCAPES[self._escape])()
        elif (self._escape[:1] in (b"[", b"O") and len(self._escape) <= ESCAPE_BYTES_MAX
              and (len(self._escape) == 1 or 0x20 <= byte <= 0x3F)):
            return  # there is more to come
        self._escape = None

    def _letter(self, byte: int) -> None:
        self._utf8 += bytes((byte,))
        try:
            letter = self._utf8.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data" and len(self._utf8) < 4:
                return
            self.noise += len(self._utf8)
            self._utf8 = b""
            if byte < 128:  # the first byte was noise, this one is not
                self.noise -= 1
                self._letter(byte)
            return
        self._utf8 = b""
        if not letter.isprintable():
            self.noise += 1
        elif len(self._text) >= LINE_CHARS_MAX:
            self._out += BELL
        else:
            self._insert(letter)

    def _enter(self, events: list[tuple[str, str]]) -> None:
        text = self._text.strip()
        self._out += b"\r\n"
        if text and not self.secret and text != (self._history[-1] if self._history else ""):
            self._history.append(text)
            del self._history[:-HISTORY_MAX]
        self._text, self._at, self._browsing, self._utf8 = "", 0, 0, b""
        events.append((LINE, text))

    # --- keys

    def _insert(self, text: str) -> None:
        self._text = self._text[:self._at] + text + self._text[self._at:]
        self._at += len(text)
        if self._at == len(self._text):
            self._out += self._shown(text)
        else:
            self._redraw()

    def _back(self) -> None:
        if not self._at:
            return
        self._text = self._text[:self._at - 1] + self._text[self._at:]
        self._at -= 1
        if self._at == len(self._text):
            self._out += b"\b \b"
        else:
            self._redraw()

    def _delete(self) -> None:
        self._text = self._text[:self._at] + self._text[self._at + 1:]
        self._redraw()

    def _left(self) -> None:
        if self._at:
            self._at -= 1
            self._out += b"\b"

    def _right(self) -> None:
        if self._at < len(self._text):
            self._out += self._shown(self._text[self._at])
            self._at += 1

    def _home(self) -> None:
        self._at = 0
        self._redraw()

    def _last(self) -> None:
        self._at = len(self._text)
        self._redraw()

    def _end_of_input(self) -> None:
        self._delete()

    def _kill_left(self) -> None:
        self._text, self._at = self._text[self._at:], 0
        self._redraw()

    def _kill_right(self) -> None:
        self._text = self._text[:self._at]
        self._redraw()

    def _kill_word(self) -> None:
        kept = self._text[:self._at].rstrip()
        kept = kept[:kept.rfind(" ") + 1]
        self._text, self._at = kept + self._text[self._at:], len(kept)
        self._redraw()

    def _older(self) -> None:
        self._browse(self._browsing + 1)

    def _newer(self) -> None:
        self._browse(self._browsing - 1)

    def _browse(self, back: int) -> None:
        if self.secret or not 0 <= back <= len(self._history):
            self._out += BELL
            return
        if not self._browsing:
            self._kept = self._text
        self._browsing = back
        self._text = self._history[-back] if back else self._kept
        self._at = len(self._text)
        self._redraw()

    def _complete(self) -> None:
        before = self._text[:self._at]
        word = before.rpartition(" ")[2]
        fit = [] if self.secret else sorted(one for one in self._complete_words(before) if one.startswith(word))
        if not fit:
            self._out += BELL
            return
        common = fit[0]
        while not all(one.startswith(common) for one in fit):
            common = common[:-1]
        if len(fit) == 1:
            common += " "
        if common != word:
            self._insert(common[len(word):])
        else:
            self._out += b"\r\n" + "  ".join(fit).encode("ascii", "replace") + b"\r\n"
            self._redraw()

    def _redraw(self) -> None:
        back = len(self._text) - self._at
        self._out += b"\r" + self.prompt.encode("ascii", "replace") + self._shown(self._text) + b"\x1b[K" + b"\b" * back

    def _shown(self, text: str) -> bytes:
        return b"*" * len(text) if self.secret else text.encode("ascii", "replace")
