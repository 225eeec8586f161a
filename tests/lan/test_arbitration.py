"""Two nodes that connect to each other at one moment, in any order of events: one connection is left, the same."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from radios.lan import bounds
from radios.lan.driver import LanDriver
from radios.lan.session import TcpSession
from tests.lan.kit import no_callback_fails
from tests.lan.test_session import Wire
from tests.radios.contract import Heard, identity


class Side:
    """A driver without sockets."""

    def __init__(self, number: int) -> None:
        self.heard = Heard()
        self.driver = LanDriver({}, *identity(number), None, self.heard, "lan", bounds.Pace())

    def session(self) -> Any:
        (session,) = self.driver._sessions.values()
        return session


class Connection:
    """One TCP connection, cut into steps: bytes one way, bytes the other, a close noticed by the other."""

    def __init__(self, caller: Side, called: Side) -> None:
        self.sessions = [
            TcpSession(caller.driver, caller.driver._identity, True, caller.driver._pace),
            TcpSession(called.driver, called.driver._identity, False, called.driver._pace),
        ]
        self.wires = [Wire(), Wire()]
        self.flying: list[list[bytes]] = [[], []]  # from 0 to 1, from 1 to 0
        self.over = [False, False]
        for session, wire in zip(self.sessions, self.wires, strict=True):
            session.connection_made(wire)

    def steps(self) -> list[tuple[str, int]]:
        out = []
        for end in (0, 1):
            if self.wires[end].written:
                self.flying[end].append(self.wires[end].take())
            if self.flying[end] and not self.over[1 - end]:
                out.append(("deliver", end))
            if self.wires[end].closed and not self.over[end]:
                out.append(("end", end))
            if self.over[end] and not self.flying[end] and not self.over[1 - end]:
                out.append(("end", 1 - end))
        return out

    def step(self, what: str, end: int) -> None:
        if what == "end":
            self.over[end] = True
            self.sessions[end].connection_lost(None)
            return
        data = self.flying[end].pop(0)
        receiver = self.sessions[1 - end]
        if not self.wires[1 - end].closed:
            receiver.get_buffer(-1)[: len(data)] = data
            receiver.buffer_updated(len(data))


def settle(rng: random.Random, connections: list[Connection]) -> None:
    """Let everything happen, in an order drawn by `rng`."""
    for _ in range(200):
        todo = [(connection, step) for connection in connections for step in connection.steps()]
        if not todo:
            return
        connection, (what, end) = rng.choice(todo)
        connection.step(what, end)
    raise AssertionError("it never settles")


def ends(connections: list[Connection]) -> None:
    for connection in connections:
        for end in (0, 1):
            if not connection.over[end]:
                connection.over[end] = True
                connection.sessions[end].connection_lost(None)


def agree(a: Side, b: Side, connections: list[Connection]) -> Connection:
    """Both have one session, on one connection, and every other connection is over. Gives that connection."""
    kept = [c for c in connections if a.session() in c.sessions and b.session() in c.sessions]
    assert len(kept) == 1, "they kept different ones"
    for connection in connections:
        assert connection.over == [connection is not kept[0]] * 2
    return kept[0]


@pytest.mark.parametrize("callers", [(0, 1), (1, 0), (0, 1, 0), (1, 1), (0, 0), (0, 1, 1, 0)])
def test_at_the_same_moment(callers: tuple[int, ...]) -> None:
    async def test() -> None:
        with no_callback_fails():
            for seed in range(80):
                rng = random.Random(seed)
                sides = Side(1), Side(2)
                connections = [Connection(sides[caller], sides[1 - caller]) for caller in callers]
                settle(rng, connections)
                agree(*sides, connections)
                for side in sides:
                    ups = sum(event[0] == "up" for event in side.heard.events)
                    assert ups <= len(callers)
                ends(connections)

    asyncio.run(test())


@pytest.mark.parametrize("caller", [0, 1])
def test_one_side_has_lost_it(caller: int) -> None:
    """The other still believes in the old connection: the new one takes its place, whoever calls."""
    async def test() -> None:
        with no_callback_fails():
            sides = Side(1), Side(2)
            first = Connection(sides[1 - caller], sides[caller])
            settle(random.Random(1), [first])
            agree(*sides, [first])
            first.sessions[1].connection_lost(None)  # its caller's end is not told: the cable is out
            second = Connection(sides[caller], sides[1 - caller])
            settle(random.Random(2), [second])
            for side in sides:
                assert side.session() in second.sessions
            ends([second])
            first.sessions[0].connection_lost(None)

    asyncio.run(test())


@pytest.mark.parametrize("caller", [0, 1])
def test_a_call_that_was_not_needed(caller: int) -> None:
    """A peer from the settings, met already by another way: the call is given up, the session stays."""
    async def test() -> None:
        with no_callback_fails():
            for first_caller in (0, 1):
                sides = Side(1), Side(2)
                first = Connection(sides[first_caller], sides[1 - first_caller])
                settle(random.Random(1), [first])
                second = Connection(sides[caller], sides[1 - caller])
                settle(random.Random(2), [first, second])
                assert agree(*sides, [first, second]) is first
                assert all([event[0] for event in side.heard.events] == ["up"] for side in sides)
                ends([first, second])

    asyncio.run(test())
