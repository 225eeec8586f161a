"""What people see of the radios, and may do with them: what became of each thing that was sent, texts, probes.

It remembers for the last messages that went to a radio how far they came (waiting for airtime until when, on the air,
refused why), takes back what the core no longer wants said, answers probes and tells the bus what happens. It decides
nothing about messages. The drivers are those of edge/node.py; who is asked for texts of people has a `send_text`.
"""

from __future__ import annotations

import asyncio

from edge.core import limits
from edge.core.cbor import CodecError
from edge.core.peers import Bucket
from edge.core.rng import Rng
from edge.errors import BadRequest, CapacityExceeded, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge.core.link import Driver
    from edge.core.machine import Machine

REMEMBERED_MAX = 256  # messages whose fate is known
ECHO_BURST = 8  # probes answered at once, then
ECHO_PER_S = 1
ECHO_SLOTS = 8  # of about a short frame's time: those who heard a probe answer one after another
ECHO_BYTES = 21
IN_REACH_MS = 2 * limits.BEACON_MS_MAX  # who has been silent for so long is not near any more
_PROBES = (0x0E, 0x0F)  # edge.core.probe, which only a node with a radio imports


class Aired:
    """drivers: those that run, by link. publish(topic, value) tells the bus."""

    def __init__(self, machine: Machine, drivers: dict[str, Driver], publish: Callable[[str, dict[str, Any]], None],
                 now_ms: Callable[[], int], rng: Rng) -> None:
        self._machine = machine
        self._drivers = drivers
        self._publish = publish
        self._rng = rng
        self._now_ms = now_ms
        self._fates: dict[tuple[str, bytes], tuple[int, str, str]] = {}  # (link, key) -> (token, state, detail)
        self._tokens: dict[tuple[str, int], bytes] = {}
        self._echoes = Bucket(now_ms(), ECHO_BURST, ECHO_PER_S)

    # --- what became of it

    def sent(self, link: str, token: int, key: bytes) -> None:
        """A message (its 16-byte key) is now the driver's, under this number."""
        old = self._fates.pop((link, key), None)
        if old is not None:
            self._tokens.pop((link, old[0]), None)
        elif len(self._fates) >= REMEMBERED_MAX:
            (old_link, _), (old_token, _, _) = first = next(iter(self._fates.items()))
            del self._fates[first[0]]
            self._tokens.pop((old_link, old_token), None)
        self._fates[(link, key)] = (token, "queued", "")
        self._tokens[(link, token)] = key

    def on_air(self, link: str, token: int, state: str, detail: str) -> None:
        """See LinkOwner."""
        value = {"link": link, "token": token, "state": state, "detail": detail}
        key = self._tokens.get((link, token))
        if key is not None:
            self._fates[(link, key)] = (token, state, detail)
            value["key"] = key.hex()
        self._publish("on_air", value)

    def fates(self, key: bytes) -> list[dict[str, str]]:
        """For each radio that a message (its key) went to lately: {"link", "state", "detail"}."""
        return [{"link": link, "state": state, "detail": detail}
                for (link, one), (_, state, detail) in self._fates.items() if one == key]

    def take_back(self, link: str, key: bytes) -> None:
        """CANCEL: others have said this message often enough."""
        token = self._fates.get((link, key), (0, "", ""))[0]
        driver: Any = self._drivers.get(link)
        if token and driver is not None:
            driver.cancel(token)

    # --- texts of people

    def text(self, link: str, text: Any) -> None:
        """See LinkOwner."""
        self._publish("text", {
            "link": link, "from": text.sender.hex(), "to_us": text.to_us, "channel": text.channel, "text": text.text,
            "hops": text.hops, "rssi_dbm": text.signal.rssi_dbm, "snr_qdb": text.signal.snr_qdb, "alert": text.alert})

    def radio(self, link: str, radio: Any) -> None:
        """See LinkOwner."""
        self._publish("radio", {"link": link, "radio": radio.sender.hex(), "name": radio.name, "short": radio.short,
                                "hops": radio.signal.hops})

    def seen(self, link: str, node: str, what: str, rssi_dbm: int | None) -> None:
        """See LinkOwner."""
        self._publish("seen", {"link": link, "node": node, "what": what, "rssi_dbm": rssi_dbm})

    def text_links(self) -> list[str]:
        """See RadioPort."""
        return [name for name, driver in sorted(self._drivers.items()) if getattr(driver, "carries_texts", False)]

    def send_text(self, link: str, to: bytes | None, channel: str, text: str, *, hop_limit: int = 3, lane: int = 1,
                  alert: bool = False) -> int:
        """See RadioPort."""
        try:
            token: int = self._texting(link).send_text(to, channel, text, hop_limit, lane=lane, alert=alert)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return token

    def text_ms(self, link: str, n_bytes: int) -> int:
        """See RadioPort."""
        return int(self._texting(link).text_ms(n_bytes))

    def text_fate(self, link: str, token: int) -> tuple[str, str]:
        """See RadioPort."""
        fate: tuple[str, str] = self._texting(link).fate(token)
        return fate

    def cancel_text(self, link: str, token: int) -> None:
        """See RadioPort."""
        self._texting(link).cancel(token)

    def _texting(self, link: str) -> Any:
        if link not in self.text_links():
            raise Unavailable(f"no link {link} here that carries texts of people")
        return self._drivers[link]

    # --- looking at the radios

    def radios(self) -> list[dict[str, Any]]:
        """See RadioPort."""
        out = []
        for name, driver in sorted(self._drivers.items()):
            waiting, near = getattr(driver, "waiting", None), getattr(driver, "near", None)
            if waiting is not None:
                out.append({"link": name, "facts": driver.status(), "waiting": waiting(), "nodes": self.nodes(name)})
            elif near is not None:
                out.append({"link": name, "facts": driver.status(), "waiting": [], "nodes": near()})
        return out

    def nodes(self, link: str) -> list[dict[str, Any]]:
        """See RadioPort."""
        air: Any = self._machine.air(link)
        now_ms = self._now_ms()
        return [{"node": one.node.hex(), "heard_s": (now_ms - one.heard_ms) // 1000, "rssi_dbm": one.rssi_dbm,
                 "verified": one.trust > 0, "condition": one.beacon.condition, "battery": one.beacon.battery,
                 "queue": one.beacon.queue} for one in (air.sync.heard if air is not None else ())
                if one.beacon is not None]

    def in_reach(self) -> list[dict[str, Any]]:
        """See RadioPort."""
        airs = [(link, air) for link in sorted(self._drivers) if (air := self._machine.air(link)) is not None]
        return self._in_reach(airs) if airs else []

    def _in_reach(self, airs: list[tuple[str, Any]]) -> list[dict[str, Any]]:
        from edge.core import beacon

        now_ms = self._now_ms()
        met = {beacon.node_of(one.node) for one in self._machine.neighbours() if one.hello}
        out = []
        for link, air in airs:
            for one in air.sync.heard:
                if one.beacon is None or one.node in met or now_ms - one.heard_ms > IN_REACH_MS:
                    continue
                met.add(one.node)
                keys = [key for key in air.book.keys_of(one.node[:5]) if beacon.node_of(key) == one.node]
                out.append({"node": (keys[0] if keys else one.node).hex(), "name": "", "link": link, "member": True,
                            "authenticated": False, "heard_s": (now_ms - one.heard_ms) // 1000, "address": ""})
        return out

    def heard(self, link: str, data: bytes, signal: Any) -> bool:
        """A frame came on a broadcast link; whether it was a probe's, which the core need not see."""
        value = {"link": link, "kind": data[0], "bytes": len(data), "rssi_dbm": signal.rssi_dbm,
                 "snr_qdb": getattr(signal, "snr_qdb", None), "hops": getattr(signal, "hops", None)}
        self._publish("heard", value)
        if data[0] not in _PROBES:
            return False
        try:
            self._on_probe(link, data, value)
        except CodecError as error:
            self._machine.drop(error.reason, link, b"")
        return True

    def probe(self, link: str, nonce: bytes, n: int) -> int:
        """Send one probe (n: 0..255); the driver's number for it. Raises Unavailable, CapacityExceeded."""
        from edge.core import beacon, probe

        air: Any = self._machine.air(link)
        driver = self._drivers.get(link)
        if air is None or driver is None:
            raise Unavailable(f"no radio link {link} here", allowed=", ".join(row["link"] for row in self.radios()))
        frame = probe.pack_probe(nonce, n, beacon.node_of(self._machine.key), air.keys)
        token: int = driver.send(None, limits.LANE_DIRECT, frame)
        if not token:
            raise CapacityExceeded("the radio's queue is full", hint="waypost radio airtime says what it waits for")
        return token

    def _on_probe(self, link: str, data: bytes, heard: dict[str, Any]) -> None:
        from edge.core import beacon, probe

        air: Any = self._machine.air(link)
        if data[0] == probe.ECHO_KIND:
            nonce, n, node, hops, rssi_dbm, snr_qdb = probe.unpack_echo(data, air.keys)
            self._publish("echo", {
                "link": link, "nonce": nonce.hex(), "n": n, "node": node.hex(),
                "there": {"hops": hops, "rssi_dbm": rssi_dbm, "snr_qdb": snr_qdb},
                "here": {name: heard[name] for name in ("hops", "rssi_dbm", "snr_qdb")}})
            return
        nonce, n, _ = probe.unpack_probe(data, air.keys)
        if not self._echoes.take(self._now_ms()):
            raise CodecError("rate")
        frame = probe.pack_echo(nonce, n, beacon.node_of(self._machine.key), heard["hops"], heard["rssi_dbm"],
                                heard["snr_qdb"], air.keys)
        slot_ms = air.info.airtime_us(ECHO_BYTES) // 1000 + 1
        delay_ms = self._rng.below(ECHO_SLOTS * slot_ms)
        asyncio.get_running_loop().call_later(delay_ms / 1000, self._echo, link, frame)

    def _echo(self, link: str, frame: bytes) -> None:
        driver = self._drivers.get(link)
        if driver is not None and not driver.send(None, limits.LANE_DIRECT, frame):
            self._machine.count("tx.refused")
