"""The lexicon: phrases that a person has written down for a label, one file a language (edge/triage/lexicon/*.txt).

It decides whether a phrase stands in a text, in whatever language; what follows from that is judge.py's. How a file is
written stands at the top of each; docs/TRIAGE.md says how to add a language.
"""

from __future__ import annotations

import os

from edge.words import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Place = tuple[tuple[str, ...], tuple[str, ...], bool]  # whole words, beginnings, may others stand before it
    Phrase = tuple[tuple[Place, ...], tuple[str, ...], str]  # places, labels, language

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lexicon")
GAP_WORDS_MAX = 3
BEGINNING_LETTERS_MIN = 3
NOTHING = "nothing"  # the heading of phrases that mean no harm: their words are passed over


class Lexicon:
    """Phrases of one or more languages. labels: all that its headings name."""

    def __init__(self, files: Iterable[tuple[str, str]], labels: Iterable[str]) -> None:
        """files: (language, text of its file). labels: what headings may name. Raises ValueError, naming the line."""
        self.count = 0
        self._allowed = frozenset(labels)
        self._harmless: dict[str, tuple[Phrase, ...]] = {}
        self._meant: dict[str, tuple[Phrase, ...]] = {}
        self._same: dict[Any, Any] = {}  # equal parts are kept once: a third of the memory
        for language, text in files:
            self._read(language, text)
        self._same.clear()

    def find(self, found: list[str]) -> list[tuple[tuple[str, ...], str, str]]:
        """(labels, the phrase as it stands in the text, language) of each phrase in a text's words."""
        left = found[:]
        for at in range(len(found)):
            for phrase in _candidates(self._harmless, found[at]):
                end = _end(phrase[0], found, at)
                if end:
                    left[at:end] = [""] * (end - at)
        out = []
        for at, word in enumerate(left):
            for phrase in _candidates(self._meant, word):
                end = _end(phrase[0], left, at)
                if end:
                    out.append((phrase[1], " ".join(found[at:end]), phrase[2]))
        return out

    def _read(self, language: str, text: str) -> None:
        labels: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            where = f"{language}.txt:{number}"
            if not line or line.startswith("#"):
                continue
            if line.startswith("["):
                labels = tuple(line.strip("[]").split())
                wrong = [one for one in labels if one not in self._allowed and one != NOTHING]
                if wrong or not labels or not line.endswith("]"):
                    raise ValueError(f"{where}: {line} is no heading; labels: {', '.join(sorted(self._allowed))}")
                continue
            if not labels:
                raise ValueError(f"{where}: a phrase needs a [heading] above it")
            for places in _places(line, where):
                self._add((tuple([self._once(place) for place in places]), self._once(labels), language))

    def _add(self, phrase: Phrase) -> None:
        index = self._harmless if phrase[1] == (NOTHING,) else self._meant
        whole, beginnings, _ = phrase[0][0]
        for key in [*whole, *[one[:BEGINNING_LETTERS_MIN] + "*" for one in beginnings]]:
            index[key] = (*index.get(key, ()), phrase)
        self.count += 1

    def _once(self, part: Any) -> Any:
        """The same value, the object that was kept first: words in tuples, tuples in tuples."""
        if isinstance(part, tuple):
            part = tuple([self._once(one) for one in part])
        return self._same.setdefault(part, part) if not isinstance(part, bool) else part


def load(labels: Iterable[str], folder: str = FOLDER) -> Lexicon:
    """The lexicon of all files in a folder. Raises ValueError."""
    files = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".txt"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                files.append((name[:-4], file.read()))
    return Lexicon(files, labels)


def _candidates(index: dict[str, tuple[Phrase, ...]], word: str) -> tuple[Phrase, ...]:
    return index.get(word, ()) + index.get(word[:BEGINNING_LETTERS_MIN] + "*", ())


def _end(places: tuple[Place, ...], found: list[str], at: int) -> int:
    """Where the phrase that begins at `at` ends, 0 where it does not stand there."""
    if not _fits(places[0], found[at]):
        return 0
    at += 1
    for i, place in enumerate(places[1:], 1):
        if place[2]:
            for skip in range(GAP_WORDS_MAX + 1):
                if at + skip < len(found) and (end := _end(places[i:], found, at + skip)):
                    return end
            return 0
        if at >= len(found) or not _fits(place, found[at]):
            return 0
        at += 1
    return at


def _fits(place: Place, word: str) -> bool:
    return word in place[0] or (bool(place[1]) and word.startswith(place[1]))


def _places(line: str, where: str) -> list[tuple[Place, ...]]:
    """The phrases that a line stands for: more than one where an alternative is of several words, as l'eau is."""
    variants: list[list[Place]] = [[]]
    gap = False
    for part in line.split():
        if part == "..":
            gap = True
            continue
        whole: list[str] = []
        begun: list[str] = []
        several: list[list[str]] = []
        for one in part.split("|"):
            spoken = words(one)
            if one.endswith("*"):
                begun += spoken
                if len(spoken) != 1 or len(spoken[0]) < BEGINNING_LETTERS_MIN:
                    raise ValueError(f"{where}: {one} needs {BEGINNING_LETTERS_MIN} letters before the *")
            elif len(spoken) == 1:
                whole.append(spoken[0])
            elif spoken:
                several.append(spoken)
            else:
                raise ValueError(f"{where}: {part} holds no word")
        ends: list[list[Place]] = []
        if whole or begun:
            ends.append([(tuple(whole), tuple(begun), gap)])
        for spoken in several:
            ends.append([((word,), (), gap and not i) for i, word in enumerate(spoken)])
        variants = [variant + end for variant in variants for end in ends]
        gap = False
    if not variants[0] or gap or variants[0][0][2]:
        raise ValueError(f"{where}: a phrase begins and ends with a word")
    return [tuple(variant) for variant in variants]
