"""What stewards sign, made for tests: keys, certificates, orders."""

from __future__ import annotations

import hashlib

from edge.compat import crypto
from edge.core import certs, cosign, halt
from edge.core.stewards import Stewards

NOW_S = 1763700000
YEAR_S = 365 * 86400


def seed_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def key_of(name: str) -> bytes:
    return bytes(crypto.public_key(seed_of(name)))


def stewards(needed: int = 2, *names: str, community: str = "Delft") -> Stewards:
    return Stewards(community, [key_of(name) for name in names or ("ann", "ben", "cas")], needed)


def signed(content_type: int, payload: bytes, *names: str) -> bytes:
    """A COSE_Sign of `payload` by the keys of these names."""
    return bytes(cosign.pack(content_type, payload, {
        cosign.kid(key_of(name)): cosign.sign(seed_of(name), content_type, payload) for name in names}))


def certificate(to: str, *by: str, roles: str = "alert", issued_s: int = NOW_S, expires_s: int = NOW_S + YEAR_S,
                community: str = "Delft") -> bytes:
    payload = certs.payload_of(community, key_of(to), roles.split(), issued_s, expires_s)
    return signed(cosign.CERTIFICATE, payload, *by)


def order(epoch: int, scopes: int, *by: str, expires_s: int = NOW_S + 86400, reason: str = "",
          community: str = "Delft") -> bytes:
    return signed(cosign.ORDER, halt.payload_of(community, epoch, scopes, expires_s, reason), *by)
