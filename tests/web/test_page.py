"""The page in a real browser, served by the real server: seen at two sizes, used, cut off, and healed.

Screenshots are left in the test's own folder. Chromium is driven over its DevTools pipe by tests/web/browser.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import struct
import urllib.request
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.errors import CapacityExceeded
from edge.web.server import WebServer
from tests.web.browser import CHROMIUM, Browser
from tests.web.fakes import KEY, FakeBus, FakeNode
from tools.bench.process import QUIET, RealNode

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; tools/dev/setup.sh tests installs it"),
]
SCHOOL = b"\x07" * 32
READY = (
    "document.getElementById('facts').children.length && "
    "(document.querySelector('.notice') || !document.getElementById('board-said').hidden)"
)
# what a page asks for last; a request on its way when the node goes may end in any way
HAS_LOADED_ALL = """["checkins", "sticks"].every(
    last => performance.getEntriesByType("resource").some(one => one.name.endsWith("/api/" + last)))"""
BEHIND_ITS_BACK = """fetch("/api/board", {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({text: "Seen at once"})}).then(answer => answer.status)"""
EVIL = '<img src=x onerror="document.title=1"><script>document.title=1</script>&amp; "quotes"'


class Stage:
    """A served node and a browser looking at it."""

    def __init__(self, bus: FakeBus, server: WebServer, browser: Browser, folder: Path) -> None:
        self.bus, self.server, self.browser, self.folder = bus, server, browser, folder
        self.url = f"http://localhost:{server.port}/"

    async def open(self) -> None:
        await self.browser.open(self.url)
        await self.browser.until(READY)

    async def texts(self, selector: str) -> list[str]:
        found = await self.browser.eval(f"[...document.querySelectorAll('{selector}')].map(e => e.innerText)")
        return [str(text) for text in found]

    async def shot(self, name: str, **kwargs: bool) -> bytes:
        png = await self.browser.shot(**kwargs)
        (self.folder / name).write_bytes(png)
        return png


def stage(folder: Path, play: Callable[[Stage], Awaitable[None]], *, complaints: str = "") -> None:
    """Run a scene. complaints: a pattern for console errors that belong to it; all others fail the test."""

    async def main() -> None:
        bus = FakeBus()
        server = WebServer(bus, FakeNode(bus))
        await server.start("127.0.0.1", 0)
        port = server.port
        try:
            async with Browser(folder / "profile") as browser:
                await play(Stage(bus, server, browser, folder))
                for url in browser.requests:
                    assert url.startswith(f"http://localhost:{port}/") or url == "about:blank", url
                left = [text for text in browser.complaints if not (complaints and re.search(complaints, text))]
                assert not left
        finally:
            await server.stop()

    asyncio.run(main())


def colours(png: bytes) -> int:
    """How many different rows of pixels a screenshot has, as a measure of whether anything was drawn."""
    data, at, packed = png, 8, b""
    while at < len(data):
        (size,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        packed += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    width = struct.unpack(">I", data[16:20])[0]
    rows = zlib.decompress(packed)
    return len({rows[i : i + width * 3 + 1] for i in range(0, len(rows), width * 3 + 1)})


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_seen_on_a_phone_and_on_a_screen(tmp_path: Path, dark: bool) -> None:
    async def play(on: Stage) -> None:
        for n, name in enumerate(("Marta", "", "A" * 60)):
            on.bus.add("A word " + "that_never_ends" * 20 + " and others " * 9, name, SCHOOL, n * 4000)
        on.bus.neighbours = [{"node": SCHOOL.hex(), "name": "School", "link": "lan", "member": True, "for_s": 60}]
        for width, height in ((360, 740), (1280, 800)):
            await on.browser.size(width, height, dark=dark, phone=width < 500)
            await on.open()
            await on.browser.until("document.querySelectorAll('.notice').length == 3")
            png = await on.shot(f"{width}x{height}-{'dark' if dark else 'light'}.png")
            assert struct.unpack(">II", png[16:24]) == (width, height)
            assert colours(png) > height // 3
            assert await on.browser.eval("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            small = await on.browser.eval(
                "[...document.querySelectorAll('body *')].filter(e => e.innerText && "
                "parseFloat(getComputedStyle(e).fontSize) < 13).map(e => e.className || e.tagName)")
            assert not small
            low = await on.browser.eval(
                "[...document.querySelectorAll('button, input, textarea')].filter(e => e.offsetParent && "
                "e.offsetHeight < 44).map(e => e.id)")
            assert not low, "too low for a thumb"

    stage(tmp_path, play)


def test_a_notice_is_posted_and_seen(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        await on.open()
        assert "first notice" in (await on.texts("#board-said"))[0]
        await on.browser.type("#text", "Bread at the mill from six")
        await on.browser.type("#from", "Marta")
        await on.browser.eval("document.getElementById('send').click()")
        await on.browser.until("document.querySelectorAll('.notice').length == 1")
        posted = [params for name, params, _ in on.bus.calls if name == "board.post@1"]
        assert posted == [{"text": "Bread at the mill from six", "name": "Marta"}]
        assert await on.texts(".notice .text") == ["Bread at the mill from six"]
        assert await on.texts(".notice b") == ["Marta"]
        assert await on.texts(".notice .meta") == ["just now · here"]
        await on.browser.until("document.getElementById('post-said').innerText.includes('on the board')")
        assert await on.browser.eval("document.getElementById('text').value") == ""
        await on.browser.open(on.url)
        assert await on.browser.eval("document.getElementById('from').value") == "Marta", "the name is remembered"

    stage(tmp_path, play)


def test_what_others_post_comes_by_itself_and_is_only_text(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.open()
        on.bus.add(EVIL, EVIL, SCHOOL)
        await on.browser.until("document.querySelectorAll('.notice').length == 1", 5)
        assert await on.texts(".notice .text") == [EVIL]
        assert await on.texts(".notice b") == [EVIL]
        assert await on.browser.eval("document.querySelectorAll('.notice img, .notice script').length") == 0
        assert await on.browser.eval("document.title") == "Mill House · Waypost"
        assert "New notice from" in await on.browser.eval("document.getElementById('say').textContent")
        on.bus.neighbours = [{"node": SCHOOL.hex(), "name": "School", "link": "lan", "member": False, "for_s": 0}]
        on.bus.publish("peer", {})
        await on.browser.until("document.querySelectorAll('#peers li').length == 1", 5)
        assert await on.texts("#peers li") == ["School\nLocal network · not of this community"]
        assert (await on.texts("#state p")) == ["All is well. One neighbour is near."]
        await on.browser.until("document.querySelector('.notice .meta').innerText.includes('at School')")

    stage(tmp_path, play)


def test_what_became_of_a_notice_on_the_radio_is_shown_as_it_happens(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        on.bus.add("Bread at the mill from six")
        fate = {"link": "lora", "state": "waiting", "detail": "for airtime until 14:20"}
        on.bus.notices[0]["radio"] = [fate]
        await on.open()
        await on.browser.until("document.querySelector('.notice')")
        assert await on.texts(".notice .meta") == ["just now · here · waiting for airtime until 14:20"]
        await on.shot("radio.png")
        assert await on.browser.eval("document.documentElement.scrollWidth") <= 360, "it scrolls sideways"
        fate.update(state="sent", detail="343 ms")
        on.bus.publish("on_air", {"link": "lora", "token": 1, "state": "sent", "detail": "", "key": "00" * 16})
        await on.browser.until("document.querySelector('.notice .meta').innerText.endsWith('sent by radio')", 5)
        fate.update(state="refused", detail=EVIL)
        on.bus.publish("on_air", {"link": "lora", "token": 2, "state": "refused", "detail": ""})  # no message
        on.bus.publish("on_air", {"link": "lora", "token": 1, "state": "refused", "detail": "", "key": "00" * 16})
        await on.browser.until("document.querySelector('.notice .meta').innerText.includes('not sent by radio: ')", 5)
        assert (await on.texts(".notice .meta"))[0].endswith(EVIL)

    stage(tmp_path, play)


def test_a_question_is_answered_as_it_comes(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        await on.open()
        wait = asyncio.Event()
        row = {"id": 1, "pack": "basics", "doc": "water.md", "source": "", "title": "Safe water", "heading": EVIL,
               "text": EVIL + "\nBoil water for one minute.", "marks": [[len(EVIL) + 1, len(EVIL) + 5]], "score": 900}
        end = {"by": "neighbour", "node": "ab", "name": "School", "model": "tiny", "ms": 2340, "tokens": 3,
               "cites": [1], "skipped": [{"by": "here", "node": "", "name": "Mill", "code": "capacity_exceeded",
                                       "why": "too hot"}]}
        on.bus.answers = [{"passages": [row], "good": True}, {"state": "loading", "model": "tiny"},
                          {"text": "Boil it [1]"}, wait, {"text": " and not [7]. " + EVIL}, {"end": end}]
        await on.browser.type("#ask-text", "How do I make water safe?")
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.until("document.getElementById('ask-answer').innerText == 'Boil it [1]'", 5)
        assert await on.texts("#ask-passages mark") == ["Boil"] and await on.texts("#ask-send") == ["Stop"]
        wait.set()
        await on.browser.until("document.querySelectorAll('#ask-end p').length == 2", 5)
        assert await on.texts("#ask-answer") == ["Boil it [1] and not [7]. " + EVIL]
        assert await on.texts("#ask-answer a") == ["[1]"], "a number without a passage is no link"
        assert await on.texts("#ask-end p") == [
            "Summed up by School (tiny) in 2.3 s, from [1]. Read the passages before you act.",
            "Could not ask this node: too hot."]
        assert await on.texts("#ask-passages .text") == [EVIL + "\nBoil water for one minute."]
        assert await on.browser.eval("document.querySelectorAll('#ask img, #ask script').length") == 0
        assert await on.browser.eval("document.documentElement.scrollWidth") <= 360, "it scrolls sideways"
        await on.shot("ask.png", whole=True)
        await on.browser.eval("document.querySelector('#ask-answer a').click()")
        await on.browser.until("location.hash == '#passage-1'")
        assert ("ask@1", {"question": "How do I make water safe?", "by": "auto"}) in [call[:2] for call in on.bus.calls]

    stage(tmp_path, play)


def test_a_question_without_an_answer(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.open()
        end = {"by": "library", "node": "", "name": "", "model": "", "ms": 1, "tokens": 0, "cites": [], "skipped": []}
        on.bus.answers = [{"passages": [], "good": False}, {"end": end}]
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.type("#ask-text", "Who won?")
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.until("document.getElementById('ask-said').innerText.includes('no good match')", 5)
        wait = asyncio.Event()
        on.bus.answers = [{"passages": [], "good": False}, wait]
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.until("document.getElementById('ask-send').innerText == 'Stop'")
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.until("document.getElementById('ask-said').innerText == 'Stopped.'", 5)
        for _ in range(500):
            if not on.bus.asking:
                break
            await asyncio.sleep(0.01)
        assert on.bus.asking == 0, "the node was told"
        on.bus.answers = [{"passages": [], "good": True}, {"text": "half"}, CapacityExceeded("the worker died")]
        await on.browser.eval("document.getElementById('ask-send').click()")
        await on.browser.until("document.getElementById('ask-said').innerText.includes('broke off')", 5)

    stage(tmp_path, play)


def test_a_call_for_help_stands_first_and_a_person_can_say_otherwise(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        for n, text in enumerate(("Choir on Thursday", "We can't get out, the water is rising", "Bread at six")):
            on.bus.add(text, ago_s=600 - n)
        on.bus.notices[1]["hint"] = {
            "labels": ["rescue", "flood", "urgent"], "urgent": True, "by": "triage",
            "why": {"urgent": [["en", "cant get out"], ["en", EVIL]], "rescue": [["en", "cant get out"]]}}
        await on.open()
        await on.browser.until("document.querySelectorAll('.notice').length == 3")
        first = (await on.texts(".notice .text"))[0]
        assert first == "We can't get out, the water is rising"
        said = await on.texts(".notice.urgent .hint p")
        assert said[0] == "Looks like a call for help"
        assert said[1] == f"rescue \u00b7 flood \u2013 because of \u201ccant get out\u201d, \u201c{EVIL}\u201d"
        await on.shot("urgent.png", whole=True)
        assert await on.browser.eval("document.documentElement.scrollWidth") <= 360, "it scrolls sideways"
        await on.browser.eval("document.querySelector('.notice.urgent button').click()")
        await on.browser.until("document.querySelectorAll('.notice.urgent').length == 0", 5)
        assert (await on.texts(".notice .text"))[0] == "Bread at six"
        assert "Someone says: not a call for help" in await on.texts(".hint p")
        assert len(await on.texts(".notice")) == 3, "nothing is hidden"
        await on.browser.eval("[...document.querySelectorAll('.hint button')].find(e => e.innerText == "
                              "'This is a call for help').click()")
        await on.browser.until("document.querySelectorAll('.notice.urgent').length == 1", 5)
        await on.browser.type("#text", "Oma ist gest\u00fcrzt")
        await on.browser.eval("document.getElementById('urgent').click()")
        await on.browser.eval("document.getElementById('send').click()")
        await on.browser.until("document.getElementById('post-said').innerText.includes('goes ahead')")
        await on.browser.until("document.querySelector('.notice.urgent .text').innerText.startsWith('Oma')")
        assert not await on.browser.eval("document.getElementById('urgent').checked")

    stage(tmp_path, play)


def test_a_failed_post_keeps_the_words(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.open()
        on.bus.fail["board.post@1"] = CapacityExceeded("the message was not kept: store_full")
        await on.browser.type("#text", "Careful words")
        await on.browser.eval("document.getElementById('send').click()")
        await on.browser.until("document.querySelector('#post-said.bad')")
        assert (await on.texts("#post-said"))[0].startswith("The node is full")
        assert await on.browser.eval("document.getElementById('text').value") == "Careful words"
        assert not await on.browser.eval("document.getElementById('send').disabled")
        await on.browser.open(on.url)
        assert await on.browser.eval("document.getElementById('text').value") == "Careful words", "kept over a reload"
        await on.browser.type("#text", "x" * 5000)
        await on.browser.until("document.getElementById('text-note').innerText.includes('too long')")
        assert await on.browser.eval("document.getElementById('text').getAttribute('aria-invalid')") == "true"

    stage(tmp_path, play, complaints="507")


def test_a_node_that_is_gone_is_told_and_comes_back(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        on.bus.add("Still readable", "Jonas", KEY, 3600)
        await on.open()
        await on.browser.until("document.querySelectorAll('.notice').length == 1")
        await on.browser.until(HAS_LOADED_ALL)
        port = on.server.port
        await on.server.stop()
        await on.browser.type("#text", "Words for later")
        await on.browser.eval("document.getElementById('send').click()")
        await on.browser.until("!document.getElementById('gone').hidden")
        assert "does not answer" in (await on.texts("#gone"))[0]
        assert (await on.texts("#state p")) == ["No answer."]
        assert "don't know if it was posted" in (await on.texts("#post-said"))[0]
        assert await on.browser.eval("document.getElementById('text').value") == "Words for later"
        assert await on.texts(".notice .text") == ["Still readable"]
        await on.shot("gone.png", whole=True)
        await on.server.start("127.0.0.1", port)
        await on.browser.until("document.getElementById('gone').hidden", 20)
        assert (await on.texts("#state p"))[0].startswith("All is well.")

    stage(tmp_path, play, complaints="ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_EMPTY|ERR_CONNECTION_RESET")


def test_what_is_missing_is_said_in_words(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        on.bus.facts.update(time_quality=0, trouble=[{"part": "lan", "reason": "start", "text": "no network"}])
        await on.open()
        assert (await on.texts("#state p")) == ["Working, with 2 things to mend. No neighbour is near just now."]
        missing = await on.texts("#missing li")
        assert missing[0].startswith("The node is not sure what time it is.")
        assert missing[1] == "Local network: no network"
        on.bus.facts["trouble"] = [{"part": "store", "reason": "store", "text": "read-only"}]
        on.bus.publish("status", {})
        await on.browser.until("document.getElementById('state').dataset.state == 'ill'", 5)

    stage(tmp_path, play)


def test_a_wrong_phone_clock_does_no_harm(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        on.bus.add("Two hours old", "Jonas", KEY, 7200)
        script = "const Real = Date; Date.now = () => Real.parse('2001-01-01')"
        await on.browser("Page.addScriptToEvaluateOnNewDocument", source=script)
        await on.open()
        await on.browser.until("document.querySelectorAll('.notice').length == 1")
        assert await on.texts(".notice time") == ["2 hours ago"]

    stage(tmp_path, play)


def test_it_is_used_by_keyboard_alone(tmp_path: Path) -> None:
    async def play(on: Stage) -> None:
        await on.open()
        visited = []
        for _ in range(7):
            await on.browser.key("Tab")
            visited.append(await on.browser.eval("document.activeElement.id || document.activeElement.className"))
        assert visited == ["skip", "state-line", "help-link", "text", "from", "urgent", "send"]
        await on.browser.eval("document.getElementById('text').focus()")
        await on.browser("Input.insertText", text="By keyboard")
        await on.browser.key("Enter", ctrl=True)
        await on.browser.until("document.querySelectorAll('.notice').length == 1")

    stage(tmp_path, play)


def test_a_person_declares_an_emergency_and_stops_the_node(tmp_path: Path) -> None:
    async def press(on: Stage, what: str) -> None:
        await on.browser.eval(f"document.getElementById('do-{what}').click()")
        await on.browser.until("!document.getElementById('confirm').hidden", 5)
        assert await on.browser.eval("document.activeElement.id") == "confirm-no", "a hasty Enter does nothing"

    async def yes(on: Stage) -> None:
        await on.browser.eval("document.getElementById('confirm-yes').click()")
        await on.browser.until("document.getElementById('help-said').textContent == 'Done.'", 5)

    async def play(on: Stage) -> None:
        await on.browser.size(360, 740, phone=True)
        await on.open()
        await on.browser.until("document.documentElement.dataset.theme == 'calm'", 5)
        assert await on.browser.eval("document.getElementById('situation').hidden")
        await press(on, "emergency")
        await on.shot("question.png")
        assert on.bus.situation["person"] == "none", "the question alone does nothing"
        await on.browser.eval("document.getElementById('confirm-no').click()")
        assert await on.browser.eval("document.getElementById('confirm').hidden")
        await press(on, "emergency")
        await yes(on)
        assert on.bus.situation["person"] == "emergency"
        assert await on.browser.eval("document.documentElement.dataset.theme") == "emergency"
        assert await on.texts("#situation p:first-child") == [
            "Emergency. Somebody here says that this is an emergency."]
        await press(on, "stop")
        await yes(on)
        assert (await on.texts("#situation-stopped"))[0].startswith("This node is stopped (stopped by a person")
        await on.browser.eval("window.scrollTo(0, 0)")
        await on.shot("emergency.png")
        assert await on.browser.eval("document.documentElement.scrollWidth") <= 360
        on.bus.emergency("resume", {})
        on.bus.emergency("declare", {"level": "none"})
        on.bus.publish("emergency", {"condition": "recovery"})
        await on.browser.until("document.documentElement.dataset.theme == 'recovery'", 5)
        assert await on.browser.eval("document.getElementById('situation-stopped').hidden")
        on.bus.situation["reach"] = {"state": "offline", "for_s": 1, "why": "the router does not answer",
                                     "codes": ["gateway.silent"], "over": False}
        on.bus.publish("emergency", {"condition": "recovery"})
        await on.browser.until("!document.getElementById('situation-reach').hidden", 5)
        assert await on.texts("#situation-reach") == ["There is no internet: the router does not answer."]

    stage(tmp_path, play)


def test_with_a_real_node(tmp_path: Path) -> None:
    """The same page before the real bus, services and store of `waypost run`."""

    async def main(url: str) -> None:
        async with Browser(tmp_path / "profile") as browser:
            await browser.open(url)
            await browser.until(READY)
            await browser.type("#text", EVIL)
            await browser.eval("document.getElementById('send').click()")
            await browser.until("document.querySelectorAll('.notice').length == 1")
            assert await browser.eval("document.querySelector('.notice .text').innerText") == EVIL
            assert await browser.eval("document.querySelector('.notice .meta').innerText") == "just now · here"
            assert await browser.eval("document.getElementById('facts').innerText.includes('Started')")
            await browser.eval(BEHIND_ITS_BACK)
            await browser.until("document.querySelectorAll('.notice').length == 2", 5)  # told by the event stream
            assert not browser.complaints
            assert all(asked.startswith(url) for asked in browser.requests)

    with RealNode(*QUIET, "node.name=Mill House") as node:
        url = str(node.ready["web"])
        asyncio.run(main(url + "/"))
        with urllib.request.urlopen(url + "/api/board") as answer:
            assert [row["text"] for row in json.load(answer)["notices"]] == ["Seen at once", EVIL]


def test_the_readme_picture_is_small() -> None:
    picture = Path(__file__).parents[2] / "docs/images/page.png"
    assert 10_000 < os.path.getsize(picture) < 150_000
