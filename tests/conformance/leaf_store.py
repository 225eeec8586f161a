# heap: 320k
"""The leaf's store and shell without a network: what is kept, what goes, what two leaves end up with."""

from edge.compat import aio, crypto, hashing
from edge.core import effects, limits
from edge.core import message as messages
from edge.leaf import Leaf, LeafStore, prepare

prepare()
seed = bytes(range(32))
author = crypto.public_key(seed)
START = 1700000000


def note(seq, lane, time_s, text="text", ttl_s=1000):
    return messages.build(seed, author, seq, time_s << 16, ttl_s, lane, messages.NOTE, None, {1: text})


def show(store):
    digest = hashing.sha256(b"".join(store.newest()))[:8].hex()
    print("store", len(store), store.n_bytes, digest, [len(keys) for keys in store._lanes])


store = LeafStore(messages_max=16, bytes_max=100000)
batch = [note(i + 1, i % 4, START + (i * 7) % 13) for i in range(40)]
for at in range(0, 40, 8):
    print("commit", [(r[1], r[2]) for r in store.commit(batch[at:at + 8])])
    gone = store.evict()
    for lane in sorted(gone):
        rows, floor = gone[lane]
        print("evict", lane, [(hlc >> 16) - START for hlc, _ in rows], (floor >> 16) - START, floor & 65535)
    show(store)
print("again", [r[1] for r in store.commit([batch[32]])])
kept = [message for message in batch if store.fetch([message.key])]
twin = note(kept[0].seq, 2, START + 5, "another text")
result = store.commit([twin])[0]
print("twin", result[1] == effects.CONFLICTING, result[2] == kept[0].id)
print("fetch", len(store.fetch([m.key for m in batch])), store.fetch([bytes(16)]))
gone = store.expire(START + 1006)
print("expire", [(lane, len(gone[lane])) for lane in sorted(gone)])
show(store)
small = LeafStore(messages_max=100, bytes_max=1000)
small.commit(batch[:20])
small.evict()
print("bytes", small.n_bytes <= 1000, len(small))


# two leaves joined by a list instead of sockets
class Wire:
    def __init__(self, name):
        self.name = name
        self.out = []

    def send(self, data, address):
        self.out.append((data, address))
        return True


def pump(leaves, wires, rounds):
    for _ in range(rounds):
        for i in range(2):
            leaves[i]._after_pushes(aio.ticks_ms() + 1000)
            leaves[i].perform()
            out = wires[i].out
            wires[i].out = []
            for data, _ in out:
                leaves[1 - i]._on_datagram(data, wires[i].name)


for key, other in ((None, None), (b"k" * 32, b"k" * 32), (b"k" * 32, b"j" * 32), (None, b"k" * 32)):
    heard = []

    def tell(what, value, heard=heard):
        heard.append(value[1] if what == "message" else what)

    wires = [Wire(b"10.0.0.1 1"), Wire(b"10.0.0.2 1")]
    leaves = [Leaf(bytes([i]) * 32, "leaf", wires[1 - i].name, (key, other)[i], tell) for i in range(2)]
    for i in range(2):
        leaves[i]._udp = wires[i]
        leaves[i].post(f"before {i}")
        leaves[i]._keep_gateway(aio.ticks_ms())
    pump(leaves, wires, 12)
    leaves[0].post("after", lane=limits.LANE_DIRECT)
    pump(leaves, wires, 6)
    print("pair", sorted(heard), [len(leaf.store) for leaf in leaves])
    for leaf in leaves:
        counters = leaf.machine.counters
        print([(name, counters[name]) for name in sorted(counters) if name.startswith("drop.")])
leaves[0]._on_datagram(b"", b"10.0.0.9 1")
leaves[0]._on_datagram(b"\x02", b"10.0.0.9 1")
for i in range(10):
    leaves[0]._on_datagram(b"\x01" + bytes([i]), f"10.0.0.{i} 2".encode())
print(sorted(leaves[0]._heard), [(k, leaves[0].machine.counters[k]) for k in sorted(leaves[0].machine.counters)])
