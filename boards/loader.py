"""Board files: which links a machine has and what it is made of, facts in data.

boards/NAME/board.toml is read strictly: a key that is not known here is an error with its place. It decides nothing
about settings; each link names the heading of waypost.toml that its driver is given. The drivers are named as
"module:Class" and are imported by whoever starts the node, so that nothing here touches hardware.
"""

from __future__ import annotations

import os

from edge import tomlfile
from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_BOARD_KEYS: dict[str, type] = {"summary": str, "arch": list, "ram_mb_min": int, "link": list}
_LINK_KEYS: dict[str, type] = {"name": str, "driver": str, "config": str, "switch": str}
_LINK_NEEDS = ("name", "driver", "config")
_WORDS: dict[type, str] = {str: "text", int: "a whole number", list: "a list"}


class Link:
    """One link of a board: its name in the node, its driver as "module:Class", its heading in waypost.toml, and the
    setting that turns it on beside that heading's `enabled` ("" when there is none)."""

    __slots__ = ("name", "driver", "config", "switch")

    def __init__(self, name: str, driver: str, config: str, switch: str = "") -> None:
        self.name = name
        self.driver = driver
        self.config = config
        self.switch = switch

    def enabled(self, settings: dict[str, Any]) -> bool:
        """Whether these settings (dotted names) want the link."""
        return bool(settings.get(self.config + ".enabled", True) and settings.get(self.switch, True))


class Board:
    """The facts of one board: name, summary, arch (machine names; empty is any), ram_mb_min, links in order."""

    def __init__(self, name: str, summary: str, arch: list[str], ram_mb_min: int, links: list[Link]) -> None:
        self.name = name
        self.summary = summary
        self.arch = arch
        self.ram_mb_min = ram_mb_min
        self.links = links


def names(folder: str = _HERE) -> list[str]:
    """The boards there are, sorted."""
    return sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name, "board.toml")))


def load(name: str, folder: str = _HERE) -> Board:
    """The board called `name`. Raises ConfigError with file, line and column where they are known."""
    known = names(folder)
    if name not in known:
        raise ConfigError(f'there is no board "{name}"', where="node.board", allowed=", ".join(known),
                          hint=tomlfile.suggestion(name, known))
    path = os.path.join(folder, name, "board.toml")
    with open(path, "rb") as file:
        tables, places = tomlfile.parse(path, file.read(tomlfile.BYTES_MAX + 1))
    _check(tables, _BOARD_KEYS, ("summary", "link"), path, places, "")
    arch = tables.get("arch", [])
    if not all(isinstance(one, str) for one in arch):
        raise ConfigError("arch must hold machine names only", where=places.get("arch", path),
                          allowed='a list of texts such as "aarch64"')
    links: list[Link] = []
    for table in tables["link"]:
        where = places.get("link", path)
        if not isinstance(table, dict):
            raise ConfigError("link must be a table", where=where, hint="write [[link]] above its settings")
        _check(table, _LINK_KEYS, _LINK_NEEDS, path, places, "link.")
        module, colon, class_name = table["driver"].partition(":")
        if not (colon and module.replace(".", "_").isidentifier() and class_name.isidentifier()):
            raise ConfigError(f'driver can\'t be "{table["driver"]}"', where=where, allowed='"package.module:Class"')
        if table["name"] in [link.name for link in links]:
            raise ConfigError(f'two links are called "{table["name"]}"', where=where)
        links.append(Link(table["name"], table["driver"], table["config"], table.get("switch", "")))
    return Board(name, tables["summary"], arch, tables.get("ram_mb_min", 0), links)


def _check(table: dict[str, Any], kinds: dict[str, type], needs: tuple[str, ...], path: str, places: dict[str, str],
           head: str) -> None:
    for key, value in table.items():
        where = places.get(head + key, path)
        kind = kinds.get(key)
        if kind is None:
            raise ConfigError(f"{head}{key} is no key of a board file", where=where, allowed=", ".join(kinds),
                              hint=tomlfile.suggestion(key, kinds))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(f"{head}{key} must be {_WORDS[kind]}", where=where)
        if value == "":
            raise ConfigError(f"{head}{key} must not be empty", where=where)
    for key in needs:
        if key not in table:
            raise ConfigError(f"{head}{key} is missing", where=places.get(head.rstrip("."), path))
