"""A real node as an operator would see it: how it starts, what it needs when idle, and when it holds a lot.

All from /proc of `waypost run` processes with LAN (multicast included), store, bus and page.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request

from tools.bench import making
from tools.bench.figures import Figure, NotHere, median, progress
from tools.bench.process import RealNode

NODE = ("lan.mdns=false", "lan.port=0", "web.port=0", "web.host=127.0.0.1")
STARTS = 5
SETTLE_S = 5.0
IDLE_S = 40.0  # longer than the timers that an idle node has (30 s)
FULL_MESSAGES = 100_000


def startup() -> list[Figure]:
    """CPU seconds from exec to the ready line, over some starts; the first one, which compiles, is left out."""
    spent, walls = [], []
    for number in range(STARTS + 1):
        start_s = time.monotonic()
        with RealNode(*NODE) as node:
            if number:
                spent.append(node.ready_cpu_s)
                walls.append(time.monotonic() - start_s)
    return [Figure("exec to ready", median(spent), "s CPU", 0.35, note=f"{median(walls):.2f} s by the wall")]


def idle() -> list[Figure]:
    """Memory, CPU and wake-ups of a node that nobody talks to; then the memory once its page has been opened."""
    with RealNode(*NODE) as node:
        time.sleep(SETTLE_S)
        cpu_s, wake_ups, start_s = node.cpu_s(), node.wake_ups(), time.monotonic()
        time.sleep(IDLE_S)
        lasted_s = time.monotonic() - start_s
        cpu_percent = (node.cpu_s() - cpu_s) / lasted_s * 100
        per_second = (node.wake_ups() - wake_ups) / lasted_s
        rss_kib = node.rss_kib()
        url = node.ready.get("web")
        if not url:
            raise NotHere("the node serves no page")
        for path in ("/", "/app.js", "/texts.js", "/style.css", "/icon.svg", "/api/status", "/api/board", "/api/peers"):
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                answer.read()
        visited_kib = node.rss_kib()
    after = f"{rss_kib} KiB after {SETTLE_S + IDLE_S:.0f} s"
    return [
        Figure("idle memory", rss_kib * 1.024 / 1000, "MB VmRSS", 20.0, note=after),
        Figure("memory once the page was opened", visited_kib * 1.024 / 1000, "MB VmRSS", 20.0),
        Figure("idle CPU", cpu_percent, "% of a core", 0.2, note=f"over {lasted_s:.0f} s"),
        Figure("idle wake-ups", per_second, "/s", 5, note="voluntary context switches of all threads"),
    ]


def full() -> list[Figure]:
    """Memory of a node that has taken in 100,000 messages from a courier file, and again after a restart."""
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as folder:
        source, target = os.path.join(folder, "from"), os.path.join(folder, "to")
        os.mkdir(source)
        os.mkdir(target)
        progress(f"signing {FULL_MESSAGES:,} messages")
        making.store(os.path.join(source, "waypost.db"), FULL_MESSAGES)
        courier = os.path.join(folder, "all.waypost")
        with RealNode(*NODE, directory=source) as node:
            _waypost(node.directory, "export", courier)
        with RealNode(*NODE, directory=target) as node:
            progress("importing them")
            _waypost(node.directory, "import", courier)
            time.sleep(SETTLE_S)
            after_kib = node.rss_kib()
        with RealNode(*NODE, directory=target) as node:
            time.sleep(SETTLE_S)
            restarted_kib, ready_s = node.rss_kib(), node.ready_cpu_s
    return [
        Figure("memory after 100,000 messages", after_kib * 1.024 / 1000, "MB VmRSS", 24.0),
        Figure("the same after a restart", restarted_kib * 1.024 / 1000, "MB VmRSS", 24.0,
               note=f"{ready_s:.2f} s CPU from exec to ready with 100,000 messages"),
    ]


def _waypost(directory: str, *words: str) -> None:
    command = [sys.executable, "-m", "tools.cli", "--dir", directory, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise NotHere(f"waypost {words[0]}: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]}")
