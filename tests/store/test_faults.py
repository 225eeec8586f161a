"""Disks that are full, read-only or failing; files that are damaged, foreign, newer or taken."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.effects import DUPLICATE, FULL, NEW
from edge.errors import AlreadyRunning, StoreError, StoreNewer
from edge.store import courier, files
from edge.store.backup import backup
from edge.store.lock import DirLock
from edge.store.store import Store
from tests.store.conftest import Opener, fill_disk
from tests.store.samples import START_S, WEEK_S, key, make, many

Disk = Callable[[int], Path]
MIB = 1 << 20


def outcomes(store: Store, lane: int, count: int, author: int = 700, text_bytes: int = 200) -> list[int]:
    """Commit `count` messages one by one."""
    body: dict[int, object] = {1: "x" * text_bytes}
    return [store.commit([make(author, n, lane=lane, body=body)])[0][1] for n in range(1, count + 1)]


class TestFullDisk:
    """Somebody else has filled the disk."""

    @pytest.fixture
    def folder(self, small_disk: Disk) -> Path:
        return small_disk(12 * MIB)

    def fill(self, folder: Path) -> tuple[Store, Path]:
        """A store with 3,000 bulk messages on a disk that has been full for a while."""
        store = Store.open(str(folder / "waypost.db"))
        assert {o for _, o, _ in store.commit(many(3000, lanes=(3,)))} == {NEW}
        filler = fill_disk(folder)
        last = NEW
        for first in range(10_000, 40_000, 64):
            last = store.commit(many(64, first=first, lanes=(3,), base=100))[0][1]
            if last == FULL:
                break
        assert last == FULL
        fill_disk(folder)
        return store, filler

    def test_only_urgent_messages_are_taken(self, folder: Path) -> None:
        store, _filler = self.fill(folder)
        before = store.stats()["lanes"]["3"]["messages"]
        assert set(outcomes(store, 3, 50)) == {FULL}
        assert set(outcomes(store, 2, 50)) == {FULL}
        stats = store.stats()
        assert stats["lanes"]["3"]["messages"] == before  # nothing is put out for what is not taken
        assert "full" in stats["trouble"]
        assert stats["lanes"]["2"]["refused"] == 50
        assert set(outcomes(store, 0, 200)) == {NEW}
        assert set(outcomes(store, 1, 200, author=701)) == {NEW}
        assert store.stats()["lanes"]["3"]["messages"] > 0
        gone = store.evict()
        assert list(gone) == [3]
        assert len(gone[3][0]) == store.stats()["lanes"]["3"]["evicted"] > 0
        assert store.check() == []
        store.close()

    def test_a_mixed_batch_keeps_what_is_urgent(self, folder: Path) -> None:
        store, _filler = self.fill(folder)
        batch = [make(900 + n, lane=n % 4) for n in range(40)]
        found = store.commit(batch)
        assert [id for id, _, _ in found] == [m.id for m in batch]
        assert all((outcome == NEW) == (m.lane < 2) for m, (_, outcome, _) in zip(batch, found, strict=True))
        store.close()

    def test_messages_still_expire(self, folder: Path) -> None:
        store, _filler = self.fill(folder)
        while store.expire(START_S + 2 * WEEK_S):
            pass
        assert store.stats()["messages"] == 0
        store.close()

    def test_it_starts_and_reads(self, folder: Path) -> None:
        store, _filler = self.fill(folder)
        held = sorted(store.boot_rows())
        store.close()
        fill_disk(folder)
        store = Store.open(str(folder / "waypost.db"))
        assert sorted(store.boot_rows()) == held
        assert set(outcomes(store, 0, 20, author=710)) == {NEW}
        assert store.check() == []
        store.close()

    def test_it_recovers_by_itself(self, folder: Path) -> None:
        store, filler = self.fill(folder)
        assert set(outcomes(store, 3, 5)) == {FULL}
        filler.unlink()
        assert set(outcomes(store, 3, 5)) == {NEW}
        assert store.stats()["trouble"] == ""
        store.tidy()
        assert (folder / "waypost.db.reserve").stat().st_size > MIB
        store.close()

    def test_what_was_acknowledged_survives_a_crash_on_it(self, folder: Path) -> None:
        store, _filler = self.fill(folder)
        urgent = [make(720, n, lane=0) for n in range(1, 30)]
        assert {o for m in urgent for _, o, _ in store.commit([m])} == {NEW}
        pid = os.fork()
        if pid == 0:
            os._exit(0)  # a process that never closed the database
        os.waitpid(pid, 0)
        copy = folder.parent / "copy"
        copy.mkdir()
        for tail in ("", "-wal"):
            (copy / f"waypost.db{tail}").write_bytes((folder / f"waypost.db{tail}").read_bytes())
        with_log = Store.open(str(copy / "waypost.db"))
        assert {m.id for m in urgent} <= {id for _, _, id in with_log.boot_rows()}
        with_log.close()
        store.close()


def test_a_bound_on_the_file_is_a_full_disk(opener: Opener) -> None:
    store = opener()
    store.commit(many(500, lanes=(3,)))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    found = [store.commit([make(800, n, lane=n % 4, body={1: "x" * 3000})])[0][1] for n in range(1, 41)]
    assert all(outcome == NEW for n, outcome in enumerate(found, 1) if n % 4 < 2)
    assert found.count(FULL) == sum(lane["refused"] for lane in store.stats()["lanes"].values()) > 0
    assert store.check() == []


def test_a_new_database_on_a_full_disk(small_disk: Disk) -> None:
    folder = small_disk(2 * MIB)
    fill_disk(folder)
    with pytest.raises(StoreError, match="full|make the lock|read or write"):
        Store.open(str(folder / "waypost.db"))


def test_a_disk_that_becomes_read_only(small_disk: Disk) -> None:
    folder = small_disk(16 * MIB)
    store = Store.open(str(folder / "waypost.db"))
    batch = many(100)
    store.commit(batch)
    other = os.open(folder / "waypost.db", os.O_RDONLY)
    os.close(other)
    store._db.execute("PRAGMA query_only = ON")  # the kernel refuses to remount what is open for writing
    with pytest.raises(StoreError, match="read-only") as caught:
        store.commit(many(10, base=50))
    assert "SD card" in caught.value.hint
    assert "read-only" in store.stats()["trouble"]
    assert len(store.fetch([m.key for m in batch])) == 100
    store._db.execute("PRAGMA query_only = OFF")
    assert store.commit(many(10, base=50))[0][1] == NEW
    assert store.stats()["trouble"] == ""
    store.close()


def test_a_failing_write_is_an_error_and_recovers(store: Store, path: str) -> None:
    batch = many(100)
    store.commit(batch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path + "-wal"), hard))  # the disk says EFBIG
    try:
        for _ in range(3):
            with pytest.raises(StoreError, match="doesn't read or write"):
                store.commit(many(200, first=100))
        assert store.stats()["messages"] == 100
        assert "disk" in store.stats()["trouble"]
        assert store.fetch([batch[0].key]) == [batch[0].data]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {outcome for _, outcome, _ in store.commit(many(200, first=100))} == {NEW}
    assert store.stats()["trouble"] == ""
    assert store.stats()["messages"] == len(list(store.boot_rows())) == 300


def test_a_read_only_disk_at_the_start(small_disk: Disk) -> None:
    folder = small_disk(16 * MIB)
    Store.open(str(folder / "waypost.db")).close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(StoreError, match="[Rr]ead-only") as caught:
        Store.open(str(folder / "waypost.db"))
    assert caught.value.hint
    assert "waypost.db" in caught.value.where


@pytest.mark.parametrize("ended", ["well", "badly"])
def test_a_disk_that_can_only_be_read_gives_all_it_holds(small_disk: Disk, tmp_path: Path, ended: str) -> None:
    """Where the node was stopped all is in the database; where the power went, some is in the log beside it."""
    folder = small_disk(16 * MIB)
    path = str(folder / "waypost.db")
    store = Store.open(path)
    store.commit(many(50))
    if ended == "badly":
        left = {name: (folder / name).read_bytes() for name in ("waypost.db", "waypost.db-wal", "waypost.db-shm")}
        store.close()
        for name, data in left.items():
            (folder / name).write_bytes(data)
    else:
        store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    assert backup(path, str(tmp_path / "copy.db"))["messages"] == 50
    db = files.connect(path, "ro")
    assert len(list(courier.select(db, range(4), 0, START_S))) == 50
    db.close()


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file") as caught:
        Store.open(str(tmp_path / "absent" / "waypost.db"))
    assert "directory" in caught.value.hint


def test_two_processes_on_one_database(store: Store, path: str) -> None:
    script = f"from edge.store.store import Store\nStore.open({path!r})"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "AlreadyRunning" in child.stderr
    assert f"process {os.getpid()}" in child.stderr
    assert store.commit(many(1))[0][1] == NEW


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    first, second = DirLock(str(tmp_path / "lock")), DirLock(str(tmp_path / "lock"))
    first.acquire()
    with pytest.raises(AlreadyRunning):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_a_failed_start_gives_the_lock_back(path: str) -> None:
    Path(path).write_bytes(b"not a database at all" * 300)
    for _ in range(2):
        with pytest.raises(StoreError):
            Store.open(path)


class TestDamaged:
    """A file that is no good database."""

    @pytest.fixture(params=["garbage", "torn", "page"])
    def damaged(self, opener: Opener, path: str, request: pytest.FixtureRequest) -> bytes:
        store = opener()
        store.commit(many(500))
        store.close()
        data = bytearray(Path(path).read_bytes())
        if request.param == "garbage":
            data = bytearray(b"\xa5" * len(data))
        elif request.param == "torn":
            del data[4096 * 3 :]
        else:
            data[100:4096] = b"\xff" * 3996  # the schema's page
        Path(path).write_bytes(data)
        return bytes(data)

    def test_it_is_named_and_left_alone(self, damaged: bytes, path: str) -> None:
        with pytest.raises(StoreError) as caught:
            Store.open(path)
        assert not isinstance(caught.value, StoreNewer)
        assert caught.value.where == path
        assert "waypost backup --restore" in caught.value.hint
        assert Path(path).read_bytes() == damaged

    def test_an_operator_may_have_it_moved_aside(self, damaged: bytes, path: str) -> None:
        store = Store.open(path, replace_damaged=True, key_is_new=False)
        assert list(store.boot_rows()) == []
        assert store.boot_state(key(1), START_S)[0] > 100_000_000
        store.close()
        assert Path(path + ".damaged-1").read_bytes() == damaged


def test_damage_found_later_is_an_error_not_a_crash(opener: Opener, path: str) -> None:
    store = opener()
    store.commit(many(3000))
    root = store._db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'message_place'").fetchone()[0]
    store.close()
    data = bytearray(Path(path).read_bytes())
    data[4096 * (root - 1) : 4096 * root] = b"\xee" * 4096
    Path(path).write_bytes(data)
    store = opener()
    with pytest.raises(StoreError, match="damaged"):
        list(store.boot_rows())
    with pytest.raises(StoreError, match="damaged"):
        store.list_messages(now_s=START_S, limit=1000)
    assert store.check() != []


def test_somebody_elses_database(path: str) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    before = Path(path).read_bytes()
    with pytest.raises(StoreError, match="not a waypost database"):
        Store.open(path, replace_damaged=True)
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("log", [False, True])
def test_a_newer_database_is_left_untouched(opener: Opener, path: str, log: bool) -> None:
    store = opener()
    store.commit(many(10))
    store._db.execute("PRAGMA user_version = 99")
    store.close()
    if log:  # the newer version crashed: what it wrote is in its log only
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA user_version = 98")
        saved = {tail: Path(path + tail).read_bytes() for tail in ("", "-wal", "-shm")}
        db.close()
        for tail, data in saved.items():
            Path(path + tail).write_bytes(data)
    tails = ("", "-wal") if log else ("",)
    before = [Path(path + tail).read_bytes() for tail in tails]
    with pytest.raises(StoreNewer, match="newer waypost") as caught:
        Store.open(path, replace_damaged=True)
    assert caught.value.code == "store_newer"
    assert [Path(path + tail).read_bytes() for tail in tails] == before


def test_a_foreign_reader_does_not_stop_commits(store: Store, path: str) -> None:
    store.commit(many(100))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM message").fetchone() == (100,)
    assert store.commit(many(100, first=100))[0][1] == NEW
    assert other.execute("SELECT count(*) FROM message").fetchone() == (100,)
    other.close()


def test_a_foreign_writer_is_waited_for_then_named(store: Store, path: str) -> None:
    store._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.commit(many(1))
    other.execute("ROLLBACK")
    other.close()
    assert store.commit(many(1))[0][1] == NEW
    assert store.commit(many(1))[0][1] == DUPLICATE
