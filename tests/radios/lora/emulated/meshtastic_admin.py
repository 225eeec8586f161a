"""The settings of an emulated Meshtastic device by admin packets: owner, channels, LoRa and network.

A setting that changes the radio makes the device restart, as real ones do: at once, or at the end of an edit. What it
does not know it acknowledges and forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radios.lora.meshtastic import facts, wire
from radios.lora.meshtastic.wire import Table

if TYPE_CHECKING:
    from tests.radios.lora.emulated.meshtastic_device import MeshtasticDevice

Record = dict[str, Any]

RESTART_US = 1000000
LORA_CONFIG_TYPE, NETWORK_CONFIG_TYPE = 5, 3
ADMIN = Table("AdminMessage", (1, "get_channel_request?", "u32"), (2, "get_channel_response", wire.CHANNEL),
              (3, "get_owner_request?", "bool"), (4, "get_owner_response", wire.USER),
              (5, "get_config_request?", "enum"), (6, "get_config_response", wire.CONFIG),
              (12, "get_device_metadata_request?", "bool"), (13, "get_device_metadata_response", wire.METADATA),
              (32, "set_owner", wire.USER), (33, "set_channel", wire.CHANNEL), (34, "set_config", wire.CONFIG),
              (64, "begin_edit_settings?", "bool"), (65, "commit_edit_settings?", "bool"),
              (97, "reboot_seconds?", "i32"), (101, "session_passkey", "bytes"))


class Admin:
    """The settings of one device."""

    def __init__(self, device: MeshtasticDevice) -> None:
        self.network: Record = dict(wire.NETWORK_CONFIG.defaults)
        self._device = device
        self._editing = False
        self._restart = False

    def take(self, packet: Record) -> None:
        """A packet of the client to its own device."""
        data = packet["decoded"]
        answer: Record = {}
        if data["portnum"] == facts.PORT_ADMIN:
            try:
                answer = self._do(wire.decode(ADMIN, data["payload"]))
            except wire.WireError:
                self._reply(packet, facts.PORT_ROUTING, wire.encode(wire.ROUTING, {"error_reason": 32}))
                return
        if answer:
            self._reply(packet, facts.PORT_ADMIN, wire.encode(ADMIN, answer))
        elif packet["want_ack"] or data["want_response"]:
            self._reply(packet, facts.PORT_ROUTING, wire.encode(wire.ROUTING, {"error_reason": 0}))
        if self._restart and not self._editing:
            self._restart = False
            self._device.air.call_later(RESTART_US, self._device.reboot)

    def _reply(self, packet: Record, port: int, payload: bytes) -> None:
        device = self._device
        device.router.to_phone({"from": device.number, "to": device.number, "id": device.router.rng.getrandbits(32),
                                "decoded": {"portnum": port, "payload": payload, "request_id": packet["id"]}})

    def _do(self, message: Record) -> Record:
        device = self._device
        if "get_channel_request" in message:
            return {"get_channel_response": self._channel(message["get_channel_request"] - 1)}
        if "get_owner_request" in message:
            return {"get_owner_response": device.user}
        if "get_config_request" in message:
            wanted = message["get_config_request"]
            sections = {LORA_CONFIG_TYPE: {"lora": device.lora}, NETWORK_CONFIG_TYPE: {"network": self.network}}
            return {"get_config_response": sections.get(wanted, {})}
        if "get_device_metadata_request" in message:
            return {"get_device_metadata_response": {"firmware_version": device.firmware, "hw_model": 37}}
        self._set(message)
        return {}

    def _channel(self, index: int) -> Record:
        channels = self._device.channels
        name, psk = channels[index] if index < len(channels) else ("", b"")
        role = 0 if index >= len(channels) else 1 if index == 0 else 2
        return {"index": index, "settings": {"psk": psk, "name": name}, "role": role}

    def _set(self, message: Record) -> None:
        device = self._device
        self._editing = "begin_edit_settings" in message or (self._editing and "commit_edit_settings" not in message)
        if "set_owner" in message:
            for name in ("long_name", "short_name"):
                device.user[name] = message["set_owner"][name] or device.user[name]
        if "set_channel" in message:
            self._set_channel(message["set_channel"])
        config = message.get("set_config", {})
        if "lora" in config:
            device.lora.update(config["lora"])
            self._restart = True
        if "network" in config:
            self.network.update(config["network"])
            self._restart = True
        if "reboot_seconds" in message:
            self._restart = True

    def _set_channel(self, channel: Record) -> None:
        channels = self._device.channels
        index, settings = channel["index"], channel.get("settings", {})
        row = (settings.get("name", ""), settings.get("psk", b""))
        if channel["role"] == 0:
            if 0 < index < len(channels):
                del channels[index]
        elif index < len(channels):
            channels[index] = row
        elif index == len(channels) < 8:
            channels.append(row)
