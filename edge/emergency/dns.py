"""One DNS question and what its answer is worth (RFC 1035), as bytes; no socket and no clock here.

The name that is asked for is made up anew each time, below a name that is served, so that no cache on the way can
answer in place of the internet: that it does not exist is as good an answer as any. SERVFAIL and REFUSED are none: so
answers a router that has nothing behind it.
"""

from __future__ import annotations

A = 1
_IN = 1
_RESPONSE, _RECURSION_WANTED, _TRUNCATED = 0x8000, 0x0100, 0x0200
_NO_ERROR, _NO_SUCH_NAME = 0, 3
_HEAD_BYTES = 12
_ANSWERS_MAX = 32
_JUMPS_MAX = 16


def query(number: int, name: str) -> bytes:
    """The question for the IPv4 addresses of a name; number: 0..65535, random. Raises ValueError for a name that is
    none."""
    flags = _RECURSION_WANTED
    head = b"".join(part.to_bytes(2, "big") for part in (number, flags, 1, 0, 0, 0))
    return head + _question(name)


def is_answer(data: bytes, number: int, name: str) -> bool:
    """Whether this is an answer to that question of somebody who could ask: the name exists, or surely doesn't."""
    return _fits(data, number, name) and data[3] & 15 in (_NO_ERROR, _NO_SUCH_NAME)


def addresses(data: bytes, number: int, name: str) -> list[str]:
    """The IPv4 addresses in an answer to that question; none where there is none or it can't be read."""
    if not _fits(data, number, name) or data[3] & 15 != _NO_ERROR:
        return []
    out: list[str] = []
    at = _HEAD_BYTES + len(_question(name))
    for _ in range(min(int.from_bytes(data[6:8], "big"), _ANSWERS_MAX)):
        at = _skip_name(data, at)
        kind, length = int.from_bytes(data[at:at + 2], "big"), int.from_bytes(data[at + 8:at + 10], "big")
        if at < 0 or at + 10 + length > len(data):
            return out
        if kind == A and length == 4:
            out.append(".".join(map(str, data[at + 10:at + 14])))
        at += 10 + length
    return out


def _question(name: str) -> bytes:
    labels = name.rstrip(".").encode("ascii").split(b".")
    if not all(0 < len(one) < 64 for one in labels) or len(name) > 253:
        raise ValueError(f"{name!r} is no name of a host")
    return b"".join(bytes((len(one),)) + one for one in labels) + b"\0" + bytes((0, A, 0, _IN))


def _fits(data: bytes, number: int, name: str) -> bool:
    question = _question(name)
    if len(data) < _HEAD_BYTES + len(question) or int.from_bytes(data[:2], "big") != number:
        return False
    flags = int.from_bytes(data[2:4], "big")
    echoed = data[_HEAD_BYTES:_HEAD_BYTES + len(question)]
    return bool(flags & _RESPONSE) and data[4:6] == b"\0\1" and echoed.lower() == question.lower()


def _skip_name(data: bytes, at: int) -> int:
    """Where a name ends; -1 where it doesn't."""
    for _ in range(_JUMPS_MAX * 8):
        if at >= len(data):
            return -1
        length = data[at]
        if length >= 0xC0:
            return at + 2
        at += 1 + length
        if length == 0:
            return at
    return -1
