"""Distances and shapes on the Earth in whole numbers: within so many metres, around a shape, inside a polygon.

Degrees are whole millionths (microdegrees). The Earth is a sphere of radius 6,371,009 m (the IUGG's mean), and a
distance the straight line through it that two places make: right to a metre in one country, to two parts in ten
thousand between any two. Sines are sums of their series, for the core has no floats. PROTOCOL 18.2.
"""

from edge.core.place import RADIUS_M_MAX, kilometres, show

_MILLION = 1000000
_ONE = 1 << 30  # of sines and of vectors of length one
_PI = 3373259426  # of _ONE
_EARTH_M = 6371009


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


def said(lat, lon, radius_m):
    """A circle in words, its centre to about a hundred metres: "5.0 km around 52.01,4.36"."""
    near = [(micro + 500) // 1000 * 1000 for micro in (lat, lon)]
    return "%s km around %s" % (kilometres(radius_m), show(near[0], near[1]))


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
