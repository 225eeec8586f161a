"""Bluetooth for `waypost radio`: adapters and who is near, without a node; a test of the link of a running one.

Listening without a node uses bleak, and nothing is connected to. What others sent is made harmless by cli_show.clean.
"""

from __future__ import annotations

import os
import time

from edge.errors import WaypostError
from radios.ble import gatt
from radios.lora.meshtastic import bleline
from tools.cli_show import clean, table
from tools.radio_view import link_line, node_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tools.client import Client

ASK_MS = 20000
_CLASS = "sys/class/bluetooth"


def adapters(root: str = "/") -> list[str]:
    """The Bluetooth adapters that the kernel knows, such as hci0. root: where /sys is looked for."""
    try:
        names = os.listdir(os.path.join(root, _CLASS))
    except OSError:
        return []
    return sorted(name for name in names if name.startswith("hci") and ":" not in name)


def near(listen_s: int) -> list[dict[str, Any]]:
    """Nodes and Meshtastic radios that are heard: {"address", "what", "device" for lora.device or "", "rssi_dbm"}.

    One row {"trouble": text} where nothing can be heard.
    """
    import asyncio

    try:
        import bleak
    except ImportError:
        return [{"trouble": "to listen, the package bleak is needed: pip install 'waypost[ble]'"}]
    try:
        return asyncio.run(hear(listen_s, {}))
    except (OSError, EOFError, bleak.exc.BleakError) as error:
        return [{"trouble": f"Bluetooth can't be used: {error or type(error).__name__}; waypost doctor says more"}]


async def hear(listen_s: float, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `near`. arguments: for bleak.BleakScanner. Raises bleak's errors."""
    import asyncio

    import bleak

    found: dict[str, dict[str, Any]] = {}

    def heard(device: Any, advert: Any) -> None:
        name = clean(advert.local_name or device.name or "")
        ours = gatt.SERVICE in advert.service_uuids
        where = "" if ours else bleline.PREFIX + (name or device.address)
        found[device.address] = {
            "address": device.address, "what": "a Waypost node" if ours else f"a Meshtastic radio {name}".rstrip(),
            "device": where, "rssi_dbm": advert.rssi}

    scanner = bleak.BleakScanner(heard, [gatt.SERVICE, bleline.SERVICE], **arguments)
    await scanner.start()
    try:
        await asyncio.sleep(listen_s)
    finally:
        await scanner.stop()
    return [found[address] for address in sorted(found)]


def is_ble(row: dict[str, Any]) -> bool:
    """Whether a row of `radio.status` is of a Bluetooth link."""
    return bool(row["facts"].get("modem") == "bluetooth")


def measure(client: Client, row: dict[str, Any]) -> dict[str, Any]:
    """How a running link does: its facts, who is near, and how quickly each neighbour answers, in ms or why not."""
    answers = []
    for peer in client.call("peers.list@1") or []:
        if peer["link"] != row["link"]:
            continue
        begun_ns = time.monotonic_ns()
        one = {"node": peer["node"], "name": peer.get("name", ""), "address": peer.get("address", "")}
        try:
            client.call("node.status@1", to=bytes.fromhex(peer["node"]), deadline_ms=ASK_MS)
            one["answer_ms"] = (time.monotonic_ns() - begun_ns) // 1000000
        except WaypostError as error:
            one["fault"] = error.message
        answers.append(one)
    return {"link": row["link"], "facts": row["facts"], "near": row["nodes"], "neighbours": answers}


def lines(found: dict[str, Any]) -> list[str]:
    """What `measure` found, for people."""
    facts = found["facts"]
    out = [f"{found['link']}: {link_line(facts)}"]
    shown = {"bluez": "by BlueZ", "kernel": "by the kernel's own interface", "no": "no: others can't find this node"}
    out.append(f"adapter {clean(facts.get('address', '')) or 'none'}, BlueZ {clean(facts.get('bluez', 'unknown'))}; "
               f"advertises: {shown.get(str(facts.get('advertises', 'no')), 'unknown')}")
    out.append(f"listens: {clean(facts['duty'])}; connections: {facts['out']} to others, {facts['in']} from others")
    out += ["", node_table(found["near"])] if found["near"] else ["", "no node is heard"]
    rows = [(one["node"][:16], clean(one["name"]), clean(one["address"]),
             f"{one['answer_ms']} ms" if "answer_ms" in one else clean(one["fault"])) for one in found["neighbours"]]
    return [*out, "", table(("NEIGHBOUR", "NAME", "ADDRESS", "ANSWERS IN"), rows) if rows else "no neighbour over it"]


def candidates(found: dict[str, Any]) -> list[str]:
    """Adapters, and who is near, for `radio list`. found: {"adapters", "near"}, see there."""
    out = [f"bluetooth   {name}  an adapter; ble.adapter = \"{name}\"" for name in found["adapters"]]
    out = out or ["no Bluetooth adapter"]
    for row in found["near"]:
        if "trouble" in row:
            out.append(f"            {row['trouble']}")
            continue
        device = f"; lora.modem = \"meshtastic\", lora.device = \"{row['device']}\"" if row["device"] else ""
        out.append(f"            {row['address']}  {clean(row['what'])}, {row['rssi_dbm']} dBm{device}")
    return out
