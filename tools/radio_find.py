"""Looking for radios: the link that is configured, serial ports by their USB device, Meshtastic nodes in this network.

It opens no port and sends nothing but the wish to join a multicast group, so that it disturbs no radio in use. What a
port may be is guessed from the USB device's numbers, and said as a guess.
"""

from __future__ import annotations

import os
import select
import socket
import time

from edge import config
from radios.lan.net import interfaces
from radios.lora.meshtastic import udp, wire
from radios.lora.meshtastic.told import node_id
from radios.lora.serialport import BY_ID, serial_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMES = ("ttyUSB", "ttyACM", "ttyAMA", "serial")
_BRIDGE = "a USB serial chip as many LoRa boards have: Meshtastic, RNode, or a modem behind an adapter"
_ABOUT = {  # by USB vendor
    "10c4": _BRIDGE, "1a86": _BRIDGE, "0403": _BRIDGE, "067b": _BRIDGE,
    "303a": "an ESP32, as on many Meshtastic boards and RNodes",
    "239a": "an nRF52 board, such as a RAK4631 or T-Echo: Meshtastic or RNode",
    "2886": "a Seeed board, such as a Wio or T1000-E: Meshtastic",
    "2e8a": "an RP2040, as on some Meshtastic boards",
}
_UART = "the UART of this machine, where a HAT with an E22 or a REYAX module may sit"
_OTHER = "an unknown USB device"
_NODES_MAX = 8  # of one address that are named
_ADDRESSES_MAX = 32
_IP_MULTICAST_ALL = 49


def configured(directory: str, overrides: list[str]) -> list[dict[str, Any]]:
    """The radio links of the settings: {"link", "what", "state"}."""
    settings, _ = config.load(directory, overrides)
    out = []
    if settings["ble.enabled"]:
        out.append({"link": "ble", "what": f"Bluetooth, adapter {settings['ble.adapter'] or 'the first one'}",
                    "state": "the node does not run"})
    lora = settings.section("lora")
    if not lora["enabled"] and not lora["modem"]:
        return out
    what = f"{lora['modem'] or 'no modem'} at {lora['device'] or 'no device'}"
    what += f", region {lora['region']}" if lora["region"] else ", no region set"
    state = "the node does not run" if lora["enabled"] else "switched off"
    return [{"link": "lora", "what": what, "state": state}, *out]


def serial(root: str = "/") -> list[dict[str, str]]:
    """Serial ports with something behind them: {"path", "device" for lora.device, "product", "serial", "about"}.

    root: where /dev and /sys are looked for.
    """
    by_path: dict[str, str] = {}
    folder = os.path.join(root, BY_ID[1:])
    for name in _listed(folder):
        by_path.setdefault(os.path.realpath(os.path.join(folder, name)), name)
    out: list[dict[str, str]] = []
    for name in _listed(os.path.join(root, "dev")):
        if not name.startswith(_NAMES):
            continue
        path = os.path.join(root, "dev", name)
        if name.startswith("serial"):
            if not os.path.islink(path):
                continue  # /dev/serial is a folder
            path = os.path.realpath(path)
        if path not in [row["path"] for row in out]:
            out.append(_row(root, path, by_path.get(os.path.realpath(path), "")))
    return out


def _row(root: str, path: str, link: str) -> dict[str, str]:
    usb = _usb(root, os.path.basename(path))
    number = serial_of(link)
    about = _UART if usb is None else _ABOUT.get(usb["idVendor"], _OTHER)
    product = " ".join(filter(None, (usb["manufacturer"], usb["product"]))) if usb is not None else "no USB device"
    return {"path": path, "device": f"usb:{number}" if number else path, "product": product or "unnamed",
            "serial": number, "about": about}


def _usb(root: str, tty: str) -> dict[str, str] | None:
    """The facts of the USB device that a port belongs to."""
    place = os.path.realpath(os.path.join(root, "sys/class/tty", tty, "device"))
    while len(place) > len(root) and not os.path.exists(os.path.join(place, "idVendor")):
        place = os.path.dirname(place)
    if len(place) <= len(root):
        return None
    return {name: _read(os.path.join(place, name)) for name in ("idVendor", "manufacturer", "product")}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(128).strip()
    except OSError:
        return ""


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def mesh_over_udp(listen_s: int, group: tuple[str, int] = (udp.GROUP, udp.GROUP_PORT)) -> list[dict[str, Any]]:
    """Who in this network was heard speaking Meshtastic's mesh over UDP: {"address", "packets", "nodes"}."""
    found: dict[str, dict[str, Any]] = {}
    if not listen_s:
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            sock.bind(group)
        except OSError:
            return []  # a network without multicast has no such nodes
        for one in interfaces([]):
            _join(sock, group[0], one.index, one.ipv4)
        until_s = time.monotonic() + listen_s
        while (left_s := until_s - time.monotonic()) > 0:
            if select.select([sock], [], [], left_s)[0]:
                _note(found, *sock.recvfrom(wire.BYTES_MAX + 1))
    return [found[address] for address in sorted(found)]


def _join(sock: socket.socket, group: str, index: int, address: bytes | None) -> None:
    if address is None:
        return
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        socket.inet_aton(group) + address + index.to_bytes(4, "little"))
    except OSError:
        pass  # the interface can't, or just went


def _note(found: dict[str, dict[str, Any]], datagram: bytes, source: tuple[str, int]) -> None:
    try:
        packet = wire.decode(wire.MESH_PACKET, datagram)
    except wire.WireError:
        return
    if source[0] not in found and len(found) >= _ADDRESSES_MAX:
        return
    row = found.setdefault(source[0], {"address": source[0], "packets": 0, "nodes": []})
    row["packets"] += 1
    node = node_id(packet["from"])
    if node not in row["nodes"] and len(row["nodes"]) < _NODES_MAX:
        row["nodes"].append(node)
