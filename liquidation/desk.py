"""The liquidation desk: hears what the shards say and answers with events for the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from insurance.deleveraging import Candidate, allocate, prorate
from insurance.fund import Owed, pay
from liquidation import auction, bankruptcy, closeout
from liquidation.auction import Offering, Reserved, Running, Terms
from liquidation.backstop import margin_of, takeover
from liquidation.book import Book, book, sellable
from liquidation.costs import Holding, Rates, moved
from liquidation.greedy import Case
from liquidation.pacing import ordered, paced, paced_whole, room
from liquidation.plan import Plan, plans
from liquidation.sealed import Portfolios, fits
from liquidation.view import MarketView
from schemas.chart import House
from schemas.events import (
    AuctionEnded,
    Awarded,
    Deleveraged,
    DeleveragingCalled,
    LiquidationPlanned,
    PortfolioAwarded,
    PortfolioEnded,
    PortfolioLot,
    PortfolioOffered,
)
from schemas.kinds import ClosingReason, Payoff
from schemas.limits import BASIS_POINTS
from schemas.outcomes import (
    AuctionClosed,
    AuctionOpened,
    BackstopCapacity,
    BidReserved,
    CloseOutDue,
    DeficitFound,
    DeleveragingCandidate,
    HouseBalance,
    LiquidationBalance,
    LiquidationDue,
    LiquidationPosition,
    MarkDone,
    PortfolioBidDropped,
    PortfolioBidReserved,
    PortfolioOpened,
)

Event = (
    LiquidationPlanned
    | Awarded
    | AuctionEnded
    | DeleveragingCalled
    | Deleveraged
    | PortfolioLot
    | PortfolioOffered
    | PortfolioAwarded
    | PortfolioEnded
)

LISTENS: Final = (
    CloseOutDue,
    LiquidationDue,
    LiquidationPosition,
    LiquidationBalance,
    DeficitFound,
    HouseBalance,
    MarkDone,
    AuctionOpened,
    AuctionClosed,
    BidReserved,
    DeleveragingCandidate,
    PortfolioOpened,
    PortfolioBidReserved,
    PortfolioBidDropped,
    BackstopCapacity,
)
"""The outcomes the desk acts on; it passes over all others, so a caller may leave them out."""


@dataclass(slots=True)
class _Books:
    """What the shards have said of the books at the mark that is to be answered."""

    due: dict[int, LiquidationDue] = field(default_factory=dict)
    positions: defaultdict[int, list[LiquidationPosition]] = field(default_factory=lambda: defaultdict(list))
    balances: defaultdict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    closing: dict[int, bool] = field(default_factory=dict)
    """accounts that are closed out for their member's default -> whether their coins go too"""
    deficits: list[Owed] = field(default_factory=list)
    held: defaultdict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    """(house account, asset)"""
    backstops: dict[int, int] = field(default_factory=dict)
    """what each has room for, micro-dollars of initial margin"""


class _Unplanned(NamedTuple):
    """Where in the answer an account's plan belongs."""

    failing: Book
    left: Mapping[int, int]
    """lots by instrument that are not called for deleveraging"""
    closing: bool | None
    """it is closed out for its member's default, with or without its coins; None: it is not"""


