"""Halts and certificates between nodes: brought, carried, obeyed, replayed, remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core import message as messages
from edge.core.halt import MODELS, RELAY
from edge.errors import BadRequest
from edge.services.papers import stewards_of
from tests.core.papers import NOW_S, certificate, key_of, order
from tests.safety.kit import COMMUNITY, Hall, halls


def test_a_halt_reaches_all_and_outlives_a_reboot(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    shown = a.call("halt.send", paper=order(NOW_S, MODELS | RELAY, "ann", "ben", reason="gas leak"))
    assert (shown["scopes"], shown["epoch"], shown["reason"]) == (["models", "relay"], NOW_S, "gas leak")
    b.published.clear()
    a.gives(b)
    assert b.published == ["alerts"]
    assert b.call("halt.show")["scopes"] == ["models", "relay"]
    assert b.safety.halted()[1] == "the community's stewards have halted models and relay: gas leak"
    b.reboot()
    assert b.safety.halted()[1] == "the community's stewards have halted models and relay: gas leak"


def test_it_is_kept_without_its_message(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    a.call("halt.send", paper=order(NOW_S, MODELS, "ann", "ben", reason="gas leak"))
    a.gives(b)
    b.store.expire(NOW_S + 10**9)
    b.reboot()
    assert b.safety.halted()[1] == "the community's stewards have halted models"


def test_an_old_order_is_ignored_and_a_newer_one_goes_on(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    old = order(NOW_S - 10, 0, "ann", "ben")
    a.call("halt.send", paper=order(NOW_S, MODELS, "ann", "ben"))
    with pytest.raises(BadRequest) as caught:
        a.call("halt.send", paper=old)
    assert f"its epoch {NOW_S - 10} is not above {NOW_S}" in str(caught.value)
    a.gives(b)
    b.says(messages.HALT, 0, {1: old})
    assert b.call("halt.show")["scopes"] == ["models"]
    a.call("halt.send", paper=order(NOW_S + 1, 0, "cas", "ben"))
    a.gives(b)
    assert b.safety.halted()[1] == ""
    b.reboot()
    assert (b.safety.halted()[1], b.call("halt.show")["epoch"]) == ("", NOW_S + 1)


def test_it_ends_by_itself_and_says_so(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    a.call("halt.send", paper=order(NOW_S, MODELS, "ann", "ben", expires_s=NOW_S + 60))
    a.now_s += 59
    assert a.safety.halted()[1]
    a.now_s += 1
    assert not a.safety.halted()[1]
    with pytest.raises(BadRequest):
        a.call("halt.send", paper=order(NOW_S + 1, MODELS, "ann", "ben", expires_s=NOW_S + 60))


def test_an_alert_still_passes(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b", certified=("a",))
    a.call("halt.send", paper=order(NOW_S, MODELS | RELAY, "ann", "ben"))
    a.gives(b)
    a.call("alert.send", headline="Flood", severity="severe")
    a.gives(b)
    assert b.headlines() == ["Flood"]
    assert len(b.safety.standing()) == 1


def test_who_may_not(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    table = [
        (order(NOW_S, MODELS, "ann"), "2 of the 3 keys"), (order(NOW_S, MODELS, "eve", "fay"), "2 of the 3 keys"),
        (order(NOW_S, MODELS, "ann", "ben", community="Gouda"), 'community.name is "Delft"'),
        (certificate("a", "ann", "ben"), "no paper that stewards sign"), (b"nonsense", "no paper that stewards sign")]
    for paper, why in table:
        with pytest.raises(BadRequest) as caught:
            a.call("halt.send", paper=paper)
        assert why in str(caught.value)
    assert a.safety.halted()[1] == ""
    lonely = Hall(tmp_path, "lonely", community={**COMMUNITY, "stewards": [], "stewards_needed": 0})
    with pytest.raises(BadRequest) as caught:
        lonely.call("halt.send", paper=order(NOW_S, MODELS, "ann", "ben"))
    assert "set community.stewards" in str(caught.value)


def test_certificates_are_listed_and_travel(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    waits = a.call("cert.add", paper=certificate("node", "hub"))
    assert (waits["good"], a.call("cert.list")) == (False, [])
    made = a.call("cert.add", paper=certificate("hub", "ann", "ben", roles="alert certify"))
    assert (made["good"], made["roles"], made["key"]) == (True, ["alert", "certify"], key_of("hub").hex())
    a.gives(b)
    rows = {row["key"]: row for row in b.call("cert.list")}
    assert rows[key_of("hub").hex()]["by"] == "stewards"
    assert rows[key_of("node").hex()]["by"] == key_of("hub").hex()
    b.reboot()
    assert {row["key"]: row for row in b.call("cert.list")} == rows
    a.call("cert.add", paper=certificate("hub", "ann", "ben", roles="", issued_s=NOW_S + 1))
    assert [row["in_force"] for row in a.call("cert.list") if row["key"] == key_of("hub").hex()] == [False, True]
    for bad, why in ((certificate("hub", "ann", "eve"), "2 of the 3"), (order(1, 1, "ann", "ben"), "no paper"),
                     (certificate("hub", "ann", "ben", expires_s=NOW_S), "expired")):
        with pytest.raises(BadRequest) as caught:
            a.call("cert.add", paper=bad)
        assert why in str(caught.value)


def test_the_stewards_stand_in_the_settings_and_nowhere_else(tmp_path: Path) -> None:
    assert stewards_of({**COMMUNITY, "stewards_needed": 0}).needed == 2
    wrong = Hall(tmp_path, "wrong", community={**COMMUNITY, "stewards_needed": 4})
    assert "4 of 3 stewards can't sign" in wrong.troubles["community"]
    assert wrong.call("halt.show")["stewards"] == []
    # a community that calls itself the same, with stewards of its own
    (a,) = halls(tmp_path, "a")
    theirs = Hall(tmp_path, "theirs", community={**COMMUNITY, "stewards": [key_of("eve").hex()], "stewards_needed": 1})
    theirs.call("halt.send", paper=order(NOW_S, MODELS, "eve"))
    theirs.call("cert.add", paper=certificate("theirs", "eve"))
    theirs.call("alert.send", headline="Believe me", severity="extreme")
    theirs.gives(a)
    assert a.safety.halted()[1] == ""
    assert [row["official"] for row in a.alerts()] == [False]
    assert set(a.counters) == {"drop.halt.signatures"}  # a certificate by one key may become good later
