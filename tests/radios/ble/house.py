"""Whole nodes, store and bus and all, whose only link is BLE on virtual radios."""

from __future__ import annotations

import pathlib
from typing import Any

from edge.core import message
from radios.ble.driver import BleDriver
from tests.bare_node import BareNode
from tests.radios.ble.air import Radio
from tests.radios.ble.kit import Hasty, Village
from tests.radios.ble.virtual import VirtualStack


class House(BareNode):
    """One node. `delivered` are the messages that were new to it, in order; its own are among them."""

    def __init__(self, folder: pathlib.Path, place: Village, number: int, mtu: int = 247, pace: Any = None) -> None:
        super().__init__(folder, number)
        self.radio = Radio(place.air, number, mtu=mtu, acl_bytes=27 if mtu == 23 else 251)
        self.delivered: list[message.Message] = []
        self.node.watch(message.NOTE, self.delivered.append)
        self.driver = BleDriver({}, self.seed, self.key, None, self.node, "ble", pace or Hasty(),
                                VirtualStack(self.radio))
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
