"""COSE_Sign, certificates and the walk to the stewards (PROTOCOL 17.1, 17.2)."""

from __future__ import annotations

import itertools
from typing import Any

import cbor2
import pytest
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import CoseMessage, SignMessage
from pycose.messages.signer import CoseSignature

from edge.core import cbor, certs, cosign, limits
from edge.core.cbor import CodecError
from edge.core.stewards import Stewards
from tests.core.mutate import reason_of, survives
from tests.core.papers import NOW_S, YEAR_S, certificate, key_of, seed_of, signed, stewards


def pycose_key(name: str) -> OKPKey:
    return OKPKey(crv=Ed25519, x=key_of(name), d=seed_of(name))


# --- COSE_Sign


def test_pycose_verifies_every_signature_of_ours() -> None:
    message: Any = CoseMessage.decode(certificate("hub", "ann", "ben"))
    assert isinstance(message, SignMessage)
    assert message.phdr[ContentType] == cosign.CERTIFICATE
    found = {one.uhdr[KID]: one for one in message.signers}
    for name in ("ann", "ben"):
        one = found[cosign.kid(key_of(name))]
        one.key = pycose_key(name)
        assert one.verify_signature()
        one.key = pycose_key("cas")
        assert not one.verify_signature()


def test_what_pycose_signs_is_the_same_bytes() -> None:
    ours = certificate("hub", "ann", "ben")
    payload, _signatures = cosign.split(ours, cosign.CERTIFICATE)
    names = sorted(("ann", "ben"), key=key_of)
    signers = [CoseSignature(phdr={Algorithm: "EDDSA"}, uhdr={KID: cosign.kid(key_of(name))}, key=pycose_key(name))
               for name in names]
    theirs = SignMessage(phdr={ContentType: cosign.CERTIFICATE}, payload=payload, signers=signers)
    assert theirs.encode() == ours


def test_a_claim_set_as_rfc_8392_has_it() -> None:
    payload, _ = cosign.split(certificate("hub", "ann", "ben", roles="alert certify"), cosign.CERTIFICATE)
    assert cbor2.loads(payload) == {3: "Delft", 4: NOW_S + YEAR_S, 6: NOW_S, 8: {3: key_of("hub")}, 9: "alert certify"}


def test_form() -> None:
    good = certificate("hub", "ann", "ben")
    parts = cbor2.loads(good).value
    assert reason_of(lambda data: cosign.split(data, cosign.ORDER), good) == "cosign.form"  # never taken for an order

    def other(**changes: Any) -> bytes:
        value = [changes.get("protected", parts[0]), changes.get("unprotected", {}), changes.get("payload", parts[2]),
                 changes.get("signatures", parts[3])]
        return cbor2.dumps(cbor2.CBORTag(changes.get("tag", 98), value))

    a, b = parts[3]
    for bad in (other(tag=18), other(protected=b""), other(unprotected={4: b"x"}), other(payload=None),
                other(signatures=[]), other(signatures=[b, a]), other(signatures=[a, a]),
                other(signatures=[[a[0], a[1], a[2][:-1]]]), other(signatures=[[a[0], {4: b"short"}, a[2]]]),
                other(signatures=[[b"", a[1], a[2]]]), other(signatures=[[a[0], {4: a[1][4], 5: 1}, a[2]]]),
                other(signatures=17 * [a]), good[2:], b""):
        assert reason_of(lambda data: cosign.split(data, cosign.CERTIFICATE), bad) == "cosign.form"
    assert other() == good
    survives(lambda data: cosign.split(data, cosign.CERTIFICATE), [good], 400)
    survives(certs.Certificate, [good], 400)


def test_a_claim_that_is_wrong() -> None:
    claims = {3: "Delft", 4: NOW_S + 1, 6: NOW_S, 8: {3: key_of("hub")}, 9: "alert"}
    for claim, value in ((3, b"Delft"), (3, "x" * 33), (4, -1), (4, 2**32), (4, True), (6, "now"), (8, key_of("hub")),
                         (8, {3: b"short"}), (8, {}), (9, b"alert"), (9, "certify alert"), (9, "alert alert"),
                         (9, " alert"), (9, "Alert"), (9, " ".join(f"role{n}" for n in range(9))), (9, "x" * 33)):
        data = signed(cosign.CERTIFICATE, cbor2.dumps({**claims, claim: value}), "ann", "ben")
        assert reason_of(certs.Certificate, data) == "cert.form", (claim, value)
    for claim in claims:
        rest = {key: value for key, value in claims.items() if key != claim}
        assert reason_of(certs.Certificate, signed(cosign.CERTIFICATE, cbor2.dumps(rest), "ann", "ben")) == "cert.form"
    later = certs.Certificate(signed(cosign.CERTIFICATE, cbor2.dumps({**claims, 70: "later"}), "ann", "ben"))
    assert later.roles == ["alert"]
    with pytest.raises(ValueError):
        certs.payload_of("Delft", key_of("hub"), ["Not A Role"], 0, 1)


# --- the walk


def book(*papers: bytes, needed: int = 2) -> certs.Book:
    made = certs.Book(stewards(needed))
    for paper in papers:
        made.add(paper)
    return made


