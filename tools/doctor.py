"""`waypost doctor`: looks at everything a node needs, names each broken thing and says how to mend it.

It works whether or not the node runs and changes nothing but a file that it makes and removes to see whether the disk
can be written. A missing optional package is a note. Checks of the machine are in tools/doctor_host.py; this module
has those of the node's directory, the running node, and the report.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat

from edge import config as settings
from edge import keys
from edge.errors import ConfigError, KeyFileError, StoreError, WaypostError
from edge.store import files
from tools import cli_show as show
from tools import clock, doctor_box, doctor_community, doctor_host, doctor_library, doctor_models, restart_cli
from tools.box import bootfs
from tools.cli_run import card_trouble
from tools.doctor_host import BROKEN, NOTE, OK, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from edge.settings import Config

FREE_BYTES_MIN = 20 << 20
FREE_BYTES_NOTE = 200 << 20
CLOCK_BACK_S = 60
ROOM = "waypost disk shows it; waypost model remove, waypost pack remove"
DAMAGED = ("put a backup back: waypost backup --restore; or: waypost repair moves it aside and the node begins with an "
           "empty one, which neighbours fill")
STORE = "waypost disk shows the room, waypost doctor the state of the card"
BOOT_CHECKS = ("python", "sqlite", "nacl", "microdot", "directory", "identity", "database", "node", "control", "store")


def run(args: argparse.Namespace) -> int:
    """waypost doctor"""
    found = boot_test(args.dir, args.overrides) if args.boot else examine(args.dir, args.overrides)
    if args.broken:
        found = [one for one in found if one.state == BROKEN or (one.check, one.state) == ("node", NOTE)]
    if args.json:
        show.print_json([one.to_dict() for one in found])
    else:
        show.findings(found)
    broken = [one.check for one in found if one.state == BROKEN]
    if broken and not args.json:
        print(f"\nbroken: {', '.join(dict.fromkeys(broken))}")
    elif not found and not args.json:
        print("nothing is broken")
    return 1 if broken else 0


def examine(directory: str, overrides: list[str]) -> list[Finding]:
    """All findings, in the order in which a person should mend them."""
    config, about_config = _config(directory, overrides)
    running, about_node = _node(directory, config)
    found = [*doctor_host.python(), *doctor_host.packages(), *_card(), *doctor_box.firmware(), *_directory(directory)]
    if os.path.isdir(directory) and not os.access(directory, os.R_OK | os.X_OK):
        return found  # nothing in it can be looked at, and what seems not to be there may well be
    found += [*about_config, *_identity(directory), *_database(directory, config), *_clock(directory), *about_node]
    found += [*doctor_models.models(directory, config),
              *doctor_community.community(directory, config), *doctor_library.library(directory, config)]
    found += doctor_host.network(config)
    if config["ble.enabled"]:
        from tools import doctor_ble

        found += doctor_ble.examine(config, running)
    return found if running else found + doctor_host.ports(config)


def boot_test(directory: str, overrides: list[str]) -> list[Finding]:
    """Whether the software works: what a new system on the SD-card image is kept or taken back for. What a steward has
    written wrong, an empty card or a missing radio is no reason to take a system back."""
    found = [one for one in examine(directory, overrides) if one.check in BOOT_CHECKS]
    if not any(one.check == "node" and one.state == OK for one in found):
        found = [one for one in found if one.check != "node"]
        return [*found, Finding("node", BROKEN, "it does not run", "see the log: waypost log")]
    config = settings.load(directory, overrides)[0]
    return [*found, doctor_host.page(config)] if config["web.enabled"] else found


def _card() -> list[Finding]:
    said = card_trouble()
    if not said:
        return []
    return [Finding("card", BROKEN, f"the card can't keep data: {said}; the node is in memory",
                    "take a copy on a stick (waypost backup --identity, waypost backup), power off, put in a new card "
                    "with the image; what is new since then is lost")]


def _directory(directory: str) -> list[Finding]:
    check = "directory"
    if not os.path.isdir(directory):
        if os.path.lexists(directory):
            return [Finding(check, BROKEN, f"{directory} is not a directory", "choose another with --dir")]
        above = os.path.dirname(directory)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        if not os.access(above, os.W_OK | os.X_OK):
            return [Finding(check, BROKEN, f"{directory} is not there and can't be made in {above}",
                            f"make it for this user, or choose another with --dir: mkdir {directory}")]
        return [Finding(check, NOTE, f"{directory} is not there yet", "the node makes it when it starts")]
    out = [_writable(directory)]
    room = os.statvfs(directory)
    free_bytes = room.f_bavail * room.f_frsize
    text = f"{show.size(free_bytes)} free for {directory}"
    if free_bytes < FREE_BYTES_MIN or (room.f_files and room.f_favail < 100):
        out.append(Finding("disk", BROKEN, f"the disk is full: {text}",
                           f"free some space ({ROOM}); till then nothing is kept"))
    elif free_bytes < FREE_BYTES_NOTE:
        out.append(Finding("disk", NOTE, f"the disk is nearly full: {text}", f"free some space: {ROOM}"))
    else:
        out.append(Finding("disk", OK, text))
    return out


def _writable(directory: str) -> Finding:
    path = os.path.join(directory, f".doctor-{os.getpid()}")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"waypost doctor\n")
            os.fsync(fd)
        finally:
            os.close(fd)
            os.unlink(path)
    except OSError as error:
        fix = {
            30: "take a copy (waypost backup --identity, waypost backup), then put in a new card: one that turned "
                f"read-only is worn out; a disk that is whole can be remounted: mount -o remount,rw {directory}",
            28: f"free some space: {ROOM}",
        }.get(error.errno or 0, "run this as the user who runs the node; if that is this one, give it to this user: "
              f"chown -R {os.geteuid()} {directory}")
        return Finding("directory", BROKEN, f"{directory} can't be written: {error.strerror}", fix)
    mode = os.stat(directory).st_mode
    if mode & 0o022:
        return Finding("directory", BROKEN, f"others can write in {directory} (mode {stat.S_IMODE(mode):04o})",
                       f"waypost repair, or: chmod 700 {directory}")
    return Finding("directory", OK, f"{directory} can be written")


def _config(directory: str, overrides: list[str]) -> tuple[Config, list[Finding]]:
    from boards import loader

    config, problems = settings.load(directory, overrides)
    out = []
    for one in problems:
        text = f"{one.where}: {one.message}" + (f"; allowed: {one.allowed}" if one.allowed else "")
        out.append(Finding("config", BROKEN, text, one.hint or "mend that line; until then the default is used"))
    path = os.path.join(directory, settings.FILE_NAME)
    if not problems:
        text = path if os.path.exists(path) else "all settings have their defaults"
        out.append(Finding("config", OK, text))
    if config["community.key"] and os.path.exists(path) and os.stat(path).st_mode & 0o077 and not problems:
        out.append(Finding("config", NOTE, f"{path} holds the community key and others can read it",
                           f"waypost repair, or: chmod 600 {path}"))
    try:
        board = loader.load(config["node.board"])
        machine = os.uname().machine
        if board.arch and machine not in board.arch:
            out.append(Finding("board", NOTE, f"{board.name} is for {', '.join(board.arch)}; this machine is {machine}",
                               "set node.board to the board that this is"))
        else:
            out.append(Finding("board", OK, f"{board.name}: {board.summary}"))
    except ConfigError as error:
        out.append(Finding("board", BROKEN, error.message, f"{error.hint}; allowed: {error.allowed}"))
    return config, out


def _identity(directory: str) -> list[Finding]:
    path = os.path.join(directory, keys.FILE_NAME)
    if not os.path.lexists(path):
        state = BROKEN if os.path.exists(os.path.join(directory, "waypost.db")) else NOTE
        fix = "the node makes it when it starts"
        if state == BROKEN:
            fix = ("put it back from your own copy: waypost backup --identity --restore FILE; if there is none, the "
                   "node makes a new identity when it starts: waypost restart")
        return [Finding("identity", state, f"{path} is not there", fix)]
    try:
        seed = keys.load(directory)
    except KeyFileError as error:
        return [Finding("identity", BROKEN, f"{error.where}: {error.message}", error.hint)]
    from edge.compat import crypto

    return [Finding("identity", OK, f"{crypto.public_key(seed).hex()} in {path}")]


def _database(directory: str, config: Config) -> list[Finding]:
    from edge.store.schema import check_version

    path = os.path.join(directory, "waypost.db")
    if not os.path.exists(path):
        return [Finding("database", NOTE, f"{path} is not there", "the node makes it when it starts")]
    try:
        with contextlib.closing(files.connect(path, "ro")) as db:
            version = check_version(db, path)
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except StoreError as error:
        return [Finding("database", BROKEN, f"{path}: {error.message}", error.hint)]
    except sqlite3.Error as error:
        fix = DAMAGED
        if "unable to open" in str(error):
            fix = f"check that this user may read {path} and write its directory"
        return [Finding("database", BROKEN, f"{path}: {error}", fix)]
    if said != "ok":
        return [Finding("database", BROKEN, f"{path} is damaged: {said}",
                        DAMAGED)]
    size_bytes = os.path.getsize(path)
    quota_bytes = config["store.quota_mb"] * 1000000
    return [Finding("database", OK, f"schema {version}, {show.size(size_bytes)} of {show.size(quota_bytes)}, sound")]


def _clock(directory: str) -> list[Finding]:
    now_ms, quality = clock.read()
    shown = show.when(now_ms)
    newest_s = _newest_s(os.path.join(directory, "waypost.db"))
    fix = "set it: waypost time --set 'YYYY-MM-DD HH:MM'; with internet also: timedatectl set-ntp true"
    if quality == 0:
        return [Finding("clock", BROKEN, f"the clock says {shown}, which can't be", fix)]
    if newest_s and now_ms // 1000 < newest_s - CLOCK_BACK_S:
        return [Finding("clock", BROKEN, f"the clock says {shown}, but this node has signed something at "
                        f"{show.when(newest_s * 1000)}", fix)]
    if quality == 1:
        return [Finding("clock", NOTE, f"{shown}; nothing vouches for it: no NTP, no battery-backed clock",
                        "after a power cut the node takes the time from its neighbours")]
    return [Finding("clock", OK, f"{shown} ({show.QUALITIES[quality]})")]


def _newest_s(path: str) -> int:
    """When the node last knew the time, in unix seconds; 0 when it can't be told."""
    if not os.path.exists(path):
        return 0
    try:
        with contextlib.closing(files.connect(path, "ro")) as db:
            row = db.execute("SELECT max(value) FROM kept WHERE key IN ('hlc', 'own.hlc')").fetchone()
    except sqlite3.Error:
        return 0  # the database check says so
    return (int(row[0]) >> 16) if row and row[0] else 0


