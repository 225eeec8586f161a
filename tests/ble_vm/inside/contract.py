"""The contract of radios on the real stack: two BlueZ nodes, and BlueZ with a virtual radio in either role.

Run inside the machine by `make test-ble`; pytest is given this file by name, for it is not found by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from radios.ble.bluez import BlueZ
from radios.ble.driver import BleDriver
from tests.ble_vm.inside.bluez import PATIENCE_S, Adapter, Patient, let_bleak_go
from tests.radios.ble.air import Air, Radio
from tests.radios.ble.kit import lower_first
from tests.radios.ble.virtual import VirtualStack
from tests.radios.contract import CONTRACT, Heard, Rig, identity

CENTRAL, PERIPHERAL = lower_first(1, 2)  # of the contract's two identities, the one that connects and the other


class BlueZRig(Rig):
    """virtual: identities whose radio is bumble's alone, without BlueZ."""

    name = "BlueZ - BlueZ"
    virtual: tuple[int, ...] = ()
    patience_s = PATIENCE_S

    def __init__(self) -> None:
        self.air = Air()
        self.adapters: dict[int, Adapter] = {}

    def make(self, owner: Heard, number: int, other: Any) -> Any:
        if number in self.virtual:
            stack: Any = VirtualStack(Radio(self.air, number))
        else:
            stack = BlueZ(self.adapters[number].name)
        return BleDriver({}, *identity(number), None, owner, "ble", Patient(), stack)

    @asynccontextmanager
    async def pair(self) -> AsyncIterator[tuple[Any, Heard, Any, Heard]]:
        for number in (1, 2):
            if number not in self.virtual:
                self.adapters[number] = Adapter(self.air, number)
                await self.adapters[number].plug()
        try:
            async with super().pair() as four:
                yield four
        finally:
            await let_bleak_go()
            for adapter in self.adapters.values():
                await adapter.pull()


class CentralRig(BlueZRig):
    name = "BlueZ connects to a virtual radio"
    virtual = (PERIPHERAL,)


class PeripheralRig(BlueZRig):
    name = "a virtual radio connects to BlueZ"
    virtual = (CENTRAL,)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("rig", [BlueZRig, CentralRig, PeripheralRig], ids=lambda rig: rig.name)
def test_contract(rig: type[Rig], check: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check(rig()))
