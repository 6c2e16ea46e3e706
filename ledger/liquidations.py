"""Default management on the books: plans become auctions, bids reserve margin, awards and deleveraging post legs, the
fund pays deficits. What is decided here is only what one account's own books can tell; the desk decides the rest."""

from __future__ import annotations

import numpy as np

from insurance.deleveraging import score
from ledger.clipping import tell_auction
from ledger.closing import paid_by_others
from ledger.margining import equities, margin_with_orders
from ledger.members import costs_clients
from ledger.orders import position_of, release
from ledger.outbox import Outbox, can_take, post
from ledger.portfolio_auctions import on_offer, required_before, tell_gap
from ledger.state import Auction, Life, Order, Reservation, State, live_rows
from ledger.trades import post_one
from ledger.waterfall import in_policy
from risk.valuation import asset_value, contract_value
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT, House
from schemas.kinds import ClosingReason, Kind, LegKind, Parameter, PostingKind, Reason, Rung, WaterfallLayer
from schemas.limits import BASIS_POINTS, MAX_AMOUNT, MAX_PRICE, MAX_QUANTITY
from schemas.outcomes import (
    AuctionClosed,
    BidReserved,
    DeficitCovered,
    DeleveragingCandidate,
)


def saleable(state: State, account: int, instrument: int) -> int:
    """Lots of an instrument an account has to sell, or below zero to buy back; of a SPOT, whole lots of its base."""
    listed = state.facts.instruments[instrument]
    if listed.kind != Kind.SPOT:
        return position_of(state, account, instrument)
    balance = int(state.balance[account, listed.base_asset])
    lots = abs(balance) // listed.lot_size
    return lots if balance > 0 else -lots


def auctioned(state: State, account: int, instrument: int) -> int:
    """Lots of an instrument of this account that running auctions already offer, signed as the account's leg."""
    return sum(a.remaining for a in state.auctions.values() if (a.account, a.instrument) == (account, instrument))


