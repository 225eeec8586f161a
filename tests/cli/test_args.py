"""The command line: both places of --json, errors that help, exit codes, and that nothing is said twice."""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys

import pytest

from tests.cli.kit import cli
from tests.waiting import PATIENCE
from tools import cli as command_line
from tools import cli_args

PROMISED = (
    "backup",
    "bench",
    "board",
    "call",
    "completion",
    "console",
    "disk",
    "doctor",
    "export",
    "factory-reset",
    "flash",
    "hardware",
    "import",
    "inbox",
    "keys",
    "log",
    "messages",
    "model",
    "net",
    "peers",
    "radio",
    "reboot",
    "restart",
    "run",
    "send",
    "simulate",
    "status",
    "time",
    "top",
    "trace",
    "triage",
    "update",
    "version",
    "wifi",
)


def all_parsers() -> dict[str, argparse.ArgumentParser]:
    out: dict[str, argparse.ArgumentParser] = {}
    for action in cli_args.build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            out = dict(action.choices)
    return out


COMMANDS = list(all_parsers())


def test_no_command_that_was_promised_is_gone() -> None:
    assert set(COMMANDS) >= set(PROMISED)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_json_and_its_function(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = all_parsers()[name]
    for one in (parser, *cli_args._below(parser)):
        assert "--json" in one._option_string_actions
        for action in one._actions:
            assert action.help or action.nargs == argparse.PARSER, f"{name}: {action.dest} has no help"
    import importlib

    module, _, function = parser.get_default("entry").partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    with pytest.raises(SystemExit) as caught:
        command_line.main([name, "--help"])
    assert caught.value.code == 0 and f"waypost {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [
    ["--json", "board", "list"], ["board", "--json", "list"], ["board", "list", "--json"], ["--json", "status"],
    ["status", "--json"],
])
def test_json_in_all_places(words: list[str]) -> None:
    assert cli_args.parse(words).json is True
    assert cli_args.parse([word for word in words if word != "--json"]).json is False


def test_dir_and_set_before_the_name() -> None:
    args = cli_args.parse(["--dir", "/x", "--set", "web.port=0", "--set", "lan.port=0", "run"])
    assert args.dir == "/x" and args.overrides == ["web.port=0", "lan.port=0"]


def test_parameters_may_stand_behind_a_flag() -> None:
    for words in (["--to", "X", "{}"], ["{}", "--to", "X"], ["--to", "X", "--json", "{}"]):
        args = cli_args.parse(["call", "a.b@1", *words])
        assert (args.to, args.params) == ("X", "{}")
    assert cli_args.parse(["call", "a.b@1", "--to", "X"]).params is None


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOST_DIR", "/somewhere")
    assert cli_args.default_directory() == "/somewhere"
    monkeypatch.delenv("WAYPOST_DIR")
    monkeypatch.setenv("HOME", "/home/x")
    assert cli_args.default_directory() == "/home/x/.waypost"


@pytest.mark.parametrize(("words", "said"), [
    (["statsu"], 'no such command: "statsu"'),
    (["statsu"], "did you mean status"),
    (["board"], "VERB"),
    (["board", "pst", "x"], "did you mean post"),
    (["board", "show"], "the machine's own board is `waypost hardware show`"),
    (["board", "list", "--limit", "0"], '"0" is not a whole number 1..1000'),
    (["send", "abc"], "TEXT"),
    (["call"], "CAPABILITY"),
    (["peers", "--frobnicate"], "--frobnicate"),
    (["completion", "tcsh"], "bash, zsh, fish"),
    (["--set", "web.prot=1", "status"], "did you mean web.port"),
    (["--set", "web.port", "run"], "is not KEY=VALUE"),
    (["trace", "--lim", "3"], "--lim"),
    (["status", "--dir", "/x"], "--dir stands before the command: waypost --dir ... status"),
    (["peers", "--set=web.port=0"], "--set stands before the command"),
    (["call", "a.b@1", "{}", "{}"], "unrecognized arguments: {}"),
])
def test_usage_errors(words: list[str], said: str) -> None:
    code, out, err = cli(*words)
    assert code == 2 and said in err and out == ""
    assert err.startswith("waypost: ") and err.count("\n") == 1
    code, out, err = cli("--json", *words)
    error = json.loads(out)["error"]
    assert code == 2 and error["code"] in ("usage", "config") and error["message"]


@pytest.mark.parametrize("choices", ["'board', 'status'", "board, status"])
def test_both_ways_in_which_argparse_lists_choices(choices: str) -> None:
    """Quoted or not: Pythons differ, also within one minor version."""
    with pytest.raises(cli_args.UsageError) as raised:
        cli_args.Parser().error(f"argument COMMAND: invalid choice: 'statsu' (choose from {choices})")
    assert raised.value.allowed == "board, status" and raised.value.hint == "did you mean status?"


def test_nothing_asked_is_help_and_usage() -> None:
    code, out, _ = cli()
    assert code == 2 and "COMMAND" in out


@pytest.mark.parametrize("words", [
    ["status"], ["peers"], ["board", "list"], ["board", "post", "x"], ["inbox"], ["messages"], ["send", "a" * 64, "x"],
    ["call", "node.status@1"], ["trace"], ["top", "--once"],
])
def test_no_node_is_exit_3(tmp_path: pathlib.Path, words: list[str]) -> None:
    code, out, err = cli("--dir", tmp_path, *words)
    assert code == 3 and out == "" and f"waypost --dir {tmp_path} run" in err
    code, out, _ = cli("--dir", tmp_path, "--json", *words)
    assert code == 3 and json.loads(out)["error"]["code"] == "not_running"


def test_version_needs_no_node() -> None:
    code, out, _ = cli("version", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["waypost"] and facts["protocol"] == [1, 1]
    code, out, _ = cli("version")
    assert code == 0 and out.startswith("waypost ")


def test_a_closed_pipe_is_no_error() -> None:
    words = [sys.executable, "-m", "tools.cli", "completion", "bash"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(20 * PATIENCE) == 0 and process.stderr.read() == b""


def test_a_quick_command_imports_little() -> None:
    code = ("import sys; from tools.cli import main; main(['--dir', '/nonexistent', 'status'])\n"
            "print(sorted({'asyncio', 'sqlite3', 'ssl', 'tomllib', 'tools.simulate'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20 * PATIENCE,
                          check=True)
    assert done.stdout.strip() == "[]"


def test_secrets_are_cut_out_of_errors(tmp_path: pathlib.Path) -> None:
    _, out, err = cli("--dir", tmp_path, "--set", "community.key=hunter2", "status")
    assert "hunter2" not in out + err
