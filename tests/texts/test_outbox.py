"""The outbox: part after part, each acknowledged, within a person's airtime; faults of the air end what they must."""

from __future__ import annotations

from edge.services.texts import outbox
from edge.services.texts.outbox import Outbox
from tests.texts.air import LINK, Air

ANA, BOB = b"\x9e\xa2\xf3\xc4", b"\0\0\0\2"
WAY = (LINK, ANA)


def test_a_part_waits_for_the_acknowledgement_of_the_one_before() -> None:
    air, over = Air(), []
    box = Outbox(air)
    assert box.say(WAY, 2, ["one", "two"], 0, done=over.append)
    assert air.texts == ["one"] and air.sent[0].to == ANA and air.sent[0].hop_limit == 3 and air.sent[0].lane == 1
    for state in ("waiting", "on_air", "sent", "relayed"):
        box.on_air(LINK, 1, state, 100)
        box.on_air(LINK, 99, "acked", 100)
    assert air.texts == ["one"] and not over
    box.on_air(LINK, 1, "acked", 200)
    assert air.texts == ["one", "two"] and not over
    box.on_air(LINK, 2, "acked", 300)
    assert over == [True] and len(box) == 0 and box.deadline() is None


def test_what_is_not_acknowledged_is_given_up_with_all_behind_it() -> None:
    for state in ("failed", "refused", "cancelled"):
        air, over = Air(), []
        box = Outbox(air)
        box.say(WAY, None, ["one", "two"], 0, done=over.append)
        assert air.sent[0].hop_limit == outbox.HOPS_UNKNOWN
        box.on_air(LINK, 1, state, 10)
        assert over == [False] and air.texts == ["one"]


def test_people_do_not_wait_for_each_other() -> None:
    air = Air()
    box = Outbox(air)
    box.say(WAY, 0, ["one", "two"], 0)
    box.say((LINK, BOB), 7, ["other"], 0)
    assert air.texts == ["one", "other"] and air.sent[1].hop_limit == outbox.HOPS_MAX


def test_news_that_got_lost_is_asked_for() -> None:
    air, over = Air(), []
    box = Outbox(air)
    box.say(WAY, 0, ["one", "two"], 0, done=over.append)
    air.sent[0].state = "acked"
    box.step(outbox.LOOK_MS)
    assert air.texts == ["one", "two"]
    air.sent[1].state = ""  # the driver has forgotten it
    box.step(2 * outbox.LOOK_MS)
    assert over == [False]


def test_no_room_and_no_airtime() -> None:
    air, over = Air(), []
    box = Outbox(air)
    air.room = False
    box.say(WAY, 0, ["one"], 0, done=over.append)
    box.step(outbox.ROOM_MS)
    air.room = True
    box.step(2 * outbox.ROOM_MS)
    assert air.texts == ["one"]
    air.sent[0].state = "waiting"
    box.step(outbox.PATIENCE_MS - 1)
    assert not over
    box.step(outbox.PATIENCE_MS + outbox.LOOK_MS)
    assert over == [False] and air.sent[0].state == "cancelled"
    box.say(WAY, 0, ["two"], 10**6)
    air.sent[1].state = "sent"
    box.step(10**6 + outbox.PATIENCE_MS + outbox.LOST_MS)  # nobody will ever say what became of it
    assert len(box) == 0


def test_a_link_that_goes_takes_what_was_for_it() -> None:
    air, over = Air(), []
    box = Outbox(air)
    box.say(WAY, 0, ["one"], 0, done=over.append)
    air.gone = True
    box.step(outbox.LOOK_MS)
    assert over == [False]
    box.say(WAY, 0, ["one"], 10**6, done=over.append)
    assert over == [False, False] and len(box) == 0


def test_a_new_answer_takes_the_place_of_older_ones_but_not_of_mail() -> None:
    air, over = Air(), []
    box = Outbox(air)
    box.say(WAY, 0, ["going"], 0, done=lambda delivered: over.append(("going", delivered)))
    box.say(WAY, 0, ["mail"], 0, answer=False, done=lambda delivered: over.append(("mail", delivered)))
    box.say(WAY, 0, ["old"], 0, done=lambda delivered: over.append(("old", delivered)))
    box.say(WAY, 0, ["new"], 0)
    assert over == [("old", False)]
    for token in (1, 2, 3):
        box.on_air(LINK, token, "acked", token)
    assert air.texts == ["going", "mail", "new"] and over[1:] == [("going", True), ("mail", True)]


def test_a_persons_airtime() -> None:
    air = Air()
    box = Outbox(air, user_ms=3000)
    for n in range(3):
        assert box.waits_ms(ANA, n) == 0
        box.say(WAY, 0, [f"{n}"], n)
        box.on_air(LINK, n + 1, "acked", n)
    assert box.waits_ms(ANA, 10) == outbox.HOUR_MS - 10 and box.waits_ms(BOB, 10) == 0
    box.say(WAY, 0, ["mail"], 11, answer=False)  # costs the addressee nothing
    assert box.waits_ms(ANA, 11) == outbox.HOUR_MS - 11
    assert box.waits_ms(ANA, outbox.HOUR_MS) == 0
    assert not Outbox(air).waits_ms(ANA, 0)


def test_the_drivers_have_few_at_a_time_and_nobody_is_left_out() -> None:
    """A crowd must not fill the line that the node's own messages go by."""
    air, over = Air(), []
    box = Outbox(air)
    people = [n.to_bytes(4, "big") for n in range(20)]
    for n, radio in enumerate(people):
        box.say((LINK, radio), 0, ["one", "two"], n, done=over.append)
    assert len(air.sent) == outbox.AT_ONCE_MAX
    now_ms = 100
    while len(over) < len(people):
        assert sum(one.state == "queued" for one in air.sent) <= outbox.AT_ONCE_MAX
        token = next(one.token for one in air.sent if one.state == "queued")
        air.sent[token - 1].state = "acked"
        now_ms += 10
        box.on_air(LINK, token, "acked", now_ms)
    assert over == [True] * 20 and len(air.sent) == 40
    firsts = [one.to for one in air.sent if one.text == "one"]
    assert firsts == people  # who waited longest was next


def test_bounds() -> None:
    air, over = Air(), []
    box = Outbox(air)
    for n in range(outbox.LINES_MAX):
        assert box.say((LINK, n.to_bytes(4, "big")), 0, ["x"], 0)
    assert not box.say(WAY, 0, ["x"], 0, done=over.append) and not over
    box = Outbox(air)
    for _ in range(outbox.SAYINGS_MAX):
        assert box.say(WAY, 0, ["x"], 0, answer=False)
    assert not box.say(WAY, 0, ["x"], 0, answer=False)
    for n in range(3 * outbox.BUDGETS_MAX):
        box._spend(n.to_bytes(4, "big"), 0, 1)
    assert len(box._spent) == outbox.BUDGETS_MAX
