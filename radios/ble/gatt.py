"""The GATT service by which nodes, leaves and phones talk over Bluetooth LE, and what it says of itself before that.

Pure: numbers and bytes, no radio. The central writes to IN and is notified by OUT; fragments of both are made in
radios/ble/fragments.py. INFO is read before anything else; nobody has signed it, so it is a hint: the handshake proves
who it is. docs/PROTOCOL.md section 16.

    INFO    CBOR {1: [lowest, highest] version, 2: key of the node, 3: longest record, 4: window, 5: features}
"""

from __future__ import annotations

from edge.core import cbor, limits, noise
from edge.core.cbor import CodecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SERVICE = "1d3d3050-9695-4f46-8c7b-1303e49feeb0"
IN = "1d3d3051-9695-4f46-8c7b-1303e49feeb0"  # write, write without response
OUT = "1d3d3052-9695-4f46-8c7b-1303e49feeb0"  # notify
INFO = "1d3d3053-9695-4f46-8c7b-1303e49feeb0"  # read

VERSION = 1
FRAME_BYTES_MAX = 4096  # a longer record would keep an alert waiting behind it
RECORD_BYTES_MAX = FRAME_BYTES_MAX + noise.TAG_BYTES
WINDOW_BYTES = 8192  # on their way and not acknowledged: stacks swallow what they are given, without back-pressure
INFO_BYTES_MAX = 512  # the longest attribute there is

CLOSED = 1  # features: there is a community key
PAGE = 2  # it answers for its page, and so takes guests: those who have not got the community key

if WINDOW_BYTES < 2 * RECORD_BYTES_MAX - 2 * noise.TAG_BYTES or FRAME_BYTES_MAX < limits.MTU_BYTES_MIN:
    raise ValueError("gatt: the window must hold two frames, and a frame a link's smallest MTU")


class Info:
    """What INFO says: versions (lowest, highest), key, record_bytes_max, window_bytes, features."""

    __slots__ = ("versions", "key", "record_bytes_max", "window_bytes", "features")

    def __init__(self, versions: tuple[int, int], key: bytes, record_bytes_max: int, window_bytes: int,
                 features: int) -> None:
        self.versions = versions
        self.key = key
        self.record_bytes_max = record_bytes_max
        self.window_bytes = window_bytes
        self.features = features


def pack_info(key: bytes, features: int) -> bytes:
    """The value of INFO of a node with this key (32 bytes)."""
    value: bytes = cbor.encode({1: [VERSION, VERSION], 2: key, 3: RECORD_BYTES_MAX, 4: WINDOW_BYTES, 5: features})
    return value


def unpack_info(data: bytes) -> Info:
    """What another node says of itself; keys that are not known are ignored.

    Raises CodecError: cbor.* or ble.info where it is malformed, ble.version where no version suits.
    """
    if len(data) > INFO_BYTES_MAX:
        raise CodecError("ble.info")
    value: Any = cbor.decode(data)
    if not isinstance(value, dict):
        raise CodecError("ble.info")
    fields: list[Any] = [value.get(n) for n in range(1, 6)]
    versions, key, record_bytes, window_bytes, features = fields
    pair = isinstance(versions, list) and len(versions) == 2 and all(_is_number(one) for one in versions)
    if not (pair and isinstance(key, bytes) and len(key) == 32 and _is_number(features)):
        raise CodecError("ble.info")
    if not (_is_number(record_bytes) and _is_number(window_bytes)):
        raise CodecError("ble.info")
    if versions[0] > VERSION or versions[1] < VERSION:
        raise CodecError("ble.version")
    if record_bytes < noise.HANDSHAKE_BYTES_MAX or window_bytes < record_bytes:
        raise CodecError("ble.info")
    return Info((versions[0], versions[1]), key, record_bytes, window_bytes, features)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32
