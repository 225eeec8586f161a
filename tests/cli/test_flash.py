"""waypost flash: the card reads back as the image, has the settings on it, and no other disk is ever touched. Whatever
goes wrong: before the first byte, or the card says afterwards that it is half written."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from edge import tomlfile
from images.builder import bundle
from tests.cli.kit import cli, cli_json
from tools.box import card as cards
from tools.box.image import FlashError, Image

MTOOLS = pytest.mark.skipif(not (shutil.which("mcopy") and shutil.which("mkfs.vfat")), reason="mtools is not installed")
START = 2048


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A small card with a boot partition like ours."""
    folder = tmp_path_factory.mktemp("image")
    fat = folder / "fat"
    with open(fat, "wb") as file:
        file.truncate(40 << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", "-n", "WAYPOST", str(fat)], check=True, capture_output=True)
    table = bytearray(512)
    struct.pack_into("<B3xB3xII", table, 446, 0x80, 0x0C, START, (40 << 20) // 512)
    table[510:] = b"\x55\xaa"
    path = folder / "waypost.img"
    with open(path, "wb") as file:
        file.write(table)
        file.seek(START * 512)
        file.write(fat.read_bytes())
        file.write(os.urandom(1 << 20))
    return path


def settings(tmp_path: pathlib.Path, text: str = '[node]\nname = "Library"\n') -> pathlib.Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@MTOOLS
@pytest.mark.parametrize("packed", [False, True])
def test_a_card_is_written_checked_and_set_up(tmp_path: pathlib.Path, image: pathlib.Path, packed: bool) -> None:
    if packed:
        (tmp_path / "w.img.xz").write_bytes(lzma.compress(image.read_bytes(), preset=0))
    card = tmp_path / "card"
    card.touch()
    said = cli_json("flash", card, "--image", tmp_path / "w.img.xz" if packed else image, "--config",
                    settings(tmp_path), "--yes")
    assert said["written"] == image.stat().st_size and said["config"] is True
    shown = subprocess.run(["mcopy", "-n", "-i", f"{card}@@{START * 512}", "::waypost.toml", "-"], capture_output=True,
                           check=True).stdout
    assert shown == b'[node]\nname = "Library"\n'
    assert card.read_bytes()[-1 << 20:] == image.read_bytes()[-1 << 20:]


@MTOOLS
def test_a_card_that_the_imager_wrote_gets_the_settings_alone(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    assert cli_json("flash", card, "--config", settings(tmp_path))["written"] == 0
    assert cli("flash", card, "--config", settings(tmp_path, '[node]\nname = "Other"\n'))[0] == 0
    (tmp_path / "fat").write_bytes(card.read_bytes()[START * 512:][:40 << 20])
    listed = subprocess.run(["mdir", "-b", "-i", tmp_path / "fat", "::"], capture_output=True, check=True).stdout
    assert listed == b"::/waypost.toml\n"
    subprocess.run(["fsck.vfat", "-n", tmp_path / "fat"], check=True, capture_output=True)


def test_a_card_without_our_image_is_told(tmp_path: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(bytes(1 << 20))
    code, _, err = cli("flash", card, "--config", settings(tmp_path))
    assert code == 1 and ("no Waypost image" in err or "mcopy" in err)


def test_a_wrong_setting_is_found_before_anything_is_written(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    path = settings(tmp_path, '[net]\nwifi = "app"\n')
    code, _, err = cli("flash", card, "--image", image, "--config", path, "--yes")
    assert code == 2 and f"{path}:2:1: net.wifi can't be \"app\"" in err
    assert card.read_bytes() == b"precious"


def test_a_lying_card_is_found(tmp_path: pathlib.Path, image: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.touch()
    real = os.read
    monkeypatch.setattr(cards.os, "read", lambda fd, n: bytes(len(real(fd, n))))
    with pytest.raises(FlashError, match="worn out or a fake"):
        cards.write(str(card), Image(str(image)), lambda what, n_bytes: None)


def half_written(card: pathlib.Path, tmp_path: pathlib.Path) -> bool:
    """Whether the card can't be taken for a good one, and says so itself."""
    code, _, err = cli("flash", card, "--config", settings(tmp_path))
    no_table = card.read_bytes()[:1 << 20].rstrip(b"\0") == cards.HALF_WRITTEN
    return no_table and code == 1 and ("it is half written" in err or shutil.which("mcopy") is None)


def test_a_packed_image_that_is_cut_short_leaves_no_card_that_passes_as_good(tmp_path: pathlib.Path,
                                                                             image: pathlib.Path) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    packed = lzma.compress(image.read_bytes(), preset=0)
    (tmp_path / "w.img.xz").write_bytes(packed[:-100_000])
    code, _, err = cli("flash", card, "--image", tmp_path / "w.img.xz", "--yes")
    assert code == 1 and "the image is damaged" in err
    assert f"{card} is half written and will not start until it is written again" in err
    assert half_written(card, tmp_path)


def test_a_whole_archive_of_half_an_image_is_told(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.touch()
    (tmp_path / "w.img.xz").write_bytes(lzma.compress(image.read_bytes()[:30 << 20], preset=0))
    code, _, err = cli("flash", card, "--image", tmp_path / "w.img.xz", "--yes")
    assert code == 1 and "the image is cut short" in err and half_written(card, tmp_path)


@pytest.mark.parametrize("at", [1, 7, -1])
def test_who_interrupts_it_is_told_what_the_card_is_now(tmp_path: pathlib.Path, image: pathlib.Path, at: int,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    calls = {"write": 0, "fsync": 0}

    def interrupted(name: str, count: int) -> None:
        calls[name] += 1
        if calls[name] == count:
            raise KeyboardInterrupt

    if at > 0:
        real = os.write
        monkeypatch.setattr(cards.os, "write", lambda fd, data: (interrupted("write", at), real(fd, data))[1])
    else:  # the table is on the card, but nobody knows yet whether it reads back
        monkeypatch.setattr(cards.os, "fsync", lambda fd: interrupted("fsync", 3))
    code, _, err = cli("flash", card, "--image", image, "--yes")
    monkeypatch.undo()
    assert code == 130 and f"{card} is half written and will not start" in err
    assert half_written(card, tmp_path)


def test_the_partition_table_comes_last(tmp_path: pathlib.Path, image: pathlib.Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    real, table = os.write, image.read_bytes()[:512]
    seen: list[bool] = []

    def write(fd: int, data: memoryview) -> int:
        n_bytes = real(fd, data)
        seen.append(card.read_bytes()[:512] == table)
        return n_bytes

    monkeypatch.setattr(cards.os, "write", write)
    cards.write(str(card), Image(str(image)), lambda what, n_bytes: None)
    assert seen == [False] * (len(seen) - 1) + [True] and card.read_bytes() == image.read_bytes()


def test_a_card_that_takes_no_more_is_named(tmp_path: pathlib.Path, image: pathlib.Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    with monkeypatch.context() as patch:
        patch.setattr(cards, "_room", lambda fd: 30_000_000)
        code, out, err = cli("flash", card, "--image", image)  # nobody is asked for what can't be done
    assert f"{card}: it is too small: it has room for 30.0 MB, and the image takes 43.0 MB" in err
    assert code == 1 and "lost" not in out
    assert card.read_bytes() == b"precious"
    real, n = os.write, iter(range(1000))

    def write(fd: int, data: memoryview) -> int:
        if next(n) == 3:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(cards.os, "write", write)
        code, _, err = cli("flash", card, "--image", image, "--yes")
    assert code == 1 and f"{card}: it has no more room, and the image takes at least 43.0 MB" in err
    assert half_written(card, tmp_path)


def refused(tmp_path: pathlib.Path, image: pathlib.Path, *more: object) -> str:
    """What is said of an image that may not be written; nothing is."""
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    code, out, err = cli("flash", card, "--image", image, "--yes", *more)
    assert code == 1 and "ready" not in out and card.read_bytes() == b"precious"
    return err


def test_what_is_no_image_of_ours_is_refused(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    other = tmp_path / "other.img"
    for data in (b"", b"# Waypost\n" * 1000, bytes(5 << 20), image.read_bytes()[:1024]):
        other.write_bytes(data)
        assert "this is no Waypost image" in refused(tmp_path, other)
    raw = bytearray(image.read_bytes()[:START * 512 + 512])
    raw[START * 512 + 71:START * 512 + 82] = b"bootfs     "
    other.write_bytes(raw)
    assert "this is no Waypost image" in refused(tmp_path, other)
    other.write_bytes(gzip.compress(image.read_bytes()[:4096]))
    assert "packed with gzip" in refused(tmp_path, other) and "it is no file" in refused(tmp_path, tmp_path)
    other.write_bytes(image.read_bytes()[:20 << 20])
    assert "the image is cut short" in refused(tmp_path, other)


def test_the_first_bytes_say_whether_it_is_packed_not_the_name(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    for name, data in (("UP.IMG.XZ", lzma.compress(image.read_bytes(), preset=0)), ("w.xz", image.read_bytes()),
                       ("w.img", lzma.compress(image.read_bytes(), preset=0))):
        (tmp_path / name).write_bytes(data)
        card.write_bytes(b"")
        assert cli_json("flash", card, "--image", tmp_path / name, "--yes")["written"] == image.stat().st_size
        assert card.read_bytes() == image.read_bytes()


def test_a_card_is_no_image_of_itself(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card, other = tmp_path / "card", tmp_path / "other"
    shutil.copy(image, card)
    other.symlink_to(card)
    code, _, err = cli("flash", card, "--image", other, "--yes")
    assert code == 1 and "are the same" in err and card.read_bytes() == image.read_bytes()


class Published:
    """An image with what the builder puts beside it."""

    def __init__(self, folder: pathlib.Path, image: pathlib.Path) -> None:
        folder.mkdir()
        self.path = folder / "waypost-1.img"
        shutil.copy(image, self.path)
        (folder / "seed").write_text("11" * 32)
        self.signer = bundle.Signer(str(folder / "seed"), str(folder))
        (folder / "seed").unlink()
        bundle.write_manifest(str(folder), "1", 1_800_000_000, self.signer)
        self.manifest, self.signature = folder / "manifest.json", folder / "manifest.sig"

    def spoil(self) -> None:
        with open(self.path, "r+b") as file:
            file.seek(-5000, os.SEEK_END)
            file.write(b"?")


def write_it(tmp_path: pathlib.Path, image: pathlib.Path, *more: object) -> tuple[str, dict[str, object]]:
    """(what is printed, the object that --json prints) when it is written."""
    card = tmp_path / "card"
    card.touch()
    code, out, err = cli("flash", card, "--image", image, "--yes", *more)
    assert code == 0, err
    said: dict[str, object] = cli_json("flash", card, "--image", image, "--yes", *more)["image"]
    return out, said


def test_the_manifest_beside_an_image_is_checked(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    made = Published(tmp_path / "made", image)
    key = made.signer.public.hex()
    out, said = write_it(tmp_path, made.path)
    assert f"signed by {key}; whose key that is was not checked" in out
    assert said == {"sha256": hashlib.sha256(image.read_bytes()).hexdigest(), "agrees": ["manifest.json"],
                    "signer": key, "trusted": False}
    (tmp_path / "key").write_text(key + "\n")
    for named in (key, tmp_path / "key"):
        out, said = write_it(tmp_path, made.path, "--key", named)
        assert f"signed by {key}." in out and said["trusted"] is True
    assert "not signed by the key that --key names" in refused(tmp_path, made.path, "--key", "ab" * 32)
    assert "this is no public key" in refused(tmp_path, made.path, "--key", "abc")
    other = made.path.rename(made.path.with_name("renamed.img"))
    assert write_it(tmp_path, other, "--key", key)[1]["agrees"] == ["manifest.json"]
    made.path = other.rename(made.path)
    made.spoil()
    assert "not what manifest.json beside it says" in refused(tmp_path, made.path)
    other = made.path.rename(made.path.with_name("renamed.img"))
    assert "does not list it" in refused(tmp_path, other, "--key", key)


def test_a_key_that_the_machine_trusts_is_known(tmp_path: pathlib.Path, image: pathlib.Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    made = Published(tmp_path / "made", image)
    monkeypatch.setattr("tools.box.install.trusted_keys", lambda more: [made.signer.public])
    assert write_it(tmp_path, made.path)[1]["trusted"] is True


def test_a_manifest_that_was_changed_is_refused(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    made = Published(tmp_path / "made", image)
    made.spoil()
    row = hashlib.sha256(made.path.read_bytes()).hexdigest()
    text = made.manifest.read_text().replace(hashlib.sha256(image.read_bytes()).hexdigest(), row)
    made.manifest.write_text(text)
    assert "is not the signature of this manifest.json" in refused(tmp_path, made.path)
    made.signature.unlink()
    out, said = write_it(tmp_path, made.path)
    assert "who made it was not checked" in out and said["signer"] is None
    assert "are not beside it" in refused(tmp_path, made.path, "--key", made.signer.public.hex())


def test_a_hash_beside_an_image_is_checked(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    path = tmp_path / "w.img"
    shutil.copy(image, path)
    said = hashlib.sha256(image.read_bytes()).hexdigest()
    out, _ = write_it(tmp_path, path)
    assert "no file beside it names its hash" in out and said in out
    (tmp_path / "manifest.json").write_text('{"name": "an extension of a browser"}')
    assert write_it(tmp_path, path)[1]["agrees"] == []
    beside = tmp_path / "w.img.sha256"
    for text in (said, f"{said}  w.img\n", f"{said.upper()} *w.img\r\n", f"{'0' * 64}  other\n{said}  w.img\n"):
        beside.write_bytes(text.encode())
        assert write_it(tmp_path, path)[1]["agrees"] == ["w.img.sha256"]
    for text in ("0" * 64, f"{said}  other\n{'0' * 64}  w.img\n"):
        beside.write_text(text)
        assert "not what w.img.sha256 beside it says" in refused(tmp_path, path)
    beside.write_text("hello\n")
    assert "there is no SHA-256 in it" in refused(tmp_path, path)


def test_an_image_that_changes_while_it_is_written_is_not_taken(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    path, card = tmp_path / "w.img", tmp_path / "card"
    shutil.copy(image, path)
    card.touch()
    one = Image(str(path))
    one.check(None, [], lambda what, n_bytes: None)
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    with pytest.raises(FlashError, match="changed while it was read"):
        cards.write(str(card), one, lambda what, n_bytes: None)
    assert half_written(card, tmp_path)


def test_mtools_are_looked_for_before_anything_is_written(tmp_path: pathlib.Path, image: pathlib.Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt install mtools" in refused(tmp_path, image, "--config", settings(tmp_path))


@MTOOLS
def test_a_full_boot_partition_keeps_its_settings(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card, place = tmp_path / "card", f"{tmp_path}/card@@{START * 512}"
    shutil.copy(image, card)
    assert cli("flash", card, "--config", settings(tmp_path))[0] == 0
    (tmp_path / "photos").write_bytes(bytes(41_200_000))
    subprocess.run(["mcopy", "-i", place, tmp_path / "photos", "::photos"], check=True)
    long = '[node]\nname = "Library"\n' + "# why\n" * 40_000
    code, _, err = cli("flash", card, "--config", settings(tmp_path, long))
    assert code == 1 and "its boot partition is full" in err and "worn" not in err
    listed = subprocess.run(["mdir", "-b", "-i", place, "::"], capture_output=True, check=True, text=True).stdout
    assert sorted(listed.split()) == ["::/photos", "::/waypost.toml"]
    shown = subprocess.run(["mcopy", "-n", "-i", place, "::waypost.toml", "-"], capture_output=True, check=True).stdout
    assert shown == b'[node]\nname = "Library"\n'
    subprocess.run(["mdel", "-i", place, "::photos"], check=True)
    assert cli("flash", card, "--config", settings(tmp_path, long))[0] == 0


@MTOOLS
def test_settings_that_do_not_arrive_after_the_image_are_told(tmp_path: pathlib.Path, image: pathlib.Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.touch()
    monkeypatch.setattr("tools.flash._read_back", lambda device, place, name: b"other")
    code, _, err = cli("flash", card, "--image", image, "--config", settings(tmp_path), "--yes")
    assert code == 1 and "reads back differently" in err and "The image is on the card, these settings are not" in err


def test_every_mistake_that_the_box_would_find_is_said_before_anything_is_written(
        tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    path = settings(tmp_path, '[node]\nnme = "x"\n[net]\nwifi = "client"\n[lora]\nenabled = true\nregion = "EU999"\n')
    words = ("flash", card, "--image", image, "--config", path, "--yes")
    code, _, err = cli(*words)
    lines = err.splitlines()
    assert code == 2 and card.read_bytes() == b"precious"
    assert lines[-1] == f"waypost: {path}: {len(lines) - 1} mistakes; nothing was written" and len(lines) > 3
    for place, said in ((":2:1", "node.nme"), (":4:1", "net.country"), (":7:1", "EU999")):
        assert any(line.startswith(f"waypost: {path}{place}") and said in line for line in lines), err
    code, out, _ = cli("--json", *words)
    assert code == 2 and "net.country" in out and "EU999" in out and "node.nme" in out
    path = settings(tmp_path, '[net]\nwifi = "client"\ncountry = "12"\nssid = "x"\n')
    assert cli("flash", card, "--config", path)[0] == 2


@MTOOLS
def test_a_note_on_the_settings_is_no_refusal(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    shutil.copy(image, card)
    code, out, _ = cli("flash", card, "--config", settings(tmp_path, ""))
    assert code == 0 and "is empty" in out
    assert cli_json("flash", card, "--config", settings(tmp_path, ""))["notes"]


def test_settings_have_an_end(tmp_path: pathlib.Path, image: pathlib.Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    path = settings(tmp_path, "#" * (tomlfile.BYTES_MAX + 1))
    code, _, err = cli("flash", card, "--image", image, "--config", path, "--yes")
    assert code == 2 and f"{path}: it is too long" in err and str(tomlfile.BYTES_MAX) in err
    assert card.read_bytes() == b"precious"


def test_nobody_to_ask_is_no_yes(tmp_path: pathlib.Path, image: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious")
    with open(os.devnull, encoding="ascii") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        code, _, err = cli("flash", card, "--image", image)
    assert code == 1 and "--yes" in err and card.read_bytes() == b"precious"


@MTOOLS
@pytest.mark.parametrize(("device", "said"), [
    ("/dev/nothing-here", "it is not there"), ("/dev/null", "it is no disk"), ("/tmp", "it is no disk"),
])
def test_what_is_no_disk_is_refused(device: str, said: str, tmp_path: pathlib.Path) -> None:
    code, _, err = cli("flash", device, "--config", settings(tmp_path))
    assert code == 1 and said in err


def test_the_disk_of_this_system_is_refused(tmp_path: pathlib.Path) -> None:
    with open("/proc/mounts", encoding="utf-8") as file:
        device = next((line.split()[0] for line in file if line.split()[1] == "/"), "")
    if not device.startswith("/dev/") or not os.path.exists(device):
        pytest.skip("this system's root is on no disk that can be seen")
    with pytest.raises(FlashError, match="it is in use|it is a partition"):
        cards.refuse(device)


def test_a_disk_that_is_in_use_is_refused(tmp_path: pathlib.Path) -> None:
    block = tmp_path / "block"
    for name in ("sdq", "sdq/sdq1", "sdq1", "sdq1/holders"):
        (block / name).mkdir(parents=True, exist_ok=True)
    (block / "sdq/size").write_text("62333952\n")
    (block / "sdq1/partition").write_text("1\n")
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sdq1 /media/card vfat rw 0 0\n")

    def refused(device: str, mounted: str = "/dev/null") -> str:
        with pytest.raises(FlashError) as caught:
            cards.refuse_disk(device, str(block), mounted, os.devnull)
        return str(caught.value)

    assert "/dev/sdq1 is mounted" in refused("/dev/sdq", str(mounts))
    assert "it is a partition" in refused("/dev/sdq1")
    (block / "sdq1/holders/dm-7").mkdir()
    assert "in use by dm-7" in refused("/dev/sdq")
    (block / "sdq1/holders/dm-7").rmdir()
    (block / "sdq/ro").write_text("1\n")
    assert "write-protected" in refused("/dev/sdq")
    (block / "sdq/ro").write_text("0\n")
    cards.refuse_disk("/dev/sdq", str(block), os.devnull, os.devnull)
    (block / "sdq/size").write_text(str(8 << 40))
    assert "that is no card" in refused("/dev/sdq")
