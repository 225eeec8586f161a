"""The governor: the exact hour, dwell, shares, bursts, manners; its ledger; the driver that asks before each packet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from radios.lora import governor as gov
from radios.lora import ledger as led
from radios.lora.driver import LoraDriver
from radios.lora.governor import ALERT, BULK, COMMUNITY, DIRECT, HOUR_MS, TEXTS, Budget, Governor, Never, Wait
from radios.lora.keeper import Keeper, open_ledger
from radios.lora.ledger import FILE_NAME, PIECES, FileDisk, Ledger
from radios.lora.modem import Modem, Pace, Phy
from radios.lora.regions import Law
from tests.radios.contract import identity
from tests.radios.lora import governor_fuzz
from tests.radios.lora.governor_fuzz import Card
from tests.radios.lora.kit import Listener, pace, world
from tests.waiting import until

S = 1000000
LIMIT = 360 * S
START = 10000000


def one(limit_us: int = LIMIT, **rules: Any) -> Governor:
    return Governor(Law([("EU868/869400-869650", limit_us)], **rules), [Budget()])


def send(governor: Governor, now_ms: int, kind: int, us: int) -> int:
    """Send what may go; the millisecond in which it is over."""
    assert governor.ask(now_ms, kind, us) == 0
    governor.spent(now_ms, kind, us)
    end_ms = now_ms + -(-us // 1000)
    governor.settle(end_ms)
    return end_ms


def wait(governor: Governor, now_ms: int, kind: int, us: int) -> tuple[int, str]:
    answer = governor.ask(now_ms, kind, us)
    assert isinstance(answer, Wait) and answer > 0
    return int(answer), answer.reason


# --- the hour


def test_the_hour_to_the_millisecond() -> None:
    law = one()
    end_ms = send(law, START, ALERT, 300 * S)
    assert law.ask(end_ms, ALERT, 60 * S) == 0
    wait_ms, reason = wait(law, end_ms, ALERT, 60 * S + 1)
    assert reason == "airtime" and wait_ms == HOUR_MS + 1  # the clock was rounded down
    assert wait(law, end_ms + HOUR_MS, ALERT, 60 * S + 1) == (1, "airtime")
    assert law.ask(end_ms + HOUR_MS + 1, ALERT, 360 * S) == 0


def test_it_counts_until_an_hour_after_it_has_left() -> None:
    """A packet that the radio held back for a minute."""
    law = one()
    law.spent(START, ALERT, LIMIT)
    assert isinstance(law.ask(START + 2 * HOUR_MS, ALERT, 1), Wait)  # still under way
    law.settle(START + 2 * HOUR_MS + 60000)
    assert wait(law, START + 3 * HOUR_MS, ALERT, 1) == (60001, "airtime")


def test_what_was_not_sent_is_given_back() -> None:
    law = one()
    law.spent(START, ALERT, LIMIT)
    law.settle(START + 5, 0)
    assert law.ask(START + 5, ALERT, LIMIT) == 0
    law.settle(START + 9)  # nothing is under way: nothing happens


def test_a_lost_radio_may_send_it_yet() -> None:
    law = one()
    law.spent(START, ALERT, LIMIT)
    law.settle(START + 1000, sure=False)
    assert wait(law, START + 1000, ALERT, S)[0] == HOUR_MS + gov.UNSURE_MS


def test_what_never_fits() -> None:
    answers = [one().ask(START, ALERT, LIMIT + 1), one(dwell=(400000, 20000)).ask(START, ALERT, 400001),
               one(frame_us_max=1 * S).ask(START, ALERT, S + 1)]
    assert [one.reason for one in answers if isinstance(one, Never) and "faster" in one.text] == ["too_long"] * 3
    small = one(3600000)  # 0.1 %
    assert isinstance(small.ask(START, BULK, 1000000), Never) and small.ask(START, DIRECT, 1000000) == 0


def test_dwell() -> None:
    law = one(3600 * S, dwell=(400000, 20000))
    first_ms = send(law, START, ALERT, 300000)
    assert law.ask(first_ms, ALERT, 100000) == 0
    assert wait(law, first_ms, ALERT, 100001) == (20001, "airtime")
    assert wait(law, first_ms + 20000, ALERT, 400000)[0] == 1
    assert law.ask(first_ms + 20001, ALERT, 400000) == 0


def test_many_small_packets_take_little_memory() -> None:
    law, now_ms = one(3600 * S), START
    budget = law._parts[0][0]
    for _ in range(100000):
        now_ms = send(law, now_ms, ALERT, 25000)
    assert len(budget.entries) <= HOUR_MS // gov.BIN_MS
    assert sum(budget.sums) == sum(row[2] for row in budget.entries) and len(budget._recent) < 1000


# --- shares and manners


def test_shares() -> None:
    """Everything but alerts at most half, bulk a quarter, texts a tenth; alerts all."""
    for kind, seconds in ((DIRECT, 180), (COMMUNITY, 180), (BULK, 90), (TEXTS, 36), (ALERT, 360)):
        law, now_ms, sent = one(), START, 0
        while now_ms < START + HOUR_MS - 60000:
            answer = law.ask(now_ms, kind, S)
            if answer == 0:
                now_ms, sent = send(law, now_ms, kind, S), sent + 1
            else:
                assert isinstance(answer, Wait)
                now_ms += answer
        assert sent == seconds


def test_an_alert_finds_its_half_untouched() -> None:
    law, now_ms = one(), START
    while now_ms < START + HOUR_MS // 2:
        for kind in (DIRECT, COMMUNITY, BULK, TEXTS):
            if law.ask(now_ms, kind, S) == 0:
                send(law, now_ms, kind, S)
        now_ms += 1000
    assert law.ask(now_ms, ALERT, 180 * S) == 0


def test_whose_share_is_used_up_holds_nobody_else_up() -> None:
    law, now_ms = one(), START
    for _ in range(36):
        now_ms = send(law, now_ms + 30000, TEXTS, S)
    wait_ms, reason = wait(law, now_ms + 30000, TEXTS, S)
    assert reason == "share" and wait_ms > HOUR_MS // 2
    assert law.ask(now_ms + 30000, BULK, S) == 0


def test_bursts() -> None:
    """A tenth of the hour at once, then as the share fills up again; alerts are not held back."""
    law, now_ms = one(), START
    for _ in range(37):  # meanwhile there is a little more
        now_ms = send(law, now_ms, DIRECT, S)
    wait_ms, reason = wait(law, now_ms, DIRECT, S)
    assert reason == "airtime" and wait_ms <= 20000 and law.ask(now_ms + wait_ms, DIRECT, S) == 0
    assert wait(law, now_ms + wait_ms - 1, DIRECT, S)[0] == 1
    assert law.ask(now_ms, ALERT, 300 * S) == 0


def test_a_frame_larger_than_a_burst_goes_when_the_bucket_is_full() -> None:
    law = one(3600000)
    end_ms = send(law, START, DIRECT, 800000)
    wait_ms, _ = wait(law, end_ms, DIRECT, 800000)
    assert law.ask(end_ms + wait_ms, DIRECT, 800000) == 0 and wait_ms < HOUR_MS


def test_where_the_law_allows_everything_only_alerts_take_it() -> None:
    law = one(3600 * S)
    assert law.ask(START, ALERT, 3600 * S) == 0
    assert isinstance(law.ask(START, DIRECT, 180 * S + 1), Never)


@pytest.mark.parametrize(("percent", "quiet"), [(24, ()), (25, (BULK, TEXTS)), (39, (BULK, TEXTS)),
                                                (40, (DIRECT, COMMUNITY, BULK, TEXTS)), (100, (1, 2, 3, 4))])
def test_quiet_on_a_busy_channel(percent: int, quiet: tuple[int, ...]) -> None:
    law = one()
    law.utilisation(percent)
    for kind in range(5):
        if kind in quiet:
            assert wait(law, START, kind, S) == (gov.QUIET_MS, "quiet")
        else:
            assert law.ask(START, kind, S) == 0


def test_two_radios_share_a_sub_band() -> None:
    budget = Budget()
    rules = Law([("x", LIMIT)])
    a, b = Governor(rules, [budget]), Governor(rules, [budget])
    a.spent(START, ALERT, 200 * S)
    assert b.ask(START, ALERT, 160 * S) == 0
    assert wait(b, START, ALERT, 161 * S)[0] == gov.ON_AIR_MS  # as long as the other's is on the air
    a.settle(START + 200000)
    assert wait(b, START + 200000, ALERT, 161 * S)[0] == HOUR_MS + 1


def test_a_signal_across_two_sub_bands_counts_in_both() -> None:
    both = [Budget(), Budget()]
    law = Governor(Law([("a", 36 * S), ("b", 3600000)]), both)
    send(law, START, ALERT, 3000000)
    assert isinstance(law.ask(START + 3000, ALERT, 700000), Wait) and [sum(b.sums) for b in both] == [3000000] * 2


# --- the property


@pytest.mark.slow
def test_no_window_is_ever_overspent() -> None:
    """Random schedules with restarts; a million: python -m tests.radios.lora.governor_fuzz."""
    lives, packets, broken = governor_fuzz.run(100000)
    assert lives == 100000 and packets > 400000 and not broken


@pytest.mark.parametrize("fault", ["forgets", "no_hold", "too_early", "no_write", "short_hour", "trusts_the_clock"])
def test_the_property_can_fail(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    restore, end = Budget.restore, Budget.end
    if fault == "forgets":
        monkeypatch.setattr(Ledger, "_restore", lambda self, data, now_ms: None)
    if fault == "no_hold":
        monkeypatch.setattr(Budget, "restore", lambda self, end_ms, kind, us:
                            None if kind == gov.UNKNOWN else restore(self, end_ms, kind, us))
    if fault == "too_early":
        monkeypatch.setattr(Budget, "end", lambda self, token, end_ms, us: end(self, token, end_ms - 1000, us))
    if fault == "no_write":
        monkeypatch.setattr(Ledger, "ready", lambda self, limits, us, now_ms: True)
    if fault == "short_hour":
        monkeypatch.setattr(gov, "HOUR_MS", 59 * 60000)
    if fault == "trusts_the_clock":
        monkeypatch.setattr(Ledger, "_shift_ms", lambda self, boot, at_ms, wall, now_ms: now_ms - at_ms - HOUR_MS)
    assert governor_fuzz.run(2000)[2]


# --- the ledger


def books(card: Any, now_ms: int = START, boot: str = "boot", wall_ms: Any = None) -> tuple[Ledger, Governor, Any]:
    """A ledger without a thread, a governor on it, and what asks both."""
    ledger = Ledger(card, now_ms, boot, wall_ms, threads=False)
    law = Law([("EU868/869400-869650", LIMIT)])
    budget = ledger.budget(law.limits[0][0], now_ms)
    return ledger, Governor(law, [budget]), [(budget, LIMIT)]


def used(limits: Any, now_ms: int) -> int:
    limits[0][0].expire(now_ms)
    return sum(limits[0][0].sums)


def test_written_before_it_is_sent_and_seldom() -> None:
    card = Card()
    ledger, law, limits = books(card)
    now_ms, on_disk = START, 0
    for _ in range(360):
        assert law.ask(now_ms, ALERT, S) == 0 and ledger.ready(limits, S, now_ms)
        on_disk = sum(int(line.split()[-1]) for line in (card.data or b"").splitlines()
                      if line.startswith((b"use", b"hold")))
        assert on_disk >= limits[0][0].total_us + S
        now_ms = send(law, now_ms, ALERT, S)
    assert ledger.writes <= PIECES + 10 and len(card.data or b"") < 1000
    ledger, law, limits = books(card, now_ms)
    assert used(limits, now_ms) == on_disk >= 360 * S  # a crash
    assert isinstance(law.ask(now_ms, ALERT, S), Wait)


def test_a_clean_stop_gives_the_reserve_back() -> None:
    card = Card()
    ledger, law, limits = books(card)
    assert ledger.ready(limits, S, START)
    end_ms = send(law, START, BULK, S)
    ledger.close(end_ms)
    _, law, limits = books(card, end_ms + 600000)
    assert used(limits, end_ms + 600000) == S and limits[0][0].sums[BULK] == S
    assert used(limits, end_ms + HOUR_MS) == S and used(limits, end_ms + HOUR_MS + 1) == 0  # its age is known


def test_after_a_reboot_all_of_it_is_just_spent() -> None:
    card = Card()
    for wall, later_ms, left_us in ((None, 0, 100 * S), (lambda: 10**12, 0, 100 * S), (lambda: 10**12 - 5, 0, 100 * S),
                                    (lambda: 10**12 + 2 * HOUR_MS, 0, 0), (None, HOUR_MS + 1, 0)):
        card.data = None
        ledger, law, limits = books(card, wall_ms=lambda: 10**12)
        assert ledger.ready(limits, 100 * S, START)
        ledger.close(send(law, START, ALERT, 100 * S))
        _, law, limits = books(card, 5000, "another boot", wall)
        assert used(limits, 5000 + later_ms) == left_us


def test_a_wall_clock_that_was_not_sure_is_not_believed() -> None:
    card = Card()
    ledger, law, limits = books(card)
    assert ledger.ready(limits, S, START)
    ledger.close(send(law, START, ALERT, S))
    _, _, limits = books(card, 5000, "another boot", lambda: 10**13)
    assert used(limits, 5000 + HOUR_MS - 1) == S


def test_torn_counts_as_a_full_hour_never_as_free() -> None:
    card = Card()
    ledger, law, limits = books(card)
    assert ledger.ready(limits, S, START)
    ledger.close(send(law, START, ALERT, S))
    whole = card.data or b""
    torn = [whole[:n] for n in range(len(whole))] + [whole + b"x", bytes(len(whole)), whole.replace(b"use", b"usf")]
    for data in torn:
        card.data = data
        ledger, law, limits = books(card)
        assert ledger.fault and wait(law, START, ALERT, 1)[0] >= HOUR_MS, data
        assert law.ask(START + HOUR_MS + gov.UNSURE_MS, ALERT, LIMIT) == 0


@pytest.mark.parametrize("line", [b"use EU868/1-2 9 0 0", b"use EU868/1-2 0 0 -5", b"use EU868/1-2 0", b"gift x 0 0 1",
                                  b"use EU868/1-2 a b c", b"hold"])
def test_nonsense_with_a_right_checksum_counts_as_torn(line: bytes) -> None:
    import zlib

    card = Card()
    body = b"waypost airtime 1\nboot boot\nat 5 -\n" + line + b"\n"
    card.data = body + b"crc %08x\n" % zlib.crc32(body)
    assert books(card)[0].fault


def test_no_file_is_a_new_node_but_no_disk_is_none() -> None:
    assert books(Card())[1].ask(START, ALERT, LIMIT) == 0
    assert isinstance(books(None)[1].ask(START, ALERT, 1), Wait)

    class Broken(Card):
        def read(self) -> bytes | None:
            raise OSError(5, "input/output error")

    ledger, law, _ = books(Broken())
    assert "hour counts as used" in ledger.fault and isinstance(law.ask(START, ALERT, 1), Wait)


def test_a_full_disk_stops_the_radio_until_it_has_room() -> None:
    card = Card()
    card.full = True
    ledger, _, limits = books(card)
    assert not ledger.ready(limits, S, START) and "nothing is sent" in ledger.fault
    card.full = False
    assert not ledger.ready(limits, S, START + 1)  # not at every question
    assert ledger.ready(limits, S, START + led.RETRY_MS) and not ledger.fault


def test_the_file_is_replaced_at_once(tmp_path: Path) -> None:
    disk = FileDisk(str(tmp_path))
    assert disk.read() is None
    disk.write(b"one")
    (tmp_path / (FILE_NAME + ".new")).write_bytes(b"half")  # a crash while it was written
    assert disk.read() == b"one"
    disk.write(b"two")
    assert disk.read() == b"two" and os.listdir(tmp_path) == [FILE_NAME]


def test_a_ledger_of_a_directory_is_shared(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path), START)
    assert open_ledger(str(tmp_path) + "/.", START) is ledger and ledger.budget("x", 0) is ledger.budget("x", 9)


# --- the keeper: from settings and radio to law


def radio(**facts: Any) -> Modem:
    modem = Modem({}, Pace())
    modem.phy = Phy(869525000, 250000, 11, 5, 16)
    for name, value in facts.items():
        setattr(modem, name, value)
    return modem


def keeper(settings: dict[str, Any], modem: Modem) -> Keeper:
    return Keeper(settings, modem, Ledger(Card(), START, threads=False))


@pytest.mark.parametrize(("settings", "facts", "reason"), [
    ({}, {}, "no_region"),
    ({"region": ""}, {}, "no_region"),
    ({}, {"paces_itself": True}, "no_region"),
    ({"region": "EU868"}, {"paces_itself": True}, "no_region"),  # the device has none
    ({"region": "US"}, {"paces_itself": True, "region": "EU_868"}, "region_differs"),
    ({"region": "EU868", "power_dbm": 30}, {}, "too_strong"),
    ({"region": "US"}, {}, "out_of_band"),
])
def test_what_may_not_transmit(settings: dict[str, Any], facts: dict[str, Any], reason: str) -> None:
    made = keeper(settings, radio(**facts))
    for kind in range(5):
        answer = made.ask(START, kind, 1)
        assert isinstance(answer, Never) and answer.reason == reason and answer.text
    assert made.status(START) == {"airtime": answer.text}


def test_the_law_follows_the_radio() -> None:
    modem = radio(paces_itself=True)
    made = keeper({}, modem)
    assert isinstance(made.ask(START, ALERT, S), Never)
    modem.region = "EU_868"  # somebody has set it up
    assert made.ask(START, ALERT, S) == 0
    made.spent(START, ALERT, S)
    made.settle(START + 1000)
    assert made.status(START + 1000) == {
        "airtime": "EU868/869400-869650", "airtime.used_ms": 1000, "airtime.limit_ms": 360000,
        "airtime.own_used_ms": 0, "airtime.own_limit_ms": 180000, "airtime.alert_used_ms": 1000,
        "airtime.direct_used_ms": 0, "airtime.direct_limit_ms": 180000, "airtime.community_used_ms": 0,
        "airtime.community_limit_ms": 180000, "airtime.bulk_used_ms": 0, "airtime.bulk_limit_ms": 90000,
        "airtime.texts_used_ms": 0, "airtime.texts_limit_ms": 36000}
    modem.region = "EU_433"
    modem.phy = Phy(433500000, 125000, 11, 5, 16)
    assert made.status(START)["airtime.used_ms"] == 0
    modem.region, modem.phy = "EU_868", Phy(869525000, 125000, 11, 5, 16)
    assert made.status(START)["airtime.used_ms"] == 1000  # and back: nothing is forgotten


def test_settings_tighten() -> None:
    made = keeper({"region": "EU868", "duty_permille": 10}, radio())
    assert made.status(START)["airtime.limit_ms"] == 36000
    made.utilisation(50)
    assert isinstance(made.ask(START, DIRECT, S), Wait) and made.ask(START, ALERT, S) == 0


# --- the driver


def run(test: Any) -> None:
    asyncio.run(test)


def lawful(made: Any, device: Any, heard: Listener, folder: Path, **settings: Any) -> LoraDriver:
    """A driver with its own governor."""
    settings = made.settings("rnode", device) | {"region": "EU868", "state_dir": str(folder)} | settings
    driver = LoraDriver(settings, *identity(1), None, heard, "lora", pace=pace())
    made.drivers.append(driver)
    return driver


def test_the_driver_asks_before_every_packet() -> None:
    """Nothing is sent unasked, with what it takes on the air, and each end is told."""
    async def go() -> None:
        async with world() as made:
            a, _, _, other = await made.pair("rnode")
            law: Any = a._governor
            order: list[str] = []
            send, ask = a.modem.send, law.ask

            async def watched(frame: bytes, *, urgent: bool = False) -> Any:
                order.append(f"send {a.modem.airtime_us(len(frame))}")
                return await send(frame, urgent=urgent)

            def asked(now_ms: int, kind: int, us: int) -> Any:
                order.append(f"ask {us}")
                return ask(now_ms, kind, us)

            a.modem.send, law.ask = watched, asked  # type: ignore[method-assign]
            for n in (5, 50, 150):
                assert a.send(None, n % 3, bytes(n))
            await other.until(lambda: len(other.data) == 3)
            await until(lambda: len(law.settled) == 3)
            sends = [index for index, word in enumerate(order) if word.startswith("send")]
            assert len(sends) == 3 == len(law.spends)
            assert all(order[index - 1] == "ask" + order[index][4:] for index in sends)
            assert all(sure and us == spent[1] for (us, sure), spent in zip(law.settled, law.spends, strict=True))

    run(go())


def test_a_driver_with_a_region_keeps_its_hour_over_a_restart(tmp_path: Path) -> None:
    async def go() -> None:
        async with world() as made:
            device, heard = made.device("rnode", "one"), Listener()
            driver = lawful(made, device, heard, tmp_path, duty_permille=1)  # 3.6 s an hour
            await driver.start()
            await until(lambda: driver.status()["state"] == "up")
            first = driver.send(None, 0, bytes(200))
            await heard.until(lambda: heard.last(first) == "sent")
            while heard.last(token := driver.send(None, 0, bytes(200))) != "waiting":
                await heard.until(lambda token=token: heard.last(token) in ("sent", "waiting"))
                if heard.last(token) == "waiting":
                    break
            assert heard.states[token][-1][1].startswith("for airtime until ")
            on_air = len(made.air.log)
            assert 0 < driver.status()["airtime.used_ms"] <= 3600 and not heard.troubles  # type: ignore[operator]
            await driver.stop()
            again = lawful(made, device, heard, tmp_path, duty_permille=1)
            await again.start()
            await until(lambda: again.status()["state"] == "up")
            heard.states.clear()
            token = again.send(None, 0, bytes(200))
            await heard.until(lambda: heard.last(token) == "waiting")
            assert len(made.air.log) == on_air
            await again.stop()

    run(go())


def test_a_link_that_the_law_forbids_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    async def go() -> None:
        async with world() as made:
            device, heard = made.device("rnode", "one"), Listener()
            driver = lawful(made, device, heard, tmp_path, freq_hz=868650000)
            await driver.start()
            await heard.until(lambda: "out_of_band" in heard.troubles)
            token = driver.send(None, 0, b"alert")
            await heard.until(lambda: heard.last(token) == "refused")
            assert "lora.freq_hz" in heard.states[token][-1][1] and not made.air.log

    run(go())


def test_a_share_that_is_used_up_lets_the_lanes_below_go() -> None:
    async def go() -> None:
        async with world() as made:
            a, heard, _, other = await made.pair("rnode")
            law: Any = a._governor
            law.lane_answers[1] = Wait(600000, "share")
            waits = a.send(None, 1, b"waits")
            goes = a.send(None, 2, b"goes")
            await other.until(lambda: other.data == [b"goes"])
            await heard.until(lambda: heard.last(goes) == "sent")
            assert heard.last(waits) == "waiting" and "its part" in heard.states[waits][-1][1]
            law.lane_answers[1] = Wait(600000, "airtime")
            a.send(None, 2, b"waits too")
            await asyncio.sleep(0.05)
            assert other.data == [b"goes"]

    run(go())
