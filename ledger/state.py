"""The state of one shard: the facts every shard shares, and the books of the accounts it owns.

Plain data: numpy tables indexed by the numbers that events carry, and small dictionaries keyed by names they gave.
Nothing here is named by n, so the same events cut into other batches leave the same state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.profile import Profile
from risk.tables import Holdings, I32Array, I64Array, Margins, Market, Profiles, U8Array, margins
from schemas.chart import FIRST_ACCOUNT
from schemas.defaults import DEFAULTS
from schemas.events import AssetListed, InstrumentListed, UnderlyingListed
from schemas.kinds import Parameter
from schemas.limits import MAX_ASSETS, MAX_PROFILES, MAX_UNDERLYINGS
from schemas.wire import Run

UNOPENED: Final = 255
"""an account number that no account has; the other values are schemas.kinds.AccountStatus"""


class Life(IntEnum):
    """An instrument's life in the fold: the statuses an event may give, and those that only the fold gives."""

    OPEN = 0
    HALTED = 1
    REDUCE_ONLY = 2
    DELISTED = 3
    EXPIRED = 4
    """past its expiry, not yet settled"""
    SETTLED = 5
    UNLISTED = 255


class Pool(NamedTuple):
    """Every account's positions, a block each, sorted by instrument; blocks double when full and leave the old one."""

    start: I64Array
    """[accounts]"""
    count: I64Array
    capacity: I64Array
    instrument: I32Array
    """[positions]"""
    quantity: I64Array
    cost: I64Array
    funding: I64Array
    realised: I64Array
    """[positions] profit realised so far, settlement asset"""


class Accounts(NamedTuple):
    """What is known of each account; the first rows are the house's."""

    status: U8Array
    owned: U8Array
    """1: this shard keeps its books"""
    segregation: U8Array
    liquidator: U8Array
    profile: I64Array
    member: I64Array
    owner: I64Array
    rung: U8Array
    called: I64Array
    """marks since the margin call"""
    fees_due: I64Array
    """micro-dollars"""
    name: npt.NDArray[np.bytes_]


@dataclass(slots=True)
class Order:
    """An open order, or a bid's reservation."""

    instrument: int
    quantity: int
    price: int


@dataclass(slots=True)
class Auction:
    """A running Dutch auction; `remaining` is signed as the account's leg."""

    account: int
    instrument: int
    remaining: int
    start: int
    step: int
    floor: int
    mark: int


@dataclass(slots=True)
class Withdrawal:
    """A withdrawal on its way."""

    asset: int
    amount: int


