"""Nodes with alerts, papers and check-ins: the shipping services over a real store; links and the core left out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.caller import ANCHOR, MEMBER, Caller
from edge.compat import crypto
from edge.core import effects
from edge.core import message as messages
from edge.core.message import Message
from edge.services.safety import Safety
from edge.store.store import Store
from tests.core.papers import NOW_S, certificate, key_of

OWNER = Caller(ANCHOR, None, "local")
VISITOR = Caller(MEMBER, None, "page")
DELFT = "52.0116,4.3571"
COMMUNITY: dict[str, Any] = {"name": "Delft", "stewards": [key_of(name).hex() for name in ("ann", "ben", "cas")],
                             "stewards_needed": 2}


class Hall:
    """One node. trust: what the authors that it knows are worth."""

    def __init__(self, path: Path, name: str, *, position: str = DELFT, places: tuple[str, ...] = ("Delft",),
                 community: dict[str, Any] | None = None) -> None:
        self.name = name
        self.seed = hashlib.sha256(name.encode()).digest()
        self.key: bytes = crypto.public_key(self.seed)
        self.now_s = NOW_S
        self.path = str(path / f"{name}.db")
        self.trust: dict[bytes, int] = {}
        self.counters: dict[str, int] = {}
        self.commands: list[tuple[Any, ...]] = []
        self.published: list[str] = []
        self.troubles: dict[str, str] = {}
        self._settings = {"position": position, "places": places, "community": community or COMMUNITY}
        self._seq = 0
        self.boot()

    def boot(self) -> None:
        """Start, or start again."""
        self.store = Store.open(self.path, now_s=NOW_S)
        next_seq = self.store.boot_state(self.key, NOW_S)[0]
        self._seq = next_seq - 1
        self._watchers: dict[int, list[Callable[[Message], None]]] = {}
        self.safety = Safety(self, self.store, self._settings, sure_s=lambda: self.now_s,
                             trust_of=lambda key: self.trust.get(key, 0), count=self._count, trouble=self._trouble)
        self._offered: dict[str, Any] = {}
        self.safety.provide(self)
        self.safety.begin(self)

    def reboot(self) -> None:
        self.store.close()
        self.boot()

    # NodePort and BusPort, as far as they are used

    async def post(self, type: int, lane: int, ttl_s: int, dest: bytes | None, body: Any) -> bytes:
        self._seq += 1
        hlc = (self.now_s << 16) + self._seq
        message = messages.build(self.seed, self.key, self._seq, hlc, ttl_s, lane, type, dest, body)
        self.take(message)
        return bytes(message.id)

    def take(self, *given: Message) -> None:
        for message, outcome in zip(given, self.store.commit(list(given)), strict=True):
            if outcome[1] in (effects.NEW, effects.CONFLICTING):
                for told in self._watchers.get(message.type, ()):
                    told(message)

    def watch(self, type: int, told: Callable[[Message], None]) -> None:
        self._watchers.setdefault(type, []).append(told)

    def command(self, name: str, *arguments: Any) -> None:
        self.commands.append((name, *arguments))

    def provide(self, name: str, _version: str, handler: Any, *, trust: int, summary: str) -> None:
        self._offered[name] = handler

    def publish(self, topic: str, _value: dict[str, Any]) -> None:
        self.published.append(topic)

    def _trouble(self, part: str, _reason: str, text: str) -> None:
        self.troubles[part] = text

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    # what a test does

    @property
    def parts(self) -> Any:
        return self.safety.parts()

    def says(self, type: int, lane: int, body: dict[int, Any], ttl_s: int = 9999) -> None:
        """Any message of this node's."""
        asyncio.run(self.post(type, lane, ttl_s, None, body))

    def call(self, capability: str, caller: Caller = OWNER, /, **params: Any) -> Any:
        """One capability, as the bus calls it; a stream gives its list."""
        answer = self._offered[capability](caller, params)

        async def run() -> Any:
            return [item async for item in answer] if hasattr(answer, "__aiter__") else await answer

        return asyncio.run(run())

    def gives(self, *others: Hall) -> None:
        """The others take in all that is here, as gossip would bring it."""
        rows = self.store.list_messages(now_s=0, limit=1000)
        for other in others:
            other.take(*[messages.parse(row["data"]) for row in rows])

    def alerts(self, *, ended: bool = False) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("alert.list", ended=ended)
        return rows

    def headlines(self) -> list[str]:
        return [row["texts"][0].get("headline", "") for row in self.alerts()]

    def standing_keys(self) -> list[bytes]:
        """What radios were told last to go on saying."""
        told = [arguments[0] for name, *arguments in self.commands if name == effects.STAND]
        return told[-1] if told else []


def halls(path: Path, *names: str, certified: tuple[str, ...] = (), **facts: Any) -> list[Hall]:
    """Nodes, all with the certificates of those that may issue alerts."""
    made = [Hall(path, name, **facts) for name in names]
    for hall in made:
        for one in certified:
            hall.call("cert.add", paper=certificate(one, "ann", "ben"))
    return made


