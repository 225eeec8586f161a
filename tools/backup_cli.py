"""waypost backup: a copy of the database while the node runs, and the way back.

The copy is made by this process on its own read connection, so that the node's commits don't wait for it. A backup
holds everything but the identity key, which is a file of its own and is never copied by this command.
"""

from __future__ import annotations

import os

from edge.store import backup
from tools.cli_show import print_json, size
from tools.courier_cli import DATABASE_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup`."""
    parser.add_argument("file", metavar="FILE", help="the new file to write; with --restore the backup to put back")
    parser.add_argument("--restore", action="store_true",
                        help="put FILE in the place of the database; the node must not run; the old one is moved aside")


def run(args: argparse.Namespace) -> int:
    """waypost backup FILE"""
    path = os.path.join(args.dir, DATABASE_NAME)
    if args.restore:
        aside = backup.restore(path, args.file)
        if args.json:
            print_json({"database": path, "aside": aside})
        else:
            print(f"restored {path}" + (f"; the old one is {aside}" if aside else ""))
        return 0
    facts = backup.backup(path, args.file)
    if args.json:
        print_json({"file": args.file, **facts})
    else:
        print(f"{facts['messages']} messages, {size(facts['bytes'])} in {args.file}; the identity key is not in it")
    return 0
