"""What a node spends its power on: one row for each condition, and what heat, power, a stop or being offline take away.

It decides numbers only; who carries them out is told by tools/run.py. Every field can be set otherwise for a condition
in waypost.toml (emergency.*), and what the body of the box forbids is taken away whatever is set. What no row touches:
alerts, beacons, the console and direct messages. DESIGN, Emergency; docs/EMERGENCY.md is made from here.
"""

from collections import namedtuple

from edge.core import conditions as table
from edge.core import limits

NONE, SMALL, FULL = 0, 1, 2  # models
OFF, DIM, ON = 0, 1, 2  # display
MODELS = ("none", "small", "full")
STOPS = ("models", "relay")  # what a person, or the community's stewards (edge/core/halt.py), can stop
DISPLAY = ("off", "dim", "on")
THEMES = table.STATES[table.CONDITION]
ALERTS_AND_DIRECT = 1 << limits.LANE_ALERT | 1 << limits.LANE_DIRECT
ALL_LANES = (1 << limits.LANES) - 1

# beacon_s: the longest time between two beacons. lanes: bit mask of those that are passed on. models, display: as
# above. theme: of the page. access_point: 1: on, whatever is set elsewhere. probe_s: between two looks whether the
# internet is there. reserve_permille: what alerts may take of the store before the oldest of them go.
Policy = namedtuple("Policy", (
    "beacon_s", "lanes", "models", "display", "theme", "access_point", "probe_s", "reserve_permille"))
FIELDS = ("beacon_s", "lanes", "models", "display", "theme", "access_point", "probe_s", "reserve_permille")

ROWS = (
    Policy(900, ALL_LANES, FULL, DIM, table.CALM, 0, 15, 250),
    Policy(300, ALL_LANES, FULL, ON, table.WATCH, 0, 15, 300),
    Policy(120, ALL_LANES - (1 << limits.LANE_BULK), SMALL, ON, table.EMERGENCY, 1, 15, 500),
    Policy(300, ALL_LANES, SMALL, ON, table.RECOVERY, 1, 15, 400),
)

# (input of conditions.INPUTS, from which of its values on, what it takes away in words, most models, most display, how
# much longer between two probes)
LADDER = (
    ("heat", 2, "it is warm", SMALL, ON, 1),
    ("heat", 3, "it is hot", NONE, ON, 1),
    ("heat", 4, "it is far too hot", NONE, OFF, 4),
    ("supply", 2, "the power supply is too weak", SMALL, ON, 1),
    ("power", 2, "it runs on its battery", SMALL, DIM, 2),
    ("power", 3, "the battery is low", NONE, OFF, 4),
)

_BOUNDS = {"beacon_s": (60, 900), "probe_s": (5, 3600), "reserve_permille": (250, 700)}
_WORDS = {"models": MODELS, "display": DISPLAY, "theme": THEMES, "access_point": ("auto", "on")}


def effective(rows, condition, reach, value_of, stopped, stops=STOPS):
    """(Policy, why) now. rows: as ROWS. value_of(name): the value of an input that counts. stopped: a reason, or "";
    stops: those of STOPS that are, where it is one.

    why: [text, ...], what took something away from the row.
    """
    row = rows[condition]
    lanes, models, display, probe_s = row.lanes, row.models, row.display, row.probe_s
    why = []
    slower = 1
    for name, least, text, models_max, display_max, factor in LADDER:
        if value_of(name) >= least:
            if models_max < models or display_max < display or factor > slower:
                why.append(text)
            models, display = min(models, models_max), min(display, display_max)
            slower = max(slower, factor)
    if reach == table.OFFLINE:
        slower = max(slower, 2)
    if stopped:
        why.append(stopped)
        models = NONE if "models" in stops else models
        lanes &= ALERTS_AND_DIRECT if "relay" in stops else ALL_LANES
    values = {"lanes": lanes | ALERTS_AND_DIRECT, "models": models, "display": display,
              "probe_s": min(probe_s * slower, _BOUNDS["probe_s"][1])}
    return Policy(*[values.get(field, getattr(row, field)) for field in FIELDS]), why


def override(row, words):
    """A row with some fields set otherwise: words is a list of "FIELD=VALUE". Raises ValueError with what is wrong."""
    values = {}
    for word in words:
        field, equals, text = word.partition("=")
        field = field.strip()
        if not equals or field not in FIELDS:
            raise ValueError("%s is not FIELD=VALUE with one of %s" % (word, ", ".join(FIELDS)))
        if field in values:
            raise ValueError("%s stands there twice" % field)
        values[field] = _parse(field, text.strip())
    return Policy(*[values.get(field, getattr(row, field)) for field in FIELDS])


def allowed(field):
    """What a field may be, in words."""
    if field in _BOUNDS:
        return "%d..%d" % _BOUNDS[field]
    if field in _WORDS:
        return " or ".join(_WORDS[field])
    return "lanes such as 0123; 0 and 1 are always carried"


def shown(policy):
    """{field: value} in words, as `override` reads them."""
    out = {}
    for field in FIELDS:
        value = getattr(policy, field)
        if field in _WORDS:
            value = _WORDS[field][value]
        elif field == "lanes":
            value = "".join([str(lane) for lane in range(limits.LANES) if value & 1 << lane])
        out[field] = value
    return out


def _parse(field, text):
    if field in _WORDS and text in _WORDS[field]:
        return _WORDS[field].index(text)
    if field in _BOUNDS and text.isdigit() and len(text) < 10:
        low, high = _BOUNDS[field]
        if low <= int(text) <= high:
            return int(text)
    if field == "lanes" and text and all([one in "0123" for one in text]):
        mask = 0
        for one in text:
            mask |= 1 << int(one)
        return mask | ALERTS_AND_DIRECT
    raise ValueError("%s can't be %s; it may be %s" % (field, text, allowed(field)))
