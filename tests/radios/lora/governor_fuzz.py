"""Random lives of a node's radios: in no window is more on the air than the law and the shares allow.

    python -m tests.radios.lora.governor_fuzz --count 1000000 [--seed 0]

Time is true time in microseconds. The node knows it by a monotonic clock that starts at each boot, sends with delays
that it isn't told, crashes in the middle of packets, can't write, finds its file torn, reboots with or without a sure
clock.
"""

from __future__ import annotations

import argparse
import random
import sys

from radios.lora.governor import BULK, HOUR_MS, POLITE_PPM, TEXTS, Governor, Wait
from radios.lora.ledger import Ledger
from radios.lora.regions import Law

HOUR_US = HOUR_MS * 1000
KINDS = (0, 0, 1, 2, 3, 4)
LIMITS_US = (3600000, 36000000, 360000000, HOUR_US)


class Card:
    """A disk in memory."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.full = False

    def read(self) -> bytes | None:
        return self.data

    def write(self, data: bytes) -> None:
        if self.full:
            raise OSError(28, "no space left")
        self.data = data


class Life:
    """One schedule. aired: what was truly on the air, (start, end, class)."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.at_us = 0
        self.boot = 0
        self.boot_us = -rng.randrange(1, 7200000000)
        self.sure = rng.random() < 0.5  # whether the wall clock is
        self.card = Card()
        self.limit_us = rng.choice(LIMITS_US)
        dwell = rng.random() < 0.3
        self.law = Law([("T/1-2", self.limit_us)], (400000, 20000) if dwell else None)
        self.frame_us = min(400000, self.limit_us) if dwell else self.limit_us // rng.choice((2, 8, 20))
        self.radios = rng.choice((1, 1, 2))
        self.aired: list[tuple[int, int, int]] = []
        self.flying: list[tuple[int, int]] = []  # (end, radio)
        self.start()

    def now_ms(self) -> int:
        return (self.at_us - self.boot_us) // 1000

    def start(self) -> None:
        wall = (lambda: self.at_us // 1000 + 10**12) if self.sure else None
        self.ledger = Ledger(self.card, self.now_ms(), f"boot{self.boot}", wall, threads=False)
        self.budgets = [self.ledger.budget(name, self.now_ms()) for name, _ in self.law.limits]
        self.governors = [Governor(self.law, self.budgets) for _ in range(self.radios)]
        self.flying.clear()

    def advance(self, us: int) -> None:
        """Let time pass; what leaves the air meanwhile is settled in the millisecond in which it does."""
        until_us = self.at_us + us
        for end_us, radio in sorted(self.flying):
            if end_us > until_us:
                break
            self.at_us = max(self.at_us, end_us)
            self.governors[radio].settle(self.now_ms())
            self.flying.remove((end_us, radio))
        self.at_us = until_us

    def restart(self) -> None:
        rng = self.rng
        if rng.random() < 0.3:
            self.ledger.close(self.now_ms())
        if rng.random() < 0.4:
            self.boot += 1
            self.at_us += rng.choice((1000000, 600000000, 3599000000, 7200000000)) * rng.randrange(1, 100) // 100
            self.boot_us = self.at_us - rng.randrange(1, 30000000)
            self.sure = rng.random() < 0.5
        else:
            self.at_us += rng.randrange(1, 5000000)
        if self.card.data and rng.random() < 0.05:
            self.card.data = self.card.data[:rng.randrange(len(self.card.data))]
        self.start()

    def send(self) -> None:
        rng = self.rng
        busy = {radio for _, radio in self.flying}
        free = [radio for radio in range(self.radios) if radio not in busy]
        if not free:
            return
        radio, kind, us = rng.choice(free), rng.choice(KINDS), rng.randrange(1000, self.frame_us + 1)
        if kind == TEXTS:
            us = max(us // 5, 1000)
        rest_us = self.limit_us - sum(self.budgets[0].sums)
        if kind == 0 and rng.random() < 0.3 and rest_us > 0:
            us = min(rest_us, self.frame_us)  # to the very microsecond
        governor = self.governors[radio]
        for _ in range(2):
            now_ms = self.now_ms()
            answer = governor.ask(now_ms, kind, us)
            if not isinstance(answer, Wait):
                break
            if rng.random() < 0.3:
                return
            self.advance(int(answer) * 1000 - self.at_us % 1000)  # to the very millisecond
        if answer != 0 or not self.ledger.ready([(self.budgets[0], self.limit_us)], us, now_ms):
            return
        governor.spent(self.now_ms(), kind, us)
        if rng.random() < 0.05:
            governor.settle(self.now_ms(), 0)  # the radio would not have it
            return
        start_us = self.at_us + rng.choice((0, 1, 999, 3000000))
        self.aired.append((start_us, start_us + us, kind))
        if us < 50000000 and rng.random() < 0.05:
            governor.settle(self.now_ms(), sure=False)  # lost, and sent all the same
        else:
            self.flying.append((start_us + us, radio))

    def live(self) -> None:
        rng = self.rng
        for _ in range(rng.randrange(6, 18)):
            act = rng.random()
            if act < 0.8:
                self.send()
            elif act < 0.86 and not any(end > self.at_us + 50000000 for end, _ in self.flying):
                self.restart()
            elif act < 0.87:
                self.card.full = not self.card.full
            act = rng.random()
            if act < 0.5:
                self.advance(rng.randrange(1, 1000000))
            elif act < 0.8:
                self.advance(rng.randrange(1, max(self.limit_us, 2)))
            elif act < 0.9:
                self.advance(rng.randrange(HOUR_US - 60000000, HOUR_US + 60000000))

    def breaches(self) -> list[str]:
        """What was broken, in words."""
        polite_us = min(self.limit_us, HOUR_MS * POLITE_PPM // 1000)
        rules = [("limit", self.aired, self.limit_us, HOUR_US)]
        for name, low, high, part in (("own", 1, 4, 500), ("bulk", BULK, BULK, 250), ("texts", TEXTS, TEXTS, 100)):
            rows = [row for row in self.aired if low <= row[2] <= high]
            rules.append((name, rows, polite_us * part // 1000, HOUR_US))
        if self.law.dwell is not None:
            rules.append(("dwell", self.aired, self.law.dwell[0], self.law.dwell[1] * 1000))
        return [f"{name}: {worst} of {limit_us}" for name, rows, limit_us, window_us in rules
                if (worst := most_us(rows, window_us)) > limit_us]


def most_us(rows: list[tuple[int, int, int]], window_us: int) -> int:
    """The most that was on the air in any window: it begins with a packet or ends with one."""
    if not rows or sum(end - start for start, end, _ in rows) == 0:
        return 0
    froms = {start for start, _, _ in rows} | {end - window_us for _, end, _ in rows}
    return max(sum(max(min(end, begin + window_us) - max(start, begin), 0) for start, end, _ in rows)
               for begin in froms)


def run(count: int, first: int = 0) -> tuple[int, int, list[str]]:
    """Lives lived, packets sent, and what was broken in which."""
    packets, broken = 0, []
    for seed in range(first, first + count):
        life = Life(seed)
        life.live()
        packets += len(life.aired)
        broken += [f"seed {seed}: {text}" for text in life.breaches()]
    return count, packets, broken


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lives, packets, broken = run(args.count, args.seed)
    print(f"{lives} schedules from seed {args.seed}, {packets} packets, {len(broken)} breaches")
    for text in broken[:10]:
        print(text)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
