"""The vendor's `meshtastic` client accepts the emulated device and talks with ours; and real firmware, where there is.

Each runs in a process of its own. WAYPOST_MESHTASTICD names the daemon, else one on PATH is taken.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from radios.lora.meshtastic.client import MeshtasticModem
from radios.lora.modem import Pace
from tests.radios.contract import Waits
from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice, introduce
from tests.radios.lora.meshtastic_kit import Hall, mesh, pair, quick
from tests.waiting import until

PEER = os.path.join(os.path.dirname(__file__), "meshtastic_peer.py")
DAEMON = os.environ.get("WAYPOST_MESHTASTICD") or shutil.which("meshtasticd") or ""
BOTH = pytest.mark.parametrize("tcp", [False, True], ids=["SerialInterface", "TCPInterface"])
SECONDS = 30

pytestmark = pytest.mark.skipif(importlib.util.find_spec("meshtastic") is None, reason="needs the meshtastic package")


class Vendor(Waits):
    """The vendor's client in its process: commands in, events out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__(SECONDS)
        self.process = process
        self.events: list[dict[str, Any]] = []

    async def read(self) -> None:
        """Take its events until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if line.startswith(b"{"):
                self.events.append(json.loads(line))
                self._changed.set()

    def so_far(self) -> str:
        return f"the vendor's client said {self.events}"

    async def first(self, found: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first event for which it holds."""
        event: dict[str, Any] = await self.until(lambda: next((one for one in self.events if found(one)), None))
        return event

    async def event(self, name: str) -> dict[str, Any]:
        """The first event of that name."""
        return await self.first(lambda event: event["event"] == name)

    def do(self, what: str, **more: Any) -> None:
        """One command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")


@asynccontextmanager
async def vendor(*arguments: str) -> AsyncIterator[Vendor]:
    """A client that is connected."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, PEER, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=errors)
        made = Vendor(process)
        reading = asyncio.ensure_future(made.read())
        try:
            await made.event("connected")
            yield made
            made.do("close")
            await made.event("closed")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading


def vendor_of(device: MeshtasticDevice) -> Any:
    """A client of an emulated device."""
    if device.port:
        return vendor("tcp", "127.0.0.1", str(device.port))
    return vendor("serial", str(device.path))


@BOTH
def test_it_connects_and_reads_the_settings(tcp: bool) -> None:
    async def run() -> None:
        async with mesh() as made:
            device = await made.device(tcp, channels=(("", b"\x01"), ("Waypost", b"k" * 32)))
            other = await made.device()
            introduce(device, other)
            async with vendor_of(device) as client:
                hello = await client.event("connected")
            assert hello["number"] == device.number and hello["firmware"] == device.firmware
            assert hello["nodes"] == [device.number, other.number] and hello["region"] == 3
            assert hello["channels"] == ["", "Waypost"] and hello["name"] == device.user["long_name"]

    asyncio.run(run())


@BOTH
def test_it_talks_with_our_client(tcp: bool) -> None:
    """Texts with acknowledgements and PRIVATE_APP frames, both ways, on an air that loses a tenth."""

    async def run() -> None:
        async with mesh(seed=3, loss_percent=10) as made:
            theirs, ours = await made.device(tcp), await made.device()
            introduce(theirs, ours)
            hall = await made.hall(ours)
            async with vendor_of(theirs) as client:
                client.do("text", text="ping from a phone", to=ours.number, ack=True)
                sent = await client.event("sent")
                ack = await client.first(lambda e: e.get("request_id") == sent["id"] and e["from"] == ours.number)
                assert ack["error"] == "NONE" and ack["port"] == "ROUTING_APP"
                await hall.until(lambda: hall.texts)
                assert (hall.texts[0].text, hall.texts[0].to_us) == ("ping from a phone", True)

                hall.say(hall.texts[0].sender, "pong, 0 hops")
                text = await client.first(lambda e: e.get("text"))
                assert (text["text"], text["from"], text["to"]) == ("pong, 0 hops", ours.number, theirs.number)
                await hall.until(lambda: hall.states and hall.sent)
                assert hall.states == [("acked", hall.sent[0][1].id, "")]

                client.do("data", data=bytes(range(200)).hex(), ack=True)
                await hall.until(lambda: bytes(range(200)) in hall.frames, SECONDS)
                hall.post(*[bytes([n]) * 200 for n in range(8)])
                await hall.until(lambda: len(hall.sent) == 9)
                await client.first(lambda e: e.get("port") == "PRIVATE_APP" and e["data"] == (b"\x07" * 200).hex())
                heard = [e for e in client.events if e.get("port") == "PRIVATE_APP"]
                assert 5 <= len(heard) <= 8 and all(e["rssi"] == -80 and e["from"] == ours.number for e in heard)

    asyncio.run(run())


