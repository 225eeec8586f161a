"""How radios look to people: candidates, a link with its airtime and its line, events.

Nothing here talks to a node or a radio. What others sent is made harmless by cli_show.clean.
"""

from __future__ import annotations

import time

from tools.cli_show import LANES, ago, clean, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = {0x0A: "piece", 0x0B: "need", 0x0C: "ask", 0x0D: "window", 0x0E: "probe", 0x0F: "echo", 0x48: "beacon"}
_MESSAGE = 0x80
_CONDITIONS = ("calm", "watch", "emergency", "recovery")
_MAINS, _NOT_TOLD = 254, 255
_CLASSES = ("alert", "direct", "community", "bulk", "texts")
WAITING_STATES = ("queued", "waiting", "on_air")


def link_line(facts: dict[str, Any]) -> str:
    """The facts of a radio link on one line, for `status` and `top`."""
    parts = [f"{clean(facts.get('modem', ''))} at {clean(facts.get('device') or '-')}: {clean(facts['state'])}"]
    if "sessions" in facts:
        return f"{parts[0]}; {facts['sessions']} connected, {facts['near']} near"
    if "airtime.limit_ms" in facts:
        parts.append(f"{_seconds(facts['airtime.used_ms'])} of {_seconds(facts['airtime.limit_ms'])} s on the air "
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
        out.append(f"sub-band {clean(facts['airtime'])}; all but alerts {_seconds(facts['airtime.own_used_ms'])} of "
                   f"{_seconds(facts['airtime.own_limit_ms'])} s")
        rows = [(name, _seconds(facts[f"airtime.{name}_used_ms"]),
                 _seconds(facts.get(f"airtime.{name}_limit_ms", facts["airtime.limit_ms"]))) for name in _CLASSES]
        out.append(table(("CLASS", "USED S", "OF"), rows))
        out += [f"note: {clean(facts[name])}" for name in ("airtime.check", "airtime.fault") if name in facts]
    elif facts.get("airtime"):
        out.append(f"it does not transmit: {clean(facts['airtime'])}")
    if row["waiting"]:
        out += ["", waiting(row["waiting"])]
    if row["nodes"]:
        out += ["", node_table(row["nodes"])]
    return "\n".join(out)


def node_table(rows: list[dict[str, Any]]) -> str:
    """The nodes whose beacons are heard."""
    batteries = {_MAINS: "mains", _NOT_TOLD: ""}
    return table(("NODE HEARD", "AGO", "DBM", "BATTERY", "CONDITION"), [
        (one["node"], ago(one["heard_s"] * 1000), "" if one["rssi_dbm"] is None else one["rssi_dbm"],
         batteries.get(one["battery"], f"{one['battery']} %"),
         _CONDITIONS[one["condition"] & 3] if one["verified"] else "not verified") for one in rows])


def waiting(rows: list[dict[str, Any]]) -> str:
    """What waits for a radio or went last."""
    return table(("LANE", "BYTES", "WHAT", "STATE"), [
        (LANES[one["lane"]], one["bytes"], _kind(one["kind"]) if one["kind"] else one["what"],
         state(one["state"], one["detail"])) for one in rows])


def _kind(first: int) -> str:
    """What a frame is by its first byte (PROTOCOL 15)."""
    return "message" if first >= _MESSAGE else _KINDS.get(first, f"frame of kind {first:02x}")


def state(word: str, detail: str) -> str:
    """What became of something, in words."""
    said = {"on_air": "on the air", "acked": "acknowledged", "relayed": "passed on"}.get(word, word)
    return clean(f"{said} {detail}".strip())


def _seconds(ms: int) -> str:
    """Milliseconds as seconds with one figure behind the point."""
    return f"{ms // 1000}.{ms % 1000 // 100}"


def event(value: dict[str, Any]) -> str:
    """One event of `radio.watch`."""
    head = f"{time.strftime('%H:%M:%S')} {value['link']:<6}"
    if value["event"] == "heard":
        return f"{head} heard   {_kind(value['kind'])}, {value['bytes']} bytes{signal(value)}"
    if value["event"] == "text":
        to = "to us" if value["to_us"] else f"on {clean(value['channel'])}"
        return f"{head} text    from !{value['from']} {to}{signal(value)}: {clean(value['text'])}"
    if value["event"] == "seen":
        return f"{head} {clean(value['what'])}: node {clean(value['node']) or 'unknown'}{signal(value)}"
    if value["event"] == "echo":
        return f"{head} echo    of {value['node']}{signal(value['here'])}; it hears us{signal(value['there'])}"
    return f"{head} ours    number {value['token']}: {state(value['state'], value['detail'])}"


def signal(heard: dict[str, Any]) -> str:
    """How something was heard, to go behind what it was."""
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
