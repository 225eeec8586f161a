"""What puts a node right again from the console: repair, factory-reset, backups on a stick, and whose the files are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import keys
from edge.errors import Unavailable
from edge.models.catalogue import END
from edge.models.front import FOLDER
from edge.store.lock import DirLock
from edge.store.store import Store
from tests.conftest import ROOT
from tests.system.nodes import NodeProcess, running
from tools import cli, restart_cli
from tools.box import bootfs, stick

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node that has run."""
    home = tmp_path / "node"
    home.mkdir(mode=0o700)
    keys.load_or_create(str(home))
    Store.open(str(home / "waypost.db"), now_s=1).close()
    (home / restart_cli.LOCK_NAME).touch(0o600)
    return home


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = cli.main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


class Systemd:
    """What would have been asked of systemd; fails: the words with which it is refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *fails: str) -> None:
        self.asked: list[str] = []
        self.fails = fails
        monkeypatch.setattr(restart_cli, "has_service", lambda: True)
        monkeypatch.setattr(restart_cli, "_systemctl", self.ask)

    def ask(self, *words: str) -> None:
        self.asked.append(words[0])
        if words[0] in self.fails:
            raise Unavailable(f"systemctl {words[0]} failed")


class TestAlwaysStartedAgain:
    """A reset that could not be done must not leave a box without its node."""

    def test_when_it_was_done(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        systemd = Systemd(monkeypatch)
        assert cli.main(["--dir", str(home), "factory-reset", "--yes"]) == 0
        assert systemd.asked == ["stop", "start"] and os.listdir(home) == [restart_cli.LOCK_NAME]

    def test_when_the_lock_is_held(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        systemd = Systemd(monkeypatch)
        lock = DirLock(str(home / restart_cli.LOCK_NAME))
        lock.acquire()
        try:
            assert cli.main(["--dir", str(home), "factory-reset", "--yes"]) == 1
        finally:
            lock.release()
        assert systemd.asked == ["stop", "start"] and (home / keys.FILE_NAME).exists()

    def test_when_the_card_refuses(self, home: Path, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
        systemd = Systemd(monkeypatch)

        def refuse(path: str) -> None:
            raise OSError(30, "Read-only file system", path)

        with monkeypatch.context() as patch:
            patch.setattr(restart_cli.os, "unlink", refuse)
            code, answer = said(capsys, "--dir", str(home), "factory-reset", "--yes")
        assert code == 1 and "Read-only" in answer["error"]["message"]
        assert systemd.asked == ["stop", "start"]

    @pytest.mark.parametrize("fails", [("stop",), ("stop", "start"), ("start",)])
    def test_when_systemd_refuses(self, home: Path, monkeypatch: pytest.MonkeyPatch, fails: tuple[str, ...]) -> None:
        systemd = Systemd(monkeypatch, *fails)
        with pytest.raises(Unavailable, match=fails[0]), restart_cli.paused(str(home)):
            pass
        assert systemd.asked == ["stop", "start"]

    def test_files_that_go_when_the_node_ends_are_not_missed(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        systemd = Systemd(monkeypatch)
        (home / "waypost.db-wal").write_bytes(b"")

        def ask(*words: str) -> None:
            systemd.ask(*words)
            (home / "waypost.db-wal").unlink(missing_ok=True)

        monkeypatch.setattr(restart_cli, "_systemctl", ask)
        assert cli.main(["--dir", str(home), "factory-reset", "--yes"]) == 0


class TestRepair:
    def test_a_sound_node_is_left_alone(self, home: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
        systemd = Systemd(monkeypatch)
        code, answer = said(capsys, "--dir", str(home), "repair", "--yes")
        assert code == 0 and answer["would_mend"] == [] and systemd.asked == []

    def test_it_says_first_what_it_would_do(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "waypost.db").write_bytes(b"this is a letter to my grandmother " * 40)
        (home / keys.FILE_NAME).chmod(0o644)
        code, answer = said(capsys, "--dir", str(home), "repair")
        assert code == 1 and len(answer["would_mend"]) == 2
        assert (home / "waypost.db").exists() and (home / keys.FILE_NAME).stat().st_mode & 0o077

    def test_the_service_stands_still_only_for_the_database(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        systemd = Systemd(monkeypatch)
        (home / keys.FILE_NAME).chmod(0o644)
        assert cli.main(["--dir", str(home), "repair", "--yes"]) == 0 and systemd.asked == []
        (home / "waypost.db").write_bytes(b"this is a letter to my grandmother " * 40)
        assert cli.main(["--dir", str(home), "repair", "--yes"]) == 0 and systemd.asked == ["stop", "start"]
        assert len(list(home.glob("waypost.db.damaged-*-1"))) == 1

    def test_never_under_a_running_node(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / "control.sock").write_text("a note")
        lock = DirLock(str(home / restart_cli.LOCK_NAME))
        lock.acquire()
        try:
            assert said(capsys, "--dir", str(home), "repair", "--yes")[1]["error"]["code"] == "already_running"
        finally:
            lock.release()
        assert (home / "control.sock").read_text() == "a note"

    def test_what_is_no_node_is_not_touched(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "waypost.db").write_bytes(b"a thesis " * 100)
        assert said(capsys, "--dir", str(tmp_path), "repair", "--yes")[0] == 3
        assert (tmp_path / "waypost.db").exists()

    def test_the_file_with_the_community_key(self, home: Path) -> None:
        toml = home / "waypost.toml"
        toml.write_text('[node]\nname = "Halle"\n')
        toml.chmod(0o644)
        cli.main(["--dir", str(home), "repair", "--yes"])
        assert toml.stat().st_mode & 0o777 == 0o644, "it holds no secret"
        toml.write_text(f'[community]\nkey = "{"ab" * 32}"\n')
        cli.main(["--dir", str(home), "repair", "--yes"])
        assert toml.stat().st_mode & 0o777 == 0o600

    def test_a_record_of_a_model_that_is_no_record(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (home / FOLDER).mkdir()
        (home / FOLDER / f"odd{END}").write_text("nonsense")
        rows = said(capsys, "--dir", str(home), "doctor", "--broken")[1]
        assert "waypost repair" in next(row["fix"] for row in rows if row["check"] == "models")
        assert cli.main(["--dir", str(home), "repair", "--yes"]) == 0
        capsys.readouterr()
        assert "models" not in [row["check"] for row in said(capsys, "--dir", str(home), "doctor", "--broken")[1]]
        assert next((home / FOLDER).glob("odd*.aside-*")).read_text() == "nonsense"

    @needs_root
    def test_owners(self, home: Path) -> None:
        outside = home.parent / "outside"
        outside.touch()
        os.chown(home, NOBODY, NOBODY)
        (home / "packs").mkdir()
        (home / "packs" / "water.pack").touch()
        (home / "link").symlink_to(outside)
        os.link(outside, home / "second")
        assert cli.main(["--dir", str(home), "repair", "--yes"]) == 0
        assert {path.lstat().st_uid for path in home.rglob("*") if path.name != "second"} == {NOBODY}
        assert outside.stat().st_uid == 0, "neither through a link nor by a second name"


@needs_root
class TestWhoseTheFilesAre:
    """Root's console at another user's node."""

    @pytest.fixture
    def theirs(self) -> Iterator[Path]:
        """Where another user can get at it: pytest's own folder is root's alone."""
        import shutil
        import tempfile

        top = Path(tempfile.mkdtemp())
        top.chmod(0o755)
        home = top / "node"
        home.mkdir(mode=0o700)
        keys.load_or_create(str(home))
        Store.open(str(home / "waypost.db"), now_s=1).close()
        for path in (home, *home.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        yield home
        shutil.rmtree(top)

    def strangers(self, home: Path) -> list[str]:
        return [path.name for path in home.rglob("*") if path.lstat().st_uid != NOBODY]

    @pytest.mark.parametrize("words", [("pack", "list"), ("pack", "search", "water"), ("model", "list"), ("doctor",)])
    def test_what_commands_make(self, theirs: Path, words: tuple[str, ...]) -> None:
        subprocess.run([sys.executable, "-m", "tools.cli", "--dir", str(theirs), *words], cwd=ROOT, check=False,
                       capture_output=True)
        assert self.strangers(theirs) == []

    def test_a_pack(self, theirs: Path) -> None:
        texts = theirs.parent / "texts"
        texts.mkdir(mode=0o755)
        (texts / "pack.toml").write_text('name = "water"\n')
        (texts / "boil.md").write_text("# Water\n\nBoil it for a minute.\n")
        # what is wanted late, for an interpreter that only root can read
        program = "import encodings.cp437, encodings.utf_8_sig, sys; from tools.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "--dir", str(theirs), "pack"]
        subprocess.run([*command, "build", str(texts), str(texts / "water.pack")], cwd=ROOT, check=True)
        subprocess.run([*command, "add", str(texts / "water.pack")], cwd=ROOT, check=True)
        assert (theirs / "packs").is_dir() and self.strangers(theirs) == []

    def test_a_backup_that_is_put_back_and_a_reset(self, theirs: Path) -> None:
        copy = theirs.parent / "copy.db"
        assert cli.main(["--dir", str(theirs), "backup", str(copy)]) == 0
        assert cli.main(["--dir", str(theirs), "backup", str(copy), "--restore"]) == 0
        assert self.strangers(theirs) == []
        assert cli.main(["--dir", str(theirs), "factory-reset", "--yes"]) == 0
        assert os.listdir(theirs) == [restart_cli.LOCK_NAME] and self.strangers(theirs) == []


class TestStick:
    """On a box with the image, whose mounts are made of symbolic links here."""

    @pytest.fixture
    def plugged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """What is on the stick."""
        (tmp_path / "facts").write_text(f"slot=a\ndisk={tmp_path}/dev/sda\n")
        (tmp_path / "dev").mkdir()
        for name in ("sda1", "sdb1"):
            (tmp_path / "dev" / name).mkdir()
        place = tmp_path / "place"
        ran = []

        def run(command: list[str], **_named: object) -> subprocess.CompletedProcess[str]:
            ran.append(command)
            if command[0] == "mount":
                place.rmdir()
                place.symlink_to(command[5])
            else:
                place.unlink()
                place.mkdir()
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(bootfs, "FACTS", str(tmp_path / "facts"))
        monkeypatch.setattr(stick, "PLACE", str(place))
        monkeypatch.setattr(stick, "DEVICES", (f"{tmp_path}/dev/sd[a-z][0-9]",))
        monkeypatch.setattr(stick.subprocess, "run", run)
        monkeypatch.setattr(stick.os, "geteuid", lambda: 0)
        monkeypatch.setattr(bootfs, "facts", lambda: {"disk": f"{tmp_path}/dev/sda"})
        yield tmp_path / "dev" / "sdb1"
        assert all("sda" not in word for command in ran for word in command), "the disk that the box runs from"
        assert not place.is_symlink(), "it can be pulled out"

    def test_a_backup_and_the_way_back(self, home: Path, plugged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        key = (home / keys.FILE_NAME).read_bytes()
        first, second = (said(capsys, "--dir", str(home), "backup")[1]["file"] for _ in range(2))
        assert first != second and len(list(plugged.glob("waypost-*.db"))) == 2
        assert said(capsys, "--dir", str(home), "backup", "mine.db")[0] == 0 and (plugged / "mine.db").exists()
        assert said(capsys, "--dir", str(home), "backup", "--identity")[0] == 0
        (home / keys.FILE_NAME).unlink()
        code, answer = said(capsys, "--dir", str(home), "backup", "--identity", "--restore")
        assert code == 0 and answer["aside"] == "" and (home / keys.FILE_NAME).read_bytes() == key
        assert (home / keys.FILE_NAME).stat().st_mode & 0o777 == 0o600
        assert said(capsys, "--dir", str(home), "backup", "--restore")[1]["aside"].endswith("waypost.db.replaced-1")
        assert said(capsys, "--dir", str(home), "export")[0] == 0 and len(list(plugged.glob("*.courier"))) == 1

    def test_what_is_on_it(self, home: Path, plugged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                           capsys: pytest.CaptureFixture[str]) -> None:
        place = tmp_path / "place"
        monkeypatch.setattr(stick, "SHOWN", str(place))
        monkeypatch.setattr(stick.os.path, "ismount", lambda path: os.path.islink(path))
        (plugged / "packs").mkdir()
        (plugged / "packs" / "water.pack").write_text("water")
        (plugged / ".hidden").touch()
        rows = [{"file": f"{place}/packs/water.pack", "bytes": 5}]
        assert said(capsys, "stick")[1] == rows and said(capsys, "stick")[1] == rows
        assert said(capsys, "stick", "--out") == (0, []) and not place.is_symlink()

    def test_a_path_is_a_path(self, home: Path, plugged: Path, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:
        assert said(capsys, "--dir", str(home), "backup", str(tmp_path / "here.db"))[0] == 0
        assert (tmp_path / "here.db").exists() and list(plugged.iterdir()) == []

    def test_what_is_not_there_is_said(self, home: Path, plugged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, answer = said(capsys, "--dir", str(home), "backup", "--restore")
        assert code == 1 and "there is no *.db on a USB stick" in answer["error"]["message"]

    def test_no_stick(self, home: Path, plugged: Path, capsys: pytest.CaptureFixture[str]) -> None:
        plugged.rmdir()
        code, answer = said(capsys, "--dir", str(home), "backup")
        assert code == 1 and answer["error"]["hint"] == "plug one in, or give a path"

    def test_elsewhere_a_file_is_named(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for words in (("backup",), ("backup", "--restore"), ("export",), ("import",)):
            code, answer = said(capsys, "--dir", str(home), *words)
            assert code == 1 and "name one" in answer["error"]["hint"]


class TestKeyCopies:
    def test_another_key_goes_aside(self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = (home / keys.FILE_NAME).read_bytes()
        (tmp_path / "copy").write_text("ab" * 32 + "\r\n")
        code, answer = said(capsys, "--dir", str(home), "backup", "--identity", "--restore", str(tmp_path / "copy"))
        assert code == 0 and Path(answer["aside"]).read_bytes() == before and keys.load(str(home)) == b"\xab" * 32

    @pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "a letter"])
    def test_what_is_no_key_is_refused(self, home: Path, tmp_path: Path, text: str,
                                       capsys: pytest.CaptureFixture[str]) -> None:
        before = (home / keys.FILE_NAME).read_bytes()
        (tmp_path / "copy").write_text(text)
        code, answer = said(capsys, "--dir", str(home), "backup", "--identity", "--restore", str(tmp_path / "copy"))
        assert code == 1 and answer["error"]["code"] == "key" and text not in answer["error"]["message"] or not text
        assert (home / keys.FILE_NAME).read_bytes() == before

    def test_a_copy_is_never_overwritten(self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "copy").write_text("precious")
        assert said(capsys, "--dir", str(home), "backup", "--identity", str(tmp_path / "copy"))[0] == 1
        assert (tmp_path / "copy").read_text() == "precious"

    def test_a_restored_identity_is_the_same_node(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A new card: it has run with a key of its own before the old one is put on it."""
        old, new = (NodeProcess(str(tmp_path / name), settings=("lan.enabled=false",)) for name in ("old", "new"))
        with running(old, new):
            key = old.key
            old.cli("backup", str(tmp_path / "copy.key"), "--identity")
            new.end()
            code = cli.main(["--dir", new.directory, "backup", str(tmp_path / "copy.key"), "--identity", "--restore"])
            new.start()
            assert code == 0 and new.key == key
            assert new.cli("board", "post", "it speaks again")["id"]
