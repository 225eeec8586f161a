"""Noise XX and XXpsk3 against published vectors, and the identity check on top of them. PROTOCOL 7."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from edge.compat import crypto
from edge.core import noise
from edge.core.cbor import CodecError
from tests.conftest import ROOT

with open(os.path.join(ROOT, "tests/data/noise/noise-25519-chachapoly-sha256.json")) as _file:
    VECTORS: list[dict[str, Any]] = [v for v in json.load(_file)["vectors"] if "_XX" in v["protocol_name"]]

SEED_A, SEED_B = bytes([1]) * 32, bytes([2]) * 32
KEY_A, KEY_B = crypto.public_key(SEED_A), crypto.public_key(SEED_B)
BOOT_A, BOOT_B = b"bootA...", b"bootB..."


def unhex(vector: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(vector.get(name, ""))


def sides(vector: dict[str, Any]) -> tuple[noise.Handshake, noise.Handshake]:
    out = []
    for role in ("init", "resp"):
        psks = vector.get(role + "_psks") or [None]
        out.append(noise.Handshake(
            role == "init", unhex(vector, role + "_static"), unhex(vector, role + "_ephemeral"),
            unhex(vector, role + "_prologue"), bytes.fromhex(psks[0]) if psks[0] else None,
        ))
    return out[0], out[1]


def test_the_vectors_are_there() -> None:
    assert sorted(v["protocol_name"] + " " + v["source"] for v in VECTORS) == [
        "Noise_XX_25519_ChaChaPoly_SHA256 caco", "Noise_XX_25519_ChaChaPoly_SHA256 snow",
        "Noise_XXpsk3_25519_ChaChaPoly_SHA256 caco",
    ]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["protocol_name"][6:12] + v["source"])
def test_vector(vector: dict[str, Any]) -> None:
    initiator, responder = sides(vector)
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    turn = [initiator, responder]
    for at, (payload, expected) in enumerate(messages[:3]):
        writer, reader = turn[at % 2], turn[(at + 1) % 2]
        assert writer.my_turn() and not reader.my_turn()
        assert writer.write(payload) == expected
        assert reader.read(expected) == payload
    assert initiator.done and responder.done
    assert initiator.hash == responder.hash
    if "handshake_hash" in vector:
        assert initiator.hash.hex() == vector["handshake_hash"]
    assert responder.remote_static == crypto.x25519_base(unhex(vector, "init_static"))
    ciphers = [initiator.split(), responder.split()]
    for at, (payload, expected) in enumerate(messages[3:], 3):
        send, receive = ciphers[at % 2][0], ciphers[(at + 1) % 2][1]
        assert send.encrypt(payload) == expected
        assert receive.decrypt(expected) == payload


def channel(initiator: bool, community: bytes | None = None, seed: bytes | None = None) -> noise.Channel:
    seed = seed or (SEED_A if initiator else SEED_B)
    boot = BOOT_A if initiator else BOOT_B
    return noise.Channel(initiator, seed, crypto.public_key(seed), boot, os.urandom(32), community)


def shake(a: noise.Channel, b: noise.Channel) -> None:
    b.shake(a.shake(b.shake(a.start())))


@pytest.mark.parametrize("community", [None, b"c" * 32])
def test_channel(community: bytes | None) -> None:
    a, b = channel(True, community), channel(False, community)
    first = a.start()
    assert len(first) == (32 if community is None else 48)
    second = b.shake(first)
    assert len(second) == 32 + 48 + 41 + 16
    third = a.shake(second)
    assert len(third) == 48 + 41 + 16
    assert a.up and not b.up and b.key is None
    assert b.shake(third) == b"" and b.up
    assert (a.key, a.boot, a.version, b.key, b.boot, b.version) == (KEY_B, BOOT_B, 1, KEY_A, BOOT_A, 1)
    for n in range(3):
        assert b.open(a.seal(b"to b %d" % n)) == b"to b %d" % n
        assert a.open(b.seal(b"to a %d" % n)) == b"to a %d" % n


@pytest.mark.parametrize(("ours", "theirs"), [(None, b"c" * 32), (b"c" * 32, None), (b"c" * 32, b"d" * 32)])
def test_another_community(ours: bytes | None, theirs: bytes | None) -> None:
    with pytest.raises(CodecError) as caught:
        shake(channel(True, ours), channel(False, theirs))
    assert caught.value.reason == "noise.community_key"


def test_records_are_in_order_and_whole() -> None:
    for spoil in (lambda r: r[:-1], lambda r: r[:3] + bytes([r[3] ^ 1]) + r[4:], lambda r: b"", lambda r: r + b"x"):
        a, b = channel(True), channel(False)
        shake(a, b)
        with pytest.raises(CodecError, match="noise.bad_tag"):
            b.open(spoil(a.seal(b"hello")))
    a, b = channel(True), channel(False)
    shake(a, b)
    first, second = a.seal(b"1"), a.seal(b"2")
    with pytest.raises(CodecError, match="noise.bad_tag"):
        b.open(second)
    a, b = channel(True), channel(False)
    shake(a, b)
    first = a.seal(b"1")
    b.open(first)
    with pytest.raises(CodecError, match="noise.bad_tag"):
        b.open(first)


def test_a_borrowed_key_is_refused() -> None:
    """Somebody who names another's Ed25519 key, but has only his own static key."""
    liar = noise.Channel(True, SEED_A, KEY_B, BOOT_A, os.urandom(32))
    with pytest.raises(CodecError, match="noise.wrong_key"):
        shake(liar, channel(False))
    liar = noise.Channel(True, SEED_A, bytes(32), BOOT_A, os.urandom(32))
    with pytest.raises(CodecError, match="noise.bad_key"):
        shake(liar, channel(False))


