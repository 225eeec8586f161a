"""A real node as its own process, seen from outside: the ready line, its memory, CPU and wake-ups from /proc."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from tools.bench.figures import NotHere

READY_S = 60
QUIET = ("lan.multicast=false", "lan.mdns=false", "lan.port=0", "web.port=0", "web.host=127.0.0.1")


class RealNode:
    """`waypost run` in a directory of its own, with what it says kept. Use it with `with`.

    settings: KEY=VALUE as after --set. directory: where it lives; made, and removed at the end, when not given.
    """

    def __init__(self, *settings: str, directory: str | None = None) -> None:
        self.directory = directory or tempfile.mkdtemp(prefix="waypost-bench-")
        self.ready: dict[str, Any] = {}
        self.ready_cpu_s = 0.0
        self._keep = directory is not None
        words = [word for setting in settings for word in ("--set", setting)]
        self._command = [sys.executable, "-m", "tools.cli", "--dir", self.directory, *words, "--json", "run"]

    def __enter__(self) -> RealNode:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(self._command, env=environment, stdout=subprocess.PIPE, stderr=self._errors)
        self.pid = self._process.pid
        try:
            self.ready = self._ready_line()
            self.ready_cpu_s = self.cpu_s()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    @property
    def database(self) -> str:
        """The path of its database."""
        return os.path.join(self.directory, "waypost.db")

    def cpu_s(self) -> float:
        """CPU seconds of the whole process since exec, ended threads and the time before the last exec included."""
        return cpu_s(self.pid)

    def rss_kib(self) -> int:
        """VmRSS now, in KiB."""
        return int(self._status(self.pid, "VmRSS"))

    def wake_ups(self) -> int:
        """Voluntary context switches of all its threads so far: each ends a wait."""
        threads = os.listdir(f"/proc/{self.pid}/task")
        return sum(int(self._status(f"{self.pid}/task/{one}", "voluntary_ctxt_switches")) for one in threads)

    def _ready_line(self) -> dict[str, Any]:
        output = self._process.stdout
        if output is None or not select.select([output], [], [], READY_S)[0]:
            raise NotHere(f"the node was not ready in {READY_S} s: {self._said()}")
        line = output.readline()
        try:
            event = json.loads(line)
        except ValueError:
            raise NotHere(f"the node did not start: {self._said() or line!r}") from None
        if event.get("event") != "ready":
            raise NotHere(f"the node did not start: {self._said() or line!r}")
        return dict(event)

    def _said(self) -> str:
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def _status(place: int | str, name: str) -> str:
        with open(f"/proc/{place}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return line.split()[1]
        raise NotHere(f"/proc shows no {name}")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process since it began, ended threads included."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)


def waited_s(pid: int) -> float:
    """Seconds that threads of a process were ready to run and something else ran: what other processes took from it."""
    total_ns = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total_ns += int(file.read().split()[1])
        except FileNotFoundError:
            continue  # it has just ended
    return total_ns / 1e9


def wait_rows(path: str, count: int, seconds: float) -> float:
    """Wait until the database at `path` holds `count` messages; the monotonic second at which it was seen so."""
    import sqlite3

    end_s = time.monotonic() + seconds
    with_rows = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        while True:
            held = with_rows.execute("SELECT count(*) FROM message").fetchone()[0]
            now_s = time.monotonic()
            if held >= count:
                return now_s
            if now_s > end_s:
                raise NotHere(f"only {held} of {count} messages were committed in {seconds:.0f} s")
            time.sleep(0.002)
    finally:
        with_rows.close()
