"""Collateral that cannot be sold at once: staked coins with an unbonding time, and tokens that bear interest."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from risk.collateral.haircuts import YEAR_DAYS, together
from risk.liquidity import Unusable

INDEX: Final = 10**18
"""an interest index of one"""


class Bond(NamedTuple):
    """What stands between a staked coin and its sale."""

    days: float
    """until it can be sold"""
    penalty: float = 0.0
    """part lost by leaving, or by a slashing that must be reckoned with"""
    rate: float = 0.0
    """a year: what waiting costs"""


def unbonding(bond: Bond, volatility: float, days: float, deviations: float) -> float:
    """The part lost to waiting: penalty, time value and what the price may do over the unbonding time beyond the `days`
    of the liquidation window, 1 - (1 - penalty) exp(-rate U) exp(-z s (root(T + U) - root(T))). Raises Unusable."""
    for name, value in (("days", bond.days), ("rate", bond.rate), ("volatility", volatility), ("window", days)):
        if not math.isfinite(value) or value < 0.0:
            raise Unusable(name, value)
    later, now = math.sqrt((days + bond.days) / YEAR_DAYS), math.sqrt(days / YEAR_DAYS)
    waiting = -math.expm1(-bond.rate * bond.days / YEAR_DAYS)
    move = -math.expm1(-deviations * volatility * (later - now))
    return together(bond.penalty, waiting, move)


def redeemable(tokens: int, index: int) -> int:
    """Units of the coin that interest-bearing tokens stand for at the index recorded last, rounded down; interest not
    in the index is not counted. Raises Unusable."""
    if index < INDEX:
        raise Unusable("index", index)
    return tokens * index // INDEX
