"""A directory that the node watches for CAP files: what appears in it is issued by this node.

The files are read by another process, `waypost alert import`, which asks the node like anybody with its control socket
would: so no XML is ever parsed in the node itself, and a parser that dies or hangs costs one round. A file is taken
again only when it has changed; what is out already or has expired is left alone by the import itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Seen = tuple[int, int]  # size, time of change

EVERY_S = 5
SETTLED_S = 1  # a file that was written to so lately may not be whole
FILES_MAX = 2000
AT_ONCE = 20
IMPORT_S = 40  # a frozen one is ended then, and what it had not taken is tried again
OUTPUT_BYTES_MAX = 1 << 20
PART = "feed"


class Feed:
    """One directory. node: the node's own directory. log(level, text); trouble(part, reason, text) as LinkOwner's."""

    def __init__(self, directory: str, node: str, log: Callable[[str, str], None],
                 trouble: Callable[[str, str, str], None]) -> None:
        self._directory = directory
        self._node = node
        self._log = log
        self._trouble = trouble
        self._seen: dict[str, Seen] = {}
        self._said = ""

    async def follow(self, beat: Callable[[], None]) -> None:
        """Until it is cancelled: look every EVERY_S, and take what is new."""
        while True:
            beat()
            fresh = self._fresh()
            names = sorted(fresh)
            for at in range(0, len(names), AT_ONCE):
                some = names[at:at + AT_ONCE]
                if await self._take(some):
                    self._seen.update({name: fresh[name] for name in some})
                beat()
            await asyncio.sleep(EVERY_S)

    def _fresh(self) -> dict[str, Seen]:
        """The files that are new or have changed since they were taken."""
        import time

        found: dict[str, Seen] = {}
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    if entry.name.lower().endswith((".cap", ".xml")) and entry.is_file():
                        facts = entry.stat()
                        if time.time() - facts.st_mtime >= SETTLED_S or facts.st_mtime > time.time():
                            found[entry.name] = (facts.st_size, facts.st_mtime_ns)
        except OSError as error:
            self._say(f"the directory {self._directory} can't be read: {error.strerror}; set alerts.feed")
            return {}
        if len(found) > FILES_MAX:
            self._say(f"{self._directory} holds {len(found)} files; of more than {FILES_MAX} none is taken: clear it")
            return {}
        self._say("")
        self._seen = {name: seen for name, seen in self._seen.items() if name in found}
        return {name: seen for name, seen in found.items() if self._seen.get(name) != seen}

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._trouble(PART, "feed" if text else "", text)

    async def _take(self, names: list[str]) -> bool:
        """Have some files imported: whether the import ran to its end."""
        paths = [os.path.join(self._directory, name) for name in names]
        command = [sys.executable, "-m", "tools.cli", "--dir", self._node, "--json", "alert", "import", *paths]
        output = await _run(command)
        try:
            results = json.loads(output)
        except ValueError:
            results = None
        if not isinstance(results, list):
            said = output.decode(errors="replace")[:200] or "no answer in time"
            self._say(f"CAP files could not be taken in: {said}")
            return False
        for one in results:
            self._tell(one)
        return True

    def _tell(self, result: dict[str, Any]) -> None:
        name = os.path.basename(result["path"])
        if "refused" in result:
            refused = result["refused"]
            self._log("warning", f"{name} was refused: {refused['message']} ({refused.get('where', '')})")
        elif "known" not in result:
            self._log("info", f"{name} is issued as {result['id']}")


async def _run(words: list[str]) -> bytes:
    """The standard output of a process; what it has said until it is ended, if it takes longer than IMPORT_S."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)  # ours alone: whoever prints there must wait, and not fail
    pid = _spawn(words, theirs)
    os.close(theirs)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    out = bytearray()

    def read() -> None:
        try:
            data = os.read(ours, 65536)
        except BlockingIOError:
            return
        out.extend(data[:max(0, OUTPUT_BYTES_MAX - len(out))])
        if not data and not done.done():
            done.set_result(None)

    loop.add_reader(ours, read)
    try:
        await asyncio.wait([done], timeout=IMPORT_S)
        for _ in range(100 if done.done() else 0):
            if _ended(pid):
                return bytes(out)
            await asyncio.sleep(0.02)
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if not _ended(pid):
            os.kill(pid, signal.SIGKILL)
            _ended(pid, wait=True)
    return bytes(out)


def _spawn(words: list[str], output: int) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    return os.posix_spawn(words[0], words, environment, file_actions=[(os.POSIX_SPAWN_DUP2, output, 1)])


def _ended(pid: int, *, wait: bool = False) -> bool:
    """Whether a child has ended; it is let go of then."""
    try:
        return os.waitpid(pid, 0 if wait else os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
