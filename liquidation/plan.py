"""Liquidation plans: which holdings are sold, and how much, so that what remains is covered at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.choice import MOST_PROGRAMS, Found, better, shortened
from liquidation.costs import Holding, Rates, cost
from liquidation.greedy import Case, Required, Weights, factors, greedy, table
from liquidation.program import Scan
from schemas.limits import BASIS_POINTS, MICRO

I64Array = npt.NDArray[np.int64]

Requirement = Callable[[I64Array], tuple[I64Array, I64Array]]
"""Lots held [candidates, holdings] -> (maintenance, initial), each [candidates], micro-dollars. Columns follow the
holdings' instruments, ascending; a row is a portfolio the account might be left with."""

Scans = Callable[[Sequence[Case]], Sequence[Scan]]
"""What the margin of each case is made of."""

STEPS: Final = 4
"""pieces a holding is cut in"""


class Method(IntEnum):
    """Who proposes."""

    GREEDY = 0
    BETTER = 1
    """the better of a greedy that keeps hedges and the linear program"""


class Sale(NamedTuple):
    """So many lots of an instrument to be sold (quantity < 0) or bought back."""

    instrument: int
    quantity: int


class Plan(NamedTuple):
    """What is to be sold of an account."""

    sales: tuple[Sale, ...]
    """one for an instrument, by its number"""
    whole: bool
    """no position is left: it may be offered as one portfolio"""
    cost: int
    """what selling is expected to lose, micro-dollars"""
    program: bool = False
    """the linear program proposed it"""


class Rules(NamedTuple):
    """How plans are made; the parameters named PLAN_ in schemas.kinds."""

    weights: Weights = Weights()
    impact: int = 0
    """see Rates"""
    method: Method = Method.GREEDY
    fee: int = 0
    """what the account pays on what is sold, basis points"""
    target: int = BASIS_POINTS
    """part of the initial margin of what remains that equity is to cover"""


def plan(
    holdings: Iterable[Holding], equity: int, requirement: Requirement, discount: int, *, steps: int = STEPS
) -> Plan:
    """`plans` for one account and the rules as they are by default."""
    case = Case(0, equity, tuple(sorted(holdings)), {})
    return plans([case], lambda _, lots: requirement(lots)[1], discount, Rules(), steps=steps)[0]


def plans(
    cases: Sequence[Case],
    required: Required,
    discount: int,
    rules: Rules,
    scans: Scans | None = None,
    *,
    steps: int = STEPS,
) -> list[Plan]:
    """For each case the sales after which equity covers the initial margin of what remains.

    Greedy (see liquidation.greedy): a holding is cut in `steps`; a piece costs what `Rates` of this discount (basis
    points) and the rules' impact expect. Where no piece frees anything, or equity is negative whatever is sold,
    everything goes. Sales only reduce. When no position is left to an account, its coins also cover its negative cash.

    Method.BETTER needs `scans`. The greedy then keeps hedges, and sells of its last step no more than heals. The linear
    program proposes too, for those accounts of two holdings and more whose greedy plan costs most, MOST_PROGRAMS of
    them. What it proposes counts where, asked of the integers, it heals and breaks no hedge; the plan of the lower cost
    (each holding's over its factor, where there are weights) is taken, then that of fewer lots, then the greedy's.
    """
    rates = Rates(discount, rules.impact)
    required = _aimed(required, rules.target)
    told = scans(cases) if rules.method == Method.BETTER and scans is not None else None
    if told is not None:
        told = [one._replace(ratio=one.ratio * rules.target / BASIS_POINTS) for one in told]
    found = [Found((0,) * len(case.holdings), healed=False) for case in cases]
    factor: dict[int, I64Array] = {}
    numbers = sorted(range(len(cases)), key=lambda number: _size(cases[number]))
    for size, same in groupby(numbers, key=lambda number: _size(cases[number])):
        if not size:
            continue
        chunk = list(same)
        own, ask = [cases[number] for number in chunk], _of(required, chunk)
        t = table(own, steps, rates)
        weight = factors(t, own, rates, rules.weights, ask)
        groups = None if told is None else _groups([told[number] for number in chunk], t.quantity.shape[1])
        went = greedy(t, ask, weight, groups)
        mine = [
            Found(tuple(row[: len(case.holdings)]), healed)
            for case, row, healed in zip(own, went.left.tolist(), went.healed.tolist(), strict=True)
        ]
        if groups is not None:
            mine = shortened(own, mine, went.last, groups, ask, rates)
        for at, number in enumerate(chunk):
            found[number] = mine[at]
            if weight is not None:
                factor[number] = weight[at]
    if told is not None:
        asked = _worth_asking(cases, found, rates)
        weights = [factor[number] for number in asked] if factor else None
        own, mine = [cases[n] for n in asked], [found[n] for n in asked]
        chosen = better(own, mine, [told[n] for n in asked], weights, _of(required, asked), rates, steps)
        for number, one in zip(asked, chosen, strict=True):
            found[number] = one
    return [_told(case, one, rates) for case, one in zip(cases, found, strict=True)]


