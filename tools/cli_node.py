"""Commands that ask the running node: status, peers, send, board, inbox, messages, call, trace.

Each is one or two calls over the control socket and a way to print the answer. Lists come as JSON arrays with --json,
newest first; "id" and keys are lower-case hex.
"""

from __future__ import annotations

import sys
import time

from edge.errors import BadRequest, NotFound
from tools import cli_show as show
from tools import cli_view as view
from tools.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

FOLLOW_S = 0.5
PREFIX_DIGITS_MIN = 4
KEY_DIGITS = 64
STDIN_LETTERS_MAX = 65536


def status(args: argparse.Namespace) -> int:
    """waypost status"""
    with Client(args.dir) as client:
        facts = client.call("node.status@1")
        near = client.call("peers.list@1")
        facts["emergency"] = client.call("emergency.status@1")
    facts["peers"] = len(near or [])
    if args.json:
        show.print_json(facts)
        return 0
    print("\n".join(view.status_lines(facts)))
    return 0


def peers(args: argparse.Namespace) -> int:
    """waypost peers"""
    rows = _ask(args, "peers.list@1", {})
    if args.json:
        show.print_json(rows)
    elif not rows:
        print("nobody is near")
    else:
        print(view.peer_table(rows))
    return 0


def send(args: argparse.Namespace) -> int:
    """waypost send NODE TEXT"""
    answer = _ask(args, "direct.send@1", {"to": args.node, "text": _text(args.text)})
    if args.json:
        show.print_json(answer)
    else:
        print(f"kept as {answer['id']}, on its way to {answer['to'][:16]}")
    return 0


def board(args: argparse.Namespace) -> int:
    """waypost board post | list"""
    if args.verb == "list":
        nothing = "the board is empty" if args.search is None else "no notice holds these words"
        return _print_rows(args, _ask(args, "board.list@1", _given(args, "limit", "search")), nothing)
    answer = _ask(args, "board.post@1", _given(args, "name", "urgent") | {"text": _text(args.text)})
    if args.json:
        show.print_json(answer)
    else:
        raised = ", as a call for help: it goes ahead of others" if answer.get("raised") else ""
        print(f"posted as {answer['id']}{raised}")
    return 0


def inbox(args: argparse.Namespace) -> int:
    """waypost inbox"""
    params = {"limit": args.limit, "box": "outbox" if args.sent else "inbox"}
    return _print_rows(args, _ask(args, "direct.list@1", params), "nothing there")


def messages(args: argparse.Namespace) -> int:
    """waypost messages"""
    params = _given(args, "limit", "lane", "type", "author", "search")
    return _print_rows(args, _ask(args, "messages.list@1", params), "the node holds nothing of that kind")


def call(args: argparse.Namespace) -> int:
    """waypost call CAPABILITY [PARAMS]"""
    import json

    try:
        params = json.loads(args.params or "{}")
    except RecursionError:
        raise BadRequest("the parameters are nested too deep", where="PARAMS", allowed="7 deep") from None
    except ValueError as error:
        raise BadRequest(f"the parameters are not JSON: {error}", where="PARAMS",
                         hint="for example '{\"limit\": 3}'") from None
    if not isinstance(params, dict):
        raise BadRequest("the parameters are not a JSON object", where="PARAMS", hint="for example '{\"limit\": 3}'")
    with Client(args.dir) as client:
        to = _key_of(client, args.to) if args.to else None
        if args.stream:
            for item in client.stream(args.capability, params, to=to, deadline_ms=args.deadline_ms):
                show.print_json(item)
        else:
            show.print_json(client.call(args.capability, params, to=to, deadline_ms=args.deadline_ms))
    return 0


def trace(args: argparse.Namespace) -> int:
    """waypost trace"""
    with Client(args.dir) as client:
        after = 0
        rows = client.call("trace.recent@1", {"limit": args.limit}) or []
        if args.json and not args.follow:
            show.print_json(rows)
            return 0
        while True:
            for row in rows:
                if args.json:
                    show.print_json(row)
                else:
                    print(view.trace_line(row), flush=True)
            if not args.follow:
                return 0
            after = rows[-1]["n"] if rows else after
            time.sleep(FOLLOW_S)
            rows = client.call("trace.recent@1", {"limit": 512, "after": after}) or []


def _ask(args: argparse.Namespace, capability: str, params: dict[str, Any]) -> Any:
    with Client(args.dir) as client:
        answer = client.call(capability, params)
    return [] if answer is None else answer


def _given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _text(text: str) -> str:
    """What is to be said; "-" is standard input, of which no more is read than would do to be refused."""
    try:
        said = sys.stdin.read(STDIN_LETTERS_MAX).rstrip("\n") if text == "-" else text
        said.encode()  # what could not be read stands in it as half characters
    except UnicodeError:
        raise BadRequest("is not text in UTF-8", where="text", hint="save it as UTF-8, or set a UTF-8 locale") from None
    return said


def _print_rows(args: argparse.Namespace, rows: list[dict[str, Any]], nothing: str) -> int:
    if args.json:
        show.print_json(rows)
        return 0
    for row in rows:
        print(view.row_head(row))
        text = row.get("text")
        if text is not None:
            print("  " + show.clean(text, multiline=True).replace("\n", "\n  "))
    if not rows:
        print(nothing)
    return 0


def _key_of(client: Client, who: str) -> bytes:
    """The key of a neighbour by its key, the beginning of it, or its name."""
    digits = who.lower()
    if len(digits) == KEY_DIGITS and all(one in "0123456789abcdef" for one in digits):
        return bytes.fromhex(digits)
    near = client.call("peers.list@1") or []
    found = {row["node"] for row in near if len(row["node"]) == KEY_DIGITS  # a radio may not know the key yet
             and (row.get("name") == who or (len(who) >= PREFIX_DIGITS_MIN and row["node"].startswith(digits)))}
    if len(found) != 1:
        many = ", ".join(sorted(key[:16] for key in found))
        raise NotFound(f'"{who}" can be {len(found)} nodes' if found else f'no neighbour "{who}"', where="--to",
                       allowed=many, hint="waypost peers lists the neighbours; give more of the key")
    return bytes.fromhex(found.pop())
