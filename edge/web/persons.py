"""What a person at the page may do about an emergency: declare it, say that it is over, stop the node, let it go on.

No key and no account is asked for, but that whoever does it is in the node's own network and has said yes to the
question first: a request is answered with a word that stands for the question, and only the same client's second
request with that word is carried out. The rest is for the capabilities of edge/services/emergency.py.
"""

from __future__ import annotations

import json
import os
import time

from edge.errors import BadRequest, Unauthorized
from edge.web.guard import client_of, is_near

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

CONFIRM_S = 120
QUESTIONS_MAX = 64
# what may be asked for -> the capability and its parameters
ACTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "emergency": ("emergency.declare@1", {"level": "emergency"}),
    "watch": ("emergency.declare@1", {"level": "watch"}),
    "over": ("emergency.declare@1", {"level": "none"}),
    "stop": ("emergency.stop@1", {}),
    "resume": ("emergency.resume@1", {}),
}
SHOWN = ("condition", "reach", "stopped", "stopped_here", "person")


class Persons:
    """call(capability, params) asks the bus in the page's name. clock() gives monotonic seconds."""

    def __init__(self, call: Callable[[str, dict[str, Any]], Awaitable[Any]],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._clock = clock
        self._questions: dict[str, tuple[str, str, float]] = {}  # word -> (client, action, until)

    async def facts(self) -> dict[str, Any]:
        """What the page shows of how things are."""
        return shown(await self._call("emergency.status@1", {}))

    async def act(self, address: str, body: bytes) -> dict[str, Any]:
        """{"do": action} gives {"confirm": word, "for_s"}; with that word beside it, it is done and gives the facts.

        Raises BadRequest, and Unauthorized for whoever is not near.
        """
        action, word = _parse(body)
        if not is_near(address):
            raise Unauthorized("only somebody in this node's own network may do that",
                               hint="come to the node, or ask who looks after it")
        client = client_of(address)
        if not word:
            return self._ask(client, action)
        asked = self._questions.pop(word, None)
        if asked is None or asked[:2] != (client, action) or asked[2] < self._clock():
            raise BadRequest("that was not asked, or too long ago", hint="try again")
        name, params = ACTIONS[action]
        return shown(await self._call(name, params))

    def _ask(self, client: str, action: str) -> dict[str, Any]:
        now_s = self._clock()
        self._questions = {word: asked for word, asked in self._questions.items()
                           if asked[2] >= now_s and asked[:2] != (client, action)}
        while len(self._questions) >= QUESTIONS_MAX:
            del self._questions[next(iter(self._questions))]
        word = os.urandom(8).hex()
        self._questions[word] = (client, action, now_s + CONFIRM_S)
        return {"confirm": word, "for_s": CONFIRM_S}


def shown(facts: dict[str, Any]) -> dict[str, Any]:
    """Of emergency.status what the page needs."""
    return {name: facts[name] for name in SHOWN} | {"theme": facts["policy"]["theme"]}


def _parse(body: bytes) -> tuple[str, str]:
    try:
        given = json.loads(body)
        action, word = given.get("do"), given.get("confirm") or ""
        if action not in ACTIONS or not isinstance(word, str):
            raise ValueError
    except (ValueError, AttributeError, RecursionError, TypeError):
        raise BadRequest('this must be {"do": "...", "confirm": "..."}', allowed=", ".join(ACTIONS)) from None
    return action, word
