"""Documents as sections and passages: what is kept, what is taken off, and where a passage ends."""

from __future__ import annotations

import random
import string

import pytest

from edge.library.passages import CHARS_MAX, passages
from edge.library.text import sections

MARKDOWN = """<!-- a comment
over lines -->
First words, with **bold**, _leaning_ and `code`.

# Water
> A quote about water
> goes on.

## Boiling \\* it
* Bring it to [a boil](http://example.org/x) ![picture](a.png)
  for one minute.
* Let it cool.

**Above 2000 m**

Three minutes.

**WARNING**

Never drink seawater.

**Figure 4-1. A pot**

| litres | drops |
|---|---|
| 1 | 2 |

```
# not a heading
```
"""


def test_markdown() -> None:
    assert sections("md", MARKDOWN, "Title") == [
        (("Title",), ["First words, with bold, leaning and code."]),
        (("Title", "Water"), ["A quote about water goes on."]),
        (("Title", "Water", "Boiling * it"), ["- Bring it to a boil for one minute.", "- Let it cool."]),
        (("Title", "Water", "Boiling * it", "Above 2000 m"), [
            "Three minutes.", "WARNING", "Never drink seawater.", "litres drops", "1 2", "# not a heading"]),
    ]


def test_html() -> None:
    page = """<html><head><title>no</title><style>p { color: red }</style></head><body><nav>menu</nav>
    <h1>Water &amp; fire</h1><p>Boil <b>it</b>.<script>alert('x')</script></p><ul><li>one<li>two</ul>
    <h2>More</h2>text<br>on two lines<table><tr><td>a</td><td>b</td></tr></table></body>"""
    assert sections("html", page, "T") == [
        (("T", "Water & fire"), ["Boil it.", "- one", "- two"]),
        (("T", "Water & fire", "More"), ["text", "on two lines", "a", "b"]),
    ]


def test_plain_text() -> None:
    text = "FIRST AID\n\nPress hard.\nDo not look.\n\nBurns\n=====\n\nCool them.\r\n\r\nSmall\n---\n\nEnd."
    assert sections("txt", text, "T") == [
        (("T", "FIRST AID"), ["Press hard. Do not look."]), (("T", "Burns"), ["Cool them."]),
        (("T", "Burns", "Small"), ["End."]),
    ]


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="html, md, txt"):
        sections("pdf", "", "T")


@pytest.mark.parametrize("kind", ["md", "html", "txt"])
def test_whatever_is_in_it(kind: str) -> None:
    """Random pieces of syntax: never an error, and no word of a paragraph is lost."""
    pieces = ["# ", "**", "*", "|", "- ", "```", "<p>", "</p", "<script>", "&#x;", "\n\n", "\n", "[x](", "![", "<!--",
              "word "]
    for seed in range(300):
        random.seed(seed)
        text = "".join(random.choices(pieces, k=60))
        for path, blocks in sections(kind, text, "T"):
            assert path[0] == "T" and all(blocks)
    plain = " ".join("".join(random.choices(string.ascii_lowercase, k=6)) for _ in range(200))
    assert " ".join(block for _, blocks in sections(kind, plain, "T") for block in blocks) == plain


def test_passages_end_at_headings_and_at_their_size() -> None:
    sentence = "This is a sentence of some length, and it is one. "
    found = sections("md", f"# One\n\n{sentence * 40}\n\nshort end\n\n# Two\n\nshort", "T")
    rows = list(passages(found))
    assert [row[1] for row in rows] == ["One"] * (len(rows) - 1) + ["Two"] and len(rows) >= 4
    assert all(len(row[2]) <= CHARS_MAX + 20 for row in rows)
    assert rows[-2][2].endswith("short end"), "a short end stays with what it belongs to"
    joined = " ".join(row[2] for row in rows[:-1]).split()
    assert joined == f"{sentence * 40} short end".split(), "nothing is lost or doubled"


def test_a_block_without_sentences_is_cut_all_the_same() -> None:
    for block in ("x" * 5000, "word " * 1000):
        rows = list(passages([(("T",), [block])]))
        assert all(len(row[2]) <= CHARS_MAX for row in rows)
        assert "".join("".join(row[2].split()) for row in rows) == "".join(block.split())
