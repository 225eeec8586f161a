"""`waypost triage`: labels the messages of a file and, where people have labelled them too, says how well.

It needs no running node and sends nothing anywhere. What a label means and where the figures come from is in
docs/TRIAGE.md.
"""

from __future__ import annotations

from edge.errors import BadRequest
from edge.triage.judge import LABELS, open_judge
from tools import cli_show as show
from tools import triage_data as data
from tools.cli_args import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from edge.triage.judge import Judge

BY = ("both", "lexicon", "model")
SHOWN_LETTERS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `waypost triage`."""
    parser.add_argument("file", metavar="FILE", help="a CSV file with a column message, plain or packed (.csv.xz); "
                        "with a column categories it is measured instead")
    parser.add_argument("--by", choices=BY, default=BY[0], metavar="PART", help="both (default), lexicon or model")
    parser.add_argument("--split", type=whole(0, data.SPLITS - 1), default=None, metavar="N",
                        help="only the messages of this tenth of the file: 0 are those that no training has seen")
    parser.add_argument("--misses", type=whole(0, 1000), default=0, metavar="N",
                        help="show so many messages for each label that people gave and triage did not")


def run(args: argparse.Namespace) -> int:
    """waypost triage FILE"""
    judge = open_judge(use_lexicon=args.by != "model", use_model=args.by != "lexicon")
    rows = [row for row in data.read(args.file) if args.split in (None, row.split)]
    if not rows:
        raise BadRequest("holds no messages", where=args.file)
    labelled = [row for row in rows if row.truth is not None]
    if not labelled:
        return _label(args, judge, rows)
    found = data.measure((row.truth or frozenset(), frozenset(judge.judge(row.text).labels)) for row in labelled)
    if args.misses:
        found["misses"] = data.missed(labelled, lambda text: judge.judge(text).labels, args.misses)
    if args.json:
        show.print_json(found)
    else:
        _print(found)
    return 0


def _label(args: argparse.Namespace, judge: Judge, rows: list[data.Row]) -> int:
    out = []
    for row in rows:
        verdict = judge.judge(row.text)
        if args.json:
            why = {label: [list(one) for one in reasons] for label, reasons in verdict.why.items()}
            out.append({"id": row.id, "labels": list(verdict.labels), "urgent": verdict.urgent, "why": why})
        else:
            mark = "URGENT  " if verdict.urgent else ""
            text = show.clean(row.text)[:SHOWN_LETTERS]
            print(f"{show.clean(row.id)}  {mark}{' '.join(verdict.labels) or '-'}  {text}")
    if args.json:
        show.print_json(out)
    return 0


def _print(found: dict[str, Any]) -> None:
    print(show.table(("LABEL", "PRECISION", "RECALL", "F1", "MESSAGES"), [
        (label, f"{rates['precision']:.3f}", f"{rates['recall']:.3f}", f"{rates['f1']:.3f}", rates["n"])
        for label, rates in found["labels"].items()]))
    print(f"all labels             micro {found['micro']:.3f}, macro {found['macro']:.3f}")
    print(f"without {data.NO_REQUEST}  micro {found['needs']['micro']:.3f}, macro {found['needs']['macro']:.3f}")
    for label in LABELS:
        for text in found.get("misses", {}).get(label, ()):
            print(f"missed {label}: {show.clean(text)}")

