"""What a person at the page may do: only from the node's own network, and only after a question."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edge.errors import BadRequest, Unauthorized
from edge.web.guard import is_near
from edge.web.persons import ACTIONS, CONFIRM_S, QUESTIONS_MAX, Persons
from edge.web.server import WebServer
from tests.web.fakes import FakeBus, FakeNode, Reply, raw


class Desk:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.bus = FakeBus()
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.persons = Persons(self._call, lambda: self.now_s)

    async def _call(self, name: str, params: dict[str, Any]) -> Any:
        self.done.append((name, params))
        return self.bus.emergency(name.removesuffix("@1").rpartition(".")[2], params)

    def act(self, address: str = "192.168.1.7", **body: Any) -> dict[str, Any]:
        return asyncio.run(self.persons.act(address, json.dumps(body).encode()))


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_nothing_is_done_before_the_question_was_answered(action: str) -> None:
    desk = Desk()
    asked = desk.act(do=action)
    assert desk.done == [] and asked["for_s"] == CONFIRM_S
    facts = desk.act(do=action, confirm=asked["confirm"])
    assert desk.done == [ACTIONS[action]]
    assert set(facts) == {"condition", "reach", "stopped", "stopped_here", "person", "theme"}
    with pytest.raises(BadRequest, match="not asked"):
        desk.act(do=action, confirm=asked["confirm"])


def test_a_confirmation_is_of_one_question_and_one_client_and_grows_old() -> None:
    desk = Desk()
    word = desk.act(do="stop")["confirm"]
    for address, action in (("192.168.1.8", "stop"), ("192.168.1.7", "over")):
        word = desk.act(do="stop")["confirm"]
        with pytest.raises(BadRequest, match="not asked"):
            desk.act(address, do=action, confirm=word)
    word = desk.act(do="stop")["confirm"]
    desk.now_s += CONFIRM_S + 1
    with pytest.raises(BadRequest, match="too long ago"):
        desk.act(do="stop", confirm=word)
    assert desk.done == []
    for n in range(3 * QUESTIONS_MAX):
        desk.act(f"10.0.{n // 200}.{n % 200 + 1}", do="stop")
    assert len(desk.persons._questions) == QUESTIONS_MAX


def test_only_from_near() -> None:
    desk = Desk()
    for address in ("8.8.8.8", "203.0.113.9", "2001:db8::7", "172.32.0.1", "192.169.0.1", "::ffff:9.9.9.9"):
        assert not is_near(address)
        with pytest.raises(Unauthorized, match="own network"):
            desk.act(address, do="stop")
    for address in ("127.0.0.1", "::1", "10.1.2.3", "172.16.0.9", "172.31.255.1", "192.168.0.2", "169.254.1.1",
                    "fe80::1%eth0", "fd00::17", "::ffff:10.0.0.4", "ble"):
        assert is_near(address)
        assert desk.act(address, do="stop")["confirm"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"do": "reboot"}', b'{"do": ["stop"]}', b"\xff", b'{"do": null}',
                                  b'{"do": "stop", "confirm": 7}', b"[" * 5000])
def test_bad_bodies(body: bytes) -> None:
    with pytest.raises(BadRequest, match="this must be"):
        asyncio.run(Desk().persons.act("127.0.0.1", body))


def test_over_http() -> None:
    async def ask(port: int, body: dict[str, Any], **headers: str) -> Reply:
        data = json.dumps(body).encode()
        lines = ["POST /api/emergency HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}",
                 "Content-Type: application/json", *[f"{name}: {value}" for name, value in headers.items()]]
        return Reply(await raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode() + data))

    async def main() -> None:
        bus = FakeBus()
        server = WebServer(bus, FakeNode(bus))
        port = await server.start("127.0.0.1", 0)
        try:
            asked = await ask(port, {"do": "stop"})
            assert asked.status == 200 and bus.situation["stopped"] == ""
            assert (await ask(port, {"do": "stop", "confirm": asked.json["confirm"]}, Origin="http://evil.example")
                    ).status == 403
            assert bus.situation["stopped"] == ""
            done = await ask(port, {"do": "stop", "confirm": asked.json["confirm"]}, Origin="http://localhost")
            assert done.json["stopped_here"] is True and bus.situation["stopped"]
            codes = [(await ask(port, {"do": "stop"})).status for _ in range(8)]
            assert codes[-1] == 429
        finally:
            await server.stop()

    asyncio.run(main())
