"""Real nodes in real processes, in network namespaces of their own where the test may make them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.conftest import ROOT
from tests.waiting import PATIENCE

WAYPOST = [sys.executable, "-m", "tools.cli"]


class NodeProcess:
    """A `waypost run` in a directory, started and killed at will; its commands go over the control socket."""

    def __init__(self, directory: str, *, netns: str = "", settings: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.netns = netns
        self.settings = ("web.port=0", "lan.mdns=false", "net.probe=false", *settings)
        self.process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    def command(self, *words: str) -> list[str]:
        """The command line of one command."""
        enter = ["ip", "netns", "exec", self.netns] if self.netns else []
        sets = [word for setting in self.settings for word in ("--set", setting)]
        return [*enter, *WAYPOST, "--dir", self.directory, *sets, *words]

    def start(self) -> dict[str, Any]:
        """Run it until it says that it is ready."""
        command = self.command("run", "--json")
        with open(self.directory + ".log", "a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
        if self.process.stdout is None:
            raise AssertionError("no standard output")
        line = self.process.stdout.readline()
        self.process.stdout.close()
        self.ready = json.loads(line)
        if self.ready["event"] != "ready":
            raise AssertionError(line)
        return self.ready

    def end(self, *, kill: bool = False) -> int:
        """Stop it, or pull its plug; its exit code."""
        if self.process is None:
            return 0
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        code = self.process.wait(20 * PATIENCE)
        self.process = None
        return code

    def cli(self, *words: str) -> Any:
        """One command with --json: what it printed. Raises CalledProcessError where it failed."""
        done = subprocess.run(self.command(*words, "--json"), capture_output=True, text=True, check=True, cwd=ROOT,
                              timeout=30 * PATIENCE)
        return json.loads(done.stdout)

    @property
    def key(self) -> str:
        return str(self.ready["node"])

    def texts(self) -> list[str]:
        """The texts on the board, sorted."""
        return sorted(row["text"] for row in self.cli("board", "list"))


def until(what: Callable[[], bool], within_s: float, every_s: float = 0.05) -> float:
    """Wait until `what` is true: the seconds it took. Raises AssertionError when it isn't in time (times PATIENCE)."""
    within_s *= PATIENCE
    start_s = time.monotonic()
    while not what():
        if time.monotonic() - start_s > within_s:
            raise AssertionError(f"not within {within_s} s")
        time.sleep(every_s)
    return time.monotonic() - start_s


@contextmanager
def running(*nodes: NodeProcess) -> Iterator[None]:
    """Start nodes, and end whatever of them still runs."""
    try:
        for node in nodes:
            node.start()
        yield
    finally:
        for node in nodes:
            node.end(kill=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def namespaces(prefix: str, cables: list[tuple[str, str]]) -> Iterator[dict[str, str]]:
    """Network namespaces joined by veth cables: {letter: namespace}. Each cable is a network of its own.

    The ends are called to-<other letter>; an end is unplugged by `unplug` and plugged again by `plug`.
    """
    letters = sorted({letter for cable in cables for letter in cable})
    names = {letter: f"{prefix}-{letter}" for letter in letters}
    try:
        for name in names.values():
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for number, (a, b) in enumerate(cables):
            peer = ("peer", "name", f"to-{a}", "netns", names[b])
            ip("link", "add", f"to-{b}", "netns", names[a], "type", "veth", *peer)
            for host, (one, two) in enumerate(((a, b), (b, a)), 1):
                ip("-n", names[one], "addr", "add", f"10.77.{number}.{host}/24", "dev", f"to-{two}")
                ip("-n", names[one], "link", "set", f"to-{two}", "up")
        yield names
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def unplug(names: dict[str, str], a: str, b: str) -> None:
    ip("-n", names[a], "link", "set", f"to-{b}", "down")


def plug(names: dict[str, str], a: str, b: str) -> None:
    ip("-n", names[a], "link", "set", f"to-{b}", "up")
