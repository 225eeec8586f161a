"""The console as a person meets it: a serial line (a pty), a real node, dead nodes, noise. tools/console.py."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.compat import crypto
from tests.conftest import ROOT
from tests.emulation import meets_by_multicast
from tests.system.nodes import NodeProcess, running, until
from tests.waiting import PATIENCE
from tools import console_line
from tools.console_line import Line

PROMPT = "waypost> "


class Cable:
    """The far end of a serial line, and the console at the near one; enter: the command that starts it there."""

    def __init__(self, directory: str, *options: str, enter: tuple[str, ...] = ()) -> None:
        self.fd, near = os.openpty()
        self.path = os.ttyname(near)
        command = [*enter, sys.executable, "-m", "tools.cli", "--dir", directory, "console", "--serve", self.path,
                   *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        self.screen = ""
        self._ahead = ""
        self.near = near

    def reads(self, until: str, within_s: float = 30) -> str:
        """What appears up to and with `until`."""
        deadline_s = time.monotonic() + within_s * PATIENCE
        while until not in self._ahead:
            if not select.select([self.fd], [], [], max(0, deadline_s - time.monotonic()))[0]:
                raise AssertionError(f"no {until!r} in {self._ahead!r}")
            self._ahead += os.read(self.fd, 4096).decode("ascii")
        end = self._ahead.index(until) + len(until)
        seen, self._ahead = self._ahead[:end], self._ahead[end:]
        self.screen += seen
        return seen

    def types(self, text: str, until: str = PROMPT) -> str:
        """Type a line, and what appears behind it."""
        os.write(self.fd, text.encode() + b"\r")
        self.reads("\r\n")
        return self.reads(until)

    def says(self, text: str) -> str:
        """Type a line, and what appears behind it as running text."""
        return " ".join(self.types(text).split())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.near)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    one = Cable(str(tmp_path / "node"))
    try:
        yield one
    finally:
        one.close()


def captured(command: str) -> str:
    """What docs/OPERATING.md shows of a command at the console."""
    lines = (Path(ROOT) / "docs" / "OPERATING.md").read_text(encoding="utf-8").split(f"    {PROMPT}{command}\n")[1]
    return "\n".join(line[4:] for line in lines.split("\n\n")[0].split("\n"))


def labels(status: str) -> set[str]:
    """The words at the beginning of the lines of a status."""
    return {line.split()[0].lower() for line in status.replace("\r", "").split("\n") if re.match(r"\w+ {1,9}\S", line)
            and line[9:10] == " " or line[:10].rstrip() == "condition"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cable]:
    """A console whose node does not run, for tests that change nothing."""
    one = Cable(str(tmp_path_factory.mktemp("shared") / "node"))
    try:
        one.reads(PROMPT)
        yield one
    finally:
        one.close()


def test_a_node_seen_through_the_cable(tmp_path: Path, cable: Cable) -> None:
    node = NodeProcess(str(tmp_path / "node"), settings=("lan.enabled=false", "node.name=Halle"))
    with running(node):
        cable.reads(PROMPT)
        shown = cable.types("status")
        assert "Halle" in shown and node.key[:16] in shown
        assert all(len(line) <= 80 for line in cable.screen.split("\r\n"))
        assert labels(shown) <= labels(captured("status")), "docs/OPERATING.md shows another status"
        assert json.loads(cable.types("status --json").split("\r\n")[-2])["node"] == node.key
        assert "posted as" in cable.types("board post 'Wasser gibt es am Markt'")
        assert "Wasser gibt es am Markt" in cable.types("board list")
        assert "FREE" in cable.types("disk")
        assert "INTERFACE" in cable.types("net")
        assert "source" in cable.types("time")
        os.write(cable.fd, b"tail\r")
        time.sleep(0.5)
        assert cable.types("\x03")
        assert node.process is not None
        os.kill(node.process.pid, signal.SIGSTOP)
        try:
            os.write(cable.fd, b"status\r")  # the node is wedged: its answer never comes, the console's does
            shown = cable.reads("-> ", 60)
            assert "does not answer" in shown
        finally:
            os.kill(node.process.pid, signal.SIGCONT)
        cable.reads(PROMPT, 60)


def test_a_dead_node_is_explained_by_the_first_command(cable: Cable, tmp_path: Path) -> None:
    cable.reads(PROMPT)
    shown = cable.says("status")
    assert "no node answers" in shown and "it is not running" in shown
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "waypost.toml").write_text("[lora]\nenabeld = true\n")
    shown = cable.says("status")
    assert "waypost.toml:2:1" in shown.replace(" ", "") and "enabled" in shown


def children(pid: int) -> list[str]:
    """The state of each child of a process."""
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == pid:
            states.append(words[0])
    return states


def test_what_a_person_ends_has_ended_and_left_nothing(tmp_path: Path, cable: Cable) -> None:
    with running(NodeProcess(str(tmp_path / "node"), settings=("lan.enabled=false",))):
        cable.reads(PROMPT)
        for line in ("top --every 1 --json", "trace --follow", "tail", "top --every 1") * 3:
            os.write(cable.fd, line.encode() + b"\r")
            cable.reads("\r\n")
            time.sleep(0.7)
            said = cable.types("\x03")
            assert "signal" not in said and "did not end" not in said, (line, said)
            assert children(cable.process.pid) == []


def test_a_command_that_will_not_end_is_ended_and_said_so(tmp_path: Path, cable: Cable) -> None:
    with running(NodeProcess(str(tmp_path / "node"), settings=("lan.enabled=false",))):
        cable.reads(PROMPT)
        os.write(cable.fd, b"tail\r")
        cable.reads("\r\n")
        time.sleep(0.7)
        child = next(int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat")
                     if path.read_text().rpartition(")")[2].split()[1] == str(cable.process.pid))
        os.kill(child, signal.SIGSTOP)
        said = cable.types("\x03")
        assert "did not end by itself and was ended" in said and "signal" not in said
        assert "protocol" in cable.types("version --json")
        assert children(cable.process.pid) == []


@pytest.mark.parametrize("line", [
    "radios --json", "board --json", "hardware --json", "update --json", "model --json", "pack --json", "halt --json",
    "checkin --json", "alert --json", "status --json", "peers --json", "send nobody we have water --json",
    "doctor --broken --json", "send --json", "help --json", "frobnicate --json", "repair --json", "cert --json",
    "time --set x --yes --json",
])
def test_json_is_one_document(shared: Cable, line: str) -> None:
    """Without a node: each of them is an error, or facts that need none."""
    said = shared.types(line).removesuffix(PROMPT)
    json.loads(said)
    assert said.count("\r\n") == 1 and said.endswith("\r\n")


def test_json_of_a_node(tmp_path: Path, cable: Cable) -> None:
    with running(NodeProcess(str(tmp_path / "node"), settings=("lan.enabled=false",))):
        cable.reads(PROMPT)

        def answer(line: str) -> Any:
            return json.loads(cable.types(line).removesuffix(PROMPT))

        for line in ("radios", "model", "pack", "halt", "checkin", "alert", "board list"):
            assert "error" not in answer(line + " --json")
        assert answer(f"send {crypto.public_key(bytes(32)).hex()} we have water --json")["id"]
        for line in ("stop", "restart", "update apply", "backup --restore x"):
            assert answer(line + " --json")["error"]["hint"].startswith("add --yes")
        for item in cable.types("ask how long does boiled water keep --json").removesuffix(PROMPT).splitlines():
            assert set(json.loads(item)) & {"passages", "end", "state", "text"}


@meets_by_multicast
def test_a_name_with_blanks_is_reached(tmp_path: Path, cable: Cable) -> None:
    here, there = (NodeProcess(str(tmp_path / name), settings=("lan.port=0", f"node.name=the {name}"))
                   for name in ("node", "clinic"))
    with running(here, there):
        cable.reads(PROMPT)
        until(lambda: any(row["name"] == "the clinic" for row in here.cli("peers")), 60)
        assert json.loads(cable.types('send "the clinic" we have water --json').removesuffix(PROMPT))["to"] == there.key
        assert "kept as" in cable.types("waypost send 'the clinic' it's for \"forty\" people")
        until(lambda: len(there.cli("inbox")) == 2, 60)
        assert {row["text"] for row in there.cli("inbox")} == {"we have water", "it's for \"forty\" people"}


def test_noise_on_the_line_runs_nothing_and_stops_nothing(cable: Cable) -> None:
    cable.reads(PROMPT)
    os.write(cable.fd, bytes(range(128, 256)) * 8 + b"\x00\x1b[31m\xff\r")
    os.write(cable.fd, b"\x03")
    cable.reads("^C")
    cable.reads(PROMPT)
    assert "which version" in cable.types("help version")
    assert cable.process.poll() is None


def test_the_console_comes_back_when_the_line_does(cable: Cable) -> None:
    cable.reads(PROMPT)
    os.write(cable.fd, b"status\r")
    cable.reads(PROMPT)
    assert cable.process.poll() is None


def test_what_is_no_serial_port_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = subprocess.run([sys.executable, "-m", "tools.cli", "console", "--serve", str(file)], cwd=ROOT,
                          capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
    assert done.returncode == 1 and "no serial port" in done.stderr
    done = subprocess.run([sys.executable, "-m", "tools.cli", "console"], cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
    assert done.returncode == 1 and "no terminal" in done.stderr


def test_a_terminal_joined_to_a_cable(tmp_path: Path) -> None:
    """The client's side: pyserial on one end of a pty, a person's terminal on another."""
    box, port = os.openpty()
    person, terminal = os.openpty()
    process = subprocess.Popen([sys.executable, "-m", "tools.cli", "console", os.ttyname(port)], cwd=ROOT,
                               stdin=terminal, stdout=terminal, stderr=terminal)
    try:
        seen = b""
        while b"leaves" not in seen:
            assert select.select([person], [], [], 30 * PATIENCE)[0]
            seen += os.read(person, 4096)
        os.write(person, b"status\r")
        assert os.read(box, 100) in (b"status\r", b"s")
        os.write(box, b"all is well\r\n")
        while b"all is well" not in seen:
            assert select.select([person], [], [], 30 * PATIENCE)[0]
            seen += os.read(person, 4096)
        os.write(person, b"\x1d")
        assert process.wait(30 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        for fd in (box, port, person, terminal):
            os.close(fd)


@pytest.mark.parametrize("typed", [b"exit\r", b"quit\r", b"\x04"])
def test_a_terminal_is_left(tmp_path: Path, typed: bytes) -> None:
    person, terminal = os.openpty()
    process = subprocess.Popen([sys.executable, "-m", "tools.cli", "--dir", str(tmp_path), "console"], cwd=ROOT,
                               stdin=terminal, stdout=terminal, stderr=terminal)
    try:
        seen = b""
        while PROMPT.encode() not in seen:
            assert select.select([person], [], [], 30 * PATIENCE)[0]
            seen += os.read(person, 4096)
        os.write(person, typed)
        assert process.wait(30 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(person)
        os.close(terminal)


def test_a_serial_line_is_not(cable: Cable) -> None:
    cable.reads(PROMPT)
    assert "pull the cable" in cable.types("exit") and "protocol" in cable.types("version --json")


class TestSpeed:
    """Which speed the other end has. A pty has none, so what termios would report is handed in."""

    @pytest.fixture
    def line(self) -> Iterator[Line]:
        far, near = os.openpty()
        line = Line.serial(os.ttyname(near), 115200)
        yield line
        line.close()
        os.close(far)
        os.close(near)

    def test_a_break_tries_the_next(self, line: Line) -> None:
        assert line._unmark(b"a\xff\x00\x00b") == (b"ab", 1, 0)
        line._judge(b"ab", 1, 0)
        assert line.baud == 9600
        line._judge(b"", 1, 0)
        assert line.baud == 115200

    def test_a_mark_in_two_parts(self, line: Line) -> None:
        assert line._unmark(b"a\xff") == (b"a", 0, 0)
        assert line._unmark(b"\x00") == (b"", 0, 0)
        assert line._unmark(b"\x80b\xff\xff") == (b"b\xff", 0, 1)

    def test_a_stretch_of_noise_tries_the_next_and_text_does_not(self, line: Line) -> None:
        for _ in range(100):
            line._judge(b"status \xc3\xa4\r", 0, 0)
        assert line.baud == 115200
        for _ in range(4):
            line._judge(b"\x80\xf8\x1c", 0, 1)
        assert line.baud == 9600

    def test_nobody_there_goes_back_to_the_first(self, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        line._judge(b"", 1, 0)
        assert line.baud == 9600 and line.patience_s is not None
        line.quiet()
        assert line.baud == 9600
        monkeypatch.setattr(console_line, "BACK_S", 0)
        line.quiet()
        assert line.baud == 115200 and line.patience_s is None
