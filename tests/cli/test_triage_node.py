"""Triage in real nodes: a cry for help posted on one is marked on the other, with its reason; and what it costs."""

from __future__ import annotations

import pathlib
import urllib.request

from tests.cli.kit import RealNode, cli, cli_json, rss_kib
from tests.cli.test_running import until
from tests.emulation import weighs_memory
from tests.waiting import PATIENCE

CRY = "My neighbour has chest pain and can't breathe"


def test_from_node_to_node(tmp_path: pathlib.Path) -> None:
    with (RealNode(tmp_path / "a", "node.name=Ana") as a,
          RealNode(tmp_path / "b", f"lan.peers=127.0.0.1:{a.ready['links']['lan']}") as b):
        made = cli_json("--dir", a.directory, "board", "post", CRY)
        calm = cli_json("--dir", a.directory, "board", "post", "Choir on Thursday")
        assert made["raised"] and not calm["raised"]
        code, out, _ = cli("--dir", a.directory, "board", "post", "Film: Trapped", "--urgent", "no")
        assert code == 0 and "call for help" not in out

        def arrived() -> list[dict[str, object]]:
            rows = {row["id"]: row for row in cli_json("--dir", b.directory, "board", "list")}
            hint = rows.get(made["id"], {}).get("hint") or {}
            return [rows[made["id"]], rows[calm["id"]]] if hint.get("by") == "triage" and calm["id"] in rows else []

        cry, other = until(arrived)
        assert cry["lane"] == 1 and cry["hint"]["urgent"] and "medical" in cry["hint"]["labels"]
        assert other["lane"] == 2 and "hint" not in other
        code, out, _ = cli("--dir", b.directory, "board", "list")
        assert 'CALL FOR HELP: medical' in out and '"chest pain"' in out
        marked = cli_json("--dir", b.directory, "call", "triage.mark@1", f'{{"id":"{made["id"]}","urgent":"no"}}')
        assert marked == {"id": made["id"]}
        assert "no call for help" in cli("--dir", b.directory, "board", "list")[1]


@weighs_memory
def test_what_it_costs(tmp_path: pathlib.Path) -> None:
    """A node holds nothing of triage until a text comes, and 1.5 MB at most from then on."""
    with RealNode(tmp_path / "with") as on, RealNode(tmp_path / "without", "triage.enabled=false") as off:
        for node in (on, off):
            with urllib.request.urlopen(node.ready["web"] + "/", timeout=10 * PATIENCE):
                pass
        assert rss_kib(on.process.pid) - rss_kib(off.process.pid) <= 512
        for n in range(20):
            for node in (on, off):
                cli_json("--dir", node.directory, "board", "post", f"{CRY} {n}")
        until(lambda: cli_json("--dir", on.directory, "board", "list")[0].get("hint", {}).get("by") == "triage")
        assert rss_kib(on.process.pid) - rss_kib(off.process.pid) <= 1536
        code, _, err = cli("--dir", off.directory, "call", "triage.text@1", '{"text":"help"}')
        assert code == 1 and "triage.enabled" in err
