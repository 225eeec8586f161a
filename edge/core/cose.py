"""COSE_Sign1 (RFC 9052 section 4.2) with EdDSA over Ed25519, as anybody may have made it.

Messages have a form of their own (edge/core/message.py); this is for other signed objects, certificates first. Tagged
and untagged are both read. What is signed must be deterministic CBOR, as everything here; an algorithm other than
Ed25519, a detached payload and critical headers that nobody here understands are refused as such.
"""

from edge.compat import crypto
from edge.core import cbor
from edge.core.cbor import CodecError

ALG_EDDSA = -8
TAG_SIGN1 = 0xD2  # tag 18

_ALG = 1
_CRIT = 2
_ED448_SIGNATURE_BYTES = 114  # the same algorithm number; only the size tells


def split(data):
    """(protected bytes, unprotected dict, payload, signature); checks the shape only. Raises CodecError."""
    at = 1 if data[:1] == bytes((TAG_SIGN1,)) else 0
    if data[at:at + 1] != b"\x84":
        raise CodecError("cose.not_sign1")
    parts, end = cbor.decode_prefix(data, at)
    if end != len(data):
        raise CodecError("cbor.trailing")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not isinstance(unprotected, dict) or not isinstance(signature, bytes):
        raise CodecError("cose.not_sign1")
    if payload is None:
        raise CodecError("cose.detached")
    if not isinstance(payload, bytes):
        raise CodecError("cose.not_sign1")
    return protected, unprotected, payload, signature


def sign1_verify(data, key, external_aad=b""):
    """The payload (bytes) of a COSE_Sign1 whose signature by `key` (32-byte Ed25519 key) is good. Raises CodecError."""
    protected, unprotected, payload, signature = split(data)
    header = cbor.decode(protected) if protected else {}
    if not isinstance(header, dict):
        raise CodecError("cose.header")
    for label in header:
        if label in unprotected:
            raise CodecError("cose.duplicate_label")
    if header.get(_ALG) != ALG_EDDSA or len(signature) == _ED448_SIGNATURE_BYTES:
        raise CodecError("cose.unsupported_alg")
    if _CRIT in header:
        raise CodecError("cose.critical")
    signed = cbor.encode(["Signature1", protected, external_aad, payload])
    if len(signature) != 64 or not crypto.verify(key, signed, signature):
        raise CodecError("cose.bad_signature")
    return payload
