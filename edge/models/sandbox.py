"""What a model worker gives up before it reads a file that may come from anywhere.

In this order: its life before others' when memory runs out, and limits on what it may use; root, where it has that; the
file system, other processes and the network (Landlock); and the system calls that lead out of a process (seccomp). What
the kernel lacks is left out and said: `enter` gives what is in force. The worker imports what it needs before;
afterwards it can open nothing, not even for reading. Linux only; numbers from the kernel's headers.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NICE = 10
OOM_SCORE = 1000  # it goes first
FILES_MAX = 64
USER = "waypost-model"  # whose rights it takes where the node runs as root; nobody's where there is no such user

_PR_SET_PDEATHSIG, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 21, 22, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, _CAPABILITIES_3 = 47, 4, 0x20080522
_SIGKILL = 9
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_VERSION, _LANDLOCK_PATH = 1, 1
_READ, _WRITE = 1 << 2, 1 << 1 | 1 << 14  # of a file; truncating it belongs to writing
# rights on files that each version of Landlock knows of; version 4 adds TCP, version 6 abstract sockets and signals
_LANDLOCK_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_TCP, _LANDLOCK_SCOPES = 3, 3
_SECCOMP_FILTER, _ALLOW, _EPERM, _KILL = 2, 0x7FFF0000, 0x00050001, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x40000000  # system calls of x86-64's second kind have this bit
# the kernel's name for an architecture, and the numbers there of the calls that are refused: socket, connect, bind,
# listen, accept(4), execve(at), ptrace, process_vm_readv and _writev, mount, umount2, chroot, pivot_root, unshare,
# setns, bpf, perf_event_open, userfaultfd, add_key, request_key, keyctl, kexec_load, init_module, finit_module,
# open_by_handle_at, memfd_create, personality, swapon, reboot
_REFUSED = {
    "x86_64": (0xC000003E, (41, 42, 49, 50, 43, 288, 59, 322, 101, 310, 311, 165, 166, 161, 155, 272, 308, 321, 298,
                            323, 248, 249, 250, 246, 175, 313, 304, 319, 135, 167, 169)),
    "aarch64": (0xC00000B7, (198, 203, 200, 201, 202, 242, 221, 281, 117, 270, 271, 40, 39, 51, 41, 97, 268, 280, 241,
                             282, 217, 218, 219, 104, 105, 273, 265, 279, 92, 224, 142)),
}
# the same everywhere: pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd, process_madvise, process_mrelease
_REFUSED_EVERYWHERE = (424, 425, 434, 438, 440, 448)


def limit(memory_bytes: int) -> None:
    """Go before everybody else when memory runs out, and limit what may be used.

    memory_bytes: of private memory; what a file maps does not count.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OOM_SCORE))
    except OSError:
        pass
    for what, value in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0),
                         (resource.RLIMIT_NOFILE, FILES_MAX), (resource.RLIMIT_MEMLOCK, 0)):
        hard = resource.getrlimit(what)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (allowed, allowed))


def enter(*, reads: int | None = None, writes: int | None = None) -> dict[str, Any]:
    """Give up root, files, network, other processes. reads, writes: open files that may be opened again by their paths,
    for what takes paths only; root is kept then, for the files may be root's.

    Gives {"user": uid, "landlock": version or 0, "seccomp": bool}: what is in force.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if writes is None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _drop_root()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    libc.capset(struct.pack("<II", _CAPABILITIES_3, 0), bytes(24))  # a unit may give the node some
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)  # a change of user has undone it
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    but = [(fd, rights) for fd, rights in ((reads, _READ), (writes, _READ | _WRITE)) if fd is not None]
    landlock = _landlock(libc, but)
    return {"user": os.getuid(), "landlock": landlock, "seccomp": _seccomp(libc)}


def supported() -> dict[str, Any]:
    """{"landlock": version or 0, "seccomp": bool}: what `enter` will find here; nothing is changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    return {"landlock": max(0, int(version)),
            "seccomp": os.uname().machine in _REFUSED and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0}


def _drop_root() -> None:
    if os.geteuid() != 0:
        return
    import pwd

    try:
        who = pwd.getpwnam(USER)
    except KeyError:
        who = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
    os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)


def _landlock(libc: ctypes.CDLL, but: list[tuple[int, int]]) -> int:
    """Allow no file but these (fd, rights), no TCP port, no other process. The version in force, 0 for none."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return 0
    files = _LANDLOCK_FILES[max(known for known in _LANDLOCK_FILES if known <= version)]
    rules = struct.pack("<QQQ", files, _LANDLOCK_TCP if version >= 4 else 0, _LANDLOCK_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    fd = libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(size), 0)
    if fd < 0:
        return 0
    for one, rights in but:
        libc.syscall(_LANDLOCK_ADD, fd, _LANDLOCK_PATH, struct.pack("<Qi", rights & files, one), 0)
    done = libc.syscall(_LANDLOCK_RESTRICT, fd, 0)
    os.close(fd)
    return int(version) if done == 0 else 0


def _seccomp(libc: ctypes.CDLL) -> bool:
    """Refuse the calls of _REFUSED with EPERM, for all threads to come. False where that can't be."""
    known = _REFUSED.get(os.uname().machine)
    if known is None:
        return False
    architecture, numbers = known
    refused = (*numbers, *_REFUSED_EVERYWHERE)
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    checks = [(_AT_LEAST, len(refused) + 1, 0, _X32)]
    checks += [(_EQUAL, len(refused) - i, 0, number) for i, number in enumerate(refused)]
    steps += [*checks, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = struct.pack("<H6xQ", len(steps), ctypes.addressof(code))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, program, 0, 0) == 0)
