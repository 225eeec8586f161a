"""A Meshtastic device as a modem, by serial port, TCP or BLE: the waiting around `wire`, `stream` and `told`.

Frames go out as PRIVATE_APP packets to everybody on one channel, the mesh under us hops them; texts go out on the text
or alert port, those to one person with an acknowledgement. The device answers each packet with a queue status and says
nothing when it sends it, so we ask (a heartbeat costs no airtime) until its queue is empty, then wait the airtime. It
holds one packet of ours at a time. The device keeps the region's law and we believe it. What is refused is refused at
once, with the time after which it may work; nothing is queued here. DESIGN, Links.

settings: device (see `lines`), channel (the name of the one for frames, "" the primary), hop_limit (0..7, by default
the device's own), by_id (udev's folder of links; for tests), bleak (arguments for it; for tests).
"""

from __future__ import annotations

import asyncio
import os

from radios.lora.meshtastic import facts, stream, wire
from radios.lora.meshtastic.fates import Fates
from radios.lora.meshtastic.lines import close_line, open_line, tcp_address
from radios.lora.meshtastic.mesh import MeshModem
from radios.lora.meshtastic.stream import Framer
from radios.lora.meshtastic.told import Told, node_id, signal_of
from radios.lora.modem import LinkDown, Pace, Refused, Sent
from radios.lora.serialport import BY_ID, Finder
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.meshtastic.lines import Line
    from radios.lora.meshtastic.wire import Record
    from radios.lora.modem import Signal
    from radios.lora.people import Text

HELLO_NONCE = 69420  # "everything but the other nodes": a full list stalls slow devices
NAMES_NONCE = 69421  # "the nodes alone": asked for once, and not waited for to the end where there are very many
NAMES_MS = 15000
HELLO_TRIES = 4
HELLO_ANSWERS_MAX = 20  # the whole of it, in times to wait for an answer
TEXT_GAP_MS = 2200  # a device drops, silently, a text less than 2 s after another
ALERT_GAP_MS = 10500  # and an alert less than 10 s after another
POLL_MS_MIN, POLL_MS_MAX = 100, 1000
LEAVE_MS_MAX = 60000  # a packet that waits for longer counts as sent
CROWD_MS, TURNS_EACH = 2000, 3  # where others' packets wait as well: that, and three airtimes for each before it
NAK_MS = 300  # how long a refusal's reason may come after the refusal
ACK_MS = 60000  # three tries of the device, there and back
KEY_MS = 600000  # a node that was asked for its key is not asked again so soon
KEY_ANSWER_MS = 15000
ASKED_MAX = 32
TCP_STALE_MS = 30000

_NO_ANSWER = (1, 3, 5, 8)  # routing errors of a packet that did go out
_RETRY_MS = {"queue_full": 2000, "duty_cycle": 360000, "rate_limited": 10500, "tx_failed": 5000}


