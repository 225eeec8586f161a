"""`waypost update`: puts a new system on a box that runs the image, and says how the last one fared.

`check FILE` works everywhere; the others need the image, and `apply` and `check` root (the console has it). The work is
in tools/box.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys

from edge import config
from edge.errors import WaypostError
from tools import cli_show as show
from tools.box import bootfs, install, stick, systems, trial
from tools.box.bundle import Bundle
from tools.box.slots import NONE, Slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

MACHINE = "aarch64"  # the image's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost update`."""
    from tools.cli_args import Parser

    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=Parser)
    apply = verbs.add_parser("apply", help="install a bundle and restart into it on trial", allow_abbrev=False)
    apply.add_argument("file", metavar="FILE", nargs="?", default=None,
                       help="the bundle (default: the one on a USB stick)")
    apply.add_argument("--older", action="store_true", help="take it also when it is older than what runs")
    apply.add_argument("--no-restart", action="store_true", help="leave the restart to the next time")
    check = verbs.add_parser("check", help="say what a bundle is and who signed it; or whether the systems on this "
                             "card are sound", allow_abbrev=False)
    check.add_argument("file", metavar="FILE", nargs="?", default=None,
                       help="the bundle (without it: the two systems on the card of this box)")
    check.add_argument("--key", action="append", default=[], metavar="KEY", help="a key that may sign, 64 hex digits")
    verbs.add_parser("status", help="which system runs, and how the last update fared", allow_abbrev=False)


def run(args: argparse.Namespace) -> int:
    """waypost update VERB"""
    if args.verb == "status":
        return _status(args)
    more = config.load(args.dir, args.overrides)[0]["update.keys"]
    if args.verb == "check":
        wrong = [one for one in args.key if len(one) != 64 or any(c not in "0123456789abcdef" for c in one)]
        if wrong:
            raise WaypostError(f"{wrong[0]} is no key", where="--key", allowed="64 hex digits")
        if args.file is None:
            return _check_card(args)
        return _check(args, install.trusted_keys([*more, *args.key]))
    return _apply(args, install.trusted_keys(more))


def _check(args: argparse.Namespace, keys: list[bytes]) -> int:
    bundle = Bundle(args.file, keys, MACHINE)
    bundle.verify()
    size = sum(one[1] for one in bundle.files)
    if args.json:
        show.print_json({"version": bundle.version, "serial": bundle.serial, "signer": bundle.signer, "bytes": size})
    else:
        print(f"{bundle.version}, {show.size(size)}, whole, signed by {bundle.signer.hex()}")
    return 0


def _check_card(args: argparse.Namespace) -> int:
    facts = bootfs.facts()
    found = {}
    with bootfs.mounted(False) as folder:
        for slot in "ab":
            place = os.path.join(folder, f"slot-{slot}")
            found[slot] = systems.examine(place, install.partition(facts, slot))
    if args.json:
        show.print_json({slot: {"version": version, "wrong": wrong, "runs": slot == facts["slot"]}
                         for slot, (version, wrong) in found.items()})
    else:
        for slot, (version, wrong) in found.items():
            runs = ", runs" if slot == facts["slot"] else ""
            print(f"slot {slot}   {version or 'empty'}{runs}{', sound' if version and not wrong else ''}")
            if wrong:
                print(f"         BROKEN {wrong}; the card may be worn\n         -> " + (
                    "update apply writes this slot anew" if not runs else "put in a new card with the image"))
    return 1 if any(wrong for _, wrong in found.values()) else 0


def _apply(args: argparse.Namespace, keys: list[bytes]) -> int:
    facts = bootfs.facts()
    if os.geteuid():
        raise install.UpdateError("only root may update the box", hint="use the console on the serial line")
    with contextlib.nullcontext(args.file) if args.file else _on_a_stick(keys) as path:
        bundle = Bundle(path, keys, MACHINE)
        if bundle.serial < _running() and not args.older:
            raise install.UpdateError(f"{bundle.version} is older than what runs", where=path,
                                      hint="--older takes it all the same")
        trial.forget()
        slot = install.install(bundle, facts, _progress(args))
    if args.json:
        show.print_json({"version": bundle.version, "slot": slot, "restart": not args.no_restart})
    else:
        print(f"{bundle.version} is in slot {slot}. " + (
            "It is tried at the next restart." if args.no_restart else "Restarting into it, on trial."), flush=True)
    if not args.no_restart:
        sys.stdout.flush()
        subprocess.run(["systemctl", "reboot"], check=False)
    return 0


def _progress(args: argparse.Namespace) -> Callable[[str, int, int], None]:
    shown: dict[str, int] = {}

    def progress(what: str, done: int, size: int) -> None:
        percent = done * 100 // size
        if not args.json and percent // 10 > shown.get(what, -1):
            shown[what] = percent // 10
            print(f"{what} {percent} %", flush=True)

    return progress


def _status(args: argparse.Namespace) -> int:
    facts = bootfs.facts()
    said = {"version": _version(), "slot": facts["slot"], "trial": facts.get("trial") == "yes"}
    if os.geteuid() == 0:
        with bootfs.mounted(False) as folder:
            slots = Slots(folder)
            said |= {"next": slots.letter, "waiting": slots.trial != NONE, "trial": slots.running == facts["slot"],
                     "failed": None if slots.failed == NONE else slots.failed}
        if said["failed"]:
            said["reason"] = trial.reason()
    if args.json:
        show.print_json(said)
        return 0
    print(f"version  {said['version']}\nslot     {said['slot']}" + (", on trial" if said["trial"] else ""))
    if said.get("waiting"):
        print("update   waits for a restart")
    if said.get("failed"):
        print(f"update   the system in slot {said['failed']} failed its trial or was lost; this one is back"
              + (f":\n         {said['reason']}" if said["reason"] else ""))
    return 0


def _version() -> str:
    try:
        with open(install.VERSION_FILE, encoding="ascii") as file:
            return file.read().split()[0]
    except (OSError, IndexError):
        return "unknown"


def _running() -> int:
    """The serial of the system that runs; 0 where it can't be told."""
    try:
        with open(install.VERSION_FILE, encoding="ascii") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0


@contextlib.contextmanager
def _on_a_stick(keys: list[bytes]) -> Iterator[str]:
    """The newest bundle on a USB stick, which is mounted while the block lasts. Raises BoxError."""
    with stick.files("*.update") as found:
        yield newest(found, keys)


def newest(paths: list[str], keys: list[bytes]) -> str:
    """The bundle with the largest serial that this box can use; where there is none, the last by the numbers in its
    name, so that what is wrong with it is said."""
    def rank(path: str) -> tuple[int, list[int], str]:
        numbers = [int(one) for one in re.findall(r"\d{1,18}", os.path.basename(path))]
        try:
            return Bundle(path, keys, MACHINE).serial, numbers, path
        except (WaypostError, OSError):
            return -1, numbers, path

    return max(paths, key=rank)
