"""The trial of a new system: kept when `waypost doctor --boot` passes within its time, else the old one comes back.

    python3 -I -m tools.box.trial

The initramfs has already written the old system's letter back, so all that is to be done for going back is a restart:
whatever else goes wrong here, or a power cut, leads there too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

from edge.errors import WaypostError
from tools.box import bootfs
from tools.box.slots import NONE, Slots

LIMIT_S = 900
EVERY_S = 5
NODE, USER = "/data/waypost", "waypost"


def main() -> int:
    """0 when the system is kept; 1 has systemd restart the box."""
    facts = bootfs.facts()
    print(f"waypost-update: slot {facts['slot']} is on trial", flush=True)
    last = "nothing has been tried yet"
    until = time.monotonic() + limit_s()
    while time.monotonic() < until:
        passed, last = examine()
        if passed:
            break
        time.sleep(EVERY_S)
    else:
        print(f"waypost-update: slot {facts['slot']} has failed its trial: {last}; going back", flush=True)
        return 1
    try:
        keep(facts["slot"])
    except (WaypostError, OSError) as error:
        print(f"waypost-update: the new system works but can't be kept: {error}; going back", flush=True)
        return 1
    print(f"waypost-update: slot {facts['slot']} has passed its trial and stays", flush=True)
    return 0


def limit_s(path: str = "/proc/cmdline") -> int:
    """How long the self-test may take; the kernel's command line may say waypost.trial_s=60, for tests."""
    with open(path, encoding="ascii", errors="replace") as file:
        found = re.search(r"\bwaypost\.trial_s=(\d{1,4})\b", file.read())
    return int(found[1]) if found else LIMIT_S


def examine() -> tuple[bool, str]:
    """(passed, what is broken) of the self-test, run as the node's own user."""
    words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "waypost", "--dir", NODE, "doctor",
             "--boot"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": NODE})
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"the self-test does not run: {error}"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode == 0, "; ".join(line.strip() for line in lines if "BROKEN" in line)[:400] or lines[-1][:400]


def keep(slot: str) -> None:
    """Make this the system that starts. A power cut between the two leaves it in place: see images/pi/init."""
    with bootfs.mounted(True) as folder:
        slots = Slots(folder)
        slots.put_letter(slot)
        slots.put_state(trial=NONE, running=NONE)


if __name__ == "__main__":
    sys.exit(main())
