"""What the page shows and takes of alerts and check-ins: rows cut to what a phone needs, requests checked.

Everybody who can open the page may report a danger, confirm or dispute an alert and check somebody in; nobody there can
issue an official alert. What is allowed is decided by the capabilities (edge/services/alerts.py, checkins.py).
"""

from __future__ import annotations

import json

from edge.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    Call = Callable[[str, dict[str, Any]], Awaitable[Any]]

ALERTS_MAX = 40
PEOPLE_MAX = 200
# what one answer has room for, so that it also goes to a phone over Bluetooth (PROTOCOL 16.5); the gravest come first
LETTERS_MAX = 24000
TEXT_LETTERS_MAX = 1500
LANGUAGES_MAX = 4
AREAS_MAX = 12
_ALERT_KEYS = ("id", "author", "official", "kind", "time_ms", "expires_s", "here", "grave", "severity", "urgency",
               "certainty", "response", "status", "texts", "areas", "confirm", "dispute", "stance")
_PERSON_KEYS = ("name", "state", "note", "where", "time_ms", "author")
# what may be posted -> the capability and its parameters, each with whether it must be there
_REPORT = ("alert.report@1", {"headline": True, "name": False, "severity": False})
_JUDGE = ("alert.judge@1", {"id": True, "stance": True, "text": False})
_CHECKIN = ("checkin.post@1", {"name": True, "state": True, "note": False, "where": False})


class SafetyPages:
    """call(capability, params) asks the bus in the page's name."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def alerts(self) -> dict[str, Any]:
        """GET /api/alerts"""
        shown: list[dict[str, Any]] = []
        letters = 0
        for row in await self._call("alert.list@1", {"limit": ALERTS_MAX}) or ():
            one = {key: row[key] for key in _ALERT_KEYS}
            one["texts"] = [{name: _cut(text) for name, text in said.items()} for said in row["texts"][:LANGUAGES_MAX]]
            one["areas"] = row["areas"][:AREAS_MAX]
            letters += sum(len(text) for said in one["texts"] for text in said.values()) + 200
            if letters > LETTERS_MAX and shown:
                break
            shown.append(one)
        return {"alerts": shown}

    async def checkins(self) -> dict[str, Any]:
        """GET /api/checkins"""
        rows = await self._call("checkin.list@1", {}) or []
        help_count = sum(row["state"] == "help" for row in rows)
        people = []
        for row in rows[:PEOPLE_MAX]:
            others = [{key: one[key] for key in _PERSON_KEYS} for one in row["said"] if one["state"] != row["state"]]
            people.append({**{key: row[key] for key in _PERSON_KEYS}, "but": others[:1]})
        return {"people": people, "help": help_count, "safe": len(rows) - help_count}

    async def report(self, body: bytes) -> Any:
        """POST /api/alerts {"headline", ?"name", ?"severity"}"""
        return await self._do(_REPORT, body)

    async def judge(self, body: bytes) -> Any:
        """POST /api/judge {"id", "stance": "confirm", "dispute" or "withdraw", ?"text"}"""
        return await self._do(_JUDGE, body)

    async def check_in(self, body: bytes) -> Any:
        """POST /api/checkins {"name", "state": "safe" or "help", ?"note", ?"where"}"""
        return await self._do(_CHECKIN, body)

    async def _do(self, what: tuple[str, dict[str, bool]], body: bytes) -> Any:
        capability, fields = what
        return await self._call(capability, _given(body, fields))


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LETTERS_MAX else text[:TEXT_LETTERS_MAX].rstrip() + "\u2026"


def _given(body: bytes, fields: dict[str, bool]) -> dict[str, str]:
    """The texts of a JSON object, trimmed; an empty one counts as none."""
    try:
        given = json.loads(body)
        texts = {name: given.get(name) or "" for name in fields}
        if any(not isinstance(text, str) for text in texts.values()):
            raise ValueError
    except (ValueError, AttributeError, RecursionError):
        shown = ", ".join(f'"{name}": "..."' for name in fields)
        raise BadRequest(f"this must be {{{shown}}}") from None
    texts = {name: text.strip() for name, text in texts.items() if text.strip()}
    for name, must in fields.items():
        if must and name not in texts:
            raise BadRequest(f"the {name} is missing", where=name)
    return texts
