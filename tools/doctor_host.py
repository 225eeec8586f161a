"""What `waypost doctor` looks at on the machine: Python, packages, network, ports, and who holds a lock.

Each check gives findings and changes nothing. Linux only where /proc or /sys is read; elsewhere such a check says
nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sqlite3
import sys
from importlib.util import find_spec

from tools.box import bootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge.settings import Config

PYTHON_MIN = (3, 11)
PAGE_S = 30
OK, NOTE, BROKEN = "ok", "note", "broken"
_IFF_UP, _IFF_LOOPBACK, _IFF_MULTICAST = 0x1, 0x8, 0x1000
_OPTIONAL = (
    ("sqlite_utils", "queries of the database by hand", "pip install 'waypost[tools]'"),
    ("meshtastic", "waypost radio setup, for Meshtastic radios", "pip install 'waypost[meshtastic]'"),
    ("libzim", "knowledge packs with ZIM files", "pip install 'waypost[zim]'"),
    ("cbor2", "reading messages with other tools; the tests", "pip install cbor2"),
)


class Finding:
    """One line of the report. state: "ok", "note" or "broken"; fix: what to do, "" when nothing is to be done."""

    __slots__ = ("check", "state", "text", "fix")

    def __init__(self, check: str, state: str, text: str, fix: str = "") -> None:
        self.check = check
        self.state = state
        self.text = text
        self.fix = fix

    def to_dict(self) -> dict[str, str]:
        """As --json prints it."""
        return {"check": self.check, "state": self.state, "text": self.text, "fix": self.fix}


def python() -> list[Finding]:
    """The interpreter and its SQLite."""
    version = tuple(sys.version_info[:3])
    shown = "Python " + ".".join(map(str, version))
    if version >= PYTHON_MIN:
        out = [Finding("python", OK, shown)]
    else:
        out = [Finding("python", BROKEN, f"{shown} is too old", "install Python 3.11 or newer")]
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(x)")
        out.append(Finding("sqlite", OK, f"SQLite {sqlite3.sqlite_version} with full-text search"))
    except sqlite3.Error as error:
        out.append(Finding("sqlite", BROKEN, f"SQLite {sqlite3.sqlite_version} has no full-text search: {error}",
                           "use the Python of the distribution: its SQLite has FTS5"))
    finally:
        db.close()
    return out


def packages() -> list[Finding]:
    """Required packages, which must work, and optional ones."""
    out = []
    try:
        from edge.compat import crypto

        public = crypto.public_key(bytes(32))
        good = crypto.verify(public, b"waypost", crypto.sign(bytes(32), b"waypost"))
        out.append(Finding("nacl", OK if good else BROKEN, f"{crypto.BACKEND}" if good else "PyNaCl signs wrongly",
                           "" if good else "pip install --force-reinstall pynacl"))
    except ImportError as error:
        out.append(Finding("nacl", BROKEN, f"PyNaCl, which signs and encrypts, can't be loaded: {error}",
                           "pip install pynacl"))
    if find_spec("microdot") is None:
        out.append(Finding("microdot", BROKEN, "microdot, which serves the page, is missing", "pip install microdot"))
    else:
        out.append(Finding("microdot", OK, "microdot is there"))
    if shutil.which("avahi-publish") or find_spec("zeroconf") is not None:
        out.append(Finding("mdns", OK, "avahi-publish" if shutil.which("avahi-publish") else "zeroconf is there"))
    else:
        out.append(Finding("mdns", NOTE, "neither avahi-publish nor zeroconf is there: the node is not announced by "
                           "mDNS (nodes find each other all the same)",
                           "apt install avahi-utils, or pip install 'waypost[mdns]'"))
    for name, use, fix in _OPTIONAL:
        if find_spec(name) is None:
            out.append(Finding(name, NOTE, f"{name} is missing; it serves {use}",
                               "" if os.path.exists(bootfs.FACTS) else fix))  # an image has what it has
    return out


def network(config: Config) -> list[Finding]:
    """Interfaces that can carry the LAN link."""
    if not config["lan.enabled"]:
        return []
    try:
        names = sorted(os.listdir("/sys/class/net"))
    except OSError:
        return []
    wanted = config["lan.interfaces"]
    missing = [name for name in wanted if name not in names]
    out = [Finding("network", BROKEN, f"there is no network interface {name}",
                   f"set lan.interfaces to some of: {', '.join(names)}") for name in missing]
    good = []
    for name in names:
        flags = _flags(name)
        if flags & _IFF_UP and flags & _IFF_MULTICAST and not flags & _IFF_LOOPBACK and (not wanted or name in wanted):
            good.append(name)
    if good:
        out.append(Finding("network", OK, f"multicast on {', '.join(good)}"))
    elif not missing:
        out.append(Finding("network", NOTE, "no network that is up can carry multicast: only nodes on this machine are "
                           "found by themselves", "plug in a cable or join a Wi-Fi; or name neighbours in lan.peers"))
    return out


def ports(config: Config) -> list[Finding]:
    """Whether the ports that a node would take are free; asked only while it does not run."""
    out = []
    if config["web.enabled"] and config["web.port"]:
        out.append(_port("web", "web.port", config["web.host"], config["web.port"]))
    if config["lan.enabled"] and config["lan.port"]:
        out.append(_port("lan", "lan.port", "", config["lan.port"]))
    return out


def page(config: Config) -> Finding:
    """Whether the page of the running node answers."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(config["web.host"], config["web.host"])
    place = f"the page at port {config['web.port']}"
    try:
        with socket.create_connection((host, config["web.port"]), timeout=PAGE_S) as connection:
            connection.settimeout(PAGE_S)
            connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            first = connection.recv(256).split(b"\r\n")[0]
    except OSError as error:
        return Finding("web", BROKEN, f"{place} does not answer: {error}", "see waypost status")
    if b" 200 " not in first + b" ":
        return Finding("web", BROKEN, f"{place} answers {first.decode('ascii', 'replace')}", "see waypost status")
    return Finding("web", OK, f"{place} answers")


def lock_holder(path: str) -> int | None:
    """The process that holds the lock on a file: its id, 0 when it can't be told, None when nobody does."""
    try:
        facts = os.stat(path)
        with open("/proc/locks", encoding="ascii") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5] == place:
            return max(0, int(words[4]))
    return None


def owner(port: int) -> str:
    """Which process listens at a TCP port, as " by NAME (process ID)", as far as this user may know; else ""."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file.read().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        if wanted & _open_files(pid):
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return f" by {file.read().strip()} (process {pid})"
            except OSError:
                pass
    return ""


def _flags(name: str) -> int:
    try:
        with open(f"/sys/class/net/{name}/flags", encoding="ascii") as file:
            return int(file.read(), 16)
    except (OSError, ValueError):
        return 0


def _port(check: str, key: str, host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = {"": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            trial.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(check, BROKEN, f"TCP port {port} is taken{owner(port)}",
                               f"end that program, or set {key} to another port (0: any free one); then waypost "
                               "restart")
            if error.errno == errno.EACCES:
                return Finding(check, BROKEN, f"TCP port {port} may not be used by this user",
                               f"set {key} to 1024 or more")
            return Finding(check, BROKEN, f"can't listen on {host or 'any address'}, port {port}: {error}",
                           f"check {check}.host and {key}" if check == "web" else f"check {key}")
    return Finding(check, OK, f"TCP port {port} is free")


def _open_files(pid: str) -> set[str]:
    out = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                out.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                pass  # closed meanwhile
    except OSError:
        pass  # somebody else's process
    return out
