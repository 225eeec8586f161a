"""The page: what it serves, what it asks the bus, and what it refuses.

A microdot app of static files read once, three GETs and one POST as JSON, the event stream and the metrics text. It
holds no state of its own beside the posting buckets and the open pages, calls capabilities as caller PAGE, and turns
every failure into {"error": {code, message, hint}}. All handlers are coroutine functions: microdot would start a
thread pool for others. The words on the page are in static/app.js; here are codes and numbers only.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Awaitable, Callable
from os import path
from typing import Any

from microdot.microdot import Microdot, Request, Response

from edge.caller import PAGE
from edge.core import limits
from edge.errors import BadRequest, RateLimited, Unauthorized, Unavailable, WaypostError
from edge.web.condition import condition
from edge.web.guard import Buckets, client_of, is_here, same_origin
from edge.web.live import Live
from edge.web.persons import Persons
from edge.web.safety import SafetyPages
from edge.web.sticks import StickPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.ports import BusPort, NodePort

STATIC = {
    "/": ("index.html", "text/html; charset=UTF-8"),
    "/texts.js": ("texts.js", "text/javascript; charset=UTF-8"),
    "/node.js": ("node.js", "text/javascript; charset=UTF-8"),
    "/ask.js": ("ask.js", "text/javascript; charset=UTF-8"),
    "/hints.js": ("hints.js", "text/javascript; charset=UTF-8"),
    "/emergency.js": ("emergency.js", "text/javascript; charset=UTF-8"),
    "/alerts.js": ("alerts.js", "text/javascript; charset=UTF-8"),
    "/checkin.js": ("checkin.js", "text/javascript; charset=UTF-8"),
    "/sticks.js": ("sticks.js", "text/javascript; charset=UTF-8"),
    "/app.js": ("app.js", "text/javascript; charset=UTF-8"),
    "/style.css": ("style.css", "text/css; charset=UTF-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NAME_BYTES_MAX = 64
BOARD_ROWS = 30
BOARD_ROWS_MAX = 200
DEADLINE_MS = 8000
STATUS_OF = {
    "bad_request": 400, "unauthorized": 403, "not_found": 404, "rate_limited": 429,
    "capacity_exceeded": 507, "unavailable": 503, "deadline_exceeded": 504, "schema_mismatch": 501,
}  # fmt: skip
ROW_KEYS = ("id", "author", "text", "name", "time_ms", "expires_s")
ROW_KEYS_MAYBE = ("hint", "radio")
PEER_KEYS = ("node", "name", "link", "member", "for_s")

Handler = Callable[..., Awaitable[Any]]


def make_app(bus: BusPort, node: NodePort, *, metrics: Callable[[], str] | None = None,
             buckets: Buckets | None = None, models_api: bool = False, phone_page: str = "") -> Microdot:
    """The web app of this node. metrics: gives the text for GET /metrics; without it there is none (404).

    models_api: whether there is an OpenAI-compatible API at /v1. phone_page: the address at which phones get the page
    that goes over Bluetooth.
    """
    app = Microdot()
    pages = _Pages(bus, node, metrics, buckets or Buckets(), phone_page)
    here = path.join(path.dirname(__file__), "static")
    for url, (name, kind) in STATIC.items():
        with open(path.join(here, name), "rb") as file:
            app.get(url)(_static(file.read(), kind))
    for url, handler in (
        ("/api/status", pages.status), ("/api/board", pages.board),
        ("/api/peers", pages.peers), ("/api/events", pages.events), ("/metrics", pages.metrics),
        ("/api/alerts", pages.reading(pages.safety.alerts)), ("/api/checkins", pages.reading(pages.safety.checkins)),
        ("/api/sticks", pages.reading(pages.sticks.offers)),
    ):  # fmt: skip
        app.get(url)(_guarded(handler))
    app.post("/api/board")(_guarded(pages.post))
    app.post("/api/mark")(_guarded(pages.mark))
    app.post("/api/ask")(_guarded(pages.ask))
    app.post("/api/emergency")(_guarded(pages.act))
    for url, take, what in (
        ("/api/alerts", pages.safety.report, "reports"), ("/api/judge", pages.safety.judge, "answers"),
        ("/api/checkins", pages.safety.check_in, "check-ins"), ("/api/sticks", pages.sticks.take, "requests"),
    ):  # fmt: skip
        app.post(url)(_guarded(pages.writing(take, what)))
    if models_api:
        app.route("/v1/<path:rest>", methods=["GET", "POST"])(pages.models)
    for status, code, message in (
        (400, "bad_request", "this is no request that can be read"),
        (404, "not_found", "there is nothing at this address"),
        (405, "bad_request", "this address can't be used that way"),
        (413, "bad_request", "this is longer than a notice can be"),
        (500, "internal", "something went wrong in the node"),
    ):
        app.errorhandler(status)(_failure(status, code, message))
    app.after_request(_harden)
    app.after_error_request(_harden)
    return app


class _Pages:
    """The handlers, and what they share."""

    def __init__(self, bus: BusPort, node: NodePort, metrics: Callable[[], str] | None, buckets: Buckets,
                 phone_page: str) -> None:
        self._bus = bus
        self._phone_page = phone_page
        self._node = node
        self._metrics = metrics
        self._buckets = buckets
        self._questions = Buckets()
        self._live = Live(bus)
        self._persons = Persons(self._call)
        self.safety = SafetyPages(self._call)
        self.sticks = StickPages(bus)

    async def _call(self, name: str, params: dict[str, Any] | None = None) -> Any:
        return await self._bus.call(name, params, caller=PAGE, deadline_ms=DEADLINE_MS)

    async def status(self, request: Request) -> Response:
        facts = await self._call("node.status@1")
        state, missing = condition(facts)
        return _json({
            "name": self._node.name,
            "node": self._node.key,
            "now_ms": facts["time_ms"],  # by the clock that dates its messages
            "state": state,
            "missing": missing,
            "peers": len(await self._call("peers.list@1")),
            "messages": sum(row[1] for row in facts.get("messages") or ()),
            "up_s": facts.get("up_s"),
            "version": facts.get("version"),
            "phone_page": self._phone_page,
            "text_bytes_max": limits.TEXT_BYTES_MAX,
            "name_bytes_max": NAME_BYTES_MAX,
            "ttl_s": limits.TTL_S_DEFAULT,
            "emergency": await self._persons.facts(),
        })

    async def board(self, request: Request) -> Response:
        rows = await self._call("board.list@1", {"limit": _limit(request)})
        return _json({"notices": [_row(row) for row in rows]})

    async def peers(self, request: Request) -> Response:
        rows = await self._call("peers.list@1")
        return _json({"peers": [{key: row.get(key) for key in PEER_KEYS} for row in rows]})

    async def post(self, request: Request) -> Response:
        _admit(request)
        params = _notice(request.body or b"")
        if wait_ms := self._buckets.take(_address(request)):
            return _too_many("notices", wait_ms)
        made = await self._call("board.post@1", params)
        return _json({"id": made["id"], "raised": bool(made.get("raised"))})

    async def mark(self, request: Request) -> Response:
        _admit(request)
        params = _mark(request.body or b"")
        if wait_ms := self._buckets.take(_address(request)):
            return _too_many("marks", wait_ms)
        return _json(await self._call("triage.mark@1", params))

    async def ask(self, request: Request) -> Response:
        from edge.web import asking

        _admit(request)
        asked, whole = asking.params(request.body or b"")
        if wait_ms := self._questions.take(_address(request)):
            return _too_many("questions", wait_ms)
        if whole:
            return _json(await asking.whole(self._bus, asked))
        stream: Any = asking.lines(self._bus, asked)
        return Response(stream, 200, {"Content-Type": "application/x-ndjson; charset=UTF-8"})

    async def act(self, request: Request) -> Response:
        _admit(request)
        if wait_ms := self._buckets.take(_address(request)):
            return _too_many("requests", wait_ms)
        return _json(await self._persons.act(_address(request), request.body or b""))

    def reading(self, give: Callable[[], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def read(request: Request) -> Response:
            return _json(await give())

        return read

    def writing(self, take: Callable[[bytes], Awaitable[Any]], what: str) -> Callable[[Request], Awaitable[Response]]:
        async def write(request: Request) -> Response:
            _admit(request)
            if wait_ms := self._buckets.take(_address(request)):
                return _too_many(what, wait_ms)
            return _json(await take(request.body or b""))

        return write

    async def events(self, request: Request) -> Response:
        client = client_of(_address(request))
        if not self._live.has_room(client):
            raise Unavailable("too many pages are open", hint="the page asks again by itself from time to time")
        stream: Any = self._live.follow(client)  # microdot streams any async iterator; its stubs know texts only
        return Response(stream, 200, {"Content-Type": "text/event-stream; charset=UTF-8"})

    async def models(self, request: Request, rest: str) -> Response:
        from edge.web import openai

        return await openai.answer(self._bus, request)

    async def metrics(self, request: Request) -> Response:
        if self._metrics is None:
            return _error(WaypostError("this node keeps no metrics"), 404)
        if not is_here(_address(request)):
            raise Unauthorized("the counters are for this machine only", hint="ask on the node itself, or over ssh -L")
        return Response(self._metrics(), 200, {"Content-Type": "text/plain; version=0.0.4; charset=UTF-8"})


def _static(data: bytes, kind: str) -> Handler:
    tag = f'"{binascii.crc32(data):08x}-{len(data):x}"'

    async def serve(request: Request) -> Response:
        headers = {"Content-Type": kind, "ETag": tag, "Cache-Control": "no-cache"}
        known = request.headers.get("If-None-Match") or ""
        if tag in (part.strip().removeprefix("W/") for part in known.split(",")):
            return Response(b"", 304, headers, "Not Modified")
        return Response(data, 200, headers)

    return serve


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Handler:
    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except WaypostError as error:
            return _error(error)

    return guarded


def _failure(status: int, code: str, message: str) -> Handler:
    async def failure(request: Request | None) -> Response:
        return _json({"error": {"code": code, "message": message, "hint": ""}}, status)

    return failure


async def _harden(request: Request | None, response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row.get(key) for key in ROW_KEYS} | {key: row[key] for key in ROW_KEYS_MAYBE if key in row}


def _admit(request: Request) -> None:
    """Whether this request may change something here. Raises Unauthorized, BadRequest."""
    if not same_origin(request.headers):
        raise Unauthorized("only this node's own page can post here")
    if (request.content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("the content type must be application/json")


def _too_many(what: str, wait_ms: int) -> Response:
    wait_s = -(-wait_ms // 1000)
    response = _error(RateLimited(f"that is many {what} in a short time", hint=f"try again in {wait_s} s"))
    response.headers["Retry-After"] = str(wait_s)
    return response


def _mark(body: bytes) -> dict[str, Any]:
    """The parameters of triage.mark from a request body."""
    try:
        given = json.loads(body)
        id, urgent = bytes.fromhex(given["id"]), given["urgent"]
        if not (urgent is None or isinstance(urgent, bool)):
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRequest('a mark is {"id": "...", "urgent": true, false or null}') from None
    return {"id": id, "urgent": "clear" if urgent is None else "yes" if urgent else "no"}


def _notice(body: bytes) -> dict[str, Any]:
    """The parameters of board.post from a request body; the text is trimmed, an empty name is no name."""
    try:
        given = json.loads(body)
        text, name, urgent = given.get("text"), given.get("name") or "", given.get("urgent", False)
        if not isinstance(text, str) or not isinstance(name, str) or not isinstance(urgent, bool):
            raise ValueError
        text, name = text.strip(), name.strip()
        size, name_size = len(text.encode()), len(name.encode())
    except (ValueError, AttributeError, RecursionError):
        raise BadRequest('a notice is {"text": "...", "name": "..."}') from None
    if not text:
        raise BadRequest("there is nothing to post yet", hint="write something first")
    if size > limits.TEXT_BYTES_MAX:
        raise BadRequest("the notice is too long", allowed=f"{limits.TEXT_BYTES_MAX} bytes", hint="make it shorter")
    if name_size > NAME_BYTES_MAX:
        raise BadRequest("the name is too long", allowed=f"{NAME_BYTES_MAX} bytes", hint="make it shorter")
    return {"text": text} | ({"name": name} if name else {}) | ({"urgent": "yes"} if urgent else {})


def _limit(request: Request) -> int:
    given = request.args.get("limit") or str(BOARD_ROWS)
    if not (given.isascii() and given.isdigit() and len(given) < 10 and 1 <= int(given) <= BOARD_ROWS_MAX):
        raise BadRequest("limit is out of range", allowed=f"1..{BOARD_ROWS_MAX}")
    return int(given)


def _address(request: Request) -> str:
    return str(request.client_addr[0]) if request.client_addr else ""


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=bytes.hex)
    return Response(text, status, {"Content-Type": "application/json; charset=UTF-8"})


def _error(error: WaypostError, status: int | None = None) -> Response:
    body = {"code": error.code, "message": error.message, "hint": error.hint}
    return _json({"error": body}, status or STATUS_OF.get(error.code, 500))
