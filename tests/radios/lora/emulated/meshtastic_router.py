"""The radio side of an emulated Meshtastic device: what its firmware does between the phone's packet and the air.

As measured on firmware 2.7.26: a queue of 16 by priority, listen before talk with random slots, flooding with
suppression, three tries and implicit acknowledgements, duty cycle by the sliding hour, direct messages under public
keys. Everything happens in the time of the `Air` that it is on. Direct messages are as long as real ones and as
unreadable to others, but their cipher is a stand-in.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from radios.lora.meshtastic import facts, wire
from radios.lora.modem import Phy
from tests.radios.lora.emulated.air import Air, Timer, Tuning

Record = dict[str, Any]

QUEUE_PLACES = 16
TRIES = 3
SEEN_MAX = 200
PROCESSING_US = 4500000
ANSWER_US = 600000  # what the measured goodput with acknowledgements leaves for the firmware itself
HOUR_US = 3600 * 1000000
DUTY_PERMILLE = {"EU_433": 100, "EU_868": 100, "TH": 100, "UA_868": 10, "EU_866": 25}
NO_INTERFACE_DISABLED = 34  # res of a packet when the radio may not send
_HEADER = struct.Struct("<IIIBBBB")


class Queued:
    """One packet that waits for the air. own: a client of ours handed it in, or it is an answer of ours."""

    def __init__(self, packet: Record, payload: bytes, priority: int, not_before_us: int, own: bool) -> None:
        self.packet = packet
        self.payload = payload
        self.priority = priority
        self.not_before_us = not_before_us
        self.own = own

    @property
    def key(self) -> tuple[int, int]:
        """Sender and id: what a packet is known by in the mesh."""
        return self.packet["from"], self.packet["id"]


class _Retry:
    def __init__(self, packet: Record, left: int, timer: Timer) -> None:
        self.packet = packet
        self.left = left
        self.timer = timer


class Router:
    """to_phone(packet): a MeshPacket for the client. notify(text): a clientNotification for it."""

    def __init__(self, air: Air, number: int, lora: Record, channels: list[tuple[str, bytes]], user: Record,
                 to_phone: Callable[[Record], None], notify: Callable[[str], None]) -> None:
        self.air = air
        self.number = number
        self.lora = lora
        self.channels = channels
        self.user = user
        self.to_phone = to_phone
        self.notify = notify
        self.keys: dict[int, bytes] = {}  # public keys of other nodes
        self.queue: list[Queued] = []
        self.rng = random.Random(f"{air.seed}/{number}")
        self.station = air.join(f"!{number:08x}", self._hear)
        self.relays = True
        self.on_transmit: Callable[[Record, bytes], None] | None = None  # mesh over UDP
        self.counters: dict[str, int] = {}
        self._spent: deque[tuple[int, int]] = deque()
        self._seen: deque[tuple[int, int]] = deque(maxlen=SEEN_MAX)
        self._retries: dict[int, _Retry] = {}
        self._pump: Timer | None = None
        self.tune()

    # --- settings

    @property
    def phy(self) -> Phy:
        """The radio settings."""
        phy = facts.phy_of(self.lora, self.channels[0][0])
        if phy is None:
            raise ValueError("these LoRa settings are none")
        return phy

    def tune(self) -> None:
        """Listen as the settings say; with no region not at all."""
        phy = self.phy
        self.station.tune(Tuning(phy.freq_hz, phy.bw_hz, phy.sf, facts.SYNC_WORD) if self.lora["region"] else None)

    def stop(self) -> None:
        """Power off: everything that only the memory knows is gone."""
        for retry in self._retries.values():
            retry.timer.cancel()
        if self._pump is not None:
            self._pump.cancel()
        self.station.leave()

    def free(self) -> int:
        """Free places in the queue."""
        return QUEUE_PLACES - len(self.queue)

    def spend(self, airtime_us: int) -> None:
        """Count so much airtime as sent just now."""
        self._spent.append((self.air.now_us(), airtime_us))

    def channel_key(self, index: int) -> tuple[int, bytes]:
        """Hash and key of a channel."""
        name, psk = self.channels[index]
        key = facts.expand_key(psk)
        return facts.channel_hash(name or facts.preset_name(self.lora), key), key

    # --- from the client

    def send_local(self, packet: Record) -> int:
        """Take a packet of the client; returns `res` of its queue status."""
        packet = {**dict(wire.MESH_PACKET.defaults), **packet, "from": self.number}
        packet["decoded"] = {**dict(wire.DATA.defaults), **packet["decoded"], "bitfield": 1}
        packet["id"] = packet["id"] or self.rng.getrandbits(32) or 1
        packet["hop_start"] = packet["hop_limit"]
        if not self.lora["region"] or not self.lora["tx_enabled"]:
            return NO_INTERFACE_DISABLED
        error = self._refusal(packet)
        if error:
            self.nak(packet["id"], error)
            return error
        self._seen.append((self.number, packet["id"]))
        priority = packet["priority"] or self._priority(packet)
        if not self._enqueue(Queued(packet, self._encrypt(packet), priority, 0, True)):
            return facts.ERROR_QUEUE_FULL
        if packet["want_ack"]:
            self._retries[packet["id"]] = _Retry(packet, TRIES - 1, self._retry_later(packet))
        return 0

    def nak(self, request_id: int, error: int) -> None:
        """Tell the client in our own name what became of a packet; error 0 is the implicit acknowledgement."""
        payload = wire.encode(wire.ROUTING, {"error_reason": error})
        self.to_phone({"from": self.number, "to": self.number, "id": self.rng.getrandbits(32),
                       "priority": facts.PRIORITY_ACK,
                       "decoded": {"portnum": facts.PORT_ROUTING, "payload": payload, "request_id": request_id}})

    def _refusal(self, packet: Record) -> int:
        minutes = self._silent_minutes()
        if minutes:
            self.notify(f"Duty cycle limit exceeded. You can send again in {minutes} mins")
            return facts.ERROR_DUTY_CYCLE
        if packet["channel"] >= len(self.channels):
            return facts.ERROR_NO_CHANNEL
        size = len(wire.encode(wire.DATA, packet["decoded"])) + facts.HEADER_BYTES
        if self._by_key(packet):
            size += facts.PKI_BYTES
            if size <= facts.PACKET_BYTES_MAX and packet["to"] not in self.keys:
                return facts.ERROR_UNKNOWN_KEY
        return facts.ERROR_TOO_LARGE if size > facts.PACKET_BYTES_MAX else 0

    def _silent_minutes(self) -> int:
        """How long the region's duty cycle keeps us silent; 0: it does not."""
        permille = DUTY_PERMILLE.get(facts.region_name(self.lora["region"]))
        if permille is None or self.lora["override_duty_cycle"]:
            return 0
        now_us = self.air.now_us()
        while self._spent and self._spent[0][0] <= now_us - HOUR_US:
            self._spent.popleft()
        over_us = sum(us for _, us in self._spent) - HOUR_US * permille // 1000
        if over_us <= 0:
            return 0
        for at_us, us in self._spent:
            over_us -= us
            if over_us <= 0:
                return max(1, -(-(at_us + HOUR_US - now_us) // 60000000))
        return 60

    def _priority(self, packet: Record) -> int:
        if packet["decoded"]["portnum"] == facts.PORT_TEXT:
            return facts.PRIORITY_HIGH
        return facts.PRIORITY_RELIABLE if packet["want_ack"] else facts.PRIORITY_DEFAULT

    # --- ciphers

    def _by_key(self, packet: Record) -> bool:
        """Whether it goes under the addressee's public key."""
        return (packet["to"] != facts.EVERYBODY and len(self.user["public_key"]) == 32
                and packet["decoded"]["portnum"] not in (facts.PORT_TRACEROUTE, facts.PORT_NODEINFO,
                                                         facts.PORT_ROUTING, facts.PORT_POSITION))

    def _pair_key(self, other: bytes) -> bytes:
        return hashlib.sha256(b"".join(sorted((self.user["public_key"], other)))).digest()

    def _encrypt(self, packet: Record) -> bytes:
        """The payload on the air; sets the packet's channel hash."""
        data = wire.encode(wire.DATA, packet["decoded"])
        if self._by_key(packet):
            packet["hash"] = 0
            key = self._pair_key(self.keys[packet["to"]])
            return facts.crypt(key, self.number, packet["id"], data) + bytes(facts.PKI_BYTES)
        packet["hash"], key = self.channel_key(packet["channel"])
        return facts.crypt(key, self.number, packet["id"], data)

    def _decrypt(self, packet: Record, payload: bytes) -> bool:
        """Read it if we can: sets decoded and channel. A direct message needs the sender's key."""
        if packet["hash"] == 0 and packet["to"] == self.number and packet["from"] in self.keys:
            key = self._pair_key(self.keys[packet["from"]])
            data = facts.crypt(key, packet["from"], packet["id"], payload[: -facts.PKI_BYTES])
            if self._decode(packet, data):
                packet["pki_encrypted"], packet["channel"] = True, 0
                packet["public_key"] = self.keys[packet["from"]]
                return True
        for index in range(len(self.channels)):
            hash_byte, key = self.channel_key(index)
            data = facts.crypt(key, packet["from"], packet["id"], payload) if hash_byte == packet["hash"] else b""
            if data and self._decode(packet, data):
                packet["channel"] = index
                return True
        return False

    def _decode(self, packet: Record, data: bytes) -> bool:
        try:
            packet["decoded"] = wire.decode(wire.DATA, data)
        except wire.WireError:
            return False
        return bool(packet["decoded"]["portnum"] > 0)

    # --- the queue and the air

    def _enqueue(self, queued: Queued) -> bool:
        """Into the queue by priority; a full one gives up its last if that is less urgent."""
        if len(self.queue) >= QUEUE_PLACES:
            if self.queue[-1].priority >= queued.priority:
                self._count("queue_full")
                return False
            self.queue.pop()
            self._count("evicted")
        at = next((i for i, other in enumerate(self.queue) if other.priority < queued.priority), len(self.queue))
        self.queue.insert(at, queued)
        self._pump_later()
        return True

    def _pump_later(self) -> None:
        """Contend for the channel: a random number of slots, and again when it is busy then."""
        if self._pump is not None or not self.queue:
            return
        now_us = self.air.now_us()
        start_us = max(min(queued.not_before_us for queued in self.queue), now_us, self.station.transmitting_until_us)
        self._pump = self.air.call_at(start_us + self.rng.randrange(8) * self.slot_us(), self._try)

    def slot_us(self) -> int:
        """One slot: channel activity detection and turn-around."""
        phy = self.phy
        return 2250000 * (1 << phy.sf) // phy.bw_hz + 7600

    def _try(self) -> None:
        self._pump = None
        now_us = self.air.now_us()
        ready = next((queued for queued in self.queue if queued.not_before_us <= now_us), None)
        if ready is not None and not self.station.transmitting and not self.air.busy(self.station):
            self.queue.remove(ready)
            self._transmit(ready)
        self._pump_later()

    def _transmit(self, queued: Queued) -> None:
        packet = queued.packet
        want_ack = packet["want_ack"] and packet["to"] != facts.EVERYBODY
        flags = packet["hop_limit"] | want_ack << 3 | packet["via_mqtt"] << 4 | packet["hop_start"] << 5
        header = _HEADER.pack(packet["to"], packet["from"], packet["id"], flags, packet["hash"], 0, self.number & 255)
        data = header + queued.payload
        airtime_us = self.phy.airtime_us(len(data) - facts.OVERHEAD_BYTES)
        self.spend(airtime_us)
        self._count("tx")
        if self.on_transmit is not None:
            self.on_transmit(packet, queued.payload)
        self.station.transmit(data, airtime_us, self._pump_later)

    # --- retries

    def _retry_later(self, packet: Record) -> Timer:
        airtime_us = self.phy.airtime_us(facts.packet_bytes(packet) - facts.OVERHEAD_BYTES)
        return self.air.call_later(2 * airtime_us + 69 * self.slot_us() + PROCESSING_US, lambda: self._retry(packet))

    def _retry(self, packet: Record) -> None:
        retry = self._retries[packet["id"]]
        if not retry.left:
            del self._retries[packet["id"]]
            self.nak(packet["id"], facts.ERROR_MAX_RETRANSMIT)
            return
        retry.left -= 1
        retry.timer = self._retry_later(packet)
        if packet["to"] == facts.EVERYBODY or packet["to"] in self.keys or not self._by_key(packet):
            self._enqueue(Queued(packet, self._encrypt(packet), facts.PRIORITY_RELIABLE, 0, True))

    def _settled(self, id: int) -> bool:
        """No more tries of this packet; False when it was none of ours that waits."""
        retry = self._retries.pop(id, None)
        if retry is not None:
            retry.timer.cancel()
            self.queue = [q for q in self.queue if q.key != (self.number, id)]
        return retry is not None

    # --- from the air

    def _hear(self, data: bytes, rssi_dbm: int, snr_qdb: int) -> None:
        if len(data) < facts.HEADER_BYTES:
            return
        to, sender, id, flags, hash_byte, next_hop, relay = _HEADER.unpack(data[: facts.HEADER_BYTES])
        packet: Record = {**dict(wire.MESH_PACKET.defaults), "to": to, "from": sender, "id": id,
                          "hop_limit": flags & 7, "want_ack": bool(flags & 8), "via_mqtt": bool(flags & 16),
                          "hop_start": flags >> 5, "next_hop": next_hop, "relay_node": relay, "rx_rssi": rssi_dbm,
                          "rx_snr": snr_qdb / 4, "transport_mechanism": 1, "hash": hash_byte}
        self.received(packet, data[facts.HEADER_BYTES :])

    def received(self, packet: Record, payload: bytes) -> None:
        """A packet from the air, or from elsewhere; `hash` in it is its channel byte, payload still encrypted."""
        to, sender, id, hash_byte = packet["to"], packet["from"], packet["id"], packet["hash"]
        snr_qdb = round(packet["rx_snr"] * 4)
        if sender == self.number:
            if self._settled(id):
                self.nak(id, 0)
            return
        seen = (sender, id) in self._seen
        if not seen:
            self._seen.append((sender, id))
        readable = self._decrypt(packet, payload)
        if readable and to == self.number and packet["want_ack"]:
            self._answer(packet, facts.PORT_ROUTING, wire.encode(wire.ROUTING, {"error_reason": 0}))
        if seen:
            self._suppress(sender, id)
            return
        if not readable and hash_byte == 0 and to == self.number and packet["want_ack"]:
            unknown = wire.encode(wire.ROUTING, {"error_reason": facts.ERROR_UNKNOWN_SENDER_KEY})
            self._answer(packet, facts.PORT_ROUTING, unknown)
        if readable and to in (self.number, facts.EVERYBODY):
            self._for_us(packet)
        if to != self.number and packet["hop_limit"] > 0 and self.relays:
            self._relay(packet, payload, snr_qdb)

    def _for_us(self, packet: Record) -> None:
        data = packet["decoded"]
        if data["portnum"] == facts.PORT_ROUTING and data["request_id"]:
            self._settled(data["request_id"])
        if data["portnum"] == facts.PORT_NODEINFO:
            self._learn(packet["from"], data["payload"])
            if data["want_response"]:
                self._answer(packet, facts.PORT_NODEINFO, wire.encode(wire.USER, self.user))
        self._count("rx")
        self.to_phone({name: value for name, value in packet.items() if name != "hash"})

    def _learn(self, sender: int, payload: bytes) -> None:
        try:
            user = wire.decode(wire.USER, payload)
        except wire.WireError:
            return
        if len(user["public_key"]) == 32:
            self.keys[sender] = user["public_key"]

    def _answer(self, packet: Record, port: int, payload: bytes) -> None:
        hops = max(packet["hop_start"] - packet["hop_limit"], 0)
        answer = {**dict(wire.MESH_PACKET.defaults), "to": packet["from"], "from": self.number,
                  "id": self.rng.getrandbits(32) or 1, "channel": packet["channel"] if "decoded" in packet else 0,
                  "hop_limit": min(hops + 2, 7), "hop_start": min(hops + 2, 7),
                  "decoded": {"portnum": port, "payload": payload, "request_id": packet["id"], "bitfield": 1}}
        not_before_us = self.air.now_us() + ANSWER_US
        self._enqueue(Queued(answer, self._encrypt(answer), facts.PRIORITY_ACK, not_before_us, True))

    def _relay(self, packet: Record, payload: bytes, snr_qdb: int) -> None:
        """Repeat it: who heard it worst goes first, and who hears another repeat it leaves it at that."""
        again = dict(packet, hop_limit=packet["hop_limit"] - 1)
        slots = 2 + max(0, min(16, (snr_qdb // 4 + 20) // 2)) + self.rng.randrange(8)
        not_before_us = self.air.now_us() + slots * self.slot_us()
        self._enqueue(Queued(again, payload, facts.PRIORITY_DEFAULT, not_before_us, False))

    def _suppress(self, sender: int, id: int) -> None:
        before = len(self.queue)
        self.queue = [q for q in self.queue if q.own or q.key != (sender, id)]
        self._count("suppressed", before - len(self.queue))

    def _count(self, name: str, n: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + n
