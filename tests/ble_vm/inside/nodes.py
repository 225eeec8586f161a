"""Whole nodes as a steward runs them, over BLE alone: two processes of an ordinary user, each with its own adapter.

Bluetooth is BlueZ's and the kernel's; the user is in the group bluetooth and has no other right to it. What is written
at the one is read at the other, whatever happens to daemon, adapter and process in between.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ble_vm.inside.bluez import Adapter, Bluetoothd, Hall, bus_policy, hall
from tests.ble_vm.inside.story import block_bluetooth
from tests.system.nodes import NodeProcess

USER, STRANGER = "waypost", "visitor"
POLICY = Path("/etc/dbus-1/system.d/waypost-visitor.conf")  # as systems have it that leave Bluetooth to its group
REFUSE = f'<busconfig><policy user="{STRANGER}"><deny send_destination="org.bluez"/></policy></busconfig>'
SLOW_S = 150
MORE_BYTES_MAX = 12_000_000  # of resident memory, with BLE and a neighbour
ALONE = ("lan.enabled=false", "web.host=127.0.0.1", "models.enabled=false")


class Resident(NodeProcess):
    """A node of the user's. adapter: None leaves Bluetooth off."""

    def __init__(self, name: str, adapter: Adapter | None, user: str = USER) -> None:
        bluetooth = (("ble.enabled=true", f"ble.adapter={adapter.name}", "ble.duty=always") if adapter else ())
        super().__init__(f"/home/{user}/{name}", settings=(f"node.name={name}", *ALONE, *bluetooth))
        self.user = user

    def command(self, *words: str) -> list[str]:
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *super().command(*words)]

    async def up(self) -> None:
        """Run it until it is ready."""
        await asyncio.to_thread(self.start)

    async def say(self, *words: str) -> Any:
        """What one of its commands prints as JSON; its exit code does not matter."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words, "--json"), cwd="/repo", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await process.communicate()
        assert out, err.decode()
        return json.loads(out)

    async def until(self, what: str, holds: Callable[[Any], bool], *words: str) -> Any:
        """Ask by this command until the answer is as it should be; the answer."""
        end_s = time.monotonic() + SLOW_S
        while not holds(said := await self.say(*words)):
            assert time.monotonic() < end_s, f"{self.directory}: no {what} within {SLOW_S} s: {said}"
            await asyncio.sleep(0.5)
        return said

    async def has(self, *texts: str) -> None:
        """Wait until its board has just these."""
        await self.until(f"board of {texts}", lambda rows: sorted(row["text"] for row in rows) == sorted(texts),
                         "board", "list")

    async def troubled_by(self, reason: str) -> str:
        """Wait until it says that; its words. "" waits until nothing troubles its Bluetooth."""
        def holds(facts: Any) -> bool:
            reasons = [one["reason"] for one in facts["trouble"] if one["part"] == "ble"]
            return reason in reasons if reason else not reasons

        facts = await self.until(f"trouble {reason!r}", holds, "status")
        return "".join(one["text"] for one in facts["trouble"] if one["reason"] == reason)

    def rss_bytes(self) -> int:
        """What the process has in memory now."""
        assert self.process is not None
        rows = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmRSS"))


@pytest.fixture(scope="module", autouse=True)
def users() -> None:
    """The two of them, and a place for what Python compiles: the repository can't be written to here."""
    for name, groups in ((USER, ["--groups", "bluetooth"]), (STRANGER, [])):
        subprocess.run(["useradd", "--create-home", *groups, name], check=True)
    os.makedirs("/tmp/compiled")
    os.chmod("/tmp/compiled", 0o1777)
    os.environ["PYTHONPYCACHEPREFIX"] = "/tmp/compiled"


@asynccontextmanager
async def village(place: Hall, *names: str) -> AsyncIterator[list[tuple[Resident, Adapter]]]:
    """Nodes that run, each with its adapter."""
    found = []
    try:
        for number, name in enumerate(names, 1):
            adapter = await place.adapter(number)
            found.append((Resident(name, adapter), adapter))
            await found[-1][0].up()
        yield found
    finally:
        for node, _ in found:
            await asyncio.to_thread(node.end)


def run(play: Callable[[Hall], Awaitable[None]]) -> None:
    async def main() -> None:
        async with hall() as place:
            await play(place)

    asyncio.run(main())


