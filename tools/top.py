"""`waypost top`: the node at a glance, redrawn every few seconds.

Plain ANSI, no curses: it works on a serial line. It asks `node.status`, `radio.status`, `peers.list` and
`trace.recent`, shows rates as the difference of two counters, and keeps trying when the node goes away, as it does when
it restarts.
"""

from __future__ import annotations

import shutil
import sys
import time

from edge.errors import NotRunning, WaypostError
from tools import cli_show as show
from tools import radio_view
from tools.cli_view import peer_table, status_lines, trace_line
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_HOME_AND_CLEAR = "\x1b[H\x1b[J"
RATES_MAX = 8
EVENTS_MAX = 8
WAITING_MAX = 8


def run(args: argparse.Namespace) -> int:
    """waypost top"""
    last: dict[str, Any] | None = None
    while True:
        try:
            now = look(args.dir)
        except WaypostError as error:
            if last is None or args.once:
                raise
            text = f"{error}" if isinstance(error, NotRunning) else f"no answer: {error}"
        else:
            if args.json:
                show.print_json(now | {"rates": rates(last, now)})
            text = view(last, now)
            last = now
        if not args.json:
            if sys.stdout.isatty() and not args.once:
                columns, lines = shutil.get_terminal_size()
                text = _HOME_AND_CLEAR + "\n".join(line[:columns] for line in text.split("\n")[:lines - 1])
            print(text, flush=True)
        if args.once:
            return 0
        time.sleep(args.every)


def look(directory: str) -> dict[str, Any]:
    """One look at the node: {"status", "radios", "peers", "trace", "at_ms"}."""
    with Client(directory) as client:
        status = client.call("node.status@1")
        has_radio = any("queue.0" in link for link in status.get("links", {}).values())
        return {
            "at_ms": time.monotonic_ns() // 1000000,
            "status": status | {"emergency": client.call("emergency.status@1")},
            "radios": client.call("radio.status@1") if has_radio else [],
            "peers": client.call("peers.list@1") or [],
            "trace": client.call("trace.recent@1", {"limit": EVENTS_MAX}) or [],
        }


def rates(last: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, int]:
    """Counters that rose since the last look, in events per minute, the busiest first."""
    if last is None or now["at_ms"] <= last["at_ms"]:
        return {}
    before = last["status"].get("counters", {})
    span_ms = now["at_ms"] - last["at_ms"]
    rose = {name: (count - before.get(name, 0)) * 60000 // span_ms
            for name, count in now["status"].get("counters", {}).items() if count > before.get(name, 0)}
    return dict(sorted(rose.items(), key=lambda item: -item[1])[:RATES_MAX])


def view(last: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """The page of text."""
    lines = status_lines(now["status"] | {"peers": len(now["peers"])})
    if now["peers"]:
        lines += ["", peer_table(now["peers"])]
    for row in now["radios"]:
        waiting = [one for one in row["waiting"] if one["state"] in radio_view.WAITING_STATES][:WAITING_MAX]
        if waiting:
            lines += ["", f"waiting for {row['link']}:", radio_view.waiting(waiting)]
    busy = rates(last, now)
    if busy:
        lines += ["", "per minute: " + ", ".join(f"{name} {count}" for name, count in busy.items())]
    counters = now["status"].get("counters", {})
    drops = {name[5:]: count for name, count in counters.items() if name.startswith("drop.")}
    if drops:
        lines += ["", "dropped: " + ", ".join(f"{name} {count}" for name, count in sorted(drops.items()))]
    if now["trace"]:
        lines += ["", *[trace_line(row) for row in now["trace"]]]
    return "\n".join(lines)
