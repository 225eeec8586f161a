"""Two nodes with a cable between them: network namespaces and veth. Needs root. PROTOCOL 8."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.emulation import meets_by_multicast
from tests.waiting import PATIENCE

pytestmark = [
    pytest.mark.netns,
    meets_by_multicast,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"),
]
# so fast that a test can wait for it; a node takes 35 s to be sure that a cable is out
SHORT = {"keepalive_s": 1, "probe_s": 1, "probes": 1, "unacked_ms": 1200, "yield_ms": 1500, "handshake_ms": 1000,
         "refresh_ms_min": 200}


def ip(*arguments: str, namespace: str = "") -> None:
    inside = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *inside, *arguments], check=True, capture_output=True, timeout=10 * PATIENCE)


class Node:
    """One driver in its process; `wait` gives the next event of a kind."""

    def __init__(self, namespace: str, number: int, pace: dict[str, Any], settings: dict[str, Any]) -> None:
        order = json.dumps({"number": number, "pace": pace, "settings": settings})
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.lan.netns_node", order],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))

    def wait(self, kind: str, seconds: float = 5) -> dict[str, Any]:
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        seen = []
        while (left := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left)
            except queue.Empty:
                break
            if event["event"] == kind:
                return event
            seen.append(event)
        raise AssertionError(f"no {kind} within {seconds} s, but {seen}")

    def stop(self) -> dict[str, Any]:
        """Its last status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        status = self.wait("status")
        assert self.process.wait(5 * PATIENCE) == 0
        self._thread.join()
        self.process.stdout.close()
        return status


class Net:
    """Two namespaces, a and b; `plug` lays a cable between them."""

    def __init__(self) -> None:
        self.a, self.b = (f"waypost{os.getpid()}{x}" for x in "ab")
        self.nodes: list[Node] = []
        for name in (self.a, self.b):
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", namespace=name)

    def plug(self, ipv4: bool = True) -> None:
        ip("link", "add", "cable", "netns", self.a, "type", "veth", "peer", "name", "cable", "netns", self.b)
        for host, name in enumerate((self.a, self.b), 1):
            if ipv4:
                ip("addr", "add", f"10.9.9.{host}/24", "dev", "cable", namespace=name)
            ip("link", "set", "cable", "up", namespace=name)

    def node(self, namespace: str, number: int, pace: dict[str, Any] | None = None, **settings: Any) -> Node:
        self.nodes.append(Node(namespace, number, pace or {}, settings))
        return self.nodes[-1]

    def close(self) -> None:
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
            node._thread.join()
            for pipe in (node.process.stdin, node.process.stdout):
                if pipe is not None:
                    pipe.close()
        for name in (self.a, self.b):
            ip("netns", "del", name)


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net()
    try:
        yield net
    finally:
        net.close()


def test_found_pulled_and_plugged_again(net: Net) -> None:
    net.plug()
    a, b = net.node(net.a, 1, SHORT), net.node(net.b, 2, SHORT)
    a.wait("started")
    b.wait("started")
    started = time.monotonic()
    a.wait("up")
    b.wait("up")
    assert time.monotonic() - started <= 5
    assert b.wait("frame")["data"] == b"\x01hello".hex()
    for state in ("down", "up"):  # so short a break TCP mends by itself
        ip("link", "set", "cable", state, namespace=net.b)
        time.sleep(0.2)
    ip("link", "set", "cable", "down", namespace=net.b)
    for node in (a, b):
        assert node.wait("down", 8)["reason"] == "timeout"
    ip("link", "set", "cable", "up", namespace=net.b)
    plugged = time.monotonic()
    for node in (a, b):
        node.wait("up", 10)
        node.wait("frame")
    assert time.monotonic() - plugged <= 5
    status = a.stop()
    assert status["sessions"] == 1 and status["session.up"] == 2
    b.wait("down")  # it was told


def test_ipv6_alone(net: Net) -> None:
    """Only link-local addresses: ff02::5750 to find, a scope to connect."""
    net.plug(ipv4=False)
    a, b = net.node(net.a, 1), net.node(net.b, 2)
    for node in (a, b):
        address = node.wait("up")["address"]
        assert "fe80::" in address and "%cable" in address
        node.wait("frame")


def test_without_any_network(net: Net) -> None:
    """Two nodes on a machine that has loopback and nothing else."""
    one, other = net.node(net.a, 1), net.node(net.a, 2)
    ports = {one.wait("started")["port"], other.wait("started")["port"]}
    assert len(ports) == 2 and 7373 in ports, "the second takes another port and says so"
    for node in (one, other):
        node.wait("up")
        node.wait("frame")
        assert node.stop()["interfaces"] == "lo"


def test_an_interface_that_comes_later(net: Net) -> None:
    a, b = (net.node(name, n, {"quick_ms": [0]}) for n, name in enumerate((net.a, net.b), 1))
    a.wait("started")
    b.wait("started")
    time.sleep(0.1)  # their announces are over
    net.plug()
    plugged = time.monotonic()
    for node in (a, b):
        node.wait("up", 10)
    assert time.monotonic() - plugged <= 5
    for node in (a, b):
        assert node.stop()["interfaces"] == "lo cable"


COME_AND_GO = """
import socket, subprocess
from radios.lan import net
family = net.Multicast(socket.AF_INET, "239.192.87.80", 7374)
for n in range(23):
    for line in (f"add d{n} type veth peer name other", "set other up", f"set d{n} up"):
        subprocess.run(["ip", "link", *line.split()], check=True)
    subprocess.run(["ip", "addr", "add", f"10.8.{n}.1/24", "dev", f"d{n}"], check=True)
    family.join(net.interfaces())
    if socket.if_nametoindex(f"d{n}") not in family._joined:
        raise SystemExit(f"no membership on interface {n}")
    subprocess.run(["ip", "link", "del", f"d{n}"], check=True)
family.close()
"""


def test_memberships_of_dead_interfaces_are_given_back(net: Net) -> None:
    """A kernel allows 20 memberships a socket; interfaces that come and go must not use them up."""
    subprocess.run(["ip", "netns", "exec", net.a, sys.executable, "-c", COME_AND_GO], cwd=ROOT, check=True,
                   timeout=20 * PATIENCE)
