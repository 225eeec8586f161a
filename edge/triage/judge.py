"""What a text asks for: the lexicon's phrases and the model's labels together, each with its reason.

It raises only: what is here can give a text a label and say why, never take one away, hide or delay anything. The
lexicon speaks first and in four languages; the model, trained on English, only adds. docs/TRIAGE.md.
"""

from __future__ import annotations

import os

from edge.triage import lexicon
from edge.triage.model import Model
from edge.words import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.triage.lexicon import Lexicon

URGENT = "urgent"
LABELS = ("request", "medical", "water", "food", "shelter", "rescue", "fire", "security", "infrastructure", "flood",
          "storm", "earthquake", "cold", URGENT)
MODEL_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.bin")
BY_MODEL = "model"  # stands for the language of a reason that the model gives
MODEL_WORDS_MIN = 3  # of a text that the model knows; below that it has nothing to go by
REASONS_MAX = 3  # for one label


class Verdict:
    """labels in the order of LABELS; why: for each label at most REASONS_MAX (language or "model", words)."""

    __slots__ = ("labels", "why")

    def __init__(self, labels: tuple[str, ...], why: dict[str, list[tuple[str, str]]]) -> None:
        self.labels = labels
        self.why = why

    @property
    def urgent(self) -> bool:
        """Whether this is a call for help that should come first."""
        return URGENT in self.labels


class Judge:
    """A lexicon, a model or both; `open_judge` gives the node's own."""

    def __init__(self, phrases: Lexicon | None, model: Model | None) -> None:
        self._phrases = phrases
        self._model = model

    def judge(self, text: str) -> Verdict:
        """The verdict on one text."""
        found = words(text)
        why: dict[str, list[tuple[str, str]]] = {}
        if self._phrases is not None:
            for labels, said, language in self._phrases.find(found):
                for label in labels:
                    _give(why, label, language, said)
        if self._model is not None:
            self._add_model(self._model, found, why)
        return Verdict(tuple([label for label in LABELS if label in why]), why)

    def _add_model(self, model: Model, found: list[str], why: dict[str, list[tuple[str, str]]]) -> None:
        known = model.known(found)
        if len(known) < MODEL_WORDS_MIN:
            return
        for i, score in enumerate(model.scores(known)):
            if score >= model.thresholds[i] and model.labels[i] not in why:
                for one in model.because(i, known, REASONS_MAX):
                    _give(why, model.labels[i], BY_MODEL, one)


def open_judge(*, use_lexicon: bool = True, use_model: bool = True) -> Judge:
    """The judge of this installation; one without the model's file does with the lexicon.

    Raises OSError or ValueError where a file is broken.
    """
    model = None
    if use_model:
        try:
            with open(MODEL_PATH, "rb") as file:
                model = Model(file.read())
        except FileNotFoundError:
            pass  # whoever may not use it has deleted it: docs/TRIAGE.md
    return Judge(lexicon.load(LABELS) if use_lexicon else None, model)


def _give(why: dict[str, list[tuple[str, str]]], label: str, source: str, said: str) -> None:
    reasons = why.setdefault(label, [])
    if len(reasons) < REASONS_MAX and (source, said) not in reasons:
        reasons.append((source, said))