def test_k_of_n() -> None:
    for names in itertools.combinations(("ann", "ben", "cas"), 2):
        assert book(certificate("hub", *names)).allows(key_of("hub"), "alert", NOW_S)
    for names in (("ann", "eve"), ("eve", "fay")):
        assert reason_of(book().add, certificate("hub", *names)) == "cert.signatures"
    assert reason_of(book().add, certificate("hub", "ann")) == "cert.signatures"  # one steward alone waits for nobody
    assert book(certificate("hub", "ann"), needed=1).allows(key_of("hub"), "alert", NOW_S)
    twice = cosign.kid(key_of("ann"))
    payload, signatures = cosign.split(certificate("hub", "ann", "ben"), cosign.CERTIFICATE)
    forged = cosign.pack(cosign.CERTIFICATE, payload, {**signatures, cosign.kid(key_of("ben")): signatures[twice]})
    assert reason_of(book().add, forged) == "cert.signatures"


def test_only_what_it_says() -> None:
    one = book(certificate("hub", "ann", "ben"))
    assert not one.allows(key_of("hub"), "certify", NOW_S)
    assert not one.allows(key_of("other"), "alert", NOW_S)
    assert one.allows(key_of("hub"), "alert", NOW_S + YEAR_S - 1)
    assert not one.allows(key_of("hub"), "alert", NOW_S + YEAR_S)
    assert reason_of(book().add, certificate("hub", "ann", "ben", community="Gouda")) == "cosign.community"
    assert not one.add(certificate("hub", "ann", "ben"))  # known
    assert not one.add(certificate("hub", "ben", "cas"))  # the same words, other hands
    nobody = certs.Book(Stewards("Delft", []))
    assert reason_of(nobody.add, certificate("hub", "ann", "ben")) == "cert.signatures"


def test_walked_to_the_root_in_any_order() -> None:
    hub = certificate("hub", "ann", "ben", roles="alert certify")
    node = certificate("node", "hub", roles="alert certify", expires_s=NOW_S + 10)
    leaf = certificate("leaf", "node")
    too_far = certificate("far", "leaf", roles="alert")
    for papers in itertools.permutations((hub, node, leaf, too_far)):
        one = book(*papers)
        assert one.allows(key_of("node"), "alert", NOW_S)
        assert one.allows(key_of("leaf"), "alert", NOW_S)
        assert not one.allows(key_of("far"), "alert", NOW_S)  # leaf may not certify
        # the middle has expired: what was signed before stands, what comes after does not
        assert not one.allows(key_of("leaf"), "alert", NOW_S + 10)
        assert one.allows(key_of("hub"), "alert", NOW_S + 10)


def test_nobody_gives_more_than_he_has() -> None:
    papers = [certificate("hub", "ann", "ben", roles="certify"), certificate("node", "hub")]
    assert not book(*papers).allows(key_of("node"), "alert", NOW_S)
    chain = [certificate("a", "ann", "ben", roles="alert certify")]
    for giver, taker in itertools.pairwise("abcde"):
        chain.append(certificate(taker, giver, roles="alert certify"))
    one = book(*chain)
    assert [one.allows(key_of(name), "alert", NOW_S) for name in "abcde"] == [True, True, True, False, False]
    circle = [certificate("a", "b", roles="alert certify"), certificate("b", "a", roles="alert certify")]
    assert not book(*circle).allows(key_of("a"), "alert", NOW_S)


def test_the_newest_of_the_stewards_holds() -> None:
    old = certificate("hub", "ann", "ben", roles="alert certify")
    gone = certificate("hub", "ben", "cas", roles="", issued_s=NOW_S + 5)
    node = certificate("node", "hub", issued_s=NOW_S + 9)
    for papers in itertools.permutations((old, gone, node)):
        one = book(*papers)
        assert not one.allows(key_of("hub"), "alert", NOW_S)
        assert not one.allows(key_of("node"), "alert", NOW_S)
    back = book(old, gone, certificate("hub", "ann", "cas", issued_s=NOW_S + 6))
    assert back.allows(key_of("hub"), "alert", NOW_S)
    # a hub replaces what it gave itself, never what the stewards gave
    hub = certificate("hub", "ann", "ben", roles="alert certify")
    one = book(hub, certificate("node", "ann", "ben"), certificate("node", "hub", roles="", issued_s=NOW_S + 9))
    assert one.allows(key_of("node"), "alert", NOW_S)
    one = book(hub, certificate("node", "hub"), certificate("node", "hub", roles="", issued_s=NOW_S + 9))
    assert not one.allows(key_of("node"), "alert", NOW_S)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CERTS_MAX", 4)
    one = book(certificate("hub", "ann", "ben", roles="alert certify"))
    for n in range(20):
        one.add(certificate(f"node {n}", "hub", issued_s=NOW_S + n))
    assert len(one) == 4
    assert one.allows(key_of("hub"), "alert", NOW_S)
    assert one.allows(key_of("node 19"), "alert", NOW_S)
    for n in range(limits.CERTS_WAITING_MAX + 9):
        one.add(certificate(f"stranger {n}", f"unknown {n}"))
    assert len(one._waiting) == limits.CERTS_WAITING_MAX
    with pytest.raises(ValueError):
        Stewards("x", [key_of(str(n)) for n in range(limits.STEWARDS_MAX + 1)])
    with pytest.raises(ValueError):
        Stewards("x", [key_of("ann")], 2)
    assert Stewards("x", [key_of(str(n)) for n in range(4)]).needed == 3


def test_cbor_of_another_kind() -> None:
    with pytest.raises(CodecError):
        certs.Certificate(signed(cosign.CERTIFICATE, cbor.encode([1]), "ann"))
    with pytest.raises(CodecError):
        certs.Certificate(signed(cosign.CERTIFICATE, b"\xff", "ann"))
