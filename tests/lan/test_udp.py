"""The datagram link for leaves: who is a neighbour, the community MAC, bounds, and its fast path. PROTOCOL 8.3."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from edge.core.community import DATAGRAM, Mac
from radios.lan import addresses, bounds
from radios.lan.udp import UdpDriver
from tests.lan.kit import no_callback_fails
from tests.radios.contract import HELLO, Heard, identity
from tests.waiting import PATIENCE

CLOSED = Mac(b"c" * 32, DATAGRAM)


class Quick(bounds.Pace):
    silent_ms = 150


def run(test: Callable[[UdpDriver, Heard, socket.socket], Coroutine[Any, Any, None]], community: bytes | None = None,
        pace: bounds.Pace | None = None, **settings: Any) -> None:
    """One driver, and a bare socket for the leaf."""
    async def whole() -> None:
        heard = Heard()
        driver = UdpDriver({"port": 0} | settings, *identity(1), community, heard, "udp", pace)
        await driver.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as leaf:
            leaf.connect(("127.0.0.1", driver.port))
            leaf.setblocking(False)
            try:
                with no_callback_fails():
                    await test(driver, heard, leaf)
            finally:
                await driver.stop()

    asyncio.run(whole())


async def counted(driver: UdpDriver, name: str, number: int) -> None:
    async with asyncio.timeout(3 * PATIENCE):
        while driver.counters.get(name, 0) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert driver.counters[name] == number


def test_facts() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        info = driver.info
        assert (info.small, info.ordered, info.mtu_bytes, info.burst) == (True, False, 1200, bounds.UDP_BURST)

    run(test)


def test_hello_makes_a_neighbour() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        for stranger in (b"\x02messages", b"\x07", b"GET / HTTP/1.1", b"\x00", b"\xff" * 100):
            leaf.send(stranger)
        await counted(driver, "udp.stranger", 5)
        assert not heard.events
        leaf.send(HELLO)
        leaf.send(b"\x02messages")
        await heard.until(lambda: heard.frames == [b"\x02messages"])
        peer = heard.only_peer()
        assert peer == addresses.handle(leaf.getsockname())
        assert driver.address(peer) == addresses.text(leaf.getsockname())
        assert heard.members[peer] is False and heard.peers[peer] is None
        assert driver.send(peer, 2, b"\x03answer")
        assert await asyncio.get_running_loop().sock_recv(leaf, 2000) == b"\x03answer"

    run(test)


def test_community_mac() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        for bad in (HELLO, HELLO + bytes(8), Mac(b"d" * 32, DATAGRAM).put(HELLO), b"", b"\x01", bytes(8)):
            leaf.send(bad)
        await counted(driver, "udp.community_key", 6)
        assert not heard.events
        leaf.send(CLOSED.put(b"\x07digest"))  # after a restart of ours it need not wait for a HELLO
        await heard.until(lambda: heard.frames == [b"\x07digest"])
        peer = heard.only_peer()
        assert heard.members[peer] is True
        assert driver.send(peer, 2, b"\x03" * 1200)
        answer = await asyncio.get_running_loop().sock_recv(leaf, 2000)
        assert len(answer) == 1208 and CLOSED.take(answer) == b"\x03" * 1200

    run(test, b"c" * 32)


def test_sizes() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        leaf.send(b"\x01" * 1201)
        leaf.send(b"")
        await counted(driver, "udp.size", 2)
        leaf.send(HELLO)
        for size in (0, 1201, 3000, 1200, 1):
            leaf.send(b"\x02" * size)
        await heard.until(lambda: len(heard.frames) == 2)
        assert [len(frame) for frame in heard.frames] == [1200, 1]
        await counted(driver, "udp.size", 5)

    run(test)


def test_silent_ones_go() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        leaf.send(HELLO)
        await heard.until(lambda: heard.peers)
        for _ in range(5):
            await asyncio.sleep(0.05)
            leaf.send(b"\x07")
        assert [event[0] for event in heard.events if event[0] != "frame"] == ["up"]
        await heard.until(lambda: not heard.peers)
        assert heard.events[-1][3] == "silent"
        leaf.send(HELLO)
        await heard.until(lambda: heard.peers)

    run(test, pace=Quick())


def test_leaves_from_the_settings_are_greeted_again_and_again() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        assert len(heard.peers) == 1
        await heard.until(lambda: sum(event[0] == "up" for event in heard.events) >= 3)

    run(test, pace=Quick(), udp_peers=["127.0.0.1:9", "not a peer", "[::1"])


def test_bounded() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        crowd = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(bounds.UDP_PEERS_MAX + 5)]
        for one in crowd:
            one.sendto(HELLO, ("127.0.0.1", driver.port))
        await counted(driver, "udp.full", 5)
        assert len(heard.peers) == bounds.UDP_PEERS_MAX == driver.status()["leaves"]
        for one in crowd:
            one.close()

    run(test)


def test_ipv6() -> None:
    async def test(driver: UdpDriver, heard: Heard, _: socket.socket) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as leaf:
            leaf.setblocking(False)
            leaf.sendto(HELLO, ("::1", driver.port))
            await heard.until(lambda: heard.peers)
            assert driver.send(heard.only_peer(), 0, b"\x07")
            assert await asyncio.get_running_loop().sock_recv(leaf, 10) == b"\x07"

    run(test)


def test_a_flood_is_drained_in_portions() -> None:
    """64 datagrams a wake-up, so that the loop turns in between."""
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        leaf.send(HELLO)
        await heard.until(lambda: heard.peers)
        portions: list[int] = []
        loop = asyncio.get_running_loop()

        def turn() -> None:
            portions.append(len(heard.frames))
            if len(heard.frames) < 200:
                loop.call_soon(turn)

        for n in range(200):
            leaf.send(b"\x02" + bytes([n]))
        loop.call_soon(turn)
        await heard.until(lambda: len(heard.frames) == 200)
        steps = [after - before for before, after in zip(portions, portions[1:], strict=False)]
        assert max(steps) == bounds.DATAGRAMS_A_WAKE_UP

    run(test)


def test_an_unreachable_leaf_is_no_fault() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        leaf.send(HELLO)
        await heard.until(lambda: heard.peers)
        peer = heard.only_peer()
        leaf.close()
        for _ in range(3):
            assert driver.send(peer, 0, b"\x07")
            await asyncio.sleep(0.01)
        before = heard.drains
        assert driver.send(peer, 0, b"\x07")
        await heard.until(lambda: heard.drains > before)

    run(test)


def test_a_taken_port() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::", 0))
        port = taken.getsockname()[1]

        async def test(driver: UdpDriver, heard: Heard, _: socket.socket) -> None:
            assert driver.port not in (0, port) and str(port) in heard.troubles["port_taken"]

        run(test, port=port)


def test_stopped_in_the_middle() -> None:
    async def test(driver: UdpDriver, heard: Heard, leaf: socket.socket) -> None:
        ended: list[asyncio.Task[None]] = []

        def on_frame(peer: bytes, data: bytes) -> None:
            if not ended:
                ended.append(asyncio.create_task(driver.stop()))

        heard.on_frame = on_frame
        for _ in range(100):
            leaf.send(HELLO)
        await heard.until(lambda: ended)
        await ended[0]
        frames = len(heard.events)
        await asyncio.sleep(0.02)
        assert len(heard.events) == frames and not heard.peers

    run(test)
