"""An open store in a directory of its own."""

from __future__ import annotations

import os
import subprocess
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Makes a disk of its own of so many bytes; needs root."""
    mounted: list[str] = []

    def make(n_bytes: int) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "waypost-test", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs root and mount(8)")
        mounted.append(str(folder))
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_disk(folder: Path) -> Path:
    """Take all the room that is left; gives the file to delete."""
    path = folder / "filler"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(fd, bytes(4096))
    except OSError:
        return path
    finally:
        os.close(fd)
