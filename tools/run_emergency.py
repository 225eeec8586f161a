"""The emergency machine of a running node, joined to the parts that follow it: core, store, bus and what probes.

It decides nothing: edge/emergency/keeper.py does. The parts that read something are started here as tasks, each of them
only where a setting or the board file names it.
"""

from __future__ import annotations

import os

from edge.core import conditions, effects, policy
from edge.core.machine import Situation
from edge.emergency.keeper import Keeper, Kept
from edge.node import monotonic_ms
from edge.services.emergency import EmergencyServices
from edge.settings import split_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.bus.bus import Bus
    from edge.core.policy import Policy
    from edge.node import Node
    from edge.settings import Config
    from edge.store.store import Store
    from edge.tasks import Tasks


def provide(config: Config, node: Node, bus: Bus, store: Store, log: Callable[[str, str], None]) -> Keeper:
    """The keeper, with its capabilities on the bus; before the links start, so that they begin with its state."""

    def apply(found: Policy, keeper: Keeper) -> None:
        machine = keeper.machine
        reach = machine.state[conditions.REACH] if machine.known else 3
        node.machine.command(monotonic_ms(), effects.SITUATION, Situation(
            machine.state[conditions.CONDITION], reach, keeper.battery, found.lanes, found.beacon_s * 1000))
        node.kick()
        store.reserve_for_alerts(found.reserve_permille)
        is_cut = machine.known and machine.state[conditions.REACH] == conditions.OFFLINE
        _ask_for_access_point(found.access_point == 1)
        bus.lack({"internet": keeper.why(conditions.REACH)} if is_cut else {})

    keeper = Keeper(
        bus, Kept(store.keep, store.kept, node.flush), rows=_rows(config), quorum=config["emergency.quorum"],
        hubs=frozenset([bytes.fromhex(text) for text in config["library.hubs"]]),
        near=lambda: [one.key for one in node.machine.neighbours()],
        clock=lambda: (node.now_s(), node.machine.clock.quality), apply=apply, log=log)
    for service in EmergencyServices(keeper, node.flushed).services():
        service.provide(bus)
    return keeper


def _ask_for_access_point(on: bool) -> None:
    """Tell the box, where systemd has given us a place for that (images/pi, waypost-access-point.path)."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "")
    if not folder:
        return
    path, text = os.path.join(folder, "access-point"), "on\n" if on else "auto\n"
    try:
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                if file.read() == text:
                    return
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(path + ".new", path)
    except OSError:
        pass  # the network is as it was, and the node has more to do than that


def start(config: Config, tasks: Tasks, keeper: Keeper, trouble: Callable[[str, str, str], None], *,
          safe: bool) -> None:
    """Begin to look and to follow. trouble(part, reason, text): what is set and can't be. safe: read nothing."""
    tasks.start("emergency", keeper.work, quiet_ms=120000)
    if config["net.probe"] and not safe:
        from edge.emergency import probes

        servers = _places(config["net.servers"], probes.DNS_PORT)
        if not all(probes.is_literal(host) for host, _port in servers):
            trouble("net", "config", "net.servers must be addresses in figures: a name server can't be looked up")
            servers = []
        found = probes.Probes(keeper, names=config["net.names"], servers=servers,
                              connect=_places(config["net.connect"], probes.HTTPS_PORT))
        tasks.start("probes", found.work, quiet_ms=_longest_ms(keeper))


def _longest_ms(keeper: Keeper) -> int:
    """How long a round of probes and the pause behind it may take."""
    return 60000 + 8000 * max(int(row.probe_s) for row in keeper.rows)


def _places(addresses: list[str], default_port: int) -> list[tuple[str, int]]:
    found = [split_address(one, default_port) for one in addresses]
    return [one for one in found if one is not None]


def _rows(config: Config) -> list[Policy]:
    return [policy.override(row, config["emergency." + policy.THEMES[condition]])
            for condition, row in enumerate(policy.ROWS)]
