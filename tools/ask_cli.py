"""`waypost ask`: a question to the running node, answered as it comes: passages first, then a model's words.

Ctrl-C ends the answer here and in the model. With --json each item is a line, as `ask@1` gives it.
"""

from __future__ import annotations

import sys

from tools import cli_show as show
from tools import cli_view as view
from tools.cli_args import whole
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

DEADLINE_MS = 600000
NO_MATCH = "The library has no good match for that."
SERVED = {"here": "this node", "neighbour": "the neighbour", "hub": "the hub", "paid": "the paid service"}
STATES = {"queued": "waiting for the model", "loading": "loading the model", "reading": "the model reads"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost ask`."""
    parser.add_argument("words", metavar="QUESTION", nargs="+", help="what you want to know")
    parser.add_argument("--library", action="store_true", help="passages only: ask no model")
    parser.add_argument("--limit", type=whole(1, 10), default=3, metavar="N",
                        help="at most so many passages (default 3)")


def run(args: argparse.Namespace) -> int:
    """waypost ask QUESTION"""
    params = {"question": " ".join(args.words), "limit": args.limit, "by": "library" if args.library else "auto"}
    said, state = False, ""
    with Client(args.dir) as client:
        for item in client.stream("ask@1", params, deadline_ms=DEADLINE_MS):
            if args.json:
                show.print_json(item)
            elif "passages" in item:
                _passages(item)
            elif "text" in item:
                sys.stdout.write(show.clean(item["text"], multiline=True))
                sys.stdout.flush()
                said = True
            elif item.get("state", state) != state:
                state = item["state"]
                print(f"waypost: {STATES.get(item['state'], show.clean(item['state']))} ...", file=sys.stderr)
            elif "end" in item:
                _end(item["end"], said)
    return 0


def _passages(item: dict[str, Any]) -> None:
    if not item["good"]:
        print(NO_MATCH + (" The nearest:" if item["passages"] else "") + "\n")
    for number, row in enumerate(item["passages"], 1):
        print(view.passage(row, number) + "\n")


def _end(end: dict[str, Any], said: bool) -> None:
    for one in end["skipped"]:
        who = show.clean(one["name"]) or SERVED.get(one["by"], one["by"])
        print(f"waypost: {who} did not serve: {show.clean(one['why'])}", file=sys.stderr)
    if not said:
        return
    name = f" {show.clean(end['name'])}" if end["by"] not in ("here", "paid") else ""
    who = SERVED.get(end["by"], end["by"]) + name
    cites = ", ".join(f"[{number}]" for number in end["cites"])
    by = f"from {cites}" if cites else "and names no passage: go by the passages above"
    print(f"\n\n({who}, {show.clean(end['model']) or 'its model'}, {end['ms'] / 1000:.1f} s, {by})")
