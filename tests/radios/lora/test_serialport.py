"""The serial port and the finder: on ptys and a folder of links."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from radios.lora import serialport
from radios.lora.modem import LinkDown
from radios.lora.serialport import WRITE_BYTES_MAX, Finder, Port, serial_of
from tests.radios.lora.emulated.plug import Plug
from tests.waiting import until


class Host:
    """A port and what it said."""

    def __init__(self, path: str, baud: int = 115200) -> None:
        self.got = b""
        self.lost: list[str] = []
        self.port = Port(path, baud, self._bytes, self.lost.append)

    def _bytes(self, data: bytes) -> None:
        self.got += data


def on_plug(tmp_path: Path, check: Callable[[Plug, bytearray], Any]) -> None:
    async def go() -> None:
        typed = bytearray()
        plug = Plug(tmp_path, "A1", typed.extend)
        try:
            await check(plug, typed)
        finally:
            plug.pull()

    asyncio.run(go())


def test_bytes_pass_as_they_are(tmp_path: Path) -> None:
    async def check(plug: Plug, typed: bytearray) -> None:
        host = Host(plug.path)
        every = bytes(range(256)) * 3
        host.port.write(every)
        plug.write(every)
        await until(lambda: typed == every and host.got == every)
        await host.port.drained(100)
        host.port.close()
        host.port.close()
        with pytest.raises(LinkDown, match="closed"):
            host.port.write(b"x")
        assert not host.lost

    on_plug(tmp_path, check)


def test_the_line_is_raw_and_not_hung_up(tmp_path: Path) -> None:
    async def check(plug: Plug, typed: bytearray) -> None:
        host = Host(plug.path, 9600)
        assert plug.baud == 9600
        host.port.set_baud(115200)
        assert plug.baud == 115200
        with pytest.raises(ValueError, match="1234 baud"):
            host.port.set_baud(1234)
        flags = termios.tcgetattr(host.port._fd)[2]
        assert not flags & (termios.HUPCL | termios.PARENB | termios.CSTOPB | termios.CRTSCTS)
        assert flags & termios.CLOCAL and flags & termios.CSIZE == termios.CS8
        host.port.close()

    on_plug(tmp_path, check)


def test_one_program_at_a_time(tmp_path: Path) -> None:
    async def check(plug: Plug, typed: bytearray) -> None:
        host = Host(plug.path)
        with pytest.raises(LinkDown, match="another program") as caught:
            Host(plug.path)
        assert caught.value.reason == "taken"
        with pytest.raises(serial.SerialException):
            serial.Serial(plug.path, exclusive=True)
        host.port.close()
        Host(plug.path).port.close()  # and free again
        theirs = os.open(plug.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(LinkDown, match="another program"):
            Host(plug.path)
        os.close(theirs)

    on_plug(tmp_path, check)


def test_unplugged(tmp_path: Path) -> None:
    async def check(plug: Plug, typed: bytearray) -> None:
        host = Host(plug.path)
        plug.pull()
        await until(lambda: host.lost)
        assert host.lost == ["gone"]
        with pytest.raises(LinkDown):
            host.port.write(b"x")
        plug.put_in()
        again = Host(plug.path)
        again.port._fd, real = os.open(os.devnull, os.O_RDONLY), again.port._fd  # write fails, read does not
        again.port.write(b"x")
        await until(lambda: again.lost)
        asyncio.get_running_loop().remove_reader(real)
        os.close(real)

    on_plug(tmp_path, check)


def test_a_device_that_takes_nothing(tmp_path: Path) -> None:
    """What it does not take waits, bounded; nothing blocks, neither does closing."""
    async def check(plug: Plug, typed: bytearray) -> None:
        host = Host(plug.path)
        asyncio.get_running_loop().remove_reader(plug._master)
        with pytest.raises(LinkDown, match="no more bytes") as caught:
            for _ in range(100):
                host.port.write(bytes(4096))
        assert caught.value.reason == "frozen" and len(host.port._waiting) <= WRITE_BYTES_MAX
        with pytest.raises(LinkDown, match="no more bytes"):
            await host.port.drained(20)
        asyncio.get_running_loop().add_reader(plug._master, plug._readable)
        await host.port.drained(2000)
        asyncio.get_running_loop().remove_reader(plug._master)
        with pytest.raises(LinkDown):
            for _ in range(100):
                host.port.write(bytes(4096))
        host.port.close()

    on_plug(tmp_path, check)


def test_what_is_no_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        plain = tmp_path / "plain"
        plain.write_bytes(b"")
        for path, reason in ((str(tmp_path / "none"), "no_device"), (str(plain), "not_serial")):
            with pytest.raises(LinkDown) as caught:
                Host(path)
            assert caught.value.reason == reason and path in caught.value.text
        for number, reason in ((errno.EACCES, "no_permission"), (errno.EBUSY, "taken"), (errno.ENXIO, "no_device")):
            def refuse(*_: Any, number: int = number) -> int:
                raise OSError(number, os.strerror(number))

            monkeypatch.setattr(serialport.os, "open", refuse)
            with pytest.raises(LinkDown) as caught:
                Host("/dev/ttyX")
            monkeypatch.undo()
            assert caught.value.reason == reason

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(go())
    assert len(os.listdir("/proc/self/fd")) == before


# --- finding a device again


def links(folder: Path, **targets: str) -> None:
    for name in os.listdir(folder):
        if name.startswith("usb-"):
            os.unlink(folder / name)
    for name, target in targets.items():
        (folder / f"usb-{name}".replace("__", "-")).symlink_to(target)


def test_a_path_is_followed_by_its_serial_number(tmp_path: Path) -> None:
    zero, one = tmp_path / "ttyUSB0", tmp_path / "ttyUSB1"
    zero.touch()
    folder = tmp_path / "by-id"
    folder.mkdir()
    finder = Finder(str(zero), str(folder))
    assert finder.path() == str(zero)
    links(folder, Maker_Radio_A1__if00=str(zero))
    finder.found(str(zero))
    assert finder.serial == "A1"
    one.touch()
    links(folder, Maker_Radio_A1__if00=str(one), Maker_Radio_B2__if00=str(zero))  # they changed places
    assert os.path.realpath(finder.path()) == str(one)
    links(folder, Maker_Radio_B2__if00=str(zero))
    with pytest.raises(LinkDown, match="A1") as caught:
        finder.path()
    assert caught.value.reason == "no_device"
    links(folder, Maker_Bootloader_A1__if02=str(zero), Maker_Bootloader_A1__if00=str(one))  # under another name
    assert os.path.realpath(finder.path()) == str(one)


def test_a_serial_number_as_address(tmp_path: Path) -> None:
    finder = Finder("usb:A1", str(tmp_path))
    with pytest.raises(LinkDown, match="serial number A1"):
        finder.path()
    links(tmp_path, Maker_Radio_A1__if00__port0="/dev/null")
    assert os.path.realpath(finder.path()) == "/dev/null"


def test_a_plain_uart(tmp_path: Path) -> None:
    finder = Finder("/dev/null", str(tmp_path / "none"))
    finder.found(finder.path())
    assert finder.path() == "/dev/null" and finder.serial == ""
    for device, said in (("", "waypost radio list"), ("/dev/nothing", "/dev/nothing is not there")):
        with pytest.raises(LinkDown, match=said):
            Finder(device, str(tmp_path)).path()


@pytest.mark.parametrize(("name", "number"), [
    ("usb-Silicon_Labs_CP2102_USB_to_UART_Bridge_Controller_0001-if00-port0", "0001"),
    ("usb-Heltec_HT-n5262_7D1C4E6D0A5E8A01-if00", "7D1C4E6D0A5E8A01"),
    ("usb-1a86_USB_Serial-if00-port0", "Serial"),
    ("pci-0000_00_14-if00", ""),
    ("nonsense", ""),
])
def test_serial_of(name: str, number: str) -> None:
    assert serial_of(name) == number
