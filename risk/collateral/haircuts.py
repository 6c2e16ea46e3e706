"""Dynamic haircuts: what an asset may lose before it is sold, what selling it loses, and a stable coin off its peg.

Over the liquidation window of T days, at z deviations of the volatility forecast s a year, a price falls by
1 - exp(-z s root(T / 365)): the quantile of a log-normal move without drift, as haircuts are set by an asset's value at
risk over the liquidation period (CPSS-IOSCO, Principles for financial market infrastructures, 5, 2012).
Selling is charged by `risk.liquidity.impact`. Parts are of the value; `risk.liquidity.points` rounds them.
"""

from __future__ import annotations

import math
from typing import Final

from risk.liquidity import Unusable, impact, points

YEAR_DAYS: Final = 365.0


def moved(volatility: float, days: float, deviations: float) -> float:
    """The part of its price that an asset may lose over the window. `volatility` is a year's. Raises Unusable."""
    for name, value in (("volatility", volatility), ("days", days), ("deviations", deviations)):
        if not math.isfinite(value) or value < 0.0:
            raise Unusable(name, value)
    return -math.expm1(-deviations * volatility * math.sqrt(days / YEAR_DAYS))


def sold(size: float, depth: float, at_depth: float, power: float = 0.5) -> float:
    """The part lost in selling `size` dollars.

    Past the size at which one more dollar would bring in less than nothing, (1 + power) x impact = 1, the rest is not
    sold and counts nothing, so that more of an asset is never worth less. Raises Unusable.
    """
    whole = impact(size, depth, at_depth, power)
    best = 1.0 / (1.0 + power)
    if whole <= best:
        return whole
    enough = float(depth * (best / at_depth) ** (1.0 / power))
    return 1.0 - (1.0 - best) * enough / size


def off_peg(price: float, peg: float, threshold: float, factor: float) -> float:
    """The part of a stable coin's value at its price that does not count.

    Above the peg nothing more counts than the peg. Below it the price says what the coin is worth; below `threshold` of
    the peg `factor` times the shortfall is taken besides. Raises Unusable.
    """
    for name, value in (("price", price), ("peg", peg)):
        if not math.isfinite(value) or value <= 0.0:
            raise Unusable(name, value)
    above = max(1.0 - peg / price, 0.0)
    return min(above + factor * max(threshold - price / peg, 0.0), 1.0)


def haircut(
    volatility: float,
    days: float,
    deviations: float,
    size: float,
    depth: float,
    at_depth: float,
    *more: float,
    power: float = 0.5,
) -> int:
    """The whole haircut in basis points: 1 - (1 - moved)(1 - sold)(1 - each of `more`). Raises Unusable."""
    return points(together(moved(volatility, days, deviations), sold(size, depth, at_depth, power), *more))


def together(*parts: float) -> float:
    """What is lost of a value that loses one part after another."""
    kept = 1.0
    for part in parts:
        if not 0.0 <= part <= 1.0:
            raise Unusable("part", part)
        kept *= 1.0 - part
    return 1.0 - kept
