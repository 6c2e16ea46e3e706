"""A small clearinghouse for tests: a few assets, instruments and accounts, oracle prices, and marks that price them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ledger.snapshot import books as books_digest
from ledger.state import State
from schemas import events as e
from schemas.events import EVENTS
from schemas.kinds import Kind, Payoff, Right, Segregation, Settling, Style
from schemas.outcomes import OUTCOMES, LegPosted, Rejected
from schemas.sources import ALLOWED, Role, source
from schemas.wire import OutcomeHeader, Run, decode, encode_entry, messages_of, runs_of
from services import run
from services.lockstep import Clearing, Settings
from services.pricer import market

MICRO = 1_000_000
HOUR = 3_600 * MICRO
START = 1_583_884_800 * MICRO
"""2020-03-11T00:00:00Z"""
EXPIRY = START + 56 * HOUR
"""2020-03-13T08:00:00Z"""

USD, USDC, BTC, ETH, GOV = range(5)
BTC_U, ETH_U = 0, 1
SPOT_BTC, SPOT_ETH, PERP_BTC, PERP_ETH, FUT_BTC, STM_BTC = range(1, 7)
INV_BTC, CALL_BTC, PUT_BTC, QUANTO_ETH, FCALL_BTC = range(7, 12)
ISOLATED, DELTA, SPAN = 1, 2, 3
PROFILES = Path(__file__).parent.parent / "risk" / "profiles"


def listing() -> list[Any]:
    def listed(instrument: int, symbol: str, kind: Kind, **rest: Any) -> e.InstrumentListed:
        values: dict[str, Any] = {
            "payoff": Payoff.LINEAR,
            "style": Style.FUTURES,
            "settling": Settling.COLLATERALISED,
            "right": Right.NONE,
            "underlying": BTC_U,
            "settlement_asset": USD,
            "base_asset": 0,
            "time": START,
            "effective": START,
            "expiry": 0,
            "strike": 0,
            "price_scale": 100,
            "tick_value": 10,
            "contract_value": 0,
            "lot_size": 100_000,
        }
        return e.InstrumentListed(instrument=instrument, symbol=symbol, kind=kind, **(values | rest))

    eth = {"underlying": ETH_U, "tick_value": 100, "lot_size": 1_000_000}
    option = {"style": Style.PREMIUM, "expiry": EXPIRY, "strike": 800_000}
    return [
        e.AssetListed(asset=USD, decimals=6, time=START, haircut=0, symbol="USD"),
        e.AssetListed(asset=USDC, decimals=6, time=START, haircut=200, symbol="USDC"),
        e.AssetListed(asset=BTC, decimals=8, time=START, haircut=500, symbol="BTC"),
        e.AssetListed(asset=ETH, decimals=8, time=START, haircut=1000, symbol="ETH"),
        e.AssetListed(asset=GOV, decimals=8, time=START, haircut=5000, symbol="GOV"),
        e.UnderlyingListed(underlying=BTC_U, time=START, lowest=MICRO, highest=10**6 * MICRO, symbol="BTC"),
        e.UnderlyingListed(underlying=ETH_U, time=START, lowest=MICRO, highest=10**6 * MICRO, symbol="ETH"),
        listed(SPOT_BTC, "BTC-USD", Kind.SPOT, base_asset=BTC),
        listed(SPOT_ETH, "ETH-USD", Kind.SPOT, base_asset=ETH, tick_value=100, lot_size=1_000_000, underlying=ETH_U),
        listed(PERP_BTC, "BTC-PERP", Kind.PERP),
        listed(PERP_ETH, "ETH-PERP", Kind.PERP, **eth),
        listed(FUT_BTC, "BTC-13MAR20", Kind.FUTURE, expiry=EXPIRY),
        listed(STM_BTC, "BTC-STM", Kind.FUTURE, expiry=EXPIRY, settling=Settling.SETTLED_TO_MARKET),
        listed(
            INV_BTC, "BTC-PERP-INV", Kind.PERP, payoff=Payoff.INVERSE, settlement_asset=BTC,
            contract_value=10 * 10**8 * 100, tick_value=1,
        ),
        listed(CALL_BTC, "BTC-C8000", Kind.OPTION, right=Right.CALL, **option),
        listed(PUT_BTC, "BTC-P8000", Kind.OPTION, right=Right.PUT, **option),
        listed(QUANTO_ETH, "ETH-QUANTO", Kind.PERP, payoff=Payoff.QUANTO, settlement_asset=BTC, tick_value=50, **{
            k: v for k, v in eth.items() if k != "tick_value"}),
        listed(FCALL_BTC, "BTC-FC8000", Kind.OPTION, right=Right.CALL, expiry=EXPIRY, strike=800_000),
    ]  # fmt: skip


def profile_events(number: int, text: str) -> list[Any]:
    return run.profile_events(number, text, START)


def shipped_profile(name: str) -> str:
    return (PROFILES / f"{name}.toml").read_text()


def role_of(event: Any) -> Role:
    return next(role for role, kinds in ALLOWED.items() if type(event) in kinds)  # type: ignore[return-value]


class World:
    """A clearinghouse whose events are sent one call an entry; `said` keeps every outcome."""

    def __init__(self, shards: int = 1, accounts: int = 64, snapshot_every: int = 0, *, ready: bool = True) -> None:
        self.clearing = Clearing(Settings(shards=shards, accounts=accounts, snapshot_every=snapshot_every))
        self.offset = 0
        self.sequences: defaultdict[int, int] = defaultdict(int)
        self.entries: list[bytes] = []
        self.said: list[Any] = []
        self.time = START
        self.marks = 0
        self.trade_number = 0
        self.deposit_number = 0
        self.prices = {BTC_U: 8000.0, ETH_U: 200.0}
        self.volatility = 0.8
        if ready:
            self.send(*listing())
            for number, name in ((ISOLATED, "isolated"), (DELTA, "delta_netting"), (SPAN, "span")):
                self.send(*profile_events(number, shipped_profile(name)))
            self.mark()

    @property
    def state(self) -> State:
        return self.clearing.states[0]

    def owner(self, account: int) -> State:
        return next(s for s in self.clearing.states if s.owns(account))

    def send(self, *events: Any, role: Role | None = None) -> list[Any]:
        """Send events in order, an entry for each run of one role; returns the outcomes."""
        out: list[Any] = []
        gathered: list[Any] = []
        for event in [*events, None]:
            if gathered and (event is None or (role or role_of(event)) != (role or role_of(gathered[0]))):
                out.extend(self.entry(source(role or role_of(gathered[0])), gathered))
                gathered = []
            if event is not None:
                gathered.append(event)
        return out

    def entry(self, number: int, events: list[Any]) -> list[Any]:
        self.sequences[number] += 1
        return self.bytes(encode_entry(number, self.sequences[number], runs_of(EVENTS, events)))

    def send_runs(self, role: Role, runs: Sequence[Run]) -> list[Any]:
        number = source(role)
        self.sequences[number] += 1
        return self.bytes(encode_entry(number, self.sequences[number], runs))

    def bytes(self, data: bytes) -> list[Any]:
        self.entries.append(data)
        said: list[Any] = []
        for _, outcomes in self.clearing.take(self.offset, data):
            said.extend(messages_of(decode(outcomes, OutcomeHeader, OUTCOMES).runs))
        self.offset += 1
        self.said.extend(said)
        return said

    def oracle(self) -> list[Any]:
        events: list[Any] = []
        for u, price in self.prices.items():
            micro = int(price * MICRO)
            events.append(
                e.OraclePrice(
                    underlying=u, source=1, round=self.marks + 1, time=self.time, price=micro, bid=micro, ask=micro
                )
            )
            for expiry in (0, EXPIRY) if u == BTC_U and self.time < EXPIRY else (0,):
                events.append(e.OracleForward(underlying=u, round=1, time=self.time, expiry=expiry, price=micro))
            if u == BTC_U and self.time < EXPIRY:
                for strike in (6000, 8000, 10000):
                    events.append(
                        e.OracleVolatility(
                            underlying=u, round=1, time=self.time, expiry=EXPIRY, strike=strike * MICRO,
                            volatility=int(self.volatility * MICRO),
                        )
                    )  # fmt: skip
        for asset, price in ((USDC, 1.0), (BTC, self.prices[BTC_U]), (ETH, self.prices[ETH_U]), (GOV, 2.0)):
            events.append(e.OracleAssetPrice(asset=asset, round=1, time=self.time, price=int(price * MICRO)))
        return events

    def mark(self, *, btc: float | None = None, eth: float | None = None, after: int = HOUR // 4) -> list[Any]:
        """Move time on, tell the oracle's prices, price a market and mark with it."""
        if btc is not None:
            self.prices[BTC_U] = btc
        if eth is not None:
            self.prices[ETH_U] = eth
        self.time += after
        out = self.send(*self.oracle())
        number = self.marks + 1
        out += self.send_runs(Role.PRICER, market(self.state, number, self.time))
        self.marks = number
        return out + self.send(e.Mark(mark=number, market=number, time=self.time))

    def open(self, *accounts: int, profile: int = SPAN, liquidator: int = 0) -> None:
        self.send(
            *(
                e.AccountOpened(
                    account=a, segregation=Segregation.INDIVIDUAL, liquidator=liquidator, profile=profile, member=1,
                    owner=a, time=self.time, name=f"A-{a}",
                )
                for a in accounts
            )
        )  # fmt: skip

    def deposit(self, account: int, amount: int, asset: int = USD) -> list[Any]:
        self.deposit_number += 1
        return self.send(
            e.Deposited(asset=asset, account=account, deposit=self.deposit_number, time=self.time, amount=amount)
        )

    def trade(self, buyer: int, seller: int, instrument: int, quantity: int, price: int, **rest: Any) -> list[Any]:
        return self.send(self.trade_event(buyer, seller, instrument, quantity, price, **rest))

    def trade_event(self, buyer: int, seller: int, instrument: int, quantity: int, price: int, **rest: Any) -> e.Trade:
        self.trade_number += 1
        values: dict[str, Any] = {"buyer_fee": 0, "seller_fee": 0, "venue": 1} | rest
        return e.Trade(
            instrument=instrument, buyer=buyer, seller=seller, time=self.time, trade=self.trade_number,
            quantity=quantity, price=price, **values,
        )  # fmt: skip

    def balance(self, account: int, asset: int = USD) -> int:
        return int(sum(s.balance[account, asset] for s in self.clearing.states if account < 16 or s.owns(account)))

    def position(self, account: int, instrument: int) -> tuple[int, int]:
        """(quantity, cost)"""
        state = self.owner(account)
        start, count = int(state.pool.start[account]), int(state.pool.count[account])
        for p in range(start, start + count):
            if state.pool.instrument[p] == instrument:
                return int(state.pool.quantity[p]), int(state.pool.cost[p])
        return 0, 0

    def digests(self) -> list[bytes]:
        return [books_digest(state) for state in self.clearing.states]


def reasons(outcomes: list[Any]) -> list[str]:
    """The names of what was refused or lies in suspense, in order."""
    return [one.reason.name for one in outcomes if isinstance(one, Rejected | LegPosted) and one.reason]


def account_book(world: World, account: int) -> tuple[Any, ...]:
    """An account's books as plain values: balances and positions."""
    state = world.owner(account)
    start, count = int(state.pool.start[account]), int(state.pool.count[account])
    rows = [
        tuple(int(getattr(state.pool, name)[p]) for name in ("instrument", "quantity", "cost", "funding", "realised"))
        for p in range(start, start + count)
    ]
    return (np.flatnonzero(state.balance[account]).tolist(), state.balance[account].tolist(), rows)
