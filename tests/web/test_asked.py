"""The page asked another way than by HTTP, as phones do over BLE: the same answers, the same limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.web import server as server_module
from edge.web.server import WebServer
from tests.web.fakes import FakeBus, FakeNode, get, post

Ask = Callable[..., Awaitable[tuple[str, Any]]]
PEER = b"\x05" * 32


def run(play: Callable[[FakeBus, WebServer, Ask], Awaitable[None]]) -> None:
    async def main() -> None:
        bus = FakeBus()
        server = WebServer(bus, FakeNode(bus))
        await server.start("127.0.0.1", 0)

        async def ask(request: bytes, peer: bytes = PEER) -> tuple[str, Any]:
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            server.ask("ble", peer, request, answer.set_result)
            line, _, body = (await answer).partition(b"\n")
            return line.decode(), json.loads(body)

        try:
            await play(bus, server, ask)
        finally:
            await server.stop()

    asyncio.run(main())


def test_the_answers_are_those_of_http() -> None:
    async def play(bus: FakeBus, server: WebServer, ask: Ask) -> None:
        for n in range(5):
            bus.add(f"Notice {n}", "Marta")
        for path in ("/api/board?limit=3", "/api/peers", "/api/board?limit=0", "/api/nothing"):
            http = await get(server.port, path)
            assert await ask(b"GET " + path.encode()) == (str(http.status), http.json)
        assert (await ask(b"GET /api/status"))[1]["name"] == "Mill House"

    run(play)


def test_a_notice_is_posted_and_posting_has_a_pace() -> None:
    async def play(bus: FakeBus, server: WebServer, ask: Ask) -> None:
        said = [await ask(b'POST /api/board\n{"text": "From the bench outside", "name": "Jo"}') for _ in range(7)]
        assert [status for status, _ in said[:6]] == ["200"] * 6
        status, body = said[6]
        assert status.split()[0] == "429" and 1 <= int(status.split()[1]) <= 10
        assert body["error"]["code"] == "rate_limited"
        assert bus.notices[0]["text"] == "From the bench outside" and len(bus.notices) == 6
        assert (await ask(b'POST /api/board\n{"text": "Another one"}', b"\x06" * 32))[0] == "200"

    run(play)


@pytest.mark.parametrize("request_bytes", [
    b"", b"GET", b"GET /", b"GET /metrics", b"GET /index.html", b"PUT /api/board\n{}", b"GET http://x/api/status",
    b"GET /api/status HTTP/1.0", b"GET /api/status\rX: 1", b"GET /api/\xff\xfe", b"GET /api/events", b"\x00" * 600,
])  # fmt: skip
def test_what_is_not_for_phones_is_refused(request_bytes: bytes) -> None:
    async def play(bus: FakeBus, server: WebServer, ask: Ask) -> None:
        status, body = await ask(request_bytes)
        assert status in ("400", "404") and body["error"]["code"] in ("bad_request", "not_found")
        assert not bus.subscriptions

    run(play)


def test_many_phones_wear_out_their_own_way_and_not_the_wifi() -> None:
    async def play(bus: FakeBus, server: WebServer, ask: Ask) -> None:
        said = [await ask(b'POST /api/board\n{"text": "spam"}', n.to_bytes(8, "big") * 4) for n in range(100)]
        assert [status for status, _ in said[:60]] == ["200"] * 60 and said[-1][0].startswith("429")
        assert (await post(server.port, b'{"text": "From the Wi-Fi"}')).status == 200

    run(play)


def test_one_session_has_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(bus: FakeBus, server: WebServer, ask: Ask) -> None:
        monkeypatch.setattr(server_module, "CONNECTIONS_A_CLIENT_MAX", 2)
        said = await asyncio.gather(*(ask(b"GET /api/peers") for _ in range(3)))
        assert sorted(status for status, _ in said) == ["200", "200", "503"]
        assert (await ask(b"GET /api/peers"))[0] == "200"

    run(play)


def test_who_still_waits_at_the_end_is_answered() -> None:
    async def main() -> None:
        bus = FakeBus()
        server = WebServer(bus, FakeNode(bus))
        await server.start("127.0.0.1", 0)
        never = asyncio.Event()

        async def call(*_what: Any, **_how: Any) -> Any:
            await never.wait()

        bus.call = call  # type: ignore[method-assign]
        said: list[bytes] = []
        server.ask("ble", PEER, b"GET /api/peers", said.append)
        await asyncio.sleep(0.01)
        assert not said
        await server.stop()
        assert said[0].startswith(b"503\n")

    asyncio.run(main())
