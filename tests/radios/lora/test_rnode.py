"""RNode: the KISS codec alone, then the modem against an emulated device."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from radios.lora.modem import LinkDown, Refused
from radios.lora.rnode import codec, modem
from radios.lora.rnode.modem import RNode
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.radios.lora.kit import SPEED, Listener, World, hasty, pace, world
from tests.waiting import until

GOLDEN = [  # bytes of the device, what they mean
    ("c0 08 46 c0", [(codec.DETECT, "46")]),
    ("c0 50 01 56 c0", [(codec.VERSION, "0156")]),
    ("c0 01 33 db dc 11 db dd c0", [(codec.FREQUENCY, "33c011db")]),
    ("c0 23 4d c0 c0 24 28 c0 c0 00 01 db dc c0", [(codec.RSSI, "4d"), (codec.SNR, "28"), (codec.DATA, "01c0")]),
    ("c0 24 c0 c0 c0 24 db c0 c0 00 05 c0", [(codec.SNR, "c0"), (codec.SNR, "db"), (codec.DATA, "05")]),  # unescaped
    ("c0 24 db dc c0", [(codec.SNR, "c0")]),  # and escaped all the same
    ("65 74 73 c0 00 07 c0", [(codec.DATA, "07")]),  # what is before the first frame
    ("c0 00 07 c0 00 08 c0", [(codec.DATA, "07"), (codec.DATA, "08")]),  # one C0 between two frames
    ("c0 00 db 07 c0 c0 00 09 c0", [(codec.DATA, "09")]),  # a torn escape
    ("c0 c0 c0 00 0a c0", [(codec.DATA, "0a")]),
]


@pytest.mark.parametrize(("text", "frames"), GOLDEN)
def test_golden(text: str, frames: list[tuple[int, str]]) -> None:
    data = bytes.fromhex(text)
    wanted = [(command, bytes.fromhex(body)) for command, body in frames]
    assert codec.Decoder().feed(data) == wanted
    slow = codec.Decoder()
    assert [frame for byte in data for frame in slow.feed(bytes((byte,)))] == wanted
    assert codec.Decoder().feed(data + b"\x00\x01") == wanted


def test_encode() -> None:
    assert codec.encode(codec.DATA, b"\xc0\xdb\x01") == bytes.fromhex("c0 00 db dc db dd 01 c0")
    assert codec.encode(codec.FREQUENCY, (869525000).to_bytes(4, "big")).hex(" ") == "c0 01 33 d3 e6 08 c0"
    assert codec.numbers(bytes.fromhex("0001 0203 04"), 2) == [1, 0x203] and codec.numbers(b"\0", 1) == []
    assert [codec.signed(byte) for byte in (0, 127, 128, 255)] == [0, 127, -128, -1]


def test_what_is_encoded_is_decoded() -> None:
    rng = random.Random(1)
    for _ in range(300):
        frames = [rng.choice([rng.randbytes(rng.randrange(1, 509)), b"\xc0\xdb" * 200, b"\xdb"]) for _ in range(4)]
        stream = b"".join(codec.encode(codec.DATA, frame) for frame in frames)
        decoder, got, at = codec.Decoder(), [], 0
        while at < len(stream):
            size = rng.randrange(1, 700)
            got += decoder.feed(stream[at:at + size])
            at += size
        assert got == [(codec.DATA, frame) for frame in frames]


def test_garbage_is_dropped_and_bounded() -> None:
    rng = random.Random(2)
    decoder = codec.Decoder()
    for _ in range(3000):
        for command, body in decoder.feed(rng.randbytes(rng.randrange(1, 60))):
            assert 0 <= command <= 255 and type(body) is bytes
    assert decoder.feed(bytes(100000)) == [] and len(decoder._raw or b"") < 2000
    decoder.feed(b"\xc0")
    assert decoder.feed(codec.encode(codec.DATA, b"ok"))[-1] == (codec.DATA, b"ok") and decoder.dropped


# --- the modem


class Opened:
    """A modem that is open on an emulated device, without a driver."""

    def __init__(self, made: World, device: RNodeDevice, **settings: Any) -> None:
        self.device = device
        self.got: list[tuple[bytes, Any]] = []
        self.states: list[tuple[str, int, str]] = []
        self.modem = RNode(made.settings("rnode", device) | settings, pace())

    async def open(self) -> RNode:
        await self.modem.open(lambda frame, signal: self.got.append((frame, signal)), lambda text: None,
                              lambda *state: self.states.append(state))
        return self.modem


def two(check: Callable[[World, Opened, Opened], Coroutine[Any, Any, None]], settings: dict[str, Any] | None = None,
        **device: Any) -> None:
    """Two modems on the air."""
    async def go() -> None:
        async with world() as made:
            a, b = (Opened(made, made.device("rnode", name, **device), **(settings or {})) for name in "ab")
            await a.open()
            await b.open()
            try:
                await check(made, a, b)
            finally:
                await a.modem.close()
                await b.modem.close()

    asyncio.run(go())


def one(check: Callable[[World, Opened], Coroutine[Any, Any, None]], settings: dict[str, Any] | None = None,
        **device: Any) -> None:
    """One modem, not opened yet."""
    async def go() -> None:
        async with world() as made:
            a = Opened(made, made.device("rnode", "a", **device), **(settings or {}))
            try:
                await check(made, a)
            finally:
                await a.modem.close()

    asyncio.run(go())


def test_is_set_up_as_asked() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        device = a.device
        assert (device.freq_hz, device.bw_hz, device.sf, device.cr_den) == (869525000, 250000, 8, 5)
        assert device.power_dbm == 22 and a.modem.status()["power_dbm"] == 22  # clamped by the device
        assert device.limits[codec.LONG_LIMIT] == 1000 and device.on
        await until(lambda: a.modem.phy is not None and a.modem.phy.preamble == device.preamble)
        assert a.modem.status()["firmware"] == "1.86"
        await a.modem.close()
        await until(lambda: not device.on)

    two(check, {"power_dbm": 30, "limit_x100": 1000})


@pytest.mark.parametrize("size", [1, 100, 253, 254, 255, 400, 508])
def test_frames_of_every_size(size: int) -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for frame in (random.Random(size).randbytes(size), bytes([0xC0]) * size, bytes([0xDB, 0xDC] * 254)[:size]):
            sent = await a.modem.send(frame)
            packets = list(made.air.log)[-1 - (size > 254):]
            assert sent.airtime_us == sum(packet.end_us - packet.start_us for packet in packets)
            assert b.got[-1][0] == frame
            assert (b.got[-1][1].rssi_dbm, b.got[-1][1].snr_qdb) == (-80, 48)
        a.modem.counters.pop("tx.channel_busy", None)  # so a busy machine looks
        assert a.modem.counters == {"tx.confirmed": 3} and not a.device.dropped

    two(check)


def test_signal_bytes_that_look_like_framing() -> None:
    """SNR -16 dB is C0, -9.25 dB is DB, and the device does not escape them."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        for snr_qdb in (-64, -37, -36):
            b.device._hear(b"\x10frame", -120, snr_qdb)
        await until(lambda: len(b.got) == 3)
        assert [(frame, signal.snr_qdb) for frame, signal in b.got] == [(b"frame", n) for n in (-64, -37, -36)]

    two(check)


