"""Boots a small Debian machine with Debian's own kernel, bluetoothd and D-Bus, and runs a command in it.

    python -m tests.ble_vm.machine [--suite trixie|bookworm] [COMMAND ...]

Without a command it only builds the image, in .cache/ble-vm, which it does once for each content of image.sh and the
requirements. The machine sees this repository, read-only, at /repo; its console comes out here; the command's exit
code is ours. Under KVM where that works, else in emulation, which is slow but the same.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "ble-vm"
SUITES = ("trixie", "bookworm")
QEMU = "qemu-system-x86_64"
TASK_S_MAX = 1200
FROM_DEV = ("bumble", "pytest")  # of the dev extra; the rest of it has no business in there


class MachineError(Exception):
    """The machine can't be built or did not hand back an exit code."""


def requirements() -> list[str]:
    """What the node and these tests import, as pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    dev = [text for text in extras["dev"] if re.match(r"[\w.-]+", text)[0] in FROM_DEV]  # type: ignore[index]
    return [*project["dependencies"], *extras["ble"], *dev]


def image(suite: str) -> Path:
    """The folder with vmlinuz, initrd.img and root.sqfs of this suite; built when it is not there."""
    wanted = requirements()
    key = hashlib.sha256((HERE / "image.sh").read_bytes() + repr(wanted).encode()).hexdigest()[:12]
    folder = CACHE / f"{suite}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            print(f"machine: building the image of {suite}, once; a few minutes", flush=True)
            command = ["nice", str(HERE / "image.sh"), suite, str(folder), sys.executable, *wanted]
            if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
                raise MachineError("the image could not be built; see above")
            for old in CACHE.glob(f"{suite}-*"):
                if old != folder:
                    shutil.rmtree(old)
    return folder


def processor() -> list[str]:
    """QEMU's words for KVM where the processor and /dev/kvm offer it, else for emulation.

    One processor then: a kernel that patches its own code while another one runs it panics now and then in QEMU 7.2.
    """
    able = re.search(r"\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text())
    if able and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["-accel", "kvm", "-smp", "2"]
    return ["-accel", "tcg", "-smp", "1"]


@contextmanager
def machine(suite: str, task: str, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A machine that runs the shell lines `task`; gives its process and the run's folder. It ends with the block.

    more: further arguments of QEMU. The folder is /out/<its name> inside, and `rc` in it is the exit code at the end.
    """
    if platform.machine() != "x86_64":
        raise MachineError(f"the machine is an amd64 one; this is {platform.machine()}")
    if shutil.which(QEMU) is None:
        raise MachineError(f"{QEMU} is missing; tools/dev/setup.sh ble installs it")
    folder = image(suite)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
    (run / "task").write_text(task)
    share = "local,security_model=none,multidevs=remap"
    command = [
        QEMU, *processor(), "-cpu", "max", "-m", "768", "-display", "none", "-no-reboot",
        "-serial", "stdio", "-monitor", "none", "-nic", "none",
        "-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.img"),
        "-append", f"console=ttyS0 quiet panic=-1 no_timer_check waypost.run={run.name}",
        "-drive", f"file={folder / 'root.sqfs'},format=raw,if=virtio,readonly=on",
        "-virtfs", f"{share},path={ROOT},mount_tag=repo,readonly=on",
        "-virtfs", f"{share},path={CACHE},mount_tag=out",
        *more,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process, run
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(run)


def execute(suite: str, command: list[str]) -> int:
    """Run a command in a machine; gives its exit code. Raises MachineError where there is none."""
    with machine(suite, shlex.join(command)) as (process, run):
        try:
            process.wait(TASK_S_MAX)
        except subprocess.TimeoutExpired:
            raise MachineError(f"not done within {TASK_S_MAX} s") from None
        try:
            return int((run / "rc").read_text())
        except (OSError, ValueError):
            raise MachineError("the machine went off without an exit code; its last words are above") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    try:
        if not given.command:
            print(image(given.suite))
            return 0
        return execute(given.suite, given.command)
    except MachineError as error:
        print(f"machine: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
