"""EByte E22: registers and framing alone, the modem against an emulated module, and the module against sx126x."""

from __future__ import annotations

import asyncio
import random
import sys
import types
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from radios.lora import pins
from radios.lora.e22 import codec, framing
from radios.lora.e22.modem import E22
from radios.lora.modem import LinkDown
from tests.radios.lora.emulated.e22_device import FACTORY, E22Device
from tests.radios.lora.kit import World, hasty, pace, world
from tests.waiting import until

FAST = FACTORY[:3] + b"\xe2" + bytes((FACTORY[4] | codec.SWITCH_BIT,)) + FACTORY[5:]  # 115200 baud
SWITCHED = FACTORY[:4] + bytes((FACTORY[4] | codec.SWITCH_BIT,)) + FACTORY[5:]


# --- framing


def frames(rng: random.Random, n: int) -> list[bytes]:
    out = []
    for _ in range(n):
        size = rng.choice([1, 2, rng.randrange(1, 235), 234])
        out.append(rng.choice([rng.randbytes(size), bytes(size), (codec.IN_BAND * 60)[:size], b"\0\xff" * 117][:3]))
    return out


def test_packed_frames_are_bounded_and_never_a_command() -> None:
    for frame in frames(random.Random(1), 3000):
        data = framing.pack(frame)
        assert len(data) == len(frame) + framing.OVERHEAD_BYTES <= codec.SUB_PACKETS[0]
        assert data[0] == data[-1] == 0 and 0 not in data[1:-1] and codec.IN_BAND not in data
        assert framing.unpack(data[1:-1]) == frame
    for frame in (b"", bytes(235)):
        with pytest.raises(ValueError, match="1..234"):
            framing.pack(frame)


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740, bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def test_golden_frame() -> None:
    assert crc16(b"123456789") == 0x29B1 and crc16(b"\0\x01\0hi") == 0x18B4
    assert framing.pack(b"\x01\x00hi").hex(" ") == "00 01 02 01 05 68 69 18 b4 00"
    assert framing.pack(codec.IN_BAND + b"\x02\x02")[2] == 1  # masked


@pytest.mark.parametrize("rssi", [False, True])
def test_streams_are_cut_whole_and_byte_by_byte(rssi: bool) -> None:
    rng = random.Random(2)
    for _ in range(100):
        wanted = frames(rng, 5)
        marks = [rng.randrange(1, 256) for _ in wanted]
        stream = b"".join(framing.pack(frame) + (bytes((mark,)) if rssi else b"")
                          for frame, mark in zip(wanted, marks, strict=True))
        expected = [(frame, mark if rssi else None) for frame, mark in zip(wanted, marks, strict=True)]
        assert framing.Decoder(rssi).feed(stream) == expected
        slow = framing.Decoder(rssi)
        assert [got for byte in stream for got in slow.feed(bytes((byte,)))] == expected and not slow.dropped


@pytest.mark.parametrize("rssi", [False, True])
def test_resynchronises_after_any_cut(rssi: bool) -> None:
    """Bytes lost anywhere cost the frames that they were of, and one more at the most."""
    rng = random.Random(3)
    for _ in range(2000):
        wanted = [bytes([n]) + rng.randbytes(rng.randrange(1, 60)) for n in range(6)]
        mark = bytes((rng.randrange(1, 256),)) if rssi else b""
        parts = [framing.pack(frame) + mark for frame in wanted]
        stream = b"".join(parts)
        cut = rng.randrange(len(stream))
        until_ = min(len(stream), cut + rng.randrange(1, 80))
        got = [frame for frame, _ in framing.Decoder(rssi).feed(stream[:cut] + stream[until_:])]
        at, touched = 0, set()
        for n, part in enumerate(parts):
            if at < until_ and at + len(part) > cut:
                touched |= {n, n + 1}
            at += len(part)
        assert [frame for n, frame in enumerate(wanted) if n not in touched] == [
            frame for frame in got if frame in wanted and wanted.index(frame) not in touched]
        assert set(got) <= set(wanted)