@dataclass(slots=True)
class Facts:
    """What every shard knows alike: listings, parameters, profiles, oracle values, markets."""

    assets: dict[int, AssetListed] = field(default_factory=dict)
    underlyings: dict[int, UnderlyingListed] = field(default_factory=dict)
    instruments: dict[int, InstrumentListed] = field(default_factory=dict)
    parameters: dict[tuple[int, int], int] = field(default_factory=dict)
    profiles: dict[int, Profile] = field(default_factory=dict)
    profile_texts: dict[int, str] = field(default_factory=dict)
    """texts in force, by profile"""
    profile_pending: dict[tuple[int, bytes], str] = field(default_factory=dict)
    """(profile, SHA-256) -> text published for a later time"""
    profile_parts: dict[int, list[str]] = field(default_factory=dict)
    """pieces of texts not yet published"""
    scheduled: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(effective, template, row): what takes effect at a later mark, in order of arrival"""
    oracle: dict[int, tuple[int, int]] = field(default_factory=dict)
    """underlying -> last good (price, time)"""
    sources: dict[tuple[int, int], int] = field(default_factory=dict)
    """(underlying, source) -> time of its last good price"""
    weights: dict[tuple[int, int], int] = field(default_factory=dict)
    """(underlying, source) -> weight in the index"""
    forwards: dict[tuple[int, int], int] = field(default_factory=dict)
    """(underlying, expiry) -> micro-dollars"""
    volatilities: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    """(underlying, expiry) -> strike (micro-dollars) -> millionths"""
    asset_prices: dict[int, int] = field(default_factory=dict)
    """asset -> micro-dollars"""
    settlements: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(underlying, expiry, instrument) -> final settlement price, kept until every instrument of it is settled"""
    buckets: dict[int, list[int]] = field(default_factory=dict)
    """underlying -> expiries by bucket number"""
    staged: dict[int, list[Run]] = field(default_factory=dict)
    """market -> its rows so far"""
    closed: dict[int, list[Run]] = field(default_factory=dict)
    """market -> its rows, whole and verified, waiting for a mark"""
    links: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(link kind, account, other) -> 1"""


@dataclass(slots=True)
class State:
    """One shard after some entry. `market`, `profiles`, `pool` and `accounts` are replaced when they grow."""

    shard: int
    shards: int
    shard_of: I32Array
    """[accounts] the explicit table; numbers beyond it, and the house's, belong to shard 0"""
    market: Market
    profiles: Profiles
    life: U8Array
    """[instruments] Life"""
    accounts: Accounts
    pool: Pool
    used: int
    """positions of the pool that blocks occupy"""
    balance: I64Array
    """[accounts, assets]"""
    net: I64Array
    """[instruments] what CLEARINGHOUSE holds"""
    total: I64Array
    """[assets] sum of every single write to a balance: zero after each entry"""
    position_total: I64Array
    """[instruments] sum of every single write to a position, CLEARINGHOUSE's included: zero after each entry"""
    stamp: I64Array
    """[accounts] the last entry that touched each account, derived"""
    margins: Margins
    """last known margins, derived: of all accounts at a mark, of those touched after each entry"""
    n: int = 0
    time: int = 0
    mark: int = 0
    market_number: int = 0
    facts: Facts = field(default_factory=Facts)
    orders: dict[int, dict[int, Order]] = field(default_factory=dict)
    """account -> order -> what rests"""
    reservations: dict[int, dict[tuple[int, int], Order]] = field(default_factory=dict)
    """bidder -> (auction, bid) -> what its award would bring"""
    auctions: dict[int, Auction] = field(default_factory=dict)
    called_down: dict[int, int] = field(default_factory=dict)
    """instrument -> lots that deleveraging calls asked for since the mark"""
    requested: dict[tuple[int, int], Withdrawal] = field(default_factory=dict)
    """(account, withdrawal) -> asked for, not yet answered"""
    approved: dict[tuple[int, int], Withdrawal] = field(default_factory=dict)
    order_tables: tuple[I64Array, I64Array, I32Array, I64Array, I64Array] | None = None
    """the orders as the kernels read them; None when they changed"""

    def parameter(self, which: Parameter, scope: int = 0) -> int:
        """A parameter's value in force."""
        return self.facts.parameters.get((int(which), scope), DEFAULTS[which])

    def owns(self, account: int) -> bool:
        """Whether this shard keeps the books of this account number."""
        table = self.shard_of
        return (int(table[account]) if FIRST_ACCOUNT <= account < len(table) else 0) == self.shard

    def knows_profile(self, number: int) -> bool:
        """Whether a margin profile of this number is in force or published for a later time."""
        return number in self.facts.profile_texts or any(key[0] == number for key in self.facts.profile_pending)

    def exists(self, account: int) -> bool:
        """Whether a customer's account has this number."""
        return FIRST_ACCOUNT <= account < len(self.accounts.status) and self.accounts.status[account] != UNOPENED


