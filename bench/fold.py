"""The fold on trades: 64 scenarios, margin known for every touched account after every entry, outcomes and hashes made.

What is timed is the road of a journal entry in one process on one core: numbering, decoding, splitting, posting both
legs, conservation, margins of the touched accounts, outcome bytes, and the hash chains over entries and outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger.chain import JOURNAL_GENESIS, link, link_numbered, outcomes_genesis
from ledger.fold import fold
from ledger.room import room_for_instrument, room_for_positions
from ledger.sequence import Numbered, SequenceState, SplitState, number, split
from ledger.state import State, genesis
from risk.profile import Netting
from risk.tables import I64Array
from risk.vectors import on_cache_line
from schemas.chart import FIRST_ACCOUNT, House
from schemas.compiled import compiled
from schemas.events import EVENTS, Trade
from schemas.kinds import Kind, Style
from schemas.limits import BASIS_POINTS, MICRO
from schemas.sources import Role, source
from schemas.wire import EntryHeader, Run, decode, encode_entry

SCENARIOS: Final = 64
INSTRUMENTS: Final = 200
GROUPS: Final = 20
"""accounts trade the ten instruments of their group, so each comes to hold about ten positions"""
PER_ENTRY: Final = 8_000
"""trades in a large entry: 512 kB"""
SMALL_ENTRY: Final = 1_000
"""trades in a small one: no account but a few is touched often, however few accounts there are"""
ROUNDS: Final = 5
ROUND: Final = 320_000
"""trades in a round"""
PROFILE: Final = 1
_TRADE = EVENTS.by_class[Trade]


def prepared(accounts: int, seed: int = 1) -> State:
    """A shard with so many accounts, listed instruments, marks and 64-scenario risk arrays under a SPAN-shaped profile.

    The tables are written directly: opening a million accounts event by event is not what is measured here.
    """
    draw = np.random.default_rng(seed)
    size = accounts + FIRST_ACCOUNT
    state = genesis(accounts=size)
    room_for_instrument(state, INSTRUMENTS)
    table, m = state.accounts, state.market
    table.status[:], table.owned[:], table.profile[FIRST_ACCOUNT:] = 0, 1, PROFILE
    listed = slice(1, INSTRUMENTS + 1)
    state.life[listed] = 0
    m.kind[listed] = np.where(np.arange(INSTRUMENTS) % 2, Kind.OPTION, Kind.PERP)
    m.style[listed] = np.where(np.arange(INSTRUMENTS) % 2, Style.PREMIUM, Style.FUTURES)
    m.underlying[listed] = np.arange(INSTRUMENTS) * 4 // INSTRUMENTS
    m.bucket[listed] = np.arange(INSTRUMENTS) % 8
    m.tick_value[listed], m.mark[listed], m.marked[listed] = 10, 800_000, 1
    m.notional[listed], m.delta[listed] = 8 * MICRO, 8 * MICRO << 10
    m.asset_price[0], m.asset_scale[0] = MICRO, MICRO
    p = state.profiles
    rows = len(state.life)
    losses = on_cache_line(rows, SCENARIOS)
    losses[:] = np.rint(draw.normal(0.0, 0.08, (rows, SCENARIOS)) * 8 * MICRO * 1024)
    p.width[PROFILE], p.netting[PROFILE], p.gain[PROFILE] = SCENARIOS, Netting.UNDERLYING, BASIS_POINTS
    p.initial[PROFILE], p.buffer[PROFILE] = 12_000, 1_000
    p.scan[PROFILE], p.basis[PROFILE], p.short_option[PROFILE] = 1_500, 100, 100
    p.has_row[PROFILE], p.largest[PROFILE] = 1, np.abs(losses).max(axis=1)
    p.credit_count[PROFILE] = 1
    state.profiles = p._replace(
        losses=losses.reshape(-1),
        credit_a=np.array([0], np.int32),
        credit_b=np.array([1], np.int32),
        credit_rate=np.array([5_000], np.int64),
    )
    state.balance[FIRST_ACCOUNT:, 0] = 10**6 * MICRO
    state.balance[House.CUSTODY, 0] = -(10**6) * MICRO * accounts
    room_for_positions(state, 16 * accounts)
    return state


def trades(draw: np.random.Generator, accounts: int, count: int = PER_ENTRY) -> npt.NDArray[np.void]:
    """One entry's trades between random accounts of random groups."""
    rows = np.zeros(count, _TRADE.dtype)
    group = draw.integers(0, GROUPS, count)
    members = accounts // GROUPS
    buyer = draw.integers(0, members, count)
    seller = (buyer + draw.integers(1, members, count)) % members
    rows["buyer"], rows["seller"] = FIRST_ACCOUNT + buyer * GROUPS + group, FIRST_ACCOUNT + seller * GROUPS + group
    rows["instrument"] = 1 + group * (INSTRUMENTS // GROUPS) + draw.integers(0, INSTRUMENTS // GROUPS, count)
    rows["quantity"], rows["price"] = draw.integers(1, 50, count), draw.integers(799_000, 801_000, count)
    rows["buyer_fee"], rows["seller_fee"] = 2_000, -500
    rows["trade"] = draw.integers(1, 2**60, count)
    return rows


@dataclass(slots=True)
class Road:
    """One shard and what numbers, splits and chains its entries."""

    state: State
    sequence: SequenceState
    splitting: SplitState
    journal: bytes = JOURNAL_GENESIS
    outcomes: bytes = outcomes_genesis(0)

    def take(self, data: bytes) -> bytes:
        """The whole road of an entry."""
        self.journal = link(self.journal, data)
        told = number(self.sequence, self.sequence.offset, data)
        assert isinstance(told, Numbered)
        runs = decode(told.data, EntryHeader, EVENTS).runs
        (part,) = split(self.splitting, told.n, runs, self.state.shard_of, told.source)
        out = fold(self.state, part)
        self.outcomes = link_numbered(self.outcomes, part.n, out)
        return out


def entries(draw: np.random.Generator, accounts: int, first: int, count: int, size: int) -> list[bytes]:
    """Encoded entries of `size` trades with sequence numbers from `first` on."""
    exchange = source(Role.EXCHANGE)
    return [encode_entry(exchange, first + k, [Run(_TRADE, trades(draw, accounts, size))]) for k in range(count)]


def nanoseconds(accounts: int, size: int = PER_ENTRY) -> float:
    """Nanoseconds a trade in entries of `size`, the median of ROUNDS, when every account has come to its positions."""
    draw = np.random.default_rng(7)
    road = Road(prepared(accounts), SequenceState(), SplitState.of(1))
    sent = 0
    for _ in range(max(10, round(accounts * 10 * 2.5 / (2 * PER_ENTRY)))):
        for data in entries(draw, accounts, sent + 1, 1, PER_ENTRY):
            road.take(data)
            sent += 1
    times = []
    for _ in range(ROUNDS):
        ready = entries(draw, accounts, sent + 1, ROUND // size, size)
        sent += len(ready)
        begun = perf_counter()
        for data in ready:
            road.take(data)
        times.append((perf_counter() - begun) / ROUND * 1e9)
    return median(times)


def bare(accounts: int) -> float:
    """Nanoseconds a trade of a bare loop: both sides' position, cost, 64-scenario loss vector and its maximum."""
    draw = np.random.default_rng(7)
    rows = [trades(draw, accounts) for _ in range(10)]
    losses = draw.integers(-(10**9), 10**9, (INSTRUMENTS + 1, SCENARIOS))
    size = accounts + FIRST_ACCOUNT
    quantity, cost = np.zeros(size * 10, np.int64), np.zeros(size * 10, np.int64)
    vector, worst = np.zeros((size, SCENARIOS), np.int64), np.zeros(size, np.int64)
    names = ("buyer", "seller", "instrument", "quantity", "price")
    columns = [tuple(np.ascontiguousarray(row[name]) for name in names) for row in rows]
    _bare_loop(columns[0], losses, quantity, cost, vector, worst)
    times = []
    for column in columns:
        begun = perf_counter()
        _bare_loop(column, losses, quantity, cost, vector, worst)
        times.append((perf_counter() - begun) / PER_ENTRY * 1e9)
    return median(times)


@compiled
def _bare_loop(
    trades: Any, losses: I64Array, quantity: I64Array, cost: I64Array, vector: I64Array, worst: I64Array
) -> None:
    buyer, seller, instrument, lots, price = trades
    for i in range(len(buyer)):
        for side in range(2):
            account = buyer[i] if side == 0 else seller[i]
            signed = lots[i] if side == 0 else -lots[i]
            at = account * 10 + instrument[i] % 10
            quantity[at] += signed
            cost[at] += signed * price[i]
            most = np.int64(-(2**62))
            for k in range(losses.shape[1]):
                vector[account, k] += signed * losses[instrument[i], k]
                most = max(most, vector[account, k])
            worst[account] = most


def run() -> list[dict[str, Any]]:
    """The fold's figures."""
    few, many, most = 1_000, 100_000, 1_000_000
    large = {accounts: nanoseconds(accounts) for accounts in (few, many, most)}
    small = {accounts: nanoseconds(accounts, SMALL_ENTRY) for accounts in (few, most)}
    loop = bare(many)
    return [
        {
            "name": "fold, 100,000 accounts",
            "value": 1e9 / large[many],
            "unit": "trades/s a core",
            "goal": ">= 1,000,000",
            "peers": {"bare loop of positions and loss vectors, trades/s": 1e9 / loop, "ns a trade": large[many]},
        },
        {
            "name": "fold, 1,000,000 accounts over 1,000, entries of 1,000 trades",
            "value": small[most] / small[few],
            "unit": "time a trade, ratio",
            "goal": "<= 3",
            "peers": {"trades/s at 1,000": 1e9 / small[few], "trades/s at 1,000,000": 1e9 / small[most]},
        },
        {
            "name": "the same, entries of 8,000 trades: of 1,000 accounts each is touched 16 times and margined once",
            "value": large[most] / large[few],
            "unit": "time a trade, ratio",
            "goal": "<= 3",
            "peers": {"trades/s at 1,000": 1e9 / large[few], "trades/s at 1,000,000": 1e9 / large[most]},
        },
    ]
