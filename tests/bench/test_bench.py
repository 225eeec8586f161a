"""The bench itself: verdicts, the two ways to print them, what is missing, and the byte counter."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from edge.core import message
from tests.conftest import ROOT
from tests.emulation import weighs_memory
from tests.waiting import PATIENCE
from tools import bench, cli
from tools.bench import making, radio
from tools.bench.figures import Figure, NotHere, machine, table
from tools.bench.sync import Relay


@pytest.mark.parametrize(("value", "goal", "least", "ok"), [
    (0.7, 0.7, True, True), (0.69, 0.7, True, False), (20.0, 20.0, False, True), (20.1, 20.0, False, False),
    (5.0, None, False, True),
])  # fmt: skip
def test_verdict(value: float, goal: float | None, least: bool, ok: bool) -> None:
    figure = Figure("x", value, "MB", goal, least=least)
    assert figure.ok is ok
    assert figure.to_dict().get("ok", True) is ok


def test_table_says_what_is_missed_and_what_is_missing() -> None:
    figures = [Figure("good", 1.0, "s", 2), Figure("bad", 3.0, "s", 2), Figure("plain", 3.0, "s", note="why")]
    text = table(machine(), figures, [{"name": "leaf", "reason": "no micropython"}])
    assert "good" in text
    assert [line.split()[-1] for line in text.splitlines() if line.startswith(("good", "bad"))] == ["ok", "MISSED"]
    assert "not measured: leaf: no micropython" in text
    assert "python: CPython" in text


def test_json_names_every_group(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Fake:
        @staticmethod
        def parse() -> list[Figure]:
            return [Figure("message.parse", 3.21987, "us CPU")]

        @staticmethod
        def leaf() -> list[Figure]:
            raise NotHere("no micropython")

    monkeypatch.setattr(bench.importlib, "import_module", lambda _name: Fake)
    args: Any = type("Args", (), {"names": ["leaf", "parse"], "json": True, "check": False})
    assert bench.run(args) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["figures"] == [{"name": "message.parse", "value": 3.22, "unit": "us CPU"}]
    assert shown["missing"] == [{"name": "leaf", "reason": "no micropython"}]
    assert shown["machine"]["cores"] >= 1
    args.check = True
    assert bench.run(args) == 1


def test_an_unknown_name_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "speed"]) == cli.USAGE
    assert "pipeline" in capsys.readouterr().err


def test_messages_to_measure_with_are_what_they_say() -> None:
    made = list(making.notices(20, authors=3))
    assert len({one.id for one in made}) == 20
    for one in made:
        assert message.verify(message.parse(one.data))
        assert len(one.body()[1]) == making.TEXT_BYTES
    assert [one.key for one in made] == sorted(one.key for one in made)


def test_the_relay_counts_both_ways() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Relay(listener.getsockname()[1]) as relay:

        def echo() -> None:
            peer, _ = listener.accept()
            with peer:
                while data := peer.recv(4096):
                    peer.sendall(data * 2)

        thread = threading.Thread(target=echo)
        thread.start()
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            client.sendall(b"x" * 1000)
            seen = 0
            while seen < 2000:
                seen += len(client.recv(4096))
        assert relay.connected.wait(5 * PATIENCE)
    thread.join(5 * PATIENCE)
    assert relay.bytes == 3000


@pytest.mark.slow
@weighs_memory
def test_an_idle_lora_link_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio, "ROUNDS", 1)
    monkeypatch.setattr(radio, "SETTLE_S", 1.0)
    subprocess.run([sys.executable, "-m", "tools.warm"], check=True, cwd=ROOT)  # sources may have changed since set-up
    (figure,) = radio.lora()
    assert 0 < figure.value <= 1.5
