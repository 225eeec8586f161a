"""Check-ins: who is safe and who needs help, by page, text radio or console, for everybody of the community to see.

A person is known by the name that was typed, so a row says where and when each statement was made and hides none: of
one name the newest of each node is kept, and while one of them asks for help the person counts as needing it, unless
the same node has said otherwise later. PROTOCOL 19.
"""

from __future__ import annotations

from edge.core import checkin, limits, words
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.errors import BadRequest
from edge.services import params
from edge.services.offered import service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.core.message import Message
    from edge.ports import NodePort
    from edge.services.service import Service

TTL_S = 3 * 86400
STATEMENTS_MAX = 5000
_STATES = {"safe": checkin.SAFE, "help": checkin.HELP, "need help": checkin.HELP}
_WORDS = {checkin.SAFE: "safe", checkin.HELP: "help"}


class CheckIns:
    """What was said, and the handlers. where: what this node's place is called, "" for nothing. sure_s(): Unix seconds
    that have surely come. changed(): told of each new one; count(name): counts what can't be read."""

    def __init__(self, node: NodePort, where: str, sure_s: Callable[[], int], count: Callable[[str], None]) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._count = count
        self._node = node
        self._where = where
        self._sure_s = sure_s
        self._said: dict[tuple[str, bytes], Message] = {}  # name, author -> the newest

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            service("checkin.post", (
                params.text("name", limits.CHECKIN_NAME_BYTES_MAX, "who"),
                params.choice("state", tuple(_STATES), "how the person is"),
                params.text("note", limits.CHECKIN_NOTE_BYTES_MAX, "what else to say", None),
                params.text("where", limits.CHECKIN_NAME_BYTES_MAX, "where the person is; this node's place", None),
                params.whole("ttl_s", 3600, 7 * 86400, "seconds until it is forgotten", TTL_S)), self.post),
            service("checkin.list", (
                params.choice("state", ("all", *_STATES), "of these only"),
                params.whole("limit", 1, STATEMENTS_MAX, "at most so many", 1000)), self.listing),
        ]

    def take(self, message: Message) -> None:
        """A CHECKIN is committed. One that can't be read is counted and otherwise ignored."""
        try:
            name = checkin.read(message.body())[0]
        except CodecError as error:
            self._count("drop." + error.reason)
            return
        key = (words.plain(name), message.author)
        before = self._said.get(key)
        if before is not None and before.key >= message.key:
            return
        self._said.pop(key, None)
        self._said[key] = message  # the newest stands last
        if len(self._said) > STATEMENTS_MAX:
            self._make_room()
        self.changed()

    async def post(self, caller: Caller, name: str, state: str, note: str | None, where: str | None,
                   ttl_s: int) -> dict[str, Any]:
        if not words.plain(name):
            raise BadRequest("holds no letter", where="name", allowed="a person's name")
        body: dict[int, Any] = {1: name.strip(), 2: _STATES[state]}
        for key, text in ((3, note), (4, where or self._where)):
            if text:
                body[key] = text.strip()
        id = await self._node.post(messages.CHECKIN, limits.LANE_DIRECT, ttl_s, None, body)
        return {"id": id.hex()}

    async def listing(self, caller: Caller, state: str, limit: int) -> AsyncIterator[dict[str, Any]]:
        people = self.people()
        wanted = _WORDS[_STATES[state]] if state in _STATES else ""
        for row in [row for row in people if wanted in ("", row["state"])][:limit]:
            yield row

    def people(self) -> list[dict[str, Any]]:
        """One row a person, those who need help first, then the newest."""
        now_s = self._sure_s()
        by_name: dict[str, list[Message]] = {}
        for (name, _author), message in self._said.items():
            if message.expires_s > now_s:
                by_name.setdefault(name, []).append(message)
        rows = [_row(said) for said in by_name.values()]
        rows.sort(key=lambda row: (row["state"] != "help", -row["time_ms"]))
        return rows

    def _make_room(self) -> None:
        """Who has expired goes, else the oldest that is safe, else the oldest."""
        now_s = self._sure_s()

        def worth(key: tuple[str, bytes]) -> tuple[bool, bool, bytes]:
            message = self._said[key]
            return message.expires_s > now_s, checkin.read(message.body())[1] == checkin.HELP, message.key

        del self._said[min(self._said, key=worth)]


def _row(said: list[Message]) -> dict[str, Any]:
    said.sort(key=lambda message: message.key, reverse=True)
    statements = []
    for message in said:
        name, state, note, where = checkin.read(message.body())
        statements.append({"name": name, "state": _WORDS[state], "note": note, "where": where,
                           "time_ms": message.time_ms, "expires_s": message.expires_s, "author": message.author.hex()})
    first = next((one for one in statements if one["state"] == "help"), statements[0])
    return {**first, "said": statements}
