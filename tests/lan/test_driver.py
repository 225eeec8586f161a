"""Whole LAN drivers on loopback: finding, meeting, refusing, replacing, and staying within bounds. PROTOCOL 8."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.core import limits
from radios import controls, lanes
from radios.lan import bounds, records
from tests.emulation import meets_by_multicast
from tests.lan.kit import Hasty, Lan, Raw, free_port, lan
from tests.radios.contract import Heard, identity
from tests.waiting import PATIENCE, until


def run(test: Callable[[Lan], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with lan() as place:
            await test(place)

    asyncio.run(whole())


@meets_by_multicast
def test_nodes_on_one_machine_find_each_other() -> None:
    async def test(place: Lan) -> None:
        started = time.monotonic()
        nodes = [await place.node(n, multicast=True, pace=bounds.Pace()) for n in (1, 2, 3)]
        for _, heard in nodes:
            await heard.until(lambda heard=heard: len(heard.peers) == 2)
        assert time.monotonic() - started < 2
        await asyncio.sleep(0.1)
        for number, (driver, heard) in enumerate(nodes, 1):
            assert identity(number)[1] not in heard.peers
            assert driver.status()["nodes_heard"] == 2 and driver.status()["sessions"] == 2
            assert [event[0] for event in heard.events] == ["up", "up"], "no flapping"
            assert driver.address(next(iter(heard.peers))).startswith("127.0.0.1:")

    run(test)


@meets_by_multicast
def test_started_again_it_is_found_again() -> None:
    async def test(place: Lan) -> None:
        _, heard_a = await place.node(1, multicast=True)
        b, _ = await place.node(2, multicast=True)
        await heard_a.until(lambda: heard_a.peers)
        await b.stop()
        await heard_a.until(lambda: not heard_a.peers)
        assert heard_a.events[-1][3] == "stopped"
        await place.node(2, multicast=True)
        await heard_a.until(lambda: heard_a.peers)

    run(test)


@meets_by_multicast
@pytest.mark.parametrize("pair", [(None, b"c" * 32), (b"c" * 32, None), (b"c" * 32, b"d" * 32)])
def test_another_community_is_no_neighbour(pair: tuple[bytes | None, bytes | None]) -> None:
    async def test(place: Lan) -> None:
        a, heard_a = await place.node(1, pair[0], multicast=True)
        b, heard_b = await place.node(2, pair[1], multicast=True, peers=[f"127.0.0.1:{a.port}"])
        for driver in (a, b):
            await until(lambda driver=driver: driver.status().get("session.community_key"))
            await until(lambda driver=driver: driver.status().get("announce.community_key"))
        assert not heard_a.events and not heard_b.events
        assert a.status()["nodes_heard"] == b.status()["nodes_heard"] == 0
        assert b.status()[f"peer.127.0.0.1:{a.port}"] == "community_key"

    run(test)


@meets_by_multicast
def test_one_community() -> None:
    async def test(place: Lan) -> None:
        _, heard_a = await place.node(1, b"c" * 32, multicast=True)
        _, heard_b = await place.node(2, b"c" * 32, multicast=True)
        await heard_a.until(lambda: heard_a.peers)
        await heard_b.until(lambda: heard_b.peers)
        assert list(heard_a.members.values()) == [True]

    run(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_peers_from_the_settings(host: str) -> None:
    async def test(place: Lan) -> None:
        a, heard_a = await place.node(1)
        b, heard_b = await place.node(2, peers=[f"{host}:{a.port}"])
        await heard_a.until(lambda: heard_a.peers)
        await heard_b.until(lambda: heard_b.peers)
        assert "connected" in b.status().values()

    run(test)


def test_both_connect_at_once() -> None:
    """Whoever comes first, both keep the same connection."""
    async def test(place: Lan) -> None:
        for turn in range(6):
            ports = free_port(), free_port()
            a, heard_a = await place.node(1 + 2 * turn, port=ports[0], peers=[f"127.0.0.1:{ports[1]}"])
            b, heard_b = await place.node(2 + 2 * turn, port=ports[1], peers=[f"127.0.0.1:{ports[0]}"])
            await heard_a.until(lambda h=heard_a: h.peers)
            await heard_b.until(lambda h=heard_b: h.peers)
            await asyncio.sleep(0.15)
            assert a.status()["sessions"] == b.status()["sessions"] == 1
            (at_a,), (at_b,) = a._sessions.values(), b._sessions.values()
            assert at_a.initiator != at_b.initiator and at_a.generation == at_b.generation
            assert a.send(heard_a.only_peer(), 0, b"\x01") and b.send(heard_b.only_peer(), 0, b"\x01")
            await heard_a.until(lambda h=heard_a: h.frames)
            await heard_b.until(lambda h=heard_b: h.frames)

    run(test)


def test_a_dead_session_is_replaced() -> None:
    """The neighbour was cut off and started anew; the old connection still looks alive here."""
    async def test(place: Lan) -> None:
        for number in (2, 5):  # one key is lower than ours, one higher
            a, heard_a = await place.node(1)
            old = Raw(number, boot=b"oldstart")
            await old.up(a.port)
            await heard_a.until(lambda h=heard_a: h.peers)
            new = Raw(number, boot=b"newstart")
            await new.up(a.port)
            await heard_a.until(lambda h=heard_a: len(h.events) == 3)
            assert [event[0] for event in heard_a.events] == ["up", "down", "up"]
            assert heard_a.events[1][3] == "replaced"
            assert await old.told() == "replaced"
            new.plaintext(b"\x01hello")
            await heard_a.until(lambda h=heard_a: h.frames == [b"\x01hello"])
            await old.close()
            await new.close()

    run(test)


def test_reconnects() -> None:
    async def test(place: Lan) -> None:
        port = free_port()
        a, _ = await place.node(1, port=port)
        b, heard_b = await place.node(2, peers=[f"127.0.0.1:{port}"])
        await heard_b.until(lambda: heard_b.peers)
        await a.stop()
        await heard_b.until(lambda: not heard_b.peers)
        await until(lambda: "refused" in str(b.status()[f"peer.127.0.0.1:{port}"]).lower())
        await place.node(1, port=port)
        await heard_b.until(lambda: heard_b.peers)

    run(test)


def test_backs_off() -> None:
    async def test(place: Lan) -> None:
        port = free_port()
        pace = Hasty()
        pace.retry_ms_max = 100000
        b, _ = await place.node(2, peers=[f"127.0.0.1:{port}"], pace=pace)
        await asyncio.sleep(1)
        (target,) = b._dialer._targets
        assert 3 <= target.attempts <= 6, "50 ms, 100, 200, 400, each cut to 50..100 per cent"

    run(test)


def test_ourselves() -> None:
    async def test(place: Lan) -> None:
        port = free_port()
        a, heard = await place.node(1, port=port, peers=[f"127.0.0.1:{port}"])
        await until(lambda: a.status().get("session.self"))
        assert not heard.events and not a._dialer._targets

    run(test)


@pytest.mark.parametrize("multicast", [pytest.param(True, marks=meets_by_multicast), False])
def test_a_second_node_with_our_key(multicast: bool) -> None:
    async def test(place: Lan) -> None:
        pace = Hasty()
        pace.same_key_ms = 300
        pace.retry_ms_max = 10000
        a, heard_a = await place.node(1, multicast=multicast, pace=pace)
        peers = [] if multicast else [f"127.0.0.1:{a.port}"]
        b, heard_b = await place.node(1, multicast=multicast, pace=pace, peers=peers)
        await heard_a.until(lambda: heard_a.troubles)
        await heard_b.until(lambda: heard_b.troubles)
        for driver, heard in ((a, heard_a), (b, heard_b)):
            assert "same_key" in heard.troubles and "identity.key" in heard.troubles["same_key"]
            assert not heard.peers and driver.status()["sessions"] == 0
            assert "trouble.same_key" in driver.status()
        await b.stop()
        await heard_a.until(lambda: not heard_a.troubles)

    run(test)


def test_two_neighbours_with_one_key() -> None:
    """They don't hear each other: only the node between them can tell. One that was started again is no such pair."""
    async def test(place: Lan) -> None:
        pace = Hasty()
        pace.same_key_ms = 300
        a, heard = await place.node(1, pace=pace)
        peers = [f"127.0.0.1:{a.port}"]
        b, _ = await place.node(2, peers=peers)
        await heard.until(lambda: heard.peers)
        await b.stop()
        b, _ = await place.node(2, peers=peers)
        await heard.until(lambda: heard.peers)
        assert not heard.troubles
        c, _ = await place.node(2, peers=peers)
        await heard.until(lambda: "twins" in heard.troubles)
        text = heard.troubles["twins"]
        assert b._public.hex()[:16] in text and "identity.key" in text
        await c.stop()
        await heard.until(lambda: not heard.troubles)

    run(test)


