"""Backups: made while the node writes, checked, put back without repeating what was signed since."""

from __future__ import annotations

import argparse
import json
import os
import threading
from pathlib import Path

import pytest

from edge.core.effects import NEW
from edge.core.limits import SEQ_JUMP_MAX
from edge.errors import AlreadyRunning, StoreError, StoreNewer
from edge.store import backup
from edge.store.store import Store
from tests.store.conftest import Opener
from tests.store.samples import START_S, key, make, many
from tools import backup_cli


def test_a_backup_holds_everything(store: Store, tmp_path: Path) -> None:
    store.boot_state(key(1), START_S)
    store.commit(many(500))
    store.commit([make(1, 900, salt=b"1"), make(1, 900, salt=b"2")])
    target = str(tmp_path / "backup.db")
    facts = store.backup(target)
    assert facts["messages"] == 502
    assert facts["bytes"] == os.path.getsize(target)
    assert backup.check_file(target) == 502
    assert not [name for name in os.listdir(tmp_path) if name.startswith("backup.db.") or name.startswith("backup.db-")]
    copy = Store.open(target)
    assert sorted(copy.boot_rows()) == sorted(store.boot_rows())
    assert len(copy.conflicts()) == 1
    assert copy.stats()["lanes"]["2"]["messages"] == store.stats()["lanes"]["2"]["messages"]
    copy.close()


def test_commits_go_on_while_it_is_made(store: Store, tmp_path: Path) -> None:
    store.commit(many(3000))
    result: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: result.append(backup.backup(store.path, str(tmp_path / "copy.db"))))
    thread.start()
    first = 3000
    while thread.is_alive():
        assert store.commit(many(50, first=first))[0][1] == NEW
        first += 50
    thread.join()
    assert 3000 <= result[0]["messages"] <= first
    assert result[0]["messages"] % 50 == 0  # of one moment


def test_a_restored_node_does_not_repeat_its_numbers(opener: Opener, path: str, tmp_path: Path) -> None:
    store = opener()
    store.boot_state(key(1), START_S)
    store.commit([make(1, n) for n in range(1, 11)])
    target = str(tmp_path / "copy.db")
    store.backup(target)
    store.commit([make(1, n) for n in range(11, 21)])
    store.close()
    aside = backup.restore(path, target)
    assert aside == path + ".replaced-1"
    store = opener()
    assert len(list(store.boot_rows())) == 10
    next_seq = store.boot_state(key(1), START_S)[0]
    assert next_seq == 10 + SEQ_JUMP_MAX
    store.commit([make(1, next_seq)])
    store = opener()
    assert store.boot_state(key(1), START_S)[0] == next_seq + 1  # once only
    old = Store.open(aside)
    assert len(list(old.boot_rows())) == 20
    old.close()


def test_a_restore_over_a_crashed_database_takes_its_log_away(opener: Opener, path: str, tmp_path: Path) -> None:
    store = opener()
    store.commit(many(10))
    target = str(tmp_path / "copy.db")
    store.backup(target)
    store.commit(many(10, first=10))
    saved = {tail: Path(path + tail).read_bytes() for tail in ("", "-wal", "-shm")}
    store.close()
    for tail, data in saved.items():
        Path(path + tail).write_bytes(data)
    aside = backup.restore(path, target)
    store = opener()
    assert len(list(store.boot_rows())) == 10
    assert store.check() == []
    old = Store.open(aside)
    assert len(list(old.boot_rows())) == 20
    old.close()


def test_a_running_node_is_not_restored(store: Store, tmp_path: Path) -> None:
    target = str(tmp_path / "copy.db")
    store.backup(target)
    with pytest.raises(AlreadyRunning):
        backup.restore(store.path, target)


def test_what_is_no_backup_is_not_put_in_place(opener: Opener, path: str, tmp_path: Path) -> None:
    store = opener()
    store.commit(many(200))
    target = tmp_path / "copy.db"
    store.backup(str(target))
    store.close()
    before = Path(path).read_bytes()
    good = target.read_bytes()
    for wrong in (b"", b"hello" * 1000, good[: len(good) // 2], good[:20000] + b"\xee" * 4000 + good[24000:]):
        target.write_bytes(wrong)
        with pytest.raises(StoreError):
            backup.restore(path, str(target))
        assert Path(path).read_bytes() == before
    newer = bytearray(good)
    newer[60:64] = (99).to_bytes(4, "big")
    target.write_bytes(newer)
    with pytest.raises(StoreNewer):
        backup.restore(path, str(target))
    with pytest.raises(StoreError, match="no such file"):
        backup.restore(path, str(tmp_path / "absent"))
    assert Path(path).read_bytes() == before


def test_refusals(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="exists already"):
        store.backup(store.path)
    with pytest.raises(StoreError, match="no database"):
        backup.backup(str(tmp_path / "absent.db"), str(tmp_path / "copy.db"))
    with pytest.raises(StoreError):
        store.backup(str(tmp_path / "absent" / "copy.db"))


def test_the_command(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="waypost backup")
    parser.set_defaults(dir=str(tmp_path), json=True)
    backup_cli.add_arguments(parser)
    store.commit(many(20))
    target = str(tmp_path / "copy.db")
    assert backup_cli.run(parser.parse_args([target])) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 20
    store.close()
    assert backup_cli.run(parser.parse_args(["--restore", target])) == 0
    assert json.loads(capsys.readouterr().out) == {"database": store.path, "aside": store.path + ".replaced-1"}
    new = tmp_path / "new machine"
    parser.set_defaults(dir=str(new))
    assert backup_cli.run(parser.parse_args(["--restore", target])) == 0
    assert json.loads(capsys.readouterr().out) == {"database": str(new / "waypost.db"), "aside": ""}
    assert new.stat().st_mode & 0o777 == 0o700
    parser.set_defaults(dir=str(tmp_path / "another"))
    with pytest.raises(StoreError, match="no such file"):  # and not something about a lock
        backup_cli.run(parser.parse_args(["--restore", str(tmp_path / "absent")]))
    assert not (tmp_path / "another").exists()
