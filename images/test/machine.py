"""A card in QEMU's virt machine, for the image's tests: this is the Raspberry Pi's firmware, power switch and cable.

Like the firmware it reads config.txt from the card's boot partition at every start and boots the slot that it names.
The power can be cut at any moment: then all that the card had not been told to flush may be lost, in part and out of
order, as with a real one; QEMU's log of writes says what that is. And a card can fail: from a moment on it takes no
more writes (nbdkit stands between it and the machine).
"""

from __future__ import annotations

import pathlib
import random
import re
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.waiting import PATIENCE

CARD_MB = 1536
BOOT_AT = 4 << 20
BOOT_MB = 128
READY_S = 420 * PATIENCE
_PROMPT = "waypost-test-done"


class MachineError(AssertionError):
    """The machine did not do what was waited for; the text ends with what it said last."""


def new_card(image: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A fresh card with this image on it."""
    card = folder / "card.img"
    subprocess.run(["cp", "--sparse=always", image, card], check=True)
    with open(card, "r+b") as file:
        file.truncate(CARD_MB << 20)
    return card


def boot_file(card: pathlib.Path, name: str) -> bytes:
    """A file of the card's boot partition."""
    return subprocess.run(["mcopy", "-n", "-i", f"{card}@@{BOOT_AT}", f"::{name}", "-"], check=True,
                          capture_output=True).stdout


def put_boot_file(card: pathlib.Path, name: str, data: bytes) -> None:
    """Write a file to the card's boot partition, as a person with a card reader does."""
    subprocess.run(["mcopy", "-o", "-i", f"{card}@@{BOOT_AT}", "-", f"::{name}"], input=data, check=True)


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Cut(NamedTuple):
    """A power cut: how long the log of writes was at that moment, what of it had not been flushed, and the sectors of
    that which are lost."""

    log_bytes: int
    unflushed: int
    lost: int


class Machine:
    """One card in one machine. start() switches it on, cut() off; shell() runs a command as root inside."""

    def __init__(self, card: pathlib.Path, folder: pathlib.Path, *, memory_mb: int = 512, log_writes: bool = False,
                 can_fail: bool = False, extra: tuple[str, ...] = (), kind: str = "virt") -> None:
        self.card = card
        self.folder = folder
        self.memory_mb = memory_mb
        self.log_writes = log_writes
        self.can_fail = can_fail
        self.extra = extra
        self.kind = kind
        self.ports: dict[int, int] = {}
        self.serial = bytearray()
        self.process: subprocess.Popen[bytes] | None = None
        self._shell: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._hushed = False

    # power

    def start(self, more: str = "") -> None:
        """Switch it on: read the boot partition as the firmware does, and start what it names."""
        slot = re.search(rb"os_prefix=(slot-[ab])/", boot_file(self.card, "config.txt"))
        assert slot, "config.txt names no slot"
        prefix = slot[1].decode()
        for name in ("vmlinuz", "initrd.img"):
            (self.folder / name).write_bytes(boot_file(self.card, f"{prefix}/{name}"))
        line = boot_file(self.card, f"{prefix}/cmdline.txt").decode().strip()
        line = re.sub(r"console=\S+ ?", "", line) + " " + more
        sockets = {name: self.folder / f"{name}.sock" for name in ("serial", "shell")}
        for path in sockets.values():
            path.unlink(missing_ok=True)
        disk = f"driver=raw,node-name=card,file.driver=file,file.filename={self.card},discard=unmap"
        if self.log_writes:
            self.log.write_bytes(b"")
            subprocess.run(["cp", "--sparse=always", self.card, self.card.with_suffix(".before")], check=True)
            disk = (f"driver=blklogwrites,node-name=card,log-sector-size=512,file.driver=file,"
                    f"file.filename={self.card},log.driver=file,log.filename={self.log},log-super-update-interval=1")
        if self.can_fail:
            disk = f"driver=nbd,node-name=card,server.type=unix,server.path={self._serve_card()}"
        words = ["qemu-system-aarch64", "-kernel", str(self.folder / "vmlinuz"),
                 "-initrd", str(self.folder / "initrd.img"), "-display", "none", "-monitor", "none", "-no-reboot",
                 "-chardev", f"socket,id=serial,path={sockets['serial']},server=on,wait=off", *self.extra]
        words += self._pi(prefix, line) if self.kind == "raspi3b" else self._virt(line, disk, sockets["shell"])
        with open(self.folder / "qemu.err", "wb") as said:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        self.serial = bytearray()
        self._hushed = False
        self._line = _connect(sockets["serial"], self.process)
        self._shell = None if self.kind == "raspi3b" else _connect(sockets["shell"], self.process)

    def _virt(self, line: str, disk: str, shell: pathlib.Path) -> list[str]:
        self.ports = {80: free_port(), 7373: free_port()}
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for guest, host in self.ports.items())
        return ["-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", str(self.memory_mb),
                "-accel", "tcg,thread=multi",
                "-append", f"{line} console=ttyAMA0,115200 systemd.debug_shell=hvc0", "-serial", "chardev:serial",
                "-blockdev", disk, "-device", "virtio-blk-pci,drive=card,write-cache=on",
                "-netdev", f"user,id=net,restrict=on{forwards}", "-device", "virtio-net-pci,netdev=net,romfile=",
                # on a machine so busy that tests need patience, 15 s without a sign of life mean nothing
                *(("-device", "i6300esb") if PATIENCE <= 1 else ()), "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=shell,path={shell},server=on,wait=off", "-device", "virtconsole,chardev=shell"]

    def _pi(self, prefix: str, line: str) -> list[str]:
        (self.folder / "pi.dtb").write_bytes(boot_file(self.card, f"{prefix}/bcm2837-rpi-3-b.dtb"))
        return ["-M", "raspi3b", "-dtb", str(self.folder / "pi.dtb"), "-append", f"{line} console=ttyS1,115200",
                "-serial", "null", "-serial", "chardev:serial", "-drive", f"file={self.card},format=raw,if=sd"]

    @property
    def log(self) -> pathlib.Path:
        """QEMU's log of what was written to the card since the start, with log_writes."""
        return self.folder / "writes.log"

    def cut(self, seed: int | None = None, since_bytes: int = 0,
            look: Callable[[pathlib.Path, Cut], None] | None = None, looks: int = 0) -> Cut:
        """Cut the power. With log_writes the moment is one of those at which the log was longer than since_bytes and
        something had been written that was not flushed; `seed` chooses it, and what of that is lost. look(card, cut)
        is shown so many other cards that a cut could have left."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._close()
        if not self.log_writes:
            return Cut(0, 0, 0)
        dice, (size, entries) = random.Random(seed), _entries(self.log.read_bytes())
        before, other = self.card.with_suffix(".before"), self.card.with_suffix(".other")
        for _ in range(looks):
            assert look is not None
            subprocess.run(["cp", "--sparse=always", before, other], check=True)
            look(other, lose(other, size, entries, since_bytes, dice))
        other.unlink(missing_ok=True)
        cut = lose(before, size, entries, since_bytes, dice)
        before.replace(self.card)
        return cut

    def _serve_card(self) -> pathlib.Path:
        path = self.folder / "card.sock"
        path.unlink(missing_ok=True)
        (self.folder / "card.dead").unlink(missing_ok=True)
        self._server = subprocess.Popen(
            ["nbdkit", "-f", "-U", str(path), "--filter=error", "file", str(self.card), "error=EIO",
             "error-pwrite-rate=100%", "error-zero-rate=100%", f"error-file={self.folder / 'card.dead'}"])
        while not path.exists():
            assert self._server.poll() is None, "nbdkit does not start; tools/dev/setup.sh image installs it"
            time.sleep(0.05)
        return path

    def card_dies(self) -> None:
        """From now on the card takes no more writes, and can still be read, as worn cards do."""
        (self.folder / "card.dead").touch()

    def wait_off(self, patience_s: float) -> None:
        """Until the machine has ended by itself: it was told to restart, or has crashed."""
        until = time.monotonic() + patience_s
        assert self.process is not None
        while self.process.poll() is None:
            self._pump(0.2)
            if time.monotonic() > until:
                raise MachineError(f"it does not restart\n{self.tail()}")
        self._close()

    def _close(self) -> None:
        for one in (self._line, self._shell):
            if one is not None:
                one.close()
        self.process = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._close()

    # what it says

    def _pump(self, wait_s: float) -> None:
        if select.select([self._line], [], [], wait_s)[0]:
            try:
                self.serial += self._line.recv(65536)
            except OSError:
                time.sleep(wait_s)

    def wait_for(self, text: str, patience_s: float = READY_S) -> str:
        """Until the serial line has said `text`; all that it has said."""
        until = time.monotonic() + patience_s
        while text.encode() not in self.serial:
            if self.process is None or self.process.poll() is not None:
                raise MachineError(f"it has ended before it said {text!r}\n{self.tail()}")
            if time.monotonic() > until:
                raise MachineError(f"it has not said {text!r} in {patience_s:.0f} s\n{self.tail()}")
            self._pump(0.2)
        return self.serial.decode(errors="replace")

    def ready(self, patience_s: float = READY_S) -> None:
        """Until the node says that it is ready."""
        self.wait_for("waypost: ready", patience_s)

    def say(self, text: str) -> None:
        """Type on the serial line."""
        self._line.sendall(text.encode())

    def tail(self, n_bytes: int = 3000) -> str:
        """What the serial line said last."""
        return self.serial[-n_bytes:].decode(errors="replace")

    def shell(self, command: str, patience_s: float = 120 * PATIENCE) -> str:
        """Run a command as root (systemd's debug shell, which only our kernel command line switches on); its output."""
        if not self._hushed:
            self._hushed = True
            self._ask("stty -echo; PS1=", patience_s)
        said = self._ask(command, patience_s)
        return re.sub(r"\x1b\[[0-9;?!]*[a-zA-Z]", "", said)

    def _ask(self, command: str, patience_s: float) -> str:
        mark = f"{_PROMPT}-{random.randrange(1 << 30)}"
        assert self._shell is not None
        # the mark is typed in two halves, so that an echo of the command does not hold it
        self._shell.sendall(f"{command}\necho; echo {mark[:8]}''{mark[8:]}\n".encode())
        got, until = b"", time.monotonic() + patience_s
        while mark.encode() + b"\n" not in got.replace(b"\r", b""):
            if time.monotonic() > until:
                raise MachineError(f"no end of {command!r}: {got[-2000:].decode(errors='replace')}")
            self._pump(0)
            if select.select([self._shell], [], [], 0.1)[0]:
                got += self._shell.recv(65536)
        return got.decode(errors="replace").replace("\r", "").rpartition(mark)[0].strip("\n")

    def shell_for(self, command: str, first: str, seconds: float, heard: Callable[[str], None]) -> None:
        """Start a command and let it run for `seconds` from when it has said `first`; heard(line) is told each whole
        line that it says. It goes on."""
        assert self._shell is not None
        self._shell.sendall(f"{command}\n".encode())
        got, until, limit = b"", None, time.monotonic() + 180 * PATIENCE
        while until is None or time.monotonic() < until:
            self._pump(0)
            if select.select([self._shell], [], [], 0.05)[0]:
                *lines, got = (got + self._shell.recv(65536)).split(b"\n")
                for line in lines:
                    if until is None and first.encode() in line:
                        until = time.monotonic() + seconds
                    heard(line.decode(errors="replace").rstrip("\r"))
            if until is None and time.monotonic() > limit:
                raise MachineError(f"{command[:60]!r} has not said {first!r}: {got[-2000:].decode(errors='replace')}")


def _connect(path: pathlib.Path, process: subprocess.Popen[bytes]) -> socket.socket:
    until = time.monotonic() + 60
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(str(path))
            return one
        except OSError:
            one.close()
            if process.poll() is not None or time.monotonic() > until:
                raise MachineError(f"QEMU does not start: {path.parent.joinpath('qemu.err').read_text()}") from None
            time.sleep(0.05)


class _Write(NamedTuple):
    sector: int
    sectors: int
    flags: int
    data: bytes
    end: int  # where its entry ends in the log


def lose(card: pathlib.Path, size: int, entries: list[_Write], since_bytes: int, dice: random.Random) -> Cut:
    """Make a card, which is as it was when the machine started, what a power cut leaves at one moment of its log: all
    that was written before the last flush, and of what came after it any part, each sector by chance."""
    flushed, moments = -1, []  # moments: (entry after which the power goes, the last flush before it)
    for number, entry in enumerate(entries):
        if entry.flags & _FLUSH:
            flushed = number
        elif entry.end > since_bytes and not entry.flags & (_FUA | _DISCARD):
            moments.append((number, flushed))
    last, flushed = dice.choice(moments) if moments else (len(entries) - 1, flushed)
    unflushed = lost = 0
    with open(card, "r+b", buffering=0) as out:
        for number, entry in enumerate(entries[:last + 1]):
            certain = number <= flushed or entry.flags & _FUA
            if entry.flags & _DISCARD:
                continue  # what was given back may hold anything; leaving it is one of the possibilities
            unflushed += not certain
            for n in range(entry.sectors):
                if certain or dice.random() < 0.5:
                    out.seek((entry.sector + n) * size)
                    out.write(entry.data[n * size:(n + 1) * size])
                else:
                    lost += 1
    return Cut(entries[last].end if entries else 0, unflushed, lost)


def _entries(raw: bytes) -> tuple[int, list[_Write]]:
    """(bytes of a sector, what was written) of a log of QEMU's blklogwrites, which has the form of the kernel's
    dm-log-writes: a super block, then entries of one sector (sector, sectors, flags, data length), with data."""
    if not raw:
        return 512, []  # the power went before QEMU had opened it
    magic, _, _, size = struct.unpack_from("<QQQI", raw)
    assert magic == 0x6A736677736872, "no log of writes"
    out, at = [], size
    while at + size <= len(raw):
        sector, count, flags, _ = struct.unpack_from("<QQQQ", raw, at)
        end = at + size + (0 if flags & _DISCARD else count * size)
        if (not count and not flags) or end > len(raw):
            break
        out.append(_Write(sector, count, flags, raw[at + size:end], end))
        at = end
    return size, out


_FLUSH, _FUA, _DISCARD = 1, 2, 4
