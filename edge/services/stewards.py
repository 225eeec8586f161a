"""What the stewards have signed, as capabilities: cert.list and halt.show for members, cert.add and halt.send for the
owner, who brings papers to this node; from here they travel like any message. Nothing is signed here: a steward's key
never comes to a node (tools/steward_cli.py).
"""

from __future__ import annotations

from edge.core import certs, halt, limits
from edge.core import message as messages
from edge.core.cbor import CodecError
from edge.errors import BadRequest
from edge.services import papers, params
from edge.services.offered import service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from edge.caller import Caller
    from edge.ports import NodePort
    from edge.services.papers import Papers
    from edge.services.service import Service

WHY = {
    "cosign.form": "is no paper that stewards sign", "cert.form": "is no certificate", "halt.form": "is no order",
    "cosign.community": "is for another community", "cert.signatures": "lacks good signatures",
    "halt.signatures": "lacks good signatures"}


class Stewards:
    """The handlers. sure_s(): Unix seconds that have surely come."""

    def __init__(self, node: NodePort, held: Papers, sure_s: Callable[[], int]) -> None:
        self._node = node
        self._papers = held
        self._sure_s = sure_s

    def services(self) -> list[Service]:
        """What this part provides."""
        paper = (params.blob("paper", limits.BODY_BYTES_MAX, "as waypost cert and waypost halt make it"),)
        return [service("cert.list", (), self.certs), service("cert.add", paper, self.add),
                service("halt.show", (), self.show), service("halt.send", paper, self.send)]

    async def certs(self, caller: Caller) -> AsyncIterator[dict[str, Any]]:
        for one in self._papers.book.rows():
            yield {"key": one.key.hex(), "roles": one.roles, "issued_s": one.issued_s, "expires_s": one.expires_s,
                   "by": "stewards" if one.rooted else one.issuer.hex(), "in_force": self._papers.book.in_force(one)}

    async def add(self, caller: Caller, paper: bytes) -> dict[str, Any]:
        one = self._read(certs.Certificate, paper)
        self._offer(messages.CERT, paper)
        left_s = self._left_s(one.expires_s)
        id = await self._node.post(messages.CERT, limits.LANE_ALERT, left_s, None, {papers.PAPER: paper})
        good = any(one.payload == known.payload for known in self._papers.book.rows())
        return {"id": id.hex(), "key": one.key.hex(), "roles": one.roles, "expires_s": one.expires_s, "good": good}

    async def show(self, caller: Caller) -> dict[str, Any]:
        held = self._papers
        scopes = held.halted()
        return {"community": held.stewards.name, "stewards": [key.hex() for key in held.stewards.keys],
                "needed": held.stewards.needed if held.stewards.keys else 0, "scopes": scopes,
                "epoch": held.halt.epoch, "expires_s": held.halt.expires_s, "reason": held.halt.reason}

    async def send(self, caller: Caller, paper: bytes) -> dict[str, Any]:
        order = self._read(halt.Order, paper)
        if order.rank < self._papers.halt.rank:
            raise BadRequest(f"its epoch {order.epoch} is not above {self._papers.halt.epoch}", where="paper",
                             hint="make it anew: waypost halt make")
        self._offer(messages.HALT, paper)
        left_s = self._left_s(order.expires_s)
        await self._node.post(messages.HALT, limits.LANE_ALERT, left_s, None, {papers.PAPER: paper})
        return await self.show(caller)

    def _read(self, kind: Any, paper: bytes) -> Any:
        try:
            return kind(paper)
        except CodecError as error:
            raise self._refusal(error.reason) from None

    def _offer(self, type: int, paper: bytes) -> None:
        try:
            self._papers.offer(type, paper)
        except CodecError as error:
            raise self._refusal(error.reason) from None

    def _refusal(self, reason: str) -> BadRequest:
        stewards = self._papers.stewards
        hint = ""
        if reason == "cosign.community":
            hint = f'this node\'s community.name is "{stewards.name}"'
        elif reason.endswith(".signatures"):
            hint = f"{stewards.needed} of the {len(stewards.keys)} keys in community.stewards must sign it"
            if not stewards.keys:
                hint = "this node knows no stewards: set community.stewards"
        return BadRequest(f"it {WHY.get(reason, 'is malformed: ' + reason)}", where="paper", hint=hint)

    def _left_s(self, expires_s: int) -> int:
        now_s = self._sure_s()
        if expires_s <= now_s:
            raise BadRequest("it has expired", where="paper", hint="make it anew")
        return min(expires_s - now_s, limits.TTL_S_MAX)
