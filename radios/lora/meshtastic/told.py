"""What a Meshtastic device has said of itself: its number, name, firmware, channels, LoRa settings, queue, channel use.

Fed with FromRadio records, asked for facts; it never waits and sends nothing. The hello of a device (Meshtastic's
client API) fills it; later records keep it up to date.
"""

from __future__ import annotations

import re

from radios.lora.meshtastic import facts, wire
from radios.lora.modem import Signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.lora.meshtastic.wire import Record
    from radios.lora.modem import Phy

_MINUTES = re.compile(r"\b(\d{1,4}) ?min")
_NAME_MAX = 60


class Told:
    """The device's side of the story. Fields are empty until it has told them."""

    def __init__(self) -> None:
        self.my_num = 0
        self.firmware = ""
        self.user: Record = {}
        self.lora: Record = {}
        self.channels: dict[int, Record] = {}
        self.free = 0  # places in its queue, of
        self.places = 0
        self.utilisation_percent: int | None = None
        self.air_tx_percent: int | None = None
        self.notice = ""  # its last words to a person
        self.notices = 0

    def take(self, record: Record) -> None:
        """One FromRadio record that is not a packet."""
        if "my_info" in record:
            self.my_num = record["my_info"]["my_node_num"]
        elif "metadata" in record:
            self.firmware = record["metadata"]["firmware_version"][:_NAME_MAX]
        elif "node_info" in record:
            info = record["node_info"]
            if info["num"] == self.my_num:
                self.user = info.get("user", self.user)
                self._metrics(info.get("device_metrics", {}))
        elif "config" in record:
            self.lora = record["config"].get("lora", self.lora)
        elif "channel" in record:
            index = record["channel"]["index"]
            if 0 <= index < 8:
                self.channels[index] = record["channel"]
        elif "queueStatus" in record:
            self.free, self.places = record["queueStatus"]["free"], record["queueStatus"]["maxlen"]
        elif "clientNotification" in record:
            self.notice = record["clientNotification"]["message"][:200]
            self.notices += 1

    def telemetry(self, payload: bytes) -> bool:
        """Telemetry of our own device; True when the channel use has changed."""
        before = self.utilisation_percent
        try:
            record = wire.decode(wire.TELEMETRY, payload)
        except wire.WireError:
            return False
        self._metrics(record.get("device_metrics") or record.get("local_stats") or {})
        return before != self.utilisation_percent

    def _metrics(self, metrics: Record) -> None:
        if "channel_utilization" in metrics:
            self.utilisation_percent = max(0, min(100, round(metrics["channel_utilization"])))
        if "air_util_tx" in metrics:
            self.air_tx_percent = max(0, min(100, round(metrics["air_util_tx"])))

    # --- facts

    @property
    def waiting(self) -> int:
        """Packets that wait in the device; 0: what was handed in last has at least begun."""
        return max(self.places - self.free, 0)

    def region(self) -> str:
        """The region's name, "" while it is not set."""
        return facts.region_name(self.lora["region"]) if self.lora else ""

    def phy(self) -> Phy | None:
        """The radio settings, None before they are known."""
        primary = self.channels.get(0, {}).get("settings", {})
        return facts.phy_of(self.lora, primary.get("name", "")) if self.lora else None

    def hop_limit(self) -> int:
        """How far packets go by the device's own settings, 0..7."""
        return min(self.lora["hop_limit"], facts.HOPS_MAX) if self.lora else 3

    def channel_name(self, index: int) -> str:
        """A channel's name; an unnamed one is called like the preset."""
        name: str = self.channels.get(index, {}).get("settings", {}).get("name", "")
        return name or (facts.preset_name(self.lora) if self.lora else "")

    def channel_index(self, name: str) -> int | None:
        """The index of a channel that is on, "" the primary one; None if there is none."""
        for index in sorted(self.channels):
            if self.channels[index]["role"] and (self.channel_name(index) == name or not name):
                return index
        return None

    def notice_ms(self) -> int | None:
        """The waiting time that its last words name, in ms."""
        found = _MINUTES.search(self.notice)
        return int(found.group(1)) * 60000 if found else None

    def name(self) -> str:
        """Its name, as its owner gave it."""
        return str(self.user.get("long_name", ""))[:_NAME_MAX]


def signal_of(packet: Record) -> Signal:
    """How a packet was heard, with how many hops it took. Unknown is None, as is the signal of what came by MQTT."""
    hops: int | None = packet["hop_start"] - packet["hop_limit"]
    old = packet["hop_start"] == 0 and "bitfield" not in packet.get("decoded", {})  # its sender does not tell
    if hops is not None and (old or not 0 <= hops <= facts.HOPS_MAX):
        hops = None
    heard = not packet["via_mqtt"] and -200 < packet["rx_rssi"] < 0
    snr_qdb = round(max(-32.0, min(32.0, packet["rx_snr"])) * 4)
    return Signal(packet["rx_rssi"] if heard else None, snr_qdb if heard else None, hops,
                  packet["from"].to_bytes(4, "big"))


def node_id(number: int) -> str:
    """A node's number as Meshtastic writes it: !9ea2f3c4."""
    return f"!{number:08x}"
