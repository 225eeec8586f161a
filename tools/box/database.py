"""The database across an update: copied before a new system brings it forward, put back when that system is gone.

An older system refuses a newer database (docs/STORE.md). After a trial that failed the copy takes its place, and what
the new system had acknowledged meanwhile goes into a courier file, which the node takes in as soon as it runs
(waypost-returned.service): messages are signed bytes, and their place, `message.data`, is the same in every version.
The newer file is kept beside it, and the node numbers its own messages far ahead (edge/store/backup.py).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time

from edge.core.message import message_id
from edge.errors import StoreError, StoreNewer, WaypostError
from edge.store import backup, boot, courier, files, schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, COPY, RETURNED = "waypost.db", "before-update.db", "from-trial.courier"


def keep_copy(directory: str) -> str:
    """Copy a database that this system is going to bring forward; what was done, in words.

    Raises WaypostError where that can't be: then this system must not touch it.
    """
    path, copy = os.path.join(directory, NAME), os.path.join(directory, COPY)
    if not _is_older(path):
        return ""
    if os.path.exists(copy):
        os.unlink(copy)  # of an update before this one
    room = os.statvfs(directory)
    size = os.path.getsize(path)
    if room.f_bavail * room.f_frsize < 2 * size:
        raise StoreError("there is no room for a copy of the database, which this update brings forward",
                         where=directory, hint=f"free {2 * size >> 20} MB, then update again")
    facts = backup.backup(path, copy)
    _give(directory, copy)
    return f"a copy of the database is kept for this trial: {facts['messages']} messages"


def put_back(directory: str) -> str:
    """Where the database is too new for this system and there is a copy, put that in its place; what was done, in
    words. Otherwise forget the copy."""
    path, copy = os.path.join(directory, NAME), os.path.join(directory, COPY)
    if not os.path.exists(copy):
        return ""
    if not _is_newer(path):
        os.unlink(copy)
        return ""
    try:
        count = _take_out(path, copy, os.path.join(directory, RETURNED))
        said = f"{count} messages that came during the trial are taken in as soon as the node runs"
    except (WaypostError, sqlite3.Error) as error:
        said = f"what came during the trial can't be taken out of it: {error}"
    try:
        aside = backup.restore(path, copy)
    except WaypostError as error:
        return f"the database is of a newer system and its copy can't be put back: {error}"
    for name in os.listdir(directory):
        if name.startswith((NAME, RETURNED)):
            _give(directory, os.path.join(directory, name))
    os.unlink(copy)
    return f"the database is back as it was before the update; that of the newer system is {aside}; {said}"


def _take_out(newer: str, older: str, target: str) -> int:
    """The messages of one database that another does not hold, into a courier file; how many there are."""
    new = files.connect(newer, "ro")
    try:
        old = files.connect(older, "ro")
        try:
            known = {row[0] for row in old.execute("SELECT id FROM message")}
            writer = boot.own_key(old)
        finally:
            old.close()

        def more() -> Iterator[bytes]:
            for row in new.execute("SELECT data FROM message"):
                if message_id(row[0]) not in known:
                    yield row[0]

        return courier.write(target, writer, int(time.time()), more())[0]
    finally:
        new.close()


def _is_older(path: str) -> bool:
    """Whether this system would bring the database forward."""
    if not os.path.exists(path):
        return False
    try:
        db = files.connect(path, "ro")
        try:
            return 0 < schema.check_version(db, path) < len(schema.steps())
        finally:
            db.close()
    except (StoreError, sqlite3.Error):
        return False  # the node does not touch it either


def _is_newer(path: str) -> bool:
    try:
        db = files.connect(path, "ro")
        try:
            schema.check_version(db, path)
        finally:
            db.close()
    except StoreNewer:
        return True
    except (StoreError, sqlite3.Error):
        pass  # doctor says so
    return False


def _give(directory: str, path: str) -> None:
    facts = os.stat(directory)
    if os.geteuid() == 0:
        shutil.chown(path, facts.st_uid, facts.st_gid)
