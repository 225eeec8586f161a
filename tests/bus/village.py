"""Nodes for the services' tests: a real store and real messages, the core and the links left out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edge.bus.bus import Bus
from edge.compat import crypto
from edge.core import limits
from edge.core import message as messages
from edge.services import provide_all
from edge.store.store import Store
from edge.triage.late import LateJudge
from tests.bus.joined import World

NOW_S = 1_800_000_000
JUDGE = LateJudge(lambda level, text: None)


class Place:
    """A NodePort and HintsPort over a store: what is posted is signed and committed at once."""

    def __init__(self, path: Path, name: str, now_s: int = NOW_S) -> None:
        self.seed = hashlib.sha256(name.encode()).digest()
        self.key: bytes = crypto.public_key(self.seed)
        self.name = name
        self.now_s = now_s
        self.store = Store.open(str(path / f"{name}.db"), now_s=now_s)
        self.store.boot_state(self.key, now_s)
        self.near: list[dict[str, Any]] = []
        self.imported: list[bytes] = []
        self._seq = 0
        self.aired = self
        self.went: dict[bytes, list[dict[str, str]]] = {}  # what `fates` says

    def in_reach(self) -> list[dict[str, Any]]:
        return []

    def fates(self, key: bytes) -> list[dict[str, str]]:
        return self.went.get(key, [])

    async def post(self, type: int, lane: int, ttl_s: int, dest: bytes | None, body: Any) -> bytes:
        self._seq += 1
        hlc = (self.now_s << 16) + self._seq
        message = messages.build(self.seed, self.key, self._seq, hlc, ttl_s, lane, type, dest, body)
        self.take(message)
        return message.id

    def take(self, *given: Any) -> None:
        self.store.commit(list(given))

    async def import_frame(self, frame: bytes) -> dict[str, Any]:
        self.imported.append(frame)
        return {"new": 1, "known": 0, "refused": {}}

    async def judge(self, text: str) -> dict[str, Any] | None:
        return JUDGE(text)

    async def mark(self, id: bytes, mark: dict[str, Any] | None) -> bool:
        return self.store.set_mark(id, mark)

    def peers(self) -> list[dict[str, Any]]:
        return self.near

    def status(self) -> dict[str, Any]:
        return {"node": self.key.hex(), "name": self.name, "up_s": 5, "time_ms": self.now_s * 1000, "time_quality": 4,
                "messages": [[lane, 0] for lane in range(limits.LANES)], "outbox": 0, "counters": {"rx.frames": 7},
                "links": {"lan": {"port": 7373, "address": "192.0.2.9"}}, "trouble": [], "store": self.store.stats()}

    def hears(self, other: Place, **facts: Any) -> None:
        self.near.append({"node": other.key.hex(), "name": other.name, "link": "mem", "address": "192.0.2.1",
                          "member": True, "authenticated": True, **facts})

    def gives(self, other: Place) -> None:
        """The other node takes in all that is here, as gossip would bring it."""
        for row in self.store.list_messages(now_s=0, limit=1000):
            other.take(messages.parse(row["data"]))


def settle_down(world: World, path: Path, name: str) -> tuple[Place, Bus]:
    """A node with all its services on a bus of the world, under its name."""
    place, bus = Place(path, name), world.add(name)
    provide_all(bus, place, place.store, seed=place.seed, now_s=lambda: place.now_s, version="0.1.0",
                recent=lambda after, limit: [{"n": after + 1}][:limit], hints=place)
    return place, bus
