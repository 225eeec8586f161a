"""The box's data partition, given up by a person: images/pi/files/usr/lib/waypost/data makes it anew at the next start.

It decides only that this is for a box whose card can't keep data, where the node runs from memory; a sound partition is
never given up.
"""

from __future__ import annotations

import subprocess
import sys

from tools.box.bootfs import BoxError
from tools.cli_run import card_trouble

SCRIPT = "/usr/lib/waypost/data"


def forget() -> None:
    """Where the card can't keep data, have its data partition made anew at the next start, and say so on stderr.

    Raises BoxError where the card refuses.
    """
    if not card_trouble():
        return
    done = subprocess.run([SCRIPT, "anew"], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise BoxError("the data partition can't be made anew" + f": {said.splitlines()[-1]}" * bool(said),
                       hint="put in a new card with the image")
    print(said, file=sys.stderr)
