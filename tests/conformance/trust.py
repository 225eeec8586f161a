# heap: 256k
"""Certificates, halt orders, alert bodies and places: the same answers from every interpreter."""

from edge.compat import crypto
from edge.core import alert, cbor, certs, cosign, halt, place, sphere, words
from edge.core.cbor import CodecError
from edge.core.rng import Rng
from edge.core.stewards import Stewards

NOW_S = 1763700000
seeds = [bytes((n,)) * 32 for n in range(1, 6)]
keys = [crypto.public_key(seed) for seed in seeds]


def signed(content_type, payload, who):
    signatures = {}
    for n in who:
        signatures[cosign.kid(keys[n])] = cosign.sign(seeds[n], content_type, payload)
    return cosign.pack(content_type, payload, signatures)


stewards = Stewards("Delft", keys[:3], 2)
papers = [
    signed(cosign.CERTIFICATE, certs.payload_of("Delft", keys[4], ["alert"], NOW_S, NOW_S + 500), (3,)),
    signed(cosign.CERTIFICATE, certs.payload_of("Delft", keys[3], ["alert", "certify"], NOW_S, NOW_S + 999), (0, 2)),
    signed(cosign.CERTIFICATE, certs.payload_of("Delft", keys[3], ["alert"], NOW_S, NOW_S + 999), (0,)),
    signed(cosign.CERTIFICATE, certs.payload_of("Delft", keys[3], ["alert"], NOW_S, NOW_S + 999), (0, 4)),
    signed(cosign.CERTIFICATE, certs.payload_of("Gouda", keys[3], ["alert"], NOW_S, NOW_S + 999), (0, 1)),
]
book = certs.Book(stewards)
for paper in papers:
    try:
        print("cert", paper.hex(), book.add(paper))
    except CodecError as error:
        print("refused", error.reason)
for key in keys:
    print("roles", [book.allows(key, role, NOW_S + s) for role in ("alert", "certify") for s in (0, 500, 999)])
print("rows", [one.key.hex() for one in book.rows()])

state = halt.Halt(stewards)
for epoch, scopes, who in ((5, 1, (0, 1)), (4, 3, (0, 1)), (6, 3, (0,)), (5, 2, (1, 2)), (6, 0, (0, 1, 2)),
                           (6, 2, (0, 1))):
    paper = signed(cosign.ORDER, halt.payload_of("Delft", epoch, scopes, NOW_S + 60, "drill"), who)
    try:
        print("order", paper.hex(), state.offer(paper), state.kept())
    except CodecError as error:
        print("refused", error.reason)

rng = Rng(b"places")
for _ in range(40):
    lat = rng.below(180000001) - 90000000
    lon = rng.below(360000001) - 180000000
    circle = place.pack_circle(lat, lon, rng.below(500000))
    back = place.unpack_circle(circle)
    print("circle", circle.hex(), back, place.show(lat, lon), place.geohash(lat, lon, 12))
    corners = [(lat + rng.below(2000000) - 1000000, lon + rng.below(2000000) - 1000000) for _ in range(5)]
    print("shape", sphere.covering(corners), sphere.inside(lat, lon, corners),
          sphere.within(lat, lon, corners[0][0], corners[0][1], 50000))
print("names", words.stand_in(["Essex County"], "Windsor - ESSEX county"),
      words.plain("\u00c9. O'Neil \u0416\u3000\u03a9"))

codes = alert.codes_of({"severity": "Severe", "urgency": "Immediate", "category": "Fire"})
body = alert.body_of("Fire at the mill", codes, [(52011600, 4357100, 900), "Delft"], issuer="Brandweer", official=True)
data = cbor.encode(body)
print("alert", data.hex())
for at in range(len(data)):
    try:
        other = cbor.decode(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1:])
        one = alert.read(other) if isinstance(other, dict) else None
        print(at, one and (one.headline, one.areas, one.issuer, one.kind, one.official))
    except CodecError as error:
        print(at, error.reason)
print("here", alert.covers(alert.read(body).areas, 52011600, 4357100, []),
      alert.covers(alert.read(body).areas, 53011600, 4357100, ["Gouda"]))
