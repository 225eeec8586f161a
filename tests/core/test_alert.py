"""The body of an alert: what it may hold, what gives way on a radio, whom it is for (PROTOCOL 18)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import alert, cbor, limits, message, onair, place, sphere
from tests.core.mutate import quick, reason_of, survives
from tests.core.papers import key_of, seed_of

CODES = alert.codes_of({"severity": "Severe", "urgency": "Immediate", "certainty": "Observed", "category": "Met",
                        "response": "Shelter"})
DELFT = (52_011_600, 4_357_100)
FULL: dict[str, Any] = {
    "issuer": "Waterschap Limburg", "instruction": "Leave ground floors near the river now. Go to the sports hall. "
    "Take medicines, water and warm clothes with you. Do not drive through water.", "language": "en", "event": "Flood",
    "onset_s": 1763700000, "official": True, "cap": b"123456"}


def a_body(headline: str = "The Meuse will rise above the quay tonight", **changes: Any) -> dict[int, Any]:
    areas = changes.pop("areas", [(50_851_000, 5_690_000, 4000), "Maastricht", "Eijsden"])
    return alert.body_of(headline, CODES, areas, **{**FULL, **changes})


def air_bytes(body: dict[int, Any]) -> int:
    """What it costs on a radio at the most: the longest seq and ttl, the author's whole key."""
    one = message.build(seed_of("hub"), key_of("hub"), 2**32 - 1, 2**48 - 1, limits.TTL_S_MAX - 1, 0, message.ALERT,
                        None, body)
    return len(onair.pack(one, True))


def test_read_back() -> None:
    one = alert.read(cbor.decode(cbor.encode(a_body())))
    assert (one.headline, one.issuer, one.event) == ("The Meuse will rise above the quay tonight",
                                                     "Waterschap Limburg", "Flood")
    assert one.codes == {"severity": 3, "urgency": 4, "certainty": 4, "category": 2, "response": 1, "status": 0}
    assert one.areas[1:] == ["Maastricht", "Eijsden"]
    assert sphere.within(*one.areas[0][:2], 50_851_000, 5_690_000, 3)
    assert (one.onset_s, one.official, one.cap, one.kind, one.references) == (1763700000, True, b"123456", 0, [])
    least = alert.read({1: "Fire"})
    assert (least.codes["severity"], least.areas, least.official, least.onset_s) == (0, [], False, None)
    cancel = alert.read({8: [alert.CANCEL, b"8 bytes."]})
    assert (cancel.kind, cancel.references, cancel.headline) == (alert.CANCEL, [b"8 bytes."], "")
    more = alert.read({12: b"8 bytes.", 13: {3: "x"}})
    assert (more.of, more.tree) == (b"8 bytes.", {3: "x"})
    assert alert.read({1: "Fire", 99: "later", 3: [1, 1, 1, 1, 1, 1, 77]}).codes["severity"] == 1


def test_what_is_no_alert() -> None:
    for body, what in (({}, "text"), ({1: b"x"}, "text"), ({1: "x" * 161}, "text"), ({1: ""}, "text"),
                       ({1: "x", 6: "x" * 2049}, "text"), ({1: "x", 2: 5}, "text"), ({1: "x", 3: 5}, "codes"),
                       ({1: "x", 3: [5]}, "codes"), ({1: "x", 3: [True]}, "codes"), ({1: "x", 3: [0, -1]}, "codes"),
                       ({1: "x", 4: "noon"}, "onset"), ({1: "x", 4: True}, "onset"), ({1: "x", 5: [b"short"]}, "areas"),
                       ({1: "x", 5: [""]}, "areas"), ({1: "x", 5: 33 * ["a"]}, "areas"), ({1: "x", 5: "a"}, "areas"),
                       ({1: "x", 8: []}, "references"), ({1: "x", 8: [1]}, "references"),
                       ({1: "x", 8: [0, b"8 bytes."]}, "references"), ({1: "x", 8: [3, b"8 bytes."]}, "references"),
                       ({1: "x", 8: [True, b"8 bytes."]}, "references"), ({1: "x", 8: [2, b"7 bytes"]}, "references"),
                       ({1: "x", 8: [2] + 9 * [b"8 bytes."]}, "references"), ({1: "x", 10: b"12345"}, "cap"),
                       ({8: [1, b"8 bytes."]}, "text"), ({12: b"", 13: {}}, "details"), ({12: b"8 bytes."}, "details")):
        assert reason_of(alert.read, body) == "alert." + what, body
    survives(lambda data: alert.read(body) if isinstance(body := cbor.decode(data), dict) else None,
             [cbor.encode(a_body())], 400)


