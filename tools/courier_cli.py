"""waypost export and waypost import: messages to and from a courier file, for a stick that somebody carries.

Export reads the database by itself, whether the node runs or not. Import hands frame after frame to the running node,
which verifies every message; the file itself is trusted in nothing, and a torn one is good up to where it is torn.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time

from edge.errors import CourierError, StoreError
from edge.store import boot, courier, files, schema
from edge.store.faults import store_error
from tools.box import stick
from tools.cli_show import LANES, print_json, size

DATABASE_NAME = "waypost.db"
IMPORT_MS_MAX = 60000  # for one frame, on a slow card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export` and of `import`: the parser's name says which."""
    if parser.prog.endswith("import"):
        parser.add_argument("file", metavar="FILE", nargs="?", default=None,
                            help="the courier file; - reads standard input (on a box with the image, a name alone, or "
                            "nothing, is on the USB stick)")
        return
    parser.add_argument("file", metavar="FILE", nargs="?", default=None,
                        help="the courier file to write; one that exists is replaced; - writes to standard output (on "
                        "a box with the image, a name alone, or nothing, is on the USB stick)")
    parser.add_argument("--lane", type=int, choices=range(len(LANES)), action="append", metavar="LANE",
                        help="0 alerts, 1 direct, 2 community, 3 bulk; may be given several times (default: all)")
    parser.add_argument("--since", type=_age_s, default=None, metavar="AGE",
                        help="messages of the last 90m, 12h or 7d only (default: all that have not expired)")


def export(args: argparse.Namespace) -> int:
    """waypost export [FILE]"""
    with stick.new_file(args.file, f"waypost-{time.strftime('%Y-%m-%d')}.courier") as path:
        args.file = path
        return _export(args)


def take_in(args: argparse.Namespace) -> int:
    """waypost import [FILE]"""
    with stick.old_file(args.file, "*.courier") as path:
        args.file = path
        return _take_in(args)


def _export(args: argparse.Namespace) -> int:
    path = os.path.join(args.dir, DATABASE_NAME)
    if not os.path.exists(path):
        raise StoreError("there is no database", where=path, hint="choose the node's directory with --dir")
    now_s = int(time.time())
    since_s = 0 if args.since is None else max(0, now_s - args.since)
    lanes = sorted(set(args.lane or range(len(LANES))))
    try:
        db = files.connect(path, "ro")
        try:
            schema.check_version(db, path)
            found = courier.select(db, lanes, since_s, now_s)
            if args.file == "-":
                courier.pour(sys.stdout.buffer, boot.own_key(db), now_s, found)
                return 0
            count, n_bytes = courier.write(args.file, boot.own_key(db), now_s, found)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    if args.json:
        print_json({"file": args.file, "messages": count, "bytes": n_bytes})
    else:
        print(f"{count} messages, {size(n_bytes)} in {args.file}")
    return 0


def _take_in(args: argparse.Namespace) -> int:
    from tools.client import Client

    total = {"new": 0, "known": 0}
    refused: dict[str, int] = {}
    try:
        file = sys.stdin.buffer if args.file == "-" else open(args.file, "rb")  # noqa: SIM115
    except OSError as error:
        raise CourierError(f"can't be read: {error.strerror}", where=args.file,
                                   hint="name a file that `waypost export` has written") from error
    try:
        with file, Client(args.dir) as client:
            reader = courier.Reader(file, args.file)
            for frame in reader.frames():
                answer = client.call("messages.import@1", {"frame": frame}, deadline_ms=IMPORT_MS_MAX)
                for key in total:
                    total[key] += answer[key]
                for reason, n in answer["refused"].items():
                    refused[reason] = refused.get(reason, 0) + n
    except CourierError as error:
        error.so_far = {"file": args.file, **total, "refused": refused}  # what came before the fault is in
        if not args.json and (any(total.values()) or refused):
            _show(total, refused)
        raise
    if args.json:
        print_json({"file": args.file, **total, "refused": refused})
    else:
        _show(total, refused)
    return 0


def _show(total: dict[str, int], refused: dict[str, int]) -> None:
    print(f"{total['new']} new, {total['known']} known already")
    for reason, n in sorted(refused.items()):
        print(f"{n} refused: {reason}")


def _age_s(text: str) -> int:
    unit_s = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    if not unit_s or not text[:-1].isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no age; allowed: a whole number and s, m, h or d, such as 12h")
    return int(text[:-1]) * unit_s
