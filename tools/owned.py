"""Whose the files of a node's directory are: the directory's owner's, also where root (the console) has made some.

It changes owners only, never content or modes, and nothing where the caller is not root. A link is never followed, and
a file with a second name is left alone: it may be somebody else's.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def foreign(directory: str) -> list[str]:
    """The paths below a directory that belong to somebody else than its owner; empty for whoever is not root."""
    return [path for path, _, _ in _foreign(directory)]


def give(directory: str) -> int:
    """Make everything below a directory its owner's; how many were not. Only root can. OSError is passed on."""
    owner = os.stat(directory)
    count = 0
    for _, folder, name in _foreign(directory):
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
        count += 1
    return count


def become_owner(directory: str) -> None:
    """For good: root becomes the owner of a node's directory, so that what it makes there is the node's as well."""
    if os.geteuid() or not os.path.isdir(directory):
        return
    owner = os.stat(directory)
    if owner.st_uid:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


def _foreign(directory: str) -> Iterator[tuple[str, int, str]]:
    """(path, open directory, name)."""
    if os.geteuid():
        return
    owner = os.stat(directory).st_uid
    for folder, names, file_names, fd in os.fwalk(directory, follow_symlinks=False):
        for name in (*names, *file_names):
            try:
                facts = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone meanwhile
            if facts.st_uid != owner and not (stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1):
                yield os.path.join(folder, name), fd, name
