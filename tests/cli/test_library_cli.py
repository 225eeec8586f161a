"""`waypost pack` and `waypost ask` as a steward types them, with and without the node running."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import pytest

from edge import keys
from edge.compat import crypto
from tests.cli.kit import RealNode, cli, cli_json

WELLS = "# Wells\n\n## The well at the mill\n\nIts pump needs two people. The water is good since the repair in May."


def author(folder: pathlib.Path) -> str:
    folder.mkdir(mode=0o700)
    return str(crypto.public_key(keys.load_or_create(str(folder))[0]).hex())


def source(folder: pathlib.Path, version: int = 1, text: str = WELLS, **facts: Any) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "wells.md").write_text(text, encoding="utf-8")
    lines = [f'name = "wells"\nversion = {version}\ntitle = "Our wells"\nlicence = "CC0-1.0"\n']
    lines += [f"{name} = {json.dumps(value)}\n" for name, value in facts.items()]
    lines.append('[sources]\n"wells.md" = "The water committee"\n')
    (folder / "pack.toml").write_text("".join(lines), encoding="utf-8")
    return folder


def test_from_a_folder_to_an_answer(tmp_path: pathlib.Path) -> None:
    node, pack = tmp_path / "node", tmp_path / "wells.pack"
    who = author(tmp_path / "author")
    row = cli_json("--dir", tmp_path / "author", "pack", "build", source(tmp_path / "src"), pack)
    assert (row["name"], row["author"], row["documents"]) == ("wells", who, 1)
    with RealNode(node) as real:
        code, _, err = cli("--dir", node, "pack", "add", pack)
        assert code == 1 and f"compare {who}" in err and "--author" in err
        assert cli_json("--dir", node, "pack", "add", pack, "--author", who)["passages"] == 1
        assert [row["name"] for row in cli_json("--dir", node, "pack", "list")] == ["basics", "wells"]
        items = cli("--dir", node, "ask", "how", "many", "people", "does", "the", "mill", "pump", "need", "--json")[1]
        found, end = [json.loads(line) for line in items.splitlines()]
        assert found["good"] and found["passages"][0]["source"] == "The water committee"
        assert end["end"]["by"] == "library"
        code, out, _ = cli("--dir", node, "ask", "mill pump")
        assert code == 0 and "[1] Wells \u203a The well at the mill" in out
        assert "*pump*" in out and "(wells: wells.md)" in out
        code, out, _ = cli("--dir", node, "ask", "who won the football match")
        assert code == 0 and out.startswith("The library has no good match for that.")
        assert {row["name"] for row in cli_json("--dir", node, "call", "pack.list@1")} == {"basics", "wells"}
        checks = {one["check"]: one for one in cli_json("--dir", node, "doctor")}
        assert checks["library"]["state"] == "ok" and "2 packs" in checks["library"]["text"]
        real.stop()
    rows = cli_json("--dir", node, "pack", "verify")
    assert [(row["name"], row["documents"] >= 1) for row in rows] == [("basics", True), ("wells", True)]
    assert cli_json("--dir", node, "pack", "verify", pack)[0]["author"] == who
    assert cli_json("--dir", node, "pack", "search", "mill", "pump")["passages"][0]["pack"] == "wells"
    assert cli_json("--dir", node, "pack", "remove", "wells") == {"name": "wells", "removed": True}
    assert [row["name"] for row in cli_json("--dir", node, "pack", "list")] == ["basics"]


def test_versions_and_authors(tmp_path: pathlib.Path) -> None:
    node = tmp_path / "node"
    one, other = author(tmp_path / "one"), author(tmp_path / "other")
    node.mkdir(mode=0o700)
    (node / "waypost.toml").write_text(f'[library]\nauthors = ["{one}", "{other}"]\n')
    packs = {}
    for who, version in (("one", 1), ("one", 2), ("other", 3)):
        packs[who, version] = tmp_path / f"{who}-{version}.pack"
        folder = source(tmp_path / "src", version, WELLS + f" Version {version} by {who}.")
        assert cli("--dir", tmp_path / who, "pack", "build", folder, packs[who, version])[0] == 0
    assert cli_json("--dir", node, "pack", "add", packs["one", 2])["version"] == 2
    code, _, err = cli("--dir", node, "pack", "add", packs["one", 1])
    assert code == 1 and "version 2 of wells, which is newer" in err
    code, _, err = cli("--dir", node, "pack", "add", packs["other", 3])
    assert code == 1 and "by another author" in err
    found = cli_json("--dir", node, "pack", "search", "wells", "version")["passages"]
    assert "Version 2 by one" in found[0]["text"]


def test_this_nodes_own_pack_is_taken(tmp_path: pathlib.Path) -> None:
    author(tmp_path / "node")
    assert cli("--dir", tmp_path / "node", "pack", "build", source(tmp_path / "src"), tmp_path / "w.pack")[0] == 0
    assert cli_json("--dir", tmp_path / "node", "pack", "add", tmp_path / "w.pack")["name"] == "wells"


@pytest.mark.parametrize(("words", "said"), [
    (("remove", "basics"), "library.built_in"), (("remove", "nothing"), "no pack nothing"),
    (("remove", "../x"), "no pack"), (("verify", "nothing"), "no pack nothing"),
    (("add", "/no/such.pack"), "/no/such.pack"), (("add", "README.md"), "no pack"),
    (("build", "/no/such", "x.pack"), "/no/such"), (("search",), "WORDS"),
])
def test_what_can_go_wrong(tmp_path: pathlib.Path, words: tuple[str, ...], said: str) -> None:
    code, out, err = cli("--dir", tmp_path / "node", "pack", *words)
    assert code in (1, 2) and out == "" and said in err and "Traceback" not in err


@pytest.mark.parametrize(("facts", "said"), [
    ({"colour": "red"}, "colour is not known"), ({"about": "x" * 300}, "can't be"), ({"language": 7}, "can't be"),
])
def test_a_faulty_pack_toml(tmp_path: pathlib.Path, facts: dict[str, Any], said: str) -> None:
    author(tmp_path / "node")
    folder = source(tmp_path / "src", **facts)
    code, _, err = cli("--dir", tmp_path / "node", "pack", "build", folder, tmp_path / "x.pack")
    assert code == 1 and said in err and not (tmp_path / "x.pack").exists()


def test_a_source_of_nothing_and_an_empty_folder(tmp_path: pathlib.Path) -> None:
    author(tmp_path / "node")
    folder = source(tmp_path / "src")
    (folder / "wells.md").unlink()
    code, _, err = cli("--dir", tmp_path / "node", "pack", "build", folder, tmp_path / "x.pack")
    assert code == 1 and "wells.md" in err
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "pack.toml").write_text('name = "empty"\n')
    code, _, err = cli("--dir", tmp_path / "node", "pack", "build", folder, tmp_path / "x.pack")
    assert code == 1 and "no documents" in err


def test_a_node_without_the_built_in_pack_and_one_with_a_broken_index(tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path / "a", "library.built_in=false") as node:
        assert cli_json("--dir", node.directory, "call", "pack.list@1") == []
        assert '"good":false' in cli("--dir", node.directory, "ask", "water", "--json")[1]
    with RealNode(tmp_path / "b") as node:
        node.stop()
    (tmp_path / "b" / "library.db").write_bytes(b"nonsense " * 999)
    assert cli("--dir", tmp_path / "b", "doctor")[1].count("library.db is damaged") == 1
    with RealNode(tmp_path / "b") as node:
        assert '"good":true' in cli("--dir", node.directory, "ask", "make", "water", "safe", "--json")[1]