def test_a_taken_port() -> None:
    async def test(place: Lan) -> None:
        with socket.socket(socket.AF_INET6) as taken:
            taken.bind(("::", 0))
            taken.listen()
            port = taken.getsockname()[1]
            a, heard = await place.node(1, port=port)
            assert a.port not in (0, port)
            assert str(port) in heard.troubles["port_taken"] and str(a.port) in heard.troubles["port_taken"]

    run(test)


def test_a_wrong_peer_in_the_settings() -> None:
    async def test(place: Lan) -> None:
        _, heard = await place.node(1, peers=["what is this", "127.0.0.1:99999"])
        assert "1..65535" in heard.troubles["bad_peer"]

    run(test)


# --- what strangers try


def test_half_open_flood() -> None:
    """Connections that say nothing: bounded in number and in time, and others get through afterwards."""
    async def test(place: Lan) -> None:
        pace = Hasty()
        pace.handshake_ms *= PATIENCE
        a, heard = await place.node(1, pace=pace)
        flood = [Raw(9) for _ in range(60)]
        for raw in flood:
            await raw.connect(a.port)
        await until(lambda: a.status().get("session.busy", 0) == 60 - bounds.HALF_OPEN_MAX)
        assert a.status()["half_open"] == bounds.HALF_OPEN_MAX
        await until(lambda: a.status()["half_open"] == 0)
        assert a.status()["session.deadline"] == bounds.HALF_OPEN_MAX
        good = Raw(2)
        await good.up(a.port)
        await heard.until(lambda: heard.peers)
        for raw in [*flood, good]:
            await raw.close()

    run(test)


