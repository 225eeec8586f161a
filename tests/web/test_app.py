"""What the page's server answers, over a real socket with a bus that is a list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.errors import CapacityExceeded, DeadlineExceeded, Unavailable
from edge.web import guard, live
from edge.web.app import STATIC, make_app
from edge.web.server import WebServer
from tests.waiting import PATIENCE
from tests.web.fakes import KEY, FakeBus, FakeNode, get, post


@asynccontextmanager
async def serving(bus: FakeBus | None = None, **kwargs: Any) -> AsyncIterator[tuple[FakeBus, int]]:
    bus = bus or FakeBus()
    server = WebServer(bus, FakeNode(bus), app=make_app(bus, FakeNode(bus), **kwargs))
    port = await server.start("127.0.0.1", 0)
    try:
        yield bus, port
    finally:
        await server.stop()


def run(test: Callable[[FakeBus, int], Awaitable[None]], **kwargs: Any) -> None:
    async def main() -> None:
        async with serving(**kwargs) as (bus, port):
            await test(bus, port)

    asyncio.run(main())


def test_static_files_are_hardened_and_revalidated() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        for path, (_, kind) in STATIC.items():
            reply = await get(port, path)
            assert (reply.status, reply.headers["content-type"]) == (200, kind)
            assert int(reply.headers["content-length"]) == len(reply.body) > 0
            assert reply.headers["cache-control"] == "no-cache"
            again = await get(port, path, If_None_Match=f'"other", W/{reply.headers["etag"]}')
            assert (again.status, again.body) == (304, b"")
            assert (await get(port, path, If_None_Match='"other"')).status == 200
            head = await get(port, path, "HEAD")
            assert (head.status, head.body, head.headers["etag"]) == (200, b"", reply.headers["etag"])

    run(test)


@pytest.mark.parametrize("path", ["/", "/api/status", "/nothing", "/../app.py", "/%zz?a=%zz"])
def test_every_answer_is_hardened(path: str) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        headers = (await get(port, path)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers

    run(test)


def test_status() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.neighbours = [{"node": "ab", "name": "School"}]
        bus.facts["trouble"] = [{"part": "lan", "reason": "start", "text": "no network"}]
        reply = await get(port, "/api/status")
        facts = reply.json
        assert reply.headers["cache-control"] == "no-store"
        assert (facts["name"], facts["node"], facts["peers"]) == ("Mill House", KEY.hex(), 1)
        assert (facts["state"], facts["messages"], facts["up_s"]) == ("attention", 7, 7260)
        assert facts["missing"] == [{"code": "link", "where": "lan", "text": "no network"}]
        assert facts["now_ms"] > 0 and facts["phone_page"] == "https://phone.example/"

    run(test, phone_page="https://phone.example/")


def test_board_is_what_the_bus_lists_and_no_more() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        for n in range(40):
            bus.add(f"<b>{n}</b> \u2028 \U0001f600")
        bus.notices[0]["data"] = b"the signed bytes"
        notices = (await get(port, "/api/board")).json["notices"]
        assert len(notices) == 30
        assert notices[0]["text"] == "<b>39</b> \u2028 \U0001f600"
        assert sorted(notices[0]) == ["author", "expires_s", "id", "name", "text", "time_ms"]
        assert len((await get(port, "/api/board?limit=2")).json["notices"]) == 2
        for limit in ("0", "201", "-1", "1e2", "\u0661", "9" * 5000):
            reply = await get(port, "/api/board?limit=" + limit)
            assert reply.status == 400, limit

    run(test)


def test_peers() -> None:
    school = {"node": "ab" * 32, "name": "School", "link": "lan", "member": True, "for_s": 9}

    async def test(bus: FakeBus, port: int) -> None:
        bus.neighbours = [school | {"heard_s": 1}]
        assert (await get(port, "/api/peers")).json == {"peers": [school]}

    run(test)


def test_metrics_only_where_there_are_some() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        reply = await get(port, "/metrics")
        assert (reply.status, reply.body) == (200, b"waypost_up 1\n")
        assert reply.headers["content-type"].startswith("text/plain")

    async def without(bus: FakeBus, port: int) -> None:
        assert (await get(port, "/metrics")).status == 404

    run(test, metrics=lambda: "waypost_up 1\n")
    run(without)


PASSAGE = {"id": 1, "pack": "basics", "doc": "water.md", "source": "", "title": "Safe water", "heading": "Boil it",
           "text": "Boil water for one minute.", "marks": [[0, 4]], "score": 900}
END = {"by": "here", "node": "ab", "name": "Mill", "model": "tiny", "ms": 1200, "tokens": 3, "cites": [1],
       "skipped": []}


def test_asking_line_by_line_and_whole() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.answers = [{"passages": [PASSAGE], "good": True}, {"text": "Boil "}, {"text": "it [1]."}, {"end": END}]
        reply = await post(port, b'{"question":" how? "}', path="/api/ask")
        assert reply.headers["content-type"] == "application/x-ndjson; charset=UTF-8"
        assert [json.loads(line) for line in reply.body.splitlines()] == bus.answers
        assert bus.calls[-1][:2] == ("ask@1", {"question": "how?", "by": "auto"})
        reply = await post(port, b'{"question":"how?","by":"library","whole":true}', path="/api/ask")
        assert reply.json == {"passages": [PASSAGE], "good": True, "text": "Boil it [1].", "end": END}
        bus.answers[2] = Unavailable("the worker died")
        reply = await post(port, b'{"question":"how?"}', path="/api/ask")
        names = [list(json.loads(line)) for line in reply.body.splitlines()]
        assert names == [["passages", "good"], ["text"], ["error"]]
        assert json.loads(reply.body.splitlines()[-1])["error"]["code"] == "unavailable"

    run(test)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b'{"question":7}', b'{"question":" "}', b'{"question":"x","by":"magic"}',
    b'{"question":"x","whole":1}', b'{"question":"' + b"x" * 1001 + b'"}',
])
def test_questions_that_are_none(body: bytes) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        assert (await post(port, body, path="/api/ask")).status == 400 and not bus.calls
        reply = await post(port, b'{"question":"x"}', path="/api/ask", Origin="http://elsewhere.example")
        assert reply.status == 403 and not bus.calls

    run(test)


def test_many_questions() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.answers = [{"end": END}]
        codes = [(await post(port, b'{"question":"x"}', path="/api/ask")).status for _ in range(8)]
        assert codes.count(200) == 6 and codes[-1] == 429
        assert (await post(port, b'{"text":"A notice is another matter"}')).status == 200

    run(test)


def test_a_phone_that_hangs_up_ends_the_answer() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.answers = [{"passages": [PASSAGE], "good": True}, asyncio.Event()]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"question":"how?"}'
        writer.write(b"POST /api/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b'"good":true}\n')
        assert bus.asking == 1
        writer.close()
        for _ in range(500):
            if not bus.asking:
                break
            await asyncio.sleep(0.01)
        assert bus.asking == 0

    run(test)


def test_a_call_for_help_and_a_readers_word() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        reply = await post(port, b'{"text":"Help","urgent":true}')
        assert reply.json["raised"] is True
        assert bus.calls[-1][:2] == ("board.post@1", {"text": "Help", "urgent": "yes"})
        assert (await get(port, "/api/board")).json["notices"][0]["hint"]["urgent"] is True
        id = reply.json["id"]
        for said, word in (("false", "no"), ("true", "yes"), ("null", "clear")):
            body = f'{{"id":"{id}","urgent":{said}}}'.encode()
            assert (await post(port, body, path="/api/mark")).json == {"id": id}
            assert bus.calls[-1][:2] == ("triage.mark@1", {"id": bytes.fromhex(id), "urgent": word})
        assert "hint" not in (await get(port, "/api/board")).json["notices"][0]
        assert (await post(port, b'{"id":"00","urgent":true}', path="/api/mark")).status == 404

    run(test)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b'{"id":"zz","urgent":true}', b'{"id":"00"}', b'{"id":"00","urgent":"yes"}',
    b'{"id":7,"urgent":true}', b'{"id":"00","urgent":1}',
])
def test_marks_that_are_none(body: bytes) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        assert (await post(port, body, path="/api/mark")).status == 400
        assert not bus.calls

    run(test)


def test_marks_from_another_page() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        reply = await post(port, b'{"id":"00","urgent":true}', path="/api/mark", Origin="http://elsewhere.example")
        assert reply.status == 403 and not bus.calls

    run(test)


def test_post_reaches_the_bus_trimmed() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        body = json.dumps({"text": "  Tea at five \n", "name": " Marta "}).encode()
        reply = await post(port, body, "application/json; charset=utf-8", Origin="http://localhost")
        assert reply.status == 200
        assert reply.json == {"id": bus.notices[0]["id"], "raised": False}
        assert bus.calls[-1][:2] == ("board.post@1", {"text": "Tea at five", "name": "Marta"})
        assert (await post(port, b'{"text":"\xc3\xa4","name":" "}')).status == 200
        assert bus.calls[-1][:2] == ("board.post@1", {"text": "\u00e4"})

    run(test)


@pytest.mark.parametrize(("body", "kind", "headers", "status", "code"), [
    (b'{"text":"x"}', "text/plain", {}, 400, "bad_request"),
    (b'{"text":"x"}', "application/x-www-form-urlencoded", {}, 400, "bad_request"),
    (b'{"text":"x"}', "application/json", {"Origin": "http://evil.example"}, 403, "unauthorized"),
    (b'{"text":"x"}', "application/json", {"Origin": "null"}, 403, "unauthorized"),
    (b'{"text":"x"}', "application/json", {"Sec-Fetch-Site": "cross-site"}, 403, "unauthorized"),
    (b"", "application/json", {}, 400, "bad_request"),
    (b"{", "application/json", {}, 400, "bad_request"),
    (b"[]", "application/json", {}, 400, "bad_request"),
    (b"[" * 16000, "application/json", {}, 400, "bad_request"),
    (b'{"text":5}', "application/json", {}, 400, "bad_request"),
    (b'{"text":" \\n "}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"x","name":5}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"\\ud800"}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"\xff"}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"' + b"x" * 4097 + b'"}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"x","name":"' + b"n" * 65 + b'"}', "application/json", {}, 400, "bad_request"),
    (b'{"text":"' + b"x" * 20000 + b'"}', "application/json", {}, 413, "bad_request"),
])  # fmt: skip
def test_a_bad_post_is_refused_and_reaches_nothing(
    body: bytes, kind: str, headers: dict[str, str], status: int, code: str
) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        reply = await post(port, body, kind, **headers)
        assert (reply.status, reply.json["error"]["code"]) == (status, code)
        assert reply.json["error"]["message"]
        assert not bus.notices
        assert not bus.calls

    run(test)


def test_a_text_of_exactly_the_limit_is_taken() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        body = '{"text":"' + "\u00e4" * 2048 + '"}'
        assert (await post(port, body.encode())).status == 200

    run(test)


def test_posting_has_a_pace() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        for _ in range(guard.POST_BURST):
            assert (await post(port, b'{"text":"x"}')).status == 200
        reply = await post(port, b'{"text":"x"}')
        assert (reply.status, reply.json["error"]["code"]) == (429, "rate_limited")
        assert reply.headers["retry-after"] == "10"
        assert "10 s" in reply.json["error"]["hint"]
        assert len(bus.notices) == guard.POST_BURST

    run(test, buckets=guard.Buckets(lambda: 0.0))


@pytest.mark.parametrize(("error", "status"), [
    (CapacityExceeded("the message was not kept: store_full", hint="free space"), 507),
    (DeadlineExceeded("no answer in time"), 504),
    (Unavailable("stopping"), 503),
])
def test_what_the_bus_refuses_is_told(error: Any, status: int) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.fail = {"board.post@1": error, "board.list@1": error}
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        for reply in (await post(port, b'{"text":"x"}'), await get(port, "/api/board")):
            assert (reply.status, reply.json) == (status, {"error": told})

    run(test)


def test_a_fault_of_ours_is_a_500_without_a_secret(capfd: pytest.CaptureFixture[str]) -> None:
    async def test(bus: FakeBus, port: int) -> None:
        bus.fail = {"board.list@1": RuntimeError("a secret")}
        reply = await get(port, "/api/board")
        assert (reply.status, reply.json["error"]["code"]) == (500, "internal")
        assert b"secret" not in reply.body

    run(test)
    assert "a secret" in capfd.readouterr().err  # for the operator


async def events(reader: asyncio.StreamReader, n: int) -> list[str]:
    found = []
    async with asyncio.timeout(10 * PATIENCE):
        while len(found) < n:
            line = (await reader.readline()).decode().strip()
            if line.startswith("event: "):
                found.append(line[7:])
    return found


async def follow(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    return reader, writer, int(head.split()[1])


def test_events_are_hints_that_run_together() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        reader, writer, status = await follow(port)
        assert status == 200
        assert await events(reader, 1) == ["hello"]
        for n in range(50):
            bus.add(str(n))
        bus.publish("peer", {})
        assert await events(reader, 2) == ["board", "peers"]
        bus.publish("status", {})
        assert await events(reader, 1) == ["status"]
        writer.close()
        async with asyncio.timeout(5 * PATIENCE):
            await bus.left.wait()  # the last page that closes ends the subscription

    run(test)


def test_events_are_bounded_and_a_place_comes_free() -> None:
    async def test(bus: FakeBus, port: int) -> None:
        pages = [await follow(port) for _ in range(live.PAGES_PER_CLIENT_MAX)]
        assert [page[2] for page in pages] == [200] * live.PAGES_PER_CLIENT_MAX
        assert (await get(port, "/api/events")).json["error"]["code"] == "unavailable"
        pages[0][1].close()
        async with asyncio.timeout(5 * PATIENCE):
            while (page := await follow(port))[2] != 200:
                page[1].close()
        for _, writer, _ in (*pages[1:], page):
            writer.close()

    run(test)


def test_a_quiet_stream_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.02)

    async def test(bus: FakeBus, port: int) -> None:
        reader, writer, _ = await follow(port)
        async with asyncio.timeout(5 * PATIENCE):
            while await reader.readline() != b": still here\n":
                pass
        writer.close()

    run(test)
