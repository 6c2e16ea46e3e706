"""A member's default in the fold: who is in it, which of its accounts must be closed out, and what they have left.

The members in default are facts that every shard knows; what is asked here of an account only its own books tell.
`docs/porting.md` says the rules in words.
"""

from __future__ import annotations

import numpy as np

from ledger.orders import close_raising_orders
from ledger.outbox import Outbox
from ledger.state import UNOPENED, State
from risk.tables import I64Array, U8Array
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT
from schemas.defaults import RANGES
from schemas.kinds import LinkKind, Parameter, Reason, Rung, Segregation
from schemas.outcomes import CloseOutDue, MemberStanding


def accounts_of(state: State, member: int) -> list[int]:
    """Every account of a member, whichever shard keeps it, ascending."""
    table = state.accounts
    mine = (table.status != UNOPENED) & (table.member == member)
    return [account for account in np.flatnonzero(mine).tolist() if account >= FIRST_ACCOUNT]


def known(state: State, member: int) -> bool:
    """Whether any account names this member."""
    return bool(accounts_of(state, member))


def unsettled(state: State) -> list[int]:
    """The members in default whose accounts have not all been closed out or ported, ascending."""
    return sorted(member for member, (_, _, settled) in state.facts.defaults.items() if not settled)


def window_over(state: State, member: int) -> bool:
    """Whether the clients of a member in default can no longer be taken over."""
    return state.time >= state.facts.defaults[member][1]


def pool_of(state: State, account: int) -> list[int]:
    """The accounts that make one omnibus: those of a member that CLIENT links tie together, ascending.

    An account that is not OMNIBUS stands alone. Only links between OMNIBUS accounts of one member count.
    """
    table = state.accounts
    if table.segregation[account] != Segregation.OMNIBUS:
        return [account]
    ties = [(a, b) for kind, a, b in state.facts.links if kind == LinkKind.CLIENT]
    found, fresh = {account}, [account]
    while fresh:
        one = fresh.pop()
        for a, b in ties:
            other = b if a == one else a if b == one else one
            alike = (
                table.member[other] == table.member[account] and table.segregation[other] == table.segregation[account]
            )
            if other not in found and alike:
                found.add(other)
                fresh.append(other)
    return sorted(found)


def member_defaulted(state: State, event: e.MemberDefaulted, out: Outbox) -> Reason:
    """Put a member in default: the orders of its accounts that could raise risk end, the window begins."""
    if not known(state, event.member):
        return Reason.UNKNOWN_MEMBER
    if event.member in state.facts.defaults:
        return Reason.MEMBER_DEFAULTED
    if not 0 <= event.window <= RANGES[Parameter.PORTING_WINDOW][1]:
        return Reason.VALUE_OUT_OF_RANGE
    window = event.window or state.parameter(Parameter.PORTING_WINDOW)
    state.facts.defaults[event.member] = (state.time, state.time + window, 0)
    for account in accounts_of(state, event.member):
        if state.owns(account):
            close_raising_orders(state, out, account)
            out.touched.append(account)
    return Reason.NONE


def member_settled(state: State, event: e.MemberSettled, _out: Outbox) -> Reason:
    """A member's accounts are closed out or ported: what they have left is their owners' again."""
    if event.member not in unsettled(state):
        return Reason.MEMBER_NOT_DEFAULTED
    declared, until, _ = state.facts.defaults[event.member]
    state.facts.defaults[event.member] = (declared, until, 1)
    return Reason.NONE


def open_positions(state: State, account: int) -> bool:
    """Whether an account holds a position."""
    first = int(state.pool.start[account])
    return bool(state.pool.quantity[first : first + int(state.pool.count[account])].any())


def coins(state: State, account: int) -> list[int]:
    """Whole lots, signed, of each asset the account has or owes and that has a SPOT instrument."""
    m = state.market
    held = np.flatnonzero(state.balance[account]).tolist()
    lots = [
        (int(state.balance[account, asset]), int(m.lot_size[m.asset_spot[asset]]))
        for asset in held
        if m.asset_spot[asset] >= 0
    ]
    return [amount // lot if amount > 0 else -(-amount // lot) for amount, lot in lots if abs(amount) >= lot]


def must_close(state: State, account: int) -> bool:
    """Whether an account is to be closed out because its member is in default, and is not yet.

    A house account from the default on, until it holds neither positions nor whole lots of coins; a client's from the
    end of the window on, until it holds no position, owes no coin, and owes no dollars that its coins could pay.
    """
    if not state.in_default(account):
        return False
    house = state.accounts.segregation[account] == Segregation.HOUSE
    if not house and not window_over(state, int(state.accounts.member[account])):
        return False
    if open_positions(state, account):
        return True
    lots = coins(state, account)
    if house:
        return bool(lots)
    return any(n < 0 for n in lots) or (state.balance[account, 0] < 0 and bool(lots))


def forced(state: State, accounts: I64Array, rungs: U8Array) -> U8Array:
    """The accounts' rungs with one rule more: an account that must be closed out is in liquidation, whatever its
    margin."""
    if not state.facts.defaults:
        return rungs
    after = rungs.copy()
    mine = np.flatnonzero(np.isin(state.accounts.member[accounts], list(state.facts.defaults)))
    for at in mine.tolist():
        if must_close(state, int(accounts[at])):
            after[at] = max(int(after[at]), int(Rung.LIQUIDATING))
    return after


def tell_close_out(state: State, out: Outbox, account: int) -> None:
    """Say of an account in liquidation whether it is closed out for its member's default."""
    if must_close(state, account):
        house = state.accounts.segregation[account] == Segregation.HOUSE
        member = int(state.accounts.member[account])
        told = CloseOutDue(index=out.index, collateral=int(house), account=account, member=member, mark=state.mark)
        out.emit(told)


def tell_standings(state: State, out: Outbox) -> None:
    """Say how far this shard's accounts of members in default are: house accounts always, clients' after the window."""
    for member in unsettled(state):
        for account in accounts_of(state, member):
            house = state.accounts.segregation[account] == Segregation.HOUSE
            if state.owns(account) and (house or window_over(state, member)):
                _tell_standing(state, out, account, member)


def _tell_standing(state: State, out: Outbox, account: int, member: int) -> None:
    segregation = Segregation(int(state.accounts.segregation[account]))
    still = must_close(state, account)
    held = [(0, 0)] if still else [(a, int(state.balance[account, a])) for a in np.flatnonzero(state.balance[account])]
    for asset, balance in held:
        out.emit(
            MemberStanding(
                index=out.index,
                segregation=segregation,
                closed=0 if still else 1,
                asset=int(asset),
                account=account,
                member=member,
                mark=state.mark,
                balance=balance,
            )
        )


def holds_withdrawals(state: State, account: int) -> bool:
    """Whether nothing may leave an account because its member is in default.

    House and omnibus accounts until the default is settled, as others may have a claim on what they hold; an individual
    client's while it holds positions, which its collateral must go with.
    """
    if not state.in_default(account) or state.facts.defaults[int(state.accounts.member[account])][2]:
        return False
    return state.accounts.segregation[account] != Segregation.INDIVIDUAL or open_positions(state, account)


def costs_clients(state: State, account: int, quantity: int, price: int, mark: int) -> bool:
    """Whether a house account of a member in default would be deleveraged at a price worse than the mark for who is on
    the other side; its own clients are not asked then. `quantity` is signed as the house account's leg."""
    if not state.exists(account) or not state.in_default(account):
        return False
    if state.accounts.segregation[account] != Segregation.HOUSE:
        return False
    return price > mark if quantity < 0 else price < mark
