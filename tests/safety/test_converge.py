"""Nodes that hold the same messages show the same, in whatever order and however often they came (PROTOCOL 17, 18)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import alert
from edge.core import message as messages
from edge.core.message import Message
from edge.services import alertrows
from edge.services.alertbook import AlertBook
from edge.services.alertform import Place
from edge.services.papers import PAPER, Papers
from tests.core.papers import NOW_S, certificate, key_of, order, seed_of, stewards

AUTHORS = ("a", "b", "c")
PAPERS = (
    (messages.CERT, certificate("a", "ann", "ben", roles="alert certify")), (messages.CERT, certificate("b", "a")),
    (messages.CERT, certificate("a", "ben", "cas", issued_s=NOW_S + 5)),
    (messages.CERT, certificate("b", "cas", "ann", roles="", issued_s=NOW_S + 6)),
    (messages.CERT, certificate("c", "b")), (messages.CERT, certificate("c", "ann")),
    (messages.HALT, order(5, 1, "ann", "ben")), (messages.HALT, order(5, 3, "ann", "ben")),
    (messages.HALT, order(4, 0, "ann", "ben")), (messages.HALT, order(9, 2, "ann", "eve")),
)


class Node:
    """The book and the papers of one node; details are read from what it was told."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.kept: dict[str, int] = {}
        self.papers = Papers(stewards(), self.kept.get, self.kept.__setitem__, lambda: NOW_S, lambda _name: None)
        self.book = AlertBook(Place("52.0116,4.3571", ["Delft"]), self.papers,
                              lambda keys: [self.held[key] for key in keys if key in self.held], lambda: NOW_S,
                              lambda _key: 1, lambda _name: None)
        self.papers.changed = self.book.judge_again

    def take(self, message: Message) -> None:
        self.held[message.key] = message.data
        (self.papers if message.type in (messages.CERT, messages.HALT) else self.book).take(message)

    def shown(self) -> Any:
        rows = [alertrows.shape(self.book, kept, b"") for kept in self.book.now(ended=True)]
        return (sorted(rows, key=lambda row: row["id"]), sorted(self.book.standing()), sorted(self.book.reports()),
                self.papers.halted(), self.papers.halt.epoch, [kept.message.id for kept in self.book.now()])


@st.composite
def histories(draw: Any) -> list[Message]:
    """Alerts, updates and cancels of each other, details, reports, papers; some by authors who may not."""
    made: list[Message] = []
    ids: list[bytes] = []
    for seq in range(1, draw(st.integers(3, 14))):
        author = draw(st.sampled_from(AUTHORS))
        kind = draw(st.sampled_from(("alert", "alert", "update", "cancel", "details", "report", "report", "paper")))
        body: dict[int, Any]
        type, lane = messages.ALERT, 0
        if kind == "paper":
            type, paper = draw(st.sampled_from(PAPERS))
            body = {PAPER: paper}
        elif kind == "alert" or not ids:
            kind = "alert"
            body = alert.body_of(f"alert {seq}", [draw(st.integers(0, 4)), 4, 4], official=draw(st.booleans()))
        elif kind == "report":
            type, lane = messages.REPORT, 1
            body = {1: draw(st.integers(1, 3)), 2: draw(st.sampled_from(ids))}
        elif kind == "details":
            lane = 2
            body = {12: draw(st.sampled_from(ids))[:8], 13: {14: [{15: f"details {seq}"}]}}
        else:
            body = alert.body_of(f"{kind} {seq}", [3, 4, 4], official=draw(st.booleans()),
                                 references=[alert.UPDATE if kind == "update" else alert.CANCEL,
                                             draw(st.sampled_from(ids))[:8]])
        hlc = (NOW_S << 16) + draw(st.integers(0, 20))
        one = messages.build(seed_of(author), key_of(author), seq, hlc, 3600, lane, type, None, body)
        made.append(one)
        if type == messages.ALERT and lane == 0:
            ids.append(one.id)
    return made


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_ends_the_same(history: list[Message], random: Any) -> None:
    nodes = []
    for _ in range(3):
        order_ = history[:]
        random.shuffle(order_)
        node = Node()
        for message in order_ + random.sample(order_, len(order_) // 2):
            node.take(message)
        nodes.append(node.shown())
    assert nodes[0] == nodes[1] == nodes[2]
