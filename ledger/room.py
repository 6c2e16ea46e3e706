"""Making room: the tables of a shard's state reach further when a number comes that they do not hold yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ledger.state import (
    ACCOUNT,
    COLD,
    MARKET_BY_INSTRUMENT,
    UNOPENED,
    Life,
    State,
    accounts_in,
    balance_rows,
    live_rows,
    own,
    pool_in,
)
from risk.tables import POSITION, margins_in, rows
from risk.vectors import on_cache_line
from schemas.limits import MAX_ASSETS, MAX_PROFILES


def grown(array: npt.NDArray[Any], size: int, fill: Any = 0) -> npt.NDArray[Any]:
    """The array with room for `size` rows, new ones filled."""
    if len(array) >= size:
        return array
    out = np.full((size, *array.shape[1:]), fill, array.dtype)
    out[: len(array)] = array
    return out


def room_for_account(state: State, account: int) -> None:
    """Make the account tables reach this number."""
    have = len(state.account_rows)
    if account < have:
        return
    size = max(account + 1, 2 * have)
    table = rows(ACCOUNT, size)
    table[:have] = state.account_rows
    table["status"][have:] = UNOPENED
    own(table, have, state.shard_of, state.shard)
    cold = {name: grown(getattr(state.accounts, name), size) for name in COLD}
    balance = balance_rows(size, state.balance.shape[1])
    balance[:have] = state.balance
    state.balance = balance
    put(state, table, state.position_rows, cold)


def put(
    state: State,
    table: npt.NDArray[np.void],
    positions: npt.NDArray[np.void],
    cold: dict[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Take these tables as the state's, and their columns as its views."""
    state.account_rows, state.position_rows = table, positions
    state.accounts = accounts_in(table, cold or {name: getattr(state.accounts, name) for name in COLD})
    state.pool = pool_in(table, positions)
    state.margins = margins_in(table, "margin_status")
    state.order_tables = None


def room_for_asset(state: State, asset: int) -> None:
    """Make a row of balances reach this asset."""
    have = state.balance.shape[1]
    if asset >= have:
        wider = balance_rows(len(state.balance), MAX_ASSETS)
        wider[:, :have] = state.balance
        state.balance = wider


def room_for_instrument(state: State, instrument: int) -> None:
    """Make the instrument tables reach this number."""
    have = len(state.life)
    if instrument < have:
        return
    size = max(instrument + 1, 2 * have)
    state.market = state.market._replace(
        **{name: grown(getattr(state.market, name), size, fill) for name, (_, fill) in MARKET_BY_INSTRUMENT.items()}
    )
    state.life = grown(state.life, size, int(Life.UNLISTED))
    state.net = grown(state.net, size)
    state.position_total = grown(state.position_total, size)
    old = state.profiles
    width, offset = old.width, old.offset.copy()
    losses = on_cache_line(max(1, int(width.sum()) * size))
    at = 0
    for number in range(MAX_PROFILES):
        k = int(width[number])
        begin = int(offset[number])
        losses[at : at + have * k] = old.losses[begin : begin + have * k]
        offset[number] = at
        at += size * k
    state.profiles = old._replace(
        losses=losses,
        offset=offset,
        has_row=np.ascontiguousarray(grown(old.has_row.T, size).T),
        largest=np.ascontiguousarray(grown(old.largest.T, size).T),
    )


def room_for_positions(state: State, more: int) -> None:
    """Make the pool hold so many positions more: blocks left behind are squeezed out first, then it doubles."""
    pool = state.pool
    size = len(pool.quantity)
    if state.used + more <= size:
        return
    live = int(pool.capacity.sum())
    while live + more > size:
        size *= 2
    fresh = rows(POSITION, size)
    starts = np.zeros(len(pool.count), np.int64)
    np.cumsum(pool.capacity[:-1], out=starts[1:])
    if held := int(pool.count.sum()):
        within = np.arange(held) - np.repeat(np.cumsum(pool.count) - pool.count, pool.count)
        fresh[np.repeat(starts, pool.count) + within] = state.position_rows[live_rows(pool)]
    state.account_rows["start"] = starts
    state.used = live
    put(state, state.account_rows, fresh)
