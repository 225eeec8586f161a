"""`waypost hardware`: which boards there are, which one this machine is, and whether it has what its file says.

It reads /proc and /sys and changes nothing; it works whether or not the node runs. What it can't see, it says; what is
missing but only optional (a LoRa radio, a button) is a note.
"""

from __future__ import annotations

import os

from boards import loader
from edge import config
from edge.errors import ConfigError
from tools import cli_show as show
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from boards.loader import Board

HEADINGS = ("console", "led", "button", "watchdog", "thermal", "power")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost hardware`."""
    from tools.cli_args import Parser

    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=Parser)
    for verb, text in (("show", "the facts of a board"), ("check", "compare this machine with a board's facts")):
        one = verbs.add_parser(verb, help=text, allow_abbrev=False)
        one.add_argument("board", metavar="BOARD", nargs="?", default=None,
                         help="its name (default: node.board, which is whichever board this machine is)")
    verbs.add_parser("list", help="the boards there are", allow_abbrev=False)


def run(args: argparse.Namespace) -> int:
    """waypost hardware VERB"""
    if args.verb == "list":
        return _list(args.json)
    name = args.board
    if name is None:
        name = config.load(args.dir, args.overrides)[0]["node.board"]
    board = loader.load(name)
    if args.verb == "show":
        return _show(board, args.json)
    found = check(board)
    if args.json:
        show.print_json([one.to_dict() for one in found])
    else:
        show.findings(found)
    return 1 if any(one.state == BROKEN for one in found) else 0


def memory_mb(path: str = "/proc/meminfo") -> int:
    """The memory of this machine that Linux may use, in MB (1,000,000 bytes); 0 when it can't be told."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.readline().split()[1]) * 1024 // 1000000
    except (OSError, ValueError, IndexError):
        return 0


def check(board: Board, root: str = "/") -> list[Finding]:
    """What of the board's facts this machine has. root: where /proc, /sys and /dev are looked for."""
    out = [_identity(board, root), *_memory(board, root)]
    cores = len(os.sched_getaffinity(0))
    if (said := board.tables.get("cores")) and said != cores:
        out.append(Finding("cores", NOTE, f"{cores} can be used; {board.name} has {said}"))
    for heading, key, path in (
        ("console", "device", "{}"), ("watchdog", "device", "{}"), ("led", "name", "sys/class/leds/{}"),
    ):
        facts = board.table(heading)
        if facts:
            out.append(_there(root, heading, path.format(facts[key])))
    if board.table("thermal"):
        out.append(_zone(root, board.table("thermal")["zone"]))
    out += [_radio(root, radio) for radio in board.rows("radio")]
    return out


def _identity(board: Board, root: str) -> Finding:
    found = loader.detect(device_tree=os.path.join(root, "proc/device-tree/compatible"))
    if board.arch and os.uname().machine not in board.arch:
        return Finding("board", BROKEN, f"{board.name} is for {', '.join(board.arch)}; this machine is "
                       f"{os.uname().machine}", 'set node.board to "auto", or to the board that this is')
    if found != board.name and found != loader.FALLBACK:
        return Finding("board", BROKEN, f"this machine's device tree says that it is {found}, not {board.name}",
                       'set node.board to "auto"')
    return Finding("board", OK, f"{board.name}: {board.summary} ({board.tier})")


def _memory(board: Board, root: str) -> list[Finding]:
    total_mb = memory_mb(os.path.join(root, "proc/meminfo"))
    if not total_mb:
        return [Finding("memory", NOTE, "can't be told on this machine")]
    text = f"{total_mb} MB, of which {board.models_mb(total_mb)} MB for models"
    sizes = board.table("memory").get("sizes_mb")
    if sizes and not any(one * 0.6 <= total_mb <= one * 1.1 for one in sizes):
        return [Finding("memory", NOTE, f"{text}; {board.name} is sold with {', '.join(map(str, sizes))} MB")]
    return [Finding("memory", OK, text)]


def _there(root: str, heading: str, path: str) -> Finding:
    if os.path.exists(os.path.join(root, path.lstrip("/"))):
        return Finding(heading, OK, "/" + path.lstrip("/"))
    return Finding(heading, NOTE, f"/{path.lstrip('/')} is not there",
                   "the kernel of the image has it; elsewhere it may have another name")


def _zone(root: str, wanted: str) -> Finding:
    folder = os.path.join(root, "sys/class/thermal")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        try:
            with open(os.path.join(folder, name, "type"), encoding="utf-8") as file:
                kind = file.read().strip()
            if wanted in (name, kind):
                with open(os.path.join(folder, name, "temp"), encoding="ascii") as file:
                    return Finding("thermal", OK, f"{kind} says {int(file.read()) // 1000} C")
        except (OSError, ValueError):
            continue
    return Finding("thermal", NOTE, f"there is no thermal zone {wanted}", "heat can't be watched on this machine")


def _radio(root: str, radio: dict[str, Any]) -> Finding:
    name = radio["name"]
    if radio["bus"] == "usb":
        seen = _usb_ids(root) & set(radio.get("ids", ()))
        if seen:
            return Finding(name, OK, f"{radio['kind']} on USB: {', '.join(sorted(seen))}")
        return Finding(name, NOTE, f"no {radio['kind']} radio that we know is on USB")
    folder = {"wifi": "sys/class/net", "ble": "sys/class/bluetooth"}.get(radio["kind"], "dev")
    device = radio.get("device", "").removeprefix("/dev/")
    if device and os.path.exists(os.path.join(root, folder, device)):
        return Finding(name, OK, f"{radio['kind']}: {device}")
    return Finding(name, NOTE, f"{radio['kind']} is not there" + (f": no {device}" if device else ""),
                   "its firmware or overlay may be missing: dmesg says" if radio["bus"] in ("sdio", "uart") else "")


def _usb_ids(root: str) -> set[str]:
    out = set()
    folder = os.path.join(root, "sys/bus/usb/devices")
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            ids = []
            for part in ("idVendor", "idProduct"):
                with open(os.path.join(folder, name, part), encoding="ascii") as file:
                    ids.append(file.read().strip())
            out.add(":".join(ids))
        except OSError:
            continue  # an interface, not a device
    return out


def _list(as_json: bool) -> int:
    good, wrong = [], None
    for name in loader.names():
        try:
            good.append(loader.load(name))
        except ConfigError as error:
            wrong = error
    here = loader.detect()
    if as_json:
        show.print_json([{"name": one.name, "summary": one.summary, "tier": one.tier, "here": one.name == here}
                         for one in good])
    else:
        for one in good:
            print(f"{'*' if one.name == here else ' '} {one.name:<12}  {one.tier:<9}  {one.summary}")
    if wrong is not None:
        raise wrong
    return 0


def _show(board: Board, as_json: bool) -> int:
    total_mb = memory_mb() if board.name == loader.detect() else 0  # of another machine we know nothing
    if as_json:
        show.print_json({"name": board.name, **board.tables,
                         "models_mb": board.models_mb(total_mb) if total_mb else None})
        return 0
    print(f"{board.name}: {board.summary}\nsupport    {board.tier}\nmachines   {', '.join(board.arch) or 'any'}")
    memory = board.table("memory")
    sizes = ", ".join(map(str, memory.get("sizes_mb", ()))) or "any"
    print(f"memory     {sizes} MB, of which {memory['reserve_mb']} MB are kept" if memory else "memory     not known")
    if total_mb:
        print(f"           here {total_mb} MB: {board.models_mb(total_mb)} MB for models")
    for link in board.links:
        print(f"link       {link.name}: {link.driver}, settings under [{link.config}]")
    for radio in board.rows("radio"):
        place = radio.get("device") or ", ".join(radio.get("ids", ()))
        print(f"radio      {radio['name']}: {radio['kind']} on {radio['bus']} {place}".rstrip())
    for sensor in board.rows("sensor"):
        print(f"sensor     {sensor['name']}: {sensor['driver']}")
    for heading in HEADINGS:
        facts = board.table(heading)
        if facts:
            print(f"{heading:<9}  " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    return 0
