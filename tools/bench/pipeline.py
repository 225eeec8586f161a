"""From a datagram to a committed row: a real node is sent signed messages over its UDP link, one a datagram.

Counted is the CPU time of the whole node process, all threads, between the first datagram (after a short warm-up) and
the moment when another process sees the last message in its database. Beside it, in the same run and slice by slice in
between, the bare rate of signature checks: the same messages through edge.compat.crypto.verify and nothing else. The
figure is the ratio of both rates. What waits until no more comes, the search index and triage (some 70 us a text), is
not in it. The sender has a process of its own; it never has more than WINDOW messages under way, nor more than
QUEUE_BYTES in the node's socket, so that nothing is lost.
"""

from __future__ import annotations

import socket
import sqlite3
import time

from edge.compat import crypto
from edge.core import frame, hlc
from tools.bench.figures import Figure, NotHere, median
from tools.bench.making import notices
from tools.bench.process import QUIET, RealNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.message import Message

MESSAGES = 4000  # below the burst that one neighbour may send
WARM_UP = 600  # of them are sent first and not counted
ROUNDS = 3
WINDOW = 440  # sent and not yet committed: below limits.PENDING_MAX
QUEUE_BYTES = 64 * 1024  # as the kernel counts them: a third of what a socket holds by default
BURST = 32
LOOK_S = 0.003  # the node has work for longer
STALLED_S = 20


def pipeline() -> list[Figure]:
    """The ratio, and both rates it is made of."""
    messages = list(notices(MESSAGES))
    rates, verify_rates = [], []
    for _ in range(ROUNDS):
        verify_rates.append(_verify_rate(messages))
        rates.append(_node_rate(messages))
    verify_rates.append(_verify_rate(messages))
    pairs = [(before + after) / 2 for before, after in zip(verify_rates, verify_rates[1:], strict=False)]
    ratio = median([rate / pair for rate, pair in zip(rates, pairs, strict=True)])
    size = len(frame.pack_messages([messages[-1].data]))
    return [
        Figure("pipeline / bare verify", ratio, "", 0.70, least=True, note=f"{ROUNDS} rounds, {size} bytes a datagram"),
        Figure("bare verify", median(verify_rates), "/s CPU", note=crypto.BACKEND),
        Figure("pipeline", median(rates), "/s CPU"),
    ]


def _verify_rate(messages: list[Message]) -> float:
    ready = [(one.author, one.signing_input(), one.signature) for one in messages]
    verify: Any = crypto.verify
    start = time.process_time()
    for author, signed, signature in ready:
        if not verify(author, signed, signature):
            raise RuntimeError("a signature of our own is not valid")
    return len(ready) / (time.process_time() - start)


def _node_rate(messages: list[Message]) -> float:
    """Messages a CPU second of a fresh node."""
    with RealNode(*QUIET, "lan.udp=true") as node:
        port = (node.ready.get("links") or {}).get("udp")
        if not port:
            raise NotHere(f"the node has no UDP link: {node.ready.get('links')}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            _greet(sock)
            frames = [frame.pack_messages([one.data]) for one in messages]
            rows = sqlite3.connect(f"file:{node.database}?mode=ro", uri=True)
            try:
                _send(sock, frames[:WARM_UP], rows, port)
                start_s = node.cpu_s()
                _send(sock, frames[WARM_UP:], rows, port)
                spent_s = node.cpu_s() - start_s
            finally:
                rows.close()
    return (len(messages) - WARM_UP) / spent_s


def _greet(sock: socket.socket) -> None:
    """Say HELLO as a neighbour that holds nothing and wait for the node's own."""
    key = crypto.public_key(bytes(32))
    sock.send(frame.pack_hello((1, 1), key, int(time.time()) << 16, hlc.QUALITY_NONE, 15, "bench", []))
    sock.settimeout(5)
    try:
        while sock.recv(2048)[0] != frame.HELLO:
            pass
    except TimeoutError:
        raise NotHere("the node does not answer over UDP") from None


def _send(sock: socket.socket, frames: list[bytes], rows: sqlite3.Connection, port: int) -> None:
    count = "SELECT count(*) FROM message"
    before = rows.execute(count).fetchone()[0]
    sent = held = 0
    moved_s = time.monotonic()
    while held < len(frames):
        while sent < len(frames) and sent - held < WINDOW and _queued_bytes(port) < QUEUE_BYTES:
            for one in frames[sent : sent + BURST]:
                sock.send(one)
                sent += 1
        time.sleep(LOOK_S)
        now_held = rows.execute(count).fetchone()[0] - before
        if now_held > held:
            held, moved_s = now_held, time.monotonic()
        elif time.monotonic() - moved_s > STALLED_S:
            raise NotHere(f"the node stopped at {held} of {sent} messages")


def _queued_bytes(port: int) -> int:
    """What waits in the receive queues of the UDP sockets on this port: column rx_queue of /proc/net/udp."""
    found = 0
    for name in ("udp", "udp6"):
        try:
            with open(f"/proc/net/{name}") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        found += sum(int(row[4].partition(":")[2], 16) for row in rows if int(row[1].rpartition(":")[2], 16) == port)
    return found
