"""docs/PROTOCOL.md, its vectors and its CDDL: they say what the code does, and they suffice to write another one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nacl.bindings
import nacl.public
import pytest

from edge.core import cbor, frame, limits, message
from edge.core.fragment import Reassembler
from tests.core.mutate import reason_of, survives
from tests.waiting import PATIENCE
from tools.dev import vectors

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = (ROOT / "docs" / "PROTOCOL.md").read_text()
CDDL = (ROOT / "docs" / "waypost.cddl").read_text()
VECTORS: dict[str, Any] = json.loads((ROOT / "docs" / "vectors.json").read_text())
NODE = shutil.which("node")
UNPACK: dict[str, Any] = {
    "HELLO": frame.unpack_hello, "MESSAGES": frame.unpack_messages, "RANGES": frame.unpack_ranges,
    "SKETCH": frame.unpack_sketch, "WANT": frame.unpack_want, "WANT_SHORT": frame.unpack_want_short,
    "DIGEST": frame.unpack_digest,
}


def sections() -> set[str]:
    return set(re.findall(r"^###? (\d+(?:\.\d+)?) ", DOCUMENT, re.M))


def rows() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in VECTORS.items():
        for row in value if isinstance(value, list) else ():
            yield name, row


# --- the vectors


def test_vectors_are_what_the_code_makes() -> None:
    assert (ROOT / "docs" / "vectors.json").read_text() == vectors.text(), "run python tools/dev/vectors.py"


def test_each_vector_names_its_section() -> None:
    known = sections()
    assert all(row["section"] in known for _, row in rows())
    assert {"2", "3", "4", "6.1", "6.2", "6.3", "7.1", "7.2", "7.3", "8.1", "8.3", "10", "11"} <= {
        row["section"] for _, row in rows()}
    assert {row["name"] for row in VECTORS["frames"]} == set(UNPACK) | {"BUS"}
    for name in VECTORS:
        assert name == "about" or re.search(rf"^\| [^|]*\b{name}\b[^|]* \|", DOCUMENT, re.M), name


def test_messages_are_read_back() -> None:
    for row in VECTORS["messages"]:
        one = message.parse(bytes.fromhex(row["data"]))
        assert message.verify(one)
        assert (one.id.hex(), one.key.hex(), one.expires_s, one.time_ms) == (
            row["id"], row["key"], row["expires_s"], row["time_ms"])
    for row in VECTORS["messages_refused"]:
        if row["reason"] == "bad_signature":
            assert not message.verify(message.parse(bytes.fromhex(row["data"])))
        else:
            assert reason_of(message.parse, bytes.fromhex(row["data"])) == row["reason"]


def test_the_sealed_text_opens_with_pynacl() -> None:
    """PROTOCOL 3.4 and 7.1 with PyNaCl's own SealedBox and key conversion."""
    sealed = [row for row in VECTORS["messages"] if "sealed_for" in row]
    assert len(sealed) == 1
    seed = bytes.fromhex(sealed[0]["sealed_for"])
    secret = nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(nacl.bindings.crypto_sign_seed_keypair(seed)[1])
    opened = nacl.public.SealedBox(nacl.public.PrivateKey(secret)).decrypt(
        cbor.decode(bytes.fromhex(sealed[0]["body"]))[3])
    assert opened.hex() == sealed[0]["opened"]
    author = bytes.fromhex(sealed[0]["author"])
    assert cbor.decode(opened) == {1: "come to the pump at noon", 2: author[:8]}


def test_fragments_are_put_together() -> None:
    row = VECTORS["fragments"][0]
    reassembler = Reassembler()
    got = [reassembler.add(b"", bytes.fromhex(part), 0) for part in reversed(row["fragments"])]
    assert got[-1] == bytes.fromhex(row["frame"])


def test_fuzz() -> None:
    """Every frame of the vectors, mutated: whatever comes out is a value or a CodecError."""
    for row in VECTORS["frames"]:
        if row["name"] in UNPACK:
            survives(UNPACK[row["name"]], [bytes.fromhex(row["data"])], 300, 9)
    survives(message.parse, [bytes.fromhex(row["data"]) for row in VECTORS["messages"][:4]], 300, 9)


# --- another implementation, written from the document


def run_node(path: Path) -> subprocess.CompletedProcess[str]:
    decoder = Path(__file__).parent / "independent_decoder.js"
    return subprocess.run([str(NODE), str(decoder), str(path)], capture_output=True, text=True,
                          timeout=60 * PATIENCE, check=False)


@pytest.mark.skipif(NODE is None, reason="no node.js")
def test_an_independent_decoder_agrees() -> None:
    done = run_node(ROOT / "docs" / "vectors.json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: len(value) for name, value in VECTORS.items() if isinstance(value, list)}


@pytest.mark.skipif(NODE is None, reason="no node.js")
def test_the_independent_decoder_sees_a_fault(tmp_path: Path) -> None:
    """The canary: one changed digit must be found."""
    changed = json.loads(json.dumps(VECTORS))
    data = changed["frames"][1]["data"]
    changed["frames"][1]["data"] = data[:-1] + ("0" if data[-1] != "0" else "1")
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(changed))
    done = run_node(path)
    assert done.returncode == 1
    assert "frames, MESSAGES" in done.stderr


# --- the CDDL


