"""waypost simulate: the seed first, one JSON object, exit codes."""

from __future__ import annotations

import json

import pytest

from tools import cli_args, simulate


def run(*arguments: str) -> int:
    return simulate.run(cli_args.parse(["simulate", *arguments]))


def test_the_seed_is_the_first_line_and_repeats_the_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nodes", "6") == 0
    lines = capsys.readouterr().out.splitlines()
    word, seed = lines[0].split()
    assert word == "seed" and lines[-1] == "ok"
    assert run("--nodes", "6", "--seed", seed) == 0
    again = capsys.readouterr().out.splitlines()
    assert [line for line in again if "CPU" not in line] == [line for line in lines if "CPU" not in line]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nodes", "8", "--seed", "3", "--messages", "30", "--loss", "30", "--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == "seed 3\n" and report["seed"] == 3 and report["nodes"] == 8 and report["ok"] is True
    assert report["faults"] == [] and report["acknowledged"] >= 20 and len(report["digest"]) == 64


def test_a_canary_that_is_found_is_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nodes", "8", "--seed", "3", "--canary", "acknowledge-before-commit", "--heal-seconds", "60") == 0
    assert "canary acknowledge-before-commit: found" in capsys.readouterr().out


def test_a_canary_that_is_not_found_is_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nodes", "2", "--seed", "3", "--canary", "silent-drop", "--messages", "0", "--loss", "0") == 1
    assert "NOT FOUND" in capsys.readouterr().out


def test_a_world_that_does_not_converge_is_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--nodes", "60", "--seed", "1", "--loss", "60", "--heal-seconds", "2", "--messages", "200") == 1
    out = capsys.readouterr().out
    assert "FAULT" in out and "FAILED: repeat it with --seed 1" in out


def test_trace(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"{tmp_path}/trace"
    assert run("--nodes", "3", "--seed", "5", "--trace", path, "--json") == 0
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert len(lines) == json.loads(capsys.readouterr().out)["effects"]
    assert all(line.split()[1] in "012" for line in lines)


def test_the_town_prints_its_seed_first_and_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--town", "--seed", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed 1"
    assert sum("waypost" in line for line in lines) == sum("flooding" in line for line in lines) == 4
