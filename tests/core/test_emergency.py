"""The state machine of both axes: every pair of the tables, what must never be, and what a reboot keeps."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import conditions as table
from edge.core.emergency import (
    DARK_WITHIN_MS,
    HELD_MS,
    NAMES,
    PERSON_MS_MAX,
    Emergency,
    Transition,
    dwell_ms,
    words,
)
from tests.conformance import run
from tests.conftest import ROOT
from tests.core.mutate import quick

AXES = (table.REACH, table.CONDITION)
MINUTE = 60000
HOUR = 60 * MINUTE
READ = [one for one in table.INPUTS if one.name not in table.DERIVED]
INPUT = {one.name: one for one in table.INPUTS}
GATEWAY = [one.name for one in READ if one.axis == table.REACH].index("gateway")


def number(name: str, value: str) -> int:
    return [one.name for one in INPUT[name].values].index(value)


class World:
    """A machine and a time; readings by word."""

    def __init__(self) -> None:
        self.machine = Emergency()
        self.now_ms = 1000
        self.log: list[tuple[int, Transition]] = []

    def put(self, **readings: str) -> World:
        for name, value in readings.items():
            self.machine.put(self.now_ms, name, number(name, value))
        self._note()
        return self

    def wait(self, ms: int) -> World:
        """Time goes by as the shell lets it: from deadline to deadline."""
        end_ms = self.now_ms + ms
        while (due_ms := self.machine.deadline()) is not None and due_ms <= end_ms:
            assert due_ms > self.now_ms, "a deadline that tick does not settle would be asked for without end"
            self.now_ms = due_ms
            self.machine.tick(due_ms)
            self._note()
        self.now_ms = end_ms
        self.machine.tick(end_ms)
        self._note()
        return self

    def _note(self) -> None:
        self.log += [(self.now_ms, one) for one in self.machine.drain()]

    @property
    def reach(self) -> str:
        return table.STATES[table.REACH][self.machine.state[table.REACH]]

    @property
    def condition(self) -> str:
        return table.STATES[table.CONDITION][self.machine.state[table.CONDITION]]

    def said(self) -> str:
        """The reason of the last transition."""
        return words(self.log[-1][1].because, self.log[-1][1].over)


def online() -> World:
    return World().put(names="answers", gateway="answers").wait(MINUTE)


# --- the tables


def test_every_state_and_verdict_is_in_the_table_or_ignored() -> None:
    for axis in AXES:
        pairs = set(product(range(len(table.STATES[axis])), range(len(table.VERDICTS[axis]))))
        assert set(table.TABLES[axis]) | set(table.IGNORED[axis]) == pairs
        assert not set(table.TABLES[axis]) & set(table.IGNORED[axis])
        for (old, _), new in table.TABLES[axis].items():
            assert old != new < len(table.STATES[axis])


def test_every_value_of_every_input_says_something_that_the_tables_know() -> None:
    for one in table.INPUTS:
        assert one.axis in AXES and len(one.values) <= 16 and one.rise_ms >= 0 and one.fall_ms >= 0
        assert len({value.name for value in one.values}) == len(one.values)
        for value in one.values:
            assert value.says in range(4 if one.axis == table.REACH else 3) and value.words
        if one.axis == table.CONDITION:
            assert one.values[0].says == table.QUIET
            assert one.over or not any(value.says for value in one.values)
    assert len(set(NAMES)) == len(NAMES) and 5 + 4 * len(NAMES) < 63


@pytest.mark.parametrize("state", range(4), ids=table.STATES[table.CONDITION])
@pytest.mark.parametrize("one", [one for one in READ if one.axis == table.CONDITION], ids=lambda one: one.name)
def test_every_condition_and_input(state: int, one: table.Input) -> None:
    """Each value alone, in each state, long enough to count: the next state is the table's, or none."""
    for value, row in enumerate(one.values):
        world = at(state)
        world.machine.put(world.now_ms, one.name, value)
        world._note()
        verdict = row.says
        wanted = table.TABLES[table.CONDITION].get((state, verdict))
        if wanted is None:
            assert (state, verdict) in table.IGNORED[table.CONDITION]
            assert not world.log
            continue
        world.wait(max(one.rise_ms, one.fall_ms) + dwell_ms(table.CONDITION, state, wanted))
        assert world.log[0][1].old == state and world.log[0][1].new == wanted


def at(condition: int) -> World:
    """A machine that has just come into a condition, with nothing left that says so."""
    world = World()
    world.machine.state[table.CONDITION] = condition
    world.machine._entered_ms[table.CONDITION] = world.now_ms
    return world


