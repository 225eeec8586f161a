"""How much the store may keep, and what goes first when that is too much.

The quota is of bytes on the disk: the database, its write-ahead log and the reserve together. Over it, the lowest lane
loses its oldest messages first. Each lane has a least share that the others can't take from it, and a cap, so that a
flood in a high lane can't push out everything else. Our own direct messages that still wait for a receipt stay.
DESIGN, Store and forward.
"""

from __future__ import annotations

from edge.core import limits

QUOTA_BYTES = 256 * 1024 * 1024
QUOTA_BYTES_MIN = 1_000_000
PAGE_BYTES = 4096
BATCH_BYTES_MAX = 512 * 1024
ROW_BYTES = 136  # what a message costs in the file beside its own bytes: row, four indexes, fill factor (measured)

# (least, most) of the quota for each lane, in thousandths: what a lane holds within its least goes last, what it holds
# beyond its most goes first
LANE_SHARES = {
    limits.LANE_ALERT: (50, 250),
    limits.LANE_DIRECT: (100, 400),
    limits.LANE_COMMUNITY: (250, 700),
    limits.LANE_BULK: (50, 900),
}


class Quota:
    """The bounds that follow from `quota_bytes`. Raises ValueError where that is less than QUOTA_BYTES_MIN.

    alerts_permille: what the alert lane may take at most, where that is to be more than usual.
    """

    def __init__(self, quota_bytes: int, alerts_permille: int = 0) -> None:
        if quota_bytes < QUOTA_BYTES_MIN:
            raise ValueError(f"quota_bytes must be at least {QUOTA_BYTES_MIN}, not {quota_bytes}")
        self.quota_bytes = quota_bytes
        self.checkpoint_pages = min(1000, quota_bytes // 16 // PAGE_BYTES)
        self.batch_bytes = min(BATCH_BYTES_MAX, quota_bytes // 16)  # of messages in one transaction
        self.rows_max = min(512, self.batch_bytes // 512)  # deleted in one transaction
        # the log: its checkpoint mark and one batch with all the index pages that it may touch
        self.log_bytes = self.checkpoint_pages * PAGE_BYTES + 2 * self.batch_bytes
        self.reserve_bytes = self.log_bytes  # so that a full log can be written back whole
        self.file_bytes = quota_bytes - self.log_bytes - self.reserve_bytes
        self.slack_bytes = max(65536, self.file_bytes // 64)
        least, most = LANE_SHARES[limits.LANE_ALERT]
        self._shares = LANE_SHARES | {limits.LANE_ALERT: (least, max(most, alerts_permille))}

    def excess(self, held: list[int], used_bytes: int, room_bytes: int) -> tuple[int, int] | None:
        """(lane, bytes to take from it), or None when all is within bounds: the caller asks again after each step.

        held: bytes by lane, as counted. used_bytes: of the file. room_bytes: what is about to come.
        """
        total = max(1, sum(held))
        # search index and half-empty pages count as well, to each lane its part
        sizes = [n_bytes * max(total, used_bytes) // total for n_bytes in held]
        lowest_first = range(limits.LANES - 1, -1, -1)
        for lane in lowest_first:
            over = sizes[lane] - self.file_bytes * self._shares[lane][1] // 1000
            if over > 0:
                return lane, over + self.slack_bytes // 4
        over = used_bytes + room_bytes - self.file_bytes
        if over <= 0:
            return None
        for lane in lowest_first:
            beyond = sizes[lane] - self.file_bytes * self._shares[lane][0] // 1000
            if beyond > 0:
                return lane, min(over + self.slack_bytes, beyond)
        for lane in lowest_first:
            if held[lane]:
                return lane, over + self.slack_bytes
        return None
