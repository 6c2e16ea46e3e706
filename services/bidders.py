"""How the demonstration's liquidators bid, and how they get rid of what they bought.

Each waits for its own discount, a wider one the more there is to sell, and closes a part of its positions each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from liquidation.auction import price as auction_price
from schemas.events import Bid, PortfolioBid, Trade
from schemas.limits import BASIS_POINTS, MAX_ACCOUNTS, MAX_QUANTITY
from services.exchange import Exchange
from services.flow import Moment
from services.population import Population, Strategy, generator, trade

LOWEST, HIGHEST = 20, 220
"""basis points: the range that a liquidator's least discount is drawn from"""
WIDENING: Final = 150
"""basis points that every liquidator wants more when its whole room is asked for"""
WHIM: Final = 100
"""basis points: how much more a liquidator may want in one auction than in another"""
SHARE: Final = 4
"""a liquidator spends at most this fraction (one in SHARE) of its room on one auction"""

PART: Final = 4

_BIDS, _UNWINDING = 5, 6
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
    clearing: bool = False
    """bidders may gain by naming a better price than the auction's: all that are served pay the worst of theirs"""


@dataclass(frozen=True, slots=True)
class PortfolioOffer:
    """A whole portfolio on offer as bidders see it: `margin` is the initial margin that its legs take one by one,
    micro-dollars, `reserve` the largest discount, basis points."""

    auction: int
    margin: int
    reserve: int


def appetite(seed: int, liquidator: int) -> int:
    """The discount a liquidator wants at least when nothing presses, basis points of the mark."""
    return LOWEST + int((HIGHEST - LOWEST) * generator(seed, _BIDS, liquidator).random())


def wish(seed: int, liquidator: int, auction: int) -> int:
    """The discount it wants in one auction: its appetite and a whim, so that none is the first in all of them."""
    return appetite(seed, liquidator) + int(WHIM * generator(seed, _BIDS, auction * MAX_ACCOUNTS + liquidator).random())


def discount(offer: Offer) -> int:
    """How far an auction's price lies from the mark in the bidder's favour, basis points, rounded down."""
    if offer.mark <= 0:
        return 0
    gain = offer.mark - offer.price if offer.remaining < 0 else offer.price - offer.mark
    return gain * BASIS_POINTS // offer.mark


def own_price(offer: Offer, wanted: int) -> int:
    """The worst price, ticks, that leaves a bidder the discount it wants; the auction's, where that is better for the
    account."""
    own = auction_price(offer.remaining, offer.mark, wanted)
    return max(own, offer.price) if offer.remaining < 0 else min(own, offer.price)


def bids(offers: Sequence[Offer], room: Mapping[int, int], seed: int, mark: int, time: int) -> tuple[Bid, ...]:
    """The liquidators' bids at a mark, the least demanding liquidator first on each auction.

    `room` is each liquidator's equity less initial margin, micro-dollars by account; a bid takes `margin` of it for
    each lot. What no room is left for, or whose discount is too small for all, gets no bid and waits for the next mark.
    """
    left = {account: max(0, free) for account, free in room.items()}
    asked = sum(abs(offer.remaining) * offer.margin for offer in offers)
    stress = min(1.0, asked / max(1, sum(left.values())))
    made: list[Bid] = []
    for offer in sorted(offers, key=lambda one: one.auction):
        remaining = abs(offer.remaining)
        wanted = {account: wish(seed, account, offer.auction) + int(WIDENING * stress) for account in left}
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
                    price=own_price(offer, wanted[account]) if offer.clearing else offer.price,
                )
            )
    return tuple(made)


def sealed_bids(
    offers: Sequence[PortfolioOffer], room: Mapping[int, int], seed: int, mark: int, time: int
) -> tuple[PortfolioBid, ...]:
    """The liquidators' sealed bids at a mark: each asks for the discount it wishes for, and bids where that is within
    the reserve and half of its room carries the whole portfolio. No bid depends on another's.
    """
    left = {account: max(0, free) for account, free in sorted(room.items())}
    made: list[PortfolioBid] = []
    for offer in sorted(offers, key=lambda one: one.auction):
        for account in left:
            asked = wish(seed, account, offer.auction)
            if asked > offer.reserve or offer.margin > left[account] // 2:
                continue
            left[account] -= offer.margin
            number = mark * _NUMBERS + _NUMBERS // 2 + len(made)
            made.append(PortfolioBid(bidder=account, auction=offer.auction, bid=number, time=time, discount=asked))
    return tuple(made)


def unwinding(
    positions: Mapping[tuple[int, int], int], people: Population, venue: Exchange, seed: int, now: Moment
) -> tuple[Trade, ...]:
    """Liquidators close a part of each position (one in PART, rounded up) with a market maker near the mark.

    `positions` are lots, long > 0, by (liquidator, instrument). Events of the exchange.
    """
    makers = people.of(Strategy.MARKET_MAKER)
    draw = generator(seed, _UNWINDING, now.step)
    trades: list[Trade] = []
    for (account, number), held in sorted(positions.items()):
        listed = venue.number(number)
        maker = makers[int(draw.random() * len(makers))].account
        if held == 0 or now.marks.get(number, 0) <= 0 or 0 < listed.expiry <= now.time:
            continue
        quantity = -(-abs(held) // PART) * (-1 if held > 0 else 1)
        name = (now.step + 1) * _NUMBERS + _NUMBERS // 2 + len(trades)
        trades.append(trade(listed, now.marks, account, maker, quantity, name, now.time))
    return tuple(trades)