def test_noise_makes_no_frames() -> None:
    rng = random.Random(4)
    decoder = framing.Decoder(True)
    got = [frame for _ in range(4000) for frame, _ in decoder.feed(rng.randbytes(60))]
    assert len(got) <= 3 and decoder.dropped > 100  # a sum of 16 bits, after pieces of plausible length
    decoder.feed(bytes((7,)) * 10000)
    assert len(decoder._piece or b"") <= 240
    decoder.feed(b"\0\0")
    assert decoder.feed(framing.pack(b"ok") + b"\xb0")[-1] == (b"ok", 0xB0)


def test_the_rssi_byte_may_be_missing() -> None:
    decoder = framing.Decoder(True)
    assert decoder.feed(framing.pack(b"a")) == [] and decoder.waiting
    assert decoder.feed(framing.pack(b"b") + b"\xb0") == [(b"a", None), (b"b", 0xB0)]
    decoder.feed(framing.pack(b"c"))
    assert decoder.flush() == [(b"c", None)] and decoder.flush() == []


# --- registers


def test_registers() -> None:
    made = codec.registers(868125000, 2400, 22, codec.POWERS_T22, 0, 9600, False)
    assert made.hex(" ") == "ff ff 00 62 20 12 93 00 00"
    assert codec.registers(433125000, 62500, 14, codec.POWERS_T22, 7, 115200, True).hex(" ") == (
        "ff ff 07 e7 32 17 93 00 00")  # 13 dBm: never more than was asked for
    assert codec.registers(868125000, 2400, 27, codec.POWERS_T30, 0, 9600, False)[4] & 3 == 1
    assert codec.channel(850125000) == 0 and codec.channel(930125000) == 80 and codec.channel(493125000) == 83
    for bad, said in ((dict(freq_hz=869525000), "850125000 Hz and each 1 MHz"), (dict(freq_hz=931125000), "930125000"),
                      (dict(air_rate=1000), "62500 bit/s"), (dict(power_dbm=5), "22, 17, 13, 10 dBm"),
                      (dict(baud=1), "115200 baud"), (dict(net=256), "0 to 255")):
        usual = dict(freq_hz=868125000, air_rate=2400, power_dbm=14, powers=codec.POWERS_T22, net=0, baud=9600,
                     switch=False)
        with pytest.raises(ValueError, match=said):
            codec.registers(**{**usual, **bad})  # type: ignore[arg-type]


def test_airtime_is_on_the_safe_side() -> None:
    assert codec.airtime_us(240, 2400) == 1178667  # 907 ms of bits and overhead, and 30 %
    from radios.lora.airtime import time_on_air_us

    for size in (10, 100, 240):  # SF11 at 500 kHz, which makes 2.1 kbit/s, is what 2.4k is said to be
        assert codec.airtime_us(size, 2400) > time_on_air_us(11, 500000, 5, 16, size)


# --- the modem


class Opened:
    """A modem on an emulated module, without a driver."""

    def __init__(self, made: World, device: E22Device, **settings: Any) -> None:
        self.device = device
        self.got: list[tuple[bytes, Any]] = []
        self.states: list[tuple[str, int, str]] = []
        self.modem = E22(made.settings("e22", device) | settings, pace())

    async def open(self) -> E22:
        await self.modem.open(lambda frame, signal: self.got.append((frame, signal)), lambda text: None,
                              lambda *state: self.states.append(state))
        return self.modem


def bench(check: Callable[[World, Opened, Opened], Coroutine[Any, Any, None]], settings: dict[str, Any] | None = None,
          opened: bool = True, **device: Any) -> None:
    """Two modems on the air, or not opened yet."""
    async def go() -> None:
        async with world() as made:
            a, b = (Opened(made, made.device("e22", name, **device), **(settings or {})) for name in "ab")
            try:
                if opened:
                    await a.open()
                    await b.open()
                await check(made, a, b)
            finally:
                await a.modem.close()
                await b.modem.close()

    asyncio.run(go())


WAYS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"aux": True}), ({}, {"aux": False}), ({"baud": 115200}, {"aux": True}),
    ({"pins": None}, {"saved": SWITCHED}), ({"pins": None, "baud": 115200}, {"saved": FAST}),
]


