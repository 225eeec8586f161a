"""The built-in capabilities: what they answer, to whom, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import errors
from edge.bus.bus import Bus
from edge.caller import ANCHOR, LOCAL, MEMBER, PAGE, TRUSTED, UNKNOWN, Caller
from edge.core import cbor, limits
from edge.core import message as messages
from tests.bus.joined import World, key_of, run, settle
from tests.bus.village import NOW_S, Place, settle_down

LEVELS = {
    "board.list": UNKNOWN, "board.post": MEMBER, "counters": TRUSTED, "direct.list": ANCHOR, "direct.send": ANCHOR,
    "messages.import": ANCHOR, "messages.list": MEMBER, "messages.post": TRUSTED, "node.status": UNKNOWN,
    "peers.list": MEMBER, "protocol.versions": UNKNOWN, "trace.recent": ANCHOR, "triage.mark": MEMBER,
    "triage.text": MEMBER,
}
PARAMS: dict[str, dict[str, Any]] = {
    "board.post": {"text": "Fresh bread at six"}, "messages.post": {"text": "hello"},
    "messages.import": {"frame": b"\x02"}, "triage.text": {"text": "we are trapped"},
}


def village(*names: str) -> Callable[[Callable[..., Any]], Callable[[Path], None]]:
    """Run a test in a world of places, given as (world, place, bus, place, bus, ...)."""

    def wrap(scenario: Callable[..., Any]) -> Callable[[Path], None]:
        def test(tmp_path: Path) -> None:
            async def main(world: World) -> None:
                found: list[Any] = []
                try:
                    for name in names:
                        found += settle_down(world, tmp_path, name)
                    await scenario(world, *found)
                finally:
                    for one in found[::2]:
                        one.store.close()

            run(main)

        return test

    return wrap


def by(trust: int, via: str = "test") -> Caller:
    return Caller(trust, b"k" * 32, via)


@pytest.mark.parametrize("level", [UNKNOWN, MEMBER, TRUSTED, ANCHOR])
@pytest.mark.parametrize("name", LEVELS)
def test_trust_matrix(tmp_path: Path, name: str, level: int) -> None:
    @village("hall", "other")
    async def scenario(world: World, hall: Place, bus: Bus, other: Place, far: Bus) -> None:
        params = PARAMS.get(name, {"to": other.key.hex(), "text": "hello"} if name == "direct.send" else {})
        if name == "triage.mark":
            params = {"id": await hall.post(messages.NOTICE, 2, 60, None, {1: "hello"}), "urgent": "yes"}
        world.trust[("hall", "other")] = level
        world.join("hall", "other")
        await settle()
        outcomes = []
        for caller_bus, caller, to in ((bus, by(level), None), (far, LOCAL, key_of("hall"))):
            try:
                await caller_bus.call(name + "@1", params, caller=caller, to=to)
                outcomes.append("ok")
            except errors.BusError as error:
                outcomes.append(error.code)
        assert outcomes == ["ok" if level >= LEVELS[name] else "unauthorized"] * 2

    scenario(tmp_path)


@village("hall")
async def test_everything_is_in_the_matrix(world: World, hall: Place, bus: Bus) -> None:
    assert {row["capability"].partition("@")[0] for row in bus.capabilities()} == set(LEVELS)


@village("hall")
async def test_board(world: World, hall: Place, bus: Bus) -> None:
    made = await bus.call("board.post@1", {"text": "Fresh bread\r\nat six", "name": "Ana", "ttl_s": 3600}, caller=PAGE)
    await bus.call("board.post@1", {"text": "Lost: one cat"}, caller=PAGE)
    rows = await bus.call("board.list@1", caller=by(UNKNOWN))
    assert [row["text"] for row in rows] == ["Lost: one cat", "Fresh bread\nat six"]
    assert rows[1] == {
        "id": made["id"], "author": hall.key.hex(), "lane": limits.LANE_COMMUNITY, "type": messages.NOTICE, "seq": 1,
        "hlc": (NOW_S << 16) + 1, "time_ms": NOW_S * 1000, "expires_s": NOW_S + 3600, "text": "Fresh bread\nat six",
        "name": "Ana", "conflict": False,
    }
    assert [row["text"] for row in await bus.call("board.list@1", {"search": "cat"})] == ["Lost: one cat"]
    assert len(await bus.call("board.list@1", {"limit": 1})) == 1
    assert (await bus.call("board.list@1", {"before_hlc": rows[0]["hlc"]})) == rows[1:]
    assert await bus.call("board.list@1", {"search": "nothing"}) == []
    hall.now_s += 3600
    assert len(await bus.call("board.list@1")) == 1


@pytest.mark.parametrize("params", [
    {}, {"text": None}, {"text": ""}, {"text": " \n"}, {"text": 7}, {"text": b"x"}, {"text": "x" * 4097},
    {"text": "\u00e4" * 2049}, {"text": "a\x00b"}, {"text": "a\x1b[2Jb"}, {"text": "a\u0085b"}, {"text": "a\ud800b"},
    {"text": "x", "name": "two\nlines"}, {"text": "x", "name": "n" * 65}, {"text": "x", "ttl_s": 0},
    {"text": "x", "ttl_s": True}, {"text": "x", "ttl_s": "1"}, {"text": "x", "ttl_s": limits.TTL_S_MAX + 1},
])
def test_bad_notices(tmp_path: Path, params: dict[str, Any]) -> None:
    @village("hall")
    async def scenario(world: World, hall: Place, bus: Bus) -> None:
        with pytest.raises(errors.BadRequest) as info:
            await bus.call("board.post@1", params)
        assert info.value.where in ("text", "name", "ttl_s")
        assert info.value.allowed
        assert hall.store.list_messages(now_s=0) == []

    scenario(tmp_path)


def test_the_words_of_an_error(tmp_path: Path) -> None:
    @village("hall")
    async def scenario(world: World, hall: Place, bus: Bus) -> None:
        allowed = "; allowed: text of 1..4096 bytes in UTF-8, with lines and tabs"
        for params, words in (
            ({"text": "x" * 5000}, "text: takes 5000 bytes" + allowed),
            ({"text": "a\x07"}, "text: holds the control character U+0007 at place 2" + allowed),
            ({"text": "x", "ttl_s": 0}, "ttl_s: 0 is out of range; allowed: 1..31622400"),
            ({}, "text: is missing" + allowed),
        ):
            with pytest.raises(errors.BadRequest) as info:
                await bus.call("board.post@1", params)
            assert str(info.value) == words

    scenario(tmp_path)


@village("hall")
async def test_a_newer_caller_may_send_more(world: World, hall: Place, bus: Bus) -> None:
    await bus.call("board.post@1", {"text": "x", "colour": "green"})


@village("hall", "other")
async def test_same_bytes_here_and_there(world: World, hall: Place, bus: Bus, other: Place, far: Bus) -> None:
    for i in range(120):
        await bus.call("board.post@1", {"text": f"notice {i} " + "x" * 300})
    world.trust[("hall", "other")] = ANCHOR
    world.join("hall", "other")
    await settle()
    for name in ("board.list", "messages.list", "peers.list", "protocol.versions", "node.status", "direct.list"):
        here = cbor.encode(await bus.call(name + "@1"))
        there = cbor.encode(await far.call(name + "@1", to=key_of("hall")))
        assert here == there, name
    assert len(await far.call("board.list@1", to=key_of("hall"))) == 100
    assert len(await far.call("board.list@1", {"limit": 1000}, to=key_of("hall"))) == 120


@village("hall", "other", "third")
async def test_direct_messages(world: World, hall: Place, bus: Bus, other: Place, far: Bus, third: Place,
                               far3: Bus) -> None:
    hall.hears(other)
    made = await bus.call("direct.send@1", {"to": "other", "text": "Meet at noon"})
    assert made["to"] == other.key.hex()
    hall.gives(other)
    hall.gives(third)
    inbox = await far.call("direct.list@1")
    assert [(row["text"], row["author"], row["state"], row["id"]) for row in inbox] == [
        ("Meet at noon", hall.key.hex(), "received", made["id"])]
    assert await far3.call("direct.list@1") == []
    outbox = await bus.call("direct.list@1", {"box": "outbox"})
    assert [(row["to"], row["state"], row["receipt"], row["text"]) for row in outbox] == [
        (other.key.hex(), "stored", None, None)]
    await other.post(messages.RECEIPT, limits.LANE_DIRECT, 3600, hall.key, {1: bytes.fromhex(made["id"]), 2: 1})
    other.gives(hall)
    outbox = await bus.call("direct.list@1", {"box": "outbox"})
    assert [(row["state"], row["receipt"]) for row in outbox] == [("delivered", other.key.hex())]
    late = await bus.call("direct.send@1", {"to": other.key[:4].hex(), "text": "late", "ttl_s": 10})
    hall.now_s += 11
    outbox = await bus.call("direct.list@1", {"box": "outbox"})
    assert [(row["id"], row["state"]) for row in outbox if row["id"] == late["id"]] == [(late["id"], "expired")]
    # no plain text anywhere but in the inbox, and nobody but the owner sees that it exists
    for place in (hall, other, third):
        assert not any(b"Meet at noon" in row["data"] for row in place.store.list_messages(now_s=0))
    assert all(row["text"] is None for row in await far3.call("messages.list@1", {"type": messages.DIRECT}))
    assert len(await far3.call("messages.list@1", {"type": messages.DIRECT})) == 1
    for trust in (MEMBER, TRUSTED):
        assert await far3.call("messages.list@1", caller=by(trust)) == []
        assert await far3.call("messages.list@1", {"type": messages.DIRECT}, caller=by(trust)) == []


@village("hall", "other", "third")
async def test_who_is_meant(world: World, hall: Place, bus: Bus, other: Place, far: Bus, third: Place,
                            far3: Bus) -> None:
    async def send(to: Any) -> Any:
        return (await bus.call("direct.send@1", {"to": to, "text": "x"}))["to"]

    assert await send(other.key.hex().upper()) == other.key.hex()  # a whole key needs no acquaintance
    assert await send(other.key) == other.key.hex()
    hall.hears(third, name="Clinic", member=False)
    assert await send("Clinic") == third.key.hex()
    hall.hears(other, name="Clinic")
    assert await send("Clinic") == other.key.hex()  # a member's name before a visitor's
    hall.near[0]["member"] = True
    for to, kind in (("Clinic", errors.BadRequest), ("nobody", errors.NotFound), ("ab12", errors.NotFound),
                     ("f" * 63, errors.NotFound), (hall.key.hex(), errors.BadRequest), ("", errors.BadRequest),
                     ("00" * 32, errors.BadRequest), (b"short", errors.BadRequest), (5, errors.BadRequest)):
        with pytest.raises(kind) as info:
            await send(to)
        assert info.value.where == "to"
    hall.near[0]["authenticated"] = False
    assert await send("Clinic") == other.key.hex()


@village("hall")
async def test_messages(world: World, hall: Place, bus: Bus) -> None:
    await bus.call("messages.post@1", {"text": "bulk", "lane": 3, "type": 700}, caller=by(TRUSTED))
    await bus.call("messages.post@1", {"text": "to all"}, caller=by(TRUSTED))
    await bus.call("messages.post@1", {"text": "owner", "lane": 0})
    for lane in (0, 1):
        with pytest.raises(errors.Unauthorized):
            await bus.call("messages.post@1", {"text": "x", "lane": lane}, caller=by(TRUSTED))
    for type in (messages.DIRECT, messages.RECEIPT, messages.ALERT, 0, 65536):
        with pytest.raises(errors.BadRequest):
            await bus.call("messages.post@1", {"text": "x", "type": type})

    async def texts(**params: Any) -> list[str]:
        return [row["text"] for row in await bus.call("messages.list@1", params, caller=by(MEMBER))]

    assert await texts() == ["owner", "to all", "bulk"]
    assert await texts(lane=3) == ["bulk"]
    assert await texts(type=messages.NOTE) == ["owner", "to all"]
    assert await texts(author=hall.key.hex(), limit=2) == ["owner", "to all"]
    assert await texts(author="00" * 32) == []
    assert await texts(search="all") == ["to all"]
    stream = [row["text"] async for row in bus.stream("messages.list@1", {"limit": 2})]
    assert stream == ["owner", "to all"]


@village("hall")
async def test_paging_over_one_instant(world: World, hall: Place, bus: Bus) -> None:
    """Rows of one instant on both sides of a page's end are neither lost nor doubled."""
    made = [messages.build(hall.seed, hall.key, i + 1, (NOW_S << 16) + i // 40, 3600, 2, messages.NOTICE, None,
                           {1: f"n{i}"}) for i in range(100)]
    hall.take(*made)
    ids = [row["id"] for row in await bus.call("board.list@1", {"limit": 1000})]
    assert sorted(ids) == sorted(one.id.hex() for one in made)
    assert len(await bus.call("board.list@1", {"limit": 77})) == 77


