"""The second look by meaning: what it brings forward, and that the words order stands where it has nothing to say."""

from __future__ import annotations

from array import array
from typing import Any

from edge import errors
from edge.bus.bus import Bus
from edge.caller import MEMBER, Caller
from tests.bus.asking import FLOOD, WATER, Model, Shelf, open_library
from tests.bus.joined import World
from tests.bus.test_services import village
from tests.bus.village import Place

THIRD = ("Cold", "Hypothermia", "Warm the middle of the body first.")


def shelf() -> Shelf:
    """Three passages; in meaning the third is nearest to (1, 0)."""
    found = Shelf(WATER, FLOOD, THIRD)
    found.model = "mini"
    found.held = {1: bytes(array("b", [0, 127])), 2: bytes(array("b", [60, 90])), 3: bytes(array("b", [127, 0]))}
    return found


class Embed:
    """embed.text that gives one vector, or an error."""

    def __init__(self, bus: Bus, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.loaded = {"mini": False, "chat": False}
        bus.provide("embed.text", "1.0", self.embed, trust=MEMBER, summary="")
        bus.provide("models.list", "1.0", self.rows, trust=MEMBER, summary="")

    async def rows(self, caller: Caller, params: dict[str, Any]) -> Any:
        return [{"name": name, "loaded": loaded} for name, loaded in self.loaded.items()]

    async def embed(self, caller: Caller, params: dict[str, Any]) -> Any:
        self.asked.append(params)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def order(bus: Bus) -> list[str]:
    items = await bus.call("ask@1", {"question": "he is stiff and mumbles", "limit": 3})
    return [row["title"] for row in items[0]["passages"]]


@village("hall")
async def test_meaning_counts_as_much_as_words(world: World, hall: Place, bus: Bus) -> None:
    found = shelf()
    open_library(hall, bus, found)
    assert await order(bus) == ["Safe water", "Floods", "Cold"]
    model = Embed(bus, {"model": "mini", "vectors": [array("f", [1.0, 0.0]).tobytes()]})
    assert await order(bus) == ["Safe water", "Cold", "Floods"], "first by words, and first by meaning"
    assert model.asked == [{"texts": ["he is stiff and mumbles"], "model": "mini"}]
    model.loaded["chat"] = True
    assert await order(bus) == ["Safe water", "Floods", "Cold"] and len(model.asked) == 1, "that one is not taken out"
    model.loaded = {"mini": True, "chat": False}
    assert (await order(bus))[1] == "Cold"
    found.held = {3: found.held[3]}
    assert (await order(bus))[0] in ("Safe water", "Cold"), "those without a vector are not lost"
    assert len(await order(bus)) == 3


@village("hall")
async def test_where_it_has_nothing_to_say(world: World, hall: Place, bus: Bus) -> None:
    found = shelf()
    open_library(hall, bus, found)
    words = ["Safe water", "Floods", "Cold"]
    model = Embed(bus, errors.CapacityExceeded("too hot"))
    assert await order(bus) == words
    for answer in ({}, {"vectors": []}, {"vectors": [b"odd"]}, None, {"vectors": [array("f", [1.0]).tobytes()]}):
        model.answer = answer
        assert await order(bus) == words
    found.held, asked = {}, len(model.asked)
    assert await order(bus) == words and len(model.asked) == asked, "without vectors no model is asked"


@village("hall")
async def test_the_prompt_has_the_new_order(world: World, hall: Place, bus: Bus) -> None:
    chat = Model("ok [1]").provide(bus)
    Embed(bus, {"model": "mini", "vectors": [array("f", [1.0, 0.0]).tobytes()]})
    open_library(hall, bus, shelf())
    await bus.call("ask@1", {"question": "x", "limit": 2})
    content = chat.prompts[0][1]["content"]
    assert content.index("Hypothermia") > content.index("Boil it") and "After a flood" not in content
