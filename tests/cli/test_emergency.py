"""`waypost why`, `declare`, `stop` and `resume` on a real node, and what a stop leaves alone."""

from __future__ import annotations

import json
import pathlib
import re
import signal

import pytest

from tests.cli.kit import RealNode, cli, cli_json
from tests.system.nodes import until

SEEN_S = 60  # a round of reconciliation on a busy machine


def state(node: RealNode) -> tuple[str, str]:
    facts = cli_json("--dir", node.directory, "why")
    return facts["condition"]["state"], facts["stopped"]


def test_a_person_at_the_console(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))  # as systemd does in the image
    asked = tmp_path / "access-point"
    with RealNode(tmp_path / "a") as node:
        until(asked.exists, SEEN_S)
        assert asked.read_text() == "auto\n"
        here = ("--dir", node.directory)
        assert state(node) == ("calm", "")
        code, out, _ = cli(*here, "declare", "emergency")
        assert code == 0 and re.search(r"emergency, for \d+ s: a person says that this is an emergency \(at the c", out)
        assert asked.read_text() == "on\n"
        code, out, _ = cli(*here, "stop")
        assert code == 0 and "stopped   stopped by a person at the console" in out and "models: none" in out
        code, out, _ = cli(*here, "status")
        assert "condition emergency" in out and "stopped by a person at the console" in out
        assert cli(*here, "why", "--readings")[1].endswith("person emergency\n")
        assert cli(*here, "declare", "war")[0] == 2
        code, _, log = node.stop(signal.SIGKILL)
        assert "condition: calm -> emergency" in log
    with RealNode(tmp_path / "a") as node:
        assert state(node) == ("emergency", "stopped by a person at the console"), "kept over a power cut"
        assert [row["to"] for row in cli_json(*here, "why")["history"]] == ["emergency"]
        assert cli_json(*here, "declare", "over")["condition"]["state"] == "emergency", "for a minute after the start"
        assert cli_json(*here, "resume")["stopped"] == ""


def test_a_stop_leaves_alerts_and_direct_messages_alone(tmp_path: pathlib.Path) -> None:
    with (RealNode(tmp_path / "a", "node.name=Ana") as a,
          RealNode(tmp_path / "b", "node.name=Ben",
                   f"lan.peers=127.0.0.1:{a.ready['links']['lan']}") as b):
        until(lambda: bool(cli_json("--dir", b.directory, "peers")), SEEN_S)
        cli_json("--dir", a.directory, "stop")
        cli_json("--dir", a.directory, "board", "post", "kept here for now")
        alert = json.dumps({"text": "flood", "lane": 0, "type": 5})
        sent = [cli_json("--dir", a.directory, "call", "messages.post@1", alert)["id"],
                cli_json("--dir", b.directory, "call", "messages.post@1", alert)["id"],
                cli_json("--dir", a.directory, "send", "Ben", "direct")["id"]]
        for node in (a, b):
            until(lambda node=node: set(sent) <= {row["id"] for row in cli_json("--dir", node.directory, "messages")},
                  SEEN_S)
        assert cli_json("--dir", b.directory, "board", "list") == []
        assert "kept here" in cli("--dir", a.directory, "board", "list")[1]
        cli_json("--dir", a.directory, "resume")
        until(lambda: bool(cli_json("--dir", b.directory, "board", "list")), SEEN_S)
