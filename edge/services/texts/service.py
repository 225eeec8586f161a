"""The text service: people with Meshtastic radios talk to the node by direct message, or on a channel kept for that.

It hears texts and who is near as topics of the bus, has them obeyed, and hands answers and waiting mail to the outbox.
Answers go by direct message only and no further than needed; what is no command is answered once in a while, so that
two machines never talk to each other. It runs while there is a radio that carries texts, as one piece of background
work.
"""

from __future__ import annotations

import asyncio
import time
from functools import cached_property

from edge.core import limits
from edge.core import message as messages
from edge.core.peers import Bucket
from edge.errors import BusError
from edge.services.texts.alerts import Sayer
from edge.services.texts.mail import Mails, body_of_delivered
from edge.services.texts.outbox import USER_MS, Outbox
from edge.services.texts.parts import PART_BYTES, Answer, cut, short
from edge.services.texts.people import FRESH_S, Heard, People

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from edge.core.message import Message
    from edge.core.rng import Rng
    from edge.ports import BusPort, NodePort, StorePort
    from edge.services.texts.commands import Commands
    from edge.services.texts.mail import Mail

QUIET_MS = 60000  # of the task; it beats at least twice as often
BEAT_MS = 20000
SESSIONS_MAX = 64
SESSION_MS = 3600000
COMMANDS_BURST, COMMAND_MS = 10, 4000  # of one person: so many at once, then one in so long
WORK_MAX = 8  # texts obeyed at a time
STRANGE_MS = 600000  # between two answers to what is no command
SLOWLY_MS = 60000  # between two words to one person that it says too much
HAND_OVER_MS = 3000  # after a radio that knows this node was heard
HAND_OVER_OTHERS_MS = 45000  # and one that does not, at most: another node may be nearer to it
HAND_OVER_AGAIN_MS = 300000  # after one that failed; doubled each time
HAND_OVER_DOUBLINGS_MAX = 6
MAIL_PATIENCE_MS = 900000
MAIL_ROWS = 1000
MORE = " (more)"
# what a node says unasked: another one does not answer it
_MACHINES = ("Mail from ", "a machine. I don't know", "too much at once", "part of this hour's airtime")
_TOPICS = ("text", "radio", "on_air", "alerts")


