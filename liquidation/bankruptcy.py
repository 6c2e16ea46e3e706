"""The bankruptcy price: where a failing account's equity is used up, and nothing is left owing."""

from __future__ import annotations

from schemas.kinds import Payoff
from schemas.limits import BASIS_POINTS, MAX_PRICE


def discount(equity: int, worth: int) -> int:
    """The discount, basis points rounded down, at which selling all that is worth so much uses equity up.

    A call auction takes no bid below it at once: who owns the account and the only bid would be paid by the fund.
    """
    return max(0, equity * BASIS_POINTS // worth) if worth > 0 else 0


def price(payoff: Payoff, quantity: int, mark: int, equity: int, worth: int) -> int:
    """The price in ticks at which a position closes with its share of the account's equity used up.

    `quantity` signed lots held, `mark` ticks; `equity` of the account and `worth`, the value at the mark of all its
    positions without signs, in micro-dollars. Equity is shared over the positions by that value, so each price is the
    mark moved by equity / worth: a long's down, a short's up (the other way where equity is negative).

    Rounded for the failing account (a long's up, a short's down), so that closing everything leaves it owing nothing,
    save one smallest unit for an inverse leg, and save what a price can't carry: it is held to 1 ... MAX_PRICE, so a
    short cannot be relieved of more than its whole value.
    """
    if worth <= 0:
        return max(1, min(mark, MAX_PRICE))
    long = quantity > 0
    kept = worth - equity if long == (payoff != Payoff.INVERSE) else worth + equity
    if payoff != Payoff.INVERSE:
        over, under = mark * kept, worth
    elif kept > 0:
        over, under = mark * worth, kept
    else:
        return MAX_PRICE
    ticks = -(-over // under) if long else over // under
    return max(1, min(ticks, MAX_PRICE))
