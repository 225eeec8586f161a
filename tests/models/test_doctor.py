"""What `waypost doctor` says of models: nothing to mend, a package that is missing, a file that has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.config import filled
from edge.models import sandbox
from edge.models.adding import add_file
from edge.models.catalogue import Catalogue
from tests.emulation import locks_in
from tools import doctor_models
from tools.doctor_host import BROKEN, NOTE, OK


def said(directory: Path, **settings: object) -> list[tuple[str, str]]:
    config = filled({f"models.{name}": value for name, value in settings.items()})
    return [(one.state, one.text) for one in doctor_models.models(str(directory), config)]


def added(directory: Path, path: str) -> Catalogue:
    catalogue = Catalogue(str(directory / "models"), 10**9)
    add_file(catalogue, path, pinned=True)
    return catalogue


@locks_in
def test_all_is_well(tiny: str, tmp_path: Path) -> None:
    assert said(tmp_path) == [] == said(tmp_path, enabled=False)
    added(tmp_path, tiny)
    (state, text), = said(tmp_path)
    assert state == OK and text.startswith("tiny: ") and "of memory" in text


@locks_in
def test_what_is_missing(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_models, "find_spec", lambda _name: None)
    assert [state for state, _ in said(tmp_path)] == [NOTE, NOTE]
    added(tmp_path, tiny)
    assert [state for state, _ in said(tmp_path)] == [BROKEN, NOTE], "the language model can't run"


def test_files_that_are_not_as_they_were(tiny: str, tmp_path: Path) -> None:
    catalogue = added(tmp_path, tiny)
    path = catalogue.path(catalogue.find("tiny").blob)
    os.truncate(path, 100)
    assert (BROKEN, "the file of tiny has 100 bytes instead of 146560") in said(tmp_path)
    os.unlink(path)
    assert (BROKEN, "the file of tiny is not there") in said(tmp_path)
    (tmp_path / "models/odd.model").write_bytes(b"no record")
    assert (BROKEN, "odd.model can't be read") in said(tmp_path)


@locks_in
def test_a_kernel_that_locks_nobody_in(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.supported()["landlock"] >= 1 and sandbox.supported()["seccomp"] is True
    added(tmp_path, tiny)
    monkeypatch.setattr(sandbox, "supported", lambda: {"landlock": 0, "seccomp": True})
    assert said(tmp_path)[0][1].startswith("this kernel has no Landlock: ")
