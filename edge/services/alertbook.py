"""The alerts that this node holds: which stand, which are official, for this place, and what neighbours say of them.

It is told of each ALERT and REPORT once it is committed, in any order, and comes to the same answers as every other
node that holds the same messages (PROTOCOL 18.4, 18.5). Time decides only what has expired. It posts nothing; what may
be asked of it is in edge/services/alerts.py, and the emergency machine asks it as edge.ports.AlertsPort.
"""

from __future__ import annotations

from edge.core import alert, certs, limits
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.services import alertform, captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.message import Message
    from edge.services.alertform import Place
    from edge.services.captree import Tree
    from edge.services.papers import Papers

    Ref = tuple[bytes, bytes]  # author, beginning of an id

ALERTS_MAX = 512
UNOFFICIAL_AN_AUTHOR_MAX = 8  # that stand, so that one author does not fill the page
REPORTERS_MAX = 256  # authors that are counted for one alert
DETAILS_WAITING_MAX = 64


class Kept:
    """One ALERT. short: alert.Short. details: the key of the message with its details, or None. over: the id of what
    updated or cancelled it, or None; cancelled: by a cancel. official, grave: what was found out, None: nothing yet."""

    __slots__ = ("message", "short", "details", "over", "cancelled", "official", "grave")

    def __init__(self, message: Message, short: alert.Short) -> None:
        self.message = message
        self.short = short
        self.details: bytes | None = None
        self.over: bytes | None = None
        self.cancelled = False
        self.official: bool | None = None
        self.grave: tuple[bool | None, int] | None = None

    @property
    def sent_s(self) -> int:
        return int(self.message.hlc >> 16)


