"""Writes tests/data/store/vN.db.gz, N being the present schema: run once when a schema is settled, never again.

`python -m tests.store.make_fixture`
"""

from __future__ import annotations

import gzip
import os
import tempfile
from pathlib import Path

from edge.store import schema
from edge.store.store import Store
from tests.store.samples import START_S, direct, key, make, many, receipt

DATA = Path(__file__).parent.parent / "data" / "store"


def fill(store: Store) -> None:
    """One of everything that a database may hold."""
    store.boot_state(key(1), START_S)
    store.commit(many(40, base=10))
    mine, other = direct(1, 2), direct(1, 3, seq=2)
    store.commit([mine, other, receipt(mine, 2, 1), direct(4, 1)])
    store.commit([make(5, salt=b"1"), make(5, salt=b"2")])
    store.commit([make(6, ttl_s=60, body={1: "short lived"}), make(7, body={1: "the well is open"})])
    store.index_some()
    store.expire(START_S + 60)
    store.keep("hlc", (START_S + 90) << 16)
    while store.judge_some(lambda text: {"labels": ["water"]} if "well" in text else None) is not None:
        pass
    store.keep_people([(b"\x9e\xa2\xf3\xc4", "Ana", "A", "lora", 2, START_S, True),
                       (b"\0\0\0\1", "", "", "", None, 0, False)])
    store.set_mark(make(7, body={1: "the well is open"}).id, {"urgent": False})


def main() -> None:
    """Write the file; refuses to replace one."""
    path = DATA / f"v{len(schema.steps())}.db.gz"
    if path.exists():
        raise SystemExit(f"{path} is settled already")
    with tempfile.TemporaryDirectory() as folder:
        database = os.path.join(folder, "waypost.db")
        store = Store.open(database, now_s=START_S)
        fill(store)
        store.close()
        path.write_bytes(gzip.compress(Path(database).read_bytes(), mtime=0))
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