@pytest.mark.parametrize("state", range(3), ids=table.STATES[table.REACH])
def test_every_reach_and_reading(state: int) -> None:
    """All readings of all inputs about reach together: the verdict is one of three or none, and the table's follows."""
    inputs = [one for one in READ if one.axis == table.REACH]
    for values in product(*[range(len(one.values)) for one in inputs]):
        world = World()
        world.machine.state[table.REACH] = state
        world.machine.known = True
        for one, value in zip(inputs, values, strict=True):
            world.machine._settles[NAMES.index(one.name)].value = value
            world.machine._settles[NAMES.index(one.name)].raw = value
        world.machine._verdict.value = world.machine._verdict.raw = state
        verdict = world.machine._probe()
        world.wait(0).wait(2 * MINUTE)
        says = [one.values[value].says for one, value in zip(inputs, values, strict=True)]
        if verdict is None:
            assert set(says) == {table.NOTHING} and not world.log
        elif (state, verdict) in table.IGNORED[table.REACH]:
            assert not world.log
        else:
            assert [one.new for _, one in world.log] == [table.TABLES[table.REACH][(state, verdict)]]
        if table.ANSWERS not in says:
            assert (verdict == table.CUT) == (table.SILENT in says or values[GATEWAY] > 1)
        else:
            assert (verdict == table.WELL) == (table.SILENT not in says and table.AMISS not in says)


# --- reach


def test_the_cable_is_pulled_and_put_back() -> None:
    world = online()
    assert (world.reach, world.machine.known) == ("normal", True)
    pulled_ms = world.now_ms
    world.put(gateway="no cable", names="silent").wait(30000)
    assert world.reach == "offline"
    assert world.log[-1][0] - pulled_ms <= 30000
    assert world.said() == "the cable is out, or the Wi-Fi is gone"
    world.wait(5 * MINUTE).put(gateway="answers", names="answers").wait(MINUTE)
    assert world.reach == "normal" and world.said() == "a name server answers"


def test_the_machine_itself_sees_that_there_is_no_way_out() -> None:
    for seen in ("no route", "no cable"):
        world = online().put(gateway=seen, names="silent").wait(table.UNPLUGGED_MS - 1)
        assert world.reach == "normal"
        world.wait(1)
        assert world.reach == "offline" and world.said() == INPUT["gateway"].values[number("gateway", seen)].words
    world = online().put(gateway="silent").put(names="silent").wait(table.UNPLUGGED_MS)
    assert world.reach == "normal", "a router that is slow to answer is given more time"
    world.wait(table.HOLD_MS[table.CUT])
    assert world.reach == "offline" and world.said() == "no name server answers; the router does not answer"


def test_the_internet_goes_behind_the_router() -> None:
    world = online().put(names="silent").wait(30000)
    assert world.reach == "offline" and world.said() == "no name server answers; the router answers"


def test_part_of_it_works() -> None:
    world = online().put(tcp="silent").wait(MINUTE)
    assert world.reach == "degraded" and "no connection to the outside can be made" in world.said()
    world.put(tcp="answers").wait(2 * MINUTE)
    assert world.reach == "normal"


def test_a_hub_that_is_gone_is_not_the_internet() -> None:
    world = online().put(hub="seen").put(hub="gone").wait(119999)
    assert world.reach == "normal", "it may have begun again"
    world.wait(MINUTE)
    assert world.reach == "degraded" and world.said() == "the router answers; the hub is gone"
    world.put(names="silent").wait(MINUTE)
    assert world.reach == "offline"
    world = World().put(hub="seen", names="silent", gateway="answers").wait(MINUTE)
    assert world.reach == "offline", "one in the same house reaches no further"
    world = World().put(hub="gone").wait(3 * MINUTE)
    assert world.reach == "degraded", "nobody looks for the internet"


def test_one_lost_answer_is_nothing() -> None:
    world = online()
    for _ in range(20):
        world.put(names="silent").wait(3000).put(names="answers").wait(57000)
    assert world.log == []


def test_a_network_takes_its_time_to_come_up() -> None:
    world = World().put(gateway="no route").wait(15000).put(gateway="answers", names="answers").wait(MINUTE)
    assert world.log == [] and world.machine.known
    world = World().put(gateway="no route").wait(30000)
    assert world.reach == "offline" and not world.machine._had, "it never was online, so nothing was lost"


def test_a_flapping_link_is_degraded_and_makes_one_transition_a_minute_at_most() -> None:
    world = online()
    for _ in range(30 * 60):
        world.put(names="silent", gateway="no cable").wait(1000).put(names="answers", gateway="answers").wait(1000)
    assert [one.new for _, one in world.log] == [table.DEGRADED]
    assert world.said() == "the connection comes and goes"
    world.wait(3 * MINUTE)
    assert world.reach == "normal"