class Desk:
    """The desk's state: running auctions, deleveraging calls waiting for candidates, and what it has heard.

    `observe` takes what all shards said about one round of events, `decide` answers it; the answers are folded and
    their outcomes observed, until there is no answer. How outcomes of a round are ordered, and over how many shards
    they are spread, does not show in the answer: accounts, auctions and bids are served by number. A mark is answered
    when all `shards` have said MarkDone. Numbers of auctions and calls are dense, from 1.
    """

    def __init__(self, shards: int = 1) -> None:
        self._shards = shards
        self._mark = 0
        self._done = 0
        self._auctions: dict[int, Running] = {}
        self._calls: dict[int, DeleveragingCalled] = {}
        self._unmet: set[tuple[int, int]] = set()
        """account and instrument of calls that found nobody, until the account has healed"""
        self._next_auction = 1
        self._next_call = 1
        self._failing: set[int] = set()
        self._closed_down: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._books = _Books()
        self._room: dict[int, int] = {}
        self._portfolios = Portfolios()
        self._opened: list[tuple[AuctionOpened, bool]] = []
        self._closed: list[int] = []
        self._bids: list[BidReserved] = []
        self._candidates: defaultdict[int, list[Candidate]] = defaultdict(list)

    def observe(self, outcomes: Iterable[object], *, own: bool = False) -> None:
        """Take in a round's outcomes; nothing is acted on before `decide`. `own`: they are of the desk's own events."""
        for outcome in outcomes:
            match outcome:
                case LiquidationDue():
                    self._books.due[outcome.account] = outcome
                case LiquidationPosition():
                    self._books.positions[outcome.account].append(outcome)
                case LiquidationBalance():
                    self._books.balances[outcome.account][outcome.asset] = outcome.balance
                case CloseOutDue():
                    self._books.closing[outcome.account] = bool(outcome.collateral)
                case DeficitFound():
                    self._books.deficits.append(Owed(outcome.account, outcome.asset, outcome.amount))
                case HouseBalance():
                    self._books.held[outcome.account, outcome.asset] += outcome.balance
                case MarkDone():
                    self._done = self._done + 1 if outcome.mark == self._mark else 1
                    self._mark = outcome.mark
                case AuctionOpened():
                    self._opened.append((outcome, own))
                case AuctionClosed():
                    self._closed.append(outcome.auction)
                case BidReserved():
                    self._bids.append(outcome)
                case PortfolioOpened() | PortfolioBidReserved() | PortfolioBidDropped():
                    self._portfolios.observe(outcome)
                case BackstopCapacity():
                    self._books.backstops[outcome.account] = outcome.capacity
                case DeleveragingCandidate():
                    candidate = Candidate(outcome.account, outcome.quantity, outcome.score)
                    self._candidates[outcome.call].append(candidate)
                case _:
                    pass

    def decide(self, view: MarketView) -> list[Event]:
        """The events that answer what was observed, in the order they are to be appended; none when all is answered."""
        for opening, own in self._opened:
            if (running := self._auctions.get(opening.auction)) is not None:
                running.opens(opening.quantity, by_owner=not own)
        for number in self._closed:
            self._auctions.pop(number, None)
        self._opened, self._closed = [], []
        events: list[Event] = [*self._portfolios.refused(), *self._deleverage(view)]
        if self._done == self._shards:
            events += self._answer_mark(view)
        return events + self._award(view)

    def exported(self) -> dict[str, Any]:
        """The state as plain data, for a snapshot taken when everything observed is decided."""
        told: dict[str, Any] = {
            "mark": self._mark,
            "auctions": [[n, *one.told()] for n, one in sorted(self._auctions.items())],
            "calls": [[n, c.instrument, c.account, c.quantity, c.price] for n, c in sorted(self._calls.items())],
            "next": [self._next_auction, self._next_call],
            "failing": sorted(self._failing),
            "closed_down": [[*key, lots] for key, lots in sorted(self._closed_down.items()) if lots],
        }
        if self._unmet:
            told["unmet"] = [list(pair) for pair in sorted(self._unmet)]
        return told | self._portfolios.exported()

    def restore(self, told: Mapping[str, Any]) -> None:
        """Take up the state that `exported` gave."""
        self._mark = told["mark"]
        self._auctions = {n: Running.of(*fields) for n, *fields in told["auctions"]}
        self._calls = {
            n: DeleveragingCalled(instrument=i, account=a, call=n, quantity=q, price=p)
            for n, i, a, q, p in told["calls"]
        }
        self._next_auction, self._next_call = told["next"]
        self._failing = set(told["failing"])
        self._closed_down.update({(account, instrument): lots for account, instrument, lots in told["closed_down"]})
        self._unmet = {(account, instrument) for account, instrument in told.get("unmet", [])}
        self._portfolios.restore(told)

    # --- a mark ------------------------------------------------------------------------------------------------------

    def _answer_mark(self, view: MarketView) -> list[Event]:
        books = self._books
        self._failing = set(books.due) | {owed.account for owed in books.deficits}
        if view.offering().unmet:  # a call that is still there has found nobody
            self._unmet |= {(call.account, call.instrument) for call in self._calls.values()}
        self._unmet = {pair for pair in self._unmet if pair[0] in self._failing}
        self._calls.clear()
        self._closed_down.clear()
        # planned but never opened: its shard refused it
        self._auctions = {number: one for number, one in self._auctions.items() if one.is_open}
        events: list[Event] = []
        fund = dict(view.bearable(books.held))
        for payment in pay(fund, books.deficits):
            fund[payment.asset] -= payment.amount
        for number, running in sorted(self._auctions.items()):
            if running.account not in books.due:
                events.append(self._end(number))
        events += self._portfolios.marked(books.due, self._failing)
        books.backstops = {one: free for one, free in books.backstops.items() if one not in self._failing}
        unpromised = {asset: view.amount_value(asset, amount) for asset, amount in fund.items()}
        self._room = room(((one.instrument, one.remaining) for one in self._auctions.values()), view)
        told: list[Event | _Unplanned] = []
        for due in ordered(books.due) if self._room else [due for _, due in sorted(books.due.items())]:
            failing = book(due, books.positions[due.account], books.balances[due.account], view)
            told += self._liquidate(failing, unpromised, view)
        if self._room:  # what was taken off or awarded at this mark takes no room
            self._room = room(self._portfolios.legs(), view, self._room)
        for running in self._auctions.values():
            running.sold = 0
        self._done = 0
        self._books = _Books()
        return events + self._planned(told, view)

    def _liquidate(self, failing: Book, unpromised: dict[int, int], view: MarketView) -> list[Event | _Unplanned]:
        events: list[Event | _Unplanned] = []
        # what is torn up is what nobody took: that money is short is then the waterfall's to answer
        beyond = 0 if view.tears_up() else _beyond_fund(failing, unpromised, view)
        called = {
            one.instrument: _part_up(one.quantity, beyond, -failing.net)
            for one in failing.positions
            if beyond and (failing.account, one.instrument) not in self._unmet
        }
        left = {number: quantity - called.get(number, 0) for number, quantity in failing.held().items()}
        if (offer := self._portfolios.of(failing.account)) is not None:
            events += self._answer_offer(offer, failing, left, view, called=bool(called))
            is_on = self._portfolios.of(failing.account) is not None
            if is_on or not any(left[one.instrument] for one in failing.positions):
                return events
        positions = {one.instrument for one in failing.positions}
        running = sorted(number for number, one in self._auctions.items() if one.account == failing.account)
        for number in running:
            one = self._auctions[number]
            if one.bound is not None:
                one.bound = _bound(failing.equity, sellable(failing, view), view) or 0
            one.remaining = -_towards_zero(left.get(one.instrument, 0), one.remaining)
            if one.remaining == 0:
                events.append(self._end(number))
            elif one.instrument in positions and one.is_unsellable(self._mark, view.offering().fraction):
                events += self._take_over(number, failing.account, {one.instrument: one.remaining}, left, view)
                if one.remaining:
                    called[one.instrument] = called.get(one.instrument, 0) - one.remaining
                # its shard closes an auction with the award that sells the last lot
                if one.offered:
                    events.append(self._end(number))
                else:
                    del self._auctions[number]
        for position in failing.positions:
            if lots := called.get(position.instrument, 0):
                events.append(self._call(failing, position, lots, view))
        return events if running else [*events, _Unplanned(failing, left, self._books.closing.get(failing.account))]

    def _answer_offer(
        self, number: int, failing: Book, left: dict[int, int], view: MarketView, *, called: bool
    ) -> list[Event]:
        """What a mark does to a portfolio on offer: it goes on, is awarded, goes to the backstops, or is taken off."""
        lots = self._portfolios.lots(number)
        if called:
            return [self._portfolios.end(number, ClosingReason.DELEVERAGED)]
        if not fits(lots, failing.held()):
            return [self._portfolios.end(number, ClosingReason.CLIPPED)]
        if not self._portfolios.closing(number, self._mark):
            return []
        if won := self._portfolios.award(number, self._failing):
            left.update({instrument: left[instrument] + quantity for instrument, quantity in lots.items()})
            return list(won)
        events = self._take_over(number, failing.account, lots, left, view)
        reason = ClosingReason.BACKSTOPPED if events else ClosingReason.NO_BID
        return [*events, self._portfolios.end(number, reason)]

    def _take_over(
        self, number: int, account: int, lots: Mapping[int, int], left: dict[int, int], view: MarketView
    ) -> list[Event]:
        """What the backstops take of lots that nobody bought, off `left` and off the auction where one runs."""
        room = self._books.backstops
        if not any(room.values()):
            return []
        took = takeover(lots, margin_of(room, lots, view), room)
        self._books.backstops = took.room
        events: list[Event] = []
        for one in took.taken:
            left[one.instrument] -= one.quantity
            if (running := self._auctions.get(number)) is not None:
                running.remaining += one.quantity
                running.offered += one.quantity
            ticks = auction.price(-one.quantity, view.mark(one.instrument), view.offering().backstop)
            events.append(
                Awarded(
                    instrument=one.instrument,
                    account=account,
                    bidder=one.account,
                    auction=number,
                    bid=0,
                    quantity=one.quantity,
                    price=ticks,
                )
            )
        return events

    def _call(self, failing: Book, position: Holding, lots: int, view: MarketView) -> Event:
        number = position.instrument
        mark, payoff = view.mark(number), view.payoff(number)
        net = failing.net
        if failing.account in self._books.closing:
            net = closeout.surrendered(net, failing.worth, view.terms().floor)
        bankrupt = bankruptcy.price(payoff, position.quantity, mark, net, failing.worth)
        call = DeleveragingCalled(
            instrument=number,
            account=failing.account,
            call=self._next_call,
            quantity=-lots,
            price=mark if view.tears_up() else bankrupt,
        )
        self._calls[self._next_call] = call
        self._next_call += 1
        return call

    def _planned(self, told: Iterable[Event | _Unplanned], view: MarketView) -> list[Event]:
        """What was told, with every account's plan in its place; all are made at once, which is many times faster."""
        terms, rules, events = view.terms(), view.rules(), list(told)
        unplanned = [one for one in events if isinstance(one, _Unplanned)]
        cases = [_case(one, view) for one in unplanned]
        # costed as if sold a mark after the opening: the opening price seldom finds a buyer, the floor is seldom needed
        # (in a call auction nobody waits for a price)
        waited = 0 if view.offering().clearing else 1
        rates = Rates(min(auction.discount(terms, waited) + rules.fee, BASIS_POINTS), rules.impact)
        healing = plans(cases, view.required(cases), rates.discount, rules, view.scans)
        made = (
            (case, plan if one.closing is None else closeout.whole(case, plan, rates, collateral=one.closing))
            for one, case, plan in zip(unplanned, cases, healing, strict=True)
        )
        return [
            event
            for one in events
            for event in (self._offer(*next(made), terms, view) if isinstance(one, _Unplanned) else [one])
        ]

    def _offer(self, case: Case, made: Plan, terms: Terms, view: MarketView) -> list[Event]:
        events: list[Event] = []
        if lots := self._offered_whole(case, made, view.offering()):
            if self._room and not paced_whole(lots, case.equity, self._room, view):
                return []
            number = self._next_auction
            self._next_auction += 1
            return list(self._portfolios.offer(number, case.account, lots, self._mark, view.offering()))
        held, at_depth = {one.instrument: one for one in case.holdings}, view.offering().impact
        bound = _bound(case.equity, case.holdings, view)
        for sale in paced(made.sales, case.equity, self._room, view) if self._room else made.sales:
            number = self._next_auction
            self._next_auction += 1
            moves = moved(held[sale.instrument], abs(sale.quantity), at_depth)
            falling = auction.lowered(terms, moves)
            running = Running(case.account, sale.instrument, self._mark, sale.quantity, falling, bound=bound)
            self._auctions[number] = running
            events.append(
                LiquidationPlanned(
                    instrument=sale.instrument,
                    account=case.account,
                    auction=number,
                    mark=self._mark,
                    quantity=sale.quantity,
                    start=running.discount(self._mark),
                    step=falling.step,
                    floor=falling.floor,
                )
            )
        return events

    def _offered_whole(self, case: Case, made: Plan, offering: Offering) -> dict[int, int]:
        """The positions of a plan that sells them all, where they are to be offered as one; else nothing."""
        coins = {one.instrument for one in case.holdings if one.collateral}
        lots = {sale.instrument: sale.quantity for sale in made.sales if sale.instrument not in coins}
        return lots if made.whole and self._portfolios.takes(case.account, lots, offering) else {}

    # --- bids and candidates -----------------------------------------------------------------------------------------

    def _award(self, view: MarketView) -> list[Event]:
        bids: defaultdict[int, list[BidReserved]] = defaultdict(list)
        for bid in sorted(self._bids, key=lambda one: (one.auction, one.bid, one.bidder)):
            bids[bid.auction].append(bid)
        self._bids = []
        events: list[Event] = []
        for number, told in bids.items():
            running = self._auctions.get(number)
            if running is None or not running.is_open:
                # a release posts no leg, so it needs no failing account and no price
                events += [_awarded(bid, House.CUSTODY, 0, 0) for bid in told]
                continue
            mark = view.mark(running.instrument)
            ticks = auction.price(running.remaining, mark, running.discount(self._mark))
            named = {(bid.bidder, bid.bid): bid for bid in told}
            served = [
                Reserved(bid.bid, bid.bidder, bid.quantity if _fits(bid, running) else 0, bid.price) for bid in told
            ]
            for_sale = running.for_sale(view.offering().fraction)
            if running.bound is not None:
                answers, paid = auction.called(for_sale, ticks, mark, served)
            else:
                answers, paid = auction.awards(for_sale, ticks, served), ticks
            for award in answers:
                running.remaining += award.quantity
                running.offered += award.quantity
                running.sold += abs(award.quantity)
                events.append(_awarded(named[award.bidder, award.bid], running.account, award.quantity, paid))
            if running.remaining == 0:
                # its shard closes an auction with the award that sells the last lot
                events += [self._end(number)] if running.offered else []
                self._auctions.pop(number, None)
        return events

    def _deleverage(self, view: MarketView) -> list[Event]:
        events: list[Event] = []
        laid = prorate if view.tears_up() else allocate
        for number, candidates in sorted(self._candidates.items()):
            call = self._calls.pop(number, None)
            if call is None:
                continue
            instrument = call.instrument
            free = [
                one._replace(quantity=one.quantity + self._closed_down[one.account, instrument])
                for one in candidates
                if one.account not in self._failing
            ]
            for closing in laid(call.quantity, free):
                self._closed_down[closing.account, instrument] += closing.quantity
                events.append(
                    Deleveraged(
                        instrument=instrument,
                        account=call.account,
                        counterparty=closing.account,
                        call=number,
                        quantity=closing.quantity,
                        price=call.price,
                    )
                )
        self._candidates.clear()
        return events

    def _end(self, number: int) -> Event:
        return AuctionEnded(account=self._auctions.pop(number).account, auction=number)


