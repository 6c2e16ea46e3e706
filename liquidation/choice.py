"""The better of two plans: the greedy's, its last step cut to what heals, and the linear program's. Integers judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.costs import Columns, Rates, columns, cost, costs, released, releases, rows_of
from liquidation.greedy import Case, Required, breaks_a_hedge
from liquidation.program import Scan, propose
from schemas.limits import BASIS_POINTS

I64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MOST_PROGRAMS: Final = 256
"""accounts at a mark for which the linear program is asked: those whose greedy plan costs most"""

_TRIMS: Final = 8
"""how many lots are given back at most that rounding up sold in vain"""


class Found(NamedTuple):
    """What is left of a case."""

    left: tuple[int, ...]
    """lots by holding"""
    healed: bool
    program: bool = False
    """the linear program proposed it"""


class _Held(NamedTuple):
    """Cases as columns."""

    of: Columns
    equity: I64Array


def equity_after(case: Case, left: Sequence[int], rates: Rates) -> int:
    """Equity once all but `left` is sold at the expected cost, micro-dollars."""
    sold = [abs(one.quantity - rest) for one, rest in zip(case.holdings, left, strict=True)]
    return case.equity + sum(
        released(one, lots) - cost(one, lots, rates) for one, lots in zip(case.holdings, sold, strict=True)
    )


def shortened(
    cases: Sequence[Case], found: Sequence[Found], last: I64Array, groups: I64Array, required: Required, rates: Rates
) -> list[Found]:
    """The plans with no more of their last step (`last` [cases, holdings] lots) than heals, hedges kept: its legs are
    cut in proportion, by halving, as margin falls with what is sold for the most part."""
    held, width = _held(cases), last.shape[1]
    ends = _matrix([one.left for one in found], width)
    size = np.abs(last).max(axis=1, initial=0)
    low, high = np.zeros(len(cases), np.int64), size.copy()
    most = np.maximum(size, 1)[:, None]

    def cut(parts: I64Array) -> I64Array:
        """What is left where so many `size`-ths of the last step are taken, each leg rounded up."""
        taken = -(-np.abs(last) * parts[:, None] // most)
        kept: I64Array = ends + np.sign(last) * (np.abs(last) - taken)
        return kept

    healed = np.array([one.healed for one in found], np.bool_)
    while len(open_ := np.flatnonzero(healed & (high - low > 1))):
        middle = (low + high) // 2
        tried = cut(middle)[open_]
        enough = _heals(held, open_, tried, required, rates)
        high[open_[enough]] = middle[open_[enough]]
        low[open_[~enough]] = middle[open_[~enough]]
    shorter = cut(np.where(healed, high, size))
    before = _matrix([[one.quantity for one in case.holdings] for case in cases], width)
    breaks = breaks_a_hedge(before, shorter, groups, required)
    return [
        one if broken or not one.healed else one._replace(left=tuple(row[: len(case.holdings)]))
        for one, row, case, broken in zip(found, shorter.tolist(), cases, breaks.tolist(), strict=True)
    ]


def better(
    cases: Sequence[Case],
    found: Sequence[Found],
    scans: Sequence[Scan],
    factor: Sequence[I64Array] | None,
    required: Required,
    rates: Rates,
    steps: int,
) -> list[Found]:
    """The greedy's plans, or the linear program's where it heals and breaks no hedge, and costs less; of the same cost
    that of fewer lots, then the greedy's. `factor` [holdings] of each case: costs are compared over it."""
    if not cases:
        return []
    wide = max(len(case.holdings) for case in cases)
    proposals = propose(cases, scans, factor, required, rates, steps)
    whose = np.array([n for n, told in enumerate(proposals) for _ in told], np.int64)
    lots = _matrix([left.tolist() for told in proposals for left in told], wide)
    if not len(whose):
        return list(found)
    held = _held(cases)
    groups = _matrix([scan.group.tolist() for scan in scans], wide, -1)
    before = _matrix([[one.quantity for one in case.holdings] for case in cases], wide)

    def kept(which: I64Array, left: I64Array) -> BoolArray:
        """Whether what is left heals its case and breaks no hedge."""
        good = _heals(held, which, left, required, rates)
        sure = np.flatnonzero(good)
        own = which[sure]
        good[sure] = ~breaks_a_hedge(before[own], left[sure], groups[own], lambda w, rows: required(own[w], rows))
        return good

    good = kept(whose, lots)
    whose, lots = whose[good], lots[good]
    lots = _trimmed(cases, whose, lots, before, kept, factor, rates)
    best = list(found)
    for number, row in zip(whose.tolist(), lots.tolist(), strict=True):
        case = cases[number]
        one = Found(tuple(row[: len(case.holdings)]), True, True)
        weight = None if factor is None else factor[number]
        if not best[number].healed or _rank(case, one.left, weight, rates) < _rank(
            case, best[number].left, weight, rates
        ):
            best[number] = one
    return best


