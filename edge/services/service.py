"""A built-in capability as it is declared, and its parameters checked before it runs.

The fields of a capability make its check, its errors and its line in docs/CAPABILITIES.md. An error says which
parameter, what is wrong with it and what is allowed. Parameters that a version does not know are left aside, for a
newer caller may send more.
"""

from __future__ import annotations

from edge.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import BusPort, Handler

REQUIRED = object()


class Field:
    """One parameter. check(value) gives the value to use or raises ValueError with what is wrong with it."""

    __slots__ = ("name", "allowed", "check", "default", "about")

    def __init__(self, name: str, allowed: str, check: Callable[[Any], Any], about: str,
                 default: Any = REQUIRED) -> None:
        self.name = name
        self.allowed = allowed
        self.check = check
        self.about = about
        self.default = default


class Service:
    """One built-in capability: handler(caller, **fields), streaming when it is an async generator function."""

    __slots__ = ("name", "version", "trust", "summary", "fields", "handler", "streams", "needs")

    def __init__(self, name: str, trust: int, summary: str, fields: tuple[Field, ...], handler: Callable[..., Any], *,
                 streams: bool = False, version: str = "1.0", needs: str = "") -> None:
        self.name = name
        self.version = version
        self.trust = trust
        self.summary = summary
        self.fields = fields
        self.handler = handler
        self.streams = streams
        self.needs = needs

    def provide(self, bus: BusPort) -> None:
        """Offer it on a bus."""
        handler: Handler = self._stream if self.streams else self._call
        bus.provide(self.name, self.version, handler, trust=self.trust, summary=self.summary, needs=self.needs)

    async def _call(self, caller: Caller, params: dict[str, Any]) -> Any:
        return await self.handler(caller, **take(self.fields, params))

    async def _stream(self, caller: Caller, params: dict[str, Any]) -> AsyncIterator[Any]:
        items = self.handler(caller, **take(self.fields, params))
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()


def take(fields: tuple[Field, ...], params: dict[str, Any]) -> dict[str, Any]:
    """The values of `fields`, defaults where nothing (or null) is given. Raises BadRequest."""
    values = {}
    for field in fields:
        value = params.get(field.name)
        if value is None:
            if field.default is REQUIRED:
                raise BadRequest("is missing", where=field.name, allowed=field.allowed)
            values[field.name] = field.default
            continue
        try:
            values[field.name] = field.check(value)
        except ValueError as error:
            raise BadRequest(str(error), where=field.name, allowed=field.allowed) from None
    return values
