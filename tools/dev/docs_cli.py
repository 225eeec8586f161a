"""Writes docs/CLI.md and docs/CONFIG.md from the parser and the table of settings; a test says when they are old.

    python -m tools.dev.docs_cli
"""

from __future__ import annotations

import argparse
import os

from edge import config
from tools import cli_args

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_CLI_HEAD = """# The command line

Made from `tools/cli_args.py` by `python -m tools.dev.docs_cli`.

    waypost [--dir DIR] [--set KEY=VALUE]... [--json] COMMAND ...

`--dir` and `--set` stand before the command's name and are taken by every command; `--json` may stand before or
after it.

| flag | |
|---|---|
"""

_CLI_TAIL = """
## JSON

- `run --json` prints one line when the node is ready: `{"event":"ready","node":KEY,"web":URL or
  null,"name":...,"pid":..., "dir":...,"links":{LINK: PORT},"problems":[...]}`. Nothing else goes to standard
  output; the log goes to standard error.
- `board post` and `send` print `{"id":...}` once the message is acknowledged, that is committed to disk here.
- `board list`, `inbox` and `messages` print a list of
  `{"id","author","lane","type","seq","hlc","time_ms","expires_s", "text","conflict"}`, newest first, with `"name"`
  and `"to"` where there is one; `text` is null where it can't be read.
- `peers` prints a list of `{"node","name","link","member","authenticated","for_s","heard_s","waiting","address"}`;
  of a node that is heard by radio alone, `for_s` and `waiting` are missing, and `node` may be 16 digits: its key is
  known with its first message.
- `doctor` prints a list of `{"check","state","text","fix"}`, state `ok`, `note` or `broken`.
- `call --stream`, and `trace --follow`, print one JSON value a line.
- An error is `{"error":{"code","message","where","allowed","hint"}}` on standard output (the last three where they
  say something) and one line on standard error. The codes are in [ERRORS.md](ERRORS.md), and `usage` for a wrong
  command line.

## Exit codes

| code | |
|---|---|
| 0 | done |
| 1 | it failed; `doctor` found something broken |
| 2 | wrong usage, or a wrong setting in `--set` |
| 3 | no node runs in the directory |
| 4 | no answer in time |
| 130 | interrupted |

## Completion

    waypost completion bash > ~/.local/share/bash-completion/completions/waypost
    waypost completion zsh  > ~/.zfunc/_waypost                     # a folder of $fpath
    waypost completion fish > ~/.config/fish/completions/waypost.fish
"""

_CONFIG_HEAD = """# Settings

Made from the table in `edge/config.py` by `python -m tools.dev.docs_cli`.

A node reads `waypost.toml` in its directory (`--dir`, `$WAYPOST_DIR` or `~/.waypost`); without the file every
setting has its default. `waypost --set KEY=VALUE` overrides one setting for one run: `--set web.port=0`, lists with
commas. The file may be UTF-8, UTF-16 or UTF-32, with any line ends; what is none of them is taken for Windows-1252
("ANSI"), with a note.

Where a machine has `/etc/waypost/waypost.toml`, its settings hold for every node there that does not set them itself:
the SD-card image has one that puts the page on port 80. On the image the file to edit is `waypost.toml` on the card's
first partition, which any computer opens; `net.*`, `node.time_zone` and `update.*` are for the image only.

A mistake never stops the node: the setting keeps its default, and the log, `waypost status`, the page and `waypost
doctor` say what is wrong with file, line and column. Where the mistake could concern the community key, all
links stay off until it is mended: a node that can't prove its membership must not talk as a stranger instead. Where it
could concern `console.pin`, nobody gets into the console until it is mended.

```toml
[node]
name = "Library"

[web]
port = 8080

[lan]
peers = ["10.0.0.7:7373"]
```

| key | default | may be | |
|---|---|---|---|
"""

_CONFIG_TAIL = """
## The community key

32 random bytes that every node of a community holds, in base64 or hex: `waypost keys --new-community-key` prints a
fresh one. It is not a passphrase: announcements on the network are authenticated with it, so that a word that
people can remember could be guessed offline. With it, a node talks to holders of the same key only; without it, the
node is open. It is shown nowhere and cut out of the log. A file that holds it should be readable by its owner only
(`chmod 600`).

## Trust

A neighbour without the community key is `unknown`, with it a `member`. `trust.trusted` and `trust.anchors` name
nodes, by the key that `waypost keys` shows there, that may call more; docs/CAPABILITIES.md says what.
"""


def cli_page() -> str:
    """docs/CLI.md"""
    parser = cli_args.build_parser()
    out = [_CLI_HEAD]
    for action in parser._actions:
        if action.option_strings and action.dest != "help":
            out.append(f"| `{_flag(action)}` | {_text(action)} |\n")
    for command, text in _commands(parser):
        out.append(f"\n## {command.prog}\n\n{text}\n")
        nested = _commands(command)
        for verb, about in nested or [(command, "")]:
            out.append(f"\n    {_usage(verb)}\n" if not nested else f"\n    {_usage(verb)}\n\n{about}\n")
            rows = [f"| `{_flag(action)}` | {_text(action)} |\n" for action in verb._actions
                    if action.dest not in ("help", "json", "verb")]
            if rows:
                out += ["\n| argument | |\n|---|---|\n", *rows]
    return "".join(out) + _CLI_TAIL


def config_page() -> str:
    """docs/CONFIG.md"""
    out = [_CONFIG_HEAD]
    for key in config.KEYS:
        default = {True: "true", False: "false", "": "empty", (): "empty"}.get(key.default, str(key.default)) \
            if not isinstance(key.default, int) or isinstance(key.default, bool) else str(key.default)
        if isinstance(key.default, tuple) and key.default:
            default = ", ".join(key.default)
        out.append(f"| `{key.name}` | {default} | {key.allowed()} | {key.help} |\n")
    return "".join(out) + _CONFIG_TAIL


def main() -> None:
    """Write both pages."""
    for name, page in (("CLI.md", cli_page()), ("CONFIG.md", config_page())):
        with open(os.path.join(ROOT, "docs", name), "w", encoding="utf-8") as file:
            file.write(page)


def _commands(parser: argparse.ArgumentParser) -> list[tuple[argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return [(below, helps[name][0].upper() + helps[name][1:] + ".") for name, below in action.choices.items()]
    return []


def _usage(parser: argparse.ArgumentParser) -> str:
    words = [parser.prog]
    for action in parser._actions:
        if action.dest in ("help", "json"):
            continue
        word = _flag(action)
        words.append(word if not action.option_strings and action.nargs != "?" else f"[{word}]")
    return " ".join(words)


def _flag(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    name = action.option_strings[-1]
    return name if action.nargs == 0 else f"{name} {value}"


def _text(action: argparse.Action) -> str:
    return (action.help or "").replace("|", "\\|") % {"default": action.default, "prog": "waypost"}


if __name__ == "__main__":
    main()

