"""The community's halt: who may order it, which order holds, what a reboot and a replay change (PROTOCOL 17.3)."""

from __future__ import annotations

import itertools

import pytest

from edge.core import cosign, halt
from edge.core.halt import MODELS, RELAY, Halt, Order
from edge.core.stewards import Stewards
from tests.core.mutate import reason_of, survives
from tests.core.papers import NOW_S, order, signed, stewards


def test_k_stewards_halt_and_go_on() -> None:
    state = Halt(stewards())
    assert state.offer(order(5, MODELS | RELAY, "ann", "ben", reason="fire drill"))
    assert (state.scopes(NOW_S), state.epoch, state.reason) == (MODELS | RELAY, 5, "fire drill")
    assert halt.words(state.scopes(NOW_S)) == ["models", "relay"]
    assert not state.offer(order(5, MODELS | RELAY, "ann", "ben", reason="fire drill"))
    assert state.offer(order(6, 0, "cas", "ben"))
    assert state.scopes(NOW_S) == 0


def test_an_old_epoch_changes_nothing() -> None:
    state = Halt(stewards())
    state.offer(order(6, MODELS, "ann", "ben"))
    assert not state.offer(order(5, 0, "ann", "ben"))
    assert not state.offer(order(5, RELAY, "ann", "ben", "cas"))
    assert state.scopes(NOW_S) == MODELS


def test_it_ends_by_itself() -> None:
    state = Halt(stewards())
    state.offer(order(6, MODELS, "ann", "ben", expires_s=NOW_S + 60))
    assert [state.scopes(NOW_S + s) for s in (0, 59, 60)] == [MODELS, MODELS, 0]
    assert not state.offer(order(5, MODELS, "ann", "ben"))  # its epoch still counts


def test_it_outlives_a_reboot() -> None:
    state = Halt(stewards())
    first, second = order(6, MODELS, "ann", "ben", reason="a"), order(6, RELAY, "ann", "ben", reason="b")
    state.offer(first)
    state.offer(second)
    again = Halt(stewards())
    again.restore(dict(state.kept()).get)
    assert again.kept() == state.kept()
    assert again.scopes(NOW_S) == state.scopes(NOW_S)
    assert not again.offer(first)
    assert not again.offer(second)
    assert again.reason == state.reason  # told again by the order itself
    empty = Halt(stewards())
    empty.restore({}.get)
    assert empty.scopes(0) == 0


def test_an_order_of_former_stewards_ends_with_them() -> None:
    state = Halt(stewards())
    state.offer(order(6, MODELS, "ann", "ben"))
    kept = dict(state.kept())
    for others in (Stewards("Delft", []), stewards(2, "dan", "eva"), stewards(3)):
        again = Halt(others)
        again.restore(kept.get)
        assert (again.scopes(NOW_S), again.epoch) == (0, 0)


def test_of_two_orders_with_one_epoch_the_same_holds_everywhere() -> None:
    orders = [order(6, scopes, "ann", "ben") for scopes in (0, MODELS, RELAY)]
    ends = set()
    for some in itertools.permutations(orders):
        state = Halt(stewards())
        for one in some:
            state.offer(one)
        ends.add(tuple(state.kept()))
    assert len(ends) == 1


def test_who_may_not() -> None:
    state = Halt(stewards())
    for bad, reason in ((order(9, MODELS, "ann"), "halt.signatures"),
                        (order(9, MODELS, "ann", "eve"), "halt.signatures"),
                        (order(9, MODELS, "ann", "ben", community="Gouda"), "cosign.community"),
                        (signed(cosign.CERTIFICATE, halt.payload_of("Delft", 9, MODELS, NOW_S), "ann", "ben"),
                         "cosign.form")):
        assert reason_of(state.offer, bad) == reason
    assert state.epoch == 0
    assert state.scopes(NOW_S) == 0


def test_form() -> None:
    good = order(5, MODELS, "ann", "ben")
    survives(Order, [good], 400)
    for values in (("Delft", 2**32, 0, 0), ("Delft", 0, -1, 0), ("Delft", 0, 0, True), ("x" * 33, 0, 0, 0),
                   ("Delft", 0, 4, 0), ("Delft", 0, 0, 0, "x" * 121)):
        with pytest.raises((ValueError, TypeError)):
            halt.payload_of(*values)
    assert reason_of(Order, signed(cosign.ORDER, b"\x80", "ann")) == "halt.form"
    assert reason_of(Order, signed(cosign.ORDER, b"\xa0", "ann")) == "halt.form"


def test_a_later_scope_is_let_alone() -> None:
    payload = halt.payload_of("Delft", 5, MODELS, NOW_S + 9).replace(b"\x03\x01", b"\x03\x09")
    state = Halt(stewards())
    assert state.offer(signed(cosign.ORDER, payload, "ann", "ben"))
    assert state.scopes(NOW_S) == MODELS
