"""The general COSE_Sign1 verifier against the COSE working group's examples (tests/data/cose) and PyNaCl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import nacl.signing
import pytest

from edge.core import cose
from edge.core.cbor import CodecError
from tests.core.mutate import reason_of, survives

DATA = Path(__file__).parent.parent / "data" / "cose"
FILES = sorted(path.relative_to(DATA).as_posix() for path in DATA.glob("*/*.json"))
SEED = bytes(range(32))
KEY = bytes(nacl.signing.SigningKey(SEED).verify_key)


def load(name: str) -> dict[str, Any]:
    return json.loads((DATA / name).read_text())  # type: ignore[no-any-return]


def verify(name: str) -> bytes:
    example = load(name)
    key = example["input"]["sign0"]["key"] if "sign0" in example["input"] else {}
    external = bytes.fromhex(example["input"].get("sign0", {}).get("external", ""))
    public = bytes.fromhex(key.get("x_hex", "")) or bytes(32)
    return cose.sign1_verify(bytes.fromhex(example["output"]["cbor"]), public, external)


def sign1(protected: Any, payload: bytes | None = b"This is the content.", *, unprotected: Any = None,
          external: bytes = b"", signed: Any = None, tag: bool = True) -> bytes:
    """A COSE_Sign1 made with cbor2 and PyNaCl only; `signed` replaces the protected header in what is signed."""
    header = protected if isinstance(protected, bytes) else cbor2.dumps(protected)
    over = header if signed is None else cbor2.dumps(signed)
    signature = nacl.signing.SigningKey(SEED).sign(cbor2.dumps(["Signature1", over, external, payload])).signature
    value = [header, unprotected or {}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(18, value) if tag else value)


def test_all_examples_are_here() -> None:
    assert len(FILES) == 16


def test_eddsa_example_verifies() -> None:
    assert verify("eddsa-examples/eddsa-sig-01.json") == b"This is the content."


EXAMPLES_REFUSED = [
    ("eddsa-examples/eddsa-sig-02.json", "cose.unsupported_alg"),  # Ed448
    ("sign1-tests/sign-pass-01.json", "cose.unsupported_alg"),  # ES256, and the algorithm not protected
    ("sign1-tests/sign-pass-02.json", "cose.unsupported_alg"),  # ES256
    ("sign1-tests/sign-pass-03.json", "cose.unsupported_alg"),  # ES256, no tag
    ("sign1-tests/sign-fail-01.json", "cose.not_sign1"),  # tag 998
    ("sign1-tests/sign-fail-02.json", "cose.unsupported_alg"),
    ("sign1-tests/sign-fail-03.json", "cose.unsupported_alg"),  # algorithm -999
    ("sign1-tests/sign-fail-04.json", "cose.unsupported_alg"),  # algorithm "unknown"
    ("sign1-tests/sign-fail-06.json", "cose.unsupported_alg"),
    ("sign1-tests/sign-fail-07.json", "cose.unsupported_alg"),
    ("CWT/A_3.json", "cose.unsupported_alg"),
    ("CWT/A_4.json", "cose.not_sign1"),  # Mac0
    ("CWT/A_5.json", "cose.not_sign1"),  # Encrypt0
    ("CWT/A_6.json", "cose.not_sign1"),
    ("CWT/A_7.json", "cose.not_sign1"),
]


def test_refused_examples() -> None:
    for name, reason in EXAMPLES_REFUSED:
        assert reason_of(verify, name) == reason, name


GOOD = load("eddsa-examples/eddsa-sig-01.json")


def test_what_the_sign_fail_files_do_to_es256_fails_with_eddsa() -> None:
    """The failures of sign1-tests, done to the example in our algorithm."""
    good = bytes.fromhex(GOOD["output"]["cbor"])
    key = bytes.fromhex(GOOD["input"]["sign0"]["key"]["x_hex"])
    protected, unprotected, payload, signature = cbor2.loads(good).value

    def changed(header: Any, content: bytes, sig: bytes, tag: int = 18) -> bytes:
        return cbor2.dumps(cbor2.CBORTag(tag, [cbor2.dumps(header), unprotected, content, sig]))

    assert cose.sign1_verify(good, key) == payload
    cases = [
        (changed({1: -8, 3: 0}, payload, signature, 998), "cose.not_sign1"),  # fail-01
        (changed({1: -8, 3: 0}, payload[:-1] + b"/", signature), "cose.bad_signature"),  # fail-02
        (changed({1: -8, 3: 0}, payload, signature[:-1] + b"\0"), "cose.bad_signature"),
        (changed({1: -999, 3: 0}, payload, signature), "cose.unsupported_alg"),  # fail-03
        (changed({1: "unknown", 3: 0}, payload, signature), "cose.unsupported_alg"),  # fail-04
        (changed({1: -8, 3: 0, 5: b""}, payload, signature), "cose.bad_signature"),  # fail-06
        (changed({1: -8}, payload, signature), "cose.bad_signature"),  # fail-07
        (changed({1: -8, 3: 0}, payload, signature[:63]), "cose.bad_signature"),
    ]
    for data, reason in cases:
        assert reason_of(lambda d: cose.sign1_verify(d, key), data) == reason
    with pytest.raises(CodecError, match="cose.bad_signature"):
        cose.sign1_verify(good, key, b"external")


def test_external_aad_and_no_tag() -> None:
    """As sign-pass-02 and sign-pass-03 do it, in our algorithm."""
    data = sign1({1: -8}, external=b"\x11\xaa", tag=False)
    assert cose.sign1_verify(data, KEY, b"\x11\xaa") == b"This is the content."
    with pytest.raises(CodecError, match="cose.bad_signature"):
        cose.sign1_verify(data, KEY)


MADE_WRONG = [
    (sign1({}, unprotected={1: -8}), "cose.unsupported_alg"),  # sign-pass-01: an algorithm must be protected
    (sign1(b"", unprotected={1: -8}), "cose.unsupported_alg"),
    (sign1({1: -8, 4: b"a"}, unprotected={4: b"a"}), "cose.duplicate_label"),
    (sign1({1: -8, 2: [4], 4: b"a"}), "cose.critical"),
    (sign1({1: -8}, None), "cose.detached"),
    (sign1(b"\x01"), "cose.header"),
    (sign1({1: -8}) + b"\0", "cbor.trailing"),
    (sign1(b"\xa1\x01\x38\x07"), "cbor.not_shortest"),
    (b"", "cose.not_sign1"), (b"\xd2", "cose.not_sign1"), (b"\xd2\x83\x40\xa0\x40", "cose.not_sign1"),
    (b"\xd2\x84\x40\x40\x40\x40", "cose.not_sign1"), (b"\xd2\x84\x40\xa0\x01\x40", "cose.not_sign1"),
    (b"\xd2\x84\x40\xa0\x40\x01", "cose.not_sign1"), (b"\xd2\x84\x01\xa0\x40\x40", "cose.not_sign1"),
]


def test_refused() -> None:
    for data, reason in MADE_WRONG:
        assert reason_of(lambda d: cose.sign1_verify(d, KEY), data) == reason, data.hex()


def test_fuzz() -> None:
    reasons = survives(lambda data: cose.sign1_verify(data, KEY), [sign1({1: -8, 3: 0}, unprotected={4: b"11"})], 1500)
    assert "cose.bad_signature" in reasons
    assert "cose.not_sign1" in reasons
