"""The state machine of both axes: readings in, transitions with their reasons out. The tables: edge/core/conditions.py.

It is handed milliseconds that only go forwards, and readings by name; it asks no clock, so one that is wrong neither
raises nor hides anything (alerts, which expire by the clock, are judged in edge/core/standing.py). A reading that the
tables don't know is our own mistake and raises; a verdict that a state ignores changes nothing. `dump` and `load` carry
it over a reboot: what stood then stands until it is read anew, or HELD_MS long.
"""

from edge.core import conditions as table
from edge.core.settle import Restless, Settle

HELD_MS = 300000  # what stood before a reboot and is not read anew is forgotten after so long
PERSON_MS_MAX = 86400000  # what a person has declared ends by itself after a day
DARK_WITHIN_MS = 86400000  # between the loss of the internet and that of the mains
_STEPS_MAX = 8  # transitions that follow from one reading
_NEVER_MS = -(1 << 60)

NAMES = tuple([one.name for one in table.INPUTS])
_GATEWAY = NAMES.index("gateway")
_POWER = NAMES.index("power")
_PERSON = NAMES.index("person")
_STEADY = NAMES.index("steady")
_DARK = NAMES.index("dark")
_UNPLUGGED = 3  # of "gateway": from here on the machine itself sees that there is no way out


class Transition:
    """axis, old, new; because: [(input name, value number), ...]; over: these no longer say so (it may be empty then,
    after a long quiet)."""

    def __init__(self, axis, old, new, because, over):
        self.axis = axis
        self.old = old
        self.new = new
        self.because = because
        self.over = over


def words(because, over=False):
    """Reasons [(input name, value number), ...] as one line for people."""
    said = []
    for name, value in because:
        one = table.INPUTS[NAMES.index(name)]
        said.append(one.over if over and one.over else one.values[value].words)
    return "; ".join(said) or "it has stayed quiet"


def dwell_ms(axis, old, new):
    """How long `old` lasts at least before it may become `new`."""
    if axis == table.CONDITION and new == table.EMERGENCY:
        return 0
    if axis == table.CONDITION and old == table.RECOVERY:
        return table.RECOVERY_MS
    return table.DWELL_MS


