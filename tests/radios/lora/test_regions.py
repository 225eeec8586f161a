"""The law table: rows that hang together, the rules made from them, and what may not transmit at all."""

from __future__ import annotations

from typing import Any

import pytest

from radios.lora import regions
from radios.lora.meshtastic import facts
from radios.lora.region_sources import SOURCES
from radios.lora.regions import REGIONS, Law, Unlawful, canonical, law, law_of_device
from tools.dev import docs_airtime

HOUR_US = 3600000000
MHZ = 1000000


def test_rows_hang_together() -> None:
    for name, bands in REGIONS.items():
        assert canonical(name) == name
        edges = [khz for band in bands for khz in (band.low_khz, band.high_khz)]
        assert edges == sorted(edges) and all(band.low_khz < band.high_khz for band in bands), name
        for band in bands:
            assert regions.STRICTEST_PPM <= band.duty_ppm <= 1000000 and 10 <= band.power_dbm <= 36
            assert band.kind in ("erp", "eirp", "conducted") and band.source in SOURCES
    assert set(SOURCES) == {band.source for bands in REGIONS.values() for band in bands}


def test_every_region_of_meshtastic_is_known() -> None:
    assert {canonical(row[0]) for row in facts.REGIONS.values()} <= set(REGIONS)


@pytest.mark.parametrize(("region", "mhz", "bw_hz", "seconds"), [
    ("EU868", 869.525, 250000, 360), ("eu_868", 869.525, 125000, 360), ("EU868", 868.1, 125000, 36),
    ("EU868", 868.95, 125000, 3.6), ("EU868", 864.0, 125000, 3.6), ("EU868", 866.0, 125000, 36),
    ("EU868", 869.85, 125000, 36), ("EU433", 433.5, 125000, 360), ("UA_868", 868.3, 250000, 36),
    ("TH", 922, 125000, 360), ("US", 915, 500000, 3600), ("US915", 915, 500000, 3600), ("RU", 868.95, 125000, 3.6),
    ("MY_919", 923.5, 125000, 36), ("MY_919", 921, 125000, 3600), ("EU_866", 865.7, 125000, 90),
])
def test_hour(region: str, mhz: float, bw_hz: int, seconds: float) -> None:
    assert [us for _, us in law(region, round(mhz * MHZ), bw_hz).limits] == [round(seconds * 1000000)]


def test_two_adjacent_sub_bands_keep_the_rules_of_both() -> None:
    both = law("EU868", 868000000, 125000, power_dbm=14)
    assert both.limits == [("EU868/865000-868000", HOUR_US // 100), ("EU868/868000-868600", HOUR_US // 100)]
    assert law("EU868", 868125000, 0).limits == both.limits  # an E22 on channel 18, of unknown width
    assert [us for _, us in law("EU868", 865000000, 125000).limits] == [HOUR_US // 1000, HOUR_US // 100]


def test_dwell_by_width() -> None:
    """47 CFR 15.247 (a)(1)(i); from 500 kHz it is digital modulation. Unknown counts as narrow."""
    assert law("US", 915000000, 125000).dwell == (400000, 20000)
    assert law("US", 915000000, 250000).dwell == (400000, 10000)
    assert law("US", 915000000, 500000).dwell is None
    assert law("US", 915000000, 0).dwell == (400000, 20000)
    assert law("JP", 921000000, 125000, power_dbm=13 - 2, listens=True).frame_us_max == 400000


@pytest.mark.parametrize(("given", "reason", "said"), [
    ({"region": ""}, "no_region", "set lora.region"),
    ({"region": "ATLANTIS"}, "unknown_region", "EU868"),
    ({"freq_hz": 869650000}, "out_of_band", "869.650 MHz"),
    ({"freq_hz": 868650000, "bw_hz": 62500}, "out_of_band", "62 kHz"),  # alarms
    ({"freq_hz": 869500000, "bw_hz": 0}, "out_of_band", "lora.bw_hz"),
    ({"freq_hz": 0}, "out_of_band", "lora.freq_hz"),
    ({"power_dbm": 28}, "too_strong", "27 dBm erp"),
    ({"power_dbm": 22, "antenna_dbi": 8}, "too_strong", "antenna of 8 dBi"),
    ({"freq_hz": 868300000, "power_dbm": 15}, "too_strong", "lora.power_dbm"),
    ({"region": "US", "freq_hz": 915000000, "power_dbm": 30, "antenna_dbi": 7}, "too_strong", "30 dBm conducted"),
    ({"region": "JP", "freq_hz": 921000000}, "must_listen", "listens"),
    ({"region": "EU_866", "freq_hz": 866500000}, "too_wide", "200 kHz"),
])
def test_unlawful(given: dict[str, Any], reason: str, said: str) -> None:
    full = {"region": "EU868", "freq_hz": 869525000, "bw_hz": 250000} | given
    with pytest.raises(Unlawful, match=said) as caught:
        law(full.pop("region"), full.pop("freq_hz"), full.pop("bw_hz"), **full)
    assert caught.value.reason == reason and caught.value.text


def test_lawful_powers() -> None:
    for power_dbm, antenna_dbi in ((27, 2), (24, 5), (14, 9)):
        law("EU868", 869525000, 250000, power_dbm=power_dbm, antenna_dbi=antenna_dbi)
    law("US", 915000000, 500000, power_dbm=30, antenna_dbi=6)


def test_a_user_can_only_tighten() -> None:
    assert law("EU868", 869525000, 250000, duty_ppm_max=20000).limits[0][1] == HOUR_US // 50
    assert law("EU868", 869525000, 250000, duty_ppm_max=900000).limits[0][1] == HOUR_US // 10


def test_a_device_that_keeps_the_law_itself() -> None:
    def hour(made: Law) -> int:
        return made.limits[0][1]

    assert hour(law_of_device("EU_868", 869525000, 250000)) == HOUR_US // 10
    assert law_of_device("US", 906875000, 250000).dwell is None  # Meshtastic's reading: docs/AIRTIME.md
    assert hour(law_of_device("region_34", 0, 250000)) == HOUR_US // 1000
    assert hour(law_of_device("EU_868", 915000000, 250000)) == HOUR_US // 1000
    with pytest.raises(Unlawful, match="no region"):
        law_of_device("", 869525000, 250000)


def test_the_page_is_of_today() -> None:
    with open(docs_airtime.PATH, encoding="utf-8") as file:
        assert file.read() == docs_airtime.page(), "make it anew: python -m tools.dev.docs_airtime"
