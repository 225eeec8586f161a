"""Inside the machine: bluetoothd under the tests' control, and adapters of its kernel whose radios are bumble's.

An adapter is a bumble controller on /dev/vhci, on the same `Air` as virtual radios (tests/radios/ble), so what is real
is everything above HCI: the kernel's Bluetooth, bluetoothd, D-Bus, and what the node does with them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bleak.backends.bluezdbus.manager import _global_instances
from bumble import hci
from bumble.transport.common import Transport
from bumble.transport.vhci import open_vhci_transport

from radios.ble.bluez import BlueZ
from radios.ble.driver import BleDriver
from tests.radios.ble.air import Air, Controller, Radio
from tests.radios.ble.kit import Hasty
from tests.radios.ble.virtual import VirtualStack
from tests.radios.contract import Heard, identity

DAEMON = "/usr/libexec/bluetooth/bluetoothd"
CONFIG = """[General]
ControllerMode = le
[GATT]
Channels = 1
[Policy]
AutoEnable = false
"""
PATIENCE_S = 60.0
RUN = Path(os.environ.get("WAYPOST_VM_RUN", "/tmp"))
CRASHES = RUN / "bluetoothd.crashes"


class Bluetoothd:
    """The daemon, as Debian ships it, with the settings that docs/BLUETOOTH.md recommends.

    Where it crashes by itself it starts again, as D-Bus does it where there is systemd: BlueZ 5.66 corrupts its memory
    now and then when an adapter is blocked while an advert begins. `crashes` counts that.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def crashes(self) -> int:
        return CRASHES.stat().st_size if CRASHES.exists() else 0

    def start(self) -> None:
        Path("/etc/bluetooth/main.conf").write_text(CONFIG)
        with open(RUN / "bluetoothd.log", "ab") as log:
            self._process = subprocess.Popen(["sh", "-c", f"until {DAEMON} -n; do printf x >>{CRASHES}; sleep 1; done"],
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """It is gone, and stays away."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class ToKernel:
    """Packets for the kernel. While the adapter is down it takes none, which asyncio's pipe would take for its end; and
    none after it was pulled."""

    def __init__(self, sink: Any) -> None:
        self._file = sink.transport.get_extra_info("pipe")

    def on_packet(self, packet: bytes) -> None:
        if self._file.closed:
            return
        try:
            os.write(self._file.fileno(), packet)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise


class Adapter:
    """One adapter of the kernel, from plug to pull. number: 1..255, makes its address. name: the kernel's, as hci0."""

    def __init__(self, air: Air, number: int) -> None:
        self.air = air
        self.address = f"00:00:00:00:00:{number:02X}"
        self.name = ""
        self.controller: Controller | None = None
        self._transport: Transport | None = None

    async def plug(self) -> None:
        """There it is."""
        before = adapters()
        self._transport = await open_vhci_transport(None)
        self.controller = Controller(self.address, host_source=self._transport.source,
                                     host_sink=ToKernel(self._transport.sink), link=self.air,
                                     public_address=self.address)
        self.controller.le_features &= ~(hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LL_PRIVACY)
        self.controller.le_acl_data_packet_length = 251
        await until(lambda: adapters() - before)
        self.name = (adapters() - before).pop()

    async def pull(self) -> None:
        """Unplugged: the kernel loses it, and so do those who are connected to it."""
        self.cut()
        if self.controller is not None:
            self.air.remove_controller(self.controller)
            self.controller = None
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()
            await until(lambda: self.name not in adapters())

    def cut(self) -> None:
        """It loses whoever it is connected to, as when they go too far away."""
        if self.controller is not None:
            for address in list(self.controller.le_connections):
                self.air.cut(self.controller, address)


def adapters() -> set[str]:
    """What the kernel has: hci0, hci1, ..."""
    return set(os.listdir("/sys/class/bluetooth")) if os.path.isdir("/sys/class/bluetooth") else set()


async def let_bleak_go() -> None:
    """bleak keeps one connection to D-Bus for as long as its event loop lives; here that is a test."""
    manager = _global_instances.pop(asyncio.get_running_loop(), None)
    if manager is not None and manager._bus is not None and manager._bus_watcher_task is not None:
        manager._bus.disconnect()
        await asyncio.wait([manager._bus_watcher_task])


async def until(condition: Any, seconds: float = 60) -> None:
    """Wait until it holds; the machine may be a slow one."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for happens in other processes
            await asyncio.sleep(0.05)


class Patient(Hasty):
    """Tests don't wait, but a machine in emulation takes its time."""

    handshake_ms = 20000
    connect_ms = 20000
    yield_ms = 30000


class Hall:
    """Adapters and drivers on one air, given back when the test is over. What asyncio would only log is a failure."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.air = Air()
        self.failures: list[dict[str, Any]] = []
        self._stack = stack

    async def adapter(self, number: int) -> Adapter:
        """An adapter that is plugged in."""
        adapter = Adapter(self.air, number)
        self._stack.push_async_callback(adapter.pull)
        await adapter.plug()
        return adapter

    async def node(self, number: int, adapter: Adapter | None, **settings: Any) -> tuple[BleDriver, Heard]:
        """A started driver on this adapter; without one, on a virtual radio."""
        heard = Heard(PATIENCE_S)
        stack = BlueZ(adapter.name) if adapter else VirtualStack(Radio(self.air, number))
        driver = BleDriver(settings, *identity(number), None, heard, "ble", Patient(), stack)
        self._stack.push_async_callback(driver.stop)
        await driver.start()
        return driver, heard

    async def radio(self, number: int) -> Radio:
        """A virtual radio by itself."""
        radio = Radio(self.air, number)
        await radio.power_on()
        return radio


@asynccontextmanager
async def hall() -> AsyncIterator[Hall]:
    """A place for adapters and drivers."""
    async with AsyncExitStack() as stack:
        place = Hall(stack)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: place.failures.append(context))
        stack.push_async_callback(let_bleak_go)
        yield place
    assert not place.failures


@contextmanager
def bus_policy(path: Path, text: str) -> Iterator[None]:
    """D-Bus goes by this policy for a while."""
    def reload() -> None:
        subprocess.run(["dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/",
                        "org.freedesktop.DBus.ReloadConfig"], check=True, stdout=subprocess.DEVNULL)

    path.write_text(text)
    try:
        reload()
        yield
    finally:
        path.unlink()
        reload()
