"""More than twenty faults, planted one at a time: the console names each in two commands at most, with what to do.

Where that needs no hardware it is then done, as a person does it at the console, and doctor has to be quiet about it.
The table of docs/OPERATING.md has a row for each of them, under the same name, and what stands there can be typed.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge import keys
from edge.console.words import arrange, split
from edge.store.store import Store
from tests.conftest import ROOT
from tests.console.test_console import Cable, captured
from tests.parts.fake_root import FakeRoot
from tests.parts.test_hot_box import box as rooted_box
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.system.nodes import NodeProcess
from tests.waiting import PATIENCE
from tools import cli_args, doctor_box
from tools.box import systems
from tools.console_verbs import verbs

MEASURED_S = 90 * PATIENCE
LORA = ("lora.enabled=true", "lora.modem=rnode", "lora.freq_hz=869525000", "lora.bw_hz=250000", "lora.sf=7",
        "lora.cr_den=5", "lora.power_dbm=14")


class Box:
    """A node's directory, its console, and whatever has to be taken back."""

    def __init__(self, home: Path, tmp_path: Path) -> None:
        self.home = home
        self.tmp_path = tmp_path
        self.after: list[Callable[[], object]] = []

    def run(self, *settings: str) -> NodeProcess:
        """Start the node."""
        node = NodeProcess(str(self.home), settings=("lan.enabled=false", *settings))
        node.start()
        self.after.append(lambda: node.end(kill=True))
        return node

    def says(self, *commands: str, enter: tuple[str, ...] = ()) -> str:
        """What the console says to some commands, as running text; enter: as Cable has it."""
        cable = Cable(str(self.home), enter=enter)
        try:
            cable.reads("waypost> ")
            return " ".join(cable.says(command) for command in commands)
        finally:
            cable.close()

    def does(self, command: str) -> str:
        """Type a command that is asked for first, and yes."""
        cable = Cable(str(self.home))
        try:
            cable.reads("waypost> ")
            cable.types(command, "? ")
            return cable.says("yes")
        finally:
            cable.close()

    def is_well(self, *settings: str) -> NodeProcess:
        """Start the node, as systemd does on a box: doctor must have nothing to say."""
        node = self.run(*settings)
        said = self.says("doctor --broken")
        assert said.startswith("nothing is broken"), said
        return node


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    home = tmp_path / "node"
    home.mkdir(mode=0o700)
    keys.load_or_create(str(home))
    Store.open(str(home / "waypost.db"), now_s=1).close()
    one = Box(home, tmp_path)
    try:
        yield one
    finally:
        for undo in reversed(one.after):
            undo()


@contextmanager
def small_disk(box: Box) -> Iterator[None]:
    """The directory on a file system of its own."""
    held = box.tmp_path / "held"
    shutil.copytree(box.home, held)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(box.home)], check=True)
    box.after.append(lambda: subprocess.run(["umount", "-l", str(box.home)], check=True))
    shutil.copytree(held, box.home, dirs_exist_ok=True)
    yield


def test_the_node_is_not_running(box: Box) -> None:
    said = box.says("status")
    assert "it is not running" in said and "-> waypost" in said
    box.is_well()


def test_a_setting_is_misspelt(box: Box) -> None:
    (box.home / "waypost.toml").write_text("[web]\nprot = 80\n")
    box.run()
    said = box.says("status")
    assert "TROUBLE config" in said and "web.prot is no setting" in said and "did you mean" in said
    (box.home / "waypost.toml").write_text("[web]\nport = 0\n")
    assert "has ended" in box.does("restart")
    box.is_well()


def test_waypost_toml_is_broken(box: Box) -> None:
    (box.home / "waypost.toml").write_text('[node]\nname = "Library\n')
    box.run()
    said = box.says("status")
    assert "TROUBLE config" in said and "waypost.toml:2" in said.replace(" ", "")
    (box.home / "waypost.toml").write_text('[node]\nname = "Library"\n')
    assert "has ended" in box.does("restart")
    box.is_well()


def test_the_community_key_is_mistyped(box: Box) -> None:
    (box.home / "waypost.toml").write_text('[community]\nkey = "abc"\n')
    (box.home / "waypost.toml").chmod(0o600)
    box.run()
    said = box.says("doctor --broken")
    assert "community.key" in said and "until the community key can be read" in said
    (box.home / "waypost.toml").write_text(f'[community]\nkey = "{"ab" * 32}"\n')
    assert "has ended" in box.does("restart")
    box.is_well()


