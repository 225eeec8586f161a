"""The pins of a UART HAT: M0 and M1 choose the module's mode, AUX says that it is busy.

`GpioPins` drives them through the optional gpiod package (version 2); nothing is imported before it is used. Tests and
other boards hand in an object of their own.
"""

from __future__ import annotations

import importlib

from radios.lora.modem import LinkDown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

M0_DEFAULT, M1_DEFAULT = 22, 27  # Waveshare SX1262 and SX1268 UART HAT


class Pins:
    """What the modem asks for."""

    def take(self) -> None:
        """Claim the pins. Raises LinkDown with what to do."""
        raise NotImplementedError

    def mode(self, m0: bool, m1: bool) -> None:
        """Set both."""
        raise NotImplementedError

    def busy(self) -> bool | None:
        """Whether AUX is low; None without an AUX line."""
        raise NotImplementedError

    def give_back(self) -> None:
        """Release the pins; may be called at any time."""
        raise NotImplementedError


class GpioPins(Pins):
    """chip: e.g. "/dev/gpiochip0"; m0, m1, aux: line numbers (BCM on a Pi), aux None where it isn't wired."""

    def __init__(self, chip: str = "/dev/gpiochip0", m0: int = M0_DEFAULT, m1: int = M1_DEFAULT,
                 aux: int | None = None) -> None:
        self._chip = chip
        self._m0 = m0
        self._m1 = m1
        self._aux = aux
        self._lines: Any = None
        self._gpiod: Any = None

    def take(self) -> None:
        """See Pins.take."""
        try:
            gpiod: Any = importlib.import_module("gpiod")
        except ImportError as error:
            raise LinkDown("no_pins", "the pins M0 and M1 need the gpiod package: install waypost[gpio]") from error
        self._gpiod = gpiod
        line = gpiod.line
        out = gpiod.LineSettings(direction=line.Direction.OUTPUT, output_value=line.Value.INACTIVE)
        config: dict[Any, Any] = {(self._m0, self._m1): out}
        if self._aux is not None:
            config[self._aux] = gpiod.LineSettings(direction=line.Direction.INPUT)
        try:
            self._lines = gpiod.request_lines(self._chip, consumer="waypost", config=config)
        except OSError as error:
            raise LinkDown("no_pins", f"pins {self._m0} and {self._m1} of {self._chip}: {error.strerror}; is another "
                                      "program using them, is this user in the group gpio?") from error

    def mode(self, m0: bool, m1: bool) -> None:
        """See Pins.mode."""
        value = self._gpiod.line.Value
        self._lines.set_values({self._m0: value.ACTIVE if m0 else value.INACTIVE,
                                self._m1: value.ACTIVE if m1 else value.INACTIVE})

    def busy(self) -> bool | None:
        """See Pins.busy."""
        if self._aux is None:
            return None
        return bool(self._lines.get_value(self._aux) == self._gpiod.line.Value.INACTIVE)

    def give_back(self) -> None:
        """See Pins.give_back."""
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.release()
