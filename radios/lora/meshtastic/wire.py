"""The part of Meshtastic's protobuf messages that a node needs, as tables, and the codec that reads and writes them.

A message is a dict by field name. Decoding fills every plain field with its default; fields that say whether they are
there ("?" in the table: members of a oneof, submessages, optional ones) are in the dict only if they were sent. Unknown
fields are skipped. What comes from a device or from the air can only become a dict or one WireError; what we encode is
byte for byte what protobuf writes. Field numbers: Meshtastic's published Protobuf API reference; wire format:
protobuf.dev, Encoding. It never waits, and decides nothing.
"""

from __future__ import annotations

import math
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]

BYTES_MAX = 512  # of one ToRadio or FromRadio (the device's own limit)
_NUMBER_MAX = (1 << 29) - 1

U32, I32, BOOL, FIXED32, FLOAT, BYTES, TEXT, MESSAGE = range(8)
_KINDS = {"u32": U32, "enum": I32, "i32": I32, "bool": BOOL, "f32": FIXED32, "float": FLOAT, "bytes": BYTES,
          "text": TEXT}
_DEFAULTS: tuple[Any, ...] = (0, 0, False, 0, 0.0, b"", "")
_WIRE_TYPES = (0, 0, 0, 5, 5, 2, 2, 2)  # varint, varint, varint, 32 bit, 32 bit, length-delimited


