"""Sensors that are files: read right, and a missing or strange file is an error with a text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from boards.parts.files import Disk, Supply, Thermal, Undervoltage
from boards.parts.led import PATTERNS, Led
from boards.parts.screen import Screen
from tests.parts.fake_root import FakeRoot


@pytest.fixture
def root(tmp_path: Path) -> FakeRoot:
    return FakeRoot(tmp_path / "root")


def test_heat_by_type_and_by_folder(root: FakeRoot) -> None:
    root.zone("acpitz", 20000)
    root.zone("cpu-thermal", 61234, 1)
    assert Thermal({"zone": "cpu-thermal"}, str(root)).read() == {"heat_mc": 61234}
    one = Thermal({"zone": "thermal_zone1"}, str(root))
    assert one.read() == {"heat_mc": 61234}
    root.zone("cpu-thermal", "hot", 1)
    with pytest.raises(OSError, match="'hot', which is no number"):
        one.read()
    with pytest.raises(OSError, match="no thermal zone gpu"):
        Thermal({"zone": "gpu"}, str(root)).read()


def test_a_weak_supply(root: FakeRoot) -> None:
    with pytest.raises(OSError, match="nothing called rpi_volt"):
        Undervoltage({"undervoltage": "rpi_volt"}, str(root)).read()
    root.hwmon("rpi_volt", 0)
    one = Undervoltage({"undervoltage": "rpi_volt"}, str(root))
    assert one.read() == {"weak": 0}
    root.hwmon("rpi_volt", 1)
    assert one.read() == {"weak": 1}
    root.put("sys/devices/platform/soc/soc:firmware/get_throttled", "50000")
    assert one.read() == {"weak": 0}, "it was, and is not now"
    root.put("sys/devices/platform/soc/soc:firmware/get_throttled", "50005")
    assert one.read() == {"weak": 1}


def test_an_old_laptop(root: FakeRoot) -> None:
    one = Supply({}, str(root))
    assert not one.is_there and one.read() == {}
    root.supply("AC", "Mains", online=1)
    assert not one.is_there, "without a battery there is nothing to watch"
    root.supply("BAT0", "Battery", status="Charging", capacity=71)
    root.supply("hidpp", "Battery", scope="Device", status="Discharging", capacity=3)
    assert one.is_there and one.read() == {"on_mains": 1, "battery_percent": 71}
    root.supply("AC", "Mains", online=0)
    root.supply("BAT0", "Battery", status="Discharging", capacity=70)
    root.supply("BAT1", "Battery", status="Discharging", capacity=104)
    assert one.read() == {"on_mains": 0, "battery_percent": 70}


def test_the_one_that_the_board_names(root: FakeRoot) -> None:
    root.supply("AC", "Mains", online=1)
    root.supply("ups", "UPS", status="Discharging", capacity=40)
    assert Supply({"supply": "ups"}, str(root)).read() == {"on_mains": 0, "battery_percent": 40}
    with pytest.raises(OSError, match="no power supply other"):
        Supply({"supply": "other"}, str(root)).read()


def test_a_disk_and_a_card(root: FakeRoot, tmp_path: Path) -> None:
    facts = Disk({"path": str(tmp_path)}, str(root)).read()
    assert set(facts) == {"free_bytes"} and facts["free_bytes"] > 0
    root.card(tmp_path)
    facts = Disk({"path": str(tmp_path)}, str(root)).read()
    assert (facts["written_bytes"], facts["wear_percent"]) == (2048 * 512, 30)
    root.put("sys/devices/mmc/block/mmcblk0/device/life_time", "0x0b 0x01")
    assert Disk({"path": str(tmp_path)}, str(root)).read()["wear_percent"] == 100
    root.put("sys/devices/mmc/block/mmcblk0/device/life_time", "0x00 0x00")
    assert "wear_percent" not in Disk({"path": str(tmp_path)}, str(root)).read()
    with pytest.raises(OSError, match="No such file"):
        Disk({"path": str(tmp_path / "none")}, str(root)).read()


def test_the_real_disk_of_this_machine(tmp_path: Path) -> None:
    assert Disk({"path": str(tmp_path)}).read()["free_bytes"] > 0


def test_a_light_blinks_by_itself_and_is_given_back(root: FakeRoot) -> None:
    root.led()
    led = Led({"name": "ACT"}, str(root))

    def state() -> tuple[str, ...]:
        return tuple(root.text(f"sys/class/leds/ACT/{name}") for name in ("trigger", "delay_on", "delay_off"))

    led.show("calm")
    assert state() == ("timer", "1000", "0")
    led.show("emergency")
    assert state() == ("timer", "150", "150")
    led.show("off")
    assert state() == ("timer", "0", "1000")
    for name in PATTERNS:
        led.show(name)
    led.stop()
    assert state()[0] == "mmc0"
    root.put("sys/class/leds/ACT/trigger", "none [timer] mmc0")
    root.put("sys/class/leds/ACT/delay_on", 500)
    root.put("sys/class/leds/ACT/delay_off", 400)
    os.chmod(root.path / "sys/class/leds/ACT/trigger", 0o444)
    led.show("calm")
    led.stop()
    assert state() == ("none [timer] mmc0", "500", "400"), "the trigger is left alone where it stands already"
    with pytest.raises(OSError, match="No such file"):
        Led({"name": "PWR"}, str(root)).show("calm")


def test_a_screen_is_dimmed_and_given_back(root: FakeRoot) -> None:
    def state() -> tuple[str, ...]:
        return tuple(root.text(f"sys/class/backlight/10-0045/{name}") for name in ("brightness", "bl_power"))

    root.screen(90)
    screen = Screen(str(root))
    for level, wanted in (("dim", ("31", "0")), ("off", ("90", "4")), ("on", ("90", "0")), ("dim", ("31", "0"))):
        screen.show(level)
        assert state() == wanted
    killed = Screen(str(root))
    killed.show("on")
    assert state() == ("255", "0"), "not dim for ever"
    screen.stop()
    assert state() == ("90", "0")
    root.put("sys/class/backlight/10-0045/brightness", "bright")
    with pytest.raises(OSError, match="which is no number"):
        Screen(str(root)).show("dim")
