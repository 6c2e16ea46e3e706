"""Settlement prices at work: variation of settled-to-market positions, cash exercise and final settlement at expiry."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.legs import find, funding_due
from ledger.outbox import Outbox, can_take, post
from ledger.schedule import schedule
from ledger.state import Life, Pool, State
from risk.tables import I64Array, Market
from risk.valuation import contract_value
from schemas import events as e
from schemas.chart import House
from schemas.compiled import kernel
from schemas.events import EVENTS
from schemas.kinds import Kind, Payoff, PostingKind, Reason, Right, Settling, Style
from schemas.limits import FUNDING_SCALE, MAX_PRICE, MAX_TIME, MAX_VALUE, MICRO
from schemas.outcomes import OUTCOMES, FundingIndexed, PositionSettled

VARIATION: Final = 0
"""pay the change of value and carry the position on at the settlement price"""
CLOSE: Final = 1
"""pay the change of value and end the position"""
EXERCISE: Final = 2
"""pay the option's payoff and end the position; its premium was paid before"""

_PERP: Final = int(Kind.PERP)
_CLEARINGHOUSE: Final = int(House.CLEARINGHOUSE)
_FUNDING: Final = int(House.FUNDING)


@kernel
def settle_positions(
    instrument: int,
    price: int,
    mode: int,
    index: int,
    accounts: I64Array,
    market: Market,
    pool: Pool,
    balance: I64Array,
    net: I64Array,
    total: I64Array,
    position_total: I64Array,
    out: npt.NDArray[np.void],
) -> tuple[int, int]:
    """Settle every position in an instrument at a price (ticks), in order of account, into PositionSettled rows.

    Returns the number of rows and the sum of the positions' values at the price.
    """
    rows = 0
    values: Any = np.int64(0)
    asset = market.settlement[instrument]
    for k in range(len(accounts)):
        account = accounts[k]
        p = find(pool, account, instrument)
        if p < 0:
            continue
        quantity = pool.quantity[p]
        cost = pool.cost[p]
        value = contract_value(
            market.payoff[instrument],
            quantity,
            price,
            market.tick_value[instrument],
            market.contract_value[instrument],
        )
        cash = value if mode == EXERCISE else value - cost
        paid: Any = np.int64(0)
        if market.kind[instrument] == _PERP:
            paid = funding_due(quantity, market.funding[instrument] - pool.funding[p])
            pool.funding[p] = market.funding[instrument]
            balance[account, asset] += paid
            total[asset] += paid
            balance[_FUNDING, asset] -= paid
            total[asset] -= paid
        balance[account, asset] += cash
        total[asset] += cash
        balance[_CLEARINGHOUSE, asset] -= cash
        total[asset] -= cash
        values += value
        if quantity != 0 or cash != 0:
            row = out[rows]
            row.index = index
            row.closed = 0 if mode == VARIATION else 1
            row.account = account
            row.instrument = instrument
            row.quantity = quantity
            row.price = price
            row.cash = cash
            row.realised = value - cost
            row.funding = paid
            rows += 1
        if mode == VARIATION:
            pool.cost[p] = value
            pool.realised[p] += value - cost
            continue
        position_total[instrument] -= quantity
        net[instrument] += quantity
        position_total[instrument] += quantity
        last = pool.start[account] + pool.count[account] - 1
        while p < last:
            pool.instrument[p] = pool.instrument[p + 1]
            pool.quantity[p] = pool.quantity[p + 1]
            pool.cost[p] = pool.cost[p + 1]
            pool.funding[p] = pool.funding[p + 1]
            pool.realised[p] = pool.realised[p + 1]
            p += 1
        pool.count[account] -= 1
    return rows, values


def settlement_price(state: State, event: e.SettlementPrice, out: Outbox) -> Reason:
    """Know a settlement price; the first mark at or past `effective` settles with it."""
    if event.underlying not in state.facts.underlyings:
        return Reason.UNKNOWN_UNDERLYING
    if event.instrument and event.instrument not in state.facts.instruments:
        return Reason.UNKNOWN_INSTRUMENT
    series = (event.underlying, event.expiry)
    if event.instrument:
        listed = state.facts.instruments[event.instrument]
        if (listed.underlying, listed.expiry) != series:
            return Reason.INSTRUMENT_INCONSISTENT
    meant = _meant(state, event)
    if not meant:
        return Reason.UNKNOWN_INSTRUMENT
    if all(state.life[number] == Life.SETTLED for number in meant):
        return Reason.INSTRUMENT_EXPIRED
    if not 1 <= event.price <= MAX_PRICE:
        return Reason.PRICE_OUT_OF_RANGE
    bounds = state.facts.underlyings[event.underlying]
    for number in meant:
        # A variation price may be an option's premium, so only a final one must reach the lower bound.
        dollars = event.price * MICRO // state.facts.instruments[number].price_scale
        if dollars > bounds.highest or (event.final and dollars < bounds.lowest):
            return Reason.ORACLE_OUT_OF_BOUNDS
    if not event.sources or event.window_start > event.window_end or event.window_end > event.effective:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    schedule(state, event, event.effective)
    return Reason.NONE


def _meant(state: State, event: e.SettlementPrice) -> list[int]:
    """The instruments a settlement price is for, lowest first."""
    if event.instrument:
        return [event.instrument]
    return [
        number
        for number, listed in sorted(state.facts.instruments.items())
        if listed.expiry and (listed.underlying, listed.expiry) == (event.underlying, event.expiry)
    ]


