"""Halls of a community agree that there is an emergency, and one that falls silent after that has still said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.nodes import NodeProcess, running, until

pytestmark = [pytest.mark.slow]
KEY = "11" * 32
SEEN_S = 60


def hall(folder: Path, name: str, *settings: str) -> NodeProcess:
    return NodeProcess(str(folder / name), settings=(
        f"community.key={KEY}", "alerts.position=52.0116,4.3571", "lan.multicast=false", "lan.port=0",
        "web.enabled=false", "models.enabled=false", *settings))


def reading(node: NodeProcess) -> str:
    return [row.split()[-1] for row in node.cli("why", "--readings") if " reports " in row][-1]


def test_neighbours_agree_and_one_falls_silent(tmp_path: Path) -> None:
    middle = hall(tmp_path, "middle")
    with running(middle):
        peers = f"lan.peers=127.0.0.1:{middle.ready['links']['lan']}"
        left, right = hall(tmp_path, "left", peers), hall(tmp_path, "right", peers)
        with running(left, right):
            until(lambda: [row["member"] for row in middle.cli("peers")] == [True, True], SEEN_S, 0.2)
            id = left.cli("alert", "report", "The dyke is breaking", "--severity", "extreme")["id"]
            until(lambda: id in [row["id"] for row in right.cli("alert", "list")], SEEN_S, 0.2)
            assert middle.cli("why")["condition"]["state"] != "emergency", "nobody makes one alone"
            middle.cli("alert", "confirm", id)
            right.cli("alert", "confirm", id)
            until(lambda: middle.cli("why")["condition"]["state"] == "emergency", SEEN_S, 0.2)
            assert middle.cli("why")["condition"]["why"] == "neighbours agree that there is an emergency"
            right.end(kill=True)
            until(lambda: len(middle.cli("peers")) == 1, SEEN_S, 0.2)
            assert reading(middle) == "emergency", "what it said stands"
            assert reading(left) == "watch", "who never met it does not know it"
            counts = [[(row["confirm"], row["dispute"]) for row in node.cli("alert", "list")]
                      for node in (left, middle)]
            assert counts == [[(2, 0)], [(2, 0)]]
