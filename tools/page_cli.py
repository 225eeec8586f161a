"""waypost page: writes the page that phones keep and that talks to nodes over Bluetooth, for a steward to host.

The files are those of the node's own page, with another way to reach the node (edge/web/phone) and what makes them an
app that works offline. Nothing in them is of this node: one copy on any https address serves all nodes. docs/GATT.md.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import edge.web
from edge.errors import WaypostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'")
MARK = "files.js"  # every page that this has written has it
_HEAD = '<meta charset="utf-8">\n'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `page`."""
    parser.add_argument("directory", metavar="DIR", help="where to write it; made if it is not there")


def run(args: argparse.Namespace) -> int:
    """waypost page DIR"""
    target = Path(args.directory)
    if target.is_dir() and any(target.iterdir()) and not (target / MARK).is_file():
        raise WaypostError("there are other files in this directory", where=str(target),
                           hint="name an empty one, or one that has an older page")
    target.mkdir(parents=True, exist_ok=True)
    files = page_files()
    for name, data in files.items():
        (target / name).write_bytes(data)
    size = sum(len(data) for data in files.values())
    if args.json:
        print(json.dumps({"directory": str(target), "files": sorted(files), "bytes": size}, separators=(",", ":")))
    else:
        print(f"{len(files)} files, {size // 1000} kB in {target}\n"
              "Put them on any https address, and set web.phone_page to it on your nodes: they tell phones the way.")
    return 0


def page_files() -> dict[str, bytes]:
    """All files of the page by name."""
    here = Path(edge.web.__file__).parent
    files: dict[str, bytes] = {}
    for folder in ("static", "phone"):  # the second has the node.js that counts
        for path in sorted((here / folder).iterdir()):
            if path.is_file():
                files[path.name] = path.read_bytes()
    head = (f'{_HEAD}<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<link rel="manifest" href="manifest.webmanifest">\n')
    files["index.html"] = files["index.html"].decode().replace(_HEAD, head, 1).encode()
    version = hashlib.sha256(b"".join(name.encode() + data for name, data in files.items())).hexdigest()[:16]
    names = ["./", *(name for name in files if name != "sw.js")]
    files[MARK] = f"self.PAGE = {json.dumps({'version': version, 'files': names})};\n".encode()
    return files