@pytest.mark.parametrize(("settings", "device"), WAYS)
def test_frames_of_every_size(settings: dict[str, Any], device: dict[str, Any]) -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for size in (1, 2, 100, 233, 234):
            for frame in (random.Random(size).randbytes(size), bytes(size), (codec.IN_BAND * 60)[:size]):
                sent = await a.modem.send(frame)
                packet = made.air.log[-1]
                assert sent.airtime_us > packet.end_us - packet.start_us
                await until(lambda frame=frame: b.got and b.got[-1][0] == frame)
                assert b.got[-1][1].rssi_dbm == -80
        assert a.modem.counters == {"tx.sent": 15} and len(made.air.log) == 15, "one packet a frame"
        assert all(command == codec.NOISE_ASK for command in a.device.obeyed[-10:])

    bench(check, settings, **device)


def test_is_set_up_as_asked_and_saved_once() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        assert a.device.saved.hex(" ") == "ff ff 00 64 22 12 93 00 00"
        assert a.modem.status()["product"] and a.modem.status()["channel"] == 18
        writes: list[bytes] = []
        configure = a.device._configure
        a.device._configure = lambda data: (writes.append(data), configure(data))[1]  # type: ignore[method-assign]
        await a.modem.close()
        assert not a.device.taken, "the pins are given back"
        await a.open()
        assert {data[0] for data in writes} == {codec.READ}
        a.device.reboot()  # power is lost: what was saved holds
        await a.modem.beat()
        assert a.modem.status()["noise_dbm"] == -96

    bench(check)


def test_lost_settings_are_noticed() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        a.device.saved[:] = FACTORY
        a.device.reboot()
        with pytest.raises(LinkDown, match="doesn't answer"):
            await a.modem.beat()

    bench(check)


@pytest.mark.parametrize(("settings", "device", "reason", "said"), [
    ({"freq_hz": 869525000}, {}, "bad_settings", "868|each 1 MHz"),
    ({"pins": None}, {}, "wrong_device", "software mode switch"),
    ({"pins": None, "gpio": "hat", "gpio_chip": "/dev/none"}, {}, "no_pins", "gpiod|/dev/none"),
])
def test_what_cant_be_opened(settings: dict[str, Any], device: dict[str, Any], reason: str, said: str) -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        with pytest.raises(LinkDown, match=said) as caught:
            await a.open()
        assert caught.value.reason == reason

    bench(check, settings, opened=False, **device)


@pytest.mark.parametrize("mode", [codec.CONFIGURATION, codec.TRANSMIT])
def test_found_as_it_was_left(mode: int) -> None:
    """In configuration mode, or at another serial rate than is set: nothing goes on the air unasked."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        await a.open()
        await a.modem.send(b"x")
        assert len(made.air.log) == 1

    bench(check, {"pins": None, "baud": 115200}, opened=False, saved=SWITCHED, mode=mode)


def test_glued_and_torn() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        b.device.glue = True
        for n in range(4):
            await a.modem.send(bytes([n]) * 20)
        await until(lambda: len(b.got) == 4)
        b.device.glue = False
        b.device.tear = 9
        await a.modem.send(b"torn" * 10)
        await a.modem.send(b"whole")
        await until(lambda: len(b.got) == 5)
        assert b.got[-1][0] == b"whole" and b.modem.status()["rx.torn"]

    bench(check)


def test_heard_while_asked() -> None:
    """What is received while an answer is awaited is neither lost nor taken for it."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        for n in range(20):
            frame = bytes([n]) * (1 + n)
            data = framing.pack(frame) + b"\xb0"
            beating = asyncio.ensure_future(a.modem.beat())
            await asyncio.sleep(0)
            a.device.plug.write(data[:n % 7])
            a.device.plug.write(data[n % 7:])
            await beating
            await until(lambda n=n: len(a.got) == n + 1)
            assert a.got[-1][0] == frame

    bench(check)


def test_listens_before_it_talks() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        async def chat(end: Opened, first: int) -> None:
            for n in range(5):
                await end.modem.send(bytes([first + n]) * 100)

        await asyncio.gather(chat(a, 0), chat(b, 100))
        await until(lambda: len(a.got) == len(b.got) == 5)
        assert not made.air.counters["collided"]

    bench(check)