@quick
@given(st.lists(st.tuples(st.sampled_from([one.name for one in READ if one.axis == table.REACH]), st.integers(0, 4),
                          st.integers(0, 90000)), max_size=60))
def test_reach_changes_at_most_once_a_minute(script: list[tuple[str, int, int]]) -> None:
    world = World()
    play(world, script)
    times = [at_ms for at_ms, one in world.log if one.axis == table.REACH]
    assert all(later - earlier >= MINUTE for earlier, later in zip(times, times[1:], strict=False))


def play(world: World, script: list[tuple[str, int, int]]) -> None:
    for name, value, wait_ms in script:
        world.machine.put(world.now_ms, name, value % len(INPUT[name].values))
        world._note()
        world.wait(wait_ms)


# --- condition


def test_a_person() -> None:
    world = World().put(person="emergency")
    assert world.condition == "emergency" and world.said() == "a person says that this is an emergency"
    world.wait(2 * MINUTE).put(person="none")
    assert world.condition == "recovery" and world.said() == "a person says that it is over"
    world.wait(table.RECOVERY_MS)
    assert world.condition == "calm"


def test_what_a_person_said_ends_after_a_day() -> None:
    world = World().put(person="emergency").wait(PERSON_MS_MAX - 1)
    assert world.condition == "emergency"
    world.wait(1)
    assert world.condition == "recovery"


def test_an_alert_holds_whatever_a_person_says() -> None:
    world = World().put(alert="emergency", person="emergency").wait(HOUR).put(person="none").wait(HOUR)
    assert world.condition == "emergency"
    assert world.machine.because(table.CONDITION) == ([("alert", 2)], False)
    world.put(alert="none").wait(1)
    assert world.condition == "recovery" and world.said() == "the official alert has ended"
    world.put(alert="emergency")
    assert world.condition == "emergency", "nothing waits on the way into an emergency"


def test_the_mains_fail() -> None:
    world = online().put(power="mains").wait(MINUTE).put(power="battery").wait(119999)
    assert world.condition == "calm"
    world.wait(1)
    assert world.condition == "watch" and world.said() == "the mains have failed: it runs on its battery"
    world.put(power="low").wait(3 * MINUTE)
    assert world.condition == "watch" and world.machine.value("power") == 3
    world.put(power="mains").wait(2 * MINUTE)
    assert world.condition == "calm" and world.said() == "the mains are back"


def test_mains_and_internet_both_gone() -> None:
    world = online().put(power="mains", names="silent").wait(2 * HOUR).put(power="battery").wait(13 * MINUTE)
    assert (world.reach, world.condition) == ("offline", "emergency")
    assert world.said() == "mains and internet have both been gone for a while"
    world.put(power="mains").wait(5 * MINUTE)
    assert world.condition == "recovery"


def test_a_hall_that_never_has_internet_is_no_emergency_when_the_mains_fail() -> None:
    world = World().put(names="silent", power="mains").wait(HOUR).put(power="battery").wait(5 * HOUR)
    assert (world.reach, world.condition) == ("offline", "watch")
    lost_long_ago = online().put(names="silent", power="mains").wait(DARK_WITHIN_MS + HOUR)
    lost_long_ago.put(power="battery").wait(5 * HOUR)
    assert lost_long_ago.condition == "watch"


def test_heat_and_supply_may_ask_for_attention_and_no_more() -> None:
    world = World().put(heat="critical", supply="weak").wait(HOUR)
    assert world.condition == "watch"
    world.put(heat="cool", supply="well").wait(HOUR)
    assert world.condition == "calm"


def test_a_flapping_input_makes_at_most_one_transition_a_minute() -> None:
    """Whatever flaps at 1 Hz but person and alert, which may not wait on their way up."""
    for one in READ:
        if one.name in ("person", "alert"):
            continue
        world = World()
        for _ in range(10 * 60):
            world.machine.put(world.now_ms, one.name, len(one.values) - 1)
            world.wait(500)
            world.machine.put(world.now_ms, one.name, 0)
            world.wait(500)
        for axis in AXES:
            times = [at_ms for at_ms, transition in world.log if transition.axis == axis]
            assert all(later - earlier >= MINUTE for earlier, later in zip(times, times[1:], strict=False)), one.name


STEPS = st.lists(st.tuples(st.sampled_from([one.name for one in READ]), st.integers(0, 7),
                           st.integers(0, 40 * MINUTE)), max_size=40)


