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

from insurance.backers import Request
from insurance.policy import InForce, Rank
from risk.profile import Profile
from risk.requirement import Scratch
from risk.tables import (
    POSITION,
    Holdings,
    I32Array,
    I64Array,
    Margins,
    Market,
    Profiles,
    U8Array,
    holdings_in,
    margins_in,
    rows,
)
from risk.vectors import on_cache_line
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
    count: I64Array  # type: ignore[assignment]  # a tuple's own `count` is of no use in a table
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
    stamp: I64Array
    """the last entry that touched the account, derived"""
    limited: U8Array
    """1: its owner holds too much of some underlying, derived"""
    limited_in: npt.NDArray[np.uint32]
    """the bits of those underlyings, derived"""
    name: npt.NDArray[np.bytes_]


@dataclass(slots=True)
class Order:
    """An open order, or a bid's reservation."""

    instrument: int
    quantity: int
    price: int


ALONE: Final = -1
"""the leg of a reservation that is for all that its bid could be awarded"""


class Reservation(NamedTuple):
    """What a bid's margin is reserved under: `leg` is the instrument of one of a portfolio's legs, or ALONE where the
    bid is for an auction of one instrument."""

    auction: int
    bid: int
    leg: int = ALONE

    @property
    def sealed(self) -> bool:
        """Whether it is a leg of a bid for a portfolio."""
        return self.leg != ALONE

    def told(self) -> tuple[int, ...]:
        """As a snapshot has it: a bid for one instrument names no leg."""
        return tuple(self) if self.sealed else self[:2]


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
    keeps: int | None = None
    """the position that its plan leaves, where what the account reduces by itself is taken off at once"""

    def told(self) -> list[int]:
        """The fields in order; what is not kept is left out."""
        fields = [self.account, self.instrument, self.remaining, self.start, self.step, self.floor, self.mark]
        return fields if self.keeps is None else [*fields, self.keeps]


