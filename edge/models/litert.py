"""The engine for TFLite classifiers that people bring: texts, images, sounds to labels. Runs in the worker only.

One interpreter, one job at a time. The runtime is ai-edge-litert or, on a machine that has only that, tflite-runtime;
`interpreter` is the one place that knows. What a model can't be given (another length, another kind) is refused before
it runs. A model that computes without end is ended with its process.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import time
import wave
import zipfile
import zlib
from array import array

from edge import words
from edge.models import manifest
from edge.models.engine import Cancelled, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WINDOWS_MAX = 240  # pieces of a long sound
LABELS_TOLD = 32
PIXELS_MAX = 40_000_000


def interpreter() -> Any:
    """The class Interpreter of the runtime that is there. Raises ImportError, RuntimeError for one that can't work."""
    try:
        return importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        pass
    found = importlib.import_module("tflite_runtime.interpreter").Interpreter
    if int(importlib.import_module("numpy").__version__.partition(".")[0]) >= 2:
        raise RuntimeError("tflite-runtime needs numpy below 2: pip install 'numpy<2', or ai-edge-litert")
    return found


def prepare() -> None:
    """Import what a job may need; afterwards the worker can open no file any more."""
    try:
        interpreter()
    except ImportError:
        raise ImportError("ai_edge_litert", name="ai_edge_litert") from None
    except RuntimeError as error:
        raise Refused("unavailable", str(error)) from None
    for name in ("numpy", "encodings.cp437", "tomllib"):
        importlib.import_module(name)
    manifest.check(b'input = "text"\nlabels = ["x"]\n', "")
    try:
        image: Any = importlib.import_module("PIL.Image")
        image.init()  # loads the decoders
        image.MAX_IMAGE_PIXELS = PIXELS_MAX
    except ImportError:
        pass  # said when an image comes


