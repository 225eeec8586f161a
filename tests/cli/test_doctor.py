"""Doctor: each thing is broken on purpose, and that one is named, with a fix, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from edge import keys
from edge.store.store import Store
from radios.ble.stack import Reason
from tests.cli.kit import cli, cli_json
from tools import cli_run, clock, doctor, doctor_ble, doctor_host
from tools.box import bootfs

SETTINGS = ("--set", "web.port=0", "--set", "lan.port=0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory as a node leaves it."""
    folder = tmp_path_factory.mktemp("doctor") / "node"
    folder.mkdir(mode=0o700)
    keys.load_or_create(str(folder))
    Store.open(str(folder / "waypost.db"), now_s=1).close()
    return folder


@pytest.fixture
def node(made: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(made, tmp_path / "node"))


def findings(folder: pathlib.Path, *settings: str) -> dict[str, list[dict[str, str]]]:
    """What doctor says, by state."""
    code, out, err = cli("--json", "--dir", folder, *SETTINGS, *settings, "doctor")
    by_state: dict[str, list[dict[str, str]]] = {"ok": [], "note": [], "broken": []}
    for one in json.loads(out):
        assert set(one) == {"check", "state", "text", "fix"} and one["text"]
        assert one["fix"] or one["state"] == "ok", f"no fix: {one}"
        by_state[one["state"]].append(one)
    assert code == (1 if by_state["broken"] else 0)
    return by_state


def only(folder: pathlib.Path, check: str, *settings: str) -> dict[str, str]:
    """The one thing that is broken, which must be `check`."""
    broken = findings(folder, *settings)["broken"]
    assert [one["check"] for one in broken] == [check], broken
    return broken[0]


def test_a_good_directory_is_good(node: pathlib.Path) -> None:
    before = sorted(path.name for path in node.iterdir())
    found = findings(node)
    assert found["broken"] == []
    checks = {one["check"] for state in found.values() for one in state}
    assert checks >= {"python", "sqlite", "nacl", "microdot", "mdns", "directory", "disk", "config", "board",
                      "identity", "database", "clock", "node", "network"}
    assert sorted(path.name for path in node.iterdir() if not path.name.startswith("waypost.db-")) == [
        name for name in before if not name.startswith("waypost.db-")]


def test_nothing_there_yet_is_a_note(tmp_path: pathlib.Path) -> None:
    found = findings(tmp_path / "none")
    assert found["broken"] == [] and not (tmp_path / "none").exists()
    assert {one["check"] for one in found["note"]} >= {"directory", "identity", "database", "node"}


def test_text_names_what_is_broken(node: pathlib.Path) -> None:
    (node / "identity.key").chmod(0o644)
    code, out, _ = cli("--dir", node, *SETTINGS, "doctor")
    assert code == 1 and out.rstrip().endswith("broken: identity") and "BROKEN  identity" in out and "chmod 600" in out


def test_key_permissions(node: pathlib.Path) -> None:
    (node / "identity.key").chmod(0o640)
    assert "chmod 600" in only(node, "identity")["fix"]


def test_key_malformed(node: pathlib.Path) -> None:
    (node / "identity.key").write_text("short\n")
    assert "64 hex" not in only(node, "identity")["text"]


def test_key_gone_but_database_there(node: pathlib.Path) -> None:
    (node / "identity.key").unlink()
    assert "put it back" in only(node, "identity")["fix"]


def test_config(node: pathlib.Path) -> None:
    (node / "waypost.toml").write_text("[web]\nprot = 1\n")
    one = only(node, "config")
    assert "waypost.toml:2:1" in one["text"] and "did you mean web.port" in one["fix"]


def test_config_that_others_can_read(node: pathlib.Path) -> None:
    (node / "waypost.toml").write_text(f'[community]\nkey = "{"ab" * 32}"\n')
    (node / "waypost.toml").chmod(0o644)
    found = findings(node)
    assert found["broken"] == [] and any("chmod 600" in one["fix"] for one in found["note"] if one["check"] == "config")
    assert "ab" * 20 not in repr(found)


def test_board(node: pathlib.Path) -> None:
    assert "did you mean generic" in only(node, "board", "--set", "node.board=generik")["fix"]


def test_database_damaged(node: pathlib.Path) -> None:
    path = node / "waypost.db"
    data = bytearray(path.read_bytes())
    for at in range(100, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)
    only(node, "database")


