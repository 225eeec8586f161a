"""A worker process as the node holds it: started, spoken with, ended and reaped, without ever waiting for it.

posix_spawn with nothing inherited but a socket pair, the model's open file and a pipe for its last words; an
environment of its own, since the node's may hold secrets. The kernel tells of its end by a pidfd. What it says is
checked for form and no more.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys

from edge.models import group, pipe, worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LAST_WORDS_BYTES = 2000
_ABOVE = 16  # the parent's copies stand clear of the numbers that the child gets
_SCRIPT = os.path.abspath(worker.__file__)
# threads of a computation that wait for each other spin for some microseconds and then sleep: by default they spin for
# milliseconds, which beside other work costs a hundredfold; without any spinning two threads are slower than one
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1",
    "LANG": "C.UTF-8",
}  # fmt: skip


class Process(asyncio.Protocol):
    """One worker. on_frame(frame) gets each of its frames, on_end(status, said) its end, once: status as waitstatus
    gives it (negative: the signal), said: the end of what it wrote on standard error."""

    def __init__(self, on_frame: Callable[[list[Any]], None], on_end: Callable[[int, str], None]) -> None:
        self.pid = 0
        self._on_frame = on_frame
        self._on_end = on_end
        self._buffer = bytearray()
        self._transport: Any = None
        self._pidfd = self._errors = -1

    async def start(self, model_fd: int, first: list[Any], memory_bytes: int) -> None:
        """Start it with an open model file, bound to so much memory, and hand it its first frame. OSError is passed
        on."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        self._errors, errors = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self.pid = _spawn((theirs.fileno(), model_fd, errors))
            self._pidfd = os.pidfd_open(self.pid)
            group.bind(self.pid, memory_bytes)
        except BaseException:
            ours.close()
            os.close(self._errors)
            raise
        finally:
            theirs.close()
            os.close(errors)
        loop.add_reader(self._pidfd, self._ended)
        ours.setblocking(False)
        self._transport = (await loop.create_unix_connection(lambda: self, sock=ours))[0]
        self.send(first)

    def send(self, frame: list[Any]) -> None:
        """Say one thing to it; to one that has ended nothing is said."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pipe.pack(frame))

    def progress(self) -> tuple[str, ...]:
        """What changes while it computes or reads: its faults and times, as the kernel counts them."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
                return tuple(file.read().rpartition(")")[2].split()[7:13])  # minflt .. stime, proc(5)
        except OSError:
            return ()

    def kill(self) -> None:
        """End it now; on_end follows."""
        if self._pidfd >= 0:
            os.kill(self.pid, signal.SIGKILL)  # not reaped yet: the number is still its own

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            for frame in pipe.take(self._buffer):
                self._on_frame(pipe.answer(frame))
        except ValueError:
            self.kill()

    def _ended(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._pidfd)
        self._pidfd = -1
        if self._transport is not None:
            self._transport.abort()
        try:
            said = os.read(self._errors, 1 << 16)[-LAST_WORDS_BYTES:].decode("utf-8", "replace")
        except BlockingIOError:
            said = ""
        os.close(self._errors)
        self._on_end(status, said.strip())


def _spawn(files: tuple[int, int, int]) -> int:
    """Start the script with (socket, model, standard error) as its files 3, 4 and 2; gives its process id."""
    held = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for fd in files]
    try:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, held[2], 1),
            (os.POSIX_SPAWN_DUP2, held[2], 2),
            (os.POSIX_SPAWN_DUP2, held[0], worker.SOCKET_FD),
            (os.POSIX_SPAWN_DUP2, held[1], worker.MODEL_FD),
        ]
        flags = ["-I", "-S", "-X", "utf8"]
        if sys.pycache_prefix:
            flags += ["-X", "pycache_prefix=" + sys.pycache_prefix]
        words = [sys.executable, *flags, _SCRIPT, *(os.path.abspath(one) for one in sys.path if one)]
        environment = dict(_ENVIRONMENT)
        if "QEMU_CPU" in os.environ:  # under qemu-user: the processor that the node runs on
            environment["QEMU_CPU"] = os.environ["QEMU_CPU"]
        return os.posix_spawn(sys.executable, words, environment, file_actions=actions,
                              setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM))
    finally:
        for fd in held:
            os.close(fd)
