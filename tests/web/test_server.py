"""The listening socket under people who are slow, rude or many."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import pytest

from edge.web import guard
from edge.web import server as server_module
from edge.web.server import WebServer
from tests.waiting import PATIENCE
from tests.web.fakes import FakeBus, FakeNode, Reply, get, raw


def make() -> tuple[WebServer, list[tuple[str, str, str]]]:
    bus, troubles = FakeBus(), []
    return WebServer(bus, FakeNode(bus), trouble=lambda *what: troubles.append(what)), troubles


def test_a_port_that_is_taken_is_trouble_and_not_the_end() -> None:
    async def main() -> None:
        first, _ = make()
        second, troubles = make()
        port = await first.start("127.0.0.1", 0)
        assert port == first.port > 0
        assert await second.start("127.0.0.1", port) == second.port == 0
        assert [what[:2] for what in troubles] == [("web", "listen")]
        assert str(port) in troubles[0][2]
        assert "web.port" in troubles[0][2]
        await second.stop()
        await first.stop()
        assert await second.start("127.0.0.1", port) == port
        assert troubles[-1] == ("web", "", "")
        await second.stop()

    asyncio.run(main())


def test_an_address_that_is_not_ours_is_told_from_a_port_that_is_taken() -> None:
    async def main() -> None:
        server, troubles = make()
        assert await server.start("192.0.2.1", 0) == 0
        assert "192.0.2.1" in troubles[0][2] and "set web.host" in troubles[0][2]

    asyncio.run(main())


@pytest.mark.parametrize("host", ["", "localhost"])
def test_any_free_port_is_one_port_for_all_addresses(host: str) -> None:
    async def main() -> None:
        server, _ = make()
        port = await server.start(host, 0)
        assert (await get(port, "/api/status")).status == 200
        reached = 0
        for address in ("127.0.0.1", "::1"):
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                continue  # a machine without IPv6
            reached += 1
            writer.close()
        assert server._server is not None
        assert len({one.getsockname()[1] for one in server._server.sockets}) == 1
        assert reached == len(server._server.sockets)
        await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
    b"POST /api/board HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1000 + b"\r\n" * 1 + b"X: y\r\n" * 9000 + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\n\n",
])
def test_what_is_no_request_is_answered_so(request_bytes: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        reply = Reply(await raw(port, request_bytes))
        assert (reply.status, reply.json["error"]["code"]) == (400, "bad_request")
        assert (await get(port, "/api/status")).status == 200
        await server.stop()

    asyncio.run(main())
    assert capfd.readouterr().err == ""


def test_a_slow_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_S", 0.05)

    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        assert await raw(port, b"GET / HTTP/1.1\r\nHost: x") == b""
        assert await raw(port, b"POST /api/board HTTP/1.1\r\nContent-Length: 100\r\n\r\n{") == b""
        await server.stop()

    asyncio.run(main())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 3)

    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        async with asyncio.timeout(5 * PATIENCE):
            assert await raw(port, b"") == b""
            held.pop()[1].close()
            while True:
                try:
                    if (await raw(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.0 200"):
                        break
                except ConnectionError:
                    pass
        for _, writer in held:
            writer.close()
        await server.stop()

    asyncio.run(main())


def test_one_client_does_not_shut_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS_A_CLIENT_MAX", 2)
    monkeypatch.setattr(guard, "_HERE", ("127.0.0.9",))

    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        held = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(3)]
        async with asyncio.timeout(5 * PATIENCE):
            assert await held[2][0].read() == b""  # hung up on
            for _ in range(3):
                assert (await get(port, "/api/status")).status == 200
            more = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.9", 0)) for _ in range(3)]
            more[2][1].write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await more[2][0].read()).startswith(b"HTTP/1.0 200")
        for _, writer in held + more:
            writer.close()
        await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_who_comes_in_the_moment_of_the_end_leaves_no_socket_open(turns: int) -> None:
    """What was left open would fail this test as a warning."""
    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            visitor.settimeout(5)
            try:
                assert visitor.recv(1) == b""
            except ConnectionResetError:
                pass

    asyncio.run(main())


def test_stop_ends_open_streams() -> None:
    async def main() -> None:
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /api/events HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"hello\n")
        async with asyncio.timeout(5 * PATIENCE):
            await server.stop()
            await reader.read()
        assert reader.at_eof()
        writer.close()

    asyncio.run(main())


def test_an_idle_node_does_without_the_app() -> None:
    """microdot and json are loaded by the first visitor: that is half a megabyte of an idle node's twenty."""
    heavy = "{'microdot', 'json', 'edge.web.app'}"
    code = f"import sys, edge.web.server; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_thread_is_started() -> None:
    import threading

    async def main() -> None:
        before = threading.active_count()
        server, _ = make()
        port = await server.start("127.0.0.1", 0)
        for path in ("/", "/app.js", "/api/status", "/api/board", "/nothing"):
            await get(port, path)
        assert threading.active_count() == before
        await server.stop()

    asyncio.run(main())


@pytest.mark.parametrize(("path", "host"), [
    ("/generate_204", "connectivitycheck.gstatic.com"), ("/hotspot-detect.html", "captive.apple.com"),
    ("/connecttest.txt", "www.msftconnecttest.com"), ("/", "example.org:80"),
])
def test_a_phone_that_looks_for_the_internet_is_sent_to_the_page(path: str, host: str) -> None:
    async def main() -> None:
        bus = FakeBus()
        server = WebServer(bus, FakeNode(bus), portal="127.0.0.1")
        port = await server.start("127.0.0.1", 0)
        reply = await get(port, path, Host=host)
        assert reply.status == 302 and reply.headers["location"] == "http://127.0.0.1/"
        for own in (f"127.0.0.1:{port}", "library.local", "10.42.0.1"):
            assert (await get(port, "/", Host=own)).status == 200
        await server.stop()
        other = WebServer(bus, FakeNode(bus), portal="10.42.0.1")
        port = await other.start("127.0.0.1", 0)
        assert (await get(port, "/", Host="library.example.org")).status == 200, "not reached by our own Wi-Fi"
        await other.stop()

    asyncio.run(main())