@dataclass(slots=True)
class Portfolio:
    """A whole portfolio on offer to sealed bids; its lots by instrument are signed as the account's legs."""

    account: int
    mark: int
    closes: int
    """the mark at which it is awarded"""
    reserve: int
    lots: dict[int, int]


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
    feeds: dict[tuple[int, int], tuple[int, int, int, int]] = field(default_factory=dict)
    """(underlying, source) -> its last (price, bid, ask, time), where several feeds must agree"""
    uncertainty: dict[int, int] = field(default_factory=dict)
    """underlying -> micro-dollars around its last good price, where several feeds agreed on it"""
    heard: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(ledger.oracle.Told, underlying or asset, expiry) -> time of what was last told, where its age counts"""
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
    policy: InForce | None = None
    """the waterfall policy in force; None: none was ever published"""
    policy_rows: dict[int, tuple[Rank, ...]] = field(default_factory=dict)
    """rows of policies not yet published"""
    policy_pending: dict[tuple[int, bytes], tuple[Rank, ...]] = field(default_factory=dict)
    """(policy, SHA-256) -> layers published for a later time"""
    drawn: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(waterfall layer, member, asset) -> asked of it since the policy took effect; member 0 of what is the house's"""
    parts: dict[tuple[int, int], int] = field(default_factory=dict)
    """(member, asset) -> what is left of its contribution to the default fund"""
    units: dict[tuple[int, int], int] = field(default_factory=dict)
    """(backer, asset) -> units of the insurance fund"""
    requests: list[tuple[int, Request]] = field(default_factory=list)
    """(end of the notice, what a backer asked for), in order of arrival"""
    links: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(link kind, account, other) -> 1"""
    portfolios: dict[int, Portfolio] = field(default_factory=dict)
    """auction -> what is on offer whole"""
    portfolio_lots: dict[int, dict[int, int]] = field(default_factory=dict)
    """auction -> instrument -> lots told, not yet offered"""
    backstops: dict[int, int] = field(default_factory=dict)
    """account -> initial margin it undertakes to take over, micro-dollars"""
    withdrawals_held: int = 0
    """the mark from which nothing leaves; 0: nothing is held"""
    unproven: dict[int, int] = field(default_factory=dict)
    """asset -> time from which it counts as collateral, where it was listed under COLLATERAL_NOTICE"""
    defaults: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """member in default -> (time of the mark it was declared after, end of its porting window, 1: settled)"""
    breakers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """underlying -> (1: its open interest tripped its limit, the limit last told in micro-dollars)"""
    owner_limits: dict[tuple[int, int], int] = field(default_factory=dict)
    """(underlying, owner) -> the mark at which the owner was found to hold too much of it"""
    price_breakers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """underlying -> (its price at the last mark, the mark that lets new risk in again), where PRICE_BREAKER is set"""


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
    account_rows: npt.NDArray[np.void]
    """[accounts] ACCOUNT: what `accounts`, `margins` and part of `pool` are columns of"""
    position_rows: npt.NDArray[np.void]
    """[positions] POSITION: the other part of `pool`"""
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
    margins: Margins
    """last known margins, derived: of all accounts at a mark, of those touched after each entry"""
    n: int = 0
    time: int = 0
    mark: int = 0
    answered: int = 0
    """the last mark that the desk has answered in full"""
    market_number: int = 0
    facts: Facts = field(default_factory=Facts)
    orders: dict[int, dict[int, Order]] = field(default_factory=dict)
    """account -> order -> what rests"""
    reservations: dict[int, dict[Reservation, Order]] = field(default_factory=dict)
    """bidder -> what it is for -> what an award would bring"""
    auctions: dict[int, Auction] = field(default_factory=dict)
    called_down: dict[int, int] = field(default_factory=dict)
    """instrument -> lots that deleveraging calls asked for since the mark"""
    gains: dict[tuple[int, int], int] = field(default_factory=dict)
    """(account, asset) -> what it gained since the mark before, where a policy in force may cut it"""
    paid_for: set[int] = field(default_factory=set)
    """accounts whose deficit others paid since the last mark, or still owe part of; kept under CLOSE_DEFAULTED"""
    requested: dict[tuple[int, int], Withdrawal] = field(default_factory=dict)
    """(account, withdrawal) -> asked for, not yet answered"""
    approved: dict[tuple[int, int], Withdrawal] = field(default_factory=dict)
    order_tables: tuple[I32Array, I64Array, I64Array] | None = None
    """the orders as the kernels read them; None when they changed"""
    most_orders: int = 0
    """of one account, in those tables"""
    memory: Scratch | None = None
    """the margin kernel's working memory, derived"""

    def parameter(self, which: Parameter, scope: int = 0) -> int:
        """A parameter's value in force."""
        return self.facts.parameters.get((int(which), scope), DEFAULTS[which])

    def owns(self, account: int) -> bool:
        """Whether this shard keeps the books of this account number."""
        table = self.shard_of
        return (int(table[account]) if FIRST_ACCOUNT <= account < len(table) else 0) == self.shard

    def in_default(self, account: int) -> bool:
        """Whether the account's member is in default."""
        return bool(self.facts.defaults) and int(self.accounts.member[account]) in self.facts.defaults

    def knows_profile(self, number: int) -> bool:
        """Whether a margin profile of this number is in force or published for a later time."""
        return number in self.facts.profile_texts or any(key[0] == number for key in self.facts.profile_pending)

    def exists(self, account: int) -> bool:
        """Whether a customer's account has this number."""
        return FIRST_ACCOUNT <= account < len(self.accounts.status) and self.accounts.status[account] != UNOPENED


