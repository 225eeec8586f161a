"""Check-ins between nodes: who is safe, who needs help, and nobody's need for help hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import BadRequest
from edge.services import checkins
from tests.core.papers import NOW_S
from tests.safety.kit import VISITOR, Hall, halls


def people(hall: Hall) -> list[tuple[str, str]]:
    return [(row["name"], row["state"]) for row in hall.call("checkin.list", VISITOR)]


def test_seen_across_the_community(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    a.call("checkin.post", VISITOR, name="Ann Smith", state="help", note="broken leg", where="Mill Lane 4")
    a.now_s += 60
    a.call("checkin.post", VISITOR, name="Ben", state="safe")
    a.gives(b)
    b.published.clear()
    rows = b.call("checkin.list", VISITOR)
    assert [(row["name"], row["state"], row["note"], row["where"]) for row in rows] == [
        ("Ann Smith", "help", "broken leg", "Mill Lane 4"), ("Ben", "safe", "", "Delft")]
    assert rows[0]["author"] == a.key.hex()
    assert rows[1]["time_ms"] // 1000 == NOW_S + 60
    assert [row["name"] for row in b.call("checkin.list", VISITOR, state="help")] == ["Ann Smith"]
    b.reboot()
    assert b.call("checkin.list", VISITOR) == rows


def test_the_newest_of_a_node_counts(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    a.call("checkin.post", VISITOR, name="Ann Smith", state="help")
    assert people(a) == [("Ann Smith", "help")]
    a.call("checkin.post", VISITOR, name="Ann Smith", state="need help", note="as people say it")
    assert people(a) == [("Ann Smith", "help")]
    a.call("checkin.post", VISITOR, name=" ann  SMITH ", state="safe")
    assert people(a) == [("ann  SMITH", "safe")]


def test_safe_elsewhere_does_not_hide_a_need_for_help(tmp_path: Path) -> None:
    a, b = halls(tmp_path, "a", "b")
    a.call("checkin.post", VISITOR, name="Maria", state="help", note="trapped")
    b.now_s += 600
    b.call("checkin.post", VISITOR, name="maria", state="safe")
    a.gives(b)
    b.gives(a)
    for hall in (a, b):
        (row,) = hall.call("checkin.list", VISITOR)
        assert (row["state"], row["note"]) == ("help", "trapped")
        assert [(one["state"], one["author"]) for one in row["said"]] == [("safe", b.key.hex()), ("help", a.key.hex())]
    a.now_s += 900
    a.call("checkin.post", VISITOR, name="Maria", state="safe")
    a.gives(b)
    assert people(b) == [("Maria", "safe")]


def test_it_expires(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    a.call("checkin.post", VISITOR, name="Ann", state="help")
    a.call("checkin.post", VISITOR, name="Ben", ttl_s=3600)
    a.now_s += 3600
    assert people(a) == [("Ann", "help")]
    a.now_s += checkins.TTL_S
    assert people(a) == []


def test_bounds_and_bad_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkins, "STATEMENTS_MAX", 5)
    (a,) = halls(tmp_path, "a")
    a.call("checkin.post", VISITOR, name="Ann", state="help")
    for n in range(9):
        a.call("checkin.post", VISITOR, name=f"Ben {n}")
    assert people(a)[0] == ("Ann", "help")
    assert len(people(a)) == 5
    for params, where in (({"name": ""}, "name"), ({"name": "..."}, "name"), ({"name": "x" * 65}, "name"),
                          ({"name": "Ann", "state": "fine"}, "state"), ({"name": "Ann", "note": "x" * 201}, "note"),
                          ({"name": "Ann", "ttl_s": 5}, "ttl_s"), ({"name": "Ann\n"}, "name")):
        with pytest.raises(BadRequest) as caught:
            a.call("checkin.post", VISITOR, **params)
        assert caught.value.where == where
