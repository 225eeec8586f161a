"""The process in which the `meshtastic` library shows or changes the settings of one radio.

Standard input: {"place": {"path"} or {"host", "port"}, "want": {region, preset, name, short, udp, channel}}; standard
output: one line of JSON, what the radio is set to now, or {"error", "hint"}. Whatever the library prints goes to
standard error. tools/radio_setup.py runs it, gives it a time, and reads back what became of it.
"""

from __future__ import annotations

import base64
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANSWER_S = 30


def main() -> int:
    """Do what standard input says."""
    out = os.dup(1)
    os.dup2(2, 1)  # the library prints where it likes
    task = json.load(sys.stdin)
    try:
        answer = _work(task["place"], task["want"])
    except SystemExit as error:  # so the library says that something is wrong
        answer = {"error": f"the meshtastic library gave up ({error.code})", "hint": "run it again"}
    except Exception as error:  # whatever it raises is an outcome to tell
        answer = {"error": f"{type(error).__name__}: {error}", "hint": _hint(error)}
    os.write(out, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # its threads may not end by themselves


def _hint(error: Exception) -> str:
    text = str(error)
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return "add this user to the group dialout, then log in again"
    if "exclusively lock" in text or "busy" in text.lower() or "temporarily unavailable" in text:
        return "another program uses it: stop that"
    return "is it switched on, and a Meshtastic radio?"


def _work(place: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    from meshtastic.serial_interface import SerialInterface
    from meshtastic.tcp_interface import TCPInterface

    if "path" in place:
        radio: Any = SerialInterface(devPath=place["path"], noNodes=True, timeout=ANSWER_S)
    else:
        radio = TCPInterface(place["host"], portNumber=place["port"], noNodes=True, timeout=ANSWER_S)
    if want:
        _set(radio.localNode, want)
    answer = _now(radio)
    radio.close()
    return answer


def _now(radio: Any) -> dict[str, Any]:
    """What it is set to."""
    from meshtastic.protobuf import config_pb2

    from radios.lora.meshtastic import facts

    node = radio.localNode
    lora = node.localConfig.lora
    preset = facts.PRESETS.get(lora.modem_preset)
    channels = [{"name": one.settings.name, "psk": base64.b64encode(one.settings.psk).decode()}
                for one in node.channels if one.role]
    protocols = config_pb2.Config.NetworkConfig.ProtocolFlags.UDP_BROADCAST
    return {
        "node": f"!{radio.myInfo.my_node_num:08x}", "name": radio.getLongName() or "",
        "short": radio.getShortName() or "", "firmware": radio.metadata.firmware_version if radio.metadata else "",
        "region": facts.region_name(lora.region), "hop_limit": lora.hop_limit, "channels": channels,
        "preset": preset[0] if lora.use_preset and preset is not None else "Custom",
        "udp": bool(node.localConfig.network.enabled_protocols & protocols),
    }


def _set(node: Any, want: dict[str, Any]) -> None:
    """Change it in one go, after which it restarts."""
    from radios.lora.meshtastic import facts

    node.beginSettingsTransaction()
    lora = node.localConfig.lora
    if "region" in want:
        lora.region = next(code for code, row in facts.REGIONS.items() if row[0] == want["region"])
    if "preset" in want:
        lora.use_preset = True
        lora.modem_preset = next(code for code, row in facts.PRESETS.items() if row[0] == want["preset"])
    if "region" in want or "preset" in want:
        node.writeConfig("lora")
    if "udp" in want:
        node.localConfig.network.enabled_protocols = int(want["udp"])
        node.writeConfig("network")
    if "name" in want or "short" in want:
        node.setOwner(want.get("name"), want.get("short"))
    if "channel" in want:
        _set_channel(node, want["channel"])
    node.commitSettingsTransaction()


def _set_channel(node: Any, want: dict[str, str | None]) -> None:
    """The channel of this name, or the first place that is free. Raises ValueError where none is."""
    from meshtastic.protobuf import channel_pb2

    channel = node.getChannelByName(want["name"]) or node.getDisabledChannel()
    if channel is None:
        raise ValueError("the radio has no place for one more channel: delete one that is not needed")
    if channel.role == channel_pb2.Channel.Role.DISABLED:
        channel.role = channel_pb2.Channel.Role.SECONDARY
        channel.settings.name = want["name"]
        channel.settings.psk = os.urandom(32)
    if want["psk"] is not None:
        channel.settings.psk = base64.b64decode(want["psk"])
    node.writeChannel(channel.index)


if __name__ == "__main__":
    sys.exit(main())
