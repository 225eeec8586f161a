"""What is set wrong in BlueZ's own file for this link: read, judged and said in words; never changed.

Pure but for reading the file. The link works all the same, or mostly; each fault is a Reason for `waypost doctor`.
"""

from __future__ import annotations

from radios.ble.stack import Reason

FILE = "/etc/bluetooth/main.conf"
_BYTES_MAX = 65536
_EATT_OFF_FROM = (5, 69)  # before, notifications go over several bearers and overtake each other


def faults(version: tuple[int, ...], path: str = FILE) -> list[Reason]:
    """What should be otherwise in main.conf; none where it can't be read. version: BlueZ's, () when not known."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            values = parse(file.read(_BYTES_MAX))
    except OSError:
        return []
    out = []
    if values.get(("general", "controllermode"), "dual").lower() != "le":
        out.append(Reason.DUAL_MODE)
    if (not version or version < _EATT_OFF_FROM) and values.get(("gatt", "channels"), "3") != "1":
        out.append(Reason.CHANNELS)
    return out


def parse(text: str) -> dict[tuple[str, str], str]:
    """(section, key), both in small letters -> value, of an ini file; lines that are none are left out."""
    section = ""
    values: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            values[(section, key.strip().lower())] = value.strip()
    return values
