"""Names and versions of capabilities: "name@major.minor", and which version serves which call.

The rule (docs/CAPABILITIES.md): a call names the least version that it needs; "x@1" means "x@1.0". A provider serves
it when the major number is the same and its minor number is not lower; of several, the highest is taken. So a caller
that knows 1.3 and can live with less asks for "x@1". Nothing here knows who provides what.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Version = tuple[int, int]

NAME_CHARS_MAX = 64
NUMBER_MAX = 999
ALLOWED = '"name@major" or "name@major.minor": small letters, digits, "_" and "." in the name, numbers up to 999'
ALERT_PREFIX = "alert."
BULK_PREFIX = "blob."  # their frames make way for all others

_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")


def parse(capability: object) -> tuple[str, int, int]:
    """(name, major, minor) of "name@major.minor"; without a minor number it is 0. Raises ValueError."""
    if not isinstance(capability, str) or len(capability) > NAME_CHARS_MAX + 8:
        raise ValueError("not the name of a capability")
    name, _, version = capability.partition("@")
    major, dot, minor = version.partition(".")
    if not valid_name(name) or not _is_number(major) or int(major) == 0 or (dot and not _is_number(minor)):
        raise ValueError("not the name of a capability")
    return name, int(major), int(minor or 0)


def valid_name(name: str) -> bool:
    """Whether this is a capability's name, without a version."""
    return 0 < len(name) <= NAME_CHARS_MAX and _CHARS.issuperset(name) and "" not in name.split(".")


def best(offered: Iterable[Version], major: int, minor: int) -> Version | None:
    """The highest of the versions offered that serves a call for major.minor, or None."""
    fitting = [version for version in offered if version[0] == major and version[1] >= minor]
    return max(fitting) if fitting else None


def show(version: Version) -> str:
    """A version as it is written."""
    return f"{version[0]}.{version[1]}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") and int(text) <= NUMBER_MAX
