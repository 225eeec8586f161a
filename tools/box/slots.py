"""Which of the two systems on a card starts, and how a new one is put on trial. The other half is images/pi/init.

    config.txt   its letter after "os_prefix=slot-" is the system that starts next: one byte, so no power cut halves it
    slots.txt    64 bytes: trial=X (X starts next, on trial)  running=X (X is on trial now)  failed=X (X was given up)

    update       writes the other slot; trial=b; letter b; reboot
    init of b    letter a (whatever happens now, a is next); running=b
    self-test    passed: letter b; running=-      failed or hung or power cut: a starts, sees running=b: failed=b

Each step leaves a card from which a working system starts. Nothing here mounts or reboots.
"""

from __future__ import annotations

import os

from tools.box.bootfs import BoxError

CONFIG, STATE = "config.txt", "slots.txt"
NONE = "-"
_HEAD = b"os_prefix=slot-"
_STATE_BYTES = 64


def other(slot: str) -> str:
    """The other one of a and b."""
    return "b" if slot == "a" else "a"


class Slots:
    """The state in a mounted boot partition: letter, trial, running, failed; each a, b or "-"."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.trial = self.running = self.failed = NONE
        try:
            with open(os.path.join(folder, STATE), encoding="ascii", errors="replace") as file:
                words = file.read(_STATE_BYTES).split()
        except OSError:
            words = []  # somebody has deleted it: there is no trial
        for word in words:
            name, _, value = word.partition("=")
            if name in ("trial", "running", "failed") and value in ("a", "b"):
                setattr(self, name, value)

    @property
    def letter(self) -> str:
        """The system that starts next. Raises BoxError where config.txt does not say."""
        return self._find()[1]

    def put_letter(self, slot: str) -> None:
        """Make this system the next one: one byte, in place, on the card when this returns."""
        offset, now = self._find()
        if now != slot:
            self._write(CONFIG, offset, slot.encode())

    def put_state(self, *, trial: str = NONE, running: str = NONE, failed: str = NONE) -> None:
        """Write all three, in one sector."""
        self.trial, self.running, self.failed = trial, running, failed
        text = f"trial={trial} running={running} failed={failed}"
        path = os.path.join(self._folder, STATE)
        if not os.path.exists(path):
            with open(path, "wb"):
                pass
        self._write(STATE, 0, f"{text:<{_STATE_BYTES - 1}}\n".encode())

    def _find(self) -> tuple[int, str]:
        path = os.path.join(self._folder, CONFIG)
        with open(path, "rb") as file:
            text = file.read()
        at = text.find(_HEAD)
        letter = text[at + len(_HEAD):][:1].decode("ascii", "replace")
        if at < 0 or letter not in ("a", "b"):
            raise BoxError("config.txt does not say which system starts", where=path,
                           allowed="a line os_prefix=slot-a/ or os_prefix=slot-b/")
        return at + len(_HEAD), letter

    def _write(self, name: str, offset: int, data: bytes) -> None:
        with open(os.path.join(self._folder, name), "r+b", buffering=0) as file:
            file.seek(offset)
            file.write(data)
            os.fsync(file.fileno())
