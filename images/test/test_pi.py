"""The image on QEMU's model of a Raspberry Pi 3: its own device tree, card reader and serial line.

Slow: QEMU's model takes minutes to start. What a real board does with the firmware on the card it can't show, nor its
watchdog: the model resets in the moment in which that is armed, whatever its time (hw/misc/bcm2835_powermgt.c), so its
driver is kept out.
"""

from __future__ import annotations

import pathlib
import re
import time

from images.test.machine import Machine, new_card
from tests.waiting import PATIENCE

PATIENCE_S = 1500 * PATIENCE


def test_a_pi_3_starts_to_ready_and_answers_at_the_cable(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    card = new_card(image, tmp_path)
    with open(card, "r+b") as file:
        file.truncate(2 << 30)  # QEMU's cards have a power of two
    with Machine(card, tmp_path, kind="raspi3b") as box:
        began = time.monotonic()
        box.start("module_blacklist=bcm2835_wdt")
        box.wait_for("waypost-init: starting", PATIENCE_S)
        box.ready(PATIENCE_S)
        print(f"ready after {time.monotonic() - began:.0f} s")
        start = len(box.serial)
        box.say("\rhardware check\r")
        until = time.monotonic() + 300 * PATIENCE
        while not re.search(rb"board +pi-3: .*\n(.*\n)*.*waypost> ", box.serial[start:]):
            assert time.monotonic() < until, box.tail()
            box._pump(0.5)
        said = box.serial[start:].decode(errors="replace")
        print(said)
        assert re.search(r"ok +memory +\d+ MB, of which \d+ MB for models", said)
        assert re.search(r"ok +console +/dev/ttyS1", said)
