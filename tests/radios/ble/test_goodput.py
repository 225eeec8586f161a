"""A session leaves the stack most of what it can carry, and keeps what may be overtaken out of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.radios.ble import goodput
from tests.radios.ble.kit import village

RATIO_MIN = 0.7
STACK_BYTES_MAX = 16384


@pytest.mark.parametrize("outward", [True, False], ids=["writes", "notifications"])
def test_goodput(outward: bool) -> None:
    for rounds in (2, 4, 8):  # a busy machine makes the best of a few rounds a poor one
        found = goodput.run(outward, rounds)
        assert found["most_bytes"] <= STACK_BYTES_MAX
        if found["frames"] >= RATIO_MIN * found["values"]:
            return
    pytest.fail(f"{found['frames'] / found['values']:.2f} of a bare loop")


@pytest.mark.parametrize("outward", [True, False], ids=["writes", "notifications"])
def test_a_slow_air_holds_no_more_in_the_stacks(outward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goodput, "FRAMES", 12)

    async def whole() -> int:
        async with village() as place:
            place.air.bytes_per_s = 30000
            return (await goodput.session(place, outward, watch=True))[1]

    assert asyncio.run(whole()) <= STACK_BYTES_MAX