class WireError(ValueError):
    """Input that is no such message. `reason`: a stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Field:
    """One row: number, name, kind, whether it has presence (`optional`), and the table of a submessage."""

    __slots__ = ("number", "name", "kind", "optional", "table", "tag")

    def __init__(self, number: int, name: str, kind: str | Table) -> None:
        self.number = number
        self.name = name.rstrip("?")
        self.table = kind if isinstance(kind, Table) else None
        self.kind = MESSAGE if isinstance(kind, Table) else _KINDS[kind]
        self.optional = name.endswith("?") or self.table is not None
        self.tag = _varint(number << 3 | _WIRE_TYPES[self.kind])


class Table:
    """One message type: its name and its fields by number and by name."""

    __slots__ = ("name", "fields", "by_number", "defaults")

    def __init__(self, name: str, *rows: tuple[int, str, str | Table]) -> None:
        self.name = name
        self.fields = [Field(*row) for row in sorted(rows, key=lambda row: row[0])]
        self.by_number = {field.number: field for field in self.fields}
        self.defaults = {field.name: _DEFAULTS[field.kind] for field in self.fields if not field.optional}


def encode(table: Table, record: Record) -> bytes:
    """The message as protobuf writes it: fields by number, defaults left out unless they have presence.

    Raises ValueError for a name that the table lacks or a value that its field can't hold.
    """
    out = bytearray()
    found = 0
    for field in table.fields:
        if field.name not in record:
            continue
        found += 1
        value = record[field.name]
        if not field.optional and not value and (field.kind != FLOAT or math.copysign(1, value) > 0):
            continue
        try:
            _put(out, field, value)
        except (TypeError, AttributeError, struct.error, OverflowError) as error:
            raise ValueError(f"{table.name}.{field.name}: {value!r} does not fit") from error
    if found != len(record):
        raise ValueError(f"{table.name} has no {', '.join(sorted(set(record) - {f.name for f in table.fields}))}")
    return bytes(out)


def decode(table: Table, data: bytes) -> Record:
    """The message in `data`, at most BYTES_MAX long. Raises WireError and nothing else."""
    if len(data) > BYTES_MAX:
        raise WireError("wire.too_long")
    record: Record = dict(table.defaults)
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        field = table.by_number.get(tag >> 3)
        if not 0 < tag >> 3 <= _NUMBER_MAX:
            raise WireError("wire.field")
        value, at = _take(data, at, tag & 7)
        if field is None:
            continue
        if tag & 7 != _WIRE_TYPES[field.kind]:
            raise WireError("wire.type")
        record[field.name] = _convert(field, value)
    return record


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _put(out: bytearray, field: Field, value: Any) -> None:
    kind = field.kind
    out += field.tag
    if kind in (U32, I32, BOOL):
        number = int(value)
        low, high = (-(1 << 31), (1 << 31) - 1) if kind == I32 else (0, 1 if kind == BOOL else (1 << 32) - 1)
        if number != value or not low <= number <= high:
            raise TypeError
        out += _varint(number & (1 << 64) - 1)
    elif kind == FIXED32:
        out += struct.pack("<I", value)
    elif kind == FLOAT:
        out += struct.pack("<f", value)
    else:
        if field.table is not None:
            data = encode(field.table, value)
        else:
            data = value.encode() if kind == TEXT else value
            if not isinstance(data, bytes):
                raise TypeError
        out += _varint(len(data))
        out += data


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                raise WireError("wire.varint")
            return value, at
        shift += 7
        if shift > 63:
            raise WireError("wire.varint")
    raise WireError("wire.truncated")


def _take(data: bytes, at: int, wire_type: int) -> tuple[Any, int]:
    """One raw value: an integer for a varint, else bytes."""
    if wire_type == 0:
        return _read_varint(data, at)
    if wire_type == 2:
        length, at = _read_varint(data, at)
    elif wire_type == 5:
        length = 4
    elif wire_type == 1:
        length = 8
    else:
        raise WireError("wire.type")
    if length > len(data) - at:
        raise WireError("wire.truncated")
    return data[at : at + length], at + length


def _convert(field: Field, value: Any) -> Any:
    kind = field.kind
    if kind == U32:
        if value >> 32:
            raise WireError("wire.range")
        return value
    if kind == I32:
        return (value & (1 << 32) - 1 ^ 1 << 31) - (1 << 31)
    if kind == BOOL:
        return value != 0
    if kind == FIXED32:
        return int.from_bytes(value, "little")
    if kind == FLOAT:
        number = struct.unpack("<f", value)[0]
        return number if math.isfinite(number) else 0.0
    if field.table is not None:
        return decode(field.table, value)
    return bytes(value).decode("utf-8", "replace") if kind == TEXT else bytes(value)


# --- packets

DATA = Table("Data", (1, "portnum", "enum"), (2, "payload", "bytes"), (3, "want_response", "bool"), (4, "dest", "f32"),
             (5, "source", "f32"), (6, "request_id", "f32"), (7, "reply_id", "f32"), (8, "emoji", "f32"),
             (9, "bitfield?", "u32"))
MESH_PACKET = Table("MeshPacket", (1, "from", "f32"), (2, "to", "f32"), (3, "channel", "u32"), (4, "decoded", DATA),
                    (5, "encrypted?", "bytes"), (6, "id", "f32"), (7, "rx_time", "f32"), (8, "rx_snr", "float"),
                    (9, "hop_limit", "u32"), (10, "want_ack", "bool"), (11, "priority", "enum"),
                    (12, "rx_rssi", "i32"), (14, "via_mqtt", "bool"), (15, "hop_start", "u32"),
                    (16, "public_key", "bytes"), (17, "pki_encrypted", "bool"), (18, "next_hop", "u32"),
                    (19, "relay_node", "u32"), (21, "transport_mechanism", "enum"))
ROUTING = Table("Routing", (3, "error_reason?", "enum"))
QUEUE_STATUS = Table("QueueStatus", (1, "res", "i32"), (2, "free", "u32"), (3, "maxlen", "u32"),
                     (4, "mesh_packet_id", "u32"))

# --- what a device says of itself and of others

USER = Table("User", (1, "id", "text"), (2, "long_name", "text"), (3, "short_name", "text"), (4, "macaddr", "bytes"),
             (5, "hw_model", "enum"), (6, "is_licensed", "bool"), (7, "role", "enum"), (8, "public_key", "bytes"),
             (9, "is_unmessagable?", "bool"))
DEVICE_METRICS = Table("DeviceMetrics", (1, "battery_level?", "u32"), (2, "voltage?", "float"),
                       (3, "channel_utilization?", "float"), (4, "air_util_tx?", "float"),
                       (5, "uptime_seconds?", "u32"))
LOCAL_STATS = Table("LocalStats", (1, "uptime_seconds", "u32"), (2, "channel_utilization", "float"),
                    (3, "air_util_tx", "float"))
TELEMETRY = Table("Telemetry", (1, "time", "f32"), (2, "device_metrics", DEVICE_METRICS),
                  (6, "local_stats", LOCAL_STATS))
NODE_INFO = Table("NodeInfo", (1, "num", "u32"), (2, "user", USER), (4, "snr", "float"), (5, "last_heard", "f32"),
                  (6, "device_metrics", DEVICE_METRICS), (7, "channel", "u32"), (9, "hops_away?", "u32"))
MY_INFO = Table("MyNodeInfo", (1, "my_node_num", "u32"), (8, "reboot_count", "u32"), (11, "min_app_version", "u32"),
                (12, "device_id", "bytes"), (13, "pio_env", "text"), (15, "nodedb_count", "u32"))
METADATA = Table("DeviceMetadata", (1, "firmware_version", "text"), (2, "device_state_version", "u32"),
                 (7, "role", "enum"), (9, "hw_model", "enum"), (11, "hasPKC", "bool"))
CHANNEL_SETTINGS = Table("ChannelSettings", (2, "psk", "bytes"), (3, "name", "text"), (4, "id", "f32"))
CHANNEL = Table("Channel", (1, "index", "i32"), (2, "settings", CHANNEL_SETTINGS), (3, "role", "enum"))
LORA_CONFIG = Table("LoRaConfig", (1, "use_preset", "bool"), (2, "modem_preset", "enum"), (3, "bandwidth", "u32"),
                    (4, "spread_factor", "u32"), (5, "coding_rate", "u32"), (6, "frequency_offset", "float"),
                    (7, "region", "enum"), (8, "hop_limit", "u32"), (9, "tx_enabled", "bool"), (10, "tx_power", "i32"),
                    (11, "channel_num", "u32"), (12, "override_duty_cycle", "bool"),
                    (14, "override_frequency", "float"))
DEVICE_CONFIG = Table("DeviceConfig", (1, "role", "enum"), (6, "rebroadcast_mode", "enum"),
                      (7, "node_info_broadcast_secs", "u32"))
NETWORK_CONFIG = Table("NetworkConfig", (1, "wifi_enabled", "bool"), (6, "eth_enabled", "bool"),
                       (10, "enabled_protocols", "u32"))
CONFIG = Table("Config", (1, "device", DEVICE_CONFIG), (4, "network", NETWORK_CONFIG), (6, "lora", LORA_CONFIG))
CLIENT_NOTIFICATION = Table("ClientNotification", (1, "reply_id?", "u32"), (2, "time", "f32"), (3, "level", "enum"),
                            (4, "message", "text"))

# --- the stream between device and client

HEARTBEAT = Table("Heartbeat", (1, "nonce", "u32"))
TO_RADIO = Table("ToRadio", (1, "packet", MESH_PACKET), (3, "want_config_id?", "u32"), (4, "disconnect?", "bool"),
                 (7, "heartbeat", HEARTBEAT))
FROM_RADIO = Table("FromRadio", (1, "id", "u32"), (2, "packet", MESH_PACKET), (3, "my_info", MY_INFO),
                   (4, "node_info", NODE_INFO), (5, "config", CONFIG), (7, "config_complete_id?", "u32"),
                   (8, "rebooted?", "bool"), (10, "channel", CHANNEL), (11, "queueStatus", QUEUE_STATUS),
                   (13, "metadata", METADATA), (16, "clientNotification", CLIENT_NOTIFICATION))
