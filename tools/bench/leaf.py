"""A leaf as a Linux board runs it: edge/leaf.py under MicroPython, memory and CPU seen from outside.

This process plays the gateway: it answers the leaf's HELLO and sends it LEAF_MESSAGES signed notices over UDP, a
datagram at a time, each when the leaf has told of the one before. Skipped where there is no MicroPython: `make test`
unpacks Debian's, and WAYPOST_MICROPYTHON names another.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import time

from edge.compat import crypto
from edge.core import frame, hlc
from tools.bench import making
from tools.bench.figures import Figure, NotHere

LEAF_MESSAGES = 300  # more than a leaf keeps
HEAP_BYTES = 768 * 1024
WAIT_S = 20
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def leaf() -> list[Figure]:
    """VmRSS of the leaf when its store is full, and CPU for one message taken in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(WAIT_S)
        command = [_micropython(), "-X", f"heapsize={HEAP_BYTES}", "-m", "edge.leaf", "--port", "0",
                   "--gateway", f"127.0.0.1:{sock.getsockname()[1]}"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            return _measure(process, sock)
        finally:
            process.kill()
            process.communicate()


def _measure(process: subprocess.Popen[bytes], sock: socket.socket) -> list[Figure]:
    ready = _event(process, "ready")
    try:
        data, address = sock.recvfrom(2048)
    except TimeoutError:
        raise NotHere("the leaf says nothing to its gateway") from None
    if data[0] != frame.HELLO:
        raise NotHere("the leaf does not say HELLO")
    key = crypto.public_key(bytes(32))
    sock.sendto(frame.pack_hello((1, 1), key, int(time.time()) << 16, hlc.QUALITY_NONE, 15, "bench", []), address)
    _event(process, "peer")
    cpu_s = _cpu_s(process.pid)
    for one in making.notices(LEAF_MESSAGES):
        sock.sendto(frame.pack_messages([one.data]), address)
        _event(process, "message")
    spent_us = (_cpu_s(process.pid) - cpu_s) / LEAF_MESSAGES * 1e6
    rss_kib = _rss_kib(process.pid)
    note = f"{ready['crypto']}, heap {HEAP_BYTES // 1024} KiB, {rss_kib} KiB after {LEAF_MESSAGES} messages"
    return [
        Figure("MicroPython leaf memory", rss_kib * 1.024 / 1000, "MB VmRSS", 4.5, note=note),
        Figure("MicroPython leaf, one message", spent_us, "us CPU", note="its line of JSON included"),
    ]


def _event(process: subprocess.Popen[bytes], kind: str) -> dict[str, str]:
    """The next line of the leaf; it must be of this kind."""
    output = process.stdout
    if output is None or not select.select([output], [], [], WAIT_S)[0]:
        raise NotHere(f"the leaf said no {kind} in {WAIT_S} s")
    line = output.readline()
    try:
        event: dict[str, str] = json.loads(line)
    except ValueError:
        process.kill()
        said = process.communicate()[1].decode(errors="replace").strip().splitlines()
        raise NotHere(f"the leaf failed: {said[-1] if said else line!r}") from None
    if event.get("event") != kind:
        raise NotHere(f"the leaf said {event}, not {kind}")
    return event


def _micropython() -> str:
    for path in (os.environ.get("WAYPOST_MICROPYTHON"), os.path.join(ROOT, ".mp", "micropython"),
                 shutil.which("micropython")):
        if path and os.access(path, os.X_OK):
            return path
    raise NotHere("there is no MicroPython (make test unpacks it to .mp)")


def _cpu_s(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


def _rss_kib(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().partition("VmRSS:")[2].split()[0])
