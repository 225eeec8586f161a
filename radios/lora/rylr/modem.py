"""A REYAX module: verbs over the AT codec, and the waiting.

A command is never sent before the one before it was answered. +OK after AT+SEND comes before or after the transmission
(the guide doesn't say, field reports differ), so both end when the computed airtime has passed and +OK was seen.
+ERR=17 (the last one is still on the air) is waited out here. The module neither listens before it talks nor knows any
law.

settings: device, model ("rylr998", "rylr896"), freq_hz, bw_hz, sf, cr_den, preamble, power_dbm, network, address.
"""

from __future__ import annotations

import asyncio

from radios.lora.modem import LinkDown, Pace, Phy, Refused, Sent, Signal
from radios.lora.rylr import codec
from radios.lora.serialmodem import SerialModem
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BUSY_TRIES = 6  # +ERR=17 before the packet is given back
_BUSY_ROUNDS_MAX = 3  # of these in a row; then the module hangs
_TRIES = 3  # of a command that arrived torn
_MARGIN_US = 20000  # of the module's own, after a packet


class Rylr(SerialModem):
    """See the module."""

    kind = "rylr"
    mtu_bytes = codec.FRAME_BYTES_MAX
    stall_ms = 100  # a line is whole within 30 ms at 115200 baud

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self._settings = settings
        self._model = codec.MODELS[settings.get("model", "rylr998")]
        self._forget()

    def _forget(self) -> None:
        """The state of one connection."""
        self.phy = None
        self._decoder = codec.Decoder()
        self._reply: asyncio.Future[codec.Event] | None = None
        self._wanted = ""  # the name of the value that we asked for
        self._busy_rounds = 0
        self._facts: dict[str, str | int] = {}

    # --- the port of radios.lora.modem

    async def _setup(self) -> None:
        self._forget()
        wanted = self._settings
        network = wanted.get("network", 18 if 18 in self._model.networks else 6)
        preamble = wanted.get("preamble", self._model.preamble_else)
        try:
            parameter = self._model.parameter(wanted["sf"], wanted["bw_hz"], wanted["cr_den"], preamble, network)
        except ValueError as error:
            raise LinkDown("bad_settings", f"a {wanted.get('model', 'rylr998')} takes {error}; change the settings of "
                                           "this link") from error
        if network not in self._model.networks or wanted["power_dbm"] < 0:
            raise LinkDown("bad_settings", "the network or the power of this link is none that the module takes")
        await self._detect()
        version = await self._ask("VER")
        self._facts["firmware"] = version or ""
        power = min(wanted["power_dbm"], self._model.powers[-1])
        await self._set("MODE", "0")
        await self._set("ADDRESS", str(wanted.get("address", 0)))
        await self._set("NETWORKID", str(network))
        await self._set("BAND", str(wanted["freq_hz"]))
        await self._set("PARAMETER", parameter)
        await self._set("CRFOP", str(power))
        self._facts["power_dbm"] = power
        self.phy = Phy(wanted["freq_hz"], wanted["bw_hz"], wanted["sf"], wanted["cr_den"], preamble,
                       codec.OVERHEAD_BYTES)

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """See Modem.send."""
        if not 1 <= len(frame) <= self.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.mtu_bytes} bytes here, not {len(frame)}")
        if not self._ready:
            raise Refused("not_ready")
        data = codec.pack(frame).decode("ascii")
        airtime_us = self.airtime_us(len(frame))
        air_s = self._pace.air_s(airtime_us + _MARGIN_US)
        loop = asyncio.get_running_loop()
        for _ in range(_BUSY_TRIES):
            began_s = loop.time()
            reply = await self._command("SEND", f"0,{len(data)},{data}", within_ms=self._pace.answer_ms
                                        + int(air_s * 1000))
            if reply.kind == codec.OK:
                self._busy_rounds = 0
                if loop.time() < began_s + air_s:
                    await self._rest(began_s + air_s - loop.time())
                    await self.beat()  # else one that restarted in the middle would pass for one that sent
                self._count("tx.sent")
                return Sent(airtime_us)
            if reply.number == codec.ERR_TX_OVERTIME:
                raise Refused("tx_failed", 1000, airtime_us)
            if reply.number != codec.ERR_BUSY:
                raise Refused("tx_failed", 1000)
            self._count("tx.busy")
            await self._rest(air_s / 2)
        self._busy_rounds += 1
        if self._busy_rounds >= _BUSY_ROUNDS_MAX:
            self._write(codec.command("RESET"))
            raise LinkDown("stuck", f"{self.where} has been busy with one packet for too long and is restarted; if "
                                    "that happens often, check its power supply")
        raise Refused("busy", (airtime_us // 1000 + 1000) // self._pace.speed)

    async def beat(self) -> None:
        """See Modem.beat."""
        reply = await self._command("")
        if reply.kind != codec.OK:
            raise LinkDown("frozen", f"{self.where} answers AT with +ERR={reply.number}; it is being set up again")

    def airtime_us(self, n_bytes: int) -> int:
        """See Modem.airtime_us; on the air it is base64."""
        return super().airtime_us(-(-n_bytes // 3) * 4)

    def status(self) -> dict[str, str | int]:
        """See Modem.status."""
        out = dict(self._facts)
        if self._decoder.dropped:
            out["rx.garbage"] = self._decoder.dropped
        out.update(self.counters)
        return out

    # --- commands

    async def _detect(self) -> None:
        """A plain AT until it is answered: the first may end what another program left half written."""
        until_ms = now_ms() + self._pace.reset_ms
        while now_ms() < until_ms:
            try:
                if (await self._command("", tries=1, within_ms=min(500, self._pace.answer_ms))).kind == codec.OK:
                    return
            except LinkDown as error:
                if error.reason not in ("frozen", "rebooted"):  # it may be starting
                    raise
        raise LinkDown("wrong_device", f"{self.where} doesn't answer as a REYAX module: is it the right device, set to "
                                       f"{self.baud} baud?")

    async def _set(self, name: str, value: str) -> None:
        """Set what is not so already (the module keeps some of it in flash), and read back. Raises LinkDown."""
        if await self._ask(name) == value:
            return
        reply = await self._command(name, value)
        got = await self._ask(name)
        if got != value:
            why = f"+ERR={reply.number}" if reply.kind == codec.ERROR else f"has {got}"
            raise LinkDown("bad_settings", f"{self.where} does not take {name} {value} ({why}): change the settings of "
                                           "this link")

    async def _ask(self, name: str) -> str | None:
        """The value of a setting, None when it won't say. Raises LinkDown."""
        reply = await self._command(name + "?")
        return reply.text if reply.kind == codec.VALUE else None

    async def _command(self, name: str, argument: str = "", tries: int = _TRIES, within_ms: int = 0) -> codec.Event:
        """Send one command and wait for its reply; again when it arrived torn. Raises LinkDown when none comes."""
        reply: codec.Event | None = None
        for _ in range(tries):
            self._received_events(self._decoder.flush())
            self._wanted = name.rstrip("?") if name.endswith("?") else ""
            self._reply = future = self._future()
            try:
                self._write(codec.command(name, argument))
                reply = await self._answer(future, within_ms or self._pace.answer_ms)
            finally:
                self._reply = None
            if reply is None:
                break
            if reply.kind != codec.ERROR or reply.number not in (codec.ERR_NO_END, codec.ERR_NOT_AT, codec.ERR_LENGTH):
                return reply
            self._count("torn_command")
        if reply is None:
            raise LinkDown("frozen", f"{self.where} doesn't answer: unplug the radio and plug it in again")
        return reply

    async def _rest(self, seconds: float) -> None:
        """Wait, but not for a device that is lost."""
        if seconds > 0:
            await self._answer(self._future(), int(seconds * 1000) + 1)

    # --- hearing

    def _received(self, data: bytes) -> None:
        self._received_events(self._decoder.feed(data))
        self._await_rest(self._decoder.waiting)

    def _stalled(self) -> None:
        self._received_events(self._decoder.flush())

    def _received_events(self, events: list[codec.Event]) -> None:
        for event in events:
            if event.kind == codec.RECEIVED:
                self._heard(event)
            elif event.kind == codec.READY:
                self._down("rebooted")
            elif event.kind == codec.ERROR and event.number in codec.UNASKED:
                self._count(f"device.err_{event.number}")
            elif event.kind == codec.ERROR or (event.name == self._wanted if self._wanted else event.kind == codec.OK):
                if event.kind == codec.ERROR:
                    self._count(f"device.err_{event.number}")
                if self._reply is not None and not self._reply.done():
                    self._reply.set_result(event)
            else:
                self._count("rx.unasked")

    def _heard(self, event: codec.Event) -> None:
        frame = codec.unpack(event.data)
        if frame is None or not self._ready:
            self._count("rx.foreign")
            return
        self._count("rx.frames")
        sender = event.number.to_bytes(2, "big")
        self._on_frame(frame, Signal(event.rssi_dbm, event.snr_db * 4, None, sender))
