"""waypost pack: build, add, list, verify, remove, search, embed. The library of a node, whether or not the node runs.

It decides whose pack may be added: one that this node's owner, a steward, a trusted node or an author named in
library.authors has signed, or one whose author is named on the command line. The index is written here, so that the
node, which only reads it, answers meanwhile. docs/PACKS.md.
"""

from __future__ import annotations

import os
import sys
import time
from array import array

from edge import config, keys
from edge.errors import BadRequest, KeyFileError, NotFound, PackError
from edge.library import INDEX_NAME, pack, shelf, vectors
from edge.library.search import Library
from tools import cli_show as show
from tools import cli_view as view
from tools import owned
from tools.cli_args import whole
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from edge.settings import Config

LICENCE_UNKNOWN = "not said"
FACTS_FILE = "pack.toml"
EMBED_BATCH = 16
EMBED_MS = 600000
FACTS = ("name", "version", "title", "language", "licence", "about")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `waypost pack`."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=type(parser))
    build = verbs.add_parser("build", help="make a pack of a folder of texts, signed by this node or another key",
                             allow_abbrev=False)
    build.add_argument("folder", metavar="FOLDER", help="its .md, .html, .txt and .zim files, and a pack.toml")
    build.add_argument("target", metavar="FILE", help="the pack that is made")
    build.add_argument("--key", default=None, metavar="DIR", help="sign with the identity.key of this directory")
    add = verbs.add_parser("add", help="take a pack into the library", allow_abbrev=False)
    add.add_argument("file", metavar="FILE", help="the pack, on this machine or a stick")
    add.add_argument("--author", default=None, metavar="KEY",
                     help="accept this author (64 hex digits; compare them with the author in person)")
    verbs.add_parser("list", help="the packs of the library", allow_abbrev=False)
    verify = verbs.add_parser("verify", help="compare packs with what was signed, every document", allow_abbrev=False)
    verify.add_argument("name", metavar="NAME", nargs="?", default=None, help="one pack, or a file (default: all)")
    remove = verbs.add_parser("remove", help="take a pack out of the library", allow_abbrev=False)
    remove.add_argument("name", metavar="NAME", help="its name")
    embed = verbs.add_parser("embed", help="have a model of the running node make vectors of all passages: answers "
                             "are found by meaning as well", allow_abbrev=False)
    embed.add_argument("--model", default=None, metavar="NAME", help="which one (default: the node's choice)")
    search = verbs.add_parser("search", help="find passages for a question", allow_abbrev=False)
    search.add_argument("words", metavar="WORDS", nargs="+", help="the question")
    search.add_argument("--limit", type=whole(1, 20), default=3, metavar="N", help="at most so many (default 3)")
    search.add_argument("--pack", default=None, metavar="NAME", help="of this pack only")


def run(args: argparse.Namespace) -> int:
    """waypost pack build | add | list | verify | remove | search | embed"""
    if args.verb != "build":  # which writes where it is told to
        owned.become_owner(args.dir)
    try:
        return int({"build": _build, "add": _add, "list": _list, "verify": _verify, "remove": _remove,
                    "search": _search, "embed": _embed}[args.verb](args))
    except OSError as error:
        raise PackError(error.strerror or str(error), where=str(error.filename or args.dir)) from None


def _build(args: argparse.Namespace) -> int:
    facts, sources = _about(args.folder)
    documents = []
    for folder, names, files in os.walk(args.folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), args.folder).replace(os.sep, "/")
            if os.path.splitext(name)[1].lower() in pack.KINDS and not name.startswith("."):
                documents.append((path, os.path.join(folder, name), str(sources.pop(path, ""))))
    if sources:
        raise PackError(f"names a document that is not there: {min(sources)}", where=_facts_path(args.folder))
    if not documents:
        raise PackError("holds no documents", where=args.folder, allowed=", ".join(sorted(pack.KINDS)))
    pack.write(args.target, facts, documents, keys.load(args.key or args.dir))
    with pack.Pack(args.target) as made:
        row = _row(made.facts | {"digest": made.digest}) | {"documents": len(made.documents), "file": args.target}
    if args.json:
        show.print_json(row)
    else:
        print(f"{args.target}: {row['name']} {row['version']}, {row['documents']} documents, signed by {row['author']}")
    return 0


