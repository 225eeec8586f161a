"""Make docs/images/page.png for the README: `python -m tests.web.picture`.

The page of a real node with two real neighbours: a phone on a quiet day beside a dark screen in an emergency.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
import time
from pathlib import Path

from edge.core import certs, cosign
from tests.cli.kit import RealNode, cli_json
from tests.core.papers import YEAR_S, key_of, signed
from tests.waiting import PATIENCE
from tests.web.browser import Browser
from tests.web.test_page import READY

PICTURE = Path(__file__).parents[2] / "docs/images/page.png"
NEAR_S = 30 * PATIENCE
PLACE = "52.0116,4.3571"
COMMUNITY = ("community.name=Delft", f"community.stewards={key_of('ann').hex()},{key_of('ben').hex()}",
             "community.stewards_needed=2", f"alerts.position={PLACE}", "community.key=" + "17" * 32)
NOTICES = (
    ("school", "Marta", "Soup kitchen in the village hall tonight from six. Bring a bowl if you have one."),
    ("clinic", "", "The road to the upper village is blocked by a fallen tree at the bridge. Take the forest track."),
    ("hall", "Jonas", "Found: a bunch of keys with a red ribbon, by the bus stop. They are at the bakery."),
    ("hall", "Aisha", "Does anyone have a 12 V charger to lend? My mother's oxygen machine needs one before tonight."),
)
SIDE_BY_SIDE = (
    "<body style='margin:0;background:#e9e5db;display:flex;gap:28px;padding:28px;align-items:center'>"
    + "".join(
        f"<img style='border-radius:{radius}px;border:1px solid #c9c2b2' width={width} src='data:image/png;base64,%s'>"
        for radius, width in ((20, 270), (11, 690))
    )
)  # fmt: skip


def certify(folder: Path, clinic: str) -> None:
    """Let a node send official alerts. clinic: its key."""
    now_s = int(time.time())
    payload = certs.payload_of("Delft", bytes.fromhex(clinic), [certs.ALERT], now_s, now_s + YEAR_S)
    (folder / "paper").write_bytes(signed(cosign.CERTIFICATE, payload, "ann", "ben"))
    cli_json("--dir", folder / "clinic", "cert", "add", folder / "paper")


def fill(folder: Path) -> None:
    """Wait for the neighbours, then put up what people say."""
    end_s = time.monotonic() + NEAR_S
    while len(cli_json("--dir", folder / "hall", "peers")) < 2:
        assert time.monotonic() < end_s
        time.sleep(0.1)
    for node, name, text in NOTICES:
        cli_json("--dir", folder / node, "board", "post", text, *(("--name", name) if name else ()))


def warn(folder: Path) -> None:
    cli_json("--dir", folder / "clinic", "alert", "send", "Boil all tap water before drinking", "--severity", "severe",
             "--event", "Drinking water", "--instruction", "Bring it to a rolling boil for one minute.",
             "--area", f"{PLACE} 5")


async def shoot(url: str, folder: Path) -> None:
    shots = []
    async with Browser(folder / "browser") as browser:
        await browser.size(360, 1070, dark=False, phone=True)
        await browser.open(url)
        await browser.until(READY + " && document.querySelectorAll('#peers li').length == 2")
        await browser.until(f"document.querySelectorAll('.notice').length == {len(NOTICES)}")
        shots.append(base64.b64encode(await browser.shot()).decode())
        await browser.size(1140, 860, dark=True)
        await asyncio.to_thread(warn, folder)
        await browser.until("!document.getElementById('alerts').hidden")
        await browser.until("!document.getElementById('situation').hidden")
        shots.append(base64.b64encode(await browser.shot()).decode())
        await browser.size(1048, 860)
        await browser.open("about:blank")
        await browser.eval(f"document.body.outerHTML = `{SIDE_BY_SIDE % tuple(shots)}`")
        await browser.until("[...document.images].every(image => image.complete)")
        PICTURE.write_bytes(await browser.shot())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in ("hall", "school", "clinic", "browser"):
            (folder / one).mkdir(mode=0o700)
        with RealNode(folder / "school", *COMMUNITY, "node.name=School") as school, \
             RealNode(folder / "clinic", *COMMUNITY, "node.name=Clinic") as clinic:
            peers = ",".join(f"127.0.0.1:{node.ready['links']['lan']}" for node in (school, clinic))
            with RealNode(folder / "hall", *COMMUNITY, "node.name=Mill House", f"lan.peers={peers}") as hall:
                certify(folder, clinic.ready["node"])
                fill(folder)
                asyncio.run(shoot(hall.ready["web"] + "/", folder))
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
