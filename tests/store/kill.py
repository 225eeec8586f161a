"""kill -9 under write load, again and again on one database: `python -m tests.store.kill --rounds 1000 [--seed N]`.

A child commits through the group-commit thread, with expiry, eviction and search index beside it, and writes to a pipe
what it has acknowledged. It is killed at a random moment. Then everything acknowledged in this and all rounds before
must be in the database, unless the quota has put it out (then it is older than its lane's floor, and not of the last
rounds), the sums of the lanes must be right and SQLite's integrity check clean.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import select
import signal
import struct
import tempfile
import time

from edge.core.effects import NEW
from edge.core.message import Message
from edge.errors import StoreError
from edge.store.files import connect
from edge.store.store import Store
from edge.store.writer import Writer
from tests.store.samples import START_S, make

RECORD = struct.Struct(">BQ16s")  # lane, hlc, id
QUOTA_BYTES = 8_000_000
SPAN_MS_MAX = 60  # from the first acknowledgement to the kill
WAITING_MAX = 300
SAFE_ROUNDS = 3  # what these wrote in lanes 0 to 2 is far from the quota's edge


def child(path: str, pipe: int, round_: int, seed: int, canary: bool) -> None:
    """Commit until killed. canary: acknowledge what is not committed yet."""
    rng = random.Random(seed)
    os.setpriority(os.PRIO_PROCESS, 0, 5)

    async def load() -> None:
        store = Store.open(path, QUOTA_BYTES)
        writer = Writer(store, asyncio.get_running_loop())
        waiting = 0
        room = asyncio.Event()
        messages: dict[bytes, Message] = {}
        at_s = START_S + round_ * 1000

        def done(outcomes: list[tuple[bytes, int, bytes | None]], error: StoreError | None) -> None:
            nonlocal waiting
            if error is not None:
                os._exit(3)
            out = b""
            for id, outcome, _ in outcomes:
                m = messages.pop(id)
                if outcome == NEW:
                    out += RECORD.pack(m.lane, m.hlc, id)
            waiting -= len(outcomes)
            os.write(pipe, out)
            room.set()

        seq = 0
        while True:
            batch = []
            for _ in range(rng.choice((1, 1, 2, 7, 40))):
                seq += 1
                ttl_s = 3600 if rng.random() < 0.9 else 600
                batch.append(make(round_ * 100 + seq % 7, seq, at_s + seq // 50, rng.randrange(65536), ttl_s * 1000,
                                  rng.choice((0, 1, 2, 3, 3)), body={1: "word " * rng.randrange(80)}))
            messages.update({m.id: m for m in batch})
            waiting += len(batch)
            writer.submit(batch, done)
            if canary:
                os.write(pipe, b"".join([RECORD.pack(m.lane, m.hlc, m.id) for m in batch]))
            if rng.random() < 0.05:
                writer.expire(at_s)  # nothing has expired; the index is filled
            while waiting > WAITING_MAX:
                room.clear()
                await room.wait()
            await asyncio.sleep(0)

    asyncio.run(load())


def run_round(path: str, round_: int, rng: random.Random, canary: bool) -> list[tuple[int, int, bytes]]:
    """Start a child, kill it; what it had acknowledged."""
    read_end, write_end = os.pipe()
    seed = rng.randrange(2**32)
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            child(path, write_end, round_, seed, canary)
        finally:
            os._exit(4)
    os.close(write_end)
    data = b""
    kill_at = None
    span_s = rng.random() * SPAN_MS_MAX / 1000
    while True:
        wait_s = 20.0 if kill_at is None else kill_at - time.monotonic()
        if wait_s <= 0:
            break
        if select.select([read_end], [], [], wait_s)[0]:
            more = os.read(read_end, 1 << 20)
            if not more:
                raise SystemExit(f"round {round_}: the child ended by itself")
            data += more
            kill_at = kill_at or time.monotonic() + span_s
        elif kill_at is None:
            raise SystemExit(f"round {round_}: nothing was acknowledged for 20 s")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(read_end, 1 << 20):
        data += more
    os.close(read_end)
    whole = len(data) // RECORD.size * RECORD.size  # the last write may have been cut by the kill
    return list(RECORD.iter_unpack(data[:whole]))


def verify(path: str, round_: int, acknowledged: dict[bytes, tuple[int, int, int]]) -> tuple[int, int]:
    """(messages held, acknowledged ones put out by the quota). Raises SystemExit where something is wrong."""
    store = Store.open(path, QUOTA_BYTES)
    try:
        held = {id: (lane, hlc) for lane, hlc, id in store.boot_rows()}
        floors = store.boot_state(bytes(32), START_S)[1]
        lost = [id for id, (lane, hlc, since) in acknowledged.items()
                if id not in held and (hlc >= floors[lane] or (lane < 3 and since > round_ - SAFE_ROUNDS))]
        if lost:
            raise SystemExit(f"LOST {len(lost)} acknowledged messages: {[id.hex() for id in lost[:5]]}")
        problems = store.check()
        if problems:
            raise SystemExit(f"integrity_check: {problems}")
        sums = {lane: facts["messages"] for lane, facts in store.stats()["lanes"].items()}
    finally:
        store.close()
    db = connect(path, "ro")
    for lane, count, n_bytes, stated in db.execute(
        """SELECT l.lane, (SELECT count(*) FROM message m WHERE m.lane = l.lane),
           (SELECT coalesce(sum(length(data) + 136), 0) FROM message m WHERE m.lane = l.lane), l.bytes FROM lane l"""
    ).fetchall():
        if count != sums[str(lane)] or n_bytes != stated:
            raise SystemExit(f"lane {lane}: says {sums[str(lane)]} messages, {stated} bytes; has {count}, {n_bytes}")
    db.close()
    return len(held), sum(1 for id in acknowledged if id not in held)


def main() -> None:
    """Run the rounds; prints one line at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--canary", action="store_true", help="acknowledge too early: this must be found")
    args = parser.parse_args()
    seed = random.randrange(2**32) if args.seed is None else args.seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    acknowledged: dict[bytes, tuple[int, int, int]] = {}
    held = out = 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "waypost.db")
        for round_ in range(1, args.rounds + 1):
            for lane, hlc, id in run_round(path, round_, rng, args.canary):
                acknowledged[id] = (lane, hlc, round_)
            held, out = verify(path, round_, acknowledged)
            if round_ % 100 == 0:
                print(f"{round_} rounds, {len(acknowledged)} acknowledged", flush=True)
    print(f"{args.rounds} kills, {len(acknowledged)} acknowledged, none lost ({held} held, {out} put out by the quota),"
          f" integrity ok, {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()
