"""Writes docs/EMERGENCY.md: the two tables as diagrams, the inputs, what each state changes, stops and probes.

    python -m tools.dev.docs_emergency
"""

from __future__ import annotations

import os

from boards.parts import led
from edge import starts, watchdog
from edge.core import conditions as table
from edge.core import emergency, policy, standing
from edge.emergency import body, history, keeper, panel, probes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "docs", "EMERGENCY.md")

_HEAD = """# Emergency

Made from the code by `python -m tools.dev.docs_emergency`.

A node knows two things about how it is: how far it reaches, and how things are where it stands. Each is a state in a
table, changes only for a reason that can be said in words, and is kept over a reboot.

    waypost why                          both states, since when, why, what the node does about it, what was before
    waypost declare emergency            a person says so; `watch` and `over` as well
    waypost stop                         stop all but alerts, beacons, the console and direct messages
    waypost resume                       let it go on

The page shows the same, and whoever is in the node's own network can declare and stop there, after a confirmation.
The last {rows} transitions are remembered over reboots; `waypost why --readings` prints the last {readings} readings
as they came, and `tests/conformance/emergency.py` replays such a list.

## How far it reaches

```mermaid
stateDiagram-v2
{reach}
```

A verdict counts once it has stood for {well} s (well), {partly} s (partly), {cut} s (cut; {unplugged} s where the
machine itself sees that there is no cable or no route), and until anything is known after a start {first} s unless
all is well. After a change the state stays for {dwell} s at least. A connection that changes about eight times in a
minute counts as partly there until it has been still for a while.

- **well**: whatever is looked for answers. **partly**: some of it, or only the router with nothing beyond to ask; or
  something is amiss that the internet does not hang on.
- **cut**: none of it. Capabilities that need the internet leave the registry while a node is offline, and are back when
  it is not: `protocol.versions` shows them, and neighbours are told.

## How things are

```mermaid
stateDiagram-v2
{condition}
```

Nothing waits on the way into an emergency. Every other change needs {dwell} s in the state before; a recovery lasts
{recovery} minutes. What a person has declared ends by itself after {person} hours. After a reboot the state goes on,
and what held it up counts until it is read anew, {held} minutes at most; the hours of a person begin anew.

## What is read

| input | value | says | means | counts after |
|---|---|---|---|---|
{inputs}

`dark` follows from `power` and the first table, and `steady` from how often the verdict changes; everything else is
handed in. `dark` needs the internet to have been there before, and gone within {dark} hours of the mains: a hall that
never has internet is not in an emergency because its mains failed.

- **names**, **tcp** and **gateway** are looked for every `probe_s` seconds, at once when a cable or a route changes,
  and every {soon} s while what was found has not settled. See "Who is asked" below.
- **hub**: where `library.hubs` names larger nodes, one of them should be among the neighbours, over any link.
- **alert** comes from official alerts for this node's place (a signed alert under a role certificate). One stands
  until its time is over by a clock that is sure of itself (NTP, GPS, or one that goes on plausibly from the last time
  that was sure), and never longer than it was made for: a clock that reads 2020 or 2099 neither hides nor keeps it.
- **reports** are neighbours' signed reports, each author once, by the gravest that it still stands by: a stranger
  counts {unknown}, a member {member}, a trusted node {trusted}, an anchor {anchor}; whoever says that there is nothing
  counts against it. From `emergency.quorum` ({quorum}) on, of {authors} authors at least, it is an emergency. Nobody
  makes one alone. A member is who has shown to this very node that it holds the community's key, over a link or by
  beacons; for what comes from further off name the author in `trust.trusted`.

## Who is asked

Nothing but what is set, and by default nobody outside but the name servers that this machine uses anyway.

- The name servers of `/etc/resolv.conf`, or of `net.servers`, are asked for a made-up name below one of `net.names`;
  that it does not exist is the answer wanted. It is another name each time, so that no cache can answer in place of
  the internet, and it says nothing about this node. A refusal or a failure of the name server is no answer; a literal
  address is no look-up. The default, `empty.as112.arpa`, is a zone that is served all over the world only to swallow
  such questions (RFC 7535).
- A connection is tried to each of `net.connect`, where some are set, and closed at once. A name among them is looked up
  the same way.
- Whether the router answers is read from the kernel's table of neighbours, and only where nothing else answers. For the
  kernel to know, the router is asked by mDNS whether it is a node; no answer is needed.

`net.probe = false` asks nobody; the internet then counts as there, and beacons say that nothing is known.

## What it changes

| | {states} |
|---|{lines}|
{rows_table}

`beacon_s`: the longest time between two beacons on a radio; they tell both states. `lanes`: what is passed on (0
alerts, 1 direct, 2 community, 3 bulk); what is posted here meanwhile is kept, and found by the others later.
`models`: none, small or full. `display`: how bright the screen of the box is, where it has one with a backlight
(`sensors.screen`), and `off` puts out the light as well. `access_point`: `on` gives a box that is only a client of a
Wi-Fi one of its own as well (IMAGE.md; elsewhere the text is written to `access-point` in systemd's RuntimeDirectory,
where there is one). `reserve_permille`: what alerts may take of the store before the oldest of them go. Any field can
be set otherwise in waypost.toml:

```toml
[emergency]
watch = ["models=small", "probe_s=60"]
```

The body of the box takes away from that, whatever is set:

| when | | models at most | display at most | probes |
|---|---|---|---|---|
{ladder}

While offline, probes come half as often. Whatever happens, lanes 0 and 1 are passed on and beacons go.

All this costs a node 0.3 MB of memory and a tenth of a second of computing an hour.

## When something hangs

A part that gives no sign of life is started again, and its trouble says so. Where that does not help, the process
begins again in its own place, with systemd or without: when a task can't be ended, and when the event loop stood still
for {blocked} s; `waypost status`, the page and the log then say why for an hour, and in which line of the program.
Where none of its lines can run either, the process prints where it hangs and ends after {fatal} s. systemd is told of
every beat (`WatchdogSec=90` in the image) and ends a process that is stopped or frozen; the board's own watchdog ends
a frozen kernel (docs/IMAGE.md).

After {failed} starts in a row that failed, that is that ended within {well_s} s without having been stopped, the node
starts safely: messages, alerts, the page and the console, and nothing else. It says so as trouble. An ordinary start
begins again with `waypost restart --yes`; if that fails as well, the next is safe again.

## The body of the box

Every {read} s a node reads what its board file names (boards/README.md) and what is set; `waypost why` shows the
values.

| what | from | leads to |
|---|---|---|
| heat | the board's thermal zone | `heat`, by the board's own limits, with a gap of {gap} degrees on the way down |
| a supply that is too weak | the hwmon `rpi_volt` or the firmware's `get_throttled` | `supply` |
| mains, battery | the kernel's power supplies, if one is a battery | `power`, the battery in beacons |
| the same | `sensors.ups`: a MAX17040, 43, 48 or INA219 on the I2C bus | the same |
| the same | `sensors.nut`: Network UPS Tools | the same |
| disk, card | the disk of the node's directory | trouble below {room} MiB, and from {worn} % of an eMMC's life on |
| button | the board's GPIO line, by the kernel | see below |

Of two that measure the same the worse counts. A sensor that fails {fails} times in a row is trouble, and what it
measures is not known. `sensors.enabled = false` reads nothing. A driver of `[[sensor]]`, `[led]` or `[button]` in a
board file is `Class(facts, root)` and follows SensorPort, LightPort or boards/parts/gpio.py.

The **button**, held for {hold} s and let go, declares an emergency, or says that it is over; held for {stop} s it
stops the node, or lets it go on. Shorter touches do nothing. The **light** flickers as soon as letting go would do
something:

| light | |
|---|---|
{lights}

## Stops

- **Local stop**: `waypost stop`, the page, or the button, without any key. Models stop, lanes 2 and 3 are not passed
  on. It is kept over reboots, and only a person ends it. `waypost why` and the page say who stopped it.
- **Community halt**: signed by the stewards; it does the same here, and a local `resume` does not end it.

Neither ever silences alerts, beacons, the console or direct messages. Of an alert that means its short form, with
headline, place and what to do; a longer text that follows it is in lane 2 and waits (PROTOCOL.md, 18).
"""


