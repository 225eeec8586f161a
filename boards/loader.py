"""Board files: which links a machine has and what it is made of, facts in data.

boards/NAME/board.toml is read strictly (boards/schema.py). A board may be `like` another and then says only what is
different. It decides nothing about settings; each link names the heading of waypost.toml that its driver is given.
Drivers are named as "module:Class" and are imported by whoever starts the node, so that nothing here touches hardware.
"""

from __future__ import annotations

import os

from boards import schema
from edge import tomlfile
from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AUTO = "auto"  # of node.board: whichever board this machine is
FALLBACK = "generic"
_HERE = os.path.dirname(os.path.abspath(__file__))
_OWN = ("like", "summary", "tier", "compatible")  # what a board never takes over from the one that it is like
_LIKE_DEPTH_MAX = 4
_DEVICE_TREE = "/proc/device-tree/compatible"


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
    """The facts of one board: name, summary, tier, arch (machine names; empty is any), compatible (device tree names),
    links in order; table("led") gives the facts under a heading, {} where it has none, rows("sensor") those under a
    heading that may stand several times."""

    def __init__(self, name: str, tables: dict[str, Any]) -> None:
        self.name = name
        self.tables = tables
        self.summary: str = tables["summary"]
        self.tier: str = tables["tier"]
        self.arch: list[str] = tables.get("arch", [])
        self.compatible: list[str] = tables.get("compatible", [])
        self.links = [Link(**row) for row in tables["link"]]

    def table(self, heading: str) -> dict[str, Any]:
        """The facts under [heading]."""
        found: dict[str, Any] = self.tables.get(heading, {})
        return found

    def rows(self, heading: str) -> list[dict[str, Any]]:
        """The facts under each [[heading]], in order."""
        found: list[dict[str, Any]] = self.tables.get(heading, [])
        return found

    def models_mb(self, total_mb: int) -> int:
        """How much of a memory of `total_mb` models may use on this board, in MB."""
        return max(0, total_mb - int(self.table("memory").get("reserve_mb", 0)))


def names(folder: str = _HERE) -> list[str]:
    """The boards there are, sorted."""
    return sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name, "board.toml")))


def load(name: str, folder: str = _HERE) -> Board:
    """The board called `name`; "auto" is the one that this machine is. Raises ConfigError with file, line and column
    where they are known."""
    if name == AUTO:
        name = detect(folder)
    known = names(folder)
    if name not in known:
        raise ConfigError(f'there is no board "{name}"', where="node.board", allowed=", ".join([AUTO, *known]),
                          hint=tomlfile.suggestion(name, known))
    tables, place = _read(name, folder)
    seen = [name]
    above = tables.get("like")
    while above is not None:
        if above in seen or above not in known or len(seen) == _LIKE_DEPTH_MAX:
            raise ConfigError(f'like can\'t be "{above}"', where=place,
                              allowed=", ".join(one for one in known if one not in seen),
                              hint="a chain of boards must come to an end")
        seen.append(above)
        other, _ = _read(above, folder)
        tables |= {key: value for key, value in other.items() if key not in tables and key not in _OWN}
        above = other.get("like")
    if "link" not in tables:
        raise ConfigError("link is missing", where=place, hint="write a [[link]], or what board it is like")
    return Board(name, tables)


def detect(folder: str = _HERE, device_tree: str = _DEVICE_TREE) -> str:
    """The name of the board that this machine is: the one that its device tree names first, else "generic"."""
    try:
        with open(device_tree, "rb") as file:
            said = file.read(4096).decode("ascii", "replace").rstrip("\0").split("\0")
    except OSError:
        return FALLBACK
    by_name: dict[str, str] = {}
    for name in names(folder):
        try:
            tables, _ = _read(name, folder)
        except ConfigError:
            continue  # whoever loads it is told
        by_name |= dict.fromkeys(tables.get("compatible", ()), name)
    return next((by_name[one] for one in said if one in by_name), FALLBACK)


def _read(name: str, folder: str) -> tuple[dict[str, Any], str]:
    path = os.path.join(folder, name, "board.toml")
    with open(path, "rb") as file:
        tables, places = tomlfile.parse(path, file.read(tomlfile.BYTES_MAX + 1))
    schema.check(tables, path, places)
    return tables, places.get("like", path)
