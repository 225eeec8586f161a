"""CAP in and out: the alerts of tests/data/cap, the schema of CAP 1.2, and what hostile XML may not do."""

from __future__ import annotations

import os
import socket
import tracemalloc
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import alert, cbor, limits, message, onair, place, sphere
from edge.errors import BadRequest
from edge.services import alertform, capthin, captree
from edge.services.alertform import Place
from edge.services.alerts import check_meant
from tests.conftest import ROOT
from tests.core.papers import key_of, seed_of
from tools.cap import reader, writer

DATA = Path(ROOT, "tests/data/cap")
GOOD_12 = ("australia", "canada", "earthquake-iso8859-1", "thunderstorm")
GOOD_11 = ("earthquake", "weather", "no_optional_fields")
REFUSED = {
    "canada_errors": "references is empty", "invalid": "scope is missing", "noaa_errors": "info 1/urgency is empty",
    "xee": "document type",
}
NOT_CARRIED = ("Signature", "derefUri")


@pytest.fixture(scope="module")
def schema() -> Any:
    return xmlschema.XMLSchema(str(DATA / "cap12.xsd"))


def tree_of(name: str) -> dict[int, Any]:
    return reader.read(str(DATA / f"{name}.cap"))


def elements(source: str | Path) -> list[tuple[str, str]]:
    """Every element that we carry, with its path and text, in the order of the document; repeats are numbered."""
    found: list[tuple[str, str]] = []

    def walk(element: ElementTree.Element, path: str) -> None:
        name = element.tag.rpartition("}")[2]
        if name in NOT_CARRIED:
            return
        here = f"{path}/{name}"
        if len(element):
            for child in element:
                walk(child, here)
        else:
            found.append((here, (element.text or "").strip()))

    root = ElementTree.fromstring(source) if isinstance(source, str) else ElementTree.parse(source).getroot()
    walk(root, "")
    return found


def read_text(tmp_path: Path, text: str | bytes) -> dict[int, Any]:
    path = tmp_path / "alert.cap"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return reader.read(str(path))


@pytest.mark.parametrize("name", GOOD_12)
def test_good_ones_go_out_valid_and_whole(name: str, schema: Any) -> None:
    """In by XML, over the air as two signed messages, out by XML: valid, and not one element less."""
    tree = tree_of(name)
    form = alertform.of_cap(tree, [])
    short = message.build(seed_of("hub"), key_of("hub"), 1, 2**40, 86399, 0, message.ALERT, None, form.body)
    details = form.details(short.id)
    assert details is not None
    long = message.build(seed_of("hub"), key_of("hub"), 2, 2**40, 86399, 2, message.ALERT, None, details)
    received = alert.read(message.parse(onair.unpack(onair.pack(long, True), lambda _ref: [])[0]).body())
    assert received.of == short.id[:8]
    captree.check_part(received.tree)
    document = writer.xml(received.tree)
    schema.validate(document)
    assert elements(document) == elements(DATA / f"{name}.cap")


@pytest.mark.parametrize("name", GOOD_11)
def test_those_of_1_1_become_1_2(name: str, schema: Any) -> None:
    document = writer.xml(tree_of(name))
    schema.validate(document)
    assert elements(document) == elements(DATA / f"{name}.cap")


@pytest.mark.parametrize("name", GOOD_12 + GOOD_11)
def test_the_short_form_fits_a_radio_and_says_what_matters(name: str) -> None:
    tree = tree_of(name)
    form = alertform.of_cap(tree, [])
    one = message.build(seed_of("hub"), key_of("hub"), 2**32 - 1, 2**47, 86399, 0, message.ALERT, None, form.body)
    assert len(onair.pack(one, True)) <= limits.ALERT_AIR_BYTES_MAX
    short = alert.read(one.body())
    info = tree.get(14, [{}])[0]
    assert short.codes["severity"] == alert.SEVERITIES.index(info.get(6, "Unknown"))
    assert short.headline[:20] == (info.get(14) or f"Alert by {tree[2]}")[:20]
    assert short.official and short.cap == alertform.cap_bytes(captree.identity(tree))


