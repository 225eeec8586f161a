"""REYAX modules: the AT codec alone, then the modem against an emulated module."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from radios.lora.modem import LinkDown, Refused
from radios.lora.rylr import codec
from radios.lora.rylr.modem import Rylr
from tests.radios.lora.emulated.rylr_device import RylrDevice
from tests.radios.lora.kit import World, hasty, pace, world
from tests.waiting import until

HOSTILE = [b"a,b,c", b"\r\n", b"+OK\r\n", b"+RCV=1,1,x,-1,1\r\n", b"+ERR=17\r\n\r\n+READY\r\n", b",,,,",
           b"\x00\xff" * 50, b"1,-80,12\r\n", b"-" * 240]


def events(data: bytes, decoder: codec.Decoder | None = None) -> list[tuple[Any, ...]]:
    out = []
    for event in (decoder or codec.Decoder()).feed(data):
        if event.kind == codec.RECEIVED:
            out.append((event.kind, event.number, event.data, event.rssi_dbm, event.snr_db))
        else:
            out.append((event.kind, event.text or event.name, event.number))
    return out


GOLDEN = [
    (b"+OK\r\n", [("ok", "OK", 0)]),
    (b"+ERR=17\r\n", [("error", "17", 17)]),
    (b"+READY\r\n+RESET\r\n", [("ready", "READY", 0), ("other", "RESET", 0)]),
    (b"+PARAMETER=9,7,1,12\r\n", [("value", "9,7,1,12", 0)]),
    (b"+RCV=50,5,HELLO,-99,40\r\n", [("received", 50, b"HELLO", -99, 40)]),  # the guide's own example
    (b"+RCV=0,3,a,b,-7,-20\r\n+OK\r\n", [("received", 0, b"a,b", -7, -20), ("ok", "OK", 0)]),
    (b"\r\n+OK\r\n", [("ok", "OK", 0)]),
    (b"\xff\x80rubbish\r\n+OK\r\n", [("ok", "OK", 0)]),
    (b"+RCV=70000,1,x,-1,1\r\n+OK\r\n", [("ok", "OK", 0)]),  # no such address
    (b"+RCV=1,241,x\r\n+OK\r\n", [("ok", "OK", 0)]),  # no such length
    (b"+RCV=1,2,xyz,-1,1\r\n+OK\r\n", [("ok", "OK", 0)]),  # not that long
    (b"+RCV=1,x,xyz,-1,1\r\n+OK\r\n", [("ok", "OK", 0)]),
    (b"+ERR=x\r\n+OK\r\n", [("ok", "OK", 0)]),
]


@pytest.mark.parametrize(("data", "wanted"), GOLDEN)
def test_golden(data: bytes, wanted: list[tuple[Any, ...]]) -> None:
    assert events(data) == wanted
    slow = codec.Decoder()
    assert [event for byte in data for event in events(bytes((byte,)), slow)] == wanted
    assert events(data + b"+O") == wanted


@pytest.mark.parametrize("payload", HOSTILE)
def test_received_is_cut_by_length(payload: bytes) -> None:
    line = b"+RCV=7,%d,%b,-80,12\r\n" % (len(payload), payload)
    assert events(line + b"+OK\r\n" + line) == [("received", 7, payload, -80, 12), ("ok", "OK", 0),
                                                ("received", 7, payload, -80, 12)]


def test_a_torn_line_is_flushed() -> None:
    decoder = codec.Decoder()
    assert events(b"+RCV=7,100,abc\r\n+OK\r\n+VER=1\r\n", decoder) == [] and decoder.waiting
    assert [event.kind for event in decoder.flush()] == [codec.OK, codec.VALUE]
    assert not decoder.waiting and decoder.dropped == 1
    assert decoder.flush() == []
    assert events(b"+RC", decoder) == [] and decoder.flush() == [] and events(b"+OK\r\n", decoder)


def test_garbage_is_dropped_and_bounded() -> None:
    rng = random.Random(4)
    decoder = codec.Decoder()
    words = [b"+RCV=", b"1,", b"240,", b"\r\n", b"+OK", b"+ERR=", b"-80", b",", b"\x00", b"AT"]
    for _ in range(5000):
        noise = rng.choice([rng.randbytes(rng.randrange(1, 40)), b"".join(rng.choices(words, k=5))])
        for event in decoder.feed(noise):
            assert event.kind and (event.kind != codec.RECEIVED or 1 <= len(event.data) <= 240)
        assert len(decoder._buffer) <= 400
    decoder.flush()
    decoder.feed(b"\r\n")
    assert [event.kind for event in decoder.feed(b"+OK\r\n")] == [codec.OK]


def test_payloads() -> None:
    rng = random.Random(5)
    for size in (*range(1, 20), 179, 180):
        frame = rng.randbytes(size)
        data = codec.pack(frame)
        assert len(data) <= codec.ASCII_BYTES_MAX and data.isascii() and codec.unpack(data) == frame
    for data in (b"", b"HELLO", b"AA=A", b"AB==", b"A A=", b"AAAA\n", b"=AAA", b"\xff\xff\xff\xff"):
        assert codec.unpack(data) is None  # none of ours, or not the one way to write it


def test_commands_and_parameters() -> None:
    assert codec.command("") == b"AT\r\n" and codec.command("BAND?") == b"AT+BAND?\r\n"
    assert codec.command("SEND", "0,3,abc") == b"AT+SEND=0,3,abc\r\n"
    new, old = codec.MODELS["rylr998"], codec.MODELS["rylr896"]
    assert new.parameter(9, 125000, 5, 12, 18) == "9,7,1,12" and old.parameter(12, 125000, 8, 7, 6) == "12,7,4,7"
    for arguments, said in (((9, 62500, 5, 12, 18), "bandwidth"), ((10, 125000, 5, 12, 18), "factor"),
                            ((9, 125000, 9, 12, 18), "coding"), ((9, 125000, 5, 3, 18), "preamble"),
                            ((9, 125000, 5, 8, 6), "network 18")):
        with pytest.raises(ValueError, match=said):
            new.parameter(*arguments)


# --- the modem


class Opened:
    """A modem on an emulated module, without a driver."""

    def __init__(self, made: World, device: RylrDevice, kind: str = "rylr998", **settings: Any) -> None:
        self.device = device
        self.got: list[tuple[bytes, Any]] = []
        self.states: list[tuple[str, int, str]] = []
        self.modem = Rylr(made.settings(kind, device) | {"model": kind} | settings, pace())

    async def open(self) -> Rylr:
        await self.modem.open(lambda frame, signal: self.got.append((frame, signal)), lambda text: None,
                              lambda *state: self.states.append(state))
        return self.modem


def bench(check: Callable[[World, Opened, Opened], Coroutine[Any, Any, None]], settings: dict[str, Any] | None = None,
          kind: str = "rylr998", opened: bool = True, **device: Any) -> None:
    """Two modems on the air, or not opened yet."""
    async def go() -> None:
        async with world() as made:
            a, b = (Opened(made, made.device(kind, name, **device), kind, **(settings or {})) for name in "ab")
            try:
                if opened:
                    await a.open()
                    await b.open()
                await check(made, a, b)
            finally:
                await a.modem.close()
                await b.modem.close()

    asyncio.run(go())


@pytest.mark.parametrize("kind", ["rylr998", "rylr896"])
@pytest.mark.parametrize("ok_after", [False, True])
def test_frames_of_every_size(kind: str, ok_after: bool) -> None:
    """+OK before or after the transmission: no +ERR=17 either way."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        for size in (1, 2, 3, 100, 179, 180):
            sent = await a.modem.send(random.Random(size).randbytes(size))
            packet = made.air.log[-1]
            assert sent.airtime_us == packet.end_us - packet.start_us
            await until(lambda size=size: b.got and len(b.got[-1][0]) == size)
            signal = b.got[-1][1]
            assert (signal.rssi_dbm, signal.snr_qdb, signal.sender) == (-80, 48, b"\x00\x05")
        assert a.modem.counters == {"tx.sent": 6} and not a.device.overrun

    bench(check, {"address": 5}, kind, ok_after=ok_after)


