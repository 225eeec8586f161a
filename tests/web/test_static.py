"""The files of the page: small, nothing from outside, every word in the table, colours that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.core import conditions
from edge.web.app import STATIC

FOLDER = Path(__file__).parents[2] / "edge/web/static"
FILES = {path.name: path.read_text() for path in sorted(FOLDER.iterdir())}
BYTES_MAX = 72 * 1024


def test_all_of_it_is_served_and_small() -> None:
    assert sorted(FILES) == sorted(name for name, _ in STATIC.values())
    assert sum(len(text.encode()) for text in FILES.values()) < BYTES_MAX


@pytest.mark.parametrize("name", FILES)
def test_nothing_from_outside(name: str) -> None:
    allowed = "http://www.w3.org/2000/svg"
    assert not re.search(r"(https?:)?//[a-z]", FILES[name].replace(allowed, "")), "an address of another machine"
    assert not re.search(r"@import|url\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", FILES[name])


def test_no_inline_script_or_style() -> None:
    page = FILES["index.html"]
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", page)
    assert re.search(r"<html lang=", page)


def test_every_word_is_in_the_table() -> None:
    table = FILES["texts.js"]
    used = set(re.findall(r'data-t(?:-placeholder)?="(\w+)"', FILES["index.html"]))
    scripts = [text for name, text in FILES.items() if name != "texts.js"]
    scripts.append((FOLDER.parent / "phone/node.js").read_text())
    used |= set(re.findall(r"\bwords\.(\w+)", "".join(scripts)))
    for word in used:
        assert re.search(rf"^ {{4}}{word}: ", table, re.M), f"{word} has no text"
    for word in re.findall(r"^ {4}(\w+): ", table, re.M):
        known = word in used or word in ("well", "attention", "ill")
        assert known, f"{word} is not used"


def test_every_word_of_the_phone_page_is_in_the_table() -> None:
    table = re.search(r"^ {4}phone: \{\n(.*?)^ {4}\},", FILES["texts.js"], re.M | re.S)
    assert table
    used = set(re.findall(r"\bphone\.(\w+)", (FOLDER.parent / "phone/node.js").read_text()))
    assert used == set(re.findall(r"^ {6}(\w+): ", table[1], re.M))


def test_every_word_of_asking_is_in_the_table() -> None:
    table = re.search(r"^ {4}asking_part: \{\n(.*?)^ {4}\},", FILES["texts.js"], re.M | re.S)
    assert table
    used = set(re.findall(r"\btexts\.(\w+)", FILES["ask.js"]))
    assert used == set(re.findall(r"(?:^ {6}| )(ask_\w+): ", table[1], re.M))


def test_every_field_has_a_label() -> None:
    page = FILES["index.html"]
    for field in re.findall(r'<(?:textarea|input)[^>]*\sid="(\w+)"', page):
        assert f'<label for="{field}"' in page
    for used in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page):
        for name in used.split():
            assert f'id="{name}"' in page


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text; 1.4.11: 3 to 1 for the edge of a field."""
    light, dark = re.findall(r":root \{(.*?)\}", FILES["style.css"], re.S)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light))
    if scheme == "dark":
        colours.update(re.findall(r"--([\w-]+): (#\w{6})", dark))
    colours["white"] = "#ffffff"
    pairs = [("ink", "paper", 7), ("ink", "card", 7), ("ink", "wash", 7), ("soft", "paper", 4.5), ("soft", "card", 4.5),
             ("amber", "amber-wash", 4.5), ("red", "red-wash", 4.5), ("on-green", "green", 4.5),
             ("on-green", "green-deep", 4.5), ("green", "paper", 4.5), ("lamp", "paper", 3)]
    pairs += [("white", f"tint{n}", 4.5) for n in range(5)]
    for theme, colour in re.findall(r"(?m)^(\[data-theme=\w+\] \.top|\.top|button\.grave\S*) \{ background: (#\w{6})",
                                    FILES["style.css"]):
        colours |= {theme: colour, "head": "#fffefa", "tagline": "#dcebe2"}
        pairs += [("head", theme, 4.5), ("tagline", theme, 4.5)]
    assert len(pairs) == 16 + 2 * 6
    for front, back, least in pairs:
        a, b = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= least, f"{front} on {back}: {(a + 0.05) / (b + 0.05):.2f}"


def test_every_reason_for_a_condition_has_its_words() -> None:
    codes = {f"{one.name}.{value.name}" for one in conditions.INPUTS if one.axis == conditions.CONDITION
             for value in one.values if value.says != conditions.QUIET}
    for name in ("reasons", "over"):
        table = re.search(rf"^ {{6}}{name}: \{{\n(.*?)^ {{6}}\}},", FILES["texts.js"], re.M | re.S)
        assert table and set(re.findall(r'"([a-z.]+)": ', table[1])) == codes
