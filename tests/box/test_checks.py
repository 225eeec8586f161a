"""Every mistake in a settings file is said, with its place, before the card is in the box and in the box."""

from __future__ import annotations

import pathlib
import random

import pytest

from tests.conftest import ROOT
from tools.box import checks


@pytest.fixture
def root(tmp_path: pathlib.Path) -> str:
    (tmp_path / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Europe/Berlin").write_bytes(b"TZif")
    (tmp_path / "usr/share/zoneinfo/leapseconds").write_bytes(b"# no zone")
    return str(tmp_path)


@pytest.mark.parametrize(("text", "wanted"), [
    ('[lora]\nenabled = true\nregion = "EU999"', ['w:3:1: lora.region can\'t be "EU999": no law is known for it']),
    ('[node]\ntime_zone = "leapseconds"', ["w:2:1: node.time_zone can't be"]),
    ('[node]\ntime_zone = "Europe/Atlantis"', ['w:2:1: node.time_zone can\'t be "Europe/Atlantis"']),
    ('[node]\nboard = "pi-9"', ['w:2:1: node.board can\'t be "pi-9"; allowed: auto, generic']),
    ('[net]\nwifi = "client"\nssid = "x"', ["w:2:1: net.country is missing"]),
    ('[net]\nwifi = "client"\ncountry = "DE"', ["w:2:1: net.ssid is missing"]),
    ('[net]\nwifi = "ap"\ncountry = "12"', ['w:3:1: net.country can\'t be "12"; allowed: two letters, such as "DE"',
                                            "w:3:1: net.country is missing"]),
    ('[net]\nwifi = "off"\ncountry = "DEU"', ['net.country can\'t be "DEU"; allowed: two letters, such as "DE"']),
    ('[net]\ncountry = "ZZ"\nwifi = "ap"', ['w:2:1: net.country can\'t be "ZZ", which is no country']),
    ('[net]\ncountry = "UK"\nwifi = "ap"', ['such as "GB"']),
    ('[web]\nport = "80"\nenabled = "yes"\n[node]\nnme = "x"\n[net]\nwifi = true',
     ["w:2:1: web.port", "w:3:1: web.enabled", "w:5:1: node.nme", "w:7:1: net.wifi"]),
    ("[web]\nport = " + "1" * 5000, ["w:2:8: holds a number that is too long"]),
    (".".join("a" * 20000) + " = 1", ["w:1:1: holds a name of too many parts; allowed: at most 8"]),
    ("[x]\n" + "a" * 2000 + " = 1", ["w:2:1: holds a name that is too long"]),
    ("[x]\na = " + "[" * 2000, ["w:2:13: is nested too deep"]),
    ('[node]\nname = "', ["w:2"]),
])
def test_every_mistake_is_said(text: str, wanted: list[str], root: str) -> None:
    said = checks.problems(text.encode(), "w", root)
    assert len(said) == len(wanted), said
    for have, want in zip(said, wanted, strict=True):
        assert want in have and have.startswith("w:")


@pytest.mark.parametrize("text", [
    '[net]\nwifi = "both"\ncountry = "de"\nssid = "x"\n[node]\ntime_zone = "Europe/Berlin"\nboard = "pi-4"\n',
    '[lora]\nregion = "EU_868"\n', '[lora]\nregion = "us915"\n', '[lora]\nregion = "PH_915"\n',
    "", "# nothing\n", '[lan]\npeers = ["a.b.c.d.e.f.g.h.i.j:1"] # a.b.c.d.e.f.g.h.i.j\n',
])
def test_what_is_right_is_not_complained_of(text: str, root: str) -> None:
    assert checks.problems(text.encode(), root=root) == []


def test_a_machine_without_a_list_of_zones_lets_one_pass(tmp_path: pathlib.Path) -> None:
    assert checks.problems(b'[node]\ntime_zone = "Europe/Berlin"\n', root=str(tmp_path)) == []
    assert len(checks.problems(b'[node]\ntime_zone = "../x"\n', root=str(tmp_path))) == 1


def test_notes_are_no_mistakes(root: str) -> None:
    raw = '[node]\nname = "Bücherei"\n'.encode("cp1252")
    assert checks.problems(raw, root=root) == []
    assert checks.notes(raw, "w") == ["w: is neither UTF-8 nor UTF-16 text and was taken for Windows-1252 "
                                      "(look whether letters such as ä are right, or save the file as UTF-8)"]
    assert checks.notes(b"[node]\n") == [] and "keeps them" in checks.notes(b" \r\n")[0]


def test_nothing_that_a_file_holds_ends_in_a_traceback(root: str) -> None:
    card = pathlib.Path(ROOT, "images/pi/waypost.toml").read_bytes().replace(b"\n# ", b"\n")
    chance = random.Random(7)
    pieces = [b"[", b"]", b"{", b"}", b'"', b"'", b"=", b".", b",", b"\n", b"\0", b"\xff", b"0" * 5000, b"9" * 5000,
              b"#", b'"""', b"\\u", b"1979-05-27", b"a.a.a.a.a.a.a.a", b"inf", b"[[console]]\n", b"pin", "“".encode()]
    for _ in range(300):
        raw = bytearray(card)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(raw))
            raw[at:at + chance.randrange(4)] = chance.choice(pieces)
        checks.notes(bytes(raw))
        assert all(isinstance(one, str) and len(one) < 2000 for one in checks.problems(bytes(raw), root=root))
