"""What a simulated world looks like and what goes wrong in it: a function of a few numbers and a seed.

A Plan says how many nodes there are and how bad the fault phase is; `edges` lays out the neighbourhood: a grid with
holes and some long edges, always connected, small degree. Percentages are integers 0..100. All randomness comes from
the seed. Nothing here runs anything.
"""

SESSION = 0  # like the LAN link: ordered, whole, authenticated; it breaks and comes back
DATAGRAM = 1  # like UDP: loses, doubles, reorders and damages frames
SMALL = 2  # like a radio: the same in frames of 233 bytes, slow, no bulk lane
KINDS = ("session", "datagram", "small")

LINKS = ("mixed", "session", "datagram", "small")
NODES_MAX = 4000


class Plan:
    """The numbers of one world. Faults happen in the first `fault_ms`; then all heals and the rest must converge.

    loss, duplicate, damage: per cent of frames (on a session, loss is delay). reboots, disks_full, jumps, clockless,
    small_stores: per cent of nodes that crash, have a full disk for a while, whose clock jumps, that have no clock,
    whose quota is a third of all messages. partitions: per cent of edges that are cut for a while, half of them in one
    direction only. brief: per cent of notices that expire within the run. twins: pairs of nodes that share one key
    (equivocation), where there is room.
    """

    def __init__(self, nodes=100, seed=1, loss=20, reboots=10, messages=None, links="mixed", fault_ms=60000,
                 heal_ms_max=300000, duplicate=5, damage=1, disks_full=5, jumps=5, clockless=20, partitions=10, brief=5,
                 twins=0, small_stores=0):
        if not 2 <= nodes <= NODES_MAX:
            raise ValueError("nodes must be 2..%d, not %r" % (NODES_MAX, nodes))
        if links not in LINKS:
            raise ValueError("links must be one of %s, not %r" % (", ".join(LINKS), links))
        percents = (loss, reboots, duplicate, damage, disks_full, jumps, clockless, partitions, brief, small_stores)
        if min(percents) < 0 or max(percents) > 100:
            raise ValueError("a percentage must be 0..100")
        if 2 * twins >= nodes:
            raise ValueError("twins need at least two nodes a pair and one beside them")
        self.nodes = nodes
        self.seed = seed
        self.loss = loss
        self.reboots = reboots
        self.messages = 20 + nodes // 5 if messages is None else messages
        self.links = links
        self.fault_ms = fault_ms
        self.heal_ms_max = heal_ms_max
        self.duplicate = duplicate
        self.damage = damage
        self.disks_full = disks_full
        self.jumps = jumps
        self.clockless = clockless
        self.partitions = partitions
        self.brief = brief
        self.twins = twins
        self.small_stores = small_stores

    def lanes(self):
        """How many lanes messages are posted in: small links carry no bulk lane."""
        return 3 if self.links == "small" else 4


def edges(plan, rng):
    """[(a, b, kind), ...] with a < b: every node but the first is joined to an earlier one by a link of any lane."""
    width = 1
    while width * width < plan.nodes:
        width += 1
    taken = {}
    out = []

    def join(a, b, kind):
        if a > b:
            a, b = b, a
        if a != b and (a, b) not in taken:
            taken[(a, b)] = True
            out.append((a, b, kind))

    for node in range(1, plan.nodes):
        earlier = []
        if node % width:
            earlier.append(node - 1)
        if node >= width:
            earlier.append(node - width)
        rng.shuffle(earlier)
        join(earlier[0], node, _kind(plan, rng, False))
        if len(earlier) > 1 and rng.chance(3, 4):
            join(earlier[1], node, _kind(plan, rng, True))
        if node > 3 and rng.chance(1, 20):
            join(rng.below(node), node, _kind(plan, rng, True))
    return out


def twins(plan, layout):
    """{node: the lower one whose key it shares}: plan.twins pairs at most, none adjacent or with a common neighbour."""
    near = [{node: True} for node in range(plan.nodes)]
    for a, b, _ in layout:
        near[a][b] = True
        near[b][a] = True
    out = {}
    used = {}
    for high in range(plan.nodes - 1, 0, -1):
        for low in range(high):
            apart = not [node for node in near[high] if node in near[low]]
            if len(out) < plan.twins and apart and low not in used and high not in used:
                out[high] = low
                used[low] = used[high] = True
    return out


def small_stores(plan, layout, rng):
    """The nodes whose store is small: so chosen that all others are still joined without them."""
    near = [[] for _ in range(plan.nodes)]
    for a, b, kind in layout:
        if kind != SMALL or plan.links == "small":
            near[a].append(b)
            near[b].append(a)
    small = {}
    for node in range(plan.nodes):
        if rng.chance(plan.small_stores, 100):
            small[node] = True
            if not _joined(plan.nodes, near, small):
                del small[node]
    return small


def _joined(nodes, near, small):
    start = [node for node in range(nodes) if node not in small][:1]
    reached = {node: True for node in start}
    line = start
    while line:
        node = line.pop()
        for other in near[node]:
            if other not in reached:
                reached[other] = True
                if other not in small:
                    line.append(other)
    return len(reached) == nodes


def _kind(plan, rng, spare):
    if plan.links != "mixed":
        return KINDS.index(plan.links)
    drawn = rng.below(10)
    if drawn < 5:
        return SESSION
    return DATAGRAM if drawn < 8 or not spare else SMALL
