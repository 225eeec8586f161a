"""A whole node whose /sys and /dev are a test's: python -m tests.parts.rooted_node ROOT DIR KEY=VALUE..."""

from __future__ import annotations

import functools
import os
import sys

from tools import cli_run, run, run_body

if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    run_body.start = functools.partial(run_body.start, root=sys.argv[1])
    sys.exit(run.main(cli_run.plan(sys.argv[2], sys.argv[3:], True)))
