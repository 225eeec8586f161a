"""The body of the box: readings with a gap at each limit, sensors that fail by themselves, the button and the light."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.core import policy
from edge.core.beacon import BATTERY_MAINS as MAINS
from edge.core.beacon import BATTERY_UNKNOWN as UNKNOWN
from edge.emergency import body as body_module
from edge.emergency import panel as panel_module
from edge.emergency.body import Body
from edge.emergency.panel import Panel
from tests.emergency.test_keeper import Stage, until

HEAT_MC = (70000, 78000, 85000)


class Sensor:
    """Says what a test puts there, or fails."""

    def __init__(self, **facts: int) -> None:
        self.facts = facts
        self.error: Exception | None = None

    def read(self) -> dict[str, int]:
        if self.error is not None:
            raise self.error
        return dict(self.facts)


class SlowSensor(Sensor):
    async def read(self) -> dict[str, int]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().read()


class Light:
    def __init__(self) -> None:
        self.shown: list[str] = []
        self.error: OSError | None = None

    def show(self, pattern: str) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append(pattern)

    def stop(self) -> None:
        self.shown.append("given back")


class BodyStage(Stage):
    def __init__(self, **sensors: Any) -> None:
        super().__init__()
        self.troubles: dict[str, str] = {}
        self.body = Body(self.keeper, sensors, heat_mc=HEAT_MC, battery_low=20, trouble=self.trouble)

    def trouble(self, part: str, _reason: str, text: str) -> None:
        self.troubles[part] = text

    async def read(self, times: int = 1) -> dict[str, str]:
        for _ in range(times):
            await self.body.read()
        return {name: value for _ms, name, value in self.keeper.readings}

    def counts(self, name: str, wait_ms: int = 700_000) -> int:
        self.wait(wait_ms)
        return int(self.keeper.machine.value(name))


def run(stage: Callable[[], Stage], story: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        one = stage()
        try:
            await story(one)
        finally:
            if one.keeper._alarm is not None:
                one.keeper._alarm.cancel()
            await one.bus.close()

    asyncio.run(main())


def test_the_thermal_ladder_with_a_gap() -> None:
    async def story(stage: BodyStage) -> None:
        sensor = stage.body._sensors["t"]
        seen = []
        for heat_c in (40, 69, 70, 69, 67, 66, 78, 76, 85, 95, 83, 82, 81, 74, 60):
            sensor.facts = {"heat_mc": heat_c * 1000}  # type: ignore[attr-defined]
            seen.append((await stage.read())["heat"])
        assert seen == ["cool", "cool", "warm", "warm", "warm", "cool", "hot", "hot", "critical", "critical",
                        "critical", "critical", "hot", "warm", "cool"]

    run(lambda: BodyStage(t=Sensor(heat_mc=0)), story)


def test_85_degrees_stop_models_and_nothing_else() -> None:
    async def story(stage: BodyStage) -> None:
        stage.keeper.put("names", "answers")
        await stage.read()
        stage.wait(20_000)
        found = stage.applied[-1]
        assert (found.models, found.display) == (policy.NONE, policy.OFF)
        assert (found.lanes, found.beacon_s) == (policy.ALL_LANES, policy.ROWS[stage.keeper.machine.state[1]].beacon_s)
        assert "it is far too hot" in stage.keeper.limits
        assert stage.keeper.status()["body"] == {"heat_mc": 85000}

    run(lambda: BodyStage(t=Sensor(heat_mc=85000)), story)


def test_power_from_mains_to_empty_and_back() -> None:
    async def story(stage: BodyStage) -> None:
        sensor: Any = stage.body._sensors["ups"]
        steps = [(1, 100), (0, 90), (0, 20), (0, 19), (0, 22), (0, 26), (1, 5), (0, 5)]
        seen, told = [], []
        for on_mains, percent in steps:
            sensor.facts = {"on_mains": on_mains, "battery_percent": percent}
            seen.append((await stage.read())["power"])
            told.append(stage.keeper.battery)
        assert seen == ["mains", "battery", "battery", "low", "low", "battery", "mains", "low"]
        assert told == [MAINS, 90, 20, 20, 20, 26, MAINS, 5], "told anew by 5 percent and more"
        sensor.facts = {"on_mains": 0, "battery_percent": 90, "is_low": 1}
        assert (await stage.read())["power"] == "low", "the UPS knows better"
        sensor.facts = {"battery_percent": 90}
        assert (await stage.read())["power"] == "unknown", "a fuel gauge alone does not know of the mains"
        sensor.facts = {}
        await stage.read()
        assert stage.keeper.battery == UNKNOWN

    run(lambda: BodyStage(ups=Sensor()), story)


def test_of_two_that_measure_the_same_the_worse() -> None:
    async def story(stage: BodyStage) -> None:
        await stage.read()
        assert stage.keeper.body == {
            "heat_mc": 71000, "on_mains": 0, "battery_percent": 40, "free_bytes": 5 << 30, "weak": 1}

    run(lambda: BodyStage(a=Sensor(heat_mc=71000, on_mains=1, battery_percent=40, free_bytes=5 << 30),
                          b=SlowSensor(heat_mc=50000, on_mains=0, battery_percent=80, weak=1)), story)


def test_a_sensor_that_fails_is_trouble_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "SENSOR_S", 0.05)

    class Hangs(Sensor):
        async def read(self) -> dict[str, int]:  # type: ignore[override]
            await asyncio.Event().wait()
            return {}

    async def story(stage: BodyStage) -> None:
        bad: Any = stage.body._sensors["bad"]
        assert (await stage.read())["heat"] == "warm"
        bad.error = OSError("the bus is gone")
        assert (await stage.read(2))["heat"] == "warm", "once or twice is nothing"
        assert "bad" not in stage.troubles
        assert (await stage.read())["heat"] == "unknown"
        assert stage.troubles["bad"] == "the bus is gone; what it measures is not known"
        assert stage.troubles["hangs"].startswith("it does not answer")
        assert stage.keeper.body["free_bytes"] == 1 << 40
        bad.error = None
        assert (await stage.read())["heat"] == "warm" and stage.troubles["bad"] == ""

    run(lambda: BodyStage(bad=Sensor(heat_mc=72000), hangs=Hangs(), good=Sensor(free_bytes=1 << 40)), story)


def test_a_full_disk_and_a_worn_card() -> None:
    async def story(stage: BodyStage) -> None:
        sensor: Any = stage.body._sensors["disk"]
        await stage.read()
        assert stage.troubles == {}
        sensor.facts = {"free_bytes": 100 << 20, "wear_percent": 90}
        await stage.read(3)
        assert stage.troubles["room"] == "the disk is nearly full: 100 MiB are left; free some space"
        assert "90 % of its life" in stage.troubles["wear"]
        sensor.facts = {"free_bytes": 1 << 30, "wear_percent": 10}
        await stage.read()
        assert stage.troubles == {"room": "", "wear": ""}

    run(lambda: BodyStage(disk=Sensor(free_bytes=1 << 30, wear_percent=10)), story)


# --- button and light


def panel(stage: Stage) -> tuple[Panel, Light]:
    light = Light()
    one = Panel(stage.keeper, light, lambda _level, text: stage.log.append(text))
    stage.keeper.followers.append(one.follow)
    stage.keeper._carry_out(again=True)
    return one, light


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_module, "HOLD_S", 0.05)
    monkeypatch.setattr(panel_module, "STOP_S", 0.3)


def test_a_touch_does_nothing() -> None:
    async def story(stage: Stage) -> None:
        one, light = panel(stage)
        for _ in range(5):
            one.changed(True)
            await asyncio.sleep(0.005)
            one.changed(False)
        assert one._timer is None, "and nothing is on its way"
        assert stage.state() == "calm" and light.shown == ["calm"]
        one.stop()
        assert light.shown[-1] == "given back"

    run(Stage, story)


def test_held_it_declares_an_emergency_and_its_end(quick: None) -> None:
    async def story(stage: Stage) -> None:
        one, light = panel(stage)
        one.changed(True)
        await until(lambda: light.shown[-1] == "held")
        one.changed(False)
        assert stage.state() == "emergency" and light.shown[-1] == "emergency"
        assert stage.keeper.status()["condition"]["why"].endswith("(at the button)")
        stage.wait(61_000)
        one.changed(True)
        await until(lambda: light.shown[-1] == "held")
        one.changed(False)
        assert stage.state() == "recovery" and light.shown[-1] == "recovery"
        one.stop()

    run(Stage, story)


def test_held_long_it_stops_the_node_but_not_the_alerts(quick: None) -> None:
    async def story(stage: Stage) -> None:
        one, light = panel(stage)
        one.changed(True)
        await until(lambda: stage.keeper.stopped() != "")
        one.changed(False)
        assert stage.keeper.stopped() == "stopped by a person at the button" and light.shown[-1] == "stopped"
        assert (stage.applied[-1].models, stage.applied[-1].lanes) == (policy.NONE, policy.ALERTS_AND_DIRECT)
        assert stage.state() == "calm", "letting go after that declares nothing"
        one.changed(True)
        await until(lambda: stage.keeper.stopped() == "")
        one.changed(False)
        assert light.shown[-1] == "calm"
        one.stop()

    run(Stage, story)


def test_a_light_that_fails_is_said_once_and_left_alone(quick: None) -> None:
    async def story(stage: Stage) -> None:
        one, light = panel(stage)
        light.error = OSError("Permission denied")
        stage.keeper.declare("watch", "page")
        stage.keeper.declare("emergency", "page")
        assert [text for text in stage.log if "light" in text] == [
            "the light of the board can't be used: Permission denied"]
        one.stop()

    run(Stage, story)


def test_the_light_is_off_where_the_box_is_far_too_hot() -> None:
    async def story(stage: Stage) -> None:
        one, light = panel(stage)
        stage.keeper.put("heat", "critical")
        stage.wait(20_000)
        assert light.shown[-1] == "off"
        one.stop()

    run(Stage, story)
