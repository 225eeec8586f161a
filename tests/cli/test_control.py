"""The control socket and its client: framing, bounds, long paths, what is left behind, and what a node may answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import socket
import stat
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from edge.bus import wire
from edge.bus.bus import Bus
from edge.caller import ANCHOR, LOCAL
from edge.console import control
from edge.console.control import ControlServer
from edge.errors import (
    AlreadyRunning,
    BadRequest,
    DeadlineExceeded,
    LinkError,
    NotFound,
    NotRunning,
    Unavailable,
    WaypostError,
)
from tests.waiting import PATIENCE
from tools import client as client_module
from tools.client import Client


class Here:
    """A bus with two capabilities behind a control socket."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.bus = Bus(self._send, lambda key, member: 0, lambda: 0, bytes(32))
        self.bus.provide("echo", "1.0", self._echo, trust=ANCHOR, summary="gives back what it is given")
        self.bus.provide("count", "1.0", self._count, trust=ANCHOR, summary="0, 1, 2, ...")
        self.bus.provide("wait", "1.0", self._wait, trust=ANCHOR, summary="never answers")
        self.server = ControlServer(str(folder), self.bus)
        self.cancelled = asyncio.Event()

    def _send(self, link: str, handle: bytes, lane: int, payload: bytes) -> bool:
        assert link == control.LINK
        return self.server.send(handle, payload)

    async def _echo(self, caller: Any, params: dict[str, Any]) -> Any:
        return {"via": caller.via, "trust": caller.trust, **params}

    async def _count(self, caller: Any, params: dict[str, Any]) -> AsyncIterator[int]:
        for number in range(params["to"]):
            yield number

    async def _wait(self, caller: Any, params: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


def with_server(folder: pathlib.Path, work: Callable[[], Any], after: Callable[[Here], Any] | None = None) -> Any:
    """What `work` gives, run in a thread beside a served socket."""

    async def main() -> Any:
        here = Here(folder)
        await here.server.start()
        try:
            result = await asyncio.to_thread(work)
            if after is not None:
                await after(here)
            return result
        finally:
            await here.server.stop()
            await here.bus.close()

    return asyncio.run(main())


def raw(folder: pathlib.Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(folder / "control.sock"))
    return connection


def test_call_and_stream(tmp_path: pathlib.Path) -> None:
    def work() -> None:
        with Client(str(tmp_path)) as client:
            big = "x" * 100_000
            assert client.call("echo@1", {"text": big}) == {"text": big, "trust": LOCAL.trust, "via": "local"}
            assert list(client.stream("count@1", {"to": 100})) == list(range(100))  # more than one window
            assert client.call("count@1", {"to": 3}) == [0, 1, 2]
            assert client.call("count@1", {"to": 0}) == []
            with pytest.raises(NotFound):
                client.call("nothing@1")
            with pytest.raises(BadRequest):
                client.call("echo@1", {"f": 1.5})
            assert client.call("echo@1", {"a": b"\0"})["a"] == b"\0"

    with_server(tmp_path, work)


def test_deadline_is_the_nodes_or_ours(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with Client(str(tmp_path)) as client, pytest.raises(DeadlineExceeded):
            client.call("wait@1", deadline_ms=50)

    with_server(tmp_path, work)
    monkeypatch.setattr(client_module, "GRACE_MS", -9900)
    monkeypatch.setattr(Here, "_send", lambda *args: None)
    with_server(tmp_path, lambda: work_silent(tmp_path))


def work_silent(folder: pathlib.Path) -> None:
    with Client(str(folder)) as client, pytest.raises(DeadlineExceeded) as caught:
        client.call("echo@1", deadline_ms=10000)
    assert "no answer" in str(caught.value)


def test_hanging_up_cancels(tmp_path: pathlib.Path) -> None:
    def work() -> None:
        connection = raw(tmp_path)
        data = wire.pack([wire.CALL, 1, "wait@1", {}, 60000])
        connection.sendall(len(data).to_bytes(4, "big") + data)
        data = wire.pack([wire.CALL, 2, "echo@1", {}, 60000])
        connection.sendall(len(data).to_bytes(4, "big") + data)
        assert connection.recv(1)
        connection.close()

    async def after(here: Here) -> None:
        await asyncio.wait_for(here.cancelled.wait(), 5 * PATIENCE)
        assert not here.server.clients

    with_server(tmp_path, work, after)


@pytest.mark.parametrize("data", [
    b"\xff\xff\xff\xff", (control.REQUEST_BYTES_MAX + 1).to_bytes(4, "big") + b"x",
], ids=["huge", "too long"])
def test_a_frame_that_is_too_long_is_hung_up_on(tmp_path: pathlib.Path, data: bytes) -> None:
    def work() -> None:
        with contextlib.closing(raw(tmp_path)) as connection:
            connection.sendall(data)
            assert connection.recv(100) == b""

    with_server(tmp_path, work)


def test_garbage_does_not_disturb_others(tmp_path: pathlib.Path) -> None:
    def work() -> None:
        with contextlib.closing(raw(tmp_path)) as connection, Client(str(tmp_path)) as client:
            for data in (b"\0\0\0\0", b"\0\0\0\x01\xff", b"\0\0\0\x03abc", b"\0\0\0\x02\x81\x18", b"\0\0"):
                connection.sendall(data)
                assert client.call("echo@1", {"n": 1})["n"] == 1

    with_server(tmp_path, work)


def test_byte_by_byte(tmp_path: pathlib.Path) -> None:
    def work() -> None:
        with contextlib.closing(raw(tmp_path)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            data = wire.pack([wire.CALL, 7, "echo@1", {"n": 1}, 1000])
            for one in len(data).to_bytes(4, "big") + data:
                connection.sendall(bytes([one]))
            file = connection.makefile("rb")
            kind = 0
            while kind != wire.END:
                kind, *rest = wire.unpack(file.read(int.from_bytes(file.read(4), "big")))
            assert rest[0] == 7 and rest[1]["n"] == 1
            file.close()

    with_server(tmp_path, work)


def test_clients_are_bounded(tmp_path: pathlib.Path) -> None:
    def work() -> None:
        clients = [Client(str(tmp_path)) for _ in range(control.CLIENTS_MAX)]
        for one in clients:
            one.call("echo@1")
        with Client(str(tmp_path)) as late, pytest.raises(Unavailable):
            late.call("echo@1")
        for one in clients:
            one.close()

    async def after(here: Here) -> None:
        assert here.server.refused == 1

    with_server(tmp_path, work, after)


def test_a_client_that_does_not_read_is_hung_up_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "WAITING_BYTES_MAX", 100_000)

    def work() -> None:
        with contextlib.closing(raw(tmp_path)) as connection:
            data = wire.pack([wire.CALL, 1, "echo@1", {"x": bytes(30000)}, 1000])
            with contextlib.suppress(OSError):  # by then it is gone
                for _ in range(200):
                    connection.sendall(len(data).to_bytes(4, "big") + data)
            with pytest.raises(OSError):
                while connection.recv(1 << 20):
                    pass
                raise ConnectionResetError

    with_server(tmp_path, work)


def test_mode_and_place(tmp_path: pathlib.Path) -> None:
    mask = os.umask(0)
    try:
        mode = with_server(tmp_path, lambda: (tmp_path / "control.sock").stat().st_mode)
    finally:
        os.umask(mask)
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / "control.sock").exists()


def test_a_long_path(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / ("a" * 100) / ("b" * 100)
    folder.mkdir(parents=True)

    def work() -> Any:
        with Client(str(folder)) as client:
            return client.call("echo@1", {"n": 5})["n"]

    assert with_server(folder, work) == 5
    assert not (folder / "control.sock").exists()


def test_a_dead_nodes_socket_is_replaced(tmp_path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NotRunning):
        Client(str(tmp_path))

    def work() -> Any:
        with Client(str(tmp_path)) as client:
            return client.call("echo@1", {"n": 5})["n"]

    assert with_server(tmp_path, work) == 5


def test_what_is_no_socket_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "control.sock").write_text("mine")
    with pytest.raises(AlreadyRunning):
        with_server(tmp_path, lambda: None)
    assert (tmp_path / "control.sock").read_text() == "mine"


def test_no_directory(tmp_path: pathlib.Path) -> None:
    with pytest.raises(LinkError):
        with_server(tmp_path / "none", lambda: None)


@pytest.mark.parametrize(("reply", "said"), [
    (b"", "hung up"), (b"\0\0\0\x05ab", "hung up"), (b"\xff\xff\xff\xff", "at once"), (b"\0\0\0\x01\xff", "unreadable"),
], ids=["nothing", "half", "huge", "garbage"])
def test_a_node_that_answers_nonsense(tmp_path: pathlib.Path, reply: bytes, said: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen(1)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10000)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with Client(str(tmp_path)) as client, pytest.raises(WaypostError) as caught:
                client.call("echo@1", deadline_ms=1000)
        finally:
            thread.join()
    assert said in str(caught.value)
