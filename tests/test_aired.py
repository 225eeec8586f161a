"""What became of what went to a radio, and probes: Aired over drivers that only write down."""

from __future__ import annotations

import asyncio
import types
from typing import Any

import pytest

from edge import aired
from edge.core import beacon, effects, hlc, probe
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.rng import Rng
from edge.errors import CapacityExceeded, Unavailable
from tests.waiting import PATIENCE

KEY = b"community key of the aired tests"


class Signal:
    rssi_dbm = -91
    snr_qdb = -18
    hops = 2


class Radio:
    """A driver that takes everything and sends nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.cancelled: list[int] = []
        self.room = True

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> int:
        assert peer is None
        if not self.room:
            return 0
        self.sent.append((lane, frame))
        return len(self.sent)

    def cancel(self, token: int) -> bool:
        self.cancelled.append(token)
        return True

    def status(self) -> dict[str, str | int]:
        return {"state": "up"}

    def waiting(self) -> list[dict[str, str | int]]:
        return [{"number": len(self.sent)}]


class Place:
    """One node's radios."""

    def __init__(self, number: int, bits_per_s: int = 1000000) -> None:
        self.machine: Any = Machine(bytes([number]) * 32, "", Rng(number), community_key=KEY)
        self.machine.command(0, effects.CLOCK, 1_790_000_000_000, hlc.QUALITY_RTC)
        self.machine.command(0, effects.LINK_UP, LinkInfo(
            "lora", mtu_bytes=200, lanes=7, broadcast=True, ordered=False, small=True, burst=1, bits_per_s=bits_per_s))
        self.radio = Radio()
        self.told: list[tuple[str, dict[str, Any]]] = []
        drivers: Any = {"lora": self.radio, "lan": object()}
        self.aired = aired.Aired(self.machine, drivers, lambda *event: self.told.append(event), lambda: 0, Rng(number))


def test_fates() -> None:
    place = Place(1)
    key = b"k" * 16
    assert place.aired.fates(key) == []
    place.aired.sent("lora", 5, key)
    assert place.aired.fates(key) == [{"link": "lora", "state": "queued", "detail": ""}]
    place.aired.on_air("lora", 5, "waiting", "for airtime until 14:20")
    place.aired.on_air("lora", 6, "sent", "of something else")
    assert place.aired.fates(key) == [{"link": "lora", "state": "waiting", "detail": "for airtime until 14:20"}]
    assert place.told[0] == ("on_air", {"link": "lora", "token": 5, "state": "waiting",
                                        "detail": "for airtime until 14:20", "key": key.hex()})
    assert "key" not in place.told[1][1]
    place.aired.sent("lora", 9, key)  # said once more
    place.aired.on_air("lora", 5, "failed", "too late to matter")
    assert place.aired.fates(key)[0]["state"] == "queued"
    place.aired.sent("ble", 9, key)
    assert [one["link"] for one in place.aired.fates(key)] == ["lora", "ble"]


def test_what_is_remembered_is_bounded() -> None:
    place = Place(1)
    for n in range(3 * aired.REMEMBERED_MAX):
        place.aired.sent("lora", n + 1, n.to_bytes(16, "big"))
    assert len(place.aired._fates) == len(place.aired._tokens) == aired.REMEMBERED_MAX
    assert not place.aired.fates(bytes(16)) and place.aired.fates((3 * aired.REMEMBERED_MAX - 1).to_bytes(16, "big"))


def test_take_back() -> None:
    place = Place(1)
    place.aired.take_back("lora", b"k" * 16)
    place.aired.sent("lora", 5, b"k" * 16)
    place.aired.take_back("other", b"k" * 16)
    place.aired.take_back("lora", b"k" * 16)
    assert place.radio.cancelled == [5]


def test_radios_are_those_with_a_line() -> None:
    assert Place(1).aired.radios() == [{"link": "lora", "facts": {"state": "up"}, "waiting": [{"number": 0}],
                                         "nodes": []}]


def test_who_is_in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever's beacon was heard lately, by its key where that is known, and not twice who is met by another link."""
    one, two = Place(1), Place(2)
    assert one.aired.in_reach() == []
    one.machine.receive(0, "lora", b"", two.machine.air("lora").sync.pack_beacon(0, 0), -80)
    (row,) = one.aired.in_reach()
    assert row["node"] == beacon.node_of(two.machine.key).hex() and row["link"] == "lora" and row["member"]
    one.machine.air("lora").book.learn(two.machine.key)
    assert [row["node"] for row in one.aired.in_reach()] == [two.machine.key.hex()]
    one.aired._now_ms = lambda: aired.IN_REACH_MS + 1
    assert one.aired.in_reach() == []
    one.aired._now_ms = lambda: 0
    met = types.SimpleNamespace(node=two.machine.key, hello=True)
    monkeypatch.setattr(one.machine, "neighbours", lambda: [met])
    assert one.aired.in_reach() == []


def test_a_probe_is_echoed_and_told() -> None:
    async def scene() -> None:
        one, two = Place(1), Place(2)
        assert one.aired.probe("lora", b"once", 3) == 1
        lane, frame = one.radio.sent[0]
        assert lane == 1
        assert two.aired.heard("lora", frame, Signal()) and not two.radio.sent
        async with asyncio.timeout(5 * PATIENCE):
            while not two.radio.sent:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert one.aired.heard("lora", two.radio.sent[0][1], Signal())
        name, value = one.told[-1]
        assert name == "echo" and value["node"] == beacon.node_of(two.machine.key).hex() and value["n"] == 3
        assert value["nonce"] == b"once".hex()
        assert value["there"] == value["here"] == {"hops": 2, "rssi_dbm": -91, "snr_qdb": -18}
        assert one.told[0][0] == "heard" and one.told[0][1]["kind"] == probe.ECHO_KIND

    asyncio.run(scene())


def test_probes_are_answered_with_measure_and_only_members() -> None:
    async def scene() -> None:
        one, two = Place(1), Place(2)
        for n in range(aired.ECHO_BURST + 5):
            one.aired.probe("lora", b"once", n)
        for _, frame in one.radio.sent:
            two.aired.heard("lora", frame, Signal())
        async with asyncio.timeout(5 * PATIENCE):
            while len(two.radio.sent) < aired.ECHO_BURST:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert two.machine.counters["drop.rate"] == 5
        assert two.aired.heard("lora", one.radio.sent[0][1][:-1] + b"\0", Signal())
        assert two.machine.counters["drop.radio.tag"] == 1
        assert not two.aired.heard("lora", b"\x48...", Signal())  # the core's affair

    asyncio.run(scene())


def test_what_a_probe_needs() -> None:
    place = Place(1)
    for link in ("lan", "none"):
        with pytest.raises(Unavailable, match="lora"):
            place.aired.probe(link, b"once", 0)
    place.radio.room = False
    with pytest.raises(CapacityExceeded):
        place.aired.probe("lora", b"once", 0)
