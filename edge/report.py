"""What a running core can say about itself, as plain values for `node.status` and `peers.list`.

It reads the machine and changes nothing.
"""

from __future__ import annotations

from edge.core import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.link import Driver
    from edge.core.machine import Machine


def peers(machine: Machine, now_ms: int, drivers: dict[str, Driver]) -> list[dict[str, Any]]:
    """Neighbours that have said hello, in order of arrival. Ages in seconds; `waiting` is keys in line by lane;
    `address` is what the link's driver says, "" where it has none."""
    return [
        {
            "node": one.node.hex(), "name": one.name, "link": one.link.name, "member": one.member,
            "authenticated": one.key is not None, "for_s": (now_ms - one.since_ms) // 1000,
            "heard_s": (now_ms - one.heard_ms) // 1000,
            "waiting": [one.waiting(lane) for lane in range(limits.LANES)],
            "address": drivers[one.link.name].address(one.peer) if one.link.name in drivers else "",
        }
        for one in machine.neighbours()
        if one.hello
    ]


def status(machine: Machine, now_ms: int, started_ms: int) -> dict[str, Any]:
    """Who it is, how long it has run, its time and what it holds by lane; counters by name."""
    return {
        "node": machine.key.hex(), "name": machine.name, "up_s": (now_ms - started_ms) // 1000,
        "time_ms": machine.clock.now(now_ms) * 1000 >> 16, "time_quality": machine.clock.quality,
        "messages": [[lane, count] for lane, count, _ in machine.digests()], "outbox": len(machine.outbox),
        "counters": dict(sorted(machine.counters.items())),
    }


def parts(drivers: dict[str, Driver], store: dict[str, Any], troubles: dict[str, tuple[str, str]]) -> dict[str, Any]:
    """What links and store say of themselves, and all troubles: a full disk is one, though alerts are still taken."""
    links = {name: driver.status() for name, driver in sorted(drivers.items())}
    if store["trouble"]:
        troubles = {"store": ("store", store["trouble"])} | troubles
    trouble = [{"part": part, "reason": r, "text": t} for part, (r, t) in sorted(troubles.items())]
    return {"links": links, "store": store, "trouble": trouble}