def told(name: str, value: Any) -> None:
    """A figure for the log."""
    print(f"{name}: {value}", flush=True)


def test_two_nodes_keep_one_board_whatever_happens(bluetoothd: Bluetoothd, capsys: Any) -> None:
    async def play(place: Hall) -> None:
        async with village(place, "Mill", "School") as ((mill, at_mill), (school, _)):
            await mill.say("board", "post", "Soup at six")
            await school.say("board", "post", "Beds in the gym")
            for node in (mill, school):
                await node.has("Soup at six", "Beds in the gym")
            await mill.say("send", school.key, "Only for the school")
            await school.until("letter", lambda rows: [row["text"] for row in rows] == ["Only for the school"], "inbox")
            await mill.until("receipt", lambda rows: [row["state"] for row in rows] == ["delivered"], "inbox", "--sent")
            link = await mill.say("radio", "test", "--link", "ble")
            assert link["facts"]["advertises"] == "bluez" and [one["name"] for one in link["neighbours"]] == ["School"]
            assert link["neighbours"][0]["answer_ms"] > 0, link
            assert (await mill.say("peers"))[0]["link"] == "ble"

            bluetoothd.kill()
            for node in (mill, school):
                assert "bluetoothd" in await node.troubled_by("no_bluez")
            await mill.say("board", "post", "Written while bluetoothd was dead")
            bluetoothd.start()
            await school.has("Soup at six", "Beds in the gym", "Written while bluetoothd was dead")
            await mill.troubled_by("")

            await at_mill.pull()
            assert "ble.adapter" in await mill.troubled_by("wrong_adapter")
            await school.say("board", "post", "Written while the adapter was out")
            await at_mill.plug()
            texts = ["Soup at six", "Beds in the gym", "Written while bluetoothd was dead",
                     "Written while the adapter was out"]
            await mill.has(*texts)

            await asyncio.to_thread(school.end, kill=True)
            await mill.say("board", "post", "Written while the school was away")
            await school.up()
            for node in (mill, school):
                await node.has(*texts, "Written while the school was away")

            plain = Resident("Plain", None)
            await plain.up()
            try:
                await asyncio.sleep(5)
                more = mill.rss_bytes() - plain.rss_bytes()
            finally:
                await asyncio.to_thread(plain.end)
            with capsys.disabled():
                told("resident memory with Bluetooth", f"{mill.rss_bytes() / 1e6:.1f} MB, {more / 1e6:.1f} more")
            assert more <= MORE_BYTES_MAX

    run(play)


def bluetooth_of(report: list[dict[str, str]]) -> dict[str, str]:
    """doctor's first line about Bluetooth."""
    return next(one for one in report if one["check"] == "bluetooth")


def test_doctor_says_what_is_wrong(bluetoothd: Bluetoothd) -> None:
    async def play(place: Hall) -> None:
        adapter = await place.adapter(1)
        mill = Resident("Mill", adapter)
        said = bluetooth_of(await mill.say("doctor"))
        assert said["state"] == "ok" and adapter.name in said["text"] and "BlueZ" in said["text"]
        assert "the node switches it on" in said["text"], "nothing has been changed"
        await asyncio.to_thread(block_bluetooth, True)
        said = bluetooth_of(await mill.say("doctor"))
        assert said["state"] == "broken" and "is blocked" in said["text"] and said["fix"] == "rfkill unblock bluetooth"
        await asyncio.to_thread(block_bluetooth, False)
        said = bluetooth_of(await Resident("Visit", adapter, STRANGER).say("doctor"))
        assert said["state"] == "broken" and "this user may not use Bluetooth" in said["text"], said
        assert "group bluetooth" in said["fix"]
        said = bluetooth_of(await mill.say("--set", "ble.adapter=hci77", "doctor"))
        assert said["state"] == "broken" and f"hci77; there are: {adapter.name}" in said["text"]
        await adapter.pull()
        said = bluetooth_of(await mill.say("--set", "ble.adapter=", "doctor"))
        assert said["state"] == "broken" and said["text"] == "no Bluetooth adapter is there" and "plug" in said["fix"]
        bluetoothd.kill()
        said = bluetooth_of(await mill.say("doctor"))
        assert said["state"] == "broken" and "bluetoothd does not run" in said["text"]
        assert "install bluez" in said["fix"]
        bluetoothd.start()

    with bus_policy(POLICY, REFUSE):
        run(play)
