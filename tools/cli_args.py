"""The command line's grammar: every command, flag and its one-line help.

docs/CLI.md and the shell completions are made from this parser. It decides what is a usage error and nothing else;
what a command does is in the module that its entry names. Commands whose flags belong to another tool (simulate,
bench, ...) are asked for them only when they are used, so that a quick command stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re

from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

EPILOG = """exit codes: 0 done; 1 it failed, or doctor found something broken; 2 wrong usage or setting; 3 no node
runs in the directory; 4 no answer in time; 130 interrupted. With --json an error is {"error": {"code", "message", ...}}
on standard output, and the same in words on standard error."""


class UsageError(WaypostError):
    """The command line is wrong."""

    code = "usage"


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError and knows what was probably meant. elsewhere: {word: where that is to be had}."""

    elsewhere: dict[str, str] = {}

    def error(self, message: str) -> NoReturn:
        hint = f"{self.prog} --help"
        wrong = re.match(r"argument (.*): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
        if wrong:
            if wrong[2] in self.elsewhere:
                raise UsageError(f'no such {wrong[1].lower()}: "{wrong[2]}"', hint=self.elsewhere[wrong[2]])
            from difflib import get_close_matches

            choices = [one.strip("'") for one in wrong[3].split(", ")]  # some Pythons quote them, some don't
            close = get_close_matches(wrong[2], choices, 2, 0.5)
            if close:
                hint = "did you mean " + " or ".join(close) + "?"
            raise UsageError(f'no such {wrong[1].lower()}: "{wrong[2]}"', allowed=", ".join(choices), hint=hint)
        raise UsageError(message, hint=hint)


def whole(low: int, high: int) -> Any:
    """An argparse type: a whole number low..high."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.lstrip("-").isdigit()) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number {low}..{high}')
        return int(text)

    return parse


def span(text: str) -> int:
    """An argparse type: a span of time such as 30m, 6h or 2d, in seconds."""
    unit_s = {"m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    if unit_s is None or not (text[:-1].isascii() and text[:-1].isdigit()) or not 0 < int(text[:-1]) <= 9999:
        raise argparse.ArgumentTypeError(f'"{text[:20]}" is no span of time such as 30m, 6h or 2d')
    return int(text[:-1]) * unit_s


def default_directory() -> str:
    """The node's directory when --dir is not given."""
    return os.environ.get("WAYPOST_DIR") or os.path.expanduser("~/.waypost")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; `entry` is "module:function" of what it asks for. Raises UsageError."""
    parser = build_parser(set(argv))
    args, rest = parser.parse_known_args(argv)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(args, "params", "") is None:
        args.params = rest.pop()  # argparse lets no optional argument stand behind a flag
    if rest:
        first = rest[0].partition("=")[0]
        hint = f"waypost {args.command} --help"
        if first in ("--dir", "--set"):
            hint = f"{first} stands before the command: waypost {first} ... {args.command}"
        raise UsageError(f"unrecognized arguments: {' '.join(rest)}", hint=hint)
    return args


def build_parser(words: set[str] | None = None) -> Parser:
    """The whole parser. words: what the command line holds; other tools' flags are asked for only where they matter."""
    parser = Parser(prog="waypost", description="Run a Waypost node and talk to it.", epilog=EPILOG, allow_abbrev=False)
    parser.add_argument("--dir", default=None, metavar="DIR",
                        help="the node's directory (default: $WAYPOST_DIR or ~/.waypost)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="override one setting of waypost.toml; may be given several times")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True, parser_class=Parser)
    for name, entry, text, add in _COMMANDS:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        command.set_defaults(entry=entry)
        if add is None:
            if words is None or name in words:
                importlib.import_module(entry.partition(":")[0]).add_arguments(command)
        else:
            add(command)
        for one in (command, *_below(command)):
            if "--json" not in one._option_string_actions:
                one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    return parser


def _below(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    out: list[argparse.ArgumentParser] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            out.extend(action.choices.values())
    return out


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _limit(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument("--limit", type=whole(1, 1000), default=default, metavar="N",
                        help=f"at most so many, the newest (default {default})")


def _send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="its key, the beginning of it, or the name of a neighbour")
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")


def _board(parser: argparse.ArgumentParser) -> None:
    if isinstance(parser, Parser):
        parser.elsewhere = {word: f"the machine's own board is `waypost hardware {word}`" for word in ("show", "check")}
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=Parser)
    post = verbs.add_parser("post", help="put a notice on the board", allow_abbrev=False)
    post.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    post.add_argument("--name", default=None, help="the name under the notice (default: none)")
    post.add_argument("--urgent", choices=("yes", "no"), default=None, metavar="WORD",
                      help="yes: it is a call for help and goes ahead, no: it is none (default: triage looks)")
    show = verbs.add_parser("list", help="read the board, newest first", allow_abbrev=False)
    _limit(show, 50)
    show.add_argument("--search", default=None, metavar="WORDS", help="notices that hold these words")


def _inbox(parser: argparse.ArgumentParser) -> None:
    _limit(parser, 50)
    parser.add_argument("--sent", action="store_true", help="those that this node sent, with what became of them")


def _messages(parser: argparse.ArgumentParser) -> None:
    _limit(parser, 50)
    parser.add_argument("--lane", type=whole(0, 3), default=None, metavar="LANE",
                        help="0 alerts, 1 direct, 2 community, 3 bulk")
    parser.add_argument("--type", type=whole(0, 65535), default=None, metavar="TYPE", help="the message type's number")
    parser.add_argument("--author", default=None, metavar="NODE", help="by this node only")
    parser.add_argument("--search", default=None, metavar="WORDS", help="messages that hold these words")


def _call(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("capability", metavar="CAPABILITY", help='"name@major" or "name@major.minor"')
    parser.add_argument("params", metavar="PARAMS", nargs="?", default=None, help="a JSON object (default {})")
    parser.add_argument("--to", default=None, metavar="NODE", help="on this neighbour")
    parser.add_argument("--stream", action="store_true", help="print each item as it comes, one a line")
    parser.add_argument("--deadline", type=whole(1, 600000), default=10000, metavar="MS", dest="deadline_ms",
                        help="give up after so many milliseconds (default 10000)")


def _keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--new-community-key", action="store_true",
                        help="print a fresh community key instead, for the waypost.toml of every node")


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broken", action="store_true", help="show only what is broken")
    parser.add_argument("--boot", action="store_true",
                        help="the self-test of a new system: the node runs, its page answers")


def _top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="print one view and end")
    parser.add_argument("--every", type=whole(1, 3600), default=2, metavar="SECONDS", help="how often (default 2)")


def _trace(parser: argparse.ArgumentParser) -> None:
    _limit(parser, 50)
    parser.add_argument("--follow", action="store_true", help="go on printing what happens")


def _why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--readings", action="store_true",
                        help="print the last readings instead, one a line, as tests/data/emergency has them")


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("level", metavar="LEVEL", choices=("emergency", "watch", "over"),
                        help="emergency, watch (be attentive) or over")


