"""The LoRa driver over emulated radios: the contract of a broadcast link, lanes, law, states, and every fault."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.core.link import LinkInfo
from radios.lora import jobs
from radios.lora.driver import FRAME_BYTES_MAX, LoraDriver
from radios.lora.modem import Modem, Pace, Refused, Sent
from radios.lora.people import Text
from tests.emulation import not_emulated
from tests.radios.contract import identity
from tests.radios.lora.kit import Allow, Listener, World, hasty, pace, world
from tests.waiting import until

KINDS = ("rnode", "rylr998", "e22")
BEATS_S = 2 * hasty().beat_ms / 1000


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


# --- the contract of a broadcast link, for each kind of modem


async def check_facts(made: World, kind: str) -> None:
    a, heard_a, _, _ = await made.pair(kind)
    info: Any = a.info
    assert isinstance(info, LinkInfo) and info.broadcast and info.small and not info.ordered and info.burst == 1
    assert 140 <= info.mtu_bytes <= FRAME_BYTES_MAX and info.lanes == 7
    assert all(isinstance(k, str) and isinstance(v, str | int) for k, v in a.status().items())
    assert not heard_a.troubles


async def check_frames_whole(made: World, kind: str) -> None:
    a, _, b, heard_b = await made.pair(kind)
    rng = random.Random(kind)
    info: Any = a.info
    sizes = (1, 2, 100, info.mtu_bytes - 1, info.mtu_bytes)
    frames = [rng.randbytes(size) for size in sizes]
    frames += [bytes(info.mtu_bytes), b"\xc0" * 90 + b"\xdb" * 90, b"\xc0\xc1\xc2\xc3\x02\x02" * 30,
               b"\r\n+RCV=1,2,hi,-1,1\r\n+OK\r\n+ERR=17\r\n"]
    for frame in frames:
        assert a.send(None, 1, frame)
    await heard_b.until(lambda: len(heard_b.got) == len(frames))
    assert heard_b.data == frames
    assert {signal.rssi_dbm for _, signal in heard_b.got} == {-80}
    assert b.status()["rssi_dbm"] == -80


async def check_misuse(made: World, kind: str) -> None:
    a, _, _, _ = await made.pair(kind)
    info: Any = a.info
    for frame in (b"", bytes(info.mtu_bytes + 1)):
        with pytest.raises(ValueError, match="bytes"):
            a.send(None, 0, frame)
    with pytest.raises(ValueError, match="lane"):
        a.send(None, 4, b"x")
    assert not a.send(b"somebody", 0, b"x")
    a.pause(b"somebody", 10)


async def check_drained_and_states(made: World, kind: str) -> None:
    a, heard_a, _, heard_b = await made.pair(kind)
    for turn in range(3):
        before = heard_a.drains
        token = a.send(None, 2, bytes([2, turn]))
        assert token and heard_a.drains == before
        await heard_a.until(lambda before=before: heard_a.drains > before)
        assert [state for state, _ in heard_a.states[token]] == ["on_air", "sent"]
    await heard_b.until(lambda: len(heard_b.got) == 3)


async def check_lanes(made: World, kind: str) -> None:
    a, heard_a, _, heard_b = await made.pair(kind)
    for lane in (2, 1, 0):
        for n in range(2):
            assert a.send(None, lane, bytes([9, lane, n]))
    await heard_b.until(lambda: len(heard_b.got) == 6)
    assert [(f[1], f[2]) for f in heard_b.data] == [(lane, n) for lane in range(3) for n in range(2)]


async def check_alert_overtakes(made: World, kind: str) -> None:
    """An alert behind a full bulk queue goes on the air after at most one frame."""
    a, heard_a, _, heard_b = await made.pair(kind)
    sent = 0
    while a.send(None, 3, b"\x03" + bytes([sent]) * 150):
        sent += 1
    assert sent == jobs.LANE_JOBS_MAX
    await heard_a.until(lambda: heard_a.states)  # one is on the air
    before = len([1 for states in heard_a.states.values() for state, _ in states if state == "sent"])
    assert a.send(None, 0, b"alert")
    await heard_b.until(lambda: b"alert" in heard_b.data)
    assert heard_b.data.index(b"alert") <= before + 1
    await heard_b.until(lambda: len(set(heard_b.data)) == sent + 1)  # on a busy machine one may be said twice
    assert [frame[1] for frame in dict.fromkeys(heard_b.data) if frame != b"alert"] == list(range(sent))


async def check_stop(made: World, kind: str) -> None:
    a, heard_a, b, heard_b = await made.pair(kind)
    assert a.send(None, 0, b"x" * 100)
    assert a.send(None, 0, b"y" * 100)
    await heard_a.until(lambda: heard_a.states)
    await a.stop()
    before = len(heard_a.events)
    assert not a.send(None, 0, b"z")
    await asyncio.sleep(0.02)
    assert len(heard_a.events) == before
    await a.stop()
    await a.start()  # and a link that was stopped may be started again
    await until(lambda: a.status()["state"] == "up")
    assert a.send(None, 0, b"again")
    await heard_b.until(lambda: b"again" in heard_b.data)


async def check_calls_from_events(made: World, kind: str) -> None:
    a, heard_a, b, heard_b = await made.pair(kind)

    def echo(_: bytes, data: bytes) -> None:
        if not data.startswith(b"!"):
            assert b.send(None, 1, b"!" + data)
            b.status()

    heard_b.on_frame = echo
    for n in range(5):
        assert a.send(None, 1, bytes([4, n]))
        await heard_a.until(lambda n=n: len(heard_a.got) > n)
    assert heard_a.data == [b"!" + bytes([4, n]) for n in range(5)]


CONTRACT = [check_facts, check_frames_whole, check_misuse, check_drained_and_states, check_lanes,
            check_alert_overtakes, check_stop, check_calls_from_events]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: str, check: Callable[[World, str], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        async with world() as made:
            await check(made, kind)

    run(go())


# --- faults: recovered from within two heartbeats, nothing that was accepted is lost


async def freeze(made: World, device: Any) -> None:
    device.plug.frozen = True
    await asyncio.sleep(0.3)
    device.plug.frozen = False


async def vanish(made: World, device: Any) -> None:
    """Unplugged, and plugged in again while another radio has taken its path, mostly."""
    device.plug.pull()
    await asyncio.sleep(0.05)
    made.device("rnode", "other")
    device.plug.put_in()


async def reboot(made: World, device: Any) -> None:
    device.reboot()


async def garbage(made: World, device: Any) -> None:
    rng = random.Random(5)
    for _ in range(20):
        device.plug.write(rng.randbytes(rng.randrange(1, 200)))
        await asyncio.sleep(0.002)
    device.plug.write(b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n")


async def torn(made: World, device: Any) -> None:
    device.plug.lose = 7


async def refuse(made: World, device: Any) -> None:
    """A storm of +ERR=17, a full queue, a radio that finds no free channel: what each kind can."""
    if hasattr(device, "errors"):
        device.errors = [17] * 12
    elif hasattr(device, "error"):
        for _ in range(3):
            device.error(4)
            await asyncio.sleep(0.002)
        device.stuck = True
        await asyncio.sleep(0.05)
        device.stuck = False
    else:
        device.stuck = True
        await asyncio.sleep(0.05)
        device.stuck = False


FAULTS = [freeze, vanish, reboot, garbage, torn, refuse]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=not_emulated("misses the moments at which an E22 is on the air") if kind == "e22" else ())
    for kind in KINDS
])
def test_fault_in_mid_transfer(kind: str, fault: Callable[[World, Any], Coroutine[Any, Any, None]]) -> None:
    """The sender's radio fails while it sends: what was accepted arrives, what is new does within two heartbeats."""
    async def go() -> None:
        async with world() as made:
            a, heard_a, b, heard_b = await made.pair(kind, hasty())
            frames = [bytes([7, n]) * 60 for n in range(6)]
            for frame in frames:
                assert a.send(None, 1, frame)
            await heard_b.until(lambda: len(heard_b.got) >= 2)
            if kind == "e22" and fault is reboot:  # it has no voice to say so: what was on the air then is lost
                await until(lambda: not made.devices[0]._station.transmitting)
            else:
                await until(lambda: made.devices[0]._station.transmitting)
            await fault(made, made.devices[0])
            assert a.send(None, 0, b"after")
            await heard_b.until(lambda: b"after" in heard_b.data, BEATS_S + 0.5)
            await heard_b.until(lambda: set(frames) <= set(heard_b.data), 5)
            await heard_a.until(lambda: sum(heard_a.last(token) == "sent" for token in heard_a.states) == 7)
            assert not [key for key in a.counters if key.startswith("tx.never")]
            await until(lambda: not heard_a.troubles)

    run(go())