def _trimmed(
    cases: Sequence[Case],
    whose: I64Array,
    lots: I64Array,
    before: I64Array,
    kept: Callable[[I64Array, I64Array], BoolArray],
    factor: Sequence[I64Array] | None,
    rates: Rates,
) -> I64Array:
    """Proposals with single lots given back, the dearest first, where what is left is still good."""
    lots = lots.copy()
    open_ = np.arange(len(whose))
    for _ in range(_TRIMS):
        at, holding = np.nonzero(lots[open_] != before[whose[open_]])
        if not len(at):
            break
        row = open_[at]
        tried = lots[row]
        tried[np.arange(len(row)), holding] += np.sign(before[whose[row], holding])
        good = kept(whose[row], tried)
        chosen: dict[int, tuple[int, int]] = {}
        for k in np.flatnonzero(good).tolist():
            p, number = int(row[k]), int(whose[row[k]])
            one = cases[number].holdings[int(holding[k])]
            dear = cost(one, 1, rates._replace(impact=0)) * BASIS_POINTS**2
            dear //= BASIS_POINTS**2 if factor is None else int(factor[number][int(holding[k])])
            if p not in chosen or dear > chosen[p][0]:
                chosen[p] = (dear, k)
        for p, (_, k) in chosen.items():
            lots[p] = tried[k]
        open_ = np.array(sorted(chosen), np.int64)
        if not len(open_):
            break
    return lots


def _rank(case: Case, left: Sequence[int], factor: I64Array | None, rates: Rates) -> tuple[int, int]:
    """(cost, lots) of a plan, each holding's cost over its factor."""
    sold = [abs(one.quantity - rest) for one, rest in zip(case.holdings, left, strict=True)]
    each = [cost(one, lots, rates) for one, lots in zip(case.holdings, sold, strict=True)]
    if factor is not None:
        each = [lost * BASIS_POINTS**2 // int(factor[at]) for at, lost in enumerate(each)]
    return sum(each), sum(sold)


def _held(cases: Sequence[Case]) -> _Held:
    return _Held(columns([case.holdings for case in cases]), np.array([case.equity for case in cases], np.int64))


def _heals(held: _Held, whose: I64Array, left: I64Array, required: Required, rates: Rates) -> BoolArray:
    """[rows] whether equity covers the initial margin once a case is left with the row."""
    of = rows_of(held.of, whose)
    sold = np.abs(of.quantity - left[:, : of.quantity.shape[1]])
    after = held.equity[whose] + (releases(of, sold) - costs(of, sold, rates)).sum(axis=1)
    enough: BoolArray = after >= required(whose, left)
    return enough


def _matrix(rows: Sequence[Sequence[int]], width: int, fill: int = 0) -> I64Array:
    told = np.full((len(rows), width), fill, np.int64)
    for number, row in enumerate(rows):
        told[number, : len(row)] = row
    return told