_LIGHTS = {"off": "far too hot, the battery is low, or set so", "held": "the button has been held long enough"}


def page() -> str:
    """docs/EMERGENCY.md"""
    weights = dict(zip(("unknown", "member", "trusted", "anchor"), standing.WEIGHTS, strict=True))
    return _HEAD.format(
        read=body.READ_S, gap=body.HEAT_GAP_MC // 1000, room=body.FREE_BYTES_MIN >> 20, worn=body.WORN_PERCENT,
        fails=body.FAILED_MAX, hold=f"{panel.HOLD_S:g}", stop=f"{panel.STOP_S:g}", lights=_lights(),
        blocked=f"{watchdog.BLOCKED_S:g}", fatal=f"{watchdog.FATAL_S:g}", failed=starts.FAILED_MAX,
        well_s=starts.WELL_S, soon=f"{probes.SOON_S:g}", rows=history.ROWS, readings=keeper.READINGS_MAX,
        reach=_diagram(table.REACH), condition=_diagram(table.CONDITION),
        well=table.HOLD_MS[0] // 1000, partly=table.HOLD_MS[1] // 1000, cut=table.HOLD_MS[2] // 1000,
        unplugged=table.UNPLUGGED_MS // 1000, first=table.FIRST_MS // 1000, dwell=table.DWELL_MS // 1000,
        recovery=table.RECOVERY_MS // 60000, person=emergency.PERSON_MS_MAX // 3600000,
        held=emergency.HELD_MS // 60000, dark=emergency.DARK_WITHIN_MS // 3600000, inputs=_inputs(),
        quorum=standing.QUORUM, authors=standing.AUTHORS_MIN, states=" | ".join(policy.THEMES),
        lines="---|" * len(policy.THEMES), rows_table=_rows(), ladder=_ladder(), **weights).replace("---||", "---|")