def _size(case: Case) -> int:
    """Cases of about as many holdings are planned together, as the widest row decides for all; 0: everything goes."""
    if case.equity + sum(one.released for one in case.holdings) < 0:
        return 0
    return len(case.holdings).bit_length()


def _aimed(required: Required, target: int) -> Required:
    """What equity is to cover, basis points of the initial margins, rounded up."""
    if target == BASIS_POINTS:
        return required
    return lambda whose, lots: -(-required(whose, lots) * target // BASIS_POINTS)


def _of(required: Required, numbers: Sequence[int]) -> Required:
    """The margins of some of the cases."""
    known = np.array(numbers, np.int64)
    return lambda whose, lots: required(known[whose], lots)


def _groups(scans: Sequence[Scan], width: int) -> I64Array:
    groups = np.full((len(scans), width), -1, np.int64)
    for row, scan in enumerate(scans):
        groups[row, : len(scan.group)] = scan.group
    return groups


def _worth_asking(cases: Sequence[Case], found: Sequence[Found], rates: Rates) -> list[int]:
    """The cases for which the linear program is asked, in order: with one holding there is nothing to choose, and
    where the greedy's plan costs nothing, nothing to save."""

    def lost(number: int) -> int:
        pairs = zip(cases[number].holdings, found[number].left, strict=True)
        return sum(cost(one, abs(one.quantity - rest), rates) for one, rest in pairs)

    many = [(-lost(number), number) for number, case in enumerate(cases) if len(case.holdings) > 1 and _size(case)]
    return sorted(number for less, number in sorted(many)[:MOST_PROGRAMS] if less < 0)


def _told(case: Case, found: Found, rates: Rates) -> Plan:
    held, left = case.holdings, list(found.left)
    if all(one.collateral for one in held):
        _cover_cash(held, left, case.equity, rates)
    sales = tuple(
        Sale(one.instrument, rest - one.quantity) for one, rest in zip(held, left, strict=True) if rest != one.quantity
    )
    positions = [rest for one, rest in zip(held, left, strict=True) if not one.collateral]
    lost = sum(cost(one, abs(one.quantity - rest), rates) for one, rest in zip(held, left, strict=True))
    return Plan(sales, bool(positions) and not any(positions), lost, found.program)


def _cover_cash(held: Sequence[Holding], left: list[int], equity: int, rates: Rates) -> None:
    """Sell further coins, into `left`, until cash is not negative: those cut most first, then by instrument."""
    signed = [one.worth if one.quantity > 0 else -one.worth for one in held]
    cash = equity + sum(one.released for one in held) - sum(signed)
    for one, worth, rest in zip(held, signed, left, strict=True):
        lots = abs(one.quantity - rest)
        cash += worth * lots // abs(one.quantity) - cost(one, lots, rates)
    coins = [number for number, one in enumerate(held) if one.quantity > 0]
    coins.sort(key=lambda number: -(held[number].released * MICRO // max(held[number].worth, 1)))
    for number in coins:
        one = held[number]
        gain = one.worth - cost(one, one.quantity, rates)
        if cash >= 0 or gain <= 0:
            continue
        lots = min(left[number], -(cash * one.quantity // gain))
        left[number] -= lots
        cash += gain * lots // one.quantity
