"""What the law allows on a frequency: regions and their sub-bands as data, and the rules for one radio made from them.

A sub-band says how much of an hour, how strong, how long at once, and whether to listen first. What it is not sure of
has the strictest figure known and is marked `check`; a person must look it up. A user can only tighten. Where each row
is from stands in radios/lora/region_sources.py and, with the table, in docs/AIRTIME.md. Nothing is sent outside a row.
"""

from __future__ import annotations

HOUR_US = 3600000000
BW_HZ_UNKNOWN = 500000  # the widest there is below 1 GHz
DIPOLE_DBI = 2  # 2.15, on the safe side
FREE_GAIN_DBI = 6  # 47 CFR 15.247(b)(4)
STRICTEST_PPM = 1000
_FHSS = ((250000, 400000, 20000), (500000, 400000, 10000))  # 47 CFR 15.247(a)(1)(i)


class Band:
    """One sub-band. low_khz, high_khz: its edges; duty_ppm: of every hour; power_dbm and kind: "erp", "eirp" or
    "conducted"; dwell: rows (for signals narrower than so many Hz, at most so many microseconds, in any so many ms);
    frame_us_max: of one transmission, 0 for any; bw_hz_max: 0 for any; listen: only after listening; source: a key of
    region_sources; check: what a person must still look up, "" for nothing."""

    __slots__ = ("low_khz", "high_khz", "duty_ppm", "power_dbm", "kind", "source", "check", "dwell", "frame_us_max",
                 "bw_hz_max", "listen")

    def __init__(self, low_khz: int, high_khz: int, duty_ppm: int, power_dbm: int, kind: str, source: str,
                 check: str = "", *, dwell: tuple[tuple[int, int, int], ...] = (), frame_us_max: int = 0,
                 bw_hz_max: int = 0, listen: bool = False) -> None:
        self.low_khz = low_khz
        self.high_khz = high_khz
        self.duty_ppm = duty_ppm
        self.power_dbm = power_dbm
        self.kind = kind
        self.source = source
        self.check = check
        self.dwell = dwell
        self.frame_us_max = frame_us_max
        self.bw_hz_max = bw_hz_max
        self.listen = listen


