"""`waypost log`: the last lines of the node's log, from the journal where the node runs under systemd.

Elsewhere the node prints its log to standard error and keeps the last lines of it in its trace, which is asked for
them: that works while the node answers. Nothing is written to the card for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from edge.errors import Unavailable
from tools import cli_show as show
from tools.cli_args import whole
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

UNIT = "waypost.service"
FOLLOW_S = 0.5
_TRACE_ROWS = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost log`."""
    parser.add_argument("--limit", type=whole(1, 1000), default=20, metavar="N", help="so many lines (default 20)")
    parser.add_argument("--follow", action="store_true", help="go on printing what comes")


def run(args: argparse.Namespace) -> int:
    """waypost log"""
    lines = _journal(args) if has_journal() else _trace(args)
    if args.json and not args.follow:
        show.print_json(list(lines))
        return 0
    count = 0
    for line in lines:
        count += 1
        if args.json:
            show.print_json(line)
        else:
            print(show.clean(line), flush=True)
    if not count:
        print("the log is empty")
    return 0


def has_journal() -> bool:
    """Whether the node of this machine is a service of systemd."""
    return os.path.isdir("/run/systemd/system") and shutil.which("journalctl") is not None


def _journal(args: argparse.Namespace) -> Iterator[str]:
    command = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", "--unit", UNIT, "--lines", str(args.limit)]
    with subprocess.Popen([*command, *(["--follow"] if args.follow else [])], stdout=subprocess.PIPE, text=True,
                          errors="replace") as process:
        if process.stdout is None:
            raise Unavailable("journalctl gives no output")
        try:
            for line in process.stdout:
                yield line.rstrip("\n")
        finally:
            process.terminate()


def _trace(args: argparse.Namespace) -> Iterator[str]:
    with Client(args.dir) as client:
        after, limit = 0, args.limit
        while True:
            rows = client.call("trace.recent@1", {"limit": _TRACE_ROWS, "after": after}) or []
            for row in [row for row in rows if row["what"] == "log"][-limit:]:
                yield f"{show.when(row['time_ms'])} {row['level']}: {row['text']}"
            if not args.follow:
                return
            after, limit = rows[-1]["n"] if rows else after, _TRACE_ROWS
            time.sleep(FOLLOW_S)
