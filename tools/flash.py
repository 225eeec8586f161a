"""`waypost flash`: writes an image to an SD card, reads it back, and puts the file that sets up the box on it.

It writes only to a whole disk that nothing is mounted from and that is no larger than a card; what it is about to
overwrite it names. Everything that can be known to be wrong is looked for before the first byte is written. Without
--image it only puts the file on a card that somebody has written already, with the Raspberry Pi Imager for instance.
The boot partition is written with mtools, so nothing is ever mounted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from edge import config, tomlfile
from edge.errors import ConfigError
from tools import cli_show as show
from tools.box import card, checks, install
from tools.box.image import FlashError, Image, boot_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_NO_IMAGE = "write one with --image, or with the Raspberry Pi Imager"
_NEW_NAME = "waypost.new"
_MTOOLS_ENV = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost flash`."""
    parser.add_argument("device", metavar="DEVICE", help="the card's device, such as /dev/sdb or /dev/mmcblk0")
    parser.add_argument("--image", default=None, metavar="FILE",
                        help="the image, .img or .img.xz; without it the card keeps what is on it")
    parser.add_argument("--config", default=None, metavar="FILE", help="the waypost.toml that sets up the box")
    parser.add_argument("--key", default=None, metavar="KEY",
                        help="the public key that must have signed the image: 64 hex digits, or a file with them")
    parser.add_argument("--yes", action="store_true", help="don't ask before the card is overwritten")


def run(args: argparse.Namespace) -> int:
    """waypost flash DEVICE"""
    if args.image is None and args.config is None:
        raise FlashError("there is nothing to do", hint="give --image FILE, --config FILE or both")
    settings, notes = _settings(args) if args.config else (b"", [])
    key = _key(args.key) if args.key else None
    if args.config and not (shutil.which("mcopy") and shutil.which("mren")):
        raise FlashError("mcopy, which writes to the card's boot partition, is missing", hint="apt install mtools")
    card.refuse(args.device)
    said: dict[str, object] = {"device": args.device, "written": 0, "config": bool(args.config), "notes": notes}
    if args.image is not None:
        image = _image(args, key)
        _ask(args)
        said["written"] = card.write(args.device, image, _progress(args.json))
        said["image"] = {"sha256": image.sha256, "agrees": image.agrees, "signer": image.signer.hex() or None,
                         "trusted": image.trusted}
    if args.config:
        try:
            put_settings(args.device, settings)
        except FlashError as error:
            if args.image is not None:
                error.message += ". The image is on the card, these settings are not"
            raise
    if args.json:
        show.print_json(said)
    else:
        print(f"{args.device} is ready: put it into the Raspberry Pi.")
    return 0


def _settings(args: argparse.Namespace) -> tuple[bytes, list[str]]:
    """The file and notes on it; it must be right: a mistake is mended more easily here than at the box, and all of them
    at once. Raises ConfigError."""
    with open(args.config, "rb") as file:
        raw = file.read(tomlfile.BYTES_MAX + 1)
    if len(raw) > tomlfile.BYTES_MAX:
        raise ConfigError("it is too long for a settings file", where=args.config,
                          allowed=f"at most {tomlfile.BYTES_MAX} bytes", hint="is it the right file?")
    found = checks.problems(raw, args.config)
    if found and (len(found) == 1 or args.json):
        raise ConfigError("\n".join(found))
    if found:
        for one in found:
            print(f"waypost: {one}", file=sys.stderr)
        raise ConfigError(f"{len(found)} mistakes; nothing was written", where=args.config)
    notes = checks.notes(raw, args.config)
    if not args.json:
        for one in notes:
            print(one)
    return raw, notes


def _key(text: str) -> bytes:
    """The public key that --key names. Raises FlashError."""
    if os.path.exists(text):
        with open(text, "rb") as file:
            text = file.read(4096).decode(errors="replace").strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise FlashError("this is no public key", where="--key", allowed="64 hex digits, or a file with them")
    return bytes.fromhex(text)


