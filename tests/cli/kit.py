"""Helpers of these tests: run one command line in this process, and real nodes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
from typing import Any

from tests.waiting import PATIENCE
from tools.cli import main

READY_S = 30 * PATIENCE


def cli(*words: object) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of one command line, run here."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return code, out.getvalue(), err.getvalue()


def cli_json(*words: object) -> Any:
    """What a command line prints with --json; it must succeed."""
    code, out, err = cli("--json", *words)
    assert code == 0, err
    return json.loads(out)


class RealNode:
    """`waypost run` as its own process, deaf to other nodes of this machine. Use it with `with`."""

    def __init__(self, directory: pathlib.Path, *settings: str) -> None:
        quiet = ["net.probe=false", "lan.multicast=false", "lan.mdns=false", "lan.port=0", "web.port=0",
                 "web.host=127.0.0.1"]
        words = [word for one in (*quiet, *settings) for word in ("--set", one)]
        self.directory = directory
        self.command = [sys.executable, "-m", "tools.cli", "--dir", str(directory), *words, "run", "--json"]
        self.line = b""  # what it said when it was ready
        self.ready: dict[str, Any] = {}

    def __enter__(self) -> RealNode:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        try:
            assert select.select([self.process.stdout], [], [], READY_S)[0], "not ready in time"
            self.line = self.process.stdout.readline()
            self.ready = json.loads(self.line or b"{}")
            assert self.ready.get("event") == "ready", self.line
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it; (exit code, what it had still printed, its log)."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=READY_S)
        return self.process.returncode, out.decode(), err.decode()

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.stop()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def rss_kib(pid: int) -> int:
    """VmRSS of a process, in KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS")))


def mapped(pid: int, word: str) -> bool:
    """Whether a process has a library of that name loaded."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return any(word in os.path.basename(line.split()[-1]) for line in file)
