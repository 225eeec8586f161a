"""Mesh over UDP: our modem beside an emulated device in one multicast group, and a hall behind another device."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from radios.lora.driver import LoraDriver
from radios.lora.meshtastic import facts, wire
from radios.lora.meshtastic.udp import MeshtasticUdpModem
from radios.lora.modem import LinkDown, Refused
from tests.emulation import meets_by_multicast
from tests.radios.contract import identity
from tests.radios.lora.emulated.meshtastic_udp import UdpSide
from tests.radios.lora.kit import Listener
from tests.radios.lora.meshtastic_kit import SPEED, Hall, Mesh, mesh, opened, quick
from tests.waiting import until

pytestmark = [meets_by_multicast]

GROUP = "239.192.87.81"
PORT = 20000 + os.getpid() % 20000  # several runs on one machine don't meet
SETTINGS: dict[str, Any] = {"device": "udp", "region": "EU_868", "preset": "MediumFast", "interfaces": ["lo"],
                            "group": GROUP, "group_port": PORT, "node": 0x0BADCAFE}
Scene = Callable[[Mesh, UdpSide, Hall, Hall], Coroutine[Any, Any, None]]


@asynccontextmanager
async def town(speed: int = SPEED, **settings: Any) -> AsyncIterator[tuple[Mesh, UdpSide, Hall, Hall]]:
    """A device with UDP on, our modem in its network, and a hall with a device of its own in radio range."""
    async with mesh(speed=speed) as made:
        gate, far = await made.device(), await made.device()
        side = UdpSide(gate.router, GROUP, PORT)
        try:
            pace = quick(speed=speed)
            ours = Hall(MeshtasticUdpModem({**SETTINGS, **settings}, pace), pace)
            made.halls.append(ours)
            ours.supervisor.start()
            await ours.until(lambda: ours.ups)
            yield made, side, ours, await made.hall(far)
        finally:
            side.close()


def play(scene: Scene, **settings: Any) -> None:
    async def run() -> None:
        async with town(**settings) as (made, side, ours, theirs):
            await scene(made, side, ours, theirs)

    asyncio.run(run())


def test_frames_go_out_and_come_in() -> None:
    async def scene(made: Mesh, side: UdpSide, ours: Hall, theirs: Hall) -> None:
        frames = [bytes([n]) * size for n, size in enumerate((1, 100, 231))]
        ours.post(*frames)
        await theirs.until(lambda: theirs.frames == frames)
        assert theirs.signals[0].sender == bytes.fromhex("0badcafe") and theirs.signals[0].hops == 1
        theirs.post(*frames)
        await ours.until(lambda: ours.frames == frames)
        assert ours.signals[0].rssi_dbm is None and ours.signals[0].hops == 1
        assert [sent.airtime_us for _, sent in ours.sent] == [ours.modem.airtime_us(n) for n in (1, 100, 231)]

    play(scene)


def test_texts() -> None:
    async def scene(made: Mesh, side: UdpSide, ours: Hall, theirs: Hall) -> None:
        for device in made.devices:  # a direct text without keys, as older firmware has it
            device.user["public_key"] = b""
        ours.say(None, "to all")
        await ours.until(lambda: ours.states and ours.sent)
        assert ours.states[0] == ("acked", ours.sent[0][1].id, "relayed")
        await theirs.until(lambda: theirs.texts)
        assert theirs.texts[0].channel == "MediumFast"
        theirs.say(theirs.texts[0].sender, "to you")
        await ours.until(lambda: ours.texts)
        assert (ours.texts[0].text, ours.texts[0].to_us) == ("to you", True)
        await theirs.until(lambda: theirs.sent and ("acked", theirs.sent[0][1].id, "") in theirs.states)
        ours.say(ours.texts[0].sender, "and back")
        await ours.until(lambda: ours.states[-1][0] == "acked" and len(ours.states) > 1)
        await theirs.until(lambda: len(theirs.texts) == 2)
        assert theirs.texts[-1].text == "and back" and theirs.texts[-1].to_us

    play(scene)


def test_a_direct_text_is_tried_three_times() -> None:
    async def scene(made: Mesh, side: UdpSide, ours: Hall, theirs: Hall) -> None:
        ours.say(b"\x01\x02\x03\x04", "anybody?")
        await ours.until(lambda: len(ours.states) == 2, 10)
        packets = [wire.decode(wire.MESH_PACKET, datagram) for datagram in side.heard]
        mine = [p for p in packets if p["from"] == 0x0BADCAFE and p["to"] == 0x01020304 and p["hop_limit"] == 3]
        assert len(mine) == 3 and len({p["id"] for p in mine}) == 1
        # the device near by repeats it, which is told, and is not the end
        assert ours.states == [("relayed", ours.sent[0][1].id, ""), ("failed", ours.sent[0][1].id, "no_ack")]

    play(scene, speed=60)


def test_nothing_is_heard_twice_or_by_others() -> None:
    async def scene(made: Mesh, side: UdpSide, ours: Hall, theirs: Hall) -> None:
        plain = wire.encode(wire.DATA, {"portnum": 256, "payload": b"frame", "bitfield": 1})
        key = facts.expand_key(b"\x01")
        hash_byte = facts.channel_hash("MediumFast", key)

        def packet(id: int, **other: Any) -> bytes:
            return wire.encode(wire.MESH_PACKET, {
                "from": 5, "to": facts.EVERYBODY, "id": id, "channel": hash_byte, "hop_limit": 1, "hop_start": 3,
                "encrypted": facts.crypt(key, 5, id, plain), **other})

        for datagram in (packet(1), packet(1, hop_limit=0), packet(2, channel=hash_byte ^ 1), packet(3, to=77),
                         packet(4, **{"from": 0}), packet(5, **{"from": 0x0BADCAFE}), packet(6)):
            side.send(datagram)
        await ours.until(lambda: len(ours.frames) == 2)
        await asyncio.sleep(0.05)
        assert ours.frames == [b"frame"] * 2 and [s.hops for s in ours.signals] == [2, 2]
        assert int(ours.modem.status()["rx.other_channel"]) >= 2

    play(scene)


def test_any_datagram_at_all() -> None:
    """5,000 mutated datagrams: counted and dropped, or a frame."""

    async def scene(made: Mesh, side: UdpSide, ours: Hall, theirs: Hall) -> None:
        rng = random.Random(8)
        modem = ours.modem
        assert isinstance(modem, MeshtasticUdpModem)
        key = facts.expand_key(b"\x01")
        for n in range(5000):
            plain = bytearray(wire.encode(wire.DATA, {"portnum": rng.choice([1, 5, 256]), "payload": rng.randbytes(20),
                                                      "request_id": n % 3}))
            plain[rng.randrange(len(plain))] ^= 1 << rng.randrange(8)
            datagram = bytearray(wire.encode(wire.MESH_PACKET, {
                "from": n + 1, "to": rng.choice([facts.EVERYBODY, 0x0BADCAFE]), "id": n,
                "channel": facts.channel_hash("MediumFast", key), "want_ack": rng.random() < 0.1,
                "encrypted": facts.crypt(key, n + 1, n, bytes(plain))}))
            if rng.random() < 0.5:
                datagram[rng.randrange(len(datagram))] = rng.randrange(256)
            modem._datagram(bytes(datagram) if rng.random() < 0.9 else rng.randbytes(rng.randrange(600)))
        assert len(modem._seen) <= 256 and len(modem._sent_hops) <= 256
        side.send(bytes(600))
        await until(lambda: modem.counters.get("drop.wire.too_long"), what="a datagram that is too long is counted")
        ours.post(*[b"alive"] * 5)  # one may collide with what is still in the air
        await theirs.until(lambda: b"alive" in theirs.frames)

    play(scene)


def test_refused() -> None:
    async def run() -> None:
        nowhere = (lambda *_: None, lambda *_: None, lambda *_: None)
        modem = MeshtasticUdpModem({**SETTINGS, "region": ""}, quick())
        await modem.open(*nowhere)
        with pytest.raises(Refused, match="no_region"):
            await modem.send(b"x")
        await modem.close()
        modem = MeshtasticUdpModem(SETTINGS, quick())
        for early in (modem.send(b"x"), modem.send_text(None, "", "x", 0)):
            with pytest.raises(Refused):
                await early
        await modem.open(*nowhere)
        for channel, text, reason in (("Else", "x", "no_channel"), ("", "x" * 233, "too_large")):
            with pytest.raises(Refused, match=reason):
                await modem.send_text(None, channel, text, 0)
        await modem.send_text(None, "MediumFast", "x" * 232, 0)
        with pytest.raises(Refused, match="rate_limited") as caught:
            await modem.send_text(None, "", "x", 0)
        assert 0 < (caught.value.retry_ms or 0) <= 110
        await modem.beat()
        await modem.close()
        with pytest.raises(LinkDown):
            await modem.beat()
        assert not await opened(MeshtasticUdpModem({**SETTINGS, "region": "eu868"}, quick()))
        for bad in ({"region": "EU869"}, {"preset": "Fast"}, {"psk": "A"}):
            assert await opened(MeshtasticUdpModem({**SETTINGS, **bad}, quick())) == "bad_settings"
        assert await opened(MeshtasticUdpModem({**SETTINGS, "interfaces": ["none0"]}, quick())) == "no_device"

    asyncio.run(run())


def test_its_number_stays() -> None:
    """A node without a number of its own would be another one in everybody's list after each start."""
    settings = {name: value for name, value in SETTINGS.items() if name != "node"} | {"modem": "meshtastic-udp"}
    for number in (1, 2):
        drivers = [LoraDriver(settings, *identity(number), None, Listener(), "lora") for _ in range(2)]
        said = {driver.status()["radio.node"] for driver in drivers}
        assert said == {"!" + identity(number)[1][:4].hex()}


def test_the_channel_on_the_air() -> None:
    """Published values: the default channel's hash byte and frequency slots."""
    lora = {**wire.LORA_CONFIG.defaults, "use_preset": True}
    assert facts.channel_hash("LongFast", facts.expand_key(b"\x01")) == 8
    for region, preset, freq_hz in ((1, 0, 906875000), (3, 0, 869525000), (1, 7, 902687500), (6, 0, 919875000)):
        phy = facts.phy_of({**lora, "region": region, "modem_preset": preset}, "")
        assert phy is not None and phy.freq_hz == freq_hz
    assert facts.expand_key(b"") == b"" and facts.expand_key(b"\x02")[-1] == 2
    assert facts.expand_key(b"abc") == b"abc" + bytes(13) and len(facts.expand_key(bytes(20))) == 32
    with pytest.raises(ValueError, match="32"):
        facts.expand_key(bytes(33))
