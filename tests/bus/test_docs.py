"""The pages that are made from the code are as the code is."""

from __future__ import annotations

import os

import pytest

from edge.errors import BUS_ERRORS
from tests.conftest import ROOT
from tools.dev import docs


@pytest.mark.parametrize("name", docs.PAGES)
def test_page_is_current(name: str) -> None:
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
        assert file.read() == docs.PAGES[name](), "make it anew: python -m tools.dev.docs"


def test_every_code_of_the_wire_is_in_the_page() -> None:
    page = docs.error_codes()
    for code in BUS_ERRORS:
        assert f"| `{code}` |" in page
