"""The image on QEMU's virt machine, from the first start through an update to the end of its card.

One card, one story: each test goes on where the one before it stopped, as `make test-image` runs them.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

import pytest

from images.builder.boot import BOOT_MB
from images.builder.bundle import Signer
from images.builder.disk import FIRST_MB, SLOT_MB
from images.test.machine import Machine, boot_file, put_boot_file
from tests.cli.kit import RealNode, cli_json
from tests.waiting import PATIENCE
from tools.box import bundle

SETTINGS = '[node]\nname = "Bücherei Süd"\ntime_zone = "Europe/Berlin"\nbord = "x"\n\n[net]\nwifi = "ap"\n'


def console(box: Machine, line: str, wanted: str, patience_s: float = 90 * PATIENCE) -> str:
    """Type a line at the console on the serial line; what it says up to the next prompt. It must match `wanted`."""
    start = len(box.serial)
    box.say(line + "\r")
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        box._pump(0.3)
        said = box.serial[start:].decode(errors="replace")
        if re.search(wanted, said) and "waypost> " in said.split("\n", 1)[-1]:
            return said
    raise AssertionError(f"no {wanted!r} after {line!r}: {box.serial[start:].decode(errors='replace')}")


def make_stick(folder: pathlib.Path, update: pathlib.Path) -> tuple[str, ...]:
    """QEMU's words for a USB stick with this bundle on it, and a keyboard, which has lights."""
    stick = folder / "stick.img"
    stick.unlink(missing_ok=True)
    with open(stick, "wb") as file:
        file.truncate(update.stat().st_size + (16 << 20))
    subprocess.run(["mkfs.vfat", "-F", "32", str(stick)], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", str(stick), str(update), f"::{update.name}"], check=True)
    return ("-device", "qemu-xhci", "-blockdev", f"driver=raw,node-name=stick,file.driver=file,file.filename={stick}",
            "-device", "usb-storage,drive=stick,removable=on", "-device", "usb-kbd")


def update_file(image: pathlib.Path) -> pathlib.Path:
    return image.with_suffix(".update")


def apply(box: Machine, update: pathlib.Path, wanted: str) -> str:
    """Restart the box with this bundle on a stick and install it from the console."""
    box.cut()
    box.extra = make_stick(box.folder, update)
    box.start()
    box.ready()
    return console(box, "update apply --yes", wanted, 600 * PATIENCE)


def test_first_start_with_settings(box: Machine) -> None:
    put_boot_file(box.card, "waypost.toml", SETTINGS.replace("\n", "\r\n").encode("utf-16"))
    box.start()
    box.ready()
    assert box.shell("cat /etc/hostname").strip() == "buecherei-sued"
    assert "CET" in box.shell("date +%Z") or "CEST" in box.shell("date +%Z")
    with urllib.request.urlopen(f"http://127.0.0.1:{box.ports[80]}/api/status", timeout=60) as reply:
        assert json.load(reply)["name"] == "Bücherei Süd"
    assert box.shell("systemctl --failed --no-legend").strip() == ""
    assert "waypost.toml:4:1: node.bord is no setting" in box.serial.decode(errors="replace")


def test_what_is_wrong_is_written_to_the_card(box: Machine) -> None:
    said = box.shell("mount -o ro /dev/vda1 /boot; cat /boot/waypost-errors.txt; umount /boot")
    assert "node.bord is no setting (did you mean node.board?)" in said and "net.country is missing" in said


def test_no_password_no_login_no_open_port_but_ours(box: Machine) -> None:
    assert not re.search(r"^[^:]*:[^!*:]", box.shell("cat /etc/shadow"), re.MULTILINE)
    listening = box.shell("ss -tulnH")
    ports = set()
    for words in map(str.split, listening.splitlines()):
        if len(words) < 5:
            continue
        address, _, port = words[4].rpartition(":")
        if not address.startswith(("127.", "[::1]")):
            ports.add((words[0], int(port)))
    fixed = {("tcp", 80), ("tcp", 7373), ("udp", 7374), ("udp", 5353), ("udp", 68), ("udp", 546)}
    assert ports and all(one in fixed or (one[0] == "udp" and one[1] > 32767) for one in ports), listening


def test_memory_for_models_is_left_on_a_512_mb_board(box: Machine) -> None:
    facts = dict(re.findall(r"(\w+): +(\d+) kB", box.shell("cat /proc/meminfo")))
    print(f"available: {int(facts['MemAvailable']) // 1024} MiB of {int(facts['MemTotal']) // 1024}")
    assert int(facts["MemAvailable"]) * 1024 >= 330_000_000


def test_the_console_answers_on_the_serial_line(box: Machine) -> None:
    assert "qemu-virt" in console(box, "hardware check", "memory")
    said = console(box, "status", r"(?i)name|ready|up ")
    assert all(ord(one) < 128 for one in said), "plain ASCII"


BUTTON = """
import asyncio, sys
from boards.parts.gpio import Button
async def story():
    seen = []
    button = Button({"chip": "waypost-test", "line": 5, "active_low": True})
    button.start(seen.append)
    print("watching", button.is_pressed, flush=True)
    for _ in range(600):
        await asyncio.sleep(0.1)
        if len(seen) >= 4:
            break
    print("seen", seen)
    button.stop()
asyncio.run(story())
"""


def test_a_button_by_the_kernels_simulated_chip_for_the_node_that_is_not_root(box: Machine) -> None:
    said = box.shell(
        "modprobe gpio-sim && { mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config; } && "
        "cd /sys/kernel/config/gpio-sim && mkdir -p one/bank0 && echo 8 >one/bank0/num_lines && "
        "echo waypost-test >one/bank0/label && echo 1 >one/live && udevadm settle && "
        "echo pull-up >/sys/devices/platform/$(cat one/dev_name)/$(cat one/bank0/chip_name)/sim_gpio5/pull; "
        "ls -l /dev/$(cat one/bank0/chip_name); echo $(cat one/dev_name) $(cat one/bank0/chip_name)")
    assert "root waypost" in said, said
    device, chip = said.split()[-2:]
    box.shell(f"cat >/tmp/button.py <<'END'\n{BUTTON}\nEND")
    pull = f"/sys/devices/platform/{device}/{chip}/sim_gpio5/pull"
    said = box.shell(
        "runuser -u waypost -- python3 /tmp/button.py >/tmp/button.log 2>&1 & "
        "for n in $(seq 100); do grep -q watching /tmp/button.log && break; sleep 0.3; done; "
        f"for how in pull-down pull-up pull-down pull-up; do echo $how >{pull}; sleep 1; done; "
        "wait; cat /tmp/button.log")
    assert "watching False" in said and "seen [True, False, True, False]" in said, said
    box.shell("cd /sys/kernel/config/gpio-sim && echo 0 >one/live && rmdir one/bank0 one && modprobe -r gpio-sim")


def test_a_message_from_the_console_reaches_a_node_on_the_host(box: Machine, tmp_path: pathlib.Path) -> None:
    with RealNode(tmp_path, f"lan.peers=127.0.0.1:{box.ports[7373]}"):
        text = f"soup at six {time.time_ns()}"
        console(box, f'board post "{text}"', "waypost> ")
        until = time.monotonic() + 120 * PATIENCE
        while text not in [row["text"] for row in cli_json("--dir", tmp_path, "board", "list")]:
            assert time.monotonic() < until, "the message has not arrived"
            time.sleep(1)


def test_an_update_of_a_stranger_is_refused(box: Machine, image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "key").write_text("11" * 32)
    foreign = tmp_path / "foreign.update"
    signer = Signer(str(tmp_path / "key"), str(tmp_path))
    raw = update_file(image).read_bytes()
    manifest = raw[512:raw.index(b"\n}\n", 512) + 3]  # a tar header, the manifest, a tar header, the signature
    signature = raw.index(b"manifest.sig") + 512
    foreign.write_bytes(raw[:signature] + signer.sign(bundle.CONTEXT + manifest) + raw[signature + 64:])
    assert "not signed by a key that this box trusts" in apply(box, foreign, "not signed").replace("\r\n", " ")
    assert "slot     a" in box.shell("waypost update status")


def test_the_node_s_user_may_use_the_board_s_light(box: Machine) -> None:
    """The rule for a board's light, with a light of the keyboard in its place: this machine has no other."""
    box.shell("mkdir -p /run/udev/rules.d; sed -n 's/KERNEL==\"ACT\"/KERNEL==\"*::capslock\"/p' "
              "/etc/udev/rules.d/60-waypost.rules >/run/udev/rules.d/61-test.rules; udevadm control --reload; "
              "udevadm trigger --action=add --subsystem-match=leds --settle")
    said = box.shell("setpriv --reuid=waypost --regid=waypost --clear-groups sh -c 'cd /sys/class/leds/*::capslock; "
                     "echo 150 >delay_on; echo 1900 >delay_off; cat trigger delay_on delay_off'")
    assert "[timer]" in said and said.split()[-2:] == ["150", "1900"], said


def test_an_update_is_tried_and_kept(box: Machine, image: pathlib.Path) -> None:
    box.cut()
    box.extra = make_stick(box.folder, update_file(image))
    box.start()
    box.ready()
    key = box.shell("cat /data/waypost/identity.key | sha256sum")
    box.say("update apply --yes\r")
    box.wait_off(600 * PATIENCE)
    assert boot_file(box.card, "config.txt").startswith(b"os_prefix=slot-b/")
    box.start()
    box.wait_for("slot b starts on trial; slot a comes back if it fails")
    box.wait_for("slot b has passed its trial and stays", 600 * PATIENCE)
    assert "slot     b" in box.shell("waypost update status")
    assert box.shell("cat /data/waypost/identity.key | sha256sum") == key
    assert boot_file(box.card, "config.txt").startswith(b"os_prefix=slot-b/")
    assert boot_file(box.card, "slots.txt").split() == [b"trial=-", b"running=-", b"failed=-"]


def test_a_power_cut_on_trial_brings_the_old_system_back(box: Machine) -> None:
    box.say("update apply --yes\r")
    box.wait_off(600 * PATIENCE)
    box.start()
    box.wait_for("waypost-init: slot a from")  # the self-test can't have passed yet
    assert "slot a starts on trial" in box.tail()
    box.cut()
    assert boot_file(box.card, "config.txt").startswith(b"os_prefix=slot-b/")
    box.start()
    box.wait_for("slot a has failed its trial; slot b is back")
    box.ready()
    assert "the system in slot a failed its trial or was lost; this one is back" in box.shell("waypost update status")


def test_a_slot_that_the_card_has_lost_gives_way_to_the_other(box: Machine) -> None:
    box.cut()
    box.extra = ()
    with open(box.card, "r+b") as card:
        card.seek((FIRST_MB + BOOT_MB + SLOT_MB) << 20)
        card.write(bytes(1 << 20))
    box.start()
    box.wait_for("the system in slot b can't be mounted; slot a starts instead")
    box.wait_off(120 * PATIENCE)
    box.start()
    box.wait_for("waypost-init: slot a from")
    box.ready()
    said = " ".join(console(box, "update check", "BROKEN", 600 * PATIENCE).split())
    assert "runs, sound" in said and "BROKEN root.erofs is not what was written" in said
    assert "update apply writes this slot anew" in said


def test_a_lost_superblock_costs_nothing(box: Machine) -> None:
    text = f"before the damage {time.time_ns()}"
    before = box.shell("waypost --dir /data/waypost keys | head -1")
    assert re.search("[0-9a-f]{16}", box.shell(f"waypost --dir /data/waypost board post '{text}'")), "acknowledged"
    box.cut()
    with open(box.card, "r+b") as card:
        card.seek((FIRST_MB + BOOT_MB + 2 * SLOT_MB) << 20)
        card.write(bytes(4096))
    box.start()
    box.ready()
    said = box.serial.decode(errors="replace")
    assert "the data partition is damaged: mending it" in said and "CAN'T KEEP DATA" not in said, said
    assert box.shell("waypost --dir /data/waypost keys | head -1") == before
    assert text in box.shell("waypost --dir /data/waypost board list")


def test_a_broken_update_is_taken_back_by_itself_and_nothing_is_lost(box: Machine, image: pathlib.Path) -> None:
    """images/builder/__main__.py, spoil: its node works and brings the database forward, but it has no page."""
    before, on_trial = f"before {time.time_ns()}", f"on trial {time.time_ns()}"
    box.cut()
    box.extra = make_stick(box.folder, image.parent / "broken.update")
    box.start()
    box.ready()
    console(box, f'board post "{before}"', "waypost> ")
    box.say("update apply --yes\r")
    box.wait_off(600 * PATIENCE)
    assert boot_file(box.card, "config.txt").startswith(b"os_prefix=slot-b/")
    box.start("waypost.trial_s=150")
    box.wait_for("slot b starts on trial")
    box.wait_for("a copy of the database is kept for this trial")
    box.ready()
    assert re.search("[0-9a-f]{16}", box.shell(f"waypost --dir /data/waypost board post '{on_trial}'")), "acknowledged"
    box.wait_off(600 * PATIENCE)  # nobody does anything: it restarts by itself
    assert "slot b has failed its trial" in box.tail(100000)
    box.start()
    box.wait_for("slot b has failed its trial; slot a is back")
    box.wait_for("that came during the trial are taken in as soon as the node runs")
    box.ready()
    said = box.shell("waypost update status")
    assert "slot     a" in said and "the page" in said, said
    until = time.monotonic() + 120 * PATIENCE
    while on_trial not in (said := box.shell("waypost --dir /data/waypost board list")):
        assert time.monotonic() < until, said
        time.sleep(2)
    assert before in said


def test_a_card_that_dies_leaves_a_node_in_memory(box: Machine) -> None:
    if box.process is not None:
        box.cut()
    box.extra, box.can_fail = (), True
    box.start()
    box.ready()
    before = box.shell("waypost --dir /data/waypost keys | head -1").split()[1]
    text = f"still known {time.time_ns()}"
    console(box, f'board post "{text}"', "waypost> ")
    box.card_dies()
    began = time.monotonic()
    console(box, 'board post "too late"', r"(?s)waypost> .*waypost> |waypost: ")
    box.wait_for("THE CARD CAN'T KEEP DATA", 240 * PATIENCE)
    print(f"noticed after {time.monotonic() - began:.0f} s")
    start = box.serial.rindex(b"THE CARD CAN'T KEEP DATA")
    until = time.monotonic() + 240 * PATIENCE
    while f"node  {before}".encode() not in box.serial[start:]:
        assert time.monotonic() < until, f"it is not the same node, {before}: {box.tail()}"
        box._pump(0.3)
    with urllib.request.urlopen(f"http://127.0.0.1:{box.ports[80]}/api/status", timeout=60) as reply:
        assert json.load(reply)["node"] == before
    assert text in box.shell("waypost --dir /data/waypost board list"), "and has its messages"
    console(box, 'alert send --yes --severity Severe "the river rises"', "waypost> ")
    assert "the river rises" in box.shell("waypost --dir /data/waypost alert list")
    said = console(box, "doctor --broken", "broken: card")
    assert "the node is in memory" in " ".join(said.split()) and "put in a new card" in " ".join(said.split())
    box.cut()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-x"]))
