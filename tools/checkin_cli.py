"""waypost checkin: safe, help, list; and who of a roll has not answered.

The roll is the coordinator's own list of names, one a line, in a file on this machine: it is compared here and never
goes to a node or over a link. What people say is for everybody of the community to read.
"""

from __future__ import annotations

import os

from edge.core import words
from edge.errors import BadRequest
from tools import cli_show as show
from tools.alert_view import person_lines
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

ROLL_NAME = "roll.txt"
ROLL_BYTES_MAX = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `waypost checkin`."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=type(parser))
    for name, text in (("safe", "say that a person is safe"), ("help", "say that a person needs help")):
        said = verbs.add_parser(name, help=text + "; everybody of the community can read it", allow_abbrev=False)
        said.add_argument("name", metavar="NAME", help="who")
        said.add_argument("--note", default=None, metavar="TEXT", help="what else to say")
        said.add_argument("--where", default=None, metavar="PLACE", help="where the person is (default: this place)")
    listed = verbs.add_parser("list", help="everybody who has checked in, those who need help first",
                              allow_abbrev=False)
    listed.add_argument("--state", choices=("all", "safe", "help"), default="all", help="all (default), safe or help")
    listed.add_argument("--missing", action="store_true", help="who of the roll has not answered instead")
    listed.add_argument("--roll", default=None, metavar="FILE",
                        help=f"the roll: a name a line, # begins a remark (default: {ROLL_NAME} in the directory)")


def run(args: argparse.Namespace) -> int:
    """waypost checkin safe | help | list"""
    if args.verb == "list":
        return _list(args)
    params = {"name": args.name, "state": args.verb, "note": args.note, "where": args.where}
    with Client(args.dir) as client:
        made = client.call("checkin.post@1", params)
    if args.json:
        show.print_json(made)
    else:
        print(f"said as {made['id']}")
    return 0


def _list(args: argparse.Namespace) -> int:
    roll = _roll(args) if args.missing or args.roll else []
    with Client(args.dir) as client:
        rows = client.call("checkin.list@1", {"limit": 5000}, deadline_ms=30000) or []
        now_ms = client.call("node.status@1")["time_ms"]
    answered = {words.plain(one["name"]) for row in rows for one in row["said"]}
    missing = [name for name in roll if words.plain(name) not in answered]
    if args.missing:
        return _tell_missing(args, missing, len(roll))
    rows = [row for row in rows if args.state in ("all", row["state"])]
    if args.json:
        show.print_json(rows)
        return 0
    for row in rows:
        print("\n".join(person_lines(row, now_ms)))
    help_count = sum(row["state"] == "help" for row in rows)
    if not rows:
        print("nobody has checked in")
    else:
        print(f"\n{len(rows)} checked in, {help_count} of them need help"
              + (f"; {len(missing)} of {len(roll)} on the roll have not answered" if roll else ""))
    return 0


def _tell_missing(args: argparse.Namespace, missing: list[str], total: int) -> int:
    if args.json:
        show.print_json({"missing": missing, "roll": total})
        return 0
    for name in missing:
        print(show.clean(name))
    print(f"{len(missing)} of {total} on the roll have not answered" if missing else f"all {total} have answered")
    return 0


def _roll(args: argparse.Namespace) -> list[str]:
    """The names of the roll, each once."""
    path = args.roll or os.path.join(args.dir, ROLL_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(ROLL_BYTES_MAX + 1)
    except OSError as error:
        raise BadRequest(f"the roll can't be read: {error.strerror}", where=path,
                         hint="write the names into it, one a line, or name another file with --roll") from None
    except UnicodeDecodeError:
        raise BadRequest("the roll is not text in UTF-8", where=path) from None
    if len(text) > ROLL_BYTES_MAX:
        raise BadRequest("the roll is too long", where=path, allowed=f"{ROLL_BYTES_MAX} letters")
    names: dict[str, Any] = {}
    for line in text.splitlines():
        name = line.partition("#")[0].strip()
        if words.plain(name):
            names.setdefault(words.plain(name), name)
    if not names:
        raise BadRequest("the roll holds no name", where=path, hint="write the names into it, one a line")
    return list(names.values())
