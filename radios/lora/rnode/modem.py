"""An RNode: verbs over the KISS codec, and the waiting.

One packet is in the device at a time, because its own queue loses data silently when it is full and empties itself in
one go. That a packet left is seen in the device's own airtime, which it reports after each transmission; where a report
can't tell (the device sums airtime in bins, and a new bin may hide a packet) or none comes, the computed airtime and
the longest back-off are waited for and the device must still answer. Firmware 1.52 or later.

settings: device, freq_hz, bw_hz, sf, cr_den, power_dbm, limit_x100 (hundredths of a percent of each hour that the
device itself may send, the second safety behind the governor; 0: none).
"""

from __future__ import annotations

from radios.lora.modem import LinkDown, Pace, Phy, Refused, Sent, Signal
from radios.lora.rnode import codec
from radios.lora.serialmodem import SerialModem
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

VERSION_MIN = (1, 52)
_DETECT_MS = 300  # between questions while a board may still be starting
_STUCK_MS = 30000  # a packet that has not left by then never will
_SLACK_MS = 250  # of the device's own loop


class RNode(SerialModem):
    """See the module."""

    kind = "rnode"
    mtu_bytes = codec.DATA_BYTES_MAX
    csma = True

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self._settings = settings
        self._limit_x100: int = settings.get("limit_x100", 0)
        self._forget()

    def _forget(self) -> None:
        """The state of one connection."""
        self.phy = None
        self.utilisation_percent = None
        self._decoder = codec.Decoder()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._sending: asyncio.Future[bool] | None = None
        self._facts: dict[str, str | int] = {}
        self._signal = Signal()
        self._airtimes: list[int] = []  # the last report: own 15 s, own hour, channel 15 s, channel hour
        self._new_bin = False
        self._preamble = 0
        self._slot_ms = 0
        self._difs_ms = 0
        self._window_max = 15
        self._not_before_ms = 0

    # --- the port of radios.lora.modem

    async def _setup(self) -> None:
        self._forget()
        await self._detect()
        version = await self._ask(codec.VERSION, b"\0")
        if version is None or len(version) != 2 or tuple(version) < VERSION_MIN:
            said = ".".join(str(part) for part in version or b"") or "none"
            raise LinkDown("old_firmware", f"{self.where} has RNode firmware {said}; {VERSION_MIN[0]}.{VERSION_MIN[1]} "
                                           "or later is needed: update it with rnodeconf")
        self._facts["firmware"] = f"{version[0]}.{version[1]}"
        await self._configure()

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """See Modem.send."""
        if not 1 <= len(frame) <= self.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.mtu_bytes} bytes here, not {len(frame)}")
        if not self._ready:
            raise Refused("not_ready")
        if self._limit_x100 and self._airtimes and self._airtimes[1] >= self._limit_x100:
            raise Refused("duty_cycle", 60000)
        airtime_us = self.airtime_us(len(frame))
        self._new_bin = False
        self._not_before_ms = now_ms() + airtime_us // 1000 // self._pace.speed
        self._sending = sending = self._future()
        try:
            self._write(codec.encode(codec.DATA, frame))
            self._count("tx.confirmed" if await self._left(sending, len(frame), airtime_us) else "tx.assumed")
        finally:
            self._sending = None
        return Sent(airtime_us)

    async def beat(self) -> None:
        """See Modem.beat."""
        for command, question, wanted in ((codec.DETECT, codec.DETECT_ASK, codec.DETECT_ANSWER),
                                          (codec.RADIO_STATE, codec.ASK, 1)):
            answer = await self._ask(command, bytes((question,)))
            if answer is None:
                raise LinkDown("frozen", f"{self.where} doesn't answer: unplug the radio and plug it in again")
            if answer != bytes((wanted,)):
                raise LinkDown("radio_off", f"{self.where} has switched its radio off; it is being set up again")

    async def close(self) -> None:
        """See Modem.close."""
        was_ready, self._ready = self._ready, False
        if was_ready and self._port is not None:
            try:
                self._write(codec.encode(codec.RADIO_STATE, b"\0") + codec.encode(codec.LEAVE, b"\xff"))
                await self._port.drained(100)
            except LinkDown:
                pass  # it was only manners
        await super().close()

    def airtime_us(self, n_bytes: int) -> int:
        """See Modem.airtime_us; what is longer than one packet is sent as two."""
        if self.phy is None:
            raise Refused("not_ready")
        if n_bytes <= codec.SINGLE_BYTES_MAX:
            return self.phy.airtime_us(n_bytes)
        return self.phy.airtime_us(codec.SINGLE_BYTES_MAX) + self.phy.airtime_us(n_bytes - codec.SINGLE_BYTES_MAX)

    def status(self) -> dict[str, str | int]:
        """See Modem.status."""
        out = dict(self._facts)
        if self._airtimes:
            out["airtime_hour_x100"] = self._airtimes[1]
            out["channel_hour_x100"] = self._airtimes[3]
        if self._decoder.dropped:
            out["rx.garbage"] = self._decoder.dropped
        out.update(self.counters)
        return out

    # --- setting up

    async def _detect(self) -> None:
        """Ask until it says that it is an RNode: a board may need seconds to start after the port was opened."""
        ask = b"".join(codec.encode(command, bytes((byte,))) for command, byte in (
            (codec.DETECT, codec.DETECT_ASK), (codec.PLATFORM, 0), (codec.MCU, 0), (codec.BOARD, 0)))
        until_ms = now_ms() + self._pace.reset_ms
        while now_ms() < until_ms:
            self._write(ask)
            answer = await self._next(codec.DETECT, min(_DETECT_MS, self._pace.answer_ms))
            if answer == bytes((codec.DETECT_ANSWER,)):
                return
        raise LinkDown("wrong_device", f"{self.where} doesn't answer as an RNode: is it the right device, with RNode "
                                       "firmware?")

    async def _configure(self) -> None:
        wanted = self._settings
        await self._set(codec.PROMISCUOUS, b"\0", "promiscuous mode")
        await self._set(codec.FREQUENCY, int(wanted["freq_hz"]).to_bytes(4, "big"), "frequency")
        await self._set(codec.BANDWIDTH, int(wanted["bw_hz"]).to_bytes(4, "big"), "bandwidth")
        power = await self._set(codec.TX_POWER, bytes((wanted["power_dbm"],)), "")
        await self._set(codec.SPREADING, bytes((wanted["sf"],)), "spreading factor")
        await self._set(codec.CODING, bytes((wanted["cr_den"],)), "coding rate")
        if await self._ask(codec.LONG_LIMIT, self._limit_x100.to_bytes(2, "big")) is None:
            self._count("no_airtime_limit")  # an older firmware; the governor is the law either way
        if await self._ask(codec.RADIO_STATE, b"\x01") != b"\x01":
            raise LinkDown("radio_fault", f"the radio of {self.where} does not start: check frequency and board")
        self._facts["power_dbm"] = codec.signed(power[0])
        self._make_phy()

    async def _set(self, command: int, data: bytes, name: str) -> bytes:
        """Set and read back. name: "" for what the device may change by itself. Raises LinkDown."""
        answer = await self._ask(command, data)
        if answer is None or len(answer) != len(data) or (name and answer != data):
            answer = await self._ask(command, data)
        if answer is None or len(answer) != len(data):
            raise LinkDown("frozen", f"{self.where} doesn't answer: unplug the radio and plug it in again")
        if name and answer != data:
            raise LinkDown("bad_settings", f"{self.where} took {int.from_bytes(answer, 'big')} as its {name} instead "
                                           f"of {int.from_bytes(data, 'big')}: change the settings of this link")
        return answer

    def _make_phy(self) -> None:
        wanted = self._settings
        symbol_us = (1000000 << wanted["sf"]) // wanted["bw_hz"]
        slot_ms = min(100, max(24, 12 * symbol_us // 1000))
        self._slot_ms = self._slot_ms or slot_ms
        self._difs_ms = self._difs_ms or 2 * self._slot_ms
        preamble = self._preamble or max(codec.PREAMBLE_MIN, -(-24000 // symbol_us))
        self.phy = Phy(wanted["freq_hz"], wanted["bw_hz"], wanted["sf"], wanted["cr_den"], preamble, 1)

    # --- asking

    async def _ask(self, command: int, data: bytes) -> bytes | None:
        """Send a command; its answer, None when none came in time. Raises LinkDown."""
        self._write(codec.encode(command, data))
        return await self._next(command, self._pace.answer_ms)

    async def _next(self, command: int, within_ms: int) -> bytes | None:
        future = self._asked[command] = self._future()
        try:
            return await self._answer(future, within_ms)
        finally:
            self._asked.pop(command, None)

    async def _left(self, sending: asyncio.Future[bool], n_bytes: int, airtime_us: int) -> bool:
        """Wait until the packet left. True: the device says so; False: it must have. Raises LinkDown, Refused."""
        back_off_us = 1000 * (self._difs_ms + (self._window_max + 1) * self._slot_ms)
        serial_ms = 2 * n_bytes * 10000 // self.baud
        wait_ms = serial_ms + (back_off_us + airtime_us) // 1000 // self._pace.speed + _SLACK_MS // self._pace.speed + 1
        until_ms = now_ms() + max(_STUCK_MS // self._pace.speed, 4 * wait_ms)
        while now_ms() < until_ms:
            if await self._answer(sending, wait_ms):
                return True
            if await self._ask(codec.READY, b"\0") is None:
                raise LinkDown("frozen", f"{self.where} doesn't answer: unplug the radio and plug it in again")
            if self._new_bin or not self._airtimes:
                return False
            self._count("tx.channel_busy")
        self._write(codec.encode(codec.RESET, bytes((codec.RESET_BYTE,))))  # else it would send the packet later
        raise LinkDown("stuck", f"{self.where} could not send for {_STUCK_MS // 1000} s: is the channel in use all the "
                                "time? Try another frequency")

    # --- hearing

    def _received(self, data: bytes) -> None:
        for command, body in self._decoder.feed(data):
            if command == codec.DATA:
                self._heard(body)
            elif command == codec.RSSI:
                self._signal.rssi_dbm = body[0] - codec.RSSI_OFFSET
            elif command == codec.SNR:
                self._signal.snr_qdb = codec.signed(body[0])
            elif command == codec.CHANNEL:
                self._reported(codec.numbers(body, 4))
            elif command == codec.PHY:
                self._timing(codec.numbers(body, 6) or codec.numbers(body, 5))
            elif command == codec.CSMA and len(body) == 3:
                self._window_max = body[2]
            elif command == codec.ERROR:
                self._error(body[0])
            elif command == codec.RESET and body[0] == codec.RESET_BYTE and self._ready:
                self._down("rebooted")
            elif command == codec.RADIO_STATE and body == b"\0" and self._ready:
                self._down("radio_off")
            elif command == codec.BATTERY and len(body) == 2:
                self._facts["battery_percent"] = body[1]
            elif command in (codec.PLATFORM, codec.MCU, codec.BOARD):
                self._facts[{codec.PLATFORM: "platform", codec.MCU: "mcu"}.get(command, "board")] = body.hex()
            future = self._asked.get(command)
            if future is not None and not future.done():
                future.set_result(body)

    def _heard(self, body: bytes) -> None:
        signal, self._signal = self._signal, Signal()
        if not self._ready or not 1 <= len(body) <= self.mtu_bytes:
            self._count("rx.dropped")
            return
        self._count("rx.frames")
        self._on_frame(body, signal)

    def _reported(self, airtimes: list[int]) -> None:
        """Channel statistics. Own airtime that rose means that the packet left; that fell, that a new bin began."""
        if not airtimes:
            return
        before = self._airtimes[0] if self._airtimes else 0
        self._airtimes = airtimes
        self.utilisation_percent = min(airtimes[2] // 100, 100)
        if airtimes[0] < before:
            self._new_bin = True
        elif (airtimes[0] > before and self._sending is not None and not self._sending.done()
              and now_ms() >= self._not_before_ms):
            self._sending.set_result(True)

    def _timing(self, timing: list[int]) -> None:
        if not timing:
            return
        # an older firmware adds the 4 symbols of the sync word, and has no DIFS
        preamble = timing[2] if len(timing) == 6 else timing[2] - 4
        self._slot_ms = timing[4]
        self._difs_ms = timing[5] if len(timing) == 6 else 2 * timing[4]
        if preamble > 0:
            self._preamble = preamble
        if self._ready:
            self._make_phy()
            self._on_state("facts", 0, "")

    def _error(self, number: int) -> None:
        name = codec.ERRORS.get(number, f"error_{number}")
        self._count("device." + name)
        if number == codec.ERROR_MODEM_TIMEOUT:
            self._down("rebooted")
        elif number == codec.ERROR_RADIO_INIT and not self._ready:
            self._fail(LinkDown("radio_fault", f"the radio of {self.where} does not start: check frequency and board"))
        elif (number in (codec.ERROR_TX_FAILED, codec.ERROR_QUEUE_FULL) and self._sending is not None
              and not self._sending.done()):
            self._sending.set_exception(Refused(name, 1000))
