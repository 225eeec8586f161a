"""Is the node well? The state in one word and what is missing, from the facts of node.status.

"well": nothing to mend. "attention": it works, and a person should know something. "ill": it can't keep what is
posted. Codes only; the words are in static/texts.js. Having no neighbour is no fault.
"""

from __future__ import annotations

from typing import Any

WELL, ATTENTION, ILL = "well", "attention", "ill"
QUALITY_PEERS = 2  # edge.core.hlc: from here on the time is known
_WORST_FIRST = ("card", "store", "safe", "config", "clock", "link")


def condition(facts: dict[str, Any]) -> tuple[str, list[dict[str, str]]]:
    """The state and the list of {"code", "where", "text"} that explain it, worst first.

    Read are `trouble` (a list of {"part", "reason", "text"}) and `time_quality`; what is not there is no fault. A
    trouble of a part without a code of its own is a "link".
    """
    missing = []
    for trouble in facts.get("trouble") or ():
        part = str(trouble.get("part", ""))
        code = part if part in _WORST_FIRST else "link"
        missing.append({"code": code, "where": part, "text": str(trouble.get("text", ""))})
    quality = facts.get("time_quality")
    if isinstance(quality, int) and quality < QUALITY_PEERS:
        missing.append({"code": "clock", "where": "clock", "text": ""})
    missing.sort(key=lambda item: _WORST_FIRST.index(item["code"]))
    if not missing:
        return WELL, missing
    return (ILL if missing[0]["code"] in ("card", "store") else ATTENTION), missing
