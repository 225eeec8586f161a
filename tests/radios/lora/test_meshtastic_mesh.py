"""Who is near, as both ways into a Meshtastic mesh tell it: names, once a minute, bounded; and texts by their port."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from radios.lora.driver import LoraDriver
from radios.lora.meshtastic import facts, mesh, wire
from radios.lora.meshtastic.client import MeshtasticModem
from radios.lora.meshtastic.mesh import MeshModem
from radios.lora.meshtastic.told import signal_of
from radios.lora.modem import Pace
from radios.lora.people import Radio, Text
from tests.radios.contract import identity
from tests.radios.lora.kit import Allow, Listener
from tests.radios.lora.meshtastic_kit import mesh as made_mesh
from tests.radios.lora.meshtastic_kit import pair, quick
from tests.waiting import until

ANA = 0x9EA2F3C4


def modem(speed: int = 1) -> tuple[MeshModem, list[Radio], list[Text]]:
    made = MeshModem({}, Pace(speed=speed))
    radios: list[Radio] = []
    texts: list[Text] = []
    made.on_radio = radios.append
    made._on_text = texts.append
    return made, radios, texts


def packet(number: int = ANA, **more: Any) -> dict[str, Any]:
    return {**dict(wire.MESH_PACKET.defaults), "from": number, "hop_start": 3, "hop_limit": 1, "rx_rssi": -90, **more}


def named(long: str, short: str) -> dict[str, Any]:
    user = {**dict(wire.USER.defaults), "long_name": long, "short_name": short}
    return {**dict(wire.DATA.defaults), "portnum": facts.PORT_NODEINFO, "payload": wire.encode(wire.USER, user)}


def test_a_radio_is_told_of_once_a_minute_and_when_its_name_changes() -> None:
    made, radios, _ = modem()
    for _ in range(3):
        made._met(packet(), None)
    assert [(one.sender.hex(), one.name, one.signal.hops) for one in radios] == [("9ea2f3c4", "", 2)]
    made._met(packet(), named("Ana\x07 María", "AN"))
    made._met(packet(), named("Ana\x07 María", "AN"))
    made._met(packet(), {**named("", ""), "payload": b"\xff"})
    assert [(one.name, one.short) for one in radios] == [("", ""), ("Ana María", "AN")]
    quick_made, radios, _ = modem(speed=mesh.AGAIN_MS)  # a minute is over at once
    for _ in range(3):
        quick_made._met(packet(), None)
        time.sleep(0.002)
    assert len(radios) == 3


def test_radios_are_bounded_and_those_heard_last_stay() -> None:
    made, radios, _ = modem()
    for number in range(1, 2 * mesh.HEARD_MAX):
        made._met(packet(ANA), None)
        made._met(packet(number), None)
    assert len(made._radios) == mesh.HEARD_MAX and ANA in made._radios
    assert sum(one.sender == ANA.to_bytes(4, "big") for one in radios) == 1


def test_hops_of_old_firmware_are_unknown() -> None:
    """Before 2.3 nobody told where a packet began: it looks like one that came directly."""
    assert signal_of(packet(hop_start=0, hop_limit=0)).hops is None
    assert signal_of(packet(hop_start=0, hop_limit=0, decoded={**dict(wire.DATA.defaults), "bitfield": 1})).hops == 0
    assert signal_of(packet(hop_start=3, hop_limit=3)).hops == 0
    assert signal_of(packet(hop_start=1, hop_limit=3)).hops is None


def test_texts_tell_their_port() -> None:
    made, _, texts = modem()
    data = {**dict(wire.DATA.defaults), "portnum": facts.PORT_TEXT, "payload": b"hi"}
    made._read(packet(), data, True, "LongFast")
    made._read(packet(), {**data, "portnum": facts.PORT_ALERT}, False, "LongFast")
    for other in ({"payload": b""}, {"emoji": 1}, {"portnum": facts.PORT_POSITION}):
        made._read(packet(), {**data, **other}, True, "")
    assert [(one.text, one.to_us, one.channel, one.alert) for one in texts] == [
        ("hi", True, "", False), ("hi", False, "LongFast", True)]
    assert made.counters == {"rx.texts": 2}


def test_whatever_a_neighbour_sends_makes_it_known() -> None:
    """Also what can't be read, such as a direct message to somebody else."""

    async def run() -> None:
        async with made_mesh() as made:
            devices = [await made.device() for _ in range(3)]
            hall = await made.hall(devices[0])
            told: list[Radio] = []
            hall.modem.on_radio = lambda radio: (told.append(radio), hall._changed.set())  # type: ignore[func-returns-value]
            devices[0]._send(devices[0]._active, {"node_info": {"num": ANA, "user": {**devices[1].user,
                                                                                     "long_name": "Ana"}}})
            user = wire.encode(wire.USER, devices[1].user)
            devices[1].router.send_local({"to": facts.EVERYBODY, "channel": 0, "hop_limit": 3, "decoded": {
                "portnum": facts.PORT_NODEINFO, "payload": user}})
            await hall.until(lambda: told)
            assert told[0].sender == devices[1].number.to_bytes(4, "big")
            assert told[0].name == devices[1].user["long_name"] and told[0].signal.hops == 0
            await until(lambda: ANA in hall.modem._radios, what="the device tells a name")
            hall.modem._met(packet(), None)
            assert told[-1].name == "Ana"

    asyncio.run(run())