_FREE = 1000000
_UNREAD = "not read in the standard itself"
REGIONS: dict[str, tuple[Band, ...]] = {
    "EU868": (
        Band(863000, 865000, 1000, 14, "erp", "en300220", _UNREAD),
        Band(865000, 868000, 10000, 14, "erp", "en300220", _UNREAD + "; other rows for networked devices"),
        Band(868000, 868600, 10000, 14, "erp", "un39"),
        Band(868700, 869200, 1000, 14, "erp", "un39"),
        Band(869400, 869650, 100000, 27, "erp", "rir1008"),
        Band(869700, 870000, 10000, 14, "erp", "en300220", _UNREAD + "; no duty cycle at 5 mW"),
    ),
    "EU866": (Band(865600, 867600, 25000, 27, "erp", "eu46b", "four channels of 200 kHz, adaptive power",
                   bw_hz_max=200000),),
    "EU433": (Band(433050, 434790, 100000, 10, "erp", "en300220"),),
    "UA433": (Band(433050, 434700, 100000, 10, "erp", "meshtastic"),),
    "UA868": (Band(868000, 868600, 10000, 14, "erp", "meshtastic"),),
    "US": (Band(902000, 928000, _FREE, 30, "conducted", "cfr15247", dwell=_FHSS),),
    "ANZ": (Band(915000, 928000, _FREE, 30, "eirp", "meshtastic", "below 500 kHz: the rule of the US", dwell=_FHSS),),
    "ANZ433": (Band(433050, 434790, _FREE, 14, "eirp", "meshtastic"),),
    "NZ865": (Band(864000, 868000, _FREE, 36, "eirp", "meshtastic"),),
    "JP": (Band(920500, 923500, 100000, 13, "eirp", "t108", "the short form: 0.4 s at once, 360 s an hour",
                frame_us_max=400000, bw_hz_max=1000000, listen=True),),
    "KR": (Band(920000, 923000, _FREE, 10, "eirp", "meshtastic", "power by channel; the dwell rule of the US",
                dwell=((_FREE, 400000, 20000),), listen=True),),
    "TW": (Band(920000, 925000, _FREE, 27, "eirp", "meshtastic", "listening; the dwell rule of the US",
                dwell=((_FREE, 400000, 20000),), listen=True),),
    "TH": (Band(920000, 925000, 100000, 27, "eirp", "meshtastic"),),
    "IN": (Band(865000, 867000, _FREE, 30, "eirp", "meshtastic"),),
    "SG923": (Band(917000, 925000, _FREE, 20, "eirp", "meshtastic"),),
    "MY433": (Band(433000, 435000, _FREE, 20, "eirp", "meshtastic"),),
    "MY919": (Band(919000, 923000, _FREE, 27, "eirp", "meshtastic"),
              Band(923000, 924000, 10000, 27, "eirp", "meshtastic")),
    "RU": (Band(868700, 869200, 1000, 14, "erp", "meshtastic", "more where listening counts as such"),),
    "BR902": (Band(902000, 907500, _FREE, 30, "eirp", "meshtastic", "the dwell rule of the US", dwell=_FHSS),),
    "KZ433": (Band(433075, 434775, _FREE, 10, "eirp", "meshtastic"),),
    "KZ863": (Band(863000, 868000, _FREE, 14, "eirp", "meshtastic", "25 mW in the note, 1 W in its table"),),
    "NP865": (Band(865000, 868000, 10000, 14, "erp", "meshtastic", "the policy has no figures: those of Europe"),),
    "PH433": (Band(433050, 434700, _FREE, 10, "erp", "meshtastic", "an approved device"),),
    "PH868": (Band(868000, 869400, _FREE, 14, "erp", "meshtastic", "an approved device"),),
    "PH915": (Band(915000, 918000, _FREE, 24, "eirp", "meshtastic", "no external antenna"),),
    "CN": (Band(470000, 510000, _FREE, 17, "erp", "meshtastic", "the strict entry: 1 s at once, 200 kHz, 50 mW",
                frame_us_max=1000000, bw_hz_max=200000),),
    "LORA24": (Band(2400000, 2483500, _FREE, 10, "eirp", "meshtastic", "adaptivity by EN 300 328"),),
}
_ALIASES = {"EUN868": "EU868", "US915": "US", "AU915": "ANZ", "ANZ915": "ANZ", "IN865": "IN", "JP920": "JP",
            "KR920": "KR", "TW920": "TW", "TH920": "TH", "CN470": "CN", "RU868": "RU", "LORA2400": "LORA24"}


