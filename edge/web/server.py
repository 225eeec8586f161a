"""The page's listening socket: connections in, whole responses out, everything bounded.

microdot reads a request and finds its handler; this module keeps what a stranger on the Wi-Fi could otherwise use up:
connections at once, bytes and seconds of a request head, seconds of a write to a phone that went away. A port that is
taken is trouble to be shown, never the end of the node. microdot and the app are loaded when the first visitor comes:
an idle node does without their memory.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from weakref import WeakSet

from edge.web.guard import client_of, is_elsewhere, is_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from microdot.microdot import Microdot, Response

    from edge.ports import BusPort, NodePort

CONNECTIONS_MAX = 96
CONNECTIONS_A_CLIENT_MAX = 24  # so that no one phone shuts the others out; this machine itself is not bound by it
REQUEST_BYTES_MAX = 24 * 1024  # head and body
REQUEST_S = 10.0
WRITE_S = 20.0
GONE_MS = 30_000  # unacknowledged for so long: the phone has left
ACCEPT_TURNS = 6  # of the loop, from accept(2) to the coroutine that serves it, and back to close(2)
TCP_USER_TIMEOUT = 18  # Linux, tcp(7)


class WebServer:
    """The page of one node.

    metrics: gives the text for GET /metrics. trouble(part, reason, text): told when the page can't be served, and with
    empty texts when it can. app: another app than the node's own. models_api, phone_page: as make_app has
    them.
    portal: our address on a Wi-Fi where every name leads to us; whoever asks there for another machine is sent here.
    """

    def __init__(self, bus: BusPort, node: NodePort, *, metrics: Callable[[], str] | None = None,
                 trouble: Callable[[str, str, str], None] | None = None, app: Microdot | None = None,
                 models_api: bool = False, portal: str = "", phone_page: str = "") -> None:
        self.port = 0  # the port in use; 0 while there is none
        self._bus = bus
        self._node = node
        self._metrics = metrics
        self._models_api = models_api
        self._portal = portal
        self._trouble = trouble or (lambda _part, _reason, _text: None)
        self._app = app
        self._phone_page = phone_page
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[Any], str] = {}  # every connection's, and whose it is
        self._transports: WeakSet[Any] = WeakSet()

    async def start(self, host: str | None, port: int) -> int:
        """Listen. host None or "" is every address; port 0 is any free one. Gives the port, 0 when it can't listen."""
        try:
            self._server = await self._listen(host or None, port)
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                text = f"there is no page on port {port}: {reason}; free the port or set web.port to another"
            else:
                text = f"there is no page on {host}: {reason}; set web.host to an address of this machine"
            self._trouble("web", "listen", text)
            return 0
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._trouble("web", "", "")
        return self.port

    def ask(self, link: str, peer: bytes, request: bytes, answer: Callable[[bytes], None]) -> None:
        """Answer a request that came another way than HTTP: "GET /api/..." or "POST /api/...", a line feed and JSON.

        link, peer: the way and whose session it is; both are held to account for it. answer(bytes) is called once: the
        status, and where that is said in how many seconds to try again, a line feed, JSON. PROTOCOL 16.5.
        """
        client = f"{link}-{peer.hex()[:16]}"
        if not self._has_room(client):
            answer(_refusal(503, "unavailable", "too many are asking at once"))
            return
        task = asyncio.get_running_loop().create_task(self._ask(client, request, answer))
        self._tasks[task] = client

    async def _ask(self, client: str, request: bytes, answer: Callable[[bytes], None]) -> None:
        said = _refusal(503, "unavailable", "the node is stopping")
        try:
            said = await self._look_up(client, request)
        except asyncio.CancelledError:
            pass
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.pop(task, None)
            answer(said)

    async def _look_up(self, client: str, request: bytes) -> bytes:
        line, _, body = request.partition(b"\n")
        method, _, url = line.partition(b" ")
        if method not in (b"GET", b"POST") or not url.startswith(b"/api/") or len(line.split()) != 2:
            return _refusal(400, "bad_request", "this is no request that can be answered here")
        app, request_class = self._load()
        reader = asyncio.StreamReader()
        head = b"%s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        reader.feed_data(head % (line, len(body)) + body)
        reader.feed_eof()
        try:
            parsed = await request_class.create(app, reader, None, (client, 0))
        except (ValueError, EOFError):
            parsed = None  # a bad request; the app says so
        response = await app.dispatch_request(parsed)
        if not isinstance(response.body, bytes):
            await response.body_iter().aclose()
            return _refusal(400, "bad_request", "an endless answer can't be given here")
        again = response.headers.get("Retry-After")
        return f"{response.status_code}{f' {again}' if again else ''}\n".encode() + response.body

    async def _listen(self, host: str | None, port: int) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_BYTES_MAX)
        ports = sorted({one.getsockname()[1] for one in server.sockets})
        if len(ports) == 1:
            return server
        server.close()  # any free port, but IPv4 and IPv6 got different ones
        await server.wait_closed()
        return await asyncio.start_server(self._serve, host, ports[0], limit=REQUEST_BYTES_MAX)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        server, self._server, self.port = self._server, None, 0
        if server is None:
            return
        for listening in server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)  # who was accepted just now begins, which a closed server would not let it, and ends
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in list(self._transports):
            transport.abort()  # also those that were served and wait for a slow phone to read the rest
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)  # what was aborted lets go of its socket
        await server.wait_closed()  # from Python 3.12 on it waits for the connections too

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._transports.add(writer.transport)
        task = asyncio.current_task()
        client = client_of(str((writer.get_extra_info("peername") or ("",))[0]))
        if task is None or self._server is None or not self._has_room(client):
            writer.transport.abort()
            return
        self._tasks[task] = client
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError):
            pass  # the phone went away or was too slow; there is nobody to tell
        except asyncio.CancelledError:
            writer.transport.abort()  # stop(): nobody waits until a slow phone has read the rest
        finally:
            self._tasks.pop(task, None)
            writer.close()

    def _has_room(self, client: str) -> bool:
        if len(self._tasks) >= CONNECTIONS_MAX:
            return False
        mine = sum(one == client for one in self._tasks.values())
        return mine < CONNECTIONS_A_CLIENT_MAX or is_here(client)

    def _load(self) -> tuple[Any, Any]:
        from microdot.microdot import Request

        from edge.web.app import make_app

        if self._app is None:
            self._app = make_app(self._bus, self._node, metrics=self._metrics, models_api=self._models_api,
                                 phone_page=self._phone_page)
        return self._app, Request

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, GONE_MS)
        app, request_class = self._load()
        bounded, request = _Bounded(reader), None
        async with asyncio.timeout(REQUEST_S):
            try:
                request = await request_class.create(app, bounded, writer, writer.get_extra_info("peername"))
            except (ValueError, EOFError):
                pass  # a bad request; the app says so
        if request is None and bounded.bytes_read == 0:
            return  # opened and closed without a word, as browsers do
        if request is not None and is_elsewhere(request.headers) and self._portal and (
            self._portal == str(writer.get_extra_info("sockname")[0]).removeprefix("::ffff:")
        ):
            response = _redirect(f"http://{self._portal}/")  # a phone that looks for the internet then opens the page
        else:
            response = await app.dispatch_request(request)
        await _write(response, reader, writer)
        if request is None or (request.content_length and not request.body):
            await _linger(reader, writer)


