"""The page for phones in Chromium here, by Web Bluetooth, against nodes in the machine: `make test-ble-web`.

Chromium's Bluetooth is BlueZ in the machine, by D-Bus over TCP; what is between it and the node is all real but the
radio. Screenshots are left in the test's own folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.ble_vm.machine import machine
from tests.web.browser import Browser
from tests.web.hosted import hosted
from tools.page_cli import page_files

SUITE = os.environ.get("BLE_SUITE", "trixie")
FLAGS = ("--enable-features=WebBluetooth", "--enable-experimental-web-platform-features")
READY_S, SLOW_S, TEST_S_MAX = 300, 120, 900
COMMUNITY = "c0ffee" * 10 + "beef"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Street:
    """Nodes in the machine, the page's host and the browser of a passer-by."""

    def __init__(self, browser: Browser, process: Any, run: Path, nodes: list[dict[str, Any]], folder: Path) -> None:
        self.browser, self.process, self.run, self.nodes, self.folder = browser, process, run, nodes, folder
        self.choose = ""  # the address of the node that the person will choose; bumble's air carries no names
        self._chosen = False
        self._done = 0
        browser.on_event = self._event

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method != "DeviceAccess.deviceRequestPrompted" or self._chosen:
            return
        for device in params["devices"]:
            if device["id"] == self.choose:
                self._chosen = True
                self._task = asyncio.create_task(
                    self.browser("DeviceAccess.selectPrompt", id=params["id"], deviceId=device["id"]))

    async def sees(self, script: str) -> None:
        """Wait until this holds in the page; else fail with what the page says, and a screenshot."""
        try:
            await self.browser.until(script, SLOW_S)
        except TimeoutError:
            await self.shot("not_seen.png")
            said = {name: await self.text(name) for name in ("name", "reach-said", "gone", "carried")}
            raise AssertionError(f"not within {SLOW_S} s: {script}; the page says {said}") from None

    async def connect(self, number: int) -> None:
        """Press the button and choose this node."""
        self.choose, self._chosen = self.nodes[number]["address"], False
        await self.browser.click("#reach")
        await self.sees(f"document.getElementById('name').innerText == {json.dumps(self.nodes[number]['name'])}")

    async def key(self, digits: str) -> None:
        """Give the page a community key."""
        await self.browser.eval("document.querySelector('#phone details').open = true")
        await self.browser.type("#key", digits)
        await self.browser.eval("document.getElementById('key').dispatchEvent(new Event('change'))")

    async def text(self, element: str) -> str:
        return str(await self.browser.eval(f"document.getElementById('{element}').innerText"))

    async def notices(self) -> list[str]:
        found = await self.browser.eval("[...document.querySelectorAll('.notice .text')].map(e => e.innerText)")
        return [str(text) for text in found]

    def http(self, number: int, path: str) -> Any:
        """What a node's page over HTTP says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.nodes[number]['port']}{path}", timeout=60) as answer:
            return json.load(answer)

    async def shot(self, name: str) -> None:
        (self.folder / name).write_bytes(await self.browser.shot(whole=True))

    async def do(self, number: int, *words: str) -> str:
        """Have something done: "pull", "plug" or "cut" the node's adapter, or a command line of its; what that says."""
        self._done += 1
        self._order(json.dumps([self._done, self.nodes[number]["name"], *words]))
        return str(await told(self.process, self.run / f"done.{self._done}"))

    def _order(self, line: str) -> None:
        with open(self.run / "do", "a") as file:
            file.write(line + "\n")

    async def carried(self, given: int, taken: int) -> None:
        """Wait until the phone says that it has given to this node, and taken from it, at least so many."""
        figures = "(document.getElementById('carried').innerText.match(/\\d+/g) || []).map(Number)"
        await self.sees(f"(f => f[1] >= {given} && f[2] >= {taken})({figures})")


@asynccontextmanager
async def street(folder: Path, nodes: list[dict[str, Any]]) -> AsyncIterator[Street]:
    """Nodes: name, settings and notices of each."""
    dbus, outside = free_port(), [free_port() for _ in nodes]
    nodes = [{"settings": [], "board": [], **facts, "port": 8080 + n} for n, facts in enumerate(nodes)]
    forward = "".join(f",hostfwd=tcp:127.0.0.1:{port}-:{8080 + n}" for n, port in enumerate(outside))
    net = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{dbus}-:7000{forward}"
    task = shlex.join(["python3", "-m", "tests.ble_vm.inside.served", "7000", json.dumps(nodes)])
    bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"tcp:host=127.0.0.1,port={dbus}"}
    with machine(SUITE, task, "-netdev", net, "-device", "virtio-net-pci,netdev=net,romfile=") as (process, run):
        await told(process, run / "bus")
        async with hosted(page_files()) as host, Browser(folder / "profile", *FLAGS, environment=bus) as browser:
            await browser.size(390, 844, phone=True)
            await browser.open(host.url)
            await browser("DeviceAccess.enable")
            await browser.until("document.getElementById('radio-off')")
            await browser.until("document.getElementById('radio-off').hidden", SLOW_S)
            (run / "go").touch()
            said = await told(process, run / "ready")
            facts = [one | {"port": port} for one, port in zip(said, outside, strict=True)]
            yield Street(browser, process, run, facts, folder)
            assert not browser.complaints


