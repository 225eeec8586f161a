"""Whole worlds: 50 seeds, canaries, one digest a seed. DESIGN, The core."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from edge.sim.canary import CANARIES
from edge.sim.plan import LINKS, Plan
from edge.sim.world import World
from tests.conftest import ROOT

SEEDS = 50


def first_seed() -> int:
    """From the commit, so that every commit is tried with worlds of its own and can be tried with them again."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout[:12], 16) if done.returncode == 0 else 1


FIRST_SEED = int(os.environ.get("WAYPOST_SEED") or first_seed())


def run(plan: Plan, canary: str | None = None) -> tuple[World, bool]:
    world = World(plan, CANARIES[canary] if canary else None)
    return world, world.run()


def test_the_first_seed_is_printed_first(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nsimulator: seeds {FIRST_SEED}..{FIRST_SEED + SEEDS - 1} (WAYPOST_SEED={FIRST_SEED} repeats them)")


@pytest.mark.parametrize("number", range(SEEDS))
def test_fifty_worlds_converge(number: int) -> None:
    plan = Plan(
        nodes=4 + number, seed=FIRST_SEED + number, loss=30, reboots=(10, 30, 100)[number % 3], messages=50,
        links=LINKS[number % len(LINKS)], disks_full=10, jumps=20, clockless=(20, 60)[number % 2], partitions=30,
        brief=10, twins=2 if number % 10 == 9 else 0, small_stores=30 if number % 5 == 3 else 0, damage=number % 2,
    )
    world, good = run(plan)
    assert good, (plan.seed, world.healed_ms, world.check.faults)
    assert len(world.check.acknowledged) >= 25
    assert sum(host.boots for host in world.hosts) > len(world.hosts) or plan.reboots < 100


def test_a_larger_world_converges() -> None:
    world, good = run(Plan(nodes=250, seed=FIRST_SEED, loss=30, reboots=10))
    assert good, (FIRST_SEED, world.healed_ms, world.check.faults)


def test_a_node_that_was_away_for_the_whole_fault_phase_catches_up() -> None:
    world = World(Plan(nodes=9, seed=FIRST_SEED, messages=400, reboots=0))
    world.at(4999, world.hosts[4].crash)
    assert world.run(), (FIRST_SEED, world.check.faults)
    assert len(world.hosts[4].store.by_key) > 300


def test_nothing_at_all_goes_wrong() -> None:
    calm = Plan(nodes=12, seed=FIRST_SEED, loss=0, reboots=0, duplicate=0, damage=0, disks_full=0, jumps=0,
                clockless=0, partitions=0, links="session", brief=0)
    world, good = run(calm)
    assert good and world.check.drops == {} and world.check.refused == {} and world.healed_ms == 2000


def test_twins_leave_proof_everywhere() -> None:
    runs = [run(Plan(nodes=8, seed=seed, loss=10, messages=60, twins=2)) for seed in range(4, 8)]
    assert all(good for _, good in runs)
    assert any(world.check.conflicts for world, _ in runs)


@pytest.mark.parametrize("name", sorted(CANARIES))
def test_canaries_are_found(name: str) -> None:
    """In one of three worlds: once in some hundreds a world gives a canary no occasion."""
    plans = [Plan(nodes=20, seed=FIRST_SEED + number, reboots=50, messages=60, damage=3, heal_ms_max=60000)
             for number in range(3)]
    assert not all(run(plan, name)[1] for plan in plans), (FIRST_SEED, name)


WORDS = {
    "acknowledge-before-commit": "before it was committed", "clock-back": "its clock went", "drop-one-key": "lacks",
    "forget-dedupe": "twice", "owe-nothing": "receipts", "reuse-numbers": "used again", "silent-drop": "a reason for",
    "trust-anyone": "of one honest node",
}


@pytest.mark.parametrize("name", sorted(CANARIES))
def test_canaries_are_found_for_the_right_reason(name: str) -> None:
    world, good = run(Plan(nodes=20, seed=1, reboots=50, messages=60, damage=3, heal_ms_max=60000), name)
    assert any(WORDS[name] in fault for fault in world.check.faults), world.check.faults


def test_a_forgotten_floor_is_found() -> None:
    """What a small store evicted must not be pushed to it again and again."""

    def forget(host: Any) -> None:
        host.machine.gossip.floor = lambda lane, hlc: None

    plan = Plan(nodes=20, seed=4, messages=200, damage=0, small_stores=30)
    assert World(plan).run()
    world = World(plan, forget)
    assert not world.run()
    assert any("when all nodes agreed" in fault for fault in world.check.faults), world.check.faults


def test_one_seed_one_world() -> None:
    def digest(**numbers: Any) -> str:
        return run(Plan(nodes=10, messages=20, **numbers))[0].trace.digest()

    assert digest(seed=7) == digest(seed=7)
    assert len({digest(seed=7), digest(seed=8), digest(seed=7, loss=21)}) == 3
