"""First boot from one file: any encoding, any line end, any mistake; what is wrong is said in words."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import Any

import pytest

from edge import config
from tests.box.test_slots import Folder
from tests.conftest import ROOT
from tools.box import checks, configure, network

GOOD = '[node]\nname = "Bücherei Süd"\ntime_zone = "Europe/Berlin"\n\n[net]\nwifi = "ap"\ncountry = "DE"\n'


@pytest.fixture
def node(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(configure, "USER", os.getuid())
    folder = tmp_path / "node"
    folder.mkdir()
    return folder


def taken(node: pathlib.Path, raw: bytes) -> tuple[list[str], config.Config, list[str]]:
    used, problems = configure.take_over(raw, str(node))
    assert used == configure.read(str(node)), "what this start uses is what the node reads"
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


@pytest.mark.parametrize("raw", [b"", b" \r\n\t\n", bytes(512), b"\xef\xbb\xbf", b"\xff\xfe", "\n".encode("utf-16-le")])
def test_an_empty_or_missing_file_leaves_the_last_settings(node: pathlib.Path, raw: bytes) -> None:
    assert taken(node, raw)[0] == [], "at the first start it is as good as any"
    taken(node, GOOD.encode())
    problems, settings, _ = taken(node, raw)
    assert settings["node.name"] == "Bücherei Süd"
    assert len(problems) == 1 and ("missing or empty" in problems[0] or raw[:1] == b"\0")
    assert "the settings of the last start are used" in problems[0]


def test_of_two_broken_files_the_newer_is_told_alone(box: pathlib.Path) -> None:
    assert "waypost.toml:2:8" in started(box, b"[node]\nname = x\n")[0]
    errors, _ = started(box, b"[node]\n\n\nname = x\n")
    assert "waypost.toml:4:8" in errors and ":2:8" not in errors and "last start" not in errors


def test_comments_alone_take_all_settings_back(node: pathlib.Path) -> None:
    taken(node, GOOD.encode())
    problems, settings, found = taken(node, b"# nothing\r\n")
    assert not problems and not found and settings["node.name"] == ""


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
    configure.set_up(values, "Town Hall", str(tmp_path))
    assert (tmp_path / "etc/hostname").read_text() == "town-hall\n"
    assert os.readlink(tmp_path / "etc/localtime") == "/usr/share/zoneinfo/Europe/Berlin"
    assert (tmp_path / "run/waypost/wifi-wlan0.conf").stat().st_mode & 0o777 == 0o600
    configure.set_up(values, "Town Hall", str(tmp_path))  # again, at the next start
    assert os.readlink(tmp_path / "etc/localtime") == "/usr/share/zoneinfo/Europe/Berlin"


@pytest.mark.parametrize("zone", ["Europe/Berlyn", "../../../etc/passwd", "/etc/passwd"])
def test_a_wrong_time_zone_is_told(tmp_path: pathlib.Path, zone: str) -> None:
    (tmp_path / "usr/share/zoneinfo").mkdir(parents=True)
    configure.set_up(config.filled({"node.time_zone": zone}).values, "x", str(tmp_path))
    assert not (tmp_path / "etc/localtime").exists()
    problems = checks.problems(f'[node]\ntime_zone = "{zone}"\n'.encode(), root=str(tmp_path))
    assert len(problems) == 1 and problems[0].startswith(f'waypost.toml:2:1: node.time_zone can\'t be "{zone}"')


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


@pytest.fixture
def box(tmp_path: pathlib.Path, node: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A box whose card is tmp_path/card, whose root is tmp_path/root and whose node's directory is `node`."""
    card, root = tmp_path / "card", tmp_path / "root"
    card.mkdir()
    (root / "etc").mkdir(parents=True)
    monkeypatch.setattr(configure, "NODE", str(node))
    monkeypatch.setattr(configure.bootfs, "mounted", lambda writable: Folder(card))
    monkeypatch.setattr(configure.bootfs, "facts", dict)
    monkeypatch.setattr(configure.database, "put_back", lambda node: "")
    monkeypatch.setattr(configure.socket, "sethostname", lambda name: None)
    real = configure.set_up
    monkeypatch.setattr(configure, "set_up", lambda settings, name, _: real(settings, name, str(root)))
    return tmp_path


