"""The vendor's own `meshtastic` package in a process of its own, because of its threads and its licence.

    meshtastic_peer.py encode                      JSON lines [type, record] -> the bytes that protobuf writes, in hex
    meshtastic_peer.py serial PATH | tcp HOST PORT a client: JSON commands in, JSON events out, until "close"

Commands: {"do": "text", "text", "to", "ack"}, {"do": "data", "data" (hex), "to", "ack"}, {"do": "region", "code"},
{"do": "udp"}, {"do": "close"}. Events: "connected", "received", "lost", "failed".
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def say(event: str, **more: Any) -> None:
    """One event, in one piece whichever thread tells it."""
    os.write(1, json.dumps({"event": event, **more}).encode() + b"\n")


def fill(message: Any, record: dict[str, Any]) -> None:
    """Set fields by name; bytes come as {"hex": ...}."""
    for name, value in record.items():
        if isinstance(value, dict) and set(value) == {"hex"}:
            setattr(message, name, bytes.fromhex(value["hex"]))
        elif isinstance(value, dict):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


def encode() -> None:
    """Bytes for records."""
    from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, mesh_pb2, telemetry_pb2

    special = {"LoRaConfig": config_pb2.Config.LoRaConfig, "DeviceConfig": config_pb2.Config.DeviceConfig,
               "NetworkConfig": config_pb2.Config.NetworkConfig}
    modules = (mesh_pb2, config_pb2, channel_pb2, telemetry_pb2, admin_pb2)
    for line in sys.stdin:
        name, record = json.loads(line)
        kind = special.get(name) or next(getattr(m, name) for m in modules if hasattr(m, name))
        message = kind()
        fill(message, record)
        print(message.SerializeToString(deterministic=True).hex())


def plain(packet: dict[str, Any]) -> dict[str, Any]:
    """What a test wants to know of a received packet."""
    decoded = packet.get("decoded", {})
    routing = decoded.get("routing", {})
    return {"from": packet.get("from"), "to": packet.get("to"), "id": packet.get("id"),
            "port": decoded.get("portnum"), "text": decoded.get("text"), "data": decoded.get("payload", b"").hex(),
            "request_id": decoded.get("requestId"), "error": routing.get("errorReason"),
            "rssi": packet.get("rxRssi"), "hop_limit": packet.get("hopLimit"), "hop_start": packet.get("hopStart")}


def obey(interface: Any, command: dict[str, Any]) -> None:
    """One command."""
    from meshtastic.protobuf import portnums_pb2

    to = command.get("to") or "^all"
    if command["do"] == "text":
        sent = interface.sendText(command["text"], destinationId=to, wantAck=command.get("ack", False))
        say("sent", id=sent.id)
    elif command["do"] == "data":
        sent = interface.sendData(bytes.fromhex(command["data"]), destinationId=to,
                                  portNum=portnums_pb2.PortNum.PRIVATE_APP, wantAck=command.get("ack", False))
        say("sent", id=sent.id)
    elif command["do"] in ("region", "udp"):
        config = interface.localNode.localConfig
        if command["do"] == "region":
            config.lora.region = command["code"]
        else:
            config.network.enabled_protocols = 1
        interface.localNode.writeConfig("lora" if command["do"] == "region" else "network")
        say("written")


def client(arguments: list[str]) -> None:
    """Connect, then obey until told to close."""
    from meshtastic.serial_interface import SerialInterface
    from meshtastic.tcp_interface import TCPInterface
    from pubsub import pub

    def received(packet: dict[str, Any], interface: Any) -> None:
        say("received", **plain(packet))

    def lost(interface: Any) -> None:
        say("lost")

    pub.subscribe(received, "meshtastic.receive")
    pub.subscribe(lost, "meshtastic.connection.lost")
    if arguments[0] == "serial":
        interface: Any = SerialInterface(devPath=arguments[1])
    else:
        interface = TCPInterface(arguments[1], portNumber=int(arguments[2]))
    lora = interface.localNode.localConfig.lora
    say("connected", number=interface.myInfo.my_node_num, firmware=interface.metadata.firmware_version,
        nodes=sorted(interface.nodesByNum), region=lora.region, name=interface.getLongName(),
        channels=[c.settings.name for c in interface.localNode.channels if c.role])
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "close":
            break
        try:
            obey(interface, command)
        except Exception as error:  # whatever the library raises is an outcome to look at
            say("failed", error=f"{type(error).__name__}: {error}")
    interface.close()
    say("closed")


if __name__ == "__main__":
    if sys.argv[1] == "encode":
        encode()
    else:
        client(sys.argv[1:])
