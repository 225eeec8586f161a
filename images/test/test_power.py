"""The power goes at random moments, while messages are written and while the box starts.

Each time something has been written that was not flushed yet: the card keeps what it was told to flush, and of the rest
any part by chance (images/test/machine.py). It must start again each time, hold every message that was acknowledged by
then, and need nobody. Starting takes a minute; so of each cut under load other cards that it could have left are looked
at as well without a machine: what the box does with its data at a start is done, and the messages are read.

    WAYPOST_CUTS=200 pytest images/test/test_power.py       20 without it; WAYPOST_SEED repeats a run
    WAYPOST_LOOKS=20                                        so many other cards of each cut
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter

from images.builder.boot import BOOT_MB
from images.builder.disk import FIRST_MB, SLOT_MB
from images.test.machine import Cut, Machine, new_card
from tests.waiting import PATIENCE

DATA_MB = FIRST_MB + BOOT_MB + 2 * SLOT_MB  # where the data partition begins
LOOKS = int(os.environ.get("WAYPOST_LOOKS", "20"))
CUTS = int(os.environ.get("WAYPOST_CUTS", "20"))
SEED = int(os.environ.get("WAYPOST_SEED", "0")) or random.randrange(1 << 30)
CALLER = "from tools.client import Client\nimport sys, time\nwith Client('/data/waypost') as client:\n"
WRITER = CALLER + """ for n in range(100000):
  made = client.call('board.post@1', {'text': 'notice %d ' % n + 'x' * 200}, deadline_ms=60000)
  print('acknowledged', made['id'].hex() if isinstance(made['id'], bytes) else made['id'], flush=True)
"""
HELD = """import sqlite3
db = sqlite3.connect('file:/data/waypost/waypost.db?mode=ro', uri=True)
rows = db.execute('SELECT id FROM message').fetchall()
for row in rows:
  print('held', row[0].hex())
print('rows', len(rows))
"""


def script(text: str) -> str:
    """A command line that runs this Python, typed without quotes that a shell would see."""
    return f"echo {text.encode().hex()} | python3 -c 'import sys; exec(bytes.fromhex(sys.stdin.read()).decode())'"


def test_power_cuts(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    print(f"seed {SEED}")
    dice = random.Random(SEED)
    acknowledged: set[str] = set()
    total = Counter[str]()
    with Machine(new_card(image, tmp_path), tmp_path, log_writes=True) as box:
        box.start()
        box.ready()
        for number in range(CUTS):
            began = time.monotonic()
            if dice.random() < 0.25:  # while it starts
                box.cut(dice.randrange(1 << 30))
                box.start()
                time.sleep(dice.uniform(1, 60))
                kind = "while it started"
                cut = box.cut(dice.randrange(1 << 30))
            else:
                since_bytes = box.log.stat().st_size
                heard = write_for(box, dice.uniform(1, 20))
                kind = "under load"

                def look(card: pathlib.Path, cut: Cut, heard: list[tuple[str, int]] = heard) -> None:
                    missing = (acknowledged | acknowledged_by(cut, heard)) - held_on(card)
                    total.update(looks=1, looks_with_loss=cut.lost > 0)
                    assert not missing, f"{missing} after {cut}"

                cut = box.cut(dice.randrange(1 << 30), since_bytes, look, LOOKS)
                acknowledged.update(acknowledged_by(cut, heard))
            box.start()
            box.ready()
            said = box.serial.decode(errors="replace")
            assert "CAN'T KEEP DATA" not in said and "could not be mended wholly" not in said, said
            mended = "damaged: mending it" in said
            held = held_in(box)
            missing = acknowledged - held
            total.update(cuts=1, with_loss=cut.lost > 0, unflushed=cut.unflushed, lost=cut.lost, mended=mended)
            print(f"cut {number + 1}: {kind}, {cut.unflushed} writes not flushed, {cut.lost} sectors lost; "
                  f"{len(acknowledged)} acknowledged, {len(held)} held, {len(missing)} missing; "
                  f"{'the file system mended itself; ' if mended else ''}{time.monotonic() - began:.0f} s", flush=True)
            assert not missing
            assert box.shell("systemctl --failed --no-legend").strip() == ""
    print(dict(total))
    assert total["with_loss"] * 2 >= CUTS, "cuts at which nothing was lost show nothing"


def acknowledged_by(cut: Cut, heard: list[tuple[str, int]]) -> set[str]:
    """The ids that were acknowledged before the power went."""
    return {id for id, log_bytes in heard if log_bytes <= cut.log_bytes}


def held_in(box: Machine) -> set[str]:
    """The ids of the messages in a box that runs. Its console drops text when this machine is too busy to read it
    (QEMU's virtconsole), so it says how many there are, and is asked again until all have come."""
    for _ in range(5):
        said = box.shell(script(HELD), 180 * PATIENCE)
        held = set(re.findall(r"held ([0-9a-f]{32})\b", said))
        if f"rows {len(held)}\n" in said + "\n":
            return held
    raise AssertionError(f"the messages can't be read from the console whole: {said[-500:]}")


def held_on(card: pathlib.Path) -> set[str]:
    """The ids of the messages on a card, after what the box does at its start (images/pi, usr/lib/waypost/data)."""
    with tempfile.TemporaryDirectory(dir=card.parent) as folder:
        data = f"{folder}/data.img"
        subprocess.run(["dd", f"if={card}", f"of={data}", "bs=1M", f"skip={DATA_MB}", "conv=sparse", "status=none"],
                       check=True)
        checked = subprocess.run([_program("e2fsck"), "-p", data], capture_output=True, text=True)
        if checked.returncode >= 4:  # a superblock of which one half was written
            checked = subprocess.run([_program("e2fsck"), "-y", data], capture_output=True, text=True)
        assert checked.returncode < 4, f"needs more than a start does by itself: {checked.stdout}{checked.stderr}"
        for name in ("waypost.db", "waypost.db-wal"):
            subprocess.run([_program("debugfs"), "-R", f"dump /waypost/{name} {folder}/{name}", data], check=True,
                           capture_output=True)
        db = sqlite3.connect(f"{folder}/waypost.db")
        try:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return {row[0].hex() for row in db.execute("SELECT id FROM message")}
        finally:
            db.close()


def _program(name: str) -> str:
    return shutil.which(name) or f"/sbin/{name}"


def write_for(box: Machine, seconds: float) -> list[tuple[str, int]]:
    """Post notices without a pause for so long; (id, how long the log of writes was) of each that was acknowledged."""
    out: list[tuple[str, int]] = []

    def heard(line: str) -> None:
        if found := re.search(r"acknowledged (\w+)", line):
            out.append((found[1], box.log.stat().st_size))

    box.shell_for(script(WRITER), "acknowledged", seconds, heard)
    return out
