"""The operator's end of the control socket: one blocking connection to the node that runs in a directory.

It decides nothing: it sends capability calls as bus frames (4-byte big-endian length, then CBOR) and gives back what
the node answers, or raises the error that the node named. It works for directories whose path is longer than a socket
address may be. DESIGN, Capabilities.
"""

from __future__ import annotations

import os
import socket

from edge.bus import wire
from edge.core.cbor import CodecError
from edge.errors import DeadlineExceeded, NotRunning, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SOCKET_NAME = "control.sock"
GRACE_MS = 2000  # the node reports a missed deadline itself; this long after it we stop waiting for that
_PATH_BYTES_MAX = 107


class Client:
    """One connection. Use it with `with`; calls run one after another."""

    def __init__(self, directory: str) -> None:
        """Connect to the node of `directory`. Raises NotRunning."""
        self._directory = directory
        self._socket = _connect(directory)
        self._buffer = b""
        self._call_id = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the node cancels what is still running for us."""
        self._socket.close()

    def call(self, capability: str, params: dict[str, Any] | None = None, *, to: bytes | None = None,
             deadline_ms: int = 10000) -> Any:
        """The answer of one call; a streaming capability gives the list of its items. Raises BusError's subclasses."""
        items: list[Any] = []
        value: Any = None
        for last, one in self._answers(capability, params, to, deadline_ms):
            if last:
                value = one
            else:
                items.append(one)
        return items if items and value is None else value

    def stream(self, capability: str, params: dict[str, Any] | None = None, *, to: bytes | None = None,
               deadline_ms: int = 10000) -> Iterator[Any]:
        """The items of a streaming capability as they come; of another one, its one answer."""
        for last, one in self._answers(capability, params, to, deadline_ms):
            if not last or one is not None:
                yield one

    def _answers(self, capability: str, params: dict[str, Any] | None, to: bytes | None,
                 deadline_ms: int) -> Iterator[tuple[bool, Any]]:
        self._call_id += 1
        frame = [wire.CALL, self._call_id, capability, params or {}, deadline_ms]
        if to is not None:
            frame.append(to)
        self._socket.settimeout((deadline_ms + GRACE_MS) / 1000)
        try:
            self._send(frame)
            taken = 0
            while True:
                answer = self._frame()
                if answer[0] not in (wire.ITEM, wire.END, wire.ERROR) or answer[1] != self._call_id:
                    continue
                if answer[0] == wire.END:
                    yield True, answer[2]
                    return
                if answer[0] == wire.ERROR:
                    raise wire.to_error(*answer[2:])
                yield False, answer[2]
                taken += 1
                if taken == wire.WINDOW // 2:
                    self._send([wire.MORE, self._call_id, taken])
                    taken = 0
        except TimeoutError:
            raise DeadlineExceeded(f"the node gave no answer to {capability} in {deadline_ms} ms") from None
        except OSError as error:
            raise Unavailable(f"the connection to the node broke: {error.strerror or error}") from None

    def _send(self, frame: list[Any]) -> None:
        data = wire.pack(frame, wire.LOCAL_BYTES_MAX)
        self._socket.sendall(len(data).to_bytes(4, "big") + data)

    def _frame(self) -> list[Any]:
        length = int.from_bytes(self._read(4), "big")
        if length > wire.LOCAL_BYTES_MAX:
            raise Unavailable(f"the node sent {length} bytes at once", allowed=f"{wire.LOCAL_BYTES_MAX}")
        try:
            return wire.unpack(self._read(length), wire.LOCAL_BYTES_MAX)
        except CodecError as error:
            raise Unavailable(f"the node sent something unreadable ({error.reason})") from None

    def _read(self, n_bytes: int) -> bytes:
        parts = [self._buffer]
        have = len(self._buffer)
        while have < n_bytes:
            part = self._socket.recv(65536)
            if not part:
                raise Unavailable("the node hung up", hint="look at its log: it may have been stopped")
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        self._buffer = data[n_bytes:]
        return data[:n_bytes]


def start_hint(directory: str) -> str:
    """How a node of a directory is started on this machine, for people."""
    if os.path.isdir("/run/systemd/system"):
        from tools.restart_cli import has_service

        if has_service():
            return "start it: waypost restart"
    return f"start one: waypost --dir {directory} run"


def _connect(directory: str) -> socket.socket:
    path = os.path.join(os.path.abspath(directory), SOCKET_NAME)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    folder = -1
    try:
        if len(os.fsencode(path)) > _PATH_BYTES_MAX:
            folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        else:
            connection.connect(path)
    except OSError as error:
        connection.close()
        hint = start_hint(directory)
        if isinstance(error, PermissionError):
            hint = "run this as the user who runs the node"
        raise NotRunning(f"no node answers there ({error.strerror or error})", where=directory, hint=hint) from None
    finally:
        if folder >= 0:
            os.close(folder)
    return connection