def test_cddl() -> None:
    zcbor = pytest.importorskip("zcbor")
    types = zcbor.DataTranslator.from_cddl(CDDL, 3).my_types

    def valid(rule: str, data: bytes) -> bool:
        try:
            types[rule].validate_str(data)
        except Exception:  # zcbor has no one error
            return False
        return True

    bodies = {1: "notice-body", 2: "direct-body", 3: "receipt-body", 5: "note-body"}
    for row in VECTORS["papers"]:
        assert valid("paper", bytes.fromhex(row["data"]))
        rule, other = ("claims", "order") if row["content_type"] == 65002 else ("order", "claims")
        assert valid(rule, bytes.fromhex(row["payload"])) and not valid(other, bytes.fromhex(row["payload"]))
    for row in VECTORS["alerts"]:
        assert valid("alert-body", bytes.fromhex(row["body"])), row["name"]
    for row in VECTORS["checkins"]:
        assert valid("checkin-body", bytes.fromhex(row["body"])), row["name"]
    assert valid("details-body", cbor.encode({12: bytes(8), 13: {1: "x", 14: [{2: ["Met"], 21: [{1: "Delft"}]}]}}))
    for row in VECTORS["messages"]:
        assert valid("message", bytes.fromhex(row["data"])), row["name"]
        assert valid("signed-payload", bytes.fromhex(row["payload"]))
        assert valid(bodies.get(row["type"], "body"), bytes.fromhex(row["body"]))
        if "opened" in row:
            assert valid("direct-inner", bytes.fromhex(row["opened"]))
    for row in VECTORS["frames"]:
        if row["name"] not in ("MESSAGES", "BUS"):
            rule = row["name"].lower().replace("_", "-")
            assert valid(rule, bytes.fromhex(row["data"])[1:]), row["name"]
            assert not valid("want" if rule == "hello" else "hello", bytes.fromhex(row["data"])[1:])
    for row in VECTORS["bus"]:
        assert valid("bus-frame", bytes.fromhex(row["data"])[1:]), row["name"]
    data, at, count = bytes.fromhex(VECTORS["courier"][0]["data"]), 0, 0
    while at < len(data):
        _, end = cbor.decode_prefix(data, at)
        assert valid("courier-item", data[at:end])
        at, count = end, count + 1
    assert count == 3
    for row in VECTORS["messages_refused"]:
        if row["reason"].startswith("message."):  # signatures, encodings and what follows are not CDDL's affair
            assert not valid("message", bytes.fromhex(row["data"])), row["name"]


# --- the document


def test_every_section_that_the_code_cites_is_there() -> None:
    known = sections()
    cited = re.compile(r"PROTOCOL(?:\.md section)? (\d+(?:\.\d+)?)")
    found = 0
    for folder in ("edge", "radios", "tools", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for number in cited.findall(path.read_text()):
                assert number in known, f"{path.relative_to(ROOT)} cites PROTOCOL {number}"
                found += 1
    assert found > 30


def test_every_reason_of_the_core_is_in_the_document() -> None:
    """What a decoder or the machine may count a drop under stands in section 12."""
    listed = set(re.findall(r"`([a-z_0-9.*]+)`", DOCUMENT[DOCUMENT.index("## 12 "):DOCUMENT.index("## 13 ")]))
    reasons: set[str] = set()
    for path in sorted((ROOT / "edge" / "core").glob("*.py")):
        text = path.read_text()
        reasons |= set(re.findall(r'CodecError\("([a-z_0-9.]+)"', text))
        reasons |= set(re.findall(r'_drop\("([a-z_0-9.]+)"', text))
        reasons |= set(re.findall(r'"drop\.([a-z_0-9.]+)"', text))
        reasons |= set(re.findall(r', "((?:hello|digest|want|want_short|sketch|frame)\.[a-z_]+)"\)', text))
    reasons |= set(re.findall(r'return "(message\.[a-z]+)"', Path(message.__file__).read_text()))
    missing = {r for r in reasons if r not in listed and r.partition(".")[0] + ".*" not in listed}
    assert not missing
    assert len(reasons) > 70


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = DOCUMENT[DOCUMENT.index("## 9 "):DOCUMENT.index("## 10 ")]
    for value in (
        limits.MESSAGE_BYTES_MAX, limits.BODY_BYTES_MAX, limits.TEXT_BYTES_MAX, limits.TTL_S_MAX, limits.FUTURE_S_MAX,
        limits.FRAME_BYTES_MAX, limits.BATCH_MESSAGES_MAX, limits.BATCH_BYTES_MAX, limits.FRAGMENTS_MAX,
        limits.REASSEMBLY_MS_MAX // 1000, limits.REASSEMBLIES_MAX, limits.REASSEMBLY_BYTES_MAX, limits.RANGES_MAX,
        limits.WANT_KEYS_MAX, limits.SKETCH_CAPACITY_MAX, limits.SEQ_JUMP_MAX, limits.PEERS_MAX, limits.NESTING_MAX,
        frame.NAME_BYTES_MAX, limits.FRAME_BYTES_MAX - 1,
        -(-limits.FRAME_BYTES_MAX // limits.FRAGMENTS_MAX) + limits.FRAGMENT_HEAD_BYTES,
    ):
        assert re.search(rf"(?<!\d)(?<!\d,){value:,}(?!,?\d)", bounds), f"{value:,}"
    for value in (limits.RECEIVE_BURST, limits.RECEIVE_PER_S, limits.FRAMES_BURST, limits.FRAMES_PER_S,
                  limits.BUS_FRAMES_PER_S):
        assert f"{value:,}" in DOCUMENT


def test_the_links_of_the_document_lead_somewhere() -> None:
    headings = re.findall(r"^## (.+)$", DOCUMENT, re.M)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", DOCUMENT)
    assert set(links) == anchors
