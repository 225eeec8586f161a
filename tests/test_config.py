"""Settings: what is taken, and for every file of tests/data/config-bad what is said about it."""

from __future__ import annotations

import base64
import pathlib
import tracemalloc

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
    ("web.port=99999", "0..65535"), ("web.port=" + "1" * 5000, "0..65535"), ("web.port=--1", "0..65535"),
    ("web.port=1e3", "0..65535"), ("web.enabled=1", "true or false"),
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


@pytest.mark.parametrize("raw", [
    TEXT.encode("utf-16-le"), ("# 图书馆的设置\n" * 40 + TEXT).encode("utf-16-be"), TEXT.encode("utf-32"),
    b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be"),
], ids=["utf-16-le without mark", "utf-16-be without mark", "utf-32", "utf-32-be"])
def test_encodings_that_few_editors_write(tmp_path: pathlib.Path, raw: bytes) -> None:
    found = good(tmp_path, raw)
    assert found["web.port"] == 81 and found["node.name"] == "Küche"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_windows_1252_is_read_and_told(tmp_path: pathlib.Path, end: str) -> None:
    found, problems = load(tmp_path, TEXT.replace("\n", end).encode("cp1252"))
    assert found["web.port"] == 81 and found["node.name"] == "Küche"
    assert [one.message for one in problems] == ["is neither UTF-8 nor UTF-16 text and was taken for Windows-1252"]


@pytest.mark.parametrize(("line", "column", "letter"), [
    ("name = “Library”", 8, "“"), ("name = „Bücherei“", 8, "„"), ("name = ”Library”", 8, "”"),
    ("“name” = 'x'", 1, "“"), ("name = «Library»", 8, "«"), ('name = "Library”', 16, "”"),
    ('name = "Library” # x', 16, "”"), ("name = ‘x’", 8, "‘"),
])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_curly_quote_is_named(tmp_path: pathlib.Path, line: str, column: int, letter: str, encoding: str) -> None:
    for text in (f"[node]\n{line}\n", f"[node]\n{line}"):
        _, problems = load(tmp_path, text.encode(encoding))
        assert str(problems[0]).startswith(f"{tmp_path}/waypost.toml:2:{column}: {letter} is a curly quote")
        assert 'straight quotes: "text"' in str(problems[0])


def test_curly_quotes_within_a_text_are_right(tmp_path: pathlib.Path) -> None:
    assert good(tmp_path, '[node]\nname = "Tom’s “Place”" # ”\n')["node.name"] == "Tom’s “Place”"


@pytest.mark.parametrize(("line", "said"), [
    ("pin = 0123", "a number can't begin with 0"), ("a\u00a0= 1", "2:2: an invisible character stands here (U+00A0)"),
    ("a = 1\nb = 2\na = 3", "4:6: this setting or heading stands twice"), ("\x1a", "2:1: an invisible character"),
    ('password = "a\\w c"', "write \\\\ for a \\"),
])
def test_what_people_stumble_over_is_explained(tmp_path: pathlib.Path, line: str, said: str) -> None:
    assert said in str(load(tmp_path, f"[x]\n{line}\n")[1][0])


@pytest.mark.parametrize(("country", "value"), [("de", "DE"), ("", ""), ("DEU", ""), ("D", ""), ("éé", "")])
def test_a_country_is_two_letters(tmp_path: pathlib.Path, country: str, value: str) -> None:
    found, problems = load(tmp_path, f'[net]\ncountry = "{country}"\n')
    assert found["net.country"] == value and bool(problems) == (value != country.upper())
    assert all('two letters, such as "DE"' in str(one) for one in problems)


@pytest.mark.parametrize("text", [
    f'[comunity]\nkey = "{KEY.hex()}"\n', f'[Community]\nkey = "{KEY.hex()}"\n', f'[COMMUNITY]\nkey = "{KEY.hex()}"\n',
    f'key = "{KEY.hex()}"\n', f'[[community]]\nkey = "{KEY.hex()}"\n', f'[node]\ncommunity.key = "{KEY.hex()}"\n',
    f'[secrets]\nours = "{base64.b64encode(KEY).decode()}"\n', f'[gemeinschaft]\nschluessel = "{KEY.hex()}"\n',
    "[communiti]\nstewards = []\n", f'[comunity]\nkey = {KEY.hex()}\n', 'Community.Key = "abc"\n',
])
def test_a_community_key_that_is_not_where_it_should_be_closes_the_links(tmp_path: pathlib.Path, text: str) -> None:
    on = "[lora]\nenabled = true\n[ble]\nenabled = true\n" if text.startswith("[") else ""
    found, problems = load(tmp_path, on + text)
    assert not (found["lan.enabled"] or found["lora.enabled"] or found["ble.enabled"])
    assert "every link is off" in str(problems[-1]) and KEY.hex() not in repr(problems)


