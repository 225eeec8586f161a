"""Commands about emergencies: why, declare, stop, resume. Each is one call over the control socket and its answer.

To declare and to stop takes no key: whoever is at this console may. With --json the answer is that of emergency.status.
"""

from __future__ import annotations

from tools import cli_show as show
from tools.cli_view import emergency_lines
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_DOES = {
    "access_point": "access point {}", "beacon_s": "a beacon every {} s at least", "display": "display {}",
    "lanes": "passes on lanes {}", "models": "models: {}", "probe_s": "looks for the internet every {} s",
    "reserve_permille": "alerts may take {} of 1000 of the store", "theme": "page: {}",
}


def why(args: argparse.Namespace) -> int:
    """waypost why [--readings]"""
    with Client(args.dir) as client:
        if args.readings:
            rows = client.call("emergency.readings@1") or []
            print("\n".join(show.clean(row) for row in rows)) if not args.json else show.print_json(rows)
            return 0
        facts = client.call("emergency.status@1")
    return _tell(args, facts)


def declare(args: argparse.Namespace) -> int:
    """waypost declare emergency | watch | over"""
    level = "none" if args.level == "over" else args.level
    with Client(args.dir) as client:
        return _tell(args, client.call("emergency.declare@1", {"level": level}))


def stop(args: argparse.Namespace) -> int:
    """waypost stop"""
    with Client(args.dir) as client:
        return _tell(args, client.call("emergency.stop@1"))


def resume(args: argparse.Namespace) -> int:
    """waypost resume"""
    with Client(args.dir) as client:
        return _tell(args, client.call("emergency.resume@1"))


def _tell(args: argparse.Namespace, facts: dict[str, Any]) -> int:
    if args.json:
        show.print_json(facts)
    else:
        print("\n".join(lines(facts)))
    return 0


def lines(facts: dict[str, Any]) -> list[str]:
    """`emergency.status` for people."""
    does = "; ".join(_DOES[name].format(value) for name, value in sorted(facts["policy"].items()))
    read = ", ".join(f"{name} {value}" for name, value in sorted(facts["readings"].items())
                     if value not in ("unknown", "none"))
    out = [*emergency_lines(facts), f"does      {does}"]
    out += [f"{'':10}less than usual: {text}" for text in facts["limits"]]
    out.append(f"reads     {read}")
    if facts["body"]:
        out.append("measures  " + ", ".join(f"{name} {value}" for name, value in sorted(facts["body"].items())))
    for number, row in enumerate(facts["history"]):
        head = "" if number else "before"
        out.append(f"{head:10}{show.when(row['time_s'] * 1000)}  {row['from']} -> {row['to']}: {row['why']}")
    return [show.clean(one) for one in out]