def test_it_is_throttled_as_by_a_real_device() -> None:
    """Two texts within two seconds: the second is dropped, and nobody is told."""

    async def run() -> None:
        async with mesh(speed=4) as made:
            theirs, ours = await made.device(preset=6), await made.device(preset=6)
            introduce(theirs, ours)
            hall = await made.hall(ours, quick(speed=4))
            async with vendor_of(theirs) as client:
                client.do("text", text="1")
                client.do("text", text="2")
                await client.first(lambda e: sum(1 for e in client.events if e["event"] == "sent") == 2)
                await hall.until(lambda: hall.texts)
                await until(lambda: theirs.counters["throttled"], what="the second text is handed in")
                assert [t.text for t in hall.texts] == ["1"]
                assert not [e for e in client.events if e.get("error") not in (None, "NONE")]

    asyncio.run(run())


def test_it_sets_the_region_and_the_device_restarts() -> None:
    async def run() -> None:
        async with mesh() as made:
            device = await made.device(tcp=True, region=0)
            async with vendor_of(device) as client:
                client.do("region", code=3)
                await client.event("written")
                await until(lambda: device.counters["reboots"], what="the device restarts")
            hall = await made.hall(device)
            assert hall.modem.region == "EU_868"

    asyncio.run(run())


# --- the same conversation over emulated devices and over the real firmware


async def conversation(a: Hall, b: Hall) -> None:
    """Frames of all sizes both ways, a direct text with its acknowledgement, a text to the channel."""
    frames = [bytes([n]) * size for n, size in enumerate((1, 100, 200, 231))]
    a.post(*frames)
    await b.until(lambda: set(b.frames) == set(frames), SECONDS)
    b.post(*frames)
    await a.until(lambda: set(a.frames) == set(frames), SECONDS)
    assert isinstance(b.modem, MeshtasticModem)
    a.say(b.modem.told.my_num.to_bytes(4, "big"), "to you")
    await a.until(lambda: [s for s in a.states if s[0] == "acked"], SECONDS)
    assert (b.texts[0].text, b.texts[0].to_us) == ("to you", True)
    b.say(None, "to all")
    await a.until(lambda: a.texts, SECONDS)
    assert (a.texts[0].text, a.texts[0].to_us) == ("to all", False)
    assert not a.downs and not b.downs


def test_conversation_over_emulated_devices() -> None:
    async def run() -> None:
        async with pair(tcp=True) as (_, a, b):
            await conversation(a, b)

    asyncio.run(run())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(port: int) -> None:
    """Wait until somebody listens there."""
    for _ in range(SECONDS * 10):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail(f"nobody listens on port {port}")


@asynccontextmanager
async def daemon(folder: str, number: int) -> AsyncIterator[int]:
    """A `meshtasticd` with a simulated radio that is set up to talk by UDP; gives its port."""
    port = free_port()
    os.makedirs(folder)
    process = await asyncio.create_subprocess_exec(
        DAEMON, "-s", "-d", folder, "-h", str(number), "-p", str(port), stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL)
    try:
        for setting in ({"what": "region", "code": 3}, {"what": "udp"}):
            await answers(port)
            async with vendor("tcp", "127.0.0.1", str(port)) as client:
                client.do(**setting)
                await client.event("written")
            await asyncio.sleep(6)  # it restarts
        await answers(port)
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not DAEMON, reason="needs meshtasticd")
def test_conversation_over_real_firmware() -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with daemon(folder + "/a", 17) as first, daemon(folder + "/b", 18) as second:
                pace = Pace(beat_ms=60000)
                halls = [Hall(MeshtasticModem({"device": f"tcp:127.0.0.1:{port}"}, pace), pace)
                         for port in (first, second)]
                try:
                    for hall in halls:
                        hall.supervisor.start()
                        await hall.until(lambda hall=hall: hall.ups, SECONDS)
                        assert hall.modem.region == "EU_868" and hall.modem.status()["firmware"]
                    await conversation(*halls)
                finally:
                    for hall in halls:
                        await hall.supervisor.stop()

    asyncio.run(run())
