"""The small linear model of triage: a table of weights, read with the standard library alone.

docs/TRIAGE.md describes the file byte by byte, where the weights come from and how good they are. It gives numbers for
labels and decides nothing: edge/triage/judge.py does.

    WPTRIAG1 | u16 labels | u32 features | labels x (name 16, f32 scale, bias, threshold) | u32 crc32... | i8 weights...
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from math import exp, sqrt
from zlib import crc32

from edge.words import WORDS_MAX, features

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"WPTRIAG1"
LABELS_MAX = 64
FEATURES_MAX = 65536
_HEAD = struct.Struct("<8sHI")
_LABEL = struct.Struct("<16sfff")


class Model:
    """An open model. labels: their names; thresholds: from which probability on each is given."""

    def __init__(self, data: bytes) -> None:
        """Raises ValueError where `data` is no whole model."""
        if len(data) < _HEAD.size:
            raise ValueError("a triage model is longer than this")
        magic, labels, count = _HEAD.unpack_from(data)
        at = _HEAD.size + labels * _LABEL.size
        if magic != MAGIC or not 0 < labels <= LABELS_MAX or not 0 < count <= FEATURES_MAX:
            raise ValueError("this is no triage model")
        if len(data) != at + count * (4 + labels):
            raise ValueError(f"a triage model of {labels} labels and {count} features has another size")
        rows = [_LABEL.unpack_from(data, _HEAD.size + i * _LABEL.size) for i in range(labels)]
        self.labels = tuple([row[0].rstrip(b"\0").decode() for row in rows])
        self.thresholds = tuple([row[3] for row in rows])
        self._scales = [row[1] for row in rows]
        self._biases = [row[2] for row in rows]
        self._hashes = array("I", data[at:at + 4 * count])
        if sys.byteorder == "big":
            self._hashes.byteswap()
        self._weights = array("b", data[at + 4 * count:])

    def known(self, found: list[str]) -> list[tuple[str, int]]:
        """(feature, its number) of those features of a text's words that the model knows, in no fixed order."""
        out = []
        hashes = self._hashes
        last = len(hashes) - 1
        for one in features(found[:WORDS_MAX]):
            number = crc32(one.encode())
            place = bisect_left(hashes, number)
            if place <= last and hashes[place] == number:
                out.append((one, place))
        return out

    def scores(self, known: list[tuple[str, int]]) -> list[float]:
        """The probability of each label, given what `known` gave."""
        size = len(self.labels)
        weights = self._weights
        rows = [weights[i * size:(i + 1) * size] for _, i in known]
        sums = [sum(column) for column in zip(*rows, strict=True)] if rows else [0] * size
        root = sqrt(len(rows) or 1)
        return [1 / (1 + exp(-max(-30.0, min(30.0, bias + scale * total / root))))
                for bias, scale, total in zip(self._biases, self._scales, sums, strict=True)]

    def because(self, label: int, known: list[tuple[str, int]], most: int) -> list[str]:
        """The features that spoke most for a label, the strongest first."""
        size = len(self.labels)
        spoke = sorted([(-self._weights[i * size + label], one) for one, i in known])
        return [one for weight, one in spoke[:most] if weight < 0]


def pack(labels: Iterable[tuple[str, float, float, float]], hashes: Iterable[int], weights: bytes) -> bytes:
    """The file of a model: (name, scale, bias, threshold) of each label, ascending hashes, weights by feature."""
    rows, numbers = list(labels), array("I", hashes)
    if sys.byteorder == "big":
        numbers.byteswap()
    head = _HEAD.pack(MAGIC, len(rows), len(numbers))
    return b"".join([head, *[_LABEL.pack(name.encode(), *facts) for name, *facts in rows], numbers.tobytes(), weights])
