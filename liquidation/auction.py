"""An auction, Dutch or call: its terms, the price at each mark since it opened, which bids win, how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from schemas.limits import BASIS_POINTS, MAX_PRICE

LEAST_LEGS: Final = 2
"""positions that a whole portfolio must have to be offered as one"""
MAX_LEGS: Final = 100
"""and may have at most"""


class Terms(NamedTuple):
    """How an auction's discount off the current mark runs, basis points of the mark."""

    start: int
    step: int
    floor: int
    """the largest discount"""


class Offering(NamedTuple):
    """How much is sold at a mark, and how whole portfolios and backstops come in; basis points where not said."""

    fraction: int = BASIS_POINTS
    """largest part of an auction's plan that is sold at one mark"""
    marks: int = 0
    """marks that a whole portfolio is on offer to sealed bids; 0: it is not"""
    reserve: int = 0
    """largest discount of a sealed bid"""
    backstop: int = 0
    """discount at which backstops take over"""
    impact: int = 0
    """what selling a holding's depth is expected to move its price by, where an auction opens lower by that"""
    unmet: bool = False
    """what was called for deleveraging and found nobody is sold by auction"""
    clearing: int = 0
    """discount down to which bids are taken at least; those answered together are filled at the worst price among those
    served. 0: at the auction's"""


class Reserved(NamedTuple):
    """A bid whose margin is reserved: signed as the bidder's leg, with the worst price (ticks) it would take."""

    bid: int
    bidder: int
    quantity: int
    price: int


class Award(NamedTuple):
    """What a bid is awarded, signed as the bidder's leg; 0 only ends its reservation."""

    bid: int
    bidder: int
    quantity: int


