"""The identity file: made once and whole, refused whenever it can't be trusted, never overwritten, never shown."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from edge import keys
from edge.errors import KeyFileError
from tests.cli.kit import cli


def test_made_at_first_boot_and_kept(tmp_path: pathlib.Path) -> None:
    seed, made = keys.load_or_create(str(tmp_path))
    assert made and len(seed) == 32
    again, made = keys.load_or_create(str(tmp_path))
    assert (again, made) == (seed, False)
    path = tmp_path / "identity.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == seed.hex() + "\n"
    assert [one.name for one in tmp_path.iterdir()] == ["identity.key"]


def test_mode_is_right_whatever_the_umask(tmp_path: pathlib.Path) -> None:
    mask = os.umask(0)
    try:
        keys.load_or_create(str(tmp_path))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) == 0o600


def test_a_boot_that_was_cut_short_leaves_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "identity.key.new").write_text("half of a ke")
    seed, made = keys.load_or_create(str(tmp_path))
    assert made and keys.load(str(tmp_path)) == seed
    assert not (tmp_path / "identity.key.new").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_readable_by_others(tmp_path: pathlib.Path, mode: int) -> None:
    seed, _ = keys.load_or_create(str(tmp_path))
    path = tmp_path / "identity.key"
    path.chmod(mode)
    with pytest.raises(KeyFileError) as caught:
        keys.load_or_create(str(tmp_path))
    assert f"chmod 600 {path}" in str(caught.value) and seed.hex() not in str(caught.value)


@pytest.mark.parametrize(("content", "said"), [
    (b"", "holds 0 characters"), (b"ab" * 31, "holds 62 characters"), (b"ab" * 33, "holds 66 characters"),
    (b"xy" * 32, "something else than hex"), (b"\xff" * 64, "something else than hex"), (b"ab" * 4096, "characters"),
])
def test_wrong_content_is_refused_and_left_alone(tmp_path: pathlib.Path, content: bytes, said: str) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        keys.load_or_create(str(tmp_path))
    assert said in str(caught.value)
    assert path.read_bytes() == content


def test_other_ends_of_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(b"AB" * 32 + b"\r\n")
    path.chmod(0o600)
    assert keys.load(str(tmp_path)) == b"\xab" * 32


def test_not_a_plain_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").write_text("ab" * 32)
    (tmp_path / "identity.key").symlink_to("other")
    with pytest.raises(KeyFileError):
        keys.load_or_create(str(tmp_path))
    (tmp_path / "identity.key").unlink()
    os.mkfifo(tmp_path / "identity.key", 0o600)  # must not hang
    with pytest.raises(KeyFileError) as caught:
        keys.load_or_create(str(tmp_path))
    assert "not a plain file" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, _ = keys.load_or_create(str(tmp_path))
    os.chown(tmp_path / "identity.key", 12345, 12345)
    assert keys.load(str(tmp_path)) == seed, "root may: it is the console of a box whose node has a user of its own"
    monkeypatch.setattr(keys.os, "geteuid", lambda: 54321)
    with pytest.raises(KeyFileError) as caught:
        keys.load(str(tmp_path))
    assert "belongs to user 12345" in str(caught.value)


def test_full_or_missing_disk_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        keys.load_or_create(str(tmp_path / "nowhere"))
    assert "can't be made" in str(caught.value)


def test_keys_command_shows_no_secret(tmp_path: pathlib.Path) -> None:
    seed, _ = keys.load_or_create(str(tmp_path))
    for words in ((), ("--json",)):
        code, out, err = cli("--dir", tmp_path, *words, "keys")
        assert code == 0 and seed.hex() not in out + err and seed.hex()[:12] not in out + err
    code, out, err = cli("--dir", tmp_path / "none", "keys")
    assert code == 1 and "no identity yet" in err


def test_new_community_key_is_one(tmp_path: pathlib.Path) -> None:
    from edge import config

    code, out, _ = cli("keys", "--new-community-key")
    (tmp_path / "waypost.toml").write_text(out)
    found, problems = config.load(str(tmp_path))
    assert code == 0 and not problems and len(found.community_key() or b"") == 32


def test_fingerprint() -> None:
    assert keys.fingerprint(bytes(32)) == "6668 7aad f862 bd77 6c8f c18b 8e9f 8e20"
