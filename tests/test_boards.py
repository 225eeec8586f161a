"""Board files: the ones we ship load and name drivers that exist; a wrong one is refused with its place."""

from __future__ import annotations

import importlib
import pathlib

import pytest

from boards import loader
from edge.config import Config
from edge.errors import ConfigError

LINK = '[[link]]\nname = "lan"\ndriver = "radios.lan.driver:LanDriver"\nconfig = "lan"\n'


def load(folder: pathlib.Path, text: str) -> loader.Board:
    (folder / "one").mkdir()
    (folder / "one" / "board.toml").write_text(text)
    return loader.load("one", str(folder))


@pytest.mark.parametrize("name", loader.names())
def test_shipped_boards(name: str) -> None:
    board = loader.load(name)
    assert board.summary and board.links
    for link in board.links:
        module, _, class_name = link.driver.partition(":")
        driver = getattr(importlib.import_module(module), class_name)
        assert all(callable(getattr(driver, verb)) for verb in ("start", "stop", "send", "pause", "status"))
        assert Config().section(link.config)
        assert not link.switch or link.switch in Config().values


def test_generic_is_the_default_and_has_the_lan_only() -> None:
    config = Config()
    links = [link.name for link in loader.load(config["node.board"]).links if link.enabled(config.values)]
    assert links == ["lan"]
    assert [link.name for link in loader.load("generic").links if link.enabled(Config({"lan.udp": True}).values)] == [
        "lan", "udp"]
    off = Config({"lan.udp": True, "lan.enabled": False})
    assert not any(link.enabled(off.values) for link in loader.load("generic").links)


@pytest.mark.parametrize(("text", "said"), [
    ('summery = "x"\n' + LINK, "board.toml:1:1: summery is no key of a board file; allowed: summary, arch"),
    ('summary = "x"\n' + LINK + 'speed = 3\n', "board.toml:6:1: link.speed is no key"),
    ('summary = "x"\n', "link is missing"),
    (LINK, "summary is missing"),
    ('summary = 3\n' + LINK, "board.toml:1:1: summary must be text"),
    ('summary = ""\n' + LINK, "summary must not be empty"),
    ('summary = "x"\n[[link]]\nname = "lan"\nconfig = "lan"\n', "link.driver is missing"),
    ('summary = "x"\n[[link]]\nname = "lan"\ndriver = "os.system"\nconfig = "lan"\n', '"package.module:Class"'),
    ('summary = "x"\n' + LINK + LINK, 'two links are called "lan"'),
    ('summary = "x"\narch = [1]\n' + LINK, "arch must hold machine names only"),
    ('summary = "x"\nram_mb_min = true\n' + LINK, "ram_mb_min must be a whole number"),
    ('summary = "x"\nlink = [1]\n', "link must be a table"),
    ('summary = x\n', "board.toml:1:11: Invalid value"),
])
def test_a_wrong_board_is_refused(tmp_path: pathlib.Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)


def test_a_right_board(tmp_path: pathlib.Path) -> None:
    board = load(tmp_path, 'summary = "x"\narch = ["aarch64"]\nram_mb_min = 512\n' + LINK)
    assert (board.name, board.arch, board.ram_mb_min, board.links[0].name) == ("one", ["aarch64"], 512, "lan")


def test_an_unknown_board_says_which_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        loader.load("generik")
    assert "did you mean generic" in str(caught.value)
    with pytest.raises(ConfigError):
        loader.load("../boards/generic")