class Unlawful(Exception):
    """This radio may not transmit. reason: a stable word; text: why, and what to do, for a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Law:
    """The rules for one radio. limits: of each sub-band that its signal touches, (name, microseconds an hour); dwell:
    (microseconds at most, in any so many ms) or None; frame_us_max: of one transmission, 0 for any; check: a person
    must still look something up."""

    __slots__ = ("limits", "dwell", "frame_us_max", "check")

    def __init__(self, limits: list[tuple[str, int]], dwell: tuple[int, int] | None = None, frame_us_max: int = 0,
                 check: bool = False) -> None:
        self.limits = limits
        self.dwell = dwell
        self.frame_us_max = frame_us_max
        self.check = check


def canonical(region: str) -> str:
    """The name in the table of a region however it is written ("EU_868", "us915"); itself where there is none."""
    name = "".join(char for char in region.upper() if char not in "_- ")
    return _ALIASES.get(name, name)


def law(region: str, freq_hz: int, bw_hz: int, *, power_dbm: int | None = None, antenna_dbi: int = DIPOLE_DBI,
        listens: bool = False, duty_ppm_max: int = 1000000) -> Law:
    """The rules for a radio that we command. bw_hz: 0 where unknown; power_dbm: what the radio puts into the antenna,
    None where unknown; duty_ppm_max: the user's own, tighter limit. Raises Unlawful."""
    name = canonical(region)
    if not name:
        raise Unlawful("no_region", "no region is set, so it does not transmit: set lora.region")
    if name not in REGIONS:
        raise Unlawful("unknown_region", f'no law is known for region "{region}": set lora.region to one of '
                       + ", ".join(sorted(REGIONS)))
    width_hz = bw_hz or BW_HZ_UNKNOWN
    bands = _covering(REGIONS[name], freq_hz - width_hz // 2, freq_hz + width_hz // 2)
    at = f"{freq_hz // 1000000}.{freq_hz // 1000 % 1000:03} MHz"
    if not bands:
        wide = f"{width_hz // 1000} kHz wide" + ("" if bw_hz else ", for want of lora.bw_hz")
        raise Unlawful("out_of_band", f"{at}, {wide}, is not within what {name} allows: set lora.freq_hz")
    for band in bands:
        if band.bw_hz_max and width_hz > band.bw_hz_max:
            raise Unlawful("too_wide", f"at {at} a signal has at most {band.bw_hz_max // 1000} kHz: set lora.bw_hz")
        if band.listen and not listens:
            raise Unlawful("must_listen", f"{name} wants a radio that listens before it talks; this one can't")
        if power_dbm is not None and _radiated_dbm(band, power_dbm, antenna_dbi) > band.power_dbm:
            raise Unlawful("too_strong", f"at {at} {band.power_dbm} dBm {band.kind} are allowed, and {power_dbm} dBm "
                           f"at an antenna of {antenna_dbi} dBi are more: lower lora.power_dbm")
    dwells = [row[1:] for band in bands for row in band.dwell if (bw_hz or 1) < row[0]]
    frames_us = [band.frame_us_max for band in bands if band.frame_us_max]
    return Law([(_name(name, band), _hour_us(min(band.duty_ppm, duty_ppm_max))) for band in bands],
               min(dwells, key=lambda row: row[0] * 1000000 // row[1]) if dwells else None,
               min(frames_us, default=0), any(band.check for band in bands))


def law_of_device(region: str, freq_hz: int, bw_hz: int, duty_ppm_max: int = 1000000) -> Law:
    """The hour for a radio that keeps its region's law itself (Meshtastic); the rest is the device's affair.

    A region or frequency that the table lacks has the strictest hour in it. Raises Unlawful without a region.
    """
    name = canonical(region)
    if not name:
        raise Unlawful("no_region", "the radio has no region, so it does not transmit: set it with waypost radio "
                                    "setup --region (of meshtastic-udp: with lora.region)")
    bands = _covering(REGIONS.get(name, ()), freq_hz - bw_hz // 2, freq_hz + bw_hz // 2)
    if not bands:
        return Law([(name + "/any", _hour_us(min(STRICTEST_PPM, duty_ppm_max)))], check=True)
    return Law([(_name(name, band), _hour_us(min(band.duty_ppm, duty_ppm_max))) for band in bands],
               check=any(band.check for band in bands))


def _covering(bands: tuple[Band, ...], low_hz: int, high_hz: int) -> list[Band]:
    """The sub-bands that a signal touches, [] if any of it is outside; adjacent ones may be used as one if the rules of
    each are kept (Decision (EU) 2019/1345, annex)."""
    out = []
    for band in bands:
        if band.low_khz * 1000 <= low_hz < band.high_khz * 1000:
            out.append(band)
            if high_hz <= band.high_khz * 1000:
                return out
            low_hz = band.high_khz * 1000
    return []


def _radiated_dbm(band: Band, power_dbm: int, antenna_dbi: int) -> int:
    if band.kind == "conducted":
        return power_dbm + max(antenna_dbi - FREE_GAIN_DBI, 0)
    return power_dbm + antenna_dbi - (DIPOLE_DBI if band.kind == "erp" else 0)


def _name(region: str, band: Band) -> str:
    return f"{region}/{band.low_khz}-{band.high_khz}"


def _hour_us(ppm: int) -> int:
    return HOUR_US // 1000000 * ppm
