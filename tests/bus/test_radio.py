"""radio.status, radio.watch and radio.test over a bus, and what became of a notice on the radios."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.bus.bus import Bus
from edge.caller import ANCHOR, LOCAL, PAGE, Caller
from edge.errors import BadRequest, NotFound, Unauthorized
from edge.services import provide_radio
from tests.bus.joined import World, run
from tests.bus.test_services import village
from tests.bus.village import Place
from tests.waiting import PATIENCE


class Air:
    """A RadioPort and the node of it."""

    def __init__(self, *links: str) -> None:
        self.aired: Any = self
        self.links = links
        self.probes: list[tuple[str, bytes, int]] = []

    def radios(self) -> list[dict[str, Any]]:
        return [{"link": link, "facts": {"state": "up"}, "waiting": []} for link in self.links]

    def probe(self, link: str, nonce: bytes, n: int) -> int:
        self.probes.append((link, nonce, n))
        return 40 + len(self.probes)


async def events(bus: Bus, capability: str, params: dict[str, Any], n: int, *published: tuple[str, dict[str, Any]],
                 air: Air | None = None) -> list[dict[str, Any]]:
    """The first n items of a stream during which topics are published; a nonce "N" is that of the last probe."""
    stream = bus.stream(capability, params)
    out: list[dict[str, Any]] = []
    waits = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    for topic, value in published:
        if air is not None and value.get("nonce") == "N":
            value = value | {"nonce": air.probes[-1][1].hex()}
        bus.publish(topic, value)
    try:
        async with asyncio.timeout(5 * PATIENCE):
            out.append(await waits)
            while len(out) < n:
                out.append(await anext(stream))
    except StopAsyncIteration:
        pass
    await stream.aclose()
    return out


def test_status_is_the_owners() -> None:
    async def main(world: World) -> None:
        bus = world.add("a")
        provide_radio(bus, Air("lora"))  # type: ignore[arg-type]
        assert await bus.call("radio.status@1") == [{"link": "lora", "facts": {"state": "up"}, "waiting": []}]
        for name in ("radio.status@1", "radio.watch@1", "radio.test@1"):
            with pytest.raises(Unauthorized):
                await bus.call(name, caller=PAGE)
        assert await bus.call("radio.status@1", caller=Caller(ANCHOR, b"k" * 32, "lan"))

    run(main)


def test_watch_gives_what_happens_on_the_link() -> None:
    async def main(world: World) -> None:
        bus = world.add("a")
        provide_radio(bus, Air("lora", "ble"))  # type: ignore[arg-type]
        told = [("heard", {"link": "lora", "bytes": 3}), ("heard", {"link": "ble", "bytes": 4}),
                ("peer", {"link": "lora"}), ("text", {"link": "lora", "text": "hi"})]
        assert await events(bus, "radio.watch@1", {}, 3, *told) == [
            {"event": "heard", "link": "lora", "bytes": 3}, {"event": "heard", "link": "ble", "bytes": 4},
            {"event": "text", "link": "lora", "text": "hi"}]
        assert await events(bus, "radio.watch@1", {"link": "ble"}, 1, *told) == [
            {"event": "heard", "link": "ble", "bytes": 4}]
        with pytest.raises(BadRequest, match="lora, ble"):
            await bus.call("radio.watch@1", {"link": "lorra"})

    run(main)


def test_a_test_ends_when_echoes_had_their_time() -> None:
    async def main(world: World) -> None:
        bus = world.add("a")
        air = Air("lora")
        provide_radio(bus, air)  # type: ignore[arg-type]

        def state(word: str, token: int = 41) -> tuple[str, dict[str, Any]]:
            return "on_air", {"link": "lora", "token": token, "state": word, "detail": ""}

        got = await events(bus, "radio.test@1", {"n": 7, "listen_ms": 100}, 99, state("waiting"), state("sent", 9),
                           state("on_air"), state("sent"), ("echo", {"nonce": "00000000", "link": "lora"}),
                           ("echo", {"nonce": "N", "link": "lora", "node": "aa"}), air=air)
        assert [one.get("state", one["event"]) for one in got] == ["queued", "waiting", "on_air", "sent", "echo"]
        assert got[0] == {"event": "queued", "link": "lora", "number": 41} and got[-1]["node"] == "aa"
        assert air.probes[0][0] == "lora" and air.probes[0][2] == 7 and len(air.probes[0][1]) == 4

        got = await events(bus, "radio.test@1", {}, 99, state("refused", 42))
        assert [one.get("state") for one in got] == [None, "refused"]

    run(main)


def test_a_node_without_a_radio_says_so() -> None:
    async def main(world: World) -> None:
        bus = world.add("a")
        provide_radio(bus, Air())  # type: ignore[arg-type]
        with pytest.raises(NotFound, match="no radio link"):
            await bus.call("radio.test@1")
        air = Air("lora", "ble")
        bus = world.add("b")
        provide_radio(bus, air)  # type: ignore[arg-type]
        with pytest.raises(BadRequest, match="lora, ble"):
            await bus.call("radio.test@1")

    run(main)


@village("a", "b")
async def test_lists_say_what_became_of_our_own(world: World, a: Place, bus: Bus, b: Place, _bus: Bus) -> None:
    id = (await bus.call("board.post@1", {"text": "soup"}))["id"]
    direct = (await bus.call("direct.send@1", {"to": b.key.hex(), "text": "x"}))["id"]
    (row,) = await bus.call("board.list@1")
    assert row["id"] == id and "radio" not in row
    fate = [{"link": "lora", "state": "waiting", "detail": "for airtime until 14:20"}]
    rows = {found["id"].hex(): found for found in a.store.list_messages(now_s=0)}
    for one in (id, direct):
        a.went[rows[one]["hlc"].to_bytes(6, "big") + rows[one]["id"][:10]] = fate
    for capability, params in (("board.list@1", {}), ("direct.list@1", {"box": "outbox"})):
        (row,) = await bus.call(capability, params, caller=LOCAL)
        assert row["radio"] == fate
    assert all(row["radio"] == fate for row in await bus.call("messages.list@1"))
