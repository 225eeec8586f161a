"""Typed errors with stable codes. Each says what, where, what was allowed and what to do.

Errors that cross the bus carry `code` and travel as such; a peer of another version may know fewer codes, so the set
only grows. `docs/ERRORS.md` is generated from this file.
"""

from __future__ import annotations


class WaypostError(Exception):
    """Base of all errors that a person may see. `code` is stable; `hint` says what to do."""

    code = "internal"

    def __init__(self, message: str, *, where: str = "", allowed: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.allowed = allowed
        self.hint = hint

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, str]:
        """The error as it is printed by --json: code, message, and where/allowed/hint when they say something."""
        out = {"code": self.code, "message": self.message}
        for name in ("where", "allowed", "hint"):
            value = getattr(self, name)
            if value:
                out[name] = value
        return out


class ConfigError(WaypostError):
    """waypost.toml, a board file or a --set is wrong."""

    code = "config"


class StoreError(WaypostError):
    """The database can't be opened, read or written."""

    code = "store"


class StoreNewer(StoreError):
    """The database was written by a newer version; it is left as it is."""

    code = "store_newer"


class CourierError(WaypostError):
    """A courier file can't be written, or is not whole."""

    code = "courier"
    so_far: dict[str, object] = {}  # what an import had taken in before the fault; printed beside the error


class PackError(WaypostError):
    """A knowledge pack is not whole, not signed by somebody known, or can't be read here."""

    code = "pack"


class KeyFileError(WaypostError):
    """The identity key is missing, unreadable, malformed or readable by others."""

    code = "key"


class LinkError(WaypostError):
    """A link can't be brought up."""

    code = "link"


class NotRunning(WaypostError):
    """No node answers on the control socket of this directory."""

    code = "not_running"


class AlreadyRunning(WaypostError):
    """Another node holds this directory."""

    code = "already_running"


class BusError(WaypostError):
    """A capability call failed; the subclasses are all that cross the wire."""

    code = "internal"


class NotFound(BusError):
    """No such capability, or no such thing."""

    code = "not_found"


class SchemaMismatch(BusError):
    """The capability exists, but in no version that the caller can use."""

    code = "schema_mismatch"


class Unauthorized(BusError):
    """The caller's trust level is below what the capability asks for."""

    code = "unauthorized"


class BadRequest(BusError):
    """The parameters are wrong."""

    code = "bad_request"


class DeadlineExceeded(BusError):
    """No answer in time."""

    code = "deadline_exceeded"


class CapacityExceeded(BusError):
    """Too busy or too full to do it now."""

    code = "capacity_exceeded"


class RateLimited(BusError):
    """This caller has used up its share for now."""

    code = "rate_limited"


class Unavailable(BusError):
    """The peer or the part that would do it is not there now."""

    code = "unavailable"


class Cancelled(BusError):
    """The caller gave up."""

    code = "cancelled"


BUS_ERRORS: dict[str, type[BusError]] = {
    cls.code: cls
    for cls in (
        BusError, NotFound, SchemaMismatch, Unauthorized, BadRequest,
        DeadlineExceeded, CapacityExceeded, RateLimited, Unavailable, Cancelled,
    )
}
