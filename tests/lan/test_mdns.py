"""_waypost._tcp: registered by a child that ends with the node, or a note that says why not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from radios.lan import mdns
from tests.conftest import ROOT
from tests.emulation import meets_by_multicast, not_emulated
from tests.lan.kit import Lan, lan
from tests.waiting import PATIENCE

KEY = bytes(range(32))
PARENT = """
import sys, time
from radios.lan.mdns import Registration
one = Registration(bytes(32), 7373)
one.command = lambda: [sys.executable, "-m", "tests.lan.test_mdns", sys.argv[1]]
one.start()
print(one._pid, flush=True)
time.sleep(60)
"""


def stop(one: mdns.Registration) -> None:
    asyncio.run(one.stop())


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = mdns.Registration(KEY, 7373)
    name = "waypost-00010203"
    avahi = ["/usr/bin/setpriv", "--pdeathsig", "TERM", "/usr/bin/avahi-publish", "-f", "-s", name,
             "_waypost._tcp", "7373", "v=1", "key=" + KEY.hex()]
    zeroconf = [sys.executable, "-m", "radios.lan.mdns", name, "7373", KEY.hex()]
    (tmp_path / "zeroconf").mkdir()
    monkeypatch.setattr(mdns.sys, "path", [str(tmp_path)])
    monkeypatch.setattr(mdns, "_which", lambda program: "/usr/bin/" + program)
    monkeypatch.setattr(mdns, "AVAHI_SOCKET", "/")
    assert one.command() == avahi
    monkeypatch.setattr(mdns, "AVAHI_SOCKET", "/no/such/socket")
    assert one.command() == zeroconf, "avahi-publish is there, but no daemon"
    monkeypatch.setattr(mdns.sys, "path", [])
    assert one.command() == avahi, "the daemon may come later"
    monkeypatch.setattr(mdns, "_which", lambda program: None)
    assert one.command() == []
    one.start()
    assert one.note().startswith("not registered: neither")
    stop(one)


def test_avahi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program in avahi-publish's place: started with its arguments, ended by a signal."""
    said = tmp_path / "said"
    program = tmp_path / "avahi-publish"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}.new\nmv {said}.new {said}\nexec sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(mdns, "AVAHI_SOCKET", "/")
    one = mdns.Registration(KEY, 7373)
    one.start()
    pid = one._pid
    deadline = time.monotonic() + 5 * PATIENCE
    while not said.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said.read_text() == f"-f -s waypost-00010203 _waypost._tcp 7373 v=1 key={KEY.hex()}\n"
    assert one.note() == "registered as waypost-00010203 by avahi"
    stop(one)
    assert not alive(pid)


def test_a_helper_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    one = mdns.Registration(KEY, 7373)
    monkeypatch.setattr(one, "command", lambda: ["/bin/false"])
    one.start()
    deadline = time.monotonic() + 5 * PATIENCE
    while "ended" not in one.note() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert one.note() == "not registered: the helper has ended (256)"
    stop(one)


@not_emulated("does not tell the parent of an exec that failed")
def test_a_helper_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    one = mdns.Registration(KEY, 7373)
    monkeypatch.setattr(one, "command", lambda: ["/no/such/program"])
    one.start()
    assert one.note() == "not registered: program: No such file or directory"
    stop(one)


def test_the_child_ends_with_the_node_however_that_ends() -> None:
    command = [sys.executable, "-c", PARENT, "wait"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5 * PATIENCE
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


@meets_by_multicast
def test_registered_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """By zeroconf in a child, found by zeroconf here."""
    zeroconf: Any = pytest.importorskip("zeroconf")
    monkeypatch.setattr(mdns, "AVAHI_SOCKET", "/no/such/socket")
    one = mdns.Registration(os.urandom(32), 7373)
    one.start()
    browser = zeroconf.Zeroconf()
    try:
        info = None
        deadline = time.monotonic() + 10 * PATIENCE
        while info is None and time.monotonic() < deadline:
            info = browser.get_service_info("_waypost._tcp.local.", f"{one._name}._waypost._tcp.local.", 300)
        assert info is not None and info.port == 7373
        assert info.properties == {b"v": b"1", b"key": one._key.encode()}
        assert one.note().endswith("by zeroconf")
    finally:
        browser.close()
        stop(one)


def test_the_driver_says_how_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdns.Registration, "command", lambda self: [])

    async def test(place: Lan) -> None:
        off, _ = await place.node(1)
        none, heard = await place.node(2, mdns=True)
        assert off.status()["mdns"] == "off"
        assert str(none.status()["mdns"]).startswith("not registered") and not heard.troubles

    async def whole() -> None:
        async with lan() as place:
            await test(place)

    asyncio.run(whole())


if __name__ == "__main__":
    sys.stdin.buffer.read()  # stands for the child that registers: it ends when its standard input does
