"""Registers the node as _waypost._tcp, so that phones and admin tools see it by name.

It never runs in the node's own process: zeroconf alone would double the node's memory. Where `avahi-publish` is
installed it does it, else a child `python -m radios.lan.mdns` with the zeroconf package, else nobody, which is a note
and no fault. The child ends with the node, however that ends. Nodes don't find each other by this (radios/lan/discovery
does that); it proves nothing about who is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

SERVICE = "_waypost._tcp"


class Registration:
    """A child process that keeps the name registered for as long as we want."""

    def __init__(self, public: bytes, port: int) -> None:
        self._name = "waypost-" + public.hex()[:8]
        self._key = public.hex()
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._how = ""

    def command(self) -> list[str]:
        """The child's command line, [] where neither avahi nor zeroconf is there."""
        avahi = shutil.which("avahi-publish")
        if avahi is not None:
            # setpriv is part of Debian's base: the kernel then ends avahi-publish when we are gone
            setpriv = shutil.which("setpriv")
            head = [setpriv, "--pdeathsig", "TERM"] if setpriv is not None else []
            return [*head, avahi, "-s", self._name, SERVICE, str(self._port), "v=1", "key=" + self._key]
        if find_spec("zeroconf") is not None:
            return [sys.executable, "-m", "radios.lan.mdns", self._name, str(self._port), self._key]
        return []

    def start(self) -> None:
        """Start the child, if there is a way to."""
        command = self.command()
        if not command:
            self._how = "not registered: neither avahi-publish nor the zeroconf package is installed"
            return
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH", "")])]
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
        except OSError as error:
            self._how = f"not registered: {os.path.basename(command[0])}: {error.strerror}"
            return
        self._how = "registered as " + self._name + (" by zeroconf" if "-m" in command else " by avahi")

    def note(self) -> str:
        """How it stands, one line."""
        if self._child is not None and self._child.poll() is not None:
            return f"not registered: the helper ended with code {self._child.returncode}"
        return self._how or "off"

    def stop(self) -> None:
        """End the child. It is given half a second to take the name back."""
        child, self._child = self._child, None
        self._how = ""
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        child.terminate()
        try:
            child.wait(0.5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


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