@pytest.mark.parametrize("point", [
    bytes(32), bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
])
def test_points_of_small_order_are_refused(point: bytes) -> None:
    with pytest.raises(CodecError, match="noise.small_order"):
        channel(False).shake(point)


def test_what_is_no_handshake() -> None:
    for data, reason in (
        (b"", "noise.not_handshake"), (b"GET / HTTP/1.1\r\n", "noise.not_handshake"), (bytes(513), "noise.long"),
        (b"\x09" * 48, "noise.community_key"),
    ):
        with pytest.raises(CodecError) as caught:
            channel(False).shake(data)
        assert caught.value.reason == reason
    a, b = channel(True), channel(False)
    second = b.shake(a.start())
    for data in (second[:31], second[:-1], second + b"x", second[:40] + b"\x00" + second[41:], b""):
        fresh = channel(True)
        fresh.start()
        with pytest.raises(CodecError):
            fresh.shake(data)


def test_cut_anywhere() -> None:
    """Every bit of the third message counts, and so does its length."""
    a, b = channel(True), channel(False)
    third = a.shake(b.shake(a.start()))
    for at in range(len(third)):
        a, b = channel(True), channel(False)
        third = bytearray(a.shake(b.shake(a.start())))
        third[at] ^= 0x40
        with pytest.raises(CodecError):
            b.shake(bytes(third))
    for size in range(len(third)):
        a, b = channel(True), channel(False)
        third = a.shake(b.shake(a.start()))
        with pytest.raises(CodecError):
            b.shake(third[:size])


def test_misuse_raises() -> None:
    a = channel(True)
    with pytest.raises(ValueError, match="not over"):
        a._handshake.split()
    a.start()
    with pytest.raises(ValueError, match="turn"):
        a.start()
    with pytest.raises(ValueError, match="boot"):
        noise.Channel(True, SEED_A, KEY_A, b"", bytes(32))
    with pytest.raises(ValueError, match="community"):
        channel(True, b"short")


def test_a_spent_counter_stops_the_channel() -> None:
    a, b = channel(True), channel(False)
    shake(a, b)
    a._send._nonce = 2**63
    with pytest.raises(CodecError, match="noise.nonce_spent"):
        a.seal(b"")
