"""Whole portfolios on offer to sealed bids, and the backstops behind them: what every shard knows of an offer, what a
bidder's shard reserves for it, the award of all legs at once, and the price a liquidation got against its mark."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ledger.charges import charge
from ledger.legs import refusal
from ledger.margining import margin_with_orders, margins_of
from ledger.orders import position_of, release
from ledger.outbox import Outbox
from ledger.state import Life, Order, Portfolio, Reservation, State
from ledger.trades import post_run
from liquidation import auction
from risk.valuation import asset_value, contract_value
from schemas import events as e
from schemas.events import EVENTS, Trade
from schemas.kinds import Kind, LegKind, Parameter, Reason, Rung
from schemas.limits import BASIS_POINTS, MAX_AMOUNT, MAX_QUANTITY
from schemas.outcomes import (
    BackstopCapacity,
    LegPosted,
    LiquidationGap,
    PortfolioBidDropped,
    PortfolioBidReserved,
    PortfolioClosed,
    PortfolioOpened,
)

_TRADE = EVENTS.by_class[Trade].dtype
_ENDED = (Life.EXPIRED, Life.SETTLED, Life.UNLISTED)


def on_offer(state: State, account: int) -> bool:
    """Whether a portfolio of this account is on offer."""
    return any(one.account == account for one in state.facts.portfolios.values())


# --- the offer, which every shard knows -------------------------------------------------------------------------------


def portfolio_lot(state: State, event: e.PortfolioLot, _out: Outbox) -> Reason:
    """Set a lot aside until its portfolio is offered."""
    listed = state.facts.instruments.get(event.instrument)
    if listed is None:
        return Reason.UNKNOWN_INSTRUMENT
    if event.auction in state.facts.portfolios:
        return Reason.AUCTION_EXISTS
    if listed.kind == Kind.SPOT:
        return Reason.INSTRUMENT_INCONSISTENT
    if state.life[event.instrument] in _ENDED:
        return Reason.INSTRUMENT_EXPIRED
    if not 0 < abs(event.quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    lots = state.facts.portfolio_lots.setdefault(event.auction, {})
    if event.instrument in lots or len(lots) >= auction.MAX_LEGS:
        return Reason.PORTFOLIO_INCOMPLETE
    lots[event.instrument] = event.quantity
    return Reason.NONE


def portfolio_offered(state: State, event: e.PortfolioOffered, out: Outbox) -> Reason:
    """Put the lots told before on offer. What every shard knows alike decides; whether the account can sell them only
    its own shard knows, and says it with PortfolioOpened: the desk ends an offer that cannot be met."""
    lots = state.facts.portfolio_lots.pop(event.auction, {})
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if event.auction in state.facts.portfolios:
        return Reason.AUCTION_EXISTS
    if on_offer(state, event.account):
        return Reason.PORTFOLIO_ON_OFFER
    if len(lots) != event.lots or event.lots < auction.LEAST_LEGS:
        return Reason.PORTFOLIO_INCOMPLETE
    if event.closes <= state.mark:
        return Reason.MARK_NOT_LATER
    if not 0 <= event.reserve <= BASIS_POINTS:
        return Reason.VALUE_OUT_OF_RANGE
    state.facts.portfolios[event.auction] = Portfolio(
        account=event.account,
        mark=state.mark,
        closes=event.closes,
        reserve=event.reserve,
        lots=dict(sorted(lots.items())),
    )
    if state.owns(event.account):
        out.emit(
            PortfolioOpened(
                index=out.index,
                reason=_unsaleable(state, event.account, lots),
                lots=event.lots,
                account=event.account,
                auction=event.auction,
                mark=state.mark,
                closes=event.closes,
                reserve=event.reserve,
            )
        )
    return Reason.NONE


def _unsaleable(state: State, account: int, lots: dict[int, int]) -> Reason:
    """Why an account cannot sell these lots together, or NONE: reduce-only, and nothing of it sold elsewhere."""
    if state.accounts.rung[account] < Rung.LIQUIDATING:
        return Reason.NOT_LIQUIDATING
    if any(one.account == account for one in state.auctions.values()):
        return Reason.AUCTION_EXISTS
    for instrument, quantity in lots.items():
        held = position_of(state, account, instrument)
        if held * quantity >= 0 or abs(quantity) > abs(held):
            return Reason.NOTHING_TO_REDUCE
    return Reason.NONE


def portfolio_ended(state: State, event: e.PortfolioEnded, out: Outbox) -> Reason:
    """Take a portfolio off and release every bid for it."""
    running = state.facts.portfolios.get(event.auction)
    if running is None or running.account != event.account:
        return Reason.UNKNOWN_AUCTION
    del state.facts.portfolios[event.auction]
    for bidder, own in sorted(state.reservations.items()):
        release(state, out, bidder, _sealed(own, event.auction))
    if state.owns(event.account):
        out.emit(PortfolioClosed(index=out.index, reason=event.reason, account=event.account, auction=event.auction))
    return Reason.NONE


# --- sealed bids, which the bidder's shard reserves margin for --------------------------------------------------------


def portfolio_bid(state: State, event: e.PortfolioBid, out: Outbox) -> Reason:
    """Reserve the margin of all legs at once, or refuse by name."""
    if not state.exists(event.bidder):
        return Reason.UNKNOWN_ACCOUNT
    if not state.accounts.liquidator[event.bidder] or state.accounts.status[event.bidder]:
        return Reason.BIDDER_NOT_ALLOWED
    running = state.facts.portfolios.get(event.auction)
    if running is None:
        return Reason.UNKNOWN_AUCTION
    if running.account == event.bidder:
        return Reason.SAME_ACCOUNT
    if state.mark >= running.closes:
        return Reason.PORTFOLIO_CLOSED
    if not 0 <= event.discount <= running.reserve:
        return Reason.BID_ABOVE_RESERVE
    own = state.reservations.get(event.bidder, {})
    if _sealed(own, event.auction):
        return Reason.ONE_BID_A_PORTFOLIO
    if Reservation(event.auction, event.bid) in own:
        return Reason.BID_EXISTS
    if any(state.life[instrument] in _ENDED for instrument in running.lots):
        return Reason.INSTRUMENT_EXPIRED
    taken = {
        Reservation(event.auction, event.bid, i): Order(
            i, -quantity, auction.price(quantity, int(state.market.mark[i]), 0)
        )
        for i, quantity in running.lots.items()
    }
    rows = [*state.orders.get(event.bidder, {}).values(), *own.values(), *taken.values()]
    margin = margin_with_orders(state, event.bidder, rows)
    if margin.reason != Reason.NONE or margin.equity < margin.initial:
        return Reason.BIDDER_BELOW_MARGIN
    state.reservations.setdefault(event.bidder, {}).update(taken)
    state.order_tables = None
    out.touched.append(event.bidder)
    out.emit(
        PortfolioBidReserved(
            index=out.index, bidder=event.bidder, auction=event.auction, bid=event.bid, discount=event.discount
        )
    )
    return Reason.NONE


def _sealed(own: Iterable[Reservation], number: int) -> list[Reservation]:
    """A bidder's reservations for the legs of this portfolio: those of one bid, it may make no second."""
    return [key for key in own if key.sealed and key.auction == number]


