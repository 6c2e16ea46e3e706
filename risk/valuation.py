"""What a quantity at a price and an amount of an asset are worth, in integers: the pieces every kernel shares."""

from __future__ import annotations

from typing import Final

from schemas.compiled import inlined
from schemas.kinds import Payoff

INVERSE: Final = int(Payoff.INVERSE)


@inlined
def contract_value(payoff: int, quantity: int, price: int, tick_value: int, contract: int) -> int:
    """Smallest settlement units that `quantity` lots are worth at `price` ticks, signed so that
    value(now) - value(entry) is the profit.

    LINEAR and QUANTO: quantity x price x tick_value, exact. INVERSE: -contract x quantity / price, its magnitude
    rounded down, which is the same for both sides of a trade. The caller keeps |result| below MAX_VALUE.
    """
    if payoff == INVERSE:
        if quantity >= 0:
            return -((quantity * contract) // price)
        return (-quantity * contract) // price
    return quantity * price * tick_value


@inlined
def asset_value(amount: int, price: int, scale: int) -> int:
    """Micro-dollars an amount of smallest units is worth, rounded down, exact where |whole units x price| < 2^62.

    Split in two steps of at most 10^4 so that no product passes 64 bits: floor((a b + floor(c / d)) / b) is the floor
    of the whole. `scale` is a power of ten up to 10^8, `price` below MAX_ASSET_PRICE.
    """
    whole = amount // scale
    rest = amount - whole * scale
    if scale <= 10_000:
        return whole * price + (rest * price) // scale
    low = scale // 10_000
    high = rest // low
    return whole * price + (high * price + ((rest - high * low) * price) // low) // 10_000


@inlined
def part_up(amount: int, basis_points: int) -> int:
    """amount x basis_points / 10,000, rounded up, for amount >= 0, without passing 64 bits."""
    return (amount // 10_000) * basis_points + -((-(amount % 10_000) * basis_points) // 10_000)


@inlined
def part_down(amount: int, basis_points: int) -> int:
    """amount x basis_points / 10,000, rounded down, without passing 64 bits."""
    return (amount // 10_000) * basis_points + ((amount % 10_000) * basis_points) // 10_000