def _add(args: argparse.Namespace) -> int:
    settings = config.load(args.dir)[0]
    os.makedirs(args.dir, mode=0o700, exist_ok=True)
    shelf.ensure(args.dir, built_in=settings["library.built_in"])
    with pack.Pack(args.file) as one:
        _admit(one, args, settings)
        held = {row["name"]: row for row in shelf.listed(args.dir)}.get(one.facts["name"])
        if held is not None:
            _replace(one, held)
        count = shelf.put(args.dir, one)
        row = _row(one.facts | {"digest": one.digest, "passages": count})
    if args.json:
        show.print_json(row)
    else:
        print(f"added {row['name']} {row['version']}: {show.clean(row['title'])}, {count} passages, "
              f"by {row['author'][:16]}")
    return 0


def _list(args: argparse.Namespace) -> int:
    rows = [_row(row) for row in _library(args)]
    if args.json:
        show.print_json(rows)
    elif not rows:
        print("the library is empty")
    else:
        print(show.table(("NAME", "VERSION", "PASSAGES", "AUTHOR", "LICENCE", "TITLE"), [
            (row["name"], row["version"], row["passages"], row["author"][:16] or "this software", row["licence"],
             row["title"]) for row in rows]))
    return 0


def _verify(args: argparse.Namespace) -> int:
    if args.name is not None and os.path.isfile(args.name):
        with pack.Pack(args.name) as one:
            shelf.check(one)
            rows = [_row(one.facts | {"digest": one.digest}) | {"documents": len(one.documents)}]
    else:
        found = [row for row in _library(args) if args.name in (None, row["name"])]
        if args.name is not None and not found:
            raise NotFound(f"no pack {args.name} is in the library", where="NAME", hint="waypost pack list")
        rows = [_row(row) | {"documents": shelf.verify(args.dir, row)} for row in found]
    if args.json:
        show.print_json(rows)
    for row in [] if args.json else rows:
        print(f"{row['name']} {row['version']}: {row['documents']} documents as they were signed, "
              f"by {row['author'] or 'this software'}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    if args.name == shelf.BUILT_IN and not os.path.exists(shelf.path_of(args.dir, args.name)):
        raise BadRequest("comes with the software", where=args.name, hint="set library.built_in = false, and restart")
    held = {row["name"] for row in _library(args)}
    if args.name not in held or not shelf.take_out(args.dir, args.name):
        raise NotFound(f"no pack {args.name} is in the library", where="NAME", hint="waypost pack list")
    if args.json:
        show.print_json({"name": args.name, "removed": True})
    else:
        print(f"removed {args.name}")
    return 0


def _search(args: argparse.Namespace) -> int:
    _library(args)
    library = Library(os.path.join(args.dir, INDEX_NAME))
    try:
        found = library.search(" ".join(args.words), args.limit, args.pack)
    finally:
        library.close()
    if args.json:
        show.print_json({"good": found.good, "passages": found.passages})
        return 0
    if not found.good:
        print("no good match" + ("; the nearest:" if found.passages else ""))
    for row in found.passages:
        print(view.passage(row))
    return 0


def _embed(args: argparse.Namespace) -> int:
    _library(args)
    chosen = {} if args.model is None else {"model": args.model}
    with Client(args.dir) as client, shelf.Writer(args.dir) as db:
        model = str(client.call("embed.text@1", {"texts": ["water"]} | chosen, deadline_ms=EMBED_MS)["model"])
        todo = vectors.without_vector(db, model)
        for at in range(0, len(todo), EMBED_BATCH):
            batch = todo[at:at + EMBED_BATCH]
            params = {"texts": [text for _, text in batch], "model": model}
            made = client.call("embed.text@1", params, deadline_ms=EMBED_MS)["vectors"]
            vectors.keep_vectors(db, [(n, _small(vector)) for (n, _), vector in zip(batch, made, strict=True)])
            print(f"\r{min(at + EMBED_BATCH, len(todo))} of {len(todo)} passages", end="", file=sys.stderr)
    if todo:
        print(file=sys.stderr)
    if args.json:
        show.print_json({"model": model, "passages": len(todo)})
    else:
        print(f"{len(todo)} new vectors by {model}")
    return 0


def _small(vector: bytes) -> bytes:
    """A vector of length 1, 32-bit floats, as one byte a component."""
    return array("b", [max(-127, min(127, round(one * 127))) for one in array("f", vector)]).tobytes()


def _library(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The packs, after what has changed in the directory has been taken in."""
    settings = config.load(args.dir)[0]
    if not os.path.isdir(args.dir):
        os.makedirs(args.dir, mode=0o700)
    for problem in shelf.ensure(args.dir, built_in=settings["library.built_in"]):
        print(f"waypost: {problem}", file=sys.stderr)
    return shelf.listed(args.dir)


def _admit(one: pack.Pack, args: argparse.Namespace, settings: Config) -> None:
    """Whether this pack may come in. Raises PackError."""
    author: bytes = one.facts["key"]
    if args.author is not None:
        if args.author.lower() != author.hex():
            raise PackError(f"is signed by {author.hex()}, not by the author named", where=args.file)
        return
    known = [bytes.fromhex(text) for name in ("library.authors", "trust.anchors", "trust.trusted", "community.stewards")
             for text in settings.values.get(name, ())]
    try:
        from edge.compat import crypto

        known.append(crypto.public_key(keys.load(args.dir)))
    except KeyFileError:
        pass  # no node has run here yet
    if author not in known and not one.signers(known):
        raise PackError("is signed by nobody whom this node knows", where=args.file,
                        allowed="this node, stewards, trusted nodes, library.authors",
                        hint=f"compare {author.hex()} with its author in person, then add --author with it")


def _replace(one: pack.Pack, held: dict[str, Any]) -> None:
    """Whether it may take the place of the pack of the same name. Raises PackError."""
    name = one.facts["name"]
    if held["key"] != one.facts["key"]:
        raise PackError(f"the library has a pack {name} by another author", where=one.path,
                        hint=f"waypost pack remove {name}" if held["key"] else "give yours another name")
    if one.facts["version"] < held["version"]:
        raise PackError(f"the library has version {held['version']} of {name}, which is newer", where=one.path,
                        hint=f"waypost pack remove {name} first, if you want the older one")


def _about(folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The facts and sources of FOLDER/pack.toml. Raises PackError, ConfigError, OSError."""
    from edge import tomlfile

    path = _facts_path(folder)
    with open(path, "rb") as file:
        tables, _ = tomlfile.parse(path, file.read(tomlfile.BYTES_MAX + 1))
    sources = tables.pop("sources", {})
    unknown = sorted(set(tables) - set(FACTS))
    if unknown or not isinstance(sources, dict):
        raise PackError(f"{unknown[0] if unknown else 'sources'} is not known there", where=path,
                        allowed=", ".join(FACTS) + ", and a heading [sources]")
    if not pack.valid_name(tables.get("name")):
        raise PackError("needs a name", where=path, allowed=f"1..{pack.NAME_CHARS_MAX} small letters, digits and -")
    defaults = {"version": 1, "title": tables["name"], "language": "en", "licence": LICENCE_UNKNOWN, "about": ""}
    return defaults | tables | {"made_s": int(time.time())}, sources


def _facts_path(folder: str) -> str:
    return os.path.join(folder, FACTS_FILE)


def _row(facts: dict[str, Any]) -> dict[str, Any]:
    """A pack as it is shown. author: hex, empty for the built-in one."""
    names = ("name", "version", "title", "language", "licence", "passages")
    out = {name: facts[name] for name in names if name in facts}
    return out | {"author": (facts["key"] or b"").hex(), "digest": facts["digest"].hex()}
