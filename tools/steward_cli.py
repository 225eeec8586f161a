"""waypost cert and waypost halt: what stewards do, away from the nodes, and how their papers come to one.

Making, signing and joining need no node and no network: files go from steward to steward by hand. A steward's key is
one file that its owner keeps; it is never written into a node's directory, and the seed in it is never printed.
"""

from __future__ import annotations

import os
import time

from edge import keys
from edge.compat import crypto
from edge.core import certs, cosign, halt, limits
from edge.core.cbor import CodecError
from edge.errors import BadRequest, KeyFileError
from edge.services.stewards import WHY
from tools import cli_show as show
from tools.cli_args import span
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

_KINDS: dict[str, tuple[int, Any]] = {"cert": (cosign.CERTIFICATE, certs.Certificate),
                                      "halt": (cosign.ORDER, halt.Order)}
_SCOPES = {word: bit for bit, word in halt.SCOPES}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `waypost cert` and of `waypost halt`."""
    is_cert = parser.prog.endswith("cert")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=type(parser))

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, allow_abbrev=False)

    if is_cert:
        steward = verb("steward", "make a steward's key file; keep it away from every node")
        steward.add_argument("file", metavar="FILE", help="the new file")
    else:
        verb("show", "what is halted here, why and until when")
    make = verb("make", "make a certificate and sign it first" if is_cert else "make an order and sign it first")
    if is_cert:
        make.add_argument("node", metavar="KEY", help="whom it is for: the 64 hex digits that waypost keys prints")
        make.add_argument("--role", action="append", default=[], metavar="ROLE",
                          help="what the key may do: alert, or certify beside others; none takes all roles back")
    else:
        make.add_argument("--scope", default="models,relay", metavar="WORDS", help="models, relay or both (default)")
        make.add_argument("--go-on", action="store_true", help="end the halt instead")
        make.add_argument("--epoch", type=int, default=None, metavar="N",
                          help="the order's number, above that of every one before (default: the time now)")
        make.add_argument("--reason", default="", metavar="TEXT", help="why; everybody sees it")
    make.add_argument("--for", default="365d" if is_cert else "24h", dest="span_s", type=span, metavar="TIME",
                      help=f"how long it holds: 30m, 6h, 90d (default {'365d' if is_cert else '24h'})")
    make.add_argument("--community", default="", metavar="NAME", help="community.name of the nodes (default: empty)")
    make.add_argument("--key", required=True, metavar="FILE", help="the key file of the one who signs")
    make.add_argument("-o", "--output", required=True, metavar="FILE", help="where it is written")
    sign = verb("sign", "add a signature to a file")
    sign.add_argument("file", metavar="FILE", help="as make wrote it")
    sign.add_argument("--key", required=True, metavar="FILE", help="the key file of the one who signs")
    join = verb("join", "put the signatures of several copies together")
    join.add_argument("files", metavar="FILE", nargs="+", help="copies of one file, signed by different stewards")
    join.add_argument("-o", "--output", required=True, metavar="FILE", help="where it is written")
    read = verb("read", "say what is in a file and who has signed it")
    read.add_argument("file", metavar="FILE", help="as make wrote it")
    brought = verb("add" if is_cert else "send", "bring a file to the running node; from there it travels by itself")
    brought.add_argument("file", metavar="FILE", help="with all signatures that it needs")
    if is_cert:
        verb("list", "the certificates that are good at the running node")


def run(args: argparse.Namespace) -> int:
    """waypost cert steward | make | sign | join | read | add | list; waypost halt show | make | sign | ... | send"""
    verbs = {"steward": _steward, "make": _make, "sign": _sign, "join": _join, "read": _read, "add": _bring,
             "send": _bring, "list": _list, "show": _show}
    return verbs[args.verb](args)


def _steward(args: argparse.Namespace) -> int:
    folder = os.path.dirname(os.path.abspath(args.file))
    if os.path.exists(os.path.join(folder, keys.FILE_NAME)):
        raise KeyFileError("is a node's directory", where=folder, hint="a steward's key is kept away from every node: "
                           "a stick, a laptop, a safe")
    seed = os.urandom(keys.SEED_BYTES)
    try:
        keys.write(args.file, seed)
    except OSError as error:
        raise KeyFileError(f"can't be made: {error.strerror}", where=args.file,
                           hint="choose a new name; an old key is never overwritten") from None
    public = crypto.public_key(seed)
    if args.json:
        show.print_json({"steward": public, "fingerprint": keys.fingerprint(public), "path": args.file})
    else:
        print(f"{args.file} is yours alone: keep it, and a copy, away from every node.\n"
              f"For the waypost.toml of every node, beside the other stewards:\n\n[community]\n"
              f'stewards = ["{public.hex()}"]\n\nfingerprint  {keys.fingerprint(public)}')
    return 0


def _make(args: argparse.Namespace) -> int:
    now_s = int(time.time())
    content_type, kind = _KINDS[args.command]
    ends_s = now_s + args.span_s
    try:
        if args.command == "cert":
            payload = certs.payload_of(args.community, _node(args.node), args.role, now_s, ends_s)
        else:
            payload = halt.payload_of(args.community, now_s if args.epoch is None else args.epoch, _scopes(args),
                                      ends_s, args.reason)
    except ValueError as error:
        raise BadRequest(str(error), allowed="roles of small letters, no long names or reasons") from None
    seed = _seed(args.key)
    kid = cosign.kid(crypto.public_key(seed))
    data = cosign.pack(content_type, payload, {kid: cosign.sign(seed, content_type, payload)})
    _write(args.output, data, fresh=True)
    return _tell(args, kind(data), args.output)


def _sign(args: argparse.Namespace) -> int:
    content_type, kind = _KINDS[args.command]
    paper = _load(args.file, kind)
    seed = _seed(args.key)
    kid = cosign.kid(crypto.public_key(seed))
    signatures = {**paper.signatures, kid: cosign.sign(seed, content_type, paper.payload)}
    if len(signatures) > limits.STEWARDS_MAX:
        raise BadRequest("has as many signatures as it can hold", where=args.file, allowed=str(limits.STEWARDS_MAX))
    data = cosign.pack(content_type, paper.payload, signatures)
    _write(args.file, data, fresh=False)
    return _tell(args, kind(data), args.file)


def _join(args: argparse.Namespace) -> int:
    content_type, kind = _KINDS[args.command]
    papers = [_load(path, kind) for path in args.files]
    signatures: dict[bytes, bytes] = {}
    for path, paper in zip(args.files, papers, strict=True):
        if paper.payload != papers[0].payload:
            raise BadRequest("says something else than the first one", where=path, allowed="copies of one file")
        signatures |= paper.signatures
    if len(signatures) > limits.STEWARDS_MAX:
        raise BadRequest(f"{len(signatures)} have signed", allowed=f"at most {limits.STEWARDS_MAX}")
    data = cosign.pack(content_type, papers[0].payload, signatures)
    _write(args.output, data, fresh=True)
    return _tell(args, kind(data), args.output)


def _read(args: argparse.Namespace) -> int:
    return _tell(args, _load(args.file, _KINDS[args.command][1]), args.file)


def _bring(args: argparse.Namespace) -> int:
    paper = _load(args.file, _KINDS[args.command][1])
    with Client(args.dir) as client:
        if args.command == "cert":
            made = client.call("cert.add@1", {"paper": paper.data})
            if args.json:
                show.print_json(made)
            else:
                roles = ", ".join(made["roles"]) or "nothing any more"
                good = "" if made["good"] else " once the certificate of whoever signed it is here"
                print(f"{made['key'][:16]} may {roles}{good}, until {show.when(made['expires_s'] * 1000)}")
            return 0
        made = client.call("halt.send@1", {"paper": paper.data})
    return _tell_halt(args, made)


def _list(args: argparse.Namespace) -> int:
    with Client(args.dir) as client:
        rows = client.call("cert.list@1") or []
    if args.json:
        show.print_json(rows)
    elif not rows:
        print("no certificate is good here")
    else:
        print(show.table(("key", "roles", "until", "by", ""), [
            (row["key"][:16], " ".join(row["roles"]) or "-", show.when(row["expires_s"] * 1000), row["by"][:16],
             "" if row["in_force"] else "replaced") for row in rows]))
    return 0


def _show(args: argparse.Namespace) -> int:
    with Client(args.dir) as client:
        return _tell_halt(args, client.call("halt.show@1"))


def _tell_halt(args: argparse.Namespace, state: dict[str, Any]) -> int:
    if args.json:
        show.print_json(state)
        return 0
    n = len(state["stewards"])
    print(f"community  {show.clean(state['community']) or '(no name)'}; "
          + (f"{state['needed']} of {n} stewards must sign" if n else "it has no stewards: nothing can be halted"))
    if state["scopes"]:
        print(f"HALTED     {', '.join(state['scopes'])} until {show.when(state['expires_s'] * 1000)}, "
              f"order {state['epoch']}")
        if state["reason"]:
            print(f"reason     {show.clean(state['reason'])}")
    else:
        print(f"halted     nothing{', last order ' + str(state['epoch']) if state['epoch'] else ''}")
    return 0


def _tell(args: argparse.Namespace, paper: Any, path: str) -> int:
    """What a paper says."""
    facts: dict[str, Any] = {"path": path, "community": paper.community, "expires_s": paper.expires_s,
                             "signed_by": sorted(paper.signatures)}
    if args.command == "cert":
        facts |= {"key": paper.key, "roles": paper.roles, "issued_s": paper.issued_s}
        what = f"{paper.key.hex()} may {', '.join(paper.roles) or 'nothing any more'}"
    else:
        facts |= {"epoch": paper.epoch, "scopes": halt.words(paper.scopes), "reason": paper.reason}
        scopes = halt.words(paper.scopes)
        what = f"order {paper.epoch}: halt {' and '.join(scopes)}" if scopes else f"order {paper.epoch}: go on"
    if args.json:
        show.print_json(facts)
        return 0
    signers = ", ".join(one.hex() for one in sorted(paper.signatures))
    print(f"{path}: {what}\n  in {show.clean(paper.community) or '(a community without a name)'}, until "
          f"{show.when(paper.expires_s * 1000)}\n  signed by {signers}")
    if args.command == "halt" and paper.reason:
        print(f"  reason: {show.clean(paper.reason)}")
    return 0


def _load(path: str, kind: Any) -> Any:
    try:
        with open(path, "rb") as file:
            data = file.read(limits.BODY_BYTES_MAX + 1)
    except OSError as error:
        raise BadRequest(f"can't be read: {error.strerror}", where=path) from None
    try:
        return kind(data)
    except CodecError as error:
        raise BadRequest(WHY.get(error.reason, f"is malformed: {error.reason}"), where=path,
                         hint="waypost cert reads certificates, waypost halt reads orders") from None


def _write(path: str, data: bytes, *, fresh: bool) -> None:
    if fresh and os.path.exists(path):
        raise BadRequest("is there already", where=path, hint="choose another name")
    temporary = path + ".new"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def _seed(path: str) -> bytes:
    if not os.path.lexists(path):
        raise KeyFileError("there is no such key file", where=path, hint="waypost cert steward FILE makes one")
    return keys.read(path)


def _node(text: str) -> bytes:
    digits = text.strip().lower()
    if len(digits) != 64 or any(one not in "0123456789abcdef" for one in digits):
        raise BadRequest("is no node's key", where="KEY", allowed="64 hex digits",
                         hint="waypost keys prints it, on the node itself")
    return bytes.fromhex(digits)


def _scopes(args: argparse.Namespace) -> int:
    if args.go_on:
        return 0
    scopes = 0
    for word in args.scope.split(","):
        if word.strip() not in _SCOPES:
            raise BadRequest(f'there is no scope "{word.strip()}"', where="--scope", allowed=", ".join(_SCOPES),
                             hint="alerts, beacons, direct messages and the console can't be halted")
        scopes |= _SCOPES[word.strip()]
    return scopes
