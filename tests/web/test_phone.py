"""The page for phones in a real browser: its protocol against the vectors, its couriering against the real core, and
that it stays there without a network. Bluetooth itself is tried by `make test-ble-web`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.core import effects, frame
from edge.core.link import LinkInfo
from tests.cli.kit import cli, cli_json
from tests.core.pair import Shell, settle
from tests.web.browser import CHROMIUM, Browser
from tests.web.hosted import Host, hosted
from tools.page_cli import page_files

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((Path(__file__).parent / "phone").glob("*.js"))
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; tools/dev/setup.sh tests installs it")


def stage(folder: Path, play: Callable[[Host, Browser], Awaitable[None]], complaints: str = "$^") -> None:
    async def main() -> None:
        async with hosted(page_files(), *SCRIPTS) as host, Browser(folder / "profile") as browser:
            await browser.open(host.url)
            await play(host, browser)
            assert not [text for text in browser.complaints if not re.search(complaints, text)]

    asyncio.run(main())


@pytest.mark.browser
@in_browser
def test_its_protocol_holds_every_vector(tmp_path: Path) -> None:
    vectors = (ROOT / "docs/vectors.json").read_text()

    async def play(_host: Host, browser: Browser) -> None:
        done = await browser.eval(f"import('/vectors.js').then(tests => tests.check({vectors}))")
        assert done == {name: len(json.loads(vectors)[name]) for name in done}
        assert min(done.values()) > 0 and len(done) >= 11

    stage(tmp_path, play)


@pytest.mark.browser
@in_browser
def test_a_vector_that_is_wrong_is_seen(tmp_path: Path) -> None:
    vectors = json.loads((ROOT / "docs/vectors.json").read_text())
    vectors["fingerprints"][1]["fp8"] = "00" * 8

    async def play(_host: Host, browser: Browser) -> None:
        with pytest.raises(RuntimeError, match="fp8"):
            await browser.eval(f"import('/vectors.js').then(tests => tests.check({json.dumps(vectors)}))")

    stage(tmp_path, play)


# --- carrying


class Box(Shell):
    """A node of the real core that phones come to over a small link."""

    def __init__(self, number: int) -> None:
        super().__init__(number, unix_ms=int(time.time() * 1000))
        self.out: list[bytes] = []
        self.machine.command(0, effects.LINK_UP, LinkInfo("ble", mtu_bytes=4096, lanes=7, small=True))

    def _send(self, now_ms: int, link: str, peer: bytes, frame: bytes) -> None:
        self.out.append(frame)

    @property
    def keys(self) -> set[bytes]:
        return set(self.store)


class Visits:
    """One phone that goes from box to box, with another key each time."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._visits = 0

    async def _do(self, call: str) -> dict[str, Any]:
        told = await self._browser.eval(f"import('/carry.js').then(carry => carry.{call})")
        assert isinstance(told, dict)
        return told

    async def visit(self, box: Box, hostile: list[str] | None = None, community: str = "open") -> dict[str, Any]:
        """Stand beside a box until neither has anything left to say."""
        self._visits += 1
        me = bytes([100 + self._visits]) * 32
        now_ms = self._visits * 100000
        box.machine.command(now_ms, effects.PEER_UP, "ble", me, me, False)
        told = await self._do(f"meet('{me.hex()}', '{box.machine.key.hex()}', '{community}')")
        if hostile:
            assert not (await self._do(f"deliver({json.dumps(hostile)})"))["out"]
        for _ in range(60):
            for one in told["out"]:
                box.machine.receive(now_ms, "ble", me, bytes.fromhex(one), None)
            settle(box, now_ms=now_ms)
            frames, box.out = [one.hex() for one in box.out], []
            told = await self._do(f"deliver({json.dumps(frames)})")
            if not told["out"] and not frames:
                break
            now_ms += 3000
        else:
            raise AssertionError("they never come to rest")
        box.machine.command(now_ms, effects.PEER_DOWN, "ble", me)
        assert not [name for name in box.machine.counters if name.startswith("drop.")], box.machine.counters
        return told


@pytest.mark.browser
@in_browser
def test_messages_go_from_box_to_box(tmp_path: Path) -> None:
    async def play(_host: Host, browser: Browser) -> None:
        mill, school = Box(1), Box(2)
        for n in range(30):
            mill.post(0, f"notice {n} " + "x" * 100 * (n % 3), token=n)
            school.post(0, f"from the school {n}", token=n)
        mill.post(0, "a long one " + "y" * 4000, token=100)
        mill.post(0, "sealed", token=101, dest=school.machine.key)
        mill.machine.command(0, effects.POST, 102, 5, 3, 3600, None, {1: "bulk stays"})
        for box in (mill, school):
            settle(box)
        phone = Visits(browser)
        told = await phone.visit(mill)
        assert (told["taken"], told["given"], told["lanes"]) == (32, 0, [0, 1, 31])
        told = await phone.visit(school)
        assert (told["taken"], told["given"], told["lanes"]) == (31, 32, [0, 2, 61]), "the receipt as well"
        assert {message.type for message in school.store.values()} >= {1, 2}
        assert len(school.store) == 63, "62 and the receipt for the sealed one"
        told = await phone.visit(mill)
        assert told["given"] == 31, "the school's notices, and the receipt"
        assert school.keys == {key for key, one in mill.store.items() if one.lane < 3}
        assert [effect[0] for effect in mill.log].count(effects.RECEIPT) == 1
        told = await phone.visit(mill)
        assert (told["taken"], told["given"]) == (0, 0), "nothing is carried twice"
        told = await phone.visit(Box(3), community="c0ffee")
        assert (told["held"], told["given"]) == (0, 0), "nothing goes from one community to another"

    stage(tmp_path, play)


