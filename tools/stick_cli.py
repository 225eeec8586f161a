"""`waypost stick`: on a box with the image, puts what is on a USB stick where other commands find it, and says where.

The stick is mounted for reading only, below /run/media, where the node looks for models as well; `--out` takes it away
again. Elsewhere the system mounts sticks. Nothing is written, and nothing on it is ever run.
"""

from __future__ import annotations

import os

from tools import cli_show as show
from tools.box import stick

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

FILES_MAX = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost stick`."""
    parser.add_argument("--out", action="store_true", help="it is not needed any more and can be pulled out")


def run(args: argparse.Namespace) -> int:
    """waypost stick"""
    if args.out:
        stick.take_out()
        rows = []
    else:
        rows = _files(stick.put_in())
    if args.json:
        show.print_json([{"file": path, "bytes": size} for path, size in rows])
    elif args.out:
        print("the stick can be pulled out")
    else:
        print(show.table(("FILE", "SIZE"), [(path, show.size(size)) for path, size in rows]) if rows else "it is empty")
    return 0


def _files(folder: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for top, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and name != "System Volume Information")
        for name in sorted(files):
            path = os.path.join(top, name)
            if not name.startswith(".") and os.path.isfile(path) and len(found) < FILES_MAX:
                found.append((path, os.path.getsize(path)))
    return found