# --- at a mark --------------------------------------------------------------------------------------------------------


def reprice_bids(state: State) -> None:
    """Reserve at the new marks: a sealed bid is filled at a discount off the mark of the close, never above it."""
    for own in state.reservations.values():
        for key, order in own.items():
            if key.sealed:
                order.price = auction.price(-order.quantity, int(state.market.mark[order.instrument]), 0)
                state.order_tables = None


def review_bids(state: State, out: Outbox) -> None:
    """Drop the sealed bids of those whose equity, judged at this mark, no longer covers what is reserved."""
    m = state.margins
    for bidder, own in sorted(state.reservations.items()):
        bids = sorted({(key.auction, key.bid) for key in own if key.sealed})
        if bids and (m.status[bidder] or m.equity[bidder] < m.initial[bidder]):
            for number, bid in bids:
                release(state, out, bidder, _sealed(own, number))
                out.emit(PortfolioBidDropped(index=out.index, bidder=bidder, auction=number, bid=bid))


def tell_backstops(state: State, out: Outbox) -> None:
    """What each backstop of this shard could take over now."""
    m = state.margins
    for account, committed in sorted(state.facts.backstops.items()):
        if not state.owns(account):
            continue
        free = 0 if m.status[account] or state.accounts.status[account] else int(m.equity[account] - m.initial[account])
        out.emit(
            BackstopCapacity(
                index=out.index,
                account=account,
                mark=state.mark,
                committed=committed,
                capacity=max(0, min(committed, free)),
            )
        )


