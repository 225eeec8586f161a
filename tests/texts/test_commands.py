"""What people with radios can say, and what the node answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge.caller import MEMBER
from edge.core import message as messages
from edge.errors import CapacityExceeded
from edge.services.short import cut
from edge.services.texts import mail
from edge.services.texts.parts import PART_BYTES
from tests.texts.kit import ANA, BOB, Hall, halls


def talk(scene: Callable[[Hall], Coroutine[Any, Any, None]], tmp_path: Path, **settings: Any) -> None:
    async def main() -> None:
        async with halls(tmp_path, "hall", **settings) as hall:
            hall.hears(ANA, "Ana")
            await scene(hall)
            assert not hall.log, hall.log

    asyncio.run(main())


def test_help_fits_one_text_and_says_that_all_can_read(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        said = await hall.asks(ANA, "help")
        assert said.startswith("hall: board, post TEXT, inbox, send WHO TEXT, read N, status, ping, ask QUESTION, ")
        assert "more" in said and "Anybody can read what is said here." in said
        assert hall.air.sent[-1].hop_limit == 2  # one hop further than it was heard
        for words in ("?", "?help", "/help", "Help!", "HELP", " help "):
            assert await hall.asks(ANA, words) == said
            hall.texts._sessions.clear()
        for verb in ("board", "post", "inbox", "send", "read", "status", "ping", "ask", "alerts", "more"):
            hall.texts._sessions.clear()
            assert (await hall.asks(ANA, f"help {verb}")).startswith(verb)

    talk(scene, tmp_path)


def test_post_and_board(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert (await hall.asks(ANA, "board")).startswith("The board is empty")
        said = await hall.asks(ANA, "post Soup at six, bring a bowl")
        assert said.startswith('It is on the board: "Soup at six, bring a bowl"')
        (row,) = await hall.bus.call("board.list@1")
        assert (row["text"], row["name"], row["lane"]) == ("Soup at six, bring a bowl", "Ana !9ea2f3c4", 2)
        for n in range(7):
            await hall.bus.call("board.post@1", {"text": f"Notice {n}: " + "water at the school gate " * 6})
        first = await hall.asks(BOB, "board")
        assert first.startswith("1 ") and first.endswith(" (more)") and len(first.encode()) <= 200
        assert [line.partition(" ")[0] for line in first.split("\n")] == ["1", "2", "3"]
        assert all(" hall: Notice " in line for line in first.split("\n"))
        second = await hall.asks(BOB, "more", 2)
        assert second.startswith("4 ") and "Ana !9ea2f3c4: Soup at six" in second
        assert await hall.asks(BOB, "more") == "There is no more."
        whole = await hall.asks(BOB, "read 1", 1)
        assert "Notice 6: water" in whole and "school gate" in whole
        assert (await hall.asks(BOB, "board soup")).count("\n") == 0
        hall.texts._sessions.clear()
        assert (await hall.asks(BOB, "board zebra")) == "No notice has the words zebra."
        assert "puts TEXT on the board" in await hall.asks(BOB, "post")

    talk(scene, tmp_path)


def test_posting_can_be_switched_off(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert "post" not in await hall.asks(ANA, "help")
        assert "I don't know" in await hall.asks(ANA, "post x")
        assert not await hall.bus.call("board.list@1")

    talk(scene, tmp_path, post=False)


def test_send_and_inbox(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert "WHO is a radio's name or its number" in await hall.asks(ANA, "send")
        assert "Nobody called Zoe was heard here" in await hall.asks(ANA, "send Zoe hi")
        said = await hall.asks(ANA, "send !00000002 Meet me at the well")
        assert said == ("Kept for !00000002: it is handed over when that radio is heard by any node. "
                        "Anybody can read it.")
        (row,) = hall.store.list_messages(type=messages.MAIL, now_s=hall.now_s)
        body = messages.parse(row["data"]).body()
        assert body == {1: "Meet me at the well", 2: "Ana", 4: BOB, 5: ANA} and row["lane"] == 1
        assert "To !00000002" in (said := await hall.asks(ANA, "status")) and "waits" in said
        assert "Meet me at the well" in await hall.asks(BOB, "inbox")
        assert (await hall.asks(BOB, "read 1")).endswith("Ana: Meet me at the well")
        assert "1 to 1" in await hall.asks(BOB, "read 2")
        hall.texts._sessions.clear()
        assert (await hall.asks(b"\0\0\0\x08", "inbox")).startswith("Nothing for you")
        assert "First say board or inbox" in await hall.asks(b"\0\0\0\x08", "read 1")
        assert "too long" in await hall.asks(ANA, "send !00000002 " + "x" * 401)

    talk(scene, tmp_path)


def test_who_is_meant_must_be_clear(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        hall.hears(BOB, "Bob")
        hall.hears(b"\0\0\0\3", "Bob")
        assert await hall.asks(ANA, "send bob hi") == "That can be Bob !00000002 or Bob !00000003: give the number."
        assert not hall.store.list_messages(type=messages.MAIL, now_s=hall.now_s)

    talk(scene, tmp_path)


def test_what_waits_has_an_end(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        for n in range(mail.WAITING_MAX):
            await hall.post(messages.MAIL, 1, 1000, None, mail.body_of(BOB, ANA, "Ana", f"{n}"))
        assert "Too much waits for !00000002" in await hall.asks(ANA, "send !00000002 one more")

    talk(scene, tmp_path)


def test_ping_and_status(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert (await hall.asks(ANA, "ping", hops=2)).startswith("pong: 2 hops, -101 dBm, SNR -4.5 dB by the last of")
        assert (await hall.asks(ANA, "test", hops=0)).startswith("pong: direct, -101 dBm, SNR -4.5 dB, ")
        assert "unknown hops" in await hall.asks(ANA, "ping", hops=None)
        assert (await hall.asks(ANA, "status")).startswith("hall: up 5 s, 0 nodes near, 0 notices, 0 waiting for you.")

    talk(scene, tmp_path)


def test_ask_goes_to_whoever_answers(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert "Nobody answers questions here" in await hall.asks(ANA, "ask what is safe water")
        assert "ask QUESTION" in await hall.asks(ANA, "ask")
        asked: list[dict[str, Any]] = []
        gate = asyncio.Event()

        async def short(caller: Any, params: dict[str, Any]) -> dict[str, Any]:
            asked.append(params)
            await gate.wait()
            last = params["question"] == "more"
            return {"parts": ["the rest"] if last else ["Boil it", "for a minute"], "more": not last}

        hall.bus.provide("ask.short", "1.0", short, trust=MEMBER, summary="")
        before = len(hall.air.sent)
        hall.says(ANA, "ask what is safe water")
        await hall.until(lambda: asked)
        assert await hall.asks(BOB, "ask and bread?") == "1 before you; the answer comes by itself."
        gate.set()
        await hall.until(lambda: len(hall.air.sent) == before + 3)
        assert sorted(hall.air.texts[before + 1:]) == ["Boil it\nfor a minute (more)"] * 2
        assert asked[0] == {"question": "what is safe water", "who": "!9ea2f3c4"}
        assert await hall.asks(ANA, "more") == "the rest"
        assert asked[-1] == {"question": "more", "who": "!9ea2f3c4"}
        assert await hall.asks(ANA, "more") == "There is no more."

    talk(scene, tmp_path)


def test_the_parts_of_an_answer_stay_as_they_were_cut(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        parts = cut("Let the water settle, then boil it for a minute. " * 20)
        left = list(parts)

        async def short(caller: Any, params: dict[str, Any]) -> dict[str, Any]:
            now, left[:2] = left[:2], []
            return {"parts": now, "more": bool(left)}

        hall.bus.provide("ask.short", "1.0", short, trust=MEMBER, summary="")
        await hall.asks(ANA, "ask about water", 2)
        while left:
            await hall.asks(ANA, "more", min(len(left), 2))
        assert [text.removesuffix(" (more)") for text in hall.air.texts] == parts
        assert all(len(text.encode()) <= PART_BYTES for text in hall.air.texts)

    talk(scene, tmp_path)


def test_check_ins_and_alerts_where_they_are_taken(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        assert "takes no check-ins" in await hall.asks(ANA, "safe")
        assert "I don't know" in await hall.asks(ANA, "need water")
        assert await hall.asks(ANA, "alerts") == "No alert stands."
        noted: list[dict[str, Any]] = []

        async def check_in(caller: Any, params: dict[str, Any]) -> dict[str, Any]:
            assert caller.trust == MEMBER and caller.via == "text"
            noted.append(params)
            return {"id": "x"}

        hall.bus.provide("checkin.post", "1.0", check_in, trust=MEMBER, summary="")
        assert "safe, need help" in await hall.asks(BOB, "help")
        assert await hall.asks(ANA, "safe at my sister's") == "Noted, and told to the community: Ana: safe."
        hall.texts._sessions.clear()
        assert "Ana: need help" in await hall.asks(ANA, "need help, broken leg")
        assert noted == [{"name": "Ana", "state": "safe", "note": "at my sister's"},
                         {"name": "Ana", "state": "need help", "note": "broken leg"}]

    talk(scene, tmp_path)


@pytest.mark.parametrize("verb", ["board", "post x", "send !00000002 x"])
def test_faults_are_said_in_words(tmp_path: Path, verb: str) -> None:
    async def scene(hall: Hall) -> None:
        async def full(*args: Any, **named: Any) -> None:
            raise CapacityExceeded("the message was not kept: store_full", hint="free space on the disk")

        hall.post = full  # type: ignore[method-assign]
        hall.store.close()
        said = await hall.asks(ANA, verb)
        assert said.startswith(f"{verb.partition(' ')[0]}: ") and "Traceback" not in said

    talk(scene, tmp_path)


def test_whatever_is_said_is_answered_in_texts_that_fit_or_not_at_all(tmp_path: Path) -> None:
    async def scene(hall: Hall) -> None:
        rng = random.Random(5)
        words = ["post", "send", "read", "board", "inbox", "help", "ask", "more", "need help", "safe", "?", "!9ea2f3c4",
                 "\0", "\x1b[31m", "水" * 40, "\u202e", "\ufffd", "999999999999", "-1", "٣", "\n", "Ana", "a" * 190]
        for n in range(200):
            text = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 5)))[:200]
            hall.texts._sessions.clear()
            hall.says(n.to_bytes(4, "big"), text, hops=rng.choice((None, 0, 7)))
            await hall.until(lambda: hall.texts._sessions)
            await hall.until(lambda: not hall.texts._work and not len(hall.texts.outbox))
        assert len(hall.air.sent) > 150  # each fits, or the air would have complained

    talk(scene, tmp_path)
