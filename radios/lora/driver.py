"""The LoRa link: one modem, a queue by lanes, and the airtime governor between them, as one driver.

It decides what goes next and says of everything what became of it: a higher lane overtakes, one packet is in the device
at a time, the governor is asked before each one. What was accepted is sent, or refused with a word; when the radio is
lost in the middle of a packet, the packet is sent again (a copy does no harm, a hole does). Messages are the core's
affair, the law the governor's. It is a broadcast link: it has no peers. edge/core/link.py is the face it shows.

settings: modem (a name in MODEMS), device, region, state_dir (where the airtime used is kept), what radios.lora.keeper
takes, and what the modem takes.
"""

from __future__ import annotations

import asyncio
import importlib
import time

from edge.core import limits
from edge.core.link import Driver, LinkInfo, LinkOwner
from radios.lora import jobs
from radios.lora.governor import ALERT, TEXTS
from radios.lora.jobs import Job
from radios.lora.keeper import Keeper, open_ledger
from radios.lora.modem import LinkDown, Modem, Pace, Refused, Signal
from radios.lora.people import Text
from radios.lora.supervisor import Supervised, Supervisor, now_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from radios.lora.governor import Never

MODEMS = {
    "meshtastic": "radios.lora.meshtastic.client:MeshtasticModem",
    "meshtastic-udp": "radios.lora.meshtastic.udp:MeshtasticUdpModem",
    "rnode": "radios.lora.rnode.modem:RNode",
    "rylr998": "radios.lora.rylr.modem:Rylr",
    "rylr896": "radios.lora.rylr.modem:Rylr",
    "e22": "radios.lora.e22.modem:E22",
}
_RAW = ("freq_hz", "bw_hz", "sf", "cr_den", "power_dbm")
_NEEDS = {"meshtastic": (), "meshtastic-udp": (), "e22": ("freq_hz", "air_rate", "power_dbm")}
FRAME_BYTES_MAX = 231  # what the tightest mesh carries whole
UNLAWFUL = ("no_region", "unknown_region", "region_differs", "out_of_band", "too_wide", "too_strong", "must_listen")
_WAITS = {"share": "for its part of the airtime", "quiet": "for a quieter channel"}
LOSSES_MAX = 3  # a packet with which the radio was lost so often is suspect
REFUSALS_MAX = 5
HOLD_MS_MIN = 50
_NOT_THE_PACKETS_FAULT = ("duty_cycle", "queue_full", "rate_limited", "not_ready", "busy")
_OF_THIS_ALONE = ("rate_limited", "key_unknown")  # others may go meanwhile
_REASONS = {
    "no_region": "no region is set, so it does not transmit: set lora.region (of a Meshtastic device: with "
                 "waypost radio setup --region)",
    "too_large": "too long for this radio",
    "too_long": "would be on the air longer than the law of this region allows: choose a faster setting",
    "duty_cycle": "the radio says that this hour's airtime is used up",
    "no_channel": "the radio has no such channel",
    "key_unknown": "the radio has no key of the addressee yet",
    "lost": "the radio was lost each time that this was sent",
}


