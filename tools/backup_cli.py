"""waypost backup: a copy of the database while the node runs, and the way back; with --identity, of the node's key.

The copy is made by this process on its own read connection, so that the node's commits don't wait for it. A backup of
the database holds everything but the identity key, which is a file of its own and is copied only on request.
What is put back takes the place of what there is, which goes aside, while no node runs.
"""

from __future__ import annotations

import os
import time

from edge import keys
from edge.errors import KeyFileError
from edge.store import backup
from tools import restart_cli
from tools.box import stick
from tools.cli_show import print_json, size
from tools.courier_cli import DATABASE_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup`."""
    parser.add_argument("file", metavar="FILE", nargs="?", default=None,
                        help="the new file to write; with --restore the backup to put back (on a box with the image, a "
                        "name alone, or nothing, is on the USB stick)")
    parser.add_argument("--restore", action="store_true",
                        help="put FILE in the place of the database; the old one is moved aside; a node that was "
                        "started by hand must have ended")
    parser.add_argument("--identity", action="store_true",
                        help="the node's key instead of its database: whoever has that file can speak as this node")


def run(args: argparse.Namespace) -> int:
    """waypost backup [FILE] [--restore] [--identity]"""
    if args.restore:
        return _restore(args)
    with stick.new_file(args.file, name(args.dir, "key" if args.identity else "db")) as target:
        if args.identity:
            _copy_key(args.dir, target)
            facts: dict[str, Any] = {"node": _node(args.dir)}
            said = f"the key of {facts['node'][:16]} is in {target}; keep it where the keys of the hall are"
        else:
            facts = dict(backup.backup(os.path.join(args.dir, DATABASE_NAME), target))
            said = f"{facts['messages']} messages, {size(facts['bytes'])} in {target}; the identity key is not in it"
    if args.json:
        print_json({"file": target, **facts})
    else:
        print(said)
    return 0


def name(directory: str, end: str) -> str:
    """What a file for a stick is called: the node's key, the day, what it is."""
    try:
        node = _node(directory)[:8]
    except KeyFileError:
        node = "node"
    return f"waypost-{node}-{time.strftime('%Y-%m-%d')}.{end}"


def _restore(args: argparse.Namespace) -> int:
    place = os.path.join(args.dir, keys.FILE_NAME if args.identity else DATABASE_NAME)
    with stick.old_file(args.file, "*.key" if args.identity else "*.db") as source:
        if args.identity:
            seed = _seed(source)
        else:
            backup.check_file(source)
        os.makedirs(args.dir, mode=0o700, exist_ok=True)
        with restart_cli.paused(args.dir):
            aside = _put_key(place, seed) if args.identity else backup.restore(place, source)
    if args.json:
        print_json({"key" if args.identity else "database": place, "aside": aside})
    else:
        print(f"restored {place}" + (f"; the old one is {aside}" if aside else ""))
    return 0


def _node(directory: str) -> str:
    from edge.compat import crypto

    return bytes(crypto.public_key(keys.load(directory))).hex()


def _copy_key(directory: str, target: str) -> None:
    seed = keys.load(directory)
    try:
        keys.write(target, seed, has_modes=False)
    except OSError as error:
        raise KeyFileError(f"can't be written: {error.strerror}", where=target,
                           hint="choose another name; a key file is never overwritten") from None


def _seed(source: str) -> bytes:
    """The seed in a copy of a key file, whose mode a stick can't keep. Raises KeyFileError."""
    try:
        with open(source, encoding="ascii") as file:
            text = file.read(4096).strip()
        seed = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise KeyFileError(f"is no copy of a node's key: {said}", where=source,
                           allowed=f"{2 * keys.SEED_BYTES} hex digits") from None
    if len(seed) != keys.SEED_BYTES:
        raise KeyFileError(f"holds {len(text)} characters", where=source, allowed=f"{2 * keys.SEED_BYTES} hex digits")
    return seed


def _put_key(place: str, seed: bytes) -> str:
    aside, n = "", 1
    if os.path.lexists(place):
        while os.path.lexists(f"{place}.replaced-{n}"):
            n += 1
        aside = f"{place}.replaced-{n}"
    temporary = place + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    keys.write(temporary, seed)
    if aside:
        os.link(place, aside, follow_symlinks=False)
    os.replace(temporary, place)
    return aside
