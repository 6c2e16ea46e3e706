"""What must always hold: one function an invariant, each returning what it found wrong.

After each entry every posting of every asset sums to zero, and so does every position. At a mark the shard's tables are
added up anew, and over all shards the clearinghouse must come out flat, its cash equal to what open positions cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from ledger.state import Life, State, live_rows
from schemas.chart import House
from schemas.kinds import Style
from schemas.outcomes import HouseBalance, MemberPart, NetPosition


class ConservationBroken(RuntimeError):  # noqa: N818 - named for what is found
    """Money or positions appeared or vanished. The ledger must stop: nothing after this entry can be trusted."""

    def __init__(self, n: int, broken: Iterable[str]) -> None:
        self.n = n
        self.broken = tuple(broken)
        super().__init__(f"n {n}: " + "; ".join(self.broken))


def postings_balance(state: State) -> list[str]:
    """Every single write to a balance has found its counterpart."""
    return [f"asset {a}: postings sum to {int(state.total[a])}" for a in np.flatnonzero(state.total).tolist()]


def positions_balance(state: State) -> list[str]:
    """Every single write to a position has found the clearinghouse's."""
    wrong = np.flatnonzero(state.position_total).tolist()
    return [f"instrument {i}: legs sum to {int(state.position_total[i])}" for i in wrong]


def balances_add_up(state: State) -> list[str]:
    """The balances as they stand, the house's included, sum to zero in each asset."""
    sums = state.balance.sum(axis=0)
    return [f"asset {a}: balances sum to {int(sums[a])}" for a in np.flatnonzero(sums).tolist()]


def positions_add_up(state: State) -> list[str]:
    """The positions as they stand and the clearinghouse's net position sum to zero in each instrument."""
    held = state.net.copy()
    for instrument, quantity, _ in _open_positions(state):
        held[instrument] += quantity
    return [f"instrument {i}: positions sum to {int(held[i])}" for i in np.flatnonzero(held).tolist()]


def check_entry(state: State) -> None:
    """Raise ConservationBroken where an entry left anything unbalanced."""
    if state.total.any() or state.position_total.any():
        raise ConservationBroken(state.n, [*postings_balance(state), *positions_balance(state)])


def check_tables(state: State) -> None:
    """Raise ConservationBroken where the tables, added up anew, do not balance."""
    broken = [*balances_add_up(state), *positions_add_up(state)]
    if broken:
        raise ConservationBroken(state.n, broken)


def _open_positions(state: State) -> list[tuple[int, int, int]]:
    """(instrument, sum of quantities, sum of costs) over the shard's accounts."""
    pool = state.pool
    rows = live_rows(pool)
    instruments = pool.instrument[rows]
    quantity = np.zeros(len(state.life), np.int64)
    cost = np.zeros(len(state.life), np.int64)
    np.add.at(quantity, instruments, pool.quantity[rows])
    np.add.at(cost, instruments, pool.cost[rows])
    return [(int(i), int(quantity[i]), int(cost[i])) for i in np.unique(instruments)]


def net_positions(state: State, index: int) -> list[NetPosition]:
    """What the shard tells of its clearinghouse account at a mark: net positions, and the cost of what it margins."""
    costs = {instrument: cost for instrument, _, cost in _open_positions(state)}
    return [
        NetPosition(
            index=index,
            instrument=number,
            quantity=int(state.net[number]),
            cost=0 if listed.style == Style.PREMIUM else costs.get(number, 0),
        )
        for number, listed in sorted(state.facts.instruments.items())
        if (state.net[number] or costs.get(number)) and state.life[number] != Life.UNLISTED
    ]


def house_balances(state: State, index: int) -> list[HouseBalance]:
    """The shard's house balances at a mark."""
    return [
        HouseBalance(index=index, asset=asset, account=int(house), balance=int(state.balance[house, asset]))
        for house in House
        for asset in sorted(state.facts.assets)
        if state.balance[house, asset]
    ]


