"""What every test in the machine has: a bluetoothd that runs when it begins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ble_vm.inside.bluez import Bluetoothd


@pytest.fixture(scope="session")
def daemon() -> Iterator[Bluetoothd]:
    """One bluetoothd for the whole run; a test may kill it and start it again."""
    one = Bluetoothd()
    yield one
    one.kill()
    if one.crashes:
        print(f"\nbluetoothd crashed by itself, and was started again: {one.crashes} times", flush=True)


@pytest.fixture(autouse=True)
def bluetoothd(daemon: Bluetoothd) -> Bluetoothd:
    """It runs."""
    if not daemon.is_running:
        daemon.start()
    return daemon
