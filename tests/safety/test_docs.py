"""docs/ALERTS.md: each command that it shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.conftest import ROOT
from tools import cli_args


def test_the_commands_are_such() -> None:
    text = Path(ROOT, "docs/ALERTS.md").read_text().replace("\\\n", " ")
    lines = [re.split(r" {3,}", line.strip())[0] for line in text.splitlines() if line.startswith("    waypost ")]
    commands = [shlex.split(line)[1:] for line in lines if "..." not in line]
    commands += [shlex.split(words)[1:] for words in re.findall(r"`(waypost [^`]+)`", text)
                 if "..." not in words and len(words.split()) > 3]
    assert len(commands) > 12
    for words in commands:
        assert cli_args.parse(words).command == words[0]
