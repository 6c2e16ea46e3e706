"""Porting on the books: a client account goes over to another member; and what accounts of a member in default have
left pays what others of the same member owe, as far as segregation lets it."""

from __future__ import annotations

from ledger.margining import margins_of
from ledger.members import accounts_of, coins, known, open_positions, pool_of, window_over
from ledger.outbox import Outbox, can_take, post
from ledger.state import State
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, PostingKind, Reason, Rung, Segregation
from schemas.limits import MAX_AMOUNT
from schemas.outcomes import ClientPorted, PortingChecked, ResourcesMoved


def porting_accepted(state: State, event: e.PortingAccepted, out: Outbox) -> Reason:
    """A member is willing to take a client over: each account that would go is checked by the shard that keeps it."""
    if reason := _refusal(state, event.account, event.taker):
        return reason
    for account in pool_of(state, event.account):
        if state.accounts.owned[account]:
            reason = _breach(state, account)
            checked = PortingChecked(
                index=out.index, reason=reason, account=account, head=event.account, taker=event.taker
            )
            out.emit(checked)
    if state.parameter(Parameter.PORTING_MARGIN):
        _check_taker(state, event, out)
    return Reason.NONE


def _check_taker(state: State, event: e.PortingAccepted, out: Outbox) -> None:
    """The taker's house accounts are checked like those that would go: a member that does not carry itself takes
    nobody over."""
    for account in accounts_of(state, event.taker):
        if not state.accounts.owned[account] or state.accounts.segregation[account] != Segregation.HOUSE:
            continue
        healthy = state.accounts.rung[account] == Rung.HEALTHY and _breach(state, account) == Reason.NONE
        reason = Reason.NONE if healthy else Reason.PORTING_TAKER_BELOW_MARGIN
        out.emit(PortingChecked(index=out.index, reason=reason, account=account, head=event.account, taker=event.taker))


def account_ported(state: State, event: e.AccountPorted, out: Outbox) -> Reason:
    """A client's account is another member's from here on; positions, collateral and orders stay as they are."""
    if reason := _refusal(state, event.account, event.taker):
        return reason
    if state.accounts.member[event.account] != event.member:
        return Reason.MEMBER_NOT_DEFAULTED
    state.accounts.member[event.account] = event.taker
    if state.accounts.owned[event.account]:
        out.emit(ClientPorted(index=out.index, account=event.account, member=event.member, taker=event.taker))
    return Reason.NONE


def _refusal(state: State, account: int, taker: int) -> Reason:
    """Why an account cannot go over, from what every shard knows alike."""
    if not state.exists(account):
        return Reason.UNKNOWN_ACCOUNT
    member = int(state.accounts.member[account])
    if taker == member:
        return Reason.SAME_MEMBER
    if not state.in_default(account):
        return Reason.MEMBER_NOT_DEFAULTED
    if not known(state, taker):
        return Reason.UNKNOWN_MEMBER
    if taker in state.facts.defaults:
        return Reason.MEMBER_DEFAULTED
    if state.accounts.segregation[account] == Segregation.HOUSE:
        return Reason.PORTING_NOT_A_CLIENT
    if window_over(state, member):
        return Reason.PORTING_WINDOW_OVER
    return Reason.NONE


def _breach(state: State, account: int) -> Reason:
    """Why an account's own books keep it from going over: nobody takes over what does not carry itself."""
    if state.accounts.rung[account] >= Rung.LIQUIDATING:
        return Reason.PORTING_IN_BREACH
    margin = margins_of(state, account)
    if margin.reason != Reason.NONE:
        return margin.reason
    return Reason.PORTING_IN_BREACH if margin.equity < margin.initial else Reason.NONE


