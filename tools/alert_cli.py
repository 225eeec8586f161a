"""waypost alert: list, send, import, export, cancel, confirm, dispute, report.

CAP files are read here, in this process, so that no node ever parses XML for it; what is asked of the node are trees
of numbered elements. `import --dry-run` needs no node: it says what would be sent, or why nothing would be.
"""

from __future__ import annotations

import os
import sys

from edge.core import alert, cbor, limits
from edge.errors import BadRequest, WaypostError
from edge.services import alertform, alertrows, capthin, captime, captree
from edge.services.alerts import TREE_BYTES_MAX, check_meant
from tools import cli_show as show
from tools.alert_view import alert_lines
from tools.cap import reader, writer
from tools.cli_args import span, whole
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_SENT = ("instruction", "description", "urgency", "certainty", "category", "response", "status", "event", "issuer",
         "language", "updates")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `waypost alert`."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=type(parser))

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, allow_abbrev=False)

    listed = verb("list", "the alerts that stand, official ones first")
    listed.add_argument("--ended", action="store_true", help="also those that were updated or cancelled")
    listed.add_argument("--limit", type=whole(1, 512), default=100, metavar="N", help="at most so many (default 100)")
    _add_send(verb("send", "issue an alert in this node's name; official where the node has the certificate"))
    taken = verb("import", "issue the alerts of CAP files, or of all *.cap and *.xml in a directory")
    taken.add_argument("paths", metavar="PATH", nargs="+", help="a CAP 1.1 or 1.2 file, or a directory of them")
    taken.add_argument("--dry-run", action="store_true", help="only say what would be sent, or the refusal; no node "
                       "is needed")
    export = verb("export", "write an alert as CAP 1.2")
    export.add_argument("id", metavar="ID", help="its id or the beginning of it")
    export.add_argument("-o", "--output", default="-", metavar="FILE", help="where to (default: standard output)")
    cancel = verb("cancel", "cancel an alert that this node issued, everywhere")
    cancel.add_argument("id", metavar="ID", help="its id or the beginning of it")
    cancel.add_argument("--reason", default=None, metavar="TEXT", help="why")
    for stance, text in (("confirm", "say that an alert is right"), ("dispute", "say that an alert is wrong"),
                         ("withdraw", "take back what this node said of an alert")):
        judged = verb(stance, text + ", in this node's name")
        judged.add_argument("id", metavar="ID", help="its id or the beginning of it")
        judged.add_argument("--text", default=None, metavar="TEXT", help="why")
    report = verb("report", "tell the neighbours of a danger here; it is never shown as official")
    report.add_argument("headline", metavar="TEXT", help="what is the matter")
    report.add_argument("--name", default=None, help="who says so")
    report.add_argument("--severity", default=None, metavar="WORD", help="Extreme, Severe, Moderate or Minor")


def _add_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("headline", metavar="TEXT", help="what is the matter")
    parser.add_argument("--severity", required=True, metavar="WORD", help="Extreme, Severe, Moderate or Minor")
    for name, text in (("instruction", "what to do"), ("description", "what else is known"),
                       ("event", "what it is called, in a word or two"), ("issuer", "who issues it"),
                       ("language", "of the texts, such as en"), ("updates", "the alert whose place it takes")):
        parser.add_argument("--" + name, default=None, metavar="ID" if name == "updates" else "TEXT", help=text)
    for name, words in (("urgency", alert.URGENCIES), ("certainty", alert.CERTAINTIES), ("category", alert.CATEGORIES),
                        ("response", alert.RESPONSES[1:])):
        parser.add_argument("--" + name, default=None, metavar="WORD", help=", ".join(words))
    parser.add_argument("--status", default=None, metavar="WORD", help="Actual (default), Exercise or Test")
    parser.add_argument("--area", action="append", default=[], dest="areas", metavar="AREA",
                        help='"LAT,LON KILOMETRES", "#geohash" or a name; may be given several times')
    parser.add_argument("--for", default="24h", dest="span_s", type=span, metavar="TIME",
                        help="how long: 30m, 6h, 2d (default 24h)")
    parser.add_argument("--onset", default=None, type=span, metavar="TIME", help="when it begins: in 30m, 6h, 2d")


def run(args: argparse.Namespace) -> int:
    """waypost alert list | send | import | export | cancel | confirm | dispute | withdraw | report"""
    if args.verb == "import":
        return _import(args)
    verbs = {"list": _list, "send": _send, "export": _export, "cancel": _cancel, "report": _report}
    with Client(args.dir) as client:
        return verbs.get(args.verb, _judge)(args, client)


def _list(args: argparse.Namespace, client: Client) -> int:
    rows = client.call("alert.list@1", {"ended": args.ended, "limit": args.limit}) or []
    if args.json:
        show.print_json(rows)
    elif not rows:
        print("no alert stands")
    else:
        print("\n\n".join("\n".join(alert_lines(row)) for row in rows))
    return 0


def _send(args: argparse.Namespace, client: Client) -> int:
    params = {name: getattr(args, name) for name in _SENT if getattr(args, name) is not None}
    params |= {"headline": args.headline, "severity": args.severity, "areas": args.areas,
               "ttl_s": args.span_s}
    if args.onset is not None:
        params["onset_s"] = client.call("node.status@1")["time_ms"] // 1000 + args.onset
    _tell_sent(args, client.call("alert.send@1", params), "")
    return 0


