"""Whole nodes, store and bus and all, whose only link is BLE on virtual radios."""

from __future__ import annotations

import pathlib
import time
from typing import Any

from edge.bus.bus import Bus
from edge.caller import MEMBER
from edge.core import hlc, message
from edge.node import Node, monotonic_ms
from edge.store.store import Store
from edge.trace import Trace
from radios.ble.driver import BleDriver
from tests.radios.ble.air import Radio
from tests.radios.ble.kit import Hasty, Village
from tests.radios.ble.virtual import VirtualStack
from tests.radios.contract import identity


class House:
    """One node. `delivered` are the messages that were new to it, in order; its own are among them."""

    def __init__(self, folder: pathlib.Path, place: Village, number: int, mtu: int = 247, pace: Any = None) -> None:
        seed, self.key = identity(number)
        self.radio = Radio(place.air, number, mtu=mtu, acl_bytes=27 if mtu == 23 else 251)
        self.store = Store.open(str(folder / f"{number}.db"), 10**8, int(time.time()))
        self.node = Node(seed=seed, name=f"house {number}", store=self.store, log=lambda level, text: None,
                         trace=Trace(), clock=lambda: (time.time_ns() // 1000000, hlc.QUALITY_RTC))
        self.bus = Bus(self.node.send, lambda key, member: MEMBER, monotonic_ms, self.key,
                       pack=self.node.machine.pack_bus)
        self.node.bus = self.bus
        self.delivered: list[message.Message] = []
        self.node.watch(message.NOTE, self.delivered.append)
        self.driver = BleDriver({}, seed, self.key, None, self.node, "ble", pace or Hasty(), VirtualStack(self.radio))

        self.node.boot()

    async def open(self) -> None:
        """On the air."""
        await self.node.start_link(self.driver)

    async def close(self) -> None:
        """End."""
        await self.bus.close()
        await self.node.stop()
        self.store.close()

    async def post(self, lane: int, text: str) -> bytes:
        """A message of this node."""
        return await self.node.post(message.NOTE, lane, 3600, None, {1: text})

    def ids(self) -> list[bytes]:
        """What was new here, in order."""
        return [one.id for one in self.delivered]

    def digests(self) -> Any:
        """What it holds."""
        return self.node.machine.digests()
