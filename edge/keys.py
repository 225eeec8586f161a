"""The identity file: the one secret of a node, made at its first boot and never leaving the box.

DIR/identity.key holds the 32-byte Ed25519 seed as 64 hex digits and a line end, mode 0600. It decides only whether the
file may be trusted: one that others can read, that belongs to somebody else or that is not exactly that is refused with
the fix, never mended in silence and never overwritten. The seed is never printed or logged. DESIGN, Trust.
"""

from __future__ import annotations

import os
import stat

from edge.errors import KeyFileError

FILE_NAME = "identity.key"
SEED_BYTES = 32
_FILE_BYTES = 2 * SEED_BYTES
_PUT_BACK = ("put it back from your own copy: waypost backup --identity --restore FILE; without one, waypost "
             "factory-reset makes a new node")


def load(directory: str) -> bytes:
    """The seed (32 bytes) of a node's directory. Raises KeyFileError saying what is wrong and how to mend it."""
    return read(os.path.join(directory, FILE_NAME))


def read(path: str) -> bytes:
    """The seed in one key file. Raises KeyFileError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError("there is no identity yet", where=path, hint="the node makes one when it starts") from None
    except OSError as error:
        raise KeyFileError(f"can't be opened: {error.strerror}", where=path, allowed="a plain file of this user",
                           hint="waypost repair mends its owner; if it is not yours, move it away") from None
    try:
        facts = os.fstat(fd)
        raw = os.read(fd, _FILE_BYTES + 64)
    except OSError as error:
        raise KeyFileError(f"can't be read: {error.strerror}", where=path) from None
    finally:
        os.close(fd)
    if not stat.S_ISREG(facts.st_mode):
        raise KeyFileError("is not a plain file", where=path, hint=_PUT_BACK)
    if os.geteuid() not in (facts.st_uid, 0):  # root reads anybody's: it is the console of a box whose node is not root
        raise KeyFileError(f"belongs to user {facts.st_uid}, not to user {os.geteuid()} who runs this", where=path,
                           hint=f"run as its owner; or as root: waypost repair (chown {os.geteuid()} {path})")
    if facts.st_mode & 0o077:
        raise KeyFileError(f"may be used by others (mode {facts.st_mode & 0o777:04o})", where=path, allowed="mode 0600",
                           hint=f"waypost repair, or: chmod 600 {path}; where somebody may have read it, waypost "
                           "factory-reset makes a new node")
    return _parse(path, raw)


def load_or_create(directory: str) -> tuple[bytes, bool]:
    """The seed, and True when it was made just now. The caller holds the directory's lock. Raises KeyFileError."""
    path = os.path.join(directory, FILE_NAME)
    temporary = path + ".new"
    try:
        os.unlink(temporary)  # of a boot that was cut short
    except OSError:
        pass
    if os.path.lexists(path):
        return load(directory), False
    try:
        write(temporary, os.urandom(SEED_BYTES))
        os.link(temporary, path)  # fails if there is one by now; a rename would overwrite it
        os.unlink(temporary)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise KeyFileError(f"can't be made: {error.strerror}", where=path,
                           hint="check that the directory can be written and the disk is not full") from None
    return load(directory), True


def write(path: str, seed: bytes, *, has_modes: bool = True) -> None:
    """Make a key file; never over another one. has_modes: not so on a stick's file system. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if has_modes:
            os.fchmod(fd, 0o600)
        os.write(fd, seed.hex().encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def fingerprint(public: bytes) -> str:
    """A node key (32 bytes) as people compare it aloud: eight groups of four hex digits of its SHA-256."""
    from edge.compat.hashing import sha256

    digits = sha256(public)[:16].hex()
    return " ".join(digits[at:at + 4] for at in range(0, 32, 4))


def _parse(path: str, raw: bytes) -> bytes:
    text = raw.rstrip(b"\r\n")
    if len(text) != _FILE_BYTES:
        raise KeyFileError(f"holds {len(text)} characters", where=path, allowed=f"{_FILE_BYTES} hex digits",
                           hint=_PUT_BACK)
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise KeyFileError("holds something else than hex digits", where=path, allowed=f"{_FILE_BYTES} hex digits",
                           hint=_PUT_BACK) from None
