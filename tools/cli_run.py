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

    from edge.config import Config


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
    from tools.cli_local import package_version

    settings, problems = config.load(directory, overrides)
    links = _links(settings, problems)
    return {
        "dir": directory, "json": as_json, "path": [os.path.abspath(one) for one in sys.path if one],
        "version": package_version(), "settings": settings.values, "links": links,
        "problems": [str(problem) for problem in problems],
    }


def become(start: dict[str, Any]) -> NoReturn:
    """Replace this process by the node that `start` describes."""
    import marshal

    sys.stdout.flush()
    data = marshal.dumps(start)
    fd = os.memfd_create("waypost", 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    environment = dict(os.environ, MALLOC_ARENA_MAX="1")
    lean = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lean.py")
    os.execve(sys.executable, [sys.executable, *_flags(), lean, str(fd)], environment)


def _flags() -> list[str]:
    # isolated, without site: its path is handed over. -OO where the library was compiled so, else it costs memory
    from importlib.util import cache_from_source

    flags = ["-I", "-S", "-X", "utf8"]
    source = os.path.join(os.path.dirname(os.__file__), "asyncio", "base_events.py")
    return [*flags, "-OO"] if os.path.exists(cache_from_source(source, optimization=2)) else flags


def _links(settings: Config, problems: list[ConfigError]) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, driver, settings) of each link that is enabled."""
    from boards import loader

    try:
        board = loader.load(settings["node.board"])
    except ConfigError as error:
        problems.append(error)
        settings.values["node.board"] = "generic"
        board = loader.load("generic")
    return [(link.name, link.driver, settings.section(link.config)) for link in board.links
            if link.enabled(settings.values)]
