"""The power goes at random moments, while messages are written and while the box starts.

Each time the card keeps what it was told to flush, and of the rest any part by chance (images/test/machine.py). It must
start again each time, hold every message that was acknowledged, and need nobody.

    WAYPOST_CUTS=200 pytest images/test/test_power.py       20 without it; WAYPOST_SEED repeats a run
"""

from __future__ import annotations

import os
import pathlib
import random
import re
import time

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
    with Machine(new_card(image, tmp_path), tmp_path, log_writes=True) as box:
        box.start()
        box.ready()
        for cut in range(CUTS):
            began = time.monotonic()
            if dice.random() < 0.25:  # while it starts
                lost = box.cut(dice.randrange(1 << 30))
                box.start()
                time.sleep(dice.uniform(1, 60) * SPEED)
                kind = "while it started"
            else:
                acknowledged |= write_for(box, dice.uniform(1, 20) * SPEED)
                kind = "under load"
            lost = box.cut(dice.randrange(1 << 30))
            box.start()
            box.ready()
            said = box.serial.decode(errors="replace")
            assert "CAN'T KEEP DATA" not in said and "damaged" not in said, said
            held = set(re.findall(r"held (\w+)", box.shell(script(HELD), 180 * SPEED)))
            missing = acknowledged - held
            print(f"cut {cut + 1}: {kind}, {lost[0]} writes not flushed, {lost[1]} sectors lost; "
                  f"{len(acknowledged)} acknowledged, {len(held)} held, {len(missing)} missing; "
                  f"{time.monotonic() - began:.0f} s", flush=True)
            assert not missing
            assert box.shell("systemctl --failed --no-legend").strip() == ""


def write_for(box: Machine, seconds: float) -> set[str]:
    """Post notices without a pause for so long; the ids that were acknowledged."""
    return set(re.findall(r"acknowledged (\w+)", box.shell_for(script(WRITER), "acknowledged", seconds)))
