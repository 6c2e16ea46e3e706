"""The liquidation gap: what liquidated legs got against their marks, and the buffer that covers a high part of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.events import ParameterChanged
from schemas.kinds import Parameter
from schemas.limits import BASIS_POINTS
from schemas.outcomes import LiquidationGap


def points(lost: int, worth: int) -> int:
    """A loss as basis points of what was worth `worth` at the mark, rounded up; below zero a gain."""
    return -(-lost * BASIS_POINTS // max(worth, 1))


class Summary(NamedTuple):
    """A mark's liquidated legs. Micro-dollars."""

    legs: int
    worth: int
    lost: int
    worst: int
    """largest loss of a leg, basis points of its worth, rounded up"""


class Liquidation(NamedTuple):
    """An account's liquidation from its first leg to its last. Micro-dollars."""

    account: int
    first: int
    """the mark of its first leg"""
    last: int
    worth: int
    lost: int
    maintenance: int
    """the largest that was required at a mark of it"""
    legs: int

    @property
    def gap(self) -> int:
        """What it got less than the marks, basis points of its worth at them."""
        return points(self.lost, self.worth)

    @property
    def share(self) -> int:
        """What it lost against the marks, basis points of the maintenance margin, rounded up; a gain counts as 0."""
        return max(0, points(self.lost, self.maintenance))


def by_mark(told: Iterable[LiquidationGap]) -> dict[int, Summary]:
    """What was told, summed up by mark."""
    legs: defaultdict[int, list[LiquidationGap]] = defaultdict(list)
    for one in told:
        legs[one.mark].append(one)
    return {
        mark: Summary(
            len(found),
            sum(one.worth for one in found),
            sum(one.lost for one in found),
            max(points(one.lost, one.worth) for one in found),
        )
        for mark, found in sorted(legs.items())
    }


def liquidations(told: Iterable[LiquidationGap], apart: int = 16) -> list[Liquidation]:
    """What was told, gathered into liquidations, in order of their last mark, then account: an account's legs that lie
    less than `apart` marks from one another are one liquidation."""
    legs: defaultdict[int, list[LiquidationGap]] = defaultdict(list)
    for one in told:
        legs[one.account].append(one)
    found: list[Liquidation] = []
    for account, mine in sorted(legs.items()):
        running: Liquidation | None = None
        for leg in sorted(mine, key=lambda one: one.mark):
            if running is not None and leg.mark - running.last < apart:
                running = running._replace(
                    last=leg.mark,
                    worth=running.worth + leg.worth,
                    lost=running.lost + leg.lost,
                    maintenance=max(running.maintenance, leg.maintenance),
                    legs=running.legs + 1,
                )
                continue
            if running is not None:
                found.append(running)
            running = Liquidation(account, leg.mark, leg.mark, leg.worth, leg.lost, leg.maintenance, 1)
        if running is not None:
            found.append(running)
    return sorted(found, key=lambda one: (one.last, one.account))


def high_quantile(shares: Sequence[int], level: int) -> int:
    """The smallest share that at least `level` basis points of all do not exceed; 0 of none. An order statistic: it is
    a figure that was met, never one in between."""
    if not shares:
        return 0
    rank = -(-len(shares) * level // BASIS_POINTS)
    return sorted(shares)[max(rank, 1) - 1]


def proposal(
    told: Iterable[LiquidationGap], now: int, notice: int, *, level: int = 9_900, last: int = 1_000, most: int = 5_000
) -> ParameterChanged:
    """The change of BUFFER_GAP that the council may make: the buffer grows by what the `last` liquidations lost at the
    `level` (basis points of them), at most `most`. `now` and `notice` are microseconds. It is a proposal: nothing
    changes before the council appends it, nor before the notice has passed."""
    recent = liquidations(told)[-last:]
    value = min(high_quantile([one.share for one in recent], level), most)
    return ParameterChanged(parameter=Parameter.BUFFER_GAP, scope=0, time=now, effective=now + notice, value=value)
