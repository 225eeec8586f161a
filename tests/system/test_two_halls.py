"""Two halls and nothing between them but LoRa: real nodes over emulated radios keep one board; and neighbours with
Meshtastic radios of their own read it, post to it and write to each other through the stock client."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import cli_json
from tests.conftest import ROOT
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice, introduce
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.radios.lora.test_meshtastic_peers import Vendor, vendor_of
from tests.system.nodes import NodeProcess, running, until
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.slow]

LORA = ("lora.enabled=true", "lan.enabled=false")
RNODE = (*LORA, "lora.modem=rnode", "lora.region=EU868", "lora.freq_hz=869525000", "lora.bw_hz=250000", "lora.sf=7",
         "lora.cr_den=5", "lora.power_dbm=14")
MESHTASTIC = (*LORA, "lora.modem=meshtastic")
SHORT_FAST = 6
SECONDS = 90


@asynccontextmanager
async def rnodes(folder: Path) -> AsyncIterator[list[tuple[str, ...]]]:
    """Two RNodes on ptys; the settings of a node for each."""
    air = LiveAir(7, speed=1)
    devices = [RNodeDevice(air, name, folder, boot_us=100000) for name in ("one", "two")]
    try:
        yield [(*RNODE, f"lora.device={device.plug.path}") for device in devices]
    finally:
        for device in devices:
            device.close()
        air.close()


@asynccontextmanager
async def mesh(folder: Path, *names: str) -> AsyncIterator[dict[str, MeshtasticDevice]]:
    """Meshtastic devices on one air, the first by serial, the others by TCP; they know each other's keys."""
    air = LiveAir(7, speed=1)
    devices = {name: MeshtasticDevice(air, 0x9EA2F301 + n, preset=SHORT_FAST, name=name,
                                      path=None if n else str(folder / "ttyUSB0")) for n, name in enumerate(names)}
    try:
        for n, device in enumerate(devices.values()):
            await device.start(tcp=n > 0)
        introduce(*devices.values())
        yield devices
    finally:
        for device in devices.values():
            await device.stop()
        air.close()


def settings_of(device: MeshtasticDevice) -> tuple[str, ...]:
    where = f"tcp:127.0.0.1:{device.port}" if device.port else str(device.path)
    return (*MESHTASTIC, f"lora.device={where}")


@asynccontextmanager
async def meshtastic(folder: Path) -> AsyncIterator[list[tuple[str, ...]]]:
    """Two Meshtastic devices; the settings of a node for each."""
    async with mesh(folder, "mill", "school") as devices:
        yield [settings_of(device) for device in devices.values()]


def range_test(a: NodeProcess, b: NodeProcess) -> None:
    """`waypost radio test` on one, `waypost radio watch` on the other."""
    with subprocess.Popen(b.command("radio", "watch", "--json"), stdout=subprocess.PIPE, text=True, cwd=ROOT) as watch:
        try:
            done = subprocess.run(a.command("radio", "test", "--count", "2", "--every", "6", "--json"), timeout=SECONDS,
                                  capture_output=True, text=True, check=True, cwd=ROOT)
        finally:
            watch.kill()
        seen = [json.loads(line) for line in watch.stdout or () if line.endswith("\n")]
    summary = json.loads(done.stdout.splitlines()[-1])
    (other,) = summary["nodes"]
    assert summary["sent"] == 2 and other["node"] == hashlib.sha256(bytes.fromhex(b.key)).hexdigest()[:16]
    assert 1 <= other["echoes"] <= 2 and other["there"]["rssi_dbm_max"] == other["here"]["rssi_dbm_max"] == -80
    assert {event["kind"] for event in seen if event["event"] == "heard"} >= {0x0E}
    assert "sent" in {event.get("state") for event in seen}


