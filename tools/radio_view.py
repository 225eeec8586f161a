"""How radios look to people: candidates, a link with its airtime and its line, events, and the sum of a test.

Nothing here talks to a node or a radio. What others sent is made harmless by cli_show.clean.
"""

from __future__ import annotations

import hashlib
import time

from tools.cli_show import LANES, clean, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = {0x0A: "piece", 0x0B: "need", 0x0C: "ask", 0x0D: "window", 0x0E: "probe", 0x0F: "echo", 0x48: "beacon"}
_MESSAGE = 0x80
_CLASSES = ("alert", "direct", "community", "bulk", "bot")
_NODE_DIGITS = 16
WAITING_STATES = ("queued", "waiting", "on_air")


def link_line(facts: dict[str, Any]) -> str:
    """The facts of a radio link on one line, for `status` and `top`."""
    parts = [f"{clean(facts.get('modem', ''))} at {clean(facts.get('device') or '-')}: {clean(facts['state'])}"]
    if "airtime.limit_ms" in facts:
        parts.append(f"{seconds(facts['airtime.used_ms'])} of {seconds(facts['airtime.limit_ms'])} s on the air "
                     "this hour")
    if "utilisation_percent" in facts:
        parts.append(f"channel {facts['utilisation_percent']} % busy")
    waits = [f"{facts[f'queue.{lane}']} {name}" for lane, name in enumerate(LANES) if facts.get(f"queue.{lane}")]
    parts.append("waiting: " + (", ".join(waits) or "nothing"))
    return "; ".join(parts)


def radio(row: dict[str, Any]) -> str:
    """A row of `radio.status`: its airtime by class, and what waits or went last."""
    facts = row["facts"]
    out = [f"{row['link']}: {link_line(facts)}"]
    if "airtime.limit_ms" in facts:
        out.append(f"sub-band {clean(facts['airtime'])}; all but alerts {seconds(facts['airtime.own_used_ms'])} of "
                   f"{seconds(facts['airtime.own_limit_ms'])} s")
        rows = [(name, seconds(facts[f"airtime.{name}_used_ms"]),
                 seconds(facts.get(f"airtime.{name}_limit_ms", facts["airtime.limit_ms"]))) for name in _CLASSES]
        out.append(table(("CLASS", "USED S", "OF"), rows))
        out += [f"note: {clean(facts[name])}" for name in ("airtime.check", "airtime.fault") if name in facts]
    elif facts.get("airtime"):
        out.append(f"it does not transmit: {clean(facts['airtime'])}")
    if row["waiting"]:
        out.append(waiting(row["waiting"]))
    return "\n".join(out)


def waiting(rows: list[dict[str, Any]]) -> str:
    """What waits for a radio or went last."""
    return table(("LANE", "BYTES", "WHAT", "STATE"), [
        (LANES[one["lane"]], one["bytes"], kind(one["kind"]) if one["kind"] else one["what"],
         state(one["state"], one["detail"])) for one in rows])


def kind(first: int) -> str:
    """What a frame is by its first byte (PROTOCOL 15)."""
    return "message" if first >= _MESSAGE else _KINDS.get(first, f"frame of kind {first:02x}")


def state(word: str, detail: str) -> str:
    """What became of something, in words."""
    said = {"on_air": "on the air", "acked": "acknowledged", "relayed": "passed on"}.get(word, word)
    return clean(f"{said} {detail}".strip())


def seconds(ms: int) -> str:
    """Milliseconds as seconds with one figure behind the point."""
    return f"{ms // 1000}.{ms % 1000 // 100}"


def event(value: dict[str, Any]) -> str:
    """One event of `radio.watch`."""
    head = f"{time.strftime('%H:%M:%S')} {value['link']:<6}"
    if value["event"] == "heard":
        return f"{head} heard   {kind(value['kind'])}, {value['bytes']} bytes{_signal(value)}"
    if value["event"] == "text":
        to = "to us" if value["to_us"] else f"on {clean(value['channel'])}"
        return f"{head} text    from !{value['from']} {to}{_signal(value)}: {clean(value['text'])}"
    if value["event"] == "echo":
        return f"{head} echo    of {value['node']}{_signal(value['here'])}; it hears us{_signal(value['there'])}"
    return f"{head} sent    number {value['token']}: {state(value['state'], value['detail'])}"


