"""waypost simulate --town: how alerts and posts spread over LoRa in a made-up town, beside plain flooding.

EU868, MediumFast, 50 nodes, 5 hops across, 20 % of frames lost, 10 % duty: the shipping core with its modems simulated
(edge/sim/town.py). Exit 0: an alert reached 99 % of the nodes within 60 s, a post a minute for an hour 99 % within 15
minutes, and nobody was over the duty.
"""

from __future__ import annotations

import time

from edge.sim import town as towns
from tools.cli_show import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.sim.town import Town

# name, runs the town, options, whether it must hold; the last two show what sync is for
_SCENES: tuple[tuple[str, Any, dict[str, Any], int], ...] = (
    ("alert into a quiet town", towns.alert, {}, 60),
    ("a post a minute for an hour", towns.board, {}, 900),
    ("the same, modems that can't listen", towns.board, {"senses": False}, 900),
    ("the same, ten nodes away for 10 min each", towns.board, {"away": 10}, 900),
)
_GOAL = 9900
_DUTY = 1000


def run(seed: int, json: bool) -> int:
    """Play every scene twice and print one table; 0 when what must hold holds. seed: printed by the caller."""
    rows = []
    for name, play, options, within_s in _SCENES:
        for plain in (False, True):
            begin = time.process_time()
            town: Town = play(seed, plain=plain, **options)
            rows.append(_row(name, town, plain, within_s, time.process_time() - begin))
    good = all(row["good"] for row in rows if not row["plain"])
    if json:
        print_json({"seed": seed, "ok": good, "rows": rows})
    else:
        _print(rows)
    return 0 if good else 1


def _row(name: str, town: Town, plain: bool, within_s: int, cpu_s: float) -> dict[str, Any]:
    share = town.share(within_s * 1000)
    return {
        "scene": name, "plain": plain, "within_s": within_s, "share": share, "minute": town.share(60000),
        "all_ms": town.took_ms(10000), "most_ms": town.took_ms(_GOAL), "duty": town.duty_most(),
        "airtime_ms": town.airtime_ms(), "frames": sum(node.modem.frames for node in town.nodes),
        "collisions": town.air.collided, "neighbours": town.layout.neighbours_mean(), "cpu_ms": int(cpu_s * 1000),
        "good": share >= _GOAL and town.duty_most() <= _DUTY,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    print(f"50 nodes, 5 hops across, {rows[0]['neighbours'] / 10} neighbours each, 20 % loss, MediumFast, 10 % duty")
    print(f"{'':41}{'':9}{'in 60 s':>8}{'in time':>9}{'99 % after':>12}{'air':>9}{'frames':>8}{'busiest':>9}")
    for row in rows:
        kind = "flooding" if row["plain"] else "waypost"
        most = "never" if row["most_ms"] is None else f"{row['most_ms'] / 1000:.1f} s"
        name = "" if row["plain"] else row["scene"]
        print(f"{name:41}{kind:9}{row['minute'] / 100:6.2f} %{row['share'] / 100:7.2f} %{most:>12}"
              f"{row['airtime_ms'] / 1000:7.0f} s{row['frames']:8}{row['duty'] / 100:7.2f} %")
    print("in time: within 60 s for the alert, 15 min for posts; busiest: the hour of the node that sent most")
