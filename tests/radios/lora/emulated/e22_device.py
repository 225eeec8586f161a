"""An EByte E22-900T22 on a pty: modes by pins or software, registers, sub-packets, AUX, on an emulated air.

In configuration mode it understands 9600 baud only. In transmission mode what comes without a gap is sent as
sub-packets; what it hears it writes out as it comes, with an RSSI byte if so set, and may glue. Commands in band are
obeyed where a packet begins with them. Registers that were written with C2 are forgotten at a restart.
"""

from __future__ import annotations

from pathlib import Path

from radios.lora.e22 import codec
from radios.lora.pins import Pins
from tests.radios.lora.emulated.air import Air, Timer, Tuning
from tests.radios.lora.emulated.plug import Plug

_HEAD_BYTES = 12  # what the module adds on the air, its addresses among them
_LISTEN_US = 2000000
FACTORY = bytes((0, 0, 0, 0x62, 0, 18, 3, 0, 0))


class EmulatedPins(Pins):
    """The pins of one device. aux: whether AUX is wired."""

    def __init__(self, device: E22Device, aux: bool) -> None:
        self._device = device
        self._aux = aux

    def take(self) -> None:
        self._device.taken += 1

    def mode(self, m0: bool, m1: bool) -> None:
        self._device.set_mode(m1 << 1 | m0)

    def busy(self) -> bool | None:
        return self._device.busy if self._aux else None

    def give_back(self) -> None:
        self._device.taken = 0


