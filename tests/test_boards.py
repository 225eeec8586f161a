"""Board files: the ones we ship load and name drivers that exist; a wrong one is refused with its place."""

from __future__ import annotations

import importlib
import pathlib
from types import SimpleNamespace
from typing import Any

import pytest

from boards import loader
from edge.config import filled
from edge.errors import ConfigError
from tests.conftest import ROOT
from tools import run_body
from tools.dev import docs_boards
from tools.run import Run

BAD = pathlib.Path(ROOT, "tests", "data", "boards-bad")
LINK = '[[link]]\nname = "lan"\ndriver = "radios.lan.driver:LanDriver"\nconfig = "lan"\n'
ONE = 'summary = "x"\ntier = "untried"\n'


def load(folder: pathlib.Path, text: str, name: str = "one") -> loader.Board:
    (folder / name).mkdir()
    (folder / name / "board.toml").write_text(text)
    return loader.load(name, str(folder))


@pytest.mark.parametrize("name", loader.names())
def test_shipped_boards(name: str) -> None:
    board = loader.load(name)
    assert board.summary and board.links
    for link in board.links:
        module, _, class_name = link.driver.partition(":")
        driver = getattr(importlib.import_module(module), class_name)
        assert all(callable(getattr(driver, verb)) for verb in ("start", "stop", "send", "pause", "status"))
        assert filled().section(link.config)
        assert not link.switch or link.switch in filled().values
    parts = [row["driver"] for row in board.rows("sensor")] + [run_body.LED, run_body.BUTTON]
    parts += [board.table(heading)["driver"] for heading in ("led", "button") if "driver" in board.table(heading)]
    for part in parts:
        module, _, class_name = part.partition(":")
        assert hasattr(importlib.import_module(module), class_name)


def test_a_node_without_settings_has_the_lan_only() -> None:
    config = filled()
    assert config["node.board"] == loader.AUTO
    links = [link.name for link in loader.load("generic").links if link.enabled(config.values)]
    assert links == ["lan"]
    assert [link.name for link in loader.load("generic").links if link.enabled(filled({"lan.udp": True}).values)] == [
        "lan", "udp"]
    off = filled({"lan.udp": True, "lan.enabled": False})
    assert not any(link.enabled(off.values) for link in loader.load("generic").links)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda path: path.stem)
def test_a_wrong_board_is_refused(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = path.read_text()
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, path.stem)
    place = str(tmp_path / path.stem / "board.toml")
    said = str(caught.value).removeprefix(place).lstrip(": ")
    assert said != str(caught.value), "the error names the file"
    assert text.splitlines()[0].removeprefix("# ! ") in said


@pytest.mark.parametrize("number", ["1" * 5000, "0x" + "f" * 5000], ids=["decimal", "hex"])
def test_a_number_without_end_is_refused(tmp_path: pathlib.Path, number: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"{ONE}cores = {number}\n{LINK}")
    assert ":3:" in str(caught.value) and len(str(caught.value)) < 400


def test_a_right_board(tmp_path: pathlib.Path) -> None:
    board = load(tmp_path, ONE + 'arch = ["aarch64"]\n[memory]\nsizes_mb = [512]\nreserve_mb = 180\n' + LINK)
    assert (board.name, board.arch, board.tier, board.links[0].name) == ("one", ["aarch64"], "untried", "lan")
    assert board.models_mb(480) == 300 and board.models_mb(100) == 0
    assert board.table("led") == {} and board.rows("radio") == []


def test_like_takes_over_what_a_board_does_not_say(tmp_path: pathlib.Path) -> None:
    load(tmp_path, ONE + 'cores = 2\ncompatible = ["acme,base"]\n[led]\nname = "ACT"\n' + LINK, "base")
    load(tmp_path, ONE + 'like = "base"\n[led]\nname = "PWR"\n', "middle")
    board = load(tmp_path, 'summary = "mine"\ntier = "emulated"\nlike = "middle"\n', "top")
    assert (board.summary, board.tier, board.compatible) == ("mine", "emulated", [])
    assert board.table("led") == {"name": "PWR"} and board.tables["cores"] == 2 and board.links[0].name == "lan"


def test_likes_in_a_ring_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, ONE + 'like = "b"\n' + LINK, "a")
    with pytest.raises(ConfigError, match='like can\'t be "b"'):
        load(tmp_path, ONE + 'like = "a"\n' + LINK, "b")


@pytest.mark.parametrize(("tree", "name"), [
    (b"raspberrypi,model-zero-2-w\0brcm,bcm2837\0", "pi-zero-2w"),
    (b"raspberrypi,3-model-b\0brcm,bcm2837\0", "pi-3"),
    (b"raspberrypi,3-model-b-plus\0brcm,bcm2837\0", "pi-3"),
    (b"raspberrypi,400\0brcm,bcm2711\0", "pi-4"),
    (b"raspberrypi,5-model-b\0brcm,bcm2712\0", "pi-5"),
    (b"raspberrypi,9-model-z\0brcm,bcm2712\0", "pi"),
    (b"linux,dummy-virt\0", "qemu-virt"),
    (b"acme,anvil\0", "generic"),
    (b"\xff\0", "generic"),
])
def test_a_board_is_recognised_by_its_device_tree(tree: bytes, name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "compatible"
    path.write_bytes(tree)
    assert loader.detect(device_tree=str(path)) == name


def test_a_machine_without_device_tree_is_generic(tmp_path: pathlib.Path) -> None:
    assert loader.detect(device_tree=str(tmp_path / "none")) == "generic"


def test_every_sensor_and_driver_named_exists() -> None:
    for board in map(loader.load, loader.names()):
        tables = [*board.rows("sensor"), board.table("led"), board.table("button")]
        for dotted in [table["driver"] for table in tables if "driver" in table]:
            module, _, class_name = dotted.partition(":")
            assert callable(getattr(importlib.import_module(module), class_name))


def test_the_readme_is_current() -> None:
    with open(docs_boards.PATH, encoding="utf-8") as file:
        assert file.read() == docs_boards.page(), "python -m tools.dev.docs_boards"


def test_an_unknown_board_says_which_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        loader.load("generik")
    assert "did you mean generic" in str(caught.value)
    with pytest.raises(ConfigError):
        loader.load("../boards/generic")


def test_a_class_that_is_no_driver_is_told_and_the_node_goes_on() -> None:
    told: list[tuple[str, ...]] = []
    node = SimpleNamespace(trouble=lambda *words: told.append(words), key=bytes(32))
    run: Any = SimpleNamespace(node=node, config=filled())
    assert Run._driver(run, "lan", "radios.session_driver:SessionDriver", {}, bytes(32)) is None
    assert told[0][:2] == ("lan", "missing") and "is no driver" in told[0][2]
