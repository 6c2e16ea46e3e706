"""The waterfall on the books: a published policy takes effect, its layers lay out money, accounts' deficits are paid
from it. What a mark reports for it is here too; who pays how much is decided by the fund on totals."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from insurance.episode import BILLION
from insurance.policy import POOLS, InForce, Rank, fault_of
from insurance.waterfall import HOUSE_OF, Price
from ledger.closing import paid_by_others
from ledger.default_fund import part_taken
from ledger.margining import margins_of
from ledger.outbox import Outbox, can_take, post
from ledger.schedule import schedule
from ledger.state import UNOPENED, Pool, State
from risk.tables import I32Array, I64Array, U8Array
from risk.valuation import contract_value
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT, House
from schemas.compiled import compiled
from schemas.kinds import AccountStatus, Parameter, PostingKind, Reason, Rung, Segregation, Style, WaterfallLayer
from schemas.limits import MAX_AMOUNT, MAX_TIME
from schemas.outcomes import AssessmentCapacity, GainReported, LaidOut, LossBorne, PolicyApplied

MAX_LAYERS: Final = 16
MAX_POLICIES: Final = 64
_LAID_OUT: Final = int(House.LAID_OUT)
_PREMIUM: Final = int(Style.PREMIUM)


# --- the policy -------------------------------------------------------------------------------------------------------


def policy_layer(state: State, event: e.PolicyLayer, out: Outbox) -> Reason:
    """Take the next row of a policy; row 0 begins it anew."""
    rows = () if event.part == 0 else state.facts.policy_rows.get(event.policy, ())
    if event.policy >= MAX_POLICIES or event.part >= MAX_LAYERS:
        return Reason.TABLE_FULL
    if event.part != len(rows):
        return Reason.NUMBER_NOT_NEXT
    state.facts.policy_rows[event.policy] = (*rows, Rank(event.layer, event.share, event.amount))
    return Reason.NONE


def policy_published(state: State, event: e.PolicyPublished, out: Outbox) -> Reason:
    """A policy is whole: its layers must be ones, and it takes effect no earlier than the notice allows."""
    facts = state.facts
    rows = facts.policy_rows.get(event.policy, ())
    if len(rows) != event.layers or fault_of(rows) is not None:
        return Reason.POLICY_INVALID
    if (event.policy, event.digest) in facts.policy_pending:
        return Reason.POLICY_PENDING
    if not 0 <= event.effective <= MAX_TIME:
        return Reason.TIME_OUT_OF_RANGE
    if state.mark and event.effective < state.time + state.parameter(Parameter.NOTICE):
        return Reason.PARAMETER_TOO_SOON
    del facts.policy_rows[event.policy]
    facts.policy_pending[event.policy, event.digest] = rows
    schedule(state, event, event.effective)
    return Reason.NONE


def policy_due(state: State, event: e.PolicyPublished, out: Outbox) -> None:
    """A policy takes effect, and what may be used of each layer is counted anew."""
    facts = state.facts
    ranks = facts.policy_pending.pop((event.policy, event.digest))
    facts.policy = InForce(event.policy, state.mark, event.digest, ranks)
    facts.drawn.clear()
    if state.shard == 0:
        out.emit(
            PolicyApplied(index=out.index, policy=event.policy, layers=len(ranks), mark=state.mark, digest=event.digest)
        )


def in_policy(state: State, layer: WaterfallLayer) -> bool:
    """Whether a policy is in force and has this layer."""
    return state.facts.policy is not None and state.facts.policy.has(layer)


def prices(state: State) -> dict[int, Price]:
    """What each asset is worth at the last mark."""
    m = state.market
    return {asset: Price(int(m.asset_price[asset]), int(m.asset_scale[asset])) for asset in state.facts.assets}


# --- layers lay out money ---------------------------------------------------------------------------------------------


def _refusal(state: State, layer: WaterfallLayer, asset: int, mark: int, amount: int) -> Reason:
    if asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not in_policy(state, layer):
        return Reason.LAYER_NOT_IN_POLICY
    if not 0 < mark <= state.mark:
        return Reason.MARK_PASSED
    if not 0 < amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    return Reason.NONE


def layer_drawn(state: State, event: e.LayerDrawn, out: Outbox) -> Reason:
    """A pool lays out money, or a member's part of the default fund does; every shard counts it, shard 0 posts it."""
    layer = event.layer
    if reason := _refusal(state, layer, event.asset, event.mark, event.amount):
        return reason
    of_members = layer in (WaterfallLayer.MEMBER_CONTRIBUTION, WaterfallLayer.DEFAULT_FUND)
    if layer not in POOLS and not of_members:
        return Reason.LAYER_NOT_IN_POLICY
    if of_members and not part_taken(state, event.member, event.asset, event.amount):
        return Reason.LAYER_EMPTY
    _count(state, layer, event.member, event.asset, event.amount)
    if state.shard:
        return Reason.NONE
    house = int(House.DEFAULT_FUND if of_members else HOUSE_OF[layer])
    amount, reason = event.amount, Reason.NONE
    if layer == WaterfallLayer.OWN_CAPITAL:  # all of it is in this shard's books, and some may have gone to the fund
        amount = max(0, min(amount, int(state.balance[house, event.asset])))
        reason = Reason.NONE if amount == event.amount else Reason.LAYER_EMPTY
    # What may be laid out was paid in before, within MAX_AMOUNT at a time: the balances stay inside 64 bits.
    if amount:
        post(state, out, PostingKind.LAYER_DRAWN, event.asset, house, _LAID_OUT, amount, event.mark)
    _tell(out, layer, reason, event.asset, House.CUSTODY, event.member, event.mark, event.amount, amount)
    return Reason.NONE


