"""What `waypost doctor` looks at in the box around the node: heat, supply and battery, as the node's sensors have them,
and, on the SD-card image, firmware that the kernel has not found.

It reads and changes nothing. What the node does about heat and power is in docs/EMERGENCY.md.
"""

from __future__ import annotations

import os
import re

from tools.box import bootfs
from tools.doctor_host import BROKEN, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KERNEL_LOG = "/dev/kmsg"
_RECORD_BYTES_MAX = 8192
_FIRMWARE = re.compile(r"Direct firmware load for (\S+) failed|firmware: failed to load (\S+)")
# (reading, its value) -> what it is called, what to do
_BODY = {
    ("heat", "warm"): ("it is warm: models run slowly", "give the box air and shade"),
    ("heat", "hot"): ("it is hot: no model runs", "give the box air and shade, take it off other warm things"),
    ("heat", "critical"): ("it is far too hot: only radios and the console go on",
                           "give the box air and shade, a heat sink or a fan; it goes on by itself when it is cooler"),
    ("supply", "weak"): ("the power supply is too weak", "use the supply that is made for this board, with a short, "
                         "thick cable, and plug what draws much into a hub of its own"),
    ("power", "low"): ("the mains have failed and the battery is low", "bring the mains back, or another battery"),
}


def body(emergency: dict[str, Any]) -> list[Finding]:
    """Of a running node. emergency: what emergency.status says."""
    readings, found = dict(emergency["readings"]), []
    if emergency["body"].get("weak") == 1:
        readings["supply"] = "weak"  # a person who looks wants to know at once; for the node it has to last
    for (reading, value), (text, fix) in _BODY.items():
        if readings.get(reading) == value:
            heat_mc = emergency["body"].get("heat_mc")
            if reading == "heat" and heat_mc is not None:
                text = f"{heat_mc // 1000} degrees Celsius: {text}"
            found.append(Finding(reading, BROKEN, text, fix))
    return found


def firmware(log: str = KERNEL_LOG, facts: str = bootfs.FACTS) -> list[Finding]:
    """Firmware that a driver has asked for and that is not there; on the image only, and for who may read the log."""
    if not os.path.exists(facts):
        return []
    try:
        fd = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []  # root's alone, whatever its mode says (kernel.dmesg_restrict)
    names: dict[str, bool] = {}
    try:
        while record := _record(fd):
            for found in _FIRMWARE.finditer(record):
                names[found[1] or found[2]] = True
    finally:
        os.close(fd)
    if not names:
        return []
    return [Finding("firmware", BROKEN, f"the kernel has not found the firmware {', '.join(names)}: what needs it, "
                    "mostly a radio, stays silent",
                    "take an adapter that the image knows, or an image with this firmware")]


def _record(fd: int) -> str:
    """The next record of the kernel's log; "" after the last one."""
    while True:
        try:
            return os.read(fd, _RECORD_BYTES_MAX).decode("utf-8", "replace")
        except BlockingIOError:
            return ""
        except BrokenPipeError:
            continue  # the kernel has overwritten it meanwhile
