"""Markdown, HTML and plain text as sections: a path of headings and the blocks of text below it.

It keeps words and their order, takes marks, links and pictures off, and runs nothing that stands in a page. Nobody is
asked whether a page is well-formed: what can't be read as a heading or a list is a paragraph.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Section = tuple[tuple[str, ...], list[str]]  # headings from the outermost in, blocks

HEADING_CHARS_MAX = 120
DEPTH_MAX = 8
BOLD_LEVEL = 7  # a line in bold letters alone is a heading below all that are marked as such

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_MARK = re.compile(r"(\*\*|__|\*|_|`)(?=\S)(.+?)(?<=\S)\1")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+")
_BOLD_LINE = re.compile(r"\*\*([^*]{3,100})\*\*:?$")
_ASIDE = re.compile(r"\*\*(warning|caution|note|notes|tip|important|attention|achtung)\b", re.IGNORECASE)
_FIGURE = re.compile(r"(figure|table) \d", re.IGNORECASE)
_BLOCK_TAGS = frozenset(("p", "div", "section", "article", "li", "ul", "ol", "tr", "table", "blockquote", "pre", "br",
                         "dt", "dd", "figcaption", "main", "header", "footer", "td", "th",
                         "h1", "h2", "h3", "h4", "h5", "h6"))
_SILENT_TAGS = frozenset(("script", "style", "head", "nav", "noscript", "template", "svg", "sup"))


def sections(kind: str, text: str, title: str) -> list[Section]:
    """The sections of a document. kind: "md", "html" or "txt"; title: the outermost heading. Raises ValueError."""
    parse = _PARSERS.get(kind)
    if parse is None:
        raise ValueError(f"{kind} is no kind of text; allowed: {', '.join(sorted(_PARSERS))}")
    out: list[Section] = []
    path: list[tuple[int, str]] = [(0, title)]
    blocks: list[str] = []
    for level, said in parse(text.replace("\r\n", "\n").replace("\r", "\n")):
        said = " ".join(said.split())
        if not said:
            continue
        if level is None:
            blocks.append(said)
            continue
        if blocks:
            out.append((tuple([one for _, one in path]), blocks))
            blocks = []
        while len(path) > 1 and (path[-1][0] >= level or len(path) >= DEPTH_MAX):
            path.pop()
        if said != title:
            path.append((level, said[:HEADING_CHARS_MAX]))
    if blocks:
        out.append((tuple([one for _, one in path]), blocks))
    return out


def _markdown(text: str) -> Iterator[tuple[int | None, str]]:
    """(level, heading) and (None, block), in their order."""
    paragraph: list[str] = []
    fenced = False
    for line in [*_COMMENT.sub("", text).split("\n"), ""]:
        line = line.strip().lstrip(">").strip() if not fenced else line
        if line.startswith(("```", "~~~")):
            fenced = not fenced
            continue
        hashes = len(line) - len(line.lstrip("#"))
        bold = None if _ASIDE.match(line) else _BOLD_LINE.match(line)
        starts = hashes or bold or not line or _ITEM.match(line) or line.startswith("|")
        if starts and paragraph:
            yield None, _plain(" ".join(paragraph))
            paragraph = []
        if 0 < hashes <= 6 and line[hashes:hashes + 1] == " " and not fenced:
            yield hashes, _plain(line[hashes:].rstrip("# "))
        elif bold and not fenced:
            if not _FIGURE.match(bold[1]):
                yield BOLD_LEVEL, _plain(bold[1])
        elif line and not (line.startswith("|") and not line.strip("|-: ")):
            paragraph.append(_ITEM.sub("- ", line, count=1) if _ITEM.match(line) else line.replace("|", " ").strip())


def _plain(text: str) -> str:
    text = _TAG.sub("", _LINK.sub(r"\1", _IMAGE.sub("", text)))
    for _ in range(3):  # marks within marks
        text = _MARK.sub(r"\2", text)
    return _ESCAPE.sub(r"\1", text)


class _Html(HTMLParser):
    """Collects headings and blocks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int | None, str]] = []
        self._text: list[str] = []
        self._level: int | None = None
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _SILENT_TAGS:
            self._silent += 1
        elif tag in _BLOCK_TAGS:
            self.flush()
            if tag[0] == "h" and tag[1:].isdigit():
                self._level = int(tag[1:])
            if tag == "li":
                self._text.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT_TAGS:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCK_TAGS:
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)

    def flush(self) -> None:
        """What has gathered is one heading or block."""
        said = "".join(self._text)
        if said.strip(" -\n\t"):
            self.found.append((self._level, said))
        self._text.clear()
        self._level = None


def _html(text: str) -> Iterator[tuple[int | None, str]]:
    parser = _Html()
    parser.feed(text)
    parser.close()
    parser.flush()
    yield from parser.found


def _txt(text: str) -> Iterator[tuple[int | None, str]]:
    """Paragraphs between empty lines; a short line in capitals, or one that is underlined, is a heading."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in paragraph.strip().split("\n")]
        if len(lines) == 2 and len(lines[1]) >= 3 and not lines[1].strip("=-~"):
            yield (1 if lines[1][0] == "=" else 2), lines[0]
        elif len(lines) == 1 and 3 < len(lines[0]) <= 60 and lines[0].isupper():
            yield 3, lines[0]
        else:
            yield None, paragraph


_PARSERS: dict[str, Callable[[str], Iterator[tuple[int | None, str]]]] = {"md": _markdown, "html": _html, "txt": _txt}
