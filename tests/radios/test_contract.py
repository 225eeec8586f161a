"""Every driver passes the contract of edge/core/link.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from radios.ble.driver import BleDriver
from radios.fake.driver import Ether, FakeDriver
from radios.lan.driver import LanDriver
from radios.lan.udp import UdpDriver
from tests.radios.ble.air import Air, Radio
from tests.radios.ble.kit import Hasty
from tests.radios.ble.virtual import VirtualStack
from tests.radios.contract import CONTRACT, Heard, Rig, identity

Check = Callable[[Rig], Coroutine[Any, Any, None]]


class LanRig(Rig):
    """Sessions over loopback, introduced by the settings, so that nobody else on this network is met."""

    name = "lan"

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        peers = [f"127.0.0.1:{other.port}"] if other is not None else []
        settings = {"port": 0, "multicast": False, "mdns": False, "peers": peers}
        return LanDriver(settings, *identity(number), None, owner, "lan")


class UdpRig(Rig):
    """Datagrams over loopback."""

    name = "udp"
    queues = False
    authenticates = False

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        peers = [f"127.0.0.1:{other.port}"] if other is not None else []
        return UdpDriver({"port": 0, "udp_peers": peers}, *identity(number), None, owner, "udp")


class FakeRig(Rig):
    """In memory."""

    name = "fake"

    def __init__(self) -> None:
        self.ether = Ether()

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        return FakeDriver({"ether": self.ether}, *identity(number), None, owner, "fake")


class BleRig(Rig):
    """GATT over virtual radios, found by their beacons."""

    name = "ble"

    def __init__(self) -> None:
        self.air: Air | None = None

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        self.air = self.air or Air()
        stack = VirtualStack(Radio(self.air, number))
        return BleDriver({}, *identity(number), None, owner, "ble", Hasty(), stack)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("rig", [LanRig, UdpRig, FakeRig, BleRig], ids=lambda rig: rig.name)
def test_contract(rig: type[Rig], check: Check) -> None:
    asyncio.run(check(rig()))