class E22Device:
    """air: where it is. name: its station and USB serial number. glue: hold what was heard until the next comes."""

    def __init__(self, air: Air, name: str, folder: Path, *, saved: bytes = FACTORY, aux: bool = True,
                 mode: int = codec.TRANSMIT) -> None:
        self.plug = Plug(folder, name, self._bytes)
        self.pins = EmulatedPins(self, aux)
        self.saved = bytearray(saved)
        self.glue = False
        self.tear = 0  # bytes that get lost at the start of the next output
        self.stuck = False  # AUX stays low
        self.taken = 0
        self.obeyed: list[bytes] = []  # commands in band
        self.misread = 0  # bytes at the wrong rate
        self._air = air
        self._name = name
        self._station = air.join(name, self._hear)
        self._mode = mode
        self._timers: list[Timer] = []
        self._start()

    def _start(self) -> None:
        self.registers = bytearray(self.saved)
        self.noise, self.last = 160, 0
        self._typed = bytearray()
        self._gap: Timer | None = None
        self._queue: list[bytes] = []
        self._sending = False
        self._glued = b""
        self._tune()

    # --- pins and faults

    @property
    def busy(self) -> bool:
        """AUX is low."""
        return self.stuck or bool(self._typed or self._queue)

    def set_mode(self, mode: int) -> None:
        """What M1 M0 say."""
        self._mode = mode
        self._typed.clear()
        self._tune()

    def reboot(self) -> None:
        """Power was lost for a moment."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._station.leave()
        self._station = self._air.join(self._name, self._hear)
        self._start()

    def close(self) -> None:
        """Off the air and unplugged."""
        for timer in self._timers:
            timer.cancel()
        self._station.leave()
        self.plug.pull()

    # --- from the host

    def _baud(self) -> int:
        return codec.BAUDS[self.registers[3] >> 5]

    def _bytes(self, data: bytes) -> None:
        if self.plug.baud != (codec.CONFIGURATION_BAUD if self._mode == codec.CONFIGURATION else self._baud()):
            self.misread += len(data)
            return
        if self._mode in (codec.WAKE_ON_RADIO, codec.SLEEP):
            return
        self._typed += data
        if self._gap is not None:
            self._gap.cancel()
        self._gap = self._later(30 * 1000000 // self._baud(), self._paused)

    def _paused(self) -> None:
        """Three bytes' time without a byte: what was typed is one thing."""
        data = bytes(self._typed)
        self._typed.clear()
        if self._mode == codec.CONFIGURATION:
            self._configure(data)
        elif data.startswith(codec.IN_BAND):
            self._in_band(data)
        else:
            self._enqueue(data)

    def _configure(self, data: bytes) -> None:
        if self.registers[4] & codec.SWITCH_BIT and data.startswith(codec.MODE_ASK) and len(data) == 6:
            self._in_band(data)
            return
        command, start, length, body = data[0], data[1:2], data[2:3], data[3:]
        if command not in (codec.SAVE, codec.READ, codec.WRITE) or not length:
            self.plug.write(codec.WRONG)
            return
        at, n = start[0], length[0]
        if command == codec.READ and not body and n and at + n <= codec.REGISTERS:
            shown = bytes(self.registers[:7]) + b"\0\0"
            self.plug.write(data + shown[at:at + n])
        elif command == codec.READ and not body and at == codec.PRODUCT and n <= codec.PRODUCT_BYTES:
            self.plug.write(data + bytes((0x00, 0x22, 0x10, 0x16, 0x0B, 0x00, 0x00))[:n])
        elif command != codec.READ and len(body) == n and n and at + n <= codec.REGISTERS:
            self.registers[at:at + n] = body
            if command == codec.SAVE:
                self.saved[at:at + n] = body
            self.plug.write(bytes((codec.READ,)) + data[1:])
            self._tune()
        else:
            self.plug.write(codec.WRONG)

    def _in_band(self, data: bytes) -> None:
        self.obeyed.append(data)
        if data == codec.NOISE_ASK and self.registers[4] & codec.AMBIENT_BIT:
            self.plug.write(codec.NOISE_ANSWER + bytes((self.noise, self.last)))
        elif data.startswith(codec.MODE_ASK) and len(data) == 6 and self.registers[4] & codec.SWITCH_BIT:
            self.plug.write(codec.MODE_ANSWER + data[5:])
            self.set_mode(data[5])
        else:
            self._enqueue(data)

    # --- the radio

    def _tune(self) -> None:
        base = codec.HIGH_BAND[0] + self.registers[5] * 1000000
        listening = self._mode == codec.TRANSMIT
        self._station.tune(Tuning(base, 500000, 5 + (self.registers[3] & 7), self.registers[2]) if listening else None)

    def _enqueue(self, data: bytes) -> None:
        if self.registers[6] & codec.FIXED_BIT:
            head, data = data[:2], data[3:]
        else:
            head = bytes(self.registers[:2])
        size = codec.SUB_PACKETS[self.registers[4] >> 6]
        self._queue += [head + data[at:at + size] for at in range(0, len(data), size)]
        self._next(0)

    def _next(self, waited_us: int) -> None:
        if self._sending or not self._queue:
            return
        if self.registers[6] & codec.LBT_BIT and self._station.busy() and waited_us < _LISTEN_US:
            self._later(20000, lambda: self._next(waited_us + 20000))
            return
        packet = self._queue.pop(0)
        self._sending = True
        rate = codec.AIR_RATES[self.registers[3] & 7]
        self._station.transmit(packet, (len(packet) - 2 + _HEAD_BYTES) * 8 * 1000000 // rate, self._sent)

    def _sent(self) -> None:
        self._sending = False
        self._next(0)

    def _hear(self, packet: bytes, rssi_dbm: int, snr_qdb: int) -> None:
        own = bytes(self.registers[:2])
        if self._mode != codec.TRANSMIT or (packet[:2] != own and b"\xff\xff" not in (packet[:2], own)):
            return
        self.last = rssi_dbm & 0xFF
        out = packet[2:] + (bytes((self.last,)) if self.registers[6] & codec.RSSI_BIT else b"")
        out, self.tear = out[self.tear:], 0
        self._glued += out
        if not self.glue or self._glued != out:
            self.plug.write(self._glued)
            self._glued = b""

    def _later(self, us: int, call: object) -> Timer:
        self._timers = [timer for timer in self._timers if timer.call is not None and timer.at_us >= self._air.now_us()]
        timer = self._air.call_later(us, call)  # type: ignore[arg-type]
        self._timers.append(timer)
        return timer
