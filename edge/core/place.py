"""Where something is, in whole numbers: circles, polygons, geohashes and names, and whether a place lies in them.

Degrees are millionths (microdegrees), distances metres. Sines come from a table of our own making, for the core has no
floats: right to a metre between places in one country, to a thousandth between any two. A circle on the wire is 8
bytes: latitude and longitude in 2^24 parts of 180 and 360 degrees, and a radius that is never less than what was meant.
PROTOCOL 18.2.

    circle     lat u24 | lon u24 | radius u16      radius: units of 10 m; with the highest bit set, of 1 km
"""

CIRCLE_BYTES = 8
RADIUS_M_MAX = 20100000  # half around the Earth

_MILLION = 1000000
_PARTS = 1 << 24
_ONE = 1 << 30  # of sines and of vectors of length one
_PI = 3373259426  # of _ONE
_EARTH_M = 6371009  # mean radius, IUGG
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


def pack_circle(lat, lon, radius_m):
    """The 8 bytes of a circle; its radius is rounded up, and grows by what rounding the centre may cost."""
    if radius_m:
        radius_m += 3
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


def within(lat, lon, other_lat, other_lon, radius_m):
    """Whether two places are at most so many metres apart."""
    return _apart(_vector(lat, lon), _vector(other_lat, other_lon)) <= _chord(radius_m)


def covering(corners):
    """(lat, lon, radius_m) of a circle around all of these [(lat, lon), ...], at least one."""
    lats = [lat for lat, _lon in corners]
    first = corners[0][1]
    lons = [_wrap(lon - first) for _lat, lon in corners]  # so that a shape across the date line stays one
    lat = (min(lats) + max(lats)) // 2
    lon = _wrap(first + (min(lons) + max(lons)) // 2)
    centre = _vector(lat, lon)
    far = max([_apart(centre, _vector(*corner)) for corner in corners])
    low = 0
    high = RADIUS_M_MAX
    while low < high:
        middle = (low + high) // 2
        if _chord(middle) >= far:
            high = middle
        else:
            low = middle + 1
    return lat, lon, low


def inside(lat, lon, corners):
    """Whether a place lies in the polygon of these corners [(lat, lon), ...]; its edge may count as either."""
    odd = False
    lat_a, lon_a = corners[-1]
    east_a = _wrap(lon_a - lon)
    for lat_b, lon_b in corners:
        east_b = east_a + _wrap(lon_b - lon_a)  # the shape unrolled, so that it stays whole across the date line
        if (lat_a > lat) != (lat_b > lat):
            # this side crosses our latitude; east of us?
            at = east_a * (lat_b - lat_a) + (lat - lat_a) * (east_b - east_a)
            if (at > 0) == (lat_b > lat_a):
                odd = not odd
        lat_a, lon_a, east_a = lat_b, lon_b, east_b
    return odd


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


def names_match(wanted, name):
    """Whether one of the names `wanted` (a list) is `name`, or stands in it as words of their own."""
    text = _words(name)
    for one in wanted:
        words = _words(one)
        if words.strip() and words in text:
            return True
    return False


def _words(text):
    """Small letters and figures with one space around each word."""
    out = [" "]
    for letter in text.lower():
        if letter.isalpha() or letter.isdigit() or ord(letter) > 127:
            out.append(letter)
        elif out[-1] != " ":
            out.append(" ")
    if out[-1] != " ":
        out.append(" ")
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
    text = "%s%d.%06d" % ("-" if micro < 0 else "", abs(micro) // _MILLION, abs(micro) % _MILLION)
    while text[-1] == "0" and text[-2] != ".":
        text = text[:-1]
    return text


def _part(micro, span):
    return min((micro * _PARTS + span * _MILLION // 2) // (span * _MILLION), _PARTS - 1)


def _whole(part, span):
    return (part * span * _MILLION + _PARTS // 2) // _PARTS


def _wrap(micro):
    """A difference of longitudes, the short way around."""
    return (micro + 180 * _MILLION) % (360 * _MILLION) - 180 * _MILLION


def _sine(micro):
    """The sine of an angle, of _ONE; error below 10."""
    micro = _wrap(micro)
    sign = 1
    if micro < 0:
        micro = -micro
        sign = -1
    if micro > 90 * _MILLION:
        micro = 180 * _MILLION - micro
    angle = micro * _PI // (180 * _MILLION)
    square = angle * angle >> 30
    term = angle
    total = angle
    for n in (6, 20, 42, 72, 110, 156):  # 2*3, 4*5, 6*7, ...
        term = -((term * square >> 30) // n)
        total += term
    return sign * total


def _vector(lat, lon):
    level = _sine(90 * _MILLION - abs(lat))
    return level * _sine(lon + 90 * _MILLION) >> 30, level * _sine(lon) >> 30, _sine(lat)


def _apart(a, b):
    """The square of the straight line between two vectors."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2


def _chord(distance_m):
    """The square of the straight line that so many metres along the ground make."""
    half = distance_m * 180 * _MILLION * _ONE // (2 * _EARTH_M * _PI)
    return (2 * _sine(half)) ** 2
