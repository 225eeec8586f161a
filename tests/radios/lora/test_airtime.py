"""Time on air against published figures: AN1200.13 (SF7..12) and the SX126x rule (SF5, SF6)."""

from __future__ import annotations

import pytest

from radios.lora.airtime import time_on_air_us
from radios.lora.meshtastic import facts

# bytes, SF, microseconds at 125 kHz, 4/5, preamble 8: two public calculators agree on each
PUBLISHED = [(10, 7, 41216), (10, 11, 577536), (13, 9, 164864), (37, 7, 82176), (37, 8, 143872), (37, 9, 267264),
             (37, 10, 493568), (37, 11, 1069056), (37, 12, 1974272), (23, 7, 61696), (23, 12, 1482752)]


@pytest.mark.parametrize(("n_bytes", "sf", "us"), PUBLISHED)
def test_published(n_bytes: int, sf: int, us: int) -> None:
    assert time_on_air_us(sf, 125000, 5, 8, n_bytes) == us


def test_by_the_formula_in_floats() -> None:
    """The same sum as the application note writes it."""
    from math import ceil

    for sf in range(5, 13):
        for bw_hz in (62500, 125000, 250000, 500000):
            for cr_den in (5, 8):
                for n_bytes in (0, 1, 17, 51, 100, 255):
                    symbol_us = 2**sf / bw_hz * 1e6
                    slow = 2 if symbol_us >= 16000 else 0
                    bits = 8 * n_bytes - 4 * sf + 16 + (20 if sf < 7 else 28)
                    symbols = 16 + (6.25 if sf < 7 else 4.25) + 8 + max(ceil(bits / (4 * (sf - slow))) * cr_den, 0)
                    assert abs(time_on_air_us(sf, bw_hz, cr_den, 16, n_bytes) - symbols * symbol_us) <= 1


@pytest.mark.parametrize("wrong", [(4, 125000, 5, 8, 1), (13, 125000, 5, 8, 1), (7, 0, 5, 8, 1), (7, 125000, 4, 8, 1),
                                   (7, 125000, 5, 0, 1), (7, 125000, 5, 8, 256), (7, 125000, 5, 8, -1)])
def test_no_such_packet(wrong: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no such LoRa packet"):
        time_on_air_us(*wrong)


def radiolib_us(sf: int, bw_khz: float, cr_den: int, preamble: int, n_bytes: int) -> int:
    """RadioLib's sum for the SX126x, in its order: a whole symbol time first, quarters of symbols last."""
    symbol_us = int((10000 << sf) / (bw_khz * 10))
    spread = 4 * (sf - 2) if symbol_us >= 16000 else 4 * sf
    bits = max(8 * n_bytes + 16 - 4 * sf + (8 if sf > 6 else 0) + 20, 0)
    symbols = (bits + spread - 1) // spread * cr_den + preamble + 8
    return symbol_us * (symbols * 4 + (17 if sf > 6 else 25)) // 4


@pytest.mark.parametrize("bw_khz", [62.5, 125, 250, 500])
def test_equal_to_radiolib(bw_khz: float) -> None:
    """2,560 cases in all, to the microsecond."""
    for sf in range(5, 13):
        for cr_den in (5, 6, 7, 8):
            for n_bytes in (0, 1, 5, 10, 13, 20, 23, 37, 51, 64, 84, 100, 128, 140, 166, 200, 222, 231, 240, 255):
                ours_us = time_on_air_us(sf, int(bw_khz * 1000), cr_den, 16, n_bytes)
                assert ours_us == radiolib_us(sf, bw_khz, cr_den, 16, n_bytes)


@pytest.mark.parametrize("bw_hz", [7800, 10400, 15600, 20800, 31250, 41700, 203125, 406250, 812500, 1625000])
def test_never_less_than_radiolib(bw_hz: int) -> None:
    """Where a symbol is no whole microsecond RadioLib rounds it down; what the law counts is rounded up."""
    for sf in range(5, 13):
        for n_bytes in (0, 20, 255):
            ours_us = time_on_air_us(sf, bw_hz, 5, 8, n_bytes)
            theirs_us = radiolib_us(sf, bw_hz / 1000, 5, 8, n_bytes)
            symbols = ours_us * bw_hz // (1000000 << sf)
            assert 0 <= ours_us - theirs_us <= symbols + 2


# milliseconds of 20, 100 and 200 bytes on the private port, and the bit rate
PRESETS_MS = {"ShortTurbo": (25, 53, 90, 21875), "ShortFast": (50, 107, 181, 10938), "ShortSlow": (90, 193, 321, 6250),
              "MediumFast": (160, 345, 570, 3516), "MediumSlow": (300, 628, 1037, 1953),
              "LongFast": (559, 1174, 1911, 1074), "LongTurbo": (378, 869, 1459, 1343),
              "LongMod": (1774, 4133, 7016, 336), "LongSlow": (3285, 7479, 12722, 183)}


def test_presets_of_meshtastic() -> None:
    seen = {}
    for name, sf, bw_hz, cr_den in facts.PRESETS.values():
        us = [time_on_air_us(sf, bw_hz, cr_den, facts.PREAMBLE, n + facts.OVERHEAD_BYTES) for n in (20, 100, 200)]
        seen[name] = (*(round(one / 1000) for one in us), round(sf * bw_hz * 4 / (cr_den << sf)))
    assert {name: seen[name] for name in PRESETS_MS} == PRESETS_MS
