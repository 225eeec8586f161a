"""waypost hardware: the boards there are, and what of a board's facts a machine has."""

from __future__ import annotations

import os
import pathlib

from boards import loader
from tests.cli.kit import cli, cli_json
from tools import hardware
from tools.doctor_host import BROKEN, NOTE, OK


def machine(root: pathlib.Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def states(found: list[hardware.Finding]) -> dict[str, str]:
    return {one.check: one.state for one in found}


def test_list_names_every_board_and_marks_this_one() -> None:
    rows = cli_json("hardware", "list")
    assert [row["name"] for row in rows] == loader.names()
    assert [row["name"] for row in rows if row["here"]] == [loader.detect()]
    code, out, _ = cli("hardware", "list")
    assert code == 0 and "* " + loader.detect() in out


def test_show_gives_the_facts(tmp_path: pathlib.Path) -> None:
    code, out, _ = cli("--dir", tmp_path, "hardware", "show", "pi-zero-2w")
    assert code == 0
    for said in ("Raspberry Pi Zero 2 W", "untried", "512 MB, of which 180 MB are kept", "lora on usb 10c4:ea60",
                 "device /dev/watchdog0, limit_s 15", "slow_c 70"):
        assert said in out
    facts = cli_json("--dir", tmp_path, "hardware", "show", "pi-zero-2w")
    assert facts["thermal"]["refuse_c"] == 78 and facts["models_mb"] is None, "this is no Pi Zero"


def test_without_a_name_it_is_the_board_of_the_settings(tmp_path: pathlib.Path) -> None:
    here = cli_json("--dir", tmp_path, "hardware", "show")
    assert here["name"] == loader.detect() and here["models_mb"] > 0
    (tmp_path / "waypost.toml").write_text('[node]\nboard = "pi-4"\n')
    assert cli_json("--dir", tmp_path, "hardware", "show")["name"] == "pi-4"


def test_an_unknown_board_is_a_usage_error(tmp_path: pathlib.Path) -> None:
    code, _, err = cli("--dir", tmp_path, "hardware", "check", "pi-33")
    assert code == 2 and "did you mean pi-3" in err


def test_check_sees_what_is_there_and_what_is_not(tmp_path: pathlib.Path) -> None:
    root = machine(tmp_path, {
        "proc/device-tree/compatible": "raspberrypi,model-zero-2-w\0brcm,bcm2837\0",
        "proc/meminfo": "MemTotal:         430000 kB\n",
        "dev/ttyS1": "", "dev/watchdog0": "", "sys/class/leds/ACT/brightness": "0",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/net/wlan0/address": "", "sys/bus/usb/devices/1-1/idVendor": "10c4\n",
        "sys/bus/usb/devices/1-1/idProduct": "ea60\n", "sys/bus/usb/devices/1-1:1.0/bInterfaceClass": "ff\n",
    })
    board = loader.load("pi-zero-2w")
    board.arch = []
    found = hardware.check(board, root)
    said = states(found)
    assert {name for name, state in said.items() if state != OK} <= {"bluetooth", "cores"}
    assert said["bluetooth"] == NOTE
    texts = {one.check: one.text for one in found}
    assert texts["memory"] == "440 MB, of which 260 MB for models"
    assert texts["thermal"] == "cpu-thermal says 48 C" and "10c4:ea60" in texts["lora-usb"]


def test_check_of_the_wrong_board_is_broken(tmp_path: pathlib.Path) -> None:
    root = machine(tmp_path, {"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
                              "proc/meminfo": "MemTotal:        8000000 kB\n"})
    board = loader.load("pi-3")
    board.arch = []
    found = hardware.check(board, root)
    assert states(found)["board"] == BROKEN and states(found)["memory"] == NOTE
    assert "is pi-5, not pi-3" in found[0].text
    assert states(found)["watchdog"] == NOTE and states(found)["thermal"] == NOTE


def test_check_here_exits_by_what_it_found(tmp_path: pathlib.Path) -> None:
    code, out, _ = cli("--dir", tmp_path, "hardware", "check")
    assert code == 0 and "memory" in out
    foreign = "pi-4" if loader.load("generic-x86").arch[0] == os.uname().machine else "generic-x86"
    code, out, _ = cli("--dir", tmp_path, "hardware", "check", foreign)
    assert code == 1 and "BROKEN" in out
