"""The parts are loaded by what needs them, and offered as they are declared."""

from __future__ import annotations

from pathlib import Path

from edge.core import halt
from edge.services import offered
from tests.core.papers import NOW_S, order
from tests.safety.kit import OWNER, VISITOR, Hall, halls


def test_a_quiet_node_loads_nothing(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    a.says(1, 2, {1: "a notice"})
    assert (a.alerts(), a.call("checkin.list", VISITOR)) == ([], [])
    assert (a.safety.standing(), a.safety.reports(), a.safety.halted()) == ([], [], ([], ""))
    a.reboot()
    assert a.safety._parts is None
    b.call("checkin.post", VISITOR, name="Ann")
    b.gives(a)
    assert a.safety._parts is not None
    assert len(a.call("checkin.list", VISITOR)) == 1
    a.reboot()
    assert a.safety._parts is not None


def test_a_kept_halt_is_enough(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    a.call("halt.send", OWNER, paper=order(NOW_S, halt.MODELS, "ann", "ben"))
    a.store.expire(NOW_S + 10**9)
    a.reboot()
    assert a.safety.halted()[0] == ["models"]


def test_what_is_offered_is_what_there_is(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    assert {service.name: (service.trust, service.streams, service.summary) for service in a.parts.services} == (
        offered.OFFERED)
    assert set(a._offered) == set(offered.OFFERED)
    assert isinstance(a, Hall)
