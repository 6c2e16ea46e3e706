"""Money in and out: deposits, withdrawals, contributions to the fund and to own capital."""

from __future__ import annotations

from ledger.backers import contributed
from ledger.margining import margins_of
from ledger.members import holds_withdrawals
from ledger.oracle import withdrawal_refusal
from ledger.outbox import Outbox, can_take, post
from ledger.state import State, Withdrawal
from schemas import events as e
from schemas.chart import House
from schemas.kinds import AccountStatus, Parameter, PostingKind, Reason, Rung, WithdrawalDecision
from schemas.limits import MAX_AMOUNT
from schemas.outcomes import WithdrawalAnswered, WithdrawalsHold, WithdrawalWaiting

CUSTODY, FUND, TRANSIT, OWN_CAPITAL = (int(House[n]) for n in ("CUSTODY", "FUND", "TRANSIT", "OWN_CAPITAL"))


def _account_takes(state: State, account: int) -> Reason:
    if not state.exists(account):
        return Reason.UNKNOWN_ACCOUNT
    if state.accounts.status[account] == AccountStatus.CLOSED:
        return Reason.ACCOUNT_CLOSED
    return Reason.NONE


def deposited(state: State, event: e.Deposited, out: Outbox) -> Reason:
    """Credit what arrived at the custodian."""
    if reason := _account_takes(state, event.account):
        return reason
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if not can_take(state, event.account, event.asset, event.amount) or not can_take(
        state, CUSTODY, event.asset, -event.amount
    ):
        return Reason.BALANCE_LIMIT
    post(state, out, PostingKind.DEPOSIT, event.asset, CUSTODY, event.account, event.amount, event.deposit)
    return Reason.NONE


def withdrawal_requested(state: State, event: e.WithdrawalRequested, out: Outbox) -> Reason:
    """Keep a request for the next mark to answer."""
    if reason := _account_takes(state, event.account):
        return reason
    if state.accounts.status[event.account] == AccountStatus.FROZEN:
        return Reason.ACCOUNT_FROZEN
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    key = (event.account, event.withdrawal)
    if key in state.requested or key in state.approved:
        return Reason.WITHDRAWAL_EXISTS
    state.requested[key] = Withdrawal(event.asset, event.amount)
    return Reason.NONE


def answer_withdrawals(state: State, out: Outbox) -> None:
    """Approve or refuse every request, in order of arrival: what remains must cover the initial margin without any
    unrealised gain, and an account that is not healthy takes nothing out.

    Where withdrawals may be held or are limited by the day no shard can approve one by itself: what its account can
    carry is told as waiting, at each mark anew, until it is judged on the totals of all shards.
    """
    held = bool(state.parameter(Parameter.WITHDRAWAL_HOLD))
    kept: dict[tuple[int, int], Withdrawal] = {}
    for key, asked in state.requested.items():
        reason = _withdrawal_refusal(state, key[0], asked)
        if reason == Reason.NONE and (held or state.parameter(Parameter.WITHDRAWAL_RATE, asked.asset)):
            kept[key] = asked
            out.emit(
                WithdrawalWaiting(
                    index=out.index,
                    asset=asked.asset,
                    account=key[0],
                    withdrawal=key[1],
                    mark=state.mark,
                    amount=asked.amount,
                )
            )
        else:
            _answer(state, out, key, asked, reason)
    state.requested = kept


def _answer(state: State, out: Outbox, key: tuple[int, int], asked: Withdrawal, reason: Reason) -> None:
    account, number = key
    out.emit(
        WithdrawalAnswered(
            index=out.index, reason=reason, asset=asked.asset, account=account, withdrawal=number, amount=asked.amount
        )
    )
    if reason == Reason.NONE:
        post(state, out, PostingKind.WITHDRAWAL, asked.asset, account, TRANSIT, asked.amount, number)
        state.approved[key] = asked


def withdrawals_held(state: State, event: e.WithdrawalsHeld, out: Outbox) -> Reason:
    """Nothing leaves from this mark on, or withdrawals are answered again."""
    if event.mark != state.mark or state.answered == state.mark:
        return Reason.WITHDRAWAL_NOT_DUE
    state.facts.withdrawals_held = event.mark if event.held else 0
    if state.shard == 0:
        out.emit(WithdrawalsHold(index=out.index, held=1 if event.held else 0, mark=event.mark))
    return Reason.NONE


