"""Official alerts on text radios: once, on the alert port, and not where another node has said it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from edge.caller import UNKNOWN
from edge.services.texts import alerts
from tests.texts.kit import ANA, Hall, halls


def row(id: str, headline: str, age_s: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": id, "official": True, "state": "stands", "here": True, "status": "Actual", "areas": ["Mill Lane"],
            "time_ms": (int(time.time()) - age_s) * 1000, "texts": [{"language": "en", "headline": headline,
                                                                     "instruction": "Go uphill."}], **more}


def run(scene: Callable[[Hall, list[dict[str, Any]]], Coroutine[Any, Any, None]], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any], **settings: Any) -> None:
    monkeypatch.setattr(alerts, "WAIT_MS", 1)
    standing = list(rows)

    async def main() -> None:
        async with halls(tmp_path, "hall", **settings) as hall:
            async def listing(caller: Any, params: dict[str, Any]) -> list[dict[str, Any]]:
                return [one for one in standing if one["state"] == "stands" or params.get("ended")]

            await hall.end()
            hall.bus.provide("alert.list", "1.0", listing, trust=UNKNOWN, summary="")
            hall.begin()
            await scene(hall, standing)
            assert not hall.log, hall.log

    asyncio.run(main())


def test_a_new_one_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(hall: Hall, standing: list[dict[str, Any]]) -> None:
        await hall.silence()
        standing += [row("b", "Flood warning"), row("c", "Not official", official=False),
                     row("d", "Elsewhere", here=False), row("e", "Practice", status="Exercise", here=None)]
        hall.bus.publish("alerts", {})
        await hall.until(lambda: len(hall.air.sent) == 2)
        assert hall.air.texts == ["ALERT: Flood warning. Go uphill. For Mill Lane.",
                                  "EXERCISE: Practice. Go uphill. For Mill Lane."]
        sent = hall.air.sent[0]
        assert (sent.to, sent.channel, sent.alert, sent.lane) == (None, "Waypost", True, 0)
        hall.bus.publish("alerts", {})
        await hall.silence()
        standing[1]["state"] = "cancelled"
        hall.bus.publish("alerts", {})
        await hall.until(lambda: len(hall.air.sent) == 3)
        assert hall.air.texts[-1] == "CANCELLED: Flood warning."
        assert "2 unofficial: ALERT: Not official. Go uphill." in await hall.asks(ANA, "alerts")

    run(scene, tmp_path, monkeypatch, row("a", "Old one", 3600), channel="Waypost")


def test_after_a_reboot_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(hall: Hall, standing: list[dict[str, Any]]) -> None:
        await hall.until(lambda: hall.air.sent)
        await hall.silence()
        assert hall.air.texts == ["ALERT: Just now. Go uphill. For Mill Lane."]

    run(scene, tmp_path, monkeypatch, row("a", "Old one", 3600), row("b", "Just now", 5),
        row("c", "Was cancelled", 5, state="cancelled"))


def test_what_another_node_has_said_is_not_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(hall: Hall, standing: list[dict[str, Any]]) -> None:
        monkeypatch.setattr(alerts, "WAIT_MS", 10**6)
        standing.append(row("b", "Flood warning"))
        hall.bus.publish("alerts", {})
        await hall.until(lambda: hall.texts._sayer._waiting)
        hall.says(b"\0\0\0\x09", "ALERT: Flood warning. Go uphill. For Mill Lane.", to_us=False, alert=True)
        await hall.until(lambda: not hall.texts._sayer._waiting)
        await hall.silence()

    run(scene, tmp_path, monkeypatch)


def test_a_full_line_or_a_lost_link_loses_nothing_but_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "ROOM_MS", 10)

    async def scene(hall: Hall, standing: list[dict[str, Any]]) -> None:
        hall.air.room = False
        standing.append(row("b", "Flood warning"))
        hall.bus.publish("alerts", {})
        await hall.until(lambda: hall.texts._sayer._waiting)
        await asyncio.sleep(0.05)
        hall.air.room = True
        await hall.until(lambda: hall.air.sent)

    run(scene, tmp_path, monkeypatch)


def test_a_text_is_never_too_long() -> None:
    long = row("a", "水" * 100, texts=[{"headline": "水" * 100, "instruction": "b" * 500}])
    said = alerts.text(long)
    assert said.startswith("ALERT: 水水") and len(said.encode()) <= 200
    assert alerts.text(row("a", "x", texts=[])) == "ALERT: see the board. For Mill Lane."
