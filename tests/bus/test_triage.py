"""Triage on the bus: what is marked and why, which notices go a lane higher, and that a person's word wins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge import errors
from edge.bus.bus import Bus
from edge.caller import LOCAL, PAGE
from edge.core import limits
from edge.core import message as messages
from edge.services import triage
from edge.services.triage import shown
from tests.bus.joined import World
from tests.bus.test_services import village
from tests.bus.village import JUDGE, NOW_S, Place
from tests.waiting import PATIENCE

TRAPPED = "We are trapped in the cellar, the water is rising"


def judged(place: Place) -> None:
    """What the writer's thread does behind a commit."""
    while place.store.judge_some(JUDGE) is not None:
        pass


async def board(bus: Bus) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await bus.call("board.list@1")
    return found


@village("hall")
async def test_text(world: World, hall: Place, bus: Bus) -> None:
    found = await bus.call("triage.text@1", {"text": TRAPPED}, caller=PAGE)
    assert found["urgent"] is True and {"rescue", "flood", "urgent"} <= set(found["labels"])
    assert ["en", "trapped"] in found["why"]["rescue"] and set(found["why"]) == set(found["labels"])
    assert await bus.call("triage.text@1", {"text": "Choir on Thursday"}) == {"labels": [], "urgent": False, "why": {}}
    with pytest.raises(errors.BadRequest):
        await bus.call("triage.text@1", {"text": ""})
    assert hall.store.list_messages(now_s=0) == [], "a text that is only looked at is not kept"


@village("hall")
async def test_a_call_for_help_goes_a_lane_higher_and_says_why(world: World, hall: Place, bus: Bus) -> None:
    assert (await bus.call("board.post@1", {"text": TRAPPED}, caller=PAGE))["raised"] is True
    assert (await bus.call("board.post@1", {"text": "Choir on Thursday"}, caller=PAGE))["raised"] is False
    calm, cry = await board(bus)
    assert (cry["lane"], cry["type"], cry["text"]) == (limits.LANE_DIRECT, messages.NOTICE, TRAPPED)
    assert cry["hint"] == {"labels": [], "urgent": True, "by": "lane"}, "not judged yet, but its lane says it"
    assert calm["lane"] == limits.LANE_COMMUNITY and "hint" not in calm
    judged(hall)
    calm, cry = await board(bus)
    assert cry["hint"]["urgent"] and cry["hint"]["by"] == "triage" and ["en", "trapped"] in cry["hint"]["why"]["urgent"]
    assert "hint" not in calm


@village("hall")
async def test_a_readers_word_wins_and_can_be_taken_back(world: World, hall: Place, bus: Bus) -> None:
    cry = (await bus.call("board.post@1", {"text": TRAPPED}, caller=PAGE))["id"]
    calm = (await bus.call("board.post@1", {"text": "Choir on Thursday"}, caller=PAGE))["id"]
    judged(hall)
    await bus.call("triage.mark@1", {"id": cry, "urgent": "no", "name": "Ana"}, caller=PAGE)
    await bus.call("triage.mark@1", {"id": calm, "urgent": "yes"}, caller=PAGE)
    one, two = (row["hint"] for row in await board(bus))
    assert one == {"labels": [], "urgent": True, "by": "person", "time_s": NOW_S}
    assert (two["urgent"], two["by"], two["name"]) == (False, "person", "Ana")
    assert "rescue" in two["labels"] and two["why"], "what triage found can still be seen"
    assert [row["text"] for row in await board(bus)] == ["Choir on Thursday", TRAPPED], "and nothing is hidden"
    judged(hall)
    assert (await board(bus))[1]["hint"]["urgent"] is False, "triage does not take a person's word back"
    for id in (cry, calm):
        await bus.call("triage.mark@1", {"id": id, "urgent": "clear"})
    one_row, two_row = await board(bus)
    assert "hint" not in one_row and two_row["hint"]["by"] == "triage" and two_row["hint"]["urgent"]


