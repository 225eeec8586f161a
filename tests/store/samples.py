"""Messages for the store's tests: well formed, signed with nothing (the store checks no signatures)."""

from __future__ import annotations

import hashlib

from edge.core import cbor, message
from edge.core.message import DIRECT, HEAD, NOTE, RECEIPT, Message

START_S = 1_760_000_000
WEEK_S = 7 * 86400
Body = dict[int, object]


def key(n: int) -> bytes:
    """The 32-byte key of the n-th author."""
    return hashlib.sha256(b"author %d" % n).digest()


def make(author: int = 1, seq: int = 1, at_s: int = START_S, fraction: int = 0, ttl_s: int = WEEK_S, lane: int = 2,
         type: int = NOTE, dest: int | None = None, body: Body | None = None, salt: bytes = b"") -> Message:
    """One message. `salt` makes two with the same fields differ."""
    fields: dict[int, object] = {1: seq, 2: (at_s << 16) + fraction, 3: ttl_s, 4: lane, 5: type}
    if dest is not None:
        fields[6] = key(dest)
    fields[7] = {1: f"message {seq} of author {author}"} if body is None else body
    payload = cbor.encode(fields)
    data = HEAD + key(author) + b"\xa0" + cbor.encode(payload) + b"\x58\x40"
    return message.parse(data + hashlib.sha512(data + salt).digest())


def many(count: int, authors: int = 20, first: int = 0, text_bytes: int = 60, lanes: tuple[int, ...] = (1, 2, 2, 2, 3),
         ttl_s: int = WEEK_S, base: int = 1) -> list[Message]:
    """`count` messages in the order of time, from the `first` of an endless list; authors from `base` on in turn."""
    body: Body = {1: "x" * text_bytes}
    return [
        make(i % authors + base, i // authors + 1, START_S + i // 20, i % 20 * 3000, ttl_s, lanes[i % len(lanes)],
             body=body)
        for i in range(first, first + count)
    ]


def direct(author: int, dest: int, seq: int = 1, at_s: int = START_S, ttl_s: int = WEEK_S) -> Message:
    """A direct message."""
    return make(author, seq, at_s, ttl_s=ttl_s, lane=1, type=DIRECT, dest=dest, body={3: b"sealed"})


def receipt(original: Message, author: int, dest: int, seq: int = 1) -> Message:
    """The receipt of a direct message, from its destination to its author."""
    return make(author, seq, START_S + 60, lane=1, type=RECEIPT, dest=dest, body={1: original.id, 2: 1})