def test_the_device_is_asked_once_for_the_names_that_it_knows() -> None:
    async def run() -> None:
        async with made_mesh() as made:
            device = await made.device()
            device.nodes[ANA] = {**device.user, "long_name": "Ana", "short_name": "AN"}
            hall = await made.hall(device)
            told: list[Radio] = []
            hall.modem.on_radio = told.append
            hall.modem._met(packet(), None)
            assert [(one.name, one.short) for one in told] == [("Ana", "AN")]
            device.reboot()
            await hall.until(lambda: hall.ups == 2)
            nonces = [record["want_config_id"] for record in device.records if "want_config_id" in record]
            assert nonces == [69420, 69421, 69420]

    asyncio.run(run())


def test_a_device_that_does_not_come_to_the_end_of_its_names_is_used_all_the_same() -> None:
    async def run() -> None:
        async with made_mesh() as made:
            device = await made.device()
            hello = device._hello
            device._hello = lambda face, nonce: hello(face, nonce) if nonce == 69420 else None  # type: ignore[method-assign]
            first, second = await made.hall(device), await made.hall(await made.device())
            first.post(b"\x80 a frame")
            await second.until(lambda: second.frames)
            assert first.ups == 1 and not first.downs

    asyncio.run(run())


def test_the_driver_says_who_is_near_and_what_became_of_texts() -> None:
    class Owner(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.radios: list[Radio] = []

        def radio(self, link: str, radio: Radio) -> None:
            self.radios.append(radio)
            self._note("radio", link)

    async def run() -> None:
        async with pair() as (made, first, second):
            await first.supervisor.stop()
            owner = Owner()
            pace = quick(speed=made.air.speed)
            driver = LoraDriver({}, *identity(1), None, owner, "lora", pace=pace, governor=Allow(),
                                modem=MeshtasticModem({"device": str(made.devices[0].path)}, pace))
            assert driver.carries_texts and driver.text_ms(200) == 0  # nothing is known of it yet
            await driver.start()
            to = made.devices[1].number.to_bytes(4, "big")
            second.say(made.devices[0].number.to_bytes(4, "big"), "hello")
            await owner.until(lambda: owner.texts and owner.radios, 10)
            assert owner.radios[0].sender == to and not owner.texts[0].alert
            await until(lambda: driver.text_ms(200) > 300, what="the radio is up")
            token = driver.send_text(to, "", "hello yourself", 3)
            assert driver.fate(token)[0] == "queued" and driver.fate(999) == ("", "")
            await owner.until(lambda: owner.last(token) == "acked", 10)
            assert driver.fate(token) == ("acked", "")
            assert driver.waiting()[-1]["what"] == f"text to !{to.hex()}"
            await driver.stop()

    asyncio.run(run())
