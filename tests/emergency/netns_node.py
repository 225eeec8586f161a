"""A whole node as `waypost run` starts it, but that it believes good news sooner and a state need not last a minute:
coming back would take a test that long. For tests in network namespaces.

Run as: python -m tests.emergency.netns_node DIR KEY=VALUE...
"""

from __future__ import annotations

import sys

from edge.core import conditions
from tools import cli_run, run

conditions.DWELL_MS = 3000
conditions.HOLD_MS = (3000, *conditions.HOLD_MS[1:])

if __name__ == "__main__":
    sys.exit(run.main(cli_run.plan(sys.argv[1], sys.argv[2:], True)))
