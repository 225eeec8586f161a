"""UPS boards on the I2C bus, by the chip that measures their battery: MAX17040/43/48 and INA219.

What such a board is called is set as "CHIP@BUS:ADDRESS" (sensors.ups). A fuel gauge of the MAX1704x family says how
full the battery is and not whether the mains are there; an INA219 says by the direction of the current, and how full
the battery is by its voltage, roughly. Data sheets: Maxim 19-5210 (MAX17040), 19-6171 (MAX17048), TI SBOS448 (INA219).
"""

from __future__ import annotations

from boards.parts.i2c import Chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHIPS = ("max17040", "max17043", "max17048", "ina219")
ALLOWED = f'"CHIP@BUS:ADDRESS" with one of {", ".join(CHIPS)}, such as "max17040@1:0x36" or "ina219@1:0x43"'
_VCELL, _SOC = 0x02, 0x04  # MAX1704x
_CONFIG, _SHUNT, _BUS = 0x00, 0x01, 0x02  # INA219
_CONFIG_USUAL = 0x399F  # 32 V, 320 mV, 12 bits, both all the time: as it wakes up
_SHUNT_UV, _BUS_MV = 10, 4  # of one step
_CHARGING_UV = -200  # over 0.1 ohm that is 2 mA: below it the battery gives
_EMPTY_MV, _FULL_MV = 3200, 4150  # of one lithium cell


def parse(text: str) -> tuple[str, int, int]:
    """(chip, bus, address) of what sensors.ups says. Raises ValueError."""
    chip, at, place = text.strip().partition("@")
    bus, colon, address = place.partition(":")
    if chip not in CHIPS or not at or not colon or not bus.isdigit():
        raise ValueError(f"{text!r} is no UPS")
    number = int(address, 0)
    if not 0x03 <= number <= 0x77:
        raise ValueError(f"no chip can be at {address}")
    return chip, int(bus), number


def sensor(text: str, cells: int = 1, root: str = "/") -> FuelGauge | Ina219:
    """The sensor of what sensors.ups says; cells: of the battery, in series. Raises ValueError."""
    chip, bus, address = parse(text)
    one = Chip(bus, address, root)
    return Ina219(one, cells) if chip == "ina219" else FuelGauge(one)


class FuelGauge:
    """A MAX17040, 43 or 48. Reads battery_percent and battery_mv."""

    def __init__(self, chip: Any) -> None:
        self._chip = chip

    def read(self) -> dict[str, int]:
        """Raises OSError where it does not answer."""
        percent = self._chip.read(_SOC) >> 8  # whole percents in the high byte; more than 100 while it learns
        millivolts = (self._chip.read(_VCELL) >> 4) * 5 // 4
        return {"battery_percent": min(percent, 100), "battery_mv": millivolts}


class Ina219:
    """An INA219 between the battery and the board. Reads on_mains, battery_percent, battery_mv and shunt_uv."""

    def __init__(self, chip: Any, cells: int) -> None:
        self._chip = chip
        self._cells = cells

    def read(self) -> dict[str, int]:
        """Raises OSError where it does not answer."""
        if self._chip.read(_CONFIG) != _CONFIG_USUAL:
            self._chip.write(_CONFIG, _CONFIG_USUAL)
        shunt = self._chip.read(_SHUNT)
        shunt_uv = (shunt - 65536 if shunt >= 32768 else shunt) * _SHUNT_UV
        millivolts = (self._chip.read(_BUS) >> 3) * _BUS_MV
        cell_mv = millivolts // self._cells
        percent = (cell_mv - _EMPTY_MV) * 100 // (_FULL_MV - _EMPTY_MV)
        return {"on_mains": int(shunt_uv > _CHARGING_UV), "battery_percent": max(0, min(percent, 100)),
                "battery_mv": millivolts, "shunt_uv": shunt_uv}
