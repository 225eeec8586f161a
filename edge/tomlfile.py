"""TOML files as people write them: any editor's encoding and line ends, and the place of every name.

It decides what text a file holds and where in it each name stands, so that an error can say file, line and column; the
grammar is tomllib's. Whatever bytes it is handed, it answers in bounded time and memory, with tables or a ConfigError.
It knows no setting: edge/config.py and boards/loader.py do.
"""

from __future__ import annotations

import re

from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

BYTES_MAX = 262144
NAME_PARTS_MAX, NAME_CHARS_MAX, NESTED_MAX = 8, 128, 8  # of a name with its dots; of lists and tables in each other
_GRAMMAR = 'a setting is a line NAME = VALUE under its [heading]; text stands in straight "quotes"'
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_PIECE = re.compile(r"""\"{3}|'{3}|["'#\n.=,\[\]{}]""")
_ENDS = {  # how what a piece begins goes on to its end
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"{3,5}', re.DOTALL), "'''": re.compile(r"(?:[^']|'(?!''))*+'{3,5}"),
    '"': re.compile(r'(?:[^"\\\n]|\\.)*+"'), "'": re.compile(r"[^'\n]*+'"), "#": re.compile(r"[^\n]*+"),
}
_CURLY = re.compile(r"""^\s*([“”„‟«»‘’‚‛])|[=\[{,.]\s*([“”„‟«»‘’‚‛])|"[^"]*([“”„‟«»])\s*(?=$|[,\]}#])""")


def parse(path: str, raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of a TOML file, and "PATH:LINE:COLUMN" for each dotted name in it. Raises ConfigError."""
    import tomllib

    if len(raw) > BYTES_MAX:
        raise ConfigError("is too long", where=path, allowed=f"at most {BYTES_MAX} bytes")
    text, _ = _decode(path, raw)
    try:
        _refuse_monsters(path, text)
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _explained(path, text, str(error)) from None
    except (ValueError, RecursionError):  # tomllib lets these through: a number of thousands of digits
        long = re.search(r"[0-9_]{1000,}", text)
        where = _place(path, text, long.start()) if long else path
        raise ConfigError("holds a number that is too long", where=where, hint=_GRAMMAR) from None
    return tables, {name: f"{path}:{line}:{column}" for name, (line, column) in _positions(text).items()}


def note(path: str, raw: bytes) -> ConfigError | None:
    """What a person should know of a file's encoding though it can be read; None where there is nothing."""
    try:
        _, encoding = _decode(path, raw)
    except ConfigError:
        return None
    if encoding != "cp1252":
        return None
    return ConfigError("is neither UTF-8 nor UTF-16 text and was taken for Windows-1252", where=path,
                       hint="look whether letters such as ä are right, or save the file as UTF-8")


def text_of(raw: bytes) -> str:
    """The file's text as far as it can be made out, for a look at a file that can't be parsed. Raises nothing."""
    try:
        return _decode("", raw[:BYTES_MAX])[0]
    except ConfigError:
        return raw.replace(b"\0", b"").decode("latin-1").replace("\r", "\n")


def suggestion(name: str, names: Iterable[str]) -> str:
    """A "did you mean" for a name that is not in `names`."""
    from difflib import get_close_matches

    known = list(names)
    heads = sorted({one.partition(".")[0] for one in known if "." in one})
    if name in heads:
        return f"{name} is a heading: write [{name}] and its settings below"
    same_end = [one for one in known if one.rpartition(".")[2] == name.rpartition(".")[2]]
    close = get_close_matches(name, known, 2, 0.6) or get_close_matches(name, heads, 1, 0.6) or same_end[:3]
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "known: " + ", ".join(heads or known)


def _decode(path: str, raw: bytes) -> tuple[str, str]:
    """(text with plain line ends, its encoding): as its mark or its NULs say, else UTF-8, else Windows-1252."""
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "") or _by_nulls(raw) or "utf-8"
    try:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            if encoding != "utf-8" or b"\0" in raw:
                raise
            encoding = "cp1252"
            text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[:error.start].count(b"\n") + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        name = "" if encoding == "cp1252" else f"{encoding.removesuffix('-sig').upper()} "
        raise ConfigError(f"is not {name}text", where=f"{path}:{line}:{column}",
                          hint="save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _by_nulls(raw: bytes) -> str:
    """UTF-16 without a mark: of its ASCII letters every other byte is NUL, and UTF-8 text has none."""
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    if odd > 10 * even:
        return "utf-16-le"
    return "utf-16-be" if even > 10 * odd else ""


def _refuse_monsters(path: str, text: str) -> None:
    """Raise ConfigError for names and nestings on which a parser spends memory without end; no setting is like that.

    It goes as far as a parser would: where a text has no end, the parser says so.
    """
    at, start, dots, nested, heading = 0, 0, 0, 0, False
    while piece := _PIECE.search(text, at):
        kind, at = piece.group(), piece.end()
        if kind in _ENDS:
            end = _ENDS[kind].match(text, at)
            if end is None:
                return
            at = end.end()
            continue
        if kind == ".":
            dots += 1
            if dots >= NAME_PARTS_MAX:
                raise ConfigError("holds a name of too many parts", where=_place(path, text, start),
                                  allowed=f"at most {NAME_PARTS_MAX}", hint=_GRAMMAR)
            continue
        if (kind == "=" or (kind == "]" and heading)) and piece.start() - start > NAME_CHARS_MAX:
            raise ConfigError("holds a name that is too long", where=_place(path, text, start),
                              allowed=f"at most {NAME_CHARS_MAX} characters", hint=_GRAMMAR)
        if kind in "[{":
            heading = kind == "[" and not text[text.rfind("\n", 0, piece.start()) + 1:piece.start()].strip(" \t[")
            nested += 1
            if nested > NESTED_MAX:
                raise ConfigError("is nested too deep", where=_place(path, text, piece.start()), hint=_GRAMMAR)
        elif kind in "]}":
            nested = max(0, nested - 1)
        start, dots = at, 0


def _explained(path: str, text: str, said: str) -> ConfigError:
    """What tomllib said, with its place; and the mistakes that people make most in words of their own."""
    message, at, place = said.partition(" (at ")
    lines = text.split("\n")
    line, column = len(text.splitlines()) or 1, 0  # where tomllib says "end of document"
    if place.startswith("line "):
        line, column = (int(one) for one in place.rstrip(")").replace(",", "").split()[1::2])
    shown = lines[line - 1] if line <= len(lines) else ""
    curly = _CURLY.search(shown)
    if curly:
        which = curly.lastindex or 0
        return ConfigError(f"{curly.group(which)} is a curly quote, as word processors make them",
                           where=f"{path}:{line}:{curly.start(which) + 1}", allowed='straight quotes: "text"',
                           hint="type the quotes anew in a plain editor")
    zero = re.search(r"=\s*[+-]?(0[0-9]+)", shown)
    if zero:
        return ConfigError("a number can't begin with 0", where=f"{path}:{line}:{zero.start(1) + 1}",
                           hint='where these are digits of a name, such as a PIN, put them in "quotes"')
    letter = shown[column - 1:column]
    if letter and not letter.isprintable() and letter != "\t":
        message = f"an invisible character stands here (U+{ord(letter):04X})"
    if message.startswith(("Cannot overwrite", "Cannot declare")):
        message = "this setting or heading stands twice"
    hint = _GRAMMAR
    if "Unescaped" in message or "hex value" in message:
        hint = "write \\\\ for a \\, or put the text between single quotes: '...'"
    return ConfigError(message, where=f"{path}:{line}" + (f":{column}" if column else ""), hint=hint)


def _place(path: str, text: str, index: int) -> str:
    while index < len(text) and text[index] in " \t\n":
        index += 1
    return f"{path}:{text.count(chr(10), 0, index) + 1}:{index - text.rfind(chr(10), 0, index)}"


def _positions(text: str) -> dict[str, tuple[int, int]]:
    """Line and column, from 1, of each heading and each name in TOML text; what can't be found is left out."""
    found: dict[str, tuple[int, int]] = {}
    heading = ""
    inside = ""  # the quotes of a text over several lines, or the bracket of a list
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if inside:
            if inside in line:
                inside = ""
            continue
        column = len(line) - len(line.lstrip()) + 1
        if stripped.startswith("["):
            heading = _dotted(stripped.lstrip("[").partition("]")[0])[:NAME_CHARS_MAX]
            found.setdefault(heading, (number, column))
        elif "=" in stripped and not stripped.startswith("#"):
            name, _, value = stripped.partition("=")
            name = name[:NAME_CHARS_MAX]
            full = _dotted(f"{heading}.{name}" if heading else name)
            found.setdefault(full, (number, column))
            parts = full.split(".")
            for depth in range(1, len(parts)):
                found.setdefault(".".join(parts[:depth]), (number, column))
            for quotes in ('"""', "'''"):
                if value.count(quotes) == 1:
                    inside = quotes
            if value.strip().startswith("[") and "]" not in value:
                inside = "]"
    return found


def _dotted(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
