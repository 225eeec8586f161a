"""The two controls of a session, and the words that end one. PROTOCOL 8.2.

Pure: bytes in, bytes out. A control is a plaintext whose first byte is 00, which no link frame has. Before there are
keys, one byte alone, an index into WORDS, refuses (a hint: nobody signs it). All integers big-endian.

    00 01 | generation 4    ready: the handshake suits me; the node with the lower key numbers the sessions
    00 02 | code 1          closing, and why: an index into WORDS
"""

from __future__ import annotations

from edge.core.cbor import CodecError

READY, CLOSE = 1, 2
# the indexes are on the wire: add at the end only
WORDS = ("closed", "busy", "community_key", "duplicate", "same_key", "self", "stopped", "replaced", "error", "silent",
         "idle")


def pack_control(kind: int, value: int) -> bytes:
    """The plaintext of READY (value: generation) or CLOSE (value: index into WORDS)."""
    return bytes((0, kind)) + value.to_bytes(4 if kind == READY else 1, "big")


def unpack_control(plaintext: bytes) -> tuple[int, int]:
    """(kind, value) of a control plaintext; kind 0 is one of a later version. Raises CodecError session.control."""
    kind = plaintext[1] if len(plaintext) > 1 else -1
    size = {READY: 6, CLOSE: 3}.get(kind)
    if size is None:
        if kind < 0:
            raise CodecError("session.control")
        return 0, 0
    if len(plaintext) < size:
        raise CodecError("session.control")
    return kind, int.from_bytes(plaintext[2:size], "big")


def word_of(code: int) -> str:
    """The word for a code from the wire; one of a later version is "closed"."""
    return WORDS[code] if code < len(WORDS) else WORDS[0]