def test_is_set_up_as_asked_and_not_more_often_than_needed() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        assert a.device.settings["PARAMETER"] == "8,8,1,12" and a.device.settings["BAND"] == "869525000"
        assert a.device.settings["CRFOP"] == "14" and a.device.settings["NETWORKID"] == "18"
        await a.modem.close()
        before = len(a.device.commands)
        await a.open()
        assert not [line for line in a.device.commands[before:] if b"=" in line]
        await a.modem.close()
        a.device.reboot()  # it forgets its frequency
        before = len(a.device.commands)
        await a.open()
        assert [line for line in a.device.commands[before:] if b"=" in line] == [b"AT+BAND=869525000"]
        assert a.modem.status()["firmware"]

    bench(check)


@pytest.mark.parametrize(("settings", "said"), [
    ({"sf": 11}, "spreading factor at this bandwidth: 5 to 10"),
    ({"bw_hz": 62500}, "bandwidth: 125000, 250000, 500000"),
    ({"network": 2}, "network"),
    ({"preamble": 8, "network": 6}, "preamble: 12 but in network 18"),
    ({"freq_hz": 50}, r"does not take BAND 50 \(\+ERR=4\)"),
])
def test_settings_that_it_does_not_take(settings: dict[str, Any], said: str) -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        with pytest.raises(LinkDown, match=said) as caught:
            await a.open()
        assert caught.value.reason == "bad_settings"

    bench(check, settings, opened=False)


def test_a_storm_of_17() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.device.errors = [codec.ERR_BUSY] * 4
        await a.modem.send(b"in the end")
        await until(lambda: b.got)
        assert a.modem.counters == {"tx.busy": 4, "tx.sent": 1, "device.err_17": 4}
        a.device.errors = [codec.ERR_BUSY] * 50
        with pytest.raises(Refused) as caught:
            await a.modem.send(b"not now")
        assert caught.value.reason == "busy" and caught.value.retry_ms
        a.device.errors = []
        await a.modem.send(b"now")
        await until(lambda: len(b.got) == 2)
        a.device.errors = [codec.ERR_BUSY] * 500
        for _ in range(2):
            with pytest.raises(Refused):
                await a.modem.send(b"not now")
        with pytest.raises(LinkDown, match="busy") as down:
            await a.modem.send(b"not now")
        assert down.value.reason == "stuck"
        await until(lambda: a.device.commands[-1] == b"AT+RESET")

    bench(check)


