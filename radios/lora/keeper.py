"""The governor of one radio as the driver has it: its settings made into law, its budgets from the ledger.

The law is looked up when the radio says what it is (a Meshtastic device has its own region) and when that changes. A
radio that keeps the law itself is believed in power, dwell and listening, and held to the hour all the same; one that
we command is held to everything. Radios of one node that share a directory share their sub-bands' budgets.
"""

from __future__ import annotations

import os
from weakref import WeakValueDictionary

from radios.lora import regions
from radios.lora.governor import Governor, Never, Wait
from radios.lora.ledger import FileDisk, Ledger, boot_id
from radios.lora.regions import Law, Unlawful

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.governor import Budget
    from radios.lora.modem import Modem

LEDGER_MS = 100  # until the reserve is on the disk, as a rule
_LEDGERS: WeakValueDictionary[str, Ledger] = WeakValueDictionary()


def open_ledger(folder: str, now_ms: int, wall_ms: Callable[[], int | None] | None = None) -> Ledger:
    """The ledger of a directory, the same for all who hold it; "" keeps nothing and begins with a full hour spent."""
    if not folder:
        return Ledger(None, now_ms)
    path = os.path.realpath(folder)
    ledger = _LEDGERS.get(path)
    if ledger is None:
        ledger = Ledger(FileDisk(path), now_ms, boot_id(), wall_ms)
        _LEDGERS[path] = ledger
    return ledger


class Keeper:
    """See the module. settings: region, freq_hz, bw_hz, power_dbm, antenna_dbi; duty_permille, which only tightens."""

    def __init__(self, settings: dict[str, Any], modem: Modem, ledger: Ledger) -> None:
        self._settings = settings
        self._modem = modem
        self._ledger = ledger
        self._facts: tuple[Any, ...] = ()
        self._unlawful: Unlawful | None = None
        self._law: Law | None = None
        self._governor: Governor | None = None
        self._limits: list[tuple[Budget, int]] = []
        self._utilisation = 0

    def ask(self, now_ms: int, lane_class: int, airtime_us: int) -> int | Never:
        """See Governor.ask; Wait "ledger" while the reserve is being written."""
        governor = self._tuned(now_ms)
        if governor is None:
            why = self._unlawful or Unlawful("no_region", "")
            return Never(why.reason, why.text)
        answer = governor.ask(now_ms, lane_class, airtime_us)
        if isinstance(answer, int) and not answer and not self._ledger.ready(self._limits, airtime_us, now_ms):
            return Wait(LEDGER_MS, "ledger")
        return answer

    def spent(self, now_ms: int, lane_class: int, airtime_us: int) -> None:
        """See Governor.spent; after an answer of 0."""
        if self._governor is not None:
            self._governor.spent(now_ms, lane_class, airtime_us)

    def settle(self, now_ms: int, airtime_us: int | None = None, *, sure: bool = True) -> None:
        """See Governor.settle."""
        if self._governor is not None:
            self._governor.settle(now_ms, airtime_us, sure=sure)
            self._ledger.ready(self._limits, 0, now_ms)

    def utilisation(self, percent: int) -> None:
        """See Governor.utilisation."""
        self._utilisation = percent
        if self._governor is not None:
            self._governor.utilisation(percent)

    def close(self, now_ms: int) -> None:
        """Write down what was spent; it may be asked again."""
        self.settle(now_ms, sure=False)
        self._ledger.close(now_ms)

    @property
    def fault(self) -> str:
        """What is wrong with the record of airtime, for a person; "" nothing."""
        return self._ledger.fault

    def status(self, now_ms: int) -> dict[str, str | int]:
        """Facts for `waypost radio airtime`: the sub-band, its hour, what is used."""
        governor = self._tuned(now_ms)
        if governor is None or self._law is None:
            return {"airtime": self._unlawful.text if self._unlawful is not None else ""}
        out: dict[str, str | int] = {"airtime": ", ".join(name for name, _ in self._law.limits)}
        if self._law.check:
            out["airtime.check"] = "the law table is not sure of this sub-band: docs/AIRTIME.md"
        if self._ledger.fault:
            out["airtime.fault"] = self._ledger.fault
        return out | governor.status(now_ms)

    def _tuned(self, now_ms: int) -> Governor | None:
        """The governor for what the radio is now; None where the law forbids it to send."""
        modem, phy = self._modem, self._modem.phy
        facts = (modem.region, modem.csma, modem.paces_itself, *((phy.freq_hz, phy.bw_hz) if phy else ()))
        if facts != self._facts:
            if self._governor is not None:
                self._governor.settle(now_ms, sure=False)
            self._facts, self._governor, self._law, self._unlawful = facts, None, None, None
            try:
                self._law = self._look_up()
            except Unlawful as error:
                self._unlawful = error
                return None
            self._limits = [(self._ledger.budget(name, now_ms), limit_us) for name, limit_us in self._law.limits]
            self._governor = Governor(self._law, [budget for budget, _ in self._limits])
            self._governor.utilisation(self._utilisation)
        return self._governor

    def _look_up(self) -> Law:
        modem, phy, settings = self._modem, self._modem.phy, self._settings
        region = str(settings.get("region", ""))
        freq_hz = phy.freq_hz if phy else int(settings.get("freq_hz", 0))
        bw_hz = phy.bw_hz if phy else int(settings.get("bw_hz", 0))
        duty_ppm_max = int(settings.get("duty_permille", 1000)) * 1000
        if not modem.paces_itself:
            return regions.law(region, freq_hz, bw_hz, power_dbm=settings.get("power_dbm"), listens=modem.csma,
                               antenna_dbi=int(settings.get("antenna_dbi", regions.DIPOLE_DBI)),
                               duty_ppm_max=duty_ppm_max)
        if region and modem.region and regions.canonical(region) != regions.canonical(modem.region):
            raise Unlawful("region_differs", f"the radio is set to {modem.region} and lora.region to {region}: "
                                             "mend the one that is wrong")
        return regions.law_of_device(modem.region, freq_hz, bw_hz, duty_ppm_max)