def liquidation_planned(state: State, event: e.LiquidationPlanned, out: Outbox) -> Reason:
    """Open a Dutch auction: reduce-only, clipped to the position found, nothing if the account has healed."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if event.instrument not in state.facts.instruments:
        return Reason.UNKNOWN_INSTRUMENT
    if event.auction in state.auctions:
        return Reason.AUCTION_EXISTS
    if on_offer(state, event.account):
        return Reason.PORTFOLIO_ON_OFFER
    if state.accounts.rung[event.account] < Rung.LIQUIDATING:
        return Reason.NOT_LIQUIDATING
    if state.life[event.instrument] in (Life.EXPIRED, Life.SETTLED, Life.UNLISTED):
        return Reason.INSTRUMENT_EXPIRED
    if not 0 <= event.start <= event.floor <= BASIS_POINTS or not 0 < event.step <= BASIS_POINTS:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 < abs(event.quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    left = saleable(state, event.account, event.instrument) + auctioned(state, event.account, event.instrument)
    if left == 0 or (left > 0) == (event.quantity > 0):
        return Reason.NOTHING_TO_REDUCE
    quantity = max(event.quantity, -left) if event.quantity < 0 else min(event.quantity, -left)
    clips = state.parameter(Parameter.OWN_TRADES_CLIP) and state.facts.instruments[event.instrument].kind != Kind.SPOT
    state.auctions[event.auction] = Auction(
        account=event.account,
        instrument=event.instrument,
        remaining=quantity,
        start=event.start,
        step=event.step,
        floor=event.floor,
        mark=state.mark,
        keeps=left + quantity if clips else None,
    )
    tell_auction(out, event.auction, state.auctions[event.auction])
    return Reason.NONE


def close_auction(state: State, out: Outbox, number: int, reason: ClosingReason) -> None:
    """End an auction and say why."""
    auction = state.auctions.pop(number)
    out.emit(
        AuctionClosed(
            index=out.index, reason=reason, account=auction.account, auction=number, remaining=auction.remaining
        )
    )


def auction_ended(state: State, event: e.AuctionEnded, out: Outbox) -> Reason:
    """The desk ends an auction, sold or not."""
    auction = state.auctions.get(event.auction)
    if auction is None or auction.account != event.account:
        return Reason.UNKNOWN_AUCTION
    close_auction(
        state, out, event.auction, ClosingReason.FILLED if auction.remaining == 0 else ClosingReason.SUPERSEDED
    )
    return Reason.NONE


def bid(state: State, event: e.Bid, out: Outbox) -> Reason:
    """Reserve the margin of what a liquidator may be awarded; the award is decided by the desk."""
    if not state.exists(event.bidder):
        return Reason.UNKNOWN_ACCOUNT
    if not state.accounts.liquidator[event.bidder] or state.accounts.status[event.bidder]:
        return Reason.BIDDER_NOT_ALLOWED
    if state.in_default(event.bidder):
        return Reason.MEMBER_DEFAULTED
    if event.instrument not in state.facts.instruments:
        return Reason.UNKNOWN_INSTRUMENT
    if state.life[event.instrument] in (Life.EXPIRED, Life.SETTLED, Life.UNLISTED):
        return Reason.INSTRUMENT_EXPIRED
    if not 0 < abs(event.quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    if not 0 < event.price <= MAX_PRICE:
        return Reason.PRICE_OUT_OF_RANGE
    own = state.reservations.get(event.bidder, {})
    reserved = Reservation(event.auction, event.bid)
    if reserved in own:
        return Reason.BID_EXISTS
    taken = Order(event.instrument, event.quantity, event.price)
    rows = [*state.orders.get(event.bidder, {}).values(), *own.values(), taken]
    margin = margin_with_orders(state, event.bidder, rows)
    if margin.reason != Reason.NONE or margin.equity < margin.initial:
        return Reason.BIDDER_BELOW_MARGIN
    state.reservations.setdefault(event.bidder, {})[reserved] = taken
    state.order_tables = None
    out.touched.append(event.bidder)
    out.emit(
        BidReserved(
            index=out.index,
            bidder=event.bidder,
            instrument=event.instrument,
            auction=event.auction,
            bid=event.bid,
            quantity=event.quantity,
            price=event.price,
        )
    )
    return Reason.NONE


def awarded(state: State, event: e.Awarded, out: Outbox) -> Reason:
    """Post an award's two legs, each where its account is kept, and end the bid's reservation.

    Number 0 is no bid where its bidder is a backstop: it takes over what it undertook to.
    """
    backstop = event.bid == 0 and event.bidder in state.facts.backstops
    release(state, out, event.bidder, [Reservation(event.auction, event.bid)])
    if event.quantity:
        required = required_before(state, event.account)
        reason = post_one(
            state,
            out,
            LegKind.BACKSTOP if backstop else LegKind.LIQUIDATION,
            e.Awarded,
            instrument=event.instrument,
            account=event.account,
            taker=event.bidder,
            quantity=event.quantity,
            price=event.price,
            fee_rate=state.parameter(Parameter.LIQUIDATION_FEE),
        )
        if reason != Reason.NONE:
            return reason
        lots = -event.quantity
        tell_gap(state, out, event.account, event.auction, event.instrument, lots, event.price, required)
    auction = state.auctions.get(event.auction)
    if auction is not None and event.quantity:
        before = auction.remaining
        auction.remaining += event.quantity
        if auction.remaining == 0 or (auction.remaining > 0) != (before > 0):
            close_auction(state, out, event.auction, ClosingReason.FILLED)
        elif auction.keeps is not None:  # the desk may have awarded it before it heard that less is left
            tell_auction(out, event.auction, auction)
    return Reason.NONE


def deleveraging_called(state: State, event: e.DeleveragingCalled, out: Outbox) -> Reason:
    """Name this shard's counterparties of a position that nobody bought, best ranked first, as many as could be needed.

    Calls since the mark may each have taken from the best, so they are named until they cover all of those calls: more
    than that is never closed, and how many shards name theirs does not show.
    """
    i, pool = event.instrument, state.pool
    if i not in state.facts.instruments:
        return Reason.UNKNOWN_INSTRUMENT
    if not 0 < abs(event.quantity) <= MAX_QUANTITY:
        return Reason.QUANTITY_OUT_OF_RANGE
    if not state.market.mark[i]:
        return Reason.NO_RISK_ARRAY
    state.called_down[i] = state.called_down.get(i, 0) + abs(event.quantity)
    rows = live_rows(pool)
    accounts = np.repeat(np.arange(len(pool.count)), pool.count)
    eligible = (pool.instrument[rows] == i) & (np.sign(pool.quantity[rows]) == np.sign(event.quantity))
    eligible &= (accounts >= FIRST_ACCOUNT) & (accounts != event.account)
    eligible &= state.accounts.rung[accounts] < Rung.LIQUIDATING
    if costs_clients(state, event.account, event.quantity, event.price, int(state.market.mark[i])):
        eligible &= state.accounts.member[accounts] != state.accounts.member[event.account]
    rows, accounts = rows[eligible], accounts[eligible]
    if in_policy(state, WaterfallLayer.TEAR_UP):  # pro rata: each is told, none comes before another
        for p, account in zip(rows.tolist(), accounts.tolist(), strict=True):
            quantity = int(pool.quantity[p])
            told = DeleveragingCandidate(
                index=out.index, account=account, instrument=i, call=event.call, quantity=quantity, score=0
            )
            out.emit(told)
        return Reason.NONE
    equity = equities(state, accounts)
    found = sorted(
        (-_score(state, i, int(pool.quantity[p]), int(pool.cost[p]), worth), account, int(pool.quantity[p]))
        for p, account, worth in zip(rows.tolist(), accounts.tolist(), equity.tolist(), strict=True)
    )
    covered = 0
    for negative, account, quantity in found:
        if covered >= state.called_down[i]:
            break
        covered += abs(quantity)
        out.emit(
            DeleveragingCandidate(
                index=out.index, account=account, instrument=i, call=event.call, quantity=quantity, score=-negative
            )
        )
    return Reason.NONE


def _score(state: State, instrument: int, quantity: int, cost: int, equity: int) -> int:
    m = state.market
    value = contract_value(
        int(m.payoff[instrument]),
        quantity,
        int(m.mark[instrument]),
        int(m.tick_value[instrument]),
        int(m.contract_value[instrument]),
    )
    asset = int(m.settlement[instrument])
    price, scale = int(m.asset_price[asset]), int(m.asset_scale[asset])
    profit, entry, notional = (int(asset_value(x, price, scale)) for x in (value - cost, abs(cost), abs(value)))
    return score(profit, entry, notional, equity)


def deleveraged(state: State, event: e.Deleveraged, out: Outbox) -> Reason:
    """Close a counterparty's position against the failing account's: at the bankruptcy price, or at the mark."""
    return post_one(
        state,
        out,
        LegKind.TEAR_UP if in_policy(state, WaterfallLayer.TEAR_UP) else LegKind.DELEVERAGING,
        e.Deleveraged,
        instrument=event.instrument,
        account=event.account,
        taker=event.counterparty,
        quantity=event.quantity,
        price=event.price,
    )


def fund_paid(state: State, event: e.FundPaid, out: Outbox) -> Reason:
    """The fund covers (part of) what an account owes."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    owed = -int(state.balance[event.account, event.asset])
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if event.amount > owed:
        return Reason.NOTHING_DUE
    fund = int(House.FUND)
    if not can_take(state, fund, event.asset, -event.amount):
        return Reason.BALANCE_LIMIT
    post(state, out, PostingKind.FUND_PAYMENT, event.asset, fund, event.account, event.amount, event.mark)
    paid_by_others(state, event.account)
    out.emit(
        DeficitCovered(
            index=out.index,
            asset=event.asset,
            account=event.account,
            amount=event.amount,
            remaining=owed - event.amount,
        )
    )
    return Reason.NONE