def _columns(kinds: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    return {name: np.full(shape, fill, dtype) for name, (dtype, fill) in kinds.items()}


MARKET_BY_INSTRUMENT: Final = {
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
COLD: Final[dict[str, Any]] = {"member": np.int64, "owner": np.int64, "name": "S24"}
"""account columns that no kernel reads for every leg"""
_HOT: Final = (
    "status",
    "owned",
    "segregation",
    "liquidator",
    "profile",
    "rung",
    "called",
    "fees_due",
    "stamp",
    "limited",
    "limited_in",
)
_FIRST_COLUMNS: Final = 8
"""assets that a row of balances has room for at first: one cache line"""

_FIRST_LINE: Final = {
    "start": (np.int64, 0),
    "count": (np.int64, 8),
    "capacity": (np.int64, 16),
    "profile": (np.int64, 24),
    "status": (np.uint8, 32),
    "owned": (np.uint8, 33),
    "rung": (np.uint8, 34),
    "liquidator": (np.uint8, 35),
    "segregation": (np.uint8, 36),
    "margin_status": (np.uint8, 37),
    "limited": (np.uint8, 38),
    "stamp": (np.int64, 40),
    "fees_due": (np.int64, 48),
    "order_count": (np.int64, 56),
}
"""column -> (type, byte): what posting a leg and margining an account without orders read lies in one cache line"""
_SECOND_LINE: Final = {
    "order_start": (np.int64, 64),
    "equity": (np.int64, 72),
    "maintenance": (np.int64, 80),
    "buffer": (np.int64, 88),
    "initial": (np.int64, 96),
    "worst": (np.int32, 104),
    "limited_in": (np.uint32, 108),
    "called": (np.int64, 112),
}
_PLACES: Final = _FIRST_LINE | _SECOND_LINE
ACCOUNT: Final = np.dtype(
    {
        "names": list(_PLACES),
        "formats": [kind for kind, _ in _PLACES.values()],
        "offsets": [offset for _, offset in _PLACES.values()],
        "itemsize": 128,
    }
)
"""an account, in one row of two cache lines"""


def accounts_in(table: npt.NDArray[np.void], cold: dict[str, npt.NDArray[Any]]) -> Accounts:
    """The columns of a table of ACCOUNT rows, with those that are kept apart."""
    return Accounts(**{name: table[name] for name in _HOT}, **cold)


def pool_in(table: npt.NDArray[np.void], positions: npt.NDArray[np.void]) -> Pool:
    """The columns that say whose positions are where, and of the positions."""
    per_account = {name: table[name] for name in ("start", "count", "capacity")}
    names = ("instrument", "quantity", "cost", "funding", "realised")
    return Pool(**per_account, **{name: positions[name] for name in names})


def genesis(shard: int = 0, shards: int = 1, shard_of: I32Array | None = None, *, accounts: int = 64) -> State:
    """The state before the first entry. `accounts` is how many numbers the tables hold at first; they grow."""
    instruments = 64
    market = Market(
        **_columns(MARKET_BY_INSTRUMENT, (instruments,)),
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
        losses=on_cache_line(1),
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
    table, positions = rows(ACCOUNT, accounts), rows(POSITION, 64)
    table["status"] = UNOPENED
    table["status"][:FIRST_ACCOUNT] = 0
    owner = np.zeros(0, np.int32) if shard_of is None else shard_of
    own(table, 0, owner, shard)
    cold = {name: np.zeros(len(table), kind) for name, kind in COLD.items()}
    return State(
        shard=shard,
        shards=shards,
        shard_of=owner,
        market=market,
        profiles=profiles,
        life=np.full(instruments, int(Life.UNLISTED), np.uint8),
        accounts=accounts_in(table, cold),
        pool=pool_in(table, positions),
        account_rows=table,
        position_rows=positions,
        used=0,
        balance=balance_rows(len(table), _FIRST_COLUMNS),
        net=np.zeros(instruments, np.int64),
        total=np.zeros(MAX_ASSETS, np.int64),
        position_total=np.zeros(instruments, np.int64),
        margins=margins_in(table, "margin_status"),
    )


def balance_rows(accounts: int, columns: int) -> I64Array:
    """[accounts, columns] zeros that begin on a cache line."""
    whole = rows(np.dtype([("row", np.int64, (columns,))]), accounts)
    return whole["row"][:accounts]


def own(table: npt.NDArray[np.void], first: int, shard_of: I32Array, shard: int) -> None:
    """Say of every number from `first` on, opened or not, whether this shard keeps its books; all keep the house's."""
    numbers = np.arange(first, len(table))
    known = shard_of[first : len(table)]
    owner = np.zeros(len(numbers), np.int32)
    owner[: len(known)] = known
    table["owned"][first:] = (owner == shard) | (numbers < FIRST_ACCOUNT)


def live_rows(pool: Pool, accounts: int | None = None) -> I64Array:
    """The pool's rows that hold positions, by account and instrument (of the first `accounts` numbers)."""
    lengths = pool.count[:accounts]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(pool.start[:accounts], lengths) + within


def holdings(state: State) -> Holdings:
    """The books as the margin kernels read them."""
    if state.order_tables is None:
        state.order_tables = _order_tables(state)
    return holdings_in(state.account_rows, state.position_rows, state.balance, state.order_tables)


def _order_tables(state: State) -> tuple[I32Array, I64Array, I64Array]:
    """The open orders by account; where each account's begin is written to its row."""
    table = state.account_rows
    table["order_count"] = 0
    found: list[tuple[int, int, int]] = []
    for account in sorted({*state.orders, *state.reservations}):
        first = len(found)
        found.extend((o.instrument, o.quantity, o.price) for _, o in sorted(state.orders.get(account, {}).items()))
        found.extend(
            (o.instrument, o.quantity, o.price) for _, o in sorted(state.reservations.get(account, {}).items())
        )
        table["order_start"][account], table["order_count"][account] = first, len(found) - first
    state.most_orders = int(table["order_count"].max())
    return order_columns(found)


def order_columns(orders: list[tuple[int, int, int]]) -> tuple[I32Array, I64Array, I64Array]:
    """Orders (instrument, lots, ticks) as the columns that the margin kernel reads."""
    whole = np.array(orders, np.int64).reshape(-1, 3)
    instrument = np.ascontiguousarray(whole[:, 0].astype(np.int32))
    return instrument, np.ascontiguousarray(whole[:, 1]), np.ascontiguousarray(whole[:, 2])
