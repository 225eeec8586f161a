"""One seed, one world: eight shipping nodes do the same on both interpreters, effect by effect."""

from edge.compat.hashing import sha256
from edge.sim.canary import CANARIES
from edge.sim.plan import Plan
from edge.sim.world import World

STEP = 100


class Lines:
    """Prints the digest of every 100 lines of the trace, so that a difference can be found."""

    def __init__(self):
        self.kept = []

    def add(self, line):
        self.kept.append(line)
        if len(self.kept) == STEP:
            print(line.split(" ")[0], "ms", sha256("\n".join(self.kept).encode())[:8].hex())
            self.kept = []


def show(name, plan, canary):
    print(name)
    world = World(plan, canary, Lines().add)
    print("good", world.run(), "healed", world.healed_ms, "events", world.events, "effects", world.trace.count)
    check = world.check
    print("acknowledged", len(check.acknowledged), "kept", len(world.pool.order), "conflicts", check.conflicts)
    print("drops", [(reason, check.drops[reason]) for reason in sorted(check.drops)])
    print("refused", [(reason, check.refused[reason]) for reason in sorted(check.refused)])
    print("faults", check.faults[:3])
    for host in world.hosts:
        print(host.number, host.boots, [(lane, count, fp8.hex()) for lane, count, fp8 in host.machine.digests()])
    print(world.trace.digest())


show("all faults", Plan(nodes=8, seed=2, loss=30, reboots=50, messages=30, jumps=30, disks_full=30, partitions=50),
     None)
show("small links", Plan(nodes=8, seed=3, loss=20, reboots=20, messages=20, links="small"), None)
show("twins", Plan(nodes=8, seed=4, loss=10, messages=60, twins=2), None)
show("canary", Plan(nodes=8, seed=5, messages=20, damage=10), CANARIES["trust-anyone"])
