"""Alerts and check-ins on the page of a real node, in a real browser: seen at two sizes, told apart, used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.core import cbor, certs, cosign
from tests.cli.kit import cli
from tests.conftest import ROOT
from tests.core.papers import YEAR_S, key_of, signed
from tests.web.browser import CHROMIUM, Browser
from tools.bench.process import QUIET, RealNode
from tools.cap import reader
from tools.client import Client

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; tools/dev/setup.sh tests installs it"),
]
PLACE = ("community.name=Delft", f"community.stewards={key_of('ann').hex()},{key_of('ben').hex()}",
         "community.stewards_needed=2", "alerts.position=52.0116,4.3571", "alerts.places=Delft")
FLOOD: dict[str, Any] = {
    "headline": "The Schie will rise above the quay tonight", "severity": "Extreme", "category": "Met",
    "response": "Evacuate", "issuer": "Water board of Delfland", "areas": ["52.01,4.36 5"], "language": "en",
    "instruction": "Leave ground floors between the Westvest and the river before eight. The sports hall at the "
    "Buitenhofdreef is open and warm. Take medicines and water with you, and look after those who can't walk.",
    "description": "The dike at Den Hoorn leaks. Pumps are under way.\nThe next report comes at seven."}


def certify(client: Client) -> None:
    """Give the node the stewards' certificate for alerts."""
    node = bytes.fromhex(client.call("node.status@1")["node"])
    now_s = client.call("node.status@1")["time_ms"] // 1000
    payload = certs.payload_of("Delft", node, [certs.ALERT], now_s, now_s + YEAR_S)
    client.call("cert.add@1", {"paper": signed(cosign.CERTIFICATE, payload, "ann", "ben")})


class Stage:
    """A node, its owner's connection, and a browser that looks at its page."""

    def __init__(self, node: RealNode, client: Client, browser: Browser) -> None:
        self.node, self.client, self.browser = node, client, browser

    async def open(self) -> None:
        await self.browser.open(self.node.ready["web"] + "/")
        await self.browser.until("document.getElementById('facts').children.length")

    async def texts(self, selector: str) -> list[str]:
        found = await self.browser.eval(f"[...document.querySelectorAll('{selector}')].map(e => e.innerText)")
        return [str(text) for text in found]

    async def call(self, capability: str, **params: Any) -> Any:
        return await asyncio.to_thread(self.client.call, capability + "@1", params)


