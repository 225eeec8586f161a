"""waypost model and its verbs. Models are files in the node's directory, whether a node runs or not.

A running node is told when there is something new; what it can do with a model is its own matter. Copying and checking
is done here, in this process, so that the node answers meanwhile; fetching from neighbours is the node's work.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile

from edge import config
from edge.errors import BadRequest, DeadlineExceeded, NotFound, NotRunning
from edge.models import adding, budget, manifest
from edge.models.catalogue import Catalogue
from edge.models.front import FOLDER
from tools import cli_show as show
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from edge.models.catalogue import Record
    from edge.settings import Config

FETCH_MS = 600_000
PARAMS_MIN = 500_000_000  # of a model that sums up what others live by (docs/MODELS.md)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `waypost model`."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=type(parser))
    add = verbs.add_parser("add", help="take a model file in: GGUF, or TFLite with a manifest", allow_abbrev=False)
    add.add_argument("file", metavar="FILE", help="the model file, on this machine or a stick")
    add.add_argument("--name", default=None, help="what it is called here (default: as the file)")
    add.add_argument("--manifest", default=None, metavar="TOML", help="what a TFLite model is for (docs/MODELS.md)")
    add.add_argument("--no-pin", action="store_true", help="it may go by itself when another model needs the room")
    fetch = verbs.add_parser("fetch", help="copy a model from neighbours, through the running node", allow_abbrev=False)
    fetch.add_argument("name", metavar="NAME", help="its name there, or its id")
    show_all = verbs.add_parser("list", help="the models that are here, and on sticks", allow_abbrev=False)
    show_all.add_argument("--near", action="store_true", help="those that neighbours have, instead")
    info = verbs.add_parser("info", help="what one model is, and whether it fits this machine", allow_abbrev=False)
    info.add_argument("name", metavar="NAME", help="its name, or the beginning of its id")
    smaller = verbs.add_parser("quantize", help="make a smaller copy, in fewer bits a weight", allow_abbrev=False)
    smaller.add_argument("name", metavar="NAME", help="its name, or the beginning of its id")
    smaller.add_argument("--type", default="auto", dest="kind",
                         choices=("auto", *budget.BITS),
                         help="bits and kind; auto is the best that fits the memory (default)")
    smaller.add_argument("--memory", type=int, default=0, metavar="MB", dest="memory_mb",
                         help="what the machine that it is for can give it (default: what this one has)")
    bench = verbs.add_parser("bench", help="measure a model on this machine", allow_abbrev=False)
    bench.add_argument("name", metavar="NAME", help="its name, or the beginning of its id")
    remove = verbs.add_parser("remove", help="delete a model", allow_abbrev=False)
    remove.add_argument("name", metavar="NAME", help="its name, or the beginning of its id")


def run(args: argparse.Namespace) -> int:
    """waypost model add | fetch | list | info | quantize | bench | remove"""
    if not os.path.isdir(args.dir):
        raise NotRunning("there is no node in this directory", where=args.dir, hint="choose one with --dir, or start a "
                         "node in it first: waypost run")
    settings = config.load(args.dir)[0]
    _as_owner(args.dir)
    catalogue = Catalogue(os.path.join(args.dir, FOLDER), settings["models.quota_mb"] * 1000000)
    return int(_VERBS[args.verb](args, catalogue, settings))


def _add(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    try:
        with tempfile.TemporaryDirectory(dir=args.dir) as folder:
            path, name = args.file, args.name
            if args.manifest is not None:
                path = os.path.join(folder, os.path.basename(args.file))
                manifest.attach(args.file, args.manifest, path)
            record = adding.add_file(catalogue, path, name=name, pinned=not args.no_pin, told=_progress(args, "copied"))
    except OSError as error:
        raise BadRequest(f"can't be read: {error.strerror}", where=str(error.filename or args.file)) from None
    _tell(args.dir)
    return _told(args, record, f"{record.name}: {show.size(record.bytes)}, {', '.join(record.does)}",
                 *_fit(record, settings))


def _fetch(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    told = _progress(args, "fetched")
    name = ""
    with Client(args.dir) as client:
        while not name:
            try:
                for item in client.stream("models.fetch@1", {"model": args.name}, deadline_ms=FETCH_MS):
                    name = item.get("end", {}).get("name", "")
                    if told is not None and item.get("bytes"):
                        told(item["have"], item["bytes"])
            except DeadlineExceeded:
                continue  # a call has an end, the fetching goes on
    record = catalogue.find(name)
    return _told(args, record, f"{record.name}: {show.size(record.bytes)}, {', '.join(record.does)}",
                 *_fit(record, settings))


def _near(args: argparse.Namespace) -> int:
    with Client(args.dir) as client:
        near = client.call("models.near@1") or []
    if args.json:
        show.print_json(near)
    elif not near:
        print("no neighbour has a model")
    else:
        rows = [(one["name"], show.size(one["bytes"]), ", ".join(one["does"]), one["id"][:16], row["name"])
                for row in near for one in row["models"]]
        print(show.table(("name", "size", "does", "id", "node"), rows))
        print("waypost model fetch NAME copies one here")
    return 0


def _on_sticks(directory: str) -> list[dict[str, Any]]:
    """What the running node sees on sticks; nothing where none runs."""
    try:
        with Client(directory) as client:
            return client.call("models.offers@1") or []
    except (NotRunning, NotFound):
        return []


def _list(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    if args.near:
        return _near(args)
    records = catalogue.records()
    if args.json:
        show.print_json([_row(record) for record in records])
        return 0
    for one in _on_sticks(args.dir):
        path = os.path.join(one["place"], one["file"])
        what = f"{show.clean(one['name'])}, {show.size(one['bytes'])}"
        print(f"on a stick: {what}; waypost model add {shlex.quote(path)}")
    if not records:
        print("there are no models; waypost model add FILE takes one in")
    else:
        rows = [(record.name, show.size(record.bytes), record.facts.get("type", record.kind), ", ".join(record.does),
                 record.blob[:16], "pinned" if record.pinned else "") for record in records]
        print(show.table(("name", "size", "type", "does", "id", ""), rows))
    return 0


def _info(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    record = catalogue.find(args.name)
    os.close(catalogue.open(record))  # checks it again where that is due
    need = _need(record, settings)
    if args.json:
        show.print_json(_row(record) | {"needs_bytes": need.total, "available_bytes": budget.available_bytes()})
        return 0
    for name, value in _row(record).items():
        if name != "facts":
            print(f"{name:<9} {', '.join(value) if isinstance(value, list) else value}")
    for name, value in record.facts.items():
        print(f"{name:<16} {show.clean(value)}")
    print("\n".join(_fit(record, settings)))
    return 0


def _remove(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    record = catalogue.find(args.name)
    catalogue.remove(record)
    _tell(args.dir)
    return _told(args, record, f"{record.name} is gone, {show.size(record.bytes)} are free")


def _quantize(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    from tools import model_work

    before = catalogue.find(args.name)
    record = model_work.quantize(catalogue, settings, args.name, args.kind, args.memory_mb)
    _tell(args.dir)
    return _told(args, record, f"{record.name}: {show.size(record.bytes)} instead of {show.size(before.bytes)}",
                 *_fit(record, settings))


def _bench(args: argparse.Namespace, catalogue: Catalogue, settings: Config) -> int:
    from tools import model_work

    figures = model_work.bench(args.dir, settings, args.name)
    if args.json:
        show.print_json(figures)
    else:
        print("\n".join(model_work.lines(figures)))
    return 0


def _need(record: Record, settings: Config) -> budget.Need:
    if record.kind == "gguf":
        return budget.of_gguf(record.facts, settings["models.context"])
    return budget.of_tflite(record.bytes)


def _fit(record: Record, settings: Config) -> list[str]:
    """What it needs and whether it fits; and what is to be said of one that is too small for what it will be asked."""
    need = _need(record, settings)
    limit_bytes = settings["models.memory_mb"] * 1000000
    room = budget.available_bytes() - budget.RESERVE_BYTES
    fits = need.total <= (min(room, limit_bytes) if limit_bytes else room)
    said = "it fits" if fits else "it is too large"
    lines = [f"needs {need}; this machine has {max(0, room) // 1000000} MB for it now: {said}"]
    if "chat" in record.does and record.facts["params"] < PARAMS_MIN:
        lines.append(f"{record.facts['params'] / 1e6:.0f} million parameters: it writes well and is wrong, on first "
                     "aid too; library.models = false keeps models out of the library's answers")
    return lines


def _told(args: argparse.Namespace, record: Record, *lines: str) -> int:
    if args.json:
        show.print_json(_row(record))
    else:
        print("\n".join(lines))
    return 0


def _row(record: Record) -> dict[str, Any]:
    row = record.row() | {"id": record.blob}
    del row["blob"], row["seen"]
    return row


def _tell(directory: str) -> None:
    """Let a running node look again."""
    try:
        with Client(directory) as client:
            client.call("models.refresh@1")
    except NotRunning:
        pass


def _as_owner(directory: str) -> None:
    """What root makes in a node's directory belongs to whom the directory belongs to."""
    owner = os.stat(directory)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def _progress(args: argparse.Namespace, what: str) -> Any:
    if args.json or not sys.stderr.isatty():
        return None

    def told(done: int, size: int) -> None:
        end = "\n" if done == size else "\r"
        print(f"{what} {done * 100 // size:3} % of {show.size(size)}", end=end, file=sys.stderr, flush=True)

    return told


_VERBS = {"add": _add, "fetch": _fetch, "list": _list, "info": _info, "quantize": _quantize, "bench": _bench,
          "remove": _remove}