def test_database_is_something_else(node: pathlib.Path) -> None:
    (node / "waypost.db").write_bytes(b"this is a letter to my grandmother " * 40)
    only(node, "database")


def test_database_from_a_newer_version(node: pathlib.Path) -> None:
    db = sqlite3.connect(node / "waypost.db")
    db.execute("PRAGMA user_version = 999")
    db.close()
    one = only(node, "database")
    assert "newer" in one["text"] and "newer" in one["fix"]


@pytest.mark.parametrize(("now_ms", "quality"), [(86400000, 0), (1767225600000, 4)], ids=["1970", "behind"])
def test_clock(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch, now_ms: int, quality: int) -> None:
    db = sqlite3.connect(node / "waypost.db")
    db.execute("INSERT OR REPLACE INTO kept (key, value) VALUES ('hlc', ?)", ((1767225600 + 7200) << 16,))
    db.commit()
    db.close()
    monkeypatch.setattr(clock, "read", lambda: (now_ms, quality))
    assert "set-ntp" in only(node, "clock")["fix"]


@pytest.mark.parametrize(("free_bytes", "state"), [(1000, "broken"), (50 << 20, "note")])
def test_disk(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, state: str) -> None:
    real = os.statvfs(node)

    class Facts:
        f_bavail, f_frsize, f_files, f_favail, f_flag = free_bytes, 1, real.f_files, real.f_favail, 0

    monkeypatch.setattr(os, "statvfs", lambda path: Facts)
    if state == "broken":
        assert "full" in only(node, "disk")["text"]
    else:
        found = findings(node)
        assert found["broken"] == [] and "disk" in [one["check"] for one in found["note"]]


