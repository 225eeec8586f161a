"""Registers the node as _waypost._tcp, so that phones and admin tools see it by name.

It never runs in the node's own process: zeroconf alone would double the node's memory. Where the avahi daemon runs,
`avahi-publish` does it, else a child `python -m radios.lan.mdns` with the zeroconf package, else nobody, which is a
note and no fault. The child ends with the node, however that ends. Nodes don't find each other by this
(radios/lan/discovery.py does that); it proves nothing about who is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

SERVICE = "_waypost._tcp"
AVAHI_SOCKET = "/run/avahi-daemon/socket"
_STOP_S = 1.5  # to take the name back


def _which(program: str) -> str | None:
    """Where a program is (shutil.which would load four modules for it)."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, program)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


class Registration:
    """A child process that keeps the name registered for as long as we want.

    It is started with posix_spawn: the subprocess module would cost the node memory for this alone.
    """

    def __init__(self, public: bytes, port: int) -> None:
        self._name = "waypost-" + public.hex()[:8]
        self._key = public.hex()
        self._port = port
        self._pid = 0
        self._stdin = -1
        self._how = ""

    def command(self) -> list[str]:
        """The child's command line, its program with the whole path; [] where neither avahi nor zeroconf is there."""
        avahi = _which("avahi-publish")
        running = os.path.exists(AVAHI_SOCKET)
        if not (avahi is not None and running) and any(os.path.isdir(os.path.join(p, "zeroconf")) for p in sys.path):
            return [sys.executable, "-m", "radios.lan.mdns", self._name, str(self._port), self._key]
        if avahi is None:
            return []
        # setpriv is part of Debian's base: the kernel then ends avahi-publish when we are gone; -f waits for the daemon
        setpriv = _which("setpriv")
        head = [setpriv, "--pdeathsig", "TERM"] if setpriv is not None else []
        return [*head, avahi, "-f", "-s", self._name, SERVICE, str(self._port), "v=1", "key=" + self._key]

    def start(self) -> None:
        """Start the child, if there is a way to."""
        command = self.command()
        if not command:
            self._how = "not registered: neither avahi-publish nor the zeroconf package is installed"
            return
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join([root, *(path for path in sys.path if path)])
        read, self._stdin = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, read, 0)]
        actions += [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]  # type: ignore[misc]
        try:
            self._pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
        except OSError as error:
            os.close(self._stdin)
            self._how = f"not registered: {os.path.basename(command[0])}: {error.strerror}"
            return
        finally:
            os.close(read)
        self._how = "registered as " + self._name + (" by zeroconf" if "-m" in command else " by avahi")

    def note(self) -> str:
        """How it stands, one line."""
        self._reap()
        return self._how or "off"

    async def stop(self) -> None:
        """End the child; it is given a moment to take the name back."""
        if not self._pid:
            return
        os.close(self._stdin)
        if not self._how.endswith("zeroconf"):
            os.kill(self._pid, signal.SIGTERM)
        for _ in range(int(_STOP_S / 0.02)):
            self._reap()
            if not self._pid:
                return
            await asyncio.sleep(0.02)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)  # noqa: ASYNC222 (it is dead already)
        self._pid = 0

    def _reap(self) -> None:
        if self._pid:
            pid, code = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                self._how = f"not registered: the helper has ended ({code})"


def main(arguments: list[str]) -> int:
    """The child with zeroconf: NAME PORT KEY; ends when its standard input does."""
    import socket

    from zeroconf import ServiceInfo, Zeroconf

    name, port, key = arguments
    zeroconf = Zeroconf()
    info = ServiceInfo(
        SERVICE + ".local.", f"{name}.{SERVICE}.local.", port=int(port), properties={"v": "1", "key": key},
        server=f"{socket.gethostname().partition('.')[0]}.local.", addresses=_addresses())
    zeroconf.register_service(info, allow_name_change=True)
    sys.stdin.buffer.read()
    zeroconf.unregister_service(info)
    zeroconf.close()
    return 0


def _addresses() -> list[bytes]:
    from radios.lan import net

    return [i.ipv4 for i in net.interfaces() if i.ipv4 is not None and i.name != "lo"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