@village("hall")
async def test_the_writers_word_wins(world: World, hall: Place, bus: Bus) -> None:
    await bus.call("board.post@1", {"text": "Film: Trapped in the mine", "urgent": "no", "name": "Ciné"}, caller=PAGE)
    made = await bus.call("board.post@1", {"text": "Komm schnell, Oma ist gest\u00fcrzt", "urgent": "yes"}, caller=PAGE)
    judged(hall)
    cry, film = await board(bus)
    assert made["raised"] and cry["lane"] == limits.LANE_DIRECT and cry["hint"]["by"] == "person"
    assert film["lane"] == limits.LANE_COMMUNITY
    assert (film["hint"]["urgent"], film["hint"]["by"], film["hint"]["name"]) == (False, "person", "Cin\u00e9")


@village("hall")
async def test_marks_of_what_is_not_there(world: World, hall: Place, bus: Bus) -> None:
    other = b"\x07" * 32
    direct = await hall.post(messages.DIRECT, limits.LANE_DIRECT, 60, other, {3: b"sealed"})
    for id, kind in ((b"\0" * 16, errors.NotFound), (direct, errors.NotFound), (b"short", errors.NotFound),
                     (b"x" * 17, errors.BadRequest), ("zz", errors.BadRequest)):
        with pytest.raises(kind):
            await bus.call("triage.mark@1", {"id": id, "urgent": "yes"}, caller=PAGE)
    with pytest.raises(errors.BadRequest, match="yes or no or clear"):
        await bus.call("triage.mark@1", {"id": b"\0" * 16, "urgent": "perhaps"})


@village("hall")
async def test_only_so_many_are_raised(world: World, hall: Place, bus: Bus) -> None:
    for n in range(triage.RAISED_MAX):
        assert (await bus.call("board.post@1", {"text": f"{TRAPPED} {n}"}))["raised"]
    made = await bus.call("board.post@1", {"text": TRAPPED})
    judged(hall)
    row = (await board(bus))[0]
    assert made["raised"] is False and row["lane"] == limits.LANE_COMMUNITY and row["hint"]["urgent"]


class Slow:
    """A judge that takes too long, or is not there."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def judge(self, text: str) -> dict[str, Any] | None:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(60)
        return None

    async def mark(self, id: bytes, mark: dict[str, Any] | None) -> bool:
        return True


@pytest.mark.parametrize("error", [None, errors.Unavailable("none here")])
def test_a_notice_never_waits_for_its_judge(error: Exception | None) -> None:
    async def main() -> None:
        lane = await asyncio.wait_for(triage.Raise(Slow(error)).lane(TRAPPED, triage.AUTO), 5 * PATIENCE)
        assert lane == limits.LANE_COMMUNITY

    asyncio.run(main())


def test_what_is_shown_of_a_hint() -> None:
    found = {"labels": ["fire", "urgent"], "why": {"fire": [["en", "on fire"]]}}
    assert shown(None, False) is None
    assert shown({"found": None, "mark": None}, False) is None
    assert shown({"found": {"labels": ["fire"], "why": {}}, "mark": None}, True) == {
        "labels": ["fire"], "urgent": True, "by": "triage", "why": {}}
    assert shown({"found": found, "mark": {"urgent": False, "time_s": 1}}, True) == {
        "labels": ["fire", "urgent"], "urgent": False, "by": "person", "why": found["why"], "time_s": 1}


@village("hall")
async def test_private_texts_are_not_looked_at(world: World, hall: Place, bus: Bus) -> None:
    """A direct message, sealed or (against the rules) open, and an official alert get no label."""
    await hall.post(messages.DIRECT, limits.LANE_DIRECT, 60, b"\x07" * 32, {1: TRAPPED})
    await hall.post(messages.ALERT, limits.LANE_ALERT, 60, None, {1: TRAPPED})
    await hall.post(messages.NOTE, limits.LANE_COMMUNITY, 60, None, {1: TRAPPED})
    judged(hall)
    rows = await bus.call("messages.list@1", caller=LOCAL)
    assert [row["type"] for row in rows if "hint" in row] == [messages.NOTE]
