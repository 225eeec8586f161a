"""The capabilities: who may ask, who may declare and stop, and that a neighbour never can."""

from __future__ import annotations

import pytest

from edge.caller import ANCHOR, LOCAL, MEMBER, PAGE, UNKNOWN, Caller
from edge.errors import BadRequest, Unauthorized
from edge.services.emergency import EmergencyServices
from tests.emergency.test_keeper import Stage, run

DOING = ("emergency.declare@1", "emergency.stop@1", "emergency.resume@1")


def offered(stage: Stage) -> Stage:
    async def flushed() -> None:
        """The stage writes at once."""

    for service in EmergencyServices(stage.keeper, flushed).services():
        service.provide(stage.bus)
    return stage


def test_a_person_at_the_console_and_at_the_page() -> None:
    async def story(stage: Stage) -> None:
        bus = offered(stage).bus
        facts = await bus.call("emergency.declare@1", {"level": "watch"}, caller=PAGE)
        assert facts["condition"]["state"] == "watch" and facts["condition"]["why"].endswith("(at the page)")
        facts = await bus.call("emergency.stop@1", caller=LOCAL)
        assert facts["stopped"] == "stopped by a person at the console" and facts["policy"]["models"] == "none"
        assert (await bus.call("emergency.status@1", caller=PAGE)) == facts
        facts = await bus.call("emergency.resume@1", caller=PAGE)
        assert facts["stopped"] == ""
        assert (await bus.call("emergency.readings@1"))[-1].endswith("person watch")
        with pytest.raises(BadRequest, match="panic"):
            await bus.call("emergency.declare@1", {"level": "panic"})

    run(story)


def test_whoever_comes_over_a_link_may_ask_as_a_member_and_no_more() -> None:
    async def story(stage: Stage) -> None:
        bus = offered(stage).bus
        await bus.call("emergency.status@1", caller=Caller(MEMBER, bytes(32), "lan"))
        for trust in (UNKNOWN, MEMBER, ANCHOR):
            for key in (None, bytes(32)):
                for name in DOING:
                    with pytest.raises(Unauthorized):
                        await bus.call(name, caller=Caller(trust, key, "lan"))
        with pytest.raises(Unauthorized):
            await bus.call("emergency.status@1", caller=Caller(UNKNOWN, bytes(32), "lan"))
        assert stage.keeper.stopped() == "" and stage.state() == "calm"

    run(story)