@village("hall")
async def test_status_by_trust(world: World, hall: Place, bus: Bus) -> None:
    async def keys(caller: Caller) -> set[str]:
        return set(await bus.call("node.status@1", caller=caller))

    short = {"node", "name", "up_s", "time_ms", "time_quality", "version", "protocol"}
    assert await keys(by(UNKNOWN)) == short
    assert await keys(PAGE) == short | {"messages", "outbox", "trouble", "store"}
    assert "path" not in (await bus.call("node.status@1", caller=PAGE))["store"]
    assert {"links", "counters"} < await keys(LOCAL)
    hall.hears(hall)
    assert "address" in (await bus.call("peers.list@1"))[0]
    assert "address" not in (await bus.call("peers.list@1", caller=PAGE))[0]
    offered = (await bus.call("protocol.versions@1", caller=by(UNKNOWN)))["capabilities"]
    assert offered == ["board.list@1.0", "node.status@1.0", "protocol.versions@1.0"]
    assert (await bus.call("counters@1"))["rx.frames"] == 7
    assert (await bus.call("trace.recent@1", {"after": 4})) == [{"n": 5}]


@village("hall", "other")
async def test_no_secret_in_any_reply(world: World, hall: Place, bus: Bus, other: Place, far: Bus) -> None:
    hall.hears(other)
    other.hears(hall)
    await bus.call("direct.send@1", {"to": "other", "text": "the word is swordfish"})
    await far.call("direct.send@1", {"to": "hall", "text": "the word is swordfish"})
    hall.gives(other)
    other.gives(hall)
    id = await hall.post(messages.NOTICE, 2, 60, None, {1: "hello"})
    own = {"direct.send": {"to": "other", "text": "hello"}, "triage.mark": {"id": id, "urgent": "yes"}}
    for name in LEVELS:
        params = PARAMS.get(name, own.get(name, {}))
        for trust in (UNKNOWN, MEMBER, TRUSTED, ANCHOR):
            try:
                answer = await bus.call(name + "@1", params, caller=by(trust))
            except errors.Unauthorized:
                continue
            shown = cbor.encode(answer)
            assert hall.seed not in shown and hall.seed.hex().encode() not in shown
            assert b"swordfish" not in shown or (name == "direct.list" and trust == ANCHOR)


@village("hall")
async def test_import(world: World, hall: Place, bus: Bus) -> None:
    assert await bus.call("messages.import@1", {"frame": b"\x02abc"}) == {"new": 1, "known": 0, "refused": {}}
    assert await bus.call("messages.import@1", {"frame": "02ff"}) == {"new": 1, "known": 0, "refused": {}}
    assert hall.imported == [b"\x02abc", b"\x02\xff"]
    for frame in ("xyz", b"", 3, bytes(limits.FRAME_BYTES_MAX + 1)):
        with pytest.raises(errors.BadRequest):
            await bus.call("messages.import@1", {"frame": frame})