def _signal(heard: dict[str, Any]) -> str:
    out = ""
    if heard.get("rssi_dbm") is not None:
        out += f", {heard['rssi_dbm']} dBm"
    if heard.get("snr_qdb") is not None:
        out += f", SNR {heard['snr_qdb'] / 4:g} dB"
    if heard.get("hops") is not None:
        out += ", direct" if heard["hops"] == 0 else f", {heard['hops']} hop{'s' * (heard['hops'] > 1)}"
    return out


def candidates(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What `radio list` found."""
    out = []
    for row in found["configured"]:
        out.append(f"configured  {row['link']}: {clean(row['what'])}: {clean(row['state'])}")
    for row in found["serial"]:
        number = f", serial number {clean(row['serial'])}" if row["serial"] else ""
        out.append(f"serial      {row['path']}  {clean(row['product'])}{number}")
        out.append(f"            {row['about']}; lora.device = \"{clean(row['device'])}\"")
    for row in found["lan"]:
        nodes = ", ".join(row["nodes"])
        out.append(f"lan         {row['address']}  Meshtastic's mesh over UDP: {row['packets']} packets of {nodes}")
        out.append('            lora.modem = "meshtastic-udp", lora.device = "udp"')
    if not found["serial"] and not found["lan"]:
        out.append("no serial port with a USB device or a modem, and no Meshtastic node heard in this network")
    return out


# --- a test


def names(peers: list[dict[str, Any]], messages: list[dict[str, Any]]) -> dict[str, str]:
    """Hex of the 8 bytes by which a radio names a node -> how people may know it."""
    known = {row["author"]: "" for row in messages} | {row["node"]: row.get("name", "") for row in peers}
    return {hashlib.sha256(bytes.fromhex(key)).hexdigest()[:_NODE_DIGITS]: f"{name} ({key[:16]})" if name else key[:16]
            for key, name in known.items()}


def test_event(n: int, value: dict[str, Any], names: dict[str, str]) -> str:
    """One event of `radio.test`; "" for those that say little."""
    if value["event"] == "echo":
        return (f"  {clean(names.get(value['node'], 'node ' + value['node']))} heard it{_signal(value['there'])}; its "
                f"answer came{_signal(value['here'])}")
    if value["event"] == "on_air" and value["state"] != "on_air":
        return f"probe {n + 1}: {state(value['state'], value['detail'])}"
    return ""


class Tally:
    """Sums up the probes of a test."""

    def __init__(self, names: dict[str, str]) -> None:
        self.sent = 0
        self.asked = 0
        self._names = names
        self._last = ""
        self._echoes: dict[str, list[dict[str, Any]]] = {}

    def take(self, n: int, value: dict[str, Any]) -> None:
        """One event of probe n."""
        self.asked = max(self.asked, n + 1)
        if value["event"] == "echo":
            self._echoes.setdefault(value["node"], []).append(value)
        elif value["event"] == "on_air":
            self.sent += value["state"] == "sent"
            self._last = state(value["state"], value["detail"])

    def summary(self) -> dict[str, Any]:
        """For programs."""
        return {"probes": self.asked, "sent": self.sent, "nodes": [
            {"node": node, "name": self._names.get(node, ""), "echoes": len({one["n"] for one in echoes}),
             "there": _spread([one["there"] for one in echoes]), "here": _spread([one["here"] for one in echoes])}
            for node, echoes in sorted(self._echoes.items())]}

    def lines(self) -> list[str]:
        """For people."""
        if not self.sent:
            return [f"no probe went out: {self._last or 'the radio is not there'}"]
        out = [f"{self.sent} of {self.asked} probes went out"]
        for one in self.summary()["nodes"]:
            out.append(f"{clean(one['name'] or 'node ' + one['node'])}: {one['echoes']} of {self.sent} echoed; there "
                       f"{_range(one['there'])}, here {_range(one['here'])}")
        if not self._echoes:
            out.append("no node echoed: nobody of this community is in reach, or their radios listen elsewhere")
        return out


def _spread(heard: list[dict[str, Any]]) -> dict[str, int | None]:
    out: dict[str, int | None] = {}
    for name in ("rssi_dbm", "snr_qdb"):
        values = [one[name] for one in heard if one[name] is not None]
        out[name + "_min"], out[name + "_max"] = (min(values), max(values)) if values else (None, None)
    return out


def _range(spread: dict[str, int | None]) -> str:
    low, high = spread["rssi_dbm_min"], spread["rssi_dbm_max"]
    if low is None:
        return "not told how strongly"
    snr = spread["snr_qdb_min"]
    level = f"{low} dBm" if low == high else f"{low} to {high} dBm"
    return level + (f", SNR {snr / 4:g} dB or better" if snr is not None else "")
