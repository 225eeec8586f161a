"""What a running core can say about itself, as plain values for `node.status` and `peers.list`.

It reads the machine and changes nothing.
"""

from __future__ import annotations

from edge.core import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.core.machine import Machine


def peers(machine: Machine, now_ms: int) -> list[dict[str, Any]]:
    """Neighbours that have said hello, in order of arrival. Ages in seconds; `waiting` is keys in line by lane."""
    return [
        {
            "node": one.node.hex(), "name": one.name, "link": one.link.name, "member": one.member,
            "authenticated": one.key is not None, "for_s": (now_ms - one.since_ms) // 1000,
            "heard_s": (now_ms - one.heard_ms) // 1000,
            "waiting": [one.waiting(lane) for lane in range(limits.LANES)],
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
