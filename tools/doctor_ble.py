"""What `waypost doctor` looks at for Bluetooth, where ble.enabled is set: the package, bluetoothd, the adapter, and
BlueZ's own settings. It asks and changes nothing: an adapter that is off stays off.
"""

from __future__ import annotations

import asyncio
import os
import re

from radios.ble import settings
from radios.ble.bluez import BlueZ
from radios.ble.stack import TEXTS, BleDown, Reason
from tools.box import bootfs
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.settings import Config

CHECK = "bluetooth"
REBOOT = "waypost reboot starts it anew; if that does not help, take another adapter"  # the image has no shell for more
_RESTARTS = (Reason.NO_DBUS, Reason.NO_BLUEZ, Reason.BLOCKED, Reason.OFF)


def examine(config: Config, running: bool, conf: str = settings.FILE) -> list[Finding]:
    """The findings; none where Bluetooth is not wanted. running: the node itself tells what is broken."""
    if not config["ble.enabled"]:
        return []
    stack = BlueZ(config["ble.adapter"])
    out: list[Finding] = []
    try:
        facts = asyncio.run(stack.look())
        shown = f"{facts['adapter']} {facts['address']}, BlueZ {facts['bluez']}"
        out.append(Finding(CHECK, OK, shown + ("" if facts["powered"] else "; it is off, the node switches it on")))
        if not facts["can_serve"]:
            out.append(finding(Reason.NO_PERIPHERAL, "", NOTE))
    except BleDown as down:
        if not running:
            out.append(finding(down.reason, down.detail, BROKEN))
    version = stack.version
    return out + [finding(reason, "", NOTE) for reason in settings.faults(version, conf)]


def finding(reason: Reason, detail: str, state: str) -> Finding:
    """A reason as a line of the report: what is so, and what to do."""
    said, _, fix = TEXTS[reason].partition(":") if ":" in TEXTS[reason] else TEXTS[reason].partition(";")
    fix = re.sub(r"\s+", " ", fix.strip())
    if reason in _RESTARTS and os.path.exists(bootfs.FACTS):
        fix = REBOOT
    return Finding(CHECK, state, said.strip() + (f" ({detail})" if detail else ""), fix)
