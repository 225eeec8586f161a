"""The database across an update: copied before a new system may bring it forward, put back when that system is gone.

An older system refuses a newer database (docs/STORE.md). After a trial that failed the copy takes its place, the newer
file is kept beside it, and the node numbers its messages far ahead (edge/store/backup.py).
"""

from __future__ import annotations

import os
import shutil
import sqlite3

from edge.errors import StoreError, StoreNewer, WaypostError
from edge.store import backup, schema

NAME, COPY = "waypost.db", "before-update.db"


def keep_copy(directory: str) -> str:
    """Copy the database for the time of a trial; what was done, in words. Where there is no room, the trial goes on."""
    path, copy = os.path.join(directory, NAME), os.path.join(directory, COPY)
    if not os.path.exists(path):
        return ""
    if os.path.exists(copy):
        os.unlink(copy)
    room = os.statvfs(directory)
    if room.f_bavail * room.f_frsize < 2 * os.path.getsize(path):
        return "there is no room for a copy of the database before this trial"
    try:
        facts = backup.backup(path, copy)
    except WaypostError as error:
        return f"the database can't be copied before this trial: {error}"
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
        aside = backup.restore(path, copy)
    except WaypostError as error:
        return f"the database is of a newer system and its copy can't be put back: {error}"
    for name in os.listdir(directory):
        if name.startswith(NAME):
            _give(directory, os.path.join(directory, name))
    os.unlink(copy)
    return f"the database is back as it was before the update; that of the newer system is {aside}"


def _is_newer(path: str) -> bool:
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
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