def _case(one: _Unplanned, view: MarketView) -> Case:
    holdings = tuple(
        has._replace(quantity=rest, worth=has.worth * rest // has.quantity, depth=view.depth(has.instrument))
        for has in sorted(sellable(one.failing, view))
        if (rest := one.left[has.instrument]) != 0
    )
    return Case(one.failing.account, one.failing.equity, holdings, one.failing.balances)


def _bound(equity: int, holdings: Sequence[Holding], view: MarketView) -> int | None:
    """The discount, basis points, down to which a call auction takes bids at once: no lower than where selling all that
    the account has uses its equity up. None: there are no call auctions."""
    if not (clearing := view.offering().clearing):
        return None
    worth = sum(one.worth for one in holdings)
    if any(one.quantity > 0 and view.payoff(one.instrument) == Payoff.INVERSE for one in holdings):
        worth += equity  # at a price lower by d a long loses d / (1 - d) of its coins
    return min(clearing, bankruptcy.discount(equity, worth))


def _fits(bid: BidReserved, running: Running) -> bool:
    return bid.instrument == running.instrument and bid.bidder != running.account


def _awarded(bid: BidReserved, account: int, quantity: int, price: int) -> Event:
    return Awarded(
        instrument=bid.instrument,
        account=account,
        bidder=bid.bidder,
        auction=bid.auction,
        bid=bid.bid,
        quantity=quantity,
        price=price,
    )


def _beyond_fund(failing: Book, unpromised: dict[int, int], view: MarketView) -> int:
    """Micro-dollars of a shortfall that the fund cannot carry; what it can is taken off `unpromised`.

    The debt will fall in the asset in which the largest position is settled, and only that part of the fund pays it.
    """
    if failing.net >= 0 or not failing.positions:
        return 0
    largest = max(failing.positions, key=lambda one: (one.worth, -one.instrument))
    asset = view.settlement(largest.instrument)
    carried = max(0, min(-failing.net, unpromised.get(asset, 0)))
    if carried:
        unpromised[asset] -= carried
    return -failing.net - carried


def _part_up(quantity: int, part: int, whole: int) -> int:
    """quantity x part / whole, magnitude rounded up."""
    lots = -(-abs(quantity) * part // whole)
    return lots if quantity > 0 else -lots


def _towards_zero(position: int, sale: int) -> int:
    """The lots of a position that a sale of the opposite sign can still take, signed as the position."""
    if position * sale >= 0:
        return 0
    lots = min(abs(position), abs(sale))
    return lots if position > 0 else -lots
