"""Alerts as capabilities: alert.list for everybody near, alert.report and alert.judge for whoever stands here,
alert.send, alert.import and alert.cancel for this node's owner alone.

An official alert is issued in the node's own name and counts as official where the node's key has the community's
certificate for it; what a visitor reports is signed by the same key and says that it is a report. What may be asked
stands in edge/services/alertbook.py.
"""

from __future__ import annotations

from edge.caller import ANCHOR
from edge.core import alert, cbor, certs, limits
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.errors import BadRequest, NotFound, Unauthorized
from edge.services import alertform, alertrows, capthin, captime, captree, params
from edge.services.offered import service
from edge.services.service import REQUIRED, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import NodePort
    from edge.services.alertbook import AlertBook, Kept
    from edge.services.alertform import Form
    from edge.services.service import Service

REPORT_TTL_S = 43200  # what a neighbour reports is over or confirmed by then
REPORT_RADIUS_M = 5000
ISSUED_TTL_S_MAX = 30 * 86400
CANCEL_LONGER_S = 3600  # than what it cancels
TREE_BYTES_MAX = limits.BODY_BYTES_MAX - 32  # beside the id of its ALERT
_FRAME_REST_BYTES = limits.ALERT_AIR_BYTES_MAX - limits.ALERT_BODY_AIR_BYTES_MAX
_STANCES = {"confirm": alert.CONFIRM, "dispute": alert.DISPUTE, "withdraw": alert.WITHDRAW}
_ID = params.text("id", 32, "its id, or the first 8 digits of it or more")


