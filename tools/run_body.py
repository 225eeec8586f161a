"""The sensors, the button, the light and the screen of a running node, as its board file and its settings name them.

It decides nothing: what a reading means is in edge/emergency/body.py. A driver that can't be loaded or started is
trouble of its own; where nothing is named, nothing is loaded.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.emergency.body import SensorPort
    from edge.emergency.keeper import Keeper
    from edge.emergency.panel import Panel
    from edge.settings import Config
    from edge.tasks import Tasks

    Trouble = Callable[[str, str, str], None]

LED, BUTTON = "boards.parts.led:Led", "boards.parts.gpio:Button"


def start(board: dict[str, Any], config: Config, directory: str, tasks: Tasks, keeper: Keeper, trouble: Trouble,
          log: Callable[[str, str], None], root: str = "/") -> Panel | None:
    """Begin to read what there is. Gives the panel, to be told of changes and stopped at the end. root: where /dev and
    /sys lie."""
    if not config["sensors.enabled"]:
        return None
    from edge.emergency.body import READ_S, Body

    thermal = board.get("thermal")
    limits = (thermal["slow_c"], thermal["refuse_c"], thermal["radios_c"]) if thermal else None
    body = Body(keeper, sensors(board, config, directory, trouble, root), trouble=trouble,
                heat_mc=(limits[0] * 1000, limits[1] * 1000, limits[2] * 1000) if limits else None,
                battery_low=config["sensors.battery_low"])
    tasks.start("body", body.work, quiet_ms=6000 * READ_S)
    return _panel(board, config, keeper, trouble, log, root)


def sensors(board: dict[str, Any], config: Config, directory: str, trouble: Trouble,
            root: str = "/") -> dict[str, SensorPort]:
    """What is to be read, by name."""
    from boards.parts import files

    out: dict[str, Any] = {"disk": files.Disk({"path": directory}, root)}
    power = board.get("power", {})
    if "thermal" in board:
        out["thermal"] = files.Thermal(board["thermal"], root)
    if "undervoltage" in power:
        out["supply"] = files.Undervoltage(power, root)
    supply = files.Supply(power, root)
    if "supply" in power or supply.is_there:
        out["battery"] = supply
    for row in board.get("sensor", ()):
        kind = _load(row["name"], row["driver"], trouble)
        if kind is not None:
            out[row["name"]] = kind(row, root)
    for part, make in (("sensors.ups", _ups), ("sensors.nut", _nut)):
        if config[part]:
            try:
                out[part] = make(config, root)
            except ValueError as error:
                trouble(part, "config", f"{part}: {error}")
    return out


def _ups(config: Config, root: str) -> Any:
    from boards.parts import ups

    try:
        return ups.sensor(config["sensors.ups"], config["sensors.ups_cells"], root)
    except ValueError as error:
        raise ValueError(f"{error}; allowed: {ups.ALLOWED}") from None


def _nut(config: Config, _root: str) -> Any:
    from boards.parts import nut

    try:
        return nut.Nut(*nut.parse(config["sensors.nut"]))
    except ValueError as error:
        raise ValueError(f"{error}; allowed: {nut.ALLOWED}") from None


def _panel(board: dict[str, Any], config: Config, keeper: Keeper, trouble: Trouble, log: Callable[[str, str], None],
           root: str) -> Panel | None:
    led, button = board.get("led"), board.get("button")
    screen = _screen(root) if config["sensors.screen"] else None
    if screen is None and not (led and config["sensors.light"]) and not (button and config["sensors.button"]):
        return None
    from edge.emergency.panel import Panel

    light = None
    if led and config["sensors.light"]:
        kind = _load("light", led.get("driver", LED), trouble)
        light = kind(led, root) if kind is not None else None
    panel = Panel(keeper, light, log, screen)
    if button and config["sensors.button"]:
        kind = _load("button", button.get("driver", BUTTON), trouble)
        if kind is not None:
            one = kind(button, root)
            try:
                one.start(panel.changed)
                panel.ends.append(one.stop)
            except OSError as error:
                log("info", f"the button of the board can't be used: {error}")
    keeper.followers.append(panel.follow)
    return panel


def _screen(root: str) -> Any:
    from boards.parts.files import names

    if not names(os.path.join(root, "sys/class/backlight")):
        return None
    from boards.parts.screen import Screen

    return Screen(root)


def _load(part: str, dotted: str, trouble: Trouble) -> Any:
    module, _, class_name = dotted.partition(":")
    try:
        return getattr(import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        trouble(part, "missing", f"the driver {dotted} can't be loaded: {error}")
        return None
