"""waypost alert, cert, halt and checkin as people type them, with a real node and without one."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import xmlschema

from tests.cli.kit import RealNode, cli, cli_json
from tests.conftest import ROOT
from tests.system.nodes import until
from tools import alert_view

CAP = pathlib.Path(ROOT, "tests/data/cap")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[pathlib.Path, str]]:
    """Three stewards' key files and their public keys."""
    folder = tmp_path_factory.mktemp("stewards")
    out = {}
    for name in ("ann", "ben", "cas"):
        made = cli_json("cert", "steward", folder / f"{name}.key")
        out[name] = (folder / f"{name}.key", made["steward"])
    return out


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> Iterator[RealNode]:
    stewards = ",".join(public for _path, public in keys.values())
    with RealNode(tmp_path_factory.mktemp("node"), "lan.enabled=false", "community.name=Delft",
                  f"community.stewards={stewards}", "alerts.position=52.0116,4.3571") as one:
        yield one


def at(node: RealNode, *words: object) -> Any:
    return cli_json("--dir", node.directory, *words)


def said(node: RealNode, *words: object) -> str:
    code, out, err = cli("--dir", node.directory, *words)
    assert code == 0, err
    return out


# --- stewards, away from every node


def test_a_key_file_is_private_and_never_overwritten(tmp_path: pathlib.Path, keys: dict[str, Any]) -> None:
    path, public = keys["ann"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert public not in path.read_text()
    code, out, err = cli("cert", "steward", path)
    assert code == 1 and "File exists" in err
    assert cli_json("cert", "steward", tmp_path / "new.key")["path"] == str(tmp_path / "new.key")
    (tmp_path / "identity.key").write_text("x")
    code, out, err = cli("cert", "steward", tmp_path / "other.key")
    assert code == 1 and "kept away from every node" in err
    assert not (tmp_path / "other.key").exists()
    os.chmod(tmp_path / "new.key", 0o644)
    code, out, err = cli("halt", "make", "--key", tmp_path / "new.key", "-o", tmp_path / "x")
    assert code == 1 and "mode 0600" in err


def test_papers_are_made_signed_and_joined_offline(tmp_path: pathlib.Path, keys: dict[str, Any]) -> None:
    one, two, both = tmp_path / "one", tmp_path / "two", tmp_path / "both"
    made = cli_json("halt", "make", "--community", "Delft", "--reason", "gas leak", "--for", "2h", "--scope", "models",
                    "--key", keys["ann"][0], "-o", one)
    assert (made["scopes"], made["reason"], len(made["signed_by"])) == (["models"], "gas leak", 1)
    shutil.copy(one, two)
    assert len(cli_json("halt", "sign", two, "--key", keys["ben"][0])["signed_by"]) == 2
    shutil.copy(two, tmp_path / "three")
    cli_json("halt", "sign", tmp_path / "three", "--key", keys["cas"][0])
    joined = cli_json("halt", "join", one, tmp_path / "three", "-o", both)
    assert joined["signed_by"] == sorted(public[:16] for _path, public in keys.values())
    assert cli_json("halt", "read", both) == joined
    other = tmp_path / "other"
    cli_json("halt", "make", "--key", keys["ann"][0], "-o", other)
    for words, why in ((("halt", "join", one, other, "-o", tmp_path / "x"), "says something else"),
                       (("cert", "read", one), "waypost halt reads orders"),
                       (("halt", "read", keys["ann"][0]), "no paper that stewards sign"),
                       (("halt", "make", "--scope", "alerts", "--key", keys["ann"][0], "-o", tmp_path / "x"),
                        "alerts, beacons, direct messages and the console can't be halted"),
                       (("halt", "make", "--key", keys["ann"][0], "-o", one), "is there already"),
                       (("halt", "make", "--key", tmp_path / "none", "-o", tmp_path / "x"), "no such key file"),
                       (("halt", "sign", tmp_path / "none", "--key", keys["ann"][0]), "can't be read"),
                       (("cert", "make", "abc", "--key", keys["ann"][0], "-o", tmp_path / "x"), "64 hex digits"),
                       (("cert", "make", "ab" * 32, "--role", "All Power", "--key", keys["ann"][0], "-o",
                         tmp_path / "x"), "roles of small letters")):
        code, out, err = cli(*words)
        assert code == 1 and why in err, err
    assert cli("halt", "make", "--for", "long", "--key", "x", "-o", "y")[0] == 2


# --- at a node


def test_a_certificate_makes_the_nodes_alerts_official(node: RealNode, tmp_path: pathlib.Path,
                                                       keys: dict[str, Any]) -> None:
    made = at(node, "alert", "send", "Fire at the mill", "--severity", "severe", "--for", "2h")
    assert made["official"] is False
    assert "no certificate" in said(node, "alert", "send", "Fire at the mill, again", "--severity", "minor")
    path = tmp_path / "node.cert"
    cli_json("cert", "make", node.ready["node"], "--role", "alert", "--community", "Delft", "--key", keys["ann"][0],
             "-o", path)
    code, out, err = cli("--dir", node.directory, "cert", "add", path)
    assert code == 1 and "2 of the 3 keys in community.stewards must sign it" in err
    cli_json("cert", "sign", path, "--key", keys["cas"][0])
    assert "may alert, until" in said(node, "cert", "add", path)
    assert "stewards" in said(node, "cert", "list")
    assert at(node, "alert", "send", "Flood", "--severity", "Extreme", "--area", "52.01,4.36 3")["official"] is True
    rows = at(node, "alert", "list")
    assert {row["texts"][0]["headline"]: row["official"] for row in rows} == {
        "Flood": True, "Fire at the mill": True, "Fire at the mill, again": True}
    shown = said(node, "alert", "list")
    assert "OFFICIAL" in shown and "for this place" in shown and "Extreme, Immediate, Observed" in shown


def test_a_report_and_the_ways_to_end_and_judge(node: RealNode) -> None:
    id = at(node, "alert", "report", "Smoke over the school", "--name", "Ann", "--severity", "moderate")["id"]
    row = next(row for row in at(node, "alert", "list") if row["id"] == id)
    assert (row["official"], row["severity"]) == (False, "Moderate")
    assert "neighbour's report, not official" in said(node, "alert", "list")
    code, out, err = cli("--dir", node.directory, "alert", "confirm", id)
    assert code == 1 and "this node's own" in err
    at(node, "alert", "cancel", id, "--reason", "it was a barbecue")
    assert id not in [row["id"] for row in at(node, "alert", "list")]
    shown = said(node, "alert", "list", "--ended")
    assert "CANCELLED" in shown and f"cancels {id[:16]}" in shown and "Unknown" not in shown
    code, out, err = cli("--dir", node.directory, "alert", "cancel", "12345678")
    assert code == 1 and "no alert" in err and "alert list --ended" in err


def test_it_is_exported_as_valid_cap(node: RealNode, tmp_path: pathlib.Path) -> None:
    schema = xmlschema.XMLSchema(str(CAP / "cap12.xsd"))
    first = at(node, "alert", "send", "Storm", "--severity", "severe", "--instruction", "Stay in.", "--area", "Delft",
               "--onset", "3h", "--category", "met", "--response", "shelter")["id"]
    second = at(node, "alert", "send", "Worse storm", "--severity", "extreme", "--updates", first)["id"]
    third = at(node, "alert", "cancel", second)["id"]
    for id, kind in ((first, "Alert"), (second, "Update"), (third, "Cancel")):
        path = tmp_path / f"{kind}.cap"
        said(node, "alert", "export", id[:16], "-o", path)
        schema.validate(str(path))
        assert f"<msgType>{kind}</msgType>" in path.read_text()
    assert f"waypost-{second}," in (tmp_path / "Cancel.cap").read_text()
    assert "<instruction>Stay in.</instruction>" in said(node, "alert", "export", first)


# --- CAP files


def now(name: str, path: pathlib.Path, **changes: str) -> pathlib.Path:
    """One of the files with an end that is still to come."""
    text = (CAP / f"{name}.cap").read_text()
    for old, new in {"2003-06-17T16:00": "2099-06-17T16:00", **changes}.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_dry_run_says_what_would_be_sent_or_the_refusal() -> None:
    code, out, err = cli("--json", "--dir", "/nonexistent", "alert", "import", CAP, "--dry-run")
    results = {pathlib.Path(one["path"]).stem: one for one in json.loads(out)}
    assert code == 1
    assert {name for name, one in results.items() if "refused" in one} == {
        "canada_errors", "invalid", "noaa_errors", "xee"}
    storm = results["thunderstorm"]
    assert storm["would_send"]["headline"] == "SEVERE THUNDERSTORM WARNING"
    assert storm["would_send"]["air_bytes"] <= 231
    assert (storm["kind"], storm["expired"]) == ("alert", "2003-06-17T23:00:00-00:00")
    assert results["xee"]["refused"]["message"].startswith("it has a document type")
    code, out, err = cli("alert", "import", CAP / "australia.cap", "--dry-run")
    assert code == 0 and "Yerong Creek Structure Fire" in out and "would be refused" in out
    code, out, err = cli("alert", "import", "/nonexistent.cap", "--dry-run")
    assert code == 1 and "can't be read" in out


def test_an_import_an_update_and_a_cancel(node: RealNode, tmp_path: pathlib.Path) -> None:
    first = now("thunderstorm", tmp_path / "1.cap")
    (made,) = at(node, "alert", "import", first)
    assert made["official"] and made["details"] and made["cut"]
    assert at(node, "alert", "import", first) == [{"path": str(first), "known": made["id"]}]
    reference = "<references>KSTO@NWS.NOAA.GOV,KSTO1055887203,2003-06-17T14:57:00-07:00</references>\n <info>"
    update = now("thunderstorm", tmp_path / "2.cap", **{
        ">Alert<": ">Update<", "KSTO1055887203": "KSTO2", " <info>": reference,
        "SEVERE THUNDERSTORM WARNING": "IT GROWS"})
    (second,) = at(node, "alert", "import", update)
    rows = {row["id"]: row for row in at(node, "alert", "list", "--ended")}
    assert (rows[made["id"]]["state"], rows[second["id"]]["state"]) == ("updated", "stands")
    cancel = now("thunderstorm", tmp_path / "3.cap", **{
        ">Alert<": ">Cancel<", "KSTO1055887203": "KSTO3", " <info>": reference.replace("KSTO1055887203", "KSTO2")})
    at(node, "alert", "import", cancel)
    assert second["id"] not in [row["id"] for row in at(node, "alert", "list")]
    stranger = now("thunderstorm", tmp_path / "4.cap", **{
        ">Alert<": ">Cancel<", "KSTO1055887203": "KSTO4", " <info>": reference.replace("KSTO1055887203", "NOBODY")})
    code, out, err = cli("--dir", node.directory, "alert", "import", stranger, CAP / "australia.cap",
                         CAP / "no_optional_fields.cap")
    assert code == 1
    assert "no_optional_fields.cap: expires: it expired at 2010-09-01" in out, "a day after it was sent"
    assert "has not issued what it cancels" in out and "australia.cap: expires: it expired at 2011" in out


def test_a_directory_is_watched(tmp_path: pathlib.Path) -> None:
    feed = tmp_path / "feed"
    feed.mkdir()
    shutil.copy(CAP / "xee.cap", feed)
    with RealNode(tmp_path / "node", "lan.enabled=false", f"alerts.feed={feed}") as one:
        first = now("thunderstorm", tmp_path / "later.cap")
        shutil.copy(first, feed / "storm.cap.part")
        os.rename(feed / "storm.cap.part", feed / "storm.cap")
        until(lambda: len(cli_json("--dir", one.directory, "alert", "list")) == 1, 60, 0.5)
        until(lambda: "storm.cap is issued as" in json.dumps(cli_json("--dir", one.directory, "trace")), 30, 0.5)
        log = one.stop()[2]
    assert "xee.cap was refused: it has a document type" in log and "storm.cap is issued as" in log
    assert log.count("xee.cap was refused") == 1


# --- halts


def test_a_halt_stops_what_it_names_and_an_alert_still_goes(node: RealNode, tmp_path: pathlib.Path,
                                                            keys: dict[str, Any]) -> None:
    assert "halted     nothing" in said(node, "halt", "show")
    path = tmp_path / "halt"
    cli_json("halt", "make", "--community", "Delft", "--reason", "gas leak", "--key", keys["ann"][0], "-o", path)
    code, out, err = cli("--dir", node.directory, "halt", "send", path)
    assert code == 1 and "2 of the 3" in err
    cli_json("halt", "sign", path, "--key", keys["ben"][0])
    assert "HALTED     models, relay until" in said(node, "halt", "send", path)
    why = at(node, "why")
    assert why["stopped"] == "the community's stewards have halted models and relay: gas leak"
    assert (why["policy"]["models"], why["policy"]["lanes"], why["stopped_here"]) == ("none", "01", False)
    assert at(node, "alert", "send", "Leave the street", "--severity", "extreme")["official"]
    go_on = tmp_path / "go on"
    cli_json("halt", "make", "--go-on", "--epoch", "5", "--community", "Delft", "--key", keys["ann"][0], "-o", go_on)
    cli_json("halt", "sign", go_on, "--key", keys["cas"][0])
    code, out, err = cli("--dir", node.directory, "halt", "send", go_on)
    assert code == 1 and "its epoch 5 is not above" in err
    newer = tmp_path / "newer"
    epoch = at(node, "halt", "show")["epoch"] + 1
    cli_json("halt", "make", "--go-on", "--epoch", epoch, "--community", "Delft", "--key", keys["cas"][0], "-o", newer)
    cli_json("halt", "sign", newer, "--key", keys["ben"][0])
    assert "halted     nothing, last order" in said(node, "halt", "send", newer)
    assert at(node, "why")["stopped"] == ""


# --- check-ins


def test_check_ins_and_the_roll(node: RealNode, tmp_path: pathlib.Path) -> None:
    assert "nobody has checked in" in said(node, "checkin", "list")
    said(node, "checkin", "safe", "Ann Smith")
    said(node, "checkin", "help", "Ben", "--note", "broken leg", "--where", "Mill Lane 4")
    shown = said(node, "checkin", "list")
    assert shown.index("NEEDS HELP  Ben") < shown.index("Ann Smith")
    assert "broken leg" in shown and "at Mill Lane 4" in shown and "2 checked in, 1 of them need help" in shown
    assert [row["name"] for row in at(node, "checkin", "list", "--state", "help")] == ["Ben"]
    roll = tmp_path / "roll.txt"
    roll.write_text("# the street\nann smith   # number 3\n\nBen\nCarla\nDaan\ncarla\n")
    assert at(node, "checkin", "list", "--missing", "--roll", roll) == {"missing": ["Carla", "Daan"], "roll": 4}
    assert "2 of 4 on the roll have not answered" in said(node, "checkin", "list", "--missing", "--roll", roll)
    assert "; 2 of 4 on the roll have not answered" in said(node, "checkin", "list", "--roll", roll)
    code, out, err = cli("--dir", node.directory, "checkin", "list", "--missing")
    assert code == 1 and "the roll can't be read" in err and "roll.txt" in err
    code, out, err = cli("--dir", node.directory, "checkin", "safe", "...")
    assert code == 1 and "a person's name" in err


def test_who_contradicts_whom() -> None:
    def one(state: str, author: str, time_ms: int) -> dict[str, Any]:
        return {"name": "Ann", "state": state, "note": "", "where": "", "author": author * 64, "time_ms": time_ms}

    first, same, other = one("help", "a", 9000), one("help", "b", 8000), one("safe", "c", 9000)
    assert alert_view.person_lines({**first, "said": [first, same, other]}, 10000) == [
        f"NEEDS HELP  Ann  1 s ago, at {'a' * 16}", f"{'':12}but safe, says {'c' * 16}, 1 s ago"]


# --- doctor


def test_doctor_looks_at_the_community(tmp_path: pathlib.Path, keys: dict[str, Any]) -> None:
    def found(*lines: str) -> dict[str, dict[str, str]]:
        (tmp_path / "waypost.toml").write_text("\n".join(lines))
        code, out, err = cli("--json", "--dir", tmp_path, "doctor")
        return {f"{one['check']} {one['state']}": one for one in json.loads(out)}

    assert not {"stewards ok", "place note", "feed broken"} & set(found(""))
    stewards = "stewards = [" + ", ".join(f'"{public}"' for _path, public in keys.values()) + "]"
    some = found("[community]", 'name = "Delft"', stewards)
    assert some["stewards ok"]["text"] == '2 of 3 must sign, in "Delft"'
    assert "where it stands" in some["place note"]["text"]
    some = found("[community]", stewards, "stewards_needed = 4", "[alerts]", 'position = "52,4"', 'feed = "/nowhere"')
    assert "4 of 3 stewards can't sign" in some["stewards broken"]["text"]
    assert "/nowhere is no directory" in some["feed broken"]["text"] and "place note" not in some
    shutil.copy(keys["ann"][0], tmp_path / "ann.key")
    some = found("[community]", stewards)
    assert some["stewards broken"]["text"] == f"{tmp_path}/ann.key is the key of a steward"
    some = found("[alerts]", 'position = "north"')
    assert any("alerts.position can't be" in one["text"] and "52.0116" in one["text"] for one in some.values())