class Alerts:
    """The handlers. sure_s(): Unix seconds that have surely come, 0 while nothing is known."""

    def __init__(self, node: NodePort, book: AlertBook, sure_s: Callable[[], int]) -> None:
        self._node = node
        self._book = book
        self._sure_s = sure_s

    def services(self) -> list[Service]:
        """What this part provides."""
        return [
            service("alert.list", (
                _flag("ended", "also those that were updated or cancelled and have not expired"),
                params.whole("limit", 1, 512, "at most so many", 100)), self.list),
            service("alert.get", (_ID,), self.get),
            service("alert.report", (
                params.text("headline", limits.ALERT_HEADLINE_BYTES_MAX, "what is the matter"),
                params.text("name", limits.ALERT_NAME_BYTES_MAX, "who says so", None),
                params.choice("severity", ("Severe", "Extreme", "Moderate", "Minor"), "how bad it is"),
                params.whole("ttl_s", 600, 86400, "seconds until it ends", REPORT_TTL_S)), self.report),
            service("alert.judge", (
                _ID, params.choice("stance", tuple(_STANCES), "what is said of it"),
                params.text("text", limits.ALERT_HEADLINE_BYTES_MAX, "why", None)), self.judge),
            service("alert.send", self._sending(), self.send),
            service("alert.import", (params.blob("tree", limits.BODY_BYTES_MAX * 4, "the tree"),), self.take_in),
            service("alert.cancel", (
                _ID, params.text("reason", limits.ALERT_HEADLINE_BYTES_MAX, "why", None)), self.cancel),
        ]

    def _sending(self) -> tuple[Field, ...]:
        words = {name: known for name, known in alert.CODES}
        return (
            params.text("headline", limits.ALERT_HEADLINE_BYTES_MAX, "what is the matter"),
            params.text("instruction", limits.ALERT_TEXT_BYTES_MAX, "what to do", None, lines=True),
            params.text("description", limits.TEXT_BYTES_MAX, "what else is known", None, lines=True),
            _word("severity", words["severity"][1:], "how bad it is"),
            _word("urgency", words["urgency"], "how soon one must act", "Immediate"),
            _word("certainty", words["certainty"], "how sure it is", "Observed"),
            _word("category", words["category"], "what kind of danger", "Other"),
            _word("response", words["response"][1:], "what to do, in one word", None),
            _word("status", words["status"][:2] + ("Test",), "whether it is meant", "Actual"),
            params.text("event", limits.ALERT_NAME_BYTES_MAX, "what it is called", None),
            params.text("issuer", limits.ALERT_NAME_BYTES_MAX, "who issues it; the node's name", None),
            params.text("language", limits.ALERT_NAME_BYTES_MAX, "of the texts, such as en or nl", None),
            _areas(),
            params.whole("onset_s", 0, 2**32 - 1, "when it begins, Unix seconds", None),
            params.whole("ttl_s", 60, ISSUED_TTL_S_MAX, "seconds until it ends", alertform.TTL_S_DEFAULT),
            params.text("updates", 32, "the id of the alert of this node whose place it takes", None))

    async def list(self, caller: Caller, ended: bool, limit: int) -> AsyncIterator[dict[str, Any]]:
        for kept in self._book.now(ended=ended)[:limit]:
            yield alertrows.shape(self._book, kept, self._node.key)

    async def get(self, caller: Caller, id: str) -> dict[str, Any]:
        kept = self._find(id)
        tree = self._book.tree(kept)
        return {"row": alertrows.shape(self._book, kept, self._node.key), "body": cbor.encode(kept.message.body()),
                "tree": cbor.encode(tree) if tree is not None else None}

    async def report(self, caller: Caller, headline: str, name: str | None, severity: str,
                     ttl_s: int) -> dict[str, Any]:
        _from_here(caller)
        here = self._book.here
        areas: list[Any] = []
        if here.lat is not None:
            areas = [(here.lat, here.lon, REPORT_RADIUS_M)]
        elif here.names:
            areas = here.names[:1]
        said = {"severity": severity, "urgency": "Immediate", "certainty": "Observed"}
        body, _cut = alert.fit(alert.body_of(headline, alert.codes_of(said), areas, issuer=name))
        id = await self._node.post(messages.ALERT, limits.LANE_ALERT, ttl_s, None, body)
        return {"id": id.hex()}

    async def judge(self, caller: Caller, id: str, stance: str, text: str | None) -> dict[str, Any]:
        _from_here(caller)
        kept = self._find(id)
        if kept.message.author == self._node.key:
            raise BadRequest("that is this node's own", where="id", hint="its author does not count; cancel it instead")
        body: dict[int, Any] = {1: _STANCES[stance], 2: kept.message.id}
        if text is not None:
            body[3] = text
        ttl_s = self._left_s(kept) + CANCEL_LONGER_S
        made = await self._node.post(messages.REPORT, limits.LANE_DIRECT, ttl_s, None, body)
        return {"id": made.hex()}

    async def send(self, caller: Caller, *, ttl_s: int, updates: str | None, **words: Any) -> dict[str, Any]:
        words["issuer"] = words["issuer"] or self._node.name
        references = []
        if updates is not None:
            references = [alert.UPDATE, self._ours(updates, "updates").message.id[:alert.ID_BYTES]]
        try:
            form = alertform.of_words({**words, "official": True, "references": references})
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return await self._issue(form, ttl_s)

    async def take_in(self, caller: Caller, tree: bytes) -> dict[str, Any]:
        try:
            given = cbor.decode(tree)
            captree.check(given)
            references = captree.references(given) if captree.REFERENCES in given else []
        except (CodecError, captree.Fault) as fault:
            raise BadRequest(str(fault), where=getattr(fault, "where", "tree"),
                             allowed=getattr(fault, "allowed", "")) from None
        check_meant(given)
        meant = [alertform.cap_bytes(one) for one in references]
        known = self._book.of_cap(alertform.cap_bytes(captree.identity(given)))
        if known:
            return {"known": known[0].message.id.hex()}
        ours = [kept.message.id for one in meant for kept in self._book.of_cap(one)
                if kept.message.author == self._node.key]
        if given[captree.MSG_TYPE] == "Cancel" and not ours:
            others = sorted({kept.message.author.hex()[:16] for one in meant for kept in self._book.of_cap(one)})
            raise BadRequest("this node has not issued what it cancels", where="references",
                             hint=f"import it on {', '.join(others)}" if others else "there is nothing to cancel")
        form = alertform.of_cap(given, ours)  # of all that was given: its areas are not made smaller
        form.tree, left_out = capthin.thin(given, TREE_BYTES_MAX)
        now_s = self._sure_s()
        ttl_s = alertform.TTL_S_DEFAULT if form.ends_s is None or not now_s else form.ends_s - now_s
        if given[captree.MSG_TYPE] == "Cancel":
            ttl_s = max(ttl_s, *[self._left_s(self._ours(id.hex(), "references")) + CANCEL_LONGER_S for id in ours])
        if ttl_s <= 0:
            raise BadRequest(f"it expired at {captime.text(form.ends_s or 0)}", where="expires",
                             hint="nothing was sent; one that says no end has expired a day after it was sent")
        return await self._issue(form, min(ttl_s, limits.TTL_S_MAX)) | {"left_out": left_out}

    async def cancel(self, caller: Caller, id: str, reason: str | None) -> dict[str, Any]:
        kept = self._ours(id, "id")
        if kept.short.kind == alert.CANCEL or kept.cancelled:
            raise BadRequest("it has been cancelled already", where="id")
        body = alert.body_of(reason or "", [], references=[alert.CANCEL, kept.message.id[:alert.ID_BYTES]],
                             official=kept.short.official)
        body, _cut = alert.fit(body)
        ttl_s = self._left_s(kept) + CANCEL_LONGER_S
        made = await self._node.post(messages.ALERT, limits.LANE_ALERT, min(ttl_s, limits.TTL_S_MAX), None, body)
        return {"id": made.hex()}

    async def _issue(self, form: Form, ttl_s: int) -> dict[str, Any]:
        id = await self._node.post(messages.ALERT, limits.LANE_ALERT, ttl_s, None, form.body)
        details = form.details(id)
        more = None
        if details is not None:
            more = (await self._node.post(messages.ALERT, limits.LANE_COMMUNITY, ttl_s, None, details)).hex()
        return {"id": id.hex(), "details": more, "cut": form.cut, "left_out": [],
                "official": self._book.papers.allows(self._node.key, certs.ALERT, self._sure_s()),
                "air_bytes": _FRAME_REST_BYTES + form.air_bytes()}

    def _left_s(self, kept: Kept) -> int:
        return int(max(0, kept.message.expires_s - max(self._sure_s(), kept.sent_s)))

    def _find(self, id: str) -> Kept:
        digits = id.strip().lower()
        kept = None
        if 8 <= len(digits) <= 32 and len(digits) % 2 == 0 and all(one in "0123456789abcdef" for one in digits):
            kept = self._book.find(bytes.fromhex(digits))
        if kept is None:
            raise NotFound(f'no alert "{id}" is known', where="id", allowed="8 to 32 hex digits, an even number",
                           hint="waypost alert list --ended tells their ids")
        return kept

    def _ours(self, id: str, where: str) -> Kept:
        kept = self._find(id)
        if kept.message.author != self._node.key:
            raise BadRequest(f"it was issued by {kept.message.author.hex()[:16]}, and only that node can do this",
                             where=where)
        return kept


