"""Messages with labels from a CSV file, and how well a judge does on them.

The columns are those of the "Multilingual Disaster Response Messages": id, message, genre and, where a person has
labelled them, categories ("request-1;water-0;..."). It says which of those categories stand for which of our labels;
docs/TRIAGE.md has the table and the figures.
"""

from __future__ import annotations

import csv
import lzma
import zlib

from edge.errors import BadRequest
from edge.triage.judge import LABELS, URGENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TextIO

CATEGORIES = {
    "request": ("request",), "medical": ("medical_help", "medical_products"), "water": ("water",), "food": ("food",),
    "shelter": ("shelter",), "rescue": ("search_and_rescue", "missing_people"), "fire": ("fire",),
    "security": ("security",), "infrastructure": ("infrastructure_related", "transport", "buildings", "electricity"),
    "flood": ("floods",), "storm": ("storm",), "earthquake": ("earthquake",), "cold": ("cold",),
}
NEEDS = ("medical", "water", "food", "shelter", "rescue", "fire")  # a request with one of them counts as urgent
NO_REQUEST = "not_a_request"  # the absence of "request", counted as a label by the studies that we compare with
FIELD_BYTES_MAX = 1 << 20
SPLITS = 10  # split 0 is for testing, split 1 for thresholds, the others for training


class Row:
    """One message of a file. truth: the labels that a person gave, None where nobody did."""

    __slots__ = ("id", "text", "genre", "truth")

    def __init__(self, id: str, text: str, genre: str, truth: frozenset[str] | None) -> None:
        self.id = id
        self.text = text
        self.genre = genre
        self.truth = truth

    @property
    def split(self) -> int:
        """0..SPLITS-1 by the text alone, so that the same message is always on the same side."""
        return zlib.crc32(" ".join(self.text.lower().split()).encode()) % SPLITS


def read(path: str) -> Iterator[Row]:
    """The rows of FILE.csv or FILE.csv.xz. Raises BadRequest where it is none, OSError where it can't be read."""
    csv.field_size_limit(FIELD_BYTES_MAX)
    with _open(path) as file:
        line = 0
        try:
            reader = csv.DictReader(file)
            if "message" not in (reader.fieldnames or ()):
                raise BadRequest("has no column message", where=path, allowed="id, message, genre, categories",
                                 hint="the first line names the columns")
            for line, row in enumerate(reader, 1):
                labelled = row.get("categories")
                yield Row(row.get("id") or str(line), row["message"] or "", row.get("genre") or "",
                          truth_of(labelled) if labelled else None)
        except (UnicodeDecodeError, csv.Error, lzma.LZMAError, EOFError) as error:
            raise BadRequest(f"can't be read behind row {line}: {error}", where=path,
                             allowed="CSV in UTF-8, plain or packed with xz") from None


def truth_of(categories: str) -> frozenset[str]:
    """Our labels for a row's categories."""
    given = {one.rpartition("-")[0] for one in categories.split(";") if not one.endswith("-0")}
    found = {label for label, names in CATEGORIES.items() if given.intersection(names)}
    if "request" in found and found.intersection(NEEDS):
        found.add(URGENT)
    return frozenset(found)


def measure(pairs: Iterable[tuple[frozenset[str], frozenset[str]]]) -> dict[str, Any]:
    """Precision, recall and F1 of (true labels, given labels).

    {"labels": {NAME: {"precision", "recall", "f1", "n"}}, "micro", "macro"} over LABELS and "not_a_request", and
    {"needs": {"micro", "macro"}} over LABELS alone, "messages".
    """
    counts = {label: [0, 0, 0] for label in (*LABELS, NO_REQUEST)}  # right, given, true
    messages = 0
    for truth, given in pairs:
        messages += 1
        for label, count in counts.items():
            true, said = (_has(labels, label) for labels in (truth, given))
            count[0] += true and said
            count[1] += said
            count[2] += true
    out: dict[str, Any] = {"labels": {label: _rates(*count) for label, count in counts.items()}}
    out["micro"], out["macro"] = _means(counts, out["labels"])
    del counts[NO_REQUEST]
    needs = _means(counts, out["labels"])
    return out | {"needs": {"micro": needs[0], "macro": needs[1]}, "messages": messages}


def missed(rows: Iterable[Row], judge: Callable[[str], tuple[str, ...]], most: int) -> dict[str, list[str]]:
    """For each label at most `most` texts that a person gave it and the judge did not."""
    out: dict[str, list[str]] = {label: [] for label in LABELS}
    for row in rows:
        for label in (row.truth or frozenset()).difference(judge(row.text)):
            if len(out[label]) < most:
                out[label].append(row.text)
    return out


def _open(path: str) -> TextIO:
    if path.endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _has(labels: frozenset[str], label: str) -> bool:
    return "request" not in labels if label == NO_REQUEST else label in labels


def _rates(right: int, given: int, true: int) -> dict[str, Any]:
    return {"precision": round(right / given, 4) if given else 0.0, "recall": round(right / true, 4) if true else 0.0,
            "f1": round(2 * right / (given + true), 4) if given + true else 0.0, "n": true}


def _means(counts: dict[str, list[int]], rates: dict[str, Any]) -> tuple[float, float]:
    right, given, true = (sum(count[i] for count in counts.values()) for i in range(3))
    scored = [rates[label]["f1"] for label, count in counts.items() if count[2]]
    return (round(2 * right / (given + true), 4) if given + true else 0.0,
            round(sum(scored) / len(scored), 4) if scored else 0.0)
