"""Circles, polygons and geohashes in whole numbers, against the formulas in floats (PROTOCOL 18.2)."""

from __future__ import annotations

import math
import random

import pytest

from edge.core import place, sphere

EARTH_M = 6371009


def far(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Metres between two places: haversine."""
    lat_a, lon_a, lat_b, lon_b = (math.radians(micro / 1e6) for micro in (*a, *b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(h)))


def somewhere(rng: random.Random) -> tuple[int, int]:
    return rng.randrange(-90_000_000, 90_000_001), rng.randrange(-180_000_000, 180_000_001)


def near(rng: random.Random, at: tuple[int, int], spread: float) -> tuple[int, int]:
    lat = max(-90_000_000, min(90_000_000, round(at[0] + rng.uniform(-spread, spread))))
    return lat, (round(at[1] + rng.uniform(-spread, spread)) + 180_000_000) % 360_000_000 - 180_000_000


def test_distances() -> None:
    rng = random.Random(1)
    for _ in range(1500):
        a = somewhere(rng)
        b = near(rng, a, 10 ** rng.uniform(1, 8))
        metres = far(a, b)
        if metres < 19_900_000:
            assert sphere.within(*a, *b, math.ceil(metres * 1.0002) + 2)
        if metres > 5:
            assert not sphere.within(*a, *b, math.floor(metres * 0.9998) - 2)
    assert sphere.within(0, 0, 0, 0, 0)


def test_a_circle_in_eight_bytes() -> None:
    rng = random.Random(2)
    for _ in range(500):
        at = somewhere(rng)
        radius_m = round(10 ** rng.uniform(0, 7.2))
        data = place.pack_circle(*at, radius_m)
        lat, lon, wide_m = place.unpack_circle(data)
        assert len(data) == 8
        assert far(at, (lat, lon)) <= 3
        assert radius_m <= wide_m < radius_m + (1000 if radius_m > 327_000 else 10)
        assert place.pack_circle(lat, lon, 0)[:6] == data[:6]  # told once more it stays where it is
        assert place.degrees(place.show(lat, lon)) == (lat, lon)
    assert place.unpack_circle(place.pack_circle(0, 0, 0))[2] == 0
    assert place.unpack_circle(place.pack_circle(90_000_000, 180_000_000, place.RADIUS_M_MAX))[2] >= 20_100_000


def test_what_people_write() -> None:
    assert place.degrees("52.0116, 4.3571") == (52_011_600, 4_357_100)
    assert place.degrees("-35.3888,147.0598") == (-35_388_800, 147_059_800)
    assert place.degrees("+0.5,-.25") == (500_000, -250_000)
    assert place.show(-500_000, 4_000_001) == "-0.5,4.000001"
    assert [place.kilometres(m) for m in (0, 5, 5000, 25120)] == ["0.0", "0.005", "5.0", "25.12"]
    assert (place.metres("25.0"), place.metres("0"), place.metres("0.0001")) == (25000, 0, 1)
    for bad in ("", "52", "52,", "91,0", "0,181", "a,b", "1e3,4", "52.1 4.2", "52,4,9", "\u0665,4", "--1,4"):
        with pytest.raises(ValueError):
            place.degrees(bad)
    for bad in ("", "-1", "40000", "x"):
        with pytest.raises(ValueError):
            place.metres(bad)


def test_a_circle_around_a_shape() -> None:
    rng = random.Random(3)
    for _ in range(60):
        at = somewhere(rng)
        if abs(at[0]) > 80_000_000:
            continue
        corners = [near(rng, at, 10 ** rng.uniform(3, 6.5)) for _ in range(6)]
        lat, lon, radius_m = sphere.covering(corners)
        assert all(far((lat, lon), corner) <= radius_m * 1.0002 + 2 for corner in corners)
        assert any(far((lat, lon), corner) >= radius_m * 0.999 - 2 for corner in corners)
    assert sphere.covering([(0, 179_000_000), (0, -179_000_000)])[2] < 112_000  # across the date line, the short way


def test_a_circle_in_words() -> None:
    assert sphere.said(52_011_595, -4_357_109, 5000) == "5.0 km around 52.012,-4.357"


def test_inside_a_polygon() -> None:
    square = [(0, 0), (0, 10), (10, 10), (10, 0), (0, 0)]
    corners = [(lat * 1_000_000, lon * 1_000_000) for lat, lon in square]
    assert sphere.inside(5_000_000, 5_000_000, corners)
    assert sphere.inside(5_000_000, 5_000_000, corners[::-1])
    for lat, lon in ((-1, 5), (11, 5), (5, -1), (5, 11), (5, 179), (5, -175)):
        assert not sphere.inside(lat * 1_000_000, lon * 1_000_000, corners)
    notch = [(0, 0), (0, 10), (10, 10), (5, 5), (10, 0)]
    corners = [(lat * 1_000_000, lon * 1_000_000) for lat, lon in notch]
    assert not sphere.inside(8_000_000, 5_000_000, corners)
    assert sphere.inside(2_000_000, 5_000_000, corners)
    line = [(lat * 1_000_000, lon * 1_000_000) for lat, lon in ((0, 179), (0, -179), (2, -179), (2, 179))]
    assert sphere.inside(1_000_000, 180_000_000, line)
    assert sphere.inside(1_000_000, -179_500_000, line)
    assert not sphere.inside(1_000_000, 0, line)


def test_inside_against_a_second_way() -> None:
    """Random triangles: a place is inside when it is on one side of all three edges."""
    rng = random.Random(4)
    for _ in range(400):
        corners = [(rng.randrange(-50, 50) * 10_001, rng.randrange(-50, 50) * 10_003) for _ in range(3)]
        lat, lon = rng.randrange(-50, 50) * 10_007, rng.randrange(-50, 50) * 10_009
        sides = []
        for i in range(3):
            (lat_a, lon_a), (lat_b, lon_b) = corners[i - 1], corners[i]
            sides.append((lon_b - lon_a) * (lat - lat_a) - (lat_b - lat_a) * (lon - lon_a))
        if 0 not in sides:
            assert sphere.inside(lat, lon, corners) == (min(sides) > 0 or max(sides) < 0)


def test_geohash() -> None:
    assert place.geohash(57_649_110, 10_407_440, 11) == "u4pruydqqvj"
    assert place.geohash(-25_382_708, -49_265_506, 8) == "6gkzwgjz"
    assert place.geohash(37_832_400, 112_558_400, 9) == "ww8p1r4t8"
    assert place.is_geohash("u4pru")
    for bad in ("", "a", "ilo", "U4", "0123456789bcd"):
        assert not place.is_geohash(bad)
