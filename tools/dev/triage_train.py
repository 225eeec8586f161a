"""Trains the triage model and writes edge/triage/model.bin; says how good it is on messages that it has not seen.

    python -m tools.dev.triage_train DATA.csv.xz [--held-out GENRE] [--out FILE] | --check

It needs the packages of the extra `train` (numpy, scikit-learn); the node needs neither. A logistic regression over the
presence of words and pairs of words; the FEATURES whose weights are largest are kept, trained again, and rounded to
eight bits. Thresholds are those with the best F1 of lexicon and model together on the messages of split 1; split 0 is
only ever measured. With --held-out GENRE nothing of that genre is learned from, and only it is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from zlib import crc32

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from edge.triage import lexicon
from edge.triage import model as models
from edge.triage.judge import LABELS, MODEL_PATH, MODEL_WORDS_MIN, Judge
from edge.words import WORDS_MAX, features, words
from tools import triage_data as data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tools.triage_data import Row

FEATURES = 8000
SEEN_MIN = 3  # messages that a feature must be in
STRENGTH = 3.0  # C of the regression
STEPS = [step / 100 for step in range(5, 91)]  # thresholds that are tried
TEST, TUNE = 0, 1
PROMISES: dict[str | None, dict[str, float]] = {
    None: {"micro": 0.74, "macro": 0.57}, "direct": {"micro": 0.6, "macro": 0.44},
}


def main(argv: list[str] | None = None) -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--held-out", default=None, metavar="GENRE")
    parser.add_argument("--out", default=None, metavar="FILE", help=f"default: {MODEL_PATH}, none with --held-out")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a figure is below its PROMISE")
    args = parser.parse_args(argv)
    rows = list(data.read(args.data))
    if args.check:
        return _check(rows)
    packed, figures = trained(rows, args.held_out)
    print(json.dumps(figures, indent=1))
    out = args.out or (None if args.held_out else MODEL_PATH)
    if out:
        with open(out, "wb") as file:
            file.write(packed)
        print(f"{out}: {len(packed)} bytes", file=sys.stderr)
    return 0


def trained(rows: list[Row], held_out: str | None) -> tuple[bytes, dict[str, Any]]:
    """The packed model, and its figures alone ("model") and with the lexicon ("union")."""
    test = [row for row in rows if (row.split == TEST if held_out is None else row.genre == held_out)]
    tested = set(map(id, test))
    rest = [row for row in rows if id(row) not in tested]
    packed = train([row for row in rest if row.split != TUNE], [row for row in rest if row.split == TUNE])
    phrases, figures = lexicon.load(LABELS), {}
    for name, spoken in (("model", None), ("union", phrases)):
        judge = Judge(spoken, models.Model(packed))
        given = [(row.truth or frozenset(), frozenset(judge.judge(row.text).labels)) for row in test]
        figures[name] = data.measure(given)
    return packed, figures


def _check(rows: list[Row]) -> int:
    with open(MODEL_PATH, "rb") as file:
        shipped = file.read()
    bad = 0
    for held_out, least in PROMISES.items():
        packed, figures = trained(rows, held_out)
        for name, found in figures.items():
            good = found["micro"] >= least["micro"] and found["macro"] >= least["macro"]
            bad += not good
            print(f"{'ok' if good else 'BAD'}: held out {held_out or 'split 0'}, {name}: micro {found['micro']:.3f} "
                  f"(least {least['micro']}), macro {found['macro']:.3f} (least {least['macro']})")
        if held_out is None:
            print(f"the shipped model is {'the same, byte for byte' if packed == shipped else 'another one'}")
    return 1 if bad else 0


def train(learn: list[Row], tune: list[Row]) -> bytes:
    """The packed model of these rows."""
    truth = np.array([[label in (row.truth or ()) for label in LABELS] for row in learn])
    found = [features(words(row.text)[:WORDS_MAX]) for row in learn]
    names = _often(found)
    weights, _ = _fit(_matrix(found, names), truth)
    names = sorted(np.array(names)[np.sort(np.argsort(-np.abs(weights).max(axis=1), kind="stable")[:FEATURES])],
                   key=lambda name: crc32(name.encode()))
    weights, biases = _fit(_matrix(found, names), truth)
    scales = np.abs(weights).max(axis=0) / 127
    rounded = np.round(weights / scales).astype(np.int8)
    hashes = [crc32(name.encode()) for name in names]

    def packed(thresholds: list[float]) -> bytes:
        rows = [(label, float(scales[i]), float(biases[i]), thresholds[i]) for i, label in enumerate(LABELS)]
        return models.pack(rows, hashes, rounded.tobytes())

    return packed(_thresholds(models.Model(packed([1.0] * len(LABELS))), tune))


def _often(found: list[set[str]]) -> list[str]:
    counts: dict[str, int] = {}
    for one in found:
        for name in one:
            counts[name] = counts.get(name, 0) + 1
    return sorted(name for name, count in counts.items() if count >= SEEN_MIN)


def _matrix(found: list[set[str]], names: list[str]) -> Any:
    places = {name: i for i, name in enumerate(names)}
    known = [sorted(places[name] for name in one if name in places) for one in found]
    values = np.concatenate([np.full(len(one), 1 / np.sqrt(len(one) or 1)) for one in known])
    ends = np.cumsum([0, *[len(one) for one in known]])
    return sparse.csr_matrix((values, np.concatenate(known).astype(int), ends), shape=(len(found), len(names)))


def _fit(matrix: Any, truth: Any) -> tuple[Any, Any]:
    weights = np.zeros((matrix.shape[1], truth.shape[1]))
    biases = np.zeros(truth.shape[1])
    for i in range(truth.shape[1]):
        one = LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=300, random_state=0)
        one.fit(matrix, truth[:, i])
        weights[:, i], biases[i] = one.coef_[0], one.intercept_[0]
    return weights, biases


def _thresholds(model: models.Model, tune: list[Row]) -> list[float]:
    """For each label the threshold at which lexicon and model together have the best F1."""
    phrases = Judge(lexicon.load(LABELS), None)
    spoken = [set(phrases.judge(row.text).labels) for row in tune]
    scores = []
    for row in tune:
        known = model.known(words(row.text))
        scores.append(model.scores(known) if len(known) >= MODEL_WORDS_MIN else [0.0] * len(LABELS))
    table = np.array(scores)
    out = []
    for i, label in enumerate(LABELS):
        truth = np.array([label in (row.truth or ()) for row in tune])
        said = np.array([label in one for one in spoken])

        def f1(step: float, i: int = i, truth: Any = truth, said: Any = said) -> float:
            given = said | (table[:, i] >= step)
            return float(2 * (given & truth).sum() / max(1, given.sum() + truth.sum()))

        out.append(max(STEPS, key=f1))
    return out


if __name__ == "__main__":
    sys.exit(main())
