"""The courier file: whole, torn, altered; and the two commands."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.core import cbor, limits
from edge.core.frame import unpack_messages
from edge.errors import CourierError
from edge.store import courier
from edge.store.courier import Reader
from edge.store.files import connect
from edge.store.store import Store
from tests.store.samples import START_S, WEEK_S, key, make, many
from tools import courier_cli
from tools.cli import main


def read(data: bytes) -> tuple[list[bytes], CourierError | None]:
    """The messages of a file, and the error at its end."""
    got: list[bytes] = []
    try:
        for frame in Reader(io.BytesIO(data), "stick").frames():
            got += unpack_messages(frame)
    except CourierError as error:
        return got, error
    return got, None


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    path = tmp_path / "file.waypost"
    count, n_bytes = courier.write(str(path), key(1), START_S, [m.data for m in many(300)])
    assert (count, n_bytes) == (300, path.stat().st_size)
    assert os.listdir(tmp_path) == ["file.waypost"]
    return path.read_bytes()


def test_what_was_written_is_read(written: bytes) -> None:
    reader = Reader(io.BytesIO(written), "stick")
    assert (reader.created_s, reader.key) == (START_S, key(1))
    got = [data for frame in reader.frames() for data in unpack_messages(frame)]
    assert sorted(got) == sorted(m.data for m in many(300))
    assert (reader.messages, reader.damaged) == (300, 0)


def test_the_form_is_as_the_protocol_says(written: bytes) -> None:
    head, at = cbor.decode_prefix(written, 0)
    assert head == {1: "waypost courier", 2: 1, 3: START_S << 16, 4: key(1)}
    items = []
    while at < len(written):
        before = at
        item, at = cbor.decode_prefix(written, at)
        items.append(item)
    assert all(isinstance(frame, bytes) and frame[0] == 2 for frame in items[:-1])
    import hashlib

    assert items[-1] == {1: 300, 2: hashlib.sha256(written[:before]).digest()}


def test_the_protocols_vector_is_read() -> None:
    vectors = json.loads((Path(__file__).parent.parent.parent / "docs" / "vectors.json").read_text())["courier"]
    for vector in vectors:
        data = bytes.fromhex(vector["data"])
        reader = Reader(io.BytesIO(data), "vector")
        assert (reader.key.hex(), reader.created_s) == (vector["node"], vector["written_s"])
        assert len(read(data)[0]) == vector["messages"]
        assert read(data)[1] is None


def test_an_empty_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    courier.write(str(path), key(1), START_S, [])
    assert read(path.read_bytes()) == ([], None)


def test_large_messages_fit_their_frames(tmp_path: Path) -> None:
    big = [make(1, n, body={1: "x" * 15000}) for n in range(1, 6)]
    courier.write(str(tmp_path / "big"), key(1), START_S, [m.data for m in big])
    assert read((tmp_path / "big").read_bytes()) == ([m.data for m in big], None)


def test_a_torn_file_gives_its_whole_frames(written: bytes) -> None:
    whole = len(read(written)[0])
    counts = set()
    for size in range(0, len(written), 997):
        if size < 70:
            with pytest.raises(CourierError, match="courier file"):
                Reader(io.BytesIO(written[:size]), "stick")
            continue
        got, error = read(written[:size])
        assert error is not None
        assert "cut off" in error.message or "end is malformed" in error.message
        counts.add(len(got))
    assert max(counts) <= whole
    assert {0, 64, 128, 192, 256} <= counts


def test_a_single_changed_byte_is_noticed(written: bytes) -> None:
    for at in range(0, len(written), 331):
        altered = bytearray(written)
        altered[at] ^= 0x41
        try:
            got, error = read(bytes(altered))
        except CourierError as fault:
            got, error = [], fault
        assert error is not None, at
        assert len(got) <= 300


def test_a_byte_behind_the_end_is_noticed(written: bytes) -> None:
    assert read(written + b"\0")[1] is not None


def test_a_frame_that_cannot_be_taken_apart_is_left_out(tmp_path: Path) -> None:
    head = cbor.encode({1: courier.MAGIC, 2: 1, 3: 0, 4: key(1)})
    path = tmp_path / "file"
    courier.write(str(path), key(1), START_S, [m.data for m in many(10)])
    data = head + cbor.encode(b"\x02" + bytes(50)) + path.read_bytes()[len(cbor.encode({
        1: courier.MAGIC, 2: 1, 3: START_S << 16, 4: key(1)})):]
    got, error = read(data)
    assert len(got) == 10
    assert error is not None
    assert "altered" in error.message


@pytest.mark.parametrize("data", [
    b"", b"hello", b"\xa0", bytes(300), cbor.encode({1: "waypost courier"}), cbor.encode([1, 2]),
    cbor.encode({1: "waypost courier", 2: 1, 3: 5, 4: b"short"}), cbor.encode({1: "waypost courier", 2: 2}),
])
def test_what_is_no_courier_file(data: bytes) -> None:
    with pytest.raises(CourierError) as caught:
        Reader(io.BytesIO(data), "stick")
    assert caught.value.where == "stick"
    assert caught.value.hint


def test_memory_is_bounded_whatever_a_length_says() -> None:
    class Endless(io.RawIOBase):
        largest = 0

        def read(self, size: int = -1) -> bytes:
            Endless.largest = max(Endless.largest, size)
            return b"\x5a\x7f\xff\xff\xff"[:size].ljust(size, b"\xff")

    head = cbor.encode({1: courier.MAGIC, 2: 1, 3: 0, 4: key(1)})

    class File(Endless):
        first = True

        def read(self, size: int = -1) -> bytes:
            if self.first:
                self.first = False
                return head + super().read(size - len(head))
            return super().read(size)

    with pytest.raises(CourierError, match="too long"):
        list(Reader(File(), "stick").frames())  # type: ignore[arg-type]
    assert Endless.largest <= limits.FRAME_BYTES_MAX


class TestSelection:
    """What an export takes along."""

    @pytest.fixture
    def full(self, store: Store) -> Store:
        store.commit(many(200))
        store.commit([make(900, ttl_s=60, lane=0)])
        return store

    def select(self, path: str, lanes: tuple[int, ...] = (0, 1, 2, 3), since_s: int = 0,
               now_s: int = START_S) -> list[bytes]:
        db = connect(path, "ro")
        try:
            return list(courier.select(db, lanes, since_s, now_s))
        finally:
            db.close()

    def test_all(self, full: Store, path: str) -> None:
        found = self.select(path)
        assert len(found) == 201
        assert found[0] == make(900, ttl_s=60, lane=0).data  # the highest lane first

    def test_lanes_age_and_expiry(self, full: Store, path: str) -> None:
        assert len(self.select(path, lanes=(1, 3))) == 80
        assert len(self.select(path, since_s=START_S + 5)) == 100
        assert len(self.select(path, now_s=START_S + 60)) == 200
        assert self.select(path, now_s=START_S + 2 * WEEK_S) == []

    def test_commits_go_on_meanwhile(self, full: Store, path: str) -> None:
        db = connect(path, "ro")
        found = courier.select(db, (2,), 0, START_S)
        next(found)
        full.commit(many(100, base=500))
        assert len(list(found)) == 119
        db.close()


def arguments(command: str, folder: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"waypost {command}")
    parser.set_defaults(dir=str(folder), json=True)
    courier_cli.add_arguments(parser)
    return parser.parse_args(words)


class FakeClient:
    """A node that knows nothing yet."""

    frames: list[bytes] = []

    def __init__(self, directory: str) -> None:
        FakeClient.frames = []

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def call(self, capability: str, params: dict[str, Any], deadline_ms: int) -> dict[str, Any]:
        assert capability == "messages.import@1"
        self.frames.append(params["frame"])
        count = len(unpack_messages(params["frame"]))
        return {"new": count - 2, "known": 1, "refused": {"expired": 1}}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    monkeypatch.setattr("tools.client.Client", FakeClient)
    return FakeClient


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    monkeypatch.setattr("tools.courier_cli.time.time", lambda: START_S + 10.0)
    return lambda: START_S + 10.0


@pytest.mark.usefixtures("now")
def test_export_then_import(store: Store, tmp_path: Path, node: type[FakeClient],
                            capsys: pytest.CaptureFixture[str]) -> None:
    store.boot_state(key(1), START_S)
    store.commit(many(150))
    file = str(tmp_path / "stick")
    assert courier_cli.export(arguments("export", tmp_path, file, "--lane", "2", "--lane", "1")) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 120
    with open(file, "rb") as opened:
        assert Reader(opened, file).key == key(1)
    assert courier_cli.take_in(arguments("import", tmp_path, file)) == 0
    assert json.loads(capsys.readouterr().out) == {"file": file, "new": 116, "known": 2, "refused": {"expired": 2}}
    assert len(node.frames) == 2
    args = arguments("import", tmp_path, file)
    args.json = False
    courier_cli.take_in(args)
    assert capsys.readouterr().out == "116 new, 2 known already\n2 refused: expired\n"


@pytest.mark.usefixtures("now")
def test_import_of_a_torn_file_keeps_the_rest(store: Store, tmp_path: Path, node: type[FakeClient],
                                              capsys: pytest.CaptureFixture[str]) -> None:
    store.commit(many(150))
    file = tmp_path / "stick"
    courier_cli.export(arguments("export", tmp_path, str(file)))
    file.write_bytes(file.read_bytes()[:-100])
    capsys.readouterr()
    with pytest.raises(CourierError, match="cut off") as caught:
        courier_cli.take_in(arguments("import", tmp_path, str(file)))
    assert caught.value.so_far["new"] == 124 and len(node.frames) == 2
    assert main(["--json", "--dir", str(tmp_path), "import", str(file)]) == 1
    said = json.loads(capsys.readouterr().out)  # one value, not two
    assert (said["new"], said["error"]["code"]) == (124, "courier")


@pytest.mark.usefixtures("now")
def test_export_to_standard_output(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.boot_state(key(1), START_S)
    store.commit(many(150))
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.chdir(tmp_path)
    assert courier_cli.export(arguments("export", tmp_path, "-")) == 0
    assert not os.path.exists("-")
    reader = Reader(io.BytesIO(out.buffer.getvalue()), "-")  # type: ignore[attr-defined]
    assert len(list(reader.frames())) == 3 and reader.messages == 150


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_device_is_never_replaced(store: Store, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(CourierError, match="not a file"):
        courier_cli.export(arguments("export", tmp_path, str(tmp_path / name)))
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "link").is_symlink()


def test_export_errors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(CourierError, match="can't write"):
        courier_cli.export(arguments("export", tmp_path, str(tmp_path / "absent" / "file")))
    with pytest.raises(Exception, match="no database"):
        courier_cli.export(arguments("export", tmp_path / "absent", str(tmp_path / "file")))
    with pytest.raises(CourierError, match="can't be read"):
        courier_cli.take_in(arguments("import", tmp_path, str(tmp_path / "absent")))
    with pytest.raises(SystemExit):
        arguments("export", tmp_path, "file", "--since", "soon")
    assert arguments("export", tmp_path, "file", "--since", "12h").since == 12 * 3600
