"""A whole node with one capability that needs the internet, for tests in network namespaces.

Run as: python -m tests.emergency.netns_node DIR KEY=VALUE... It differs from `waypost run` in that capability, and in
that a state need not last a minute: otherwise coming back would take the test that long.
"""

from __future__ import annotations

import sys
from typing import Any

from edge.core import conditions
from edge.ports import MEMBER
from tools import cli_run, run

conditions.DWELL_MS = 3000


class Run(run.Run):
    def _provide(self, *words: Any) -> None:
        super()._provide(*words)

        async def outside(_caller: Any, _params: Any) -> str:
            return "sunny"

        self.bus.provide("test.outside", "1.0", outside, trust=MEMBER, summary="the weather", needs="internet")


if __name__ == "__main__":
    run.Run = Run  # type: ignore[misc]
    sys.exit(run.main(cli_run.plan(sys.argv[1], sys.argv[2:], True)))