def test_one_packet_in_the_device() -> None:
    """Frames that follow each other, on a busy channel too: the device's queue never holds two."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        async def chat(end: Opened, first: int) -> None:
            for n in range(8):
                assert len(end.device.queue) == 0
                await end.modem.send(bytes([first + n]) * 100)

        await asyncio.gather(chat(a, 0), chat(b, 100))
        await until(lambda: len(a.got) == len(b.got) == 8)
        assert made.air.counters["collided"] == 0, "carrier sense"

    two(check)


def test_a_board_without_statistics() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for n in range(3):
            await a.modem.send(bytes([n]) * 50)
        await until(lambda: len(b.got) == 3)
        assert a.modem.counters == {"tx.assumed": 3} and a.modem.utilisation_percent is None

    two(check, reports=False)


def test_a_channel_that_is_never_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is reset, for else it would send the packet at a time of its own."""
    async def check(made: World, a: Opened) -> None:
        await a.open()
        await until(lambda: a.modem._airtimes)
        a.device.stuck = True
        with pytest.raises(LinkDown, match="could not send") as caught:
            await a.modem.send(b"x")
        assert caught.value.reason == "stuck" and a.modem.counters["tx.channel_busy"]
        await until(lambda: a.device.booting)

    monkeypatch.setattr(modem, "_STUCK_MS", 5000)
    one(check)


def test_the_devices_own_limit() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.device._bins[a.device._bin - 5] = 40 * 1000000  # 40 s of an hour
        await until(lambda: a.modem._airtimes and a.modem._airtimes[1] >= 100)
        with pytest.raises(Refused) as caught:
            await a.modem.send(b"x")
        assert caught.value.reason == "duty_cycle" and caught.value.retry_ms and not a.device.queue

    two(check, {"limit_x100": 100})


