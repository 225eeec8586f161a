"""edge.compat.aio on CPython; tests/conformance/compat_aio.py runs the same on both interpreters."""

from __future__ import annotations

import asyncio

import pytest

from edge.compat import aio
from tests.emulation import meets_by_multicast


def test_queue_hands_over_in_order_and_is_bounded() -> None:
    async def main() -> None:
        queue = aio.Queue(2)
        got: list[int] = []

        async def take(n: int) -> None:
            for _ in range(n):
                got.append(await queue.get())

        takers = [asyncio.create_task(take(5)) for _ in range(2)]
        for i in range(10):
            await queue.put(i)
            assert len(queue) <= 2
        await asyncio.gather(*takers)
        assert got == list(range(10))
        queue.put_nowait(1)
        queue.put_nowait(2)
        with pytest.raises(aio.QueueFull):
            queue.put_nowait(3)
        with pytest.raises(aio.TimeoutError):
            await aio.wait_for_ms(queue.put(3), 5)
        assert len(queue) == 2

    aio.run(main())


@meets_by_multicast
def test_multicast() -> None:
    async def main() -> None:
        group, port = "239.192.87.81", 17313
        a, b = aio.Udp("127.0.0.1", port, group), aio.Udp("127.0.0.1", port, group)
        try:
            assert a.send(b"to all", aio.udp_address(group, port))
            for each in (a, b):
                data, address = await aio.wait_for_ms(each.recv(), 2000)
                assert (data, address) == (b"to all", aio.udp_address("127.0.0.1", port))
        finally:
            a.close()
            b.close()

    aio.run(main())


def test_a_taken_port_is_an_error_and_leaks_nothing() -> None:
    async def main() -> None:
        a = aio.Udp("127.0.0.1", 0)
        with pytest.raises(OSError):
            aio.Udp("127.0.0.1", a.port)
        a.close()

    aio.run(main())


def test_the_clock_goes_on() -> None:
    async def main() -> None:
        start_ms = aio.ticks_ms()
        await aio.sleep_ms(20)
        assert 19 <= aio.ticks_ms() - start_ms < 5000

    aio.run(main())
