"""`waypost disk | time | net`: the machine around the node, as far as a person at it can mend it.

They read /proc and /sys and the node's directory, need no running node and change nothing but, for `time --set`, the
clock. What is wrong is said with what to do, by `waypost doctor` as well.
"""

from __future__ import annotations

import os
import socket
import time

from edge.errors import WaypostError
from tools import cli_show as show
from tools import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

FILES = ("waypost.db", "waypost.db-wal")
_RTF_GATEWAY = 0x2
_BLOCK_BYTES = 512


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the three."""
    if parser.prog.endswith(" time"):
        parser.add_argument("--set", metavar="'YYYY-MM-DD HH:MM'", dest="to", default=None,
                            help="set this machine's clock, in its time zone; needs root")


def disk(args: argparse.Namespace) -> int:
    """waypost disk"""
    rows = [facts for path in dict.fromkeys(("/", "/boot/firmware", args.dir)) if (facts := _file_system(path))]
    held = {name: os.path.getsize(path) for name in FILES
            if os.path.exists(path := os.path.join(args.dir, name))}
    if args.json:
        show.print_json({"file_systems": rows, "node": held, "devices": _devices()})
        return 0
    print(show.table(("MOUNTED", "DEVICE", "KIND", "SIZE", "FREE", ""), [
        (row["path"], row["device"], row["kind"], show.size(row["size_bytes"]), show.size(row["free_bytes"]),
         "read-only" if row["read_only"] else "") for row in rows]))
    print("node's files: " + (", ".join(f"{name} {show.size(size)}" for name, size in held.items()) or "none yet"))
    for row in _devices():
        wear = f"; life used: {row['life_used']}" if row["life_used"] else ""
        print(f"{row['name']}: {show.size(row['written_bytes'])} written since it was started{wear}")
    return 0


def time_(args: argparse.Namespace) -> int:
    """waypost time [--set WHEN]"""
    if args.to is not None:
        _set_clock(args.to)
    now_ms, quality = clock.read()
    facts = {"time_ms": now_ms, "quality": quality, "zone": time.strftime("%Z %z"), "rtc": os.path.exists("/dev/rtc0")}
    if args.json:
        show.print_json(facts)
        return 0
    print(f"now     {show.when(now_ms)} {facts['zone']}")
    print(f"source  {show.QUALITIES[quality]}")
    print(f"clock   {'battery-backed (/dev/rtc0)' if facts['rtc'] else 'none that goes on without power'}")
    if quality < 2:
        print("Nothing vouches for this time. A node takes its neighbours' time when they are near; or --set it.")
    return 0


def net(args: argparse.Namespace) -> int:
    """waypost net"""
    facts: dict[str, Any] = {"interfaces": _interfaces(), "gateways": _gateways(), "resolvers": _resolvers(),
                             "host": socket.gethostname()}
    if args.json:
        show.print_json(facts)
        return 0
    print(show.table(("INTERFACE", "STATE", "HARDWARE", "ADDRESSES"), [
        (row["name"], row["state"], row["hardware"], " ".join(row["addresses"])) for row in facts["interfaces"]]))
    ways = ", ".join(f"{row['gateway']} by {row['interface']}" for row in facts["gateways"])
    print(f"way out    {ways or 'none: this is fine, the node needs no internet'}")
    print(f"resolvers  {', '.join(facts['resolvers']) or 'none'}")
    print(f"host name  {facts['host']}")
    return 0


# --- disk


def _file_system(path: str) -> dict[str, Any] | None:
    """Where `path` lies: mount point, device, kind, sizes; None where it isn't there."""
    try:
        room = os.statvfs(path)
        real = os.path.realpath(path)
    except OSError:
        return None
    best = ("", "?", "?")
    for line in _lines("/proc/self/mounts"):
        device, point, kind = line.split()[:3]
        point = point.replace("\\040", " ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, device, kind)
    return {"path": path, "device": best[1], "kind": best[2], "size_bytes": room.f_blocks * room.f_frsize,
            "free_bytes": room.f_bavail * room.f_frsize, "read_only": bool(room.f_flag & os.ST_RDONLY)}


def _devices() -> list[dict[str, Any]]:
    """Cards and disks: bytes written since the start; how much of its life an eMMC says that it has used."""
    out = []
    for name in sorted(os.listdir("/sys/block")) if os.path.isdir("/sys/block") else []:
        if not name.startswith(("mmcblk", "sd", "nvme", "vd")) or "boot" in name:
            continue
        words = " ".join(_lines(f"/sys/block/{name}/stat")).split()
        life = " ".join(_lines(f"/sys/block/{name}/device/life_time")).split()
        worst = max((int(one, 16) for one in life), default=0)
        out.append({"name": name, "written_bytes": int(words[6]) * _BLOCK_BYTES if len(words) > 6 else 0,
                    "life_used": f"{(worst - 1) * 10} to {worst * 10} %" if 0 < worst <= 10 else
                    "all of it" if worst > 10 else ""})
    return out


# --- time


def _set_clock(text: str) -> None:
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"):
        try:
            moment_s = time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
        try:
            time.clock_settime(time.CLOCK_REALTIME, moment_s)
        except OSError as error:
            raise WaypostError(f"the clock can't be set: {error.strerror}", where="--set",
                               hint="run it as root") from None
        return
    raise WaypostError(f'"{text}" is no time', where="--set", allowed="'YYYY-MM-DD HH:MM'")


# --- network


def _interfaces() -> list[dict[str, Any]]:
    out = []
    addresses = _addresses()
    for name in sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else []:
        if not os.path.isdir(f"/sys/class/net/{name}"):
            continue
        state = "".join(_lines(f"/sys/class/net/{name}/operstate"))
        if state == "unknown":
            state = "up" if name == "lo" or addresses.get(name) else "unknown"
        if state == "down" and "".join(_lines(f"/sys/class/net/{name}/carrier")) == "0":
            state = "no cable" if not os.path.isdir(f"/sys/class/net/{name}/wireless") else "not joined"
        out.append({"name": name, "state": state, "hardware": "".join(_lines(f"/sys/class/net/{name}/address")),
                    "addresses": addresses.get(name, [])})
    return out


def _addresses() -> dict[str, list[str]]:
    """Addresses by interface, IPv4 from the routing table's local part, IPv6 from its own."""
    out: dict[str, list[str]] = {}
    for line in _lines("/proc/net/if_inet6"):
        digits, _, width, _, _, name = line.split()
        text = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
        out.setdefault(name, []).append(f"{text}/{int(width, 16)}")
    for _, name in socket.if_nameindex():
        address = _ipv4(name)
        if address:
            out.setdefault(name, []).insert(0, address)
    return out


def _ipv4(name: str) -> str:
    """The first IPv4 address of an interface (netdevice(7), SIOCGIFADDR and SIOCGIFNETMASK); "" for none."""
    import fcntl

    request = name.encode()[:15].ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            address, mask = (fcntl.ioctl(asked.fileno(), number, request)[20:24] for number in (0x8915, 0x891B))
        except OSError:
            return ""
    return f"{socket.inet_ntoa(address)}/{int.from_bytes(mask, 'big').bit_count()}"


def _gateways() -> list[dict[str, str]]:
    out = []
    for line in _lines("/proc/net/route")[1:]:
        words = line.split()
        if words[1] == "00000000" and int(words[3], 16) & _RTF_GATEWAY:
            out.append({"interface": words[0], "gateway": socket.inet_ntoa(bytes.fromhex(words[2])[::-1])})
    return out


def _resolvers() -> list[str]:
    rows = [line.split() for line in _lines("/etc/resolv.conf")]
    return [words[1] for words in rows if len(words) > 1 and words[0] == "nameserver"]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
