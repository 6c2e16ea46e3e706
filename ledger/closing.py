"""The ladder's last rung: an account whose deficit others paid and that has nothing left is closed at the next mark."""

from __future__ import annotations

import numpy as np

from ledger.members import open_positions
from ledger.state import State
from risk.tables import I64Array, U8Array
from schemas.kinds import AccountStatus, Parameter, Rung


def paid_by_others(state: State, account: int) -> None:
    """Remember until the next mark that the fund or a layer of the waterfall paid what an account owed."""
    if state.parameter(Parameter.CLOSE_DEFAULTED):
        state.paid_for.add(account)


def has_anything(state: State, account: int) -> bool:
    """Whether an account holds or owes anything, or has anything on its way that could come back to it."""
    return bool(
        state.balance[account].any()
        or state.accounts.fees_due[account]
        or open_positions(state, account)
        or state.orders.get(account)
        or state.reservations.get(account)
        or any(key[0] == account for key in state.approved)
    )


def closed(state: State, accounts: I64Array, before: U8Array, after: U8Array) -> U8Array:
    """The accounts' rungs with one rule more: who was paid for by others and has nothing is CLOSED, in its status too,
    and stays so until an `AccountChanged` reopens it.

    Who still owes is remembered for the mark at which the rest is paid; who has something of his own again is not.
    Only the shard that keeps an account's books closes it: no other one looks at its status.
    """
    paid_for = state.paid_for if state.parameter(Parameter.CLOSE_DEFAULTED) else set[int]()
    state.paid_for = {account for account in paid_for if (state.balance[account] < 0).any()}
    mine = np.flatnonzero((before == Rung.CLOSED) | np.isin(accounts, sorted(paid_for)))
    if not len(mine):
        return after
    rungs = after.copy()
    for at, account in zip(mine.tolist(), accounts[mine].tolist(), strict=True):
        shut = before[at] == Rung.CLOSED and state.accounts.status[account] == AccountStatus.CLOSED
        if (shut or account in paid_for) and not has_anything(state, account):
            state.accounts.status[account] = AccountStatus.CLOSED
            rungs[at] = Rung.CLOSED
    return rungs