@pytest.mark.parametrize("name", REFUSED)
def test_faulty_and_hostile_ones_are_refused_with_the_reason(name: str, schema: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        tree_of(name)
    assert REFUSED[name] in str(caught.value)
    assert f"{name}.cap" in caught.value.where


def test_whom_it_is_for(tmp_path: Path) -> None:
    """The polygon decides, not the circle around it, and not the name where there is a position."""
    tree = tree_of("canada")
    for info in tree[14]:  # an all-clear for nobody would always be quiet
        info.update({4: ["Shelter"], 5: "Immediate", 6: "Severe"})
    short = alert.Short(alertform.of_cap(tree, []).body)
    table = (("42.2,-82.8", True, True), ("42.39,-82.65", False, True), ("52.0,4.3", False, False))
    for position, exactly, roughly in table:
        here = Place(position, ["Essex County"])
        assert alertform.grave_here(short, tree, here) == (exactly, 2 if exactly else 0), position
        assert alertform.grave_here(short, None, here)[0] is roughly, position
    assert alertform.grave_here(short, tree, Place("", ["Chatham-Kent"])) == (True, 2)
    assert alertform.grave_here(short, tree, Place("", ["3536020"])) == (True, 2)
    assert alertform.grave_here(short, tree, Place("", ["Toronto"])) == (None, 2)
    assert alertform.grave_here(short, tree, Place()) == (None, 2)


# --- hostile XML


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object, **_named: object) -> None:
        raise AssertionError("something reached for the network")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, never)


HOSTILE = {
    "a billion laughs": b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><alert>&b;</alert>',
    "an external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><alert>&x;</alert>',
    "an external subset": b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><alert/>',
    "a parameter entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://192.0.2.1/p"> %p;]><alert/>',
    "an attribute of a size": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2" a="' + b"x" * (2 << 20) + b'"/>',
    "a text of a size": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><note>' + b"x" * (2 << 20),
    "deep nesting": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">' + b"<info>" * 100000,
    "many elements": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">' + b"<code>x</code>" * 60000,
    "nothing": b"", "no XML": b"\xff\xfe\x00", "half": b"<alert", "HTML": b"<html><body>Flood</body></html>",
    "another namespace": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:9.9"/>',
    "an unknown encoding": b'<?xml version="1.0" encoding="ebcdic-of-our-own"?><alert/>',
    "an undeclared entity": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><note>&nbsp;</note></alert>',
    "an element that CAP has not": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><virus/></alert>',
    "XInclude": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><xi:include '
                b'xmlns:xi="http://www.w3.org/2001/XInclude" href="http://192.0.2.1/"/></alert>',
    "text between elements": b'<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">hello</alert>',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch)
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest) as caught:
            read_text(tmp_path, HOSTILE[what])
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "alert.cap" in caught.value.where


