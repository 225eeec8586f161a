"""An EByte E22 or Waveshare UART HAT: registers, modes and the waiting.

The module is a wire with a radio in it: it keeps no packets apart, says neither that a packet left nor that one was
torn, and its settings can be read in one mode only. So frames carry their own ends and sum (framing), settings are
saved only where they differ and read back, and a packet is given the time that the air rate asks for; AUX, where it is
wired, is waited for as well. Without pins the modes are switched in software, which the module must have been set to.

settings: device, freq_hz, air_rate (bit/s), power_dbm, powers ("T22" or "T30"), net, baud, pins (an object like
radios.lora.pins.Pins) or gpio ("hat": the Waveshare pins) with gpio_chip, pin_m0, pin_m1, pin_aux; old_rssi (a module
of before 2020 counts its RSSI byte in halves).
"""

from __future__ import annotations

import asyncio

from radios.lora import pins
from radios.lora.e22 import codec, framing
from radios.lora.modem import LinkDown, Pace, Refused, Sent, Signal
from radios.lora.serialmodem import SerialModem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SETTLE_MS = 40  # after a change of mode
_POLL_MS = 5  # of AUX
_ADAPTER_MS = 20  # that a USB adapter or a busy machine may hold back what we wrote
_LISTEN_MS = 2000  # listen before talk holds a packet back no longer (manual 7.2, register 06)


