"""The image on QEMU's model of a Raspberry Pi 3: its own device tree, card reader, serial line and watchdog.

Slow: QEMU's model takes minutes to start. What a real board does with the firmware on the card it can't show.
"""

from __future__ import annotations

import pathlib
import re
import time

from images.test.machine import SPEED, Machine, new_card

PATIENCE_S = 1500 * SPEED


def test_a_pi_3_starts_to_ready_and_answers_at_the_cable(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    card = new_card(image, tmp_path)
    with open(card, "r+b") as file:
        file.truncate(2 << 30)  # QEMU's cards have a power of two
    with Machine(card, tmp_path, kind="raspi3b") as box:
        began = time.monotonic()
        box.start()
        box.wait_for("waypost-init: starting", PATIENCE_S)
        box.ready(PATIENCE_S)
        print(f"ready after {time.monotonic() - began:.0f} s")
        start = len(box.serial)
        box.say("\rhardware check\r")
        box.wait_for("watchdog", PATIENCE_S)
        until = time.monotonic() + 300 * SPEED
        while not re.search(rb"board +pi-3: .*\n(.*\n)*.*watchdog +/dev/watchdog0", box.serial[start:]):
            assert time.monotonic() < until, box.tail()
            box._pump(0.5)
        print(box.serial[start:].decode(errors="replace"))