async def told(process: Any, path: Path) -> Any:
    """What the machine writes into this file."""
    async with asyncio.timeout(READY_S):
        while (value := read(path)) is None:
            assert process.poll() is None, "the machine went off; see above"
            await asyncio.sleep(0.2)
    return value


def read(path: Path) -> Any:
    """The JSON of a file, None while it is not there."""
    return json.loads(path.read_text()) if path.exists() else None


MILL, SCHOOL, CLINIC = 0, 1, 2
NODES = [
    {"name": "Mill", "board": ["Well water is good again", "Soup at six"]},
    {"name": "School", "board": ["Beds in the gym"]},
    {"name": "Clinic", "board": ["Insulin is here"], "settings": [f"community.key={COMMUNITY}"]},
]


def test_a_passer_by(tmp_path: Path) -> None:
    async def main() -> None:
        signal.alarm(TEST_S_MAX)
        async with street(tmp_path, NODES) as on:
            for step in STEPS:
                began_s = time.monotonic()
                await step(on)
                print(f"{step.__name__}: {time.monotonic() - began_s:.1f} s", flush=True)
                await on.shot(f"{step.__name__}.png")

    asyncio.run(main())


async def reads_and_posts(on: Street) -> None:
    await on.connect(MILL)
    await on.sees("document.querySelectorAll('.notice').length == 2")
    assert await on.notices() == ["Soup at six", "Well water is good again"]
    await on.browser.type("#text", "From a phone, by Bluetooth")
    await on.browser.click("#send")
    await on.sees("document.querySelectorAll('.notice').length == 3")
    assert (await on.notices())[0] == "From a phone, by Bluetooth"
    assert on.http(MILL, "/api/board")["notices"][0]["text"] == "From a phone, by Bluetooth"


async def is_out_of_reach_and_back(on: Street) -> None:
    said, away = "document.getElementById('reach-said').innerText", "document.getElementById('gone').innerText"
    noticed = asyncio.create_task(on.sees(f"{said} || {away}"))  # it may be back before we are told
    await on.do(MILL, "cut")
    await noticed
    await on.sees(f"!{said} && !{away}")  # by itself
    await on.do(MILL, "pull")
    await on.sees(f"{away}.startsWith('Out of reach')")
    assert len(await on.notices()) == 3, "what was read stays readable"
    await on.shot("out_of_reach.png")
    await on.do(MILL, "plug")
    await on.connect(MILL)
    await on.sees("document.getElementById('gone').hidden")


async def carries_messages(on: Street) -> None:
    mill, school = (on.nodes[n]["node"] for n in (MILL, SCHOOL))
    await on.do(MILL, "send", school, "Only for the school")
    await on.carried(0, 1)
    await on.connect(SCHOOL)
    await on.carried(4, 2)  # three notices and the sealed one; a notice and the receipt
    assert "Only for the school" in await on.do(SCHOOL, "inbox")
    assert {"Soup at six", "Beds in the gym"} <= {one["text"] for one in on.http(SCHOOL, "/api/board")["notices"]}
    await on.connect(MILL)
    await on.carried(2, 0)
    assert "Beds in the gym" in {one["text"] for one in on.http(MILL, "/api/board")["notices"]}
    (sent,) = json.loads(await on.do(MILL, "--json", "inbox", "--sent"))
    assert sent["to"] == school != mill and sent["state"] == "delivered", sent


async def is_a_guest(on: Street) -> None:
    await on.key("ab" * 32)  # that of another community
    await on.connect(CLINIC)
    await on.sees("document.querySelectorAll('.notice').length == 1")
    assert await on.notices() == ["Insulin is here"]
    assert "by phones of its community only" in await on.text("carried")
    await on.browser.type("#text", "A guest was here")
    await on.browser.click("#send")
    await on.sees("document.querySelectorAll('.notice').length == 2")
    assert on.http(CLINIC, "/api/peers")["peers"] == [], "a guest is no neighbour"


async def is_a_member(on: Street) -> None:
    await on.key(COMMUNITY)
    await on.carried(0, 2)
    assert [one["member"] for one in on.http(CLINIC, "/api/peers")["peers"]] == [True]


async def keeps_communities_apart(on: Street) -> None:
    assert {one["text"] for one in on.http(CLINIC, "/api/board")["notices"]} == {"Insulin is here", "A guest was here"}
    await on.do(MILL, "board", "post", "Last words of the mill")
    await on.connect(MILL)
    await on.carried(0, 1)
    assert "Insulin is here" not in {one["text"] for one in on.http(MILL, "/api/board")["notices"]}


STEPS = (reads_and_posts, is_out_of_reach_and_back, carries_messages, is_a_guest, is_a_member, keeps_communities_apart)
