"""Mail: what waits for whom, what was delivered, told in whatever order, and what a stranger may send. PROTOCOL 20."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from edge.compat import crypto
from edge.core import cbor, message
from edge.services.texts import mail
from edge.services.texts.mail import Mails, body_of, body_of_delivered

SEED = bytes([7]) * 32
KEY = crypto.public_key(SEED)
NOW_S = 1_800_000_000
ANA, BOB = b"\x9e\xa2\xf3\xc4", b"\0\0\0\2"
VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "vectors.json").read_text())


def made(body: dict[int, Any], seq: int = 1, at_s: int = NOW_S, ttl_s: int = 1000) -> message.Message:
    return message.build(SEED, KEY, seq, at_s << 16, ttl_s, 1, message.MAIL, None, body)


def test_it_waits_until_somebody_says_that_it_was_delivered() -> None:
    mails = Mails()
    one, two = made(body_of(BOB, ANA, "Ana", "soup?"), 1), made(body_of(BOB, ANA, "", "bread?"), 2, NOW_S + 1)
    assert mails.take(two) is not None and mails.take(one) is not None and mails.take(one) is None
    assert [found.text for found in mails.waiting(BOB, NOW_S)] == ["soup?", "bread?"]
    assert mails.waiting(BOB, NOW_S) and mails.waiting(ANA, NOW_S) == []
    assert mails.take(made(body_of_delivered([one.id]), 3, NOW_S + 9)) is None
    assert [found.text for found in mails.waiting(BOB, NOW_S)] == ["bread?"]
    assert [(found.text, found.delivered_ms) for found in mails.to(BOB, NOW_S)] == [
        ("bread?", 0), ("soup?", (NOW_S + 9) * 1000)]
    assert [found.text for found in mails.by(ANA)] == ["bread?", "soup?"]
    assert mails.waiting(BOB, NOW_S + 1001) == []  # expired


def test_the_word_of_delivery_may_come_first() -> None:
    mails = Mails()
    one = made(body_of(BOB, None, "", "soup?"))
    mails.take(made(body_of_delivered([bytes(16), one.id]), 2))
    assert mails.take(one) is None and mails.waiting(BOB, NOW_S) == [] and mails.to(BOB, NOW_S)[0].delivered_ms


@pytest.mark.parametrize("body", [
    {}, {1: "x"}, {1: "x", 4: b"abc"}, {1: "x", 4: "abcd"}, {1: b"x", 4: BOB}, {1: " ", 4: BOB}, {1: "x", 2: 5, 4: BOB},
    {1: "x", 4: BOB, 5: b""}, {6: b""}, {6: bytes(15)}, {6: bytes(16 * 65)}, {6: "x" * 16}, {6: [bytes(16)]},
])
def test_other_bodies_are_no_mail(body: dict[int, Any]) -> None:
    mails = Mails()
    assert mails.take(made(body)) is None and not mails.waiting(BOB, NOW_S)


def test_bounds() -> None:
    mails = Mails()
    rng = random.Random(1)
    for n in range(mail.MAILS_MAX + 300):
        sender = rng.randbytes(4)
        one = made(body_of(BOB, sender, "", f"{n}"), n + 1, NOW_S + n, 10**6)
        mails.take(one)
        if n < 200:
            mails.take(made(body_of_delivered([one.id]), 10**6 + n, NOW_S + n, 10**6))
    waiting = mails.waiting(BOB, NOW_S)
    assert len(mails._mails) == mail.MAILS_MAX and len(waiting) == mail.MAILS_MAX
    assert waiting[0].text == "300"  # those that were delivered went first, then the oldest
    for n in range(2 * mail.MAILS_MAX):
        mails.take(made(body_of_delivered([n.to_bytes(16, "big")]), n + 1))
    assert len(mails._delivered) == mail.MAILS_MAX
    assert not mails.room(ANA, BOB, NOW_S) and mails.room(ANA, ANA, NOW_S)


def test_one_sender_does_not_fill_it() -> None:
    mails = Mails()
    for n in range(mail.FROM_MAX):
        assert mails.room(ANA, n.to_bytes(4, "big"), NOW_S)
        mails.take(made(body_of(n.to_bytes(4, "big"), ANA, "", "x"), n + 1))
    assert not mails.room(ANA, b"\xff\xff\xff\xfe", NOW_S) and mails.room(BOB, b"\xff\xff\xff\xfe", NOW_S)


def test_vectors() -> None:
    for row in VECTORS["mails"]:
        body = cbor.decode(bytes.fromhex(row["body"]))
        found = Mails()
        one = found.take(made(body))
        if row["delivered"] is not None:
            assert one is None and [id.hex() for id in found._delivered] == row["delivered"]
            continue
        assert one is not None and (one.text, one.name, one.to.hex()) == (row["text"], row["name"], row["to"])
        assert (one.sender.hex() if one.sender is not None else None) == row["from"]
