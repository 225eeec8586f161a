"""Button and UPS before the kernel's own drivers: gpio-sim and i2c-stub, where the kernel has them.

`make test-parts` runs these in a machine with Debian's kernel (tests/ble_vm/machine.py), `make test-image` the
like of the buttons in the image, whose kernel has gpio-sim (Debian's for PCs lacks it); elsewhere they are skipped
with what is missing.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from boards.parts.gpio import Button
from boards.parts.i2c import Chip
from boards.parts.ups import FuelGauge, Ina219
from tests.cli.kit import cli_json
from tests.conftest import ROOT
from tests.system.nodes import until
from tests.test_watchdog import QUIET
from tests.waiting import PATIENCE
from tests.waiting import until as until_true

CONFIG = Path("/sys/kernel/config")
LINE = 5
FUEL_GAUGE, INA = 0x36, 0x43


def module(name: str, *options: str) -> None:
    """Load a module, or skip with the reason."""
    modprobe = shutil.which("modprobe") or "/sbin/modprobe"
    if os.geteuid() or not os.path.exists(modprobe):
        pytest.skip("needs root and modprobe")
    done = subprocess.run([modprobe, name, *options], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this kernel has no {name}: {done.stderr.strip()}")


class SimulatedChip:
    """A GPIO chip of 8 lines by gpio-sim; lines are pulled from outside."""

    label = "waypost-test"

    def __init__(self) -> None:
        self.folder = CONFIG / "gpio-sim" / "waypost"
        bank = self.folder / "bank0"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text("8")
        (bank / "label").write_text(self.label)
        (self.folder / "live").write_text("1")
        device = (self.folder / "dev_name").read_text().strip()
        self.name = (bank / "chip_name").read_text().strip()
        self.pulls = Path(f"/sys/devices/platform/{device}/{self.name}/sim_gpio{LINE}/pull")

    def pull(self, up: bool) -> None:
        self.pulls.write_text("pull-up" if up else "pull-down")

    def remove(self) -> None:
        (self.folder / "live").write_text("0")
        (self.folder / "bank0").rmdir()
        self.folder.rmdir()


@pytest.fixture
def chip() -> Iterator[SimulatedChip]:
    module("gpio-sim")
    if not (CONFIG / "gpio-sim").is_dir():
        subprocess.run(["mount", "-t", "configfs", "none", str(CONFIG)], check=True)
    one = SimulatedChip()
    yield one
    one.remove()


@pytest.mark.parametrize("active_low", [True, False])
def test_a_button(chip: SimulatedChip, active_low: bool) -> None:
    async def story() -> None:
        seen: list[bool] = []
        button = Button({"chip": chip.label, "line": LINE, "active_low": active_low})
        chip.pull(active_low)
        button.start(seen.append)
        assert not button.is_pressed
        for number in range(3):
            chip.pull(not active_low)
            await until_true(lambda wanted=2 * number + 1: len(seen) == wanted, 20)
            assert button.is_pressed
            chip.pull(active_low)
            await until_true(lambda wanted=2 * number + 2: len(seen) == wanted, 20)
        assert seen == [True, False] * 3
        again = Button({"chip": f"/dev/{chip.name}", "line": LINE})
        with pytest.raises(OSError, match="can't be read: Device or resource busy"):
            again.start(seen.append)
        button.stop()
        again.start(seen.append)
        again.stop()

    asyncio.run(asyncio.wait_for(story(), 60 * PATIENCE))


def test_a_line_and_a_chip_that_are_not_there(chip: SimulatedChip) -> None:
    for facts, said in (({"chip": chip.label, "line": 8}, "line 8 of waypost-test can't be read"),
                        ({"chip": "pinctrl-bcm2835", "line": 17}, "there is no GPIO chip pinctrl-bcm2835")):
        with pytest.raises(OSError, match=said):
            Button(facts).start(lambda _is_pressed: None)


HALL = f"""
import sys
from tools import cli_run, run
start = cli_run.plan(sys.argv[1], sys.argv[3:], True)
start["board"]["button"] = {{"chip": sys.argv[2], "line": {LINE}, "active_low": True}}
sys.exit(run.main(start))
"""


def test_a_pressed_button_is_an_emergency_input(chip: SimulatedChip, tmp_path: Path) -> None:
    folder = tmp_path / "n"
    folder.mkdir()
    chip.pull(True)
    process = subprocess.Popen([sys.executable, "-c", HALL, str(folder), chip.label, *QUIET], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None and select.select([process.stdout], [], [], 120)[0]
        assert json.loads(process.stdout.readline())["event"] == "ready"
        chip.pull(False)
        time.sleep(3)
        chip.pull(True)
        until(lambda: cli_json("--dir", folder, "why")["condition"]["state"] == "emergency", 30, 0.2)
        assert cli_json("--dir", folder, "why")["condition"]["why"].endswith("(at the button)")
        chip.pull(False)
        until(lambda: cli_json("--dir", folder, "why")["stopped"] == "stopped by a person at the button", 60, 0.2)
        chip.pull(True)
        alert = json.dumps({"text": "flood", "lane": 0, "type": 5})
        assert cli_json("--dir", folder, "call", "messages.post@1", alert)["id"], "alerts go on"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60 * PATIENCE)


@pytest.fixture
def bus() -> Iterator[int]:
    module("i2c-dev")
    module("i2c-stub", f"chip_addr={FUEL_GAUGE},{INA}")
    found = [path for path in Path("/sys/class/i2c-dev").glob("i2c-*")
             if "stub" in (path / "name").read_text().lower()]
    if not found:
        pytest.skip("no bus of i2c-stub came up")
    yield int(found[0].name.partition("-")[2])
    subprocess.run(["modprobe", "-r", "i2c-stub"], capture_output=True)


def test_ups_chips_on_a_bus(bus: int) -> None:
    gauge = Chip(bus, FUEL_GAUGE)
    gauge.write(0x04, 0x4B80)
    gauge.write(0x02, 3000 << 4)
    assert FuelGauge(gauge).read() == {"battery_percent": 75, "battery_mv": 3750}
    one = Chip(bus, INA)
    one.write(0x00, 0x0000)
    one.write(0x01, 0xFF00)
    one.write(0x02, (3675 // 4) << 3)
    facts = Ina219(one, 1).read()
    assert (facts["on_mains"], facts["shunt_uv"], facts["battery_mv"]) == (0, -2560, 3672)
    assert one.read(0x00) == 0x399F
    with pytest.raises(OSError):
        Chip(bus, 0x50).read(0)
