"""Where no new risk may be opened though the instrument is open: a breaker tripped, or an owner holds too much."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ledger.state import UNOPENED, Life, State
from risk.tables import I64Array, U8Array
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import Kind, LinkKind, Reason


def barred(state: State) -> set[int]:
    """The underlyings in which nobody opens new risk now: their open interest or their price tripped a breaker."""
    facts = state.facts
    return {number for number, (tripped, _) in facts.breakers.items() if tripped} | {
        number for number, (_, until) in facts.price_breakers.items() if state.mark < until
    }


def lives(state: State) -> U8Array:
    """Every instrument's life as a trade meets it: an open one of a barred underlying is reduce-only. The council's
    statuses are not touched."""
    shut = barred(state)
    if not shut:
        return state.life
    held = np.isin(state.market.underlying, sorted(shut)) & (state.life == Life.OPEN)
    return np.where(held, np.uint8(Life.REDUCE_ONLY), state.life)


def opening_refusal(state: State, account: int, instrument: int) -> Reason:
    """Why an account may open no new risk in an instrument now, whatever its margin; NONE where it may."""
    listed = state.facts.instruments[instrument]
    if listed.kind == Kind.SPOT:
        return Reason.NONE
    if listed.underlying in barred(state):
        return Reason.BREAKER_TRIPPED
    if int(state.accounts.limited_in[account]) >> listed.underlying & 1:
        return Reason.OWNER_LIMITED
    return Reason.NONE


# --- owners -----------------------------------------------------------------------------------------------------------


def joined(state: State) -> dict[int, int]:
    """Owner -> the lowest number of the owners that OWNER links between accounts join it with, itself among them.
    Owners that no link joins with a lower one are left out."""
    parent: dict[int, int] = {}
    owner = state.accounts.owner
    for kind, account, other in state.facts.links:
        if kind == LinkKind.OWNER:
            low, high = sorted((_root(parent, int(owner[account])), _root(parent, int(owner[other]))))
            if low != high:
                parent[high] = low
    return {number: _root(parent, number) for number in parent}


def _root(parent: Mapping[int, int], number: int) -> int:
    while number in parent:
        number = parent[number]
    return number


def groups(state: State) -> tuple[I64Array, I64Array]:
    """The numbers of all customers' accounts, whatever shard keeps them, and each one's owner as `joined` names it."""
    accounts = np.flatnonzero(state.accounts.status != UNOPENED)
    accounts = accounts[accounts >= FIRST_ACCOUNT].astype(np.int64)
    owner = state.accounts.owner[accounts]
    for number, root in joined(state).items():
        owner[owner == number] = root
    return accounts, owner


def limited_groups(state: State) -> set[tuple[int, int]]:
    """(underlying, owner as `joined` names it) of those that hold too much."""
    if not state.facts.owner_limits:
        return set()
    names = joined(state)
    return {(underlying, names.get(owner, owner)) for underlying, owner in state.facts.owner_limits}


def mark_limited(state: State) -> None:
    """Write to the accounts what `owner_limits` says of their owners: after it, an account or a link has changed."""
    table = state.accounts
    table.limited[:] = 0
    table.limited_in[:] = 0
    limits = limited_groups(state)
    if not limits:
        return
    accounts, owner = groups(state)
    for underlying, number in limits:
        table.limited_in[accounts[owner == number]] |= np.uint32(1 << underlying)
    table.limited[:] = table.limited_in != 0


def take_in(state: State, account: int) -> None:
    """An account was opened: it is limited where its owner is."""
    if limits := limited_groups(state):
        owner = int(state.accounts.owner[account])
        name = joined(state).get(owner, owner)
        bits = sum(1 << underlying for underlying, number in limits if number == name)
        state.accounts.limited_in[account] = bits
        state.accounts.limited[account] = bits != 0
