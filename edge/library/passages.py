"""Passages: what is searched and shown, about a screen of a phone each, never across a heading.

Blocks of one section are put together until a passage is long enough; a block that is too long is cut between
sentences. It decides sizes only.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.library.text import Section

CHARS_WANTED = 500
CHARS_MAX = 900
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
PATH_MARK = " \u203a "


def passages(found: list[Section]) -> Iterator[tuple[str, str, str]]:
    """(title, headings below it joined by PATH_MARK, text) of each passage; blocks stand on lines of their own."""
    for path, blocks in found:
        for text in _pack(blocks):
            yield path[0], PATH_MARK.join(path[1:]), text


def _pack(blocks: list[str]) -> Iterator[str]:
    gathered: list[str] = []
    size = 0
    pieces = [piece for block in blocks for piece in _cut(block)]
    for i, piece in enumerate(pieces):
        if size and size + len(piece) > CHARS_MAX:
            yield "\n".join(gathered)
            gathered, size = [], 0
        gathered.append(piece)
        size += len(piece)
        rest = sum(len(one) for one in pieces[i + 1:i + 4])
        if size >= CHARS_WANTED and rest > CHARS_WANTED // 4:  # a short end stays with what it belongs to
            yield "\n".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield "\n".join(gathered)


def _cut(block: str) -> Iterator[str]:
    """A block in pieces of at most CHARS_MAX, between sentences where there are any."""
    piece = ""
    for sentence in _SENTENCE_END.split(block):
        while len(sentence) > CHARS_MAX:
            at = sentence.rfind(" ", CHARS_WANTED, CHARS_MAX)
            at = at if at > 0 else CHARS_MAX
            yield from filter(None, (piece, sentence[:at]))
            piece, sentence = "", sentence[at:].lstrip()
        if piece and len(piece) + len(sentence) + 1 > CHARS_MAX:
            yield piece
            piece = sentence
        else:
            piece = f"{piece} {sentence}".strip()
    if piece:
        yield piece
