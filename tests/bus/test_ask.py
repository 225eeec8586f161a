"""Asking: the library first, then whose model there is; who served it, how long it took, from which passages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge import errors
from edge.bus.bus import Bus
from edge.caller import LOCAL, MEMBER, PAGE, UNKNOWN, Caller
from edge.services import ask as asks
from edge.services import prompt
from tests.bus.asking import FLOOD, WATER, Model, Shelf, open_library
from tests.bus.joined import World, key_of, settle
from tests.bus.test_services import village
from tests.bus.village import Place

QUESTION = {"question": "How do I make flood water safe to drink?"}


async def asked(bus: Bus, caller: Caller = LOCAL, **params: Any) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """(passages, the model's words, end) of an answer."""
    items = [item async for item in bus.stream("ask@1", QUESTION | params, caller=caller)]
    assert "passages" in items[0] and "end" in items[-1], items
    return items[0]["passages"], "".join(item.get("text", "") for item in items), items[-1]["end"]


@village("hall")
async def test_without_a_model_the_library_answers(world: World, hall: Place, bus: Bus) -> None:
    shelf = Shelf(WATER, FLOOD)
    open_library(hall, bus, shelf)
    passages, text, end = await asked(bus, PAGE, limit=1)
    assert [row["heading"] for row in passages] == ["Boil it"] and passages[0]["marks"] == [[0, 4]] and text == ""
    assert (end["by"], end["cites"], end["skipped"], end["model"]) == ("library", [], [], "")
    assert 0 <= end["ms"] < 5000 and shelf.asked == [QUESTION["question"]]
    assert (await bus.call("pack.list@1", caller=Caller(UNKNOWN, None, "x")))[0]["title"] == "Rows"
    assert (await bus.call("pack.search@1", QUESTION | {"limit": 1}))["passages"][0]["title"] == "Safe water"
    with pytest.raises(errors.BadRequest, match='no pack "x"'):
        await bus.call("pack.search@1", QUESTION | {"pack": "x"})
    with pytest.raises(errors.Unauthorized):
        await bus.call("ask@1", QUESTION, caller=Caller(UNKNOWN, b"k" * 32, "lan"))


@village("hall")
async def test_no_good_match_asks_no_model(world: World, hall: Place, bus: Bus) -> None:
    model = Model("Nonsense").provide(bus)
    open_library(hall, bus, Shelf(FLOOD, good=False))
    items = [item async for item in bus.stream("ask@1", QUESTION)]
    assert items[0]["good"] is False and items[0]["passages"] and items[-1]["end"]["by"] == "library"
    assert model.prompts == [] and len(items) == 2


@village("hall")
async def test_this_nodes_model_sums_up_and_names_passages(world: World, hall: Place, bus: Bus) -> None:
    model = Model("Boil it ", "for one minute [1]", ". Wells may be bad [2][7].").provide(bus)
    open_library(hall, bus, Shelf(WATER, FLOOD))
    passages, text, end = await asked(bus, PAGE)
    assert text == "Boil it for one minute [1]. Wells may be bad [2][7]."
    assert (end["by"], end["node"], end["model"], end["cites"]) == ("here", key_of("hall").hex(), "tiny", [1, 2])
    system, user = model.prompts[0]
    assert system == {"role": "system", "content": prompt.SYSTEM} and user["role"] == "user"
    assert "[1] Safe water - Boil it" in user["content"] and user["content"].endswith(QUESTION["question"])
    assert len(passages) == 2
    _, text, end = await asked(bus, by="library")
    assert text == "" and end["by"] == "library" and len(model.prompts) == 1


@village("hall", "mill", "hub")
async def test_each_stage_in_turn(world: World, hall: Place, bus: Bus, mill: Place, near: Bus, hub: Place,
                                  far: Bus) -> None:
    """Own model, neighbour's, hub's, the library: each fails in turn; the answer says who served and who did not."""
    own, other, big = Model("own [1]").provide(bus), Model("mill's [1]").provide(near), Model("hub's").provide(far)
    for name in ("mill", "hub"):
        world.trust[(name, "hall")] = MEMBER
        world.join("hall", name)
    hall.hears(hub)
    hall.hears(mill)
    await settle()
    open_library(hall, bus, Shelf(WATER), hubs=(key_of("hub"),))
    for model, place, by in ((own, hall, "here"), (other, mill, "neighbour"), (big, hub, "hub")):
        _, text, end = await asked(bus, PAGE)
        assert (end["by"], end["node"], end["name"]) == (by, key_of(place.name).hex(), place.name)
        assert text.split()[0] in str(model.parts)
        model.parts = (errors.CapacityExceeded("the machine is too hot"),)
    _, text, end = await asked(bus, PAGE)
    assert (end["by"], text) == ("library", "")
    assert [(one["by"], one["code"]) for one in end["skipped"]] == [
        (by, "capacity_exceeded") for by in ("here", "neighbour", "hub")]
    assert "too hot" in end["skipped"][0]["why"]
    assert all(caller.trust == MEMBER for caller in other.callers), "a neighbour is asked with what this node may there"


@village("hall", "mill", "far")
async def test_a_neighbours_question_is_not_carried_further(world: World, hall: Place, bus: Bus, mill: Place, near: Bus,
                                                            far: Place, last: Bus) -> None:
    model = Model("never").provide(last)
    for name in ("mill", "far"):
        world.trust[("hall", name)] = world.trust[(name, "hall")] = MEMBER
        world.join("hall", name)
    hall.hears(far)
    await settle()
    open_library(hall, bus, Shelf(WATER))
    items = await near.call("ask@1", QUESTION, to=key_of("hall"))
    assert items[0]["passages"] and items[-1]["end"]["by"] == "library" and model.prompts == []
    items = await bus.call("ask@1", QUESTION)
    assert items[-1]["end"]["by"] == "neighbour"


@village("hall")
async def test_a_model_that_dies_in_the_middle_is_a_typed_error(world: World, hall: Place, bus: Bus) -> None:
    model = Model("Boil", errors.Unavailable("the worker died")).provide(bus)
    open_library(hall, bus, Shelf(WATER))
    seen: list[dict[str, Any]] = []
    with pytest.raises(errors.Unavailable, match="worker died"):
        async for item in bus.stream("ask@1", QUESTION):
            seen.append(item)
    assert [key for item in seen for key in item if key in ("passages", "text", "end")] == ["passages", "text"]
    model.parts = ("Boil it [1].",)
    assert (await asked(bus))[1] == "Boil it [1]."


@village("hall")
async def test_whoever_stops_listening_ends_the_model(world: World, hall: Place, bus: Bus) -> None:
    model = Model("Boil", "more").provide(bus)
    model.hold = asyncio.Event()
    open_library(hall, bus, Shelf(WATER))
    items = bus.stream("ask@1", QUESTION)
    async for item in items:
        if "text" in item:
            break
    await items.aclose()
    assert model.ended == 1
    model.hold.set()
    assert (await asked(bus))[1] == "Boilmore"


@village("hall")
async def test_a_model_without_a_sign_of_life(world: World, hall: Place, bus: Bus) -> None:
    from edge.services import waterfall

    open_library(hall, bus, Shelf(WATER))

    async def chat(caller: Caller, params: dict[str, Any]) -> Any:
        await asyncio.sleep(60)
        yield {}

    bus.provide("llm.chat", "1.0", chat, trust=MEMBER, summary="")
    before, waterfall.SILENT_S_MAX = waterfall.SILENT_S_MAX, 0.05  # type: ignore[assignment]
    try:
        _, _, end = await asked(bus)
    finally:
        waterfall.SILENT_S_MAX = before
    assert end["by"] == "library" and end["skipped"][0]["code"] == "deadline_exceeded"


@village("hall")
async def test_a_library_without_models(world: World, hall: Place, bus: Bus) -> None:
    model = Model("Boil it [1].").provide(bus)
    open_library(hall, bus, Shelf(WATER), sums_up=False)
    passages, said, end = await asked(bus)
    assert passages and said == "" and end["by"] == "library" and not model.prompts


@village("hall")
async def test_what_a_model_says_in_another_form_is_passed_over(world: World, hall: Place, bus: Bus) -> None:
    open_library(hall, bus, Shelf(WATER))

    async def chat(caller: Caller, params: dict[str, Any]) -> Any:
        yield {"state": ["reading"]}
        yield {"state": "obey", "text": 7}
        yield {"state": "reading", "done": 64, "of": "all", "passages": []}
        yield {"text": "Boil", "good": False}
        yield {"end": {"model": "tiny", "tokens": "many"}}

    bus.provide("llm.chat", "1.0", chat, trust=MEMBER, summary="")
    items = [item async for item in bus.stream("ask@1", {"question": "How?"})]
    assert items[1:-1] == [{"state": "reading", "by": "here", "done": 64}, {"text": "Boil"}]
    assert items[-1]["end"]["by"] == "here" and items[-1]["end"]["tokens"] == 0


@village("hall")
async def test_only_so_many_at_a_time(world: World, hall: Place, bus: Bus) -> None:
    model = Model("a").provide(bus)
    model.hold = asyncio.Event()
    open_library(hall, bus, Shelf(WATER))
    tasks = [asyncio.ensure_future(asked(bus)) for _ in range(asks.ASKING_MAX)]
    for _ in range(1000):
        await asyncio.sleep(0)
    assert len(model.prompts) == asks.ASKING_MAX
    with pytest.raises(errors.CapacityExceeded):
        await asked(bus)
    model.hold.set()
    await asyncio.gather(*tasks)
    assert (await asked(bus))[1] == "a"


@pytest.mark.parametrize("params", [
    {}, {"question": ""}, {"question": "x" * 1001}, {"question": "a\x00"}, {"question": "x", "limit": 0},
    {"question": "x", "by": "magic"},
])
def test_bad_questions(tmp_path: Any, params: dict[str, Any]) -> None:
    @village("hall")
    async def scenario(world: World, hall: Place, bus: Bus) -> None:
        open_library(hall, bus, Shelf(WATER))
        with pytest.raises(errors.BadRequest):
            await bus.call("ask@1", params)

    scenario(tmp_path)


@village("hall")
async def test_short_answers(world: World, hall: Place, bus: Bus) -> None:
    long = ("Long", "A long one", " ".join(f"Sentence number {n} says a little." for n in range(60)))
    shelf = Shelf(WATER, long)
    open_library(hall, bus, shelf)

    async def say(question: str, who: str = "a") -> dict[str, Any]:
        found: dict[str, Any] = await bus.call("ask.short@1", {"question": question, "who": who})
        assert 1 <= len(found["parts"]) <= 2 and all(len(part.encode()) <= 200 for part in found["parts"])
        return found

    first = await say("how")
    assert first["parts"][0].startswith("Boil it: Boil water for one minute.") and first["more"]
    said = list(first["parts"])
    assert (await say("more", "b")) == {"parts": ["There is no more. Ask a question first."], "more": False}
    while (found := await say("More."))["more"]:
        said += found["parts"]
    said += found["parts"]
    assert " ".join(said).endswith("Sentence number 59 says a little."), "all of it comes, in its order"
    assert not (await say("more"))["more"]
    shelf.good = False
    assert (await say("what"))["parts"] == ["The library has no good match for that. Try other words."]
    shelf.good = True
    Model("Boil it for ", "a minute [1].").provide(bus)
    assert (await say("how"))["parts"] == ["Boil it for a minute [1]. (Boil it)"]
    for n in range(100):
        await say("how", f"asker {n}")


def test_cutting_by_bytes() -> None:
    from edge.services.short import cut

    for text in ("", "a", "w\u00f6rter " * 100, "\u6551\u547d" * 300, "x" * 1000, "a b " * 2000):
        parts = cut(text)
        assert parts and all(len(part.encode()) <= 200 for part in parts)
        kept = text.encode()[:4000].decode("utf-8", "ignore")
        assert "".join("".join(parts).split()) == "".join(kept.split())
