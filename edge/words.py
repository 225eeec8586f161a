"""The words of a text as triage and classifiers of texts see them: small letters, Latin accents taken off, nothing but
letters and digits.

`features` is what models were trained on, so a change here asks for new ones (tools/dev/triage_train.py). It knows no
language and no label.
"""

from __future__ import annotations

import re

WORDS_MAX = 400  # a longer text is judged by its first words

_WORD = re.compile(r"[^\W_]+")
_PLAIN = {
    "a": "àáâãäåāăą", "c": "çćĉċč", "d": "ďđ", "e": "èéêëēĕėęě", "g": "ĝğġģ", "i": "ìíîïĩīĭįı", "l": "ĺļľł",
    "n": "ñńņň", "o": "òóôõöøōŏő", "r": "ŕŗř", "s": "śŝşš", "t": "ţťț", "u": "ùúûüũūŭůűų", "y": "ýÿ", "z": "źżž",
    "ae": "æ", "oe": "œ", "ss": "ß", "'": "\u2019\u02bc`\u00b4", "": "\u0300\u0301\u0302\u0303\u0308\u0327\u0307",
}
_FOLD = {ord(one): plain for plain, letters in _PLAIN.items() for one in letters}


def words(text: str) -> list[str]:
    """The words in their order. "Can't" is one word, cant; "l'eau" is two."""
    return _WORD.findall(text.lower().translate(_FOLD).replace("n't", "nt"))


def features(found: list[str]) -> set[str]:
    """The words and the pairs of words that follow each other."""
    pairs = [f"{one} {two}" for one, two in zip(found, found[1:], strict=False)]
    return set(found).union(pairs)
