"""What commands print: JSON for programs, short lines for people.

Whatever came from another node is made harmless first: a terminal must not obey what a stranger wrote. Nothing here
talks to the node.
"""

from __future__ import annotations

import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from tools.doctor_host import Finding

LANES = ("alert", "direct", "community", "bulk")
QUALITIES = ("unknown", "last seen", "from peers", "its own clock", "synchronised")


def plain(value: Any) -> Any:
    """A value as JSON can carry it: bytes become lower-case hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def print_json(value: Any) -> None:
    """One line of JSON."""
    print(json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")).translate(_LONE), flush=True)


def clean(text: object, multiline: bool = False) -> str:
    """Text of a stranger for a terminal: control and bidirectional override characters become visible dots."""
    kept = "\n" if multiline else ""
    return "".join(one if one.isprintable() or one in kept else " " if one.isspace() else "\u00b7" for one in str(text))


def findings(found: Sequence[Finding]) -> None:
    """What was looked at (tools/doctor_host.py), one line each, and below it what to do."""
    for one in found:
        state = one.state.upper() if one.state == "broken" else one.state
        print(f"{state:<6}  {one.check:<10}  {clean(one.text)}")
        if one.fix:
            print(f"{'':20}-> {clean(one.fix)}")


def ago(ms: int) -> str:
    """A span in words of at most four characters or so: "12 s", "5 min", "3 h", "2 d"."""
    for unit_ms, unit in ((86400000, "d"), (3600000, "h"), (60000, "min")):
        if ms >= unit_ms:
            return f"{ms // unit_ms} {unit}"
    return f"{max(0, ms) // 1000} s"


def when(time_ms: int) -> str:
    """A moment in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))


def size(n_bytes: int) -> str:
    """A number of bytes in words."""
    for unit_bytes, unit in ((10**9, "GB"), (10**6, "MB"), (1000, "kB")):
        if n_bytes >= unit_bytes:
            return f"{n_bytes / unit_bytes:.1f} {unit}"
    return f"{n_bytes} bytes"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under a head, columns aligned, the last one as it is."""
    cells = [list(head), *[[clean(one) for one in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head) - 1)] + [0]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in cells)


_LONE = {code: None for code in range(0xD800, 0xE000)}  # half a character can't be printed
