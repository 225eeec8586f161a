"""The KISS dialect of an RNode: frames and their numbers, pure.

    C0 command data... C0      in data, C0 travels as DB DC and DB as DB DD

The device does not escape the one byte of its single-byte replies, so such a reply may read C0 24 C0 C0; the decoder
knows these commands. What is not a frame is counted and skipped. Numbers by RNode firmware 1.86 (Framing.h).
"""

from __future__ import annotations

FEND, FESC, TFEND, TFESC = 0xC0, 0xDB, 0xDC, 0xDD

DATA = 0x00
FREQUENCY = 0x01  # u32 Hz, 0 asks
BANDWIDTH = 0x02  # u32 Hz, 0 asks
TX_POWER = 0x03  # u8 dBm, FF asks; clamped by the device
SPREADING = 0x04  # u8 5..12, FF asks
CODING = 0x05  # u8 5..8, FF asks
RADIO_STATE = 0x06  # 0 off, 1 on, FF asks
DETECT = 0x08  # 73 asks, 46 answers
LEAVE = 0x0A  # FF: the host goes
SHORT_LIMIT = 0x0B  # u16 hundredths of a percent of 15 s, 0 off
LONG_LIMIT = 0x0C  # the same of an hour
PROMISCUOUS = 0x0E
READY = 0x0F  # asks with any byte; 1: room in the queue, 0: none
RSSI = 0x23  # u8 - 157 dBm, before a data frame
SNR = 0x24  # i8 quarter dB, before a data frame
CHANNEL = 0x25  # u16 x 4 hundredths of a percent: own airtime 15 s, 1 h, channel load 15 s, 1 h; then 3 bytes
PHY = 0x26  # u16 x 5 or 6: symbol us, symbol rate, preamble symbols, preamble ms, slot ms, DIFS ms
BATTERY = 0x27  # state, percent
CSMA = 0x28  # band, window min, window max, in slots
TEMPERATURE = 0x29
PLATFORM = 0x48
MCU = 0x49
VERSION = 0x50  # major, minor
RESET = 0x55  # F8 resets; the device says it after a start
BOARD = 0x47
ERROR = 0x90

DETECT_ASK, DETECT_ANSWER, RESET_BYTE, ASK = 0x73, 0x46, 0xF8, 0xFF
ERRORS = {1: "radio_init", 2: "tx_failed", 3: "eeprom_locked", 4: "queue_full", 5: "memory_low", 6: "modem_timeout"}
ERROR_RADIO_INIT, ERROR_TX_FAILED, ERROR_QUEUE_FULL, ERROR_MODEM_TIMEOUT = 1, 2, 4, 6

DATA_BYTES_MAX = 508
SINGLE_BYTES_MAX = 254  # more is sent as two packets
PREAMBLE_MIN = 18  # symbols; LORA_PREAMBLE_SYMBOLS_MIN
RSSI_OFFSET = 157
_RAW_BYTES_MAX = 2 * DATA_BYTES_MAX + 8
_SINGLE = (TX_POWER, SPREADING, CODING, RADIO_STATE, DETECT, PROMISCUOUS, READY, RSSI, SNR, TEMPERATURE, PLATFORM, MCU,
           RESET, BOARD, ERROR)


def encode(command: int, data: bytes) -> bytes:
    """One frame for the device, escaped."""
    escaped = data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return bytes((FEND, command)) + escaped + b"\xc0"


def numbers(data: bytes, count: int) -> list[int]:
    """`count` big-endian u16; [] when `data` is shorter."""
    if len(data) < 2 * count:
        return []
    return [data[at] << 8 | data[at + 1] for at in range(0, 2 * count, 2)]


def signed(byte: int) -> int:
    """A byte as two's complement."""
    return byte - 256 if byte > 127 else byte


class Decoder:
    """Bytes of the device into (command, data). `dropped` counts frames that were none."""

    def __init__(self) -> None:
        self.dropped = 0
        self._raw: bytearray | None = None  # None: outside of a frame

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that these bytes complete, in order."""
        out: list[tuple[int, bytes]] = []
        parts = data.split(b"\xc0")
        for number, part in enumerate(parts):
            if number:
                self._end(out)
            if self._raw is not None and part:
                self._raw += part
                if len(self._raw) > _RAW_BYTES_MAX:
                    self.dropped += 1
                    self._raw = None
        return out

    def _end(self, out: list[tuple[int, bytes]]) -> None:
        """A C0 came: it closes the frame that is open and may open the next."""
        raw, self._raw = self._raw, bytearray()
        if not raw:
            return
        command, body = raw[0], bytes(raw[1:])
        data = _single(body) if command in _SINGLE else _unescape(body)
        if data is None:
            self.dropped += 1
        else:
            out.append((command, data))


def _single(body: bytes) -> bytes | None:
    if not body:
        return b"\xc0"  # it was the value, and ended the frame
    if body == b"\xdb\xdc":
        return b"\xc0"
    if body == b"\xdb\xdd":
        return b"\xdb"
    return body if len(body) == 1 else None


def _unescape(body: bytes) -> bytes | None:
    if FESC not in body:
        return body
    parts = body.split(b"\xdb")
    out = bytearray(parts[0])
    for part in parts[1:]:
        if part[:1] == b"\xdc":
            out.append(FEND)
        elif part[:1] == b"\xdd":
            out.append(FESC)
        else:
            return None
        out += part[1:]
    return bytes(out)
