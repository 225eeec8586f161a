"""Where something is, as people write it and as it goes over the wire: degrees, circles, geohashes. PROTOCOL 18.2.

Degrees are whole millionths here (microdegrees), distances metres. A circle on the wire is 8 bytes: latitude and
longitude in 2^24 parts of 180 and 360 degrees, and a radius that is never smaller than meant. Distances and
shapes are in edge/core/sphere.py.

    circle     lat u24 | lon u24 | radius u16      radius: units of 10 m; with the highest bit set, of 1 km
"""

CIRCLE_BYTES = 8
RADIUS_M_MAX = 20100000  # half around the Earth

_MILLION = 1000000
_PARTS = 1 << 24
_FAR_UNIT_M = 1000
_NEAR_UNIT_M = 10
_FAR = 0x8000
_HASH = "0123456789bcdefghjkmnpqrstuvwxyz"


def degrees(text):
    """(lat, lon) in microdegrees of "LAT,LON" in decimal degrees, as CAP and people write it. Raises ValueError."""
    lat, comma, lon = text.partition(",")
    found = (_micro(lat.strip()), _micro(lon.strip())) if comma else (None, None)
    if found[0] is None or found[1] is None or abs(found[0]) > 90 * _MILLION or abs(found[1]) > 180 * _MILLION:
        raise ValueError("not LAT,LON in degrees: %s" % text[:40])
    return found


def metres(text):
    """Metres (rounded up) of a number of kilometres in decimal. Raises ValueError."""
    micro = _micro(text.strip())
    if micro is None or not 0 <= micro <= RADIUS_M_MAX * 1000:
        raise ValueError("not a number of kilometres: %s" % text[:40])
    return -(-micro // 1000)


def show(lat, lon):
    """Microdegrees as "LAT,LON"; `degrees` of that gives the same."""
    return _decimal(lat) + "," + _decimal(lon)


def kilometres(metres):
    """Metres as kilometres, in decimal."""
    return _short("%d.%03d" % (metres // 1000, metres % 1000))


def pack_circle(lat, lon, radius_m):
    """The 8 bytes of a circle; its radius is rounded up, its centre to about a metre."""
    if radius_m <= _NEAR_UNIT_M * (_FAR - 1):
        radius = -(-radius_m // _NEAR_UNIT_M)
    else:
        radius = _FAR | min(-(-radius_m // _FAR_UNIT_M), _FAR - 1)
    return (_part(lat + 90 * _MILLION, 180).to_bytes(3, "big") + _part(lon + 180 * _MILLION, 360).to_bytes(3, "big")
            + radius.to_bytes(2, "big"))


def unpack_circle(data):
    """(lat, lon, radius_m) of 8 bytes."""
    radius = int.from_bytes(data[6:], "big")
    unit = _FAR_UNIT_M if radius & _FAR else _NEAR_UNIT_M
    return (_whole(int.from_bytes(data[:3], "big"), 180) - 90 * _MILLION,
            _whole(int.from_bytes(data[3:6], "big"), 360) - 180 * _MILLION, (radius & ~_FAR) * unit)


def is_geohash(text):
    """Whether a text can be a geohash."""
    return 0 < len(text) <= 12 and not [one for one in text if one not in _HASH]


def geohash(lat, lon, length):
    """The geohash of a place, of so many letters."""
    bounds = [[-180 * _MILLION << 30, 180 * _MILLION << 30], [-90 * _MILLION << 30, 90 * _MILLION << 30]]
    where = (lon << 30, lat << 30)
    out = []
    bits = 0
    for i in range(5 * length):
        low, high = bounds[i % 2]
        middle = (low + high) // 2
        upper = where[i % 2] >= middle
        bounds[i % 2] = [middle, high] if upper else [low, middle]
        bits = bits << 1 | upper
        if i % 5 == 4:
            out.append(_HASH[bits & 31])
    return "".join(out)


def _micro(text):
    """Millionths of a decimal number, or None where it is none."""
    sign = -1 if text[:1] == "-" else 1
    whole, _dot, part = (text[1:] if text[:1] in ("-", "+") else text).partition(".")
    digits = whole + part
    if not digits or len(whole) > 6 or len(part) > 20 or [one for one in digits if one not in "0123456789"]:
        return None
    return sign * (int(whole or "0") * _MILLION + int((part + "000000")[:6]))


def _decimal(micro):
    return _short("%s%d.%06d" % ("-" if micro < 0 else "", abs(micro) // _MILLION, abs(micro) % _MILLION))


def _short(text):
    while text[-1] == "0" and text[-2] != ".":
        text = text[:-1]
    return text


def _part(micro, span):
    return min((micro * _PARTS + span * _MILLION // 2) // (span * _MILLION), _PARTS - 1)


def _whole(part, span):
    return (part * span * _MILLION + _PARTS // 2) // _PARTS
