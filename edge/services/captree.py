"""A CAP alert as a tree of numbered elements: which there are, what each may be, what is wrong with one.

The tree is what an ALERT's details carry (PROTOCOL 18.3): {number: text, list of texts, or list of trees}. Here are the
rules of CAP 1.2 (OASIS, section 3.2) for it; XML is read and written in tools/cap. Nothing here looks at a clock.
"""

from __future__ import annotations

from edge.core import place
from edge.core.alert import CATEGORIES, CERTAINTIES, RESPONSES, SEVERITIES, STATUSES, URGENCIES
from edge.services import captime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Tree = dict[int, Any]

ONE, MANY, PAIRS, TREES = range(4)  # kinds of elements: a text, texts, names with values, elements with elements
POLYGON_CORNERS_MAX = 2000
GEOHASH = "geohash"  # the valueName of a geocode that is one

_SCOPES = ("Public", "Restricted", "Private")
_TYPES = ("Alert", "Update", "Cancel", "Ack", "Error")


class Element:
    """One element: its number and name, kind, whether it must be there, and the words that it may be (empty: any)."""

    __slots__ = ("number", "name", "kind", "must", "words")

    def __init__(self, number: int, name: str, kind: int, must: bool, words: tuple[str, ...]) -> None:
        self.number = number
        self.name = name
        self.kind = kind
        self.must = must
        self.words = words


def _elements(*rows: tuple[Any, ...]) -> tuple[Element, ...]:
    return tuple(Element(number, name, kind, must, words)
                 for number, (name, kind, must, words) in enumerate([(*row, *_REST[len(row):]) for row in rows], 1))


_REST = ("", ONE, False, ())
# in the order of the schema; an element's number is its place in the list
ELEMENTS = {
    "alert": _elements(
        ("identifier", ONE, True), ("sender", ONE, True), ("sent", ONE, True), ("status", ONE, True, STATUSES),
        ("msgType", ONE, True, _TYPES), ("source",), ("scope", ONE, True, _SCOPES), ("restriction",), ("addresses",),
        ("code", MANY), ("note",), ("references",), ("incidents",), ("info", TREES)),
    "info": _elements(
        ("language",), ("category", MANY, True, CATEGORIES), ("event", ONE, True),
        ("responseType", MANY, False, RESPONSES[1:]), ("urgency", ONE, True, URGENCIES),
        ("severity", ONE, True, SEVERITIES), ("certainty", ONE, True, CERTAINTIES), ("audience",),
        ("eventCode", PAIRS), ("effective",), ("onset",), ("expires",), ("senderName",), ("headline",),
        ("description",), ("instruction",), ("web",), ("contact",), ("parameter", PAIRS), ("resource", TREES),
        ("area", TREES)),
    "resource": _elements(("resourceDesc", ONE, True), ("mimeType", ONE, True), ("size",), ("uri",), ("digest",)),
    "area": _elements(("areaDesc", ONE, True), ("polygon", MANY), ("circle", MANY), ("geocode", PAIRS), ("altitude",),
                      ("ceiling",)),
}
NUMBERS = {kind: {one.name: one for one in elements} for kind, elements in ELEMENTS.items()}
IDENTIFIER, SENDER, SENT, STATUS, MSG_TYPE, REFERENCES, INFO = 1, 2, 3, 4, 5, 12, 14
LANGUAGE, CATEGORY, EVENT, RESPONSE, URGENCY, SEVERITY, CERTAINTY = range(1, 8)
EFFECTIVE, ONSET, EXPIRES, SENDER_NAME, HEADLINE, DESCRIPTION, INSTRUCTION, WEB, CONTACT = range(10, 19)
AREA = 21
AREA_DESC, POLYGON, CIRCLE, GEOCODE = 1, 2, 3, 4


class Fault(ValueError):
    """What is wrong with a tree: where ("info 1/urgency"), what, and what was allowed."""

    def __init__(self, where: str, what: str, allowed: str = "") -> None:
        super().__init__(what)
        self.where = where
        self.what = what
        self.allowed = allowed


def check(tree: Any) -> None:
    """Raise Fault for the first thing that CAP 1.2 does not allow."""
    check_part(tree, whole=True)
    for number, name in ((IDENTIFIER, "identifier"), (SENDER, "sender")):
        if any(one in " ,<&" for one in tree[number]):
            raise Fault(name, "holds a space, a comma, < or &", "none of these")
    _time(tree, SENT, "sent")
    for scope, name in (("Restricted", "restriction"), ("Private", "addresses")):
        if tree[7] == scope and not tree.get(NUMBERS["alert"][name].number):
            raise Fault(name, f"is missing, and must be there where the scope is {scope}")
    if REFERENCES in tree or tree[MSG_TYPE] != "Alert":
        references(tree)


