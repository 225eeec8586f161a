"""Messages to measure with: signed now, 140 bytes of text each, as a neighbour's board would hold them."""

from __future__ import annotations

import os
import time

from edge.compat import crypto
from edge.core import limits, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.core.message import Message

TEXT_BYTES = 140
AUTHORS = 8


def notices(count: int, authors: int = AUTHORS) -> Iterator[Message]:
    """`count` different signed notices of TEXT_BYTES text by some authors, all of the last minutes."""
    seeds = [os.urandom(32) for _ in range(authors)]
    publics = [crypto.public_key(seed) for seed in seeds]
    start_hlc = (int(time.time()) - 300) << 16
    step = min(65536, (240 << 16) // max(1, count))
    for n in range(count):
        text = f"{n} {'a notice as people write them, of some length '}" * 4
        body = {1: text[:TEXT_BYTES]}
        which = n % authors
        yield message.build(seeds[which], publics[which], n // authors + 1, start_hlc + n * step, limits.TTL_S_DEFAULT,
                            limits.LANE_COMMUNITY, message.NOTICE, None, body)


def store(path: str, count: int) -> None:
    """Make a database at `path` that holds `count` notices, as if they had come long ago."""
    from edge.store.store import Store

    database = Store.open(path, now_s=int(time.time()))
    try:
        batch: list[Message] = []
        for one in notices(count):
            batch.append(one)
            if len(batch) == 512:
                database.commit(batch)
                batch = []
        if batch:
            database.commit(batch)
    finally:
        database.close()
