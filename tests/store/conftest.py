"""An open store in a directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.store.store import Store

Opener = Callable[..., Store]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the database of this test is."""
    return str(tmp_path / "waypost.db")


@pytest.fixture
def opener(path: str) -> Iterator[Opener]:
    """Opens the test's database, any number of times; closes what is left open."""
    stores: list[Store] = []

    def open_store(**options: object) -> Store:
        for store in stores:
            store.close()
        stores.append(Store.open(path, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def store(opener: Opener) -> Store:
    """The test's store."""
    return opener()
