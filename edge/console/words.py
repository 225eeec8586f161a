"""The words of a command line at the console: which command of the command line they are, and where quotes count.

It decides which words a command gets and whether somebody has to be asked first; it runs nothing.
"""

from __future__ import annotations

import shlex

JSON, YES = "--json", "--yes"


class Verb:
    """One command of the console. words: what it is on the command line, to which what was typed behind it is added.

    question: asked before it runs ("" asks nothing; "NAME" in it is the word to be typed). when: it is asked only where
    one of these is typed, as the first word or as a flag; none: always. rest: how many words stand before a text that
    needs no quotes (None: quotes as in a shell). alone: the words when nothing but --json is typed behind it.
    """

    __slots__ = ("name", "words", "about", "question", "when", "rest", "alone")

    def __init__(self, name: str, words: str, about: str, *, question: str = "", when: str = "",
                 rest: int | None = None, alone: str = "") -> None:
        self.name = name
        self.words = words.split()
        self.about = about
        self.question = question
        self.when = when.split()
        self.rest = rest
        self.alone = alone.split()


def arrange(verb: Verb, typed: list[str]) -> tuple[list[str], str]:
    """(the words for the command line, the question that has to be answered first or "").

    --yes answers it beforehand, for programs.
    """
    question = verb.question if "--help" not in typed and _hurts(verb, typed) else ""
    if verb.question and YES in typed:
        typed = [word for word in typed if word != YES]
        question = ""
    words = verb.alone if verb.alone and all(word == JSON for word in typed) else verb.words
    return [*words, *typed], question


def split(text: str, rest: int | None) -> list[str]:
    """The words of a command line; behind `rest` of them comes a text that is one word, quoted or not, and then at most
    --json. Raises ValueError where a quote is not closed."""
    text = text.strip()
    flags: list[str] = []
    if rest is not None and (text == JSON or text.endswith(" " + JSON)):
        text, flags = text[:-len(JSON)].rstrip(), [JSON]
    elif rest is not None and text.startswith(JSON + " "):
        text, flags = text[len(JSON):].lstrip(), [JSON]
    if rest is None or text.startswith("-"):
        return [*shlex.split(text), *flags]
    words: list[str] = []
    while text and len(words) < rest:
        word, text = _first(text)
        words.append(word)
    if text[:1] in ("'", '"'):
        word, behind = _first(text)
        text = text if behind else word  # quotes within a text are part of it
    return [*words, *([text] if text else []), *flags]


def _first(text: str) -> tuple[str, str]:
    """The first word of a text, which may be quoted, and what stands behind it."""
    quote = text[0]
    if quote not in "'\"":
        word, _, behind = text.partition(" ")
        return word, behind.lstrip()
    end = text.find(quote, 1)
    while end >= 0 and text[end + 1:end + 2].strip():  # an apostrophe
        end = text.find(quote, end + 1)
    if end < 0:
        raise ValueError("No closing quotation")
    return text[1:end], text[end + 1:].lstrip()


def _hurts(verb: Verb, typed: list[str]) -> bool:
    if not verb.when:
        return True
    first = next((word for word in typed if not word.startswith("-")), "")
    return first in verb.when or any(word.startswith("-") and word.partition("=")[0] in verb.when for word in typed)
