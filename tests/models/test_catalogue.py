"""What is installed is on the disk whole, checked, and within its quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.compat.hashing import sha256
from edge.errors import BadRequest, CapacityExceeded, NotFound, Unavailable
from edge.models import chunks
from edge.models.adding import add_file
from edge.models.catalogue import Catalogue
from tests.models.kit import QUOTA_BYTES
from tools.bench import random_gguf


def catalogue(path: Path, quota_bytes: int = QUOTA_BYTES) -> Catalogue:
    return Catalogue(str(path / "models"), quota_bytes)


def test_add_find_open_remove(tiny: str, tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    assert here.records() == []
    record = add_file(here, tiny, pinned=True)
    assert record.name == "tiny" and record.does == ["chat", "complete", "embed"] and record.pinned
    assert here.find("tiny").row() == here.find(record.blob[:8]).row() == record.row()
    fd = here.open(record)
    assert os.pread(fd, record.bytes + 1, 0) == Path(tiny).read_bytes()
    os.close(fd)
    listed = here.chunks(record.blob)
    assert listed.id.hex() == record.blob == sha256(listed.data).hex()
    again = catalogue(tmp_path)  # another process
    again.remove(again.find("tiny"))
    assert here.records() == [] and os.listdir(tmp_path / "models/blobs") == []
    with pytest.raises(NotFound, match='no model "tiny"'):
        here.find("tiny")


def test_the_same_file_twice_is_one_model(tiny: str, tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    assert add_file(here, tiny, pinned=True).name == add_file(here, tiny, name="other", pinned=True).name
    assert len(here.records()) == 1


def test_names(tiny: str, small: str, tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    add_file(here, tiny, name="mine", pinned=True)
    with pytest.raises(BadRequest, match="already"):
        add_file(here, small, name="mine", pinned=True)
    with pytest.raises(BadRequest, match="can't be called"):
        add_file(here, small, name="../up", pinned=True)
    assert here.name_for("Mine") == "mine-2" and here.name_for("Q 4_K/..") == "q-4_k"


def test_what_is_no_model_leaves_nothing_behind(tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    path = tmp_path / "notes.txt"
    path.write_text("not a model at all, though long enough")
    with pytest.raises(BadRequest, match="no GGUF"):
        add_file(here, str(path), pinned=True)
    assert here.records() == [] and not (tmp_path / "models").exists()


def test_a_changed_file_is_never_opened(tiny: str, tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    record = add_file(here, tiny, pinned=True)
    path = here.path(record.blob)
    os.utime(path, (1, 1))  # only touched: checked again, and good
    os.close(here.open(record))
    assert here.find("tiny").seen[1] == 10**9
    with open(path, "r+b") as file:
        file.seek(100_000)
        file.write(b"\0\1\2\3")
    with pytest.raises(Unavailable, match="chunk 0 is not what it was"):
        here.open(here.find("tiny"))
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(Unavailable, match="bytes instead of"):
        here.open(here.find("tiny"))
    os.unlink(path)
    with pytest.raises(Unavailable, match="can't be opened"):
        here.open(here.find("tiny"))


def test_what_belongs_to_no_model_makes_room_once_nobody_writes_to_it(tiny: str, tmp_path: Path) -> None:
    here = catalogue(tmp_path)
    record = add_file(here, tiny, pinned=True)
    old, young = "aa" * 32, "bb" * 32
    for blob, end in ((old, ""), (old, ".chunks"), (young, ".part"), (young, ".chunks")):
        Path(here.path(blob, end)).write_bytes(bytes(100_000))
        if (blob, end) != (young, ".part"):
            os.utime(here.path(blob, end), (1, 1))
    here.quota_bytes = here.used_bytes()
    here.make_room(10_000)
    assert sorted(os.listdir(tmp_path / "models/blobs")) == sorted(
        [record.blob, record.blob + ".chunks", young + ".part", young + ".chunks"])
    with pytest.raises(CapacityExceeded):
        here.make_room(500_000)


def test_unpinned_models_make_room_and_pinned_ones_stay(tmp_path: Path) -> None:
    paths = [random_gguf.write(str(tmp_path / f"m{n}.gguf"), seed=n) for n in range(4)]
    size = os.path.getsize(paths[0])
    here = catalogue(tmp_path, 3 * size + 3 * 8192)
    for path, pinned in zip(paths[:3], (False, False, True), strict=True):
        add_file(here, path, pinned=pinned)
    os.utime(tmp_path / "models/m0.model", (2e9, 2e9))  # used last
    add_file(here, paths[3], pinned=True)
    assert [one.name for one in here.records()] == ["m0", "m2", "m3"]
    here.quota_bytes = size
    with pytest.raises(CapacityExceeded, match="do not fit"):
        here.make_room(2 * size)
    assert len(here.records()) == 3, "what can't be made to fit removes nothing"


def test_lists_of_chunks(tmp_path: Path) -> None:
    data = os.urandom(3 * chunks.CHUNK_BYTES + 17)
    (tmp_path / "in").write_bytes(data)
    source = os.open(tmp_path / "in", os.O_RDONLY)
    target = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    told: list[int] = []
    listed = chunks.copy(source, target, len(data), told.append)
    assert (tmp_path / "out").read_bytes() == data and told[-1] == len(data) and len(listed) == 4
    assert list(listed.wrong_in(target)) == []
    os.pwrite(target, data[:chunks.CHUNK_BYTES], chunks.CHUNK_BYTES)  # two chunks of the same file, swapped
    os.pwrite(target, data[chunks.CHUNK_BYTES:2 * chunks.CHUNK_BYTES], 0)
    assert list(listed.wrong_in(target)) == [0, 1]
    swapped = bytearray(listed.data)
    swapped[20:52], swapped[52:84] = swapped[52:84], swapped[20:52]
    assert chunks.Chunks(bytes(swapped)).id != listed.id, "the order is part of what it is"
    for wrong in (listed.data[:-1], listed.data + b"x", b"WPBLOB2\0" + listed.data[8:], b""):
        with pytest.raises(BadRequest):
            chunks.Chunks(wrong)
    with pytest.raises(BadRequest, match="shorter"):
        chunks.copy(source, target, len(data) + 1)
    os.close(source)
    os.close(target)
