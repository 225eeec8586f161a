"""`waypost run`: checks what the node is given, then becomes the node.

The settings and the board file are read here, in a process that may import what it likes; the node itself is started by
exec in an interpreter that loads as little as possible (facts and figures: docs/BENCH.md). What it needs to know goes
over in an anonymous file, since it may hold the community key and a command line can be read by everybody.
"""

from __future__ import annotations

import os
import sys

from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, NoReturn

    from boards.loader import Board
    from edge.settings import Config

CARD_STATE = "/run/waypost/data-state"  # images/pi/files/usr/lib/waypost/data
CACHE = os.path.join(sys.prefix, "waypost-pycache")


def run(args: argparse.Namespace) -> NoReturn:
    """waypost run"""
    try:
        os.makedirs(args.dir, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the directory can't be made: {error.strerror}", where=args.dir,
                          hint="choose another with --dir, or make it for this user") from None
    become(plan(args.dir, args.overrides, args.json))


def plan(directory: str, overrides: list[str], as_json: bool) -> dict[str, Any]:
    """All that the node is told, as plain values. Raises ConfigError for a wrong override only."""
    from edge import config
    from tools import run_library
    from tools.cli_local import package_version

    settings, problems = config.load(directory, overrides)
    board = _board(settings, problems)
    library = run_library.prepare(directory, settings)
    return {
        "dir": directory, "json": as_json, "path": search_path(),
        "version": package_version(), "settings": settings.values, "links": _links(board, directory, settings),
        "board": board.tables,
        "problems": [str(problem) for problem in problems], "library": library, "card": card_trouble(),
    }


def card_trouble() -> str:
    """On the SD-card image: why the card can't keep data and the node is in memory; "" where all is well."""
    try:
        with open(CARD_STATE, encoding="utf-8") as file:
            said = file.read(500).strip()
    except OSError:
        return ""
    return said.removeprefix("memory: ") if said.startswith("memory: ") else ""


def become(start: dict[str, Any]) -> NoReturn:
    """Replace this process by the node that `start` describes."""
    sys.stdout.flush()
    words = command(hand_over(start))
    # one arena for all threads, and no tables of a locale, which -X utf8 needs not: 0.3 MB less
    os.execve(words[0], words, dict(os.environ, MALLOC_ARENA_MAX="1", LC_ALL="C"))


def hand_over(start: dict[str, Any]) -> int:
    """The number of an open anonymous file that holds `start`; a child may inherit it."""
    import marshal

    fd = os.memfd_create("waypost", 0)
    with open(fd, "wb", closefd=False) as file:
        file.write(marshal.dumps(start))
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def command(fd: int) -> list[str]:
    """The command line of the lean interpreter: isolated, without site since its path is handed over, and without
    docstrings where tools/warm.py has compiled for that (compiling now would cost more than it saves)."""
    flags = ["-I", "-S", "-X", "utf8"]
    if os.path.isdir(CACHE):
        flags += ["-OO", "-X", "pycache_prefix=" + CACHE]
    lean = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lean.py")
    return [sys.executable, *flags, lean, str(fd)]


def search_path() -> list[str]:
    """Where this interpreter finds modules, as full paths."""
    return [os.path.abspath(one or ".") for one in sys.path]


def _board(settings: Config, problems: list[ConfigError]) -> Board:
    """The board that this machine is; one whose file is wrong is a problem, and the machine a generic one."""
    from boards import loader

    try:
        return loader.load(settings["node.board"])
    except ConfigError as error:
        problems.append(error)
        settings.values["node.board"] = loader.FALLBACK
        return loader.load(loader.FALLBACK)


def _links(board: Board, directory: str, settings: Config) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, driver, settings) of each link that is enabled. Of a radio, what is empty or 0 is left unset."""
    return [(link.name, link.driver, _set(link.config, settings.section(link.config)) | {"state_dir": directory})
            for link in board.links if link.enabled(settings.values)]


def _set(heading: str, section: dict[str, Any]) -> dict[str, Any]:
    if heading != "lora":
        return section
    return {name: value for name, value in section.items() if value != "" and (value != 0 or value is False)}