def test_directory_read_only(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if ".doctor-" in str(path):
            raise OSError(30, "Read-only file system")
        return real(path, flags, *args, **named)

    monkeypatch.setattr(os, "open", refuse)
    one = only(node, "directory")
    assert "Read-only" in one["text"] and "remount" in one["fix"]


def test_directory_of_another_user(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    def refuse(*_args: object, **_named: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    found = doctor.examine(str(node), [])
    broken = [one for one in found if one.state == "broken"]
    assert [one.check for one in broken] == ["directory"] and "as the user who runs the node" in broken[0].fix
    assert not [one for one in found if "is not there" in one.text]


def test_directory_open_to_others(node: pathlib.Path) -> None:
    node.chmod(0o777)
    assert "chmod 700" in only(node, "directory")["fix"]


def test_directory_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    assert only(tmp_path / "file", "directory")["fix"]


@pytest.mark.parametrize(("check", "setting"), [("web", "web.port"), ("lan", "lan.port")])
def test_port_taken(node: pathlib.Path, check: str, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        one = only(node, check, "--set", f"{setting}={port}")
    assert f"port {port} is taken by" in one["text"] and str(os.getpid()) in one["text"] and setting in one["fix"]


def test_interface_missing(node: pathlib.Path) -> None:
    assert "lan.interfaces" in only(node, "network", "--set", "lan.interfaces=nothing0")["fix"]


def hide(monkeypatch: pytest.MonkeyPatch, *hidden: str) -> None:
    real = doctor_host.find_spec
    monkeypatch.setattr(doctor_host, "find_spec", lambda name: None if name in hidden else real(name))
    monkeypatch.setattr(doctor_host.shutil, "which", lambda name: None)


def test_required_package_missing(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "microdot")
    assert only(node, "microdot")["fix"] == "pip install microdot"


def test_optional_packages_missing_are_notes(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "zeroconf", "sqlite_utils", "cbor2")
    found = findings(node)
    assert found["broken"] == []
    assert {one["check"] for one in found["note"]} >= {"mdns", "sqlite_utils", "cbor2"}


def test_on_the_image_no_hint_needs_a_shell(node: pathlib.Path, tmp_path: pathlib.Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    down = [doctor_ble.finding(reason, "", "broken") for reason in (Reason.NO_BLUEZ, Reason.BLOCKED)]
    assert "systemctl" in down[0].fix and "rfkill" in down[1].fix
    (tmp_path / "boot").touch()
    monkeypatch.setattr(bootfs, "FACTS", str(tmp_path / "boot"))
    for one in (doctor_ble.finding(reason, "", "broken") for reason in (Reason.NO_BLUEZ, Reason.BLOCKED)):
        assert one.fix.startswith("waypost reboot") and one.text
    hide(monkeypatch, "meshtastic", "libzim", "cbor2", "llama_cpp")
    fixes = [one.fix for one in doctor.examine(str(node), []) if "is missing" in one.text]
    assert fixes and not any("pip" in fix for fix in fixes)


def test_crypto_broken(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.compat import crypto

    monkeypatch.setattr(crypto, "verify", lambda *args: False)
    assert "pynacl" in only(node, "nacl")["fix"]


def test_old_python(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_host, "PYTHON_MIN", (99, 0))
    assert "too old" in only(node, "python")["text"]


def test_control_socket_is_something_else(node: pathlib.Path) -> None:
    (node / "control.sock").write_text("x")
    only(node, "control")


def test_a_node_that_does_not_answer(node: pathlib.Path) -> None:
    code = ("import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
            "print(flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, str(node / "waypost.lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            one = only(node, "control")
        finally:
            holder.kill()
    assert str(holder.pid) in one["text"] and f"kill {holder.pid}" in one["fix"]


def test_lock_holder_sees_without_touching(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    assert doctor_host.lock_holder(str(path)) is None
    with open(path, "w") as file:
        assert doctor_host.lock_holder(str(path)) is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert doctor_host.lock_holder(str(path)) == os.getpid()
    assert doctor_host.lock_holder(str(path)) is None


def test_a_running_node_tells_its_troubles(node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"up_s": 61, "links": {"lan": {"announce.community_key": 3}},
             "trouble": [{"part": "lan", "reason": "port_taken", "text": "TCP port 7373 is taken"},
                         {"part": "store", "reason": "store", "text": "the disk is full"},
                         {"part": "ble", "reason": "no_bluez", "text": "bluetoothd does not run"},
                         {"part": "web", "reason": "listen", "text": "TCP port 80 is taken"}]}

    emergency = {"readings": {"heat": "hot", "supply": "good"}, "body": {"heat_mc": 76500}}

    class Fake:
        def __init__(self, directory: str) -> None:
            pass

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *exc: object) -> None:
            pass

        def call(self, capability: str, deadline_ms: int) -> dict[str, Any]:
            return {"node.status@1": facts, "emergency.status@1": emergency}[capability]

    monkeypatch.setattr("tools.client.Client", Fake)
    monkeypatch.setattr(doctor_host, "lock_holder", lambda path: 1)
    found = doctor.examine(str(node), ["web.port=1", "lan.port=1"])  # its own ports are not asked for
    assert ("community", "note") in [(one.check, one.state) for one in found]
    assert [(one.check, one.text) for one in found if one.state == "broken"] == [
        ("heat", "76 degrees Celsius: it is hot: no model runs"), ("lan", "TCP port 7373 is taken"),
        ("store", "the disk is full"), ("ble", "bluetoothd does not run"), ("web", "TCP port 80 is taken")]
    fixes = {one.check: one.fix for one in found if one.state == "broken"}
    assert fixes["ble"] == "see waypost status" and "waypost disk" in fixes["store"]
    assert "set web.port; then waypost restart" in fixes["web"]
    monkeypatch.setattr(bootfs, "FACTS", str(node))
    fixes = {one.check: one.fix for one in doctor.examine(str(node), []) if one.state == "broken"}
    assert fixes["ble"].startswith("waypost reboot")


def test_doctor_reports_as_documented(node: pathlib.Path) -> None:
    assert all(one["state"] in ("ok", "note", "broken") for one in cli_json("--dir", node, *SETTINGS, "doctor"))


def test_a_card_that_is_dead_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "data-state"
    monkeypatch.setattr("tools.cli_run.CARD_STATE", str(state))
    state.write_text("card\n")
    assert "card" not in [row["check"] for row in json.loads(cli("--dir", tmp_path, "doctor", "--json")[1])]
    state.write_text("memory: it has become read-only\n")
    code, out, _ = cli("--dir", tmp_path, "doctor")
    assert code == 1 and "can't keep data: it has become read-only" in out and "put in a new card" in out
    assert cli_run.plan(str(tmp_path), [], False)["card"] == "it has become read-only", "the page says it too"
