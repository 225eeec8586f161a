"""What a box says to the network by itself: five minutes from its first start, every packet is looked at.

    WAYPOST_LISTEN_S=300      how long
"""

from __future__ import annotations

import os
import pathlib
import struct
import time
from collections import Counter

from images.test.machine import Machine, new_card

LISTEN_S = float(os.environ.get("WAYPOST_LISTEN_S", "300"))
OUR_GROUP_PORT, MDNS_PORT, DHCP_PORTS, DHCP6_PORTS = 7374, 5353, {67, 68}, {546, 547}


def packets(path: pathlib.Path) -> list[bytes]:
    """The Ethernet frames of a pcap file."""
    raw = path.read_bytes()
    out, at = [], 24
    while at + 16 <= len(raw):
        size = struct.unpack_from("<I", raw, at + 8)[0]
        out.append(raw[at + 16:at + 16 + size])
        at += 16 + size
    return out


def name_of(frame: bytes) -> str:
    """What a frame is: a name that is allowed, or a description of what should not be there."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0806:
        return "ARP"
    if kind == 0x0800:
        protocol, start = frame[23], 14 + (frame[14] & 15) * 4
        target = ".".join(map(str, frame[30:34]))
    elif kind == 0x86DD:
        protocol, start = frame[20], 54
        if protocol == 0:  # hop-by-hop, before MLD
            protocol, start = frame[54], 54 + 8 * (frame[55] + 1)
        target = frame[38:54].hex(":", 2)
    else:
        return f"an Ethernet type {kind:#06x}"
    if protocol == 2:
        return "IGMP"
    if protocol == 58:
        known = frame[start] in (133, 135, 136, 143)  # solicitations, advertisements, multicast listeners
        return f"ICMPv6 {frame[start]}" if known else f"ICMPv6 {frame[start]} to {target}!"
    port = int.from_bytes(frame[start + 2:start + 4], "big")
    if protocol == 17:
        if port in DHCP_PORTS | DHCP6_PORTS:
            return "DHCP"
        if port == MDNS_PORT and target.startswith(("224.0.0.251", "ff02", "fe80", "10.", "192.168.")):
            return "mDNS"
        if port == OUR_GROUP_PORT and (target.startswith(("239.", "ff"))):
            return "our group"
    return f"protocol {protocol} to {target} port {port}!"


def test_a_box_asks_nobody_for_anything(image: pathlib.Path, tmp_path: pathlib.Path) -> None:
    trace = tmp_path / "net.pcap"
    words = ("-object", f"filter-dump,id=trace,netdev=net,file={trace}")
    with Machine(new_card(image, tmp_path), tmp_path, extra=words) as box:
        box.start()
        box.ready()
        mac = box.shell("cat /sys/class/net/e*/address").split()[-1]
        until = time.monotonic() + LISTEN_S
        while time.monotonic() < until:
            box._pump(1)
        box.cut()
    own = bytes.fromhex(mac.replace(":", ""))
    said = Counter(name_of(frame) for frame in packets(trace) if frame[6:12] == own)
    print(dict(said))
    assert said["our group"] and said["DHCP"] and said["mDNS"], said
    wrong = {name for name in said if name.endswith("!") or name.startswith("an ")}
    assert not wrong, wrong
