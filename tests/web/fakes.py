"""A bus and a node small enough to see through, for the page's own tests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from edge.caller import PAGE
from edge.errors import NotFound
from tests.waiting import PATIENCE

KEY = bytes(range(32))


class FakeSubscription:
    def __init__(self, owner: FakeBus, topics: tuple[str, ...]) -> None:
        self.topics = topics
        self.queue: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        while (item := await self.queue.get()) is not None:
            yield item

    def close(self) -> None:
        self._owner.subscriptions.discard(self)
        self._owner.left.set()
        self.queue.put_nowait(None)


class FakeBus:
    """Answers what the page asks for; `fail` raises instead, by capability name."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []
        self.neighbours: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {
            "up_s": 7260, "messages": [[0, 0], [1, 2], [2, 5], [3, 0]], "version": "0.1.0", "time_quality": 4}
        self.situation: dict[str, Any] = {
            "condition": {"state": "calm", "for_s": None, "why": "nothing says otherwise", "codes": [], "over": False},
            "reach": {"state": "normal", "for_s": 60, "why": "a name server answers", "codes": ["names.answers"],
                      "over": False},
            "person": "none", "stopped": "", "stopped_here": False, "policy": {"theme": "calm"}}
        self.calls: list[tuple[str, dict[str, Any], Any]] = []
        self.fail: dict[str, Exception] = {}
        self.answers: list[Any] = []  # what ask@1 gives, item by item
        self.asking = 0  # questions that are being answered
        self.left = asyncio.Event()  # a subscription was closed
        self.subscriptions: set[FakeSubscription] = set()

    async def call(self, capability: str, params: dict[str, Any] | None = None, *, caller: Any = None,
                   to: bytes | None = None, deadline_ms: int = 10000) -> Any:
        assert caller is PAGE
        self.calls.append((capability, params or {}, caller))
        if capability in self.fail:
            raise self.fail[capability]
        if capability == "node.status@1":
            return dict(self.facts, time_ms=int(time.time() * 1000))
        if capability == "board.list@1":
            return self.notices[: (params or {})["limit"]]
        if capability == "peers.list@1":
            return self.neighbours
        if capability in ("alert.list@1", "checkin.list@1"):
            return []  # the real services are behind the page in tests/web/test_safety_page.py
        if capability == "board.post@1":
            given = dict(params or {})
            raised = given.pop("urgent", "") == "yes"
            made = self.add(**given)
            if raised:
                self.notices[0]["hint"] = {"labels": [], "urgent": True, "by": "person", "time_s": 1}
            return made | {"raised": raised}
        if capability == "ask@1":
            self.calls.pop()
            return [item async for item in self.stream(capability, params, caller=caller)]
        if capability == "triage.mark@1":
            return self.mark(**(params or {}))
        if capability.startswith("emergency."):
            return self.emergency(capability.removesuffix("@1").rpartition(".")[2], params or {})
        raise NotFound(capability)

    def emergency(self, verb: str, params: dict[str, Any]) -> dict[str, Any]:
        if verb == "declare":
            level = params["level"]
            state, why = {"none": ("recovery", "a person says that it is over")}.get(
                level, (level, "a person says that this is so (at the page)"))
            self.situation |= {"person": level, "policy": {"theme": state}, "condition": {
                "state": state, "for_s": 0, "why": why, "codes": [f"person.{level}"], "over": level == "none"}}
        elif verb in ("stop", "resume"):
            stopped = verb == "stop"
            self.situation |= {"stopped": "stopped by a person at the page" if stopped else "", "stopped_here": stopped}
        return dict(self.situation)

    def add(self, text: str, name: str = "", author: bytes = KEY, ago_s: int = 0) -> dict[str, Any]:
        row = {"id": (len(self.notices) + 1).to_bytes(16, "big").hex(), "author": author.hex(), "text": text,
               "time_ms": int((time.time() - ago_s) * 1000), "expires_s": int(time.time()) + 600000}
        if name:
            row["name"] = name
        self.notices.insert(0, row)
        self.publish("message", {"id": row["id"]})
        return {"id": row["id"]}

    async def stream(self, capability: str, params: dict[str, Any] | None = None, *, caller: Any = None,
                     to: bytes | None = None, deadline_ms: int = 10000) -> AsyncIterator[Any]:
        """The items of `answers`; an exception among them is raised, an event is waited for."""
        assert caller is PAGE and capability == "ask@1"
        self.calls.append((capability, params or {}, caller))
        self.asking += 1
        try:
            for item in self.answers:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, asyncio.Event):
                    await item.wait()
                else:
                    yield item
        finally:
            self.asking -= 1

    def mark(self, id: bytes, urgent: str) -> dict[str, Any]:
        row = next((row for row in self.notices if row["id"] == id.hex()), None)
        if row is None:
            raise NotFound("this message is not here")
        row.pop("hint", None)
        if urgent != "clear":
            row["hint"] = {"labels": [], "urgent": urgent == "yes", "by": "person", "time_s": 1}
        return {"id": id.hex()}

    def subscribe(self, *topics: str) -> FakeSubscription:
        subscription = FakeSubscription(self, topics)
        self.subscriptions.add(subscription)
        return subscription

    def publish(self, topic: str, value: dict[str, Any]) -> None:
        for subscription in self.subscriptions:
            if topic in subscription.topics:
                subscription.queue.put_nowait((topic, value))


class FakeNode:
    name = "Mill House"
    key = KEY

    def __init__(self, bus: FakeBus) -> None:
        self._bus = bus

    def peers(self) -> list[dict[str, Any]]:
        return self._bus.neighbours


class Reply:
    """What came back: status, headers in lower case, body."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json; charset=UTF-8"
        return json.loads(self.body)


async def raw(port: int, data: bytes) -> bytes:
    """Send bytes, give all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(10 * PATIENCE):
            return await reader.read()
    finally:
        writer.close()


async def get(port: int, path: str, method: str = "GET", **headers: str) -> Reply:
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in ({"Host": "localhost"} | headers).items()]
    return Reply(await raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode()))


async def post(port: int, body: bytes, kind: str = "application/json", path: str = "/api/board",
               **headers: str) -> Reply:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Reply(await raw(port, ("\r\n".join(lines) + "\r\n\r\n").encode() + body))
