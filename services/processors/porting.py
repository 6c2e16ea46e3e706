"""The fund's part in a member's default: who goes over to whom, and what the member's own accounts pay first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from insurance.fund import Owed
from insurance.porting import Estate, lay, portings
from ledger.members import accounts_of, pool_of, unsettled, window_over
from ledger.state import State
from schemas.events import AccountPorted, MemberResourcesGiven, MemberResourcesTaken, MemberSettled
from schemas.kinds import Parameter, Segregation
from schemas.outcomes import DeficitFound, MarkDone, MemberStanding, PortingChecked, ResourcesMoved

LISTENS: Final = (PortingChecked, MemberStanding, ResourcesMoved, DeficitFound, MarkDone)
"""The outcomes it acts on; it keeps nothing of them, as each entry is heard with what all shards said of it."""


def answered(said: Sequence[Any], state: State, *, under_way: bool) -> tuple[list[DeficitFound] | None, list[Any]]:
    """The deficits left for the fund, None where they are those that were told; and the events that answer an entry.

    `under_way`: something that the fund's source said is not in the journal yet. What a mark told is then not what
    accounts will have, and everything of members in default waits a mark. Off while no member is in default.
    """
    if not state.facts.defaults:
        return None, []
    events = [*_ported(said, state), *_passed_on(said)]
    if not any(isinstance(one, MarkDone) for one in said) or not unsettled(state):
        return None, events
    deficits = [one for one in said if isinstance(one, DeficitFound)]
    if under_way:
        waiting = {account for member in unsettled(state) for account in accounts_of(state, member)}
        return [one for one in deficits if one.account not in waiting], events
    laid = lay(
        _estates(state),
        (one for one in said if isinstance(one, MemberStanding)),
        (Owed(one.account, one.asset, one.amount) for one in deficits),
        covers=bool(state.parameter(Parameter.HOUSE_COVERS_CLIENTS)),
    )
    events += [
        MemberResourcesTaken(asset=asset, account=source, other=account, mark=state.mark, amount=amount)
        for source, account, asset, amount in laid.transfers
    ]
    events += [MemberSettled(member=member, mark=state.mark) for member in laid.settled]
    left = [DeficitFound(index=0, asset=a, account=n, mark=state.mark, amount=x) for n, a, x in laid.left]
    return left, events


def _estates(state: State) -> list[Estate]:
    estates = []
    for member in unsettled(state):
        accounts = accounts_of(state, member)
        segregation = {one: Segregation(int(state.accounts.segregation[one])) for one in accounts}
        pool: dict[int, int] = {}
        for one in accounts:
            if segregation[one] == Segregation.OMNIBUS and one not in pool:
                whole = pool_of(state, one)
                pool |= dict.fromkeys(whole, whole[0])
        estates.append(Estate(member, window_over(state, member), segregation, pool))
    return estates


def _ported(said: Iterable[Any], state: State) -> list[AccountPorted]:
    checked = [one for one in said if isinstance(one, PortingChecked)]
    whole = {one.head: pool_of(state, one.head) for one in checked}
    return [
        AccountPorted(account=account, member=int(state.accounts.member[account]), taker=taker)
        for account, taker in portings(checked, whole)
    ]


def _passed_on(said: Iterable[Any]) -> list[MemberResourcesGiven]:
    """What was set aside is given to whom it was set aside for; what that one did not need goes back."""
    moved = sorted(
        (one for one in said if isinstance(one, ResourcesMoved)), key=lambda one: (one.index, one.account, one.other)
    )
    events = []
    for one in moved:
        if not one.given:
            account, other, amount = one.other, one.account, one.amount
        elif one.account != one.other and one.left:
            account, other, amount = one.other, one.other, one.left
        else:
            continue
        events.append(MemberResourcesGiven(asset=one.asset, account=account, other=other, mark=one.mark, amount=amount))
    return events