def stage(folder: Path, play: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        with RealNode(*QUIET, *PLACE, directory=str(folder / "node")) as node, Client(node.directory) as client:
            async with Browser(folder / "profile") as browser:
                await play(Stage(node, client, browser))
                assert not browser.complaints

    (folder / "node").mkdir()
    asyncio.run(main())


@pytest.mark.parametrize("dark", [False, True])
def test_official_and_unofficial_are_told_apart_at_every_size(tmp_path: Path, dark: bool) -> None:
    async def play(on: Stage) -> None:
        certify(on.client)
        await on.call("alert.send", **FLOOD)
        await on.call("alert.send", **{**FLOOD, "headline": "Storm tomorrow", "severity": "Moderate", "response": None})
        await on.call("alert.send", **{**FLOOD, "headline": "Siren test at noon", "status": "Test"})
        await on.call("alert.send", **{**FLOOD, "headline": "Fog on the A7", "areas": ["53.2,6.5 10"]})
        await on.call("alert.report", headline="Smoke behind the mill, " + "very thick " * 8, name="Marta")
        await on.call("checkin.post", name="Jonas " + "de Vries " * 5, state="help", note="Mill Lane 4, second floor")
        await on.call("checkin.post", name="Marta", state="safe")
        for width, height in ((360, 740), (1280, 900)):
            await on.browser.size(width, height, dark=dark, phone=width < 500)
            await on.open()
            await on.browser.until("document.querySelectorAll('#alerts-near .alert').length == 4")
            (tmp_path / f"alerts-{width}-{'dark' if dark else 'light'}.png").write_bytes(await on.browser.shot())
            assert await on.texts("#alerts-near .alert .label") == [
                "Official alert", "Official alert", "A neighbour reports \u00b7 not official",
                "Exercise \u00b7 not real"]
            top = await on.browser.eval("document.querySelector('.alert').getBoundingClientRect().top")
            assert top < height / 2, "the gravest stands on top"
            assert await on.browser.eval("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            small = await on.browser.eval(
                "[...document.querySelectorAll('#alerts *, #checkin *')].filter(e => e.innerText && "
                "parseFloat(getComputedStyle(e).fontSize) < 13).map(e => e.className || e.tagName)")
            assert not small
            low = await on.browser.eval(
                "[...document.querySelectorAll('button, input, select, summary')].filter(e => e.offsetParent && "
                "e.type != 'checkbox' && e.offsetHeight < 44).map(e => e.id || e.innerText)")
            assert not low, "too low for a thumb"
            looks = await on.browser.eval(
                "[...document.querySelectorAll('#alerts-near .alert')].map(e => { const s = getComputedStyle(e); "
                "return [s.backgroundColor, s.borderStyle].join(' ') })")
            assert looks[0] != looks[2] and "dashed" in looks[2] and "dashed" not in looks[0]
        first = (await on.texts("#alerts-near .alert"))[0]
        assert "Leave the area." in first and "between the Westvest and the river" in first
        assert "Water board of Delfland" in first and "until" in first and "5 km around 52.01, 4.36" in first
        assert (await on.texts("#alerts-elsewhere-sum")) == ["One alert for another place"]
        assert "Mill Lane 4" in (await on.texts("#checkin-help"))[0]
        assert (await on.texts("#checkin-line")) == ["One person needs help:"]
        assert await on.browser.eval("document.querySelector('main').firstElementChild.id") == "checkin", "an emergency"

    stage(tmp_path, play)


def test_an_alert_comes_and_goes_by_itself(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        certify(on.client)
        await on.browser.size(360, 740, phone=True)
        await on.open()
        assert await on.browser.eval("document.getElementById('alerts').hidden")
        assert await on.browser.eval("document.querySelector('aside').firstElementChild.id") == "checkin"
        made = await on.call("alert.send", **FLOOD)
        await on.browser.until("document.querySelectorAll('#alerts-near .official').length == 1")
        await on.browser.until("document.getElementById('alarm').innerText.startsWith('Official alert: The Schie')")
        await on.call("alert.cancel", id=made["id"])
        await on.browser.until("document.getElementById('alerts').hidden")

    stage(tmp_path, play)


def test_what_a_person_here_can_do(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        await on.open()
        await on.browser.type("#from", "Marta")
        await on.browser.eval("document.getElementById('danger-part').open = true")
        await on.browser.type("#danger", '<b>Fire</b> behind the mill')
        await on.browser.eval("document.getElementById('danger-send').click()")
        await on.browser.until("document.querySelectorAll('#alerts-near .report').length == 1")
        assert (await on.texts("#alerts-near h3")) == ["<b>Fire</b> behind the mill"]
        assert "Marta" in (await on.texts("#alerts-near .report"))[0]
        (row,) = await on.call("alert.list")
        assert (row["official"], row["severity"]) == (False, "Severe")
        assert not await on.browser.eval("document.querySelectorAll('#alerts-near button').length"), "one's own"
        await on.browser.type("#checkin-name", "Marta")
        await on.browser.type("#checkin-note", "with my mother")
        await on.browser.eval("document.getElementById('checkin-do-help').click()")
        await on.browser.until("document.querySelectorAll('#checkin-help li').length == 1")
        assert "with my mother" in (await on.texts("#checkin-help"))[0]
        await on.browser.eval("document.getElementById('checkin-do-safe').click()")
        await on.browser.until("document.querySelectorAll('#checkin-safe li').length == 1")
        assert await on.browser.eval("document.getElementById('checkin-line').hidden")
        assert "you are safe" in (await on.texts("#checkin-said"))[0]

    stage(tmp_path, play)


def test_a_neighbours_alert_is_confirmed_and_disputed(tmp_path: Path) -> None:
    """The other node's alert comes as a courier file would bring it."""

    async def play(on: Stage) -> None:
        with RealNode(*QUIET, *PLACE, directory=str(tmp_path / "other")) as other, Client(other.directory) as far:
            made = await asyncio.to_thread(far.call, "alert.report@1", {"headline": "Smoke"})
            assert [row["id"] for row in far.call("messages.list@1", {"type": 4})] == [made["id"]]
            assert cli("--dir", other.directory, "export", tmp_path / "file")[0] == 0
        assert cli("--dir", on.node.directory, "import", tmp_path / "file")[0] == 0
        await on.open()
        await on.browser.until("document.querySelectorAll('#alerts-near button').length == 2")
        for n, said in ((0, "confirmed at one place"), (1, "disputed at one place"),
                        (1, "Nobody has confirmed it yet.")):
            await on.browser.eval(f"document.querySelectorAll('#alerts-near button')[{n}].click()")
            await on.browser.until(f"document.querySelector('.judging .meta').innerText == '{said}'")

    (tmp_path / "other").mkdir()
    stage(tmp_path, play)


def test_the_language_of_the_reader(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        tree = reader.read(str(Path(ROOT, "tests/data/cap/canada.cap")))
        tree[14] = tree[14][::-1]  # French first
        for info in tree[14]:
            info[12] = "2090-05-03T00:20:00-00:00"
        del tree[12]
        tree[5] = "Alert"
        await on.call("alert.import", tree=cbor.encode(tree))
        await on.open()
        await on.browser.until("document.querySelectorAll('.alert h3').length == 1")
        heading = await on.browser.eval("document.querySelector('#alerts-far h3').textContent")
        assert heading == "severe thunderstorm watch"
        assert json.dumps(await on.call("alert.list")).count("veille d'orages violents") == 1

    stage(tmp_path, play)
