"""A node in a network namespace, its cable pulled: how soon it knows, what it says, and what it offers no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.system.nodes import ip, namespaces, plug, unplug, until
from tools.client import Client

OFFLINE_S = 30
PAID = "llm.paid@1.0"

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
]


class Scene:
    """A node in namespace a, a router with a name server in namespace r."""

    def __init__(self, names: dict[str, str], folder: Path) -> None:
        self.names = names
        self.folder = folder
        self.server: subprocess.Popen[str] | None = None
        ip("-n", names["a"], "route", "add", "default", "via", "10.77.0.2")

    def serve(self, mode: str) -> None:
        """The name server answers so from now on."""
        if self.server is not None:
            self.server.send_signal(signal.SIGKILL)
            self.server.communicate()
        self.server = self._in("r", "tests.emergency.name_server", "10.77.0.2", "53", mode)
        assert self.server.stdout is not None
        assert self.server.stdout.readline() == "ready\n"

    def node(self) -> subprocess.Popen[str]:
        node = self._in("a", "tests.emergency.netns_node", str(self.folder), "net.servers=10.77.0.2", "web.port=0",
                        "lan.mdns=false", "lan.port=0", "library.paid_url=https://models.example/v1",
                        "library.paid_key=k", "library.paid_tokens_day=1000")
        assert node.stdout is not None
        assert "ready" in node.stdout.readline()
        return node

    def _in(self, letter: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(["ip", "netns", "exec", self.names[letter], sys.executable, "-m", *words], cwd=ROOT,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def call(self, name: str, **params: Any) -> Any:
        with Client(str(self.folder)) as client:
            return client.call(name, params)

    def reach(self) -> str:
        return str(self.call("emergency.status@1")["reach"]["state"])

    def offered(self) -> set[str]:
        return set(self.call("protocol.versions@1")["capabilities"])


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    with namespaces(f"wpem{os.getpid()}", [("a", "r")]) as names:
        one = Scene(names, folder)
        one.serve("answers")
        node = one.node()
        try:
            yield one
        finally:
            for process in (node, one.server):
                if process is not None:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()


def test_the_cable_is_pulled_and_the_internet_goes_behind_the_router(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        until(lambda: one.reach() == "normal", 60)
        before = one.offered()
        assert PAID in before

        unplug(one.names, "r", "a")
        took_s = until(lambda: one.reach() == "offline", OFFLINE_S + 30, 0.2)
        facts = one.call("emergency.status@1")
        assert took_s <= OFFLINE_S
        assert facts["reach"]["why"] == "the cable is out, or the Wi-Fi is gone"
        assert before - one.offered() == {PAID} and one.offered() <= before
        end = one.call("ask@1", question="How do I make water safe to drink?")[-1]["end"]
        assert end["by"] == "library"
        assert [row["why"] for row in end["skipped"]] == [
            "llm.paid needs the internet, which is not there: the cable is out, or the Wi-Fi is gone"]

        time.sleep(3)
        plug(one.names, "r", "a")
        until(lambda: one.reach() == "normal", 120, 0.2)
        assert one.offered() == before

        time.sleep(3)
        one.serve("servfail")
        took_s = until(lambda: one.reach() == "offline", OFFLINE_S + 30, 0.2)
        assert took_s <= OFFLINE_S
        why = one.call("emergency.status@1")["reach"]["why"]
        assert why in ("no name server answers; the router answers", "no name server answers")
        rows = one.call("emergency.status@1")["history"]
        assert [row["to"] for row in rows] == ["offline", "normal", "offline"]
