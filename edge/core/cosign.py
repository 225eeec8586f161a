"""COSE_Sign (RFC 9052 section 4.1): one payload, signed by several keys. What stewards sign together has this form.

    d8 62 84 | 45 a1 03 19 <content type> | a0 | <payload bstr> | 80+n  n times a signature
    signature  83 | 43 a1 01 27 | a1 04 48 <kid 8> | 58 40 <signature 64>          in the order of the kids, each once

The content type is signed with the payload, so that a certificate is never taken for an order. `kid` is the beginning
of the signer's key: it says which key to try and proves nothing. Whose signatures count is decided by the caller.
PROTOCOL 17.1.
"""

from edge.compat import crypto
from edge.core import cbor, limits
from edge.core.cbor import CodecError

CERTIFICATE = 65002  # content types, of the CoAP range for experiments like that of messages
ORDER = 65003
PACK = 65004
KID_BYTES = 8

_TAG = b"\xd8\x62"
_ALG = b"\xa1\x01\x27"  # {1: -8}, EdDSA
_SIGNATURE_BYTES = 64


def kid(key):
    """The 8 bytes by which a signature names its key (32 bytes)."""
    return key[:KID_BYTES]


def sign(seed, content_type, payload):
    """One signature (64 bytes) over `payload` (bytes) by the key of `seed` (32 bytes)."""
    return crypto.sign(seed, _signed(content_type, payload))


def pack(content_type, payload, signatures):
    """The whole object. signatures: {kid: signature}, 1 to limits.STEWARDS_MAX of them."""
    parts = []
    for one in sorted(signatures):
        parts.append([_ALG, {4: one}, signatures[one]])
    return _TAG + cbor.encode([_protected(content_type), {}, payload, parts])


def split(data, content_type):
    """(payload, {kid: signature}) of `data` (bytes); checks the form only. Raises CodecError("cosign.form")."""
    if not isinstance(data, bytes) or data[:2] != _TAG or len(data) > limits.BODY_BYTES_MAX:
        raise CodecError("cosign.form")
    parts = cbor.decode(data[2:])
    if not isinstance(parts, list) or len(parts) != 4 or parts[0] != _protected(content_type) or parts[1] != {}:
        raise CodecError("cosign.form")
    payload = parts[2]
    if not isinstance(payload, bytes) or not isinstance(parts[3], list):
        raise CodecError("cosign.form")
    signatures = {}
    last = b""
    for one in parts[3]:
        if not isinstance(one, list) or len(one) != 3 or one[0] != _ALG or not isinstance(one[1], dict):
            raise CodecError("cosign.form")
        name = one[1].get(4)
        if len(one[1]) != 1 or not _is_bytes(name, KID_BYTES) or not _is_bytes(one[2], _SIGNATURE_BYTES):
            raise CodecError("cosign.form")
        if name <= last:
            raise CodecError("cosign.form")
        last = name
        signatures[name] = one[2]
    if not 0 < len(signatures) <= limits.STEWARDS_MAX:
        raise CodecError("cosign.form")
    return payload, signatures


def signers(content_type, payload, signatures, keys, verify=crypto.verify):
    """Those of `keys` (list of 32 bytes) that have signed well, in their order; each is tried once."""
    signed = _signed(content_type, payload)
    return [key for key in keys if kid(key) in signatures and verify(key, signed, signatures[kid(key)])]


def _protected(content_type):
    return cbor.encode({3: content_type})


def _signed(content_type, payload):
    return cbor.encode(["Signature", _protected(content_type), _ALG, b"", payload])


def _is_bytes(value, size):
    return isinstance(value, bytes) and len(value) == size
