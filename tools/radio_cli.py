"""`waypost radio`: what radios there are, setting one up, a test of range, what is heard, and the airtime that is left.

`list` and `setup` work without a node; `test`, `watch` and `airtime` ask the running one. Nothing here talks to a radio
that a node uses: the node does, within the law of the region.
"""

from __future__ import annotations

from edge.errors import NotFound, NotRunning, Unavailable
from tools import cli_show as show
from tools import radio_ble, radio_range
from tools import radio_view as view
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

LISTEN_S = 3
COUNT = 3
EVERY_S = 15
DEADLINE_MS = 600000  # the longest that the bus takes; a stream is asked for again after it
AIRTIME_WAIT_S = 300  # a probe may wait so long for its airtime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost radio`."""
    from tools import radio_setup
    from tools.cli_args import Parser, whole

    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=Parser)
    one = verbs.add_parser("list", help="what there is: the configured links, serial ports, Meshtastic nodes in this "
                           "network, Bluetooth", allow_abbrev=False)
    one.add_argument("--listen", type=whole(0, 60), default=LISTEN_S, metavar="SECONDS", dest="listen_s",
                     help=f"listen so long for Meshtastic's mesh over UDP, and on Bluetooth (default {LISTEN_S})")
    one = verbs.add_parser("setup", help="show or change the settings of a Meshtastic radio that no node uses now",
                           allow_abbrev=False)
    radio_setup.add_arguments(one)
    one = verbs.add_parser("test", help="send probes: does it go out, and who hears it how well; with a larger count a "
                           "range test; over Bluetooth: who is near, and who answers how soon", allow_abbrev=False)
    one.add_argument("--count", type=whole(1, 255), default=COUNT, metavar="N",
                     help=f"so many probes (default {COUNT})")
    one.add_argument("--every", type=whole(2, 120), default=EVERY_S, metavar="SECONDS", dest="every_s",
                     help=f"wait so long for the echoes of each (default {EVERY_S})")
    _link(one)
    one = verbs.add_parser("watch", help="print what is heard and sent, as it happens", allow_abbrev=False)
    _link(one)
    one = verbs.add_parser("airtime", help="what was used of the hour's airtime, what is left, and what waits for it",
                           allow_abbrev=False)
    _link(one)


def _link(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", default=None, metavar="LINK", help="of this radio link only, where there are several")


def run(args: argparse.Namespace) -> int:
    """waypost radio VERB"""
    if args.verb == "list":
        return _list(args)
    if args.verb == "setup":
        from tools import radio_setup

        return radio_setup.run(args)
    with Client(args.dir) as client:
        try:
            return {"test": _test, "watch": _watch, "airtime": _airtime}[args.verb](args, client)
        except NotFound:
            raise Unavailable("the running node has no radio link",
                              hint="waypost radio list shows what there is to set up") from None


def _list(args: argparse.Namespace) -> int:
    from tools import radio_find

    found: dict[str, Any] = {
        "configured": radio_find.configured(args.dir, args.overrides), "serial": radio_find.serial(),
        "lan": radio_find.mesh_over_udp(args.listen_s)}
    links = _running(args.dir)
    adapters = radio_ble.adapters()
    listens = adapters and args.listen_s and "ble" not in links  # the node's own scans must not be disturbed
    found["bluetooth"] = {"adapters": adapters, "near": radio_ble.near(args.listen_s) if listens else []}
    for row in found["configured"]:
        row["state"] = links.get(row["link"], row["state"])
    if args.json:
        show.print_json(found)
    else:
        print("\n".join(view.candidates(found) + radio_ble.candidates(found["bluetooth"])))
    return 0


def _running(directory: str) -> dict[str, str]:
    """Radio links of the node that runs there, and their states."""
    try:
        with Client(directory) as client:
            facts = client.call("node.status@1", deadline_ms=3000)
    except (NotRunning, Unavailable):
        return {}
    return {name: str(link["state"]) for name, link in (facts.get("links") or {}).items() if "state" in link}


def _airtime(args: argparse.Namespace, client: Client) -> int:
    rows = [row for row in client.call("radio.status@1") if args.link in (None, row["link"])]
    if not rows:
        raise Unavailable(f'the running node has no radio link "{args.link}"')
    if args.json:
        show.print_json(rows)
    else:
        print("\n\n".join(view.radio(row) for row in rows))
    return 0


def _watch(args: argparse.Namespace, client: Client) -> int:
    while True:
        for event in client.stream("radio.watch@1", {"link": args.link}, deadline_ms=DEADLINE_MS):
            if args.json:
                show.print_json(event)
            else:
                print(view.event(event), flush=True)


def _test(args: argparse.Namespace, client: Client) -> int:
    row = _row(args, client)
    if radio_ble.is_ble(row):
        found = radio_ble.measure(client, row)
        if args.json:
            show.print_json(found)
        else:
            print("\n".join(radio_ble.lines(found)))
        return 0 if found["facts"]["state"] == "up" else 1
    names = radio_range.names(client.call("peers.list@1") or [], client.call("messages.list@1", {"limit": 1000}) or [])
    tally = radio_range.Tally(names)
    for n in range(args.count):
        for event in _probe(args, client, n):
            tally.take(n, event)
            if args.json:
                show.print_json(event)
            elif said := radio_range.test_event(n, event, names):
                print(said, flush=True)
    if args.json:
        show.print_json({"event": "summary", **tally.summary()})
    else:
        print("\n".join(tally.lines()))
    return 0 if tally.sent else 1


def _row(args: argparse.Namespace, client: Client) -> dict[str, Any]:
    """The radio link that is meant, or the first one: which of several it must be, radio.test asks."""
    rows = [row for row in client.call("radio.status@1") if args.link in (None, row["link"])]
    return rows[0] if len(rows) == 1 else {"link": args.link, "facts": {}}


def _probe(args: argparse.Namespace, client: Client, n: int) -> Iterator[dict[str, Any]]:
    params = {"link": args.link, "n": n, "listen_ms": args.every_s * 1000}
    yield from client.stream("radio.test@1", params, deadline_ms=(AIRTIME_WAIT_S + args.every_s) * 1000)
