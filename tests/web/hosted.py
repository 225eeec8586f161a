"""The page for phones on a web server of its own, as a steward hosts it: plain files, no headers of the node's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from microdot.microdot import Microdot, Request, Response

from edge.web.server import WebServer
from tests.web.fakes import FakeBus, FakeNode

KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml",
         "webmanifest": "application/manifest+json"}  # fmt: skip


class Host:
    """What is served, by name, and what was asked for. localhost counts as a safe origin, as https does."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, request: Request, name: str = "index.html") -> Response:
        self.asked.append(name)
        if name not in self.files:
            return Response("", 404)
        return Response(self.files[name], 200, {"Content-Type": KINDS[name.rpartition(".")[2]]})


@asynccontextmanager
async def hosted(files: dict[str, bytes], *more: Path) -> AsyncIterator[Host]:
    """Serve these files, and those in `more` under their own names."""
    host, app, bus = Host(files | {path.name: path.read_bytes() for path in more}), Microdot(), FakeBus()
    app.get("/")(host.serve)
    app.get("/<name>")(host.serve)
    server = WebServer(bus, FakeNode(bus), app=app)
    host.url = f"http://localhost:{await server.start('127.0.0.1', 0)}/"
    try:
        yield host
    finally:
        await server.stop()
