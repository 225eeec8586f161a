"""The frames of the bus: CBOR lists, one a link frame of kind BUS. PROTOCOL 10.

    [1 CALL, call_id, "name@major.minor", params, deadline_ms]   on the control socket ?to: a node key
    [2 ITEM, call_id, value]              one item of a stream
    [3 END, call_id, value]               the answer; null when items came before it
    [4 ERROR, call_id, code, message, ?{"where", "allowed", "hint"}]
    [5 CANCEL, call_id]                   the caller gave up
    [6 OFFER, ["name@1.0", ...]]          what the receiver may call here
    [7 ASK_OFFER]
    [8 MORE, call_id, n]                  room for n items more; a stream starts with room for WINDOW

It says whether a frame has its form and no more than that: `unpack` raises CodecError, never anything else.
"""

from __future__ import annotations

from edge.core import cbor, limits
from edge.core.cbor import CodecError
from edge.errors import BUS_ERRORS, BadRequest, BusError, CapacityExceeded, WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL, ITEM, END, ERROR, CANCEL, OFFER, ASK_OFFER, MORE = range(1, 9)

CALL_ID_MAX = 2**32 - 1
DEADLINE_MS_MAX = 600_000
WINDOW = 16  # items of a stream that may be on their way
OFFERS_MAX = 256
PAYLOAD_BYTES_MAX = limits.FRAME_BYTES_MAX - 1  # the kind byte goes before it
LOCAL_BYTES_MAX = 1 << 20  # one frame on the control socket
CODE_CHARS_MAX = 64
MESSAGE_CHARS_MAX = 400
_DETAILS = ("where", "allowed", "hint")


def pack(frame: list[Any], bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
    """The frame as bytes. Raises BadRequest for a call that can't be carried, CapacityExceeded for an answer."""
    is_call = frame[0] == CALL
    try:
        data: bytes = cbor.encode(frame)
    except (TypeError, ValueError) as error:
        if is_call:
            raise BadRequest(f"the parameters can't be carried: {error}", allowed="null, true, false, integers of "
                             "64 bits, text, bytes, and lists and maps of these, 7 deep") from None
        raise BusError(f"the answer can't be carried: {error}") from None
    if len(data) <= bytes_max:
        return data
    if is_call:
        raise BadRequest(f"the parameters take {len(data)} bytes with their head", allowed=f"{bytes_max} bytes",
                         hint="send less at once")
    raise CapacityExceeded(f"the answer takes {len(data)} bytes", allowed=f"{bytes_max} bytes",
                           hint="ask for less at once")


def unpack(payload: bytes, bytes_max: int = PAYLOAD_BYTES_MAX) -> list[Any]:
    """The frame that these bytes are, its form checked, ERROR with all five items. Raises CodecError."""
    if len(payload) > bytes_max:
        raise CodecError("bus.size")
    frame: Any = cbor.decode(payload)
    if type(frame) is not list or not frame or type(frame[0]) is not int:
        raise CodecError("bus.form")
    kind = frame[0]
    if not CALL <= kind <= MORE:
        raise CodecError("bus.kind")
    least, most = _LENGTHS[kind]
    if not least <= len(frame) <= most:
        raise CodecError("bus.form")
    if kind < OFFER or kind == MORE:
        _uint(frame[1], 0, CALL_ID_MAX)
    _CHECKS[kind](frame)
    return frame


def error_frame(call_id: int, error: BusError) -> list[Any]:
    """The ERROR frame that says `error`."""
    details = {name: getattr(error, name)[:MESSAGE_CHARS_MAX] for name in _DETAILS if getattr(error, name)}
    frame = [ERROR, call_id, error.code, error.message[:MESSAGE_CHARS_MAX]]
    return [*frame, details] if details else frame


def to_error(code: str, message: str, details: dict[str, str]) -> BusError:
    """The error of an ERROR frame; a code that this version does not know makes a BusError that keeps it."""
    error = BUS_ERRORS.get(code, BusError)(message, **details)
    if code not in BUS_ERRORS:
        error.code = code
    return error


def bus_error(error: Exception) -> BusError:
    """Any exception of a capability as what the caller gets: a fault of the code itself says nothing of its inside."""
    if isinstance(error, BusError):
        return error
    if isinstance(error, WaypostError):
        return to_error(error.code, error.message, {name: getattr(error, name) for name in _DETAILS})
    return BusError("something went wrong in the node", hint="its log says more")


def _uint(value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise CodecError("bus.form")


def _check_call(frame: list[Any]) -> None:
    _uint(frame[4], 1, CALL_ID_MAX)
    params = frame[3]
    if type(frame[2]) is not str or type(params) is not dict or any(type(key) is not str for key in params):
        raise CodecError("bus.form")
    if len(frame) > 5 and (type(frame[5]) is not bytes or len(frame[5]) != 32):
        raise CodecError("bus.form")


def _check_error(frame: list[Any]) -> None:
    if len(frame) == 4:
        frame.append({})
    code, message, details = frame[2:]
    if type(code) is not str or type(message) is not str or type(details) is not dict:
        raise CodecError("bus.form")
    if not 0 < len(code) <= CODE_CHARS_MAX:
        raise CodecError("bus.form")
    frame[3] = message[:MESSAGE_CHARS_MAX]
    frame[4] = {name: details[name][:MESSAGE_CHARS_MAX] for name in _DETAILS if type(details.get(name)) is str}


def _check_offer(frame: list[Any]) -> None:
    names = frame[1]
    if type(names) is not list or len(names) > OFFERS_MAX or any(type(name) is not str for name in names):
        raise CodecError("bus.form")


def _check_more(frame: list[Any]) -> None:
    _uint(frame[2], 1, WINDOW)


def _any(frame: list[Any]) -> None:
    pass


_LENGTHS = {CALL: (5, 6), ITEM: (3, 3), END: (3, 3), ERROR: (4, 5), CANCEL: (2, 2), OFFER: (2, 2), ASK_OFFER: (1, 1),
            MORE: (3, 3)}
_CHECKS = {CALL: _check_call, ITEM: _any, END: _any, ERROR: _check_error, CANCEL: _any, OFFER: _check_offer,
           ASK_OFFER: _any, MORE: _check_more}
