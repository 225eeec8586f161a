"""What a TFLite classifier is for: a manifest that travels inside the model's own file.

TFLite files may have a zip archive behind them (TensorFlow's own metadata does it so); in it stand `waypost.toml` and,
for texts, `features.bin`. Read strictly: a key that is not known here is an error with its place. It decides what a
manifest may say and nothing else.

    summary = "Barking, and glass that breaks"    # one line
    input = "audio"                               # or "text", "image"
    labels = ["dog", "glass", "other"]            # one for each output of the model
    thresholds_milli = [500, 300, 1000]           # optional: from which score on a label counts
    [audio]
    rate_hz = 16000                               # samples a second that the model wants, one channel, -1..1
    samples = 15600                               # so many at once; longer sounds are heard piece by piece
    [image]
    width = 96
    height = 96
    channels = 3                                  # 3 or 1
    mean_milli = 0                                # what is taken off each value 0..1, and what it is divided by then
    deviation_milli = 1000
    [text]
    features = "words"                            # words and pairs, edge/words.py, by CRC-32 in features.bin
"""

from __future__ import annotations

import os
import zipfile

from edge import tomlfile
from edge.errors import BadRequest, ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME, FEATURES = "waypost.toml", "features.bin"
MAGIC = b"TFL3"  # at byte 4 of a TFLite file
LABELS_MAX = 1000
FEATURES_MAX = 65536
_WHOLE: dict[str, dict[str, tuple[int, int]]] = {
    "audio": {"rate_hz": (1000, 96000), "samples": (16, 960000)},
    "image": {"width": (1, 4096), "height": (1, 4096), "channels": (1, 3), "mean_milli": (-1000000, 1000000),
              "deviation_milli": (1, 1000000)},
    "text": {},
}  # fmt: skip
_OPTIONAL = {"mean_milli": 0, "deviation_milli": 1000, "channels": 3}
_TOP = ("summary", "input", "labels", "thresholds_milli")


def is_tflite(path: str) -> bool:
    """Whether the file begins as a TFLite model does. OSError is passed on."""
    with open(path, "rb") as file:
        return file.read(8)[4:] == MAGIC


def read(path: str) -> dict[str, Any]:
    """The manifest in a model's file, as texts, integers and lists of them: summary, input, labels, thresholds_milli,
    and the settings of its kind of input. Raises BadRequest."""
    try:
        with zipfile.ZipFile(path) as archive:
            raw = _member(archive, NAME, tomlfile.BYTES_MAX)
            found = check(raw, f"{path}/{NAME}")
            if found["input"] == "text":
                features = _member(archive, FEATURES, 4 * FEATURES_MAX)
                if not features or len(features) % 4:
                    raise BadRequest(f"{FEATURES} holds {len(features)} bytes", where=path,
                                     allowed="a u32 for each feature, ascending")
                found["features"] = len(features) // 4
            return found
    except (zipfile.BadZipFile, KeyError):
        hint = "give it a manifest (docs/MODELS.md): waypost model add FILE --manifest FILE.toml"
        raise BadRequest("the model does not say what it is for", where=path, hint=hint) from None


def check(raw: bytes, where: str) -> dict[str, Any]:
    """A manifest from its text. Raises BadRequest with the place of what is wrong."""
    try:
        tables, places = tomlfile.parse(where, raw)
    except ConfigError as error:
        raise BadRequest(error.message, where=error.where, hint=error.hint) from None

    def wrong(name: str, text: str, allowed: str = "") -> BadRequest:
        return BadRequest(f"{name} {text}", where=places.get(name, where), allowed=allowed)

    kind = tables.get("input")
    if kind not in _WHOLE:
        raise wrong("input", "is missing or something else", "text, image or audio")
    for name in tables:
        if name not in (*_TOP, kind):
            raise wrong(name, "is no key of a manifest", ", ".join((*_TOP, kind)))
    labels: Any = tables.get("labels")
    if not _texts(labels) or not 0 < len(labels) <= LABELS_MAX or len(set(labels)) != len(labels):
        raise wrong("labels", "must be a list of different texts", f"1..{LABELS_MAX} of 1..64 letters")
    summary = tables.get("summary", "")
    if not isinstance(summary, str) or len(summary) > 200 or not summary.isprintable():
        raise wrong("summary", "must be one line")
    thresholds = tables.get("thresholds_milli", [])
    if thresholds and (not isinstance(thresholds, list) or len(thresholds) != len(labels)
                       or not all(type(one) is int and 0 <= one <= 1000 for one in thresholds)):
        raise wrong("thresholds_milli", "must be a number for each label", "0..1000")
    found = {"summary": summary, "input": kind, "labels": labels, "thresholds_milli": thresholds}
    return found | _settings(kind, tables.get(kind, {}), wrong)


def attach(path: str, manifest: str, target: str) -> None:
    """Copy a bare model to `target` with its manifest in it, and features.bin from beside the manifest for texts.

    Raises BadRequest; OSError is passed on.
    """
    with open(manifest, "rb") as file:
        raw = file.read(tomlfile.BYTES_MAX + 1)
    found = check(raw, manifest)
    with open(path, "rb") as source, open(target, "wb") as copy:
        while data := source.read(1 << 20):
            copy.write(data)
    members = {NAME: raw}
    if found["input"] == "text":
        with open(os.path.join(os.path.dirname(manifest), FEATURES), "rb") as file:
            members[FEATURES] = file.read()
    pack(target, members)


def pack(path: str, members: dict[str, bytes]) -> None:
    """Put files into the archive behind a model. The same members give the same bytes."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _settings(kind: str, table: Any, wrong: Any) -> dict[str, int]:
    if not isinstance(table, dict):
        raise wrong(kind, "must be a table")
    found = {}
    bounds = _WHOLE[kind]
    for name, (low, high) in bounds.items():
        value = table.get(name, _OPTIONAL.get(name))
        if type(value) is not int or not low <= value <= high or (name == "channels" and value == 2):
            raise wrong(f"{kind}.{name}", "is missing or out of range", f"a whole number {low}..{high}")
        found[name] = value
    for name, value in table.items():
        if name not in bounds and (kind, name, value) != ("text", "features", "words"):
            raise wrong(f"{kind}.{name}", "is no setting of this input", ", ".join(bounds) or 'features = "words"')
    return found


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and 0 < len(one) <= 64 and one.isprintable()
                                           for one in value)


def _member(archive: zipfile.ZipFile, name: str, bytes_max: int) -> bytes:
    if archive.getinfo(name).file_size > bytes_max:
        raise BadRequest(f"{name} is too long", where=str(archive.filename), allowed=f"{bytes_max} bytes")
    return archive.read(name)
