"""What is provided here, and who may call it: `admit` is the one place where trust is asked for, for calls of this
machine and of neighbours alike. It never runs a capability. docs/CAPABILITIES.md has the version rule.
"""

from __future__ import annotations

import inspect

from edge.bus import names, wire
from edge.caller import ANCHOR, TRUST_NAMES, UNKNOWN
from edge.errors import BadRequest, NotFound, SchemaMismatch, Unauthorized, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import Handler

CAPABILITIES_MAX = wire.OFFERS_MAX


class Entry:
    """One capability provided here."""

    __slots__ = ("name", "version", "handler", "trust", "summary", "needs", "streams")

    def __init__(self, name: str, version: names.Version, handler: Handler, trust: int, summary: str,
                 needs: str) -> None:
        self.name = name
        self.version = version
        self.handler = handler
        self.trust = trust
        self.summary = summary
        self.needs = needs
        self.streams = inspect.isasyncgenfunction(handler)

    def __str__(self) -> str:
        return f"{self.name}@{names.show(self.version)}"


class Registry:
    """The capabilities of this node, by name and version. lacking: what is not there now, and why; a capability that
    needs it is left out until it is back."""

    def __init__(self) -> None:
        self.lacking: dict[str, str] = {}
        self._entries: dict[str, dict[names.Version, Entry]] = {}

    def add(self, name: str, version: str, handler: Handler, trust: int, summary: str, needs: str = "") -> None:
        """Add one; version is "major.minor", trust the least level that may call it. Raises ValueError."""
        _, major, minor = names.parse(f"{name}@{version}")
        if not UNKNOWN <= trust <= ANCHOR:
            raise ValueError(f"trust must be {UNKNOWN}..{ANCHOR}, not {trust!r}")
        versions = self._entries.setdefault(name, {})
        if (major, minor) in versions:
            raise ValueError(f"{name}@{version} is provided already")
        if sum(map(len, self._entries.values())) >= CAPABILITIES_MAX:
            raise ValueError(f"at most {CAPABILITIES_MAX} capabilities")
        versions[(major, minor)] = Entry(name, (major, minor), handler, trust, summary, needs)

    def remove(self, name: str, version: str) -> None:
        """Take one away, if it is there."""
        _, major, minor = names.parse(f"{name}@{version}")
        versions = self._entries.get(name, {})
        versions.pop((major, minor), None)
        if not versions:
            self._entries.pop(name, None)

    def admit(self, caller: Caller, capability: str) -> Entry:
        """The entry that serves this call for its caller. Raises BadRequest, NotFound, SchemaMismatch, Unauthorized,
        Unavailable."""
        name, major, minor = parse(capability)
        versions = self._entries.get(name)
        if not versions:
            raise NotFound(f"there is no capability {name} here", hint="protocol.versions tells what there is")
        version = names.best(versions, major, minor)
        if version is None:
            raise mismatch(name, major, minor, versions)
        entry = versions[version]
        if caller.trust < entry.trust:
            raise Unauthorized(f"{name} is not for callers of trust {TRUST_NAMES[max(0, caller.trust)]}",
                               allowed=" or ".join(TRUST_NAMES[entry.trust:]), hint="ask the steward of this node")
        if entry.needs in self.lacking:
            raise Unavailable(f"{name} needs the {entry.needs}, which is not there: {self.lacking[entry.needs]}",
                              hint="waypost why says more")
        return entry

    def entries(self, trust: int = ANCHOR) -> list[Entry]:
        """What a caller of this trust may call, by name, oldest version first."""
        found = [entry for versions in self._entries.values() for entry in versions.values()
                 if entry.trust <= trust and entry.needs not in self.lacking]
        return sorted(found, key=lambda entry: (entry.name, entry.version))

    def versions(self, name: str) -> Iterable[names.Version]:
        """The versions of one capability."""
        return self._entries.get(name, {}).keys()

    def table(self, trust: int = ANCHOR) -> list[dict[str, Any]]:
        """The same as `entries` for people: {"capability", "trust", "streams", "summary"}."""
        return [
            {"capability": str(entry), "trust": TRUST_NAMES[entry.trust], "streams": entry.streams,
             "summary": entry.summary}
            for entry in self.entries(trust)
        ]


def parse(capability: str) -> tuple[str, int, int]:
    """As names.parse. Raises BadRequest."""
    try:
        return names.parse(capability)
    except ValueError:
        hint = f"say {capability}@1" if names.valid_name(str(capability)) else ""
        raise BadRequest(f"{str(capability)[:80]!r} is not the name of a capability", allowed=names.ALLOWED,
                         hint=hint) from None


def mismatch(name: str, major: int, minor: int, versions: Iterable[names.Version]) -> SchemaMismatch:
    """The error that says which versions there are."""
    offered = ", ".join(names.show(version) for version in sorted(versions))
    return SchemaMismatch(f"{name} is not offered in a version that serves {major}.{minor}", allowed=offered)