class Emergency:
    """state: [REACH, CONDITION]; known: whether REACH has been judged at all since the last start."""

    def __init__(self):
        self.state = [table.NORMAL, table.CALM]
        self.known = False
        self._settles = [Settle(0) for _ in table.INPUTS]
        self._verdict = Settle(table.WELL)  # about REACH
        self._seen = None  # the last verdict about REACH, before it has settled
        self._restless = Restless()
        self._entered_ms = [_NEVER_MS, _NEVER_MS]
        self._because = [([], False), ([], False)]  # of each axis: see `because`
        self._held_ms = {}  # number of an input -> when a reading from before the reboot is forgotten
        self._person_ms = 0
        self._had = False  # the internet was there once
        self._transitions = []

    # --- readings in, transitions out

    def put(self, now_ms, name, value):
        """A reading: an input's name and the number of its value. Raises ValueError for what the tables don't know."""
        if name not in NAMES or name in table.DERIVED:
            raise ValueError("no such input: %r" % (name,))
        i = NAMES.index(name)
        if not 0 <= value < len(table.INPUTS[i].values):
            raise ValueError("no such value of %s: %r" % (name, value))
        self._held_ms.pop(i, None)
        if i == _PERSON:
            self._person_ms = now_ms
        self._put(now_ms, i, value)
        self.tick(now_ms)

    def tick(self, now_ms):
        """Do what is due."""
        for i in range(len(NAMES)):
            if self._held_ms.get(i, now_ms + 1) <= now_ms:
                del self._held_ms[i]
                self._put(now_ms, i, 0)
        if self._settles[_PERSON].raw and now_ms >= self._person_ms + PERSON_MS_MAX:
            self._put(now_ms, _PERSON, 0)
        for _ in range(_STEPS_MAX):
            for settle in self._settles:
                settle.tick(now_ms)
            moved = self._step_reach(now_ms)
            self._derive(now_ms)
            if not self._step_condition(now_ms) and not moved:
                return

    def deadline(self):
        """When `tick` is due next; None while nothing is."""
        dues = [settle.deadline() for settle in self._settles]
        dues += [self._verdict.deadline(), self._restless.deadline()]
        dues += [self._held_ms[i] for i in sorted(self._held_ms)]
        if self._settles[_PERSON].raw:
            dues.append(self._person_ms + PERSON_MS_MAX)
        for axis, verdict in ((table.REACH, self._verdict.value), (table.CONDITION, self._judge()[0])):
            wanted = table.TABLES[axis].get((self.state[axis], verdict))
            if wanted is not None:
                dues.append(self._entered_ms[axis] + dwell_ms(axis, self.state[axis], wanted))
        dues = [due for due in dues if due is not None]
        return min(dues) if dues else None

    def drain(self):
        """The transitions since the last drain, in their order."""
        out, self._transitions = self._transitions, []
        return out

    # --- questions

    def value(self, name):
        """The number of the value of an input that counts now."""
        return self._settles[NAMES.index(name)].value

    def settled(self):
        """Whether the state of REACH is what is read now, and nothing is on its way to change it."""
        verdict = self._verdict.deadline() is None
        return self.known and verdict and (self.state[table.REACH], self._verdict.value) in table.IGNORED[table.REACH]

    def waits(self):
        """Whether REACH follows its verdict, which `because` explains, as soon as the state has lasted its time."""
        return (self.state[table.REACH], self._verdict.value) in table.TABLES[table.REACH]

    def because(self, axis):
        """([(input name, value number), ...], over): what holds the state of an axis where it is; over: no longer."""
        return self._because[axis]

    # --- over a reboot

    def dump(self):
        """What `load` needs, as one number of less than 2**63."""
        out = self.state[table.REACH] | self.state[table.CONDITION] << 2 | (1 if self._had else 0) << 4
        for i in range(len(table.INPUTS)):
            if table.INPUTS[i].axis == table.CONDITION:
                out |= self._settles[i].value << (5 + 4 * i)
        return out

    def load(self, now_ms, number):
        """Go on from what `dump` gave. A number that can't be is not taken: False."""
        reach, condition = number & 3, number >> 2 & 3
        if number < 0 or number >= 1 << (5 + 4 * len(NAMES)) or reach > table.OFFLINE:
            return False
        values = [number >> (5 + 4 * i) & 15 for i in range(len(NAMES))]
        for i in range(len(NAMES)):
            if values[i] and (table.INPUTS[i].axis != table.CONDITION or values[i] >= len(table.INPUTS[i].values)):
                return False
        for i in range(len(NAMES)):
            self._settles[i] = Settle(values[i])
            if values[i] and i not in (_PERSON, _DARK):
                self._held_ms[i] = now_ms + HELD_MS
        self.state = [reach, condition]
        self._verdict = Settle(reach)  # states and verdicts of this axis have the same numbers
        self._had = bool(number >> 4 & 1)
        self._person_ms = now_ms
        self._entered_ms = [now_ms if self._had else _NEVER_MS, now_ms if condition != table.CALM else _NEVER_MS]
        self._because[table.CONDITION] = self._judge()[1], False
        return True

    # --- inside

    def _put(self, now_ms, i, value):
        one, settle = table.INPUTS[i], self._settles[i]
        hold_ms = one.rise_ms if value > settle.value else one.fall_ms
        if one.values[value].says == one.values[settle.value].says == table.QUIET and settle.value == 0:
            hold_ms = 0  # something is known, and it is nothing to worry about
        settle.put(now_ms, value, hold_ms)

    def _derive(self, now_ms):
        """The inputs that follow from others."""
        dark = 0
        if self._settles[_POWER].value >= 2 and self.state[table.REACH] == table.OFFLINE and self._had:
            lately = now_ms - self._entered_ms[table.REACH] < DARK_WITHIN_MS
            dark = 1 if lately or self._settles[_DARK].raw else 0
        self._put(now_ms, _DARK, dark)

    def _step_reach(self, now_ms):
        """Judge REACH, follow the verdict. True when the state has changed."""
        verdict = self._probe()
        if verdict is not None:
            if self._seen not in (None, verdict) and self.known:
                self._restless.jump(now_ms)
            self._seen = verdict
        self._restless.tick(now_ms)
        self._settles[_STEADY] = Settle(1 if self._restless.on else 0)
        if self._restless.on:
            self._verdict.put(now_ms, table.PARTLY, 0)
        elif verdict is not None:
            self._verdict.put(now_ms, verdict, self._hold_ms(verdict))
            self.known = self.known or self._verdict.deadline() is None
        self._verdict.tick(now_ms)
        self._had = self._had or (self.known and self._verdict.value == table.WELL)
        return self._follow(now_ms, table.REACH, self._verdict.value, self._why_reach(), False)

    def _hold_ms(self, verdict):
        if not self.known:
            return 0 if verdict == table.WELL else table.FIRST_MS
        if verdict == table.CUT and self._settles[_GATEWAY].value >= _UNPLUGGED:
            return table.UNPLUGGED_MS
        return table.HOLD_MS[verdict]

    def _probe(self):
        """The verdict about REACH of what counts now, before it has settled; None where nothing is known."""
        said = [value.says for _, _, value in self._counting(table.REACH)]
        if table.ANSWERS in said:
            return table.PARTLY if table.SILENT in said or table.AMISS in said else table.WELL
        gateway = self._settles[_GATEWAY].value
        if table.SILENT in said or gateway > 1:
            return table.CUT
        return table.PARTLY if gateway == 1 or table.AMISS in said else None

    def _why_reach(self):
        """What explains the verdict that has settled: the nearest fault first, else all that was tried."""
        if self._restless.on:
            return [("steady", 1)]
        verdict = self._verdict.value
        gateway = self._settles[_GATEWAY].value
        if verdict == table.CUT and gateway >= _UNPLUGGED:
            return [("gateway", gateway)]
        if verdict == table.WELL:
            return self._saying(table.REACH, table.ANSWERS)
        because = self._saying(table.REACH, table.SILENT)
        if gateway:
            because.append(("gateway", gateway))
        return because + self._saying(table.REACH, table.AMISS)

    def _judge(self):
        """(verdict, because) about CONDITION of what counts now."""
        verdict = max([value.says for _, _, value in self._counting(table.CONDITION)])
        return verdict, [] if verdict == table.QUIET else self._saying(table.CONDITION, verdict)

    def _counting(self, axis):
        """[(name, number, Value), ...]: what counts now of the inputs of an axis."""
        out = []
        for i in range(len(NAMES)):
            if table.INPUTS[i].axis == axis:
                number = self._settles[i].value
                out.append((NAMES[i], number, table.INPUTS[i].values[number]))
        return out

    def _saying(self, axis, says):
        return [(name, number) for name, number, value in self._counting(axis) if value.says == says]

    def _step_condition(self, now_ms):
        verdict, because = self._judge()
        state = self.state[table.CONDITION]
        falls = verdict < (table.QUIET, table.WORRY, table.DANGER, table.QUIET)[state] or (
            state == table.RECOVERY and verdict == table.QUIET)
        if falls:
            because = self._because[table.CONDITION][0]
        return self._follow(now_ms, table.CONDITION, verdict, because, falls)

    def _follow(self, now_ms, axis, verdict, because, over):
        old = self.state[axis]
        if because:
            self._because[axis] = because, over
        new = table.TABLES[axis].get((old, verdict))
        if new is None or now_ms < self._entered_ms[axis] + dwell_ms(axis, old, new):
            return False  # ignored: the state is the right one already; or too early
        self._transitions.append(Transition(axis, old, new, because, over))
        self.state[axis] = new
        self._entered_ms[axis] = now_ms
        return True
