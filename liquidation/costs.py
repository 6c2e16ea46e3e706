"""What an account may sell, and what selling it is expected to cost: the auction's discount, and its own impact."""

from __future__ import annotations

from typing import NamedTuple

from risk.liquidity import impact, points
from schemas.limits import BASIS_POINTS, MICRO


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
    if not lots or not rates.impact or not one.depth:
        return flat
    size = one.worth * lots // abs(one.quantity)
    moved = points(impact(size / MICRO, float(one.depth), rates.impact / BASIS_POINTS), BASIS_POINTS)
    return flat - (-size * moved // BASIS_POINTS)


def released(one: Holding, lots: int) -> int:
    """What equity gains by turning so many lots of it into dollars, costs apart, micro-dollars."""
    return one.released * lots // abs(one.quantity)


def piece(one: Holding, steps: int) -> int:
    """Lots in one of `steps` pieces of a holding: at least one."""
    return -(-abs(one.quantity) // steps)


def marginal(one: Holding, steps: int, rates: Rates) -> list[tuple[int, int]]:
    """Of each piece of a holding, the first sold first: (what is lost by selling it after those before it, what it
    releases), micro-dollars."""
    size, whole = piece(one, steps), abs(one.quantity)
    told: list[tuple[int, int]] = []
    flat = rates._replace(impact=0)
    moved = 0
    for begun in range(0, whole, size):
        lots = min(size, whole - begun)
        after = cost(one, begun + lots, rates) - cost(one, begun + lots, flat)
        told.append((cost(one, lots, flat) + after - moved, released(one, lots)))
        moved = after
    return told