def test_error_codes() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for number, name in codec.ERRORS.items():
            if number in (codec.ERROR_TX_FAILED, codec.ERROR_QUEUE_FULL):
                task = asyncio.ensure_future(a.modem.send(b"x" * 200))
                await asyncio.sleep(0.001)
                a.device.error(number)
                with pytest.raises(Refused) as caught:
                    await task
                assert caught.value.reason == name and caught.value.retry_ms
                await until(lambda: not a.device.queue and not a.device._sending)
            elif number != codec.ERROR_MODEM_TIMEOUT:
                a.device.error(number)
        await asyncio.sleep(0.02)
        assert not [state for state in a.states if state[0] == "down"]
        task = asyncio.ensure_future(a.modem.send(b"x" * 200))
        await asyncio.sleep(0.001)
        a.device.error(codec.ERROR_MODEM_TIMEOUT)  # a reset follows
        with pytest.raises(LinkDown):
            await task
        assert ("down", 0, "rebooted") in a.states
        assert {key for key in a.modem.counters if key.startswith("device.")} == {
            "device." + name for name in codec.ERRORS.values()}

    two(check)


def test_a_restart_is_noticed_when_it_speaks() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.device.reboot()
        await until(lambda: a.states and a.states[-1] == ("down", 0, "rebooted"))
        with pytest.raises(Refused, match="not_ready"):
            await a.modem.send(b"x")

    two(check)


def test_beats() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        await a.modem.beat()
        a.device.on = False
        with pytest.raises(LinkDown):
            await a.modem.beat()
        b.modem._pace = hasty()
        b.device.plug.frozen = True
        with pytest.raises(LinkDown, match="doesn't answer"):
            await b.modem.beat()
        with pytest.raises(LinkDown, match="doesn't answer"):
            await b.modem.send(b"x")

    two(check)


@pytest.mark.parametrize(("options", "settings", "reason", "said"), [
    ({"version": (1, 51)}, {}, "old_firmware", "1.51; 1.52 or later"),
    ({}, {"sf": 4}, "bad_settings", "took 5 as its spreading factor instead of 4"),
    ({}, {"cr_den": 9}, "bad_settings", "coding rate"),
    ({}, {"freq_hz": 0}, "radio_fault", "does not start"),
])
def test_what_cant_be_opened(options: dict[str, Any], settings: dict[str, Any], reason: str, said: str) -> None:
    async def check(made: World, a: Opened) -> None:
        with pytest.raises(LinkDown, match=said) as caught:
            await a.open()
        assert caught.value.reason == reason

    one(check, settings, **options)


def test_another_device() -> None:
    async def check(made: World, a: Opened) -> None:
        a.modem._pace = hasty()
        a.device.plug.frozen = True
        with pytest.raises(LinkDown, match="doesn't answer as an RNode") as caught:
            await a.open()
        assert caught.value.reason == "wrong_device"
        a.device.plug.frozen = False
        await a.open()
        assert await a.modem.send(b"x")

    one(check)


def test_a_board_that_starts_when_the_port_is_opened() -> None:
    async def check(made: World, a: Opened) -> None:
        a.device.reboot()
        a.device.plug.write(b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13\r\n")
        await a.open()
        await a.modem.beat()

    one(check, boot_us=SPEED * 200000)


def test_settings_torn_on_the_way_are_asked_for_again() -> None:
    async def check(made: World, a: Opened) -> None:
        a.modem._pace = hasty()
        opening = asyncio.ensure_future(a.open())
        await asyncio.sleep(0)
        say = a.device._say

        def torn(command: int, data: bytes, escape: bool = True) -> None:
            if command == codec.FREQUENCY and not a.device.plug.lose:
                a.device._say = say  # type: ignore[method-assign]
                a.device.plug.lose = 3
            say(command, data, escape)

        a.device._say = torn  # type: ignore[method-assign]
        await opening
        assert a.device.on

    one(check)


def test_a_garbled_stream_never_raises() -> None:
    """Whatever comes, the modem stays usable or says that it is down."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        rng = random.Random(3)
        commands = [codec.DATA, codec.RSSI, codec.SNR, codec.CHANNEL, codec.PHY, codec.CSMA, codec.ERROR, codec.BATTERY,
                    codec.VERSION, codec.READY, codec.BOARD, 0x77]
        for _ in range(400):
            body = rng.randbytes(rng.choice([0, 1, 2, 3, 8, 11, 12, 40]))
            if rng.random() < 0.5:
                a.modem._received(b"\xc0" + bytes((rng.choice(commands),)) + body + b"\xc0")
            else:
                a.modem._received(body)
        assert all(1 <= len(frame) <= 508 for frame, _ in a.got)
        a.modem.status()

    two(check)


def test_two_drivers_story() -> None:
    """The whole link: what one says the other hears."""
    async def go() -> None:
        async with world(loss_percent=0) as made:
            a, heard_a, _, heard_b = await made.pair("rnode")
            heard_b_listener: Listener = heard_b
            for n in range(5):
                a.send(None, 1, bytes([n]) * 20)
                await heard_a.until(lambda n=n: heard_a.drains > n)
            await heard_b_listener.until(lambda: len(heard_b.got) == 5)

    asyncio.run(go())
