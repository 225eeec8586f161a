"""`waypost restart | reboot | factory-reset`: begin again, from the node, the box, or nothing.

Each needs --yes, for none can be taken back. What systemd runs is restarted by systemd; a node that was started by hand
is only ended here. A reset takes the node's directory only, never its waypost.toml, and never while a node runs there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

from edge import keys
from edge.errors import NotRunning, Unavailable, WaypostError
from edge.store.lock import DirLock
from tools import cli_show as show
from tools.doctor_host import lock_holder
from tools.log_cli import UNIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

CONFIG_NAME = "waypost.toml"
LOCK_NAME = "waypost.lock"


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
    os.kill(holder, signal.SIGTERM)
    return _done(args, f"process {holder} was asked to end; start the node again: waypost --dir {args.dir} run")


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
    names = sorted(name for name in os.listdir(args.dir) if name not in (CONFIG_NAME, LOCK_NAME))
    if not args.yes:
        return _would(args, f"in {args.dir} these are destroyed: {', '.join(names)}")
    service = has_service()
    if service:
        _systemctl("stop", UNIT)
    lock = DirLock(os.path.join(args.dir, LOCK_NAME))
    lock.acquire()
    try:
        for name in sorted(names, key=lambda name: name == keys.FILE_NAME):  # last: till then it can be repeated
            path = os.path.join(args.dir, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    except OSError as error:
        raise WaypostError(f"{error.strerror}", where=str(error.filename),
                           hint="not everything is gone; mend that and type it again") from None
    finally:
        lock.release()
    if service:
        _systemctl("start", UNIT)
    return _done(args, "forgotten; the node begins anew, with a new key, when it starts")


def has_service() -> bool:
    """Whether systemd runs this machine's node."""
    if not os.path.isdir("/run/systemd/system"):
        return False
    done = subprocess.run(["systemctl", "cat", "--quiet", UNIT], capture_output=True, check=False)
    return done.returncode == 0


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
