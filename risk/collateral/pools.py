"""Shares in a constant-product pool: their value at the oracle's price, and what they gain in a scenario.

A pool of x coins and y others keeps k = x y. Arbitrage brings it to x p = y q, so it is worth 2 root(k p q) whatever
its reserves are pushed to within a block: a value nobody can push. When the coin's price goes to (1 + m) of itself it
is worth root(1 + m) of what it was; holding the two coins instead, 1 + m / 2. The difference is the impermanent loss.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from risk.liquidity import Unusable


class Pool(NamedTuple):
    """What the pool holds, in coins, and its tokens."""

    base: float
    other: float
    tokens: float
    other_price: float = 1.0
    """dollars of one of the others"""


def value(pool: Pool, price: float) -> float:
    """Dollars of one token where the base coin's price is `price`. Raises Unusable."""
    figures = {**pool._asdict(), "price": price}
    for name, one in figures.items():
        if not math.isfinite(one) or one <= 0.0:
            raise Unusable(name, one)
    # a root of each: the product of four large figures may overflow
    return 2.0 * math.sqrt(pool.base * price) * math.sqrt(pool.other * pool.other_price) / pool.tokens


def gain(move: float) -> float:
    """What a token gains, part of its value, when the base coin's price moves by `move`. Raises Unusable."""
    if not move >= -1.0 or not math.isfinite(move):
        raise Unusable("move", move)
    return math.sqrt(1.0 + move) - 1.0


def impermanent_loss(move: float) -> float:
    """What a token is short of holding the coins, part of its value before the move, 0 or more. Raises Unusable."""
    return move / 2.0 - gain(move)
