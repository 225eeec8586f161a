"""The emulated device behaves as firmware 2.7.26 was measured to: limits, queue, throttles, tries, goodput."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from radios.lora.meshtastic import facts, wire
from radios.lora.meshtastic.stream import Framer, frame
from tests.radios.lora.emulated.air import Air
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice
from tests.radios.lora.emulated.meshtastic_router import Router
from tests.radios.lora.meshtastic_kit import mesh
from tests.waiting import until

Record = dict[str, Any]
LONG_FAST, SHORT_FAST = 0, 6


class Node:
    """A router in virtual time, and what it told its client."""

    def __init__(self, air: Air, number: int, preset: int = LONG_FAST) -> None:
        self.lora: Record = {**wire.LORA_CONFIG.defaults, "use_preset": True, "modem_preset": preset, "region": 3,
                             "tx_enabled": True, "hop_limit": 3, "override_duty_cycle": True}
        self.user: Record = {**wire.USER.defaults, "public_key": bytes([number]) * 32}
        self.told: list[Record] = []
        self.notices: list[str] = []
        self.router = Router(air, number, self.lora, [("", b"\x01")], self.user, self.told.append, self.notices.append)

    def send(self, size: int, to: int = facts.EVERYBODY, port: int = facts.PORT_PRIVATE,
             **more: Any) -> tuple[int, int]:
        """Hand in a packet; its id and the result."""
        id = self.router.rng.getrandbits(32) | 1
        packet = {**wire.MESH_PACKET.defaults, "to": to, "id": id, "hop_limit": 3,
                  "decoded": {"portnum": port, "payload": bytes(size)}, **more}
        return id, self.router.send_local(packet)

    def routing(self, id: int) -> list[tuple[int, int]]:
        """Results of a packet: (from, error)."""
        return [(p["from"], wire.decode(wire.ROUTING, p["decoded"]["payload"])["error_reason"]) for p in self.told
                if p["decoded"]["portnum"] == facts.PORT_ROUTING and p["decoded"]["request_id"] == id]

    def heard(self) -> list[bytes]:
        """Payloads of PRIVATE_APP."""
        return [p["decoded"]["payload"] for p in self.told if p["decoded"]["portnum"] == facts.PORT_PRIVATE]


def two(preset: int = LONG_FAST, **air: Any) -> tuple[Air, Node, Node]:
    made = Air(**air)
    a, b = Node(made, 1, preset), Node(made, 2, preset)
    a.router.keys[2], b.router.keys[1] = b.user["public_key"], a.user["public_key"]
    return made, a, b


@pytest.mark.parametrize(("port", "to", "most"), [
    (facts.PORT_PRIVATE, facts.EVERYBODY, 231), (facts.PORT_TEXT, facts.EVERYBODY, 232),
    (facts.PORT_PRIVATE, 2, 219), (facts.PORT_TEXT, 2, 220),
])
def test_payload_limits(port: int, to: int, most: int) -> None:
    air, a, b = two()
    assert a.send(most, to, port)[1] == 0
    id, res = a.send(most + 1, to, port)
    assert res == facts.ERROR_TOO_LARGE and a.routing(id) == [(1, facts.ERROR_TOO_LARGE)]
    air.run_until(60 * 1000000)
    assert len([p for p in b.told if p["decoded"]["portnum"] == port]) == 1


def test_twenty_two_at_once() -> None:
    """16 are taken, the others are dropped with res 32; nothing comes twice."""
    air, a, b = two()
    results = [a.send(20)[1] for _ in range(22)]
    assert results == [0] * 16 + [32] * 6
    air.run_until(120 * 1000000)
    assert len(b.heard()) == 16 and a.router.free() == 16


def test_an_alert_goes_first_and_takes_the_place_of_another() -> None:
    air, a, b = two()
    for n in range(16):
        a.send(20 + n)
    assert a.send(99, priority=facts.PRIORITY_ALERT)[1] == 0
    air.run_until(120 * 1000000)
    assert len(b.heard()[0]) == 99 and len(b.heard()) == 16 and a.router.counters["evicted"] == 1


def test_tries_and_their_end() -> None:
    air, a, b = two(loss_percent=100)
    id, res = a.send(100, 2, want_ack=True)
    assert res == 0
    air.run_until(200 * 1000000)
    assert a.routing(id) == [(1, facts.ERROR_MAX_RETRANSMIT)] and a.router.counters["tx"] == 3


def test_a_real_acknowledgement() -> None:
    air, a, b = two()
    id, _ = a.send(100, 2, want_ack=True)
    air.run_until(60 * 1000000)
    assert a.routing(id) == [(2, 0)] and len(b.heard()) == 1 and a.router.counters["tx"] == 1


def test_an_implicit_acknowledgement() -> None:
    air, a, b = two()
    id, _ = a.send(100, want_ack=True)
    air.run_until(60 * 1000000)
    assert a.routing(id) == [(1, 0)] and b.router.counters["tx"] == 1
    id, _ = a.send(100, want_ack=True, hop_limit=0)
    air.run_until(200 * 1000000)
    assert a.routing(id) == [(1, facts.ERROR_MAX_RETRANSMIT)] and len(b.heard()) == 2


def test_flooding_is_suppressed() -> None:
    """Ten nodes in one room: a packet is repeated by a few of them, and everybody has it once."""
    air = Air(5)
    nodes = [Node(air, n + 1, SHORT_FAST) for n in range(10)]
    nodes[0].send(100)
    air.run_until(60 * 1000000)
    assert all(len(node.heard()) == 1 for node in nodes[1:])
    assert 1 <= sum(node.router.counters.get("tx", 0) for node in nodes[1:]) <= 6


def test_keys() -> None:
    air, a, b = two()
    b.router.keys.clear()
    id, _ = a.send(50, 2, want_ack=True)
    air.run_until(60 * 1000000)
    assert (2, facts.ERROR_UNKNOWN_SENDER_KEY) in a.routing(id) and not b.heard()
    a.router.keys.clear()
    id, res = a.send(50, 2)
    assert res == facts.ERROR_UNKNOWN_KEY and a.routing(id) == [(1, facts.ERROR_UNKNOWN_KEY)]


def test_the_duty_cycle_is_a_sliding_hour() -> None:
    air, a, b = two()
    a.lora["override_duty_cycle"] = False
    taken = 0
    for _ in range(300):
        if a.send(200, hop_limit=0)[1] == 0:
            taken += 1
        air.run_until(air.now_us() + 4 * 1000000)
    assert 187 <= taken <= 190  # a tenth of an hour of LongFast, 1.91 s each
    assert a.notices[0].startswith("Duty cycle limit exceeded. You can send again in ")
    air.run_until(3601 * 1000000)
    assert a.send(200)[1] == 0
    a.lora["region"] = 0
    assert a.send(200)[1] == 34


@pytest.mark.parametrize(("preset", "ack", "measured_bits_per_s"), [
    (LONG_FAST, True, 466), (LONG_FAST, False, 853), (SHORT_FAST, True, 1590), (SHORT_FAST, False, 5000),
])
def test_goodput_is_as_measured(preset: int, ack: bool, measured_bits_per_s: int) -> None:
    """200-byte packets one after the other, each when the one before is acknowledged, or has left."""
    air, a, b = two(preset)
    for _ in range(12):
        id, _ = a.send(200, 2, want_ack=ack)
        if ack:
            while not a.routing(id):
                air.run_until(air.now_us() + 10000)
        else:
            while a.router.queue or a.router.station.transmitting:
                air.run_until(air.now_us() + 100000)  # a client asks ten times a second
    assert len(b.heard()) == 12
    bits_per_s = 12 * 200 * 8 * 1000000 // air.now_us()
    assert measured_bits_per_s * 0.75 < bits_per_s < measured_bits_per_s * 1.5


def test_the_same_seed_the_same_outcome() -> None:
    def outcome(seed: int) -> list[tuple[int, str]]:
        air, a, b = two(SHORT_FAST, seed=seed, loss_percent=30)
        for _ in range(20):
            a.send(100, 2, want_ack=True)
            b.send(100, 1, want_ack=True)
            air.run_until(air.now_us() + 3000000)
        return [(packet.start_us, packet.sender) for packet in air.log]

    assert outcome(1) == outcome(1) != outcome(2)


# --- the phone's side


class Phone:
    """The bare bytes of a client on a pty."""

    def __init__(self, device: MeshtasticDevice) -> None:
        assert device.path is not None
        self.fd = os.open(device.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.framer = Framer(wire.FROM_RADIO)
        self.records: list[Record] = []

    def send(self, record: Record) -> None:
        os.write(self.fd, frame(wire.encode(wire.TO_RADIO, record)))

    def text(self, id: int, port: int = facts.PORT_TEXT) -> None:
        self.send({"packet": {"to": facts.EVERYBODY, "id": id, "decoded": {"portnum": port, "payload": b"x"}}})

    def take(self) -> list[Record]:
        try:
            self.records += self.framer.feed(os.read(self.fd, 4096), 0)
        except BlockingIOError:
            pass
        return self.records

    async def until(self, name: str, count: int = 1) -> list[Record]:
        """So many records of a kind."""
        await until(lambda: sum(1 for r in self.take() if name in r) >= count, what=f"{count} {name}")
        return [r[name] for r in self.records if name in r]


def with_phone(scene: Any, **settings: Any) -> None:
    async def run() -> None:
        async with mesh() as made:
            device = await made.device(**settings)
            phone = Phone(device)
            try:
                await scene(device, phone)
            finally:
                os.close(phone.fd)

    asyncio.run(run())


@pytest.mark.parametrize(("nonce", "nodes", "channels"), [(69420, 1, 8), (4711, 2, 8), (69421, 2, 0)])
def test_hello(nonce: int, nodes: int, channels: int) -> None:
    async def scene(device: MeshtasticDevice, phone: Phone) -> None:
        device.nodes[77] = {**wire.USER.defaults, "id": "!0000004d"}
        os.write(phone.fd, b"\xc3" * 32)
        phone.send({"want_config_id": nonce})
        await phone.until("config_complete_id")
        assert phone.records[-1]["config_complete_id"] == nonce
        assert len(await phone.until("node_info")) == nodes
        assert len(await phone.until("channel", channels)) == channels

    with_phone(scene)


@pytest.mark.parametrize(("port", "gap_s"), [(facts.PORT_TEXT, 2), (facts.PORT_ALERT, 10), (facts.PORT_PRIVATE, 0)])
def test_throttles_are_silent(port: int, gap_s: int) -> None:
    async def scene(device: MeshtasticDevice, phone: Phone) -> None:
        for id in (1, 2):
            phone.text(id, port)
        statuses = await phone.until("queueStatus", 2)
        assert [(s["res"], s["mesh_packet_id"]) for s in statuses] == [(0, 1), (0, 2)]
        assert device.counters["throttled"] == (1 if gap_s else 0)
        await device.air.sleep_us(gap_s * 1000000 + 200000)
        phone.text(3, port)
        await phone.until("queueStatus", 3)
        assert device.counters["throttled"] == (1 if gap_s else 0)

    with_phone(scene)


def test_a_heartbeat_is_answered_and_an_id_is_taken_once() -> None:
    async def scene(device: MeshtasticDevice, phone: Phone) -> None:
        device.air.jam(60 * 1000000)
        phone.text(5, 256)
        phone.text(5, 256)
        phone.send({"heartbeat": {}})
        statuses = await phone.until("queueStatus", 2)
        assert [(s["free"], s["maxlen"], s["mesh_packet_id"]) for s in statuses] == [(15, 16, 5), (15, 16, 0)]

    with_phone(scene)


def test_packets_wait_for_a_client() -> None:
    async def scene(device: MeshtasticDevice, phone: Phone) -> None:
        for _ in range(40):
            device.report(5)
        phone.send({"want_config_id": 1})
        assert len(await phone.until("packet", 32)) == 32

    with_phone(scene)