def _image(args: argparse.Namespace, key: bytes | None) -> Image:
    """The image, looked at and compared with what lies beside it. Raises FlashError."""
    if os.path.exists(args.image) and os.path.samefile(args.image, args.device):
        raise FlashError("the image and the card are the same", where=args.image)
    image = Image(args.image)
    card.fits(args.device, image)
    try:
        known = install.trusted_keys([])
    except ValueError:
        known = []
    image.check(key, known, _progress(args.json))
    if not args.json:
        print(f"{args.image}: {image.verdict()}.", flush=True)
    return image


def put_settings(device: str, raw: bytes) -> None:
    """Put waypost.toml on the card's boot partition and read it back. The old one goes when the new one is there.
    Raises FlashError."""
    place = f"{device}@@{_boot_offset(device)}"
    label = _mtools("mlabel", "-s", "-i", place, "::").decode(errors="replace")
    if "WAYPOST" not in label:
        raise FlashError("there is no Waypost image on it", where=device, hint=_NO_IMAGE)
    with tempfile.NamedTemporaryFile() as file:  # mcopy looks for room only where it knows how much it will take
        file.write(raw)
        file.flush()
        try:
            _mtools("mcopy", "-o", "-i", place, file.name, f"::{_NEW_NAME}")
            same = _read_back(device, place, _NEW_NAME) == raw
            if same:
                if _has(place, config.FILE_NAME):
                    _mtools("mdel", "-i", place, f"::{config.FILE_NAME}")
                _mtools("mren", "-i", place, f"::{_NEW_NAME}", f"::{config.FILE_NAME}")
                same = _read_back(device, place, config.FILE_NAME) == raw
        finally:
            if _has(place, config.FILE_NAME) and _has(place, _NEW_NAME):
                _mtools("mdel", "-i", place, f"::{_NEW_NAME}")
    if not same:
        raise FlashError("waypost.toml reads back differently: the card is worn out", where=device)


def _read_back(device: str, place: str, name: str) -> bytes:
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    return _mtools("mcopy", "-n", "-i", place, f"::{name}", "-")


def _has(place: str, name: str) -> bool:
    done = subprocess.run(["mdir", "-b", "-i", place, f"::{name}"], capture_output=True, env=_MTOOLS_ENV)
    return done.returncode == 0


def _boot_offset(device: str) -> int:
    try:
        with open(device, "rb") as file:
            sector = file.read(512)
    except PermissionError:
        raise FlashError("this user may not read it", where=device, hint="run it with sudo") from None
    if sector.startswith(card.HALF_WRITTEN):
        raise FlashError("it is half written and will not start", where=device, hint="write it again with --image")
    start = boot_start(sector)
    if not start:
        raise FlashError("there is no Waypost image on it", where=device, hint=_NO_IMAGE)
    return start


def _mtools(*words: str) -> bytes:
    done = subprocess.run(words, capture_output=True, env=_MTOOLS_ENV)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        device = words[words.index("-i") + 1].partition("@@")[0]
        if "Disk full" in said:
            raise FlashError("its boot partition is full; the settings that were on it are still there", where=device,
                             hint="delete files of yours on it, or write the card again")
        raise FlashError(f"the boot partition can't be used: {said}", where=device)
    return done.stdout


def _ask(args: argparse.Namespace) -> None:
    if args.yes:
        return
    name = os.path.basename(os.path.realpath(args.device))
    model = " ".join("".join(card.lines(f"/sys/class/block/{name}/device/model")).split())
    size = int("".join(card.lines(f"/sys/class/block/{name}/size")) or 0) * 512
    if not sys.stdin.isatty():
        raise FlashError("nobody is there to ask", hint="--yes overwrites without asking")
    shown = f"{args.device} ({', '.join(one for one in (model, show.size(size) if size else '') if one)})"
    print(f"All that is on {shown.replace(' ()', '')} will be lost. Type yes to go on: ", end="", flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise FlashError("nothing was written")


def _progress(quiet: bool) -> Callable[[str, int], None]:
    last = {"at": 0.0}

    def said(what: str, n_bytes: int) -> None:
        now = time.monotonic()
        if not quiet and now - last["at"] >= 1:
            last["at"] = now
            print(f"{show.size(n_bytes)} {what}", flush=True)

    return said
