"""The fold: state and a numbered entry in, state and outcomes out. Nothing that arrives may stop it; what it cannot
accept is rejected by name and changes nothing. Only a broken invariant stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ledger import (
    backers,
    breakers,
    cash,
    default_fund,
    facts,
    liquidations,
    marks,
    members,
    oracle,
    orders,
    portfolio_auctions,
    porting,
    registry,
    settlement,
    stress,
    waterfall,
)
from ledger.clipping import clip_auctions
from ledger.conservation import check_entry
from ledger.margining import margin_touched
from ledger.outbox import Outbox
from ledger.sequence import ROUTES, IndexedRun, ShardEntry
from ledger.snapshot import digest_of
from ledger.state import State
from ledger.trades import post_trade_run
from schemas import events as e
from schemas.events import LINKED
from schemas.kinds import Reason
from schemas.outcomes import OUTCOMES, Rejected, SnapshotTaken
from schemas.sources import allowed
from schemas.wire import OutcomeHeader, Run, WireError, encode, message_of

HANDLERS: Final[dict[type[Any], Callable[[State, Any, Outbox], Reason]]] = {
    e.AssetListed: registry.asset_listed,
    e.UnderlyingListed: registry.underlying_listed,
    e.InstrumentListed: registry.instrument_listed,
    e.InstrumentStatusChanged: registry.instrument_status_changed,
    e.IndexChanged: registry.index_changed,
    e.AccountOpened: registry.account_opened,
    e.AccountChanged: registry.account_changed,
    e.AccountLinked: registry.account_linked,
    e.Deposited: cash.deposited,
    e.WithdrawalRequested: cash.withdrawal_requested,
    e.WithdrawalDecided: cash.withdrawal_decided,
    e.WithdrawalsHeld: cash.withdrawals_held,
    e.WithdrawalJudged: cash.withdrawal_judged,
    e.FundContributed: cash.fund_contributed,
    e.CapitalContributed: cash.capital_contributed,
    e.OrderOpened: orders.order_opened,
    e.OrderChanged: orders.order_changed,
    e.OrderCancelled: orders.order_cancelled,
    e.FeeCharged: settlement.fee_charged,
    e.FundingRate: settlement.funding_rate,
    e.SettlementPrice: settlement.settlement_price,
    e.OraclePrice: oracle.oracle_price,
    e.OracleVolatility: oracle.oracle_volatility,
    e.OracleForward: oracle.oracle_forward,
    e.OracleAssetPrice: oracle.oracle_asset_price,
    e.ParameterChanged: facts.parameter_changed,
    e.ProfileText: facts.profile_text,
    e.ProfilePublished: facts.profile_published,
    e.MarketClosed: facts.market_closed,
    e.Mark: marks.mark,
    e.MarkAnswered: marks.mark_answered,
    e.LiquidationPlanned: liquidations.liquidation_planned,
    e.Bid: liquidations.bid,
    e.Awarded: liquidations.awarded,
    e.AuctionEnded: liquidations.auction_ended,
    e.DeleveragingCalled: liquidations.deleveraging_called,
    e.Deleveraged: liquidations.deleveraged,
    e.PortfolioLot: portfolio_auctions.portfolio_lot,
    e.PortfolioOffered: portfolio_auctions.portfolio_offered,
    e.PortfolioBid: portfolio_auctions.portfolio_bid,
    e.PortfolioAwarded: portfolio_auctions.portfolio_awarded,
    e.PortfolioEnded: portfolio_auctions.portfolio_ended,
    e.BackstopCommitted: portfolio_auctions.backstop_committed,
    e.FundPaid: liquidations.fund_paid,
    e.PolicyLayer: waterfall.policy_layer,
    e.PolicyPublished: waterfall.policy_published,
    e.LayerDrawn: waterfall.layer_drawn,
    e.LayerPaid: waterfall.layer_paid,
    e.Assessed: waterfall.assessed,
    e.GainsHaircut: waterfall.gains_haircut,
    e.DefaultFundContributed: default_fund.default_fund_contributed,
    e.BackerMinted: backers.backer_minted,
    e.BackerWithdrawalRequested: backers.backer_withdrawal_requested,
    e.BackerPaid: backers.backer_paid,
    e.BreakerChanged: breakers.breaker_changed,
    e.OwnerLimited: breakers.owner_limited,
    e.OwnerAsked: breakers.owner_asked,
    e.MemberDefaulted: members.member_defaulted,
    e.StressReported: stress.stress_reported,
    e.StressResult: stress.stress_result,
    e.MemberSettled: members.member_settled,
    e.PortingAccepted: porting.porting_accepted,
    e.AccountPorted: porting.account_ported,
    e.MemberResourcesTaken: porting.resources_taken,
    e.MemberResourcesGiven: porting.resources_given,
}
"""Every event but trades and market rows, which are taken a run at a time."""


def fold(state: State, entry: ShardEntry, *, snapshot_every: int = 0) -> bytes:
    """Apply an entry to a shard's state in place and return its outcomes as bytes.

    The entry must be the shard's next (`ledger.sequence.taken`). `snapshot_every`: numbered entries between two
    snapshots, whose digest is then the last outcome; 0 takes none. Raises ConservationBroken or InvariantBroken, after
    which the state must not be used.
    """
    out = Outbox()
    before, state.n = state.n, entry.n
    if entry.reason != Reason.NONE:
        out.reject(0, entry.reason)
    may_send = allowed(entry.source)
    chained = False
    for whole in entry.runs:
        # Only one template's events make a chain: what a chain of the run before left over fails with it.
        run, chained = _rest(state, out, whole) if chained else whole, _ends_linked(whole, chained)
        if not len(run.rows):
            continue
        if run.message.cls not in may_send:
            _reject_run(state, out, run, Reason.UNAUTHORISED_SOURCE)
        elif run.message.cls in (e.Trade, e.TradeReversed):
            legs = post_trade_run(state, out, Run(run.message, run.rows), run.index)
            if state.auctions:
                clip_auctions(state, out, legs)
        elif run.message.cls in facts.MARKET_ROWS:
            for at, reason in facts.stage(state, Run(run.message, run.rows)):
                if state.shard == 0:
                    out.index = int(run.index[at])
                    out.reject(run.message.template, reason)
        else:
            _each(state, out, run)
    check_entry(state)
    margin_touched(state, out.touched_accounts())
    if snapshot_every and entry.n // snapshot_every > before // snapshot_every:
        out.index = 0
        out.emit(SnapshotTaken(index=0, digest=digest_of(state)))
    runs = out.runs()
    header = OutcomeHeader(
        shard=state.shard,
        shards=state.shards,
        outcomes=sum(len(run.rows) for run in runs),
        n=entry.n,
        previous=entry.previous,
    )
    return encode(header, runs)


def took_snapshot(before: int, n: int, snapshot_every: int) -> bool:
    """Whether the entry n, the first one after entry `before`, is one that a snapshot follows."""
    return bool(snapshot_every) and n // snapshot_every > before // snapshot_every


def _ends_linked(run: IndexedRun, chained: bool) -> bool:
    return bool(run.rows["flags"][-1] & LINKED) if len(run.rows) else chained


def _rest(state: State, out: Outbox, run: IndexedRun) -> IndexedRun:
    """The run without the rows at its beginning that belong to a chain begun before it; those are rejected."""
    loose = np.flatnonzero(run.rows["flags"] & LINKED == 0)
    cut = int(loose[0]) + 1 if len(loose) else len(run.rows)
    _reject_run(state, out, IndexedRun(run.message, run.rows[:cut], run.index[:cut]), Reason.LINKED_EVENT_FAILED)
    return IndexedRun(run.message, run.rows[cut:], run.index[cut:])


def _each(state: State, out: Outbox, run: IndexedRun) -> None:
    handler = HANDLERS[run.message.cls]
    accounts = ROUTES.get(run.message.cls)
    linked = run.rows["flags"] & LINKED
    for at in range(len(run.rows)):
        out.index = int(run.index[at])
        row = run.rows[at]
        account = int(row[accounts[0]]) if accounts else 0
        try:
            if linked[at]:
                reason = Reason.NOT_LINKABLE
            elif at and linked[at - 1]:
                reason = Reason.LINKED_EVENT_FAILED
            else:
                reason = handler(state, message_of(run.message, row), out)
        except WireError as error:
            reason = error.reason
        if reason != Reason.NONE and state.owns(account):
            out.reject(run.message.template, reason, account)


def _reject_run(state: State, out: Outbox, run: IndexedRun, reason: Reason) -> None:
    accounts = ROUTES.get(run.message.cls)
    rows = np.zeros(len(run.rows), OUTCOMES.by_class[Rejected].dtype)
    rows["index"], rows["template"], rows["reason"] = run.index, run.message.template, reason
    if accounts:
        rows["account"] = run.rows[accounts[0]]
    mine = np.array([state.owns(int(account)) for account in rows["account"]], np.bool_)
    out.emit_rows(Rejected, rows[mine])
