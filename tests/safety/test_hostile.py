"""Whatever an ALERT's body holds, the worst it can do is not be shown: nothing raises, nothing else is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.core import alert, cbor
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.core.rng import Rng
from edge.services import alertform, alertrows, captree
from edge.services.alertform import Place
from tests.conftest import ROOT
from tests.core.mutate import damaged
from tests.safety.kit import halls
from tools.cap import reader

HERE = Place("52.0116,4.3571", ["Delft"])


def seeds() -> list[bytes]:
    """Encoded bodies that are good: short forms, details of real CAP alerts."""
    trees = [reader.read(str(Path(ROOT, "tests/data/cap", f"{name}.cap"))) for name in ("canada", "thunderstorm")]
    bodies: list[dict[int, Any]] = [alertform.of_cap(tree, []).body for tree in trees]
    for tree in trees:
        tree[14] = tree[14][:1]
        bodies.append({12: b"8 bytes.", 13: tree})
    bodies += [{1: "Smoke", 3: [3, 4, 4], 5: [b"\xc8RI\x84\x0b\xd5\x01\x91", "Delft", "#u15p"], 9: 1},
               {8: [2, b"8 bytes."]}, {1: 1, 2: bytes(16), 3: "I see it"}]
    return [cbor.encode(body) for body in bodies]


def test_bodies() -> None:
    """Mutated ones are refused for a reason, or make a row."""
    rng, rows, refused = Rng(5), 0, 0
    short = alert.read({1: "Flood", 9: 1})
    for seed in seeds():
        for data in damaged(seed, rng, 400):
            try:
                body = cbor.decode(data)
                found = alert.read(body) if isinstance(body, dict) else None
                if isinstance(found, alert.Details):
                    captree.check_part(found.tree)
            except (CodecError, captree.Fault):
                refused += 1
                continue
            if isinstance(found, alert.Details):
                alertform.grave_here(short, found.tree, HERE)
                alertrows.texts(short, found.tree)
                alertrows.areas(short, found.tree)
                rows += 1
            elif found is not None:
                alertform.grave_here(found, None, HERE)
                alertrows.texts(found, None)
                alertrows.areas(found, None)
                rows += 1
    assert rows > 100 and refused > 1000


def test_trees() -> None:
    """Values of every kind in every place of a tree."""
    (good,) = [cbor.decode(seed)[13] for seed in seeds()[2:3]]
    odd: list[Any] = [None, True, 0, -1, 2**63, "", "x", "\0", b"", b"x", [], ["x"], [[]], {}, {1: "x"}, {"a": 1},
                      [{}], ["", ""], [b"x"], "1,1 1,1 1,1 1,1", "91,181 5", "2026-13-45T99:99:99+99:99"]
    short = alert.read({1: "Flood", 9: 1})
    taken = 0

    def places(tree: Any) -> list[tuple[Any, Any]]:
        out = []
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            out.append((tree, key))
            if isinstance(value, dict | list):
                out += places(value)
        return out

    for holder, key in places(good):
        before = holder[key]
        for value in odd:
            holder[key] = value
            try:
                captree.check_part(good)
            except captree.Fault:
                continue
            taken += 1
            alertform.grave_here(short, good, HERE)
            alertrows.texts(short, good)
            alertrows.areas(short, good)
        holder[key] = before
    assert taken > 50


def test_a_node_goes_on(tmp_path: Path) -> None:
    (a,) = halls(tmp_path, "a")
    rng = Rng(6)
    n = 0
    for seed in seeds():
        for data in list(damaged(seed, rng, 60))[:60]:
            try:
                body = cbor.decode(data)
            except CodecError:
                continue
            if isinstance(body, dict) and all(isinstance(key, int) and not isinstance(key, bool) for key in body):
                for type, lane in ((messages.ALERT, 0), (messages.ALERT, 2), (messages.REPORT, 1),
                                   (messages.CHECKIN, 1), (messages.CERT, 0), (messages.HALT, 0)):
                    a.says(type, lane, body)
                    n += 1
    assert n > 100
    a.call("alert.list", ended=True)
    a.reboot()
    a.call("alert.list", ended=True)
    a.call("checkin.list")