class E22(SerialModem):
    """See the module."""

    kind = "e22"
    mtu_bytes = framing.FRAME_BYTES_MAX
    csma = True
    baud = codec.CONFIGURATION_BAUD
    stall_ms = 30  # between the end of a frame and its RSSI byte

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self._settings = settings
        self._run_baud: int = settings.get("baud", 9600)
        self._pins: pins.Pins | None = settings.get("pins")
        if self._pins is None and settings.get("gpio"):
            self._pins = pins.GpioPins(
                settings.get("gpio_chip", "/dev/gpiochip0"), settings.get("pin_m0", pins.M0_DEFAULT),
                settings.get("pin_m1", pins.M1_DEFAULT), settings.get("pin_aux"))
        self._forget()

    def _forget(self) -> None:
        """The state of one connection."""
        self._decoder: framing.Decoder | None = None  # None: in configuration mode
        self._collected = bytearray()
        self._wanted: tuple[bytes, int, asyncio.Future[bytes | None]] | None = None
        self._facts: dict[str, str | int] = {}

    # --- the port of radios.lora.modem

    async def _setup(self) -> None:
        self._forget()
        wanted = self._registers()
        await self._configuration_mode()
        current = await self._read(0, codec.REGISTERS)
        if current[:7] != wanted[:7]:
            await self._ask(bytes((codec.SAVE, 0, len(wanted))) + wanted, bytes((codec.READ, 0, len(wanted))),
                            len(wanted))
            current = await self._read(0, codec.REGISTERS)
            if current[:7] != wanted[:7]:
                raise LinkDown("bad_settings", f"{self.where} has registers {current[:7].hex(' ')} after they were set "
                                               f"to {wanted[:7].hex(' ')}: change the settings of this link")
        product = await self._ask(codec.read(codec.PRODUCT, codec.PRODUCT_BYTES),
                                  bytes((codec.READ, codec.PRODUCT, codec.PRODUCT_BYTES)), codec.PRODUCT_BYTES)
        self._facts["product"] = product.hex() if product else ""
        self._facts["channel"] = wanted[5]
        await self._transmit_mode()
        self.bits_per_s = self._settings["air_rate"]

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """See Modem.send."""
        if not 1 <= len(frame) <= self.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.mtu_bytes} bytes here, not {len(frame)}")
        if not self._ready:
            raise Refused("not_ready")
        data = framing.pack(frame)
        airtime_us = self.airtime_us(len(frame))
        busy_s = len(data) * 10 / self._run_baud / self._pace.speed + self._pace.air_s(airtime_us)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self._write(data)
        await self._rest(1)
        was_busy = self._pins is not None and bool(self._pins.busy())
        await self._idle(int(3000 * busy_s) + (_LISTEN_MS + 500) // self._pace.speed + self._pace.answer_ms)
        await self._rest(int((began_s + busy_s - loop.time()) * 1000) + _ADAPTER_MS)
        if not was_busy:
            await self.beat()  # nothing else tells a module that took the packet from one that hangs
        self._count("tx.sent")
        return Sent(airtime_us)

    async def beat(self) -> None:
        """See Modem.beat. A module that lost its settings doesn't answer, for they include the permission to ask."""
        answer = await self._ask(codec.NOISE_ASK, codec.NOISE_ANSWER, 2)
        if answer is None:
            raise LinkDown("frozen", f"{self.where} doesn't answer: switch the radio off and on")
        self._facts["noise_dbm"] = self._dbm(answer[0])

    async def close(self) -> None:
        """See Modem.close."""
        if self._pins is not None:
            self._pins.give_back()
        await super().close()

    def airtime_us(self, n_bytes: int) -> int:
        """See Modem.airtime_us; reckoned from the air rate."""
        return codec.airtime_us(n_bytes + framing.OVERHEAD_BYTES, self._settings["air_rate"])

    def status(self) -> dict[str, str | int]:
        """See Modem.status."""
        out = dict(self._facts)
        if self._decoder is not None and self._decoder.dropped:
            out["rx.torn"] = self._decoder.dropped
        out.update(self.counters)
        return out

    # --- setting up

    def _registers(self) -> bytes:
        wanted = self._settings
        powers = codec.POWERS_T30 if wanted.get("powers") == "T30" else codec.POWERS_T22
        try:
            return codec.registers(wanted["freq_hz"], wanted["air_rate"], wanted["power_dbm"], powers,
                                   wanted.get("net", 0), self._run_baud, self._pins is None)
        except ValueError as error:
            raise LinkDown("bad_settings", f"an E22 takes {error}; change the settings of this link") from error

    async def _configuration_mode(self) -> None:
        if self._pins is not None:
            self._pins.take()
            self._pins.mode(False, True)
            await self._settle()
            return
        # first as it was left the last time: what a module in transmission mode does not understand it transmits
        mode = bytes((codec.CONFIGURATION,))
        for baud in dict.fromkeys((self._run_baud, codec.CONFIGURATION_BAUD)):
            await self._set_baud(baud)
            if await self._ask(codec.MODE_ASK + mode, codec.MODE_ANSWER + mode, 0) is not None:
                await self._settle()
                await self._set_baud(codec.CONFIGURATION_BAUD)
                return
        if await self._ask(codec.read(0, 1), bytes((codec.READ, 0, 1)), 1) is not None:
            return  # it was left in this mode
        raise LinkDown("wrong_device", f"{self.where} doesn't answer as an E22: is it the right device? Without its "
                                       "pins M0 and M1 its software mode switch must have been turned on")

    async def _transmit_mode(self) -> None:
        if self._pins is not None:
            self._pins.mode(False, False)
        else:
            self._write(codec.MODE_ASK + bytes((codec.TRANSMIT,)))
        await self._settle()
        await self._set_baud(self._run_baud)
        self._collected.clear()
        self._decoder = framing.Decoder(rssi=True)

    async def _read(self, start: int, length: int) -> bytes:
        answer = await self._ask(codec.read(start, length), bytes((codec.READ, start, length)), length)
        if answer is None:
            raise LinkDown("wrong_device", f"{self.where} doesn't answer as an E22: is it the right device, are M0 and "
                                           "M1 wired, the jumpers off?")
        return answer

    async def _settle(self) -> None:
        await self._rest(max(2, _SETTLE_MS // self._pace.speed))
        await self._idle(self._pace.answer_ms)

    async def _set_baud(self, baud: int) -> None:
        if self._port is None:
            raise LinkDown("gone", f"{self.where} is closed")
        await self._port.drained(self._pace.answer_ms)
        self._port.set_baud(baud)

    async def _idle(self, within_ms: int) -> None:
        """Wait for AUX, where there is one. Raises LinkDown."""
        until_s = asyncio.get_running_loop().time() + within_ms / 1000
        while self._pins is not None and self._pins.busy():
            if asyncio.get_running_loop().time() > until_s:
                raise LinkDown("frozen", f"{self.where} has been busy for too long: switch the radio off and on")
            await self._rest(_POLL_MS)

    async def _rest(self, ms: int) -> None:
        """Wait, but not for a device that is lost."""
        if ms > 0:
            await self._answer(self._future(), ms)

    async def _ask(self, question: bytes, head: bytes, length: int) -> bytes | None:
        """Send a command; the `length` bytes after `head` in what comes; None when there is no such answer."""
        future = self._future()
        self._collected.clear()
        self._wanted = (head, length, future)
        try:
            self._write(question)
            return await self._answer(future, self._pace.answer_ms)
        finally:
            self._wanted = None
            rest, self._collected = bytes(self._collected), bytearray()
            self._frames(rest)

    # --- hearing

    def _received(self, data: bytes) -> None:
        if self._wanted is None:
            self._frames(data)
            return
        head, length, future = self._wanted
        self._collected += data
        at = self._collected.find(head)
        if at >= 0 and len(self._collected) >= at + len(head) + length:
            end = at + len(head) + length
            answer = bytes(self._collected[end - length:end])
            del self._collected[at:end]
            self._wanted = None
            if not future.done():
                future.set_result(answer)
        elif at < 0 and self._decoder is None and codec.WRONG in self._collected and not future.done():
            future.set_result(None)

    def _frames(self, data: bytes) -> None:
        if self._decoder is None:
            return
        self._heard(self._decoder.feed(data))
        self._await_rest(self._decoder.waiting)

    def _stalled(self) -> None:
        if self._decoder is not None:
            self._heard(self._decoder.flush())

    def _heard(self, frames: list[tuple[bytes, int | None]]) -> None:
        for frame, rssi in frames:
            if self._ready:
                self._count("rx.frames")
                self._on_frame(frame, Signal(None if rssi is None else self._dbm(rssi)))

    def _dbm(self, byte: int) -> int:
        return -byte // 2 if self._settings.get("old_rssi") else byte - 256
