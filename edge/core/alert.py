"""The body of an ALERT: the short form that fits one radio frame, and the details that may follow. PROTOCOL 18.

    short    {1: headline, ?2: issuer, ?3: codes, ?4: onset_s, ?5: areas, ?6: instruction, ?7: language, ?8: references,
              ?9: 1 issued as official, ?10: 6 bytes of a CAP alert's identity, ?11: event}                      lane 0
    details  {12: first 8 bytes of the ALERT's id, 13: a CAP alert as a tree of numbered elements}                lane 2

The codes are CAP 1.2's own words as small numbers. `read` takes what came from the air and raises CodecError only;
`fit` makes a body small enough for a radio. Whether an alert is official, who may cancel it and whom it is for is
decided elsewhere (edge/services): here are its bytes.
"""

from edge.core import airtext, cbor, limits, place, sphere, words
from edge.core.cbor import CodecError

CONFIRM, DISPUTE, WITHDRAW = 1, 2, 3  # what a REPORT says of an ALERT; the newest of each author counts
ID_BYTES = 8  # of an ALERT's id, where another message refers to it
CAP_BYTES = 6
UPDATE, CANCEL = 1, 2  # what a message does with those that it refers to

# the words of CAP 1.2, by their numbers on the wire; the first is what is not said
SEVERITIES = ("Unknown", "Minor", "Moderate", "Severe", "Extreme")
URGENCIES = ("Unknown", "Past", "Future", "Expected", "Immediate")
CERTAINTIES = ("Unknown", "Unlikely", "Possible", "Likely", "Observed")
CATEGORIES = ("Other", "Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra",
              "CBRNE")
RESPONSES = ("", "Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None")
STATUSES = ("Actual", "Exercise", "System", "Test", "Draft")
CODES = (("severity", SEVERITIES), ("urgency", URGENCIES), ("certainty", CERTAINTIES), ("category", CATEGORIES),
         ("response", RESPONSES), ("status", STATUSES))

HEADLINE, ISSUER, _CODES, ONSET, AREAS, INSTRUCTION, LANGUAGE, REFERENCES, OFFICIAL, CAP, EVENT, OF, TREE = range(1, 14)

_TEXTS = ((HEADLINE, limits.ALERT_HEADLINE_BYTES_MAX), (ISSUER, limits.ALERT_NAME_BYTES_MAX),
          (INSTRUCTION, limits.ALERT_TEXT_BYTES_MAX), (LANGUAGE, limits.ALERT_NAME_BYTES_MAX),
          (EVENT, limits.ALERT_NAME_BYTES_MAX))
# what gives way where a body is too long for a radio, in this order, and the letters that stay of it
_GIVES_WAY = ((EVENT, 0), (INSTRUCTION, 80), (ISSUER, 0), (HEADLINE, 60), (INSTRUCTION, 40), (LANGUAGE, 0),
              (INSTRUCTION, 0), (HEADLINE, 1))
_MORE = "\u2026"  # stands where a text was cut
_GEOHASH = "#"  # an area's text that begins so is one
_CUT_LETTERS = 8  # what is shorter than this says nothing


class Short:
    """The short form, as it was read. headline, issuer, instruction, language, event: texts, "" where not said. codes:
    {"severity": number, ...}. onset_s or None. areas: [(lat, lon, radius_m) or text]. kind 0, UPDATE or CANCEL.
    references: beginnings of ids. official: it says so itself. cap: 6 bytes or None."""

    def __init__(self, body):
        self.headline = body.get(HEADLINE, "")
        self.issuer = body.get(ISSUER, "")
        self.instruction = body.get(INSTRUCTION, "")
        self.language = body.get(LANGUAGE, "")
        self.event = body.get(EVENT, "")
        self.onset_s = body.get(ONSET)
        numbers = body.get(_CODES, [])
        self.codes = {}
        for at in range(len(CODES)):
            self.codes[CODES[at][0]] = numbers[at] if at < len(numbers) else 0
        self.areas = [one if isinstance(one, str) else place.unpack_circle(one) for one in body.get(AREAS, [])]
        references = body.get(REFERENCES, [0])
        self.kind = references[0]
        self.references = references[1:]
        self.official = body.get(OFFICIAL) == 1
        self.cap = body.get(CAP)


class Details:
    """What else is said about the ALERT whose id begins with `of`: `tree`, a dict of numbered CAP elements."""

    def __init__(self, body):
        self.of = body[OF]
        self.tree = body[TREE]


def read(body):
    """The Short or Details of an ALERT's body (dict). Raises CodecError("alert.<what>")."""
    if OF in body:
        if not _is_bytes(body[OF], ID_BYTES) or not isinstance(body.get(TREE), dict):
            raise CodecError("alert.details")
        return Details(body)
    for key, most in _TEXTS:
        value = body.get(key, "")
        if not isinstance(value, str) or len(value.encode()) > most:
            raise CodecError("alert.text")
    numbers = body.get(_CODES, [])
    if not isinstance(numbers, list) or [one for one in numbers if not _is_uint(one)]:
        raise CodecError("alert.codes")
    for at in range(min(len(numbers), len(CODES))):
        if numbers[at] >= len(CODES[at][1]):
            raise CodecError("alert.codes")
    if not _is_uint(body.get(ONSET, 0)):
        raise CodecError("alert.onset")
    areas = body.get(AREAS, [])
    if not isinstance(areas, list) or len(areas) > limits.ALERT_AREAS_MAX:
        raise CodecError("alert.areas")
    for one in areas:
        if not _is_bytes(one, place.CIRCLE_BYTES) and not (
                isinstance(one, str) and 0 < len(one.encode()) <= limits.ALERT_NAME_BYTES_MAX):
            raise CodecError("alert.areas")
    _check_references(body.get(REFERENCES, [0]))
    if CAP in body and not _is_bytes(body[CAP], CAP_BYTES):
        raise CodecError("alert.cap")
    if not body.get(HEADLINE) and body.get(REFERENCES, [0])[0] != CANCEL:
        raise CodecError("alert.text")
    return Short(body)


