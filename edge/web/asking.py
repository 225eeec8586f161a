"""Asking from the page: `ask@1` as lines of JSON, each sent as it comes, or whole where the way can't stream.

A fault behind the first line is a line {"error": {...}} itself, for the status has gone out by then. When the phone
hangs up, the stream is closed, and with it whatever a model is still writing.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from edge.caller import PAGE
from edge.errors import BadRequest, BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.ports import BusPort

CALL_MS = 600000
QUESTION_BYTES_MAX = 1000


def params(body: bytes) -> tuple[dict[str, Any], bool]:
    """(the parameters of ask@1, whether the answer is wanted whole) of a request body. Raises BadRequest."""
    try:
        given = json.loads(body)
        question, by, whole = given["question"], given.get("by", "auto"), given.get("whole", False)
        if not isinstance(question, str) or not isinstance(whole, bool) or by not in ("auto", "library"):
            raise ValueError
        size = len(question.strip().encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadRequest('a question is {"question": "...", "by": "auto" or "library"}') from None
    if not size:
        raise BadRequest("there is nothing to ask yet", hint="write a question first")
    if size > QUESTION_BYTES_MAX:
        raise BadRequest("the question is too long", allowed=f"{QUESTION_BYTES_MAX} bytes", hint="make it shorter")
    return {"question": question.strip(), "by": by}, whole


async def lines(bus: BusPort, asked: dict[str, Any]) -> AsyncIterator[bytes]:
    """The items of an answer, a line each."""
    try:
        items: Any = bus.stream("ask@1", asked, caller=PAGE, deadline_ms=CALL_MS)
        async with aclosing(items):
            async for item in items:
                yield _line(item)
    except BusError as error:
        yield _line({"error": {"code": error.code, "message": error.message, "hint": error.hint}})


async def whole(bus: BusPort, asked: dict[str, Any]) -> dict[str, Any]:
    """{"passages", "good", "text", "end"}. Raises BusError."""
    out: dict[str, Any] = {"passages": [], "good": False, "text": "", "end": {}}
    for item in await bus.call("ask@1", asked, caller=PAGE, deadline_ms=CALL_MS):
        out["text"] += item.get("text", "")
        out |= {name: item[name] for name in ("passages", "good", "end") if name in item}
    return out


def _line(item: dict[str, Any]) -> bytes:
    return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=bytes.hex).encode() + b"\n"
