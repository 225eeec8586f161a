"""What a neighbour missed: one node holds 1,000 messages, an empty one connects to it, both real and on loopback.

The empty node connects through a relay in this process that counts every byte of the TCP stream, both ways, from the
handshake on. The clock starts when the connection is made and stops when all messages are seen in the empty node's
database by this third process. Multicast and mDNS are off, so that nothing else is on the wire.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import tempfile
import threading
import time

from tools.bench import making
from tools.bench.figures import Figure, NotHere, median
from tools.bench.process import QUIET, RealNode, wait_rows

MESSAGES = 1000
ROUNDS = 3
WAIT_S = 30
SETTLE_S = 0.5  # what still crosses the wire after the last commit is counted as well


def sync() -> list[Figure]:
    """Seconds and bytes a message."""
    full = tempfile.mkdtemp(prefix="waypost-bench-")
    try:
        making.store(os.path.join(full, "waypost.db"), MESSAGES)
        rounds = [_round(full) for _ in range(ROUNDS)]
    finally:
        shutil.rmtree(full, ignore_errors=True)
    each = f"{ROUNDS} rounds: " + ", ".join(f"{seconds:.2f} s" for seconds, _, _ in rounds)
    return [
        Figure("sync of 1,000 messages", median([one[0] for one in rounds]), "s", 0.4, note=each),
        Figure("bytes of one synced message", median([one[1] for one in rounds]), "bytes", 260,
               note="TCP payload both ways, handshake and reconciliation included; 140 bytes of text a message"),
        Figure("CPU of both nodes for it", median([one[2] for one in rounds]), "s CPU"),
    ]


def _round(full: str) -> tuple[float, float, float]:
    with RealNode(*QUIET, directory=full) as holder:
        port = (holder.ready.get("links") or {}).get("lan")
        if not port:
            raise NotHere(f"the node has no LAN link: {holder.ready.get('links')}")
        with Relay(port) as relay, RealNode(*QUIET, f"lan.peers=127.0.0.1:{relay.port}") as empty:
            if not relay.connected.wait(WAIT_S):
                raise NotHere("the empty node did not connect")
            done_s = wait_rows(empty.database, MESSAGES, WAIT_S)
            spent_s = holder.cpu_s() - holder.ready_cpu_s + empty.cpu_s() - empty.ready_cpu_s
            time.sleep(SETTLE_S)
            return done_s - relay.connected_s, relay.bytes / MESSAGES, spent_s


class Relay:
    """Passes one TCP connection on to `port` and counts its bytes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.bytes = 0
        self.connected = threading.Event()
        self.connected_s = 0.0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="relay")

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            if not self.connected.is_set():
                self.connected_s = time.monotonic()
                self.connected.set()
            with near, socket.create_connection(("127.0.0.1", self._target)) as far:
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    self._pass(near, far)
                except OSError:
                    pass  # one side is gone

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        while not self._stop.is_set():
            for one in select.select([near, far], [], [], 0.2)[0]:
                data = one.recv(262144)
                if not data:
                    return
                self.bytes += len(data)
                (far if one is near else near).sendall(data)
