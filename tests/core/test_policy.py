"""What a node spends its power on, in every state, whatever the box's body says and whatever was set."""

from __future__ import annotations

from itertools import product

import pytest

from edge.core import conditions as table
from edge.core import limits, policy
from edge.core.emergency import NAMES
from edge.core.policy import ALERTS_AND_DIRECT, FULL, NONE, OFF, ROWS, SMALL, effective, override


def now(condition: int = table.CALM, reach: int = table.NORMAL, stopped: str = "",
        **values: int) -> tuple[policy.Policy, list[str]]:
    return effective(ROWS, condition, reach, lambda name: values.get(name, 0), stopped)


def test_rows() -> None:
    assert policy.Policy._fields == policy.FIELDS
    assert len(ROWS) == len(table.STATES[table.CONDITION])
    for row in ROWS:
        assert row.lanes & ALERTS_AND_DIRECT == ALERTS_AND_DIRECT
        assert override(row, [f"{field}={value}" for field, value in policy.shown(row).items()]) == row
    assert [row.models for row in ROWS] == [FULL, FULL, SMALL, SMALL]
    for name, least, *_ in policy.LADDER:
        assert 0 < least < len(table.INPUTS[NAMES.index(name)].values)


def test_the_thermal_ladder() -> None:
    assert [now(heat=heat)[0].models for heat in range(5)] == [FULL, FULL, SMALL, NONE, NONE]
    found, why = now(heat=4)
    assert found.display == OFF and why == ["it is warm", "it is hot", "it is far too hot"]
    assert found.lanes == ROWS[0].lanes and found.beacon_s == ROWS[0].beacon_s, "the radios go on"


def test_power() -> None:
    assert now(power=2)[0].models == SMALL
    assert now(power=3)[0].models == NONE
    assert now(power=3)[0].probe_s == 4 * ROWS[0].probe_s
    assert now(supply=2)[0].models == SMALL
    assert now(power=1, supply=1, heat=1) == (ROWS[0], [])


def test_what_is_said_is_what_was_taken_away() -> None:
    assert now(heat=3)[1] == ["it is warm", "it is hot"]
    assert now(table.EMERGENCY, heat=2) == (ROWS[2], []), "nothing: it is no more than small anyhow"
    assert now(reach=table.OFFLINE) == (ROWS[0]._replace(probe_s=2 * ROWS[0].probe_s), [])


def test_nothing_silences_alerts_and_direct_messages() -> None:
    assert 1 << limits.LANE_ALERT | 1 << limits.LANE_DIRECT == ALERTS_AND_DIRECT == 0b11
    for condition, reach, heat, power, supply, stopped in product(range(4), range(3), range(5), range(4), range(3),
                                                                  ("", "stopped")):
        found, why = now(condition, reach, stopped, heat=heat, power=power, supply=supply)
        assert found.lanes & ALERTS_AND_DIRECT == ALERTS_AND_DIRECT
        assert found.beacon_s == ROWS[condition].beacon_s
        assert found.reserve_permille == ROWS[condition].reserve_permille >= 250
        if stopped:
            assert found.models == NONE and found.lanes == ALERTS_AND_DIRECT and stopped in why
        assert found.models <= ROWS[condition].models


def test_override() -> None:
    row = override(ROWS[2], ["models=none", "lanes=02", " beacon_s = 60", "theme=calm", "access_point=auto"])
    assert (row.models, row.lanes, row.beacon_s, row.theme, row.access_point) == (NONE, 0b0111, 60, table.CALM, 0)
    assert row.display == ROWS[2].display


@pytest.mark.parametrize(("word", "said"), [
    ("models=huge", "models can't be huge; it may be none or small or full"),
    ("beacon_s=5", "beacon_s can't be 5; it may be 60..900"), ("beacon_s=-5", "can't be -5"),
    ("lanes=4", "lanes can't be 4"), ("lanes=", "lanes can't be"), ("probe_s=" + "9" * 20, "5..3600"),
    ("colour=red", "not FIELD=VALUE with one of beacon_s"), ("models", "not FIELD=VALUE"),
])
def test_override_refuses(word: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(") if said.startswith("models") else said):
        override(ROWS[0], [word])
    with pytest.raises(ValueError, match="twice"):
        override(ROWS[0], ["models=none", "models=full"])
