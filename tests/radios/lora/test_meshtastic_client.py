"""The Meshtastic client before an emulated device, by serial line and by TCP: frames, texts, refusals, every fault."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from radios.lora.meshtastic import stream, wire
from radios.lora.meshtastic.client import MeshtasticModem
from radios.lora.meshtastic.lines import tcp_address
from radios.lora.modem import LinkDown, Refused
from tests.radios.lora.emulated.meshtastic_device import introduce
from tests.radios.lora.meshtastic_kit import SPEED, Hall, Mesh, mesh, modem_for, opened, pair, quick
from tests.radios.lora.test_meshtastic_wire import random_record
from tests.waiting import PATIENCE

BOTH = pytest.mark.parametrize("tcp", [False, True], ids=["serial", "tcp"])
Scene = Callable[[Mesh, Hall, Hall], Coroutine[Any, Any, None]]


def play(scene: Scene, tcp: bool = False, **air: Any) -> None:
    """Run a scene with two halls."""

    async def run() -> None:
        async with pair(tcp, **air) as (made, a, b):
            await scene(made, a, b)

    asyncio.run(run())


def number(hall: Hall) -> bytes:
    modem = hall.modem
    assert isinstance(modem, MeshtasticModem)
    return modem.told.my_num.to_bytes(4, "big")


# --- what works


@BOTH
def test_frames_both_ways(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        frames = [bytes([n]) * size for n, size in enumerate((1, 2, 100, 230, 231))]
        a.post(*frames)
        await b.until(lambda: b.frames == frames)
        b.post(b"!urgent" * 33)
        await a.until(lambda: a.frames == [b"!urgent" * 33])
        signal = a.signals[0]
        assert (signal.rssi_dbm, signal.snr_qdb, signal.hops, signal.sender) == (-80, 48, 0, number(b))
        assert made.devices[1].records[-1].get("packet", {}).get("priority", 110) == 110
        for device in made.devices:
            assert device.records[0]["want_config_id"] == 69420
            assert device.counters["hellos"] == 1 and not device.counters["repeated"]

    play(scene, tcp)


def test_facts() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        modem = a.modem
        assert modem.phy is not None and (modem.phy.sf, modem.phy.bw_hz, modem.phy.freq_hz) == (9, 250000, 869525000)
        assert modem.airtime_us(200) == 569856 and modem.region == "EU_868" and modem.utilisation_percent == 3
        status = modem.status()
        assert status["firmware"] == "2.7.26.54e0d8d" and status["preset"] == "MediumFast"
        assert status["node"] == "!9ea2f301" and status["queue"] == 0
        assert all(isinstance(value, str | int) for value in status.values())
        made.devices[0].report(41.4)
        await a.until(lambda: ("facts", 0, "") in a.states)
        assert modem.utilisation_percent == 41

    play(scene)


def test_one_packet_in_the_device_at_a_time() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        router = made.devices[0].router
        most = 0
        take = router.send_local

        def watched(packet: dict[str, Any]) -> int:
            nonlocal most
            res = take(packet)
            most = max(most, len(router.queue) + router.station.transmitting)
            return res

        router.send_local = watched  # type: ignore[method-assign]
        a.post(*[bytes([n]) * 100 for n in range(10)])
        await b.until(lambda: len(b.frames) == 10)
        assert most == 1
        assert [f[0] for f in b.frames] == list(range(10))
        # send returned only after the packet had left
        assert all(sent.airtime_us == a.modem.airtime_us(100) for _, sent in a.sent)

    play(scene)


def test_direct_text_is_acknowledged() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        a.say(number(b), "Grüße")
        await a.until(lambda: a.states and a.sent)
        assert a.states == [("acked", a.sent[0][1].id, "")]
        text = b.texts[0]
        assert (text.text, text.to_us, text.channel, text.sender, text.hops) == ("Grüße", True, "", number(a), 0)

    play(scene)


def test_channel_text_is_relayed() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        a.say(None, "to all")
        await a.until(lambda: a.states and a.sent)
        assert a.states == [("acked", a.sent[0][1].id, "relayed")]
        assert (b.texts[0].to_us, b.texts[0].channel) == (False, "MediumFast")

    play(scene)


def test_over_a_hop() -> None:
    """A direct text over a relay: repeated is not delivered; the hops are told."""

    async def run() -> None:
        async with mesh() as made:
            a, r, b = [await made.device() for _ in range(3)]
            introduce(a, r, b)
            made.air.link(a.router.station.name, b.router.station.name, None)
            first, last = await made.hall(a), await made.hall(b)
            first.say(number(last), "far")
            await first.until(lambda: len(first.states) == 2)
            id = first.sent[0][1].id
            assert first.states == [("relayed", id, ""), ("acked", id, "")]
            assert last.texts[0].hops == 1
            last.post(b"frame")
            await first.until(lambda: first.frames)
            assert first.signals[0].hops == 1 and r.router.counters["tx"] >= 3

    asyncio.run(run())


def test_an_unheard_text_has_failed() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[1].vanish()
        a.say(number(b), "anybody?")
        a.say(None, "nobody?")
        await a.until(lambda: len(a.states) == 2, 10)
        assert a.states == [("failed", a.sent[0][1].id, "no_ack"), ("failed", a.sent[1][1].id, "no_ack")]

    play(scene, speed=60)


@pytest.mark.parametrize("alert", [False, True], ids=["text", "alert"])
def test_the_silent_throttle_is_never_met(alert: bool) -> None:
    """Texts follow each other by 2.2 s, alerts by 10.5 s; without that a device drops them and says nothing."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        a.say(number(b), *[f"part {n} of 4" for n in range(1, 5)], alert=alert)
        await a.until(lambda: len([s for s in a.states if s[0] == "acked"]) == 4)
        assert [t.text for t in b.texts] == [f"part {n} of 4" for n in range(1, 5)]
        assert made.devices[0].counters["throttled"] == 0
        assert {reason for reason, _ in a.refusals} == {"rate_limited"}

    play(scene, speed=20 if alert else 10)


