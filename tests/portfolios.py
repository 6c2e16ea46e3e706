"""Small markets, holdings and profiles for tests, from plain values to the tables that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from risk.profile import Netting
from risk.requirement import margin_accounts, scratch
from risk.tables import Holdings, Margins, Market, Profiles, margins
from schemas.kinds import Kind, Payoff, Settling, Style
from schemas.limits import ARRAY_EXPONENT, MICRO

DOLLAR = MICRO
FINE = MICRO << ARRAY_EXPONENT
"""One dollar of loss or delta as risk arrays have it."""


@dataclass(frozen=True)
class Instrument:
    kind: Kind = Kind.PERP
    payoff: Payoff = Payoff.LINEAR
    style: Style = Style.FUTURES
    underlying: int = 0
    settlement: int = 0
    base: int = 0
    bucket: int = 0
    tick_value: int = 1
    contract_value: int = 0
    lot_size: int = 1
    mark: int = 0
    marked: bool = True
    delta: int = 0
    notional: int = 0
    funding: int = 0
    settling: Settling = Settling.COLLATERALISED


@dataclass(frozen=True)
class Asset:
    price: int = MICRO
    scale: int = MICRO
    haircut: int = 0
    spot: int = -1


@dataclass(frozen=True)
class Position:
    instrument: int
    quantity: int
    cost: int = 0
    funding: int = 0


@dataclass(frozen=True)
class Order:
    instrument: int
    quantity: int
    price: int


@dataclass(frozen=True)
class Account:
    positions: Sequence[Position] = ()
    balances: Sequence[int] = ()
    orders: Sequence[Order] = ()
    fees_due: int = 0
    profile: int = 0


@dataclass(frozen=True)
class Rules:
    """A profile as numbers: `rows` by instrument (None: no risk array); the rest by underlying, basis points."""

    rows: Sequence[Sequence[int] | None]
    netting: Netting = Netting.UNDERLYING
    gain: int = 10_000
    initial: int = 10_000
    buffer: int = 1_000
    scan: Sequence[int] = (0,)
    basis: Sequence[int] = (0,)
    short_option: Sequence[int] = (0,)
    credits: Sequence[tuple[int, int, int]] = field(default=())


def _column(values: Sequence[Any], dtype: Any) -> Any:
    return np.array([int(value) for value in values], dtype)


def market_of(instruments: Sequence[Instrument], assets: Sequence[Asset] = (Asset(),)) -> Market:
    wide = ("tick_value", "contract_value", "lot_size", "mark", "delta", "notional", "funding")
    flags = ("kind", "payoff", "style", "settling", "marked")
    columns = {
        name: _column(
            [getattr(instrument, name) for instrument in instruments],
            np.int64 if name in wide else np.uint8 if name in flags else np.int32,
        )
        for name in (*flags, "underlying", "settlement", "base", "bucket", *wide)
    }
    return Market(
        **columns,
        asset_price=_column([asset.price for asset in assets], np.int64),
        asset_scale=_column([asset.scale for asset in assets], np.int64),
        haircut=_column([asset.haircut for asset in assets], np.int64),
        asset_spot=_column([asset.spot for asset in assets], np.int32),
    )


def holdings_of(accounts: Sequence[Account], assets: int = 1) -> Holdings:
    positions = [sorted(account.positions, key=lambda position: position.instrument) for account in accounts]
    every = [position for account in positions for position in account]
    orders = [order for account in accounts for order in account.orders]
    balance = np.zeros((len(accounts), assets), np.int64)
    for number, account in enumerate(accounts):
        balance[number, : len(account.balances)] = account.balances
    counts = [len(account) for account in positions]
    order_counts = [len(account.orders) for account in accounts]
    return Holdings(
        start=_column(np.cumsum([0, *counts])[:-1], np.int64),
        count=_column(counts, np.int64),
        instrument=_column([position.instrument for position in every], np.int32),
        quantity=_column([position.quantity for position in every], np.int64),
        cost=_column([position.cost for position in every], np.int64),
        funding=_column([position.funding for position in every], np.int64),
        balance=balance,
        fees_due=_column([account.fees_due for account in accounts], np.int64),
        profile=_column([account.profile for account in accounts], np.int64),
        order_start=_column(np.cumsum([0, *order_counts])[:-1], np.int64),
        order_count=_column(order_counts, np.int64),
        order_instrument=_column([order.instrument for order in orders], np.int32),
        order_quantity=_column([order.quantity for order in orders], np.int64),
        order_price=_column([order.price for order in orders], np.int64),
    )


def profiles_of(rules: Sequence[Rules]) -> Profiles:
    instruments = max((len(rule.rows) for rule in rules), default=0)
    underlyings = max(len(column) for rule in rules for column in (rule.scan, rule.basis, rule.short_option))
    widths = [max((len(row) for row in rule.rows if row is not None), default=0) for rule in rules]
    pool: list[int] = []
    offsets: list[int] = []
    has_row = np.zeros((len(rules), instruments), np.uint8)
    largest = np.zeros((len(rules), instruments), np.int64)
    by_underlying = {name: np.zeros((len(rules), underlyings), np.int64) for name in ("scan", "basis", "short_option")}
    for number, (rule, width) in enumerate(zip(rules, widths, strict=True)):
        offsets.append(len(pool))
        for instrument in range(instruments):
            row = rule.rows[instrument] if instrument < len(rule.rows) else None
            pool.extend(row or [0] * width)
            if row is not None:
                has_row[number, instrument] = 1
                largest[number, instrument] = max(map(abs, row))
        for name, column in by_underlying.items():
            values = getattr(rule, name)
            column[number, : len(values)] = values
    pairs = [credit for rule in rules for credit in rule.credits]
    credit_counts = [len(rule.credits) for rule in rules]
    return Profiles(
        netting=_column([rule.netting for rule in rules], np.uint8),
        gain=_column([rule.gain for rule in rules], np.int64),
        initial=_column([rule.initial for rule in rules], np.int64),
        buffer=_column([rule.buffer for rule in rules], np.int64),
        width=_column(widths, np.int64),
        offset=_column(offsets, np.int64),
        losses=_column(pool, np.int64),
        has_row=has_row,
        largest=largest,
        **by_underlying,
        credit_start=_column(np.cumsum([0, *credit_counts])[:-1], np.int64),
        credit_count=_column(credit_counts, np.int64),
        credit_a=_column([a for a, _, _ in pairs], np.int32),
        credit_b=_column([b for _, b, _ in pairs], np.int32),
        credit_rate=_column([rate for _, _, rate in pairs], np.int64),
    )


def margins_of(holdings: Holdings, market: Market, profiles: Profiles) -> Margins:
    """Every account's margins from the kernel."""
    accounts = len(holdings.start)
    out = margins(accounts)
    room = scratch(len(market.kind), max(holdings.order_count, default=0))
    margin_accounts(np.arange(accounts), holdings, market, profiles, room, out)
    return out


