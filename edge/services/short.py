"""Answers for a radio: at most two texts of 193 bytes at a time, the rest for whoever says "more".

It decides how an answer is cut and how long the rest is kept. Who may ask, and in which words that is said over a
radio, is for the text service.
"""

from __future__ import annotations

import re
import time
from contextlib import aclosing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Any

    from edge.caller import Caller

PART_BYTES_MAX = 193  # of 200: whoever says it over a radio adds " (more)"
PARTS_MAX = 2
PASSAGES = 2
ANSWER_BYTES_MAX = 4000
KEPT_S = 900
ASKERS_MAX = 64
MORE = "more"
NO_MATCH = "The library has no good match for that. Try other words."
NOTHING_LEFT = "There is no more. Ask a question first."
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class Short:
    """ask: the handler of `ask`."""

    def __init__(self, ask: Callable[..., AsyncGenerator[dict[str, Any], None]]) -> None:
        self._ask = ask
        self._left: dict[str, tuple[float, list[str]]] = {}  # by asker: until when, the parts not sent yet

    async def answer(self, caller: Caller, question: str, who: str, by: str) -> dict[str, Any]:
        """{"parts": 1 or 2 texts, "more": whether there is more}."""
        self._forget(time.monotonic())
        if question.strip().lower().rstrip(".!") == MORE:
            _, parts = self._left.pop(who, (0.0, [NOTHING_LEFT]))
        else:
            parts = cut(await self._text(caller, question, by))
        if len(parts) > PARTS_MAX:
            self._left.pop(who, None)
            if len(self._left) >= ASKERS_MAX:
                del self._left[next(iter(self._left))]
            self._left[who] = (time.monotonic() + KEPT_S, parts[PARTS_MAX:])
        return {"parts": parts[:PARTS_MAX], "more": len(parts) > PARTS_MAX}

    async def _text(self, caller: Caller, question: str, by: str) -> str:
        passages: list[dict[str, Any]] = []
        good, said = False, []
        cites: list[int] = []
        async with aclosing(self._ask(caller, question, by, PASSAGES)) as items:
            async for item in items:
                if "passages" in item:
                    passages, good = item["passages"], item["good"]
                said.append(item.get("text", ""))
                cites = item.get("end", {}).get("cites", cites)
        if not good:
            return NO_MATCH
        answer = "".join(said).strip()
        if answer:
            named = [passages[number - 1] for number in cites if number <= len(passages)] or passages[:1]
            return f"{answer} ({'; '.join(place(row) for row in named)})"
        return " ".join(f"{place(row)}: {excerpt(row)}" for row in passages)

    def _forget(self, now_s: float) -> None:
        self._left = {who: kept for who, kept in self._left.items() if kept[0] > now_s}


def place(row: dict[str, Any]) -> str:
    """Where a passage stands, in few letters."""
    return str(row["heading"] or row["title"]).split(" \u203a ")[-1]


def excerpt(row: dict[str, Any]) -> str:
    """A passage from the first sentence that holds what was asked for."""
    text = str(row["text"])
    first = row["marks"][0][0] if row["marks"] else 0
    begin = max([0, *[match.end() for match in _SENTENCE_END.finditer(text) if match.end() <= first]])
    return " ".join((text[begin:] if len(text) - begin > PART_BYTES_MAX // 2 else text).split())


def cut(text: str) -> list[str]:
    """A text in parts of at most PART_BYTES_MAX bytes of UTF-8, between words."""
    parts: list[str] = []
    part = ""
    for word in text.encode()[:ANSWER_BYTES_MAX].decode("utf-8", "ignore").split():
        while len(word.encode()) > PART_BYTES_MAX:  # no word of any language; cut it anywhere
            head = word.encode()[:PART_BYTES_MAX].decode("utf-8", "ignore")
            parts += [part, head] if part else [head]
            part, word = "", word[len(head):]
        if part and len(part.encode()) + 1 + len(word.encode()) > PART_BYTES_MAX:
            parts.append(part)
            part = word
        else:
            part = f"{part} {word}" if part else word
    return [*parts, part] if part else parts or [""]
