"""The hybrid logical clock: 48 bits, Unix seconds in the upper 32, 1/65536 s in the lower 16. PROTOCOL 4.

It decides what time it is, how much that is worth (the quality), and what time a new message is signed with. It reads
no clock: the shell says what the wall shows, neighbours what theirs show, each handed in with monotonic milliseconds.
What strangers sign never moves it by more than limits.FUTURE_S_MAX, so a message from 2099 changes nothing.
"""

from edge.core import limits
from edge.core.cbor import CodecError

QUALITY_NONE = 0  # a box that has never known the time
QUALITY_LAST_SEEN = 1  # not earlier than what it signed or was told last
QUALITY_PEERS = 2  # an authenticated neighbour says so
QUALITY_RTC = 3  # a battery-backed clock, or whatever the host believes
QUALITY_SYNCED = 4  # GPS or NTP

_MAX = 2**48 - 1
_FUTURE = limits.FUTURE_S_MAX << 16
_FUTURE_UNSURE = limits.FUTURE_UNSURE_S_MAX << 16


def _ticks(ms):
    return ms * 8192 // 125  # 65536 / 1000


class Clock:
    """quality: one of QUALITY_*, read only. All times are 48-bit hybrid times unless the name says otherwise."""

    def __init__(self):
        self.quality = QUALITY_NONE
        self._base = 0  # the wall's reading at _base_ms
        self._base_ms = None  # None: at the next call
        self._shown = 0  # now() has been here and does not go back
        self._shown_ms = None  # when it was there
        self._last = 0  # the highest time that we signed or merged

    def now(self, now_ms):
        """The time: never backwards, except where a synced clock overrules one that was far ahead."""
        if now_ms != self._shown_ms:  # asked more than once for each message
            self._shown_ms = now_ms
            wall = self._wall(now_ms)
            if wall > self._shown:
                self._shown = wall
        return self._shown

    def tick(self, now_ms):
        """The time for a new message: later than every one signed or merged before."""
        time = self.now(now_ms)
        self._last = time if time > self._last else min(self._last + 1, _MAX)
        return self._last

    def observe(self, now_ms, remote):
        """Merge the time of a message whose signature is good, so that what we sign next comes after it."""
        if remote > self._last and remote <= (self._shown if now_ms == self._shown_ms else self.now(now_ms)) + _FUTURE:
            self._last = remote

    def check(self, now_ms, remote, expires_s):
        """Raise CodecError for a message that has expired, or comes from the future of a clock that knows better."""
        now = self._shown if now_ms == self._shown_ms else self.now(now_ms)
        if expires_s <= now >> 16:
            raise CodecError("expired")
        if self.quality >= QUALITY_LAST_SEEN:
            ahead = _FUTURE if self.quality >= QUALITY_PEERS else _FUTURE_UNSURE
            if remote > now + ahead:
                raise CodecError("future")

    def floor(self, last):
        """At boot: the last time that we signed or knew. Without a better clock, time goes on from there."""
        if self.quality == QUALITY_SYNCED and last > self._base + _FUTURE:
            return
        self._last = max(self._last, last)
        self._shown = max(self._shown, last)
        if last > 0 and self.quality < QUALITY_LAST_SEEN:
            self.quality = QUALITY_LAST_SEEN
        if last > self._base and self.quality == QUALITY_LAST_SEEN:
            self._base = last
            self._base_ms = None
            self._shown_ms = None

    def set_wall(self, now_ms, unix_ms, quality):
        """What the host's clock shows, in Unix milliseconds. False when it is not believed.

        A clock of a lower quality than ours is not, nor one below QUALITY_SYNCED that is behind what we have signed:
        its battery is dead. A synced one is believed always, and a time far ahead of it was wrong.
        """
        time = _ticks(unix_ms)
        if quality < self.quality or not 0 <= time <= _MAX:
            return False
        if quality == QUALITY_SYNCED:
            if max(self._shown, self._last) > time + _FUTURE:
                self._shown = time
                self._last = time
        elif time + _FUTURE < max(self._shown, self._last):
            return False
        self._set(now_ms, time, quality)
        return True

    def peer_time(self, now_ms, remote, remote_quality):
        """What an authenticated neighbour's clock shows. True when we go by it from now on.

        Only a better one than ours is believed, and none where we have a clock of our own; never one behind what we
        have signed, and once we have a time from neighbours another one moves it by limits.FUTURE_S_MAX at most, once
        in limits.PEER_TIME_MS_MIN.
        """
        now = self.now(now_ms)
        if remote_quality == self.quality == QUALITY_LAST_SEEN:
            if remote <= now:
                return False
        elif remote_quality <= self.quality or remote + _FUTURE < max(self._shown, self._last):
            return False
        if self.quality > QUALITY_PEERS:
            return False
        if self.quality == QUALITY_PEERS:
            lately = self._base_ms is not None and now_ms - self._base_ms < limits.PEER_TIME_MS_MIN
            if lately or remote > now + _FUTURE:
                return False
        self._set(now_ms, remote, min(remote_quality, QUALITY_PEERS))
        return True

    def _set(self, now_ms, time, quality):
        self._base = time
        self._base_ms = now_ms
        self._shown_ms = None
        self.quality = quality

    def _wall(self, now_ms):
        if self._base_ms is None:
            self._base_ms = now_ms
        # at the end of its 48 bits it stands still, so that whoever claims that time makes nobody pack what can't be
        return min(self._base + _ticks(now_ms - self._base_ms), _MAX)
