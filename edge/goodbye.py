"""The links' last moments: every driver is stopped, and none keeps the node from its end."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.core.link import Driver

GOODBYE_S = 10  # for all together: who waits longer for a radio is killed by the system


async def stop_links(drivers: dict[str, Driver], log: Callable[[str, str], None]) -> None:
    """Stop them side by side, within GOODBYE_S. drivers: by the link's name; log(level, text) hears what went wrong."""
    leaving = {asyncio.ensure_future(driver.stop()): name for name, driver in drivers.items()}
    if not leaving:
        return
    done, stuck = await asyncio.wait(leaving, timeout=GOODBYE_S)
    for one in stuck:
        log("warning", f"{leaving[one]}: it does not let go; the node ends without it")
        one.cancel()
    for one in done:
        if fault := one.exception():
            log("error", f"{leaving[one]} did not stop well: {fault!r}; please report it")