def withdrawal_judged(state: State, event: e.WithdrawalJudged, out: Outbox) -> Reason:
    """Answer a waiting withdrawal by what all shards' totals allow, and by its own account's books as they are now."""
    key = (event.account, event.withdrawal)
    asked = state.requested.get(key)
    if asked is None:
        return Reason.UNKNOWN_WITHDRAWAL
    if event.mark != state.mark or state.answered == state.mark:
        return Reason.WITHDRAWAL_NOT_DUE  # what was known of another mark allows nothing at this one
    if event.allowed and state.facts.withdrawals_held:
        return Reason.WITHDRAWAL_HELD
    del state.requested[key]
    reason = _withdrawal_refusal(state, event.account, asked) if event.allowed else Reason.WITHDRAWAL_RATE
    _answer(state, out, key, asked, reason)
    return Reason.NONE


def _withdrawal_refusal(state: State, account: int, asked: Withdrawal) -> Reason:
    if state.accounts.status[account] != AccountStatus.OPEN:
        return Reason.ACCOUNT_FROZEN
    if holds_withdrawals(state, account):
        return Reason.MEMBER_DEFAULTED
    if state.balance[account, asked.asset] < asked.amount:
        return Reason.WITHDRAWAL_UNCOVERED
    if state.accounts.rung[account] != Rung.HEALTHY:
        return Reason.WITHDRAWAL_BELOW_MARGIN
    if reason := withdrawal_refusal(state, account, asked.asset):
        return reason
    if not can_take(state, TRANSIT, asked.asset, asked.amount):
        return Reason.BALANCE_LIMIT
    # Tried on the books and taken back at once: nothing else computes what margin would be.
    state.balance[account, asked.asset] -= asked.amount
    margin = margins_of(state, account, gain=0)
    state.balance[account, asked.asset] += asked.amount
    if margin.reason == Reason.NO_RISK_ARRAY:
        return Reason.NO_RISK_ARRAY  # what margin would be is not known
    return Reason.NONE if margin.equity >= margin.initial else Reason.WITHDRAWAL_BELOW_MARGIN


def withdrawal_decided(state: State, event: e.WithdrawalDecided, out: Outbox) -> Reason:
    """Take a paid withdrawal out of the books, or give a returned one back."""
    approved = state.approved.get((event.account, event.withdrawal))
    if approved is None:
        pending = (event.account, event.withdrawal) in state.requested
        return Reason.WITHDRAWAL_PENDING if pending else Reason.UNKNOWN_WITHDRAWAL
    paid = event.decision == WithdrawalDecision.PAID
    if not paid and not can_take(state, event.account, approved.asset, approved.amount):
        return Reason.BALANCE_LIMIT
    post(
        state,
        out,
        PostingKind.WITHDRAWAL_PAID if paid else PostingKind.WITHDRAWAL_RETURNED,
        approved.asset,
        TRANSIT,
        CUSTODY if paid else event.account,
        approved.amount,
        event.withdrawal,
    )
    del state.approved[(event.account, event.withdrawal)]
    return Reason.NONE


def fund_contributed(state: State, event: e.FundContributed, out: Outbox) -> Reason:
    """Put money into the insurance fund, from a backer or from own capital."""
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    source = OWN_CAPITAL if event.own else CUSTODY
    if event.own and state.balance[OWN_CAPITAL, event.asset] < event.amount:
        return Reason.FUND_INSUFFICIENT
    if not can_take(state, FUND, event.asset, event.amount) or not can_take(state, source, event.asset, -event.amount):
        return Reason.BALANCE_LIMIT
    post(state, out, PostingKind.FUND_CONTRIBUTION, event.asset, source, FUND, event.amount, event.backer)
    contributed(state, event, out)
    return Reason.NONE


def capital_contributed(state: State, event: e.CapitalContributed, out: Outbox) -> Reason:
    """Put the clearinghouse's own capital in."""
    if event.asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < event.amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if not can_take(state, OWN_CAPITAL, event.asset, event.amount) or not can_take(
        state, CUSTODY, event.asset, -event.amount
    ):
        return Reason.BALANCE_LIMIT
    post(state, out, PostingKind.DEPOSIT, event.asset, CUSTODY, OWN_CAPITAL, event.amount)
    return Reason.NONE
