"""Inside the machine, for `make test-ble-web`: bluetoothd, an adapter for the browser outside, and nodes as a steward
runs them, each with an adapter of its own.

    python3 -m tests.ble_vm.inside.served DBUS_PORT '[{"name": ..., "port": ..., "settings": [], "board": []}, ...]'

The browser has the first adapter, and the system bus through the TCP port. It takes whatever adapter it sees first, so
the others come when it has: `bus` in the run's folder says that it may look, and a file `go` there that it did. Nodes
are deaf to each other. `ready` tells that all is there; lines in `do` are then carried out: [number, name, word, ...].
"pull", "plug" and "cut" are about the node's adapter, other words are a command line of its own. What came of it is in
a file `done.` and the number.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.ble_vm.inside.bluez import RUN, Adapter, Bluetoothd, until
from tests.radios.ble.air import Air

BUS = "/run/dbus/system_bus_socket"
ADDRESS = "10.0.2.15"  # QEMU's for us
WAIT_S, TRIES_MAX = 600, 300


class Served:
    """One node: its process and its adapter."""

    def __init__(self, facts: dict[str, Any], adapter: Adapter) -> None:
        self.adapter = adapter
        self.name: str = facts["name"]
        self.directory = f"/tmp/{facts['name']}"
        settings = [
            f"node.name={facts['name']}", "ble.enabled=true", f"ble.adapter={adapter.name}", "lan.enabled=false",
            f"web.port={facts['port']}", f"web.host={ADDRESS}", *facts["settings"]]
        words = [word for one in settings for word in ("--set", one)]
        self.command = [sys.executable, "-m", "tools.cli", "--dir", self.directory]
        self.process = subprocess.Popen([*self.command, *words, "run", "--json"], stdout=subprocess.PIPE,
                                        stderr=open(RUN / f"{self.name}.log", "ab"))  # noqa: SIM115

    async def ready(self, board: list[str]) -> dict[str, Any]:
        """What it said when it was; then its board is written."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        said: dict[str, Any] = json.loads(line)
        for text in board:
            await asyncio.to_thread(subprocess.run, [*self.command, "board", "post", text], check=True)
        return said


async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the browser's to the system bus."""
    inside_reader, inside_writer = await asyncio.open_unix_connection(BUS)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        target.close()

    await asyncio.gather(copy(reader, inside_writer), copy(inside_reader, writer))


async def main(dbus_port: int, nodes: list[dict[str, Any]]) -> None:
    network_up()
    daemon = Bluetoothd()
    daemon.start()
    air = Air()
    browser = Adapter(air, 1)
    await browser.plug()
    await power_on(browser.name)
    async with await asyncio.start_server(bridge, ADDRESS, dbus_port):
        tell("bus", [])
        await until((RUN / "go").exists, WAIT_S)
        served: list[Served] = []
        for number, facts in enumerate(nodes, 2):
            adapter = Adapter(air, number)
            await adapter.plug()
            keep_apart(air, [*(one.adapter for one in served), adapter])
            served.append(Served(facts, adapter))
        tell("ready", [await one.ready(facts["board"]) | {"address": one.adapter.address}
                       for one, facts in zip(served, nodes, strict=True)])
        await obey(RUN / "do", {one.name: one for one in served})


def keep_apart(air: Air, adapters: list[Adapter]) -> None:
    """Let none of these hear another; one that is plugged in again is a new one."""
    there = [one.controller for one in adapters if one.controller is not None]
    air.deaf = {(one, other) for one in there for other in there if one is not other}


def tell(name: str, value: Any) -> None:
    """A file for those outside, there at once or not at all."""
    (RUN / "new").write_text(json.dumps(value))
    os.rename(RUN / "new", RUN / name)


def network_up() -> None:
    """The interface that QEMU forwards to."""
    for words in ("modprobe virtio_net", f"busybox ip addr add {ADDRESS}/24 dev eth0", "busybox ip link set eth0 up"):
        subprocess.run(words.split(), check=True)


async def power_on(adapter: str) -> None:
    """Have BlueZ switch an adapter on, as soon as it knows it."""
    words = ["dbus-send", "--system", "--print-reply", "--dest=org.bluez", f"/org/bluez/{adapter}",
             "org.freedesktop.DBus.Properties.Set", "string:org.bluez.Adapter1", "string:Powered",
             "variant:boolean:true"]
    for _ in range(TRIES_MAX):
        if not (await asyncio.to_thread(subprocess.run, words, capture_output=True)).returncode:
            return
        await asyncio.sleep(0.2)


def lines_of(path: Path) -> list[str]:
    """What was written until now."""
    return path.read_text().splitlines() if path.exists() else []


async def obey(path: Path, served: dict[str, Served]) -> None:
    """Do what the lines of a file say, as they come."""
    done = 0
    while True:
        lines = lines_of(path)
        for line in lines[done:]:
            number, name, *words = json.loads(line)
            node = served[name]
            said = ""
            if words == ["pull"]:
                await node.adapter.pull()
            elif words == ["plug"]:
                await node.adapter.plug()
                keep_apart(node.adapter.air, [one.adapter for one in served.values()])
            elif words == ["cut"]:
                node.adapter.cut()
            else:
                run = await asyncio.create_subprocess_exec(*node.command, *words, stdout=subprocess.PIPE)
                said = (await run.communicate())[0].decode()
            tell(f"done.{number}", said)
        done = len(lines)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), json.loads(sys.argv[2])))
