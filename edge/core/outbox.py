"""The outbox: our direct messages that still wait for the destination's signed receipt.

It holds ids, not messages; the store keeps those, and gives the ids back at boot, so a message waits across reboots of
either side until the receipt comes or it expires. PROTOCOL 3.4.
"""

from edge.core import limits


class Outbox:
    """Messages of ours without a receipt yet, by id."""

    def __init__(self):
        self._waiting = {}  # id -> (dest, expires_s)

    def __len__(self):
        return len(self._waiting)

    def full(self):
        """True when no further direct message can be taken."""
        return len(self._waiting) >= limits.OUTBOX_MAX

    def add(self, id, dest, expires_s):
        """Wait for a receipt of `id` signed by `dest`, until `expires_s` (unix seconds)."""
        self._waiting[id] = (dest, expires_s)

    def receipt(self, id, by):
        """A committed receipt says that `by` has `id`: True when that ends a wait."""
        waiting = self._waiting.get(id)
        if waiting is None or waiting[0] != by:
            return False
        del self._waiting[id]
        return True

    def expire(self, now_s):
        """Give up what has expired; its ids, sorted."""
        gone = sorted([id for id in self._waiting if self._waiting[id][1] <= now_s])
        for id in gone:
            del self._waiting[id]
        return gone
