"""TOML files as people write them: any editor's encoding and line ends, and the place of every name.

It decides what text a file holds and where in it each name stands, so that an error can say file, line and column; the
grammar is tomllib's. It knows no setting: edge/config.py and boards/loader.py do.
"""

from __future__ import annotations

from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

BYTES_MAX = 262144
_GRAMMAR = 'a setting is a line NAME = VALUE under its [heading]; text stands in "quotes"'


def parse(path: str, raw: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of a TOML file, and "PATH:LINE:COLUMN" for each dotted name in it. Raises ConfigError."""
    import tomllib

    if len(raw) > BYTES_MAX:
        raise ConfigError("is too long", where=path, allowed=f"at most {BYTES_MAX} bytes")
    try:
        text = _decode(raw)
    except ConfigError as error:
        line, column = error.where.split()[1::2]
        raise ConfigError(error.message, where=f"{path}:{line}:{column}", hint=error.hint) from None
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message, at, place = str(error).partition(" (at ")
        where = path
        if at and place.startswith("line "):
            line, column = place.rstrip(")").replace(",", "").split()[1::2]
            where = f"{path}:{line}:{column}"
        elif at:
            where = f"{path}:{len(text.splitlines()) or 1}"
        raise ConfigError(message or "is nested too deep", where=where, hint=_GRAMMAR) from None
    return tables, {name: f"{path}:{line}:{column}" for name, (line, column) in _positions(text).items()}


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


def _decode(raw: bytes) -> str:
    """File bytes as text: UTF-8 with or without its mark, or UTF-16 with one, any line ends. Raises ConfigError."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding, name = "utf-16", "UTF-16"
    else:
        encoding, name = "utf-8-sig", "UTF-8"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[:error.start].count(b"\n") + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError(f"is not {name} text", where=f"line {line} column {column}",
                          hint="save the file as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
            heading = _dotted(stripped.lstrip("[").partition("]")[0])
            found.setdefault(heading, (number, column))
        elif "=" in stripped and not stripped.startswith("#"):
            name, _, value = stripped.partition("=")
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
