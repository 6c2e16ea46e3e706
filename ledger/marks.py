"""What a mark does: time moves, what is due takes effect, the market changes, and every account is judged anew."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger import (
    breakers,
    cash,
    closing,
    default_fund,
    facts,
    members,
    portfolio_auctions,
    registry,
    settlement,
    waterfall,
)
from ledger.conservation import check_tables, house_balances, net_positions
from ledger.liquidations import close_auction, saleable
from ledger.margining import margin_all
from ledger.orders import close_ended_orders, close_raising_orders
from ledger.outbox import Outbox
from ledger.schedule import due
from ledger.state import UNOPENED, Life, Pool, State
from ledger.trades import InvariantBroken
from liquidation.ladder import called, margins_in_order, rungs
from risk.tables import I32Array, I64Array
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT
from schemas.compiled import compiled
from schemas.kinds import ClosingReason, Parameter, Reason, Rung
from schemas.limits import MAX_TIME
from schemas.outcomes import (
    OUTCOMES,
    DeficitFound,
    LiquidationBalance,
    LiquidationDue,
    LiquidationPosition,
    MarkDone,
    RungChanged,
)

BEFORE_MARKET: Final[dict[type[Any], Any]] = {
    e.InstrumentListed: registry.listing_due,
    e.InstrumentStatusChanged: registry.status_due,
    e.IndexChanged: registry.index_due,
    e.AccountChanged: registry.account_due,
    e.ParameterChanged: facts.parameter_due,
    e.ProfilePublished: facts.profile_due,
    e.PolicyPublished: waterfall.policy_due,
}
"""What takes effect before the new market is put in force, which may need it."""

AFTER_MARKET: Final[dict[type[Any], Any]] = {
    e.FundingRate: settlement.funding_indexed,
    e.SettlementPrice: settlement.settlement_due,
    e.FeeCharged: settlement.fee_due,
}
"""What takes effect at the new market's marks."""


def _apply(state: State, out: Outbox, table: dict[type[Any], Any]) -> None:
    for event in due(state, frozenset(table)):
        table[type(event)](state, event, out)


@compiled
def anything_to_sell(
    accounts: I64Array,
    pool: Pool,
    balance: I64Array,
    asset_spot: I32Array,
    lot_size: I64Array,
    out: npt.NDArray[np.bool_],
) -> None:
    """Which accounts hold a position, or have or owe a whole lot of an asset that has a SPOT instrument."""
    for k in range(len(accounts)):
        account = accounts[k]
        found = False
        for p in range(pool.start[account], pool.start[account] + pool.count[account]):
            if pool.quantity[p] != 0:
                found = True
                break
        if not found:
            for asset in range(len(asset_spot)):
                if asset_spot[asset] >= 0 and abs(balance[account, asset]) >= lot_size[asset_spot[asset]]:
                    found = True
                    break
        out[k] = found


def mark(state: State, event: e.Mark, out: Outbox) -> Reason:
    """Value with a market from here on, and judge every account."""
    if event.mark != state.mark + 1:
        return Reason.MARK_NOT_NEXT
    if not state.time <= event.time <= MAX_TIME:
        return Reason.MARK_NOT_LATER
    if event.market not in state.facts.closed:
        return Reason.UNKNOWN_MARKET
    state.time, state.mark = event.time, event.mark
    state.called_down.clear()
    _apply(state, out, BEFORE_MARKET)
    facts.forget_profiles(state)
    before = waterfall.marks_before(state)
    facts.activate(state, event.market)
    _apply(state, out, AFTER_MARKET)
    settlement.expiries_due(state, out)
    close_ended_orders(state, out)
    breakers.breakers_due(state, out)
    portfolio_auctions.reprice_bids(state)
    _judge(state, out)
    portfolio_auctions.review_bids(state, out)
    portfolio_auctions.tell_backstops(state, out)
    cash.answer_withdrawals(state, out)
    waterfall.report(state, before, out)
    default_fund.report_parts(state, out)
    check_tables(state)
    for told in (*net_positions(state, out.index), *house_balances(state, out.index)):
        out.emit(told)
    members.tell_standings(state, out)
    breakers.tell_interest(state, out)
    _done(state, out)
    return Reason.NONE


def mark_answered(state: State, event: e.MarkAnswered, _out: Outbox) -> Reason:
    """The desk has said all it has to say to the mark."""
    if event.mark != state.mark or event.mark == state.answered:
        return Reason.MARK_NOT_NEXT
    state.answered = event.mark
    return Reason.NONE


