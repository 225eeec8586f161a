"""A PIN that can't be made out locks the console, and it says why; tools/console.py, edge/config.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import config
from tests.console.test_console import PROMPT, Cable
from tools import console


@pytest.mark.parametrize(("text", "right"), [("pin = 1234", "1234"), ("pin = 0123", ""), ("pinn = '1234'", "")])
def test_a_pin_that_is_no_text_never_leaves_the_console_open(tmp_path: Path, text: str, right: str) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node/waypost.toml").write_text(f"[console]\n{text}\n")
    cable = Cable(str(tmp_path / "node"))
    try:
        said = cable.reads("press Enter")
        assert ("is locked: console.pin in waypost.toml is not right" in said) == (right == "")
        cable.types("1234", PROMPT if right else "wrong PIN")
    finally:
        cable.close()


def test_settings_that_break_us_leave_the_console_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(config, "load", fails)
    name, pin = console._name_and_pin(str(tmp_path))
    assert pin == config.LOCKED and "is locked" in name
