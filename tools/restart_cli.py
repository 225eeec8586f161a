"""`waypost restart | reboot | factory-reset`: begin again, from the node, the box, or nothing.

Each needs --yes, for none can be taken back. What systemd runs is restarted by systemd; a node that was started by hand
is only ended here. A reset takes the node's directory only, never its waypost.toml, and never while a node runs there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time

from edge import keys
from edge.errors import NotRunning, Unavailable, WaypostError
from edge.store.lock import DirLock
from tools import cli_show as show
from tools import owned
from tools.doctor_host import lock_holder
from tools.log_cli import UNIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

CONFIG_NAME = "waypost.toml"
LOCK_NAME = "waypost.lock"
END_S = 15  # a node that was asked to end has so long


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the three."""
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")


def restart(args: argparse.Namespace) -> int:
    """waypost restart"""
    if not args.yes:
        return _would(args, "the node is ended and started again")
    if has_service():
        _systemctl("restart", UNIT)
        return _done(args, "the node has been started again")
    holder = lock_holder(os.path.join(args.dir, LOCK_NAME))
    if not holder:
        raise NotRunning("no node runs there", where=args.dir, hint=f"start one: waypost --dir {args.dir} run")
    how = "has ended" if _end(args.dir, holder) else "did not end when asked and was killed"
    return _done(args, f"process {holder} {how}; start the node again: waypost --dir {args.dir} run")


def reboot(args: argparse.Namespace) -> int:
    """waypost reboot"""
    if not args.yes:
        return _would(args, "this machine is restarted")
    if not os.path.isdir("/run/systemd/system"):
        raise Unavailable("this machine is not one that systemd runs", where="waypost reboot",
                          hint="restart it by the means of its system")
    _systemctl("reboot")
    return _done(args, "the machine restarts now")


def factory_reset(args: argparse.Namespace) -> int:
    """waypost factory-reset"""
    if args.yes:
        from tools.box import data

        data.forget()
    if not os.path.lexists(os.path.join(args.dir, keys.FILE_NAME)):
        raise NotRunning("no node has its home there, so there is nothing to forget", where=args.dir)
    if not args.yes:
        return _would(args, f"in {args.dir} these are destroyed: {', '.join(_forgettable(args.dir))}")
    with paused(args.dir):
        try:
            for name in _forgettable(args.dir):
                path = os.path.join(args.dir, name)
                if os.path.isdir(path) and not os.path.islink(path):
                    shutil.rmtree(path)
                else:
                    os.unlink(path)
        except OSError as error:
            raise WaypostError(f"{error.strerror}", where=str(error.filename),
                               hint="not everything is gone; waypost doctor says what is wrong; then type it again"
                               ) from None
    return _done(args, "forgotten; the node begins anew, with a new key, when it starts")


@contextlib.contextmanager
def paused(directory: str) -> Iterator[None]:
    """The node of a directory stands still while the block lasts; what systemd runs is stopped before it and, however
    the block ends, started again. What root has made meanwhile becomes the directory's owner's.

    Raises AlreadyRunning where a node that somebody started by hand runs there, Unavailable where systemd refuses.
    """
    service = has_service()
    try:
        if service:
            _systemctl("stop", UNIT)
        lock = DirLock(os.path.join(directory, LOCK_NAME))
        lock.acquire()
        try:
            yield
        finally:
            owned.give(directory)
            lock.release()
    except BaseException:
        if service:
            with contextlib.suppress(WaypostError, OSError):  # what went wrong first is what a person has to know
                _systemctl("start", UNIT)
        raise
    if service:
        _systemctl("start", UNIT)


def has_service() -> bool:
    """Whether systemd runs this machine's node."""
    if not os.path.isdir("/run/systemd/system"):
        return False
    done = subprocess.run(["systemctl", "cat", "--quiet", UNIT], capture_output=True, check=False)
    return done.returncode == 0


def _forgettable(directory: str) -> list[str]:
    """What a reset takes, the identity last: till then it can be repeated."""
    names = sorted(name for name in os.listdir(directory) if name not in (CONFIG_NAME, LOCK_NAME))
    return sorted(names, key=lambda name: name == keys.FILE_NAME)


def _end(directory: str, holder: int) -> bool:
    """End a node, also one that is stopped or hangs; whether it ended when it was asked to."""
    path = os.path.join(directory, LOCK_NAME)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, number)
            os.kill(holder, signal.SIGCONT)
        until_s = time.monotonic() + END_S
        while time.monotonic() < until_s:
            if lock_holder(path) != holder:
                return number == signal.SIGTERM
            time.sleep(0.1)
    raise Unavailable(f"process {holder} can't be ended", hint="waypost reboot restarts the box")


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Unavailable(f"systemctl {' '.join(words)} failed: {said[0] if said else done.returncode}",
                          hint="run this as root; waypost log tells more")


def _would(args: argparse.Namespace, text: str) -> int:
    if args.json:
        show.print_json({"done": False, "text": text})
    else:
        print(f"nothing was done; with --yes {text}")
    return 1


def _done(args: argparse.Namespace, text: str) -> int:
    if args.json:
        show.print_json({"done": True, "text": text})
    else:
        print(text)
    return 0