def test_it_fits_one_radio_frame() -> None:
    body, cut = alert.fit(a_body())
    assert cut
    assert air_bytes(body) <= limits.ALERT_AIR_BYTES_MAX
    one = alert.read(body)
    assert one.headline == "The Meuse will rise above the quay tonight"  # whole
    assert one.instruction.startswith("Leave ground floors near the river now. Go to the sports hall.")
    assert one.instruction.endswith("\u2026")
    assert one.areas and not isinstance(one.areas[0], str)
    assert (one.official, one.cap, one.codes["severity"]) == (True, b"123456", 3)
    small = alert.body_of("Fire at the mill", CODES, ["Delft"])
    assert alert.fit(small) == (small, False)


@quick
@given(st.text(min_size=1, max_size=40), st.text(max_size=400), st.text(max_size=16),
       st.lists(st.text(min_size=1, max_size=12), max_size=5), st.integers(0, 4))
def test_whatever_is_written_fits(headline: str, instruction: str, issuer: str, names: list[str], circles: int) -> None:
    areas = [*[(n * 1_000_000, n * 7_000_000, 5000 * n) for n in range(circles)], *names]
    body, cut = alert.fit(alert.body_of(headline, CODES, areas, instruction=instruction, issuer=issuer, official=True,
                                        cap=b"\xff\0\xff\0\xff\0", references=[1, b"\1\2\3\4\5\6\7\x08"]))
    assert air_bytes(body) <= limits.ALERT_AIR_BYTES_MAX
    one = alert.read(body)
    assert len([area for area in one.areas if not isinstance(area, str)]) == circles
    if not cut:
        assert (one.headline, one.instruction, one.issuer) == (headline, instruction, issuer)


def test_too_many_areas_is_said() -> None:
    with pytest.raises(ValueError):
        alert.fit(alert.body_of("x", CODES, [(n * 1_234_567, n * 2_345_678, n * 991) for n in range(32)]))
    with pytest.raises(ValueError):
        alert.codes_of({"severity": "Terrible"})


def test_whom_it_is_for() -> None:
    circle, names = [(52_000_000, 4_360_000, 2000)], ["Delft", "Zuid-Holland"]
    hash5 = "#" + place.geohash(*DELFT, 5)
    table: list[tuple[list[Any], tuple[Any, Any, list[str]], bool | None]] = [
        ([], (None, None, []), True),
        (circle, (*DELFT, []), True),
        (circle, (52_100_000, 4_300_000, []), False),
        (circle, (None, None, []), None),
        (circle, (None, None, names), None),
        ([hash5], (*DELFT, []), True),
        ([hash5], (50_000_000, 4_000_000, []), False),
        (["#no such!"], (*DELFT, []), False),
        (["Gemeente Delft"], (None, None, names), True),
        (["Gemeente Gouda"], (None, None, names), False),
        (["Gemeente Gouda"], (*DELFT, []), None),
        (["Gemeente Gouda"], (None, None, []), None),
        ([*circle, "Gouda"], (52_100_000, 4_300_000, names), False),
        ([*circle, "Gouda"], (52_100_000, 4_300_000, []), False),
        ([*circle, "Delft"], (52_100_000, 4_300_000, names), True),
        ([*circle, "Gouda"], (None, None, names), None),
    ]
    for areas, (lat, lon, here), expected in table:
        assert alert.covers(areas, lat, lon, here) is expected, (areas, lat, lon, here)


def test_what_a_report_says() -> None:
    id = bytes(range(16))
    assert alert.read_report({1: alert.DISPUTE, 2: id}) == (alert.DISPUTE, id, "")
    assert alert.read_report({1: 1, 2: id, 3: "I see it", 9: None}) == (alert.CONFIRM, id, "I see it")
    for bad in ({}, {1: 0, 2: id}, {1: 4, 2: id}, {1: True, 2: id}, {1: 1, 2: id[:8]}, {1: 1, 2: id, 3: 5},
                {1: 1, 2: id, 3: "x" * 161}):
        assert reason_of(alert.read_report, bad) == "report.form"
