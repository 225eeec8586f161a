"""Alerts that stand are said again on radios until they end, with back-off, and not by everybody (PROTOCOL 15.7)."""

from __future__ import annotations

from typing import Any

from edge.core import alert, effects, limits, message
from tests.core.test_radio import LINK, MINUTE, UNIX_MS, Radio, give, made, messages_in, together

HOUR = 60 * MINUTE


def stand(radio: Radio, now_ms: int, *alerts: Any) -> None:
    radio.machine.command(now_ms, effects.STAND, [one.key for one in alerts])


def said(radio: Radio, from_ms: int, to_ms: int) -> int:
    return len(messages_in(radio.run(from_ms, to_ms)))


def test_with_back_off_until_it_ends() -> None:
    a, alert = Radio(1), made(9, 1, lane=0)
    give(a, alert)
    stand(a, 0, alert)
    times = [said(a, n * HOUR, (n + 1) * HOUR - 1) for n in range(6)]
    assert times[0] in (4, 5)  # 160, 320, 640, 1280 s, ...
    assert times[1:] == [1] * 5 or set(times[1:]) <= {0, 1, 2}
    assert sum(times) <= 11
    stand(a, 6 * HOUR)
    assert said(a, 6 * HOUR, 12 * HOUR) == 0


def test_a_link_that_comes_later_says_it_as_well() -> None:
    a, alert = Radio(1), made(9, 1, lane=0)
    give(a, alert)
    stand(a, 0, alert)
    info = a.machine.air(LINK).info
    a.machine.command(0, effects.LINK_DOWN, LINK)
    assert a.run(0, 1) == []
    a.machine.command(2, effects.LINK_UP, info)
    assert said(a, 2, HOUR) in (4, 5)


def test_in_a_crowd_only_some_say_it() -> None:
    radios = [Radio(n) for n in range(1, 13)]
    alert = made(99, 1, lane=0, ms=UNIX_MS - limits.RADIO_FLOOD_S_MAX * 2000)  # old: the flood itself is over
    for radio in radios:
        give(radio, alert)
        stand(radio, 0, alert)
    together(radios, 0, 2 * HOUR)
    total = sum(radio.counters.get("radio.sent", 0) - radio.counters.get("radio.beacons", 0) for radio in radios)
    assert 4 <= total <= 26  # about two in each of 6 intervals; each for itself would make 72


def test_who_came_too_late_hears_it() -> None:
    a, b, alert = Radio(1), Radio(2), made(9, 1, lane=0)
    give(a, alert)
    stand(a, 0, alert)
    b.machine.tick(0)
    frames = messages_in(a.run(0, 10 * MINUTE))
    b.hear(10 * MINUTE, frames[-1])
    assert alert.key in b.store


def test_an_alert_crosses_three_hops_and_is_delivered_once_at_each() -> None:
    """Four radios in a line, each hearing its neighbours only; the author's frame has the short form of an alert."""
    radios = [Radio(n) for n in range(1, 5)]
    places = {id(radio): at for at, radio in enumerate(radios)}
    codes = alert.codes_of({"severity": "Severe", "urgency": "Immediate", "certainty": "Observed"})
    body, _cut = alert.fit(alert.body_of("Flood at the quay", codes, [(52_010_000, 4_360_000, 5000)], official=True,
                                         instruction="Go up and take water and medicines with you."))
    radios[0].machine.command(0, effects.POST, 1, message.ALERT, 0, 7200, None, body)
    radios[0].step(0)
    together(radios, 0, 5 * MINUTE, lambda _frame, a, b: abs(places[id(a)] - places[id(b)]) != 1)
    for radio in radios:
        delivered = [effect for effect in radio.log if effect[0] == effects.DELIVER]
        assert [effect[1].type for effect in delivered] == [message.ALERT]
        assert alert.read(delivered[0][1].body()).headline == "Flood at the quay"


def test_bounds() -> None:
    a = Radio(1)
    alerts = [made(9, n, lane=0) for n in range(1, 2 + limits.ALERTS_STANDING_MAX)]
    give(a, *alerts)
    stand(a, 0, *alerts)
    said_keys = {message.message_id(frame) for frame in messages_in(a.run(0, HOUR))}
    assert len(said_keys) == limits.ALERTS_STANDING_MAX


def test_what_is_gone_is_not_said() -> None:
    a, alert = Radio(1), made(9, 1, lane=0)
    give(a, alert)
    stand(a, 0, alert)
    a.store.clear()
    a.machine.command(0, effects.GONE, 0, [(alert.hlc, alert.id)], 0)
    assert said(a, 0, HOUR) == 0
    assert a.machine.deadline() > 0