def _node(directory: str, config: Config) -> tuple[bool, list[Finding]]:
    """Whether it runs, and what it says of itself."""
    from tools.client import Client

    held = doctor_host.lock_holder(os.path.join(directory, "waypost.lock"))
    socket_path = os.path.join(directory, "control.sock")
    if held is None:
        if os.path.lexists(socket_path) and not stat.S_ISSOCK(os.lstat(socket_path).st_mode):
            return False, [Finding("control", BROKEN, f"{socket_path} is not a socket",
                                   f"move it away: waypost repair, or: mv {socket_path} {socket_path}.old")]
        start = "waypost restart" if restart_cli.has_service() else f"waypost --dir {directory} run"
        return False, [Finding("node", NOTE, "it is not running", start)]
    try:
        with Client(directory) as client:
            facts = client.call("node.status@1", deadline_ms=5000)
            emergency = client.call("emergency.status@1", deadline_ms=5000)
    except WaypostError as error:
        process = f"process {held}" if held else "a process"
        return True, [Finding("control", BROKEN, f"{process} holds the directory but does not answer: {error.message}",
                              f"waypost restart ends it, as does kill {held or 'PID'}; then it has to be started "
                              "again, which a service is by itself")]
    out = [Finding("node", OK, f"it runs, for {show.ago(facts['up_s'] * 1000)}"), *doctor_box.body(emergency)]
    strange = [name for name, link in (facts.get("links") or {}).items() if link.get("announce.community_key")]
    if strange:
        out.append(Finding("community", NOTE, "nodes of another community, or without a community key, have been heard "
                           f"on {', '.join(strange)}; this node does not talk to them",
                           "if they belong to you, give all of them the same community.key"))
    for one in facts.get("trouble", []):
        fix = STORE if one["part"] == "store" else "see waypost status"
        if (one["part"], one["reason"]) == ("web", "listen"):
            taken = doctor_host.owner(config["web.port"])
            fix = f"where another program has the port{taken}, end it, or set web.port; then waypost restart"
        elif one["part"] == "ble" and os.path.exists(bootfs.FACTS):
            from tools.doctor_ble import REBOOT

            fix = REBOOT
        out.append(Finding(one["part"], BROKEN, one["text"], fix))
    return True, out
