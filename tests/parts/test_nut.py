"""The UPS that Network UPS Tools knows: Debian's upsd with its dummy UPS as the peer, and strange answers."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boards.parts import nut
from boards.parts.nut import Nut

UPSD, DRIVER = "/lib/nut/upsd", "/lib/nut/dummy-ups"  # without Debian's wrapper, which wants to be set up first


class Upsd:
    """A upsd with one dummy UPS, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "ups.conf").write_text(
            f"maxretry = 1\n[hall]\ndriver = dummy-ups\nport = {folder}/hall.dev\ndesc = test\nmode = dummy-loop\n")
        (folder / "upsd.conf").write_text(f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 5\n")
        (folder / "upsd.users").write_text("")
        (folder / "nut.conf").write_text("MODE=netserver\n")
        self.say("OL CHRG", 97)
        self.environment = {**os.environ, "NUT_CONFPATH": str(folder), "NUT_STATEPATH": str(folder),
                            "NUT_ALTPIDPATH": str(folder)}
        self.running: list[subprocess.Popen[bytes]] = []

    def say(self, status: str, charge: int, runtime_s: int = 600) -> None:
        """What the UPS says from now on: the driver reads the file again and again."""
        text = f"ups.status: {status}\nbattery.charge: {charge}\nbattery.runtime: {runtime_s}\nTIMER 1\n"
        (self.folder / "hall.new").write_text(text)
        os.replace(self.folder / "hall.new", self.folder / "hall.dev")

    def start(self) -> None:
        for command in ([DRIVER, "-a", "hall", "-u", "root", "-F"], [UPSD, "-u", "root", "-F"]):
            self.running.append(subprocess.Popen(command, env=self.environment, cwd=self.folder,
                                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self.running.clear()

    def until(self, what: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """What is read once it is so."""
        said: object = None
        for _ in range(300):
            try:
                said = asyncio.run(Nut("hall", "127.0.0.1", self.port).read())
                if what(said):
                    return said
            except OSError as error:
                said = error
            time.sleep(0.1)
        raise AssertionError(f"last: {said!r}")


@pytest.fixture
def upsd(tmp_path: Path) -> Iterator[Upsd]:
    if not (os.path.exists(UPSD) and os.path.exists(DRIVER)) or os.geteuid():
        pytest.skip("needs nut-server and root; tools/dev/setup.sh tests installs it")
    one = Upsd(tmp_path)
    one.start()
    yield one
    one.stop()


def test_a_power_cut_as_upsd_tells_it(upsd: Upsd) -> None:
    assert upsd.until(lambda facts: facts.get("on_mains") == 1) == {
        "on_mains": 1, "is_low": 0, "battery_percent": 97, "battery_s": 600}
    upsd.say("OB DISCHRG", 55, 300)
    assert upsd.until(lambda facts: facts.get("on_mains") == 0 and facts["battery_percent"] == 55)["is_low"] == 0
    upsd.say("OB DISCHRG LB", 9, 60)
    assert upsd.until(lambda facts: facts.get("is_low") == 1)["battery_percent"] == 9
    with pytest.raises(OSError, match="knows no UPS of that name"):
        asyncio.run(Nut("barn", "127.0.0.1", upsd.port).read())
    upsd.running[0].kill()
    for _ in range(300):
        try:
            asyncio.run(Nut("hall", "127.0.0.1", upsd.port).read())
        except OSError as error:
            assert "driver of the UPS does not run" in str(error) or "not answered its driver" in str(error)
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a driver that is gone is not noticed")


@pytest.mark.parametrize(("answer", "said"), [
    (b"", "another language|reset"), (b"HTTP/1.0 400 Bad\r\n", "another language"), (b"x" * 5000, "another language"),
    (b"ERR ACCESS-DENIED\n", "lets nobody from here ask"), (b"ERR WHATEVER\n", "upsd says WHATEVER"),
    (b"ERR\n", "another language"), (b"VAR other ups.status \"OL\"\n", "another language"),
    (b"\xff\xfe\n", "another language"),
])
def test_strange_answers(answer: bytes, said: str) -> None:
    async def story() -> None:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match=said):
            await Nut("hall", "127.0.0.1", port).read()
        server.close()
        await server.wait_closed()

    asyncio.run(story())


def test_a_upsd_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nut, "ANSWER_S", 0.2)

    async def story() -> None:
        over = asyncio.Event()

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        with pytest.raises(OSError, match="does not answer"):
            await Nut("hall", "127.0.0.1", server.sockets[0].getsockname()[1]).read()
        over.set()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)

    asyncio.run(story())


def test_what_may_be_set() -> None:
    assert nut.parse("ups@localhost") == ("ups", "localhost", 3493)
    assert nut.parse("hall_1@10.0.0.7:3500") == ("hall_1", "10.0.0.7", 3500)
    assert nut.parse("a@[fd00::1]:99") == ("a", "fd00::1", 99)
    for text in ("", "ups", "@host", "ups@", "u ps@host", "ups\n@host", "ups@host:x", "ups@host:0", "ups@host:70000"):
        with pytest.raises(ValueError):
            nut.parse(text)
