"""docs/GATT.md says what phones may ask for: every request of its table is sent to a real node; none is missing."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from edge.web.app import make_app
from tests.web.fakes import FakeBus, FakeNode
from tools.bench.process import QUIET, RealNode

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/GATT.md").read_text()
ROWS = re.findall(r"^\| `(GET|POST) (/api/[a-z]+)(\?\S+)?(?: (\{.*\}))?` \| (.+) \|$", TEXT, re.M)
NOT_OVER_BLUETOOTH = {("GET", "/api/events")}  # an answer without an end
# what one node by itself can only refuse, and with which words
ALONE = {("POST", "/api/sticks"): "no stick offers that", ("POST", "/api/judge"): "this node's own"}


def ask(base: str, method: str, path: str, body: str) -> dict[str, Any]:
    """What a node answers; raises HTTPError for a refusal."""
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(base + path, body.encode() or None, kind, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def test_all_requests_are_listed_and_no_others() -> None:
    bus = FakeBus()
    app = make_app(bus, FakeNode(bus))
    there = {(method, pattern.url_pattern) for methods, pattern, *_ in app.url_map for method in methods
             if pattern.url_pattern.startswith("/api/")}
    assert {(method, path) for method, path, *_ in ROWS} == there - NOT_OVER_BLUETOOTH


def test_every_request_is_answered_as_it_says() -> None:
    ids: dict[str, str] = {}
    with RealNode(*QUIET, "node.name=Mill") as node:
        base = node.ready["web"].rstrip("/")
        for method, path, query, body, keys in ROWS:
            wanted = set(re.findall(r"`(\w+)`", keys))
            named = {"/api/mark": "/api/board", "/api/judge": "/api/alerts"}.get(path, "")
            try:
                said = ask(base, method, path + query, body.replace("ID", json.dumps(ids.get(named, ""))).replace(
                    "OFFER", '"ab"'))
            except urllib.error.HTTPError as error:
                told = error.read().decode()
                assert ALONE.get((method, path), "an answer") in told, f"{method} {path}: {told}"
                continue
            assert set(said) == wanted, path
            if "id" in said:
                ids[path] = said["id"]
        notice = ask(base, "GET", "/api/board", "")["notices"][0]
        assert set(notice) >= {"id", "author", "text", "name", "time_ms", "expires_s"}


def test_the_profile_is_that_of_the_code() -> None:
    from radios.ble import fragments, gatt

    for uuid in (gatt.SERVICE, gatt.INFO, gatt.OUT):
        assert uuid in TEXT or uuid[:9] + "..." in TEXT
    assert f"another {fragments.CREDIT_EVERY_BYTES:,} bytes" in TEXT and f"up to {fragments.EARLY_MAX} that" in TEXT
    assert f"more than {fragments.ROOM_BYTES_MAX}." in TEXT