def _diagram(axis: int) -> str:
    states, verdicts = table.STATES[axis], table.VERDICTS[axis]
    edges: dict[tuple[int, int], list[str]] = {}
    for (old, verdict), new in sorted(table.TABLES[axis].items()):
        edges.setdefault((old, new), []).append(verdicts[verdict])
    out = [f"    [*] --> {states[0]}"]
    out += [f"    {states[old]} --> {states[new]}: {' or '.join(names)}" for (old, new), names in edges.items()]
    return "\n".join(out)


def _inputs() -> str:
    out = []
    for one in table.INPUTS:
        for number, value in enumerate(one.values):
            says = ("-", "answers", "silent", "amiss")[value.says] \
                if one.axis == table.REACH else table.VERDICTS[table.CONDITION][value.says]
            hold = "at once"
            if one.rise_ms or one.fall_ms:
                hold = f"{one.rise_ms // 1000} s; back after {one.fall_ms // 1000} s"
            shown = f"`{one.name}` | " if not number else " | "
            out.append(f"| {shown}{value.name} | {says} | {value.words} | {hold if not number else ''} |")
    return "\n".join(out)


def _rows() -> str:
    rows = [policy.shown(row) for row in policy.ROWS]
    return "\n".join(f"| `{field}` | " + " | ".join(str(row[field]) for row in rows) + " |" for field in policy.FIELDS)


def _lights() -> str:
    out = []
    for name, pattern in led.PATTERNS.items():
        on_ms, off_ms = pattern
        said = f"{on_ms} ms on, {off_ms} ms off" if on_ms and off_ms else "on" if on_ms else "off"
        out.append(f"| {said} | {_LIGHTS.get(name, name)} |")
    return "\n".join(out)


def _ladder() -> str:
    values = {one.name: [value.name for value in one.values] for one in table.INPUTS}
    return "\n".join(
        f"| `{name}` {values[name][least]} | {text} | {policy.MODELS[models]} | {policy.DISPLAY[display]} | "
        f"{'as usual' if slower == 1 else f'{slower} times as seldom'} |"
        for name, least, text, models, display, slower in policy.LADDER)


def main() -> None:
    """Write the page."""
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
