"""Commands that need no running node: keys, version, completion.

They read the node's directory at most. The seed of the identity is never printed; a new community key is, for that is
what it is made for.
"""

from __future__ import annotations

import os
import sys

from tools.cli_show import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def keys(args: argparse.Namespace) -> int:
    """waypost keys"""
    if args.new_community_key:
        import base64

        text = base64.b64encode(os.urandom(32)).decode()
        if args.json:
            print_json({"community_key": text})
        else:
            print(f'[community]\nkey = "{text}"')
        return 0
    from edge import keys as identity
    from edge.compat import crypto

    public: bytes = crypto.public_key(identity.load(args.dir))
    path = os.path.join(args.dir, identity.FILE_NAME)
    if args.json:
        print_json({"node": public, "fingerprint": identity.fingerprint(public), "path": path})
    else:
        print(f"node         {public.hex()}\nfingerprint  {identity.fingerprint(public)}\nkey file     {path}")
    return 0


def version(args: argparse.Namespace) -> int:
    """waypost version"""
    import platform
    import sqlite3

    from edge.compat import crypto
    from edge.core.near import PROTOCOL_VERSIONS

    facts = {
        "waypost": package_version(), "protocol": list(PROTOCOL_VERSIONS), "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version, "crypto": crypto.BACKEND, "machine": platform.machine(),
    }
    if args.json:
        print_json(facts)
    else:
        low, high = PROTOCOL_VERSIONS
        print(f"waypost {facts['waypost']} (protocol {low}..{high}; Python {facts['python']}, "
              f"SQLite {facts['sqlite']}, {facts['crypto']}, {facts['machine']})")
    return 0


def completion(args: argparse.Namespace) -> int:
    """waypost completion SHELL"""
    from tools.cli_args import build_parser
    from tools.completion import script

    text = script(args.shell, build_parser())
    if args.json:
        print_json({"shell": args.shell, "script": text})
    else:
        sys.stdout.write(text)
    return 0


def package_version() -> str:
    """The version of the installed distribution; "unknown" when run from a bare checkout."""
    from importlib import metadata

    try:
        return metadata.version("waypost")
    except metadata.PackageNotFoundError:
        return "unknown"
