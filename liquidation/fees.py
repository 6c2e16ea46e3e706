"""What a failing account pays the fund for being liquidated, and the most of it that its equity can bear."""

from __future__ import annotations

from schemas.limits import BASIS_POINTS


def fee(value: int, equity: int, rate: int) -> int:
    """The fee on something sold for `value`, `rate` basis points of it, rounded down: never more than the equity left.

    `equity` is the account's after the sale and before the fee, in the unit of `value`. An account that is solvent
    before the fee is solvent after it, and one that is not pays none. Values >= 0.
    """
    return max(0, min(value * rate // BASIS_POINTS, equity))


def affordable(equity: int, price: int, scale: int) -> int:
    """The most units of an asset that may leave an account before its equity (micro-dollars) falls below zero.

    `price` micro-dollars for one whole unit of `scale` smallest units; 0, a price that nobody told, affords nothing.
    """
    return equity * scale // price if price > 0 and equity > 0 else 0