@pytest.mark.browser
@in_browser
def test_what_is_carried_outlives_the_page_and_can_be_forgotten(tmp_path: Path) -> None:
    async def play(host: Host, browser: Browser) -> None:
        mill, school = Box(1), Box(2)
        for n in range(450):  # more keys than one list holds
            mill.post(0, f"notice {n}", token=n)
        settle(mill)
        assert (await Visits(browser).visit(mill))["held"] == 450
        await browser.open(host.url)
        told = await Visits(browser).visit(school)
        assert told["given"] == 450 and school.keys == mill.keys
        await browser.eval("import('/carry.js').then(carry => carry.forget())")
        assert (await Visits(browser).visit(Box(3)))["held"] == 0

    stage(tmp_path, play)


@pytest.mark.browser
@in_browser
def test_who_waits_to_send_is_told_when_the_link_ends(tmp_path: Path) -> None:
    async def play(_host: Host, browser: Browser) -> None:
        said = await browser.eval("""import('/link.js').then(async ({Link}) => {
            const link = new Link({gatt: {disconnect() {}}, addEventListener() {}});
            const ends = () => link.frame(new Uint8Array(9)).then(() => 'sent', (error) => error.reason);
            const waits = ends();
            link.close('silent');
            return [await waits, await ends()];
        })""")
        assert said == ["silent", "closed"]

    stage(tmp_path, play)


@pytest.mark.browser
@in_browser
def test_a_hostile_box_spoils_nothing(tmp_path: Path) -> None:
    async def play(_host: Host, browser: Browser) -> None:
        mill = Box(1)
        mill.post(0, "a good one")
        settle(mill)
        good = next(iter(mill.store.values())).data
        forged = good[:-1] + bytes([good[-1] ^ 1])
        hostile = [b"\x02" + good, frame.pack_messages([good]), b"\x03\x83", b"\x09", bytes(40), b"\x05\x82\x02\x41"]
        told = await Visits(browser).visit(mill, [one.hex() for one in hostile])
        assert told["held"] == 1
        other = Box(2)
        other.machine.command(0, effects.PEER_UP, "ble", bytes(32), bytes(32), False)
        browser_frames = [frame.pack_messages([forged]).hex()]
        told = await Visits(browser).visit(Box(3))
        told = await browser.eval(f"import('/carry.js').then(carry => carry.deliver({json.dumps(browser_frames)}))")
        assert told["held"] == 1 and told["taken"] == 0, "a bad signature is not carried"

    stage(tmp_path, play)


# --- what it is as an app


@pytest.mark.browser
@in_browser
def test_it_is_kept_and_opens_without_a_network(tmp_path: Path) -> None:
    async def play(host: Host, browser: Browser) -> None:
        await browser.eval("navigator.serviceWorker.ready.then(() => 1)")
        await browser.until("navigator.serviceWorker.controller !== null")
        assert set(page_files()) - {"sw.js"} <= set(host.asked)
        for name in page_files():
            del host.files[name]
        await browser.size(360, 740, phone=True)
        await browser.open(host.url)
        await browser.until("document.getElementById('phone') && document.getElementById('gone').textContent")
        assert await browser.eval("document.getElementById('gone').innerText") == "Not connected to a box yet."
        assert await browser.eval("document.documentElement.scrollWidth") <= 360
        (tmp_path / "away.png").write_bytes(await browser.shot(whole=True))

    stage(tmp_path, play, complaints="404")


def test_the_page_is_written_and_written_again(tmp_path: Path) -> None:
    told = cli_json("page", tmp_path / "site")
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == told["files"]
    assert b"Content-Security-Policy" in (tmp_path / "site/index.html").read_bytes()
    assert cli("page", tmp_path / "site")[0] == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("years of work")
    code, _, err = cli("page", tmp_path / "other")
    assert code == 1 and "other files" in err and len(list((tmp_path / "other").iterdir())) == 1


def test_its_version_follows_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = page_files()["files.js"], page_files()["files.js"]
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b"\n" if path.name == "link.js" else b""))
    assert first == again != page_files()["files.js"]