def test_what_the_throttle_dropped_has_failed() -> None:
    """Another program on the device sent a text just now: ours is dropped, and its sender learns it in the end."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        face = made.devices[0]._serial
        assert face is not None
        face.last_us[1] = made.air.now_us() + 1000000
        a.say(number(b), "dropped")
        await a.until(lambda: a.states and a.sent, 10)
        assert made.devices[0].counters["throttled"] == 1 and not b.texts
        assert a.states[0][0] == "failed" and a.states[0][2] == "no_ack"

    play(scene, speed=60)


def test_a_throttle_that_is_told() -> None:
    """Firmware 2.8 tells."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].firmware = "2.8.0"
        face = made.devices[0]._serial
        assert face is not None
        face.last_us[1] = made.air.now_us()
        a.say(number(b), "once more")
        await b.until(lambda: b.texts)
        assert a.refusals[0][0] == "rate_limited"

    play(scene)


# --- refusals


async def refused(coroutine: Coroutine[Any, Any, Any]) -> Refused:
    with pytest.raises(Refused) as caught:
        await coroutine
    return caught.value


def test_refused_at_once() -> None:
    async def run() -> None:
        async with mesh() as made:
            unset = await made.device(region=0)
            plain = await made.device(channels=(("", b"\x01"), ("Waypost", b"k" * 32)))
            for device, settings, reason in (
                (unset, {}, "no_region"), (plain, {"channel": "Elsewhere"}, "no_channel"),
                (plain, {"channel": "Waypost"}, ""),
            ):
                modem = modem_for(device, quick(), **settings)
                before = await refused(modem.send(b"too early"))
                assert before.reason == "not_ready" and before.retry_ms
                await modem.open(lambda *_: None, lambda *_: None, lambda *_: None)
                try:
                    if reason:
                        assert (await refused(modem.send(b"x"))).reason == reason
                        assert (await refused(modem.send(b"x"))).retry_ms is None
                    else:
                        assert (await modem.send(b"x")).airtime_us == modem.airtime_us(1)
                        assert (await refused(modem.send_text(None, "", "x" * 233, 0))).reason == "too_large"
                        assert (await refused(modem.send_text(bytes(4), "", "x" * 221, 0))).reason == "too_large"
                        assert (await refused(modem.send_text(None, "Else", "x", 0))).reason == "no_channel"
                        await modem.send_text(None, "Waypost", "x" * 232, 0)
                        for bad in (modem.send(b""), modem.send(bytes(232)), modem.send_text(None, "", "", 0),
                                    modem.send_text(None, "", "x", 8)):
                            with pytest.raises(ValueError):
                                await bad
                finally:
                    await modem.close()
            assert not unset.router.counters and all("packet" not in record for record in unset.records)

    asyncio.run(run())


