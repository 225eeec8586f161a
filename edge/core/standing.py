"""Which official alerts stand now, and whether enough neighbours agree: the readings `alert` and `reports`.

An alert ends when its time is over by a clock that is sure of itself, or when it has stood here for as long as it was
made for, whatever the clock says: so a clock that reads 2020 or 2099 neither hides one nor keeps it for ever.
Neighbours count by how much they are trusted, each author once and strangers not at all; one alone never makes an
emergency. It checks no signature and no place: whoever hands in the rows has done that.
"""

from edge.core import hlc, limits

ALERTS_MAX = 64
QUORUM = 3  # weight that makes an emergency of reports; WEIGHTS by trust level: unknown, member, trusted, anchor
AUTHORS_MIN = 2
WEIGHTS = (0, 1, 2, 3)
NONE, WATCH, EMERGENCY = 0, 1, 2  # the values of both readings


class Clock:
    """The time by which alerts end: `now_s`, or None while it is not to be relied on."""

    def __init__(self, known_s=0):
        """known_s: the last time (Unix seconds) of which we were sure before the reboot; 0: none."""
        self.known_s = known_s
        self._at_ms = None

    def set(self, now_ms, now_s, quality):
        """The node's clock reads now_s; quality: hlc.QUALITY_*."""
        if self.known_s and self._at_ms is None:
            self._at_ms = now_ms  # time goes on from what was known, and is at most too early
        known_s = self.now_s(now_ms)
        sure = quality >= hlc.QUALITY_SYNCED
        if not sure and quality >= hlc.QUALITY_PEERS:
            sure = known_s is None or known_s <= now_s <= known_s + limits.LEAP_S_MAX
        if sure:
            self.known_s = now_s
            self._at_ms = now_ms

    def now_s(self, now_ms):
        """Unix seconds, or None."""
        if not self.known_s or self._at_ms is None:
            return None
        return self.known_s + (now_ms - self._at_ms) // 1000


class Alerts:
    """The official alerts for this place that stand, and since when they do."""

    def __init__(self):
        self._taken_ms = {}  # id -> when it was first handed in

    def reading(self, now_ms, now_s, rows):
        """The value of `alert`. rows: [(id, level, sent_s, expires_s), ...], level WATCH or EMERGENCY, as they are
        held now; of more than ALERTS_MAX the gravest. now_s: by a sure clock, or None."""
        rows = sorted(rows, key=lambda row: (-row[1], row[0]))[:ALERTS_MAX]  # mp: ids differ
        taken_ms = {}
        found = NONE
        for id, level, sent_s, expires_s in rows:
            taken_ms[id] = self._taken_ms.get(id, now_ms)
            lived_s = (now_ms - taken_ms[id]) // 1000
            if lived_s < expires_s - sent_s and (now_s is None or now_s < expires_s):
                found = max(found, level)
        self._taken_ms = taken_ms
        return found


def reports(rows, quorum=QUORUM):
    """The value of `reports`. rows: [(author, trust, level), ...], trust 0..3 as edge.caller; level NONE: the author
    says that there is nothing. Of several rows of one author the first counts."""
    weight = [0, 0]  # that there is something, that it is an emergency
    authors = [{}, {}]
    seen = {}
    for author, trust, level in rows:
        if author in seen or not WEIGHTS[trust]:
            continue
        seen[author] = True
        for i in range(2):
            if level > i:
                weight[i] += WEIGHTS[trust]
                authors[i][author] = True
            else:
                weight[i] -= WEIGHTS[trust]
    if weight[1] >= quorum and len(authors[1]) >= AUTHORS_MIN:
        return EMERGENCY
    return WATCH if weight[0] > 0 else NONE
