"""Settings: what is taken, and for every file of tests/data/config-bad what is said about it."""

from __future__ import annotations

import base64
import pathlib

import pytest

from edge import config
from edge.errors import ConfigError
from edge.settings import Config
from tests.conftest import ROOT

BAD = pathlib.Path(ROOT, "tests", "data", "config-bad")
KEY = bytes(range(32))


def load(folder: pathlib.Path, content: bytes | str, *overrides: str) -> tuple[Config, list[ConfigError]]:
    path = folder / config.FILE_NAME
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return config.load(str(folder), overrides)


def good(folder: pathlib.Path, content: bytes | str, *overrides: str) -> config.Config:
    found, problems = load(folder, content, *overrides)
    assert not problems, [str(one) for one in problems]
    return found


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda path: path.stem)
def test_bad_file_is_refused_with_its_place(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    raw = path.read_bytes()
    found, problems = load(tmp_path, raw)
    said = [str(one).removeprefix(str(tmp_path / config.FILE_NAME)).lstrip(": ") for one in problems]
    wanted = [line[4:] for line in raw.decode(errors="replace").splitlines() if line.startswith("# ! ")]
    assert wanted and len(said) == len(wanted), said
    for have, want in zip(said, wanted, strict=True):
        place, _, text = want.partition(" ")
        if place[0].isdigit():
            assert have.startswith(place.rstrip(":") + ":"), said
        else:
            text = want
        assert text in have, said
    assert "hunter2" not in repr(said) + repr([one.to_dict() for one in problems])
    for name in ("web.port", "lan.port", "store.quota_mb", "log.level"):
        assert found[name] in (config.BY_NAME[name].default, 1)  # safe defaults, and what was right is kept
    if "community" in path.stem:
        assert found["lan.enabled"] is False


def test_no_file_is_all_defaults(tmp_path: pathlib.Path) -> None:
    found, problems = config.load(str(tmp_path))
    assert not problems
    assert found["web.port"] == 8080 and found["lan.port"] == 7373 and found["lan.enabled"] is True
    assert found.community_key() is None
    assert found.section("web") == {"enabled": True, "port": 8080, "host": "", "phone_page": ""}


def test_what_is_right_beside_a_mistake_is_kept(tmp_path: pathlib.Path) -> None:
    found, problems = load(tmp_path, "[web]\nport = 81\nprot = 3\n[lan]\nport = 0\n")
    assert len(problems) == 1
    assert found["web.port"] == 81 and found["lan.port"] == 0


TEXT = '# Küche\n[web]\nport = 81\n[node]\nname = "Küche"\n'


@pytest.mark.parametrize("raw", [
    TEXT.encode(), TEXT.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(),
    TEXT.encode("utf-16"), b"\xfe\xff" + TEXT.replace("\n", "\r\n").encode("utf-16-be"),
    TEXT.replace("\n", "\r").encode(),
], ids=["utf-8", "crlf", "bom", "utf-16", "utf-16-be", "cr"])
def test_editors_of_all_kinds(tmp_path: pathlib.Path, raw: bytes) -> None:
    found = good(tmp_path, raw)
    assert found["web.port"] == 81 and found["node.name"] == "Küche"


def test_place_counts_behind_a_mark_and_crlf(tmp_path: pathlib.Path) -> None:
    _, problems = load(tmp_path, b"\xef\xbb\xbf[web]\r\n\r\n  prot = 1\r\n")
    assert str(problems[0]).startswith(f"{tmp_path}/waypost.toml:3:3: web.prot is")


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode()])
def test_community_key_forms(tmp_path: pathlib.Path, text: str) -> None:
    assert good(tmp_path, f'[community]\nkey = "{text}"\n').community_key() == KEY


def test_community_key_is_not_shown(tmp_path: pathlib.Path) -> None:
    found = good(tmp_path, f'[community]\nkey = "{KEY.hex()}"\n')
    assert KEY.hex() not in repr(config.redacted(found)) and config.redacted(found)["community.key"] == "(set)"
    assert KEY.hex() not in repr(found)


def test_lists_from_the_file(tmp_path: pathlib.Path) -> None:
    key = "AB" * 32
    text = f'[lan]\npeers = ["a", "b:1", "[::1]:2", "fe80::1"]\n[trust]\nanchors = ["{key}"]\n'
    found = good(tmp_path, text)
    assert found["lan.peers"] == ["a", "b:1", "[::1]:2", "fe80::1"]
    assert found["trust.anchors"] == [key.lower()]


@pytest.mark.parametrize(("text", "name", "value"), [
    ("web.port=0", "web.port", 0),
    (" web.port = 81 ", "web.port", 81),
    ("web.enabled=False", "web.enabled", False),
    ("lan.peers=", "lan.peers", []),
    ("lan.peers=[]", "lan.peers", []),
    ("lan.peers=a:1, [::1]:2", "lan.peers", ["a:1", "[::1]:2"]),
    ('lan.peers=["a:1", "b"]', "lan.peers", ["a:1", "b"]),
    ("node.name=A=B", "node.name", "A=B"),
    ("lan.interfaces=eth0", "lan.interfaces", ["eth0"]),
])
def test_override(tmp_path: pathlib.Path, text: str, name: str, value: object) -> None:
    assert good(tmp_path, "", text)[name] == value


@pytest.mark.parametrize(("text", "said"), [
    ("web.port", "is not KEY=VALUE"), ("=1", "is not KEY=VALUE"), ("web.prot=1", "did you mean web.port"),
    ("web.port=99999", "0..65535"), ("web.port=1e3", "0..65535"), ("web.enabled=1", "true or false"),
    ("community.key=hunter2", "32 bytes"), ("port=1", "did you mean web.port or lan.port"),
])
def test_wrong_override_is_refused(tmp_path: pathlib.Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(str(tmp_path), [text])
    assert said in str(caught.value) and "--set" in str(caught.value) and "hunter2" not in str(caught.value)


def test_override_beats_the_file(tmp_path: pathlib.Path) -> None:
    assert good(tmp_path, "[web]\nport = 81\n", "web.port=82", "web.port=83")["web.port"] == 83


def test_a_file_that_cant_be_read_closes_the_lan(tmp_path: pathlib.Path) -> None:
    (tmp_path / config.FILE_NAME).mkdir()
    found, problems = config.load(str(tmp_path))
    assert "can't be read" in str(problems[0]) and found["lan.enabled"] is False


def test_a_huge_file_is_refused(tmp_path: pathlib.Path) -> None:
    _, problems = load(tmp_path, b"#" * 300000)
    assert "too long" in str(problems[0])


def test_every_key_has_help_and_a_default_that_is_allowed() -> None:
    for key in config.KEYS:
        default = list(key.default) if isinstance(key.default, tuple) else key.default
        assert config.check(key, default, key.name) == default
        assert key.help and not key.help.endswith(".")
    assert len({key.name for key in config.KEYS}) == len(config.KEYS)