def _tell_sent(args: argparse.Namespace, made: dict[str, Any], path: str) -> None:
    if args.json:
        show.print_json(made)
        return
    head = f"{path}: " if path else ""
    if "known" in made:
        print(f"{head}is out already as {made['known']}")
        return
    print(f"{head}issued as {made['id']}, {made['air_bytes']} bytes on a radio")
    if made["cut"]:
        print("  the whole text follows in a second message" if made["details"] else "  the text was cut")
    if made["left_out"]:
        print(f"  too long to be carried whole; left out: {', '.join(made['left_out'])}")
    if not made["official"]:
        print("  this node has no certificate for alerts: others see it as a neighbour's report (waypost cert)")


def _export(args: argparse.Namespace, client: Client) -> int:
    found = client.call("alert.get@1", {"id": args.id})
    row, tree = found["row"], cbor.decode(found["tree"]) if found["tree"] is not None else None
    meant = [client.call("alert.get@1", {"id": id})["row"] for id in row["references"]]
    document = writer.xml(writer.whole(row, tree, alert.Short(cbor.decode(found["body"])), meant))
    if args.output == "-":
        sys.stdout.write(document)
        return 0
    with open(args.output, "w", encoding="utf-8") as file:
        file.write(document)
    if args.json:
        show.print_json({"id": row["id"], "path": args.output})
    return 0


def _cancel(args: argparse.Namespace, client: Client) -> int:
    made = client.call("alert.cancel@1", {"id": args.id, "reason": args.reason})
    return _done(args, made, f"cancelled by {made['id']}")


def _judge(args: argparse.Namespace, client: Client) -> int:
    made = client.call("alert.judge@1", {"id": args.id, "stance": args.verb, "text": args.text})
    return _done(args, made, f"said as {made['id']}")


def _report(args: argparse.Namespace, client: Client) -> int:
    params = {"headline": args.headline, "name": args.name}
    if args.severity is not None:
        params["severity"] = args.severity.capitalize()
    made = client.call("alert.report@1", params)
    return _done(args, made, f"reported as {made['id']}")


def _done(args: argparse.Namespace, made: dict[str, Any], text: str) -> int:
    if args.json:
        show.print_json(made)
    else:
        print(text)
    return 0


def _import(args: argparse.Namespace) -> int:
    paths = [one for path in args.paths for one in files_of(path)]
    client = None if args.dry_run else Client(args.dir)
    results = []
    try:
        for path in paths:
            try:
                tree, left_out = capthin.thin(reader.read(path), TREE_BYTES_MAX)
                made = _would_send(tree) if client is None else client.call(
                    "alert.import@1", {"tree": cbor.encode(tree)})
                results.append({"path": path, **made} | ({} if "known" in made else {"left_out": left_out}))
            except WaypostError as error:
                if error.code not in ("bad_request", "not_found"):
                    raise
                results.append({"path": path, "refused": error.to_dict()})
    finally:
        if client is not None:
            client.close()
    refused = [one for one in results if "refused" in one]
    if args.json:
        show.print_json(results)
    else:
        for one in results:
            _tell_import(args, one)
    if not results:
        raise BadRequest("there is no *.cap or *.xml in it", where=args.paths[0])
    return 1 if refused else 0


def _tell_import(args: argparse.Namespace, result: dict[str, Any]) -> None:
    path = show.clean(result["path"])
    if "refused" in result:
        refused = result["refused"]
        where = refused.get("where", "")
        said = f"{where}: {refused['message']}" if where.startswith(result["path"]) else (
            f"{path}: {where + ': ' if where else ''}{refused['message']}")
        allowed = f"; allowed: {refused['allowed']}" if "allowed" in refused else ""
        hint = f"; hint: {refused['hint']}" if "hint" in refused else ""
        print(f"REFUSED   {show.clean(said + allowed + hint)}")
    elif "would_send" in result:
        sends = result["would_send"]
        print(f"{path}: {sends['air_bytes']} bytes on a radio, {sends['details_bytes']} bytes of details"
              + (f"; it expired at {result['expired']} and would be refused" if result["expired"] else "")
              + (f"; left out: {', '.join(result['left_out'])}" if result["left_out"] else ""))
        print(f"  {show.clean(sends['headline'])}")
        for name in ("severity", "urgency", "certainty", "instruction", "issuer"):
            if sends[name]:
                print(f"  {name:<12} {show.clean(sends[name])}")
        print(f"  {'for':<12} {show.clean(', '.join(sends['areas']) or 'everybody')}")
    else:
        _tell_sent(args, result, path)


def _would_send(tree: dict[int, Any]) -> dict[str, Any]:
    """What an import would do, without a node: who holds what it refers to, and the time there, are not known here."""
    import time

    check_meant(tree)
    form = alertform.of_cap(tree, [])
    short = alert.Short(form.body)
    details = form.details(bytes(16))
    expired = captime.text(form.ends_s) if form.ends_s is not None and form.ends_s <= time.time() else None
    return {
        "kind": tree[captree.MSG_TYPE].lower(), "identity": captree.identity(tree), "expired": expired,
        "refers_to": captree.references(tree) if captree.REFERENCES in tree else [],
        "would_send": {
            "headline": short.headline, "issuer": short.issuer, "instruction": short.instruction, "event": short.event,
            "language": short.language, "onset_s": short.onset_s, **alertrows.words(short),
            "areas": alertrows.areas(short, None), "texts": alertrows.texts(short, tree),
            "expires": captime.text(form.ends_s) if form.ends_s is not None else None,
            "air_bytes": limits.ALERT_AIR_BYTES_MAX - limits.ALERT_BODY_AIR_BYTES_MAX + form.air_bytes(),
            "cut": form.cut, "body": cbor.encode(form.body),
            "details_bytes": len(cbor.encode(details)) if details is not None else 0,
        },
    }


def files_of(path: str) -> list[str]:
    """The path itself, or the *.cap and *.xml files of a directory, by name."""
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.lower().endswith((".cap", ".xml")))