def assessed(state: State, event: e.Assessed, out: Outbox) -> Reason:
    """Call on a member: every shard counts it, the account's own takes what its initial margin lets it."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if state.accounts.member[event.account] != event.member:
        return Reason.NO_SUCH_MEMBER
    if reason := _refusal(state, WaterfallLayer.ASSESSMENT, event.asset, event.mark, event.amount):
        return reason
    _count(state, WaterfallLayer.ASSESSMENT, event.member, event.asset, event.amount)
    if not state.owns(event.account):
        return Reason.NONE
    amount = min(event.amount, spare(state, event.account, event.asset))
    reason = Reason.NONE if amount == event.amount else Reason.ASSESSMENT_SHORT
    if amount:
        post(state, out, PostingKind.ASSESSMENT, event.asset, event.account, _LAID_OUT, amount, event.mark)
    _tell(
        out, WaterfallLayer.ASSESSMENT, reason, event.asset, event.account, event.member, event.mark, event.amount,
        amount,
    )  # fmt: skip
    return Reason.NONE


def gains_haircut(state: State, event: e.GainsHaircut, out: Outbox) -> Reason:
    """Take a part of each gain this shard reported at the mark, rounded against the account; each gain once."""
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not in_policy(state, WaterfallLayer.GAINS_HAIRCUT):
        return Reason.LAYER_NOT_IN_POLICY
    if event.mark != state.mark:
        return Reason.MARK_PASSED
    if not 0 < event.rate <= BILLION:
        return Reason.VALUE_OUT_OF_RANGE
    total = 0
    for account, asset in sorted(key for key in state.gains if key[1] == event.asset):
        cut = -(-state.gains.pop((account, asset)) * event.rate // BILLION)
        # A gain lies within the account's equity, so the balance stays far inside 64 bits.
        post(state, out, PostingKind.GAINS_HAIRCUT, asset, account, _LAID_OUT, cut, event.mark)
        total += cut
    if total:
        _tell(out, WaterfallLayer.GAINS_HAIRCUT, Reason.NONE, event.asset, House.CUSTODY, 0, event.mark, total, total)
    return Reason.NONE


def _count(state: State, layer: WaterfallLayer, member: int, asset: int, amount: int) -> None:
    """Remember what was asked of a layer: its limits hold as long as the policy does."""
    of = 0 if layer in (WaterfallLayer.OWN_CAPITAL, WaterfallLayer.FUND) else member
    key = (int(layer), of, asset)
    state.facts.drawn[key] = state.facts.drawn.get(key, 0) + amount


def _tell(
    out: Outbox,
    layer: WaterfallLayer,
    reason: Reason,
    asset: int,
    account: int,
    member: int,
    mark: int,
    asked: int,
    amount: int,
) -> None:
    out.emit(
        LaidOut(
            index=out.index,
            layer=layer,
            reason=reason,
            asset=asset,
            account=account,
            member=member,
            mark=mark,
            asked=asked,
            amount=amount,
        )
    )


# --- accounts are paid ------------------------------------------------------------------------------------------------


def layer_paid(state: State, event: e.LayerPaid, out: Outbox) -> Reason:
    """What a layer laid out covers (part of) what an account owes."""
    if not state.exists(event.account):
        return Reason.UNKNOWN_ACCOUNT
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    owed = -int(state.balance[event.account, event.asset])
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if event.amount > owed:
        return Reason.NOTHING_DUE
    if not can_take(state, _LAID_OUT, event.asset, -event.amount):
        return Reason.BALANCE_LIMIT
    post(state, out, PostingKind.LAYER_PAYMENT, event.asset, _LAID_OUT, event.account, event.amount, event.mark)
    paid_by_others(state, event.account)
    out.emit(
        LossBorne(
            index=out.index,
            layer=event.layer,
            asset=event.asset,
            account=event.account,
            member=event.member,
            mark=event.mark,
            amount=event.amount,
            remaining=owed - event.amount,
        )
    )
    return Reason.NONE


# --- what a mark reports ----------------------------------------------------------------------------------------------


def marks_before(state: State) -> I64Array | None:
    """The marks in force, before a new market is; None where no policy in force cuts gains."""
    return state.market.mark.copy() if in_policy(state, WaterfallLayer.GAINS_HAIRCUT) else None


def report(state: State, before: I64Array | None, out: Outbox) -> None:
    """Tell what members could be assessed for and what accounts gained since the marks `before`, where the policy in
    force asks for it."""
    state.gains.clear()
    if in_policy(state, WaterfallLayer.ASSESSMENT):
        _report_capacity(state, out)
    if before is not None:
        _report_gains(state, before, out)


def _report_capacity(state: State, out: Outbox) -> None:
    table = state.accounts
    for member, asset in sorted(state.facts.parts):
        house = (table.member == member) & (table.segregation == Segregation.HOUSE) & (table.owned == 1)
        for account in np.flatnonzero(house & (table.status == AccountStatus.OPEN)).tolist():
            if account >= FIRST_ACCOUNT and (amount := spare(state, account, asset)):
                told = AssessmentCapacity(
                    index=out.index, asset=asset, account=account, member=member, mark=state.mark, amount=amount
                )
                out.emit(told)


def spare(state: State, account: int, asset: int) -> int:
    """Smallest units of an asset that an account can give and keep its initial margin. Never above that; where coins
    carry margin themselves it may be less."""
    table = state.accounts
    if table.status[account] != AccountStatus.OPEN or table.rung[account] != Rung.HEALTHY:
        return 0
    margin = margins_of(state, account)
    if margin.reason != Reason.NONE:
        return 0
    price = prices(state).get(asset, Price(0, 1))
    held = int(state.balance[account, asset])
    amount = min(held, price.units(margin.equity - margin.initial), MAX_AMOUNT)
    while amount > 0:
        # Tried on the books and taken back at once: nothing else computes what margin would be.
        state.balance[account, asset] -= amount
        after = margins_of(state, account)
        state.balance[account, asset] += amount
        if after.reason == Reason.NONE and after.equity >= after.initial:
            return amount
        amount //= 2
    return 0


@compiled
def changes(
    accounts: I64Array,
    pool: Pool,
    payoff: U8Array,
    style: U8Array,
    settlement: I32Array,
    tick_value: I64Array,
    contract: I64Array,
    before: I64Array,
    now: I64Array,
    out: I64Array,
) -> None:
    """What the margined positions of accounts gained between two marks, [accounts, assets] in the settlement asset's
    smallest units, as if held all the time. What was not marked at both gained nothing."""
    for k in range(len(accounts)):
        account = accounts[k]
        for p in range(pool.start[account], pool.start[account] + pool.count[account]):
            i = pool.instrument[p]
            if pool.quantity[p] != 0 and before[i] != 0 and now[i] != 0 and style[i] != _PREMIUM:
                quantity = pool.quantity[p]
                after = contract_value(payoff[i], quantity, now[i], tick_value[i], contract[i])
                out[k, settlement[i]] += after - contract_value(
                    payoff[i], quantity, before[i], tick_value[i], contract[i]
                )


def _report_gains(state: State, before: I64Array, out: Outbox) -> None:
    table, m = state.accounts, state.market
    mine = (table.owned == 1) & (table.status != UNOPENED) & (table.rung < Rung.LIQUIDATING)
    mine[:FIRST_ACCOUNT] = False
    accounts = np.flatnonzero(mine).astype(np.int64)
    gained = np.zeros((len(accounts), state.balance.shape[1]), np.int64)
    known = np.zeros(len(m.mark), np.int64)
    known[: len(before)] = before
    changes(
        accounts, state.pool, m.payoff, m.style, m.settlement, m.tick_value, m.contract_value, known, m.mark, gained
    )
    worth = prices(state)
    total: defaultdict[int, int] = defaultdict(int)
    count: defaultdict[int, int] = defaultdict(int)
    for k in np.flatnonzero((gained > 0).any(axis=1)).tolist():
        account = int(accounts[k])
        left = int(state.margins.equity[account])
        for asset in np.flatnonzero(gained[k] > 0).tolist():
            price = worth[asset]
            # No more than the account is worth: a haircut never puts it into deficit.
            gain = min(int(gained[k, asset]), price.units(left), MAX_AMOUNT)
            if gain > 0:
                left -= -(-gain * price.price // price.scale)
                state.gains[account, asset] = gain
                total[asset] += gain
                count[asset] += 1
    for asset in sorted(total):
        told = GainReported(index=out.index, asset=asset, accounts=count[asset], mark=state.mark, gains=total[asset])
        out.emit(told)
