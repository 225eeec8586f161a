"""The paid model, against a local HTTP server: only with a key and a budget, closed on error, the key never shown."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import errors
from edge.budget import DAY_S, Budget
from edge.bus.bus import Bus
from edge.caller import ANCHOR, Caller
from edge.services.paid import Paid
from edge.store import spend
from edge.store.store import Store
from edge.store.writer import Writer
from tests.bus.asking import WATER, Model, Shelf, open_library
from tests.bus.joined import World
from tests.bus.test_services import village
from tests.bus.village import NOW_S, Place

KEY = "sk-test-0123456789"
MESSAGES = [{"role": "user", "content": "How do I make water safe?"}]


class Service(http.server.ThreadingHTTPServer):
    """Answers as `script` says: a status, and the data of each event."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.events = 200, [
            {"model": "big", "choices": [{"delta": {"content": "Boil "}}]},
            {"choices": [{"delta": {"content": "it [1]."}}]},
            {"choices": [], "usage": {"total_tokens": 30}}]
        self.seen: list[tuple[str, str, dict[str, Any]]] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream")
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:9/steal")
        self.end_headers()
        for event in self.server.events:
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_about: object) -> None:
        """Tests say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def with_budget(folder: Path, play: Callable[[Budget, Store], Any]) -> None:
    async def main() -> None:
        store = Store.open(str(folder / "waypost.db"), now_s=NOW_S)
        writer = Writer(store, asyncio.get_running_loop())
        try:
            await play(Budget(writer, lambda: NOW_S), store)
        finally:
            writer.close()
            store.close()

    asyncio.run(main())


def paid(budget: Budget, service: Service, tokens: int = 1000) -> Paid:
    return Paid(budget, f"http://127.0.0.1:{service.server_port}/v1", KEY, "big", tokens)


def spent(store: Store) -> int:
    return spend.of_day(store._db, NOW_S // DAY_S)


def test_an_answer_and_what_it_cost(tmp_path: Path, service: Service) -> None:
    async def play(budget: Budget, store: Store) -> None:
        items = [item async for item in paid(budget, service).chat(MESSAGES, 100)]
        assert items == [{"text": "Boil "}, {"text": "it [1]."}, {"end": {"model": "big", "tokens": 30}}]
        assert spent(store) == 30
        path, authorization, body = service.seen[0]
        assert (path, authorization) == ("/v1/chat/completions", "Bearer " + KEY)
        assert body["messages"] == MESSAGES and body["max_tokens"] == 100 and body["model"] == "big" and body["stream"]

    with_budget(tmp_path, play)


def test_the_budget_is_kept(tmp_path: Path, service: Service) -> None:
    async def play(budget: Budget, store: Store) -> None:
        one = paid(budget, service, 170)
        [_ async for _ in one.chat(MESSAGES, 100)]
        [_ async for _ in one.chat(MESSAGES, 100)]
        with pytest.raises(errors.CapacityExceeded, match="budget"):
            [_ async for _ in one.chat(MESSAGES, 100)]
        assert spent(store) == 60 and len(service.seen) == 2, "nothing was sent"

    with_budget(tmp_path, play)


def test_without_its_table_nothing_is_bought(tmp_path: Path, service: Service) -> None:
    async def play(budget: Budget, store: Store) -> None:
        store._db.execute("DROP TABLE spend")
        with pytest.raises(errors.CapacityExceeded):
            [_ async for _ in paid(budget, service).chat(MESSAGES, 100)]
        assert service.seen == []

    with_budget(tmp_path, play)


@pytest.mark.parametrize("status", [302, 401, 429, 500])
def test_a_service_that_refuses_costs_nothing(tmp_path: Path, service: Service, status: int) -> None:
    async def play(budget: Budget, store: Store) -> None:
        service.status = status
        with pytest.raises(errors.Unavailable, match=f"status {status}") as info:
            [_ async for _ in paid(budget, service).chat(MESSAGES, 100)]
        assert KEY not in str(info.value) and spent(store) == 0 and len(service.seen) == 1

    with_budget(tmp_path, play)


def test_a_service_that_is_not_there_or_talks_nonsense(tmp_path: Path, service: Service) -> None:
    async def play(budget: Budget, store: Store) -> None:
        gone = Paid(budget, "http://127.0.0.1:9/v1", KEY, "big", 1000)
        with pytest.raises(errors.Unavailable):
            [_ async for _ in gone.chat(MESSAGES, 100)]
        assert spent(store) == 0
        service.events = ["nonsense"]  # type: ignore[list-item]
        with pytest.raises(errors.Unavailable):
            [_ async for _ in paid(budget, service).chat(MESSAGES, 100)]
        service.events = [{"choices": [{"delta": {"content": "x"}}]}]  # says nothing of what it cost
        [_ async for _ in paid(budget, service).chat(MESSAGES, 100)]
        assert spent(store) >= 100, "then all that was reserved counts"

    with_budget(tmp_path, play)


def test_whoever_hangs_up_pays_what_was_reserved(tmp_path: Path, service: Service) -> None:
    async def play(budget: Budget, store: Store) -> None:
        items = paid(budget, service).chat(MESSAGES, 100)
        assert await anext(items) == {"text": "Boil "}
        await items.aclose()
        assert spent(store) >= 100

    with_budget(tmp_path, play)


@pytest.mark.parametrize("url", [
    "http://example.org/v1", "ftp://127.0.0.1/v1", "example.org", "http://127.0.0.1.evil.org:80/v1", "",
])
def test_addresses_that_would_give_the_key_away(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        Paid(None, url, KEY, "big", 1)  # type: ignore[arg-type]


@village("hall")
async def test_it_is_asked_last_of_all(world: World, hall: Place, bus: Bus) -> None:
    class Bought:
        name = "service.example"

        async def chat(self, _caller: Caller, params: dict[str, Any]) -> Any:
            assert params["max_tokens"] > 0
            yield {"text": "bought [1]"}
            yield {"end": {"model": "big", "tokens": 9}}

    own = Model("own").provide(bus)
    open_library(hall, bus, Shelf(WATER), paid=Bought())
    assert (await bus.call("ask@1", {"question": "x"}))[-1]["end"]["by"] == "here"
    own.parts = (errors.CapacityExceeded("too hot"),)
    end = (await bus.call("ask@1", {"question": "x"}))[-1]["end"]
    assert (end["by"], end["name"], end["model"], end["tokens"]) == ("paid", "service.example", "big", 9)
    bus.lack({"internet": "the cable is out"})
    end = (await bus.call("ask@1", {"question": "x"}))[-1]["end"]
    assert [one["by"] for one in end["skipped"]] == ["here", "paid"]
    assert end["skipped"][1]["why"] == "llm.paid needs the internet, which is not there: the cable is out"
    bus.lack({})
    assert (await bus.call("ask@1", {"question": "x"}))[-1]["end"]["by"] == "paid"


@village("hall")
async def test_nobody_else_spends_the_owners_money(world: World, hall: Place, bus: Bus) -> None:
    Paid(None, "https://example.org/v1", KEY, "big", 100).service().provide(bus)  # type: ignore[arg-type]
    anchor = Caller(ANCHOR, bytes(32), "lan")
    with pytest.raises(errors.Unauthorized, match="the owner pays"):
        await bus.call("llm.paid@1", {"messages": MESSAGES}, caller=anchor)
