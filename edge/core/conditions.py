"""The tables of the two axes: states, inputs with what each value says, and which verdict leads from where to where.

REACH: how far the node reaches (normal, degraded, offline). CONDITION: how things are where it stands (calm, watch,
emergency, recovery). A pair of state and verdict that stands neither in a table nor among the ignored would be a bug; a
test goes through all of them. docs/EMERGENCY.md and its diagrams are made from here; edge/core/emergency.py runs it.
Numbers of states, verdicts, inputs and values are kept on disk and sent in beacons: they never change their meaning.
"""

from collections import namedtuple

REACH = 0
CONDITION = 1

NORMAL, DEGRADED, OFFLINE = 0, 1, 2
CALM, WATCH, EMERGENCY, RECOVERY = 0, 1, 2, 3
STATES = (("normal", "degraded", "offline"), ("calm", "watch", "emergency", "recovery"))

WELL, PARTLY, CUT = 0, 1, 2  # verdicts about REACH
QUIET, WORRY, DANGER = 0, 1, 2  # verdicts about CONDITION
VERDICTS = (("well", "partly", "cut"), ("quiet", "worry", "danger"))

TABLES = (
    {
        (NORMAL, PARTLY): DEGRADED, (NORMAL, CUT): OFFLINE,
        (DEGRADED, WELL): NORMAL, (DEGRADED, CUT): OFFLINE,
        (OFFLINE, WELL): NORMAL, (OFFLINE, PARTLY): DEGRADED,
    },
    {
        (CALM, WORRY): WATCH, (CALM, DANGER): EMERGENCY,
        (WATCH, QUIET): CALM, (WATCH, DANGER): EMERGENCY,
        (EMERGENCY, QUIET): RECOVERY, (EMERGENCY, WORRY): RECOVERY,
        (RECOVERY, QUIET): CALM, (RECOVERY, DANGER): EMERGENCY,
    },
)
IGNORED = (
    ((NORMAL, WELL), (DEGRADED, PARTLY), (OFFLINE, CUT)),
    ((CALM, QUIET), (WATCH, WORRY), (EMERGENCY, DANGER), (RECOVERY, WORRY)),
)

# How long the verdict must have stood before REACH follows it, and how long a state lasts at least. Into EMERGENCY
# nothing waits. RECOVERY lasts long: what has just calmed down is watched for a while.
HOLD_MS = (15000, 20000, 5000)  # WELL, PARTLY, CUT
UNPLUGGED_MS = 3000  # CUT, where the machine itself sees it: no cable, no route
FIRST_MS = 20000  # anything but WELL, while nothing is known since the start: a network takes its time to come up
DWELL_MS = 60000
RECOVERY_MS = 1800000

# What a value says. About REACH: nothing, that something beyond this network answers, that it doesn't, or that
# something is missing that the internet does not hang on. About CONDITION: QUIET, WORRY or DANGER.
NOTHING, ANSWERS, SILENT, AMISS = 0, 1, 2, 3

# words: what the value means, as a reason. says: as above.
Value = namedtuple("Value", ("name", "says", "words"))
# rise_ms, fall_ms: how long a value must stand that says more, or less, than the one that counts. over: the reason when
# it no longer says so.
Input = namedtuple("Input", ("name", "axis", "values", "rise_ms", "fall_ms", "over"))


def _input(name, axis, values, rise_ms=0, fall_ms=0, over=""):
    return Input(name, axis, tuple([Value(*one) for one in values]), rise_ms, fall_ms, over)


INPUTS = (
    _input("names", REACH, (
        ("unknown", NOTHING, "name look-ups are not tried"),
        ("answers", ANSWERS, "a name server answers"),
        ("silent", SILENT, "no name server answers"))),
    _input("tcp", REACH, (
        ("unknown", NOTHING, "no connection is tried"),
        ("answers", ANSWERS, "a connection to the outside is made"),
        ("silent", SILENT, "no connection to the outside can be made"))),
    _input("hub", REACH, (
        ("unknown", NOTHING, "there is no hub"),
        ("seen", NOTHING, "the hub is there"),
        ("gone", AMISS, "the hub is gone")), 120000),
    _input("gateway", REACH, (
        ("unknown", NOTHING, "nothing is known of the way out"),
        ("answers", NOTHING, "the router answers"),
        ("silent", NOTHING, "the router does not answer"),
        ("no route", NOTHING, "there is no way out of this network"),
        ("no cable", NOTHING, "the cable is out, or the Wi-Fi is gone"))),
    _input("steady", REACH, (
        ("yes", NOTHING, "the connection is steady"),
        ("no", NOTHING, "the connection comes and goes"))),
    _input("peers", REACH, (
        ("none", NOTHING, "no other node is near"),
        ("some", NOTHING, "other nodes are near"))),
    _input("person", CONDITION, (
        ("none", QUIET, "nobody says that something is wrong"),
        ("watch", WORRY, "a person asks for attention"),
        ("emergency", DANGER, "a person says that this is an emergency")), over="a person says that it is over"),
    _input("alert", CONDITION, (
        ("none", QUIET, "no official alert stands"),
        ("watch", WORRY, "an official warning stands for this place"),
        ("emergency", DANGER, "an official alert stands for this place")), over="the official alert has ended"),
    _input("reports", CONDITION, (
        ("none", QUIET, "neighbours report nothing"),
        ("watch", WORRY, "a neighbour reports an emergency"),
        ("emergency", DANGER, "neighbours agree that there is an emergency")), 0, 60000,
        "the neighbours' reports have ended"),
    _input("power", CONDITION, (
        ("unknown", QUIET, "nothing is known of the power"),
        ("mains", QUIET, "the mains are there"),
        ("battery", WORRY, "the mains have failed: it runs on its battery"),
        ("low", WORRY, "the mains have failed and the battery is low")), 120000, 60000, "the mains are back"),
    _input("supply", CONDITION, (
        ("unknown", QUIET, "nothing is known of the supply"),
        ("well", QUIET, "the supply is strong enough"),
        ("weak", WORRY, "the power supply is too weak")), 60000, 600000, "the power supply holds again"),
    _input("heat", CONDITION, (
        ("unknown", QUIET, "nothing is known of the heat"),
        ("cool", QUIET, "it is not too hot"),
        ("warm", QUIET, "it is warm: models run slowly"),
        ("hot", QUIET, "it is hot: no model runs"),
        ("critical", WORRY, "it is far too hot: only radios and the console go on")), 10000, 120000,
        "it has cooled down"),
    _input("dark", CONDITION, (
        ("no", QUIET, "mains and internet are not both gone"),
        ("yes", DANGER, "mains and internet have both been gone for a while")), 600000, 120000,
        "mains or internet are back"),
)
DERIVED = ("steady", "dark")  # worked out from the others; nobody reads them
