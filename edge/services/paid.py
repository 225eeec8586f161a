"""A model that costs money: asked last, and only with the owner's address, key and budget of tokens a day.

What a call may cost at most is taken from the budget before anything is sent, and what it did not use is given back;
where the budget can't be asked, nothing is sent. The node speaks no TLS: a child process of paid_client.py does, and
ends with the answer. The key goes to it over a pipe and stands in no command line, log or error. It is the capability
llm.paid of this node alone, which is not there while the internet is not.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import aclosing

from edge.caller import ANCHOR
from edge.errors import CapacityExceeded, Unauthorized, Unavailable
from edge.services import params
from edge.services.models import TOKENS_MAX, messages_field
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import Any

    from edge.caller import Caller
    from edge.ports import BudgetPort

CHAT = "llm.paid"
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "paid_client.py")
LINE_BYTES_MAX = 1 << 20
BYTES_A_TOKEN = 2  # of a prompt, so that a reservation is rather too large
REPLY_S_MAX = 60
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Paid:
    """url: of an OpenAI-compatible service, up to its /v1. Raises ValueError where it would give the key away."""

    def __init__(self, budget: BudgetPort, url: str, key: str, model: str, tokens_day: int) -> None:
        scheme, _, rest = url.partition("://")
        host = rest.partition("/")[0]
        if scheme != "https" and not (scheme == "http" and host.rpartition(":")[0] in _LOOPBACK):
            raise ValueError("must begin with https://, or be http:// on this machine")
        self.name = host
        self._budget = budget
        self._request = {"url": url.rstrip("/") + "/chat/completions", "key": key, "reply_s": REPLY_S_MAX}
        self._model = model
        self._tokens_day = tokens_day

    def service(self) -> Service:
        """The capability, for the node itself."""
        return Service(CHAT, ANCHOR, "continue a conversation with the paid model; for this node's own use", (
            messages_field(), params.whole("max_tokens", 1, TOKENS_MAX, "tokens to write at most", 256)),
            self._serve, streams=True, needs="internet")

    async def _serve(self, caller: Caller, messages: list[dict[str, str]],
                     max_tokens: int) -> AsyncGenerator[dict[str, Any], None]:
        if caller.key is not None:
            raise Unauthorized("the owner pays for it, and only this node's own questions go there")
        async with aclosing(self.chat(messages, max_tokens)) as items:
            async for item in items:
                yield item

    async def chat(self, messages: list[dict[str, str]], max_tokens: int) -> AsyncGenerator[dict[str, Any], None]:
        """{"text"} as it comes, then {"end": {"model", "tokens"}}. Raises CapacityExceeded, Unavailable."""
        size = sum(len(one["content"].encode()) + 16 for one in messages)
        reserved = size // BYTES_A_TOKEN + max_tokens
        day = await self._budget.take(reserved, self._tokens_day)
        if day is None:
            raise CapacityExceeded("today's budget for the paid model does not allow it",
                                   allowed=f"{self._tokens_day} tokens a day", hint="library.paid_tokens_day")
        body = {"model": self._model, "messages": messages, "max_tokens": max_tokens, "stream": True,
                "stream_options": {"include_usage": True}}
        used = 0  # until something came back; then all of it, unless the service says how much
        try:
            async with aclosing(self._items(self._request | {"body": body})) as items:
                async for item in items:
                    used = reserved
                    if "end" in item:
                        used = min(reserved, item["end"]["tokens"] or reserved)
                    yield item
        finally:
            if used < reserved:
                await self._budget.give_back(day, reserved - used)

    async def _items(self, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", CLIENT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL,
            env={}, limit=LINE_BYTES_MAX)
        try:
            if child.stdin is None or child.stdout is None:
                raise Unavailable("the paid model can't be asked: no pipes")
            child.stdin.write(json.dumps(request).encode() + b"\n")
            await child.stdin.drain()
            while line := await child.stdout.readline():
                item = json.loads(line)
                if "error" in item:
                    raise Unavailable(f"the paid model does not answer: {item['error']}")
                yield item
                if "end" in item:
                    return
            raise Unavailable("the paid model's answer broke off")
        except (OSError, ValueError) as error:
            raise Unavailable(f"the paid model can't be asked: {error}") from error
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()
