"""A whole node on a Raspberry Pi made of files: heat, a weak supply, a UPS, the light; what stops and what goes on."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import cli, cli_json
from tests.conftest import ROOT
from tests.parts.fake_root import FakeRoot
from tests.system.nodes import until
from tests.test_watchdog import QUIET
from tests.waiting import PATIENCE
from tools.bench import random_gguf

SEEN_S = 60  # a reading every 10 s, which counts after 10 s


@pytest.fixture
def root(tmp_path: Path) -> FakeRoot:
    root = FakeRoot(tmp_path / "root")
    root.zone("cpu-thermal", 45000)
    root.hwmon("rpi_volt", 0)
    root.led()
    return root


@contextmanager
def box(root: FakeRoot, folder: Path, *settings: str) -> Iterator[subprocess.Popen[bytes]]:
    words = [sys.executable, "-m", "tests.parts.rooted_node", str(root), str(folder), "node.board=pi", *QUIET]
    process = subprocess.Popen([*words, *settings], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None and select.select([process.stdout], [], [], 60)[0]
        assert json.loads(process.stdout.readline())["event"] == "ready"
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30 * PATIENCE)


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = cli_json("--dir", folder, "why")
    return found


def chat(folder: Path) -> tuple[int, str]:
    params = json.dumps({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5})
    code, _out, err = cli("--dir", folder, "call", "llm.chat@1", params, "--stream", "--deadline", 60000)
    return code, err


@pytest.mark.slow
def test_at_85_degrees_models_refuse_and_messages_go_on(root: FakeRoot, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="make models installs it")
    folder = tmp_path / "n"
    folder.mkdir()
    assert cli("--dir", folder, "model", "add", random_gguf.write(str(tmp_path / "tiny.gguf")))[0] == 0
    with box(root, folder):
        until(lambda: facts(folder)["body"].get("heat_mc") == 45000, SEEN_S, 0.3)
        assert chat(folder) == (0, "")
        root.zone("cpu-thermal", 85500)
        until(lambda: facts(folder)["policy"]["models"] == "none", SEEN_S, 0.3)
        found = facts(folder)
        assert "it is far too hot" in found["limits"] and found["policy"]["lanes"] == "0123"
        code, err = chat(folder)
        assert code == 1 and "it is far too hot" in err
        assert cli("--dir", folder, "board", "post", "still here")[0] == 0
        assert root.text("sys/class/leds/ACT/delay_on") == "0"
        said = cli("--dir", folder, "why")[1]
        assert "less than usual: it is far too hot" in said and "heat_mc 85500" in said


@pytest.mark.slow
def test_a_stop_stops_models_and_the_light_says_so(root: FakeRoot, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="make models installs it")
    folder = tmp_path / "n"
    folder.mkdir()
    assert cli("--dir", folder, "model", "add", random_gguf.write(str(tmp_path / "tiny.gguf")))[0] == 0
    with box(root, folder):
        assert chat(folder)[0] == 0
        assert cli("--dir", folder, "stop")[0] == 0
        code, err = chat(folder)
        assert code == 1 and "stopped by a person at the console" in err
        assert [root.text(f"sys/class/leds/ACT/{name}") for name in ("trigger", "delay_on")] == ["timer", "1900"]
        alert = json.dumps({"text": "flood", "lane": 0, "type": 5})
        assert cli("--dir", folder, "call", "messages.post@1", alert)[0] == 0
        assert cli("--dir", folder, "resume")[0] == 0 and chat(folder)[0] == 0
    assert root.text("sys/class/leds/ACT/trigger") == "mmc0", "given back at the end"


def test_supply_light_and_screen(root: FakeRoot, tmp_path: Path) -> None:
    folder = tmp_path / "n"
    root.supply("ups", "UPS", status="Discharging", capacity=15)
    root.screen(200)
    with box(root, folder):
        until(lambda: root.text("sys/class/backlight/10-0045/brightness") == "31", SEEN_S, 0.1)
        until(lambda: "battery_percent" in facts(folder)["body"], SEEN_S, 0.3)
        assert facts(folder)["body"]["on_mains"] == 0
        assert root.text("sys/class/leds/ACT/trigger") == "timer" and root.text("sys/class/leds/ACT/delay_off") == "0"
        assert cli("--dir", folder, "declare", "emergency")[0] == 0
        assert root.text("sys/class/leds/ACT/delay_on") == "150"
        assert root.text("sys/class/backlight/10-0045/brightness") == "200"
        assert "low" in [row.split()[-1] for row in cli_json("--dir", folder, "why", "--readings") if " power " in row]


def test_what_is_set_wrongly_or_is_not_there_is_said(root: FakeRoot, tmp_path: Path) -> None:
    folder = tmp_path / "n"
    os.remove(root.path / "sys/class/thermal/thermal_zone0/temp")
    with box(root, folder, "sensors.ups=bq27441@1:0x55", "sensors.nut=ups") as process:
        until(lambda: "thermal" in cli("--dir", folder, "status")[1], SEEN_S, 0.3)
        said = cli("--dir", folder, "status")[1]
        assert "sensors.ups: 'bq27441@1:0x55' is no UPS; allowed: \"CHIP@BUS:ADDRESS\"" in said
        assert "sensors.nut: 'ups' is no UPS of upsd; allowed: \"UPS@HOST\"" in said
        assert "what it measures is not known" in said
        process.send_signal(signal.SIGTERM)
        _out, err = process.communicate(timeout=30 * PATIENCE)
        assert b"the button of the board can't be used" in err
