"""Mesh over UDP for an emulated Meshtastic device: what it sends goes into the group as well, what it hears there it
takes as if from the air, and so repeats it by radio."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from radios.lora.meshtastic import facts, wire
from tests.radios.lora.emulated.meshtastic_router import Router

LOOPBACK = socket.inet_aton("127.0.0.1")


class UdpSide:
    """Ties a router to a multicast group on the loopback interface; `close` it before the router stops."""

    def __init__(self, router: Router, group: str, port: int) -> None:
        self.heard: list[bytes] = []
        self._router = router
        self._to = (group, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(self._to)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + LOOPBACK)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        router.on_transmit = self._transmit

    def close(self) -> None:
        """Leave the group."""
        self._router.on_transmit = None
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        """Anything into the group."""
        self._socket.sendto(datagram, self._to)

    def _transmit(self, packet: dict[str, Any], payload: bytes) -> None:
        out = {name: packet[name] for name in ("from", "to", "id", "hop_limit", "hop_start", "want_ack")}
        self.send(wire.encode(wire.MESH_PACKET, {**out, "channel": packet["hash"], "encrypted": payload}))

    def _readable(self) -> None:
        datagram = self._socket.recv(2048)
        self.heard.append(datagram)
        try:
            packet = wire.decode(wire.MESH_PACKET, datagram)
        except wire.WireError:
            return
        if packet["from"] in (0, self._router.number) or "encrypted" not in packet:
            return
        payload = packet.pop("encrypted")
        if len(payload) + facts.HEADER_BYTES <= facts.PACKET_BYTES_MAX:
            self._router.received({**packet, "hash": packet["channel"], "transport_mechanism": 6}, payload)
