"""Make docs/images/page.png for the README: `python -m tests.web.picture`.

The real page, served by the real server: a phone in light beside a screen in dark.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from pathlib import Path

from edge.web.server import WebServer
from tests.web.browser import Browser
from tests.web.fakes import KEY, FakeBus, FakeNode
from tests.web.test_page import READY

PICTURE = Path(__file__).parents[2] / "docs/images/page.png"
SCHOOL, CLINIC = b"\x07" * 32, b"\x09" * 32
NOTICES = (
    ("Soup kitchen in the village hall tonight from six. Bring a bowl if you have one. Everybody is welcome.", "Marta",
     SCHOOL, 11 * 3600),
    ("The road to the upper village is blocked by a fallen tree after the bridge. The forest track is open.", "",
     CLINIC, 5 * 3600),
    ("Found: a bunch of keys with a red ribbon, by the bus stop. They are at the bakery.", "Jonas", KEY, 42 * 60),
    ("Does anyone have a 12 V charger to lend? My mother's oxygen machine needs one before tonight. "
     "Mill Lane 4, second door.", "Aisha", KEY, 10),
)
SIDE_BY_SIDE = (
    "<body style='margin:0;background:#e9e5db;display:flex;gap:28px;padding:28px;align-items:center'>"
    + "".join(
        f"<img style='border-radius:{radius}px;border:1px solid #c9c2b2' width={width} src='data:image/png;base64,%s'>"
        for radius, width in ((20, 270), (11, 690))
    )
)  # fmt: skip


async def main() -> None:
    bus = FakeBus()
    for text, name, author, ago_s in NOTICES:
        bus.add(text, name, author, ago_s)
    bus.neighbours = [
        {"node": SCHOOL.hex(), "name": "School", "link": "lan", "member": True, "for_s": 60},
        {"node": CLINIC.hex(), "name": "Clinic", "link": "lan", "member": True, "for_s": 60},
    ]
    server = WebServer(bus, FakeNode(bus))
    await server.start("127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as folder:
        async with Browser(Path(folder)) as browser:
            shots = []
            for width, height, dark in ((360, 740, False), (1140, 740, True)):
                await browser.size(width, height, dark=dark, phone=width < 500)
                await browser.open(f"http://localhost:{server.port}/")
                await browser.until(READY + " && document.querySelectorAll('#peers li').length")
                shots.append(base64.b64encode(await browser.shot()).decode())
            await browser.size(1048, 613)
            await browser.open("about:blank")
            await browser.eval(f"document.body.outerHTML = `{SIDE_BY_SIDE % tuple(shots)}`")
            await browser.until("[...document.images].every(image => image.complete)")
            PICTURE.parent.mkdir(parents=True, exist_ok=True)
            PICTURE.write_bytes(await browser.shot())
    await server.stop()
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    asyncio.run(main())