def test_connection_flood_is_rate_limited() -> None:
    async def test(place: Lan) -> None:
        a, _ = await place.node(1)
        started = time.monotonic()
        for _ in range(bounds.ACCEPT_BURST + 30):
            raw = Raw(9)
            await raw.connect(a.port)
            await raw.close()
        took_s = time.monotonic() - started
        await until(lambda: a.status()["half_open"] == 0)
        assert int(a.status()["session.busy"]) >= max(1, 29 - took_s * bounds.ACCEPT_PER_S)

    run(test)


@pytest.mark.parametrize(("data", "reason"), [
    (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", "oversize"), (b"\xff" * 5000, "oversize"), (b"\x00\x00\x63", "closed"),
    (b"\x00\x20" + bytes(32), "noise.small_order"), (b"\x00\x30" + bytes(48), "community_key"),
    (b"\x00\x10" + bytes(16), "noise.not_handshake"), (b"", "deadline"), (b"\x00\x20half", "deadline"),
])
def test_garbage(data: bytes, reason: str) -> None:
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(9)
        await raw.connect(a.port)
        raw.writer.write(data)
        await until(lambda: reason in a.status() or "session." + reason in a.status())
        await raw.told()
        await raw.close()
        assert not heard.events and a.status()["half_open"] == 0
        good = Raw(2)
        await good.up(a.port)
        await heard.until(lambda: heard.peers)
        await good.close()

    run(test)


def spoil_tag(raw: Raw) -> None:
    raw.writer.write(records.pack_record(raw.channel.seal(b"\x01x")[:-1] + b"?"))


@pytest.mark.parametrize(("attack", "reason"), [
    (lambda raw: raw.writer.write(b"\xff\xff" + bytes(100)), "session.oversize"),
    (lambda raw: raw.writer.write((limits.FRAME_BYTES_MAX + 17).to_bytes(2, "big")), "session.oversize"),
    (lambda raw: raw.writer.write(records.pack_record(bytes(40))), "noise.bad_tag"),
    (lambda raw: raw.writer.write(records.pack_record(b"\x01")), "noise.bad_tag"),
    (spoil_tag, "noise.bad_tag"),
    (lambda raw: raw.plaintext(b""), "session.empty"),
    (lambda raw: raw.plaintext(b"\x00"), "session.control"),
    (lambda raw: raw.plaintext(controls.pack_control(controls.CLOSE, 6)), "stopped"),
    (lambda raw: raw.writer.close(), "closed"),
])
def test_a_neighbour_that_breaks_the_rules(attack: Callable[[Raw], None], reason: str) -> None:
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(2)
        await raw.up(a.port)
        await heard.until(lambda: heard.peers)
        attack(raw)
        await heard.until(lambda: not heard.peers)
        assert heard.events[-1][3] == reason
        await raw.close()

    run(test)


def test_a_deaf_neighbour_is_cut_off() -> None:
    """It breaks the rules and reads nothing: our last words don't keep the connection."""
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(2)
        await raw.up(a.port)
        raw.writer.transport.pause_reading()
        await heard.until(lambda: heard.peers)
        full = 0
        while full < 5:
            if not a.send(raw.key, 2, bytes([2]) * 30000):
                full += 1
                await asyncio.sleep(0.01)
        raw.plaintext(b"")
        await heard.until(lambda: not heard.peers)
        await until(lambda: not a._live, 1)
        await raw.close()

    run(test)


def test_controls_of_a_later_version_are_ignored() -> None:
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(2)
        await raw.up(a.port)
        raw.plaintext(b"\x00\x77later")
        raw.plaintext(controls.pack_control(controls.READY, 5))
        raw.plaintext(b"\x01frame")
        await heard.until(lambda: heard.frames == [b"\x01frame"])
        await raw.close()

    run(test)


def test_no_frame_before_ready() -> None:
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(2)
        await raw.shake(a.port)
        raw.plaintext(b"\x01frame")
        assert await raw.told() == "error"
        await raw.close()
        await until(lambda: a.status().get("session.not_ready"))
        assert not heard.events

    run(test)


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SESSIONS_MAX", 3)

    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raws = [Raw(n) for n in range(2, 8)]
        for raw in raws[:3]:
            await raw.up(a.port)
        await heard.until(lambda: len(heard.peers) == 3)
        for raw in raws[3:]:
            await raw.shake(a.port)
            assert await raw.told() == "busy"
        again = Raw(2, boot=b"restart.")  # one that has a session may replace it
        await again.up(a.port)
        await heard.until(lambda: len(heard.events) == 5 and len(heard.peers) == 3)
        for raw in [*raws, again]:
            await raw.close()

    run(test)


def test_a_reader_that_stopped_reading() -> None:
    """What we hold for it is bounded, and after a while it is given up."""
    async def test(place: Lan) -> None:
        pace = Hasty()
        pace.unacked_ms = 1000
        a, heard = await place.node(1, pace=pace)
        raw = Raw(2)
        await raw.up(a.port)
        raw.writer.transport.pause_reading()
        await heard.until(lambda: heard.peers)
        sent = refused = 0
        while refused < 5:
            if a.send(raw.key, 2, b"\x02" + bytes(20000)):
                sent += 20001
            else:
                refused += 1
                await asyncio.sleep(0.01)
        assert sent < 2000000
        assert int(a.status()["queued_bytes"]) <= lanes.BYTES_MAX
        assert a.send(raw.key, 0, b"\x07alert"), "an alert still finds room"
        await heard.until(lambda: not heard.peers, 8)
        assert heard.events[-1][3] == "timeout"
        await raw.close()

    run(test)


def test_an_alert_overtakes_bulk() -> None:
    """However much bulk waits, an alert waits for what TCP has already and no more."""
    async def test(place: Lan) -> None:
        a, heard_a = await place.node(1)
        b, heard_b = await place.node(2, peers=[f"127.0.0.1:{a.port}"])
        await heard_a.until(lambda: heard_a.peers)
        await heard_b.until(lambda: heard_b.peers)
        b.pause(heard_b.only_peer(), 2000)
        bulk = 0
        waited = 0
        while waited < 5:
            if a.send(heard_a.only_peer(), 3, b"\x03" * 4096):
                bulk += 1
            else:
                waited += 1
                await asyncio.sleep(0.005)
        queued = int(a.status()["queued_bytes"]) // 4096
        assert queued >= 30
        assert a.send(heard_a.only_peer(), 0, b"\x07")
        await heard_b.until(lambda: len(heard_b.frames) == bulk + 1)
        assert heard_b.frames.index(b"\x07") <= bulk - queued

    run(test)


def test_stopping_does_not_wait_for_the_deaf() -> None:
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        deaf, silent = Raw(2), Raw(3)
        await deaf.up(a.port)
        deaf.writer.transport.pause_reading()
        await silent.connect(a.port)
        await heard.until(lambda: heard.peers)
        while a.send(deaf.key, 2, bytes([2]) * 30000):  # noqa: ASYNC110
            await asyncio.sleep(0)
        started = time.monotonic()
        await a.stop()
        assert time.monotonic() - started < 1
        await deaf.close()
        await silent.close()

    run(test)


def test_stopping_while_connecting() -> None:
    async def test(place: Lan) -> None:
        with socket.socket(socket.AF_INET) as full:  # accepts nobody, so that a connection attempt hangs
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            a, _ = await place.node(1, peers=[f"127.0.0.1:{port}"] * 6 + ["[::1]:1"])
            await asyncio.sleep(0.05)
            started = time.monotonic()
            await a.stop()
            assert time.monotonic() - started < 0.5

    run(test)


@meets_by_multicast
def test_nothing_runs_when_idle() -> None:
    """Two nodes with a session: no task, and no timer sooner than the next announce."""
    async def test(place: Lan) -> None:
        pace = bounds.Pace()
        pace.quick_ms = (0,)
        nodes = [await place.node(n, multicast=True, pace=pace) for n in (1, 2)]
        for _, heard in nodes:
            await heard.until(lambda heard=heard: heard.peers)
        await asyncio.sleep(0.05)
        loop: Any = asyncio.get_running_loop()
        assert len(asyncio.all_tasks()) == 1
        soonest = min((handle.when() for handle in loop._scheduled if not handle.cancelled()), default=1e9)
        assert soonest - loop.time() > 25

    run(test)


def test_owners_hear_in_order() -> None:
    """up, frames, down; never a frame of somebody who is not up (Heard asserts it)."""
    async def test(place: Lan) -> None:
        a, heard = await place.node(1)
        raw = Raw(2)
        await raw.shake(a.port)
        raw.plaintext(controls.pack_control(controls.READY, 0))
        for n in range(50):  # with READY in one segment
            raw.plaintext(bytes([1, n]))
        raw.plaintext(controls.pack_control(controls.CLOSE, 0))
        raw.plaintext(b"\x01after the end")
        await heard.until(lambda: heard.events and heard.events[-1][0] == "down")
        assert heard.frames == [bytes([1, n]) for n in range(50)]
        await raw.close()

    run(test)


def test_heard_is_strict() -> None:
    """The owner in these tests does complain."""
    async def strict() -> None:
        with pytest.raises(AssertionError):
            Heard().frame("lan", b"nobody", b"\x01")

    asyncio.run(strict())
