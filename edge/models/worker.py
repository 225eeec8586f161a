"""The worker: one model, one job at a time, until the node hangs up. Run as a script by edge/models/process.py.

It is told what to do over the socket pair (edge/models/pipe.py) and answers there. A thread listens, so that a cancel
reaches a job in the middle of its computation and a ping is answered meanwhile; when the node is gone, it ends the
process at once. The engine is imported first, then all rights are given up, and only then is the model's file read.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SOCKET_FD, MODEL_FD = 3, 4  # as edge/models/pipe.py has them, which can't be imported yet
ENGINES = {"gguf": "edge.models.llama", "tflite": "edge.models.litert"}
MESSAGE_CHARS_MAX = 300


class Worker:
    """The two ends: the thread that listens and the one that works."""

    def __init__(self, connection: socket.socket) -> None:
        from edge.models import pipe

        self._pipe = pipe
        self._connection = connection
        self._sending = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
        self._state = threading.Lock()
        self._running = self._done = 0
        self._cancelled: set[int] = set()
        self._stop: Any = None

    def main(self) -> None:
        """Load the model, then work."""
        import importlib

        from edge.models import sandbox

        start = self._first()
        engine: Any = importlib.import_module(ENGINES[start["kind"]])
        sandbox.limit(start["memory_bytes"])
        engine.prepare()
        rights = sandbox.enter()
        threading.Thread(target=self._listen, daemon=True).start()
        os.nice(sandbox.NICE)  # this thread and those that it starts; who listens must not wait for a busy machine
        model = engine.Engine(MODEL_FD, start)
        self._stop = model.stop
        self._send([self._pipe.READY, rights | model.facts()])
        while True:
            self._work(model, *self._jobs.get())

    def fail(self, job: int, code: str, message: str, hint: str = "") -> None:
        """Tell the node what went wrong."""
        self._send([self._pipe.FAULT, job, code, message[:MESSAGE_CHARS_MAX], hint[:MESSAGE_CHARS_MAX]])

    def _work(self, model: Any, job: int, what: dict[str, Any]) -> None:
        from edge.models.engine import Cancelled, Refused

        with self._state:
            self._running = job
            self._stop[0] = job in self._cancelled
        try:
            done = model.run(what, lambda text: self._send([self._pipe.PART, job, text]),
                             lambda n, of: self._send([self._pipe.READ, job, n, of]))
            self._send([self._pipe.DONE, job, done])
        except Cancelled:
            self.fail(job, "cancelled", "the job was stopped")
        except Refused as refused:
            self.fail(job, refused.code, refused.message, refused.hint)
        except MemoryError:
            self.fail(job, "capacity_exceeded", "the model has no memory left for this", "ask for less at once")
        finally:
            with self._state:
                self._running, self._done = 0, job
                self._cancelled.discard(job)

    def _listen(self) -> None:
        buffer = bytearray()
        while data := self._connection.recv(65536):
            buffer += data
            for frame in self._pipe.take(buffer):
                if frame[0] == self._pipe.RUN:
                    self._jobs.put((frame[1], frame[2]))
                elif frame[0] == self._pipe.CANCEL:
                    self._cancel(frame[1])
                elif frame[0] == self._pipe.PING:
                    self._send([self._pipe.PONG])
        os._exit(0)

    def _cancel(self, job: int) -> None:
        with self._state:
            if job == self._running:
                self._stop[0] = 1
            elif job > self._done:
                self._cancelled.add(job)

    def _first(self) -> dict[str, Any]:
        buffer = bytearray()
        while data := self._connection.recv(65536):
            buffer += data
            for frame in self._pipe.take(buffer):
                first: dict[str, Any] = frame[1]
                return first
        os._exit(0)

    def _send(self, frame: list[Any]) -> None:
        with self._sending:
            self._connection.sendall(self._pipe.pack(frame))


def main() -> None:
    """Take over the search path from the command line and serve the node on file 3."""
    os.closerange(MODEL_FD + 1, os.sysconf("SC_OPEN_MAX"))  # what the node itself was given by mistake
    sys.path[:] = sys.argv[1:]
    from edge.models.engine import Refused

    worker = Worker(socket.socket(fileno=SOCKET_FD))
    try:
        worker.main()
    except ImportError as error:
        worker.fail(0, "unavailable", f"the package {error.name} is missing", "waypost doctor says how to get it")
    except Refused as refused:
        worker.fail(0, refused.code, refused.message, refused.hint)
    except MemoryError:
        worker.fail(0, "capacity_exceeded", "the model does not fit the memory that it is allowed")


if __name__ == "__main__":
    main()
