"""Writes docs/AIRTIME.md: the law table as it is in the code, its sources, and what a person must still check.

    python -m tools.dev.docs_airtime
"""

from __future__ import annotations

import os

from radios.lora.airtime import time_on_air_us
from radios.lora.governor import (
    BURST_PERMILLE,
    BUSY_PERCENT,
    FULL_PERCENT,
    OWN_PERMILLE,
    POLITE_PPM,
    SHARES_PERMILLE,
)
from radios.lora.ledger import FILE_NAME, PIECES
from radios.lora.meshtastic import facts
from radios.lora.region_sources import SOURCES
from radios.lora.regions import REGIONS, STRICTEST_PPM, Band

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "docs", "AIRTIME.md")

_HEAD = """# Airtime

Made from the code by `python -m tools.dev.docs_airtime`.

A LoRa radio shares its frequency with everybody, and the law says how much of the time it may take. Waypost asks its
governor before every packet; without a region it transmits nothing and says so. This page is no legal advice: what is
allowed where you are is for you to know, and the rows marked **check** are those that we could not read in the law
itself. Where we weren't sure, the table has the strictest figure that we know.

## What the governor does

- **The hour is exact.** A packet counts from the moment it is handed to the radio until an hour after it has left the
  air. So in no window of 3600 s, wherever it begins, is more on the air than the sub-band allows.
- **A restart refills nothing.** `{file}` in the node's directory has what was spent. Airtime is reserved there before
  it is used, in pieces of 1/{pieces} of the hour's limit, so that a card is written some {pieces} times in an hour that
  is used up, and not at all while nothing is sent. After a crash the whole piece counts as used. After a reboot the
  wall clock is believed only if it was and is synchronised; otherwise all that is in the file counts as used just now.
  A torn file counts as a whole hour; a disk that can't be written stops the radio. A file that isn't there is a new
  node's: who deletes it breaks the promise.
- **Who gets it.** Alerts may use all of the limit. All the rest together has at most {own} % of it, of which bulk at
  most {bulk} % and answers to people with Meshtastic radios at most {bot} % (all of the limit's hour), in bursts of at
  most {burst} %. Where the law allows more than {polite} % of the time, that rest reckons with {polite} %: the channel
  is not ours alone.
- **Manners.** From a channel utilisation of {busy} % bulk and answers wait, from {full} % everything but alerts.
- **Width, power, listening.** For a radio that we command (RNode, REYAX, EByte) the whole signal must be within the
  table; one that touches two adjacent sub-bands keeps the rules of both. An unknown width counts as 500 kHz:
  `lora.bw_hz` says better. `lora.power_dbm` with `lora.antenna_dbi` (2 by default: a plain rod) must not be more than
  the row has. Where the law asks for listening, a modem that can't listen does not transmit.
- **Meshtastic devices** keep their region's law themselves and are believed in power, dwell and listening; they are
  held to the row's hour all the same, and a region that the table lacks to {strictest} % of it. Meshtastic does not
  apply the dwell rule of 47 CFR 15.247 to its 250 kHz presets; whoever uses LongFast in the United States relies on
  its makers' reading.
- `lora.duty_permille` lowers the limit further. Nothing raises it.

Several radios of one node in one sub-band share its budget.
"""

_TABLE = """
## The table

| region | MHz | of every hour | power | further | from |
|---|---|---|---|---|---|
"""

_PRESETS = """
## Meshtastic's presets

With a preamble of 16 symbols and {overhead} bytes around a payload on the private port; time on air by Semtech
AN1200.13, low data rate optimisation from 16 ms a symbol.

| preset | SF / kHz / rate | 20 bytes | 100 | 200 | frames of 200 bytes an hour at 10 % |
|---|---|---|---|---|---|
"""


def page() -> str:
    """docs/AIRTIME.md"""
    text = _HEAD.format(file=FILE_NAME, pieces=PIECES, own=OWN_PERMILLE // 10, bulk=SHARES_PERMILLE[3] // 10,
                        bot=SHARES_PERMILLE[4] // 10, burst=BURST_PERMILLE // 10, polite=POLITE_PPM // 10000,
                        busy=BUSY_PERCENT, full=FULL_PERCENT, strictest=STRICTEST_PPM / 10000) + _TABLE
    for name, bands in sorted(REGIONS.items()):
        for band in bands:
            text += (f"| {name} | {_mhz(band.low_khz)}-{_mhz(band.high_khz)} | {band.duty_ppm / 10000:g} % "
                     f"| {band.power_dbm} dBm {band.kind} | {_further(band)} | {band.source} |\n")
    text += "\n| from | |\n|---|---|\n" + "".join(f"| {key} | {said} |\n" for key, said in SOURCES.items())
    text += ("\nPower: `erp` over a dipole, `eirp` over an isotropic antenna, `conducted` into an antenna of up to "
             "6 dBi.\n")
    text += "\n## What a person must still check\n\n"
    text += "".join(f"- {name} {_mhz(band.low_khz)}-{_mhz(band.high_khz)}: {band.check}.\n"
                    for name, bands in sorted(REGIONS.items()) for band in bands if band.check)
    text += ("- Every row from `meshtastic`: its figures are that project's reading, which we did not compare with the "
             "law.\n- Whether LoRa's channel activity detection is the listening that KR, TW and JP ask for.\n")
    return text + _presets()


def _further(band: Band) -> str:
    out = [f"below {below_hz // 1000} kHz: {us / 1000000:g} s in {ms // 1000} s" for below_hz, us, ms in band.dwell]
    if band.frame_us_max:
        out.append(f"{band.frame_us_max / 1000000:g} s at once")
    if band.bw_hz_max:
        out.append(f"up to {band.bw_hz_max // 1000} kHz wide")
    if band.listen:
        out.append("listen first")
    return "; ".join(out) + (" **check**" if band.check else "")


def _mhz(khz: int) -> str:
    return f"{khz / 1000:.3f}".rstrip("0").rstrip(".")


def _presets() -> str:
    text = _PRESETS.format(overhead=facts.OVERHEAD_BYTES)
    for name, sf, bw_hz, cr_den in facts.PRESETS.values():
        us = [time_on_air_us(sf, bw_hz, cr_den, facts.PREAMBLE, n + facts.OVERHEAD_BYTES) for n in (20, 100, 200)]
        shown = " | ".join(f"{one / 1000:.1f} ms" for one in us)
        text += f"| {name} | {sf} / {bw_hz / 1000:g} / 4:{cr_den} | {shown} | {360000000 // us[2]} |\n"
    return text


def main() -> None:
    """Write the page."""
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
