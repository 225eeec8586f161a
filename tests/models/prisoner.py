"""Run as a script in a model worker's rights: tries whatever could harm the node and prints what went through.

    prisoner.py DIRECTORY NODE_PID PORT UID MODE   UID: whose node it is; MODE: "bound", or "free" for comparison
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any


def main() -> None:
    directory, node, port, user, mode = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    from edge.models import sandbox

    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(16)
    fd_path = os.open(os.path.join(directory, "model.gguf"), os.O_RDONLY)
    sandbox.limit(256 << 20)
    if user != os.getuid():
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    rights = sandbox.enter() if mode == "bound" else {}

    def reads(name: str) -> Callable[[], Any]:
        return lambda: os.open(os.path.join(directory, name), os.O_RDONLY)

    def syscall(number: int, *arguments: Any) -> Callable[[], Any]:
        def call() -> Any:
            ctypes.set_errno(0)
            if libc.syscall(number, *arguments) < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        return call

    def much_memory() -> None:
        held = [bytearray(32 << 20) for _ in range(16)]
        del held

    attempts: dict[str, Callable[[], Any]] = {
        "identity key": reads("identity.key"), "database": reads("waypost.db"), "settings": reads("waypost.toml"),
        "control socket": lambda: socket.socket(socket.AF_UNIX).connect(os.path.join(directory, "control.sock")),
        "network": lambda: socket.socket().connect(("127.0.0.1", port)),
        "a listening socket": lambda: socket.socket().bind(("127.0.0.1", 0)),
        "any file": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "the file system": lambda: os.listdir("/"),
        "a new file": lambda: os.open(os.path.join(directory, "new"), os.O_CREAT | os.O_WRONLY),
        "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "the node's memory": lambda: os.open(f"/proc/{node}/mem", os.O_RDONLY),
        "the node's environment": lambda: os.open(f"/proc/{node}/environ", os.O_RDONLY),
        "the node's life": lambda: os.kill(node, 0),
        "ptrace": syscall(101, 16, node, 0, 0), "process_vm_readv": syscall(310, node, buffer, 0, buffer, 0, 0),
        "a pidfd of the node": lambda: os.pidfd_open(node), "io_uring": syscall(425, 4, buffer),
        "more memory": much_memory,
        "root again": lambda: os.setresuid(0, 0, 0),
    }
    if os.uname().machine == "aarch64":
        attempts["ptrace"], attempts["process_vm_readv"] = syscall(117, 16, node, 0, 0), syscall(270, node, buffer, 0,
                                                                                                  buffer, 0, 0)
    went_through, refused = [], {}
    for name, attempt in attempts.items():
        try:
            attempt()
            went_through.append(name)
        except OSError as error:
            refused[name] = errno.errorcode.get(error.errno or 0, str(error))
        except MemoryError:
            refused[name] = "MemoryError"
    works = []
    thread = threading.Thread(target=lambda: works.append("threads"))
    thread.start()
    thread.join()
    with mmap.mmap(fd_path, 0, prot=mmap.PROT_READ) as data:
        works.append("the model's file" if data[:4] == b"GGUF" else "")
    print(json.dumps({"rights": rights, "went_through": went_through, "refused": refused, "works": works}), flush=True)


if __name__ == "__main__":
    main()