class AlertBook:
    """here: this node's Place. fetch(keys) gives whole messages of the store: details are left there. sure_s():
    Unix seconds that have surely come. trust_of(author) -> edge.caller trust. changed(): told when anything did;
    stand(keys): told which messages radios should go on saying; count(name): counts what can't be read."""

    def __init__(self, here: Place, papers: Papers, fetch: Callable[[list[bytes]], list[bytes]],
                 sure_s: Callable[[], int], trust_of: Callable[[bytes], int], count: Callable[[str], None]) -> None:
        self.here = here
        self.papers = papers
        self.changed: Callable[[], None] = lambda: None
        self.stand: Callable[[list[bytes]], None] = lambda _keys: None
        self._count = count
        self._fetch = fetch
        self._sure_s = sure_s
        self._trust_of = trust_of
        self._alerts: dict[Ref, Kept] = {}
        self._ends: dict[Ref, Kept] = {}  # what is updated or cancelled -> by which ALERT
        self._details: dict[Ref, bytes] = {}  # the key of the newest; some before their ALERT
        self._reports: dict[bytes, dict[bytes, tuple[bytes, int, str]]] = {}  # alert -> author -> (key, stance, text)
        self._stood: list[bytes] = []

    # --- messages in

    def take(self, message: Message) -> None:
        """An ALERT or REPORT is committed. One whose body can't be read is counted and otherwise ignored."""
        try:
            if message.type == messages.REPORT:
                self._take_report(message)
            else:
                found = alert.read(message.body())
                if isinstance(found, alert.Details):
                    self._take_details(message, found)
                else:
                    self._take_alert(message, found)
        except (CodecError, captree.Fault) as error:
            self._count("drop." + getattr(error, "reason", "alert.details"))
            return
        self.tell()

    def tell(self) -> None:
        """Something may have changed: tell those who follow, and the radios."""
        keys = [kept.message.key for kept in self._said()]
        if keys != self._stood:
            self._stood = keys
            self.stand(keys)
        self.changed()

    def judge_again(self) -> None:
        """The community's papers have changed, and with them what is official."""
        for kept in self._alerts.values():
            kept.official = None
        self.tell()

    def tick(self) -> None:
        """Forget what has expired."""
        now_s = self._sure_s()
        gone = [ref for ref, kept in self._alerts.items() if kept.message.expires_s <= now_s]
        for ref in gone:
            self._forget(ref)
        if gone:
            self.tell()

    # --- questions

    def find(self, id: bytes) -> Kept | None:
        """The ALERT whose id begins with these bytes; None where there is none, or more than one."""
        found = [kept for kept in self._alerts.values() if kept.message.id.startswith(id)]
        return found[0] if len(found) == 1 else None

    def of_cap(self, cap: bytes) -> list[Kept]:
        """Official alerts that were made from the CAP alert of this identity, ours first."""
        return [kept for kept in self._alerts.values() if kept.short.cap == cap and self.official(kept)]

    def official(self, kept: Kept) -> bool:
        """Whether its author may issue it as official."""
        if kept.official is None:
            kept.official = kept.short.official and self.papers.allows(kept.message.author, certs.ALERT, kept.sent_s)
        return kept.official

    def now(self, *, ended: bool = False) -> list[Kept]:
        """The alerts that stand, official ones first, then the gravest, then the newest, exercises last; with those
        that ended but have not expired, if wanted. Of one CAP alert that several issued only one, and of one author's
        reports a few."""
        now_s = self._sure_s()
        found = [kept for kept in self._alerts.values() if kept.message.expires_s > now_s
                 and (ended or (kept.over is None and kept.short.kind != alert.CANCEL))]
        found.sort(key=self._rank, reverse=True)
        return self._without_repeats(found)

    def counts(self, kept: Kept) -> tuple[int, int]:
        """How many others confirm it, and how many dispute it."""
        stances = [stance for author, (_key, stance, _text) in self._reports.get(kept.message.id, {}).items()
                   if author != kept.message.author]
        return stances.count(alert.CONFIRM), stances.count(alert.DISPUTE)

    def stance(self, kept: Kept, author: bytes) -> int:
        """What one author says of it: alert.CONFIRM, alert.DISPUTE, or 0."""
        stance = self._reports.get(kept.message.id, {}).get(author, (b"", 0, ""))[1]
        return 0 if stance == alert.WITHDRAW else stance

    def grave(self, kept: Kept) -> tuple[bool | None, int]:
        """Whether it is for this place (None: can't be told), and how grave that is: alertform.QUIET and up."""
        if kept.grave is None:
            kept.grave = alertform.grave_here(kept.short, self.tree(kept), self.here)
        return kept.grave

    def tree(self, kept: Kept) -> Tree | None:
        """Its details, read from the store; None where they have not come, or have gone."""
        found = self._fetch([kept.details]) if kept.details is not None else []
        return messages.parse(found[0]).body().get(alert.TREE) if found else None

    # --- AlertsPort

    def standing(self) -> list[tuple[bytes, int, int, int]]:
        rows = []
        for kept in self._alerts.values():
            if kept.over is None and kept.short.kind != alert.CANCEL and self.official(kept):
                level = self.grave(kept)[1]
                if level:
                    rows.append((kept.message.id, level, kept.sent_s, kept.message.expires_s))
        return rows

    def reports(self) -> list[tuple[bytes, int, int]]:
        now_s = self._sure_s()
        gravest: dict[bytes, int] = {}  # of what each author still says

        def says(author: bytes, level: int) -> None:
            gravest[author] = max(level, gravest.get(author, alertform.QUIET))

        for kept in self._alerts.values():
            level = self.grave(kept)[1]
            if not level or kept.message.expires_s <= now_s or kept.short.kind == alert.CANCEL or self.official(kept):
                continue
            over = kept.over is not None
            says(kept.message.author, alertform.QUIET if over else level)
            for author, (_key, stance, _text) in self._reports.get(kept.message.id, {}).items():
                if author != kept.message.author and stance != alert.WITHDRAW:
                    says(author, level if stance == alert.CONFIRM and not over else alertform.QUIET)
        return [(author, self._trust_of(author), level) for author, level in gravest.items()]

    def halted(self) -> tuple[list[str], str]:
        return self.papers.halted(), self.papers.halted_words()

    # --- inside

    def _take_alert(self, message: Message, short: alert.Short) -> None:
        ref = (message.author, message.id[:alert.ID_BYTES])
        if ref in self._alerts:
            return
        if len(self._alerts) >= ALERTS_MAX:
            self._make_room()
        kept = self._alerts[ref] = Kept(message, short)
        kept.details = self._details.get(ref)
        for id in short.references:
            self._end((message.author, id), kept)
        by = self._ends.get(ref)
        if by is not None:
            self._end(ref, by)

    def _end(self, ref: Ref, by: Kept) -> None:
        """An ALERT is updated or cancelled, whether it is here already or not; a cancel says more than an update."""
        before = self._ends.get(ref)
        if before is None or (by.short.kind, by.message.key) > (before.short.kind, before.message.key):
            self._ends[ref] = by
        kept = self._alerts.get(ref)
        if kept is not None:
            kept.over = self._ends[ref].message.id
            kept.cancelled = self._ends[ref].short.kind == alert.CANCEL

    def _take_details(self, message: Message, found: alert.Details) -> None:
        captree.check_part(found.tree)
        ref = (message.author, found.of)
        if message.key < self._details.get(ref, b""):
            return
        kept = self._alerts.get(ref)
        if kept is not None:
            kept.details = message.key
            kept.grave = None
        elif len(self._details) >= ALERTS_MAX + DETAILS_WAITING_MAX:
            early = next(one for one in self._details if one not in self._alerts)
            del self._details[early]
        self._details[ref] = message.key

    def _take_report(self, message: Message) -> None:
        stance, id, text = alert.read_report(message.body())
        known = self._reports.get(id)
        if known is None:
            if len(self._reports) >= ALERTS_MAX:
                del self._reports[next(iter(self._reports))]
            known = self._reports[id] = {}
        before = known.get(message.author)
        if before is None or message.key > before[0]:
            known[message.author] = (message.key, stance, text)
        if len(known) > REPORTERS_MAX:
            del known[max(known)]  # the same ones everywhere

    def _said(self) -> list[Kept]:
        """What radios should go on saying: official alerts that stand, and the cancels of those that would."""
        now_s = self._sure_s()
        found = [kept for kept in self._alerts.values() if kept.message.expires_s > now_s and kept.over is None
                 and self.official(kept)]
        found.sort(key=self._rank, reverse=True)
        return found[:limits.ALERTS_STANDING_MAX]

    def _rank(self, kept: Kept) -> tuple[Any, ...]:
        here, level = self.grave(kept)
        return (kept.short.codes["status"] == 0, self.official(kept), kept.short.kind == alert.CANCEL, level,
                here is not False, kept.short.codes["severity"], kept.message.key)

    def _without_repeats(self, found: list[Kept]) -> list[Kept]:
        out = []
        caps: set[tuple[bytes, bool]] = set()
        unofficial: dict[bytes, int] = {}
        for kept in found:
            official = self.official(kept)
            if official and kept.short.cap is not None:
                if (kept.short.cap, kept.over is None) in caps:
                    continue
                caps.add((kept.short.cap, kept.over is None))
            if not official:
                author = kept.message.author
                unofficial[author] = unofficial.get(author, 0) + 1
                if unofficial[author] > UNOFFICIAL_AN_AUTHOR_MAX:
                    continue
            out.append(kept)
        return out

    def _make_room(self) -> None:
        """The one that matters least goes: expired, ended, not official, not for here, old."""
        now_s = self._sure_s()

        def worth(ref: Ref) -> tuple[Any, ...]:
            kept = self._alerts[ref]
            return (kept.message.expires_s > now_s, self.official(kept), kept.over is None, *self._rank(kept)[3:])

        self._forget(min(self._alerts, key=worth))

    def _forget(self, ref: Ref) -> None:
        kept = self._alerts.pop(ref)
        self._details.pop(ref, None)
        self._reports.pop(kept.message.id, None)
        self._ends = {one: by for one, by in self._ends.items() if by is not kept}