class Engine:
    """A loaded classifier. start: {"threads"}; fd: the open file."""

    def __init__(self, fd: int, start: dict[str, Any]) -> None:
        self.stop = ctypes.create_string_buffer(2)
        self._threads = start["threads"]
        with open(fd, "rb", closefd=False) as file:
            data = file.read()
        self._about, features = _contents(data)
        self._features = array("I", features)
        try:
            self._model = interpreter()(model_content=data, num_threads=self._threads)
            self._model.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise Refused("unavailable", f"the model can't be loaded: {str(error)[:200]}",
                          "it may need a newer runtime") from None
        self._input = self._model.get_input_details()[0]
        self._output = self._model.get_output_details()[0]
        labels = _size(self._output["shape"])
        if labels != len(self._about["labels"]):
            named = len(self._about["labels"])
            raise Refused("unavailable", f"the model has {labels} outputs and its manifest {named} labels",
                          "mend the manifest")

    def facts(self) -> dict[str, Any]:
        """What it has become: {"threads", "input"}."""
        return {"threads": self._threads, "input": self._about["input"]}

    def run(self, job: dict[str, Any], say: Callable[[str], None],
            read: Callable[[int, int], None]) -> dict[str, Any]:
        """Which labels fit what is given: {"labels": [{"label", "milli", "over"}], "ms"}. Raises Refused, Cancelled."""
        start_s = time.monotonic()
        kind = self._about["input"]
        given = job.get("text" if kind == "text" else "media")
        if given is None:
            wanted = "text" if kind == "text" else "media"
            raise Refused("bad_request", f"this model is for {kind}s: {wanted} is missing", f"give it as {wanted}")
        numpy: Any = importlib.import_module("numpy")
        kinds: dict[str, Any] = {"text": self._text, "image": self._image, "audio": self._audio}
        tensors = kinds[kind](numpy, given)
        best: Any = None
        for tensor in tensors:
            if self.stop.raw[0]:
                raise Cancelled
            scores = self._scores(numpy, tensor)
            best = scores if best is None else numpy.maximum(best, scores)
        thresholds = self._about["thresholds_milli"]
        rows = []
        for number in (-best).argsort(kind="stable")[:LABELS_TOLD].tolist():
            milli = round(float(best[number]) * 1000)
            row = {"label": self._about["labels"][number], "milli": milli}
            rows.append(row | {"over": milli >= thresholds[number]} if thresholds else row)
        return {"labels": rows, "ms": int((time.monotonic() - start_s) * 1000)}

    def _scores(self, numpy: Any, tensor: Any) -> Any:
        """One run: the outputs as fractions."""
        details = self._input
        if _size(details["shape"]) != tensor.size:
            raise Refused("bad_request", f"the model takes {_size(details['shape'])} numbers, its manifest makes "
                          f"{tensor.size}", "mend the manifest")
        scale, zero = details["quantization"]
        if details["dtype"] != numpy.float32:
            limits = numpy.iinfo(details["dtype"])
            tensor = numpy.clip(numpy.rint(tensor / (scale or 1) + zero), limits.min, limits.max)
        self._model.set_tensor(details["index"], tensor.reshape(details["shape"]).astype(details["dtype"]))
        self._model.invoke()
        out = self._model.get_tensor(self._output["index"]).reshape(-1)
        if self._output["dtype"] != numpy.float32:
            scale, zero = self._output["quantization"]
            out = (out.astype(numpy.float32) - zero) * (scale or 1)
        return out

    # --- what is given, as numbers

    def _text(self, numpy: Any, text: str) -> list[Any]:
        """A number for each feature: 1 / sqrt(n) for the n that the text has, 0 for the others."""
        found = {zlib.crc32(one.encode()) for one in words.features(words.words(text)[:words.WORDS_MAX])}
        table = numpy.frombuffer(self._features, dtype=numpy.uint32)
        there = numpy.isin(table, numpy.fromiter(found, dtype=numpy.uint32, count=len(found)))
        return [there.astype(numpy.float32) / numpy.float32(max(1, int(there.sum())) ** 0.5)]

    def _image(self, numpy: Any, data: bytes) -> list[Any]:
        try:
            image: Any = importlib.import_module("PIL.Image")
        except ImportError:
            raise Refused("unavailable", "the package pillow is missing", "pip install 'waypost[classify]'") from None
        about = self._about
        try:
            with image.open(io.BytesIO(data), formats=("PNG", "JPEG", "PPM")) as picture:
                picture.draft("RGB", (about["width"], about["height"]))
                picture = picture.convert("RGB" if about["channels"] == 3 else "L")
                picture = picture.resize((about["width"], about["height"]), image.BILINEAR)
        except (OSError, ValueError, image.DecompressionBombError) as error:
            raise Refused("bad_request", f"the image can't be read: {str(error)[:100]}", "give PNG or JPEG") from None
        values = numpy.asarray(picture, dtype=numpy.float32) / 255
        return [(values - about["mean_milli"] / 1000) / (about["deviation_milli"] / 1000)]

    def _audio(self, numpy: Any, data: bytes) -> list[Any]:
        """The sound in pieces of the model's length, each overlapping the one before by half."""
        samples, rate = _sound(numpy, data)
        wanted, length = self._about["rate_hz"], self._about["samples"]
        if rate != wanted:
            count = max(1, len(samples) * wanted // rate)
            places = numpy.arange(count, dtype=numpy.float64) * rate / wanted
            samples = numpy.interp(places, numpy.arange(len(samples)), samples).astype(numpy.float32)
        starts = range(0, max(1, len(samples) - length // 2), max(1, length // 2))[:WINDOWS_MAX]
        pieces = []
        for start in starts:
            piece = samples[start:start + length]
            pieces.append(numpy.pad(piece, (0, length - len(piece))))
        return pieces


def _sound(numpy: Any, data: bytes) -> tuple[Any, int]:
    """Samples -1..1 of one channel, and how many a second. Raises Refused."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(file.getnframes())
        kind, middle, most = {1: ("u1", 128, 128), 2: ("<i2", 0, 32768), 4: ("<i4", 0, 2147483648)}[width]
        values = numpy.frombuffer(raw, dtype=kind).astype(numpy.float32).reshape(-1, channels).mean(axis=1)
    except (wave.Error, EOFError, KeyError, ValueError) as error:
        raise Refused("bad_request", f"the sound can't be read: {str(error)[:100]}",
                      "give WAV of 8, 16 or 32 bits") from None
    if not len(values):
        raise Refused("bad_request", "the sound is empty")
    return ((values - middle) / most).astype(numpy.float32), rate


def _contents(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The manifest and the features of a model's file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        about = manifest.check(archive.read(manifest.NAME), manifest.NAME)
        return about, archive.read(manifest.FEATURES) if about["input"] == "text" else b""


def _size(shape: Any) -> int:
    size = 1
    for one in shape:
        size *= int(one)
    return size
