"""docs/EMERGENCY.md is what the code says."""

from __future__ import annotations

from edge.core import conditions as table
from tools.dev import docs_emergency


def test_the_page_is_not_old() -> None:
    with open(docs_emergency.PATH, encoding="utf-8") as file:
        assert file.read() == docs_emergency.page(), "python -m tools.dev.docs_emergency"


def test_the_diagrams_have_every_edge_of_the_tables() -> None:
    text = docs_emergency.page()
    for axis in (table.REACH, table.CONDITION):
        states = table.STATES[axis]
        for (old, verdict), new in table.TABLES[axis].items():
            (edge,) = [line for line in text.split("\n") if line.startswith(f"    {states[old]} --> {states[new]}: ")]
            assert table.VERDICTS[axis][verdict] in edge