@dataclass(slots=True)
class Running:
    """An auction as the desk knows it."""

    account: int
    instrument: int
    opened: int
    """the mark it was planned at"""
    remaining: int
    """what is still for sale, signed as the account's leg"""
    terms: Terms
    offered: int = 0
    """what its shard still holds open: more than `remaining` where the desk sells less than was planned"""
    is_open: bool = False
    """False until its shard has said AuctionOpened"""
    planned: int = 0
    """lots that it opened with"""
    sold: int = 0
    """lots sold since the mark"""
    told_open: int = 0
    """what its shard said last that it holds open; awards on their way are still in it"""
    bound: int | None = None
    """of a call auction, which it stays when the parameter changes: discount down to which bids are taken at once"""

    def told(self) -> list[Any]:
        """The fields in order, as plain data."""
        first = [self.account, self.instrument, self.opened, self.remaining, list(self.terms)]
        told = [*first, self.offered, self.is_open, self.planned, self.sold, self.told_open]
        return told if self.bound is None else [*told, self.bound]

    @classmethod
    def of(
        cls, account: int, instrument: int, opened: int, remaining: int, terms: Sequence[int], *rest: Any
    ) -> Running:
        """What `told` gave."""
        running = cls(account, instrument, opened, remaining, Terms(*terms), *rest)
        running.planned = running.planned or abs(running.offered)
        running.told_open = running.told_open or running.offered
        return running

    def opens(self, quantity: int, *, by_owner: bool) -> None:
        """Take note of what its shard says is for sale, signed as the account's leg: at the opening, after an award,
        and where less is left because the account reduced by itself (`by_owner`). Only that comes off here: awards
        are off as soon as they are decided, and some may be on their way."""
        if not self.is_open:
            self.remaining = self.offered = quantity
            self.planned, self.is_open = abs(quantity), True
        elif by_owner:
            left = self.offered + quantity - self.told_open
            self.offered = left if left * self.offered > 0 else 0
            self.remaining = min(self.remaining, self.offered, key=abs)
        self.told_open = quantity

    def discount(self, mark: int) -> int:
        """Basis points off the mark down to which bids are taken at a mark."""
        return max(discount(self.terms, mark - self.opened), min(self.bound or 0, self.terms.floor))

    def allowance(self, fraction: int) -> int:
        """Lots that may still be sold before the next mark: in all at most `fraction` basis points of those planned,
        rounded up."""
        return max(0, -(-self.planned * fraction // BASIS_POINTS) - self.sold)

    def for_sale(self, fraction: int) -> int:
        """What may be sold before the next mark, signed as the account's leg."""
        lots = min(abs(self.remaining), self.allowance(fraction))
        return -lots if self.remaining < 0 else lots

    def is_unsellable(self, mark: int, fraction: int) -> bool:
        """Whether it stood at its floor for more than a mark and not all that could be sold at the last was."""
        floor = marks_to_floor(self.terms)
        if floor is None or mark - self.opened - floor <= 1:
            return False
        return fraction == BASIS_POINTS or self.allowance(fraction) > 0


def lowered(terms: Terms, by: int) -> Terms:
    """The terms of an auction that opens lower by so many basis points, its floor at most."""
    return terms._replace(start=min(terms.start + by, terms.floor))


def discount(terms: Terms, marks: int) -> int:
    """Basis points off the mark, so many marks after the opening."""
    return min(terms.start + terms.step * marks, terms.floor)


def marks_to_floor(terms: Terms) -> int | None:
    """How many marks after the opening the largest discount is first reached; None where it never is."""
    fall = terms.floor - terms.start
    if fall <= 0:
        return 0
    return -(-fall // terms.step) if terms.step > 0 else None


def price(quantity: int, mark: int, basis_points: int) -> int:
    """The auction's price in ticks for a failing account's leg of `quantity`: a sale below the mark, a purchase above.

    Rounded so that a liquidator is never paid more than the discount stated (a sale up, a purchase down), at least
    one tick, at most MAX_PRICE. An instrument marked at one tick therefore has no discount to give.
    """
    if quantity < 0:
        ticks = -(-mark * (BASIS_POINTS - basis_points) // BASIS_POINTS)
    else:
        ticks = mark * (BASIS_POINTS + basis_points) // BASIS_POINTS
    return max(1, min(ticks, MAX_PRICE))


def awards(remaining: int, ticks: int, bids: Iterable[Reserved]) -> list[Award]:
    """Every bid's award, in the order they were served: the price best for the account first, then the bid's number,
    then its bidder's, as bidders number for themselves.

    `remaining` is signed as the account's leg. Each bid is filled up to what is left, all at one price: the auction's
    `ticks`, or what `called` says. A bid on the wrong side, or whose own price does not reach `ticks`, is awarded 0.
    """
    sale = remaining < 0
    left = abs(remaining)
    answers: list[Award] = []
    for bid in sorted(bids, key=lambda one: (-one.price if sale else one.price, one.bid, one.bidder)):
        reaches = bid.price >= ticks if sale else bid.price <= ticks
        taken = min(left, abs(bid.quantity)) if bid.quantity * remaining < 0 and reaches else 0
        left -= taken
        answers.append(Award(bid.bid, bid.bidder, taken if sale else -taken))
    return answers


def called(remaining: int, ticks: int, mark: int, bids: Sequence[Reserved]) -> tuple[list[Award], int]:
    """A call auction's awards, and the one price of all of them: the worst own price of those that got something.

    Served as in `awards`, but only as many, best first, as bring the account most beyond the auction's `ticks`; of
    equal numbers the larger. So nobody moves the price of all by a bid for little. The price is never better than the
    mark: a bidder cannot hand its equity to a failing account. `ticks` where nobody got anything.
    """
    own = {(bid.bidder, bid.bid): bid.price for bid in bids}
    answers = awards(remaining, ticks, bids)
    lots, most, served, paid = 0, 0, 0, ticks
    for number, award in enumerate(answers, 1):
        if not award.quantity:
            continue
        lots += abs(award.quantity)
        offered = own[award.bidder, award.bid]
        own_price = min(offered, mark) if remaining < 0 else max(offered, mark)
        beyond = lots * abs(own_price - ticks)
        if beyond >= most:
            most, served, paid = beyond, number, own_price
    return [award if at < served else award._replace(quantity=0) for at, award in enumerate(answers)], paid
