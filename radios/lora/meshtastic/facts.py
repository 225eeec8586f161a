"""What Meshtastic has settled: ports, error codes, presets, regions, channel keys and frequency slots, as data.

It turns a device's LoRa settings into the Phy that airtime is counted with, and a channel's name and key into what is
on the air. It decides nothing and never waits. Sources: Meshtastic's published documentation (LoRa configuration,
region table, channel configuration, Protobuf API reference); JP as in firmware 2.7.26.
"""

from __future__ import annotations

from radios.lora.meshtastic.wire import DATA, encode
from radios.lora.modem import Phy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from radios.lora.meshtastic.wire import Record

EVERYBODY = 0xFFFFFFFF
HEADER_BYTES = 16  # to, from, id, flags, channel hash, next hop, relay
PACKET_BYTES_MAX = 255
PREAMBLE = 16
SYNC_WORD = 0x2B
PKI_BYTES = 12  # tag and extra nonce of a direct message
FRAME_BYTES_MAX = 231  # PRIVATE_APP: 255 - 16 - (port 3, length 3, bitfield 2)
TEXT_BYTES_MAX = 232  # the port takes a byte less
OVERHEAD_BYTES = PACKET_BYTES_MAX - FRAME_BYTES_MAX
HOPS_MAX = 7

PORT_TEXT, PORT_POSITION, PORT_NODEINFO, PORT_ROUTING, PORT_ADMIN = 1, 3, 4, 5, 6
PORT_WAYPOINT, PORT_ALERT, PORT_TELEMETRY, PORT_TRACEROUTE, PORT_PRIVATE = 8, 11, 67, 70, 256

PRIORITY_DEFAULT, PRIORITY_RELIABLE, PRIORITY_HIGH, PRIORITY_ALERT, PRIORITY_ACK = 64, 70, 100, 110, 120

ERROR_NONE, ERROR_MAX_RETRANSMIT, ERROR_NO_CHANNEL, ERROR_TOO_LARGE, ERROR_DUTY_CYCLE = 0, 5, 6, 7, 9
ERROR_QUEUE_FULL = 32  # as `res`; as a routing error the same number says BAD_REQUEST
ERROR_UNKNOWN_SENDER_KEY, ERROR_RATE_LIMIT, ERROR_UNKNOWN_KEY = 35, 38, 39

# `res` of a QueueStatus that no routing error follows: the device's own errors
RES_REASONS = {32: "queue_full", 33: "tx_failed", 34: "tx_failed"}
ROUTING_REASONS = {1: "no_route", 2: "nak", 3: "no_ack", 4: "no_region", 5: "no_ack", 6: "no_channel", 7: "too_large",
                   8: "no_ack", 9: "duty_cycle", 32: "tx_failed", 33: "tx_failed", 34: "key_unknown",
                   35: "key_unknown", 38: "rate_limited", 39: "key_unknown"}

PRESETS: dict[int, tuple[str, int, int, int]] = {  # name, sf, bw_hz, cr_den
    0: ("LongFast", 11, 250000, 5), 1: ("LongSlow", 12, 125000, 8), 2: ("VLongSlow", 12, 62500, 8),
    3: ("MediumSlow", 10, 250000, 5), 4: ("MediumFast", 9, 250000, 5), 5: ("ShortSlow", 8, 250000, 5),
    6: ("ShortFast", 7, 250000, 5), 7: ("LongMod", 11, 125000, 8), 8: ("ShortTurbo", 7, 500000, 5),
    9: ("LongTurbo", 11, 500000, 8), 10: ("LiteFast", 9, 125000, 5), 11: ("LiteSlow", 10, 125000, 5),
    12: ("NarrowFast", 7, 62500, 6), 13: ("NarrowSlow", 8, 62500, 6),
}
CUSTOM_BW_HZ = {31: 31250, 62: 62500, 200: 203125, 400: 406250, 800: 812500, 1600: 1625000}
WIDE_BW_HZ = {125000: 406250, 250000: 812500, 500000: 1625000}  # 2.4 GHz