def test_frames_of_another_channel_are_not_ours() -> None:
    async def run() -> None:
        async with mesh() as made:
            channels = (("", b"\x01"), ("Waypost", b"k" * 32))
            a, b = await made.device(channels=channels), await made.device(channels=channels)
            first, second = await made.hall(a), await made.hall(b, channel="Waypost")
            other = await made.device()
            third = await made.hall(other, channel="")
            first.post(b"primary")
            await third.until(lambda: third.frames)
            second.post(b"secret")
            await asyncio.sleep(0.2)
            assert second.frames == [] and first.frames == [] and third.frames == [b"primary"]

    asyncio.run(run())


def test_queue_full() -> None:
    """res 32: the packet is not in the device; it goes as soon as there is room."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        made.air.jam(10 * 1000000)
        for n in range(16):
            device.router.send_local({"to": 0xFFFFFFFF, "id": n + 1, "channel": 0, "priority": 0, "want_ack": False,
                                      "hop_limit": 0, "decoded": {"portnum": 257, "payload": bytes(50)}})
        a.post(b"waits")
        await a.until(lambda: a.refusals)
        assert a.refusals[0] == ("queue_full", 2000 // SPEED)
        await b.until(lambda: b.frames == [b"waits"])
        assert not a.downs

    play(scene)


@pytest.mark.parametrize(("res", "reason", "again"), [
    (6, "no_channel", False), (7, "too_large", False), (9, "duty_cycle", True), (32, "queue_full", True),
    (34, "tx_failed", True), (38, "rate_limited", True), (39, "key_unknown", False), (99, "tx_failed", True),
])
def test_what_a_queue_status_says(res: int, reason: str, again: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].refuse = res
        a.post(b"refused")
        await a.until(lambda: a.refusals)
        assert a.refusals[0][0] == reason and (a.refusals[0][1] is not None) == again
        assert a.modem.status()["refused." + reason] == 1

    play(scene)


def test_a_device_that_is_busy_for_others() -> None:
    """Packets that the device repeats keep its queue from ever being empty: ours counts as gone after its turn."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        device.router.free = lambda: 12  # type: ignore[method-assign]
        a.post(b"one", b"two")
        await b.until(lambda: b.frames == [b"one", b"two"])
        await a.until(lambda: len(a.sent) == 2)
        assert a.modem.status()["tx.unsure"] == 2 and not a.downs

    play(scene)


