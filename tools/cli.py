"""The `waypost` command: reads the command line, runs one command, says in one line what went wrong.

It decides the exit code and the form of an error; everything else is in the module of the command. A usage error never
touches a node. docs/CLI.md is made from tools/cli_args.py.
"""

from __future__ import annotations

import importlib
import os
import sys

from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

OK, FAILED, USAGE, NOT_RUNNING, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = {"usage": USAGE, "config": USAGE, "not_running": NOT_RUNNING, "deadline_exceeded": NO_ANSWER}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own); gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that lacks a letter shows "?"
    as_json = "--json" in words
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except WaypostError as error:
        return report(error, as_json)
    except BrokenPipeError:
        # whoever read our output has enough; the interpreter must not find the pipe broken again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return report(WaypostError(error.strerror or str(error), where=str(error.filename or "")), as_json)


def report(error: WaypostError, as_json: bool) -> int:
    """Say what went wrong: one line on standard error, with --json the object on standard output too. The exit code."""
    if as_json:
        import json

        said = {**getattr(error, "so_far", {}), "error": error.to_dict()}
        print(json.dumps(said, separators=(",", ":")), flush=True)
    print(f"waypost: {' '.join(str(error).split())}", file=sys.stderr)
    return EXIT_CODES.get(error.code, FAILED)


def _run(words: list[str]) -> int:
    from tools import cli_args

    if not words:
        cli_args.build_parser(set()).print_help()
        return USAGE
    args = cli_args.parse(words)
    args.dir = os.path.abspath(os.path.expanduser(args.dir or cli_args.default_directory()))
    if args.overrides and args.command != "run":
        from edge.config import parse_override

        for override in args.overrides:
            parse_override(override)
    module, _, name = args.entry.partition(":")
    command = getattr(_load(args, module), name)
    return int(command(args) or OK)


def _load(args: argparse.Namespace, module: str) -> object:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or str(error)
        if missing.partition(".")[0] in ("tools", "edge", "radios", "boards"):
            raise
        raise WaypostError(f'the package "{missing}" is missing', where=f"waypost {args.command}",
                           hint="waypost doctor says which packages are there; install: pip install 'waypost[tools]'"
                           ) from None


if __name__ == "__main__":
    sys.exit(main())