class Books(NamedTuple):
    """House balances and net positions over all shards at a mark."""

    balance: dict[tuple[int, int], int]
    """(house account, asset) -> smallest units"""
    position: dict[int, int]
    """instrument -> lots that CLEARINGHOUSE holds"""
    cost: dict[int, int]
    """asset -> cost of all open margined positions"""
    parts: dict[int, int]
    """asset -> what is left of the members' contributions to the default fund"""


def books(outcomes: Iterable[Any], settlement_asset: dict[int, int]) -> Books:
    """Add up what all shards told at one mark."""
    balance: defaultdict[tuple[int, int], int] = defaultdict(int)
    position: defaultdict[int, int] = defaultdict(int)
    cost: defaultdict[int, int] = defaultdict(int)
    parts: defaultdict[int, int] = defaultdict(int)
    for one in outcomes:
        if isinstance(one, HouseBalance):
            balance[(one.account, one.asset)] += one.balance
        elif isinstance(one, NetPosition):
            position[one.instrument] += one.quantity
            cost[settlement_asset[one.instrument]] += one.cost
        elif isinstance(one, MemberPart):
            parts[one.asset] += one.amount
    return Books(dict(balance), dict(position), dict(cost), dict(parts))


def clearinghouse_is_flat(told: Books, in_flight: dict[int, int]) -> list[str]:
    """Over all shards the clearinghouse holds nothing but the legs named as in flight (instrument -> lots)."""
    return [
        f"instrument {i}: the clearinghouse holds {told.position.get(i, 0)}, {in_flight.get(i, 0)} are in flight"
        for i in sorted({*told.position, *in_flight})
        if told.position.get(i, 0) != in_flight.get(i, 0)
    ]


def clearinghouse_cash_is_cost(told: Books) -> list[str]:
    """Over all shards the clearinghouse's cash is minus what the open margined positions cost, and nothing else."""
    assets = sorted({*told.cost, *(asset for house, asset in told.balance if house == House.CLEARINGHOUSE)})
    return [
        f"asset {a}: the clearinghouse has {told.balance.get((House.CLEARINGHOUSE, a), 0)},"
        f" open positions cost {told.cost.get(a, 0)}"
        for a in assets
        if told.balance.get((House.CLEARINGHOUSE, a), 0) + told.cost.get(a, 0) != 0
    ]


NEVER_NEGATIVE: Final = {
    House.FUND: "the fund",
    House.OWN_CAPITAL: "the clearinghouse's own capital",
    House.DEFAULT_FUND: "the default fund",
    House.LAID_OUT: "what the layers laid out",
}
"""House accounts that pay losses, and never what they do not have"""


def fund_is_not_negative(told: Books) -> list[str]:
    """The insurance fund, and whatever else pays losses, never pays what it does not have."""
    return [
        f"asset {asset}: {NEVER_NEGATIVE[House(house)]} has {balance}"
        for (house, asset), balance in sorted(told.balance.items())
        if house in NEVER_NEGATIVE and balance < 0
    ]


def default_fund_is_its_members(told: Books) -> list[str]:
    """The default fund is what is left of its members' contributions, to the unit."""
    held = {asset: balance for (house, asset), balance in told.balance.items() if house == House.DEFAULT_FUND}
    return [
        f"asset {asset}: the default fund has {held.get(asset, 0)}, its members' parts are {told.parts.get(asset, 0)}"
        for asset in sorted({*held, *told.parts})
        if held.get(asset, 0) != told.parts.get(asset, 0)
    ]


def check_books(n: int, told: Books, in_flight: dict[int, int] | None = None) -> None:
    """Raise ConservationBroken where the shards together do not balance at a mark."""
    broken = [
        *clearinghouse_is_flat(told, in_flight or {}),
        *clearinghouse_cash_is_cost(told),
        *fund_is_not_negative(told),
        *default_fund_is_its_members(told),
    ]
    if broken:
        raise ConservationBroken(n, broken)
