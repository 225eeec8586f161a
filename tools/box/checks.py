"""What is wrong with a waypost.toml: every mistake in words, with its place, for the box and for who writes its card.

It knows all that can be known without the box: the grammar, the settings (edge/config.py), whether Wi-Fi has what it
needs, the board, the time zone and the radio's region. It changes nothing and raises nothing, whatever it is handed.
"""

from __future__ import annotations

import os
import re

from edge import config, tomlfile
from edge.errors import ConfigError
from tools.box import network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ZONES = "usr/share/zoneinfo"
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def problems(raw: bytes, name: str = config.FILE_NAME, root: str = "/") -> list[str]:
    """Every mistake of a settings file, each with "NAME:LINE:COLUMN" where that is known; empty: all of it can be used.

    name: what to call the file. root: where usr/share/zoneinfo is looked for.
    """
    note = tomlfile.note(name, raw)
    values, found = config.read(name, raw)
    out = [said(one) for one in found if note is None or one.message != note.message]
    try:
        places = tomlfile.parse(name, raw)[1]
    except ConfigError:
        return out
    return out + beyond(config.filled(values).values, name, places, root)


def notes(raw: bytes, name: str = config.FILE_NAME) -> list[str]:
    """What a person should know of a settings file though it is no mistake."""
    note = tomlfile.note(name, raw)
    out = [said(note)] if note else []
    return [*out, f"{name} is empty: a box that has settings keeps them"] if blank(raw) else out


def blank(raw: bytes) -> bool:
    """Whether there is nothing at all in the file, not even a comment: more often a card's mishap than a wish."""
    return not tomlfile.text_of(raw).strip("\0\ufeff \t\n")


def beyond(settings: dict[str, Any], name: str, places: dict[str, str], root: str) -> list[str]:
    """What is wrong with settings that are right one by one. places: where in the file they stand."""
    out = [f"{_place(one, name, places)}: {one}" for one in network.files(settings, settings["node.name"])[1]]
    for key, wrong in (("node.time_zone", zone_problem(str(settings["node.time_zone"]), root)),
                       ("node.board", _board_problem(settings["node.board"])),
                       ("lora.region", _region_problem(settings["lora.region"]))):
        if wrong:
            out.append(f"{places.get(key, name)}: {wrong}")
    return out


def zone_problem(zone: str, root: str) -> str:
    """What is wrong with a time zone; "" where it is one, or where there is no list of them below `root`."""
    if not zone:
        return ""
    if _ZONE.fullmatch(zone):
        folder = os.path.join(root, ZONES)
        if not os.path.isdir(folder) or _is_zone(os.path.join(folder, zone)):
            return ""
    return f'node.time_zone can\'t be "{zone}"; allowed: a name such as "Europe/Berlin"'


def _is_zone(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"TZif"  # RFC 9636, 3.1
    except OSError:
        return False


def said(error: ConfigError) -> str:
    """An error in one line for a person."""
    text = f"{error.where}: {error.message}" + (f"; allowed: {error.allowed}" if error.allowed else "")
    return text + (f" ({error.hint})" if error.hint else "")


def _place(text: str, name: str, places: dict[str, str]) -> str:
    """Where the setting stands that a sentence begins with, else the one for which it is missing."""
    return places.get(text.partition(" ")[0], places.get("net.wifi", name))


def _board_problem(board: str) -> str:
    from boards import loader

    if board in (loader.AUTO, *loader.names()):
        return ""
    return f'node.board can\'t be "{board}"; allowed: {", ".join((loader.AUTO, *loader.names()))}'


def _region_problem(region: str) -> str:
    if not region:
        return ""
    from radios.lora.regions import REGIONS, canonical

    if canonical(region) in REGIONS:
        return ""
    return (f'lora.region can\'t be "{region}": no law is known for it, so the radio stays silent; '
            f'allowed: {", ".join(sorted(REGIONS))}')
