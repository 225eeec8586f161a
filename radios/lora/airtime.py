"""How long a LoRa packet is on the air: the sum that the airtime governor, and the law, count with.

Semtech AN1200.13 / SX1276 datasheet 4.1.1.7 for SF7..12, SX126x datasheet 6.1.4 for SF5 and SF6. Whole microseconds,
rounded up, integers only; it decides nothing.
"""

from __future__ import annotations

LDRO_SYMBOL_US = 16000  # from this symbol time on the low data rate optimisation is on (both datasheets)


def time_on_air_us(sf: int, bw_hz: int, cr_den: int, preamble: int, payload_bytes: int, *, crc: bool = True,
                   implicit: bool = False) -> int:
    """Microseconds of one packet, rounded up.

    sf: 5..12. bw_hz: 7800..1625000. cr_den: 5..8 for 4/5..4/8. preamble: symbols programmed. payload_bytes: 0..255, all
    that is in the PHY payload. Raises ValueError outside of these.
    """
    if not (5 <= sf <= 12 and 7800 <= bw_hz <= 1625000 and 5 <= cr_den <= 8 and 1 <= preamble <= 65535
            and 0 <= payload_bytes <= 255):
        what = f"SF{sf}, {bw_hz} Hz, 4/{cr_den}, preamble {preamble}, {payload_bytes} bytes"
        raise ValueError("no such LoRa packet: " + what)
    slow = (1000000 << sf) >= LDRO_SYMBOL_US * bw_hz
    bits = 8 * payload_bytes + 16 * crc - 4 * sf + (0 if implicit else 20)
    if sf >= 7:
        bits += 8
    per_block = 4 * (sf - 2 if slow else sf)
    symbols = max(-(-bits // per_block), 0) * cr_den + 8
    quarter_symbols = 4 * (preamble + symbols) + (17 if sf >= 7 else 25)
    return -(-(quarter_symbols * (1000000 << sf)) // (4 * bw_hz))