def read_report(body):
    """(stance, id of the ALERT, text) of a REPORT's body {1: stance, 2: id, ?3: text}. Raises CodecError."""
    stance, id, text = body.get(1), body.get(2), body.get(3, "")
    if not _is_uint(stance) or not CONFIRM <= stance <= WITHDRAW or not _is_bytes(id, 16):
        raise CodecError("report.form")
    if not isinstance(text, str) or len(text.encode()) > limits.ALERT_HEADLINE_BYTES_MAX:
        raise CodecError("report.form")
    return stance, id, text


def codes_of(said):
    """The list for key 3 of {"severity": "Severe", ...}; zeroes at its end are left out. Raises ValueError."""
    numbers = []
    for name, known in CODES:
        word = said.get(name) or known[0]
        if word not in known:
            raise ValueError("%s can't be %s" % (name, word))
        numbers.append(known.index(word))
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def body_of(headline, codes, areas=(), **more):
    """A body (dict) of the short form, ready to be fitted.

    codes: as of `codes_of`. areas: circles as (lat, lon, radius_m), names and "#geohash". more: issuer, onset_s,
    instruction, language, event, references [kind, id, ...], official, cap; what is empty is left out.
    """
    body = {HEADLINE: headline, _CODES: list(codes),
            AREAS: [one if isinstance(one, str) else place.pack_circle(*one) for one in areas]}
    for key, name in ((ISSUER, "issuer"), (ONSET, "onset_s"), (INSTRUCTION, "instruction"), (LANGUAGE, "language"),
                      (REFERENCES, "references"), (CAP, "cap"), (EVENT, "event")):
        body[key] = more.get(name)
    if more.get("official"):
        body[OFFICIAL] = 1
    return {key: body[key] for key in sorted(body) if body[key]}


def fit(body):
    """(body, whether something was cut) of a body that fits a radio frame whoever signs it.

    What the details tell as well gives way first: names beside circles, event, the end of a long instruction, issuer.
    Circles, codes, references and identity stay; ValueError where these alone are too long.
    """
    body = dict(body)
    cut = False
    circles = [one for one in body.get(AREAS, []) if not isinstance(one, str)]
    while not _fits(body) and len(body.get(AREAS, [])) > max(1, len(circles)):
        names = [one for one in body[AREAS] if isinstance(one, str)]
        names.pop()
        body[AREAS] = circles + names
        cut = True
    for key, least in _GIVES_WAY:
        cut = _shorten(body, key, least) or cut
    if not _fits(body):
        raise ValueError("too long for a radio: fewer areas or references, please")
    return body, cut


def covers(areas, lat, lon, names):
    """Whether areas (as of a Short, or polygons as lists of corners) hold this place; None where it can't be told. No
    area is everywhere.

    lat, lon: microdegrees or None. names: by which alerts name this place; they may be none.
    """
    if not areas:
        return True
    known = False
    unknown = False
    for one in areas:
        if isinstance(one, str) and one[:1] != _GEOHASH:
            if words.stand_in(names, one):
                return True
            known = known or bool(names)
            unknown = unknown or not names
        elif lat is None:
            unknown = True
        elif _holds(one, lat, lon):
            return True
        else:
            known = True
    return None if unknown and not (known and lat is not None) else False


def _holds(area, lat, lon):
    if isinstance(area, list):
        return sphere.inside(lat, lon, area)
    if isinstance(area, str):
        text = area[1:]
        return place.is_geohash(text) and place.geohash(lat, lon, len(text)) == text
    return sphere.within(lat, lon, area[0], area[1], area[2])


def _fits(body):
    return len(airtext.shrink(cbor.encode(body))[1]) <= limits.ALERT_BODY_AIR_BYTES_MAX


def _shorten(body, key, least):
    """Cut a text until the body fits, down to so many letters (0: the text may go); whether it was cut."""
    text = body.get(key, "")
    if not text or _fits(body):
        return False
    low = least
    high = len(text)
    while low < high:  # the longest that fits; length on the air grows with it, nearly
        middle = (low + high + 1) // 2
        _put(body, key, text, middle)
        if _fits(body):
            low = middle
        else:
            high = middle - 1
    _put(body, key, text, low)
    while not _fits(body) and low > least:
        low -= 1
        _put(body, key, text, low)
    return low < len(text)


def _put(body, key, text, letters):
    if letters >= len(text):
        body[key] = text
    elif letters < _CUT_LETTERS and key != HEADLINE:
        body.pop(key, None)
    else:
        kept = text[:letters]
        gap = kept.rfind(" ")
        if gap > letters * 2 // 3:  # at the end of a word, where one is near
            kept = kept[:gap]
        body[key] = kept.rstrip(" ,;:-") + _MORE


def _check_references(value):
    if not isinstance(value, list) or not value or len(value) > 1 + limits.ALERT_REFS_MAX:
        raise CodecError("alert.references")
    if value[0] not in (0, UPDATE, CANCEL) or not _is_uint(value[0]):
        raise CodecError("alert.references")
    if [one for one in value[1:] if not _is_bytes(one, ID_BYTES)] or (len(value) > 1) != (value[0] != 0):
        raise CodecError("alert.references")


def _is_uint(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32


def _is_bytes(value, size):
    return isinstance(value, bytes) and len(value) == size
