"""A header says what a model is; a file that is none, or not whole, is refused and never believed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge.errors import BadRequest
from edge.models import gguf
from tests.emulation import one_size
from tools.bench import random_gguf


@one_size
def test_facts(small: str) -> None:
    facts = gguf.facts(small)
    layers, width, feed = random_gguf.SMALL
    assert facts["arch"] == "llama" and facts["type"] == "Q8_0" and facts["template"]
    assert (facts["layers"], facts["width"], facts["feed"]) == (layers, width, feed)
    assert facts["context"] == random_gguf.CONTEXT and facts["pooling"] == 0
    assert facts["cache_per_token"] == 2 * layers * 2 * width  # 16-bit keys and values of every layer
    layer = 4 * width**2 + 3 * width * feed + 2 * width
    assert facts["params"] == 2 * facts["vocab"] * width + layers * layer + width


@pytest.mark.parametrize("cut", [0, 3, 23, 24, 100, 1000, 5000, 9000, 146000])
def test_a_file_cut_short_is_refused(tiny: str, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(Path(tiny).read_bytes()[:cut])
    with pytest.raises(BadRequest) as refused:
        gguf.facts(str(path))
    assert refused.value.where == str(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(100))
    with pytest.raises(BadRequest, match="no GGUF file"):
        gguf.facts(str(path))


def test_a_changed_header_is_refused_or_read_and_nothing_else(tiny: str, tmp_path: Path) -> None:
    data = Path(tiny).read_bytes()
    path = tmp_path / "changed.gguf"
    dice = random.Random(5)
    refused = 0
    for _ in range(400):
        changed = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            changed[dice.randrange(0, 12000)] = dice.choice((0, 1, 8, 9, 127, 255, dice.randrange(256)))
        path.write_bytes(changed)
        try:
            facts = gguf.facts(str(path))
            assert all(isinstance(value, int | str) for value in facts.values())
        except BadRequest:
            refused += 1
    assert refused > 50
