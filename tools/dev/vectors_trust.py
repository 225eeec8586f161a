"""The vectors of PROTOCOL 17 to 19: what stewards sign, alerts, places, check-ins. tools/dev/vectors.py puts them in
the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compat import crypto
from edge.core import alert, cbor, certs, checkin, cosign, halt, place, words
from edge.core.stewards import Stewards

if TYPE_CHECKING:
    from typing import Any

    Row = dict[str, Any]

SEEDS = {name: bytes([n]) * 32 for n, name in enumerate(("Alice", "Bob", "Carol", "Dave", "Eve"), 1)}
STEWARDS = ("Alice", "Bob", "Carol")
NEEDED = 2
COMMUNITY = "Delft"
NOW_S = 1763700000


def _key(name: str) -> bytes:
    return bytes(crypto.public_key(SEEDS[name]))


def _signed(content_type: int, payload: bytes, *names: str) -> bytes:
    return bytes(cosign.pack(content_type, payload, {
        cosign.kid(_key(name)): cosign.sign(SEEDS[name], content_type, payload) for name in names}))


def _certificate(to: str, *by: str, roles: tuple[str, ...] = ("alert",), community: str = COMMUNITY) -> bytes:
    payload = certs.payload_of(community, _key(to), roles, NOW_S, NOW_S + 31536000)
    return _signed(cosign.CERTIFICATE, payload, *by)


def _order(*by: str) -> bytes:
    payload = halt.payload_of(COMMUNITY, NOW_S, halt.MODELS | halt.RELAY, NOW_S + 86400, "fire drill")
    return _signed(cosign.ORDER, payload, *by)


def papers() -> list[Row]:
    """COSE_Signs, each with what it is and who has signed it."""
    rows = []
    for name, content_type, data, by in (
        ("a certificate of two stewards", cosign.CERTIFICATE,
         _certificate("Dave", "Bob", "Alice", roles=("alert", "certify")), ("Alice", "Bob")),
        ("one given by its holder", cosign.CERTIFICATE, _certificate("Eve", "Dave"), ("Dave",)),
        ("an order of all three", cosign.ORDER, _order(*STEWARDS), STEWARDS),
    ):
        payload, _signatures = cosign.split(data, content_type)
        rows.append({"section": "17.1", "name": name, "content_type": content_type, "payload": payload.hex(),
                     "signers": [_key(one).hex() for one in by], "data": data.hex()})
    return rows


def papers_bad() -> list[Row]:
    """The same, refused: stewards, how many are needed, and the reason."""
    good = _certificate("Dave", "Alice", "Bob")
    stewards = Stewards(COMMUNITY, [_key(name) for name in STEWARDS], NEEDED)
    rows = []
    for name, data in (
        ("signed by one of two", _certificate("Dave", "Alice", "Eve")),
        ("one bit of a signature", good[:-1] + bytes([good[-1] ^ 1])),
        ("for another community", _certificate("Dave", "Alice", "Bob", community="Gouda")),
        ("an order, taken for a certificate", _order("Alice", "Bob")),
        ("no signature", b"\xd8\x62" + cbor.encode([*cbor.decode(good[2:])[:3], []])),
        ("no tag", good[2:]),
    ):
        try:
            certs.Book(stewards).add(data)
        except cbor.CodecError as error:
            rows.append({"section": "17.2", "name": name, "stewards": [_key(one).hex() for one in STEWARDS],
                         "needed": NEEDED, "community": COMMUNITY, "data": data.hex(), "reason": error.reason})
    return rows


def alerts() -> list[Row]:
    """Encoded bodies and what they say."""
    flood = alert.body_of(
        "The Meuse will rise above the quay tonight", alert.codes_of({
            "severity": "Severe", "urgency": "Expected", "certainty": "Likely", "category": "Met",
            "response": "Evacuate"}),
        [(50851000, 5690000, 4000), "Maastricht", "#u1h"], issuer="Waterschap Limburg", official=True, language="en",
        instruction="Leave ground floors near the river. Go to the sports hall. Take medicines and water with you. "
        "Do not drive through water, and help those who can't walk.", event="Flood", onset_s=NOW_S + 7200,
        cap=bytes.fromhex("a1b2c3d4e5f6"))
    fitted, _cut = alert.fit(flood)
    rows = []
    for name, body in (("whole", flood), ("fitted to a radio frame", fitted), ("a neighbour's report", {1: "Smoke"}),
                       ("a cancel", {8: [alert.CANCEL, bytes(range(8))]}),
                       ("an update", {1: "Over", 3: [1], 8: [alert.UPDATE, bytes(range(8)), bytes(8)]})):
        one = alert.read(body)
        rows.append({
            "section": "18.1", "name": name, "body": cbor.encode(body).hex(), "headline": one.headline,
            "issuer": one.issuer, "codes": [one.codes[name] for name, _words in alert.CODES], "onset_s": one.onset_s,
            "areas": [area if isinstance(area, str) else list(area) for area in one.areas],
            "instruction": one.instruction, "language": one.language, "kind": one.kind,
            "references": [id.hex() for id in one.references], "official": one.official,
            "cap": one.cap.hex() if one.cap else None, "event": one.event})
    return rows


def alerts_bad() -> list[Row]:
    """Bodies that are no alert, with the reason."""
    rows = []
    for body in ({}, {1: "x" * 161}, {1: "x", 3: [5]}, {1: "x", 4: "noon"}, {1: "x", 5: [bytes(7)]},
                 {1: "x", 8: [3, bytes(8)]}, {1: "x", 8: [1]}, {1: "x", 10: bytes(5)}, {12: bytes(7), 13: {}}):
        try:
            alert.read(body)
        except cbor.CodecError as error:
            rows.append({"section": "18.1", "body": cbor.encode(body).hex(), "reason": error.reason})
    return rows


def places() -> list[Row]:
    """Circles in their 8 bytes, and geohashes."""
    rows = []
    for lat, lon, radius_m in ((52011600, 4357100, 0), (50851000, 5690000, 4000), (-35388800, 147059800, 25000),
                               (90000000, 180000000, 20100000), (-90000000, -180000000, 1)):
        data = place.pack_circle(lat, lon, radius_m)
        rows.append({"section": "18.2", "lat": lat, "lon": lon, "radius_m": radius_m, "circle": data.hex(),
                     "read": list(place.unpack_circle(data)), "geohash": place.geohash(lat, lon, 8)})
    return rows


def checkins() -> list[Row]:
    """Encoded bodies and what they say."""
    rows = []
    for body in ({1: "MAR\u00cdA de  la O.", 2: 1}, {1: "J. Smith", 2: 2, 3: "broken leg", 4: "Mill Lane 4"}):
        name, state, note, where = checkin.read(body)
        rows.append({"section": "19", "body": cbor.encode(body).hex(), "name": name, "state": state, "note": note,
                     "where": where, "plain": words.plain(name)})
    return rows
