"""What may stand in a board file: every key with its kind, and the check of one table against them.

It decides what is a mistake in a board file and says it with file, line and column; what the facts mean is up to those
who use them. boards/README.md is made from these tables. It touches no hardware.
"""

from __future__ import annotations

import re

from edge import tomlfile
from edge.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIERS = ("supported", "emulated", "untried")
_RADIO_KINDS = ("lora", "ble", "wifi")
_BUSES = ("usb", "uart", "spi", "i2c", "sdio", "pcie", "network")
# what a board file may have started: classes of ours that are made for it, and nothing else that can be imported
_CLASSES = {"driver": re.compile(r"radios(\.[a-z_][a-z0-9_]*)+:[A-Z]\w*Driver", re.ASCII),
            "part": re.compile(r"boards\.parts(\.[a-z_][a-z0-9_]*)+:[A-Z]\w*", re.ASCII)}
_USB_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")


class Fact:
    """One key. kind: text, int, bool, texts, ints, ids, driver (of a link) or part; low and high bound a number;
    choices a text."""

    __slots__ = ("kind", "help", "needed", "low", "high", "choices")

    def __init__(self, kind: str, help: str, *, needed: bool = False, low: int = 0, high: int = 1 << 20,
                 choices: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.help = help
        self.needed = needed
        self.low = low
        self.high = high
        self.choices = choices

    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.choices:
            return ", ".join(self.choices)
        return {
            "text": "text", "bool": "true or false", "int": f"a whole number {self.low}..{self.high}",
            "texts": 'a list of texts such as ["one", "two"]', "ints": f"a list of numbers {self.low}..{self.high}",
            "driver": '"radios.MODULE:NAMEDriver"', "part": '"boards.parts.MODULE:CLASS"',
            "ids": 'a list of USB ids such as "10c4:ea60"',
        }[self.kind]


# heading -> key -> fact; "" is the top of the file, a heading with [[ ]] is a list of such tables
TABLES: dict[str, dict[str, Fact]] = {
    "": {
        "summary": Fact("text", "one line", needed=True),
        "like": Fact("text", "another board, whose tables hold here where this file has none of the name"),
        "tier": Fact("text", "how well it is known to work", needed=True, choices=TIERS),
        "arch": Fact("texts", "machine names (`uname -m`); left out: any"),
        "compatible": Fact("texts", "what the device tree calls it, any of these; by this a board is recognised"),
        "cores": Fact("int", "processor cores", low=1, high=256),
    },
    "memory": {
        "sizes_mb": Fact("ints", "the sizes that it is sold with", low=64),
        "reserve_mb": Fact("int", "what the system and the node keep; the rest is there for models", needed=True),
    },
    "[[link]]": {
        "name": Fact("text", "what the link is called in this node", needed=True),
        "driver": Fact("driver", "what drives it", needed=True),
        "config": Fact("text", "the heading of waypost.toml whose settings the driver is given", needed=True),
        "switch": Fact("text", "the setting that turns the link on, beside `enabled`"),
    },
    "[[radio]]": {
        "name": Fact("text", "what the radio is called", needed=True),
        "kind": Fact("text", "what it speaks", needed=True, choices=_RADIO_KINDS),
        "bus": Fact("text", "where it is wired", needed=True, choices=_BUSES),
        "device": Fact("text", "its device file or network interface"),
        "ids": Fact("ids", "the USB ids by which it is recognised"),
    },
    "console": {
        "device": Fact("text", "the serial line for a person with a cable", needed=True),
        "baud": Fact("int", "its speed", needed=True, low=1200, high=4000000),
    },
    "led": {
        "name": Fact("text", "its folder in /sys/class/leds", needed=True),
        "driver": Fact("part", "what drives it"),
    },
    "button": {
        "chip": Fact("text", "its GPIO chip, by device file or label", needed=True),
        "line": Fact("int", "its line on that chip", needed=True, high=1023),
        "active_low": Fact("bool", "whether pressing it pulls the line to ground"),
        "driver": Fact("part", "what reads it"),
    },
    "watchdog": {
        "device": Fact("text", "its device file", needed=True),
        "limit_s": Fact("int", "the longest time that the hardware waits", needed=True, low=1, high=86400),
    },
    "thermal": {
        "zone": Fact("text", "its folder in /sys/class/thermal, or that folder's `type`", needed=True),
        "slow_c": Fact("int", "from here on models run slowly", needed=True, low=30, high=120),
        "refuse_c": Fact("int", "from here on no model runs", needed=True, low=30, high=120),
        "radios_c": Fact("int", "from here on only the radios and the console go on", needed=True, low=30, high=120),
    },
    "power": {
        "undervoltage": Fact("text", "`name` of the hwmon whose in0_lcrit_alarm says that the supply is too weak"),
        "supply": Fact("text", "the name in /sys/class/power_supply of a battery or UPS"),
    },
    "[[sensor]]": {
        "name": Fact("text", "what the sensor is called", needed=True),
        "driver": Fact("part", "what reads it", needed=True),
        "path": Fact("text", "its file or folder"),
        "chip": Fact("text", "its GPIO chip or bus device"),
        "line": Fact("int", "its line or address there", high=1023),
    },
}


def check(tables: dict[str, Any], path: str, places: dict[str, str]) -> None:
    """Raise ConfigError at the first mistake in a file. places: where each dotted name stands (tomlfile.parse)."""
    top = TABLES[""]
    known = [*top, *(name.strip("[]") for name in TABLES if name)]
    for name, value in tables.items():
        if name in top:
            _value(name, top[name], value, places.get(name, path))
            continue
        many = f"[[{name}]]" in TABLES
        where = places.get(name, path)
        if not many and (name == "" or name not in TABLES):
            raise ConfigError(f"{name} is no key of a board file", where=where, allowed=", ".join(known),
                              hint=tomlfile.suggestion(name, known))
        rows = value if many and isinstance(value, list) else [value]
        if (many and not isinstance(value, list)) or not all(isinstance(row, dict) for row in rows):
            head = f"[[{name}]]" if many else f"[{name}]"
            raise ConfigError(f"{name} must be a table", where=where, hint=f"write {head} above its settings")
        for row in rows:
            _table(name, TABLES[f"[[{name}]]" if many else name], row, path, places)
    for name, fact in top.items():
        if fact.needed and name not in tables:
            raise ConfigError(f"{name} is missing", where=path)
    _relations(tables, path, places)


def _table(heading: str, facts: dict[str, Fact], row: dict[str, Any], path: str, places: dict[str, str]) -> None:
    for key, value in row.items():
        where = places.get(f"{heading}.{key}", path)
        if key not in facts:
            raise ConfigError(f"{heading}.{key} is no key of a board file", where=where, allowed=", ".join(facts),
                              hint=tomlfile.suggestion(key, facts))
        _value(f"{heading}.{key}", facts[key], value, where)
    for key, fact in facts.items():
        if fact.needed and key not in row:
            raise ConfigError(f"{heading}.{key} is missing", where=places.get(heading, path))


def _value(name: str, fact: Fact, value: Any, where: str) -> None:
    def wrong() -> ConfigError:
        said = f"{name} can't be {_shown(value)}" if value != "" else f"{name} must not be empty"
        return ConfigError(said, where=where, allowed=fact.allowed())

    if fact.kind in ("texts", "ints", "ids"):
        if not isinstance(value, list) or not value:
            raise wrong()
        single = Fact({"texts": "text", "ints": "int", "ids": "id"}[fact.kind], "", low=fact.low, high=fact.high)
        if not all(_is(single, one) for one in value):
            raise wrong()
    elif not _is(fact, value):
        raise wrong()


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return "so large a number"
    return text if len(text) <= 80 else text[:77] + "..."


def _is(fact: Fact, value: Any) -> bool:
    if fact.kind == "bool":
        return isinstance(value, bool)
    if fact.kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and fact.low <= value <= fact.high
    if not isinstance(value, str) or not value or not value.isprintable():
        return False
    if fact.kind in _CLASSES:
        return _CLASSES[fact.kind].fullmatch(value) is not None
    if fact.kind == "id":
        return _USB_ID.fullmatch(value) is not None
    return not fact.choices or value in fact.choices


def _relations(tables: dict[str, Any], path: str, places: dict[str, str]) -> None:
    for heading in ("link", "radio", "sensor"):
        seen: set[str] = set()
        for row in tables.get(heading, ()):
            if row["name"] in seen:
                raise ConfigError(f'two {heading}s are called "{row["name"]}"', where=places.get(heading, path))
            seen.add(row["name"])
    heat = tables.get("thermal")
    if heat and not heat["slow_c"] < heat["refuse_c"] < heat["radios_c"]:
        raise ConfigError("the thermal ladder does not rise", where=places.get("thermal", path),
                          allowed="slow_c below refuse_c below radios_c")
