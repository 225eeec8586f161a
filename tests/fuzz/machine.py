"""Mutated frames against a whole machine: nothing but messages and counted drops may come of them.

    python -m tests.fuzz.machine --count 1000000 --seed 1

Frames of every kind are made well-formed, then flipped, cut, lengthened, spliced or left alone, and given to a machine
with three neighbours, one of them on a link with fragments. After each one the invariants are asked.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc

from edge.compat import crypto
from edge.core import effects, fragment, frame, limits, message, pinsketch
from edge.core.link import LinkInfo
from edge.core.machine import Machine
from edge.core.rng import Rng

UNIX_S = 1_790_000_000
PEERS = (b"\x01" * 32, b"\x02" * 32, b"udp:1")
SESSION = b"\x03" * 32  # the link has authenticated it, so its time may be believed


class Fuzz:
    """One machine under fire. `counts` says what became of the frames."""

    def __init__(self, seed: int, wild: float = 0) -> None:
        """wild: the share of neighbours' times that no honest one would tell."""
        self.random = random.Random(seed)
        self.wild = wild
        self.machine = Machine(bytes([7]) * 32, "fuzzed", Rng(seed))
        self.now_ms = 0
        self.counts = {"stored": 0, "dropped": 0, "duplicate": 0}
        self.seq = 0
        command = self.machine.command
        # a box that knows the time, one that remembers it, one that has never known it: what a neighbour says matters
        command(0, effects.CLOCK, UNIX_S * 1000, (4, 1, 0)[seed % 3])
        command(0, effects.LINK_UP, LinkInfo("lan"))
        command(0, effects.LINK_UP, LinkInfo("udp", mtu_bytes=200, ordered=False, small=True))
        command(0, effects.PEER_UP, "lan", PEERS[0], None, False)
        command(0, effects.PEER_UP, "lan", PEERS[1], None, True)
        command(0, effects.PEER_UP, "udp", PEERS[2], None, False)
        command(0, effects.PEER_UP, "lan", SESSION, SESSION, False)
        self.machine.receive(0, "lan", SESSION, frame.pack_hello([1, 1], SESSION, 0, 0, 15, "", []))
        self.makers = [self.messages, self.messages, self.messages, self.hello, self.digest, self.ranges, self.sketch,
                       self.want, self.want_short, self.bus, self.noise]

    # --- well-formed frames

    def message(self) -> bytes:
        number = self.random.randrange(8, 12)
        seed = bytes([number]) * 32
        self.seq += 1
        lane = self.random.randrange(4)
        body = {1: "x" * self.random.randrange(200)}
        time = (UNIX_S << 16) + self.now_ms * 65
        data: bytes = message.build(seed, crypto.public_key(seed), self.seq, time, 3600, lane, 1, None, body).data
        return data

    def messages(self) -> bytes:
        out: bytes = frame.pack_messages([self.message() for _ in range(self.random.choice((1, 1, 1, 3)))])
        return out

    def hello(self) -> bytes:
        key = self.random.choice((*PEERS[:2], SESSION)) if self.random.random() < 0.5 else self.random.randbytes(32)
        out: bytes = frame.pack_hello([1, 1], key, *self.time(), 15, "peer", self.digests(), 0)
        return out

    def time(self) -> tuple[int, int]:
        """(hlc, quality) as neighbours tell it."""
        if self.random.random() >= self.wild:
            return UNIX_S << 16, self.random.randrange(5)
        return self.random.choice((0, 1, 2**47, 2**48 - 1, self.random.getrandbits(48))), self.random.randrange(256)

    def digests(self) -> list[list[object]]:
        return [[lane, self.random.randrange(50), self.random.randbytes(8)] for lane in range(4)]

    def digest(self) -> bytes:
        out: bytes = frame.pack_digest(*self.time(), self.digests())
        return out

    def ranges(self) -> bytes:
        middle = b"\x80"
        fingerprint = [self.random.randrange(9), self.random.randbytes(8)]
        parts = [(middle, 1, fingerprint), (b"\xff", 0, b""), (b"", 2, b"")]
        out: bytes = frame.pack_ranges(self.random.randrange(4), parts)
        return out

    def sketch(self) -> bytes:
        sketch = pinsketch.Sketch(8)
        for _ in range(self.random.randrange(12)):
            sketch.add(self.random.randrange(1, 2**32))
        out: bytes = frame.pack_sketch(self.random.randrange(4), 3, sketch.to_bytes(8))
        return out

    def want(self) -> bytes:
        out: bytes = frame.pack_want(self.random.randrange(4), [self.random.randbytes(16) for _ in range(3)])
        return out

    def want_short(self) -> bytes:
        wanted = [self.random.randrange(1, 2**32) for _ in range(3)]
        out: bytes = frame.pack_want_short(self.random.randrange(4), wanted)
        return out

    def bus(self) -> bytes:
        out: bytes = frame.pack_bus(self.random.randbytes(self.random.randrange(60)))
        return out

    def noise(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 1, 6, 40, 300)))

    # --- mutation

    def mutate(self, data: bytes) -> bytes:
        out = bytearray(data)
        kind = self.random.randrange(7)
        if kind == 0 or not out:
            return bytes(out)
        at = self.random.randrange(len(out))
        if kind == 1:
            out[at] ^= 1 << self.random.randrange(8)
        elif kind == 2:
            out[at] = self.random.choice((0, 1, 0x17, 0x18, 0x1B, 0x1F, 0x7F, 0x80, 0x9F, 0xBF, 0xF9, 0xFB, 0xFF))
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            out += self.random.randbytes(self.random.randrange(1, 20))
        elif kind == 5:
            out[at:at] = self.random.randbytes(self.random.randrange(1, 9))
        else:
            end = self.random.randrange(at, len(out))
            del out[at:end]
        return bytes(out)

    # --- one step

    def step(self) -> None:
        """One frame in; raises AssertionError when an invariant breaks, or whatever the machine raised."""
        self.now_ms += self.random.randrange(40)
        data = self.mutate(self.random.choice(self.makers)())
        link, peer = self.random.choice((("lan", PEERS[0]), ("lan", PEERS[1]), ("udp", PEERS[2]),
                                         ("lan", SESSION)))
        parts = [data]
        if link == "udp" and len(data) > 60 and self.random.random() < 0.3:
            parts = [self.mutate(part) for part in fragment.split(data[: 50 * 200], 60, self.random.randrange(9))]
        for part in parts:
            self.machine.receive(self.now_ms, link, peer, part)
        self.carry_out()
        if self.random.random() < 0.01:
            self.machine.tick(self.now_ms)
            self.carry_out()

    def carry_out(self) -> None:
        machine = self.machine
        stored = []
        for effect in machine.drain():
            if effect[0] == effects.STORE:
                outcome = self.random.choice((effects.NEW, effects.NEW, effects.NEW, effects.FULL, effects.CONFLICTING))
                stored.append((effect[1].id, outcome, b"o" * 16))
            elif effect[0] == effects.DROP:
                assert effect[1] and "drop." + effect[1] in machine.counters, "a drop without a reason"
                self.counts["dropped"] += 1
            elif effect[0] == effects.PUSH:
                machine.command(self.now_ms, effects.PUSHED, effect[1], effect[2])
        self.counts["stored"] += len(stored)
        assert len(stored) <= limits.PENDING_MAX
        if stored:
            machine.command(self.now_ms, effects.STORED, stored)
            self.carry_out()

    def check(self) -> None:
        """Bounds that hold whatever came."""
        machine = self.machine
        assert len(machine._pending) == 0 and len(machine._refused) <= limits.REFUSED_IDS_MAX
        assert len(machine._seqs) <= limits.AUTHORS_MAX and len(machine.neighbours()) <= len(PEERS) + 1
        for neighbour in machine.neighbours():
            assert all(neighbour.waiting(lane) <= limits.QUEUE_KEYS_MAX for lane in range(limits.LANES))


def run(count: int, seed: int, wild: float = 0) -> Fuzz:
    """`count` frames, then the bounds are asked."""
    fuzz = Fuzz(seed, wild)
    for _ in range(count):
        fuzz.step()
    fuzz.check()
    return fuzz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="trace memory (slower)")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    if args.memory:
        tracemalloc.start()
    start_s = time.process_time()
    fuzz = run(args.count, args.seed)
    print(f"{args.count} frames in {time.process_time() - start_s:.1f} s of CPU: {fuzz.counts}")
    for name in sorted(fuzz.machine.counters):
        print(f"  {name:32} {fuzz.machine.counters[name]}")
    if args.memory:
        print(f"peak {tracemalloc.get_traced_memory()[1] // 1024} KiB")


if __name__ == "__main__":
    main()
