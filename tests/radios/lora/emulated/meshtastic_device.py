"""An emulated Meshtastic device: a pty and a TCP port in front of a `Router`, made of the client's wire tables.

It behaves as firmware 2.7.26 was measured to: the hello by nonce, a queue status for each packet, throttled packets
dropped with res 0, a packet's id taken once, one TCP client at a time and none that is silent for 15 minutes, packets
kept while no client is there, console text between frames. Faults come by command: freeze, vanish, reboot, garbage, a
torn frame, a lost frame. All its times are those of its air.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections import deque
from collections.abc import Callable
from typing import Any

from radios.lora.meshtastic import facts, stream, wire
from radios.lora.meshtastic.stream import Framer
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.meshtastic_admin import Admin
from tests.radios.lora.emulated.meshtastic_router import QUEUE_PLACES, Router

Record = dict[str, Any]

TO_PHONE_MAX = 32
RECENT_IDS = 20
IDLE_US = 15 * 60 * 1000000
BOOT_US = 2000000
NO_NODES, ONLY_NODES = 69420, 69421  # nonces that mean something
THROTTLE_US = {facts.PORT_TEXT: 2000000, facts.PORT_TRACEROUTE: 30000000,
               **dict.fromkeys((facts.PORT_ALERT, facts.PORT_POSITION, facts.PORT_WAYPOINT, facts.PORT_TELEMETRY),
                               10000000)}
OUT_BYTES_MAX = 16384


class _Face:
    """One client connection: frames in, frames out."""

    def __init__(self, device: MeshtasticDevice, write: Callable[[bytes], None]) -> None:
        self.device = device
        self.write = write
        self.framer = Framer(wire.TO_RADIO)
        self.said_hello = False
        self.heard_us = device.air.now_us()
        self.recent: deque[int] = deque(maxlen=RECENT_IDS)
        self.last_us: dict[int, int] = {}

    def feed(self, data: bytes) -> None:
        self.heard_us = self.device.air.now_us()
        if self.device.running:
            for record in self.framer.feed(data, self.heard_us // 1000):
                self.device.on_record(self, record)


class _TcpClient(asyncio.Protocol):
    def __init__(self, device: MeshtasticDevice) -> None:
        self.device = device
        self.transport: asyncio.Transport | None = None
        self.face = _Face(device, self.write)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.device.tcp_opened(self)

    def data_received(self, data: bytes) -> None:
        self.face.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)
        self.device.tcp_closed(self)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)


class MeshtasticDevice:
    """One device. `start` it inside the loop of its air, `stop` it before the air is closed.

    path: where its serial port appears (a link to a pty), None for none. region, preset: codes. channels: name and key
    of each. firmware: from 2.8 on a throttled packet gets its refusal told.
    """

    def __init__(self, air: LiveAir, number: int, *, path: str | None = None, region: int = 3, preset: int = 0,
                 channels: tuple[tuple[str, bytes], ...] = (("", b"\x01"),), firmware: str = "2.7.26.54e0d8d",
                 hop_limit: int = 3, name: str = "") -> None:
        self.air = air
        self.number = number
        self.path = path
        self.port = 0
        self.firmware = firmware
        self.running = False
        self.frozen = False
        self.lora: Record = {**dict(wire.LORA_CONFIG.defaults), "use_preset": True, "modem_preset": preset,
                             "region": region, "hop_limit": hop_limit, "tx_enabled": True}
        self.channels = list(channels)
        self.user: Record = {**dict(wire.USER.defaults), "id": f"!{number:08x}", "hw_model": 37,
                             "long_name": name or f"Emulated {number & 0xFFFF:04x}",
                             "short_name": f"{number & 0xFFFF:04x}", "macaddr": number.to_bytes(6, "big"),
                             "public_key": number.to_bytes(4, "big") * 8}
        self.nodes: dict[int, Record] = {}  # other nodes' users, as told in a full hello
        self.counters: dict[str, int] = {"throttled": 0, "hellos": 0, "repeated": 0, "reboots": 0}
        self.records: list[Record] = []  # what clients sent
        self.tear_bytes: int | None = None  # the next frame to a client breaks off after so many bytes
        self.lose_records = 0  # so many records of clients are not heard
        self.refuse = 0  # the next packet gets this res
        self.router: Router
        self._admin = Admin(self)
        self._to_phone: deque[Record] = deque(maxlen=TO_PHONE_MAX)
        self._from_radio_id = 0
        self._active: _Face | None = None
        self._serial: _Face | None = None
        self._master = self._slave = -1
        self._out = bytearray()
        self._server: asyncio.Server | None = None
        self._client: _TcpClient | None = None
        self._clients: list[_TcpClient] = []
        self._loop = asyncio.get_running_loop()

    # --- life

    def power_on(self) -> None:
        """The serial port appears."""
        self._power_on()

    async def start(self, tcp: bool = False) -> None:
        """Power on, with a TCP port if asked for."""
        self._power_on()
        if tcp:
            self._server = await self._loop.create_server(lambda: _TcpClient(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Power off and give everything back."""
        self.vanish()
        clients = [client.closed for client in self._clients]
        if clients:
            await asyncio.wait(clients)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def _power_on(self) -> None:
        self.running, self.frozen = True, False
        keys = self.router.keys if hasattr(self, "router") else {}
        self.router = Router(self.air, self.number, self.lora, self.channels, self.user, self._packet_to_phone,
                             self._notify)
        self.router.keys.update(keys)
        if self.path is not None and self._master < 0:
            self._open_pty()

    def _power_off(self) -> None:
        if self.running:
            self.running = False
            self.router.stop()

    # --- faults

    def freeze(self) -> None:
        """Hang: nothing is read, written, sent or heard any more."""
        self.frozen = True
        self._power_off()
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)

    def vanish(self) -> None:
        """Unplugged, or without power; the TCP port refuses."""
        self._power_off()
        self._close_pty()
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            if client.transport is not None:
                client.transport.abort()

    async def reappear(self) -> None:
        """Plugged in again."""
        tcp = self._server is not None
        if self._server is not None:
            await self._server.wait_closed()
        self._active = None
        await self.start(tcp)

    def reboot(self) -> None:
        """Restart: what the memory knew is gone, TCP is cut, the serial line stays and tells so after a while."""
        self.counters["reboots"] += 1
        self._power_off()
        self._to_phone.clear()
        self._out.clear()
        for client in self._clients:
            if client.transport is not None:
                client.transport.abort()
        if self._serial is not None and self._master >= 0:
            self._serial = _Face(self, self._pty_write)
            self._loop.remove_reader(self._master)
            self._loop.add_reader(self._master, self._pty_readable)
        self._active = None
        self.air.call_later(BOOT_US, self._booted)

    def thaw(self) -> None:
        """Somebody pressed the reset button of a frozen device."""
        self.reboot()

    def say(self, data: bytes) -> None:
        """Bytes between frames: console text, or garbage."""
        face = self._active or self._serial
        if face is not None and not self.frozen:
            face.write(data)

    def report(self, utilisation_percent: float) -> None:
        """Tell the client how busy the channel is, as devices do now and then."""
        metrics = {"device_metrics": {"channel_utilization": utilisation_percent, "air_util_tx": 1.0}}
        self._packet_to_phone({"from": self.number, "to": facts.EVERYBODY, "id": 1, "decoded": {
            "portnum": facts.PORT_TELEMETRY, "payload": wire.encode(wire.TELEMETRY, metrics)}})

    def _booted(self) -> None:
        if self.running or (self.path is not None and self._master < 0):
            return
        self._power_on()
        if self._serial is not None:
            self.say(b"\x1b[34mDEBUG | ??:??:?? 1 \x1b[0mBooted, wake cause 0\r\n")
            self._send(self._serial, {"rebooted": True})

    # --- records of clients

    def on_record(self, face: _Face, record: Record) -> None:
        """A client sent a ToRadio."""
        if self.lose_records:
            self.lose_records -= 1
            return
        self.records.append(record)
        if "want_config_id" in record:
            self._hello(face, record["want_config_id"])
        elif "heartbeat" in record:
            self._queue_status(face, 0, 0)
        elif "disconnect" in record:
            face.said_hello = False
        elif "packet" in record and "decoded" in record["packet"]:
            self._packet(face, record["packet"])

    def _hello(self, face: _Face, nonce: int) -> None:
        if nonce != ONLY_NODES:
            self.counters["hellos"] += 1
            self._send(face, {"my_info": {"my_node_num": self.number, "reboot_count": self.counters["reboots"],
                                          "min_app_version": 30200, "nodedb_count": 1 + len(self.nodes)}})
        self._send(face, {"node_info": {"num": self.number, "user": self.user, "device_metrics": {
            "battery_level": 101, "voltage": 4.1, "channel_utilization": 3.0, "air_util_tx": 0.5}}})
        if nonce != ONLY_NODES:
            self._tell_settings(face)
        if nonce != NO_NODES:
            for number, user in sorted(self.nodes.items()):
                self._send(face, {"node_info": {"num": number, "user": user, "snr": 5.5, "last_heard": 1700000000}})
        self._send(face, {"config_complete_id": nonce})
        face.said_hello = True
        self._active = face
        while self._to_phone:
            self._send(face, {"packet": self._to_phone.popleft()})

    def _tell_settings(self, face: _Face) -> None:
        self._send(face, {"metadata": {"firmware_version": self.firmware, "device_state_version": 24, "hw_model": 37,
                                       "hasPKC": True}})
        for index in range(8):
            name, psk = self.channels[index] if index < len(self.channels) else ("", b"")
            role = 0 if index >= len(self.channels) else 1 if index == 0 else 2
            self._send(face, {"channel": {"index": index, "settings": {"psk": psk, "name": name}, "role": role}})
        self._send(face, {"config": {"device": {"node_info_broadcast_secs": 10800}}})
        self._send(face, {"config": {"network": self._admin.network}})
        self._send(face, {"config": {"lora": self.lora}})

    def _packet(self, face: _Face, packet: Record) -> None:
        port = packet["decoded"]["portnum"]
        if packet["id"] and packet["id"] in face.recent:
            self.counters["repeated"] += 1
            return
        face.recent.append(packet["id"])
        now_us = self.air.now_us()
        gap_us = THROTTLE_US.get(port, 0)
        if gap_us and now_us - face.last_us.get(port, -gap_us) < gap_us:
            self.counters["throttled"] += 1
            if self.firmware >= "2.8":
                self.router.nak(packet["id"], facts.ERROR_RATE_LIMIT)
            self._queue_status(face, 0, packet["id"])
            return
        face.last_us[port] = now_us
        if packet["to"] == self.number:
            self._queue_status(face, 0, packet["id"])
            self._admin.take(packet)
            return
        res, self.refuse = self.refuse, 0
        if not res:
            # a refusal is told after the queue status, as the firmware's order of things to tell has it
            told: list[Record] = []
            self.router.to_phone, self.router.notify = told.append, lambda text: told.append(_notice(text))
            res = self.router.send_local(packet)
            self.router.to_phone, self.router.notify = self._packet_to_phone, self._notify
            self._queue_status(face, res, packet["id"])
            for record in told:
                if "message" in record:
                    self._send(face, {"clientNotification": record})
                else:
                    self._packet_to_phone(record)
        else:
            self._queue_status(face, res, packet["id"])

    def _queue_status(self, face: _Face, res: int, id: int) -> None:
        self._send(face, {"queueStatus": {"res": res, "free": self.router.free(), "maxlen": QUEUE_PLACES,
                                          "mesh_packet_id": id}})

    # --- records for clients

    def _packet_to_phone(self, packet: Record) -> None:
        face = self._active
        if face is not None and face.said_hello:
            self._send(face, {"packet": packet})
        else:
            self._to_phone.append(packet)

    def _notify(self, text: str) -> None:
        if self._active is not None:
            self._send(self._active, {"clientNotification": _notice(text)})

    def _send(self, face: _Face, record: Record) -> None:
        if not self.running:
            return
        self._from_radio_id += 1
        data = stream.frame(wire.encode(wire.FROM_RADIO, {"id": self._from_radio_id, **record}))
        if self.tear_bytes is not None:
            data, self.tear_bytes = data[: self.tear_bytes], None
        face.write(data)

    # --- the serial port

    def _open_pty(self) -> None:
        assert self.path is not None
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        if os.path.islink(self.path):
            os.unlink(self.path)
        os.symlink(os.ttyname(self._slave), self.path)
        self._serial = _Face(self, self._pty_write)
        self._loop.add_reader(self._master, self._pty_readable)

    def _close_pty(self) -> None:
        if self._master < 0:
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._serial = None
        self._out.clear()
        if self.path is not None and os.path.islink(self.path):
            os.unlink(self.path)

    def _pty_readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        if self._serial is not None:
            self._serial.feed(data)

    def _pty_write(self, data: bytes) -> None:
        if self._master < 0 or len(self._out) + len(data) > OUT_BYTES_MAX:
            return  # nobody reads: lost
        self._out += data
        self._pty_writable()

    def _pty_writable(self) -> None:
        try:
            sent = os.write(self._master, self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        del self._out[:sent]
        if self._out:
            self._loop.add_writer(self._master, self._pty_writable)
        else:
            self._loop.remove_writer(self._master)

    # --- the TCP port

    def tcp_opened(self, client: _TcpClient) -> None:
        """A new client: the one before is cut off."""
        if self._client is not None and self._client.transport is not None:
            self._client.transport.abort()
        self._client = client
        self._clients.append(client)
        self.air.call_later(IDLE_US, lambda: self._idle(client))

    def tcp_closed(self, client: _TcpClient) -> None:
        """A client is gone."""
        self._clients.remove(client)
        if self._client is client:
            self._client = None
        if self._active is client.face:
            self._active = None

    def _idle(self, client: _TcpClient) -> None:
        if client not in self._clients or client.transport is None:
            return
        due_us = client.face.heard_us + IDLE_US
        if due_us <= self.air.now_us():
            client.transport.abort()
        else:
            self.air.call_at(due_us, lambda: self._idle(client))


def _notice(text: str) -> Record:
    return {"level": 30, "message": text}


def introduce(*devices: MeshtasticDevice) -> None:
    """Let devices know each other's users and public keys, as after a day in one mesh."""
    for device in devices:
        for other in devices:
            if other is not device:
                device.router.keys[other.number] = other.user["public_key"]
                device.nodes[other.number] = other.user