@quick
@given(STEPS, st.booleans())
def test_never_calm_while_an_alert_stands(script: list[tuple[str, int, int]], reboot: bool) -> None:
    world = World()
    for name, value, wait_ms in script:
        play(world, [(name, value, 0)])
        if reboot:
            again = Emergency()
            assert again.load(world.now_ms, world.machine.dump())
            world.machine = again
        alert = world.machine._settles[NAMES.index("alert")].raw
        assert alert < 2 or world.condition == "emergency"
        assert alert == 0 or world.condition != "calm" or world.machine.deadline() is not None
        if not reboot:
            world.wait(wait_ms)


@quick
@given(STEPS)
def test_deadlines_move_on_and_reasons_are_given(script: list[tuple[str, int, int]]) -> None:
    world = World()
    play(world, script)
    for _, one in world.log:
        assert (one.old, one.new) in [(old, new) for (old, _), new in table.TABLES[one.axis].items()]
        assert one.because or one.over
        assert words(one.because, one.over)


@quick
@given(STEPS)
def test_ticks_more_often_than_needed_change_nothing(script: list[tuple[str, int, int]]) -> None:
    lazy, busy = World(), World()
    for name, value, wait_ms in script:
        wait_ms = min(wait_ms, 3 * MINUTE)
        for world in (lazy, busy):
            world.machine.put(world.now_ms, name, value % len(INPUT[name].values))
            world._note()
        lazy.wait(wait_ms)
        for at in range(busy.now_ms + 700, busy.now_ms + wait_ms, 7000):
            busy.machine.tick(at)
            busy._note()
        busy.now_ms += wait_ms
        busy.machine.tick(busy.now_ms)
        busy._note()

    def states(world: World) -> list[Any]:
        return [(one.axis, one.old, one.new) for _, one in world.log]

    assert states(lazy) == states(busy)


# --- recorded readings


def test_recorded_readings_give_the_transitions_that_they_gave() -> None:
    """tests/conformance/emergency.py replays them; after a deliberate change, look at the difference, then:
    python tests/conformance/run.py --show emergency > tests/data/emergency/expected.txt"""
    with open(os.path.join(ROOT, "tests", "data", "emergency", "expected.txt"), "rb") as file:
        assert run.run_cpython("emergency") == file.read()


# --- reboot


def test_a_reboot_in_an_emergency() -> None:
    world = online().put(alert="emergency", power="mains").wait(HOUR)
    again = World()
    assert again.machine.load(again.now_ms, world.machine.dump())
    assert (again.reach, again.condition) == ("normal", "emergency")
    assert again.machine.because(table.CONDITION) == ([("alert", 2)], False)
    again.wait(HELD_MS - 1)
    assert again.condition == "emergency"
    again.wait(MINUTE)
    assert again.condition == "recovery", "nobody reads alerts any more"
    again = World()
    again.machine.load(again.now_ms, world.machine.dump())
    again.put(alert="emergency").wait(HOUR)
    assert again.condition == "emergency" and again.log == []


def test_what_is_calm_after_a_reboot_waits_for_nothing() -> None:
    again = World()
    assert again.machine.load(again.now_ms, online().machine.dump())
    assert again.put(alert="watch").condition == "watch"
    again = World()
    assert again.machine.load(again.now_ms, again.put(person="watch").machine.dump())
    assert again.put(person="none").wait(table.DWELL_MS - 1).condition == "watch", "a watch lasts its time all the same"
    assert again.wait(1).condition == "calm"


def test_what_a_person_said_outlives_a_reboot() -> None:
    world = World().put(person="watch").wait(MINUTE)
    again = World()
    assert again.machine.load(again.now_ms, world.machine.dump())
    again.wait(5 * HOUR)
    assert again.condition == "watch"


@quick
@given(STEPS)
def test_dump_and_load(script: list[tuple[str, int, int]]) -> None:
    world = World()
    play(world, script)
    number = world.machine.dump()
    assert 0 <= number < 2**63
    again = Emergency()
    assert again.load(5, number)
    assert again.dump() == number
    assert again.state == world.machine.state and again.drain() == []


@quick
@given(st.integers(-5, 2**64))
def test_a_number_that_cannot_be_is_not_taken(number: int) -> None:
    machine = Emergency()
    if machine.load(0, number):
        assert machine.dump() == number
    else:
        assert machine.dump() == Emergency().dump()
    machine.tick(0)
    machine.tick(10**9)


def test_our_own_mistakes_raise() -> None:
    for name, value in (("weather", 1), ("alert", 3), ("alert", -1), ("dark", 1), ("steady", 1)):
        with pytest.raises(ValueError, match="no such"):
            Emergency().put(0, name, value)