@pytest.mark.parametrize("text", [
    '[node]\nnme = "x"\n', 'name = "Library"\n', "[trsut]\nanchors = []\n", "[web]\nprot = 3\n",
])
def test_other_mistakes_leave_the_links_on(tmp_path: pathlib.Path, text: str) -> None:
    found, problems = load(tmp_path, text)
    assert problems and found["lan.enabled"] is True and found["console.pin"] == ""


@pytest.mark.parametrize(("value", "pin"), [
    ("1234", "1234"), ("0", "0"), ('"  0123 "', "0123"), ("'a b'", "a b"), ('""', ""), ('"Küche"', "Küche"),
])
def test_a_pin_is_what_can_be_typed(tmp_path: pathlib.Path, value: str, pin: str) -> None:
    found = good(tmp_path, f"[console]\npin = {value}\n")
    assert found["console.pin"] == pin
    assert config.redacted(found)["console.pin"] == ("(set)" if pin else "")


@pytest.mark.parametrize("text", [
    "[console]\npin = true\n", "[console]\npin = -1\n", "[console]\npin = 1.5\n", "[console]\npin = 2024-01-01\n",
    '[console]\npin = ["1"]\n', '[console]\npin = "   "\n', '[console]\npin = "1\\t2"\n', '[console.pin]\nx = "1"\n',
    f"[console]\npin = '{'1' * 33}'\n", f"[console]\npin = {'1' * 33}\n", '[console]\nPIN = "1"\n',
    '[Console]\npin = "1"\n',
    '[consol]\npin = "1"\n', 'pin = "1"\n', "console = 1234\n", '[[console]]\npin = "1"\n', '[console]\npinn = "1"\n',
    "[console]\npin = 0123\n", "[console]\npin = “1234”\n", '[node]\nname = x\n[console]\npin = "1"\n',
    '[console]\npin = "1"\npin = "2"\n',
])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_pin_that_is_wrong_locks_the_console(tmp_path: pathlib.Path, text: str, encoding: str) -> None:
    found, problems = load(tmp_path, text.encode(encoding))
    assert found["console.pin"] == config.LOCKED and "\0" not in repr(problems)
    assert "the console is locked until its PIN can be read" in repr([str(one) for one in problems])


def test_a_broken_file_that_has_no_pin_leaves_the_console_open(tmp_path: pathlib.Path) -> None:
    found, _ = load(tmp_path, '[node]\nname = x\n[console]\n# pin = "2468"\n')
    assert found["console.pin"] == ""
    found, problems = load(tmp_path, '[console]\npin = "2468"\npinn = "1"\n')
    assert problems and found["console.pin"] == "2468"


@pytest.mark.parametrize("raw", [
    b"[web]\nport = " + b"1" * 5000, b"[web]\nport = 0x" + b"f" * 200000, b".".join([b"a"] * 3000) + b" = 1",
    b".".join([b"a"] * 20000) + b" = 1", b"[" + b".".join([b"a"] * 20000) + b"]\nb = 1",
    b"a = " + b"{a.a.a.a = " * 2000, b"a = " + b"[" * 100000,
    b"[" + b"a" * 130000 + b"]\n" + b"".join(b"%x = 1\n" % one for one in range(16000)),
    b"".join(b"%x = 1\n" % one for one in range(24000)), b'"""\\' * 60000, b"[a]" * 80000, b"\xff" * 200000,
    b"\n".join(b"a%x.b.c.d.e.f.g.h = 1" % one for one in range(10000)),
], ids=range(13))
def test_a_monstrous_file_is_told_within_bounds(tmp_path: pathlib.Path, raw: bytes) -> None:
    tracemalloc.start()
    try:
        _, problems = load(tmp_path, raw)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 1 <= len(problems) < 60 and all(len(str(one)) < 1000 for one in problems)
    assert peak_bytes < 80 << 20


@pytest.mark.parametrize("value", [
    "'{}'", "{}", "['{}']", "['a:{}']", "['[::1]:{}']", "['access_point={}']", "'{},1'", "0x{}", "[[{}]]", "'https://{}'",
    "1979-05-27", "nan", "{{a = {{b = '{}'}}}}", "' '", "'\\u0000'",
])
def test_no_value_of_any_setting_ends_in_a_traceback(value: str) -> None:
    for key in config.KEYS:
        head, _, name = key.name.partition(".")
        for digits in ("1" * 4000, "9" * 9000):
            shown = value.format(digits)
            _, problems = config.read("w", f"[{head}]\n{name} = {shown}\n".encode())
            assert all(len(str(one)) < 1000 for one in problems)
            try:
                config.parse_override(f"{key.name}={shown}")
            except ConfigError:
                pass
