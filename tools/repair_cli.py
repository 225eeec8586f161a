"""`waypost repair`: mends in a node's directory what can be mended without a person's judgement. Nothing is deleted.

Modes and owners of the node's files are put right; a damaged database, and what stands in the control socket's place,
is renamed, so that the node starts with a fresh one. The identity is never touched but for its mode and owner. What a
person has to decide (a lost key, a newer database, a wrong setting) is left to doctor's words.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from functools import partial

from edge import config, keys
from edge.console.control import SOCKET_NAME
from edge.errors import NotRunning, StoreError, StoreNewer, WaypostError
from edge.store import files, schema
from edge.store.faults import is_damage
from edge.store.lock import DirLock
from tools import cli_show as show
from tools import doctor_models, owned, restart_cli
from tools.courier_cli import DATABASE_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    # what is wrong, what is done about it, whether the node must stand still for it
    Mend = tuple[str, Callable[[], str], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost repair`."""
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")


def run(args: argparse.Namespace) -> int:
    """waypost repair"""
    if not any(os.path.lexists(os.path.join(args.dir, name)) for name in (keys.FILE_NAME, restart_cli.LOCK_NAME)):
        raise NotRunning("no node has its home there, so there is nothing to mend", where=args.dir)
    found = faults(args.dir)
    if not args.yes or not found:
        return _say(args, [text for text, _, _ in found])
    still = any(needs for _, _, needs in found)
    done = []
    with restart_cli.paused(args.dir) if still else contextlib.nullcontext():
        for _, mend, _ in found:
            try:
                done.append(mend())
            except OSError as error:
                raise WaypostError(f"{error.strerror}", where=str(error.filename or args.dir),
                                   hint="run this as root or as the owner of the directory; waypost doctor tells more"
                                   ) from None
    if args.json:
        show.print_json({"done": True, "mended": done})
    else:
        print("\n".join(done))
        if still:
            print("the node starts again by itself" if restart_cli.has_service() else
                  f"start the node again: waypost --dir {args.dir} run")
    return 0


def faults(directory: str) -> list[Mend]:
    """What can be mended there, in the order in which it is."""
    found: list[Mend] = []
    strangers = owned.foreign(directory)
    if strangers:
        more = f" and {len(strangers) - 1} more" if strangers[1:] else ""
        found.append((f"of another user: {strangers[0]}{more}",
                      lambda: f"{owned.give(directory)} files given to the node's user", False))
    if os.stat(directory).st_mode & 0o022:
        found.append((f"others can write in {directory}", lambda: _close(directory, 0o700), False))
    private = [keys.FILE_NAME]
    settings = config.load(directory, [])[0]
    if settings["community.key"]:
        private.append(config.FILE_NAME)
    for name in private:
        path = os.path.join(directory, name)
        if _regular(path) and os.stat(path).st_mode & 0o077:
            found.append((f"{path} can be read by others", partial(_close, path, 0o600), False))
    path = os.path.join(directory, SOCKET_NAME)
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        found.append((f"{path} is not a socket", partial(_rename, path), True))
    for path in doctor_models.unreadable(directory, settings):
        found.append((f"{path} can't be read", partial(_rename, path), False))
    said = _damage(os.path.join(directory, DATABASE_NAME))
    if said:
        found.append((f"the database is damaged: {said}", lambda: _start_fresh(directory), True))
    return found


def _say(args: argparse.Namespace, wrong: list[str]) -> int:
    nothing = "there is nothing that can be mended by itself; waypost doctor says what else is broken"
    if args.json:
        show.print_json({"done": False, "would_mend": wrong, **({} if wrong else {"text": nothing})})
    elif wrong:
        print("\n".join([*wrong, "nothing was done; with --yes this is mended, and nothing is deleted"]))
    else:
        print(nothing)
    return 1 if wrong else 0


def _regular(path: str) -> bool:
    return os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode)


def _close(path: str, mode: int) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    warning = "; think about who may have read it" if path.endswith(keys.FILE_NAME) else ""
    return f"{path} is the node's alone now (mode {mode:03o}){warning}"


def _rename(path: str) -> str:
    aside = _free(f"{path}.aside-{_today()}")
    os.rename(path, aside)
    return f"what stood at {path} is now {aside}"


def _start_fresh(directory: str) -> str:
    path = os.path.join(directory, DATABASE_NAME)
    lock = DirLock(path + ".lock")
    lock.acquire()
    try:
        aside = files.move_aside(path, f"damaged-{_today()}")
        files.sync_folder(path)
    finally:
        lock.release()
    return (f"the damaged database is now {aside}; the node begins with an empty one, as who it was, and fetches what "
            "its neighbours hold; a backup can be put back: waypost backup --restore")


def _damage(path: str) -> str:
    """What is wrong with the content of a database; "" where it is sound, newer, or only can't be read."""
    if not os.path.exists(path):
        return ""
    try:
        with contextlib.closing(files.connect(path, "ro")) as db:
            schema.check_version(db, path)
            said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if said == "ok" else said
    except StoreNewer:
        return ""
    except StoreError as error:
        return error.message
    except sqlite3.Error as error:
        return str(error) if is_damage(error) else ""


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _free(path: str) -> str:
    n = 1
    while os.path.lexists(f"{path}-{n}"):
        n += 1
    return f"{path}-{n}"