def test_duty_cycle() -> None:
    """NAK 9 with the time that the device names; after it the frame goes."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        router = made.devices[0].router
        made.air.run_until(made.air.now_us())
        router.spend(361 * 1000000)
        a.post(b"later")
        await a.until(lambda: a.refusals)
        assert a.refusals[0] == ("duty_cycle", 60 * 60000 // SPEED)
        assert "You can send again in 60 mins" in str(a.modem.status()["notice"])
        router._spent.clear()
        await b.until(lambda: b.frames == [b"later"])
        assert not a.downs and not a.given_up

    play(scene)


def test_key_unknown() -> None:
    """NAK 39: the key is asked for, and then the text arrives."""

    async def run() -> None:
        async with mesh() as made:
            a, b = await made.device(), await made.device()
            first, second = await made.hall(a), await made.hall(b)
            first.say(number(second), "hello stranger")
            await first.until(lambda: first.states)
            assert first.refusals[0][0] == "key_unknown" and first.refusals[0][1]
            assert first.states[-1][0] == "acked" and second.texts[0].text == "hello stranger"
            assert a.router.keys[b.number] == b.user["public_key"]

    asyncio.run(run())


def test_key_that_nobody_gives() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].router.keys.clear()
        made.devices[1].vanish()
        a.say(number(b), "hello?")
        await a.until(lambda: a.given_up)
        assert a.refusals[-1] == ("key_unknown", None) and not a.downs

    play(scene)


# --- faults: recovered from without anybody's help, within two heartbeats


async def in_time(hall: Hall, condition: Callable[[], Any], since_s: float) -> None:
    """Within two heartbeats (and a little for the machine that runs the test)."""
    await hall.until(condition, 2 * hall.pace.beat_ms / 1000 + 0.3 - (now_s() - since_s))


def now_s() -> float:
    return asyncio.get_running_loop().time()


@BOTH
def test_freeze_while_idle(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        since_s = now_s()
        device.freeze()
        await in_time(a, lambda: a.downs, since_s)
        assert a.downs[0] == "frozen"
        since_s = now_s()
        device.thaw()
        await in_time(a, lambda: a.ups == 2, since_s)
        a.post(b"back")
        await b.until(lambda: b.frames == [b"back"])

    play(scene, tcp)


@BOTH
def test_freeze_while_sending(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        a.post(*[bytes([n]) * 150 for n in range(6)])
        await b.until(lambda: len(b.frames) == 2)
        since_s = now_s()
        device.freeze()
        await in_time(a, lambda: "frozen" in a.downs, since_s)
        since_s = now_s()
        device.thaw()
        await in_time(a, lambda: a.ups == 2, since_s)
        await b.until(lambda: len(set(b.frames)) == 6)

    play(scene, tcp)


@BOTH
def test_vanish_and_come_back(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        a.post(*[bytes([n]) * 150 for n in range(6)])
        await b.until(lambda: len(b.frames) == 2)
        since_s = now_s()
        device.vanish()
        await in_time(a, lambda: a.downs, since_s)
        assert a.downs[0] == "gone"
        await a.until(lambda: "no_device" in a.downs)
        since_s = now_s()
        await device.reappear()
        await in_time(a, lambda: a.ups == 2, since_s)
        await b.until(lambda: len(set(b.frames)) == 6)

    play(scene, tcp)


@BOTH
def test_reboot_in_mid_transfer(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        a.post(*[bytes([n]) * 150 for n in range(6)])
        await b.until(lambda: len(b.frames) == 3)
        since_s = now_s()
        device.reboot()
        await in_time(a, lambda: a.ups == 2, since_s)
        await b.until(lambda: len(set(b.frames)) == 6)
        assert a.downs[0] == ("gone" if tcp else a.downs[0])

    play(scene, tcp)


def test_reboot_while_idle_is_noticed_at_once() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].reboot()
        await a.until(lambda: a.downs == ["rebooted"], 0.5)
        await a.until(lambda: a.ups == 2)
        assert made.devices[0].counters["hellos"] == 2

    play(scene)


@BOTH
def test_garbage_at_any_time(tcp: bool) -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        rng = random.Random(7)
        a.post(*[bytes([n]) * 50 for n in range(12)])
        while len(b.frames) < 12:
            for device in made.devices:
                device.say(rng.choice([rng.randbytes(60), b"\x94\xc3", b"\x94\xc3\x00\x08ab", b"INFO | tx\r\n" * 4]))
            await asyncio.sleep(0.01)
            assert not a.downs and not b.downs
        assert [f[0] for f in b.frames] == list(range(12))
        assert int(a.modem.status()["noise_bytes"]) > 100

    play(scene, tcp)


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 9])
def test_a_torn_answer(cut: int) -> None:
    """The queue status is lost: the packet is handed in again under its id, which the device takes once only."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].tear_bytes = cut
        a.post(b"once")
        await a.until(lambda: a.sent)
        await b.until(lambda: b.frames)
        await asyncio.sleep(0.2)
        assert b.frames == [b"once"] and made.devices[0].counters["repeated"] == 1 and not a.downs

    play(scene)


def test_a_lost_packet_is_handed_in_again() -> None:
    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        made.devices[0].lose_records = 1
        a.post(b"twice")
        await b.until(lambda: b.frames == [b"twice"])
        assert made.devices[0].counters["repeated"] == 0

    play(scene)


def test_an_acknowledgement_that_comes_after_a_reconnect() -> None:
    """The connection breaks while a text is under way: its fate is told when the device is back."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        device = made.devices[0]
        made.air.link(device.router.station.name, made.devices[1].router.station.name, -80, loss_percent=100)
        a.say(number(b), "under way")
        await a.until(lambda: a.sent)
        assert device._client is not None and device._client.transport is not None
        device._client.transport.abort()
        made.air.link(device.router.station.name, made.devices[1].router.station.name, -80, loss_percent=0)
        await a.until(lambda: a.states and a.sent)
        assert a.states == [("acked", a.sent[0][1].id, "")] and a.downs == ["gone"]

    play(scene, tcp=True)


def test_any_record_of_a_device() -> None:
    """10,000 random records, and as many mutated ones: no exception, and only sane facts."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        rng = random.Random(9)
        modem = a.modem
        assert isinstance(modem, MeshtasticModem)
        for n in range(20000):
            record = random_record(rng, wire.FROM_RADIO)
            record.pop("rebooted", None)
            if "packet" in record:
                record["packet"].setdefault("decoded", {})["portnum"] = rng.choice([1, 4, 5, 11, 67, 256])
            data = bytearray(wire.encode(wire.FROM_RADIO, record))
            if n % 2 and data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            if 0 < len(data) <= 512:
                modem._bytes(stream.frame(bytes(data)))
            if n % 100 == 0:
                modem._facts()
                assert all(isinstance(value, str | int) for value in modem.status().values())
                assert modem.utilisation_percent is None or 0 <= modem.utilisation_percent <= 100
                await asyncio.sleep(0)
        assert modem.told.firmware and len(modem.told.channels) <= 8
        for signal in a.signals + [text.signal for text in a.texts]:
            assert signal.hops is None or 0 <= signal.hops <= 7
            assert signal.rssi_dbm is None or -200 < signal.rssi_dbm < 0
            assert signal.snr_qdb is None or -128 <= signal.snr_qdb <= 128
        assert len(a.texts) > 5

    play(scene)


