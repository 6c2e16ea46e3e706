"""A liquidation plan: which holdings are sold, and how much, so that what remains is covered at the least cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.limits import BASIS_POINTS, MICRO

I64Array = npt.NDArray[np.int64]

Requirement = Callable[[I64Array], tuple[I64Array, I64Array]]
"""Lots held [candidates, holdings] -> (maintenance, initial), each [candidates], micro-dollars. Columns follow the
holdings' instruments, ascending; a row is a portfolio the account might be left with."""


class Holding(NamedTuple):
    """Something an account may sell: a position, or whole lots of a coin balance through its SPOT instrument."""

    instrument: int
    quantity: int
    """lots, long > 0, never 0; a coin debt is a short"""
    worth: int
    """value of the whole at the mark, without its sign, micro-dollars"""
    released: int = 0
    """what equity gains, costs apart, when the whole is turned into dollars: the haircut held back; micro-dollars"""
    collateral: bool = False
    """True: a coin balance, not a position"""


class Sale(NamedTuple):
    """So many lots of an instrument to be sold (quantity < 0) or bought back."""

    instrument: int
    quantity: int


def plan(
    holdings: Iterable[Holding], equity: int, requirement: Requirement, discount: int, *, steps: int = 4
) -> list[Sale]:
    """The sales, one per instrument and by its number, after which equity covers the initial margin of what remains.

    Greedy: of all single pieces (a holding is cut in `steps`, at least one lot) and of one piece of every position at
    once, the one that frees most margin per unit of cost goes first; on a tie the lowest instrument, then the piece of
    all. A piece costs its worth x `discount` (basis points). A hedge is thus broken only where that lowers the
    requirement. Where no piece frees anything, or equity is negative whatever is sold, everything goes. Sales only
    reduce.

    When no position is left to an account, its coins also cover its negative cash. Money is micro-dollars.
    """
    held = sorted(holdings)
    if equity + sum(one.released for one in held) < 0:
        left = np.zeros(len(held), np.int64)
    else:
        left = _heal(held, equity, requirement, discount, steps)
    if all(one.collateral for one in held):
        _cover_cash(held, left, equity, discount)
    return [
        Sale(one.instrument, int(rest) - one.quantity)
        for one, rest in zip(held, left, strict=True)
        if rest != one.quantity
    ]


def _cost(one: Holding, lots: int, discount: int) -> int:
    return -(-one.worth * lots * discount // (abs(one.quantity) * BASIS_POINTS))


def _released(one: Holding, lots: int) -> int:
    return one.released * lots // abs(one.quantity)


def _heal(held: list[Holding], equity: int, requirement: Requirement, discount: int, steps: int) -> I64Array:
    """The lots left of each holding once equity covers their initial margin, or zeros."""
    left = np.array([one.quantity for one in held], np.int64)
    piece = -(-np.abs(left) // steps)
    is_position = np.array([not one.collateral for one in held], np.bool_)
    while left.any():
        taken = np.sign(left) * np.minimum(np.abs(left), piece)
        moves = np.diag(taken)[taken != 0]
        # a hedged book frees nothing leg by leg: only a piece of all its legs together does
        if np.count_nonzero(taken * is_position) > 1:
            moves = np.vstack([moves, taken * is_position])
        initial = requirement(np.vstack([left, left - moves]))[1].tolist()
        if equity >= initial[0]:
            return left
        best, best_freed, best_cost = -1, 0, 1
        best_equity = equity
        for number, move in enumerate(np.abs(moves).tolist()):
            released = sum(_released(one, lots) for one, lots in zip(held, move, strict=True))
            cost = sum(_cost(one, lots, discount) for one, lots in zip(held, move, strict=True))
            freed = initial[0] - initial[number + 1] + released
            if freed * best_cost > best_freed * max(cost, 1):
                best, best_freed, best_cost = number, freed, max(cost, 1)
                best_equity = equity + released - cost
        if best < 0:
            return np.zeros_like(left)
        left = left - moves[best]
        equity = best_equity
    return left


def _cover_cash(held: list[Holding], left: I64Array, equity: int, discount: int) -> None:
    """Sell further coins, into `left`, until cash is not negative: those cut most first, then by instrument."""
    signed = [one.worth if one.quantity > 0 else -one.worth for one in held]
    cash = equity + sum(one.released for one in held) - sum(signed)
    for one, worth, rest in zip(held, signed, left.tolist(), strict=True):
        lots = abs(one.quantity - rest)
        cash += worth * lots // abs(one.quantity) - _cost(one, lots, discount)
    coins = [number for number, one in enumerate(held) if one.quantity > 0]
    coins.sort(key=lambda number: -(held[number].released * MICRO // max(held[number].worth, 1)))
    for number in coins:
        one = held[number]
        gain = one.worth - _cost(one, one.quantity, discount)
        if cash >= 0 or gain <= 0:
            continue
        lots = min(int(left[number]), -(cash * one.quantity // gain))
        left[number] -= lots
        cash += gain * lots // one.quantity
