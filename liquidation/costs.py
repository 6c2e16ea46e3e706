"""What an account may sell, and what selling it is expected to cost: the auction's discount, and its own impact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.liquidity import impact, points
from schemas.limits import BASIS_POINTS, MICRO

I64Array = npt.NDArray[np.int64]

_FITS: Final = 2.0**62


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
    depth: int = 0
    """dollars whose sale moves its price by `Rates.impact`; 0: as many as there are, its sale moves nothing"""


class Rates(NamedTuple):
    """What is expected to be lost of what is sold, basis points."""

    discount: int
    """off the mark in an auction, however much is sold"""
    impact: int = 0
    """what the sale of its `depth` moves a price by; other sizes by the square root of their part of it"""


def cost(one: Holding, lots: int, rates: Rates) -> int:
    """What is expected to be lost by selling so many lots of it, micro-dollars, rounded up.

    As in risk.liquidity the whole is charged the last price. Two holdings of one underlying are charged apart.
    """
    flat = -(-one.worth * lots * rates.discount // (abs(one.quantity) * BASIS_POINTS))
    size = one.worth * lots // abs(one.quantity)
    return flat - (-size * moved(one, lots, rates.impact) // BASIS_POINTS)


def moved(one: Holding, lots: int, at_depth: int) -> int:
    """How far selling so many lots of it is expected to move its price, basis points; `at_depth`: what its `depth`
    moves it."""
    if not lots or not at_depth or not one.depth:
        return 0
    size = one.worth * lots // abs(one.quantity)
    return points(impact(size / MICRO, float(one.depth), at_depth / BASIS_POINTS), BASIS_POINTS)


def released(one: Holding, lots: int) -> int:
    """What equity gains by turning so many lots of it into dollars, costs apart, micro-dollars."""
    return one.released * lots // abs(one.quantity)


class Columns(NamedTuple):
    """Holdings of many accounts, [accounts, holdings]; zeros past an account's own."""

    quantity: I64Array
    worth: I64Array
    released: I64Array
    depth: I64Array


def columns(accounts: Sequence[Sequence[Holding]]) -> Columns:
    """The holdings of these accounts, a row for each."""
    shape = len(accounts), max(map(len, accounts), default=0)
    told = Columns(*(np.zeros(shape, np.int64) for _ in range(4)))
    for row, holdings in enumerate(accounts):
        for at, one in enumerate(holdings):
            told.quantity[row, at], told.worth[row, at] = one.quantity, one.worth
            told.released[row, at], told.depth[row, at] = one.released, one.depth
    return told


def rows_of(of: Columns, which: I64Array) -> Columns:
    """The rows with these numbers."""
    return Columns(*(column[which] for column in of))


def costs(of: Columns, lots: I64Array, rates: Rates) -> I64Array:
    """`cost` of so many lots of each holding, in the shape of the columns."""
    whole = np.maximum(np.abs(of.quantity), 1)
    told = -_proportion(-of.worth, lots * rates.discount, whole * BASIS_POINTS)
    for at in zip(*np.nonzero((of.depth > 0) & (lots > 0)), strict=True) if rates.impact else ():
        one = Holding(0, int(of.quantity[at]), int(of.worth[at]), 0, False, int(of.depth[at]))
        told[at] = cost(one, int(lots[at]), rates)
    return told


def releases(of: Columns, lots: I64Array) -> I64Array:
    """`released` by so many lots of each holding, in the shape of the columns."""
    return _proportion(of.released, lots, np.maximum(np.abs(of.quantity), 1))


def pieces(of: Columns, steps: int, rates: Rates) -> tuple[I64Array, I64Array, I64Array, I64Array]:
    """Holdings cut in `steps` pieces of at least one lot: (lots in a piece, pieces; of each piece after those before it
    [.., steps]: what is lost by selling it, what it releases)."""
    whole = np.abs(of.quantity)
    size = -(-whole // steps)
    lost, freed = (np.zeros((*whole.shape, steps), np.int64) for _ in range(2))
    flat = rates._replace(impact=0)
    moved = np.zeros_like(whole)
    for step in range(steps):
        lots = np.clip(whole - step * size, 0, size)
        lost[..., step], freed[..., step] = costs(of, lots, flat), releases(of, lots)
        if rates.impact:
            sold = np.minimum((step + 1) * size, whole)
            after = costs(of, sold, rates) - costs(of, sold, flat)
            lost[..., step] += after - moved
            moved = after
    return size, -(-whole // np.maximum(size, 1)), lost, freed


def _proportion(amount: I64Array, part: I64Array, whole: I64Array) -> I64Array:
    """floor(amount x part / whole), exact where the product passes 64 bits too."""
    told: I64Array = amount * part // whole
    for at in zip(*np.nonzero(np.abs(amount.astype(np.float64)) * part >= _FITS), strict=True):
        told[at] = int(amount[at]) * int(part[at]) // int(whole[at])
    return told
