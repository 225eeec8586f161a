"""A CAP alert that is too long to be carried gives up what people can best do without, step by step, until it fits.

Shapes are the last but one to go, and become circles around them, so nobody who was meant is left out by it.
"""

from __future__ import annotations

from edge.core import cbor, place, sphere
from edge.services import captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.services.captree import Tree

_DESCRIPTION_LETTERS = 1000
_CODES = 40  # geocodes that stay of an area
_INFOS = 4
_RESOURCE, _PARAMETER, _EVENT_CODE = 20, 19, 9


def thin(tree: Tree, bytes_max: int) -> tuple[Tree, list[str]]:
    """(tree, what was left out, in words) of a checked tree; its encoding has at most so many bytes, if that can be."""
    left_out: list[str] = []
    for name, step in _STEPS:
        if len(cbor.encode(tree)) <= bytes_max:
            break
        thinner = step(tree)
        if thinner != tree:
            tree = thinner
            left_out.append(name)
    return tree, left_out


def _infos(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    return {**tree, captree.INFO: [change(info) for info in tree[captree.INFO]]} if captree.INFO in tree else tree


def _areas(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    return _infos(tree, lambda info: {**info, captree.AREA: [change(area) for area in info[captree.AREA]]}
                  if captree.AREA in info else info)


def _without(number: int) -> Callable[[Tree], Tree]:
    return lambda tree: _infos(tree, lambda info: {key: value for key, value in info.items() if key != number})


def _shorter(info: Tree) -> Tree:
    text: Any = info.get(captree.DESCRIPTION, "")
    if len(text) <= _DESCRIPTION_LETTERS:
        return info
    return {**info, captree.DESCRIPTION: text[:_DESCRIPTION_LETTERS].rstrip() + "\u2026"}


def _fewer_codes(area: Tree) -> Tree:
    codes = area.get(captree.GEOCODE, [])
    return {**area, captree.GEOCODE: codes[:2 * _CODES]} if len(codes) > 2 * _CODES else area


def _circles(area: Tree) -> Tree:
    if captree.POLYGON not in area:
        return area
    circles = list(area.get(captree.CIRCLE, []))
    for kind, shape in captree.shapes(area):
        if kind == "polygon":
            lat, lon, radius_m = sphere.covering(shape)
            circles.append(f"{place.show(lat, lon)} {place.kilometres(radius_m)}")
    return {**{key: value for key, value in area.items() if key != captree.POLYGON}, captree.CIRCLE: circles}


_STEPS: tuple[tuple[str, Callable[[Tree], Tree]], ...] = (
    ("resources", _without(_RESOURCE)), ("parameters", _without(_PARAMETER)), ("event codes", _without(_EVENT_CODE)),
    ("the end of long descriptions", lambda tree: _infos(tree, _shorter)),
    (f"geocodes beyond {_CODES} an area", lambda tree: _areas(tree, _fewer_codes)),
    ("polygons, which are circles now", lambda tree: _areas(tree, _circles)),
    (f"infos beyond {_INFOS}", lambda tree: {**tree, captree.INFO: tree.get(captree.INFO, [])[:_INFOS]}),
    ("descriptions", _without(captree.DESCRIPTION)))