def _columns(kinds: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    return {name: np.full(shape, fill, dtype) for name, (dtype, fill) in kinds.items()}


_MARKET_BY_INSTRUMENT: Final = {
    "kind": (np.uint8, 0),
    "payoff": (np.uint8, 0),
    "style": (np.uint8, 0),
    "settling": (np.uint8, 0),
    "underlying": (np.int32, 0),
    "settlement": (np.int32, 0),
    "base": (np.int32, 0),
    "bucket": (np.int32, 0),
    "tick_value": (np.int64, 0),
    "contract_value": (np.int64, 0),
    "lot_size": (np.int64, 1),
    "mark": (np.int64, 0),
    "marked": (np.uint8, 0),
    "delta": (np.int64, 0),
    "notional": (np.int64, 0),
    "funding": (np.int64, 0),
}
_MARKET_BY_ASSET: Final = {
    "asset_price": (np.int64, 0),
    "asset_scale": (np.int64, 1),
    "haircut": (np.int64, 0),
    "asset_spot": (np.int32, -1),
}
_ACCOUNTS: Final = {
    "status": (np.uint8, UNOPENED),
    "owned": (np.uint8, 0),
    "segregation": (np.uint8, 0),
    "liquidator": (np.uint8, 0),
    "profile": (np.int64, 0),
    "member": (np.int64, 0),
    "owner": (np.int64, 0),
    "rung": (np.uint8, 0),
    "called": (np.int64, 0),
    "fees_due": (np.int64, 0),
    "name": ("S24", b""),
}


def genesis(shard: int = 0, shards: int = 1, shard_of: I32Array | None = None, *, accounts: int = 64) -> State:
    """The state before the first entry. `accounts` is how many numbers the tables hold at first; they grow."""
    instruments = 64
    market = Market(
        **_columns(_MARKET_BY_INSTRUMENT, (instruments,)),
        **_columns(_MARKET_BY_ASSET, (MAX_ASSETS,)),
    )
    zeros = np.zeros(MAX_PROFILES, np.int64)
    by_underlying = np.zeros((MAX_PROFILES, MAX_UNDERLYINGS), np.int64)
    profiles = Profiles(
        netting=np.zeros(MAX_PROFILES, np.uint8),
        gain=zeros.copy(),
        initial=zeros.copy(),
        buffer=zeros.copy(),
        width=zeros.copy(),
        offset=zeros.copy(),
        losses=np.zeros(1, np.int64),
        has_row=np.zeros((MAX_PROFILES, instruments), np.uint8),
        largest=np.zeros((MAX_PROFILES, instruments), np.int64),
        scan=by_underlying.copy(),
        basis=by_underlying.copy(),
        short_option=by_underlying.copy(),
        credit_start=zeros.copy(),
        credit_count=zeros.copy(),
        credit_a=np.zeros(1, np.int32),
        credit_b=np.zeros(1, np.int32),
        credit_rate=np.zeros(1, np.int64),
    )
    table = _columns(_ACCOUNTS, (accounts,))
    table["status"][:FIRST_ACCOUNT] = 0
    table["owned"][:FIRST_ACCOUNT] = 1
    empty: list[Any] = [np.zeros(64, np.int64) for _ in range(4)]
    pool = Pool(*(np.zeros(accounts, np.int64) for _ in range(3)), np.zeros(64, np.int32), *empty)
    return State(
        shard=shard,
        shards=shards,
        shard_of=np.zeros(0, np.int32) if shard_of is None else shard_of,
        market=market,
        profiles=profiles,
        life=np.full(instruments, int(Life.UNLISTED), np.uint8),
        accounts=Accounts(**table),
        pool=pool,
        used=0,
        balance=np.zeros((accounts, MAX_ASSETS), np.int64),
        net=np.zeros(instruments, np.int64),
        total=np.zeros(MAX_ASSETS, np.int64),
        position_total=np.zeros(instruments, np.int64),
        stamp=np.zeros(accounts, np.int64),
        margins=margins(accounts),
    )


def grown(array: npt.NDArray[Any], size: int, fill: Any = 0) -> npt.NDArray[Any]:
    """The array with room for `size` rows, new ones filled."""
    if len(array) >= size:
        return array
    out = np.full((size, *array.shape[1:]), fill, array.dtype)
    out[: len(array)] = array
    return out


def room_for_account(state: State, account: int) -> None:
    """Make the account tables reach this number."""
    have = len(state.accounts.status)
    if account < have:
        return
    size = max(account + 1, 2 * have)
    state.accounts = Accounts(
        **{name: grown(getattr(state.accounts, name), size, fill) for name, (_, fill) in _ACCOUNTS.items()}
    )
    state.pool = state.pool._replace(
        start=grown(state.pool.start, size),
        count=grown(state.pool.count, size),
        capacity=grown(state.pool.capacity, size),
    )
    state.balance = grown(state.balance, size)
    state.stamp = grown(state.stamp, size)
    state.margins = Margins(*(grown(column, size) for column in state.margins))
    state.order_tables = None


def room_for_instrument(state: State, instrument: int) -> None:
    """Make the instrument tables reach this number."""
    have = len(state.life)
    if instrument < have:
        return
    size = max(instrument + 1, 2 * have)
    state.market = state.market._replace(
        **{name: grown(getattr(state.market, name), size, fill) for name, (_, fill) in _MARKET_BY_INSTRUMENT.items()}
    )
    state.life = grown(state.life, size, int(Life.UNLISTED))
    state.net = grown(state.net, size)
    state.position_total = grown(state.position_total, size)
    old = state.profiles
    width, offset = old.width, old.offset.copy()
    losses = np.zeros(max(1, int(width.sum()) * size), np.int64)
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
    columns = ("instrument", "quantity", "cost", "funding", "realised")
    fresh = {name: np.zeros(size, getattr(pool, name).dtype) for name in columns}
    lengths = pool.count
    starts = np.zeros(len(lengths), np.int64)
    np.cumsum(pool.capacity[:-1], out=starts[1:])
    held = int(lengths.sum())
    if held:
        within = np.arange(held) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source = np.repeat(pool.start, lengths) + within
        target = np.repeat(starts, lengths) + within
        for name in columns:
            fresh[name][target] = getattr(pool, name)[source]
    state.pool = Pool(starts, pool.count, pool.capacity, **fresh)
    state.used = live


def live_rows(pool: Pool, accounts: int | None = None) -> I64Array:
    """The pool's rows that hold positions, by account and instrument (of the first `accounts` numbers)."""
    lengths = pool.count[:accounts]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(pool.start[:accounts], lengths) + within


def holdings(state: State) -> Holdings:
    """The books as the margin kernels read them."""
    if state.order_tables is None:
        state.order_tables = _order_tables(state)
    return Holdings(
        start=state.pool.start,
        count=state.pool.count,
        instrument=state.pool.instrument,
        quantity=state.pool.quantity,
        cost=state.pool.cost,
        funding=state.pool.funding,
        balance=state.balance,
        fees_due=state.accounts.fees_due,
        profile=state.accounts.profile,
        order_start=state.order_tables[0],
        order_count=state.order_tables[1],
        order_instrument=state.order_tables[2],
        order_quantity=state.order_tables[3],
        order_price=state.order_tables[4],
    )


def _order_tables(state: State) -> tuple[I64Array, I64Array, I32Array, I64Array, I64Array]:
    start = np.zeros(len(state.accounts.status), np.int64)
    count = np.zeros(len(state.accounts.status), np.int64)
    rows: list[tuple[int, int, int]] = []
    for account in sorted({*state.orders, *state.reservations}):
        own = state.orders.get(account, {})
        reserved = state.reservations.get(account, {})
        start[account] = len(rows)
        rows.extend((o.instrument, o.quantity, o.price) for _, o in sorted(own.items()))
        rows.extend((o.instrument, o.quantity, o.price) for _, o in sorted(reserved.items()))
        count[account] = len(rows) - start[account]
    table = np.array(rows, np.int64).reshape(-1, 3)
    return (
        start,
        count,
        np.ascontiguousarray(table[:, 0].astype(np.int32)),
        np.ascontiguousarray(table[:, 1]),
        np.ascontiguousarray(table[:, 2]),
    )
