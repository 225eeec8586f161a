"""The message: its exact bytes, every way to be no message, and other people's libraries (PROTOCOL 3)."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from edge.compat import crypto
from edge.core import cbor, limits, message
from edge.core.cbor import CodecError
from edge.core.rng import Rng
from tests.core.mutate import damaged, quick, reason_of, survives

SEED = bytes(range(32))
AUTHOR = crypto.public_key(SEED)
DEST = crypto.public_key(b"\x42" * 32)
HLC = (1763700000 << 16) | 513

FIELDS: dict[int, Any] = {1: 7, 2: HLC, 3: 604800, 4: 2, 5: 1, 7: {1: "hello"}}


def raw(fields: Any, *, protected: bytes | None = None, unprotected: Any = None, signature: bytes | None = None,
        tail: bytes = b"") -> bytes:
    """A message made by hand from PROTOCOL 3, with cbor2 and PyNaCl; wrong where the caller wants it so."""
    payload = fields if isinstance(fields, bytes) else cbor2.dumps(fields, canonical=True)
    if protected is None:
        protected = cbor2.dumps({1: -8, 3: 65001, 4: AUTHOR}, canonical=True)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    if signature is None:
        signature = nacl.signing.SigningKey(SEED).sign(signed).signature
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected or {}, payload, signature])) + tail


def build(**changes: Any) -> message.Message:
    values: dict[str, Any] = {"seq": 7, "hlc": HLC, "ttl_s": 604800, "lane": 2, "type": 1, "dest": None}
    values["body"] = {1: "hello"}
    values.update(changes)
    return message.build(SEED, AUTHOR, **values)


def test_exact_bytes() -> None:
    made = build()
    assert made.data == raw(FIELDS)
    payload = bytes.fromhex("a6010702") + b"\x1b" + HLC.to_bytes(8, "big") + bytes.fromhex("031a00093a8004020501")
    payload += b"\x07\xa1\x01\x65hello"
    assert made.payload == payload
    assert made.data == (
        b"\xd2\x84\x58\x2a\xa3\x01\x27\x03\x19\xfd\xe9\x04\x58\x20" + AUTHOR + b"\xa0"
        + b"\x58" + bytes([len(payload)]) + payload + b"\x58\x40" + made.signature
    )


def test_fields() -> None:
    made = message.parse(build(dest=DEST, lane=1, type=2, body={3: b"sealed"}).data)
    assert (made.author, made.seq, made.hlc, made.ttl_s, made.lane, made.type, made.dest) == (
        AUTHOR, 7, HLC, 604800, 1, 2, DEST)
    assert made.body() == {3: b"sealed"}
    assert made.expires_s == 1763700000 + 604800
    assert made.time_ms == 1763700000 * 1000 + 513 * 1000 // 65536
    assert made.id == hashlib.sha256(made.data).digest()[:16]
    assert made.key == HLC.to_bytes(6, "big") + made.id[:10]
    assert message.verify(made)
    assert len(made.signature) == 64
    assert made.signing_input() == cbor2.dumps(["Signature1", made.data[4:46], b"", made.payload])


def test_pycose_verifies() -> None:
    """pycose, told no more than PROTOCOL 3 says: the key identifier is the Ed25519 key."""
    for made in (build(), build(dest=DEST, type=2, body={3: bytes(300)})):
        theirs = Sign1Message.decode(made.data)
        theirs.key = OKPKey(crv=Ed25519, x=theirs.phdr[next(k for k in theirs.phdr if k.identifier == 4)])
        assert theirs.verify_signature()
        theirs.payload = theirs.payload[:-1] + b"!"
        assert not theirs.verify_signature()


def test_every_length_of_head() -> None:
    for size in (0, 1, 23, 24, 200, 255, 256, 4000, limits.BODY_BYTES_MAX - 5):
        made = build(body={1: b"x" * size})
        assert message.parse(made.data).body() == {1: b"x" * size}
        assert made.data == raw({**FIELDS, 7: {1: b"x" * size}})
        assert message.verify(made)


def test_edges_and_unknown_keys_are_accepted_and_kept() -> None:
    for fields in (
        {**FIELDS, 1: 1}, {**FIELDS, 1: 2**32 - 1}, {**FIELDS, 2: 0}, {**FIELDS, 2: 65536}, {**FIELDS, 2: 2**48 - 1},
        {**FIELDS, 3: 1}, {**FIELDS, 3: limits.TTL_S_MAX}, {**FIELDS, 4: 0}, {**FIELDS, 4: 3}, {**FIELDS, 5: 0},
        {**FIELDS, 5: 65535}, {**FIELDS, 7: {}}, {**FIELDS, 7: {0: None, 24: {"a": [1]}, 2**64 - 1: -1}},
        {**FIELDS, 8: "unknown"}, {**FIELDS, 6: DEST, 8: [1, {"x": None}], 30: b"", 2**64 - 1: 0},
        {**FIELDS, **{k: k for k in range(8, 25)}},
    ):
        data = raw(fields)
        made = message.parse(data)
        assert (made.seq, made.hlc, made.ttl_s, made.lane, made.type, made.body(), made.dest) == (
            fields[1], fields[2], fields[3], fields[4], fields[5], fields[7], fields.get(6))
        assert made.data == data
        assert made.payload == cbor2.dumps(fields, canonical=True)
        assert message.verify(made)


def without(key: int) -> dict[int, Any]:
    return {k: v for k, v in FIELDS.items() if k != key}


def nested(n: int) -> Any:
    value: Any = 0
    for _ in range(n):
        value = [value]
    return value


PAYLOAD = cbor2.dumps(FIELDS, canonical=True)
# what is wrong in the payload: the key that is changed, its values, the reason
FIELDS_WRONG: list[tuple[int, list[Any], str]] = [
    (1, [None, 0, 2**32, "7", -1, True], "message.seq"),
    (2, [None, 2**48, b"", -1], "message.hlc"),
    (3, [None, 0, limits.TTL_S_MAX + 1, "1"], "message.ttl"),
    (4, [None, 4, 255, 256, True], "message.lane"),
    (5, [None, 65536, "1"], "message.type"),
    (6, [None, DEST[:31], DEST + b"x", "x" * 32], "message.dest"),
    (7, [None, [], "x", {"a": 1}, {1: b"x" * (limits.BODY_BYTES_MAX - 4)}], "message.body"),
    (0, [1], "message.key"),
    (7, [{1: 1.5}], "cbor.float"),
    (9, [1.5], "cbor.float"),
    (7, [{1: cbor2.undefined}], "cbor.simple"),
    (7, [{1: cbor2.CBORTag(1, 1)}], "cbor.tag"),
    (7, [{1: nested(7)}], "cbor.too_deep"),
    (9, [nested(8)], "cbor.too_deep"),
    (9, [b"x" * limits.MESSAGE_BYTES_MAX], "message.size"),
]
WRONG = [
    (raw(FIELDS, tail=b"\0"), "cbor.trailing"),
    (raw(FIELDS)[1:], "message.header"),
    (raw(FIELDS)[:-1], "cbor.truncated"),
    (b"\xd1" + raw(FIELDS)[1:], "cose.not_sign1"),
    (raw(FIELDS, signature=bytes(63)), "message.signature"),
    (raw(FIELDS, signature=bytes(65)), "message.signature"),
    (raw(FIELDS, unprotected={4: AUTHOR}), "message.header"),
    (raw(FIELDS, protected=cbor2.dumps({1: -8, 4: AUTHOR})), "message.header"),
    (raw(FIELDS, protected=cbor2.dumps({1: -8, 3: 65002, 4: AUTHOR})), "message.header"),
    (raw(FIELDS, protected=cbor2.dumps({1: -7, 3: 65001, 4: AUTHOR})), "message.header"),
    (raw(FIELDS, protected=cbor2.dumps({1: -8, 3: 65001, 4: AUTHOR[:31]})), "message.header"),
    (raw(FIELDS, protected=cbor2.dumps({1: -8, 3: 65001, 4: AUTHOR, 5: 0})), "message.header"),
    (raw(b"\x01"), "message.payload"),
    (raw(b""), "cbor.truncated"),
    (raw({**FIELDS, **{k: k for k in range(8, 26)}}), "message.payload"),
    *[(raw(without(key)), reason) for key, values, reason in FIELDS_WRONG if None in values and key != 6],
    *[(raw({**FIELDS, key: v}), reason) for key, values, reason in FIELDS_WRONG for v in values],
    (raw({"a": 1}), "message.seq"),
    (raw(PAYLOAD.replace(b"\x01\x07", b"\x01\x18\x07", 1)), "cbor.not_shortest"),
    (raw(PAYLOAD.replace(b"\x04\x02", b"\x04\x18\x02", 1)), "cbor.not_shortest"),
    (raw(PAYLOAD.replace(b"\x65hello", b"\x65hell\xff", 1)), "cbor.bad_utf8"),
    (raw(PAYLOAD.replace(b"\x65hello", b"\x7f\x65hello\xff", 1)), "cbor.indefinite"),
    (raw(cbor2.dumps({5: 1, **FIELDS})), "cbor.unsorted"),
    (raw(PAYLOAD + b"\0"), "cbor.trailing"),
    (raw(b"\xa7" + PAYLOAD[1:] + b"\x07\xa0"), "cbor.duplicate_key"),
    (raw(b"\xa7" + PAYLOAD[1:]), "cbor.truncated"),
    (raw(FIELDS)[:60], "message.size"), (b"", "message.size"), (bytes(10**7), "message.size"),
]


def test_refused() -> None:
    for data, reason in WRONG:
        assert reason_of(message.parse, data) == reason, data[:400].hex()


def test_nesting_up_to_the_bound() -> None:
    assert message.parse(raw({**FIELDS, 7: {1: nested(6)}})).body() == {1: nested(6)}
    assert message.parse(raw({**FIELDS, 9: nested(7)}))


def test_head_of_the_payload_must_be_shortest() -> None:
    data = raw(FIELDS)
    at = message.PAYLOAD_HEAD_AT
    assert reason_of(message.parse, data[:at] + b"\x59\x00" + data[at + 1:]) == "cbor.not_shortest"


def accepted(data: bytes) -> bool:
    """The rules of PROTOCOL 3 once more, slowly, from what the strict decoder gives."""
    if len(data) > limits.MESSAGE_BYTES_MAX or data[:1] != b"\xd2":
        return False
    try:
        parts, end = cbor.decode_prefix(data, 1)
        if end != len(data) or not isinstance(parts, list) or len(parts) != 4:
            return False
        if not isinstance(parts[0], bytes) or not isinstance(parts[2], bytes) or not isinstance(parts[3], bytes):
            return False
        header, fields = cbor.decode(parts[0]), cbor.decode(parts[2])
    except CodecError:
        return False
    author = header.get(4) if isinstance(header, dict) else None
    if header != {1: -8, 3: 65001, 4: author} or not isinstance(author, bytes) or len(author) != 32:
        return False
    if parts[1] != {} or len(parts[3]) != 64 or not isinstance(fields, dict) or len(fields) > 23:
        return False
    bounds = {1: (1, 2**32 - 1), 2: (0, 2**48 - 1), 3: (1, limits.TTL_S_MAX), 4: (0, 3), 5: (0, 65535)}
    for key, (low, high) in bounds.items():
        if type(fields.get(key)) is not int or not low <= fields[key] <= high:
            return False
    body = fields.get(7)
    if not isinstance(body, dict) or any(type(k) is not int for k in body) or 0 in fields:
        return False
    if 6 in fields and (not isinstance(fields[6], bytes) or len(fields[6]) != 32):
        return False
    return len(cbor.encode(body)) <= limits.BODY_BYTES_MAX and all(type(k) is int for k in fields)


def test_fuzz_and_the_walk_agrees_with_the_rules() -> None:
    good = [build().data, build(dest=DEST, type=2, body={3: b"x" * 60}).data]
    good.append(raw({**FIELDS, 2: 70000, 8: [1, "x"], 9: {}}))
    kept = 0
    rng = Rng(3)
    for data in good:
        at = message.PAYLOAD_HEAD_AT
        # mutants of the payload alone are signed anew, so that they reach the rules for the payload
        payloads = damaged(message.parse(data).payload, rng, 600)
        for mutant in (*damaged(data, rng, 600), *(data[:at] + cbor.encode(p) + data[-66:] for p in payloads)):
            try:
                message.parse(mutant)
            except CodecError as error:
                assert not accepted(mutant), mutant.hex()
                assert error.reason
            else:
                assert accepted(mutant), mutant.hex()
                kept += 1
    assert kept > 100
    reasons = survives(message.parse, good, 100)
    assert {"message.size", "message.header", "cbor.trailing", "cbor.truncated"} <= set(reasons)


@quick
@given(st.integers(1, 2**32 - 1), st.integers(0, 2**48 - 1), st.integers(1, limits.TTL_S_MAX), st.integers(0, 3),
       st.integers(0, 65535), st.dictionaries(st.integers(0, 300), st.text(max_size=50), max_size=4))
def test_what_is_built_is_what_cbor2_makes(seq: int, hlc: int, ttl_s: int, lane: int, type: int, body: Any) -> None:
    made = message.build(SEED, AUTHOR, seq, hlc, ttl_s, lane, type, DEST, body)
    assert made.data == raw({1: seq, 2: hlc, 3: ttl_s, 4: lane, 5: type, 6: DEST, 7: body})
    assert made.body() == body


def test_a_forged_signature_is_no_signature() -> None:
    data = build().data
    for at in (14, 50, len(data) - 70, len(data) - 1):
        forged = bytearray(data)
        forged[at] ^= 1
        try:
            assert not message.verify(message.parse(bytes(forged)))
        except CodecError:
            pass
    assert not message.verify(message.parse(data), lambda key, signed, signature: False)


def test_local_misuse_raises() -> None:
    for changes in (
        {"seq": 0}, {"seq": 2**32}, {"seq": "7"}, {"seq": True}, {"hlc": 2**48}, {"hlc": -1}, {"ttl_s": 0},
        {"ttl_s": limits.TTL_S_MAX + 1}, {"lane": 4}, {"lane": -1}, {"type": 65536}, {"type": 2}, {"type": 3},
        {"dest": b"short"}, {"body": {"a": 1}}, {"body": {-1: 1}}, {"body": []}, {"body": {1: nested(7)}},
        {"body": {1: b"x" * limits.BODY_BYTES_MAX}},
    ):
        with pytest.raises((ValueError, TypeError)):
            build(**changes)


def test_receipts() -> None:
    id = bytes(range(16))
    assert message.receipt_of(build(type=3, lane=1, dest=DEST, body={1: id, 2: message.DELIVERED})) == id
    for body in ({}, {1: id}, {1: id, 2: 2}, {1: id[:15], 2: 1}, {1: "x" * 16, 2: 1}, {2: 1}):
        assert message.receipt_of(build(type=3, lane=1, dest=DEST, body=body)) is None
