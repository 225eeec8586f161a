"""An alert and a halt cross a town: LAN, then nothing but LoRa, then LAN again. Four real nodes, RNodes on ptys."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.core import certs, cosign, halt
from tests.core.papers import YEAR_S, key_of, signed
from tests.radios.lora.emulated.air import LiveAir
from tests.radios.lora.emulated.rnode_device import RNodeDevice
from tests.system.nodes import NodeProcess, until
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.slow]

RADIO = ("lora.enabled=true", "lora.modem=rnode", "lora.region=EU868", "lora.freq_hz=869525000", "lora.bw_hz=250000",
         "lora.sf=7", "lora.cr_den=5", "lora.power_dbm=14")
COMMUNITY = ("community.name=Delft", f"community.stewards={key_of('ann').hex()},{key_of('ben').hex()}",
             "community.stewards_needed=2", "alerts.position=52.0116,4.3571", "lan.multicast=false",
             "web.host=127.0.0.1", "models.enabled=false")
SHOWN_S = 10


class Town:
    """a -LAN- b -LoRa- c -LAN- d"""

    def __init__(self, nodes: dict[str, NodeProcess], folder: Path) -> None:
        self.nodes = nodes
        self.folder = folder

    def page(self, name: str) -> list[dict[str, Any]]:
        """What the page of a node shows of alerts."""
        url = self.nodes[name].ready["web"] + "/api/alerts"
        with urllib.request.urlopen(url, timeout=10 * PATIENCE) as answer:
            rows: list[dict[str, Any]] = json.load(answer)["alerts"]
        return rows

    def shown(self, name: str, id: str) -> list[dict[str, Any]]:
        return [row for row in self.page(name) if row["id"] == id]

    def everywhere(self, look: Callable[[NodeProcess], bool], within_s: float) -> None:
        until(lambda: all(look(node) for node in self.nodes.values()), within_s, 0.5)

    def paper(self, verb: str, data: bytes) -> None:
        """A paper of the stewards is brought to node a."""
        path = self.folder / f"paper-{time.monotonic_ns()}"
        path.write_bytes(data)
        self.nodes["a"].cli(*verb.split(), str(path))

    def now_s(self) -> int:
        return int(self.nodes["a"].cli("status")["time_ms"]) // 1000

    def certify(self, name: str) -> None:
        now_s = self.now_s()
        payload = certs.payload_of("Delft", bytes.fromhex(self.nodes[name].key), [certs.ALERT], now_s, now_s + YEAR_S)
        self.paper("cert add", signed(cosign.CERTIFICATE, payload, "ann", "ben"))

    def order(self, epoch: int, scopes: int) -> None:
        payload = halt.payload_of("Delft", epoch, scopes, self.now_s() + 3600, "a drill")
        self.paper("halt send", signed(cosign.ORDER, payload, "ann", "ben"))


@contextmanager
def town(folder: Path, devices: list[str]) -> Iterator[Town]:
    nodes: dict[str, NodeProcess] = {}
    with ExitStack() as ends:
        for name in "abcd":
            settings = list(COMMUNITY)
            if name in "bc":
                settings += [*RADIO, f"lora.device={devices['bc'.index(name)]}"]
            else:
                settings += ["lora.enabled=false"]
            if name in "bd":
                other = nodes["a" if name == "b" else "c"]
                settings += [f"lan.peers=127.0.0.1:{other.ready['links']['lan']}"]
            node = nodes[name] = NodeProcess(str(folder / name), settings=("lan.port=0", *settings))
            ends.callback(lambda node=node: node.end(kill=True))
            node.start()
        made = Town(nodes, folder)
        made.everywhere(lambda node: [row["link"] for row in node.cli("peers")] == ["lan"], 30)
        until(lambda: all(nodes[n].cli("status")["links"]["lora"]["state"] == "up" for n in "bc"), 30, 0.3)
        yield made


def play(folder: Path, story: Callable[[Town], None]) -> None:
    def run(paths: list[str]) -> None:
        with town(folder, paths) as one:
            story(one)

    async def main() -> None:
        air = LiveAir(7, speed=1)
        devices = [RNodeDevice(air, name, folder, boot_us=100000) for name in ("one", "two")]
        try:
            await asyncio.to_thread(run, [device.plug.path for device in devices])
        finally:
            for device in devices:
                device.close()
            air.close()

    asyncio.run(main())


def test_an_alert_crosses_and_its_cancel_clears_it(tmp_path: Path) -> None:
    def story(one: Town) -> None:
        a, d = one.nodes["a"], one.nodes["d"]
        one.certify("a")
        one.everywhere(lambda node: len(node.cli("cert", "list")) == 1, 90)
        made = a.cli("alert", "send", "The Schie rises over the quay tonight", "--severity", "severe", "--area",
                     "52.01,4.36 5", "--instruction", "Go up. Take medicines and water with you.")
        sent_s = time.monotonic()
        until(lambda: len(one.shown("d", made["id"])) == 1, SHOWN_S, 0.05)
        crossed_s = time.monotonic() - sent_s
        (row,) = one.shown("d", made["id"])
        assert (row["official"], row["grave"], row["here"]) == (True, 2, True)
        for name, node in one.nodes.items():
            assert len(one.page(name)) == 1, "once each"
            assert len([row for row in node.cli("messages", "--type", "4", "--lane", "0")]) == 1
        until(lambda: d.cli("why")["condition"]["state"] == "emergency", 10, 0.2)
        # somebody without a certificate says the same at the far end of the radio
        other = one.nodes["b"].cli("alert", "send", "All is well, says b", "--severity", "severe")
        until(lambda: len(one.shown("d", other["id"])) == 1, 30, 0.2)
        assert one.shown("d", other["id"])[0]["official"] is False
        # a neighbour's word goes the other way
        d.cli("alert", "confirm", made["id"])
        until(lambda: [row["confirm"] for row in one.shown("a", made["id"])] == [1], 60, 0.3)
        cancel_s = time.monotonic()
        a.cli("alert", "cancel", made["id"])
        until(lambda: not one.shown("d", made["id"]), 30, 0.05)
        cleared_s = time.monotonic() - cancel_s
        one.everywhere(lambda node: made["id"] not in [row["id"] for row in node.cli("alert", "list")], 10)
        until(lambda: d.cli("why")["readings"]["alert"] == "none", 10, 0.2)
        print(f"shown on the last page after {crossed_s:.1f} s, cleared after {cleared_s:.1f} s")

    play(tmp_path, story)


def test_a_halt_reaches_all_and_an_alert_still_passes(tmp_path: Path) -> None:
    def story(one: Town) -> None:
        d = one.nodes["d"]
        epoch = one.now_s()
        started_s = time.monotonic()
        one.order(epoch, halt.MODELS | halt.RELAY)
        one.everywhere(lambda node: bool(node.cli("why")["stopped"]), 90)
        reached_s = time.monotonic() - started_s
        assert d.cli("why")["stopped"] == "the community's stewards have halted models and relay: a drill"
        assert d.cli("why")["policy"]["lanes"] == "01"
        d.end(kill=True)
        d.start()
        assert d.cli("halt", "show")["scopes"] == ["models", "relay"], "after a reboot"
        until(lambda: bool(d.cli("why")["stopped"]), 10, 0.2)
        # an alert, and a direct message, still pass; a notice waits
        until(lambda: bool(d.cli("peers")), 60, 0.3)
        one.nodes["a"].cli("board", "post", "Choir practice on Monday")
        made = one.nodes["a"].cli("alert", "send", "Leave the quay", "--severity", "extreme")
        until(lambda: len(one.shown("d", made["id"])) == 1, 60, 0.2)
        one.nodes["a"].cli("send", d.key, "are you well?")
        until(lambda: [row["text"] for row in d.cli("inbox")] == ["are you well?"], 60, 0.3)
        assert d.texts() == []
        # an old order that goes on, played again, changes nothing; the newer one does
        with pytest.raises(Exception, match="returned non-zero"):
            one.order(epoch - 1, 0)
        one.order(epoch + 1, 0)
        one.everywhere(lambda node: not node.cli("why")["stopped"], 90)
        assert d.cli("halt", "show")["epoch"] == epoch + 1
        until(lambda: d.texts() == ["Choir practice on Monday"], 120, 0.5)
        print(f"all four halted after {reached_s:.1f} s")

    play(tmp_path, story)