def test_busy_for_ever() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        a.device.stuck = True
        with pytest.raises(LinkDown, match="busy for too long"):
            await a.modem.send(b"x")

    bench(check)


def test_frozen_in_mid_transfer() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        a.device.plug.frozen = True
        with pytest.raises(LinkDown, match="doesn't answer"):
            await a.modem.send(b"x")

    bench(check)


def test_pins_by_gpiod(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs that the gpiod package is asked for; no GPIO is here to try it on."""
    done: list[Any] = []

    class Lines:
        def set_values(self, values: dict[int, str]) -> None:
            done.append(values)

        def get_value(self, line: int) -> str:
            return "inactive" if line == 4 else "active"

        def release(self) -> None:
            done.append("released")

    value = types.SimpleNamespace(ACTIVE="active", INACTIVE="inactive")
    direction = types.SimpleNamespace(OUTPUT="out", INPUT="in")
    gpiod = types.SimpleNamespace(
        line=types.SimpleNamespace(Value=value, Direction=direction), LineSettings=lambda **kind: kind,
        request_lines=lambda chip, consumer, config: (done.append((chip, config)), Lines())[1])
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)  # type: ignore[arg-type]
    hat = pins.GpioPins(aux=4)
    hat.take()
    assert done[0][0] == "/dev/gpiochip0" and set(done[0][1]) == {(22, 27), 4}
    hat.mode(False, True)
    assert done[1] == {22: "inactive", 27: "active"} and hat.busy() is True
    hat.give_back()
    hat.give_back()
    assert done[2:] == ["released"] and pins.GpioPins().busy() is None


# --- an independent client


def test_the_sx126x_client_accepts_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sx126x package (MIT) configures two emulated modules and sends by fixed transmission; only GPIO is a stub."""
    devices: dict[int, E22Device] = {}  # by the pin that is M0
    levels: dict[int, int] = {}

    def output(pin: int, level: int) -> None:
        levels[pin] = level
        first = pin - pin % 2
        devices[first].set_mode(levels.get(first + 1, 0) << 1 | levels.get(first, 0))

    gpio = types.ModuleType("RPi.GPIO")
    vars(gpio).update(setwarnings=lambda _: None, setmode=lambda _: None, setup=lambda *_: None, output=output, BCM=11,
                      OUT=0)
    package = types.ModuleType("RPi")
    vars(package)["GPIO"] = gpio
    monkeypatch.setitem(sys.modules, "RPi", package)
    monkeypatch.setitem(sys.modules, "RPi.GPIO", gpio)
    sx126x: Any = pytest.importorskip("sx126x")
    from sx126x.enums import RSSI, AirSpeed, Mode  # type: ignore[import-not-found]
    from sx126x.models import Address  # type: ignore[import-not-found]

    def client(path: str, pin: int, address: str) -> Any:
        made = sx126x.SX126X(address=Address.parse(address), channel=18, port=path, pin_m0=pin, pin_m1=pin + 1,
                             air_speed=AirSpeed.K9_6, rssi=RSSI.ENABLED, timeout=0.2)
        assert made.address_h == Address.parse(address).hi and made.channel == 18
        made.set_mode(Mode.TRANSMISSION)
        return made

    async def go() -> None:
        async with world() as made:
            for pin, name in ((10, "a"), (20, "b")):
                devices[pin] = made.device("e22", name)
            a, b = await asyncio.gather(asyncio.to_thread(client, devices[10].plug.path, 10, "1.2"),
                                        asyncio.to_thread(client, devices[20].plug.path, 20, "3.4"))
            assert devices[20].registers[:3].hex() == "030401" and devices[20].registers[6] & codec.RSSI_BIT
            assert devices[20].registers[6] & codec.FIXED_BIT and devices[20].registers[3] & 7 == 4
            receiving = asyncio.create_task(asyncio.to_thread(b.rx, 13))
            await asyncio.to_thread(a.tx, Address.parse("3.4"), b"through the air"[:10])
            sender, payload = await receiving
            assert (sender.hi, sender.lo, payload) == (1, 2, b"through th" + bytes((256 - 80,)))
            for each in (a, b):
                each.serial.close()

    asyncio.run(go())
