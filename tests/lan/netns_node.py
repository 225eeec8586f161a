"""A LAN driver in a process of its own, for tests in network namespaces: one JSON line an event, ends with its stdin.

Run as: python -m tests.lan.netns_node '{"number": 1, "settings": {...}, "pace": {...}}'
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from edge.core.link import LinkOwner
from radios.lan import bounds
from radios.lan.driver import LanDriver
from tests.radios.contract import identity


def say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


class Speaker(LinkOwner):
    """Prints what it hears; answers every frame that is not an answer."""

    driver: LanDriver

    def peer_up(self, link: str, peer: bytes, key: bytes | None, member: bool) -> None:
        say(event="up", key=peer.hex(), address=self.driver.address(peer))
        self.driver.send(peer, 0, b"\x01hello")

    def peer_down(self, link: str, peer: bytes, reason: str) -> None:
        say(event="down", key=peer.hex(), reason=reason)

    def frame(self, link: str, peer: bytes, data: bytes) -> None:
        say(event="frame", data=data.hex())

    def drained(self, link: str, peer: bytes) -> None:
        pass

    def trouble(self, link: str, reason: str, text: str) -> None:
        say(event="trouble", reason=reason, text=text)


async def main(order: dict[str, Any]) -> None:
    pace = bounds.Pace()
    for name, value in order.get("pace", {}).items():
        setattr(pace, name, value)
    owner = Speaker()
    driver = owner.driver = LanDriver({"mdns": False} | order.get("settings", {}), *identity(order["number"]), None,
                                      owner, "lan", pace)
    await driver.start()
    say(event="started", port=driver.port)
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(0, lambda: ended.done() or ended.set_result(None))
    await ended
    loop.remove_reader(0)
    say(event="status", **driver.status())
    await driver.stop()
    say(event="stopped")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