def test_no_bluetooth(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={box.tmp_path}/none")
    box.run("ble.enabled=true")
    for _ in range(20):
        said = box.says("status")
        if "TROUBLE ble" in said:
            break
    assert "TROUBLE ble" in said and "start it (systemctl start dbus)" in said


def test_no_radio(box: Box) -> None:
    box.run(*LORA, "lora.region=EU868", "lora.device=/dev/ttyUSB97")
    said = box.says("status")
    assert "TROUBLE lora" in said and "/dev/ttyUSB97" in said and "plug" in said


@pytest.mark.parametrize("region", ["EU999", ""])
def test_wrong_region(box: Box, region: str) -> None:
    def story(path: str) -> str:
        box.run(*LORA, f"lora.region={region}", f"lora.device={path}")
        for _ in range(20):
            said = box.says("status")
            if "TROUBLE lora" in said:
                break
        return said

    async def main() -> str:
        air = LiveAir(7, speed=1)
        device = RNodeDevice(air, "one", box.tmp_path, boot_us=100000)
        try:
            return await asyncio.to_thread(story, device.plug.path)
        finally:
            device.close()
            air.close()

    said = asyncio.run(main())
    assert "region" in said and ("allowed" in said or "lora.region" in said), said


def test_the_disk_is_full(box: Box) -> None:
    with small_disk(box):
        with open(box.home / "filler", "wb") as file, pytest.raises(OSError):
            while True:
                file.write(bytes(65536))
                file.flush()
        said = box.says("doctor --broken")
        assert "the disk is full" in said and "free some space" in said and "waypost model remove" in said


def test_the_card_turned_read_only(box: Box) -> None:
    with small_disk(box):
        subprocess.run(["mount", "-o", "remount,ro", str(box.home)], check=True)
        said = box.says("doctor --broken")
        assert "can't be written" in said and "worn out" in said and "waypost backup --identity" in said
        assert "messages" in box.says(f"backup {box.tmp_path}/copy.db") and (box.tmp_path / "copy.db").exists()
        assert "the key of" in box.says(f"backup {box.tmp_path}/copy.key --identity")


@pytest.mark.parametrize("how", ["repair", "backup"])
def test_the_database_is_damaged(box: Box, how: str) -> None:
    path = box.home / "waypost.db"
    copy = box.tmp_path / "copy.db"
    assert "messages" in box.says(f"backup {copy}")
    key = (box.home / keys.FILE_NAME).read_bytes()
    data = bytearray(path.read_bytes())
    for at in range(100, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)
    said = box.says("doctor --broken")
    assert "BROKEN database" in said and "waypost backup --restore" in said and "waypost repair" in said
    shown = " ".join(captured("doctor --broken").split()).replace("/data/waypost", str(box.home))
    assert shown.partition("broken:")[0].replace(" ", "") in said.replace(" ", ""), "docs/OPERATING.md shows another"
    if how == "repair":
        said = box.does("waypost repair")
        aside = next(box.home.glob("waypost.db.damaged-20??-??-??-1"))
        assert str(aside) in said.replace(" ", "") and "empty one" in said
    else:
        box.does(f"waypost backup {copy} --restore")
        aside = box.home / "waypost.db.replaced-1"
    assert aside.read_bytes() == data, "nothing is deleted"
    node = box.is_well()
    assert (box.home / keys.FILE_NAME).read_bytes() == key and node.ready


def test_the_database_is_from_a_newer_version(box: Box) -> None:
    box.says(f"backup {box.tmp_path}/copy.db")
    db = sqlite3.connect(box.home / "waypost.db")
    db.execute("PRAGMA user_version = 999")
    db.close()
    said = box.says("doctor --broken")
    assert "BROKEN database" in said and "newer" in said
    assert "nothing that can be mended by itself" in box.does("repair"), "it is not damaged"
    assert "restored" in box.does(f"backup {box.tmp_path}/copy.db --restore")
    box.is_well()


def test_the_clock_says_1970(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    library = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")
    assert library, "tools/dev/setup.sh tests installs faketime"
    monkeypatch.setenv("LD_PRELOAD", library)
    monkeypatch.setenv("FAKETIME", "@1970-01-01 00:10:00")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    said = box.says("doctor --broken")
    assert "BROKEN clock" in said and "1970" in said and "waypost time --set" in said


def test_the_node_is_wedged(box: Box) -> None:
    node = box.run()
    process = node.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    box.after.append(lambda: os.kill(process.pid, signal.SIGCONT))
    cable = Cable(str(box.home))
    try:
        cable.reads("waypost> ")
        os.write(cable.fd, b"doctor --broken\r")
        said = " ".join(cable.reads("broken: control", 60).split())
    finally:
        cable.close()
    assert f"process {process.pid} holds the directory but does not answer" in said
    assert "waypost restart" in said
    assert f"process {process.pid} has ended" in box.does("waypost restart")
    assert process.wait(20 * PATIENCE) == 0, "it could still end in order"
    box.after.pop()
    box.is_well()


def test_the_key_can_be_read_by_others(box: Box) -> None:
    (box.home / keys.FILE_NAME).chmod(0o644)
    said = box.says("doctor --broken")
    assert "BROKEN identity" in said and "waypost repair" in said
    assert "think about who may have read it" in box.does("repair")
    box.is_well()


def test_the_key_is_gone(box: Box) -> None:
    key, copy = (box.home / keys.FILE_NAME).read_bytes(), box.tmp_path / "copy.key"
    assert "the key of" in box.says(f"backup {copy} --identity")
    copy.chmod(0o644)  # a stick knows no modes
    (box.home / keys.FILE_NAME).unlink()
    said = box.says("doctor --broken")
    assert "BROKEN identity" in said and "waypost backup --identity --restore" in said
    box.does(f"backup {copy} --identity --restore")
    assert (box.home / keys.FILE_NAME).read_bytes() == key
    box.is_well()


def test_the_directory_is_open_to_all(box: Box) -> None:
    box.home.chmod(0o777)
    said = box.says("doctor --broken")
    assert "others can write" in said and "waypost repair" in said
    box.does("repair")
    box.is_well()


def test_the_port_is_taken(box: Box) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        (box.home / "waypost.toml").write_text(f"[web]\nport = {port}\n")
        box.run(f"web.port={port}")
        said = box.says("status")
        assert "TROUBLE web" in said and str(port) in said
        assert f"(process {os.getpid()})" in box.says("doctor --broken"), "by whom"
        assert "has ended" in box.does("restart")
        assert f"(process {os.getpid()})" in box.says("doctor --broken"), "by whom"
        (box.home / "waypost.toml").write_text("[web]\nport = 0\n")
        box.is_well()


def test_the_board_is_unknown(box: Box) -> None:
    (box.home / "waypost.toml").write_text('[node]\nboard = "generik"\n')
    said = box.says("doctor --broken")
    assert "BROKEN board" in said and "did you mean generic" in said
    (box.home / "waypost.toml").unlink()
    box.is_well()


def test_a_network_interface_is_missing(box: Box) -> None:
    (box.home / "waypost.toml").write_text('[lan]\ninterfaces = ["wlan7"]\n')
    said = box.says("doctor --broken")
    assert "there is no network interface wlan7" in said and "lan.interfaces" in said
    (box.home / "waypost.toml").unlink()
    box.is_well()


def test_the_control_socket_is_something_else(box: Box) -> None:
    (box.home / "control.sock").write_text("a note")
    said = box.says("status")
    assert "is not a socket" in said and "waypost repair" in said
    box.does("repair")
    assert next(box.home.glob("control.sock.aside-*")).read_text() == "a note"
    box.is_well()


@contextmanager
def on_the_image(box: Box) -> Iterator[tuple[str, ...]]:
    """A card of files with a system in each slot, in a mount namespace: the command that runs one in it.

    Only mounting is made easier: its boot partition is a folder, since not every machine has loop devices.
    """
    card = box.tmp_path / "card"
    for slot, number in (("a", 2), ("b", 3)):
        folder = card / "boot" / f"slot-{slot}"
        folder.mkdir(parents=True)
        parts = {"vmlinuz": b"kernel", "initrd.img": b"first"}
        for name, data in parts.items():
            (folder / name).write_bytes(data)
        (card / f"card{number}").write_bytes(b"the system" * 1000)
        (folder / systems.NAME).write_bytes(systems.listing("1.0", 1, b"the system" * 1000, parts))
    (card / "facts").mkdir()
    (card / "facts" / "boot").write_text(f"slot=a\nboot={card}/boot\ndata={card}/card4\n")
    (card / "kmsg").write_text("6,1,1,-;booting\n")
    program = box.tmp_path / "bin" / "mount"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nexec /bin/mount --bind "$5" "$6"\n')
    program.chmod(0o755)
    enter = (f"mount -t tmpfs none /run && mkdir -p /run/waypost /boot && mount --bind {card}/facts /run/waypost && "
             f"mount --bind {card}/kmsg /dev/kmsg && PATH={program.parent}:$PATH exec \"$@\"")
    yield "unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh"


def test_a_system_on_the_card_is_damaged(box: Box) -> None:
    with on_the_image(box) as enter:
        said = box.says("update check", enter=enter)
        assert "slot a 1.0, runs, sound" in said and "slot b 1.0, sound" in said
        with open(box.tmp_path / "card" / "card3", "r+b") as file:
            file.seek(5000)
            file.write(b"#")
        said = box.says("update check", enter=enter)
    assert "BROKEN root.erofs is not what was written" in said and "update apply writes this slot anew" in said


def test_firmware_is_missing(box: Box) -> None:
    with on_the_image(box) as enter:
        assert "BROKEN firmware" not in box.says("doctor --broken", enter=enter)
        with open(box.tmp_path / "card" / "kmsg", "a") as log:
            log.write("4,9,9,-;mt7601u 1-1:1.0: Direct firmware load for mt7601u.bin failed with error -2\n")
        said = box.says("doctor --broken", enter=enter)
    assert "BROKEN firmware" in said and "mt7601u.bin" in said and "take an adapter that the image knows" in said
    assert doctor_box.firmware(str(box.tmp_path / "none"), str(box.home)) == [], "a log that may not be read"


@pytest.fixture(scope="module")
def hot_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a node on a Raspberry Pi made of files that is too hot and has a weak supply."""
    folder = tmp_path_factory.mktemp("hot")
    root = FakeRoot(folder / "root")
    root.zone("cpu-thermal", 86000)
    root.hwmon("rpi_volt", 1)
    with rooted_box(root, folder / "node"):
        yield folder / "node"


def says_when_measured(home: Path, tmp_path: Path, wanted: str) -> str:
    """What doctor says about a node as soon as `wanted` is among it; a reading has to hold for a while."""
    end_s = time.monotonic() + MEASURED_S
    while wanted not in (said := Box(home, tmp_path).says("doctor --broken")) and time.monotonic() < end_s:
        time.sleep(0.5)
    return said


def test_it_is_too_hot(hot_home: Path, tmp_path: Path) -> None:
    said = says_when_measured(hot_home, tmp_path, "BROKEN heat")
    assert "86 degrees Celsius" in said and "give the box air and shade" in said, said


def test_the_supply_is_too_weak(hot_home: Path, tmp_path: Path) -> None:
    said = says_when_measured(hot_home, tmp_path, "BROKEN supply")
    assert "the power supply is too weak" in said and "made for this board" in said, said


def rows() -> list[list[str]]:
    """The rows of the table for people: fault, how it shows, what to do."""
    with open(os.path.join(ROOT, "docs", "OPERATING.md"), encoding="utf-8") as file:
        table = file.read().split("## What is wrong\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()
            if row.startswith("| ") and "| fault |" not in row]


def test_the_table_for_people_has_them_all() -> None:
    named = {re.sub(r"[^a-z0-9]+", "_", row[0].lower()).strip("_") for row in rows()}
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    planted = {name for name in tests if not name.startswith(("the_table_", "every_"))}
    assert planted == named


OFFERED = {verb.name: verb for verb in verbs()} | {" ".join(verb.words): verb for verb in verbs()}


def can_be_typed(line: str) -> bool:
    """Whether the console takes a line, and the command line what becomes of it."""
    name, _, behind = line.removeprefix("waypost ").partition(" ")
    if name not in OFFERED:
        return False
    cli_args.parse(arrange(OFFERED[name], split(behind, OFFERED[name].rest))[0])  # or UsageError
    return True


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_the_table_names_what_can_be_typed(row: list[str]) -> None:
    quoted = [one for one in re.findall(r"`([^`]+)`", row[2]) if re.match(r"[a-z-]+( |$)", one)]
    assert quoted, "a person at the console has nothing to type"
    assert [one for one in quoted if not can_be_typed(one)] == []


def test_every_line_that_tests_of_the_image_type_runs_at_once() -> None:
    """They wait for what a command does; nobody there answers a question."""
    typed = r"""box\.say\("([^"]+)\\r"\)|console\(box, f?(?:"([^"]+)"|'([^']+)')"""
    lines = []
    for path in Path(ROOT, "images", "test").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines += [line for groups in re.findall(typed, text) for line in groups if line]
    assert len(lines) > 6
    for line in lines:
        name, _, behind = line.replace("\\r", "").partition(" ")
        assert arrange(OFFERED[name], split(behind, OFFERED[name].rest))[1] == "", line


ELSEWHERE = {"run", "flash", "bench", "page", "simulate", "call", "console", "completion", "triage"}  # on a computer


def hints() -> list[tuple[str, str]]:
    """(module, text) of every text that tells a person what to do: hint=..., and all that doctor says."""
    found = []
    for path in sorted(path for top in ("edge", "radios", "tools") for path in Path(ROOT, top).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = [one.value for one in ast.walk(tree) if isinstance(one, ast.keyword) and one.arg == "hint"]
        for node in [tree] if path.name.startswith("doctor") else said:
            found += [(path.name, " ".join(one.value.split())) for one in ast.walk(node)
                      if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return found


def test_every_command_that_a_hint_names_is_at_the_console() -> None:
    commands = {row[0] for row in cli_args._COMMANDS} - ELSEWHERE
    named = {(module, word) for module, text in hints() for word in re.findall(r"waypost ([a-z-]+)", text)
             if word in commands}
    assert len(named) > 25
    assert {one for one in named if one[1] not in OFFERED} == set()
