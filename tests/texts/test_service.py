"""The text service: whom it answers and whom not, mail that waits for a radio, across reboots and across nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge.core import message as messages
from edge.services.texts import mail, service
from tests.texts.kit import ANA, BOB, Hall, halls, quick

__all__ = ["quick"]


def one(scene: Callable[[Hall], Coroutine[Any, Any, None]], tmp_path: Path, **settings: Any) -> None:
    async def main() -> None:
        async with halls(tmp_path, "hall", **settings) as hall:
            await scene(hall)
            assert not hall.log, hall.log

    asyncio.run(main())


# --- whom it answers


def test_a_channel_is_answered_only_where_asked_for_and_by_direct_message(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        for channel, text in (("Waypost", "help"), ("LongFast", "?help"), ("Waypost", "?whatever"), ("Waypost", "hi")):
            hall.says(ANA, text, to_us=False, channel=channel)
        await hall.silence()
        assert "board" in await hall.asks(ANA, "?help", to_us=False, channel="Waypost")

    one(scene, tmp_path, channel="Waypost")


def test_without_a_channel_none_is_answered(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.says(ANA, "?help", to_us=False, channel="")
        hall.says(ANA, "?help", to_us=False, channel="LongFast")
        hall.says(ANA, "help", alert=True)
        await hall.silence()

    one(scene, tmp_path)


def test_what_is_no_command_is_answered_once_in_a_while_and_machines_never(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        said = await hall.asks(ANA, "good morning")
        assert said == "This is hall, a machine. I don't know \"good morning\"; help says what I know."
        hall.says(ANA, "are you there?")
        hall.says(BOB, said)  # another node, for example
        hall.says(BOB, "Mail from Ana, 25.11. 20:45: hello")
        await hall.silence()

    one(scene, tmp_path)


def test_who_talks_too_much_is_told_so_and_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "COMMAND_MS", 600000)

    async def scene(hall: Hall) -> None:
        for n in range(30):
            hall.says(ANA, f"ping {n}")
            await asyncio.sleep(0.005)
            await hall.until(lambda: not len(hall.texts.outbox))
        assert len(hall.air.sent) == service.COMMANDS_BURST + 1
        said = hall.air.texts[-1]
        assert said.startswith(f'That was too much at once: "ping {service.COMMANDS_BURST}" was not done.')
        assert "pong" in await hall.asks(BOB, "ping")  # others are
        hall.says(BOB, said)
        hall.says(ANA, "good morning")
        await hall.silence()

    one(scene, tmp_path)


def test_a_persons_airtime_ends_and_that_is_said_once(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert "pong" in await hall.asks(ANA, "ping")
        assert "pong" in await hall.asks(ANA, "ping")
        assert (await hall.asks(ANA, "ping")).startswith("Your part of this hour's airtime is used up; again from ")
        hall.says(ANA, "ping")
        await hall.silence()
        assert "pong" in await hall.asks(BOB, "ping")

    one(scene, tmp_path, airtime_s=2)


def test_a_command_that_hangs_or_fails_holds_up_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with halls(tmp_path, "hall") as hall:
            async def broken(heard: Any, rest: str) -> Any:
                raise RuntimeError("a fault of ours")

            async def slow(heard: Any, rest: str) -> Any:
                await asyncio.sleep(60)

            hall.texts._commands._verbs.update(board=broken, status=slow)
            hall.says(ANA, "board")
            hall.says(BOB, "status")
            assert "pong" in await hall.asks(ANA, "ping")
            assert len(hall.log) == 1 and "a fault of ours" in hall.log[0]
            for n in range(3 * service.WORK_MAX):
                hall.says(n.to_bytes(4, "big"), "status")
            await asyncio.sleep(0.05)
            assert len(hall.texts._work) == service.WORK_MAX

    asyncio.run(main())


def test_bounds_of_what_is_remembered(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        for n in range(3 * service.SESSIONS_MAX):
            hall.says(n.to_bytes(4, "big"), "what?")
            await asyncio.sleep(0)
        await hall.until(lambda: len(hall.texts._sessions) == service.SESSIONS_MAX)

    one(scene, tmp_path)


# --- mail


@pytest.mark.usefixtures("quick")
def test_mail_waits_until_the_radio_is_heard_and_comes_once(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.hears(ANA, "Ana")
        await hall.asks(ANA, "send !00000002 Meet me at the well")
        await hall.asks(ANA, "send !00000002 and bring rope")
        await hall.silence()
        before = len(hall.air.sent)
        hall.hears(BOB, "Bob", hops=3)
        await hall.until(lambda: len(hall.air.sent) == before + 2)
        await hall.until(lambda: not hall.texts.mails.waiting(BOB, hall.now_s))
        first, second = hall.air.sent[before:]
        assert first.text.startswith("Mail from Ana, ") and first.text.endswith(": Meet me at the well")
        assert second.text.endswith(": and bring rope") and first.to == second.to == BOB and first.hop_limit == 4
        for _ in range(3):
            hall.hears(BOB, "Bob")
        await hall.silence()
        assert "To Bob" in (said := await hall.asks(ANA, "status")) and "delivered" in said
        assert "Meet me" in await hall.asks(BOB, "inbox", 1)

    one(scene, tmp_path)


@pytest.mark.usefixtures("quick")
def test_mail_that_nobody_acknowledged_is_tried_again(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.acks = False
        await hall.post(messages.MAIL, 1, 10**5, None, mail.body_of(BOB, ANA, "Ana", "one " + "x " * 150))
        hall.hears(BOB)
        (sent,) = await hall.until(lambda: hall.air.sent)
        hall.fate(sent, "failed")
        await hall.until(lambda: len(hall.air.sent) == 2)
        assert hall.air.sent[1].text == sent.text  # from the beginning
        hall.fate(hall.air.sent[1], "acked")
        await hall.until(lambda: len(hall.air.sent) == 3)
        hall.fate(hall.air.sent[2], "failed")  # the second half
        await hall.until(lambda: len(hall.air.sent) == 4)
        assert hall.texts.mails.waiting(BOB, hall.now_s)
        hall.acks = True
        await hall.until(lambda: not hall.texts.mails.waiting(BOB, hall.now_s))

    one(scene, tmp_path)


@pytest.mark.usefixtures("quick")
def test_mail_and_people_outlive_a_reboot(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.hears(BOB, "Bob")
        hall.hears(ANA, "Ana")
        hall.acks = False
        await hall.until(lambda: hall.kept.get(ANA))
        hall.says(ANA, "send Bob Meet me at the well")
        await hall.until(lambda: hall.store.list_messages(type=messages.MAIL, now_s=hall.now_s))
        await hall.end()
        hall.air.sent.clear()
        hall.acks = True
        hall.now_s += 3600  # by now the radio may be anywhere
        hall.begin()
        await hall.silence()
        hall.hears(BOB)
        await hall.until(lambda: hall.air.sent)
        assert hall.air.texts[0].startswith("Mail from Ana") and hall.texts.people.get(BOB).called == "Bob"
        await hall.until(lambda: not hall.texts.mails.waiting(BOB, hall.now_s))
        await hall.end()
        hall.begin()
        hall.hears(BOB)
        await hall.silence()

    one(scene, tmp_path)


@pytest.mark.usefixtures("quick")
def test_mail_goes_to_whichever_node_hears_the_radio(tmp_path: Path) -> None:
    async def main() -> None:
        async with halls(tmp_path, "mill", "school") as (mill, school):
            mill.hears(ANA, "Ana")
            await mill.asks(ANA, "send !00000002 Meet me at the well")
            mill.gives(school)
            assert "send Ana" not in school.air.texts
            school.hears(BOB, "Bob")
            await school.until(lambda: school.air.sent)
            assert school.air.texts == [f"Mail from Ana, {school.air.texts[0].split(', ')[1]}"]
            await school.until(lambda: not school.texts.mails.waiting(BOB, school.now_s))
            school.gives(mill)
            mill.hears(BOB, "Bob")
            await mill.silence()
            assert "delivered" in await mill.asks(ANA, "status")
            # who Ana is the other node knows from her mail
            assert (await school.asks(BOB, "send Ana I come")).startswith("Kept for Ana !9ea2f3c4")
            assert not mill.log and not school.log

    asyncio.run(main())


def test_a_node_that_does_not_know_the_radio_waits_for_others(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        await hall.post(messages.MAIL, 1, 10**5, None, mail.body_of(BOB, ANA, "Ana", "x"))
        await hall.post(messages.MAIL, 1, 10**5, None, mail.body_of(ANA, BOB, "Bob", "y"))
        hall.hears(ANA)
        hall.says(BOB, "ping")
        hall.hears(BOB)
        due = hall.texts._deliveries
        now_ms = service._now_ms()
        await hall.until(lambda: len(due) == 2)
        assert due[BOB].due_ms is not None and due[BOB].due_ms - now_ms <= 2 * service.HAND_OVER_MS + 100
        assert due[ANA].due_ms is not None and due[ANA].due_ms - now_ms >= service.HAND_OVER_MS
        late = [service.HAND_OVER_MS + hall.texts._rng.below(service.HAND_OVER_OTHERS_MS) for _ in range(50)]
        assert max(late) > 30000

    one(scene, tmp_path)


@pytest.mark.usefixtures("quick")
def test_mail_for_a_radio_heard_just_now_goes_at_once(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.hears(BOB, "Bob")
        await asyncio.sleep(0.02)
        hall.hears(ANA, "Ana")
        hall.says(ANA, "send bob hi")
        await hall.until(lambda: len(hall.air.sent) == 2)
        assert hall.air.texts[1].startswith("Mail from Ana")

    one(scene, tmp_path)


@pytest.mark.usefixtures("quick")
def test_that_it_was_delivered_is_told_when_the_store_takes_it_again(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        from edge.errors import CapacityExceeded

        monkeypatch.setattr(service, "BEAT_MS", 20)
        async with halls(tmp_path, "hall") as hall:
            await hall.post(messages.MAIL, 1, 10**5, None, mail.body_of(BOB, ANA, "Ana", "x"))
            post, refusals = hall.post, []

            async def full(*args: Any) -> bytes:
                if len(refusals) < 3:
                    refusals.append(args)
                    raise CapacityExceeded("full")
                id: bytes = await post(*args)
                return id

            hall.post = full
            hall.hears(BOB)
            await hall.until(lambda: len(hall.store.list_messages(type=messages.MAIL, now_s=hall.now_s)) == 2)
            assert len(hall.air.sent) == 1 and len(refusals) == 3

    asyncio.run(main())


# --- the task


def test_it_beats_and_goes_on_after_a_link_that_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BEAT_MS", 20)

    async def scene(hall: Hall) -> None:
        hall.says(ANA, "ping")
        await hall.until(lambda: hall.air.sent)
        hall.air.gone = True
        await hall.until(lambda: hall.beats > 5)
        hall.says(ANA, "ping")
        await asyncio.sleep(0.05)
        hall.air.gone = False
        assert "pong" in await hall.asks(BOB, "ping")

    one(scene, tmp_path)
