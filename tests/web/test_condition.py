"""Is the node well: the state in one word, the reasons worst first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge.web.condition import ATTENTION, ILL, WELL, condition

STATIC = Path(__file__).parents[2] / "edge/web/static"


@pytest.mark.parametrize(("facts", "state", "codes"), [
    ({}, WELL, []),
    ({"time_quality": 4, "trouble": []}, WELL, []),
    ({"time_quality": 2}, WELL, []),
    ({"time_quality": 1}, ATTENTION, ["clock"]),
    ({"trouble": [{"part": "lan", "reason": "start", "text": "no network"}], "time_quality": 0}, ATTENTION,
     ["clock", "link"]),
    ({"trouble": [{"part": "lan", "reason": "start", "text": "no network"},
                  {"part": "store", "reason": "store", "text": "read-only disk"}]}, ILL, ["store", "link"]),
    ({"trouble": [{"part": "card", "reason": "memory", "text": "read-only"}]}, ILL, ["card"]),
    ({"trouble": [{"part": "config", "reason": "syntax", "text": "line 3"}]}, ATTENTION, ["config"]),
])  # fmt: skip
def test_condition(facts: dict[str, Any], state: str, codes: list[str]) -> None:
    found, missing = condition(facts)
    assert (found, [item["code"] for item in missing]) == (state, codes)
    words = (STATIC / "texts.js").read_text()
    for code in codes:
        assert re.search(rf"^\s+{code}: \"", words, re.M), f"the page has no words for {code}"
    assert f"{state}: " in words
