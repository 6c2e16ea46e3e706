"""How the demonstration's liquidators bid: each waits for its own discount, a wider one the more there is to sell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.events import Bid
from schemas.limits import BASIS_POINTS, MAX_QUANTITY
from services.population import generator

LOWEST, HIGHEST = 20, 220
"""basis points: the range that a liquidator's least discount is drawn from"""
WIDENING: Final = 150
"""basis points that every liquidator wants more when its whole room is asked for"""
SHARE: Final = 4
"""a liquidator spends at most this fraction (one in SHARE) of its room on one auction"""

_BIDS: Final = 5
_NUMBERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """An open auction as bidders see it.

    `remaining` is signed as the failing account's leg (it sells: < 0), `price` and `mark` are ticks now, `margin` is
    the initial margin that one lot takes of a bidder, micro-dollars.
    """

    auction: int
    instrument: int
    remaining: int
    price: int
    mark: int
    margin: int


def appetite(seed: int, liquidator: int) -> int:
    """The discount a liquidator wants at least when nothing presses, basis points of the mark."""
    return LOWEST + int((HIGHEST - LOWEST) * generator(seed, _BIDS, liquidator).random())


def discount(offer: Offer) -> int:
    """How far an auction's price lies from the mark in the bidder's favour, basis points, rounded down."""
    if offer.mark <= 0:
        return 0
    gain = offer.mark - offer.price if offer.remaining < 0 else offer.price - offer.mark
    return gain * BASIS_POINTS // offer.mark


def bids(offers: Sequence[Offer], room: Mapping[int, int], seed: int, mark: int, time: int) -> tuple[Bid, ...]:
    """The liquidators' bids at a mark, the least demanding liquidator first on each auction.

    `room` is each liquidator's equity less initial margin, micro-dollars by account; a bid takes `margin` of it for
    each lot. What no room is left for, or whose discount is too small for all, gets no bid and waits for the next mark.
    """
    left = {account: max(0, free) for account, free in room.items()}
    asked = sum(abs(offer.remaining) * offer.margin for offer in offers)
    stress = min(1.0, asked / max(1, sum(left.values())))
    wanted = {account: appetite(seed, account) + int(WIDENING * stress) for account in left}
    made: list[Bid] = []
    for offer in sorted(offers, key=lambda one: one.auction):
        remaining = abs(offer.remaining)
        for account in sorted(left, key=lambda one: (wanted[one], one)):
            quantity = min(remaining, MAX_QUANTITY, left[account] // SHARE // max(1, offer.margin))
            if quantity <= 0 or offer.price <= 0 or discount(offer) < wanted[account]:
                continue
            left[account] -= quantity * offer.margin
            remaining -= quantity
            made.append(
                Bid(
                    bidder=account,
                    instrument=offer.instrument,
                    auction=offer.auction,
                    bid=mark * _NUMBERS + len(made) + 1,
                    time=time,
                    quantity=quantity if offer.remaining < 0 else -quantity,
                    price=offer.price,
                )
            )
    return tuple(made)
