"""The board and the messages: board.post, board.list, messages.post, messages.list, messages.import.

The board is for everybody near, so a stranger may read it and a member (or whoever stands before this node's page) may
post. What is addressed to one node is nobody else's business: only the owner sees that such messages exist. The lanes
for alerts and direct messages are the owner's alone.
"""

from __future__ import annotations

from edge.caller import ANCHOR, MEMBER, TRUSTED, UNKNOWN
from edge.core import limits
from edge.core import message as messages
from edge.errors import BadRequest, Unauthorized
from edge.services import params, rows, who
from edge.services.service import Service
from edge.services.triage import WORDS, Raise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import HintsPort, NodePort, StorePort

FREE_TYPES = (messages.NOTICE, messages.NOTE)  # beside those that the protocol has no meaning for
_SEARCH = params.text("search", params.SEARCH_BYTES_MAX, "only what holds words that begin so", None)


class Community:
    """The handlers. import_frame: takes one MESSAGES frame of a courier file. hints: triage, where there is one."""

    def __init__(self, node: NodePort, store: StorePort, now_s: Callable[[], int],
                 import_frame: Callable[[bytes], Awaitable[dict[str, Any]]] | None, hints: HintsPort | None) -> None:
        self._node = node
        self._store = store
        self._now_s = now_s
        self._import_frame = import_frame
        self._raise = Raise(hints) if hints is not None else None

    def services(self) -> list[Service]:
        """What this part provides."""
        found = [
            Service("board.post", MEMBER, "put a notice on the board; answers {id, raised} once it is kept", (
                params.notice_text(), params.text("name", params.NAME_BYTES_MAX, "the name under it", None),
                params.ttl(limits.TTL_S_DEFAULT),
                params.choice("urgent", WORDS, "whether it is a call for help; auto: triage looks")), self.board_post),
            Service("board.list", UNKNOWN, "the notices on the board, newest first", (*params.page(), _SEARCH),
                    self.board_list, streams=True),
            Service("messages.post", TRUSTED, "author a message with a text; answers {id} once it is kept", (
                params.notice_text(), params.whole("type", 1, 65535, "the message type's number", messages.NOTE),
                params.whole("lane", 0, limits.LANES - 1, "2 community, 3 bulk; 0 and 1 for the owner only",
                             limits.LANE_COMMUNITY),
                params.ttl(limits.TTL_S_DEFAULT)), self.messages_post),
            Service("messages.list", MEMBER, "what the node holds, newest first; direct messages for the owner only", (
                *params.page(), params.whole("lane", 0, limits.LANES - 1, "of this lane only", None),
                params.whole("type", 0, 65535, "of this type only", None),
                params.node("author", "of this node only", None), _SEARCH), self.messages_list, streams=True),
        ]
        if self._import_frame is not None:
            found.append(Service("messages.import", ANCHOR, "take in one frame of a courier file; answers {new, known, "
                                 "refused}", (params.blob("frame", limits.FRAME_BYTES_MAX, "a MESSAGES frame"),),
                                 self.messages_import))
        return found

    async def board_post(self, caller: Caller, text: str, name: str | None, ttl_s: int, urgent: str) -> dict[str, Any]:
        body = {rows.TEXT: text} if name is None else {rows.TEXT: text, rows.NAME: name}
        if self._raise is None:
            return await self._post(messages.NOTICE, limits.LANE_COMMUNITY, ttl_s, body)
        lane = await self._raise.lane(text, urgent)
        answer = await self._post(messages.NOTICE, lane, ttl_s, body)
        await self._raise.keep(bytes.fromhex(answer["id"]), urgent, name, self._now_s())
        return answer | {"raised": lane < limits.LANE_COMMUNITY}

    async def board_list(self, caller: Caller, limit: int, before_hlc: int | None,
                         search: str | None) -> AsyncIterator[dict[str, Any]]:
        reader = rows.Reader(self._store, before_hlc, self._now_s(), type=messages.NOTICE, search=search)
        while limit and (page := await reader.page()):
            for row in page[:limit]:
                yield rows.shape_with_fate(row, self._node)
            limit -= min(limit, len(page))

    async def messages_post(self, caller: Caller, text: str, type: int, lane: int, ttl_s: int) -> dict[str, Any]:
        if type <= messages.CERT and type not in FREE_TYPES:
            raise BadRequest(f"messages of type {type} are not made this way", where="type",
                             allowed="1, 5, 11 or more", hint="direct.send and alert.send are for two of them")
        if lane < limits.LANE_COMMUNITY and caller.trust < ANCHOR:
            raise Unauthorized(f"lane {lane} is for this node's owner", where="lane", allowed="2, 3")
        return await self._post(type, lane, ttl_s, {rows.TEXT: text})

    async def messages_list(self, caller: Caller, limit: int, before_hlc: int | None, lane: int | None,
                            type: int | None, author: str | None, search: str | None) -> AsyncIterator[dict[str, Any]]:
        key = None if author is None else who.find(author, self._node, self._store, self._now_s, "author")
        reader = rows.Reader(self._store, before_hlc, self._now_s(), type=type, lane=lane, author=key, search=search)
        while limit and (page := await reader.page()):
            seen = [row for row in page if row["dest"] is None or caller.trust >= ANCHOR][:limit]
            for row in seen:
                yield rows.shape_with_fate(row, self._node)
            limit -= len(seen)

    async def messages_import(self, caller: Caller, frame: bytes) -> dict[str, Any]:
        if self._import_frame is None:
            raise BadRequest("this node takes no frames")
        return await self._import_frame(frame)

    async def _post(self, type: int, lane: int, ttl_s: int, body: dict[int, Any]) -> dict[str, Any]:
        return {"id": (await self._node.post(type, lane, ttl_s, None, body)).hex()}
