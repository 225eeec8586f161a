"""disk, time, net, log, restart, reboot, factory-reset: what a person at the machine asks and does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge import keys
from tests.system.nodes import NodeProcess, running, until
from tools import cli, machine_cli, restart_cli


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    code = cli.main([*words, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out)


def test_disk_names_where_the_node_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "waypost.db").write_bytes(bytes(5000))
    code, facts = said(capsys, "--dir", str(tmp_path), "disk")
    mine = next(row for row in facts["file_systems"] if row["path"] == str(tmp_path))
    room = os.statvfs(tmp_path)
    assert code == 0 and facts["node"] == {"waypost.db": 5000}
    assert mine["size_bytes"] == room.f_blocks * room.f_frsize and not mine["read_only"]
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        assert f"{mine['device']} " in mounts.read()
    assert cli.main(["--dir", str(tmp_path), "disk"]) == 0
    assert "waypost.db 5.0 kB" in capsys.readouterr().out


@pytest.mark.parametrize(("life", "words"), [
    ("0x02 0x01\n", "10 to 20 %"), ("0x0B 0x01\n", "all of it"), ("0x00 0x00\n", ""),
])
def test_the_life_of_an_emmc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: str, words: str) -> None:
    files = {"/sys/block/mmcblk0/stat": ["1 2 3 4 5 6 100 8"], "/sys/block/mmcblk0/device/life_time": [life.strip()]}
    monkeypatch.setattr(machine_cli, "_lines", lambda path: files.get(path, []))
    monkeypatch.setattr(machine_cli.os, "listdir", lambda path: ["loop0", "mmcblk0", "mmcblk0boot0"])
    assert machine_cli._devices() == [{"name": "mmcblk0", "written_bytes": 51200, "life_used": words}]


def test_net_tells_what_ip_tells(capsys: pytest.CaptureFixture[str]) -> None:
    code, facts = said(capsys, "net")
    told = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True).stdout)
    mine = {row["name"]: set(row["addresses"]) for row in facts["interfaces"]}
    for row in told:
        first = [one for one in row["addr_info"] if one["family"] == "inet"][:1]
        wanted = [one for one in row["addr_info"] if one["family"] == "inet6"] + first
        assert {f"{one['local']}/{one['prefixlen']}" for one in wanted} == mine[row["ifname"]]
    routes = json.loads(subprocess.run(["ip", "-j", "-4", "route", "show", "default"], capture_output=True, text=True,
                                       check=True).stdout or "[]")
    assert [row["gateway"] for row in facts["gateways"]] == [row["gateway"] for row in routes if "gateway" in row]
    assert code == 0


def test_time(capsys: pytest.CaptureFixture[str]) -> None:
    code, facts = said(capsys, "time")
    assert code == 0 and facts["time_ms"] > 1793491200000 and facts["quality"] in range(5)
    code, answer = said(capsys, "time", "--set", "yesterday")
    assert code == 1 and answer["error"]["allowed"] == "'YYYY-MM-DD HH:MM'"


def test_restart_ends_a_node_that_nobody_else_starts_again(tmp_path: Path) -> None:
    node = NodeProcess(str(tmp_path / "node"), settings=("lan.enabled=false",))
    with running(node):
        refused = subprocess.run(node.command("restart", "--json"), capture_output=True, text=True, check=False)
        assert refused.returncode == 1 and not json.loads(refused.stdout)["done"]
        log = node.cli("log")
        assert log == []
        assert "process" in node.cli("restart", "--yes")["text"]
        process = node.process
        assert process is not None
        until(lambda: process.poll() is not None, 20)
        assert process.returncode == 0


def test_factory_reset_forgets_all_but_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "node"
    node = NodeProcess(str(home), settings=("lan.enabled=false",))
    home.mkdir()
    (home / "waypost.toml").write_text('[node]\nname = "Halle"\n')
    with running(node):
        key = node.key
        node.cli("board", "post", "soon forgotten")
        code, answer = said(capsys, "--dir", str(home), "factory-reset", "--yes")
        assert code == 1 and answer["error"]["code"] == "already_running", "never under a running node"
        node.end()
        code, answer = said(capsys, "--dir", str(home), "factory-reset")
        assert code == 1 and keys.FILE_NAME in answer["text"] and (home / keys.FILE_NAME).exists()
        code, answer = said(capsys, "--dir", str(home), "factory-reset", "--yes")
        assert code == 0 and sorted(os.listdir(home)) == ["waypost.lock", "waypost.toml"]
        node.start()
        assert node.key != key and node.texts() == []


def test_what_is_no_node_is_not_reset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    code, answer = said(capsys, "--dir", str(tmp_path), "factory-reset", "--yes")
    assert code == 3 and answer["error"]["code"] == "not_running"
    assert (tmp_path / "thesis.txt").exists()


def test_reboot_needs_a_system_that_can(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(restart_cli, "_systemctl", lambda *words: ran.append(words))
    monkeypatch.setattr(restart_cli.os.path, "isdir", lambda path: False)
    assert said(capsys, "reboot", "--yes")[1]["error"]["code"] == "unavailable"
    monkeypatch.setattr(restart_cli.os.path, "isdir", lambda path: True)
    assert said(capsys, "reboot")[0] == 1 and ran == []
    assert said(capsys, "reboot", "--yes")[0] == 0 and ran == [("reboot",)]
