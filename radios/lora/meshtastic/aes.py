"""AES in counter mode (FIPS 197, NIST SP 800-38A 6.5), encryption only: what Meshtastic's channels are encrypted with.

libsodium has no AES in this mode. Tables are made at the first use. It is not constant-time: a channel key is shared by
everybody on the channel and protects nothing of ours, whose messages are signed, and sealed where they are private.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    Words = list[int]

_SBOX: list[int] = []
_T: list[list[int]] = []  # a column of SubBytes and MixColumns in one, rotated for each row


def _double(x: int) -> int:
    return x << 1 ^ (0x11B if x & 128 else 0)


def _make_tables() -> None:
    power = [1]
    for _ in range(254):
        power.append(power[-1] ^ _double(power[-1]))  # times 3, a generator
    log = {x: i for i, x in enumerate(power)}
    for x in range(256):
        y = power[-log[x] % 255] if x else 0
        y ^= y << 1 ^ y << 2 ^ y << 3 ^ y << 4
        _SBOX.append((y ^ y >> 8) & 255 ^ 0x63)
    first = [_double(s) << 24 | s << 16 | s << 8 | _double(s) ^ s for s in _SBOX]
    for row in range(4):
        _T.append([(t >> 8 * row | t << 32 - 8 * row) & 0xFFFFFFFF for t in first])


def expand(key: bytes) -> Words:
    """The round keys of a 16- or 32-byte key. Raises ValueError for another length."""
    if len(key) not in (16, 32):
        raise ValueError(f"an AES key here has 16 or 32 bytes, not {len(key)}")
    if not _SBOX:
        _make_tables()
    n = len(key) // 4
    words = list(struct.unpack(f">{n}I", key))
    round_constant = 1
    for i in range(n, 4 * (n + 7)):
        word = words[-1]
        if i % n == 0:
            word = (word << 8 | word >> 24) & 0xFFFFFFFF
        if i % n == 0 or (n == 8 and i % n == 4):
            word = (_SBOX[word >> 24] << 24 | _SBOX[word >> 16 & 255] << 16 | _SBOX[word >> 8 & 255] << 8
                    | _SBOX[word & 255])
        if i % n == 0:
            word ^= round_constant << 24
            round_constant = _double(round_constant)
        words.append(words[i - n] ^ word)
    return words


def encrypt_block(words: Words, block: bytes) -> bytes:
    """One block of 16 bytes, with the words of `expand`."""
    t0, t1, t2, t3 = _T
    a, b, c, d = (x ^ k for x, k in zip(struct.unpack(">4I", block), words, strict=False))
    for at in range(4, len(words) - 4, 4):
        a, b, c, d = (
            t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ words[at],
            t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ words[at + 1],
            t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ words[at + 2],
            t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ words[at + 3],
        )
    s = _SBOX
    return struct.pack(
        ">4I",
        (s[a >> 24] << 24 | s[b >> 16 & 255] << 16 | s[c >> 8 & 255] << 8 | s[d & 255]) ^ words[-4],
        (s[b >> 24] << 24 | s[c >> 16 & 255] << 16 | s[d >> 8 & 255] << 8 | s[a & 255]) ^ words[-3],
        (s[c >> 24] << 24 | s[d >> 16 & 255] << 16 | s[a >> 8 & 255] << 8 | s[b & 255]) ^ words[-2],
        (s[d >> 24] << 24 | s[a >> 16 & 255] << 16 | s[b >> 8 & 255] << 8 | s[c & 255]) ^ words[-1],
    )


def ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt `data`. counter: the first counter block, 16 bytes, counted up as one big-endian number."""
    if len(counter) != 16:
        raise ValueError(f"a counter block has 16 bytes, not {len(counter)}")
    words = expand(key)
    number = int.from_bytes(counter, "big")
    stream = b"".join(
        encrypt_block(words, (number + i & (1 << 128) - 1).to_bytes(16, "big")) for i in range(-(-len(data) // 16)))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")).to_bytes(len(data), "big")