class LoraDriver(Driver, Supervised):
    """See the module. governor: the contract of radios.lora.governor; pace, modem: for tests.

    seed and community_key are not used: the frames bring their own proof.
    """

    def __init__(self, settings: dict[str, Any], seed: bytes, public: bytes, community_key: bytes | None,
                 owner: LinkOwner, name: str = "lora", *, pace: Pace | None = None, governor: Any = None,
                 modem: Modem | None = None) -> None:
        self.counters: dict[str, int] = {}
        self.jobs = jobs.Jobs()
        self._fault = ""
        try:
            number = int.from_bytes(public[:4], "big")  # a radio's number that stays, where there is no device with one
            self.modem = modem or make_modem({"node": number, **settings}, pace or Pace())
        except (ValueError, ImportError) as error:
            self._fault = str(error)
            self.modem = Modem(settings, Pace())
        self.info: LinkInfo = LinkInfo(  # type: ignore[assignment]
            name, mtu_bytes=max(limits.MTU_BYTES_MIN, min(self.modem.mtu_bytes, FRAME_BYTES_MAX)), lanes=7,
            broadcast=True, ordered=False, duplex=False, small=True, burst=1, cost=7, bits_per_s=_rate(settings),
            mesh=self.modem.mesh)
        self.carries_texts = self.modem.mesh
        self.modem.on_radio = lambda radio: self._owner.radio(self._name, radio)
        self._name = name
        self._owner: Any = owner
        self._pace = pace or Pace()
        self._governor: Any = governor or Keeper(settings, self.modem,
                                                 open_ledger(str(settings.get("state_dir", "")), now_ms()))
        self._supervisor = Supervisor(self.modem, self._pace, self, self._serve)
        self._wake = asyncio.Event()
        self._token = 0
        self._now: Job | None = None  # in the device
        self._hold_until_ms = 0
        self._signal = Signal()
        self._troubles: dict[str, str] = {}
        self._running = False

    # --- what the shell asks for

    async def start(self) -> None:
        """Begin; the radio may come later. Raises OSError for settings that can't be."""
        if self._fault:
            raise OSError(self._fault)
        self._running = True
        self._supervisor.start()

    async def stop(self) -> None:
        """Give the radio back; what still waits is forgotten."""
        self._running = False
        await self._supervisor.stop()
        self._governor.close(now_ms())
        self.jobs.clear()

    def send(self, peer: bytes | None, lane: int, frame: bytes) -> int:
        """Queue one frame for everybody; its number for `on_air`, or False; see Driver.send."""
        if not 1 <= len(frame) <= self.info.mtu_bytes:
            raise ValueError(f"a frame has 1..{self.info.mtu_bytes} bytes here, not {len(frame)}")
        return self._put(Job(0, lane, frame, now_ms())) if not peer else False

    def send_text(self, to: bytes | None, channel: str, text: str, hop_limit: int, *, lane: int = 1,
                  alert: bool = False) -> int:
        """Queue a text for one person (`to`) or a channel, where people can be reached (Meshtastic); as `send`."""
        data = text.encode()
        if not 1 <= len(data) <= FRAME_BYTES_MAX or not 0 <= hop_limit <= 7:
            raise ValueError(f"a text has 1..{FRAME_BYTES_MAX} bytes and 0..7 hops here, not {len(data)}, {hop_limit}")
        return self._put(Job(0, lane, data, now_ms(), text, to, channel, hop_limit, alert))

    def text_ms(self, n_bytes: int) -> int:
        """How long a text of `n_bytes` is on the air, in milliseconds; 0 while the radio's settings are not known."""
        try:
            return self.modem.airtime_us(n_bytes) // 1000
        except Refused:
            return 0

    def fate(self, token: int) -> tuple[str, str]:
        """(state, detail) of what was sent under this number; two times "" when that was too long ago."""
        job = next((job for job in self._all() if job.token == token), None)
        return (job.state, job.detail) if job is not None else ("", "")

    def cancel(self, token: int) -> bool:
        """Take back what has not gone out yet; False when it has, or is going."""
        job = self.jobs.find(token)
        if job is None:
            return False
        self.jobs.take(job)
        self._finish(job, jobs.CANCELLED, "")
        return True

    def waiting(self) -> list[dict[str, str | int]]:
        """What waits and what went last, oldest first, for people."""
        return [{"number": job.token, "lane": job.lane, "bytes": len(job.frame), "what": job.what(),
                 "kind": job.frame[0] if job.text is None else 0, "state": job.state, "detail": job.detail}
                for job in self._all()]

    def _all(self) -> list[Job]:
        return [*self.jobs.recent, *([self._now] if self._now is not None else []), *self.jobs]

    def status(self) -> dict[str, str | int]:
        """Facts: the radio and its state, queue by lane, how the last frame was heard, what is wrong, counters."""
        out: dict[str, str | int] = {"modem": self.modem.kind, "device": self.modem.where,
                                     "state": self._supervisor.state}
        for lane, count in enumerate(self.jobs.counts()):
            out[f"queue.{lane}"] = count
        if self._now is not None:
            out["on_air"] = f"{len(self._now.frame)} bytes, lane {self._now.lane}"
        for name, value in (("rssi_dbm", self._signal.rssi_dbm), ("snr_qdb", self._signal.snr_qdb),
                            ("utilisation_percent", self.modem.utilisation_percent)):
            if value is not None:
                out[name] = value
        out.update(self._governor.status(now_ms()))
        out.update({"radio." + name: value for name, value in self.modem.status().items()})
        for reason, text in self._troubles.items():
            out["trouble." + reason] = text
        out.update({"supervisor." + name: value for name, value in sorted(self._supervisor.counters.items())})
        out.update(sorted(self.counters.items()))
        return out

    # --- what the supervisor says

    def radio_up(self) -> None:
        """See Supervised."""
        self._hold_until_ms = 0
        for reason in [reason for reason in self._troubles if reason.startswith("radio_")]:
            self._clear_trouble(reason)
        self._learn()
        self._lawful(self._governor.ask(now_ms(), ALERT, 0))

    def radio_down(self, reason: str, text: str) -> None:
        """See Supervised."""
        for old in [old for old in self._troubles if old.startswith("radio_")]:
            if old != "radio_" + reason:
                self._clear_trouble(old)
        self._trouble("radio_" + reason, text or f"the radio is lost: {reason}")

    def radio_frame(self, frame: bytes, signal: Signal) -> None:
        """See Supervised."""
        if not 1 <= len(frame) <= FRAME_BYTES_MAX:
            self._count("rx.too_large")
            return
        self._count("rx.frames")
        self._signal = signal
        self._owner.heard(self._name, frame, signal)

    def radio_text(self, text: Text) -> None:
        """See Supervised."""
        self._count("rx.texts")
        self._owner.text(self._name, text)

    def radio_state(self, state: str, id: int, reason: str) -> None:
        """See Supervised."""
        if state == "facts":
            self._learn()
            return
        job = self.jobs.sent(id)
        if job is not None and job.state in (jobs.SENT, jobs.RELAYED, jobs.FAILED):
            self._state(job, state, _REASONS.get(reason, reason))

    def _learn(self) -> None:
        if self.modem.utilisation_percent is not None:
            self._governor.utilisation(self.modem.utilisation_percent)
        if self._governor.fault:
            self._trouble("airtime", self._governor.fault)
        else:
            self._clear_trouble("airtime")

    def _lawful(self, answer: int | Never) -> bool:
        """Whether the governor will let something go some time; if not, say what a person can mend."""
        if isinstance(answer, int):
            for reason in [reason for reason in self._troubles if reason in UNLAWFUL]:
                self._clear_trouble(reason)
            return True
        if answer.reason in UNLAWFUL:
            self._trouble(answer.reason, answer.text or _REASONS.get(answer.reason, answer.reason))
        return False

    # --- sending

    async def _serve(self, wait_ms: int) -> None:
        job, idle_ms = self._choose(now_ms())
        if job is not None:
            await self._transmit(job)
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(min(wait_ms, idle_ms) / 1000):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _choose(self, at_ms: int) -> tuple[Job | None, int]:
        """The one that goes now, or None and how long nothing will."""
        if at_ms < self._hold_until_ms:
            return None, self._hold_until_ms - at_ms
        self._learn()
        held: dict[int, int] = {}  # classes that have to wait, and how long
        for job in list(self.jobs):
            kind = self._lane_class(job)
            if job.not_before_ms > at_ms or kind in held:
                continue
            try:
                airtime_us = self.modem.airtime_us(len(job.frame))
            except Refused as refused:
                self.jobs.take(job)
                self._refuse(job, refused.reason if self.modem.region or not self.modem.paces_itself else "no_region")
                continue
            answer = self._governor.ask(at_ms, kind, airtime_us)
            if not self._lawful(answer):
                self.jobs.take(job)
                self._refuse(job, answer.reason, answer.text)
            elif answer > 0:
                why = getattr(answer, "reason", "airtime")
                held[kind] = answer
                if why != "ledger":  # that is over before anybody has read it
                    self._wait(job, at_ms, answer, _WAITS.get(why, "for airtime"))
                if why not in ("share", "quiet"):  # nobody below may go either
                    break
            else:
                return job, 0
        return None, min([*held.values(), self.jobs.soonest_ms(at_ms)])

    async def _transmit(self, job: Job) -> None:
        """Hand one packet to the device and wait until it has left."""
        airtime_us = self.modem.airtime_us(len(job.frame))
        self.jobs.take(job)
        self._now = job
        self._state(job, jobs.ON_AIR, f"{airtime_us // 1000} ms")
        self._governor.spent(now_ms(), self._lane_class(job), airtime_us)
        try:
            if job.text is None:
                sent = await self.modem.send(job.frame, urgent=job.lane == limits.LANE_ALERT)
            else:
                sent = await self.modem.send_text(job.to, job.channel, job.text, job.hop_limit, alert=job.alert)
        except Refused as refused:
            self._governor.settle(now_ms() + refused.airtime_us // 1000, refused.airtime_us)
            self._refused(job, refused)
        except ValueError:
            self._governor.settle(now_ms(), 0)
            self._refuse(job, "too_large")
        except (LinkDown, asyncio.CancelledError):
            self._governor.settle(now_ms(), sure=False)
            self._was_lost(job)
            raise
        else:  # a device may say so when it begins
            self._governor.settle(now_ms() + sent.airtime_us // 1000, sent.airtime_us)
            job.sent_id = sent.id
            self._count("tx.frames" if job.text is None else "tx.texts")
            self._finish(job, jobs.SENT, f"{sent.airtime_us // 1000} ms")
        finally:
            self._now = None

    def _refused(self, job: Job, refused: Refused) -> None:
        """The device won't have it now, or ever."""
        self._count("tx.refused." + refused.reason)
        job.refusals += refused.reason not in _NOT_THE_PACKETS_FAULT
        if refused.retry_ms is None or job.refusals >= REFUSALS_MAX:
            self._refuse(job, refused.reason)
            return
        retry_ms = max(refused.retry_ms, HOLD_MS_MIN)
        if refused.reason in _OF_THIS_ALONE:
            job.not_before_ms = now_ms() + retry_ms
        else:
            self._hold_until_ms = now_ms() + retry_ms
        self.jobs.put_back(job)
        self._wait(job, now_ms(), retry_ms, f"({refused.reason})")

    def _was_lost(self, job: Job) -> None:
        """Nobody knows whether it went out."""
        self._count("tx.again")
        job.losses += 1
        if job.losses >= LOSSES_MAX:
            self._refuse(job, "lost")
        else:
            self.jobs.put_back(job)
            self._state(job, jobs.QUEUED, "again, the radio was lost")

    def _put(self, job: Job) -> int:
        if not self._running or not self.jobs.room(job.lane):
            self._count("tx.no_room")
            return False
        self._token += 1
        job.token = self._token
        self.jobs.put(job)
        self._wake.set()
        return job.token

    def _lane_class(self, job: Job) -> int:
        return TEXTS if job.text is not None and job.lane != limits.LANE_ALERT else job.lane

    # --- saying what became of it

    def _wait(self, job: Job, at_ms: int, wait_ms: int, why: str) -> None:
        until = time.strftime("%H:%M", time.localtime(time.time() + wait_ms / 1000))
        self._state(job, jobs.WAITING, f"{why} until {until}")

    def _refuse(self, job: Job, reason: str, text: str = "") -> None:
        self._count("tx.never." + reason)
        if reason == "no_region":
            self._trouble(reason, text or _REASONS[reason])
        self._finish(job, jobs.REFUSED, text or _REASONS.get(reason, reason))

    def _finish(self, job: Job, state: str, detail: str) -> None:
        self.jobs.recent.append(job)
        self._state(job, state, detail)
        if self._running:
            asyncio.get_running_loop().call_soon(self._drained)

    def _drained(self) -> None:
        if self._running:
            self._owner.drained(self._name, b"")

    def _state(self, job: Job, state: str, detail: str) -> None:
        if (job.state, job.detail) != (state, detail):
            job.state, job.detail = state, detail
            if self._running:
                self._owner.on_air(self._name, job.token, state, detail)

    def _trouble(self, reason: str, text: str) -> None:
        if self._running and self._troubles.get(reason) != text:
            self._troubles[reason] = text
            self._owner.trouble(self._name, reason, text)

    def _clear_trouble(self, reason: str) -> None:
        if self._troubles.pop(reason, None) is not None:
            self._owner.trouble(self._name, "", "")
            for other, text in self._troubles.items():
                self._owner.trouble(self._name, other, text)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1


def make_modem(settings: dict[str, Any], pace: Pace) -> Modem:
    """The modem that the settings name. Raises ValueError for a name that is none, or what it needs and lacks."""
    name = settings.get("modem", "")
    if name not in MODEMS:
        raise ValueError(f'lora.modem can\'t be "{name}"; it may be ' + ", ".join(MODEMS))
    missing = [key for key in _NEEDS.get(name, _RAW) if key not in settings]
    if missing:
        raise ValueError(f'lora.modem = "{name}" needs ' + ", ".join("lora." + key for key in missing))
    module, _, kind = MODEMS[name].partition(":")
    modem: Modem = getattr(importlib.import_module(module), kind)(dict(settings, model=name), pace)
    return modem


def _rate(settings: dict[str, Any]) -> int:
    """The nominal bit rate; LongFast's where the radio alone knows."""
    if settings.get("air_rate"):
        return int(settings["air_rate"])
    sf, bw_hz, cr_den = (int(settings.get(name, 0)) for name in ("sf", "bw_hz", "cr_den"))
    return sf * bw_hz * 4 // (cr_den << sf) if sf and bw_hz and cr_den else 1074
