"""The keeper: what it tells, keeps and carries out, what a person may do, and what the alerts of others lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bus.bus import Bus
from edge.core import conditions, emergency, hlc, policy, standing
from edge.core.emergency import Transition
from edge.emergency import history
from edge.emergency.keeper import READINGS_MAX, Keeper, Kept
from tests.core.mutate import quick

NOW_S = 1795000000
YEARS_S = (1577836800, 4070908800)  # 2020, 2099
HUB = bytes(31) + b"h"


class Alerts:
    """An AlertsPort with what a test puts there."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, int, int, int]] = []
        self.said: list[tuple[bytes, int, int]] = []
        self.halt: tuple[list[str], str] = ([], "")

    def standing(self) -> list[tuple[bytes, int, int, int]]:
        return self.rows

    def reports(self) -> list[tuple[bytes, int, int]]:
        return self.said

    def halted(self) -> tuple[list[str], str]:
        return self.halt


class Stage:
    """A keeper on a real bus, with a dict for the store and a time that the test moves on."""

    def __init__(self, kept: dict[str, int] | None = None) -> None:
        self.kept = {} if kept is None else kept
        self.written: dict[str, int] = {}
        self.now_ms = 10_000_000
        self.time = (NOW_S, hlc.QUALITY_SYNCED)
        self.log: list[str] = []
        self.applied: list[policy.Policy] = []
        self.near: list[bytes | None] = []
        self.bus = Bus(lambda *_frame: True, lambda *_who: 0, lambda: self.now_ms, bytes(32))
        self.alerts = Alerts()
        self.keeper = self.boot()

    def boot(self) -> Keeper:
        self.keeper = Keeper(
            self.bus, Kept(self.kept.__setitem__, self.kept.get, lambda: self.written.update(self.kept)),
            rows=list(policy.ROWS), quorum=3, hubs=frozenset([HUB]), near=lambda: self.near,
            clock=lambda: self.time, apply=lambda found, _keeper: self.applied.append(found),
            log=lambda _level, text: self.log.append(text), now_ms=lambda: self.now_ms)
        self.keeper.alerts = self.alerts
        return self.keeper

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.time = (self.time[0] + ms // 1000, self.time[1])
        self.keeper._tick()

    def state(self) -> str:
        return str(self.keeper.status()["condition"]["state"])


def run(story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage()
        await story(stage)
        if stage.keeper._alarm is not None:
            stage.keeper._alarm.cancel()
        await stage.bus.close()

    asyncio.run(main())


async def until(what: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if what():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not in time")


def test_what_is_told_and_kept() -> None:
    async def story(stage: Stage) -> None:
        follower = stage.bus.subscribe("policy", "emergency")
        stage.keeper.declare("emergency", "page")
        assert stage.log == ["condition: calm -> emergency: a person says that this is an emergency (at the page)"]
        assert (await anext(follower))[1]["models"] == "small"
        assert (await anext(follower)) == ("emergency", {"condition": "emergency"})
        assert stage.applied[-1] == policy.ROWS[conditions.EMERGENCY]
        assert stage.written["emergency.state"] == stage.keeper.machine.dump()
        facts = stage.keeper.status()
        assert facts["condition"]["why"] == "a person says that this is an emergency (at the page)"
        assert facts["condition"]["codes"] == ["person.emergency"] and facts["person"] == "emergency"
        assert facts["reach"]["state"] == "unknown"
        stage.keeper.put("alert", "emergency")
        assert stage.keeper.status()["condition"]["why"] == (
            "a person says that this is an emergency (at the page); an official alert stands for this place")
        stage.keeper.put("alert", "none")
        stage.boot()
        assert stage.state() == "emergency" and stage.keeper.status()["history"] == facts["history"]
        assert stage.keeper.status()["condition"]["why"] == facts["condition"]["why"]
        stage.wait(90_000)
        assert stage.keeper.status()["condition"]["for_s"] == 90
        stage.keeper.declare("none", "button")
        assert stage.keeper.status()["condition"]["why"] == "a person says that it is over (at the button)"

    run(story)


def test_nothing_is_told_twice() -> None:
    async def story(stage: Stage) -> None:
        for _ in range(5):
            stage.keeper.put("names", "answers")
            stage.keeper.look()
        assert len(stage.applied) == 1 and stage.log == []
        assert [row[1:] for row in stage.keeper.readings] == [
            ("names", "answers"), ("peers", "none"), ("hub", "gone"), ("alert", "none"), ("reports", "none")]
        for number in range(READINGS_MAX * 2):
            stage.keeper.put("tcp", ("answers", "silent")[number % 2])
        assert len(stage.keeper.readings) == READINGS_MAX

    run(story)


def test_the_hub_is_looked_for_among_the_neighbours() -> None:
    async def story(stage: Stage) -> None:
        stage.near = [None, HUB]
        stage.keeper.put("names", "answers")
        stage.keeper.look()
        stage.wait(60_000)
        assert stage.keeper.status()["reach"]["state"] == "normal"
        stage.near = [None, bytes(32)]
        stage.keeper.look()
        stage.wait(120_000)
        stage.wait(20_000)
        assert stage.keeper.status()["reach"] == {
            "state": "degraded", "for_s": 0, "why": "the hub is gone", "codes": ["hub.gone"], "over": False}

    run(story)


def test_a_state_that_lasts_its_time_says_that_it_is_about_to_change() -> None:
    async def story(stage: Stage) -> None:
        stage.near = [HUB]
        stage.keeper.put("names", "answers")
        stage.wait(60_000)
        stage.keeper.put("names", "silent")
        stage.wait(20_000)
        assert stage.keeper.status()["reach"]["why"] == "no name server answers"
        stage.keeper.put("names", "answers")
        stage.wait(20_000)
        reach = stage.keeper.status()["reach"]
        assert (reach["state"], reach["why"]) == ("offline", "about to change: a name server answers")
        stage.wait(60_000)
        reach = stage.keeper.status()["reach"]
        assert (reach["state"], reach["why"]) == ("normal", "a name server answers")

    run(story)


def test_a_stop_outlives_a_reboot_and_is_ended_by_a_person_only() -> None:
    async def story(stage: Stage) -> None:
        stage.keeper.stop("button")
        stage.keeper.stop("page")
        assert stage.keeper.stopped() == "stopped by a person at the button"
        assert (stage.applied[-1].models, stage.applied[-1].lanes) == (policy.NONE, policy.ALERTS_AND_DIRECT)
        stage.boot()
        stage.wait(10 * 86_400_000)
        assert stage.keeper.stopped() == "stopped by a person at the button"
        assert stage.applied[-1].models == policy.NONE
        stage.keeper.resume("console")
        assert stage.keeper.stopped() == "" and stage.applied[-1] == policy.ROWS[0]
        assert stage.written["emergency.stop"] == 0

    run(story)


def test_a_halt_of_the_community_stays_whatever_a_person_here_does() -> None:
    async def story(stage: Stage) -> None:
        stage.alerts.halt = (["models", "relay"], "halted by the stewards: radio test")
        stage.keeper.look()
        assert stage.applied[-1].models == policy.NONE
        stage.keeper.resume("console")
        assert stage.keeper.stopped() == "halted by the stewards: radio test"
        stage.alerts.halt = (["models"], "halted models")
        stage.keeper.look()
        assert (stage.applied[-1].models, stage.applied[-1].lanes) == (policy.NONE, policy.ROWS[0].lanes)
        stage.alerts.halt = (["relay"], "halted relay")
        stage.keeper.look()
        assert (stage.applied[-1].models, stage.applied[-1].lanes) == (policy.FULL, policy.ALERTS_AND_DIRECT)
        stage.alerts.halt = ([], "")
        stage.keeper.look()
        assert stage.applied[-1] == policy.ROWS[0]

    run(story)


def test_alerts_and_reports_of_others() -> None:
    async def story(stage: Stage) -> None:
        stage.alerts.rows = [(b"a" * 16, standing.EMERGENCY, NOW_S, NOW_S + 600)]
        stage.keeper.look()
        assert stage.state() == "emergency"
        stage.wait(599_000)
        stage.keeper.look()
        assert stage.state() == "emergency"
        stage.wait(1_000)
        stage.keeper.look()
        assert stage.state() == "recovery"
        stage.alerts.said = [(bytes([n]) * 32, 1, 2) for n in range(3)]
        stage.keeper.look()
        assert stage.state() == "emergency" and "neighbours agree" in stage.log[-1]

    run(story)


@pytest.mark.parametrize("wrong_s", YEARS_S)
def test_a_cleared_clock_after_a_reboot_neither_raises_nor_hides(wrong_s: int) -> None:
    async def story(stage: Stage) -> None:
        stage.keeper.look()
        stage.alerts.rows = [(b"a" * 16, standing.EMERGENCY, NOW_S, NOW_S + 86400)]
        stage.keeper.look()
        stage.time = (wrong_s, hlc.QUALITY_RTC)
        stage.boot()
        stage.keeper.look()
        assert stage.state() == "emergency"
        stage.alerts.rows = [(b"b" * 16, standing.EMERGENCY, NOW_S - 7200, NOW_S - 3600)]  # it is over
        stage.keeper.look()
        assert stage.state() != "emergency" or stage.keeper.machine.deadline() is not None
        stage.wait(61_000)
        stage.keeper.look()
        assert stage.state() == "recovery"

    run(story)


@quick
@given(st.lists(st.tuples(st.sampled_from(("wait", "reboot", "person", "power", "clock")), st.integers(0, 90)),
                max_size=40), st.integers(10, 300))
def test_never_calm_while_an_alert_stands_and_never_again_when_it_is_over(script: list[tuple[str, int]],
                                                                          lives_min: int) -> None:
    """The clock is cleared in a reboot and is right again later, or never; what truly stands is known to the test."""
    async def story(stage: Stage) -> None:
        true_s, ends_s, ended = NOW_S, NOW_S + 60 * lives_min, False
        stage.keeper.look()
        stage.alerts.rows = [(b"a" * 16, standing.EMERGENCY, NOW_S, ends_s)]
        for what, number in (("wait", 0), *script):
            if what == "wait":
                for _ in range(number):
                    true_s += 60
                    stage.wait(60_000)
                    stage.keeper.look()
            elif what == "reboot":
                stage.time = (YEARS_S[number % 2], hlc.QUALITY_RTC)
                stage.boot()
            elif what == "clock":
                stage.time = (true_s, hlc.QUALITY_SYNCED)
            else:
                stage.keeper.put(what, ("none", "emergency")[number % 2] if what == "person" else "mains")
            stage.keeper.look()
            reading = stage.keeper.machine.value("alert")
            if true_s < ends_s and not ended:
                assert stage.state() == "emergency"
            ended = ended or (true_s >= ends_s and reading == 0)
            assert not ended or reading == 0, "what was over is raised again"

    run(story)


def test_the_task_looks_when_it_is_told_to() -> None:
    async def story(stage: Stage) -> None:
        beats: list[int] = []
        task = asyncio.create_task(stage.keeper.work(lambda: beats.append(1)))
        await until(lambda: bool(beats))
        stage.alerts.rows = [(b"a" * 16, standing.WATCH, NOW_S, NOW_S + 600)]
        stage.bus.publish("alerts", {})
        await until(lambda: stage.state() == "watch")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(story)


def test_the_alarm_settles_what_has_stood_long_enough() -> None:
    async def story(stage: Stage) -> None:
        start_ms = stage.now_ms
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        stage.keeper._now_ms = lambda: start_ms + int((clock() - begun_s) * 1_000_000)  # a thousand times as fast
        stage.keeper.put("power", "battery")

        def is_watch() -> bool:
            stage.keeper._arm()
            return stage.state() == "watch"

        await until(is_watch)
        assert "battery" in stage.log[-1]

    run(story)


# --- what is remembered


def test_transitions_as_numbers() -> None:
    for axis in (conditions.REACH, conditions.CONDITION):
        for (old, _), new in conditions.TABLES[axis].items():
            for name, value in (("alert", 2), ("gateway", 4), ("dark", 1)):
                for over in (False, True):
                    number = history.pack(2**32 - 1, Transition(axis, old, new, [(name, value)] * 2, over))
                    assert 0 < number < 2**63
                    row = history.unpack(number)
                    assert row is not None and row["time_s"] == 2**32 - 1
                    assert (row["from"], row["to"]) == (conditions.STATES[axis][old], conditions.STATES[axis][new])
                    assert row["why"] == emergency.words([(name, value)] * 2, over)
    assert history.unpack(history.pack(5, Transition(1, 3, 0, [], True))) == {
        "time_s": 5, "axis": "condition", "from": "recovery", "to": "calm", "why": "it has stayed quiet"}


def test_a_number_that_cannot_be_is_no_row() -> None:
    for number in (0, -1, 2**63 - 1, 1, 0xFFFF):
        history.unpack(number)
    kept = {"emergency.log": 77, "emergency.log.0": 2**63 - 1}
    assert len(history.History(kept.__setitem__, kept.get).rows()) <= 1


def test_the_newest_first_and_never_more_than_a_few() -> None:
    kept: dict[str, int] = {}
    remembered = history.History(kept.__setitem__, kept.get)
    for time_s in range(1, 30):
        remembered.add(time_s, Transition(1, 0, 1, [("power", 2)], False))
    wanted = list(range(29, 29 - history.ROWS, -1))
    assert [row["time_s"] for row in remembered.rows()] == wanted
    assert [row["time_s"] for row in history.History(kept.__setitem__, kept.get).rows()] == wanted
