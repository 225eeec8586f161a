"""Machines joined by perfect links and backed by dicts: the smallest shell there can be, for tests of the core."""

from __future__ import annotations

from typing import Any

from edge.core import effects, hlc
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.message import Message
from edge.core.rng import Rng

UNIX_MS = 1_790_000_000_000


class Shell:
    """One machine, its store, and every effect it ever gave."""

    def __init__(self, number: int, *, quality: int = hlc.QUALITY_SYNCED, unix_ms: int = UNIX_MS) -> None:
        self.machine = Machine(bytes([number]) * 32, f"node-{number}", Rng(number))
        self.store: dict[bytes, Message] = {}
        self.by_seq: dict[tuple[bytes, int], bytes] = {}
        self.log: list[tuple[Any, ...]] = []
        self.wires: dict[tuple[str, bytes], tuple[Shell, bytes]] = {}
        self.full = False
        self.cut = False
        self.machine.command(0, effects.CLOCK, unix_ms, quality)

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [effect for effect in self.log if effect[0] == name]

    def step(self, now_ms: int) -> bool:
        """Carry out what is due; True when something was."""
        pending = self.machine.drain()
        stored = []
        for effect in pending:
            self.log.append(effect)
            if effect[0] == effects.STORE:
                stored.append(self._commit(effect[1]))
            elif effect[0] == effects.SEND:
                self._send(now_ms, *effect[1:3], effect[4])
            elif effect[0] == effects.PUSH:
                link, peer, _lane, keys = effect[1:]
                data = [self.store[key].data for key in keys if key in self.store]
                for frame in self.machine.pack(link, data):
                    self._send(now_ms, link, peer, frame)
                self.machine.command(now_ms, effects.PUSHED, link, peer)
        if stored:
            self.machine.command(now_ms, effects.STORED, stored)
        return bool(pending)

    def _commit(self, message: Message) -> tuple[bytes, int, bytes | None]:
        if self.full:
            return message.id, effects.FULL, None
        other = self.by_seq.setdefault((message.author, message.seq), message.id)
        known = message.key in self.store
        self.store[message.key] = message
        if other != message.id:
            return message.id, effects.CONFLICTING, other
        return message.id, effects.DUPLICATE if known else effects.NEW, None

    def _send(self, now_ms: int, link: str, peer: bytes, frame: bytes) -> None:
        wire = self.wires.get((link, peer))
        if wire is not None and not self.cut and not wire[0].cut:
            wire[0].machine.receive(now_ms, link, wire[1], frame)

    def post(self, now_ms: int, text: str = "hello", *, token: int = 1, lane: int = 2,
             dest: bytes | None = None) -> None:
        kind = 2 if dest else 1
        self.machine.command(now_ms, effects.POST, token, kind, 1 if dest else lane, 3600, dest, {1: text})


def join(a: Shell, b: Shell, link: str = "lan", now_ms: int = 0, **facts: Any) -> None:
    for one, two in ((a, b), (b, a)):
        one.machine.command(now_ms, effects.LINK_UP, LinkInfo(link, **facts))
        one.wires[(link, two.machine.key)] = (two, one.machine.key)
    for one, two in ((a, b), (b, a)):
        one.machine.command(now_ms, effects.PEER_UP, link, two.machine.key, two.machine.key, True)


def part(a: Shell, b: Shell, link: str = "lan", now_ms: int = 0) -> None:
    for one, two in ((a, b), (b, a)):
        one.machine.command(now_ms, effects.PEER_DOWN, link, two.machine.key)


def settle(*shells: Shell, now_ms: int = 0) -> None:
    for _ in range(1000):
        if not any([shell.step(now_ms) for shell in shells]):
            return
    raise AssertionError("the machines never come to rest")


def run(*shells: Shell, from_ms: int, to_ms: int, step_ms: int = 500) -> None:
    for now_ms in range(from_ms, to_ms, step_ms):
        for shell in shells:
            due_ms = shell.machine.deadline()
            if due_ms is None or due_ms <= now_ms:
                shell.machine.tick(now_ms)
        settle(*shells, now_ms=now_ms)