def margin_of(account: Account, market: Market, rules: Rules) -> dict[str, int]:
    """One account's margins under one profile, by name."""
    out = margins_of(holdings_of([account], len(market.asset_price)), market, profiles_of([rules]))
    return {name: int(column[0]) for name, column in out._asdict().items()}


def seeded(seed: int, accounts: int) -> tuple[Holdings, Market, Profiles]:
    """A larger portfolio of everything at once, the same for the same seed on every machine."""
    random = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(random.integers(low, high))

    listed = [
        Instrument(
            kind=Kind(number % 4),
            payoff=Payoff.LINEAR if number % 4 == Kind.SPOT else Payoff(draw(0, 3)),
            style=Style(draw(0, 2)) if number % 4 == Kind.OPTION else Style.FUTURES,
            underlying=number % 3,
            settlement=draw(0, 3),
            base=1 + number % 2,
            bucket=0 if number % 4 < Kind.FUTURE else draw(1, 5),
            tick_value=draw(1, 100),
            contract_value=draw(10**9, 10**11),
            lot_size=draw(10**3, 10**6),
            mark=draw(10**3, 10**5),
            delta=draw(-(10**12), 10**12),
            notional=draw(10**6, 10**10),
            funding=draw(-(10**9), 10**9),
        )
        for number in range(40)
    ]
    assets = [Asset(), Asset(95_000 * DOLLAR, 10**8, 500, 0), Asset(3_000 * DOLLAR, 10**8, 700, 4)]
    rules = [
        Rules(
            rows=[[draw(-(10**12), 10**12) for _ in range(width)] for _ in listed],
            netting=netting,
            gain=draw(0, 10_001),
            initial=draw(10_000, 15_000),
            scan=[draw(0, 3_000) for _ in range(3)],
            basis=[draw(0, 500) * netting for _ in range(3)],
            short_option=[draw(0, 500) for _ in range(3)],
            credits=[(0, 1, 5_000), (2, 1, 4_000), (0, 2, 3_000)] if netting else (),
        )
        for netting, width in ((Netting.POSITION, 15), (Netting.UNDERLYING, 16), (Netting.UNDERLYING, 67))
    ]
    held = [
        Account(
            positions=[
                Position(int(i), draw(-500, 500), draw(-(10**9), 10**9), draw(-(10**9), 10**9))
                for i in random.choice(40, draw(0, 14), replace=False)
            ],
            balances=[draw(-(10**9), 10**11), draw(-(10**7), 10**9), draw(-(10**7), 10**9)],
            orders=[Order(draw(0, 40), draw(-100, 100), draw(10**3, 10**5)) for _ in range(draw(0, 5))],
            fees_due=draw(0, 10**6),
            profile=draw(0, 3),
        )
        for _ in range(accounts)
    ]
    return holdings_of(held, 3), market_of(listed, assets), profiles_of(rules)
