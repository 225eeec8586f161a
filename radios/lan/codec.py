"""What discovery puts on the wire: the announce, a signed datagram to a multicast group.

Pure: bytes in, bytes out; no socket, no clock, no secret but the seed that signs. docs/PROTOCOL.md section 8. All
integers big-endian. The group is 239.192.87.80 and ff02::5750, UDP port 7374.

    announce    "WP" | version 1 | flags 1 | key 32 | port 2 | boot 8 | counter 4 | ask 8 | echo 8 | [mac 8] | sig 64
    flags       1 there is a community MAC, 2 sent to you alone, 4 goodbye; others are ignored
    mac, sig    edge/core/community.py, and Ed25519 by `key`: each over everything before it
    port        where it takes TCP sessions (radios/lan/records.py), and datagrams of leaves
    boot        drawn at each start; counter grows with every announce of one start

`ask` is a question: whoever answers puts it into `echo`, which proves that the answer is not a recording. So nothing
here needs a right clock, which a Pi does not have after a power cut.
"""

from __future__ import annotations

import struct

from edge.compat import crypto
from edge.core.cbor import CodecError
from edge.core.community import Mac

MAGIC = b"WP"
VERSION = 1
FLAG_MAC, FLAG_DIRECT, FLAG_BYE = 1, 2, 4
NO_ASK = bytes(8)
ANNOUNCE_BYTES_MAX = 256  # a later version may be longer; ours has 130, or 138 with a MAC
_HEAD = struct.Struct(">2sBB32sH8sI8s8s")
_SIGNATURE_BYTES = 64


class Announce:
    """One announce: who is where, and which start of it this is. `signed` and `signature` are set by unpack."""

    __slots__ = ("key", "port", "boot", "counter", "ask", "echo", "flags", "signed", "signature")

    def __init__(self, key: bytes, port: int, boot: bytes, counter: int, ask: bytes, echo: bytes, flags: int) -> None:
        self.key = key
        self.port = port
        self.boot = boot
        self.counter = counter
        self.ask = ask
        self.echo = echo
        self.flags = flags
        self.signed = b""
        self.signature = b""


def pack_announce(announce: Announce, seed: bytes, mac: Mac) -> bytes:
    """The datagram, with MAC if there is a community key, and signed."""
    flags = announce.flags | (FLAG_MAC if mac.bytes else 0)
    head = _HEAD.pack(MAGIC, VERSION, flags, announce.key, announce.port, announce.boot, announce.counter,
                      announce.ask, announce.echo)
    signed: bytes = mac.put(head)
    return signed + bytes(crypto.sign(seed, signed))


def unpack_announce(data: bytes, mac: Mac) -> Announce:
    """The announce in a datagram; its signature is still to be verified over `signed`.

    Raises CodecError: announce.malformed, announce.version, announce.community_key.
    """
    if len(data) < 4 or len(data) > ANNOUNCE_BYTES_MAX or data[:2] != MAGIC:
        raise CodecError("announce.malformed")
    if data[2] != VERSION:
        raise CodecError("announce.version")
    has_mac = data[3] & FLAG_MAC != 0
    if len(data) != _HEAD.size + (8 if has_mac else 0) + _SIGNATURE_BYTES:
        raise CodecError("announce.malformed")
    signed = data[:-_SIGNATURE_BYTES]
    if has_mac != (mac.bytes != 0) or mac.take(signed) is None:
        raise CodecError("announce.community_key")
    _, _, flags, key, port, boot, counter, ask, echo = _HEAD.unpack_from(data)
    if port == 0:
        raise CodecError("announce.malformed")
    announce = Announce(key, port, boot, counter, ask, echo, flags)
    announce.signed = signed
    announce.signature = data[-_SIGNATURE_BYTES:]
    return announce
