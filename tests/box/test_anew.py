"""`factory-reset` on a box whose card can't keep data."""

from __future__ import annotations

import pathlib

import pytest

from tests.cli.kit import cli
from tools import cli_run, restart_cli
from tools.box import data
from tools.box.bootfs import BoxError


def test_factory_reset_gives_up_a_partition_that_is_of_no_use(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
                                                              ) -> None:
    state, script, home = tmp_path / "state", tmp_path / "script", tmp_path / "home"
    monkeypatch.setattr(cli_run, "CARD_STATE", str(state))
    monkeypatch.setattr(data, "SCRIPT", str(script))
    monkeypatch.setattr(restart_cli, "has_service", lambda: False)
    script.write_text(f"#!/bin/sh\necho $1 >>{tmp_path}/called\n")
    script.chmod(0o755)

    def reset(*words: str) -> int:
        home.mkdir(exist_ok=True)
        (home / "identity.key").write_text("x")
        return cli("--dir", home, "factory-reset", *words)[0]

    state.write_text("card\n")
    assert reset("--yes") == 0 and not (tmp_path / "called").exists(), "a sound one is only emptied"
    state.write_text("memory: it is damaged\n")
    assert reset() == 1 and not (tmp_path / "called").exists(), "not unasked"
    assert reset("--yes") == 0 and (tmp_path / "called").read_text() == "anew\n"
    script.write_text("#!/bin/sh\necho it is worn\nexit 1\n")
    with pytest.raises(BoxError, match="can't be made anew: it is worn"):
        data.forget()
