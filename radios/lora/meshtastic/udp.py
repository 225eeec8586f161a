"""Meshtastic's mesh over UDP as a modem: a Wi-Fi or Ethernet node near by, or meshtasticd, is our radio.

Devices with "UDP broadcast" on put the packets that they hear and send into the group 224.0.0.69, port 4403, encrypted
as on the air, and send by LoRa what they hear there. So we are a node of the mesh without an antenna of our own: we
encrypt under the channel's key and flood nothing. Nobody tells us when a packet is on the air: it is given three times
its airtime, for those who repeat it. Everybody in this network can forge packets, as can everybody who has the
channel's key; what matters is signed above. Direct messages under public keys are not spoken here. Bad datagrams are
counted and dropped.

settings: device "udp", channel and psk (name and key in base64, by default the preset's own), region, preset (their
Meshtastic names), hop_limit, node (our node number, random by default;
the driver gives one that stays), interfaces (names, [] all), group, group_port.
"""

from __future__ import annotations

import asyncio
import binascii
import os
import socket

from edge.core.peers import Bucket
from radios.lan.net import interfaces
from radios.lora.meshtastic import facts, wire
from radios.lora.meshtastic.fates import Fates
from radios.lora.meshtastic.mesh import MeshModem
from radios.lora.meshtastic.told import node_id, signal_of
from radios.lora.modem import LinkDown, Pace, Refused, Sent
from radios.lora.regions import canonical
from radios.lora.supervisor import now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.meshtastic.wire import Record
    from radios.lora.modem import Signal
    from radios.lora.people import Text

GROUP, GROUP_PORT = "224.0.0.69", 4403
SEEN_MAX = 256
TRIES = 3
ACKS_BURST = 8
TEXT_GAP_MS = 2200
ACK_MS = 60000
RETRY_MS = 5000  # beside two airtimes, as the devices do
_IP_MULTICAST_ALL = 49


