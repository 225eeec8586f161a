"""Before the node starts: the card's waypost.toml becomes the node's settings, the box's name, time zone and network.

What is wrong goes in words to waypost-errors.txt beside it, to the serial line and, by the node, to the page. Nothing
that a file can hold keeps the box from starting: each bad setting has its default, and where the whole file can't be
read or is empty, the last one that could is used.

    python3 -I -m tools.box.configure
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import sys
import traceback
import unicodedata

from edge import config, tomlfile
from edge.errors import ConfigError, WaypostError
from tools.box import bootfs, checks, database, network, trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NODE, USER = "/data/waypost", "waypost"
ERRORS = "waypost-errors.txt"
_BLOCK_BYTES = 4096  # of the data partition's file system


def main() -> int:
    """Do it; 0 also where something is wrong, for the node must start."""
    problems: list[str] = []
    raw = None
    with _come_what_may("the card's waypost.toml can't be used; the last settings are", problems):
        raw = _settings_of_this_start(problems)
    if raw is None:
        raw = _older(NODE)
    said, on_trial = "", False
    with _come_what_may("it can't be said whether an update is on trial", problems):
        on_trial = bootfs.facts().get("trial") == "yes"
    try:
        said = database.keep_copy(NODE) if on_trial else database.put_back(NODE)
    except WaypostError as error:
        trial.go_back(f"{error.message}; {error.hint}" if error.hint else error.message)
    if said:
        print(f"waypost-update: {said}", flush=True)
    settings = config.filled()
    with _come_what_may("the settings can't be used", problems):
        settings = config.filled(config.read(config.FILE_NAME, raw)[0])
        problems += checks.problems(raw) + (checks.notes(raw) if not checks.blank(raw) else [])
    name = settings["node.name"] or "waypost"
    with _come_what_may("name, time zone and network can't be set up", problems):
        set_up(settings.values, name, "/")
    with _come_what_may("the machine's name can't be set", problems):
        socket.sethostname(host_name(name))
    for one in problems:
        print(f"waypost.toml: {one}", flush=True)
    unwritten: list[str] = []
    with _come_what_may("what is wrong can't be written to the card", unwritten):
        tell(problems)
    for one in unwritten:
        print(f"waypost.toml: {one}", flush=True)
    return 0


@contextlib.contextmanager
def _come_what_may(what: str, problems: list[str]) -> Iterator[None]:
    """Whatever goes wrong in the block is told in words and ends there: the box has to start."""
    try:
        yield
    except (WaypostError, OSError) as error:
        problems.append(f"{what}: {error}")
    except Exception as fault:
        traceback.print_exc()
        problems.append(f"{what}: {type(fault).__name__}; please report it")


def _settings_of_this_start(problems: list[str]) -> bytes:
    """The card's file, taken over, or where it can't be used the one of the last start."""
    try:
        with bootfs.mounted(False) as folder:
            raw = read(folder)
    except (WaypostError, OSError) as error:
        problems.append(f"the card's waypost.toml can't be read ({error}); the last settings are used")
        return _older(NODE)
    raw, wrong = take_over(raw, NODE)
    problems += wrong
    return raw


def read(folder: str) -> bytes:
    """The file on the boot partition; empty where there is none."""
    try:
        with open(os.path.join(folder, config.FILE_NAME), "rb") as file:
            return file.read(tomlfile.BYTES_MAX + 1)
    except FileNotFoundError:
        return b""


def _is_toml(raw: bytes) -> bool:
    try:
        tomlfile.parse(config.FILE_NAME, raw)
    except ConfigError:
        return False
    return not checks.blank(raw)


def _older(directory: str) -> bytes:
    try:
        return read(directory)
    except OSError:
        return b""


def take_over(raw: bytes, directory: str) -> tuple[bytes, list[str]]:
    """Make `raw` the node's file, unless it is no TOML or nothing at all and an older one is there.

    Gives the settings of this start, and what is wrong.
    """
    older = _older(directory)
    if _is_toml(older) and raw != older:
        keep = "the settings of the last start are used"
        try:
            tomlfile.parse(config.FILE_NAME, raw)
        except ConfigError as error:
            return older, [f"{checks.said(error)}. Until that is mended, {keep}"]
        if checks.blank(raw):
            return older, [f"the card's waypost.toml is missing or empty: {keep}. To take all settings back, write a "
                           "file that has comments only"]
    if raw == older:
        return raw, []
    path = os.path.join(directory, config.FILE_NAME)
    try:
        _write(path, raw)
    except OSError as error:
        wrong = f"{path} can't be written ({error.strerror}): name, time zone and network are as the card's file says"
        return raw, [wrong + ", all else as at the last start, until there is room again"]
    return raw, []


def _write(path: str, raw: bytes) -> None:
    """The file whole or as it was. On a full disk it is written in its place, where that takes no more room: the card
    still has it, so that after a power cut the next start mends it."""
    temporary = path + ".new"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        if os.geteuid() == 0:
            shutil.chown(temporary, USER, USER)
        os.replace(temporary, path)
    except OSError as error:
        has = os.path.getsize(path) if os.path.exists(path) else 0
        if error.errno != errno.ENOSPC or len(raw) > -(-has // _BLOCK_BYTES) * _BLOCK_BYTES:
            raise
        with open(path, "r+b") as out:
            out.write(raw)
            out.truncate()
            out.flush()
            os.fsync(out.fileno())
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def set_up(settings: dict[str, object], name: str, root: str) -> None:
    """Write network, host name and time zone below `root`, as far as they are right (tools/box/checks.py tells)."""
    files, _ = network.files(settings, name)
    host = host_name(name)
    files["etc/hostname"] = host + "\n"
    files["etc/hosts"] = f"127.0.0.1 localhost\n127.0.1.1 {host}\n::1 localhost ip6-localhost ip6-loopback\n"
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        private = os.path.basename(path).startswith("wifi-")  # it has the password
        with open(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644), "w",
                  encoding="utf-8") as file:
            file.write(text)
    zone = str(settings["node.time_zone"])
    if zone and os.path.isfile(os.path.join(root, checks.ZONES, zone)) and not checks.zone_problem(zone, root):
        link = os.path.join(root, "etc/localtime")
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(f"/{checks.ZONES}/{zone}", link)


def host_name(name: str) -> str:
    """A node's name as the network can say it: "Bücherei Süd" is buecherei-sued."""
    for letter, plain in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        name = name.lower().replace(letter, plain)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = "".join(one if one.isalnum() else "-" for one in plain)
    return "-".join(word for word in kept.split("-") if word)[:63].strip("-") or "waypost"


def tell(problems: list[str]) -> None:
    """Write waypost-errors.txt on the card, or remove it where nothing is wrong; the card is only touched to change."""
    text = "".join(f"{one}\r\n" for one in problems)
    if text:
        text = "Waypost could not use everything in waypost.toml:\r\n\r\n" + text
    with bootfs.mounted(False) as folder:
        path = os.path.join(folder, ERRORS)
        now = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                now = file.read()
    if now == text.encode("utf-8", "replace"):
        return
    with bootfs.mounted(True) as folder:
        path = os.path.join(folder, ERRORS)
        if text:
            with open(path, "wb") as file:
                file.write(text.encode("utf-8", "replace"))
        else:
            os.unlink(path)


if __name__ == "__main__":
    sys.exit(main())
