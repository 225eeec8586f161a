"""What the README promises, with real processes: found, read, killed, unplugged, carried by hand."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulation import meets_by_multicast
from tests.system.nodes import NodeProcess, namespaces, plug, running, unplug, until

pytestmark = [pytest.mark.slow]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[NodeProcess, NodeProcess, dict[str, str]]]:
    with namespaces("wp2", [("a", "b")]) as names:
        a = NodeProcess(str(tmp_path / "a"), netns=names["a"])
        b = NodeProcess(str(tmp_path / "b"), netns=names["b"])
        with running(a, b):
            yield a, b, names


@needs_root
@pytest.mark.netns
@meets_by_multicast
def test_two_nodes_meet_and_share_a_board(pair: tuple[NodeProcess, NodeProcess, dict[str, str]]) -> None:
    a, b, names = pair
    found_s = until(lambda: bool(a.cli("peers") and b.cli("peers")), 5)
    assert a.cli("peers")[0]["node"] == b.key and a.cli("peers")[0]["link"] == "lan"
    id = a.cli("board", "post", "soup at six")["id"]
    seen_s = until(lambda: [row["id"] for row in b.cli("board", "list")] == [id], 1)
    print(f"found in {found_s:.2f} s, seen in {seen_s:.2f} s, the commands included")
    row = b.cli("board", "list")[0]
    assert (row["author"], row["lane"], row["text"]) == (a.key, 2, "soup at six")
    # five on each side of a partition become ten on both
    unplug(names, "a", "b")
    for n in range(5):
        a.cli("board", "post", f"a{n}")
        b.cli("board", "post", f"b{n}")
    assert len(a.texts()) == len(b.texts()) == 6
    plug(names, "a", "b")
    until(lambda: len(a.texts()) == len(b.texts()) == 11, 60, 0.5)
    assert a.texts() == b.texts()


@needs_root
@pytest.mark.netns
@meets_by_multicast
def test_a_line_of_three_delivers_both_ways(tmp_path: Path) -> None:
    with namespaces("wp3", [("a", "b"), ("b", "c")]) as names:
        a, b, c = (NodeProcess(str(tmp_path / letter), netns=names[letter]) for letter in "abc")
        with running(a, b, c):
            until(lambda: len(b.cli("peers")) == 2, 8)
            a.cli("board", "post", "from a")
            c.cli("board", "post", "from c")
            until(lambda: all(n.texts() == ["from a", "from c"] for n in (a, b, c)), 5)
            a.cli("send", c.key, "only for c")
            until(lambda: [row["text"] for row in c.cli("inbox")] == ["only for c"], 5)
            until(lambda: a.cli("status")["outbox"] == 0, 5)
            rows = [row for row in b.cli("messages") if row["type"] == 2]
            assert len(rows) == 1 and not rows[0].get("text"), "b carries it and can't read it"


@needs_root
@pytest.mark.netns
@meets_by_multicast
def test_a_message_to_a_node_that_is_off_arrives_once(tmp_path: Path) -> None:
    with namespaces("wpo", [("a", "b")]) as names:
        a, b = (NodeProcess(str(tmp_path / letter), netns=names[letter]) for letter in "ab")
        with running(a, b):
            until(lambda: bool(a.cli("peers")), 8)
            b.end()
            until(lambda: not a.cli("peers"), 60, 0.5)
            id = a.cli("send", b.key, "are you there?")["id"]
            a.end(kill=True)
            b.start()
            a.start()
            until(lambda: [row["id"] for row in b.cli("inbox")] == [id], 20, 0.2)
            until(lambda: a.cli("status")["outbox"] == 0, 20, 0.2)
            for node in (a, b):
                node.end(kill=True)
                node.start()
            until(lambda: bool(a.cli("peers")), 20, 0.2)
            assert [row["text"] for row in b.cli("inbox")] == ["are you there?"]
            assert a.cli("status")["outbox"] == 0


def test_what_was_acknowledged_survives_the_plug(tmp_path: Path) -> None:
    node = NodeProcess(str(tmp_path / "n"), settings=("lan.enabled=false",))
    acknowledged: list[str] = []

    def write() -> None:
        while True:
            try:
                acknowledged.append(node.cli("board", "post", f"number {len(acknowledged)}")["id"])
            except Exception:
                return

    for _ in range(5):
        with running(node):
            before = len(acknowledged)
            writers = [threading.Thread(target=write) for _ in range(2)]
            for writer in writers:
                writer.start()
            until(lambda seen=before: len(acknowledged) > seen + 2, 20)  # type: ignore[misc]
            node.end(kill=True)
            for writer in writers:
                writer.join()
    with running(node):
        ids = {row["id"] for row in node.cli("messages", "--limit", "1000")}
        assert set(acknowledged) <= ids and len(acknowledged) >= 15
    assert {row["check"]: row["state"] for row in node.cli("doctor")}["database"] == "ok"


def test_a_file_carries_a_board_by_hand(tmp_path: Path) -> None:
    a, b = (NodeProcess(str(tmp_path / letter), settings=("lan.enabled=false",)) for letter in "ab")
    stick = str(tmp_path / "stick.waypost")
    with running(a, b):
        for n in range(3):
            a.cli("board", "post", f"a{n}")
        a.cli("export", stick)
        b.cli("import", stick)
        assert b.texts() == ["a0", "a1", "a2"]
        b.cli("import", stick)
        assert b.texts() == ["a0", "a1", "a2"]


def test_a_clean_stop_is_quick_and_says_nothing_bad(tmp_path: Path) -> None:
    node = NodeProcess(str(tmp_path / "n"))
    with running(node):
        start_s = time.monotonic()
        assert node.end() == 0
        assert time.monotonic() - start_s < 5
    log = (tmp_path / "n.log").read_text()
    assert "Traceback" not in log and "never awaited" not in log, log
