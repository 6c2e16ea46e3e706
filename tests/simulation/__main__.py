"""Simulations from the command line: `PYTHONPATH=.:tests python -m simulation --seeds 1000`, or `--seed 7 --trace`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import SystemRandom
from time import monotonic
from traceback import format_exception

from simulation.rules import Broken
from simulation.simulator import simulate, told_mix

REPLAY = "PYTHONPATH=.:tests python -m simulation --seed {seed} --trace"


def many(first: int, most: int, seconds: float) -> tuple[Counter[str], dict[int, Broken], int]:
    """Run seeds from `first` on, at most so many and so long; returns what happened, what failed, how many ran."""
    counts: Counter[str] = Counter()
    failed: dict[int, Broken] = {}
    end = monotonic() + seconds
    seed = first
    while seed < first + most and monotonic() < end:
        try:
            counts += simulate(seed)
        except Exception as error:
            found = error if isinstance(error, Broken) else Broken("ran to its end", "".join(format_exception(error)))
            failed[seed] = found
            print(f"seed {seed}: {found}\n    {REPLAY.format(seed=seed)}", flush=True)
        seed += 1
    return counts, failed, seed - first


def shortest(seed: int) -> int | None:
    """The fewest first faults with which a seed still fails, by trying 0, 1, 2, 4 ... and then in between; None where
    it does not fail."""
    high = 0
    while not _fails(seed, high):
        if high > 4096:
            return None
        high = max(1, high * 2)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(seed, middle) else (middle, high)
    return high


def _fails(seed: int, most_faults: int) -> bool:
    try:
        simulate(seed, most_faults=most_faults)
    except Broken:
        return True
    return False


def main() -> int:
    """Run what the command line asks for; 1 where a rule was broken."""
    asked = argparse.ArgumentParser(prog="simulation", description=__doc__)
    asked.add_argument("--seed", type=int, help="run this one seed alone")
    asked.add_argument("--trace", action="store_true", help="tell each fault and restart of it")
    asked.add_argument("--faults", type=int, help="let only so many first faults of it happen")
    asked.add_argument("--shorten", action="store_true", help="find the fewest first faults with which it still fails")
    asked.add_argument("--first", type=int, default=SystemRandom().randrange(10**9), help="the first of many seeds")
    asked.add_argument("--seeds", type=int, default=1_000, help="how many")
    asked.add_argument("--seconds", type=float, default=1e9, help="and for how long at most")
    told = asked.parse_args()
    if told.seed is not None:
        return _one(told.seed, told.trace, told.faults, shorten=told.shorten)
    print(f"seeds from {told.first} on")
    begin = monotonic()
    counts, failed, ran = many(told.first, told.seeds, told.seconds)
    took = monotonic() - begin
    print(f"{ran} seeds in {took:.0f} s, {ran / took:.1f}/s, {len(failed)} failed")
    for name, count in sorted(counts.items()):
        print(f"  {name:15} {count:8} ({count / max(1, ran):.1f} a seed)")
    return 1 if failed else 0


def _one(seed: int, trace: bool, faults: int | None, *, shorten: bool) -> int:
    if shorten:
        faults = shortest(seed)
        print(f"seed {seed} fails with its first {faults} faults (--faults {faults})")
    lines: list[str] | None = [] if trace else None
    print(f"seed {seed}: {told_mix(seed)}")
    failure = None
    try:
        print(dict(simulate(seed, trace=lines, most_faults=faults)))
    except Broken as found:
        failure = found
    for line in lines or ():
        print(line)
    print(failure or "every rule holds")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
