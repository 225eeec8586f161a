"""Before the node starts: the card's waypost.toml becomes the node's settings, the box's name, time zone and network.

What is wrong goes in words to waypost-errors.txt beside it, to the serial line and, by the node, to the page. Nothing
that a file can hold keeps the box from starting: each bad setting has its default, and where the whole file can't be
read, the last one that could is used.

    python3 -I -m tools.box.configure
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import unicodedata

from edge import config, tomlfile
from edge.errors import ConfigError, WaypostError
from tools.box import bootfs, database, network, trial

NODE, USER = "/data/waypost", "waypost"
ERRORS = "waypost-errors.txt"
_ZONES = "usr/share/zoneinfo"
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


def main() -> int:
    """Do it; 0 also where something is wrong, for the node must start."""
    problems: list[str] = []
    on_trial = False
    try:
        on_trial = bootfs.facts().get("trial") == "yes"
        with bootfs.mounted(False) as folder:
            raw = read(folder)
        problems += take_over(raw, NODE)
    except (WaypostError, OSError) as error:
        problems.append(f"the card's waypost.toml can't be read ({error}); the last settings are used")
    try:
        said = database.keep_copy(NODE) if on_trial else database.put_back(NODE)
    except WaypostError as error:
        trial.go_back(f"{error.message}; {error.hint}" if error.hint else error.message)
    if said:
        print(f"waypost-update: {said}", flush=True)
    settings, found = config.load(NODE)
    problems += [_said(one) for one in found]
    name = settings["node.name"] or "waypost"
    problems += set_up(settings.values, name, "/")
    socket.sethostname(host_name(name))
    for one in problems:
        print(f"waypost.toml: {one}", flush=True)
    try:
        tell(problems)
    except (WaypostError, OSError) as error:
        print(f"waypost.toml: what is wrong can't be written to the card: {error}", flush=True)
    return 0


def read(folder: str) -> bytes:
    """The file on the boot partition; empty where there is none."""
    try:
        with open(os.path.join(folder, config.FILE_NAME), "rb") as file:
            return file.read(tomlfile.BYTES_MAX + 1)
    except FileNotFoundError:
        return b""


def take_over(raw: bytes, directory: str) -> list[str]:
    """Make `raw` the node's file, unless it is no TOML at all and an older one is there. Gives what is wrong."""
    path = os.path.join(directory, config.FILE_NAME)
    try:
        tomlfile.parse(config.FILE_NAME, raw)
    except ConfigError as error:
        if os.path.exists(path):
            return [f"{_said(error)}. Until that is mended, the settings of the last start are used"]
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == raw:
                return []
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(raw)
        out.flush()
        os.fsync(out.fileno())
    if os.geteuid() == 0:
        shutil.chown(temporary, USER, USER)
    os.replace(temporary, path)
    return []


def set_up(settings: dict[str, object], name: str, root: str) -> list[str]:
    """Write network, host name and time zone below `root`. Gives what is wrong, in words."""
    files, problems = network.files(settings, name)
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
    if zone:
        if _ZONE.fullmatch(zone) and os.path.isfile(os.path.join(root, _ZONES, zone)):
            link = os.path.join(root, "etc/localtime")
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink(f"/{_ZONES}/{zone}", link)
        else:
            problems.append(f'node.time_zone can\'t be "{zone}"; allowed: a name such as "Europe/Berlin"')
    return problems


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
    if now == text.encode():
        return
    with bootfs.mounted(True) as folder:
        path = os.path.join(folder, ERRORS)
        if text:
            with open(path, "wb") as file:
                file.write(text.encode())
        else:
            os.unlink(path)


def _said(error: ConfigError) -> str:
    place = error.where.rpartition("/")[2]
    text = f"{place}: {error.message}" + (f"; allowed: {error.allowed}" if error.allowed else "")
    return text + (f" ({error.hint})" if error.hint else "")


if __name__ == "__main__":
    sys.exit(main())
