"""Who calls a capability, and how far that one is trusted: the words that a node's parts share at run time."""

from __future__ import annotations

UNKNOWN, MEMBER, TRUSTED, ANCHOR = 0, 1, 2, 3
TRUST_NAMES = ("unknown", "member", "trusted", "anchor")


class Caller:
    """Who calls: trust level, the peer's key (None: this machine) and the way it came ("local", "page", link name)."""

    __slots__ = ("key", "trust", "via")

    def __init__(self, trust: int, key: bytes | None, via: str) -> None:
        self.trust = trust
        self.key = key
        self.via = via


LOCAL = Caller(ANCHOR, None, "local")
PAGE = Caller(MEMBER, None, "page")
