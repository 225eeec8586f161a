"""What a question asks for: its words without those that say nothing, and what books call the same thing.

The two tables beside this file are for people to read and mend: stopwords.txt and synonyms.txt. It knows no index.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # words, beginnings of words, phrases; what else is meant
    Rule = tuple[frozenset[str], tuple[str, ...], tuple[str, ...], tuple[str, ...]]

FOLDER = os.path.dirname(os.path.abspath(__file__))
TERMS_MAX = 12  # of a question; a longer one is cut
CHARS_MAX = 1000
BEGINNING_LETTERS_MIN = 3
_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r'"([^"]*)"|(\S+)')
_FOLD = {ord(one): plain for plain, letters in {
    "a": "\u00e0\u00e1\u00e2\u00e3\u00e4\u00e5", "c": "\u00e7", "e": "\u00e8\u00e9\u00ea\u00eb",
    "i": "\u00ec\u00ed\u00ee\u00ef", "n": "\u00f1", "o": "\u00f2\u00f3\u00f4\u00f5\u00f6",
    "u": "\u00f9\u00fa\u00fb\u00fc",
    "": "'\u2019\u02bc\u0301\u0300",
}.items() for one in letters}


class Term:
    """One thing that a question asks for: the word or phrase itself, and what else it may be called.

    topical: the table of synonyms knows it, so it is something that people in need ask about.
    """

    __slots__ = ("word", "others", "topical")

    def __init__(self, word: str, others: tuple[str, ...], topical: bool) -> None:
        self.word = word
        self.others = others
        self.topical = topical

    @property
    def is_phrase(self) -> bool:
        """Whether it is of several words: hardly ever there by chance."""
        return " " in self.word


class Speech:
    """The tables, read once."""

    def __init__(self, folder: str = FOLDER) -> None:
        """Raises OSError, or ValueError naming the line of a table that can't be read."""
        self._stop: set[str] = set()
        for _, line in _lines(os.path.join(folder, "stopwords.txt")):
            self._stop.update(split(line.partition(":")[2]))
        self._rules: list[Rule] = []
        for number, line in _lines(os.path.join(folder, "synonyms.txt")):
            said, colon, meant = line.partition(":")
            if not colon or not said.strip() or not meant.strip():
                raise ValueError(f"synonyms.txt:{number}: a line is WORDS: OTHER WORDS")
            self._rules.append(_rule(said, meant, number))

    def terms(self, question: str) -> list[Term]:
        """What a question asks for, in its order, at most TERMS_MAX."""
        found = split(question[:CHARS_MAX])
        kept = [word for word in found if word not in self._stop]
        text = f" {' '.join(found)} "
        out: dict[str, Term] = {}
        for word in kept:
            if word not in out and len(out) < TERMS_MAX:
                others = self._others(word)
                out[word] = Term(word, tuple([one for one in others if one != word]), bool(others))
        for _, _, phrases, meant in self._rules:
            for phrase in phrases:
                if f" {phrase} " in text and phrase not in out and len(out) < TERMS_MAX:
                    out[phrase] = Term(phrase, meant, True)
        return list(out.values())

    def _others(self, word: str) -> tuple[str, ...]:
        out: dict[str, None] = {}
        for whole, begun, _, meant in self._rules:
            if word in whole or (begun and word.startswith(begun)):
                out.update(dict.fromkeys(meant))
        return tuple(out)


def split(text: str) -> list[str]:
    """The words of a text, small, without accents and apostrophes."""
    return _WORD.findall(text.lower().translate(_FOLD))


def _rule(said: str, meant: str, number: int) -> Rule:
    whole, begun, phrases = [], [], []
    for phrase, word in _PART.findall(said):
        if phrase:
            phrases.append(" ".join(split(phrase)))
        elif word.endswith("*"):
            begun += split(word)
            if len(begun[-1]) < BEGINNING_LETTERS_MIN:
                raise ValueError(f"synonyms.txt:{number}: {word} needs {BEGINNING_LETTERS_MIN} letters before the *")
        else:
            whole += split(word)
    others = [" ".join(split(phrase or word)) for phrase, word in _PART.findall(meant)]
    return frozenset(whole), tuple(begun), tuple(phrases), tuple(others)


def _lines(path: str) -> Iterator[tuple[int, str]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                yield number, line.strip()
