"""The trial of a new system: kept when `waypost doctor --boot` passes within its time, else the old one comes back.

    python3 -I -m tools.box.trial

The initramfs has already written the old system's letter back, so all that is to be done for going back is a restart:
whatever else goes wrong here, or a power cut, leads there too. Why it was taken back is kept for `waypost update
status`.
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LIMIT_S = 900
EVERY_S = 5
NODE, USER = "/data/waypost", "waypost"
REASON = "/data/update-failed.txt"


def main() -> int:
    """0 when the system is kept; else the box restarts."""
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
        go_back(last)
    try:
        keep(facts["slot"])
    except (WaypostError, OSError) as error:
        go_back(f"it works but can't be kept: {error}")
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


def go_back(reason: str) -> NoReturn:
    """Restart into the old system, whatever else runs."""
    print(f"waypost-update: slot {bootfs.facts()['slot']} has failed its trial: {reason}; going back", flush=True)
    try:
        with open(REASON, "w", encoding="utf-8") as file:
            file.write(reason + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        pass  # it was said on the serial line
    subprocess.run(["systemctl", "reboot", "--force"], check=False)
    time.sleep(LIMIT_S)
    sys.exit(1)


def reason() -> str:
    """Why the last update was taken back; "" where that is not known, as after a power cut."""
    try:
        with open(REASON, encoding="utf-8", errors="replace") as file:
            return file.read(1000).strip()
    except OSError:
        return ""


def forget() -> None:
    """Another update begins."""
    if os.path.exists(REASON):
        os.unlink(REASON)


def keep(slot: str) -> None:
    """Make this the system that starts. A power cut between the two leaves it in place: see images/pi/init."""
    with bootfs.mounted(True) as folder:
        slots = Slots(folder)
        slots.put_letter(slot)
        slots.put_state(trial=NONE, running=NONE)


if __name__ == "__main__":
    sys.exit(main())
