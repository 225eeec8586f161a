"""Real nodes, started and asked as an operator does: the flags and the JSON are those of docs/CLI.md."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.kit import RealNode, cli, cli_json, mapped, rss_kib
from tests.emulation import weighs_memory
from tests.waiting import PATIENCE

SEEN_S = 10 * PATIENCE
RSS_KIB_MAX = 19531  # 20.0 MB


def until(look: Callable[[], Any]) -> Any:
    """What `look` gives once it gives something true."""
    end_s = time.monotonic() + SEEN_S
    while not (found := look()):
        assert time.monotonic() < end_s, "not seen in time"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealNode, RealNode]]:
    """Two nodes that know each other."""
    folder = tmp_path_factory.mktemp("pair")
    with (RealNode(folder / "a", "node.name=Ana") as a,
          RealNode(folder / "b", "node.name=Ben", f"lan.peers=127.0.0.1:{a.ready['links']['lan']}") as b):
        until(lambda: cli_json("--dir", b.directory, "peers"))
        until(lambda: cli_json("--dir", a.directory, "peers"))
        yield a, b


@pytest.fixture(scope="module")
def a(pair: tuple[RealNode, RealNode]) -> RealNode:
    return pair[0]


@pytest.fixture(scope="module")
def b(pair: tuple[RealNode, RealNode]) -> RealNode:
    return pair[1]


def test_ready_line(a: RealNode) -> None:
    assert a.line.startswith(b'{"event":"ready","node":"')
    assert a.ready["event"] == "ready" and a.ready["problems"] == [] and a.ready["name"] == "Ana"
    assert a.ready["pid"] == a.process.pid  # exec, no child in between
    assert a.ready["node"] == cli_json("--dir", a.directory, "keys")["node"]
    assert a.ready["web"] == f"http://127.0.0.1:{a.ready['web'].rpartition(':')[2]}"
    with urllib.request.urlopen(a.ready["web"] + "/", timeout=10 * PATIENCE) as answer:
        assert answer.status == 200 and b"<html" in answer.read()
    with urllib.request.urlopen(a.ready["web"] + "/metrics", timeout=10 * PATIENCE) as answer:
        text = answer.read().decode()
    assert 'waypost_messages{lane="2"}' in text and 'waypost_neighbours{link="lan"} 1' in text
    assert a.ready["node"] not in text


def test_peers(a: RealNode, b: RealNode) -> None:
    (row,) = cli_json("--dir", a.directory, "peers")
    assert (row["node"], row["link"], row["name"], row["authenticated"]) == (b.ready["node"], "lan", "Ben", True)
    assert row["address"].startswith("127.0.0.1:")
    code, out, _ = cli("--dir", a.directory, "peers")
    assert code == 0 and b.ready["node"][:16] in out and "Ben" in out


def test_a_post_crosses(a: RealNode, b: RealNode) -> None:
    id = cli_json("--dir", a.directory, "board", "post", "Soup at six")["id"]
    assert len(id) == 32 and id == id.lower()
    row = until(lambda: [one for one in cli_json("--dir", b.directory, "board", "list") if one["id"] == id])[0]
    assert (row["author"], row["lane"], row["text"]) == (a.ready["node"], 2, "Soup at six")
    assert abs(row["time_ms"] - time.time() * 1000) < 60_000
    assert [one["id"] for one in cli_json("--dir", a.directory, "board", "list", "--search", "soup")] == [id]
    code, out, _ = cli("--dir", b.directory, "board", "list")
    assert code == 0 and "Soup at six" in out
    code, out, _ = cli("--dir", b.directory, "messages", "--author", a.ready["node"][:12], "--lane", 2, "--limit", 1)
    assert code == 0 and out.count(a.ready["node"][:16]) == 1


def test_a_direct_message_and_its_receipt(a: RealNode, b: RealNode) -> None:
    sent = cli_json("--dir", a.directory, "send", b.ready["node"], "for you alone")
    row = until(lambda: cli_json("--dir", b.directory, "inbox"))[0]
    assert (row["id"], row["author"], row["lane"], row["text"]) == (sent["id"], a.ready["node"], 1, "for you alone")
    until(lambda: [one for one in cli_json("--dir", a.directory, "inbox", "--sent")
                   if one["id"] == sent["id"] and one["state"] == "delivered"])
    assert cli_json("--dir", a.directory, "inbox") == []
    for who in ("Ben", b.ready["node"][:10]):
        code, out, _ = cli("--dir", a.directory, "send", who, "hello")
        assert code == 0 and b.ready["node"][:16] in out
    code, _, err = cli("--dir", a.directory, "send", "Bem", "hello")
    assert code == 1 and "Bem" in err


def test_a_strangers_text_is_made_harmless(a: RealNode, b: RealNode) -> None:
    cli_json("--dir", b.directory, "call", "messages.post@1", json.dumps({"text": "a\u202eb \u2066c"}))
    until(lambda: [one for one in cli_json("--dir", a.directory, "messages") if one["text"] == "a\u202eb \u2066c"])
    code, out, _ = cli("--dir", a.directory, "messages")
    assert code == 0 and "\u202e" not in out and "\u2066" not in out and "a\u00b7b" in out


def test_call_here_and_there(a: RealNode, b: RealNode) -> None:
    assert cli_json("--dir", a.directory, "call", "node.status@1")["node"] == a.ready["node"]
    assert cli_json("--dir", a.directory, "call", "node.status@1", "--to", "Ben")["node"] == b.ready["node"]
    words = ("call", "direct.send@1", '{"to": "x", "text": "y"}', "--to", "Ben", "--json")
    code, out, err = cli("--dir", a.directory, *words)
    assert code == 1 and json.loads(out)["error"]["code"] == "unauthorized"
    code, out, _ = cli("--dir", a.directory, "call", "board.list@1", "--stream")
    assert code == 0 and all(json.loads(line)["id"] for line in out.splitlines())
    for words, said in ((("nothing@1",), "nothing"), (("node.status@1", "{"), "not JSON"),
                        (("node.status@1", "[]"), "object"), (("node.status",), "name of a cap"),
                        (("node.status@1", "--to", "Carl"), 'no neighbour "Carl"')):
        code, _, err = cli("--dir", a.directory, "call", *words)
        assert code == 1 and said in err


def test_status_top_trace_doctor(a: RealNode, b: RealNode) -> None:
    facts = cli_json("--dir", a.directory, "status")
    assert facts["node"] == a.ready["node"] and facts["peers"] == 1 and facts["trouble"] == []
    code, out, _ = cli("--dir", a.directory, "status")
    assert code == 0 and "trouble   none" in out
    code, out, _ = cli("--dir", a.directory, "top", "--once")
    assert code == 0 and "Ben" in out and "\x1b" not in out
    assert cli_json("--dir", a.directory, "top", "--once")["peers"][0]["name"] == "Ben"
    rows = cli_json("--dir", a.directory, "trace", "--limit", 20)
    assert 0 < len(rows) <= 20 and {"n", "time_ms", "what"} <= set(rows[0])
    code, out, _ = cli("--dir", a.directory, "trace", "--limit", 1)
    assert code == 0 and len(out.splitlines()) == 1
    code, out, _ = cli("--dir", a.directory, "doctor", "--json")
    checks = {one["check"]: one["state"] for one in json.loads(out)}
    assert checks["node"] == "ok" and "web" not in checks


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and so their children, ignore it


def test_trace_follow(a: RealNode) -> None:
    command = [a.command[0], "-m", "tools.cli", "--dir", str(a.directory), "trace", "--follow", "--limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=_heed_interrupts) as process:
        assert process.stdout is not None
        process.stdout.readline()
        id = cli_json("--dir", a.directory, "board", "post", "followed")["id"]
        while f"id={id}" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10 * PATIENCE) == 130


@weighs_memory
def test_it_is_lean(a: RealNode, tmp_path: pathlib.Path) -> None:
    assert not mapped(a.process.pid, "libssl") and not mapped(a.process.pid, "libcrypto")
    with RealNode(tmp_path / "n") as node:  # all is compiled by now
        with urllib.request.urlopen(node.ready["web"] + "/", timeout=10 * PATIENCE):
            pass
        assert rss_kib(node.process.pid) <= RSS_KIB_MAX


def test_one_node_a_directory(a: RealNode) -> None:
    done = subprocess.run(a.command, capture_output=True, text=True, timeout=30 * PATIENCE)
    assert done.returncode == 1 and json.loads(done.stdout)["error"]["code"] == "already_running"
    assert str(a.process.pid) in done.stderr and "--dir" in done.stderr
    assert cli_json("--dir", a.directory, "status")["node"] == a.ready["node"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_cleanly(tmp_path: pathlib.Path, number: int) -> None:
    with RealNode(tmp_path / "n") as node:
        code, out, err = node.stop(number)
    assert (code, out) == (0, "") and "Traceback" not in err
    left = {path.name for path in (tmp_path / "n").iterdir()}
    assert left >= {"identity.key", "waypost.db", "waypost.lock"} and not left & {"control.sock", "waypost.db-wal"}
    for path in (tmp_path / "n").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_after_kill_9_all_is_there(tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path / "n") as node:
        first = node.ready["node"]
        ids = [cli_json("--dir", node.directory, "board", "post", f"notice {n}")["id"] for n in range(5)]
        node.stop(signal.SIGKILL)
    assert (tmp_path / "n" / "control.sock").exists()
    with RealNode(tmp_path / "n") as node:
        assert node.ready["node"] == first
        assert [one["id"] for one in cli_json("--dir", node.directory, "board", "list")] == ids[::-1]


def test_a_broken_file_boots_and_says_so(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "n"
    folder.mkdir()
    (folder / "waypost.toml").write_text('[node\nname = "x"\n')
    with RealNode(folder) as node:
        assert len(node.ready["problems"]) == 1 and "waypost.toml:1:6" in node.ready["problems"][0]
        trouble = cli_json("--dir", folder, "status")["trouble"]
        assert [one["part"] for one in trouble] == ["config"] and "waypost.toml:1:6" in trouble[0]["text"]
        code, out, _ = cli("--dir", folder, "doctor")
        assert code == 1 and "BROKEN  config" in out
        assert cli_json("--dir", folder, "board", "post", "works all the same")["id"]
        _, _, err = node.stop()
    assert err.count("waypost.toml:1:6") == 1


@pytest.mark.parametrize(("text", "said"), [
    ("caf\udce9", "not text in UTF-8"), ("", "is empty"), ("a\x1b[31m", "U+001B"),
])
def test_a_text_that_is_none(a: RealNode, text: str, said: str) -> None:
    for words in (["board", "post", text], ["send", "Ben", text]):
        code, out, err = cli("--dir", a.directory, *words)
        assert code == 1 and out == "" and said in err and "codec" not in err


def test_a_text_without_end(a: RealNode, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/zero", encoding="utf-8") as endless:
        monkeypatch.setattr("sys.stdin", endless)
        code, _, err = cli("--dir", a.directory, "board", "post", "-")
    assert code == 1 and "U+0000" in err


def test_nothing_found_is_not_an_empty_board(a: RealNode) -> None:
    cli_json("--dir", a.directory, "board", "post", "Bread at nine")
    assert cli("--dir", a.directory, "board", "list", "--search", "zeppelin")[1] == "no notice holds these words\n"


def test_parameters_that_are_nested_too_deep(a: RealNode) -> None:
    code, _, err = cli("--dir", a.directory, "call", "board.list@1", "[" * 100000)
    assert code == 1 and "nested too deep" in err


def test_a_broken_community_key_never_talks(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "n"
    folder.mkdir()
    (folder / "waypost.toml").write_text('[community]\nkey = "hunter2"\n')
    with RealNode(folder, "lan.udp=true") as node:
        assert node.ready["links"] == {}
        _, _, err = node.stop()
    assert "community.key" in err and "hunter2" not in err


def test_secrets_are_not_to_be_seen_from_outside(tmp_path: pathlib.Path) -> None:
    secret = "5a" * 32
    with RealNode(tmp_path / "n", f"community.key={secret}") as node:
        pid = node.process.pid
        for name in ("cmdline", "environ"):
            assert secret not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
        seed = (tmp_path / "n" / "identity.key").read_text().strip()
        shown = "".join(cli("--dir", node.directory, *words)[1] for words in (
            ["status", "--json"], ["trace", "--json"], ["doctor", "--json"], ["keys"], ["call", "node.status@1"]))
        _, _, err = node.stop()
    for hidden in (secret, seed):
        assert hidden not in shown + err


def test_port_taken_is_trouble_not_the_end(tmp_path: pathlib.Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with RealNode(tmp_path / "n", f"web.port={taken.getsockname()[1]}") as node:
            assert node.ready["web"] is None
            trouble = cli_json("--dir", node.directory, "status")["trouble"]
            assert [one["part"] for one in trouble] == ["web"]
            code, out, _ = cli("--dir", node.directory, "doctor")
            assert code == 1 and out.rstrip().endswith("broken: web")


def test_no_page(tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path / "n", "web.enabled=false") as node:
        assert node.ready["web"] is None


def refused(folder: pathlib.Path, code: str) -> dict[str, str]:
    """The error with which a node refuses to start."""
    done = subprocess.run(RealNode(folder).command, capture_output=True, text=True, timeout=30 * PATIENCE)
    error: dict[str, str] = json.loads(done.stdout)["error"]
    assert done.returncode == 1 and error["code"] == code and error["hint"], done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith("waypost: ") and "Traceback" not in done.stderr
    return error


def test_a_node_without_its_key_or_store_does_not_start(tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path / "n") as node:
        node.stop()
    folder = tmp_path / "n"
    (folder / "identity.key").chmod(0o644)
    assert "chmod 600" in refused(folder, "key")["hint"]
    (folder / "identity.key").chmod(0o600)
    db = sqlite3.connect(folder / "waypost.db")
    db.execute("PRAGMA user_version = 999")
    db.close()
    refused(folder, "store_newer")
    (folder / "waypost.db").write_bytes(b"nonsense " * 1000)
    refused(folder, "store")


def test_a_directory_that_cant_be_made(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    done = subprocess.run(RealNode(tmp_path / "file" / "n").command, capture_output=True, text=True,
                          timeout=30 * PATIENCE)
    assert done.returncode == 2 and json.loads(done.stdout)["error"]["code"] == "config"


def test_systemd_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with RealNode(tmp_path / "n") as node:
            assert notify.recv(100) == b"READY=1"
            node.stop()
            while (said := notify.recv(100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"


def test_human_ready(tmp_path: pathlib.Path) -> None:
    node = RealNode(tmp_path / "n")
    with subprocess.Popen([word for word in node.command if word != "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        process.terminate()
        assert process.wait(30 * PATIENCE) == 0
    assert lines[0] == "waypost: ready\n" and "http://127.0.0.1:" in "".join(lines)


def test_a_reader_that_went_away(tmp_path: pathlib.Path) -> None:
    """`waypost run | head` must not end the node."""
    node = RealNode(tmp_path / "n")
    reader, writer = os.pipe()
    with subprocess.Popen(node.command, stdout=writer, stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        os.close(reader)
        until(lambda: cli("--dir", node.directory, "status")[0] == 0)
        process.terminate()
        assert process.wait(30 * PATIENCE) == 0
