"""What the store costs: `python -m tests.store.bench [messages]`. CPU of the committing thread, memory, boot."""

from __future__ import annotations

import os
import platform
import random
import sqlite3
import sys
import tempfile
import time

from edge.store.store import Store
from tests.store.samples import START_S, key, make, many

RESIDENT = "VmRSS:"


def rss_kib() -> int:
    """Resident memory of this process, KiB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(RESIDENT))


def commits(folder: str, count: int, batch: int, authors: int) -> tuple[float, float, int]:
    """(us of CPU, us of wall clock a message, KiB of memory that the open store has taken)."""
    rng = random.Random(1)
    seqs = [0] * (authors + 1)
    store = Store.open(os.path.join(folder, f"b{batch}-{authors}.db"))
    before_kib = rss_kib()
    cpu = wall = 0.0
    for first in range(0, count, batch):
        some = []
        for i in range(first, min(count, first + batch)):
            author = rng.randrange(authors) + 1
            seqs[author] += 1
            ttl_s = rng.choice((86400, 7 * 86400, 7 * 86400))
            lane = rng.choice((1, 2, 2, 3))
            some.append(make(author, seqs[author], START_S + i // 20, rng.randrange(65536), ttl_s, lane,
                             body={1: "x" * 60}))
        cpu0, wall0 = time.thread_time(), time.perf_counter()
        store.commit(some)
        store.evict()
        cpu += time.thread_time() - cpu0
        wall += time.perf_counter() - wall0
    kib = rss_kib() - before_kib
    store.close()
    return cpu / count * 1e6, wall / count * 1e6, kib


def quota(folder: str, count: int, quota_bytes: int) -> None:
    """Many small messages through a small quota, with expiry and search index beside them."""
    path = os.path.join(folder, "quota.db")
    store = Store.open(path, quota_bytes)
    largest = 0
    cpu = 0.0
    for first in range(0, count, 512):
        some = many(min(512, count - first), first=first, lanes=(2, 2, 3, 1))
        cpu0 = time.thread_time()
        store.commit(some)
        store.evict()
        if first % 8192 == 0:
            store.expire(START_S + first // 20 - 86400)
            store.index_some(512)
        cpu += time.thread_time() - cpu0
        largest = max(largest, sum(os.path.getsize(path + tail) for tail in ("", "-wal", ".reserve")))
    rows = list(store.boot_rows())
    newest = {m.id for m in many(2000, first=count - 2000, lanes=(2, 2, 3, 1)) if m.lane < 3}
    kept = newest <= {id for _, _, id in rows}
    print(f"{count} messages through {quota_bytes} bytes: files at most {largest} bytes, {len(rows)} held, the newest "
          f"{'are' if kept else 'ARE NOT'} among them, {cpu / count * 1e6:.1f} us cpu each, {rss_kib()} KiB resident, "
          f"check {store.check() or 'ok'}")
    print({lane: (facts["messages"], facts["evicted"]) for lane, facts in store.stats()["lanes"].items()})
    store.close()


def main() -> None:
    """Print the table; `quota [messages]` does that part alone."""
    if sys.argv[1:2] == ["quota"]:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            quota(folder, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000, 16 * 1024 * 1024)
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"python {platform.python_version()} sqlite {sqlite3.sqlite_version} {platform.machine()}, {count} messages")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        for authors in (20, 200, 1000):
            for batch in (64, 512):
                cpu, wall, kib = commits(folder, count, batch, authors)
                print(f"commit batch {batch:4} authors {authors:5}: {cpu:6.2f} us cpu {wall:6.2f} us wall a message, "
                      f"+{kib} KiB resident")
        path = os.path.join(folder, "b512-200.db")
        print(f"file {os.path.getsize(path) / count:.0f} bytes a message")
        store = Store.open(path)
        start = time.process_time()
        rows = sum(1 for _ in store.boot_rows())
        print(f"boot_rows {rows}: {time.process_time() - start:.3f} s cpu")
        start = time.process_time()
        store.boot_state(key(1), START_S)
        print(f"boot_state: {(time.process_time() - start) * 1000:.1f} ms cpu")
        keys = [hlc.to_bytes(6, "big") + id[:10] for _, hlc, id in list(store.boot_rows())[:: max(1, rows // 2000)]]
        start = time.process_time()
        store.fetch(keys)
        print(f"fetch: {(time.process_time() - start) / len(keys) * 1e6:.1f} us cpu a message")
        start = time.process_time()
        done = 0
        while done < 10_000 and (some := store.index_some(512)):
            done += some
        print(f"search index: {(time.process_time() - start) / done * 1e6:.1f} us cpu a message")
        start = time.process_time()
        gone = 0
        while gone < 20_000 and (found := store.expire(START_S + 400 * 86400)):
            gone += sum(len(rows) for rows in found.values())
        print(f"expire: {(time.process_time() - start) / gone * 1e6:.1f} us cpu a message")
        store.close()


if __name__ == "__main__":
    main()
