"""What waits for one radio: bounded for each lane, the highest lane first, and the state of each thing for people.

    queued -> waiting -> on_air -> sent -> [relayed] -> acked | failed      (the last three for texts to one person)
       '---------'----------'----> refused                         (and back to queued when the radio was lost)

It knows frames as bytes and lanes as 0 (alert) to 3 (bulk); when something may go is not decided here.
"""

from __future__ import annotations

from collections import deque

from edge.core import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LANE_JOBS_MAX = 16
RECENT_MAX = 32  # finished ones that are remembered

QUEUED, WAITING, ON_AIR, SENT = "queued", "waiting", "on_air", "sent"
RELAYED = "relayed"  # a neighbour passed it on; whether it arrived is not known yet
ACKED, FAILED, REFUSED, CANCELLED = "acked", "failed", "refused", "cancelled"
NOTHING_MS = 1 << 40


class Job:
    """One frame, or one text with its addressee (`to`, None: a channel). token: its number in this driver."""

    __slots__ = ("token", "lane", "frame", "text", "to", "channel", "hop_limit", "alert", "queued_ms", "state",
                 "detail", "not_before_ms", "losses", "refusals", "sent_id")

    def __init__(self, token: int, lane: int, frame: bytes, queued_ms: int, text: str | None = None,
                 to: bytes | None = None, channel: str = "", hop_limit: int = 0, alert: bool = False) -> None:
        self.token = token
        self.lane = lane
        self.frame = frame
        self.text = text
        self.to = to
        self.channel = channel
        self.hop_limit = hop_limit
        self.alert = alert
        self.queued_ms = queued_ms
        self.state = QUEUED
        self.detail = ""
        self.not_before_ms = 0
        self.losses = 0  # how often the radio was lost while it was being sent
        self.refusals = 0
        self.sent_id = 0

    def what(self) -> str:
        """What it is, in a few words."""
        if self.text is None:
            return "frame"
        to = "everybody" if self.to is None else "!" + self.to.hex()
        return f"{'alert' if self.alert else 'text'} to {self.channel or to}"


class Jobs:
    """The queue, and what became of the last ones."""

    def __init__(self) -> None:
        self._lanes: list[deque[Job]] = [deque() for _ in range(limits.LANES)]
        self.recent: deque[Job] = deque(maxlen=RECENT_MAX)

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes)

    def __iter__(self) -> Iterator[Job]:
        """All that wait, in the order in which they would go."""
        for lane in self._lanes:
            yield from lane

    def counts(self) -> list[int]:
        """How many wait in each lane."""
        return [len(lane) for lane in self._lanes]

    def room(self, lane: int) -> bool:
        """Whether one more may be put. Raises ValueError for no such lane."""
        if not 0 <= lane < limits.LANES:
            raise ValueError(f"lane must be 0..{limits.LANES - 1}, not {lane!r}")
        return len(self._lanes[lane]) < LANE_JOBS_MAX

    def put(self, job: Job) -> None:
        """Behind all others of its lane."""
        self._lanes[job.lane].append(job)

    def put_back(self, job: Job) -> None:
        """Back to its place in its lane: those that came before it stay before it."""
        lane = self._lanes[job.lane]
        place = sum(other.token < job.token for other in lane)
        lane.insert(place, job)

    def first(self, now_ms: int) -> Job | None:
        """The next that may go by its own time."""
        return next((job for job in self if job.not_before_ms <= now_ms), None)

    def soonest_ms(self, now_ms: int) -> int:
        """How long until the next one that has to wait by its own time may go."""
        return min((job.not_before_ms - now_ms for job in self if job.not_before_ms > now_ms), default=NOTHING_MS)

    def take(self, job: Job) -> None:
        """Out of the queue."""
        self._lanes[job.lane].remove(job)

    def find(self, token: int) -> Job | None:
        """The one that waits under this number."""
        return next((job for job in self if job.token == token), None)

    def sent(self, sent_id: int) -> Job | None:
        """The finished one that the radio knows by this id."""
        return next((job for job in self.recent if sent_id and job.sent_id == sent_id), None)

    def clear(self) -> None:
        """Forget all that wait."""
        for lane in self._lanes:
            lane.clear()
