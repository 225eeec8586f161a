"""The model's file and its arithmetic, against numbers worked out by hand and the bounds that it must keep."""

from __future__ import annotations

import math
import os
import struct
import time
import zlib

import pytest

from edge.triage import judge as judges
from edge.triage.judge import LABELS, MODEL_PATH, Judge, open_judge
from edge.triage.model import Model, pack
from edge.words import words

with open(MODEL_PATH, "rb") as _file:
    SHIPPED = _file.read()


def tiny() -> bytes:
    """Two labels, three features."""
    names = sorted(["help", "no", "no water"], key=lambda name: zlib.crc32(name.encode()))
    weights = {"help": (100, -20), "no": (5, 0), "no water": (-10, 127)}
    rows = b"".join(struct.pack("bb", *weights[name]) for name in names)
    labels = [("request", 0.05, -1.0, 0.5), ("water", 0.1, -2.0, 0.25)]
    return pack(labels, [zlib.crc32(name.encode()) for name in names], rows)


def test_arithmetic() -> None:
    model = Model(tiny())
    assert model.labels == ("request", "water") and model.thresholds == (0.5, 0.25)
    known = model.known(words("Help! No water, no help."))
    assert sorted(name for name, _ in known) == ["help", "no", "no water"], "each counts once"
    sums = (-1.0 + 0.05 * 95 / math.sqrt(3), -2.0 + 0.1 * 107 / math.sqrt(3))
    wanted = [1 / (1 + math.exp(-one)) for one in sums]
    assert model.scores(known) == pytest.approx(wanted, abs=1e-6)
    assert model.because(1, known, 3) == ["no water"] and model.because(0, known, 1) == ["help"]
    assert model.scores(model.known(["nothing"])) == pytest.approx([1 / (1 + math.e), 1 / (1 + math.e**2)], abs=1e-6)


@pytest.mark.parametrize("data", [
    b"", b"WPTRIAG1", tiny()[:-1], tiny() + b"x", b"X" + tiny()[1:], struct.pack("<8sHI", b"WPTRIAG1", 0, 3),
    struct.pack("<8sHI", b"WPTRIAG1", 65, 2**31),
])
def test_what_is_no_model(data: bytes) -> None:
    with pytest.raises(ValueError, match="triage model"):
        Model(data)


def test_the_shipped_one() -> None:
    model = Model(SHIPPED)
    assert model.labels == LABELS
    assert len(SHIPPED) <= 300_000
    assert all(0 < threshold < 1 for threshold in model.thresholds)


def test_no_message_is_shipped() -> None:
    """The file holds label names and numbers: no run of letters as long as a sentence."""
    names = b"".join(label.encode() for label in LABELS)
    run = longest = 0
    for byte in SHIPPED[14 + 28 * len(LABELS):]:
        run = run + 1 if 97 <= byte <= 122 or byte == 32 else 0
        longest = max(longest, run)
    assert longest < 16 and len(names) > 0


def test_the_union_only_adds() -> None:
    texts = ("we are hungry and have no water", "the bridge has collapsed", "hello", "mwen grangou", "", "\u6551\u547d")
    phrases, both, model = open_judge(use_model=False), open_judge(), open_judge(use_lexicon=False)
    for text in texts:
        union = set(both.judge(text).labels)
        assert union == set(phrases.judge(text).labels) | set(model.judge(text).labels)
        assert set(both.judge(text).why) == union
        assert all(0 < len(reasons) <= judges.REASONS_MAX for reasons in both.judge(text).why.values())


def test_each_label_has_its_reason_in_the_text() -> None:
    text = "Please, the children have no food and the river is rising"
    verdict = open_judge().judge(text)
    said = " ".join(words(text))
    assert verdict.urgent and "food" in verdict.labels
    for reasons in verdict.why.values():
        assert all(words_of in said for _, words_of in reasons)


def test_it_does_without_either_part() -> None:
    assert Judge(None, None).judge("help").labels == ()


def test_it_is_quick() -> None:
    """At most 1 ms for a message of the usual length; the figure itself is in docs/TRIAGE.md."""
    judge = open_judge()
    text = "Please we need help here, the water is rising and there are about forty people without food at the school"
    best_s = 1.0
    for _ in range(5):
        start_s = time.process_time()
        for _ in range(50):
            judge.judge(text)
        best_s = min(best_s, (time.process_time() - start_s) / 50)
    assert best_s < 0.001


def test_memory() -> None:
    """What it holds once it is open: 1.5 MB at most, as the allocator counts."""
    import tracemalloc

    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    judge = open_judge()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert judge and after - before < 1_000_000
    assert os.path.getsize(MODEL_PATH) < after - before
