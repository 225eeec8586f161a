"""UPS boards by their chips: the registers of the data sheets, on an emulated chip and through the kernel's ioctls."""

from __future__ import annotations

from pathlib import Path

import pytest

from boards.parts import ups
from boards.parts.i2c import Chip
from boards.parts.ups import FuelGauge, Ina219
from tests.emulation import not_emulated


class Registers:
    """A chip as its driver sees it: registers of 16 bits."""

    def __init__(self, **values: int) -> None:
        self.values = {int(name[1:], 16): value for name, value in values.items()}

    def read(self, register: int) -> int:
        return self.values[register]

    def write(self, register: int, value: int) -> None:
        self.values[register] = value


def test_max17040() -> None:
    # 19-5210: SOC in units of 1/256 %, VCELL in the upper 12 bits, 1.25 mV each
    assert FuelGauge(Registers(x04=0x5A80, x02=3200 << 4)).read() == {"battery_percent": 90, "battery_mv": 4000}
    assert FuelGauge(Registers(x04=0x6500, x02=0)).read() == {"battery_percent": 100, "battery_mv": 0}


@pytest.mark.parametrize(("shunt", "on_mains"), [(0x0000, 1), (0x1F40, 1), (0xFFF0, 1), (0xFFEC, 0), (0xE0C0, 0)])
def test_ina219_by_the_direction_of_the_current(shunt: int, on_mains: int) -> None:
    # SBOS448: shunt in two's complement of 10 uV, bus voltage in the upper 13 bits of 4 mV
    chip = Registers(x00=0x399F, x01=shunt, x02=(3800 // 4) << 3 | 2)
    facts = Ina219(chip, 1).read()
    assert facts["on_mains"] == on_mains and facts["battery_mv"] == 3800
    assert facts["battery_percent"] == (3800 - 3200) * 100 // 950


def test_ina219_is_set_up_where_it_is_not() -> None:
    chip = Registers(x00=0x0000, x01=0, x02=(8300 // 4) << 3)
    assert Ina219(chip, 2).read()["battery_percent"] == 100
    assert chip.values[0] == 0x399F
    assert Ina219(Registers(x00=0x399F, x01=0, x02=(3000 // 4) << 3), 1).read()["battery_percent"] == 0


def test_what_may_be_set() -> None:
    assert ups.parse("max17040@1:0x36") == ("max17040", 1, 0x36)
    assert ups.parse(" ina219@10:67 ") == ("ina219", 10, 67)
    for text in ("", "max17040", "max17040@1", "bq27441@1:0x55", "max17040@x:0x36", "ina219@1:", "ina219@1:zz",
                 "ina219@1:0x78", "ina219@1:0x02", "ina219@-1:0x40"):
        with pytest.raises(ValueError):
            ups.parse(text)
    assert isinstance(ups.sensor("max17048@1:0x36"), FuelGauge)
    assert isinstance(ups.sensor("ina219@1:0x43", 3), Ina219)


def test_a_bus_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        ups.sensor("max17040@7:0x36", root=str(tmp_path)).read()


@not_emulated("knows no ioctl of a file")
def test_what_is_no_bus(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "i2c-1").write_text("")
    with pytest.raises(OSError, match="ioctl"):
        Chip(1, 0x36, str(tmp_path)).read(4)