def test_a_file_of_a_terabyte_and_what_is_no_file(tmp_path: Path) -> None:
    sparse = tmp_path / "huge.cap"
    with open(sparse, "wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    os.mkfifo(tmp_path / "pipe.cap")
    for path in (sparse, tmp_path / "pipe.cap", tmp_path, tmp_path / "missing.cap", Path("/dev/zero")):
        with pytest.raises(BadRequest):
            reader.read(str(path))


ALERT = """<?xml version="1.0"?><alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>1</identifier>
<sender>me@example.org</sender><sent>2026-11-25T12:00:00+01:00</sent><status>Actual</status><msgType>Alert</msgType>
<scope>Public</scope>{more}<info><category>Met</category><event>Flood</event><urgency>Immediate</urgency>
<severity>Severe</severity><certainty>Observed</certainty>{info}</info></alert>"""


@pytest.mark.parametrize(("more", "info", "where", "what"), [
    ("<sender>two</sender>", "", "", "<sender> comes twice"),
    ("", "<expires>2026-11-25T12:00:00Z</expires>", "expires", "is no time"),
    ("", "<expires>2026-02-30T12:00:00+00:00</expires>", "expires", "is no time"),
    ("", "<area><areaDesc>x</areaDesc><circle>52,4</circle></area>", "area 1/circle", "KILOMETRES"),
    ("", "<area><areaDesc>x</areaDesc><circle>92,4 5</circle></area>", "area 1/circle", "LAT,LON"),
    ("", "<area><areaDesc>x</areaDesc><polygon>1,1 2,2 3,3</polygon></area>", "area 1/polygon", "polygon"),
    ("", "<area><areaDesc>x</areaDesc><polygon>1,1 2,2 3,3 4,4</polygon></area>", "area 1/polygon", "polygon"),
    ("", "<area><circle>52,4 5</circle></area>", "areaDesc", "is missing"),
    ("<references>nonsense</references>", "", "references", "names no alert"),
    ("<source>x</source><source>y</source>", "", "", "comes twice"),
])
def test_what_is_wrong_is_said(tmp_path: Path, more: str, info: str, where: str, what: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_text(tmp_path, ALERT.format(more=more, info=info))
    assert where in str(caught.value) and what in str(caught.value)
    read_text(tmp_path, ALERT.format(more="", info=""))


def test_what_is_not_for_the_public_is_not_sent(tmp_path: Path) -> None:
    more = "<restriction>staff</restriction><addresses>a@b</addresses>"
    for old, new in (("Public", "Restricted"), ("Public", "Private"), (">Actual<", ">Draft<"),
                     (">Actual<", ">System<")):
        text = ALERT.format(more=more, info="").replace(old, new)
        with pytest.raises(BadRequest):
            check_meant(read_text(tmp_path, text))
    for status in ("Exercise", "Test"):
        check_meant(read_text(tmp_path, ALERT.format(more="", info="").replace(">Actual<", f">{status}<")))


# --- any alert that CAP allows


WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40).map(str.strip)
NAMED = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=20)
NUMBER = st.integers(-89_000, 89_000).map(lambda n: f"{n / 1000:.3f}")
TIME = st.sampled_from(["2026-11-25T12:00:00+01:00", "1999-12-31T23:59:59-00:00", "2030-02-28T00:00:00-11:30"])


@st.composite
def areas(draw: Any) -> dict[int, Any]:
    area: dict[int, Any] = {1: draw(WORD.filter(bool))}
    corner = st.tuples(NUMBER, NUMBER).map(",".join)
    if draw(st.booleans()):
        area[2] = [" ".join([*points, points[0]]) for points in draw(st.lists(st.lists(corner, min_size=3, max_size=8),
                                                                             min_size=1, max_size=2))]
    if draw(st.booleans()):
        area[3] = draw(st.lists(st.tuples(corner, st.integers(0, 900)).map(lambda pair: f"{pair[0]} {pair[1]}.5"),
                                min_size=1, max_size=2))
    if draw(st.booleans()):
        area[4] = draw(st.lists(WORD, min_size=2, max_size=2))
    return area


@st.composite
def trees(draw: Any) -> dict[int, Any]:
    info = st.fixed_dictionaries(
        {2: st.lists(st.sampled_from(alert.CATEGORIES), min_size=1, max_size=2), 3: WORD.filter(bool),
         5: st.sampled_from(alert.URGENCIES), 6: st.sampled_from(alert.SEVERITIES),
         7: st.sampled_from(alert.CERTAINTIES)},
        optional={
            4: st.lists(st.sampled_from(alert.RESPONSES[1:]), min_size=1, max_size=2),
            9: st.tuples(WORD, WORD).map(list), 11: TIME, 12: TIME, 13: WORD, 14: WORD, 15: WORD, 16: WORD, 18: WORD,
            20: st.just([{1: "a map", 2: "image/png", 3: "5", 4: "http://example.org/a", 5: "00"}]),
            21: st.lists(areas(), min_size=1, max_size=3)})
    return {1: draw(NAMED), 2: draw(NAMED), 3: draw(TIME), 4: draw(st.sampled_from(("Actual", "Exercise", "Test"))),
            5: "Alert", 7: "Public", 14: draw(st.lists(info, min_size=1, max_size=3))}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(trees())
def test_any_alert_goes_in_and_out(tmp_path_factory: pytest.TempPathFactory, schema: Any, tree: dict[int, Any]) -> None:
    captree.check(tree)
    document = writer.xml(tree)
    schema.validate(document)
    path = tmp_path_factory.mktemp("cap") / "any.cap"
    path.write_text(document, encoding="utf-8")
    assert reader.read(str(path)) == tree
    form = alertform.of_cap(tree, [])
    assert form.air_bytes() <= limits.ALERT_BODY_AIR_BYTES_MAX
    short = alert.read(form.body)
    details = form.details(bytes(16))
    assert details is not None and cbor.decode(cbor.encode(details))[13] == tree
    # whoever the exact areas hold, the short form holds as well
    for info in tree[14]:
        for area in info.get(21, ()):
            for kind, shape in captree.shapes(area):
                if kind == "circle" and shape[2] > 20:
                    assert alert.covers(short.areas, shape[0], shape[1], []) is True