def _completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


_COMMANDS = (
    ("run", "tools.cli_run:run", "run the node of the directory until it is stopped", _nothing),
    ("status", "tools.cli_node:status", "say how the running node is", _nothing),
    ("peers", "tools.cli_node:peers", "list the neighbours", _nothing),
    ("send", "tools.cli_node:send", "send a direct message; it waits in the outbox until it was received", _send),
    ("board", "tools.cli_node:board", "post a notice or read the board", _board),
    ("inbox", "tools.cli_node:inbox", "read the direct messages to this node, newest first", _inbox),
    ("messages", "tools.cli_node:messages", "list whatever the node holds, newest first", _messages),
    ("call", "tools.cli_node:call", "call any capability, here or on a neighbour", _call),
    ("alert", "tools.alert_cli:run", "alerts: read, issue, import from CAP, cancel, confirm", None),
    ("checkin", "tools.checkin_cli:run", "say that somebody is safe or needs help; see who has not answered", None),
    ("cert", "tools.steward_cli:run", "certificates: who may issue official alerts, signed by the stewards", None),
    ("halt", "tools.steward_cli:run", "the halt of the community, signed by its stewards", None),
    ("export", "tools.courier_cli:export", "write messages to a courier file", None),
    ("import", "tools.courier_cli:take_in", "take messages in from a courier file", None),
    ("backup", "tools.backup_cli:run", "copy the database while the node runs", None),
    ("page", "tools.page_cli:run", "write the page for phones over Bluetooth, to be put on an https address", None),
    ("keys", "tools.cli_local:keys", "show the node's public key and fingerprint", _keys),
    ("doctor", "tools.doctor:run", "look for what is broken and say how to mend it", _doctor),
    ("model", "tools.model_cli:run", "local models: add, fetch from neighbours, list, quantize, measure, remove", None),
    ("hardware", "tools.hardware:run", "say what this machine is, and check it", None),
    ("console", "tools.console:run", "the node's console, here or on a serial line", None),
    ("disk", "tools.machine_cli:disk", "room and health of the card or disk", None),
    ("time", "tools.machine_cli:time_", "the clock, and how sure it is", None),
    ("net", "tools.machine_cli:net", "network interfaces, addresses, the way out", None),
    ("log", "tools.log_cli:run", "the last lines of the node's log", None),
    ("repair", "tools.repair_cli:run", "mend what can be mended by itself: modes, owners, a damaged database", None),
    ("restart", "tools.restart_cli:restart", "restart the node", None),
    ("reboot", "tools.restart_cli:reboot", "restart the machine", None),
    ("factory-reset", "tools.restart_cli:factory_reset", "forget everything but waypost.toml", None),
    ("radio", "tools.radio_cli:run", "find, set up, test and watch the radios", None),
    ("why", "tools.cli_emergency:why", "say how things are, why, and what the node does about it", _why),
    ("declare", "tools.cli_emergency:declare", "say as a person how things are", _declare),
    ("stop", "tools.cli_emergency:stop", "stop all but alerts, beacons, the console and direct messages", _nothing),
    ("resume", "tools.cli_emergency:resume", "let a stopped node go on", _nothing),
    ("wifi", "tools.wifi_cli:run", "what Wi-Fi this box joins or makes, and how it stands", _nothing),
    ("flash", "tools.flash:run", "write the image to an SD card, and the file that sets up the box", None),
    ("stick", "tools.stick_cli:run", "what is on the USB stick of a box that runs the image, and where", None),
    ("update", "tools.update_cli:run", "put a new system on a box that runs the image", None),
    ("top", "tools.top:run", "watch the node", _top),
    ("trace", "tools.cli_node:trace", "show what the node did last", _trace),
    ("ask", "tools.ask_cli:run", "ask the library, and a model where there is one", None),
    ("pack", "tools.pack_cli:run", "the knowledge packs of the library", None),
    ("triage", "tools.triage_cli:run", "label the messages of a file, and measure how well", None),
    ("simulate", "tools.simulate:run", "run the core many times over in a made-up network", None),
    ("bench", "tools.bench:run", "measure this machine", None),
    ("version", "tools.cli_local:version", "say which version this is", _nothing),
    ("completion", "tools.cli_local:completion", "print a completion script for a shell", _completion),
)