def started(box: pathlib.Path, raw: bytes | None) -> tuple[str, str]:
    """(the errors on the card, the host name) after a start with this file, or with none."""
    path = box / "card/waypost.toml"
    path.unlink(missing_ok=True)
    if raw is not None:
        path.write_bytes(raw)
    assert configure.main() == 0
    errors = box / "card" / configure.ERRORS
    return errors.read_text() if errors.exists() else "", (box / "root/etc/hostname").read_text().strip()


@pytest.mark.parametrize("raw", [
    b"[web]\nport = " + b"1" * 5000, b".".join([b"a"] * 3000) + b" = 1", b".".join([b"a"] * 20000) + b" = 1",
    b"", None, "[node]\nname = “x”".encode(),
], ids=["number", "parts", "more-parts", "empty", "missing", "quotes"])
def test_a_file_that_cant_be_used_leaves_the_box_as_it_was(box: pathlib.Path, raw: bytes | None) -> None:
    assert started(box, GOOD.encode()) == ("", "buecherei-sued")
    errors, host = started(box, raw)
    assert host == "buecherei-sued" and "settings of the last start are used" in errors
    assert (box / "root/run/waypost/wifi-wlan0.conf").exists()
    assert started(box, GOOD.encode())[0] == "", "mended"


def test_what_the_box_refuses_stands_in_the_errors_file(box: pathlib.Path) -> None:
    errors, _ = started(box, b'[lora]\nenabled = true\nregion = "EU999"\n[net]\nwifi = "client"\ncountry = "ZZ"\n')
    assert "waypost.toml:3:1: lora.region can't be" in errors and "waypost.toml:6:1: net.country can't be" in errors
    assert "Windows-1252" in started(box, GOOD.encode("cp1252"))[0]


@pytest.mark.parametrize("broken", ["take_over", "set_up", "host_name"])
def test_a_fault_of_ours_is_told_and_the_box_starts(box: pathlib.Path, broken: str,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    started(box, GOOD.encode())

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(configure, broken, fails)
    errors, host = started(box, GOOD.encode())
    assert "ZeroDivisionError; please report it" in errors and host == "buecherei-sued"


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new file can be written any more, as on a full disk."""
    real = os.open

    def opens(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(".new"):
            os.close(real(path, flags, mode))
            raise OSError(errno.ENOSPC, "No space left on device", path)
        return real(path, flags, mode)

    monkeypatch.setattr(configure.os, "open", opens)


def test_a_full_disk_takes_what_needs_no_more_room(box: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(box, GOOD.encode())
    full(monkeypatch)
    assert started(box, b'[node]\nname = "x"\n') == ("", "x")
    assert os.listdir(box / "node") == ["waypost.toml"]
    assert (box / "node/waypost.toml").read_bytes() == b'[node]\nname = "x"\n'


def test_a_full_disk_is_told_and_the_settings_are_used_all_the_same(box: pathlib.Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    started(box, GOOD.encode())
    full(monkeypatch)
    errors, host = started(box, b'[node]\nname = "x"\n' + b"# more\n" * 1000)
    assert host == "x" and "can't be read" not in errors
    assert f"{box}/node/waypost.toml can't be written (No space left on device)" in errors
    assert os.listdir(box / "node") == ["waypost.toml"] and (box / "node/waypost.toml").read_bytes() == GOOD.encode()


@pytest.mark.parametrize("country", ["ZZ", "UK", "XX"])
def test_no_country_no_wifi(country: str) -> None:
    found, problems = network.files(config.filled({"net.wifi": "ap", "net.country": country}).values, "x")
    assert len(problems) == 1 and "is no country" in problems[0] and not [one for one in found if "wifi" in one]
