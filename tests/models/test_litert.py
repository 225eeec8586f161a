"""Classifiers that people bring, in a real worker; the triage model as one of them, on both runtimes."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import wave
import zlib
from pathlib import Path
from typing import Any

import pytest

from edge.errors import BadRequest, NotFound, Unavailable
from edge.models import manifest
from edge.models.adding import look_at
from edge.triage.model import Model
from edge.words import words
from tests.conftest import ROOT
from tests.models.kit import chat, place
from tests.waiting import PATIENCE
from tools.dev import tflite_graph, triage_tflite

AUDIO = "[audio]\nrate_hz = 8000\nsamples = 64\n"
RUNTIMES = {"ai_edge_litert": sys.executable, "tflite_runtime": os.path.join(sys.prefix, "tflite/bin/python")}
TEXTS = [
    "we have no water and no food, please send help to the school", "my house is on fire", "thank you all", "",
    "need medicine, my father has chest pain", "the bridge is down and the road is flooded near the river",
    "tremblement de terre", "roof gone after the storm; 40 families need tents and blankets", "x " * 500, "ünïcödé 💧",
]


@pytest.fixture(scope="session")
def triage(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("tflite") / "triage.tflite")
    triage_tflite.write(path)
    return path


def classifier(path: Path, about: str, rows: list[list[int]], *, scale: float, bytes_in: bool = False) -> str:
    """A small linear classifier with a manifest."""
    import numpy as np

    weights = np.array(rows, dtype=np.int8)
    ones = np.ones(len(rows), dtype=np.float32)
    path.write_bytes(tflite_graph.linear(weights, ones * scale, ones * 0, bytes_in=bytes_in))
    manifest.pack(str(path), {manifest.NAME: about.encode()})
    return str(path)


@pytest.fixture
def colours(tmp_path: Path) -> str:
    """Which colour an image of 8 by 8 has."""
    rows = [[1 if i % 3 == c else -1 for i in range(8 * 8 * 3)] for c in range(3)]
    about = 'input = "image"\nlabels = ["red", "green", "blue"]\n[image]\nwidth = 8\nheight = 8\n'
    return classifier(tmp_path / "colours.tflite", about, rows, scale=0.1, bytes_in=True)


@pytest.fixture
def sides(tmp_path: Path) -> str:
    """On which side of zero a sound is."""
    about = 'input = "audio"\nlabels = ["above", "below"]\nthresholds_milli = [500, 900]\n' + AUDIO
    return classifier(tmp_path / "sides.tflite", about, [[1] * 64, [-1] * 64], scale=0.1)


def sound(level: float, seconds: float, rate: int = 16000, channels: int = 2) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack("<h", int(level * 32767)) * int(seconds * rate) * channels)
    return data.getvalue()


def png(red: int, green: int, blue: int, side: int = 20) -> bytes:
    """A picture of one colour."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_triage_is_the_same_on_both_runtimes(triage: str, runtime: str) -> None:
    python = RUNTIMES[runtime]
    if subprocess.run([python, "-c", f"import {runtime}"], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {runtime} for this Python")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "other_runtime.py")
    done = subprocess.run([python, script, triage], input=json.dumps(TEXTS), capture_output=True, text=True,
                          env={"PYTHONPATH": ROOT, "PATH": os.environ["PATH"]}, timeout=120 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["runtime"].startswith(runtime)
    model = Model(Path(triage_tflite.MODEL).read_bytes())
    for text, scores in zip(TEXTS, said["scores"], strict=True):
        expected = model.scores(model.known(words(text)))
        assert max(abs(a - b) for a, b in zip(scores, expected, strict=True)) <= 0.01, text


async def test_triage_in_a_worker(triage: str, tmp_path: Path) -> None:
    async with place(tmp_path, triage) as here:
        said = await here.ask({"do": "classify", "text": TEXTS[0]})
        assert said.end["model"] == "triage"
        over = {row["label"] for row in said.end["labels"] if row["over"]}
        assert {"request", "water", "food"} <= over and "fire" not in over
        again = await here.ask({"do": "classify", "text": TEXTS[0]})
        assert again.states == [] and again.end["labels"] == said.end["labels"]
        with pytest.raises(BadRequest, match="text is missing"):
            await here.ask({"do": "classify", "media": b"x"})
        with pytest.raises(NotFound):
            await here.ask(chat(), "triage")


async def test_no_classifier_stands_for_another(colours: str, sides: str, tmp_path: Path) -> None:
    async with place(tmp_path, colours, sides) as here:
        with pytest.raises(BadRequest, match="which classifier") as refused:
            await here.ask({"do": "classify", "media": png(1, 1, 1)})
        assert set(refused.value.allowed.split(", ")) == {"colours", "sides"}
        end = (await here.ask({"do": "classify", "media": png(250, 5, 5)}, "colours")).end
        assert end["labels"][0]["label"] == "red"


async def test_images(colours: str, tmp_path: Path) -> None:
    async with place(tmp_path, colours) as here:
        for name, colour in (("red", (250, 5, 5)), ("green", (9, 200, 0)), ("blue", (0, 0, 255))):
            end = (await here.ask({"do": "classify", "media": png(*colour)})).end
            assert end["labels"][0]["label"] == name and end["labels"][0]["milli"] > 900
        with pytest.raises(BadRequest, match="image can't be read"):
            await here.ask({"do": "classify", "media": b"\x89PNG\r\n\x1a\n" + bytes(40)})
        bomb = png(1, 1, 1, 9000)
        with pytest.raises(BadRequest, match="image can't be read"):
            await here.ask({"do": "classify", "media": bomb})
        assert (await here.ask({"do": "classify", "media": png(250, 0, 0)})).end["labels"][0]["label"] == "red"


async def test_sounds(sides: str, tmp_path: Path) -> None:
    async with place(tmp_path, sides) as here:
        end = (await here.ask({"do": "classify", "media": sound(0.8, 0.5)})).end
        assert end["labels"] == [{"label": "above", "milli": 994, "over": True},
                                 {"label": "below", "milli": 6, "over": False}]
        end = (await here.ask({"do": "classify", "media": sound(-0.5, 0.001, 44100, 1)})).end
        assert end["labels"][0]["label"] == "below", "shorter than the model's length, another rate"
        for data in (b"RIFF", sound(0, 0), b""):
            with pytest.raises(BadRequest):
                await here.ask({"do": "classify", "media": data})


@pytest.mark.parametrize(("about", "words"), [
    ("", "input is missing"), ('input = "smell"\nlabels = ["a"]', "input is missing or something else"),
    ('input = "audio"\nlabels = ["a"]\n[audio]\nrate_hz = 8000', "audio.samples is missing"),
    ('input = "audio"\nlabels = ["a", "a"]\n[audio]\nrate_hz = 8000\nsamples = 64', "labels must be"),
    ('input = "audio"\nlabels = ["a", "b"]\n' + AUDIO + "loud = 1", "audio.loud is no setting"),
    ('input = "text"\nlabels = ["a", "b"]\nlabel = 1', "label is no key"),
    ('input = "text"\nlabels = ["a", "b"]\nthresholds_milli = [1]', "thresholds_milli must be"),
    ("input = ", "Invalid value"),
])
def test_a_wrong_manifest(tmp_path: Path, about: str, words: str) -> None:
    path = classifier(tmp_path / "x.tflite", about, [[1] * 64, [-1] * 64], scale=1)
    with pytest.raises(BadRequest, match=words) as refused:
        look_at(path)
    assert "waypost.toml" in refused.value.where


def test_without_a_manifest(tmp_path: Path, sides: str) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(tflite_graph.linear(*_two()))
    with pytest.raises(BadRequest, match="does not say what it is for"):
        look_at(str(bare))
    (tmp_path / "m.toml").write_text('input = "audio"\nlabels = ["a", "b"]\n' + AUDIO)
    manifest.attach(str(bare), str(tmp_path / "m.toml"), str(tmp_path / "whole.tflite"))
    assert look_at(str(tmp_path / "whole.tflite"))[:2] == ("tflite", ["classify"])


def torn(path: str) -> str:
    """A model whose inside is noise."""
    data = bytearray(Path(path).read_bytes())
    data[200:600] = random.Random(1).randbytes(400)
    other = path.replace("sides", "torn")
    Path(other).write_bytes(data)
    return other


def _two() -> tuple[Any, Any, Any]:
    import numpy as np

    ones = np.ones(2, dtype=np.float32)
    return np.ones((2, 64), dtype=np.int8), ones, ones


async def test_what_does_not_fit_its_manifest(tmp_path: Path) -> None:
    about = 'input = "audio"\nlabels = ["a", "b", "c"]\n' + AUDIO
    path = classifier(tmp_path / "x.tflite", about, [[1] * 64, [-1] * 64], scale=1)
    async with place(tmp_path, path) as here:
        with pytest.raises(Unavailable, match="2 outputs and its manifest 3 labels"):
            await here.ask({"do": "classify", "media": sound(1, 1)})


async def test_a_torn_model_ends_its_worker_at_most(sides: str, tmp_path: Path) -> None:
    async with place(tmp_path / "two", torn(sides)) as here:
        with pytest.raises((Unavailable, BadRequest)):
            await here.ask({"do": "classify", "media": sound(1, 1)})