def _judge(state: State, out: Outbox) -> None:
    accounts = margin_all(state)
    m, table = state.margins, state.accounts
    equity, maintenance, buffer, initial = (c[accounts] for c in (m.equity, m.maintenance, m.buffer, m.initial))
    before = table.rung[accounts]
    sellable = np.zeros(len(accounts), np.bool_)
    anything_to_sell(accounts, state.pool, state.balance, state.market.asset_spot, state.market.lot_size, sellable)
    if not margins_in_order(maintenance, buffer, initial):
        raise InvariantBroken(f"n {state.n}, mark {state.mark}: an initial margin below maintenance and buffer")
    grace, hysteresis = state.parameter(Parameter.GRACE), state.parameter(Parameter.LADDER_HYSTERESIS)
    since = table.called[accounts]
    after = rungs(before, equity, maintenance, buffer, initial, since, grace, sellable, hysteresis)
    after = closing.closed(state, accounts, before, members.forced(state, accounts, after))
    table.called[accounts] = called(after, equity < maintenance + buffer, since)
    table.rung[accounts] = after
    changed = np.flatnonzero(before != after)
    rows = np.zeros(len(changed), OUTCOMES.by_class[RungChanged].dtype)
    rows["index"], rows["mark"], rows["account"] = out.index, state.mark, accounts[changed]
    rows["before"], rows["after"], rows["worst_scenario"] = before[changed], after[changed], m.worst[accounts[changed]]
    rows["equity"], rows["maintenance"] = equity[changed], maintenance[changed]
    rows["buffer"], rows["initial"] = buffer[changed], initial[changed]
    out.emit_rows(RungChanged, rows)
    healed = set(accounts[(before >= Rung.LIQUIDATING) & (after < Rung.LIQUIDATING)].tolist())
    _review_auctions(state, out, healed)
    for account in accounts[(after == Rung.LIQUIDATING) | (after == Rung.DEFICIT)].tolist():
        close_raising_orders(state, out, account)
        if table.rung[account] == Rung.LIQUIDATING:
            _tell_liquidation(state, out, account)
            members.tell_close_out(state, out, account)
        else:
            _tell_deficit(state, out, account)


def _review_auctions(state: State, out: Outbox, healed: set[int]) -> None:
    """End the auctions of healed accounts and of ended instruments, and those that offer more than there is."""
    for number, auction in sorted(state.auctions.items()):
        if auction.account in healed:
            close_auction(state, out, number, ClosingReason.HEALED)
        elif state.life[auction.instrument] in (Life.EXPIRED, Life.SETTLED):
            close_auction(state, out, number, ClosingReason.INSTRUMENT_ENDED)
        else:
            left = -saleable(state, auction.account, auction.instrument)
            if left == 0 or (left > 0) != (auction.remaining > 0) or abs(left) < abs(auction.remaining):
                close_auction(state, out, number, ClosingReason.CLIPPED)


def _tell_liquidation(state: State, out: Outbox, account: int) -> None:
    m, pool = state.margins, state.pool
    out.emit(
        LiquidationDue(
            index=out.index,
            account=account,
            mark=state.mark,
            equity=int(m.equity[account]),
            maintenance=int(m.maintenance[account]),
            buffer=int(m.buffer[account]),
            initial=int(m.initial[account]),
        )
    )
    start = int(pool.start[account])
    for p in range(start, start + int(pool.count[account])):
        if pool.quantity[p]:
            out.emit(
                LiquidationPosition(
                    index=out.index,
                    account=account,
                    instrument=int(pool.instrument[p]),
                    quantity=int(pool.quantity[p]),
                    cost=int(pool.cost[p]),
                )
            )
    for asset in np.flatnonzero(state.balance[account]).tolist():
        out.emit(
            LiquidationBalance(
                index=out.index, asset=asset, account=account, balance=int(state.balance[account, asset])
            )
        )


def _tell_deficit(state: State, out: Outbox, account: int) -> None:
    for asset in np.flatnonzero(state.balance[account] < 0).tolist():
        out.emit(
            DeficitFound(
                index=out.index,
                asset=asset,
                account=account,
                mark=state.mark,
                amount=-int(state.balance[account, asset]),
            )
        )


def _done(state: State, out: Outbox) -> None:
    accounts = np.flatnonzero((state.accounts.owned == 1) & (state.accounts.status != UNOPENED))
    accounts = accounts[accounts >= FIRST_ACCOUNT]
    rung, m = state.accounts.rung[accounts], state.margins
    out.emit(
        MarkDone(
            index=out.index,
            accounts=len(accounts),
            liquidating=int((rung == Rung.LIQUIDATING).sum()),
            deficits=int((rung == Rung.DEFICIT).sum()),
            mark=state.mark,
            time=state.time,
            equity=int(m.equity[accounts].sum()),
            maintenance=int(m.maintenance[accounts].sum()),
            initial=int(m.initial[accounts].sum()),
        )
    )
