"""Liquidation plans: which holdings are sold, and how much, so that what remains is covered at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from liquidation.costs import Holding, Rates, cost
from liquidation.greedy import Case, Required, Weights, factors, greedy, table
from schemas.limits import MICRO

I64Array = npt.NDArray[np.int64]

Requirement = Callable[[I64Array], tuple[I64Array, I64Array]]
"""Lots held [candidates, holdings] -> (maintenance, initial), each [candidates], micro-dollars. Columns follow the
holdings' instruments, ascending; a row is a portfolio the account might be left with."""

STEPS: Final = 4
"""pieces a holding is cut in"""


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


class Rules(NamedTuple):
    """How plans are made; the parameters named PLAN_ in schemas.kinds."""

    weights: Weights = Weights()
    impact: int = 0
    """see Rates"""


def plan(
    holdings: Iterable[Holding], equity: int, requirement: Requirement, discount: int, *, steps: int = STEPS
) -> Plan:
    """`plans` for one account and the rules as they are by default."""
    case = Case(0, equity, tuple(sorted(holdings)), {})
    return plans([case], lambda _, lots: requirement(lots)[1], discount, Rules(), steps=steps)[0]


def plans(cases: Sequence[Case], required: Required, discount: int, rules: Rules, *, steps: int = STEPS) -> list[Plan]:
    """For each case the sales after which equity covers the initial margin of what remains.

    Greedy (see liquidation.greedy): a holding is cut in `steps`; a piece costs what `Rates` of this discount (basis
    points) and the rules' impact expect. Where no piece frees anything, or equity is negative whatever is sold,
    everything goes. Sales only reduce. When no position is left to an account, its coins also cover its negative cash.
    """
    rates = Rates(discount, rules.impact)
    made: dict[int, Plan] = {}
    numbers = sorted(range(len(cases)), key=lambda number: _size(cases[number]))
    for size, same in groupby(numbers, key=lambda number: _size(cases[number])):
        chunk = list(same)
        for number, left in zip(chunk, _healed(cases, chunk, size, required, rates, rules, steps), strict=True):
            made[number] = _told(cases[number], left, rates)
    return [made[number] for number in range(len(cases))]


def _size(case: Case) -> int:
    """Cases of about as many holdings are planned together, as the widest row decides for all; 0: everything goes."""
    if case.equity + sum(one.released for one in case.holdings) < 0:
        return 0
    return len(case.holdings).bit_length()


def _healed(
    cases: Sequence[Case], chunk: list[int], size: int, required: Required, rates: Rates, rules: Rules, steps: int
) -> list[list[int]]:
    """The lots left to each case of the chunk, by holding."""
    if not size:
        return [[0] * len(cases[number].holdings) for number in chunk]
    own = [cases[number] for number in chunk]
    numbers = np.array(chunk, np.int64)

    def asked(whose: I64Array, lots: I64Array) -> I64Array:
        return required(numbers[whose], lots)

    t = table(own, steps, rates)
    found = greedy(t, asked, factors(t, own, rates, rules.weights, asked))
    return [row[: len(case.holdings)] for row, case in zip(found.left.tolist(), own, strict=True)]


def _told(case: Case, left: list[int], rates: Rates) -> Plan:
    held = case.holdings
    if all(one.collateral for one in held):
        _cover_cash(held, left, case.equity, rates)
    sales = tuple(
        Sale(one.instrument, rest - one.quantity) for one, rest in zip(held, left, strict=True) if rest != one.quantity
    )
    positions = [rest for one, rest in zip(held, left, strict=True) if not one.collateral]
    lost = sum(cost(one, abs(one.quantity - rest), rates) for one, rest in zip(held, left, strict=True))
    return Plan(sales, bool(positions) and not any(positions), lost)


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
