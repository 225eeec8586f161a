"""The air of the tests is itself tested: range, half-duplex, collision, capture, loss by seed, time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.radios.lora.emulated.air import Air, LiveAir, Station, Tuning
from tests.waiting import PATIENCE

HERE = Tuning(869525000, 250000, 11, 0x2B)
Heard = dict[str, list[bytes]]


def stations(air: Air, names: str, tuning: Tuning = HERE) -> tuple[Heard, list[Station]]:
    heard: Heard = {name: [] for name in names}

    def listener(name: str) -> Callable[[bytes, int, int], None]:
        return lambda data, rssi_dbm, snr_qdb: heard[name].append(data)

    return heard, [air.join(name, listener(name), tuning) for name in names]


def test_everybody_in_range_hears_at_the_end() -> None:
    air = Air()
    heard, (a, *_) = stations(air, "abc")
    done = []
    assert a.transmit(b"hello", 1000, lambda: done.append(air.now_us())) == 1000
    air.run_until(999)
    assert heard == {"a": [], "b": [], "c": []} and a.transmitting
    air.run_until(1000)
    assert heard == {"a": [], "b": [b"hello"], "c": [b"hello"]} and done == [1000] and not a.transmitting
    assert air.log[0].fates == {"b": "heard", "c": "heard"}


def test_range_matrix() -> None:
    air = Air(rssi_dbm=None)
    heard, (a, b, c) = stations(air, "abc")
    air.link("a", "b", -90)
    air.link("b", "c", -100, one_way=True)
    a.transmit(b"1", 10)
    air.run_until(20)
    b.transmit(b"2", 10)
    air.run_until(40)
    c.transmit(b"3", 10)
    air.run_until(60)
    assert heard == {"a": [b"2"], "b": [b"1"], "c": [b"2"]}


def test_too_weak_for_the_spreading_factor() -> None:
    for sf, expected in ((12, [b"x"]), (7, [])):
        air = Air(rssi_dbm=-125)  # 11 dB below the noise
        heard, (a, _) = stations(air, "ab", HERE._replace(sf=sf))
        a.transmit(b"x", 10)
        air.run_until(10)
        assert heard["b"] == expected


def test_signal_strength_is_told() -> None:
    air = Air(rssi_dbm=-110)
    told = []
    a = air.join("a", lambda *_: None, HERE)
    air.join("b", lambda data, rssi_dbm, snr_qdb: told.append((rssi_dbm, snr_qdb)), HERE)
    a.transmit(b"x", 10)
    air.run_until(10)
    assert told == [(-110, 16)]


def test_half_duplex() -> None:
    air = Air()
    heard, (a, b, c) = stations(air, "abc")
    air.link("a", "c", None)
    a.transmit(b"long", 100)
    air.run_until(90)
    b.transmit(b"short", 5)
    air.run_until(200)
    assert heard == {"a": [], "b": [], "c": [b"short"]}
    assert air.counters["deaf"] == 2


@pytest.mark.parametrize(("rival_dbm", "expected"), [(-80, []), (-85, []), (-86, [b"first"])])
def test_collision_and_capture(rival_dbm: int, expected: list[bytes]) -> None:
    air = Air(rssi_dbm=-80)
    heard, (a, b, _) = stations(air, "abc")
    air.link("b", "c", rival_dbm)
    air.link("a", "b", None)
    a.transmit(b"first", 100)
    air.run_until(50)
    b.transmit(b"second", 100)
    air.run_until(300)
    assert heard["c"] == expected


def test_two_that_end_at_once_collide() -> None:
    air = Air()
    heard, (a, b, _) = stations(air, "abc")
    a.transmit(b"1", 100)
    b.transmit(b"2", 100)
    air.run_until(100)
    assert heard == {"a": [], "b": [], "c": []}
    assert [packet.fates["c"] for packet in air.log] == ["collided", "collided"]


def test_one_after_the_other_does_not_collide() -> None:
    air = Air()
    heard, (a, b, _) = stations(air, "abc")

    def answer() -> None:
        b.transmit(b"2", 100)

    a.transmit(b"1", 100, answer)
    air.run_until(200)
    assert heard["c"] == [b"1", b"2"]


def test_nets() -> None:
    """Another sync word disturbs and is not heard; another spreading factor or frequency does neither."""
    word, sf, freq = HERE._replace(word=1), HERE._replace(sf=9), HERE._replace(freq_hz=1)
    for other, heard_b in ((word, []), (sf, [b"a"]), (freq, [b"a"])):
        air = Air()
        heard, (a, _) = stations(air, "ab")
        c = air.join("c", lambda *_: None, other)
        a.transmit(b"a", 100)
        c.transmit(b"c", 100)
        air.run_until(100)
        assert heard["b"] == heard_b


def test_tuned_too_late() -> None:
    air = Air()
    heard, (a, b) = stations(air, "ab")
    b.tune(None)
    a.transmit(b"x", 100)
    air.run_until(10)
    b.tune(HERE)
    air.run_until(100)
    assert heard["b"] == []


def test_busy_is_heard_only_in_range_and_only_of_others() -> None:
    air = Air()
    _, (a, b, c) = stations(air, "abc")
    air.link("a", "c", None)
    assert not b.busy()
    a.transmit(b"x", 100)
    assert b.busy() and not c.busy() and not a.busy()
    air.run_until(100)
    assert not b.busy()
    air.jam(50)
    assert a.busy() and b.busy() and c.busy()
    a.transmit(b"y", 10)
    air.run_until(200)
    assert not b.busy() and air.counters["collided"] == 1


def test_who_leaves_is_cut_off() -> None:
    air = Air()
    heard, (a, b) = stations(air, "ab")
    done: list[int] = []
    a.transmit(b"x", 100, lambda: done.append(1))
    air.run_until(50)
    a.leave()
    air.run_until(200)
    assert heard["b"] == [] and not done
    stations(air, "a")


def test_misuse() -> None:
    air = Air()
    _, (a, _) = stations(air, "ab")
    with pytest.raises(ValueError, match="already"):
        air.join("a", lambda *_: None)
    with pytest.raises(ValueError, match="positive"):
        a.transmit(b"x", 0)
    a.transmit(b"x", 10)
    with pytest.raises(ValueError, match="sends already"):
        a.transmit(b"x", 10)
    with pytest.raises(ValueError, match="not tuned"):
        air.join("c", lambda *_: None).transmit(b"x", 10)


def lost(seed: int, pause_us: int) -> list[bytes]:
    air = Air(seed, loss_percent=30)
    heard, (a, *_) = stations(air, "abc")
    for n in range(400):
        a.transmit(n.to_bytes(2, "big"), 100)
        air.run_until(air.now_us() + 100 + pause_us)
    return heard["b"]


def test_loss_depends_on_the_seed_and_not_on_timing() -> None:
    first = lost(1, 0)
    assert first == lost(1, 12345)
    assert first != lost(2, 0)
    assert 400 * 0.7 - 35 < len(first) < 400 * 0.7 + 35


def test_loss_of_one_link() -> None:
    air = Air(loss_percent=0)
    heard, (a, *_) = stations(air, "abc")
    air.link("a", "b", -80, loss_percent=100)
    a.transmit(b"x", 10)
    air.run_until(10)
    assert heard["b"] == [] and heard["c"] == [b"x"]


def test_live() -> None:
    """A second of air in ten milliseconds, events at their own times."""

    async def run() -> None:
        air = LiveAir(speed=100)
        try:
            heard, (a, b) = stations(air, "ab")
            ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            end_us = a.transmit(b"x", 1000000, lambda: ended.set_result(air.now_us()))
            air.call_later(1, lambda: None).cancel()
            assert await asyncio.wait_for(ended, 2 * PATIENCE) == end_us
            assert heard["b"] == [b"x"] and air.now_us() >= end_us
            await air.sleep_us(100000)
        finally:
            air.close()

    asyncio.run(run())
