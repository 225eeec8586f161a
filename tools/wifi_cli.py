"""`waypost wifi`: what the settings want of Wi-Fi, and what the radios do.

It reads the settings, /sys and what `iw` says, and changes nothing: Wi-Fi is set up by waypost.toml on the card
(docs/IMAGE.md). What stands in the way is said with what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from edge import config
from tools import cli_show as show

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_WANTED = {"off": "off", "client": "join {ssid}, and make {own} while the node asks for it", "ap": "make {own}",
           "both": "join {ssid} and make {own}"}


def run(args: argparse.Namespace) -> int:
    """waypost wifi"""
    settings = config.load(args.dir, args.overrides)[0]
    mode = settings["net.wifi"]
    own = settings["net.ap_ssid"] or settings["node.name"] or "waypost"
    wanted = _WANTED[mode].format(ssid=f'"{settings["net.ssid"]}"', own=f'"{own}"')
    faces = interfaces()
    hints = _hints(mode, settings["net.country"], faces)
    if args.json:
        show.print_json({"wanted": mode, "country": settings["net.country"], "interfaces": faces, "hints": hints})
        return 0
    print(f"wanted   {wanted}" + (f", in {settings['net.country']}" if settings["net.country"] else ""))
    for face in faces:
        words = [face["kind"]]
        if face["ssid"]:
            words.append(f'"{face["ssid"]}"')
        if face["channel"]:
            words.append(f"channel {face['channel']}")
        if face["signal_dbm"] is not None:
            words.append(f"{face['signal_dbm']} dBm")
        if face["stations"] is not None:
            words.append(f"{face['stations']} joined")
        print(f"{face['name']:<8} {', '.join(show.clean(word) for word in words)}")
    for hint in hints:
        print(f"{'':8} -> {hint}")
    return 0


def interfaces(folder: str = "/sys/class/net") -> list[dict[str, Any]]:
    """The Wi-Fi interfaces: name, kind ("client", "access point", "down" or what iw calls it), ssid, channel,
    signal_dbm of the network joined, and stations that have joined ours; None where it does not apply."""
    out = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if not os.path.exists(os.path.join(folder, name, "phy80211")):
            continue
        info = _iw("dev", name, "info")
        said = _found(r"\ttype (\S+)", info)
        kind = {"managed": "client", "AP": "access point"}.get(said, said)
        ssid = _found(r"\tssid (.+)", info)
        signal, stations = None, None
        if kind == "client":
            link = _iw("dev", name, "link")
            ssid = _found(r"SSID: (.+)", link)
            said = _found(r"signal: (-?\d+) dBm", link)
            signal = int(said) if said else None
        elif kind == "access point":
            stations = len(re.findall(r"^Station ", _iw("dev", name, "station", "dump"), re.MULTILINE))
        out.append({"name": name, "kind": kind or "down", "ssid": ssid, "channel": _found(r"channel (\d+)", info),
                    "signal_dbm": signal, "stations": stations})
    return out


def _hints(mode: str, country: str, faces: list[dict[str, Any]]) -> list[str]:
    if mode == "off":
        return ["set net.wifi in waypost.toml on the card to switch it on"] if faces else []
    out = []
    if not country:
        out.append('net.country is empty: Wi-Fi stays off until waypost.toml says where the box is, such as "DE"')
    if not faces:
        out.append("no Wi-Fi is there: dmesg says whether its firmware was found")
    if mode in ("client", "both") and country and faces and not any(
        face["kind"] == "client" and face["ssid"] for face in faces
    ):
        out.append("it has joined nothing: check net.ssid and net.password, and whether that Wi-Fi is in reach")
    return out


def _iw(*words: str) -> str:
    if shutil.which("iw") is None:
        return ""
    try:
        return subprocess.run(["iw", *words], capture_output=True, text=True, timeout=10).stdout
    except subprocess.TimeoutExpired:
        return ""


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