def test_written_here_and_exported(schema: Any) -> None:
    """An alert that was never CAP, with what CAP asks for."""
    row = {"id": "ab" * 16, "author": "cd" * 32, "time_ms": 1763700000000, "status": "Actual", "kind": "update",
           "expires_s": 1763786400}
    meant = [{**row, "id": "ef" * 16}]
    form = alertform.of_words({
        "headline": "Flood <b>&amp;</b> fire", "severity": "Severe", "urgency": "Immediate", "certainty": "Observed",
        "category": "Met", "response": "Evacuate", "status": "Actual", "official": True, "language": "nl",
        "instruction": "Go up.\nNow.", "areas": ["52.01,4.36 5", "#u15pmu", "Delft"], "onset_s": 1763700000})
    tree = writer.whole(row, form.tree, alert.Short(form.body), meant)
    document = writer.xml(tree)
    schema.validate(document)
    captree.check(tree)
    found = dict(elements(document))
    assert found["/alert/info/headline"] == "Flood <b>&amp;</b> fire"
    assert found["/alert/references"] == f"waypost-{'cd' * 32},waypost-{'ef' * 16},2025-11-21T04:40:00-00:00"
    assert found["/alert/info/area/circle"] == "52.009996,4.360006 5.0"
    assert found["/alert/info/area/geocode/value"] == "u15pmu"
    assert [text for path, text in elements(document) if path.endswith("areaDesc")][2] == "Delft"
    assert found["/alert/info/expires"] == "2025-11-22T04:40:00-00:00"
    # and once more in, it is the same alert
    again = alert.Short(alertform.of_cap(tree, []).body)
    assert again.areas == alert.Short(form.body).areas
    assert (again.codes, again.onset_s) == (alert.Short(form.body).codes, 1763700000)


# --- what is too long


def test_a_long_one_gives_up_what_people_can_do_without(schema: Any) -> None:
    """A kilobyte of every kind, many times over: it fits, says what went, and holds whoever was meant."""
    points = [f"{52 + n / 1000:.4f},{4 + (n * n % 97) / 500:.4f}" for n in range(400)]
    codes = [text for n in range(90) for text in ("EMMA", f"NL{n}")]
    area = {1: "a province", 2: [" ".join([*points, points[0]])], 4: codes}
    info = {2: ["Met"], 3: "Storm", 5: "Immediate", 6: "Severe", 7: "Likely", 9: ["SAME", "SVR"],
            12: "2090-01-01T00:00:00-00:00", 14: "Storm", 15: "It blows. " * 300, 19: ["name", "value " * 10] * 40,
            20: [{1: "map", 2: "image/png", 4: "http://example.org/map"}], 21: [area]}
    tree: dict[int, Any] = {1: "x", 2: "y", 3: "2026-11-25T12:00:00+01:00", 4: "Actual", 5: "Alert", 7: "Public"}
    for count, least in ((1, []), (6, ["resources", "parameters", "event codes"])):
        whole = {**tree, 14: [info] * count}
        thinned, left_out = capthin.thin(whole, 15840)
        assert len(cbor.encode(thinned)) <= 15840 < len(cbor.encode({**tree, 14: [info] * 6}))
        assert left_out[:len(least)] == least and bool(left_out) == bool(least)
        schema.validate(writer.xml(thinned))
        captree.check(thinned)
        for shape in (shape for one in thinned[14] for area in one[21] for kind, shape in captree.shapes(area)
                      if kind == "circle"):
            assert all(sphere.within(*place.degrees(point), *shape) for point in points)
    huge = {**tree, 14: [{**info, 21: [{1: "x" * 60}] * 300}] * 40}
    thinned, left_out = capthin.thin(huge, 15840)
    assert left_out[-1] == "descriptions"  # more can't be done
