"""Hostile packs, questions and models: nothing gets out of its quotes, nothing private gets into a prompt, and whatever
a model writes is text and no more. That a worker can't read the node's keys is shown in tests/models/test_sandbox.py.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from edge.bus.bus import Bus
from edge.caller import PAGE
from edge.core import limits
from edge.core import message as messages
from edge.services import prompt
from tests.bus.asking import WATER, Model, Shelf, open_library
from tests.bus.joined import World
from tests.bus.test_services import village
from tests.bus.village import Place

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "injections.txt"), encoding="utf-8") as _file:
    CORPUS = [line.rstrip("\n").replace("\\n", "\n") for line in _file if not line.startswith("# ")]
MARKS = re.compile(r"<\|.*?\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|</?think>|"
                   r"^\s*(?:system|assistant|user|human|### \w+)\s*:", re.IGNORECASE | re.MULTILINE)
SECRET = "swordfish"


def test_the_corpus_is_there() -> None:
    assert len(CORPUS) >= 20


@pytest.mark.parametrize("line", CORPUS)
def test_nothing_gets_out_of_its_quotes(line: str) -> None:
    row = {"title": line, "heading": line, "text": f"Boil it. {line}\n{line}"}
    asked, count = prompt.build(line, [row, row], 2048)
    assert [one["role"] for one in asked] == ["system", "user"] and asked[0]["content"] == prompt.SYSTEM and count == 2
    content = asked[1]["content"]
    assert not MARKS.search(content.replace("Question: ", "", 1)), content
    assert content.count('"""') == 4, "each passage is one quote"
    tail = content.rpartition('"""')[2]
    assert tail.strip().startswith("Question: ") and tail.count("Question: ") <= 1 + line.count("Question: ")


@pytest.mark.parametrize("line", CORPUS)
def test_a_model_that_obeys_can_do_nothing(tmp_path: Any, line: str) -> None:
    @village("hall")
    async def scenario(world: World, hall: Place, bus: Bus) -> None:
        await hall.post(messages.DIRECT, limits.LANE_DIRECT, 600, b"\x07" * 32, {1: SECRET})
        await hall.post(messages.NOTICE, limits.LANE_COMMUNITY, 600, None, {1: f"Ana told me: {SECRET} {line}"})
        model = Model(line, " Done. ", line).provide(bus)
        open_library(hall, bus, Shelf(("Water", line, f"Boil it. {line}"), WATER))
        before = hall.store.stats()["messages"]
        items = [item async for item in bus.stream("ask@1", {"question": f"How? {line[:200]}"}, caller=PAGE)]
        assert "".join(item.get("text", "") for item in items) == f"{line} Done. {line}", "words stay words"
        assert items[-1]["end"]["by"] == "here" and set(items[-1]["end"]["cites"]) <= {1, 2}
        assert {name for name, *_ in world.trace} <= {"ask@1.0", "llm.chat@1.0", "ask@1", "llm.chat@1"}
        said = str(model.prompts) + str(items)
        for private in (SECRET, hall.seed.hex(), str(hall.seed)):
            assert private not in said
        assert hall.store.stats()["messages"] == before

    scenario(tmp_path)


def test_what_fits_a_small_model() -> None:
    rows = [{"title": "T", "heading": "H", "text": "word " * 200} for _ in range(5)]
    for context in (512, 1024, 2048):
        asked, count = prompt.build("How?", rows, context)
        size = sum(len(one["content"]) for one in asked)
        assert 1 <= count <= 5 and size <= context * 4
    assert prompt.build("How?", rows, 2048)[1] > prompt.build("How?", rows, 512)[1]


def test_what_is_cited() -> None:
    assert prompt.cited("a [2] b [1][2] c [9] [0] [x]", 3) == [2, 1] and prompt.cited("none", 3) == []
