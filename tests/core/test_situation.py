"""What an emergency or a stop changes on the links: which lanes are passed on, what beacons say and how often."""

from __future__ import annotations

from edge.core import beacon, effects, limits
from edge.core.machine import UNKNOWN_SITUATION, Situation
from tests.core.pair import Shell, join, run, settle
from tests.core.test_radio import LINK, MINUTE, Radio, beacons_in, messages_in

STOPPED = Situation(0, 0, beacon.BATTERY_MAINS, 0b0011, limits.BEACON_MS_MAX)
GOES_ON = STOPPED._replace(lanes=0b1111)


def pair() -> tuple[Shell, Shell]:
    a, b = Shell(1), Shell(2)
    join(a, b)
    settle(a, b)
    return a, b


def test_a_stopped_node_passes_on_alerts_and_direct_messages_and_nothing_else() -> None:
    a, b = pair()
    a.machine.command(1000, effects.SITUATION, STOPPED)
    settle(a, b, now_ms=1000)
    a.post(2000, "board", lane=2)
    b.post(2000, "board there", lane=2)
    a.post(2000, "alert", lane=0)
    b.post(2000, "alert there", lane=0)
    a.post(2000, "direct", dest=b.machine.key)
    settle(a, b, now_ms=2000)
    run(a, b, from_ms=3000, to_ms=3 * MINUTE, step_ms=5000)
    assert sorted(one.lane for one in a.store.values()) == [0, 0, 1, 1, 2]
    assert {one.lane for one in b.store.values()} == {0, 1, 2}
    assert [one for one in b.store.values() if one.author == a.machine.key and one.lane == 2] == []
    assert not any(name.startswith("drop.") for name in {**a.machine.counters, **b.machine.counters})
    a.machine.command(4 * MINUTE, effects.SITUATION, GOES_ON)
    run(a, b, from_ms=4 * MINUTE, to_ms=5 * MINUTE, step_ms=1000)
    assert set(a.store) == set(b.store), "what was kept back is found again"


def test_what_was_in_line_waits() -> None:
    a, b = Shell(1), Shell(2)
    join(a, b, burst=1)
    settle(a, b)
    for n in range(20):
        a.post(1000, f"notice {n}", token=n)
    a.step(1000)  # committed, some of it pushed
    a.machine.command(1000, effects.SITUATION, STOPPED)
    before = len([effect for effect in a.log if effect[0] == effects.PUSH])
    settle(a, b, now_ms=1000)
    assert len([effect for effect in a.log if effect[0] == effects.PUSH]) - before <= limits.PUSHES_IN_FLIGHT_MAX + 3
    a.machine.command(2000, effects.SITUATION, GOES_ON)
    settle(a, b, now_ms=2000)
    run(a, b, from_ms=3000, to_ms=2 * MINUTE, step_ms=1000)
    assert set(a.store) == set(b.store)


def test_a_courier_file_is_taken_in_all_the_same() -> None:
    """It comes without a HELLO, by somebody's hand."""
    a, b = Shell(1), Shell(2)
    b.post(0, "from a stick", lane=3)
    settle(b)
    a.machine.command(0, effects.SITUATION, STOPPED)
    join(a, b)
    a.wires.clear()
    b.wires.clear()
    frames = b.machine.pack("lan", [one.data for one in b.store.values()])
    a.machine.receive(0, "lan", b.machine.key, frames[0])
    settle(a)
    assert len(a.store) == 1


def test_beacons_say_how_things_are() -> None:
    radio = Radio(1)
    told = beacons_in(radio.run(0, MINUTE))[0][0]
    assert (told.condition, told.reach, told.battery) == (0, 3, beacon.BATTERY_UNKNOWN)
    radio.machine.command(MINUTE, effects.SITUATION, Situation(2, 2, 55, 0b0111, 120000))
    told = beacons_in(radio.run(MINUTE, 2 * MINUTE))[-1][0]
    assert told.flags & beacon.EMERGENCY
    assert (told.condition, told.reach, told.battery) == (2, 2, 55)


def test_in_an_emergency_beacons_come_more_often() -> None:
    def beacons_in_an_hour(situation: Situation) -> int:
        radio = Radio(1)
        radio.machine.command(0, effects.SITUATION, situation)
        radio.run(0, 60 * MINUTE)
        return len(beacons_in(radio.run(60 * MINUTE, 120 * MINUTE)))

    assert beacons_in_an_hour(UNKNOWN_SITUATION) == 4
    assert beacons_in_an_hour(UNKNOWN_SITUATION._replace(condition=2, beacon_ms_max=120000)) == 30


def test_a_stopped_radio_passes_on_alerts_only() -> None:
    one, other = Radio(1), Radio(2)
    one.post(0, "notice")
    one.post(0, "alert", lane=0)
    frames = messages_in(one.run(0, 500))
    other.machine.command(0, effects.SITUATION, STOPPED)
    for frame in frames:
        other.hear(1000, frame)
    assert [kept.lane for kept in other.store.values()] == [0]
    said = other.run(1000, MINUTE)
    (alert,) = set(messages_in(said))
    assert [lane for lane, *_ in beacons_in(said)[-1][1]] == [0, 1]
    other.post(2 * MINUTE, "kept here", lane=2)
    assert set(messages_in(other.run(2 * MINUTE + 1, 4 * MINUTE))) <= {alert}
    other.machine.command(5 * MINUTE, effects.SITUATION, GOES_ON)
    assert [lane for lane, *_ in beacons_in(other.run(5 * MINUTE, 7 * MINUTE))[-1][1]] == [0, 1, 2]
    assert other.machine.air(LINK).lanes == 0b0111