def settlement_due(state: State, event: e.SettlementPrice, out: Outbox) -> None:
    """A settlement price takes effect: final ones are kept for the expiry, others move variation now."""
    if event.final:
        state.facts.settlements[(event.underlying, event.expiry, event.instrument)] = event.price
        return
    for number in _meant(state, event):
        alive = state.life[number] in (Life.OPEN, Life.HALTED, Life.REDUCE_ONLY, Life.DELISTED)
        if alive and state.facts.instruments[number].settling == Settling.SETTLED_TO_MARKET:
            settle(state, out, number, event.price, VARIATION)


def expiries_due(state: State, out: Outbox) -> None:
    """Instruments past their expiry stop trading; those with a final price, and delisted ones with one, are settled."""
    facts = state.facts
    for number, listed in sorted(facts.instruments.items()):
        life = state.life[number]
        if listed.expiry and listed.expiry <= state.time and life not in (Life.EXPIRED, Life.SETTLED):
            state.life[number] = life = Life.EXPIRED
        if life not in (Life.EXPIRED, Life.DELISTED):
            continue
        price = facts.settlements.get((listed.underlying, listed.expiry, number))
        if price is None:
            price = facts.settlements.get((listed.underlying, listed.expiry, 0)) if listed.expiry else None
        if price is None:
            continue
        if listed.kind != Kind.OPTION:
            settle(state, out, number, price, CLOSE)
        else:
            payoff = price - listed.strike if listed.right == Right.CALL else listed.strike - price
            settle(state, out, number, max(0, payoff), EXERCISE if listed.style == Style.PREMIUM else CLOSE)
        state.life[number] = Life.SETTLED
        facts.settlements.pop((listed.underlying, listed.expiry, number), None)
    _retire_expiries(state)


def _retire_expiries(state: State) -> None:
    """Forget the expiries whose every instrument is settled; their buckets are free for others."""
    facts = state.facts
    alive = {
        (listed.underlying, listed.expiry)
        for number, listed in facts.instruments.items()
        if state.life[number] != Life.SETTLED
    }
    for underlying, buckets in facts.buckets.items():
        for at, expiry in enumerate(buckets):
            if expiry > 0 and (underlying, expiry) not in alive:
                buckets[at] = -1
                facts.forwards.pop((underlying, expiry), None)
                facts.volatilities.pop((underlying, expiry), None)
                facts.settlements.pop((underlying, expiry, 0), None)


def settle(state: State, out: Outbox, instrument: int, price: int, mode: int) -> None:
    """Run the settlement kernel over the shard's accounts and post what rounding leaves."""
    accounts = np.flatnonzero(state.pool.count).astype(np.int64)
    rows = np.zeros(len(accounts), OUTCOMES.by_class[PositionSettled].dtype)
    count, values = settle_positions(
        instrument,
        price,
        mode,
        out.index,
        accounts,
        state.market,
        state.pool,
        state.balance,
        state.net,
        state.total,
        state.position_total,
        rows,
    )
    out.emit_rows(PositionSettled, rows[:count])
    out.touched.extend(rows["account"][:count].tolist())
    if mode != VARIATION and state.market.payoff[instrument] == Payoff.INVERSE and values:
        # The magnitudes were rounded down one by one, so over all shards they miss zero by less than a unit a position.
        asset = int(state.market.settlement[instrument])
        post(
            state,
            out,
            PostingKind.FINAL_SETTLEMENT,
            asset,
            int(House.ROUNDING),
            int(House.CLEARINGHOUSE),
            int(values),
            instrument,
        )


def funding_rate(state: State, event: e.FundingRate, out: Outbox) -> Reason:
    """Know a perp's funding rate; its index moves at the first mark at or past `effective`."""
    listed = state.facts.instruments.get(event.instrument)
    if listed is None:
        return Reason.UNKNOWN_INSTRUMENT
    if listed.kind != Kind.PERP:
        return Reason.NOT_A_PERP
    if abs(event.rate) > 10**9:
        return Reason.VALUE_OUT_OF_RANGE
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    schedule(state, event, event.effective)
    return Reason.NONE


def funding_indexed(state: State, event: e.FundingRate, out: Outbox) -> None:
    """Move a perp's cumulative funding index by rate x value of one long lot at the mark."""
    i, m = event.instrument, state.market
    if not m.mark[i]:
        return
    if m.payoff[i] == Payoff.INVERSE:
        lot = int(m.contract_value[i]) // int(m.mark[i])
    else:
        lot = int(m.mark[i]) * int(m.tick_value[i])
    step = event.rate * lot * FUNDING_SCALE // 10**9
    if abs(int(m.funding[i]) + step) > MAX_VALUE:
        if state.shard == 0:
            out.reject(EVENTS.by_class[e.FundingRate].template, Reason.VALUE_OUT_OF_RANGE)
        return
    m.funding[i] += step
    if state.shard == 0:
        out.emit(FundingIndexed(index=out.index, instrument=i, step=step, cumulative=int(m.funding[i])))


def fee_charged(state: State, event: e.FeeCharged, out: Outbox) -> Reason:
    """A fee in dollars that falls due later; equity counts it from now on."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if not 0 < event.amount <= MAX_VALUE:
        return Reason.AMOUNT_NOT_POSITIVE
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    due = int(state.accounts.fees_due[event.account]) + event.amount
    if due > MAX_VALUE or not can_take(state, event.account, 0, -due) or not can_take(state, int(House.FEES), 0, due):
        return Reason.BALANCE_LIMIT
    state.accounts.fees_due[event.account] += event.amount
    out.touched.append(event.account)
    schedule(state, event, event.effective)
    return Reason.NONE


def fee_due(state: State, event: e.FeeCharged, out: Outbox) -> None:
    """Collect a fee that fell due."""
    state.accounts.fees_due[event.account] -= event.amount
    post(state, out, PostingKind.FEE_DUE, 0, event.account, int(House.FEES), event.amount)
