"""The town of issue 3 on a made-up air: 50 nodes, 5 hops across, MediumFast, 20 % loss, 10 % duty."""

from __future__ import annotations

import pytest

from edge.core.rng import Rng
from edge.sim import air
from edge.sim import town as towns
from edge.sim.air import Layout, airtime_us
from edge.sim.town import Town


def counted(town: Town, name: str) -> int:
    return sum(node.machine.counters.get(name, 0) for node in town.nodes)


def test_airtimes_are_those_of_the_table() -> None:
    assert [airtime_us(n) // 1000 for n in (20, 100, 200)] == [160, 344, 569]


def test_the_layout_is_what_it_says() -> None:
    layout = Layout(50, 5, Rng(1))
    assert layout._across() == 5
    for a, levels in enumerate(layout.levels):
        assert levels
        for b, dbm in levels:
            assert dbm >= air._EDGE_DBM and (a, dbm) in layout.levels[b]


@pytest.mark.parametrize("seed", [1, 2])
def test_an_alert_reaches_a_quiet_town_within_a_minute(seed: int) -> None:
    town = towns.alert(seed)
    assert town.share(60000) >= 9900 and town.duty_most() < 1000


@pytest.mark.parametrize("senses", [True, False])
def test_a_post_a_minute_arrives_within_a_quarter_of_an_hour(senses: bool) -> None:
    town = towns.board(3, senses=senses)
    assert len(town.arrived) == 60
    assert town.share(900000) >= 9900
    assert town.duty_most() <= 1000
    assert counted(town, "radio.suppressed") > 0 and counted(town, "radio.given") + counted(town, "radio.asked") > 0


def test_who_was_away_catches_up_and_plain_flooding_never_does() -> None:
    ours, plain = (towns.board(4, minutes=25, away=10, plain=kind) for kind in (False, True))
    assert ours.share(1500000) >= 9990
    assert plain.share(10**9) <= 9400  # ten of fifty miss ten of twenty-five posts


def test_the_duty_holds_when_there_is_more_to_send_than_it_allows() -> None:
    town = towns.board(5, minutes=10, nodes=8, hops=2, duty=1)
    for _ in range(150):
        town.post(text="so much to say " * 5)
    town.run(town.now_ms + 1800000)
    assert 90 <= town.duty_most() <= 100
    assert sum(node.modem.waited for node in town.nodes) > 0


def test_one_seed_makes_one_run() -> None:
    one, two, other = (towns.alert(seed, nodes=12, hops=3) for seed in (7, 7, 8))
    assert list(one.arrived.values()) == list(two.arrived.values()) != list(other.arrived.values())
    assert one.airtime_ms() == two.airtime_ms()