def resources_taken(state: State, event: e.MemberResourcesTaken, out: Outbox) -> Reason:
    """Set aside what a closed-out account has left, as much as is asked and it has, for another that owes it."""
    if reason := _of_one_default(state, event.account, event.other, event.asset, event.amount):
        return reason
    if reason := _segregated(state, event.account, event.other):
        return reason
    amount = min(event.amount, _free(state, event.account, event.asset))
    if amount <= 0:
        return Reason.NOTHING_DUE
    transit = int(House.TRANSIT)
    if not can_take(state, transit, event.asset, amount):
        return Reason.BALANCE_LIMIT
    post(state, out, _kind(state, event.account), event.asset, event.account, transit, amount, event.mark)
    _tell(state, event, out, given=0, amount=amount)
    return Reason.NONE


def resources_given(state: State, event: e.MemberResourcesGiven, out: Outbox) -> Reason:
    """Pay with what was set aside what an account owes, no more; or give back what nobody needed."""
    if reason := _of_one_default(state, event.account, event.other, event.asset, event.amount):
        return reason
    back = event.account == event.other
    owed = max(0, -int(state.balance[event.account, event.asset]))
    amount = event.amount if back else min(event.amount, owed)
    transit = int(House.TRANSIT)
    if not can_take(state, transit, event.asset, -amount) or not can_take(state, event.account, event.asset, amount):
        return Reason.BALANCE_LIMIT
    if amount:
        kind = PostingKind.RESOURCES_RETURNED if back else _kind(state, event.other)
        post(state, out, kind, event.asset, transit, event.account, amount, event.mark)
    _tell(state, event, out, given=1, amount=amount)
    return Reason.NONE


def _of_one_default(state: State, account: int, other: int, asset: int, amount: int) -> Reason:
    if not state.exists(account) or not state.exists(other):
        return Reason.UNKNOWN_ACCOUNT
    if asset not in state.facts.assets:
        return Reason.UNKNOWN_ASSET
    if not 0 < amount <= MAX_AMOUNT:
        return Reason.AMOUNT_NOT_POSITIVE
    if not state.in_default(account):
        return Reason.MEMBER_NOT_DEFAULTED
    if state.accounts.member[account] != state.accounts.member[other]:
        return Reason.SEGREGATION_FORBIDS
    return Reason.NONE


def _segregated(state: State, account: int, other: int) -> Reason:
    """Whether what an account has may pay what another of its member owes: the house's everything, an omnibus's its own
    omnibus, an individual's nothing."""
    if account == other:
        return Reason.SAME_ACCOUNT
    table = state.accounts
    if table.segregation[account] == Segregation.HOUSE:
        own = table.segregation[other] == Segregation.HOUSE
        return Reason.NONE if own or state.parameter(Parameter.HOUSE_COVERS_CLIENTS) else Reason.SEGREGATION_FORBIDS
    return Reason.NONE if other in pool_of(state, account) else Reason.SEGREGATION_FORBIDS


def _free(state: State, account: int, asset: int) -> int:
    """What an account has left of an asset: nothing while it holds a position, or owes anything itself."""
    if open_positions(state, account) or (state.balance[account] < 0).any():
        return 0
    house = state.accounts.segregation[account] == Segregation.HOUSE
    if not house and not window_over(state, int(state.accounts.member[account])):
        return 0
    return 0 if house and coins(state, account) else int(state.balance[account, asset])


def _kind(state: State, source: int) -> PostingKind:
    house = state.accounts.segregation[source] == Segregation.HOUSE
    return PostingKind.MEMBER_RESOURCES if house else PostingKind.OMNIBUS_SHARE


def _tell(
    state: State, event: e.MemberResourcesTaken | e.MemberResourcesGiven, out: Outbox, *, given: int, amount: int
) -> None:
    source = event.other if given else event.account
    out.emit(
        ResourcesMoved(
            index=out.index,
            given=given,
            segregation=Segregation(int(state.accounts.segregation[source])),
            asset=event.asset,
            account=event.account,
            other=event.other,
            mark=event.mark,
            amount=amount,
            left=event.amount - amount,
        )
    )