@pytest.mark.parametrize("fault", FAULTS[:-1], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_fault_of_the_receiver(kind: str, fault: Callable[[World, Any], Coroutine[Any, Any, None]]) -> None:
    """The receiver's radio fails; two heartbeats later it hears again."""
    async def go() -> None:
        async with world() as made:
            a, _, b, heard_b = await made.pair(kind, hasty())
            await fault(made, made.devices[1])
            async with asyncio.timeout(BEATS_S + 0.3):
                while b"after" not in heard_b.data:
                    a.send(None, 0, b"after")
                    await asyncio.sleep(0.03)

    run(go())


def test_radio_comes_late_and_goes() -> None:
    """No radio at the start is a trouble that says what to do; what is queued meanwhile is sent when it comes."""
    async def go() -> None:
        async with world() as made:
            one, two = made.device("rnode", "one"), made.device("rnode", "two")
            heard, other = Listener(), Listener()
            receiver = made.driver("rnode", two, other)
            await receiver.start()
            one.plug.pull()
            driver = made.driver("rnode", one, heard)
            await driver.start()
            await heard.until(lambda: "radio_no_device" in heard.troubles)
            assert "plugged in" in heard.troubles["radio_no_device"]
            token = driver.send(None, 1, b"early")
            assert driver.waiting() == [{"number": token, "lane": 1, "bytes": 5, "what": "frame", "kind": 101,
                                         "state": "queued", "detail": ""}]
            one.plug.put_in()
            await other.until(lambda: other.data == [b"early"])
            await until(lambda: not heard.troubles)

    run(go())


# --- the governor


def test_waits_for_airtime_and_says_until_when() -> None:
    async def go() -> None:
        async with world() as made:
            a, heard, _, other = await made.pair("rnode")
            law: Any = a._governor
            law.answer = 600000
            token = a.send(None, 2, b"later")
            await heard.until(lambda: heard.states)
            state, detail = heard.states[token][-1]
            assert state == "waiting" and detail.startswith("for airtime until ") and detail[-3] == ":"
            law.lane_answers[0] = 0
            alert = a.send(None, 0, b"alert")  # has its own share
            await other.until(lambda: other.data == [b"alert"])
            await heard.until(lambda: heard.last(alert) == "sent")
            assert heard.last(token) == "waiting"
            law.answer = 0
            a.send(None, 1, b"wakes it")
            await other.until(lambda: len(other.data) == 3)
            assert [lane for lane, _ in law.spends] == [0, 1, 2]
            assert all(us == a.modem.airtime_us(n) for (_, us), n in zip(law.spends, (5, 8, 5), strict=True))

    run(go())


def test_no_region_no_transmission() -> None:
    async def go() -> None:
        async with world() as made:
            device, heard = made.device("rnode", "one"), Listener()
            driver = LoraDriver(made.settings("rnode", device), *identity(1), None, heard, "lora", pace=pace())
            made.drivers.append(driver)
            await driver.start()
            token = driver.send(None, 0, b"alert")
            await heard.until(lambda: heard.last(token) == "refused")
            assert "lora.region" in heard.troubles["no_region"] and not made.air.log

    run(go())


def test_utilisation_reaches_the_governor() -> None:
    async def go() -> None:
        async with world() as made:
            a, heard, _, other = await made.pair("rnode")
            for n in range(3):
                a.send(None, 1, bytes([n]) * 200)
            await other.until(lambda: len(other.data) == 3)
            law: Any = a._governor
            await until(lambda: a.modem.utilisation_percent is not None)
            a.send(None, 1, b"x")
            await other.until(lambda: len(other.data) == 4)
            assert law.utilisations

    run(go())


# --- a modem of cardboard, for what real ones do seldom


class Cardboard(Modem):
    """Does what `script` says, one entry a packet: an exception to raise, or None to send."""

    kind = "cardboard"
    mtu_bytes = 200

    def __init__(self, script: list[Exception | None]) -> None:
        super().__init__({}, Pace())
        self.script = script
        self.sent: list[bytes] = []
        self.bits_per_s = 1000000
        self.on_state: Any = None
        self.on_text: Any = None

    async def open(self, on_frame: Any, on_text: Any, on_state: Any) -> None:
        self.heard_ms = 1 << 60
        self.on_state, self.on_text = on_state, on_text

    async def close(self) -> None:
        pass

    async def beat(self) -> None:
        pass

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        await asyncio.sleep(0)
        step = self.script.pop(0) if self.script else None
        if step is not None:
            raise step
        self.sent.append(frame)
        return Sent(1000, len(self.sent))

    async def send_text(self, to: bytes | None, channel: str, text: str, hop_limit: int, *,
                        alert: bool = False) -> Sent:
        return await self.send(text.encode())


async def cardboard(made: World, *script: Exception | None) -> tuple[LoraDriver, Cardboard, Listener]:
    modem, heard = Cardboard(list(script)), Listener()
    driver = LoraDriver({}, *identity(1), None, heard, "lora", pace=pace(), governor=Allow(), modem=modem)
    made.drivers.append(driver)
    await driver.start()
    return driver, modem, heard


def test_refusals() -> None:
    async def go() -> None:
        async with world() as made:
            driver, modem, heard = await cardboard(
                made, Refused("key_unknown"), Refused("duty_cycle", 60), *[Refused("tx_failed", 1)] * 5)
            tokens = [driver.send(None, 1, bytes([n])) for n in range(4)]
            await heard.until(lambda: heard.last(tokens[-1]) == "sent")
            assert heard.states[tokens[0]][-1] == ("refused", "the radio has no key of the addressee yet")
            assert [state for state, _ in heard.states[tokens[1]]][:2] == ["on_air", "waiting"]
            assert "(duty_cycle) until" in heard.states[tokens[1]][1][1]
            assert [heard.last(token) for token in tokens[1:]] == ["refused", "sent", "sent"]  # the five were too many
            assert driver.counters["tx.refused.tx_failed"] == 5

    run(go())


def test_a_throttled_text_lets_others_pass() -> None:
    async def go() -> None:
        async with world() as made:
            driver, modem, heard = await cardboard(made, None, Refused("rate_limited", 80))
            first = driver.send_text(b"\0\0\0\1", "", "one", 3)
            second = driver.send_text(b"\0\0\0\1", "", "two", 3)
            third = driver.send(None, 2, b"frame")
            await heard.until(lambda: heard.last(second) == "sent")
            assert modem.sent == [b"one", b"frame", b"two"]
            modem.on_state("acked", 1, "")
            modem.on_state("failed", 3, "key_unknown")
            assert heard.states[first][-1] == ("acked", "")
            assert heard.states[second][-1] == ("failed", "the radio has no key of the addressee yet")
            assert heard.last(third) == "sent"
            modem.on_text(Text(b"\0\0\0\1", True, "", "hello", 9, 0, None))  # type: ignore[arg-type]
            assert heard.texts[0].text == "hello"

    run(go())


def test_a_text_that_waits_for_a_key_lets_others_pass() -> None:
    async def go() -> None:
        async with world() as made:
            driver, modem, heard = await cardboard(made, Refused("key_unknown", 60), None, Refused("key_unknown"))
            text = driver.send_text(b"\0\0\0\1", "", "one", 3)
            driver.send(None, 2, b"frame")
            await heard.until(lambda: heard.last(text) == "refused")
            assert modem.sent == [b"frame"]
            for bad, hops in (("", 3), ("x" * 232, 3), ("x", 8)):
                with pytest.raises(ValueError, match="a text has"):
                    driver.send_text(None, "", bad, hops)

    run(go())


@pytest.mark.parametrize(("paces_itself", "reason"), [(True, "no region is set"), (False, "not_ready")])
def test_a_radio_that_does_not_know_its_airtime(paces_itself: bool, reason: str) -> None:
    """A Meshtastic device without a region."""
    async def go() -> None:
        async with world() as made:
            driver, modem, heard = await cardboard(made)
            modem.bits_per_s, modem.paces_itself = 0, paces_itself
            token = driver.send(None, 0, b"x")
            await heard.until(lambda: heard.last(token) == "refused")
            assert reason in heard.states[token][-1][1] and ("no_region" in heard.troubles) == paces_itself

    run(go())


def test_a_packet_that_kills_the_radio_is_given_up() -> None:
    async def go() -> None:
        from radios.lora.modem import LinkDown

        async with world() as made:
            driver, modem, heard = await cardboard(made, LinkDown("frozen"), LinkDown("gone"), LinkDown("frozen"))
            bad, good = driver.send(None, 1, b"bad"), driver.send(None, 1, b"good")
            await heard.until(lambda: heard.last(good) == "sent")
            assert heard.states[bad][-1][0] == "refused" and modem.sent == [b"good"]
            assert driver.counters["tx.again"] == 3

    run(go())


def test_cancel_and_waiting() -> None:
    async def go() -> None:
        async with world() as made:
            driver, modem, heard = await cardboard(made)
            law: Any = driver._governor
            law.answer = 100000
            tokens = [driver.send(None, lane, bytes(lane + 1)) for lane in (2, 1)]
            await heard.until(lambda: heard.states)
            rows = [(row["number"], row["lane"], row["bytes"]) for row in driver.waiting()]
            assert rows == [(tokens[1], 1, 2), (tokens[0], 2, 3)]
            assert driver.cancel(tokens[0]) and not driver.cancel(tokens[0]) and not driver.cancel(999)
            assert heard.last(tokens[0]) == "cancelled"
            assert driver.status()["queue.1"] == 1 and driver.status()["queue.2"] == 0

    run(go())


@pytest.mark.parametrize(("settings", "said"), [
    ({}, "it may be meshtastic"),
    ({"modem": "lorawan"}, "lorawan"),
    ({"modem": "rnode", "sf": 8}, "lora.freq_hz, lora.bw_hz, lora.cr_den, lora.power_dbm"),
])
def test_settings_that_cant_be(settings: dict[str, Any], said: str) -> None:
    async def go() -> None:
        driver = LoraDriver(settings, *identity(1), None, Listener(), "lora")
        assert not driver.send(None, 0, b"x")
        with pytest.raises(OSError, match=said):
            await driver.start()
        await driver.stop()

    run(go())
