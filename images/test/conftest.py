"""The image under test, and one machine for each module that uses it in turn."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest

from images.test.machine import Machine, new_card

ROOT = pathlib.Path(__file__).parents[2]
OUT = pathlib.Path(os.environ.get("WAYPOST_IMAGE_OUT", ROOT / ".cache" / "image"))


@pytest.fixture(scope="session")
def image() -> pathlib.Path:
    """What `python -m images.builder --for-tests` has made."""
    found = sorted(OUT.glob("waypost-*.img"))
    assert found, f"there is no image in {OUT}: make test-image builds it"
    return found[-1]


@pytest.fixture(scope="module")
def box(image: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A new card in a machine that is off."""
    folder = tmp_path_factory.mktemp("box")
    with Machine(new_card(image, folder), folder) as machine:
        yield machine
    for path in folder.glob("card.*"):
        path.unlink()
