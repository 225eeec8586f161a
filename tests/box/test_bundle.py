"""Update bundles: a good one goes into the other slot; whatever is wrong with one is said and changes nothing."""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import tarfile
from collections.abc import Callable

import pytest

from edge.compat import crypto
from edge.errors import WaypostError
from images.builder import bundle as making
from tests.box.test_slots import Folder, boot, init_settles
from tests.cli.kit import cli, cli_json
from tools.box import bootfs, install
from tools.box.bundle import CONTEXT, Bundle, BundleError
from tools.box.slots import Slots

SEED, OTHER_SEED = bytes(range(32)), bytes(range(1, 33))
KEY = crypto.public_key(SEED)
ROOT_DATA = os.urandom(3 << 20)
SLOT = {"vmlinuz": b"kernel" * 999, "initrd.img": b"first", "cmdline.txt": b"ro waypost.slot=@SLOT@\n",
        "x.dtb": b"@SLOT@"}


def make(folder: pathlib.Path, seed: bytes = SEED, serial: int = 2000000000) -> str:
    (folder / "key").write_text(seed.hex())
    path = folder / "new.update"
    making.write(str(path), "9.9", serial, ROOT_DATA, SLOT, making.Signer(str(folder / "key"), str(folder)))
    return str(path)


def remade(path: str, change: Callable[[str, bytes], tuple[str, bytes] | None], seed: bytes | None = None) -> str:
    """The bundle with each part changed; seed: sign the manifest again."""
    parts = []
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            changed = change(member.name, file.read())
            if changed is not None:
                parts.append(changed)
    if seed is not None:
        text = dict(parts)["manifest.json"]
        parts = [(name, crypto.sign(seed, CONTEXT + text) if name == "manifest.sig" else data) for name, data in parts]
    with tarfile.open(path, "w") as tar:
        for name, data in parts:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


