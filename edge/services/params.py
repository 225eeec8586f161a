"""Kinds of parameters for the built-in capabilities: what each may be, and the words for what is wrong with it.

Every check gives the value to use or raises ValueError; edge/services/service.py makes the error of it.
"""

from __future__ import annotations

from edge.core import limits
from edge.services.service import REQUIRED, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME_BYTES_MAX = 64
SEARCH_BYTES_MAX = 256
KEY_BYTES = 32


def whole(name: str, low: int, high: int, about: str, default: Any = REQUIRED) -> Field:
    """A whole number low..high."""

    def check(value: Any) -> int:
        if type(value) is not int:
            raise ValueError(f"must be a whole number, not {_kind(value)}")
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range")
        return value

    return Field(name, f"{low}..{high}", check, about, default)


def text(name: str, bytes_max: int, about: str, default: Any = REQUIRED, *, lines: bool = False) -> Field:
    """Text of 1..bytes_max bytes of UTF-8 that is not all space; control characters only as ends of lines and tabs."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be text, not {_kind(value)}")
        said = value.replace("\r\n", "\n") if lines else value
        for at, one in enumerate(said):
            if _is_control(one) and not (lines and one in "\n\t"):
                raise ValueError(f"holds the control character U+{ord(one):04X} at place {at + 1}")
        try:
            size = len(said.encode())
        except UnicodeEncodeError:
            raise ValueError("is not Unicode text") from None
        if not said.strip():
            raise ValueError("is empty")
        if size > bytes_max:
            raise ValueError(f"takes {size} bytes")
        return said

    kind = "with lines and tabs" if lines else "on one line"
    return Field(name, f"text of 1..{bytes_max} bytes in UTF-8, {kind}", check, about, default)


def blob(name: str, bytes_max: int, about: str, default: Any = REQUIRED) -> Field:
    """Bytes; hex where the caller can't carry bytes."""

    def check(value: Any) -> bytes:
        if isinstance(value, str):
            try:
                value = bytes.fromhex(value)
            except ValueError:
                raise ValueError("is not hex") from None
        if not isinstance(value, bytes):
            raise ValueError(f"must be bytes, not {_kind(value)}")
        if not 0 < len(value) <= bytes_max:
            raise ValueError(f"has {len(value)} bytes")
        return value

    return Field(name, f"1..{bytes_max} bytes", check, about, default)


def choice(name: str, words: tuple[str, ...], about: str) -> Field:
    """One of some words; the first is the default."""

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{value!r:.40} is not one of them")
        return str(value)

    return Field(name, " or ".join(words), check, about, words[0])


def node(name: str, about: str, default: Any = REQUIRED) -> Field:
    """A node as people name it; edge/services/who.py finds its key."""
    field = text(name, NAME_BYTES_MAX, about, default)
    inner = field.check

    def check(value: Any) -> Any:
        if isinstance(value, bytes):
            if len(value) != KEY_BYTES:
                raise ValueError(f"has {len(value)} bytes")
            return value.hex()
        return inner(value)

    field.check = check
    field.allowed = "a node's key (64 hex digits), the beginning of one (8 or more), or the name of a neighbour"
    return field


def page(most: int = 1000, default: int = 100) -> tuple[Field, Field]:
    """How much of a list, and where to go on."""
    return (
        whole("limit", 1, most, "at most so many, the newest first", default),
        whole("before_hlc", 1, 2**48 - 1, "go on behind the row with this `hlc`", None),
    )


def notice_text() -> Field:
    """What somebody has to say."""
    return text("text", limits.TEXT_BYTES_MAX, "what to say", lines=True)


def ttl(default_s: int) -> Field:
    """How long it is kept."""
    return whole("ttl_s", 1, limits.TTL_S_MAX, "seconds until it expires", default_s)


def _is_control(one: str) -> bool:
    return one < " " or "\x7f" <= one <= "\x9f" or one in "\u2028\u2029"


def _kind(value: Any) -> str:
    return {bool: "true or false", int: "a number", float: "a fraction", str: "text", bytes: "bytes", list: "a list",
            dict: "a map"}.get(type(value), "that")
