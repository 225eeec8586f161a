"""The local models and their supply as services see them: protocols only, as in edge/ports.py, for the type checker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from edge.ports import BusPort


class ModelsPort(Protocol):
    """The local models as services see them. A job is what edge/models/worker.py does: {"do": ..., ...}."""

    changed: Callable[[], None]  # to be set: called when there are other models than before

    def able(self) -> set[str]:
        """What the installed models can do: "chat", "complete", "embed", "classify"."""

    def rows(self) -> list[dict[str, Any]]:
        """The installed models, by name: {"name", "kind", "does", "id", "bytes", "pinned", "loaded", ...}."""

    def stream(self, job: dict[str, Any], model: str | None) -> AsyncIterator[dict[str, Any]]:
        """Do a job with this model or the one that suits: {"state"} and {"text"} as they come, {"end": facts} last.

        Raises NotFound, CapacityExceeded, Unavailable, BadRequest.
        """


class SupplyPort(Protocol):
    """Where models come from and who gets them, as services see it."""

    def blob_list(self, blob: str) -> Iterator[bytes]:
        """The list of a model file's chunks, in pieces. Raises NotFound."""

    def blob_bytes(self, blob: str, at: int, length: int) -> Iterator[list[Any]]:
        """Some bytes of a model file, in pieces [where in the file, bytes]. Raises NotFound, BadRequest."""

    def fetch(self, bus: BusPort, blob: str, name: str,
              find: Callable[[set[bytes]], Awaitable[list[bytes]]]) -> AsyncIterator[dict[str, Any]]:
        """Fetch a model file from the neighbours whose keys find(known) gives: how far it is, then {"end": row}."""

    def offers(self) -> list[dict[str, Any]]:
        """What sticks offer: {"offer", "name", "bytes", "place", "file"}."""

    def take(self, offer: str) -> AsyncIterator[dict[str, Any]]:
        """Take in what is offered: how far it is, then {"end": row}. Raises NotFound, Unavailable, CapacityExceeded."""
