"""BlueZ where there is none: what a node and its doctor say, with D-Bus as it is; and the parts that need no radio.

What BlueZ does with all this is tried on the real one, in a machine of its own (tests/ble_vm).
"""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from edge.config import filled
from radios.ble import advert, beacon, settings
from radios.ble.bluez import BlueZ, is_blocked
from radios.ble.gattserver import GattServer
from radios.ble.mgmt import Mgmt
from radios.ble.stack import TEXTS, BleDown, Reason
from tests.radios.ble import virtual
from tests.waiting import PATIENCE
from tools import doctor_ble

BUS = """<busconfig><type>system</type><listen>unix:path={path}</listen><policy context="default">
<allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>"""


@pytest.fixture
def system_bus(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A real D-Bus daemon of our own in place of the system's, with nobody on it."""
    daemon = shutil.which("dbus-daemon")
    if daemon is None:
        pytest.skip("no dbus-daemon")
    socket, config = tmp_path / "bus", tmp_path / "bus.conf"
    config.write_text(BUS.format(path=socket))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={socket}")
    process = subprocess.Popen([daemon, f"--config-file={config}", "--print-address", "--nofork"],
                               stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield socket
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def reason_of(stack: BlueZ) -> Reason:
    async def whole() -> Reason:
        try:
            await stack.open(lambda _reason: None)
        except BleDown as down:
            return down.reason
        finally:
            await stack.close()
        raise AssertionError("there is Bluetooth here")

    return asyncio.run(whole())


def test_no_bus(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    assert reason_of(BlueZ()) is Reason.NO_DBUS


def test_nobody_on_the_bus(system_bus: pathlib.Path) -> None:
    assert reason_of(BlueZ()) is Reason.NO_BLUEZ


def test_a_bus_that_does_not_let_us_in(system_bus: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbus_fast.aio import message_bus
    from dbus_fast.auth import AuthAnonymous

    monkeypatch.setattr(message_bus, "AuthExternal", AuthAnonymous)
    assert reason_of(BlueZ()) is Reason.NO_PERMISSION


@pytest.mark.parametrize("package", ["bleak", "dbus_fast"])
def test_no_package(package: str, system_bus: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "dbus_fast":
        monkeypatch.setitem(sys.modules, "bleak", sys)  # which is there, as far as this goes
    assert reason_of(BlueZ()) is Reason.NO_PACKAGE


def test_the_bus_ends_while_it_is_used(system_bus: pathlib.Path) -> None:
    """A connection that ends is told once, and calls fail at once."""
    from radios.ble.dbus import Bus, BusError

    async def whole() -> None:
        ended = asyncio.Event()
        bus = Bus("org.example.Nobody", lambda *_: None, ended.set)
        await bus.open()
        with pytest.raises(BusError, match="ServiceUnknown"):
            await bus.call("/", "org.example.One", "Do")
        await bus.match("type='signal'")
        bus._bus._sock.shutdown(2)
        await asyncio.wait_for(ended.wait(), 5 * PATIENCE)
        with pytest.raises(BusError, match="gone"):
            await bus.call("/", "org.example.One", "Do")
        await bus.close()

    asyncio.run(whole())


def test_objects_of_ours_are_called_and_hand_out_descriptors(system_bus: pathlib.Path) -> None:
    """What BlueZ does with our service, done by another program on a real bus."""
    from dbus_fast import BusType, Message, MessageType, Variant
    from dbus_fast.aio import MessageBus

    from radios.ble import gatt
    from radios.ble.dbus import Bus, BusError
    from radios.ble.stack import Way

    async def whole() -> None:
        ours = Bus("org.example.Nobody", lambda *_: None, lambda: None)
        await ours.open()
        ways: list[Way] = []
        heard: list[bytes] = []

        def on_way(way: Way) -> bool:
            way.on_value = heard.append
            ways.append(way)
            return len(ways) == 1

        server = GattServer(ours, "/adapter", b"the info", on_way, sockets=True)
        with pytest.raises(BusError):
            await server.register()  # nobody is there, but the objects are
        theirs = MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True)
        await theirs.connect()

        async def ask(path: str, interface: str, member: str, signature: str = "", *body: object) -> Message:
            reply = await theirs.call(Message(ours._bus.unique_name, path, interface, member, signature=signature,
                                              body=list(body)))
            assert reply is not None
            return reply

        root = "/org/waypost/ble"
        found = (await ask(root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")).body[0]
        uuids = {interfaces[name]["UUID"].value for interfaces in found.values() for name in interfaces}
        assert uuids == {gatt.SERVICE, gatt.IN, gatt.OUT, gatt.INFO} and all(path.startswith(root) for path in found)
        characteristic = "org.bluez.GattCharacteristic1"
        info = await ask(f"{root}/service/info", characteristic, "ReadValue", "a{sv}", {"offset": Variant("q", 4)})
        assert bytes(info.body[0]) == b"info"
        flags = await ask(f"{root}/service/in", "org.freedesktop.DBus.Properties", "Get", "ss", characteristic, "Flags")
        assert flags.body[0].value == ["write", "write-without-response"]
        device = {"device": Variant("o", "/adapter/dev_C0_00"), "mtu": Variant("q", 185)}
        outlet = await ask(f"{root}/service/out", characteristic, "AcquireNotify", "a{sv}", device)
        assert outlet.message_type is MessageType.METHOD_RETURN and outlet.body[1] == 185
        written = await ask(f"{root}/service/in", characteristic, "WriteValue", "aya{sv}", b"first", device)
        assert written.message_type is MessageType.METHOD_RETURN and heard == [b"first"]
        (way,) = ways
        assert way.room_bytes == 182 and way.place == "C0:00"
        import socket

        with socket.socket(fileno=outlet.unix_fds[0]) as end:
            await way.write(b"to the phone", True)
            assert end.recv(512) == b"to the phone"
        other = device | {"device": Variant("o", "/adapter/dev_C0_01")}
        refused = await ask(f"{root}/service/in", characteristic, "WriteValue", "aya{sv}", b"second", other)
        assert refused.message_type is MessageType.ERROR and "NotPermitted" in str(refused.error_name)
        lost: list[int] = []
        way.on_lost = lambda: lost.append(1)
        server.gone("/adapter/dev_C0_00")
        assert lost == [1]
        await server.unregister()
        assert (await ask(root, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")).body[0] == {}
        theirs.disconnect()
        await theirs.wait_for_disconnect()
        await ours.close()

    asyncio.run(whole())


def test_the_advert_is_the_same_by_bluez_and_by_the_kernel() -> None:
    data = bytes(range(6))
    assert virtual.advert(data) == b"\x02\x01\x06" + advert.legacy(data)
    assert len(b"\x02\x01\x06" + advert.legacy(data)) == 31
    values = advert._values(data, "n-3475")
    assert values["ManufacturerData"].value[beacon.COMPANY].value == data
    assert advert.response("n-3475") == b"\x07\x09n-3475"


def test_a_kernel_without_bluetooth() -> None:
    async def whole() -> None:
        mgmt = Mgmt(0)
        with pytest.raises(OSError):
            await mgmt.open()
        await mgmt.close()

    asyncio.run(whole())


# --- BlueZ's own settings, and the doctor


@pytest.mark.parametrize(("text", "version", "expected"), [
    ("", (5, 82), [Reason.DUAL_MODE]),
    ("[General]\nControllerMode = le\n", (5, 82), []),
    ("[General]\n#ControllerMode = le\n[GATT]\nChannels = 3", (5, 66), [Reason.DUAL_MODE, Reason.CHANNELS]),
    ("[General]\nControllerMode=LE\n[GATT]\nChannels=1\n", (5, 66), []),
    ("[General]\ncontrollermode = dual\n", (), [Reason.DUAL_MODE, Reason.CHANNELS]),
    ("no ini = at\nall\x00", (5, 82), [Reason.DUAL_MODE]),
])
def test_settings_of_bluez(tmp_path: pathlib.Path, text: str, version: tuple[int, ...], expected: list[Reason]) -> None:
    path = tmp_path / "main.conf"
    path.write_text(text)
    assert settings.faults(version, str(path)) == expected


def test_settings_that_are_not_there(tmp_path: pathlib.Path) -> None:
    assert settings.faults((5, 66), str(tmp_path / "none")) == []


def test_the_doctor(tmp_path: pathlib.Path, system_bus: pathlib.Path) -> None:
    conf = tmp_path / "main.conf"
    conf.write_text("[General]\nControllerMode = dual\n")
    assert doctor_ble.examine(filled(), False) == []
    wanted = filled({"ble.enabled": True})
    found = doctor_ble.examine(wanted, False, str(conf))
    assert [(one.state, one.text) for one in found][0] == (
        "broken", "bluetoothd does not run (org.freedesktop.DBus.Error.ServiceUnknown: The name org.bluez was not "
                  "provided by any .service files)")
    assert found[0].fix == "install bluez and start it (systemctl enable --now bluetooth)"
    assert found[1].state == "note" and "ControllerMode = le" in found[1].fix
    assert [one.state for one in doctor_ble.examine(wanted, True, str(conf))][0] == "note", "the node says the rest"


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_has_a_text_and_what_to_do(reason: Reason) -> None:
    found = doctor_ble.finding(reason, "", "broken")
    assert found.text and found.fix and len(TEXTS[reason]) < 200


@pytest.mark.parametrize(("soft", "hard", "blocked"), [("0", "0", False), ("1", "0", True), ("0", "1", True)])
def test_an_adapter_that_rfkill_keeps_off(tmp_path: pathlib.Path, soft: str, hard: str, blocked: bool) -> None:
    switch = tmp_path / "hci0" / "rfkill3"
    switch.mkdir(parents=True)
    (switch / "soft").write_text(soft + "\n")
    (switch / "hard").write_text(hard + "\n")
    assert is_blocked("hci0", str(tmp_path)) is blocked
    assert not is_blocked("hci1", str(tmp_path))
