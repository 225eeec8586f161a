"""waypost simulate: the shipping core many times over in one made-up neighbourhood, with everything going wrong.

The seed is printed before anything else; the same seed and numbers give the same world and the same digest. Exit 0:
all nodes agreed after healing and no rule was broken; with --canary: the planted bug was found. The simulator itself
is in edge/sim.
"""

from __future__ import annotations

import os
import sys
import time

from edge.sim import plan as plans
from edge.sim.canary import CANARIES
from edge.sim.plan import Plan
from edge.sim.world import World
from tools import simulate_town
from tools.cli_args import whole
from tools.cli_show import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

# name, range, default, help
_NUMBERS = (
    ("nodes", 2, plans.NODES_MAX, 100, "how many nodes"),
    ("loss", 0, 90, 20, "per cent of frames lost in the fault phase"),
    ("reboots", 0, 100, 10, "per cent of nodes that crash and come back"),
    ("seconds", 6, 86400, 60, "how long the fault phase lasts, in simulated time"),
    ("heal-seconds", 2, 86400, 300, "how long the nodes have to agree after it"),
    ("jumps", 0, 100, 5, "per cent of nodes whose clock jumps"),
    ("partitions", 0, 100, 10, "per cent of links that are cut for a while"),
    ("disks-full", 0, 100, 5, "per cent of nodes whose disk is full for a while"),
    ("small-stores", 0, 100, 0, "per cent of nodes with room for a third of all messages"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost simulate`."""
    parser.add_argument("--seed", type=whole(0, 2**64 - 1), default=None, metavar="N",
                        help="what makes this world (default: drawn, and printed first)")
    for name, low, high, default, text in _NUMBERS:
        parser.add_argument(f"--{name}", type=whole(low, high), default=default, metavar="N",
                            help=f"{text} (default {default})")
    parser.add_argument("--messages", type=whole(0, 100000), default=None, metavar="N",
                        help="how many messages are posted (default: 20 and one more for 5 nodes)")
    parser.add_argument("--twins", type=whole(0, plans.NODES_MAX), default=0, metavar="N",
                        help="pairs of nodes that share one key (default 0)")
    parser.add_argument("--links", choices=plans.LINKS, default="mixed", help="kinds of links (default mixed)")
    parser.add_argument("--canary", choices=sorted(CANARIES), default=None,
                        help="plant a known bug; succeeds only when the checkers find it")
    parser.add_argument("--town", action="store_true",
                        help="instead: 50 LoRa nodes on one air, with what they do beside plain flooding")
    parser.add_argument("--trace", default=None, metavar="FILE", help="write every effect of every node as a line")


def run(args: argparse.Namespace) -> int:
    """Run one world and print what came of it; 0 when all is as it must be."""
    seed = int.from_bytes(os.urandom(4), "big") if args.seed is None else args.seed
    print(f"seed {seed}", file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.town:
        return simulate_town.run(seed, args.json)
    reboots, messages = args.reboots, args.messages
    if args.canary:  # a planted bug must have its chance
        reboots = max(reboots, 50)
        messages = 2 * args.nodes if messages is None else messages
    plan = Plan(
        nodes=args.nodes, seed=seed, loss=args.loss, reboots=reboots, messages=messages, links=args.links,
        fault_ms=args.seconds * 1000, heal_ms_max=args.heal_seconds * 1000, jumps=args.jumps,
        partitions=args.partitions, disks_full=args.disks_full, small_stores=args.small_stores,
        twins=min(args.twins, (args.nodes - 1) // 2),
    )
    begin = time.process_time()
    canary = CANARIES[args.canary] if args.canary else None
    if args.trace is None:
        world, good = _played(World(plan, canary))
    else:
        with open(args.trace, "w", encoding="utf-8") as file:
            world, good = _played(World(plan, canary, lambda line: file.write(line + "\n")))
    report = _report(world, good, time.process_time() - begin)
    if canary is not None:
        report["canary"] = args.canary
        report["found"] = not good
    if args.json:
        print_json(report)
    else:
        _print(report)
    return 0 if good == (canary is None) else 1


def _played(world: World) -> tuple[World, bool]:
    return world, bool(world.run())


def _report(world: World, good: bool, cpu_s: float) -> dict[str, Any]:
    import resource

    check = world.check
    faults = list(check.faults)
    if world.healed_ms is None:
        faults.append(f"the nodes did not agree within {world.plan.heal_ms_max // 1000} s after healing")
    return {
        "seed": world.plan.seed, "nodes": world.plan.nodes, "links": len(world.wires), "ok": good,
        "healed_ms": world.healed_ms, "faults": faults, "faults_more": check.faults_more,
        "acknowledged": len(check.acknowledged), "kept": len(world.pool.order), "conflicts": check.conflicts,
        "refused": dict(sorted(check.refused.items())), "drops": dict(sorted(check.drops.items())),
        "reboots": sum(host.boots for host in world.hosts) - len(world.hosts), "events": world.events,
        "effects": world.trace.count, "digest": world.trace.digest(), "cpu_ms": int(cpu_s * 1000),
        "rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _print(report: dict[str, Any]) -> None:
    def counted(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"

    print(f"{report['nodes']} nodes, {report['links']} links, {report['reboots']} reboots")
    print(f"{report['acknowledged']} messages acknowledged, {report['kept']} kept with receipts, "
          f"{report['conflicts']} conflicts seen")
    print(f"refused: {counted(report['refused'])}")
    print(f"dropped: {counted(report['drops'])}")
    if report["healed_ms"] is not None:
        print(f"all nodes agreed {report['healed_ms'] // 1000} s after healing")
    for fault in report["faults"]:
        print(f"FAULT {fault}")
    if report["faults_more"]:
        print(f"and {report['faults_more']} more")
    print(f"{report['effects']} effects, sha256 {report['digest']}")
    print(f"{report['cpu_ms'] / 1000:.1f} s of CPU, {report['rss_kib'] // 1024} MiB")
    if "canary" in report:
        print(f"canary {report['canary']}: {'found' if report['found'] else 'NOT FOUND'}")
    else:
        print("ok" if report["ok"] else f"FAILED: repeat it with --seed {report['seed']}")