# --- opening


def test_another_client_takes_over() -> None:
    """TCP: one client at a time. The one that was cut off comes back."""

    async def scene(made: Mesh, a: Hall, b: Hall) -> None:
        rival = modem_for(made.devices[0], quick())
        assert await opened(rival) in ("", "gone")
        await a.until(lambda: a.ups == 2)
        assert a.downs == ["gone"]

    play(scene, tcp=True)


def test_not_opened() -> None:
    async def run() -> None:
        async with mesh() as made:
            silent = await made.device()
            silent.freeze()
            assert await opened(modem_for(silent, quick(answer_ms=30))) == "frozen"
            chatty = await made.device()
            chatty.lose_records = 1000
            modem = modem_for(chatty, quick(answer_ms=30))
            task = asyncio.ensure_future(opened(modem))
            while not task.done():
                chatty.say(b"ets Jun  8 2016 00:22:57 rst:0x1\r\n")
                await asyncio.sleep(0.01)
            assert task.result() == "wrong_device"
            taken = await made.device()
            hall = await made.hall(taken)
            assert await opened(modem_for(taken, quick())) == "taken"
            assert not hall.downs
            assert await opened(MeshtasticModem({"device": "tcp:127.0.0.1:1"}, quick())) == "no_device"
            assert await opened(MeshtasticModem({"device": made.folder + "/none"}, quick())) == "no_device"
            assert await opened(MeshtasticModem({"device": "tcp:[::1:x"}, quick())) == "bad_settings"

    asyncio.run(run())


def test_a_hello_that_is_interrupted() -> None:
    """The device restarts in the middle of its hello, or loses the question: it is asked again."""

    async def run() -> None:
        async with mesh() as made:
            device = await made.device()
            device.lose_records = 1
            assert await opened(modem_for(device, quick())) == ""
            device.tear_bytes = 10
            assert await opened(modem_for(device, quick())) == ""
            modem = modem_for(device, quick())
            device.lose_records = 1
            task = asyncio.ensure_future(opened(modem))
            await asyncio.sleep(0.13)
            device.reboot()
            assert await task == ""

    asyncio.run(run())


def test_idle_connections_are_kept_by_heartbeats() -> None:
    """A device drops a TCP client that says nothing for 15 minutes."""

    async def run() -> None:
        async with mesh(speed=1800) as made:
            device = await made.device(tcp=True)
            kept = await made.hall(device, quick(beat_ms=300))
            await asyncio.sleep(0.8)
            assert kept.ups == 1 and not kept.downs
            await kept.supervisor.stop()
            modem = modem_for(device, quick(speed=1800))
            lost = asyncio.get_running_loop().create_future()
            await modem.open(lambda *_: None, lambda *_: None, lambda *state: lost.set_result(state))
            assert await asyncio.wait_for(lost, 3 * PATIENCE) == ("down", 0, "gone")
            with pytest.raises(LinkDown):
                await modem.beat()
            await modem.close()

    asyncio.run(run())


@pytest.mark.parametrize(("where", "expected"), [
    ("/dev/ttyUSB0", None), ("usb:1234", None), ("", None), ("tcp:radio", ("radio", 4403)),
    ("tcp:10.0.0.2:4404", ("10.0.0.2", 4404)), ("tcp:[fe80::1]:99", ("fe80::1", 99)),
    ("tcp:[fe80::1]", ("fe80::1", 4403)), ("tcp://radio.local:4403/", ("radio.local", 4403)),
])
def test_addresses(where: str, expected: tuple[str, int] | None) -> None:
    assert tcp_address(where) == expected


@pytest.mark.parametrize("where", ["tcp:", "tcp:host:0", "tcp:host:x", "tcp::4403", "tcp:host:70000"])
def test_no_addresses(where: str) -> None:
    with pytest.raises(LinkDown, match="tcp:HOST:PORT"):
        tcp_address(where)
