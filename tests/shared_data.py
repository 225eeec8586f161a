"""Where the project's test data is: $WAYPOST_SHARED, or a folder `shared` beside the checkout or one above that."""

from __future__ import annotations

import os

import pytest

from tests.conftest import ROOT


def shared(*parts: str) -> str:
    """The path of one of its files or folders; the test is skipped where the data is not at hand."""
    above = os.path.dirname(ROOT)
    for folder in (os.environ.get("WAYPOST_SHARED"), os.path.join(above, "shared"),
                   os.path.join(os.path.dirname(above), "shared")):
        path = os.path.join(folder or "", *parts)
        if folder and os.path.exists(path):
            return path
    pytest.skip(f"{'/'.join(parts)} is not at hand: set WAYPOST_SHARED to the folder with the test data")
