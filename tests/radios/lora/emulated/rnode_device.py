"""An RNode on a pty: firmware 1.86 as its host sees it, on an emulated air.

Modelled on the firmware's behaviour: one byte at a time into a command, single bytes of replies not escaped, settings
clamped and echoed, a queue that loses data silently when it is full and is sent in one go once the channel was free for
DIFS and a drawn number of slots, airtime in bins of 7.5 s reported after each transmission and each second, split
packets, airtime locks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from radios.lora import airtime
from radios.lora.rnode import codec
from tests.radios.lora.emulated.air import Air, Timer, Tuning
from tests.radios.lora.emulated.plug import Plug

WORD = 0x12
BIN_US = 7500000
BINS = 480
QUEUE_PACKETS, QUEUE_BYTES = 200, 6144
POWER_MAX = 22  # SX1262
_COMMAND_BYTES = {codec.FREQUENCY: 4, codec.BANDWIDTH: 4, codec.SHORT_LIMIT: 2, codec.LONG_LIMIT: 2}


class RNodeDevice:
    """air: where it is. name: its station and USB serial number. reports: whether the board sends statistics."""

    def __init__(self, air: Air, name: str, folder: Path, *, version: tuple[int, int] = (1, 86), reports: bool = True,
                 boot_us: int = 1500000) -> None:
        self.plug = Plug(folder, name, self._bytes)
        self.version = version
        self.reports = reports
        self.boot_us = boot_us
        self.dropped = 0  # packets that its queue had no room for
        self.stuck = False  # the radio never finds the channel free
        self._air = air
        self._random = random.Random(name)
        self._station = air.join(name, self._hear)
        self._handlers: dict[int, Callable[[int], None]] = {
            codec.TX_POWER: self._power, codec.SPREADING: self._spreading, codec.CODING: self._coding,
            codec.RADIO_STATE: self._radio_state, codec.DETECT: self._detect, codec.PROMISCUOUS: self._promiscuous,
            codec.READY: self._is_ready, codec.RESET: self._reset_asked,
            codec.VERSION: lambda _: self._say(codec.VERSION, bytes(self.version), escape=False),
            codec.PLATFORM: lambda _: self._say(codec.PLATFORM, b"\x80", escape=False),
            codec.MCU: lambda _: self._say(codec.MCU, b"\x81", escape=False),
            codec.BOARD: lambda _: self._say(codec.BOARD, b"\x3d", escape=False),
        }
        self._timers: list[Timer] = []
        self._start()

    def _start(self) -> None:
        self.booting = False
        self.freq_hz = self.bw_hz = self.sf = 0
        self.cr_den = 5
        self.power_dbm = 0xFF
        self.on = False
        self.promiscuous = False
        self.limits = {codec.SHORT_LIMIT: 0, codec.LONG_LIMIT: 0}
        self.queue: list[bytes] = []
        self._in_frame = self._escape = False
        self._command = 0xFE
        self._argument = bytearray()
        self._data = bytearray()
        self._bins = [0] * BINS
        self._bin = 0
        self._sequence: int | None = None
        self._half = b""
        self._sending = False
        self._contending = False

    # --- faults

    def reboot(self) -> None:
        """It restarts by itself: what it held is gone; it speaks again after a while."""
        for timer in self._timers:
            timer.cancel()
        self._station.leave()
        self._station = self._air.join(self._station.name, self._hear)
        self._start()
        self.booting = True
        self._timers = [self._air.call_later(self.boot_us, self._booted)]

    def error(self, number: int) -> None:
        """It reports an error."""
        self._say(codec.ERROR, bytes((number,)), escape=False)

    def close(self) -> None:
        """Off the air and unplugged."""
        for timer in self._timers:
            timer.cancel()
        self._station.leave()
        self.plug.pull()

    def _booted(self) -> None:
        self.booting = False
        self._say(codec.RESET, bytes((codec.RESET_BYTE,)), escape=False)

    # --- from the host

    def _bytes(self, data: bytes) -> None:
        for byte in data:
            if not self.booting:
                self._byte(byte)

    def _byte(self, byte: int) -> None:
        if byte == codec.FEND:
            if self._in_frame and self._command == codec.DATA:
                self._in_frame = False
                self._enqueue(bytes(self._data))
            else:
                self._in_frame = True
                self._command = 0xFE
            self._argument.clear()
            self._data.clear()
            self._escape = False
        elif self._in_frame:
            if self._command == 0xFE:
                self._command = byte
            elif self._command == codec.DATA or self._command in _COMMAND_BYTES:
                self._escaped(byte)
            elif self._command in self._handlers:
                self._handlers[self._command](byte)

    def _escaped(self, byte: int) -> None:
        if byte == codec.FESC:
            self._escape = True
            return
        if self._escape:
            byte = {codec.TFEND: codec.FEND, codec.TFESC: codec.FESC}.get(byte, byte)
            self._escape = False
        if self._command == codec.DATA:
            self._data.append(byte)
            return
        self._argument.append(byte)
        if len(self._argument) == _COMMAND_BYTES[self._command]:
            self._wide(int.from_bytes(self._argument, "big"))

    def _wide(self, value: int) -> None:
        command = self._command
        if command in self.limits:
            self.limits[command] = 0 if value >= 10000 else value
            self._say(command, self.limits[command].to_bytes(2, "big"))
            return
        if value and command == codec.FREQUENCY:
            self.freq_hz = value
        elif value:
            self.bw_hz = value
        self._say(command, (self.freq_hz if command == codec.FREQUENCY else self.bw_hz).to_bytes(4, "big"))
        self._tune()

    def _power(self, byte: int) -> None:
        if byte != codec.ASK:
            self.power_dbm = min(byte, POWER_MAX)
        self._say(codec.TX_POWER, bytes((self.power_dbm,)), escape=False)

    def _spreading(self, byte: int) -> None:
        if byte != codec.ASK:
            self.sf = min(max(byte, 5), 12)
        self._say(codec.SPREADING, bytes((self.sf,)), escape=False)
        self._tune()

    def _coding(self, byte: int) -> None:
        if byte != codec.ASK:
            self.cr_den = min(max(byte, 5), 8)
        self._say(codec.CODING, bytes((self.cr_den,)), escape=False)

    def _radio_state(self, byte: int) -> None:
        if byte == 0:
            self.on = False
        elif byte == 1:
            self.on = bool(self.freq_hz and self.bw_hz and self.power_dbm != 0xFF and self.sf)
            if self.on:
                self._say(codec.RADIO_STATE, b"\x01", escape=False)
                self._later(1000000, self._each_second)
        self._say(codec.RADIO_STATE, bytes((self.on,)), escape=False)
        self._tune()

    def _detect(self, byte: int) -> None:
        if byte == codec.DETECT_ASK:
            self._say(codec.DETECT, bytes((codec.DETECT_ANSWER,)), escape=False)

    def _promiscuous(self, byte: int) -> None:
        self.promiscuous = byte == 1
        self._say(codec.PROMISCUOUS, bytes((self.promiscuous,)), escape=False)

    def _is_ready(self, _: int) -> None:
        full = len(self.queue) >= QUEUE_PACKETS or sum(map(len, self.queue)) >= QUEUE_BYTES
        self._say(codec.READY, bytes((not full,)), escape=False)

    def _reset_asked(self, byte: int) -> None:
        if byte == codec.RESET_BYTE:
            self.reboot()

    # --- to the host

    def _say(self, command: int, data: bytes, escape: bool = True) -> None:
        if escape:
            data = data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        self.plug.write(bytes((codec.FEND, command)) + data + bytes((codec.FEND,)))

    def _each_second(self) -> None:
        if self.on:
            if not self._sending:  # its loop stands still while it transmits
                self._say_airtime()
            self._later(1000000, self._each_second)

    def _say_airtime(self) -> None:
        if not self.reports:
            return
        self._turn()
        own = (self._bins[self._bin] + self._bins[self._bin - 1]) * 10000 // (2 * BIN_US)
        hour = sum(self._bins) * 10000 // (BIN_US * BINS)
        load = own + (5000 if self._station.busy() else 0)
        body = b"".join(part.to_bytes(2, "big") for part in (own, hour, load, hour)) + b"\x28\x20\xff"
        self._say(codec.CHANNEL, body)

    # --- the radio

    @property
    def preamble(self) -> int:
        """Symbols: 24 ms of them, 18 at least."""
        return max(18, -(-24000 * self.bw_hz // (1000000 << self.sf)))

    @property
    def slot_ms(self) -> int:
        """12 symbols, 24..100 ms."""
        return min(100, max(24, 12 * (1000 << self.sf) // self.bw_hz))

    def _tune(self) -> None:
        if not (self.bw_hz and self.sf):
            return
        if self.reports:
            symbol_us = (1000000 << self.sf) // self.bw_hz
            parts = (symbol_us, self.bw_hz >> self.sf, self.preamble, self.preamble * symbol_us // 1000, self.slot_ms,
                     2 * self.slot_ms)
            self._say(codec.PHY, b"".join(min(part, 65535).to_bytes(2, "big") for part in parts))
        self._station.tune(Tuning(self.freq_hz, self.bw_hz, self.sf, WORD) if self.on else None)

    def _enqueue(self, data: bytes) -> None:
        if not data:
            return
        if len(self.queue) >= QUEUE_PACKETS or sum(map(len, self.queue)) + len(data) > QUEUE_BYTES:
            self.dropped += 1
            return
        self.queue.append(data[: codec.DATA_BYTES_MAX])
        self._contend()

    def _locked(self) -> bool:
        self._turn()
        limit = self.limits[codec.LONG_LIMIT]
        return bool(limit) and sum(self._bins) * 10000 // (BIN_US * BINS) >= limit

    def _contend(self) -> None:
        """Listen before talk: DIFS, then a number of slots, begun anew when somebody talks."""
        if not self._contending and not self._sending and self.queue:
            self._contending = True
            self._listen(2 * self.slot_ms + self._random.randrange(15) * self.slot_ms if self.on else 0)

    def _listen(self, left_ms: int) -> None:
        if self.on and (self.stuck or self._station.busy() or self._locked()):
            self._later(self.slot_ms * 1000, lambda: self._listen(max(left_ms, 2 * self.slot_ms)))
        elif left_ms > 0:
            self._later(self.slot_ms * 1000, lambda: self._listen(left_ms - self.slot_ms))
        else:
            self._contending = False
            self._flush()

    def _flush(self) -> None:
        if not self.queue:
            self._sending = False
            self._say_airtime()
            return
        self._sending = True
        data = self.queue.pop(0)
        if not self.on:
            self.error(codec.ERROR_TX_FAILED)
            self._flush()
            return
        head = self._random.randrange(256) & 0xF0
        parts = [data] if len(data) <= 254 else [data[:254], data[254:]]
        self._transmit([bytes((head | (len(parts) > 1),)) + part for part in parts])

    def _transmit(self, packets: list[bytes]) -> None:
        packet = packets[0]
        us = airtime.time_on_air_us(self.sf, self.bw_hz, self.cr_den, self.preamble, len(packet))

        def done() -> None:
            self._turn()
            self._bins[self._bin] += us
            if packets[1:]:
                self._transmit(packets[1:])
            else:
                self._flush()

        self._station.transmit(packet, us, done)

    def _turn(self) -> None:
        now = self._air.now_us() // BIN_US % BINS
        while self._bin != now:
            self._bin = (self._bin + 1) % BINS
            self._bins[self._bin] = 0

    def _hear(self, packet: bytes, rssi_dbm: int, snr_qdb: int) -> None:
        head, data = packet[0], packet[1:]
        if head & 1:
            if self._sequence != head >> 4:
                self._sequence, self._half = head >> 4, data
                return
            data = self._half + data
        self._sequence = None
        self._say(codec.RSSI, bytes(((rssi_dbm + codec.RSSI_OFFSET) & 0xFF,)), escape=False)
        self._say(codec.SNR, bytes((snr_qdb & 0xFF,)), escape=False)
        self._say(codec.DATA, data)

    def _later(self, us: int, call: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.call is not None and timer.at_us >= self._air.now_us()]
        self._timers.append(self._air.call_later(us, call))