def check_part(tree: Any, whole: bool = False) -> None:
    """The same for details, which need not be a whole alert: nothing is missed, but what is there must be right."""
    _check("alert", tree, "", whole)
    for n, info in enumerate(tree.get(INFO, []), 1):
        _check_info(info, f"info {n}/")


def references(tree: Tree) -> list[str]:
    """The alerts that this one refers to, each as "sender,identifier,sent". Raises Fault."""
    found = str(tree.get(REFERENCES, "")).split()
    if not found:
        raise Fault("references", "is empty" if REFERENCES in tree else f"is missing in an {tree[MSG_TYPE]}",
                    "sender,identifier,sent of each alert meant")
    for one in found:
        if one.count(",") != 2 or captime.seconds(one.rpartition(",")[2]) is None or one.startswith(",") or ",," in one:
            raise Fault("references", f'"{one[:80]}" names no alert', "sender,identifier,sent")
    return found


def identity(tree: Tree) -> str:
    """"sender,identifier,sent" of the alert itself."""
    return f"{tree[SENDER]},{tree[IDENTIFIER]},{tree[SENT]}"


def shapes(area: Tree) -> Iterator[tuple[str, Any]]:
    """What an area (already checked) holds: ("polygon", [(lat, lon), ...]), ("circle", (lat, lon, metres)), then
    ("name", areaDesc), ("geohash", "#text"), and other geocodes as names by their values."""
    for text in area.get(POLYGON, []):
        yield "polygon", _corners(text)
    for text in area.get(CIRCLE, []):
        yield "circle", circle(text)
    yield "name", area[AREA_DESC]
    codes = area.get(GEOCODE, [])
    for name, value in zip(codes[::2], codes[1::2], strict=True):
        if name == GEOHASH:
            yield "geohash", "#" + value
        else:
            yield "name", value


def _corners(text: str) -> list[tuple[int, int]]:
    """The corners of a polygon in microdegrees. Raises ValueError."""
    found = [place.degrees(one) for one in text.split()]
    if not 4 <= len(found) <= POLYGON_CORNERS_MAX or found[0] != found[-1]:
        raise ValueError(f"not a closed polygon of 4 to {POLYGON_CORNERS_MAX} points")
    return found


def circle(text: str) -> tuple[int, int, int]:
    """(lat, lon, metres) of "LAT,LON KILOMETRES". Raises ValueError."""
    parts = text.split()
    if len(parts) != 2:
        raise ValueError("not LAT,LON KILOMETRES")
    return (*place.degrees(parts[0]), place.metres(parts[1]))


def _check(kind: str, tree: Any, where: str, whole: bool) -> None:
    """The elements of one tree: that there are no others, that each is of its kind, and one of its words."""
    if not isinstance(tree, dict):
        raise Fault(where or kind, "is no tree of elements")
    elements = ELEMENTS[kind]
    for number in tree:
        if not isinstance(number, int) or not 1 <= number <= len(elements):
            raise Fault(where or kind, f"there is no element {number!r:.20}")
    for one in elements:
        if one.number not in tree:
            if one.must and (whole or kind == "area"):
                raise Fault(where + one.name, "is missing", _words(one))
            continue
        _check_value(one, tree[one.number], where + one.name, whole)


def _check_value(one: Element, value: Any, where: str, whole: bool) -> None:
    if one.kind == ONE:
        values = [value]
    elif not isinstance(value, list) or not value:
        raise Fault(where, "must be a list with something in it")
    elif one.kind == TREES:
        for n, tree in enumerate(value, 1):
            _check(one.name, tree, f"{where} {n}/", whole)
        return
    elif one.kind == PAIRS and len(value) % 2:
        raise Fault(where, "a name lacks its value")
    else:
        values = value
    for text in values:
        if not isinstance(text, str):
            raise Fault(where, "must be text")
        if one.words and text not in one.words:
            raise Fault(where, f'can\'t be "{text[:40]}"' if text else "is empty", _words(one))
        if one.must and not text:
            raise Fault(where, "is empty")


def _check_info(info: Tree, where: str) -> None:
    for number, name in ((EFFECTIVE, "effective"), (ONSET, "onset"), (EXPIRES, "expires")):
        if number in info:
            _time(info, number, where + name)
    for n, area in enumerate(info.get(AREA, []), 1):
        for number, name, read in ((POLYGON, "polygon", _corners), (CIRCLE, "circle", circle)):
            for text in area.get(number, []):
                try:
                    read(text)
                except ValueError as error:
                    shown = "is empty" if not text.strip() else str(error)
                    raise Fault(f"{where}area {n}/{name}", shown, "points LAT,LON, the first again at the end"
                                if number == POLYGON else "LAT,LON KILOMETRES") from None


def _time(tree: Tree, number: int, where: str) -> None:
    if captime.seconds(tree[number]) is None:
        raise Fault(where, f'"{tree[number][:40]}" is no time' if tree[number] else "is empty", captime.FORM)


def _words(one: Element) -> str:
    return ", ".join(one.words)
