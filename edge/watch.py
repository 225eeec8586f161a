"""Who wants to be told of each message of a type that is committed and new here.

Unlike a topic of the bus nothing is ever lost on the way: what a node decides by (alerts, certificates, halts) is told
in the loop's own turn, in the order of the commits. It decides nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.core.message import Message


class Watchers:
    """Those who watch, by type. failed(text): told of one that raised, which keeps none of the others from hearing."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._told: dict[int, list[Callable[[Message], None]]] = {}

    def add(self, type: int, told: Callable[[Message], None]) -> None:
        """From now on told(message) hears of that type; it must not block."""
        self._told.setdefault(type, []).append(told)

    def tell(self, message: Message) -> None:
        """A message is committed that was not here before."""
        for told in self._told.get(message.type, ()):
            try:
                told(message)
            except Exception as fault:
                self._failed(f"a message of type {message.type} made {fault!r}; please report it")
