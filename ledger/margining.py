"""Margins of accounts as the books stand: the kernel of `risk.requirement` over this shard's tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ledger.state import Order, State, holdings, order_columns
from risk.requirement import Scratch, margin_accounts, scratch
from risk.tables import I64Array, holdings_in, margins
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import Reason


class Margin(NamedTuple):
    """One account's margin, micro-dollars; `reason` NONE when the figures stand."""

    equity: int
    maintenance: int
    buffer: int
    initial: int
    worst: int
    reason: Reason


def working_memory(state: State) -> Scratch:
    """The kernel's scratch over this shard; it is kept, as every call leaves it clean."""
    memory = state.memory
    if memory is None or len(memory.sold) < len(state.life) or len(memory.orders) < state.most_orders:
        memory = state.memory = scratch(len(state.life), state.most_orders)
    return memory


def margin_all(state: State) -> I64Array:
    """Margin every account this shard owns into `state.margins`; returns their numbers."""
    accounts = np.flatnonzero((state.accounts.owned == 1) & (state.accounts.status != 255)).astype(np.int64)
    accounts = accounts[accounts >= FIRST_ACCOUNT]
    tables = holdings(state)
    margin_accounts(accounts, tables, state.market, state.profiles, working_memory(state), state.margins)
    return accounts


def margin_touched(state: State, accounts: I64Array) -> None:
    """Margin these accounts into `state.margins`."""
    if len(accounts):
        tables = holdings(state)
        margin_accounts(accounts, tables, state.market, state.profiles, working_memory(state), state.margins)


def equities(state: State, accounts: I64Array) -> I64Array:
    """The equity of these accounts now, micro-dollars, in their order."""
    out, tables = margins(len(state.accounts.status)), holdings(state)
    margin_accounts(accounts, tables, state.market, state.profiles, working_memory(state), out)
    return out.equity[accounts]


def margins_of(state: State, account: int, *, gain: int | None = None) -> Margin:
    """One account's margin now; `gain` 0 counts no unrealised gain in its equity."""
    rows = [*state.orders.get(account, {}).values(), *state.reservations.get(account, {}).values()]
    return margin_with_orders(state, account, rows, gain=gain)


def margin_with_orders(state: State, account: int, rows: list[Order], *, gain: int | None = None) -> Margin:
    """One account's margin as if it had these orders."""
    table, out = state.account_rows, margins(account + 1)
    before = table["order_start"][account], table["order_count"][account]
    table["order_start"][account], table["order_count"][account] = 0, len(rows)
    orders = order_columns([(o.instrument, o.quantity, o.price) for o in rows])
    tables = holdings_in(table, state.position_rows, state.balance, orders)
    profiles = state.profiles if gain is None else state.profiles._replace(gain=np.full_like(state.profiles.gain, gain))
    memory = scratch(len(state.life), len(rows))
    margin_accounts(np.array([account], np.int64), tables, state.market, profiles, memory, out)
    # Tried on the account's row and taken back at once.
    table["order_start"][account], table["order_count"][account] = before
    return Margin(
        int(out.equity[account]),
        int(out.maintenance[account]),
        int(out.buffer[account]),
        int(out.initial[account]),
        int(out.worst[account]),
        Reason(int(out.status[account])),
    )