def test_what_is_written_crosses_by_radio_alone(tmp_path: Path) -> None:
    """The same story over RNodes and over Meshtastic devices, at the same time since most of it is waiting."""

    def story(folder: Path, settings: list[tuple[str, ...]]) -> None:
        a, b = (NodeProcess(str(folder / name), settings=one) for name, one in zip("ab", settings, strict=True))
        with running(a, b):
            until(lambda: all(n.cli("status")["links"]["lora"]["state"] == "up" for n in (a, b)), 30, 0.3)
            range_test(a, b)
            id = a.cli("board", "post", "The bridge at Mill Lane is closed")["id"]
            until(lambda: [row["id"] for row in b.cli("board", "list")] == [id], SECONDS, 0.3)
            until(lambda: a.cli("board", "list")[0]["radio"][0]["state"] == "sent", 10, 0.3)
            c = b.cli("board", "post", "Hot soup at the school until eight")["id"]
            until(lambda: {row["id"] for row in a.cli("board", "list")} == {id, c}, SECONDS, 0.3)
            until(lambda: [row["node"] for n in (a, b) for row in n.cli("peers")] == [b.key, a.key], SECONDS, 0.5)
            with urllib.request.urlopen(a.ready["web"] + "/api/status", timeout=10 * PATIENCE) as answer:
                assert json.load(answer)["peers"] == 1
            # a message for one, while its node is off
            b.end(kill=True)
            sent = a.cli("send", b.key, "Are you there?")["id"]
            a.end(kill=True)
            b.start()
            a.start()
            until(lambda: [row["id"] for row in b.cli("inbox")] == [sent], SECONDS, 0.5)
            until(lambda: a.cli("status")["outbox"] == 0, SECONDS, 0.5)
            assert [row["text"] for row in b.cli("inbox")] == ["Are you there?"]
            assert a.texts() == b.texts() and len(a.texts()) == 2
            assert not a.cli("status")["trouble"], a.cli("status")["trouble"]

    async def over(radios: Any) -> None:
        folder = tmp_path / radios.__name__
        folder.mkdir()
        async with radios(folder) as settings:
            await asyncio.to_thread(story, folder, settings)

    async def main() -> None:
        async with asyncio.TaskGroup() as both:
            for radios in (rnodes, meshtastic):
                both.create_task(over(radios))

    asyncio.run(main())


class Neighbour:
    """A person with the stock client on a radio, who talks to one node."""

    def __init__(self, client: Vendor, node: int) -> None:
        self.client = client
        self.node = node
        self._free_s = 0.0  # a radio drops, silently, a text less than 2 s after another

    def texts(self) -> list[str]:
        """What came to this radio."""
        return [event["text"] for event in self.client.events if event.get("text") and event["from"] == self.node]

    async def says(self, text: str, answer: str) -> str:
        """Say something to the node; its answer, which has these words."""
        await asyncio.sleep(self._free_s - time.monotonic())
        self._free_s = time.monotonic() + 2.2
        before = len(self.texts())
        self.client.do("text", text=text, to=self.node, ack=True)
        await eventually(lambda: any(answer in said for said in self.texts()[before:]), f"{text!r} was not answered: "
                         f"{self.texts()}")
        return next(said for said in self.texts()[before:] if answer in said)


async def eventually(what: Callable[[], Any], complaint: str) -> None:
    end_s = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end_s, complaint
        await asyncio.sleep(0.1)