def _from_here(caller: Caller) -> None:
    """Whoever calls from another node has a key of its own to say it with: else one author would count as many."""
    if caller.key is not None and caller.trust < ANCHOR:
        raise Unauthorized("another node says that in its own name", hint="call it there")


def check_meant(tree: dict[int, Any]) -> None:
    """Raise BadRequest for a CAP alert (checked) that is not meant for the public."""
    if tree[7] != "Public":
        raise BadRequest(f"its scope is {tree[7]}: it is not for everybody", where="scope", allowed="Public")
    if tree[captree.STATUS] in ("Draft", "System"):
        raise BadRequest(f"its status is {tree[captree.STATUS]}", where="status", allowed="Actual, Exercise, Test")
    if tree[captree.MSG_TYPE] in ("Ack", "Error"):
        raise BadRequest(f"an {tree[captree.MSG_TYPE]} is between systems, not for people", where="msgType",
                         allowed="Alert, Update, Cancel")


def _flag(name: str, about: str) -> Field:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    return Field(name, "true or false", check, about, False)


def _word(name: str, words: tuple[str, ...], about: str, default: Any = REQUIRED) -> Field:
    """One of CAP's words, however it is capitalised."""
    by_small = {word.lower(): word for word in words}

    def check(value: Any) -> str:
        word = by_small.get(value.lower()) if isinstance(value, str) else None
        if word is None:
            raise ValueError(f"{value!r:.40} is not one of them")
        return word

    return Field(name, ", ".join(words), check, about, default)


def _areas() -> Field:
    one = params.text("areas", limits.ALERT_NAME_BYTES_MAX, "")

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or len(value) > limits.ALERT_AREAS_MAX:
            raise ValueError("must be a list")
        return [one.check(area) for area in value]

    return Field("areas", f'a list of at most {limits.ALERT_AREAS_MAX}: "LAT,LON KILOMETRES", "#geohash" or a name',
                 check, "where it is for; nothing is everywhere", [])
