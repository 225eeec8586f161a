"""The registers of an EByte E22-xxxT22/T30 (Waveshare SX1262/SX1268 UART HAT), and the commands that carry them. Pure.

    C1 start length           reads; the module answers C1 start length data
    C2 start length data      writes until power is lost (C0: for ever); the same answer
    FF FF FF                  the module did not understand

By the E22-xxxT22S manual of 2024, chapter 7. `Settings` is the whole of what we set; the emulated module reads its
registers by the same tables.
"""

from __future__ import annotations

SAVE, READ, WRITE = 0xC0, 0xC1, 0xC2
WRONG = b"\xff\xff\xff"
IN_BAND = b"\xc0\xc1\xc2\xc3"
NOISE_ASK = IN_BAND + b"\x00\x02"  # needs the ambient RSSI bit; answer C1 00 02 noise last
NOISE_ANSWER = b"\xc1\x00\x02"
MODE_ASK = IN_BAND + b"\x02"  # then the mode; needs the software switch bit
MODE_ANSWER = b"\xc1\xc2\xc3\x02"
TRANSMIT, WAKE_ON_RADIO, CONFIGURATION, SLEEP = 0, 1, 2, 3  # M1 M0 as a number

REGISTERS = 9  # 00..08: address, net, serial, options, channel, transmission, key
PRODUCT, PRODUCT_BYTES = 0x80, 7
CONFIGURATION_BAUD = 9600
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
AIR_RATES = (300, 1200, 2400, 4800, 9600, 19200, 38400, 62500)  # bits per second
SUB_PACKETS = (240, 128, 64, 32)
POWERS_T22 = (22, 17, 13, 10)
POWERS_T30 = (30, 27, 24, 21)
LOW_BAND = (410125000, 83)  # channel 0, last channel; 1 MHz each
HIGH_BAND = (850125000, 80)
BROADCAST = 0xFFFF  # as its own address: hears all

# register 04
AMBIENT_BIT, SWITCH_BIT = 0x20, 0x10
# register 06
RSSI_BIT, FIXED_BIT, LBT_BIT = 0x80, 0x40, 0x10
_WOR_PERIOD = 3

# The chip settings behind an air rate are not published, so time on the air is reckoned from the rate: with the
# preamble, header and the module's own bytes as so many bytes more, and 30 % on top.
OVERHEAD_BYTES = 32


def channel(freq_hz: int) -> int:
    """The channel number of a frequency. Raises ValueError with what is allowed."""
    base, last = HIGH_BAND if freq_hz >= HIGH_BAND[0] else LOW_BAND
    number, rest = divmod(freq_hz - base, 1000000)
    if rest or not 0 <= number <= last:
        raise ValueError(f"frequencies of {base} Hz and each 1 MHz above it, up to {base + last * 1000000} Hz")
    return number


def registers(freq_hz: int, air_rate: int, power_dbm: int, powers: tuple[int, ...], net: int, baud: int,
              switch: bool) -> bytes:
    """Registers 00..08: hear everybody, transparent, RSSI byte, listen before talk, no key.

    switch: leave the software mode switch on. Raises ValueError with what is allowed.
    """
    if air_rate not in AIR_RATES:
        raise ValueError("air rates of " + ", ".join(str(rate) for rate in AIR_RATES) + " bit/s")
    if baud not in BAUDS:
        raise ValueError("serial rates of " + ", ".join(str(rate) for rate in BAUDS) + " baud")
    if power_dbm < powers[-1]:
        raise ValueError("powers of " + ", ".join(str(power) for power in powers) + " dBm")
    if not 0 <= net <= 255:
        raise ValueError("net numbers of 0 to 255")
    power = next(number for number, dbm in enumerate(powers) if dbm <= power_dbm)
    return bytes((
        BROADCAST >> 8, BROADCAST & 0xFF, net,
        BAUDS.index(baud) << 5 | AIR_RATES.index(air_rate),
        AMBIENT_BIT | (SWITCH_BIT if switch else 0) | power,
        channel(freq_hz), RSSI_BIT | LBT_BIT | _WOR_PERIOD, 0, 0))


def read(start: int, length: int) -> bytes:
    """The command that reads registers."""
    return bytes((READ, start, length))


def write(start: int, data: bytes) -> bytes:
    """The command that writes registers until power is lost."""
    return bytes((WRITE, start, len(data))) + data


def airtime_us(n_bytes: int, air_rate: int) -> int:
    """Microseconds of `n_bytes` at an air rate, reckoned on the safe side."""
    return -(-(n_bytes + OVERHEAD_BYTES) * 8 * 1300000 // air_rate)
