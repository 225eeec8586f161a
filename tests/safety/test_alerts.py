"""Alerts between nodes: official or not, updated, cancelled, confirmed, disputed; the same everywhere in any order."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from edge.caller import ANCHOR, MEMBER, TRUSTED, Caller
from edge.core import alert, limits
from edge.core import message as messages
from edge.errors import BadRequest, NotFound, Unauthorized
from edge.services import alertbook
from tests.core.papers import NOW_S, YEAR_S, certificate, key_of
from tests.safety.kit import VISITOR, Hall, halls

FLOOD: dict[str, Any] = {"headline": "The Schie rises over the quay tonight", "severity": "severe", "category": "Met",
                         "areas": ["52.01,4.36 5"], "ttl_s": 7200}

SONG = ("Leave the ground floors now and go to the sports hall at the Buitenhofdreef, or up to your neighbours on the "
        "second floor. Take medicines, drinking water for a day, warm clothes, a torch and your telephone. Switch off "
        "gas and electricity. Don't drive through water. Look after those who can't walk, and tell us who is missing.")


def test_a_certificate_makes_it_official(tmp_path: Path) -> None:
    hub, a, stranger = halls(tmp_path, "hub", "a", "stranger", certified=("hub",))
    made = hub.call("alert.send", **FLOOD)
    other = stranger.call("alert.send", **{**FLOOD, "headline": "I say so"})
    assert (made["official"], other["official"]) == (True, False)
    hub.gives(a)
    stranger.gives(a)
    assert [(row["official"], row["texts"][0]["headline"]) for row in a.alerts()] == [
        (True, FLOOD["headline"]), (False, "I say so")]
    assert a.alerts()[0]["author"] == hub.key.hex()
    assert [row[:2] for row in a.safety.standing()] == [(bytes.fromhex(made["id"]), 2)]


def test_a_certificate_that_comes_later_and_one_that_is_taken_back(tmp_path: Path) -> None:
    hub, a = halls(tmp_path, "hub", "a")
    hub.call("alert.send", **FLOOD)
    hub.gives(a)
    assert [row["official"] for row in a.alerts()] == [False]
    assert a.safety.standing() == []
    a.call("cert.add", paper=certificate("hub", "ann", "ben"))
    assert [row["official"] for row in a.alerts()] == [True]
    assert len(a.safety.standing()) == 1
    a.call("cert.add", paper=certificate("hub", "cas", "ben", roles="", issued_s=NOW_S + 1))
    assert [row["official"] for row in a.alerts()] == [False]
    assert a.safety.standing() == []


def test_what_was_issued_before_the_end_of_the_certificate_stays_official(tmp_path: Path) -> None:
    hub, a = halls(tmp_path, "hub", "a")
    for hall in (hub, a):
        hall.call("cert.add", paper=certificate("hub", "ann", "ben", expires_s=NOW_S + 100))
    hub.call("alert.send", **FLOOD)
    hub.now_s = a.now_s = NOW_S + 100
    hub.call("alert.send", **{**FLOOD, "headline": "too late"})
    hub.gives(a)
    assert {row["texts"][0]["headline"]: row["official"] for row in a.alerts()} == {
        FLOOD["headline"]: True, "too late": False}


def test_a_visitors_report_is_never_official(tmp_path: Path) -> None:
    (hub,) = halls(tmp_path, "hub", certified=("hub",))
    hub.call("alert.report", VISITOR, headline="Smoke over the mill", name="Ann", severity="Severe")
    (row,) = hub.alerts()
    assert (row["official"], row["severity"], row["texts"][0]["issuer"]) == (False, "Severe", "Ann")
    assert row["areas"] == ["5.0 km around 52.012,4.357"]
    assert hub.safety.standing() == []


def test_updates_and_cancels_in_any_order(tmp_path: Path) -> None:
    (hub,) = halls(tmp_path, "hub", certified=("hub",))
    first = hub.call("alert.send", **FLOOD)["id"]
    second = hub.call("alert.send", **{**FLOOD, "headline": "Worse"}, updates=first[:16])["id"]
    before = hub.alerts()
    assert [(row["id"], row["kind"]) for row in before] == [(second, "update")]
    hub.call("alert.cancel", id=second, reason="The water falls")
    assert hub.alerts() == []
    ended = {row["id"]: row["state"] for row in hub.alerts(ended=True)}
    assert (ended[first], ended[second]) == ("updated", "cancelled")
    rows = [messages.parse(row["data"]) for row in hub.store.list_messages(now_s=0)]
    for n, some in enumerate(itertools.permutations(rows)):
        one = Hall(tmp_path, f"order {n}")
        one.take(*some)
        assert one.alerts() == []
        assert {row["id"]: row["state"] for row in one.alerts(ended=True)} == ended
        one.reboot()
        assert {row["id"]: row["state"] for row in one.alerts(ended=True)} == ended


def test_only_its_issuer_cancels(tmp_path: Path) -> None:
    hub, other, a = halls(tmp_path, "hub", "other", "a", certified=("hub", "other"))
    id = hub.call("alert.send", **FLOOD)["id"]
    hub.gives(other, a)
    with pytest.raises(BadRequest) as caught:
        other.call("alert.cancel", id=id)
    assert "issued by " + hub.key.hex()[:16] in str(caught.value)
    # one that is made all the same is carried and changes nothing
    body = alert.body_of("no", [], references=[alert.CANCEL, bytes.fromhex(id)[:8]], official=True)

    other.says(messages.ALERT, 0, body)
    other.gives(a)
    assert [row["id"] for row in a.alerts()] == [id]
    with pytest.raises(NotFound):
        hub.call("alert.cancel", id="0" * 32)
    with pytest.raises(NotFound):
        hub.call("alert.cancel", id="xyz")
    hub.call("alert.cancel", id=id)
    with pytest.raises(BadRequest):
        hub.call("alert.cancel", id=id)


def test_expired_is_gone_and_the_cancel_outlives_it(tmp_path: Path) -> None:
    hub, a = halls(tmp_path, "hub", "a", certified=("hub",))
    id = hub.call("alert.send", **FLOOD)["id"]
    hub.call("alert.cancel", id=id)
    hub.call("alert.send", **FLOOD)
    hub.gives(a)
    assert len(a.alerts()) == 1
    a.now_s = NOW_S + FLOOD["ttl_s"]
    assert a.alerts() == []
    a.published.clear()
    a.parts.tick()
    assert a.published == ["alerts"]
    assert len(a.alerts(ended=True)) == 1  # the cancel itself
    a.now_s = NOW_S + FLOOD["ttl_s"] + 3601
    a.parts.tick()
    assert a.alerts(ended=True) == []


def test_confirmed_and_disputed_once_an_author_the_same_everywhere(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d", "hub")
    nodes = dict(zip(names, halls(tmp_path, *names, certified=("hub",)), strict=True))
    id = nodes["hub"].call("alert.send", **FLOOD)["id"]
    nodes["hub"].gives(*nodes.values())
    for name, stance in (("a", "confirm"), ("b", "confirm"), ("c", "dispute"), ("d", "dispute"), ("d", "confirm"),
                         ("a", "confirm"), ("b", "withdraw"), ("b", "confirm")):
        nodes[name].now_s += 1
        nodes[name].call("alert.judge", VISITOR, id=id, stance=stance)
    for order in (names, names[::-1]):
        for name in order:
            nodes[name].gives(*nodes.values())
    assert [(row["confirm"], row["dispute"]) for node in nodes.values() for row in node.alerts()] == [(3, 1)] * 5
    assert [row["stance"] for name in ("a", "c", "hub") for row in nodes[name].alerts()] == ["confirm", "dispute", None]
    nodes["a"].reboot()
    assert [(row["confirm"], row["dispute"]) for row in nodes["a"].alerts()] == [(3, 1)]
    with pytest.raises(BadRequest):
        nodes["hub"].call("alert.judge", VISITOR, id=id, stance="confirm")


def test_a_report_that_comes_before_its_alert(tmp_path: Path) -> None:
    hub, a, b = halls(tmp_path, "hub", "a", "b", certified=("hub",))
    id = hub.call("alert.send", **FLOOD)["id"]
    hub.gives(a)
    a.call("alert.judge", VISITOR, id=id, stance="dispute", text="I live there: all is dry")
    b.take(*[messages.parse(row["data"]) for row in a.store.list_messages(now_s=0) if row["type"] == messages.REPORT])
    assert b.alerts() == []
    hub.gives(b)
    assert [(row["confirm"], row["dispute"]) for row in b.alerts()] == [(0, 1)]


def test_a_neighbour_can_not_speak_through_others(tmp_path: Path) -> None:
    hub, a = halls(tmp_path, "hub", "a", certified=("hub",))
    id = hub.call("alert.send", **FLOOD)["id"]
    hub.gives(a)
    far = Caller(TRUSTED, hub.key, "lan")
    for name, params in (("alert.report", {"headline": "Fire"}), ("alert.judge", {"id": id, "stance": "confirm"})):
        with pytest.raises(Unauthorized):
            a.call(name, far, **params)
        a.call(name, Caller(ANCHOR, hub.key, "lan"), **params)


def test_what_neighbours_report_is_told_to_the_emergency_machine(tmp_path: Path) -> None:
    a, b, c = halls(tmp_path, "a", "b", "c")
    a.trust = {b.key: MEMBER, c.key: TRUSTED}
    b.call("alert.report", VISITOR, headline="Fire at the mill", severity="Extreme")
    b.gives(a, c)
    assert a.safety.reports() == [(b.key, MEMBER, 2)]
    (row,) = c.alerts()
    c.call("alert.judge", VISITOR, id=row["id"], stance="confirm")
    c.gives(a)
    assert sorted(a.safety.reports()) == sorted([(b.key, MEMBER, 2), (c.key, TRUSTED, 2)])
    c.now_s += 1
    c.call("alert.judge", VISITOR, id=row["id"], stance="dispute")
    c.gives(a)
    assert sorted(a.safety.reports()) == sorted([(b.key, MEMBER, 2), (c.key, TRUSTED, 0)])
    b.now_s += 2
    b.call("alert.cancel", id=row["id"])
    b.gives(a)
    assert sorted(a.safety.reports()) == sorted([(b.key, MEMBER, 0), (c.key, TRUSTED, 0)])
    a.now_s += 86400
    assert a.safety.reports() == []


def test_who_disputes_one_report_still_stands_by_another(tmp_path: Path) -> None:
    a, b, c = halls(tmp_path, "a", "b", "c")
    a.trust = {b.key: MEMBER, c.key: MEMBER}
    b.call("alert.report", VISITOR, headline="Fire at the mill", severity="Extreme")
    b.gives(a, c)
    (fire,) = c.alerts()
    c.call("alert.judge", VISITOR, id=fire["id"], stance="confirm")
    b.call("alert.report", VISITOR, headline="A dragon over the mill", severity="Extreme")
    b.gives(a, c)
    dragon = next(row for row in c.alerts() if row["id"] != fire["id"])
    c.now_s += 1
    c.call("alert.judge", VISITOR, id=dragon["id"], stance="dispute")
    c.gives(a)
    assert sorted(a.safety.reports()) == sorted([(b.key, MEMBER, 2), (c.key, MEMBER, 2)])
    c.now_s += 1
    c.call("alert.judge", VISITOR, id=fire["id"], stance="dispute")
    c.gives(a)
    assert sorted(a.safety.reports()) == sorted([(b.key, MEMBER, 2), (c.key, MEMBER, 0)])


def test_whom_it_is_for_and_how_grave(tmp_path: Path) -> None:
    hub, here, far, nowhere = halls(tmp_path, "hub", "here", certified=("hub",)) + [
        Hall(tmp_path, "far", position="53.2,6.5", places=("Groningen",)),
        Hall(tmp_path, "nowhere", position="", places=())]
    for one in (far, nowhere):
        one.call("cert.add", paper=certificate("hub", "ann", "ben"))
    for more, level in (({}, 2), ({"severity": "Extreme"}, 2), ({"severity": "Moderate"}, 1),
                        ({"severity": "Minor"}, 0), ({"certainty": "Unlikely"}, 1), ({"urgency": "Past"}, 1),
                        ({"urgency": "Future"}, 2), ({"response": "AllClear"}, 0), ({"status": "Exercise"}, 0),
                        ({"status": "Test"}, 0)):
        id = hub.call("alert.send", **{**FLOOD, **more})["id"]
        hub.gives(here, far, nowhere)
        levels = []
        for node in (here, far, nowhere):
            levels.append({row[0].hex(): row[1] for row in node.safety.standing()}.get(id, 0))
        assert levels == [level, 0, level], more
        row = next(row for row in here.alerts() if row["id"] == id)
        assert (row["here"], row["grave"]) == (True, level)
    assert {row["here"] for row in far.alerts()} == {False}
    assert {row["here"] for row in nowhere.alerts()} == {None}


def test_a_wrong_clock_hides_none(tmp_path: Path) -> None:
    """What has expired is judged by the time that has surely come, which is 0 while nothing is known."""
    hub, a = halls(tmp_path, "hub", "a", certified=("hub",))
    hub.call("alert.send", **FLOOD)
    hub.gives(a)
    for now_s in (0, NOW_S - 5 * YEAR_S, NOW_S):
        a.now_s = now_s
        assert len(a.alerts()) == 1
    assert len(a.safety.standing()) == 1


def test_radios_go_on_saying_official_ones_and_their_cancels(tmp_path: Path) -> None:
    hub, a = halls(tmp_path, "hub", "a", certified=("hub",))
    id = hub.call("alert.send", **FLOOD)["id"]
    a.call("alert.report", VISITOR, headline="Smoke", severity="Severe")
    hub.gives(a)
    assert [key[6:].hex() for key in a.standing_keys()] == [id[:20]]
    cancel = hub.call("alert.cancel", id=id)["id"]
    hub.gives(a)
    assert [key[6:].hex() for key in a.standing_keys()] == [cancel[:20]]
    a.now_s += 86400
    a.parts.tick()
    assert a.standing_keys() == []


def test_the_long_text_comes_behind_and_the_short_form_fits(tmp_path: Path) -> None:
    hub, a, early = halls(tmp_path, "hub", "a", "early", certified=("hub",))
    words = {**FLOOD, "instruction": SONG, "description": "A dike has broken. " * 30,
             "language": "en"}
    made = hub.call("alert.send", **words)
    assert made["cut"] and made["details"] and made["air_bytes"] <= limits.ALERT_AIR_BYTES_MAX
    rows = {row["lane"]: messages.parse(row["data"]) for row in hub.store.list_messages(now_s=0)
            if row["type"] == messages.ALERT}
    a.take(rows[0])
    (row,) = a.alerts()
    assert row["texts"][0]["instruction"].endswith("\u2026") and not row["details"]
    early.take(rows[2])
    for one in (early, a):
        one.take(rows[0], rows[2])
        (row,) = one.alerts()
        assert row["texts"] == [{"language": "en", "headline": FLOOD["headline"], "issuer": "hub",
                                 "instruction": SONG,
                                 "description": words["description"]}], one.name
        assert row["details"]


def test_details_of_another_author_are_ignored(tmp_path: Path) -> None:
    hub, eve, a = halls(tmp_path, "hub", "eve", "a", certified=("hub",))
    id = bytes.fromhex(hub.call("alert.send", **FLOOD)["id"])
    eve.says(messages.ALERT, 2, {12: id[:8], 13: {14: [{14: "All is well"}]}})
    hub.gives(a)
    eve.gives(a)
    assert a.headlines() == [FLOOD["headline"]]
    hub.says(messages.ALERT, 2, {12: id[:8], 13: {14: [{6: "Terrible"}]}})
    hub.gives(a)
    assert a.headlines() == [FLOOD["headline"]]
    assert a.counters == {"drop.alert.details": 1}


def test_what_can_not_be_read_is_counted(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    for type, lane, body in ((messages.ALERT, 0, {3: "x"}), (messages.REPORT, 1, {1: 9}),
                             (messages.CERT, 0, {1: "x"}), (messages.HALT, 0, {1: b"x"}),
                             (messages.CHECKIN, 1, {1: 5}), (messages.ALERT, 3, {1: "x"}),
                             (messages.CHECKIN, 2, {1: "Ann", 2: 1})):
        a.says(type, lane, body)
    assert a.counters == {"drop.alert.codes": 1, "drop.report.form": 1, "drop.cosign.form": 2, "drop.checkin.form": 1}
    assert a.alerts() == [] and a.call("checkin.list") == []


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertbook, "ALERTS_MAX", 20)
    hub, eve, a = halls(tmp_path, "hub", "eve", "a", certified=("hub",))
    official = hub.call("alert.send", **FLOOD)["id"]
    hub.gives(a)
    for n in range(40):
        eve.call("alert.report", VISITOR, headline=f"report {n}", severity="Extreme")
    eve.gives(a)
    assert len(a.parts.alerts._alerts) == 20
    rows = a.alerts()
    assert rows[0]["id"] == official
    assert len(rows) == 1 + alertbook.UNOFFICIAL_AN_AUTHOR_MAX
    monkeypatch.setattr(alertbook, "REPORTERS_MAX", 3)
    for n in range(6):
        one = Hall(tmp_path, f"n{n}")
        hub.gives(one)
        one.call("alert.judge", VISITOR, id=official, stance="confirm")
        one.gives(a)
    assert a.alerts()[0]["confirm"] == 3


def test_what_was_typed_wrong_is_said(tmp_path: Path) -> None:
    (hub,) = halls(tmp_path, "hub")
    for more, where in (({"severity": "awful"}, "severity"), ({"areas": ["#no!"]}, ""), ({"areas": ["52.1,4.3"]}, ""),
                        ({"areas": ["99,4 1"]}, ""), ({"areas": "Delft"}, "areas"), ({"headline": ""}, "headline"),
                        ({"updates": "0" * 32}, "id"), ({"ttl_s": 5}, "ttl_s"), ({"language": 5}, "language")):
        with pytest.raises((BadRequest, NotFound)) as caught:
            hub.call("alert.send", **{**FLOOD, **more})
        assert caught.value.where == where, more
    assert hub.alerts() == []
    assert key_of("ann") != hub.key
