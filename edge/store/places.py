"""Where a row stands: the two numbers of a message that the schema gives a meaning beyond their value.

A row's number n is its lane, then the order of arrival, so that each lane has pages of its own. A second message with
the (author, seq) of another stands at seq + FORK. edge/store/schema/0001_initial.sql says why.
"""

from __future__ import annotations

LANES = (0, 1, 2, 3)
FORK = 1 << 32
_BITS = 48


def first_n(lane: int) -> int:
    """The number below the first row of a lane."""
    return lane << _BITS


def last_n(lane: int) -> int:
    """The highest number that a row of a lane may have."""
    return (lane + 1 << _BITS) - 1