class MeshtasticUdpModem(MeshModem):
    """See the module."""

    kind = "meshtastic-udp"

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        super().__init__(settings, pace)
        self.number = int(settings.get("node") or int.from_bytes(os.urandom(4), "big") or 1) & 0xFFFFFFFF
        self._hop_limit = int(settings.get("hop_limit", 3))
        self._group = str(settings.get("group", GROUP)), int(settings.get("group_port", GROUP_PORT))
        self._only = list(settings.get("interfaces", ()))
        self._settings = settings
        self._lora: Record = {}
        self._key = b""
        self._hash = 0
        self.channel = ""
        self._socket: socket.socket | None = None
        self._joined: dict[int, bytes] = {}  # interface index -> its IPv4 address
        self._seen: dict[tuple[int, int], None] = {}
        self._sent_hops: dict[int, int] = {}  # hop limit of what we sent
        self._fates = Fates()
        self._retries: dict[int, asyncio.TimerHandle] = {}
        self._text_at_ms = 0
        self._acks = Bucket(now_ms(), ACKS_BURST, pace.speed)  # one a second in earnest

    # --- the port

    async def open(self, on_frame: Callable[[bytes, Signal], None], on_text: Callable[[Text], None],
                   on_state: Callable[[str, int, str], None]) -> None:
        """See Modem.open."""
        self._on_frame, self._on_text = on_frame, on_text
        self._configure()
        sock = self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            sock.bind(self._group)  # to the group, so that nothing but its datagrams gets in
            self._join()
        except (OSError, LinkDown) as error:
            await self.close()
            if isinstance(error, LinkDown):
                raise
            raise LinkDown("no_device", f"UDP port {self._group[1]} can't be used: {error.strerror}") from error
        asyncio.get_running_loop().add_reader(sock, self._readable)
        self._fates.resume(on_state)
        self.heard_ms = now_ms()

    async def close(self) -> None:
        """See Modem.close."""
        self._fates.pause()
        for timer in self._retries.values():
            timer.cancel()
        self._retries.clear()
        sock, self._socket = self._socket, None
        self._joined.clear()
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """See Modem.send."""
        if not 1 <= len(frame) <= self.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.mtu_bytes} bytes here, not {len(frame)}")
        packet = self._packet(facts.EVERYBODY, {"portnum": facts.PORT_PRIVATE, "payload": frame}, self._hop_limit)
        return await self._send(packet)

    async def send_text(self, to: bytes | None, channel: str, text: str, hop_limit: int, *,
                        alert: bool = False) -> Sent:
        """See Modem.send_text; there is the one channel."""
        payload = text.encode()
        if not payload:
            raise ValueError("a text must not be empty")
        if len(payload) > facts.TEXT_BYTES_MAX:
            raise Refused("too_large")
        if channel not in ("", self.channel):
            raise Refused("no_channel")
        wait_ms = self._text_at_ms - now_ms()
        if wait_ms > 0:
            raise Refused("rate_limited", wait_ms)
        number = facts.EVERYBODY if to is None else int.from_bytes(to, "big")
        port = facts.PORT_ALERT if alert else facts.PORT_TEXT
        packet = self._packet(number, {"portnum": port, "payload": payload}, hop_limit)
        packet["want_ack"] = to is not None
        self._text_at_ms = now_ms() + TEXT_GAP_MS // self._pace.speed
        air_ms = round(self._pace.air_s(self._airtime_us(packet)) * 1000)
        if to is not None or hop_limit > 0:
            self._fates.expect(packet["id"], number, ACK_MS // self._pace.speed + 12 * air_ms)
        if to is not None:
            self._retry_later(packet, RETRY_MS // self._pace.speed + 2 * air_ms, TRIES - 1)
        try:
            return await self._send(packet)
        except Refused:
            self._fates.forget(packet["id"])
            raise
        finally:
            self._fates.returned()

    async def beat(self) -> None:
        """See Modem.beat: join the group where the network has changed. Raises LinkDown when there is no network."""
        try:
            self._join()
        except OSError as error:
            raise LinkDown("gone", f"no network: {error.strerror}") from error
        self.heard_ms = now_ms()

    def status(self) -> dict[str, str | int]:
        """Facts: our node number, settings, interfaces, counters."""
        out: dict[str, str | int] = {
            "node": node_id(self.number), "region": self.region or "not set",
            "preset": facts.preset_name(self._lora) if self._lora else "", "channel": self.channel,
            "hop_limit": self._hop_limit, "interfaces": len(self._joined), "waiting_acks": len(self._fates)}
        if self.phy is not None:
            out["freq_khz"] = self.phy.freq_hz // 1000
        out.update(self.counters)
        return out

    def _configure(self) -> None:
        """Read the settings. Raises LinkDown, reason bad_settings, for a region, preset or key that is none."""
        settings = self._settings
        self._lora = _lora_of(settings)
        self.phy = facts.phy_of(self._lora, str(settings.get("channel", "")))
        self.region = facts.region_name(self._lora["region"])
        self.channel = str(settings.get("channel", "")) or facts.preset_name(self._lora)
        try:
            self._key = facts.expand_key(binascii.a2b_base64(str(settings.get("psk", "AQ=="))))
        except ValueError as error:
            raise LinkDown("bad_settings", f"psk is no channel key in base64: {error}") from error
        self._hash = facts.channel_hash(self.channel, self._key)

    # --- sending

    def _packet(self, to: int, data: Record, hop_limit: int) -> Record:
        """A packet for the group, encrypted."""
        if not 0 <= hop_limit <= facts.HOPS_MAX:
            raise ValueError(f"hop_limit must be 0..{facts.HOPS_MAX}, not {hop_limit}")
        if not self.region:
            raise Refused("no_region")
        packet_id = int.from_bytes(os.urandom(4), "big") or 1
        plain = wire.encode(wire.DATA, {**data, "bitfield": 1})
        return {"from": self.number, "to": to, "channel": self._hash, "id": packet_id, "hop_limit": hop_limit,
                "hop_start": hop_limit, "encrypted": facts.crypt(self._key, self.number, packet_id, plain)}

    async def _send(self, packet: Record) -> Sent:
        self._put(packet)
        self._count("tx.packets")
        airtime_us = self._airtime_us(packet)
        await asyncio.sleep(self._pace.air_s(3 * airtime_us))
        return Sent(airtime_us, packet["id"])

    def _airtime_us(self, packet: Record) -> int:
        return self.airtime_us(facts.HEADER_BYTES + len(packet["encrypted"]) - facts.OVERHEAD_BYTES)

    def _put(self, packet: Record) -> None:
        """Into the group on every interface. Raises LinkDown where none takes it."""
        sock = self._socket
        if sock is None:
            raise Refused("not_ready", self._pace.answer_ms)
        if len(self._sent_hops) >= SEEN_MAX:
            del self._sent_hops[next(iter(self._sent_hops))]
        self._sent_hops[packet["id"]] = packet["hop_limit"]
        datagram = wire.encode(wire.MESH_PACKET, packet)
        taken = 0
        for address in list(self._joined.values()):
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
                sock.sendto(datagram, self._group)
                taken += 1
            except OSError:
                self._count("tx.refused_by_interface")
        if not taken:
            raise LinkDown("gone", "no network interface takes multicast: is the cable in, is Wi-Fi connected?")

    def _retry_later(self, packet: Record, after_ms: int, left: int) -> None:
        def again() -> None:
            self._retries.pop(packet["id"], None)
            if packet["id"] not in self._fates or not left:
                return
            try:
                self._put(packet)
            except (LinkDown, Refused):
                return  # its deadline ends it
            self._retry_later(packet, after_ms, left - 1)

        self._retries[packet["id"]] = asyncio.get_running_loop().call_later(after_ms / 1000, again)

    def _join(self) -> None:
        """Be a member of the group on every interface that is there now."""
        sock = self._socket
        if sock is None:
            raise LinkDown("gone", "not open")
        now = {i.index: i.ipv4 for i in interfaces(self._only) if i.ipv4 is not None}
        group = socket.inet_aton(self._group[0])
        for index, address in now.items():
            if self._joined.get(index) == address:
                continue
            try:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                group + address + index.to_bytes(4, "little"))
            except OSError:
                pass  # a member still, or the interface just went: sending tells
        self._joined = now
        if not now:
            raise LinkDown("no_device", "no network interface has an IPv4 address: is the cable in?")

    # --- what is heard

    def _readable(self) -> None:
        for _ in range(16):  # then others have their turn
            if self._socket is None:
                return
            try:
                datagram = self._socket.recv(wire.BYTES_MAX + 1)
            except OSError:
                return
            self.heard_ms = now_ms()
            self._datagram(datagram)

    def _datagram(self, datagram: bytes) -> None:
        try:
            packet = wire.decode(wire.MESH_PACKET, datagram)
            if packet["from"] == self.number:
                self._echo(packet)
                return
            if packet["channel"] != self._hash or "encrypted" not in packet or not packet["from"]:
                self._count("rx.other_channel")
                if packet["from"]:
                    self._met(packet, None)
                return
            key = packet["from"], packet["id"]
            plain = facts.crypt(self._key, packet["from"], packet["id"], packet["encrypted"])
            data = wire.decode(wire.DATA, plain)
        except wire.WireError as error:
            self._count("drop." + error.reason)
            return
        fresh = key not in self._seen
        if fresh:
            if len(self._seen) >= SEEN_MAX:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = None
        to_us = packet["to"] == self.number
        if to_us and packet["want_ack"]:
            self._acknowledge(packet)
        if fresh:
            self._met(packet, data)
        if fresh and (to_us or packet["to"] == facts.EVERYBODY):
            packet["decoded"] = data
            self._heard(packet, data, to_us)

    def _echo(self, packet: Record) -> None:
        """A packet of ours: from our own socket, or repeated by somebody, which is an implicit acknowledgement."""
        if packet["hop_limit"] < self._sent_hops.get(packet["id"], 0):
            self._fates.routing(self.number, packet["id"], 0, True)

    def _acknowledge(self, packet: Record) -> None:
        """A direct packet wants to know that it arrived, each time that it does; but nobody makes us flood the air."""
        if not self._acks.take(now_ms()):
            self._count("tx.ack_withheld")
            return
        hops = max(packet["hop_start"] - packet["hop_limit"], 0) + 2
        payload = wire.encode(wire.ROUTING, {"error_reason": facts.ERROR_NONE})
        try:
            self._put(self._packet(packet["from"], {"portnum": facts.PORT_ROUTING, "payload": payload,
                                                    "request_id": packet["id"]}, min(hops, facts.HOPS_MAX)))
        except (LinkDown, Refused):
            self._count("tx.ack_lost")

    def _heard(self, packet: Record, data: Record, to_us: bool) -> None:
        port, payload = data["portnum"], data["payload"]
        if port == facts.PORT_ROUTING and data["request_id"]:
            try:
                error = wire.decode(wire.ROUTING, payload).get("error_reason", 0)
            except wire.WireError:
                return
            self._fates.routing(packet["from"], data["request_id"], error, False)
        elif port == facts.PORT_PRIVATE and payload:
            self._count("rx.frames")
            self._on_frame(payload, signal_of(packet))
        else:
            self._read(packet, data, to_us, self.channel)


def _lora_of(settings: dict[str, Any]) -> Record:
    """The LoRa settings that the nodes around us have, by their names."""
    region, preset = str(settings.get("region", "")), str(settings.get("preset", "LongFast"))
    regions = {canonical(row[0]): code for code, row in facts.REGIONS.items()}
    presets = {row[0]: code for code, row in facts.PRESETS.items()}
    if (region and canonical(region) not in regions) or preset not in presets:
        names = ", ".join(sorted(row[0] for row in facts.REGIONS.values()))
        raise LinkDown("bad_settings", f"no such region or preset: {region or '-'}, {preset}. Regions: {names}. "
                                       f"Presets: {', '.join(presets)}")
    return {**wire.LORA_CONFIG.defaults, "use_preset": True, "modem_preset": presets[preset],
            "region": regions.get(canonical(region), 0), "hop_limit": int(settings.get("hop_limit", 3)),
            "tx_enabled": True}
