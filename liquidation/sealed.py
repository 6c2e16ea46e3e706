"""Whole portfolios offered to sealed bids: who wins, and the life of an offer from its opening to its end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from liquidation.auction import LEAST_LEGS, MAX_LEGS, Offering
from schemas.events import PortfolioAwarded, PortfolioEnded, PortfolioLot, PortfolioOffered
from schemas.kinds import ClosingReason, Reason
from schemas.outcomes import PortfolioBidDropped, PortfolioBidReserved, PortfolioOpened

Event = PortfolioLot | PortfolioOffered | PortfolioAwarded | PortfolioEnded
Heard = PortfolioOpened | PortfolioBidReserved | PortfolioBidDropped


class SealedBid(NamedTuple):
    """A bid whose margin is reserved: the discount it asks for, basis points of each leg's mark."""

    bid: int
    bidder: int
    discount: int


@dataclass(slots=True)
class Portfolio:
    """What is on offer: lots by instrument, signed as the account's legs."""

    account: int
    lots: dict[int, int]
    closes: int
    """the mark at which it is awarded"""
    reserve: int
    bids: dict[int, SealedBid] = field(default_factory=dict)
    """by bidder, who makes one; its number is its own"""
    is_open: bool = False
    """False until its shard has said PortfolioOpened"""


def winner(bids: Iterable[SealedBid], reserve: int) -> SealedBid | None:
    """The bid with the lowest discount within the reserve, among equals the lowest number, then bidder; or None."""
    within = [one for one in bids if 0 <= one.discount <= reserve]
    return min(within, key=lambda one: (one.discount, one.bid, one.bidder), default=None)


def fits(lots: Mapping[int, int], held: Mapping[int, int]) -> bool:
    """Whether an account that holds this can sell all these lots and only reduce by it."""
    return all(
        held.get(number, 0) * quantity < 0 and abs(quantity) <= abs(held[number]) for number, quantity in lots.items()
    )


class Portfolios:
    """Offers by number, and the accounts whose portfolio found no bid: those are sold leg by leg until they heal."""

    def __init__(self) -> None:
        self._running: dict[int, Portfolio] = {}
        self._unsold: set[int] = set()
        self._refused: list[int] = []

    def observe(self, told: Heard) -> None:
        """Take in what a shard said."""
        running = self._running.get(told.auction)
        if running is None:
            return
        match told:
            case PortfolioOpened():
                running.is_open = told.reason == Reason.NONE
                if not running.is_open:
                    self._refused.append(told.auction)
            case PortfolioBidReserved():
                running.bids[told.bidder] = SealedBid(told.bid, told.bidder, told.discount)
            case PortfolioBidDropped():
                running.bids.pop(told.bidder, None)

    def of(self, account: int) -> int | None:
        """The number of the account's portfolio on offer."""
        return next((number for number, one in self._running.items() if one.account == account), None)

    def lots(self, number: int) -> dict[int, int]:
        """What is on offer under a number."""
        return self._running[number].lots

    def legs(self) -> list[tuple[int, int]]:
        """Instrument and lots of every leg that is on offer."""
        return [leg for one in self._running.values() for leg in one.lots.items()]

    def refused(self) -> list[Event]:
        """End what its account cannot sell, as its shard has said."""
        numbers, self._refused = sorted(set(self._refused)), []
        return [self.end(number, ClosingReason.CLIPPED) for number in numbers if number in self._running]

    def marked(self, due: Collection[int], failing: Collection[int]) -> list[Event]:
        """At a mark: end the offers of accounts that are no longer liquidated, and forget those that never opened."""
        self._running = {number: one for number, one in self._running.items() if one.is_open}
        self._unsold &= set(failing)
        gone = sorted((number, one.account) for number, one in self._running.items() if one.account not in due)
        return [
            self.end(number, ClosingReason.CLIPPED if account in failing else ClosingReason.HEALED)
            for number, account in gone
        ]

    def takes(self, account: int, lots: Mapping[int, int], offering: Offering) -> bool:
        """Whether these lots are to be offered as one."""
        return offering.marks > 0 and account not in self._unsold and LEAST_LEGS <= len(lots) <= MAX_LEGS

    def offer(self, number: int, account: int, lots: Mapping[int, int], mark: int, offering: Offering) -> list[Event]:
        """Put lots on offer under a number."""
        closes = mark + offering.marks
        self._running[number] = Portfolio(account, dict(sorted(lots.items())), closes, offering.reserve)
        return [
            *(PortfolioLot(instrument=i, auction=number, quantity=q) for i, q in sorted(lots.items())),
            PortfolioOffered(
                lots=len(lots), account=account, auction=number, mark=mark, closes=closes, reserve=offering.reserve
            ),
        ]

    def closing(self, number: int, mark: int) -> bool:
        """Whether a portfolio is to be awarded at this mark."""
        return mark >= self._running[number].closes

    def award(self, number: int, failing: Collection[int]) -> list[Event]:
        """Award a portfolio and end it; nothing where no bid stands (those of failing accounts do not)."""
        running = self._running[number]
        best = winner((one for one in running.bids.values() if one.bidder not in failing), running.reserve)
        if best is None:
            return []
        won = PortfolioAwarded(
            account=running.account, bidder=best.bidder, auction=number, bid=best.bid, discount=best.discount
        )
        return [won, self.end(number, ClosingReason.FILLED)]

    def end(self, number: int, reason: ClosingReason) -> Event:
        """Take a portfolio off. Where nobody bid its account's is not offered again before it heals."""
        account = self._running.pop(number).account
        if reason in (ClosingReason.NO_BID, ClosingReason.BACKSTOPPED):
            self._unsold.add(account)
        return PortfolioEnded(reason=reason, account=account, auction=number)

    def exported(self) -> dict[str, Any]:
        """The state as plain data; nothing where nothing is on offer."""
        told: dict[str, Any] = {
            "portfolios": [
                [n, p.account, [*p.lots.items()], p.closes, p.reserve, p.is_open, sorted(p.bids.values())]
                for n, p in sorted(self._running.items())
            ],
            "unsold": sorted(self._unsold),
        }
        return {name: rows for name, rows in told.items() if rows}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._running = {
            n: Portfolio(account, dict(lots), closes, reserve, {bid[1]: SealedBid(*bid) for bid in bids}, is_open)
            for n, account, lots, closes, reserve, is_open, bids in told.get("portfolios", [])
        }
        self._unsold = set(told.get("unsold", []))
