"""A node with its store and bus, as tests put their own links under it; nothing of it runs before `boot`."""

from __future__ import annotations

import pathlib
import time

from edge.bus.bus import Bus
from edge.caller import MEMBER
from edge.core import hlc
from edge.node import Node, monotonic_ms
from edge.store.store import Store
from edge.trace import Trace
from tests.radios.contract import identity


class BareNode:
    """Whoever calls is a member; the clock is this machine's."""

    def __init__(self, folder: pathlib.Path, number: int) -> None:
        self.seed, self.key = identity(number)
        self.store = Store.open(str(folder / f"{number}.db"), 10**8, int(time.time()))
        self.node = Node(seed=self.seed, name=f"house {number}", store=self.store, log=lambda level, text: None,
                         trace=Trace(), clock=lambda: (time.time_ns() // 1000000, hlc.QUALITY_RTC))
        self.bus = Bus(self.node.send, lambda key, member: MEMBER, monotonic_ms, self.key,
                       pack=self.node.machine.pack_bus)
        self.node.bus = self.bus
