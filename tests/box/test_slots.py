"""Which system starts: the state on the boot partition, and the same state as images/pi/init sees it."""

from __future__ import annotations

import itertools
import pathlib
import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tools.box import trial
from tools.box.bootfs import BoxError
from tools.box.slots import Slots, other

CONFIG = (pathlib.Path(ROOT) / "images/pi/config.txt").read_bytes().replace(b"\n", b"\r\n")
INIT = (pathlib.Path(ROOT) / "images/pi/init").read_text()


pytestmark = pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")


def boot(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.txt").write_bytes(CONFIG)
    return folder


def busybox_folder(folder: pathlib.Path) -> pathlib.Path:
    """The programs that it has on the box: busybox, and nothing else."""
    tools = folder / "bin"
    if not tools.exists():
        tools.mkdir()
        subprocess.run(["busybox", "--install", "-s", str(tools)], check=True)
    return tools


def init_settles(folder: pathlib.Path, slot: str) -> str:
    """Run the part of the real init that settles a trial, on this boot partition, as the system in `slot` does."""
    start, end = INIT.index("# one byte in one sector"), INIT.index("    umount /boot")
    code = INIT[start:end].replace("/boot/", f"{folder}/").replace("/run/waypost/", f"{folder}/")
    code = code.replace("mount -o remount,rw /boot", "true") + "fi\n"
    head = f"say() {{ echo \"$*\"; }}\nmounted=yes\nslot={slot}\nother={other(slot)}\n"
    done = subprocess.run(["busybox", "sh", "-u", "-c", head + code], capture_output=True, text=True, check=True,
                          env={"PATH": str(busybox_folder(folder))})
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize(("magic", "instead"), [(b"\xe2\xe1\xf5\xe0", "b"), (b"\0\0\0\0", "")])
def test_a_system_that_is_lost_gives_way_where_there_is_another(tmp_path: pathlib.Path, magic: bytes,
                                                                instead: str) -> None:
    boot(tmp_path)
    (tmp_path / "card3").write_bytes(bytes(1024) + magic + bytes(9))
    start, end = INIT.index("# one byte in one sector"), INIT.index("if [ $mounted = yes ]; then")
    code = INIT[start:end] + INIT[INIT.index("give_way() {"):INIT.index("tries=0\nuntil [ -b")]
    for word in ("mount -t", "umount", "reboot -f"):
        code = code.replace(word, "true " + word)
    code = (f"say() {{ echo \"$*\"; }}\nfail() {{ say \"failed: $*\"; exit; }}\nslot=a other=b other_number=3\n"
            f"disk={tmp_path}/card boot=x\n{code.replace('/boot/', f'{tmp_path}/')}give_way 'it is lost'\n")
    done = subprocess.run(["busybox", "sh", "-u", "-c", code], capture_output=True, text=True, check=True,
                          env={"PATH": str(busybox_folder(tmp_path))})
    assert not done.stderr, done.stderr
    slots = Slots(str(tmp_path))
    if instead:
        assert done.stdout == "it is lost; slot b starts instead\n" and (slots.letter, slots.failed) == ("b", "a")
    else:
        assert done.stdout == "failed: it is lost\n" and (slots.letter, slots.failed) == ("a", "-")


def test_a_card_starts_with_a_and_no_trial(tmp_path: pathlib.Path) -> None:
    slots = Slots(str(boot(tmp_path)))
    assert (slots.letter, slots.trial, slots.running, slots.failed) == ("a", "-", "-", "-")
    assert init_settles(tmp_path, "a") == ""
    assert (tmp_path / "config.txt").read_bytes() == CONFIG


def test_the_letter_is_one_byte_in_one_sector(tmp_path: pathlib.Path) -> None:
    Slots(str(boot(tmp_path))).put_letter("b")
    after = (tmp_path / "config.txt").read_bytes()
    changed = [n for n, (x, y) in enumerate(zip(CONFIG, after, strict=True)) if x != y]
    assert len(changed) == 1 and changed[0] < 512 and after[changed[0]:][:1] == b"b"


def test_a_state_is_one_sector(tmp_path: pathlib.Path) -> None:
    slots = Slots(str(boot(tmp_path)))
    for trial_, running, failed in itertools.product("ab-", repeat=3):
        slots.put_state(trial=trial_, running=running, failed=failed)
        assert (tmp_path / "slots.txt").stat().st_size == 64
        again = Slots(str(tmp_path))
        assert (again.trial, again.running, again.failed) == (trial_, running, failed)


def test_a_trial_that_passes(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(str(boot(tmp_path)))
    slots.put_state(trial="b")
    slots.put_letter("b")
    assert "on trial" in init_settles(tmp_path, "b")
    now = Slots(str(tmp_path))
    assert (now.letter, now.running) == ("a", "b"), "whatever happens now, a is next"
    assert (tmp_path / "boot").read_text() == "trial=yes\n" and (tmp_path / "trial").exists()
    monkeypatch.setattr(trial.bootfs, "mounted", lambda writable: Folder(tmp_path))
    trial.keep("b")
    now = Slots(str(tmp_path))
    assert (now.letter, now.trial, now.running, now.failed) == ("b", "-", "-", "-")
    assert init_settles(tmp_path, "b") == ""


def test_a_trial_that_fails_or_is_cut_off(tmp_path: pathlib.Path) -> None:
    slots = Slots(str(boot(tmp_path)))
    slots.put_state(trial="b")
    slots.put_letter("b")
    init_settles(tmp_path, "b")
    assert "slot b has failed its trial" in init_settles(tmp_path, "a")
    now = Slots(str(tmp_path))
    assert (now.letter, now.trial, now.running, now.failed) == ("a", "-", "-", "b")
    assert init_settles(tmp_path, "a") == "", "it is said once"


@pytest.mark.parametrize("running", "ab")
def test_wherever_the_power_is_cut_a_proved_system_starts(tmp_path: pathlib.Path, running: str) -> None:
    """Every single write of an update is the last one that reaches the card; the next start must be the old system, or
    the new one on trial, or the new one after it has passed."""
    new = other(running)

    def steps(slots: Slots) -> list[tuple[str, str]]:
        """What update and trial write, in their order."""
        return [("state", "trial"), ("letter", new), ("letter", running), ("state", "running"), ("letter", new),
                ("state", "clean")]

    for cut in range(7):
        folder = boot(tmp_path / f"{running}{cut}")
        slots = Slots(str(folder))
        slots.put_letter(running)
        for kind, value in steps(slots)[:cut]:
            if kind == "letter":
                slots.put_letter(value)
            else:
                slots.put_state(**{} if value == "clean" else {value: new})
        proved = cut >= 5  # the self-test has passed before the letter is written for good
        for _ in range(4):  # and again and again
            started = Slots(str(folder)).letter
            said = init_settles(folder, started)
            assert started == running or proved or "on trial" in said, (cut, started, said)
        assert Slots(str(folder)).letter == (new if proved else running)


def test_config_without_a_letter_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.txt").write_text("kernel=vmlinuz\n")
    with pytest.raises(BoxError, match="does not say which system starts"):
        _ = Slots(str(tmp_path)).letter


def test_garbage_in_the_state_is_no_trial(tmp_path: pathlib.Path) -> None:
    boot(tmp_path)
    for raw in (b"", b"\0" * 64, b"trial=q running=../../x failed=", bytes(range(256))):
        (tmp_path / "slots.txt").write_bytes(raw)
        slots = Slots(str(tmp_path))
        assert (slots.trial, slots.running, slots.failed) == ("-", "-", "-")


def test_the_letter_stands_in_the_first_sector() -> None:
    assert re.match(rb"os_prefix=slot-a/\r\n", CONFIG) and len(CONFIG) < 512


class Folder:
    """A folder as bootfs.mounted gives it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        return str(self.folder)

    def __exit__(self, *exc: object) -> None:
        pass