def backstop_committed(state: State, event: e.BackstopCommitted, _out: Outbox) -> Reason:
    """Take note of what an account undertakes to take over; every shard knows it."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if not 0 <= event.capacity <= MAX_AMOUNT:
        return Reason.VALUE_OUT_OF_RANGE
    if event.capacity:
        state.facts.backstops[event.account] = event.capacity
    else:
        state.facts.backstops.pop(event.account, None)
    return Reason.NONE


# --- the award --------------------------------------------------------------------------------------------------------


def portfolio_awarded(state: State, event: e.PortfolioAwarded, out: Outbox) -> Reason:
    """Post every leg of a portfolio, or none: what every shard knows alike decides, so no two shards differ.

    A leg of the n-th lot is told as `leg` 2n (the buyer's) or 2n + 1.
    """
    running = state.facts.portfolios.get(event.auction)
    if running is None or running.account != event.account:
        return Reason.UNKNOWN_AUCTION
    if not state.exists(event.bidder):
        return Reason.UNKNOWN_ACCOUNT
    if not 0 <= event.discount <= running.reserve:
        return Reason.BID_ABOVE_RESERVE
    if state.mark < running.closes:
        return Reason.PORTFOLIO_STILL_OPEN
    rows = np.zeros(len(running.lots), _TRADE)
    for row, (instrument, quantity) in zip(rows, running.lots.items(), strict=True):
        row["instrument"], row["quantity"] = instrument, abs(quantity)
        sale = quantity < 0
        row["buyer"], row["seller"] = (event.bidder, event.account) if sale else (event.account, event.bidder)
        row["price"] = auction.price(quantity, int(state.market.mark[instrument]), event.discount)
    rows.flags.writeable = False
    for row in rows:
        reason = refusal(row, int(LegKind.LIQUIDATION), state.market, state.life, state.parameter(Parameter.MAX_FEE))
        if reason != Reason.NONE:
            return Reason(int(reason))
    reserved = _sealed(state.reservations.get(event.bidder, {}), event.auction)
    release(state, out, event.bidder, [key for key in reserved if key.bid == event.bid])
    index = np.full(len(rows), out.index, np.uint32)
    template = EVENTS.by_class[e.PortfolioAwarded].template
    required = required_before(state, event.account)
    legs, _ = post_run(state, out, rows, index, LegKind.LIQUIDATION, template)
    charge(state, legs, event.account, state.parameter(Parameter.WHOLE_LIQUIDATION_FEE))
    place = {instrument: 2 * n for n, instrument in enumerate(running.lots)}
    for leg in legs:
        leg["leg"] += place[int(leg["instrument"])]
    out.emit_rows(LegPosted, legs)
    for row, (instrument, quantity) in zip(rows, running.lots.items(), strict=True):
        tell_gap(state, out, event.account, event.auction, instrument, quantity, int(row["price"]), required)
    return Reason.NONE


def required_before(state: State, account: int) -> int | None:
    """The maintenance margin of a failing account before its legs are posted, micro-dollars, for `tell_gap`; None where
    this shard has nothing to tell."""
    # Computed from the books: margins last known are derived, and a shard that begins from a snapshot has none.
    told = state.parameter(Parameter.GAP_TOLD) and state.owns(account)
    return margins_of(state, account).maintenance if told else None


def tell_gap(
    state: State, out: Outbox, account: int, number: int, instrument: int, quantity: int, price: int,
    required: int | None,
) -> None:  # fmt: skip
    """Say what a liquidated leg of `quantity` lots, signed as the account's, lost against the mark at this price."""
    if required is None:
        return
    m = state.market
    terms = int(m.tick_value[instrument]), int(m.contract_value[instrument])
    payoff, lots = int(m.payoff[instrument]), abs(quantity)
    sign = 1 if quantity > 0 else -1
    at_mark = sign * contract_value(payoff, lots, int(m.mark[instrument]), *terms)
    paid = sign * contract_value(payoff, lots, price, *terms)
    asset = int(m.settlement[instrument])
    worth, lost = (
        int(asset_value(amount, int(m.asset_price[asset]), int(m.asset_scale[asset])))
        for amount in (abs(int(at_mark)), int(paid - at_mark))
    )
    out.emit(
        LiquidationGap(
            index=out.index,
            account=account,
            instrument=instrument,
            auction=number,
            mark=state.mark,
            quantity=quantity,
            worth=worth,
            lost=lost,
            maintenance=required,
        )
    )
