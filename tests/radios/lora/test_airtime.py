"""Time on air against published figures: AN1200.13 (SF7..12) and the SX126x rule (SF5, SF6)."""

from __future__ import annotations

import pytest

from radios.lora.airtime import time_on_air_us

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
