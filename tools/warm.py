"""Compiles what a node loads, once, at set-up: without docstrings a node is 0.6 MB smaller, once all is compiled.

    python -m tools.warm

The compiled files go into a folder of the virtual environment, for the standard library may belong to somebody else.
Without that folder a node runs all the same, only larger. Sources that change later are compiled again by themselves.
"""

from __future__ import annotations

import compileall
import os
import subprocess
import sys

import boards
import edge
import radios
import tools
from boards import loader
from tools import cli_run

OWN = (boards, edge, radios, tools)
MODULES = (  # with what they import from elsewhere
    "tools.run", "boards.parts.files", "edge.emergency.body", "edge.emergency.panel", "edge.emergency.probes",
    "edge.services", "edge.triage.judge", "edge.services.short", "edge.services.waterfall",
    "edge.library.search", "edge.services.rerank", "edge.services.models", "edge.services.blobs", "edge.models.front",
    "edge.models.supply", "edge.models.host", "edge.models.sticks", "edge.web.app", "edge.web.server",
    "json", "inspect", "subprocess", "concurrent.futures.thread", "encodings.ascii",
)


def main() -> int:
    """Fill the folder; gives 0 also where it can't be written, since nothing depends on it."""
    try:
        os.makedirs(cli_run.CACHE, exist_ok=True)
    except OSError as error:
        print(f"waypost: {cli_run.CACHE} can't be made ({error.strerror}); nodes will be a little larger")
        return 0
    drivers = {link.driver.partition(":")[0] for name in loader.names() for link in loader.load(name).links}
    start = {"path": cli_run.search_path(), "warm": [*MODULES, *sorted(drivers)]}
    fd = cli_run.hand_over(start)
    subprocess.run(cli_run.command(fd), pass_fds=[fd], check=True)
    os.close(fd)
    sys.pycache_prefix = cli_run.CACHE
    for package in OWN:  # the rest of ours: what is loaded when a link, a model or a person first needs it
        compileall.compile_dir(package.__path__[0], quiet=1, optimize=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