class MeshtasticModem(MeshModem):
    """See the module. After `open`, `told` has what the device says of itself."""

    kind = "meshtastic"

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self.told = Told()
        self._channel_name = str(settings.get("channel", ""))
        self._hop_limit: int | None = settings.get("hop_limit")
        self._bleak = settings.get("bleak", {})
        self._finder = Finder(self.where, settings.get("by_id", BY_ID))
        self._line: Line | None = None
        self._framer = Framer(wire.FROM_RADIO)
        self._fates = Fates()
        self._asked: dict[int, int] = {}  # node -> when its key was asked for
        self._free_at_ms = {facts.PORT_TEXT: 0, facts.PORT_ALERT: 0}
        self._down: LinkDown | None = None
        self._news = asyncio.Event()
        self._up = self._restarted = self._names_asked = False
        self._complete = 0  # the nonce of the last hello that the device has finished
        self._sending = 0  # id of the packet being handed in
        self._res: int | None = None  # what the queue status said of it
        self._nak = 0  # what our own device's routing said of it
        self._notices = 0  # how many notices there had been before it
        self._polls = 0  # queue statuses heard

    # --- the port

    async def open(self, on_frame: Callable[[bytes, Signal], None], on_text: Callable[[Text], None],
                   on_state: Callable[[str, int, str], None]) -> None:
        """See Modem.open."""
        self._on_frame, self._on_text, self._on_state = on_frame, on_text, on_state
        self._down = None
        self._up = False
        serial = tcp_address(self.where) is None
        self._framer = Framer(wire.FROM_RADIO, self._pace.answer_ms // 2 if serial else TCP_STALE_MS)
        self._line = await open_line(self.where, self._finder, self._bytes, self._lost, self._pace.reset_ms,
                                     self._bleak)
        try:
            await self._hello()
            await self._names()
        except BaseException:
            await self.close()
            raise
        self._up = True
        self._facts()
        self._fates.resume(on_state)

    async def close(self) -> None:
        """See Modem.close."""
        self._up = False
        self._fates.pause()
        line, self._line = self._line, None
        if line is not None:
            await close_line(line)

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """See Modem.send."""
        if not 1 <= len(frame) <= self.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.mtu_bytes} bytes here, not {len(frame)}")
        hop_limit = self.told.hop_limit() if self._hop_limit is None else self._hop_limit
        packet = self._packet(facts.EVERYBODY, self._channel_name, facts.PORT_PRIVATE, frame, hop_limit)
        if urgent:
            packet["priority"] = facts.PRIORITY_ALERT
        return await self._send(packet)

    async def send_text(self, to: bytes | None, channel: str, text: str, hop_limit: int, *,
                        alert: bool = False) -> Sent:
        """See Modem.send_text. At most 232 bytes of UTF-8, to one person 220; hop_limit 0..7.

        Refused "rate_limited" while the device would drop it silently, "key_unknown" with a time when the addressee's
        key was asked for just now and without one when it did not answer.
        """
        payload = text.encode()
        if not payload:
            raise ValueError("a text must not be empty")
        number = facts.EVERYBODY if to is None else int.from_bytes(to, "big")
        most = facts.TEXT_BYTES_MAX - (facts.PKI_BYTES if to is not None else 0)
        if len(payload) > most:
            raise Refused("too_large")
        port = facts.PORT_ALERT if alert else facts.PORT_TEXT
        packet = self._packet(number, channel, port, payload, hop_limit)
        wait_ms = self._free_at_ms[port] - now_ms()
        if wait_ms > 0:
            raise Refused("rate_limited", wait_ms)
        packet["want_ack"] = to is not None or hop_limit > 0  # without a hop nobody repeats it
        if alert:
            packet["priority"] = facts.PRIORITY_ALERT
        within_ms = self._scaled(ACK_MS) + 12 * self._air_ms(packet)
        self._fates.expect(packet["id"], number, within_ms)
        self._free_at_ms[port] = now_ms() + self._scaled(ALERT_GAP_MS if alert else TEXT_GAP_MS)
        try:
            sent = await self._send(packet)
        except Refused as refused:
            self._fates.forget(packet["id"])
            if refused.reason == "key_unknown" and to is not None:
                raise await self._ask_key(number) from None
            raise
        finally:
            self._fates.returned()
        return sent

    async def beat(self) -> None:
        """See Modem.beat. A device that is alive answers with its queue."""
        self._write({"heartbeat": {}})

    def status(self) -> dict[str, str | int]:
        """Facts: node, name, firmware, settings, queue, channel use, its last notice, counters."""
        told = self.told
        out: dict[str, str | int] = {
            "node": node_id(told.my_num), "name": told.name(), "firmware": told.firmware,
            "region": self.region or "not set", "preset": facts.preset_name(told.lora) if told.lora else "",
            "channel": self._channel_name or told.channel_name(0), "hop_limit": told.hop_limit(),
            "queue": told.waiting, "queue_places": told.places, "waiting_acks": len(self._fates),
            "noise_bytes": self._framer.noise_bytes, "bad_frames": self._framer.bad_frames,
        }
        if self.phy is not None:
            out["freq_khz"] = self.phy.freq_hz // 1000
        for name in ("utilisation_percent", "air_tx_percent", "notice"):
            value = getattr(told, name)
            if value not in (None, ""):
                out[name] = value
        out.update(self.counters)
        return out

    # --- hello

    async def _hello(self) -> None:
        """Let the device tell everything; again where it restarts or says nothing."""
        until_ms = now_ms() + HELLO_ANSWERS_MAX * self._pace.answer_ms
        for _ in range(HELLO_TRIES):
            self._complete, self._restarted = 0, False
            self.told = Told()
            self._write_bytes(stream.WAKE)
            await self._until(lambda: False, self._pace.answer_ms // 20)  # it may have to wake
            await self._config(HELLO_NONCE, until_ms)
            if self._complete == HELLO_NONCE and self.told.my_num:
                return
        if self.told.my_num or self._restarted:
            raise LinkDown("frozen", f"the radio at {self.where} stops in its hello: switch it off and on")
        if self._framer.noise_bytes:
            raise LinkDown("wrong_device", f"what is at {self.where} does not talk like a Meshtastic radio: is it the "
                                           "right port, and is its serial console in PROTO mode?")
        raise LinkDown("frozen", f"no answer from the radio at {self.where}: switch it off and on")

    async def _names(self) -> None:
        """Ask once what the radios are called that the device has heard of before us."""
        if not self._names_asked:
            self._names_asked = True
            await self._config(NAMES_NONCE, now_ms() + self._scaled(NAMES_MS))

    async def _config(self, nonce: int, until_ms: int) -> None:
        """Let the device tell what a nonce stands for; it is waited for as long as it says something."""
        self._write({"want_config_id": nonce})
        heard_ms = -1
        while heard_ms != self.heard_ms and now_ms() < until_ms:
            heard_ms = self.heard_ms
            if await self._until(lambda: self._complete == nonce or self._restarted, self._pace.answer_ms):
                return

    def _facts(self) -> None:
        self.phy = self.told.phy()
        self.region = self.told.region()
        self.utilisation_percent = self.told.utilisation_percent

    # --- sending

    def _packet(self, to: int, channel: str, port: int, payload: bytes, hop_limit: int) -> Record:
        """A packet to hand in. Raises what can be known without the device."""
        if not 0 <= hop_limit <= facts.HOPS_MAX:
            raise ValueError(f"hop_limit must be 0..{facts.HOPS_MAX}, not {hop_limit}")
        if not self._up:
            raise Refused("not_ready", self._pace.answer_ms)
        if not self.region or self.phy is None:
            raise Refused("no_region")
        index = self.told.channel_index(channel)
        if index is None:
            raise Refused("no_channel")
        if not self.told.lora["tx_enabled"]:
            raise Refused("tx_failed")
        packet_id = int.from_bytes(os.urandom(4), "big") or 1
        return {"to": to, "channel": index, "id": packet_id, "hop_limit": hop_limit,
                "decoded": {"portnum": port, "payload": payload}}

    async def _send(self, packet: Record) -> Sent:
        """Hand in one packet and wait until it has left the device."""
        airtime_us = self._packet_us(packet)
        self._sending, self._res, self._nak, self._notices = packet["id"], None, 0, self.told.notices
        try:
            await self._hand_in(packet)
            if self._res or self._nak:
                await self._refused(airtime_us)
            await self._leave(airtime_us)
            await self._until(lambda: self._nak != 0, round(self._pace.air_s(airtime_us) * 1000))
            if self._nak:
                await self._refused(airtime_us)
        finally:
            self._sending = 0
        self._count("tx.packets")
        return Sent(airtime_us, packet["id"])

    async def _hand_in(self, packet: Record) -> None:
        """A device takes a packet's id once only, so what it did not answer is handed in again without harm."""
        for _ in range(2):
            self._write({"packet": packet})
            if await self._until(lambda: self._res is not None or self._nak != 0, self._pace.answer_ms):
                return
            self._count("tx.unanswered")
        await self._poll()
        self._res = 0

    async def _refused(self, airtime_us: int) -> None:
        """Raise Refused with the reason, which may come after the queue status that refuses."""
        if not self._nak and self._res != facts.ERROR_QUEUE_FULL:
            await self._until(lambda: self._nak != 0, NAK_MS)
        res = self._res or 0
        reason = "" if self._nak else facts.RES_REASONS.get(res, "")
        reason = reason or facts.ROUTING_REASONS.get(self._nak or res, "tx_failed")
        self._count("refused." + reason)
        retry_ms = _RETRY_MS.get(reason)
        if reason == "duty_cycle":
            retry_ms = (self.told.notice_ms() if self.told.notices != self._notices else None) or retry_ms
        raise Refused(reason, self._scaled(retry_ms) if retry_ms is not None else None)

    async def _leave(self, airtime_us: int) -> None:
        """Wait until nothing waits in the device. Raises Refused when it changes its mind, LinkDown when it is mute.

        Packets that it repeats for others wait there as well and keep coming: when those that were before ours have
        had their time, ours counts as gone.
        """
        poll_ms = self._scaled(max(POLL_MS_MIN, min(airtime_us // 4000, POLL_MS_MAX)))
        began_ms = now_ms()
        before_us = (self.told.waiting + 1) * TURNS_EACH * airtime_us
        crowd_ms = self._scaled(min(CROWD_MS + before_us // 1000, LEAVE_MS_MAX))
        while self.told.waiting and not self._nak:
            waited_ms = now_ms() - began_ms
            if waited_ms >= (self._scaled(LEAVE_MS_MAX) if self.told.waiting == 1 else crowd_ms):
                self._count("tx.unsure")
                return
            await self._until(lambda: self._nak != 0 or not self.told.waiting, poll_ms)
            await self._poll()

    async def _poll(self) -> None:
        """Ask for the queue and wait for the answer. Raises LinkDown, reason frozen."""
        before = self._polls
        for _ in range(2):
            self._write({"heartbeat": {}})
            if await self._until(lambda: self._polls != before, self._pace.answer_ms):
                return
        raise LinkDown("frozen", f"the radio at {self.where} answers no more: switch it off and on")

    async def _ask_key(self, number: int) -> Refused:
        """Ask a node for its public key, once; the refusal to raise."""
        asked_ms = self._asked.get(number)
        if (asked_ms is not None and now_ms() - asked_ms < KEY_MS) or not self.told.user:
            return Refused("key_unknown")
        if len(self._asked) >= ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[number] = now_ms()
        payload = wire.encode(wire.USER, self.told.user)
        packet = self._packet(number, "", facts.PORT_NODEINFO, payload, self.told.hop_limit())
        packet["decoded"]["want_response"] = True
        try:
            sent = await self._send(packet)
        except Refused as refused:
            del self._asked[number]
            return refused
        return Refused("key_unknown", self._scaled(KEY_ANSWER_MS) + 4 * self._air_ms(packet), sent.airtime_us)

    # --- the line

    async def _until(self, condition: Callable[[], bool], within_ms: int) -> bool:
        """Wait until `condition` holds, looked at after each record. False: not in time. Raises LinkDown when lost."""
        try:
            async with asyncio.timeout(within_ms / 1000):
                while True:
                    if self._down is not None:
                        raise self._down
                    if condition():
                        return True
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False

    def _write(self, record: Record) -> None:
        self._write_bytes(stream.frame(wire.encode(wire.TO_RADIO, record)))

    def _write_bytes(self, data: bytes) -> None:
        if self._line is None:
            raise LinkDown("gone", f"the radio at {self.where} is not open")
        self._line.write(data)

    def _bytes(self, data: bytes) -> None:
        self.heard_ms = now_ms()
        for record in self._framer.feed(data, self.heard_ms):
            self._record(record)
        self._news.set()

    def _lost(self, reason: str) -> None:
        self._down = LinkDown(reason, f"the radio at {self.where} was unplugged, or another program took it over")
        self._news.set()
        if self._up:
            self._up = False
            self._on_state("down", 0, reason)

    def _record(self, record: Record) -> None:
        if "packet" in record:
            self._heard(record["packet"])
        elif "config_complete_id" in record:
            self._complete = record["config_complete_id"]
        elif "rebooted" in record:
            self._restarted = True
            if self._up:
                self._lost("rebooted")
        else:
            self.told.take(record)
            if "user" in (info := record.get("node_info", {})) and info["num"] != self.told.my_num:
                self._called(info["num"], info["user"])
            if "queueStatus" in record:
                status = record["queueStatus"]
                self._polls += 1
                if self._sending and status["mesh_packet_id"] == self._sending:
                    self._res = status["res"]

    # --- what is heard

    def _heard(self, packet: Record) -> None:
        data = packet.get("decoded")
        ours = packet["from"] in (0, self.told.my_num)
        if not ours:
            self._met(packet, data)
        if data is None:
            return  # of a channel that the device has no key of
        port = data["portnum"]
        if port == facts.PORT_ROUTING and data["request_id"]:
            self._routing(packet, data, ours)
        elif ours:
            if port == facts.PORT_TELEMETRY and self.told.telemetry(data["payload"]) and self._up:
                self._facts()
                self._on_state("facts", 0, "")
        elif port == facts.PORT_PRIVATE:
            if packet["channel"] == self.told.channel_index(self._channel_name) and data["payload"]:
                self._count("rx.frames")
                self._on_frame(data["payload"], signal_of(packet))
        else:
            self._read(packet, data, packet["to"] == self.told.my_num, self.told.channel_name(packet["channel"]))

    def _routing(self, packet: Record, data: Record, ours: bool) -> None:
        try:
            error = wire.decode(wire.ROUTING, data["payload"]).get("error_reason", 0)
        except wire.WireError:
            return
        if ours and data["request_id"] == self._sending and error and error not in _NO_ANSWER:
            self._nak = error
        else:
            self._fates.routing(packet["from"], data["request_id"], error, ours)

    def _scaled(self, ms: int) -> int:
        return ms // self._pace.speed

    def _packet_us(self, packet: Record) -> int:
        return self.airtime_us(facts.packet_bytes(packet) - facts.OVERHEAD_BYTES)

    def _air_ms(self, packet: Record) -> int:
        return round(self._pace.air_s(self._packet_us(packet)) * 1000)
