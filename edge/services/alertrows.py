"""An alert as people and programs see it: one shape for the page, the command line, text radios and neighbours.

{"id", "author" (hex), "official": bool, "state": "stands", "updated" or "cancelled", "by": id of what ended it or null,
"kind": "alert", "update" or "cancel", "time_ms", "expires_s", "onset_s" or null, "here": true, false or null (can't be
told), "grave": 0..2 (AlertsPort.standing), the codes of CAP as words ("severity", "urgency", "certainty", "category",
"response", "status"), "texts": one map a language with those that are there of "language", "event", "headline",
"description", "instruction", "issuer", "web", "contact"; "areas": [text, ...], "confirm", "dispute": numbers of nodes,
"stance": this node's own, "cap": identity of the CAP alert in hex or null, "details": bool, "references": beginnings
of ids in hex}
"""

from __future__ import annotations

from edge.core import alert, sphere
from edge.services import alertform, captree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.services.alertbook import AlertBook, Kept
    from edge.services.captree import Tree

STANCES = {0: None, alert.CONFIRM: "confirm", alert.DISPUTE: "dispute"}
_KINDS = {0: "alert", alert.UPDATE: "update", alert.CANCEL: "cancel"}
_TEXTS = (("language", captree.LANGUAGE), ("event", captree.EVENT), ("headline", captree.HEADLINE),
          ("description", captree.DESCRIPTION), ("instruction", captree.INSTRUCTION),
          ("issuer", captree.SENDER_NAME), ("web", captree.WEB), ("contact", captree.CONTACT))


def shape(book: AlertBook, kept: Kept, own_key: bytes) -> dict[str, Any]:
    """The row of one alert. own_key: this node's."""
    message, short = kept.message, kept.short
    here, grave = book.grave(kept)
    confirm, dispute = book.counts(kept)
    tree = book.tree(kept)
    state = "stands" if kept.over is None else "cancelled" if kept.cancelled else "updated"
    return {
        "id": message.id.hex(), "author": message.author.hex(), "official": book.official(kept), "state": state,
        "by": kept.over.hex() if kept.over is not None else None, "kind": _KINDS[short.kind],
        "time_ms": message.time_ms, "expires_s": message.expires_s, "onset_s": short.onset_s, "here": here,
        "grave": grave, **words(short), "texts": texts(short, tree), "areas": areas(short, tree),
        "confirm": confirm, "dispute": dispute, "stance": STANCES[book.stance(kept, own_key)],
        "cap": short.cap.hex() if short.cap is not None else None, "details": tree is not None,
        "references": [id.hex() for id in short.references],
    }


def words(short: alert.Short) -> dict[str, str]:
    """The codes as CAP's words."""
    return {name: known[short.codes[name]] for name, known in alert.CODES}


def texts(short: alert.Short, tree: Tree | None) -> list[dict[str, str]]:
    """What is said, a map for each language."""
    found = [{name: info[number] for name, number in _TEXTS if info.get(number)}
             for info in alertform.infos_of(short, tree)]
    for said in found:
        if said.get("event") == said.get("headline"):
            del said["event"]
    return found


def areas(short: alert.Short, tree: Tree | None) -> list[str]:
    """Where it is for, in words; circles as "5.0 km around 52.01,4.36"."""
    told = [area[captree.AREA_DESC] for info in (tree or {}).get(captree.INFO, ())
            for area in info.get(captree.AREA, ())]
    if told:
        return list(dict.fromkeys(told))
    return [one if isinstance(one, str) else sphere.said(*one) for one in short.areas]
