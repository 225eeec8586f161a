"""docs/GATT.md says what phones may ask for: every request of its table is sent to a real node; none is missing."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

from edge.web.app import make_app
from tests.waiting import PATIENCE
from tests.web.fakes import FakeBus, FakeNode
from tools.bench.process import QUIET, RealNode

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/GATT.md").read_text()
ROWS = re.findall(r"^\| `(GET|POST) (/api/[a-z]+)(\?\S+)?(?: (\{.*\}))?` \| (.+) \|$", TEXT, re.M)
NOT_OVER_BLUETOOTH = {("GET", "/api/events")}  # an answer without an end
# what one node by itself can only refuse, and with which words
ALONE = {("POST", "/api/sticks"): "no stick offers that", ("POST", "/api/judge"): "this node's own"}


def ask(port: int, client: int, method: str, path: str, body: str = "") -> tuple[int, dict[str, Any]]:
    """Status and JSON of what a node answers, to one of several clients on this machine: each has its own allowance."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60 * PATIENCE,
                                            source_address=(f"127.0.0.{client}", 0))
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.load(answer)
    connection.close()
    return answer.status, said


def test_all_requests_are_listed_and_no_others() -> None:
    bus = FakeBus()
    app = make_app(bus, FakeNode(bus))
    there = {(method, pattern.url_pattern) for methods, pattern, *_ in app.url_map for method in methods
             if pattern.url_pattern.startswith("/api/")}
    assert {(method, path) for method, path, *_ in ROWS} == there - NOT_OVER_BLUETOOTH


def test_every_request_is_answered_as_it_says() -> None:
    ids: dict[str, str] = {}
    with RealNode(*QUIET) as node:
        port = int(node.ready["web"].rstrip("/").rpartition(":")[2])
        for method, path, query, body, keys in ROWS:
            client = 2 if (method, path) in ALONE else 1  # more than six at once are too many of one
            first = {"/api/mark": "/api/board", "/api/judge": "/api/alerts"}.get(path, "")
            body = body.replace("ID", json.dumps(ids.get(first))).replace("OFFER", '"ab"')
            status, said = ask(port, client, method, path + query, body)
            if refusal := ALONE.get((method, path)):
                assert refusal in said["error"]["message"]
                continue
            assert status == 200, f"{method} {path}: {said}"
            assert set(said) == set(re.findall(r"`(\w+)`", keys)), path
            ids[path] = said.get("id", "")
        (notice,) = ask(port, 1, "GET", "/api/board")[1]["notices"]
        assert set(notice) >= {"id", "author", "text", "name", "time_ms", "expires_s"}


def test_the_profile_is_that_of_the_code() -> None:
    from radios.ble import fragments, gatt

    for uuid in (gatt.SERVICE, gatt.INFO, gatt.OUT):
        assert uuid in TEXT or uuid[:9] + "..." in TEXT
    assert f"another {fragments.CREDIT_EVERY_BYTES:,} bytes" in TEXT and f"up to {fragments.EARLY_MAX} that" in TEXT
    assert f"more than {fragments.ROOM_BYTES_MAX}." in TEXT
