"""What edge/services/safety.py offers, by name: the least trust, whether it streams, what it is.

It stands apart from the handlers, which a node that holds no alert, certificate, order or check-in need not load.
"""

from __future__ import annotations

from edge.caller import ANCHOR, MEMBER, UNKNOWN
from edge.services.service import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.services.service import Field

OFFERED = {
    "alert.list": (UNKNOWN, True, "the alerts that stand, official ones first, then the gravest"),
    "alert.get": (UNKNOWN, False, "one alert: {row, body, tree}, its short form and its details as CBOR"),
    "alert.report": (MEMBER, False, "tell the neighbours of a danger here; it is shown as a neighbour's report; "
                     "answers {id}"),
    "alert.judge": (MEMBER, False, "confirm or dispute an alert in this node's name, or take that back; answers {id}"),
    "alert.send": (ANCHOR, False, "issue an alert; answers {id, details, official, cut, left_out, air_bytes}"),
    "alert.import": (ANCHOR, False, "issue the CAP alert whose tree of elements (PROTOCOL 18.3) is given as CBOR; "
                     "answers as alert.send, or {known: id}"),
    "alert.cancel": (ANCHOR, False, "cancel an alert that this node issued; answers {id}"),
    "cert.list": (MEMBER, True, "the certificates that are good here: whose, which roles, until when"),
    "cert.add": (ANCHOR, False, "bring a certificate to the community; answers {id, key, roles, expires_s, good}"),
    "halt.show": (MEMBER, False, "what the stewards have halted, why and until when; {community, stewards, needed, "
                  "scopes, epoch, expires_s, reason}"),
    "halt.send": (ANCHOR, False, "bring an order of the stewards to the community; answers as halt.show"),
    "checkin.post": (MEMBER, False, "say that a person is safe or needs help; everybody of the community can read it; "
                     "answers {id}"),
    "checkin.list": (MEMBER, True, "one row a person, who needs help first: {name, state, note, where, time_ms, "
                     "expires_s, author, said}; said: the newest of each node"),
}


def service(name: str, fields: tuple[Field, ...], handler: Callable[..., Any]) -> Service:
    """The capability of that name with its parameters and its handler."""
    trust, streams, summary = OFFERED[name]
    return Service(name, trust, summary, fields, handler, streams=streams)
