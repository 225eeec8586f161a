"""The modem port: what a LoRa modem is to the driver above it, whatever chip and cable it has.

A modem is a codec, chip verbs that never wait, and the waiting around them. It knows its device and its radio
settings; it knows nothing of messages, lanes or law, it never reconnects by itself (the supervisor does) and holds one
packet in the device at a time. Times are integers: microseconds on the air, milliseconds elsewhere. A heartbeat, a
refusal and a lost device look the same for every chip, so that one supervisor and one driver serve all of them.
DESIGN, Links.
"""

from __future__ import annotations

from radios.lora import airtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from radios.lora.people import Radio, Text

# why a packet did not go out; the set only grows
REASONS = (
    "queue_full",  # the device's queue has no room
    "duty_cycle",  # the device says that the region's share of the hour is used up
    "too_large",
    "no_channel",  # the device has no such channel
    "key_unknown",  # the device knows no public key of the addressee
    "rate_limited",  # the device throttles this kind of packet
    "channel_busy",  # listen before talk never found the channel free
    "busy",  # the packet before is still on the air (+ERR=17)
    "tx_failed",  # the device tried and reports an error
    "no_region",  # the device has no region and does not transmit
    "not_ready",  # not open, or the device is starting
    "unsupported",  # this modem has no such verb
    "frozen",  # no answer in time: also the reason of a LinkDown
    "gone",  # unplugged, or the connection closed: also the reason of a LinkDown
)


class Pace:
    """Every wait of the LoRa link in one place, so that a test can shorten them together.

    beat_ms: between heartbeats (60000..240000 in earnest); a device silent for two of them is frozen. answer_ms: for
    the reply to one command. reset_ms: for a device to start. retry_ms_min, retry_ms_max: between attempts to
    connect. speed: how much faster than the real one the air runs; 1 but in tests.
    """

    def __init__(self, beat_ms: int = 120000, answer_ms: int = 2000, reset_ms: int = 3000, retry_ms_min: int = 500,
                 retry_ms_max: int = 60000, speed: int = 1) -> None:
        self.beat_ms = beat_ms
        self.answer_ms = answer_ms
        self.reset_ms = reset_ms
        self.retry_ms_min = retry_ms_min
        self.retry_ms_max = retry_ms_max
        self.speed = speed

    def air_s(self, airtime_us: int) -> float:
        """Seconds to wait for so much airtime."""
        return airtime_us / self.speed / 1000000


class Phy:
    """The radio settings of a raw LoRa modem. cr_den: 5..8 for 4/5..4/8; preamble: symbols; overhead_bytes: what the
    modem adds to a frame on the air."""

    __slots__ = ("freq_hz", "bw_hz", "sf", "cr_den", "preamble", "overhead_bytes")

    def __init__(self, freq_hz: int, bw_hz: int, sf: int, cr_den: int, preamble: int, overhead_bytes: int = 0) -> None:
        self.freq_hz = freq_hz
        self.bw_hz = bw_hz
        self.sf = sf
        self.cr_den = cr_den
        self.preamble = preamble
        self.overhead_bytes = overhead_bytes

    def airtime_us(self, n_bytes: int) -> int:
        """Microseconds that one packet with a frame of `n_bytes` is on the air (AN1200.13)."""
        return airtime.time_on_air_us(self.sf, self.bw_hz, self.cr_den, self.preamble, n_bytes + self.overhead_bytes)


class Signal:
    """How a frame was heard. rssi_dbm, snr_qdb (quarters of a dB), hops (0: direct), sender (the modem's own address of
    it): each None where the modem doesn't say."""

    __slots__ = ("rssi_dbm", "snr_qdb", "hops", "sender")

    def __init__(self, rssi_dbm: int | None = None, snr_qdb: int | None = None, hops: int | None = None,
                 sender: bytes | None = None) -> None:
        self.rssi_dbm = rssi_dbm
        self.snr_qdb = snr_qdb
        self.hops = hops
        self.sender = sender