class _Session:
    """What one person was told, and how much it talks."""

    def __init__(self, now_ms: int) -> None:
        self.more: list[str] = []
        self.further: Callable[[], Awaitable[Answer]] | None = None
        self.bucket = Bucket(now_ms, COMMANDS_BURST * COMMAND_MS // 1000, 1)
        self.used_ms = now_ms
        self.strange_ms = -STRANGE_MS
        self.told_spent_ms = -STRANGE_MS
        self.slowly_ms = -SLOWLY_MS


class _Delivery:
    """When mail is handed to one radio."""

    __slots__ = ("due_ms", "failures", "busy")

    def __init__(self) -> None:
        self.due_ms: int | None = None
        self.failures = 0
        self.busy = False


class Texts:
    """See the module. people: rows kept of earlier runs; keep(rows) keeps some; log(level, text)."""

    def __init__(self, node: NodePort, bus: BusPort, store: StorePort, *, now_s: Callable[[], int], rng: Rng,
                 settings: dict[str, Any], people: list[tuple[Any, ...]], keep: Callable[[list[Any]], None],
                 log: Callable[[str, str], None]) -> None:
        self.outbox = Outbox(node.aired, int(settings.get("airtime_s", USER_MS // 1000)) * 1000)
        self.people = People(people)
        self.mails = Mails()
        self._node = node
        self._bus = bus
        self._store = store
        self._now_s = now_s
        self._rng = rng
        self._channel = str(settings.get("channel", ""))
        self._keep = keep
        self._log = log
        self._posts = bool(settings.get("post", True))
        self._sayer = Sayer(node.aired, bus, rng, self._channel)
        self._sessions: dict[bytes, _Session] = {}
        self._deliveries: dict[bytes, _Delivery] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._asking = 0
        self._turn = asyncio.Lock()  # questions are answered one after another
        self._wake = asyncio.Event()
        node.watch(messages.MAIL, self._on_mail)

    async def run(self, beat: Callable[[], None]) -> None:
        """Serve until cancelled; see edge/tasks.py."""
        subscription = self._bus.subscribe(*_TOPICS)
        hearing = asyncio.ensure_future(self._hear(subscription))
        try:
            for row in self._store.list_messages(type=messages.MAIL, limit=MAIL_ROWS, now_s=self._now_s())[::-1]:
                self._on_mail(messages.parse(row["data"]))
            await self._sayer.begin()
            while not hearing.done():
                beat()
                now_ms = _now_ms()
                self._step(now_ms)
                self._wake.clear()
                try:
                    async with asyncio.timeout(max(self._deadline_ms(now_ms) - now_ms, 10) / 1000):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            await hearing
        finally:
            subscription.close()
            hearing.cancel()
            for task in list(self._work):
                task.cancel()
            await asyncio.gather(hearing, *self._work, return_exceptions=True)
            self._save()

    @cached_property
    def _commands(self) -> Commands:
        """What people can say; loaded with the first text, so that a node which nobody talks to does without."""
        from edge.services.texts.commands import Commands

        return Commands(self._node, self._bus, self.mails, self.people, self._now_s, self._posts)

    # --- what comes

    async def _hear(self, subscription: Any) -> None:
        async for topic, value in subscription:
            now_ms = _now_ms()
            if topic == "on_air":
                self.outbox.on_air(value["link"], value["token"], value["state"], now_ms)
            elif topic == "radio":
                self._met(value, now_ms)
            elif topic == "text":
                self._text(value, now_ms)
            else:
                self._start(self._sayer.look())
            self._wake.set()

    def _met(self, value: dict[str, Any], now_ms: int) -> None:
        radio = bytes.fromhex(value["radio"])
        self.people.heard(radio, value["link"], value["hops"], self._now_s(), name=value["name"], short=value["short"])
        self._plan(radio, now_ms)

    def _text(self, value: dict[str, Any], now_ms: int) -> None:
        """A person said something, to us or to all."""
        self._sayer.heard(value["text"])
        verb, rest = self._commands.parse(value["text"])
        marked = value["text"].lstrip()[:1] == "?"
        if value["alert"] or not (value["to_us"] or (self._channel and value["channel"] == self._channel and marked
                                                    and verb)):
            return
        radio = bytes.fromhex(value["from"])
        person = self.people.heard(radio, value["link"], value["hops"], self._now_s(), spoke=bool(value["to_us"]))
        heard = Heard((value["link"], radio), person, value["text"], value["hops"], value["rssi_dbm"], value["snr_qdb"])
        session = self._session(radio, now_ms)
        if not session.bucket.take(now_ms, COMMAND_MS // 1000) or len(self._work) >= WORK_MAX:
            if verb and now_ms - session.slowly_ms >= SLOWLY_MS:
                session.slowly_ms = now_ms
                self._say(heard, Answer(f"That was too much at once: \"{short(value['text'], 30)}\" was not done. Say "
                                        "it again in half a minute.", 1))
            return
        if wait_ms := self.outbox.waits_ms(radio, now_ms):
            if now_ms - session.told_spent_ms >= STRANGE_MS:
                session.told_spent_ms = now_ms
                again = time.strftime("%H:%M", time.localtime(self._now_s() + wait_ms // 1000))
                self._say(heard, Answer(f"Your part of this hour's airtime is used up; again from {again}.", 1))
        elif verb:
            self._start(self._obey(heard, session, verb, rest))
        elif now_ms - session.strange_ms >= STRANGE_MS and not any(mark in value["text"] for mark in _MACHINES):
            session.strange_ms = now_ms
            self._say(heard, Answer(f"This is {short(self._node.name, 30)}, a machine. I don't know "
                                    f"\"{short(value['text'], 30)}\"; help says what I know.", 1))

    async def _obey(self, heard: Heard, session: _Session, verb: str, rest: str) -> None:
        if verb == "more":
            answer = await self._more(session)
        elif verb == "ask" and rest:
            answer = await self._in_turn(heard, verb, rest)
        else:
            answer = await self._commands.do(verb, rest, heard)
        session.further = answer.further
        session.more = self._say(heard, answer)

    async def _more(self, session: _Session) -> Answer:
        """The next of the last answer."""
        if session.more:
            return Answer("\n".join(session.more), min(2, len(session.more)), session.further)
        if session.further is None:
            return Answer("There is no more.", 1)
        try:
            return await session.further()
        except BusError as error:
            return Answer(f"more: {error.message}", 1)

    async def _in_turn(self, heard: Heard, verb: str, rest: str) -> Answer:
        """A question waits for those before it, and is told so."""
        if self._asking:
            self._say(heard, Answer(f"{self._asking} before you; the answer comes by itself.", 1))
        self._asking += 1
        try:
            async with self._turn:
                return await self._commands.do(verb, rest, heard)
        finally:
            self._asking -= 1

    def _say(self, heard: Heard, answer: Answer) -> list[str]:
        """Send the first parts of an answer; those that are left for `more`."""
        parts = cut(answer.text)
        if len(parts) > answer.at_once or answer.further is not None:
            parts = cut(answer.text, PART_BYTES - len(MORE))
        now, left = parts[:answer.at_once], parts[answer.at_once:]
        if now and (left or answer.further is not None):
            now[-1] += MORE
        if now:
            self.outbox.say(heard.way, heard.hops, now, _now_ms())
        return left

    def _session(self, radio: bytes, now_ms: int) -> _Session:
        session = self._sessions.pop(radio, None)
        if session is None or now_ms - session.used_ms >= SESSION_MS:
            session = _Session(now_ms)
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[radio] = session  # the one used last stands last
        session.used_ms = now_ms
        return session

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log("error", f"texts: {task.exception()!r}; please report it")
        self._wake.set()

    # --- mail

    def _on_mail(self, one: Message) -> None:
        """A message of type MAIL is committed."""
        mail = self.mails.take(one)
        if mail is None:
            return
        if mail.sender is not None:
            self.people.told(mail.sender, mail.name)
        if self._now_s() - self.people.get(mail.to).heard_s <= FRESH_S:
            self._plan(mail.to, _now_ms())
            self._wake.set()

    def _plan(self, radio: bytes, now_ms: int) -> None:
        """A radio was heard: hand over what waits for it, soon."""
        if not self.mails.waiting(radio, self._now_s()):
            self._deliveries.pop(radio, None)
            return
        delivery = self._deliveries.setdefault(radio, _Delivery())
        if delivery.busy or delivery.due_ms is not None:
            return
        patience_ms = HAND_OVER_MS if self.people.get(radio).spoke else HAND_OVER_OTHERS_MS
        delivery.due_ms = now_ms + HAND_OVER_MS + self._rng.below(patience_ms)

    def _hand_over(self, radio: bytes, delivery: _Delivery, now_ms: int) -> None:
        """Say the oldest mail that waits for a radio."""
        delivery.due_ms = None
        person = self.people.get(radio)
        waiting = self.mails.waiting(radio, self._now_s())
        if not waiting or not person.link:
            del self._deliveries[radio]
            return
        one = waiting[0]
        who = one.name or (self.people.get(one.sender).called if one.sender is not None else "a node")
        when = time.strftime("%d.%m. %H:%M", time.localtime(one.time_ms // 1000))
        parts = cut(f"Mail from {short(who, 40)}, {when}: {one.text[:limits.TEXT_BYTES_MAX]}")
        delivery.busy = self.outbox.say((person.link, radio), person.hops, parts, now_ms, answer=False,
                                        patience_ms=MAIL_PATIENCE_MS,
                                        done=lambda delivered: self._handed(radio, one, delivered))
        if not delivery.busy:
            delivery.due_ms = now_ms + HAND_OVER_OTHERS_MS

    def _handed(self, radio: bytes, one: Mail, delivered: bool) -> None:
        """One mail was acknowledged, or given up until the radio is heard again."""
        delivery = self._deliveries.get(radio)
        if delivery is None:
            return
        delivery.busy = False
        now_ms = _now_ms()
        if delivered:
            delivery.failures = 0
            one.delivered_ms = self._now_s() * 1000
            delivery.due_ms = now_ms  # the next one
            self._start(self._tell_delivered(one))
        else:
            wait_ms = HAND_OVER_AGAIN_MS << min(delivery.failures, HAND_OVER_DOUBLINGS_MAX)
            delivery.failures += 1
            delivery.due_ms = now_ms + wait_ms if self._fresh(radio) else None
        self._wake.set()

    async def _tell_delivered(self, one: Mail) -> None:
        """Tell the other nodes, until the store takes it."""
        ttl_s = max(one.expires_s - self._now_s(), 60)
        while True:
            try:
                await self._node.post(messages.MAIL, limits.LANE_DIRECT, ttl_s, None, body_of_delivered([one.id]))
                return
            except BusError as error:
                self._log("warning", f"texts: that a mail was delivered could not be kept: {error}")
                await asyncio.sleep(BEAT_MS / 1000)

    def _fresh(self, radio: bytes) -> bool:
        return self._now_s() - self.people.get(radio).heard_s <= FRESH_S

    # --- time

    def _step(self, now_ms: int) -> None:
        self.outbox.step(now_ms)
        self._sayer.step(now_ms)
        for radio, delivery in list(self._deliveries.items()):
            if delivery.due_ms is not None and delivery.due_ms <= now_ms:
                self._hand_over(radio, delivery, now_ms)
        self._save()

    def _deadline_ms(self, now_ms: int) -> int:
        due = [now_ms + BEAT_MS]
        due += [delivery.due_ms for delivery in self._deliveries.values() if delivery.due_ms is not None]
        due += [one for one in (self.outbox.deadline(), self._sayer.deadline()) if one is not None]
        return min(due)

    def _save(self) -> None:
        if rows := self.people.changed(self._now_s()):
            self._keep(rows)


def _now_ms() -> int:
    return time.monotonic_ns() // 1000000
