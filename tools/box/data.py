"""The box's data partition, given up by a person: images/pi/files/usr/lib/waypost/data makes it anew at the next start.

It decides nothing: the script does so only where the card can't keep data and the node runs from memory.
"""

from __future__ import annotations

import subprocess
import sys

from tools.box.bootfs import BoxError

SCRIPT = "/usr/lib/waypost/data"


def make_anew() -> None:
    """Have the partition made anew at the next start; says so on stderr. Raises BoxError where the card refuses."""
    done = subprocess.run([SCRIPT, "anew"], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise BoxError("the data partition can't be made anew" + f": {said.splitlines()[-1]}" * bool(said),
                       hint="put in a new card with the image")
    print(said, file=sys.stderr)