class Sent:
    """A packet left the device's queue. airtime_us: what it took on the air; id: what later states name it by, or 0."""

    __slots__ = ("airtime_us", "id")

    def __init__(self, airtime_us: int, id: int = 0) -> None:
        self.airtime_us = airtime_us
        self.id = id


class Refused(Exception):
    """The device won't send this packet now; it is up and the packet is not in it. reason: one of REASONS.
    retry_ms: when to ask again, None for never. airtime_us: what was spent on the air all the same."""

    def __init__(self, reason: str, retry_ms: int | None = None, airtime_us: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_ms = retry_ms
        self.airtime_us = airtime_us


class LinkDown(Exception):
    """The device can't be used: close it and open it again. Whether a packet being sent went out is unknown.

    reason: a stable word ("gone", "frozen", "rebooted", "no_device", "taken", "no_permission", "wrong_device",
    "bad_settings", "radio_fault", ...). text: what to do, for a person.
    """

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason
        self.text = text


class Modem:
    """One modem. Facts that are set at construction: kind, where (the address as a person gave it), mtu_bytes (largest
    frame). Set by `open`: phy, or bits_per_s where the air rate alone is known. csma: it listens before it talks.
    mesh: a mesh under us floods and hops. paces_itself: the device keeps the region's law and says so.
    utilisation_percent: how busy the channel is, 0..100, or None where the modem can't tell. on_radio(radio) may be set
    by whoever wants to know which people's radios are near; it is called like the three of `open`.
    """

    kind = ""
    mtu_bytes = 0
    phy: Phy | None = None
    bits_per_s = 0
    csma = False
    mesh = False
    paces_itself = False
    region = ""  # as the device says it, "" where it doesn't know one
    utilisation_percent: int | None = None

    def __init__(self, settings: dict[str, Any], pace: Pace) -> None:
        self.where = str(settings.get("device", ""))
        self.heard_ms = 0  # when the last byte came, by the monotonic clock; the supervisor looks at it
        self.on_radio: Callable[[Radio], None] = lambda radio: None
        self.counters: dict[str, int] = {}
        self._pace = pace

    async def open(self, on_frame: Callable[[bytes, Signal], None], on_text: Callable[[Text], None],
                   on_state: Callable[[str, int, str], None]) -> None:
        """Take the device, check that it is the right one, set it up and read back. Raises LinkDown, with nothing held.

        The three are called from the event loop, never from within a verb of ours. on_state(state, id, reason) has
        state "relayed", "acked" or "failed" for a packet sent before, "down" when the device was lost (reason, id 0;
        close it), "facts" when a fact above changed. It may be opened again after close.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Give the device back; no event follows. Closing what is closed does nothing."""
        raise NotImplementedError

    async def send(self, frame: bytes, *, urgent: bool = False) -> Sent:
        """Send one frame; returns when the device has nothing of it waiting any more. One call at a time.

        urgent: ahead of what others wait for, where the device can. Raises Refused, LinkDown; ValueError for a frame
        that is empty or longer than mtu_bytes. Cancelled: whether it went out is unknown.
        """
        raise NotImplementedError

    async def send_text(self, to: bytes | None, channel: str, text: str, hop_limit: int, *,
                        alert: bool = False) -> Sent:
        """Send a text to one person (to: 4 bytes) or, to None, to a channel by its name, "" the primary (Meshtastic).

        alert: on the alert port. Its fate comes by on_state under the id. Raises Refused, LinkDown.
        """
        raise Refused("unsupported")

    async def beat(self) -> None:
        """Ask the device something harmless that it answers; never while `send` runs. Raises LinkDown."""
        raise NotImplementedError

    def airtime_us(self, n_bytes: int) -> int:
        """Microseconds on the air of a frame of `n_bytes`, everything that the modem adds included."""
        if self.phy is not None:
            return self.phy.airtime_us(n_bytes)
        if self.bits_per_s:
            return n_bytes * 8 * 1000000 // self.bits_per_s
        raise Refused("not_ready")

    def status(self) -> dict[str, str | int]:
        """Facts for `waypost radio`: firmware, region, settings, counters; flat."""
        return dict(self.counters)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1