class Box:
    """A box of plain files."""

    def __init__(self, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot = boot(folder / "boot")
        for letter in "ab":
            (self.boot / f"slot-{letter}").mkdir()
            (self.boot / f"slot-{letter}" / "old").write_text("old")
        for number in (2, 3):
            (folder / f"card{number}").write_bytes(bytes(4 << 20))
        self.facts = {"slot": "a", "data": str(folder / "card4"), "boot": "", "disk": ""}
        self.slot_b = folder / "card3"
        monkeypatch.setattr(bootfs, "mounted", lambda writable: Folder(self.boot))

    def install(self, path: str) -> str:
        return install.install(Bundle(path, [KEY], "aarch64"), self.facts, lambda *said: None)

    def untouched(self) -> bool:
        """What decides about the next start."""
        slots = Slots(str(self.boot))
        return (slots.letter, slots.trial, slots.running) == ("a", "-", "-")

    def other_untouched(self) -> bool:
        """The other system as well, which may be the last one on a worn card."""
        return self.untouched() and not any(self.slot_b.read_bytes()) and (self.boot / "slot-b" / "old").exists()


@pytest.fixture
def box(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return Box(tmp_path, monkeypatch)


def test_a_good_bundle_goes_into_the_other_slot(tmp_path: pathlib.Path, box: Box) -> None:
    assert box.install(make(tmp_path)) == "b"
    assert box.slot_b.read_bytes()[:len(ROOT_DATA)] == ROOT_DATA
    folder = box.boot / "slot-b"
    assert sorted(one.name for one in folder.iterdir()) == sorted([*SLOT, "system.txt"])
    assert (folder / "cmdline.txt").read_text() == "ro waypost.slot=b\n"
    assert (folder / "x.dtb").read_bytes() == b"@SLOT@"
    assert (box.boot / "slot-a" / "old").exists()
    slots = Slots(str(box.boot))
    assert (slots.letter, slots.trial) == ("b", "b")


def test_while_one_is_on_trial_there_is_no_other(tmp_path: pathlib.Path, box: Box) -> None:
    path = make(tmp_path)
    box.install(path)
    with pytest.raises(install.UpdateError, match="another update is on trial"):
        box.install(path)


def test_a_system_that_does_not_fit_is_refused(tmp_path: pathlib.Path, box: Box) -> None:
    box.slot_b.write_bytes(bytes(1 << 20))
    with pytest.raises(install.UpdateError, match="needs 3 MB, the slot has 1 MB"):
        box.install(make(tmp_path))
    assert box.untouched()


def test_boot_files_that_do_not_fit_are_refused(tmp_path: pathlib.Path, box: Box, monkeypatch: pytest.MonkeyPatch
                                                ) -> None:
    path = make(tmp_path)
    real = os.statvfs
    for free, fits in ((9, False), (10, True)):  # in clusters of 4 KiB; the old system's single one comes back
        def statvfs(path: str, free: int = free) -> os.statvfs_result:
            facts = list(real(path))
            facts[1], facts[4] = 4096, free
            return os.statvfs_result(facts)

        monkeypatch.setattr(install.os, "statvfs", statvfs)
        if fits:
            assert box.install(path) == "b"
        else:
            with pytest.raises(install.UpdateError, match="its kernel needs 0 MB, the boot partition has"):
                box.install(path)
            assert box.other_untouched()


def test_the_kernel_is_on_the_card_before_it_can_start(tmp_path: pathlib.Path, box: Box,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the name of its folder, which is not flushed with the files in it."""
    flushed: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        flushed.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), box.boot))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    box.install(make(tmp_path))
    at = flushed.index("slots.txt")
    assert {"slot-b", ".", "slot-b/vmlinuz", "slot-b/system.txt"} <= set(flushed[:at])
    assert flushed[at:] == ["slots.txt", "config.txt"]


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_cut_off_at_any_step_a_whole_system_starts(tmp_path: pathlib.Path, box: Box, monkeypatch: pytest.MonkeyPatch
                                                   ) -> None:
    """Each time that something is made sure of on the card is the last; then init starts what the letter says."""
    path, real = make(tmp_path), os.fsync
    left = 0

    def fsync(fd: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    for n in range(100):
        left = n
        shutil.rmtree(box.boot / "slot-b", ignore_errors=True)
        box.slot_b.write_bytes(bytes(4 << 20))
        try:
            box.install(path)
            break
        except KeyboardInterrupt:
            started = Slots(str(box.boot)).letter
            said = init_settles(box.boot, started)
            whole = box.slot_b.read_bytes()[:len(ROOT_DATA)] == ROOT_DATA and (box.boot / "slot-b" / "x.dtb").exists()
            assert started == "a" or whole and "on trial" in said, n
            init_settles(box.boot, "a")
            assert box.untouched()
    assert n > 9 and Slots(str(box.boot)).trial == "b"


def test_a_worn_card_is_noticed(tmp_path: pathlib.Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read
    monkeypatch.setattr(install.os, "read", lambda fd, n: bytes(len(real(fd, n))))
    with pytest.raises(install.UpdateError, match="reads back differently: the card is worn"):
        box.install(make(tmp_path))
    assert box.untouched()


def test_a_strangers_signature_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BundleError, match="not signed by a key that this box trusts"):
        Bundle(make(tmp_path, OTHER_SEED), [KEY], "aarch64")
    assert Bundle(make(tmp_path, OTHER_SEED), [KEY, crypto.public_key(OTHER_SEED)], "aarch64").version == "9.9"
    with pytest.raises(BundleError, match="no key at all"):
        Bundle(make(tmp_path), [], "aarch64")


def _edited(key: str, value: object) -> Callable[[str, bytes], tuple[str, bytes]]:
    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if name == "manifest.json":
            data = json.dumps(json.loads(data) | {key: value}).encode()
        return name, data

    return change


def test_a_changed_manifest_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BundleError, match="not signed"):
        Bundle(remade(make(tmp_path), _edited("version", "10")), [KEY], "aarch64")


@pytest.mark.parametrize(("key", "value", "said"), [
    ("machine", "riscv64", "it is for riscv64, this machine is aarch64"),
    ("format", 2, "this box can't use such a bundle: format 2"),
    ("kind", "cake", "this box can't use such a bundle"),
    ("files", [], "parts are missing or doubled"),
    ("files", [{"name": "../../etc/passwd", "bytes": 1, "sha256": ""}], "a part called '../../etc/passwd'"),
    ("files", 7, "this box can't use such a bundle"),
    ("serial", "x", "no version"),
    ("machine", [], "no machine"),
    ("files", [{"name": "root.erofs", "bytes": 1}], "this box can't use such a bundle: 'sha256'"),
    ("files", [{"name": "root.erofs", "bytes": 1, "sha256": 5}], "no hash of root.erofs"),
    ("files", [{"name": "root.erofs", "bytes": 1.5, "sha256": ""}], "a part called 'root.erofs'"),
    ("files", [{"name": "boot/cmdline.txt", "bytes": 5000, "sha256": ""}], "boot/cmdline.txt has 5000 bytes"),
    ("files", [{"name": f"boot/{n}", "bytes": 100 << 20, "sha256": ""} for n in ("vmlinuz", "x")]
     + [{"name": "root.erofs", "bytes": 300 << 20, "sha256": ""}], "its boot files have more than 128 MB"),
])
def test_a_signed_bundle_for_others_is_refused(tmp_path: pathlib.Path, key: str, value: object, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle(remade(make(tmp_path), _edited(key, value), SEED), [KEY], "aarch64")
    assert said in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 60000, b"{}", b"[]", b"7", b"\xff", b"1" * 5000])
def test_a_signed_manifest_that_is_none_is_refused(tmp_path: pathlib.Path, text: bytes) -> None:
    path = remade(make(tmp_path), lambda name, data: (name, text if name == "manifest.json" else data), SEED)
    with pytest.raises(BundleError, match="this box can't use such a bundle"):
        Bundle(path, [KEY], "aarch64")


def test_a_signed_manifest_without_a_machine_is_refused(tmp_path: pathlib.Path) -> None:
    def without(name: str, data: bytes) -> tuple[str, bytes]:
        if name == "manifest.json":
            facts = json.loads(data)
            del facts["machine"]
            data = json.dumps(facts).encode()
        return name, data

    with pytest.raises(BundleError, match="this box can't use such a bundle: 'machine'"):
        Bundle(remade(make(tmp_path), without, SEED), [KEY], "aarch64")


def _with_root(path: str, entry: tarfile.TarInfo, data: bytes = b"") -> str:
    """The bundle with another member in the place of its system."""
    with tarfile.open(path) as tar:
        parts = [(member, tar.extractfile(member)) for member in tar]
        kept = [(member, file.read()) for member, file in parts if file is not None and member.name != "root.erofs"]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, raw in kept:
            tar.addfile(member, io.BytesIO(raw))
        tar.fileobj.write(entry.tobuf(tarfile.GNU_FORMAT) + data)  # type: ignore[union-attr]
    return path


@pytest.mark.parametrize(("kind", "size", "said"), [
    (tarfile.SYMTYPE, 0, "no plain file"),
    (tarfile.LNKTYPE, 0, "no plain file"),
    (tarfile.GNUTYPE_SPARSE, 1 << 50, "no plain file"),
    (tarfile.XHDTYPE, 3 << 30, "no plain file"),
    (tarfile.GNUTYPE_LONGNAME, 3 << 30, "no plain file"),
    (tarfile.REGTYPE, 1 << 50, "no plain file"),
    (tarfile.REGTYPE, 3 << 30, "it has 3221225472 bytes, not 3145728"),
    (tarfile.REGTYPE, 0, "it has 0 bytes, not 3145728"),
])
def test_a_part_that_is_something_else_is_refused(tmp_path: pathlib.Path, box: Box, kind: bytes, size: int,
                                                  said: str) -> None:
    entry = tarfile.TarInfo("root.erofs")
    entry.type, entry.size, entry.linkname = kind, size, "root.erofs" * (kind in (tarfile.SYMTYPE, tarfile.LNKTYPE))
    path = _with_root(make(tmp_path), entry, bytes(4096))
    with pytest.raises(BundleError, match=said):
        box.install(path)
    assert box.other_untouched()
    code, _, err = cli("--dir", tmp_path, "update", "check", path, "--key", KEY.hex())
    assert code == 1 and said in err


def test_no_more_of_a_part_is_read_than_is_signed(tmp_path: pathlib.Path) -> None:
    bundle = Bundle(make(tmp_path), [KEY], "aarch64")
    bundle.files = [(name, size // 2, said) for name, size, said in bundle.files]
    with pytest.raises(BundleError, match="bytes, not"):
        list(bundle.part("root.erofs"))


@pytest.mark.parametrize("name", ["root.erofs", "boot/vmlinuz", "boot/x.dtb"])
def test_a_damaged_part_is_refused_and_nothing_starts_it(tmp_path: pathlib.Path, box: Box, name: str) -> None:
    def flip(one: str, data: bytes) -> tuple[str, bytes]:
        return one, bytes([data[0] ^ 1]) + data[1:] if one == name else data

    with pytest.raises(BundleError, match=f"its part {name} is damaged"):
        box.install(remade(make(tmp_path), flip))
    assert box.other_untouched()


def test_a_part_that_is_damaged_later_does_not_start(tmp_path: pathlib.Path, box: Box, monkeypatch: pytest.MonkeyPatch
                                                     ) -> None:
    """A stick that reads differently the second time."""
    monkeypatch.setattr(Bundle, "verify", lambda *said: None)
    path = remade(make(tmp_path), lambda name, data: (name, data[:-1] + b"x" if name == "root.erofs" else data))
    with pytest.raises(BundleError, match="damaged"):
        box.install(path)
    assert box.untouched() and not box.other_untouched()


def test_a_missing_part_is_refused(tmp_path: pathlib.Path, box: Box) -> None:
    path = remade(make(tmp_path), lambda name, data: None if name == "boot/initrd.img" else (name, data))
    with pytest.raises(BundleError, match="boot/initrd.img can't be read"):
        box.install(path)
    assert box.other_untouched()


def test_cut_short_at_any_place_is_refused(tmp_path: pathlib.Path, box: Box) -> None:
    whole = pathlib.Path(make(tmp_path)).read_bytes()
    path = tmp_path / "short.update"
    for size in (0, 1, 511, 512, 700, 1024, 4096, len(whole) // 2, 3 << 20):
        path.write_bytes(whole[:size])
        with pytest.raises(WaypostError):
            box.install(str(path))
        assert box.other_untouched()


def test_random_bytes_are_no_bundle(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.update"
    path.write_bytes(os.urandom(4096))
    with pytest.raises(BundleError, match="this is no update bundle"):
        Bundle(str(path), [KEY], "aarch64")


def test_check_says_what_it_is(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path)
    said = cli_json("--dir", tmp_path, "update", "check", path, "--key", KEY.hex())
    assert said["version"] == "9.9" and said["signer"] == KEY.hex()
    code, _, err = cli("--dir", tmp_path, "update", "check", path)
    assert code == 1 and "not signed by a key that this box trusts" in err
    code, _, err = cli("--dir", tmp_path, "update", "check", path, "--key", "zz")
    assert code == 1 and "zz is no key" in err


@pytest.mark.parametrize("verb", [("status",), ("apply", "x.update")])
def test_elsewhere_than_on_the_image_it_says_so(tmp_path: pathlib.Path, verb: tuple[str, ...]) -> None:
    code, _, err = cli("--dir", tmp_path, "update", *verb)
    assert code == 1 and "does not run the Waypost image" in err and "git pull" in err