@pytest.mark.skipif(importlib.util.find_spec("meshtastic") is None, reason="needs the meshtastic package")
def test_neighbours_with_their_own_radios(tmp_path: Path) -> None:
    """Ana reads the board at the mill and posts to it; what she writes to Bob waits until the school hears him."""

    async def main() -> None:
        async with mesh(tmp_path, "mill", "school", "ana", "bob") as devices:
            await devices["bob"].stop()  # he is away
            steward = cli_json("cert", "steward", tmp_path / "steward.key")["steward"]
            community = ("community.name=Delft", f"community.stewards={steward}")
            nodes = {name: NodeProcess(str(tmp_path / name),
                                       settings=(f"node.name={name}", *community, *settings_of(devices[name])))
                     for name in ("mill", "school")}
            try:
                for node in nodes.values():
                    await asyncio.to_thread(node.start)
                await story(nodes["mill"], nodes["school"], devices)
            finally:
                for node in nodes.values():
                    await asyncio.to_thread(node.end, kill=True)

    async def alert(mill: NodeProcess, *clients: Vendor) -> None:
        """An official alert reaches every radio on the alert port, once from each node at most."""
        paper = tmp_path / "mill.cert"
        cli_json("cert", "make", mill.key, "--role", "alert", "--community", "Delft", "--key", tmp_path / "steward.key",
                 "-o", paper)
        await asyncio.to_thread(mill.cli, "cert", "add", str(paper))
        await asyncio.to_thread(mill.cli, "alert", "send", "Flood at Mill Lane", "--severity", "Extreme",
                                "--instruction", "Go uphill.")
        for client in clients:
            def alerts(client: Vendor = client) -> list[Any]:
                return [event for event in client.events if event.get("port") == "ALERT_APP"]

            await eventually(alerts, "no alert on the alert port")
            said = {bytes.fromhex(event["data"]).decode() for event in alerts()}
            assert said == {"ALERT: Flood at Mill Lane. Go uphill."}
            assert len({event["from"] for event in alerts()}) == len(alerts())

    async def story(mill: NodeProcess, school: NodeProcess, devices: dict[str, MeshtasticDevice]) -> None:
        async def ask(node: NodeProcess, *words: str) -> Any:
            return await asyncio.to_thread(node.cli, *words)

        async def seen(node: NodeProcess, what: Callable[[Any], Any], *words: str) -> None:
            end_s = time.monotonic() + SECONDS
            while not what(found := await ask(node, *words)):
                assert time.monotonic() < end_s, found
                await asyncio.sleep(0.3)

        for node in (mill, school):
            await seen(node, lambda facts: facts["links"]["lora"]["state"] == "up", "status")
        await ask(school, "board", "post", "Hot soup at the school until eight")
        await seen(mill, lambda rows: len(rows) == 1, "board", "list")
        async with vendor_of(devices["ana"]) as client:
            ana = Neighbour(client, devices["mill"].number)
            await ana.says("help", "mill: board, post TEXT")
            await ana.says("board", "Hot soup at the school until eight")
            assert "direct, -80 dBm" in await ana.says("ping", "pong")
            await ana.says("post The bridge at Mill Lane is closed", "It is on the board")
            await seen(school, lambda rows: [row["name"] for row in rows if row["text"].endswith("Lane is closed")]
                       == ["ana !9ea2f303"], "board", "list")
            first = next(line for line in (await ana.says("board", "Lane is")).splitlines() if "Lane is" in line)
            await ana.says(f"read {first.split()[0]}", "ana !9ea2f303: The bridge at Mill Lane is closed")
            assert "boil it" in await ana.says("ask how do I make flood water safe to drink", "safe to drink")
            await ana.says("more", "minute")
            await ana.says("send !9ea2f304 Come to the mill, bring rope", "Kept for !9ea2f304")
            await seen(school, lambda rows: len(rows) == 1, "messages", "--type", "6")
            for node in (mill, school):
                await asyncio.to_thread(node.end, kill=True)
                await asyncio.to_thread(node.start)
            await seen(school, lambda facts: facts["links"]["lora"]["state"] == "up", "status")
            await devices["bob"].start(tcp=True)
            introduce(*devices.values())
            async with vendor_of(devices["bob"]) as his:
                bob = Neighbour(his, devices["school"].number)
                await bob.says("ping", "pong")
                await eventually(lambda: any("Come to the mill, bring rope" in said for said in bob.texts()),
                                 f"the mail did not come: {bob.texts()}")
                await seen(mill, lambda rows: len(rows) == 2, "messages", "--type", "6")  # and the word of its delivery
                assert "delivered" in await ana.says("status", "To !9ea2f304")
                await bob.says("inbox", "Come to the mill, bring rope")
                await alert(mill, ana.client, his)
                mails = [event["text"] for event in his.events if str(event.get("text")).startswith("Mail from")]
                assert len(mails) == 1 and mails[0].endswith(": Come to the mill, bring rope")
        for node in (mill, school):
            assert not (await ask(node, "status"))["trouble"]

    asyncio.run(main())