def _redirect(location: str) -> Response:
    from microdot.microdot import Response

    return Response("", 302, {"Location": location, "Cache-Control": "no-store"})


class _Bounded:
    """The reader as microdot uses it, with an end: a request that is too long reads as a bad one."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.bytes_read = 0

    async def readline(self) -> bytes:
        return self._count(await self._reader.readline())

    async def readexactly(self, n: int) -> bytes:
        return self._count(await self._reader.readexactly(n))

    def _count(self, data: bytes) -> bytes:
        self.bytes_read += len(data)
        if self.bytes_read > REQUEST_BYTES_MAX:
            raise ValueError("request too long")
        return data


def _refusal(status: int, code: str, message: str) -> bytes:
    return f'{status}\n{{"error":{{"code":"{code}","message":"{message}","hint":""}}}}'.encode()


async def _write(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One response. A streamed body ends when it is over or when the other side closes."""
    response.complete()
    words = response.reason or ("OK" if response.status_code < 300 else "Refused")
    head = [f"HTTP/1.0 {response.status_code} {words}"]
    head += [f"{name}: {value}" for name, value in response.headers.items()]
    data = ("\r\n".join(head) + "\r\n\r\n").encode()
    body = response.body
    if isinstance(body, bytes):
        await _drain(writer, data if response.is_head else data + body)
        return
    stream = response.body_iter()
    try:
        await _drain(writer, data)
        if not response.is_head:
            await _until_gone(_copy(stream, writer), reader)
    finally:
        await stream.aclose()


async def _copy(stream: Any, writer: asyncio.StreamWriter) -> None:
    async for part in stream:
        await _drain(writer, part)


async def _until_gone(work: Any, reader: asyncio.StreamReader) -> None:
    """Run `work` until it is done or the peer has closed its side."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    async with asyncio.timeout(WRITE_S):
        await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close so that the answer is not lost: with unread bytes the kernel would reset the connection."""
    if writer.can_write_eof():
        writer.write_eof()
    async with asyncio.timeout(1):
        for _ in range(16):
            if not await reader.read(16384):
                return