def test_error_codes() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for number, airtime_counts in ((codec.ERR_TX_OVERTIME, True), (codec.ERR_FLASH, False),
                                       (codec.ERR_OTHER, False), (codec.ERR_TOO_LONG, False)):
            a.device.errors = [number]
            with pytest.raises(Refused) as caught:
                await a.modem.send(b"x")
            assert caught.value.reason == "tx_failed" and bool(caught.value.airtime_us) == airtime_counts
        for number in (codec.ERR_NO_END, codec.ERR_NOT_AT, codec.ERR_LENGTH):  # it arrived torn: said again
            a.device.errors = [number]
            await a.modem.send(b"y")
        for number in codec.UNASKED:  # about something else
            task = asyncio.ensure_future(a.modem.send(b"z"))
            await asyncio.sleep(0)
            a.device.plug.write(b"+ERR=%d\r\n" % number)
            await task
        await until(lambda: len(b.got) == 6)
        await a.modem.beat()
        assert a.modem.counters["torn_command"] == 3

    bench(check)


def test_the_modules_own_codes() -> None:
    """The emulated module says what the guide says; so the driver's table is the module's."""
    async def check(made: World, a: Opened, b: Opened) -> None:
        said: list[str] = []
        write = a.device.plug.write
        a.device.plug.write = lambda data: said.append(data.decode().strip())  # type: ignore[method-assign]

        async def ask(line: bytes) -> str:
            said.clear()
            a.device._bytes(line)
            await until(lambda: said)
            return said[0]

        for line, answer in ((b"AT\r\n", "+OK"), (b"AT", "+ERR=1"), (b"HELLO\r\n", "+ERR=2"),
                             (b"AT+NO=1\r\n", "+ERR=4"), (b"AT+ADDRESS=65536\r\n", "+ERR=4"),
                             (b"AT+SEND=0,3,ab\r\n", "+ERR=5"),
                             (b"AT+SEND=0,241,x\r\n", "+ERR=13"), (b"AT+PARAMETER=9,7,1,3\r\n", "+ERR=18"),
                             (b"AT+MODE=2,10,10\r\n", "+ERR=20"), (b"AT+CRFOP=23\r\n", "+ERR=4"),
                             (b"AT+NETWORKID=17\r\n", "+ERR=4"), (b"AT+PARAMETER=10,7,1,12\r\n", "+ERR=4"),
                             (b"AT+ADDRESS?\r\n", "+ADDRESS=0"), (b"AT+RESET\r\n", "+RESET")):
            assert await ask(line) == answer
        await until(lambda: said[-1] == "+READY")
        assert await ask(b"AT+SEND=0,200," + b"x" * 200 + b"\r\n") == "+OK"
        assert await ask(b"AT+SEND=0,1,x\r\n") == "+ERR=17"
        a.device.plug.write = write  # type: ignore[method-assign]

    bench(check, opened=False)


def test_strangers_are_not_ours() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        for payload in HOSTILE:
            b.device._hear(bytes(8) + payload, -80, 48)
            b.device._hear(bytes(8) + codec.pack(b"ours"), -80, 48)
            await asyncio.sleep(0.001)
        await until(lambda: len(b.got) == len(HOSTILE))
        assert {frame for frame, _ in b.got} == {b"ours"} and b.modem.counters["rx.foreign"] == len(HOSTILE)

    bench(check)


def test_a_restart_and_a_freeze() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.device.reboot()
        await until(lambda: a.states == [("down", 0, "rebooted")])
        b.modem._pace = hasty()
        b.device.plug.frozen = True
        with pytest.raises(LinkDown, match="doesn't answer"):
            await b.modem.beat()
        await b.modem.close()
        with pytest.raises(LinkDown, match="REYAX"):
            await b.open()
        b.device.plug.frozen = False
        await b.open()
        await b.modem.beat()

    bench(check)


def test_a_torn_reception_holds_nothing_up() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.device.plug.write(b"+RCV=0,200,abc")
        await until(lambda: a.modem._decoder.waiting)
        await a.modem.beat()  # its +OK is not taken for the rest
        a.device.plug.write(b"+RCV=0,200,abc")
        await asyncio.sleep(0.13)
        assert not a.modem._decoder.waiting and a.modem.status()["rx.garbage"] == 2

    bench(check)


def test_half_a_command_of_another_program() -> None:
    async def check(made: World, a: Opened, b: Opened) -> None:
        a.modem._pace = hasty()
        a.device._bytes(b"AT+SEND=0,5,ab")
        await a.open()
        await a.modem.beat()

    bench(check, opened=False)
