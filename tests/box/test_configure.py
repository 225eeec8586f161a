"""First boot from one file: any encoding, any line end, any mistake; what is wrong is said in words."""

from __future__ import annotations

import os
import pathlib

import pytest

from edge import config
from tests.box.test_slots import Folder
from tests.conftest import ROOT
from tools.box import configure

GOOD = '[node]\nname = "Bücherei Süd"\ntime_zone = "Europe/Berlin"\n\n[net]\nwifi = "ap"\ncountry = "DE"\n'


@pytest.fixture
def node(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(configure, "USER", os.getuid())
    folder = tmp_path / "node"
    folder.mkdir()
    return folder


def taken(node: pathlib.Path, raw: bytes) -> tuple[list[str], config.Config, list[str]]:
    problems = configure.take_over(raw, str(node))
    settings, found = config.load(str(node))
    return problems, settings, [str(one) for one in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_editor(node: pathlib.Path, encoding: str, end: str) -> None:
    problems, settings, found = taken(node, GOOD.replace("\n", end).encode(encoding))
    assert not problems and not found
    assert settings["node.name"] == "Bücherei Süd" and settings["net.wifi"] == "ap"
    assert (node / "waypost.toml").stat().st_mode & 0o777 == 0o600


def test_the_file_on_the_card_is_right_as_it_is(node: pathlib.Path) -> None:
    raw = pathlib.Path(ROOT, "images/pi/waypost.toml").read_bytes()
    assert taken(node, raw)[0::2] == ([], [])
    lines = raw.decode().splitlines()
    shown = "\n".join(line[2:] if line.startswith("# ") and " = " in line else line for line in lines)
    problems, settings, found = taken(node, shown.encode())
    wrong = [one for one in found if "community.key" not in one and "LAN is off" not in one]
    assert not problems and not wrong, "every line that is to be switched on is right"
    assert settings["lora.region"] == "EU868" and settings["net.ssid"] == "Our Wi-Fi"


def test_a_single_mistake_costs_that_setting_only(node: pathlib.Path) -> None:
    problems, settings, found = taken(node, GOOD.replace('"ap"', '"app"').encode())
    assert not problems and settings["node.name"] == "Bücherei Süd" and settings["net.wifi"] == "off"
    assert 'net.wifi can\'t be "app"' in found[0] and ":6:1:" in found[0]


def test_a_file_that_is_no_toml_leaves_the_last_settings(node: pathlib.Path) -> None:
    taken(node, GOOD.encode())
    problems, settings, found = taken(node, b"[node\nname = ")
    assert settings["node.name"] == "Bücherei Süd" and not found
    assert len(problems) == 1 and "waypost.toml:1" in problems[0] and "settings of the last start" in problems[0]


def test_a_first_file_that_is_no_toml_starts_with_defaults(node: pathlib.Path) -> None:
    problems, settings, found = taken(node, b"\xff\x00\xde\xad" * 10)
    assert not problems and found and settings["net.wifi"] == "off"


def test_an_empty_file_takes_all_settings_back(node: pathlib.Path) -> None:
    taken(node, GOOD.encode())
    assert taken(node, b"")[1]["node.name"] == ""


@pytest.mark.parametrize(("name", "host"), [
    ("Library", "library"), ("Bücherei Süd", "buecherei-sued"), ("  St. Mary's  Hall! ", "st-mary-s-hall"),
    ("图书馆", "waypost"), ("", "waypost"), ("-", "waypost"), ("x" * 200, "x" * 63), ("Café №1", "cafe-no1"),
])
def test_host_names(name: str, host: str) -> None:
    assert configure.host_name(name) == host


def test_what_is_set_up(tmp_path: pathlib.Path) -> None:
    (tmp_path / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Europe/Berlin").write_bytes(b"TZif")
    (tmp_path / "etc").mkdir()
    values = config.filled({"node.time_zone": "Europe/Berlin", "net.wifi": "ap", "net.country": "DE"}).values
    assert configure.set_up(values, "Town Hall", str(tmp_path)) == []
    assert (tmp_path / "etc/hostname").read_text() == "town-hall\n"
    assert os.readlink(tmp_path / "etc/localtime") == "/usr/share/zoneinfo/Europe/Berlin"
    assert (tmp_path / "run/waypost/wifi-wlan0.conf").stat().st_mode & 0o777 == 0o600
    assert configure.set_up(values, "Town Hall", str(tmp_path)) == [], "again, at the next start"


@pytest.mark.parametrize("zone", ["Europe/Berlyn", "../../../etc/passwd", "/etc/passwd"])
def test_a_wrong_time_zone_is_told(tmp_path: pathlib.Path, zone: str) -> None:
    problems = configure.set_up(config.filled({"node.time_zone": zone}).values, "x", str(tmp_path))
    assert len(problems) == 1 and zone in problems[0] and not (tmp_path / "etc/localtime").exists()


def test_what_is_wrong_is_written_beside_the_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def mounted(writable: bool) -> Folder:
        asked.append(writable)
        return Folder(tmp_path)

    monkeypatch.setattr(configure.bootfs, "mounted", mounted)
    path = tmp_path / configure.ERRORS
    configure.tell(["waypost.toml:3:1: nonsense"])
    assert b"waypost.toml:3:1: nonsense\r\n" in path.read_bytes() and asked == [False, True]
    configure.tell(["waypost.toml:3:1: nonsense"])
    assert asked == [False, True, False], "the card is not written for nothing"
    configure.tell([])
    assert not path.exists()
    configure.tell([])
    assert asked == [False, True, False, False, True, False]