REGIONS: dict[int, tuple[str, int, int]] = {  # name, band in kHz
    1: ("US", 902000, 928000), 2: ("EU_433", 433000, 434000), 3: ("EU_868", 869400, 869650),
    4: ("CN", 470000, 510000), 5: ("JP", 920500, 923500), 6: ("ANZ", 915000, 928000), 7: ("KR", 920000, 923000),
    8: ("TW", 920000, 925000), 9: ("RU", 868700, 869200), 10: ("IN", 865000, 867000), 11: ("NZ_865", 864000, 868000),
    12: ("TH", 920000, 925000), 13: ("LORA_24", 2400000, 2483500), 14: ("UA_433", 433000, 434700),
    15: ("UA_868", 868000, 868600), 16: ("MY_433", 433000, 435000), 17: ("MY_919", 919000, 924000),
    18: ("SG_923", 917000, 925000), 19: ("PH_433", 433000, 434700), 20: ("PH_868", 868000, 869400),
    21: ("PH_915", 915000, 918000), 22: ("ANZ_433", 433050, 434790), 23: ("KZ_433", 433075, 434775),
    24: ("KZ_863", 863000, 868000), 25: ("NP_865", 865000, 868000), 26: ("BR_902", 902000, 907500),
    29: ("EU_866", 865600, 867600),
}

_DEFAULT_KEY = bytes.fromhex("d4f1bb3a20290759f0bcffabcf4e6901")  # published; "AQ==" stands for it


def region_name(code: int) -> str:
    """The region's name as Meshtastic writes it; "" when it is not set, "region_34" when this table is older."""
    if code == 0:
        return ""
    return REGIONS[code][0] if code in REGIONS else f"region_{code}"


def preset_name(lora: Record) -> str:
    """The preset's name, which an unnamed channel has too; "Custom" without one."""
    row = PRESETS.get(lora["modem_preset"])
    return row[0] if lora["use_preset"] and row is not None else "Custom"


def phy_of(lora: Record, channel_name: str) -> Phy | None:
    """The radio settings of a LoRaConfig. channel_name: the primary channel's, "" an unnamed one, which decides the
    frequency slot. freq_hz is 0 for a region that this table lacks; None for settings that are no LoRa."""
    name, low_khz, high_khz = REGIONS.get(lora["region"], ("", 0, 0))
    row = PRESETS.get(lora["modem_preset"])
    if lora["use_preset"] and row is None:
        return None
    if lora["use_preset"] and row is not None:
        _, sf, bw_hz, cr_den = row
        bw_hz = WIDE_BW_HZ.get(bw_hz, bw_hz) if name == "LORA_24" else bw_hz
    else:
        sf, cr_den = lora["spread_factor"] or 11, lora["coding_rate"] or 5
        bw_hz = CUSTOM_BW_HZ.get(lora["bandwidth"], lora["bandwidth"] * 1000) or 250000
    phy = Phy(0, bw_hz, sf, cr_den, PREAMBLE, OVERHEAD_BYTES)
    try:
        phy.airtime_us(FRAME_BYTES_MAX)
    except ValueError:
        return None
    if 100 < lora["override_frequency"] < 3000:
        phy.freq_hz = round(lora["override_frequency"] * 1000000)
    elif name:
        slots = max((high_khz - low_khz) * 1000 // bw_hz, 1)
        slot = (lora["channel_num"] - 1 if lora["channel_num"] else _djb2(channel_name or preset_name(lora))) % slots
        phy.freq_hz = low_khz * 1000 + bw_hz // 2 + slot * bw_hz
    return phy


def expand_key(psk: bytes) -> bytes:
    """The channel key of a setting: empty none, one byte 1..255 a variant of the published key, else 16 or 32 bytes.

    Shorter ones are filled with zeros, as the devices do. Raises ValueError for more than 32 bytes.
    """
    if len(psk) == 1:
        return b"" if psk == b"\0" else _DEFAULT_KEY[:-1] + bytes([_DEFAULT_KEY[-1] + psk[0] - 1 & 255])
    if len(psk) > 32:
        raise ValueError(f"a channel key has at most 32 bytes, not {len(psk)}")
    return psk.ljust(16 if len(psk) <= 16 else 32, b"\0") if psk else b""


def channel_hash(name: str, key: bytes) -> int:
    """The byte that names a channel on the air. name: never ""; key: as `expand_key` gives it."""
    out = 0
    for byte in name.encode() + key:
        out ^= byte
    return out


def crypt(key: bytes, sender: int, packet_id: int, data: bytes) -> bytes:
    """Encrypt or decrypt a channel's payload; there is no integrity in it."""
    if not key:
        return data
    from radios.lora.meshtastic.aes import ctr  # whoever has a device needs none

    return ctr(key, packet_id.to_bytes(8, "little") + sender.to_bytes(4, "little") + bytes(4), data)


def packet_bytes(packet: Record) -> int:
    """What a packet with `decoded` is on the air, header included; a device adds the bitfield to it."""
    data = encode(DATA, {**packet["decoded"], "bitfield": 1})
    return HEADER_BYTES + len(data) + (PKI_BYTES if packet["to"] != EVERYBODY else 0)


def _djb2(name: str) -> int:
    out = 5381
    for byte in name.encode():
        out = out * 33 + byte & 0xFFFFFFFF
    return out
