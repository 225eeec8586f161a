"""The power goes at random moments, while messages are written and while the box starts.

Each time something has been written that was not flushed yet: the card keeps what it was told to flush, and of the rest
any part by chance (images/test/machine.py). It must start again each time, hold every message that was acknowledged by
then, and need nobody.

    WAYPOST_CUTS=200 pytest images/test/test_power.py       20 without it; WAYPOST_SEED repeats a run
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import time
from collections import Counter

from images.test.machine import SPEED, Machine, new_card

CUTS = int(os.environ.get("WAYPOST_CUTS", "20"))
SEED = int(os.environ.get("WAYPOST_SEED", "0")) or random.randrange(1 << 30)
CALLER = "from tools.client import Client\nimport sys, time\nwith Client('/data/waypost') as client:\n"
WRITER = CALLER + """ for n in range(100000):
  made = client.call('board.post@1', {'text': 'notice %d ' % n + 'x' * 200}, deadline_ms=60000)
  print('acknowledged', made['id'].hex() if isinstance(made['id'], bytes) else made['id'], flush=True)
"""
HELD = """import sqlite3
db = sqlite3.connect('file:/data/waypost/waypost.db?mode=ro', uri=True)
for row in db.execute('SELECT id FROM message'):
  print('held', row[0].hex())
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
                time.sleep(dice.uniform(1, 60) * SPEED)
                kind = "while it started"
                cut = box.cut(dice.randrange(1 << 30))
            else:
                since_bytes = box.log.stat().st_size
                heard = write_for(box, dice.uniform(1, 20) * SPEED)
                kind = "under load"
                cut = box.cut(dice.randrange(1 << 30), since_bytes)
                acknowledged |= {id for id, log_bytes in heard if log_bytes <= cut.log_bytes}
            box.start()
            box.ready()
            said = box.serial.decode(errors="replace")
            assert "CAN'T KEEP DATA" not in said and "damaged" not in said, said
            held = set(re.findall(r"held (\w+)", box.shell(script(HELD), 180 * SPEED)))
            missing = acknowledged - held
            total.update(cuts=1, with_loss=cut.lost > 0, unflushed=cut.unflushed, lost=cut.lost)
            print(f"cut {number + 1}: {kind}, {cut.unflushed} writes not flushed, {cut.lost} sectors lost; "
                  f"{len(acknowledged)} acknowledged, {len(held)} held, {len(missing)} missing; "
                  f"{time.monotonic() - began:.0f} s", flush=True)
            assert not missing
            assert box.shell("systemctl --failed --no-legend").strip() == ""
    print(dict(total))
    assert total["with_loss"] * 2 >= CUTS, "cuts at which nothing was lost show nothing"


def write_for(box: Machine, seconds: float) -> list[tuple[str, int]]:
    """Post notices without a pause for so long; (id, how long the log of writes was) of each that was acknowledged."""
    out: list[tuple[str, int]] = []

    def heard(line: str) -> None:
        if found := re.search(r"acknowledged (\w+)", line):
            out.append((found[1], box.log.stat().st_size))

    box.shell_for(script(WRITER), "acknowledged", seconds, heard)
    return out
