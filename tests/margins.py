"""Random portfolios and a market they can be margined in, for tests of the margin models."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from risk.margin.book import (
    AssetQuote,
    Expiry,
    History,
    Holding,
    Instrument,
    Kind,
    Market,
    Portfolio,
    Position,
    Svi,
    Underlying,
)
from risk.volatility import YEAR
from schemas.units import parse_time

NOW = parse_time("2026-01-21T08:00:00Z")
DAY = 86_400_000_000
DAYS = (9, 37, 156)
"""to the expiries of every underlying"""
SPOTS = {"BTC": 95_663.5, "ETH": 3_312.4}
STEPS = {"BTC": 5_000.0, "ETH": 200.0}
DAYS_OF_HISTORY = 500


def history(seed: int = 7) -> History:
    """Joint daily moves with fat tails: prices fall where volatility rises."""
    random = np.random.Generator(np.random.Philox(seed))
    common = random.standard_t(4, DAYS_OF_HISTORY)
    own = random.standard_normal((DAYS_OF_HISTORY, len(SPOTS)))
    returns = np.clip(0.02 * (0.8 * common[:, None] + 0.6 * own), -0.6, 0.6)
    volatility = np.clip(-1.2 * returns + 0.03 * random.standard_normal(returns.shape), -0.6, 1.5)
    times = NOW - DAY * np.arange(DAYS_OF_HISTORY, 0, -1, dtype=np.int64)
    return History(tuple(SPOTS), times, returns, volatility)


HISTORY = history()


def market(settlement: str = "USDC", spots: dict[str, float] | None = None) -> Market:
    """Two underlyings, each with a perp and three expiries: two with SVI, one by strike. A settlement in BTC or ETH is
    that coin at its spot."""
    told = SPOTS if spots is None else spots
    underlyings = {}
    for symbol, spot in told.items():
        expiries = {}
        for number, days in enumerate(DAYS):
            time, years = NOW + days * DAY, days * DAY / YEAR
            forward = spot * float(np.exp(0.05 * years))
            if number == 1:
                strikes = [STEPS[symbol] * n for n in range(1, 61)]
                smile: Svi | dict[float, float] = {
                    k: 0.5 + 0.1 * float(np.log(k / forward)) ** 2 - 0.03 * float(np.tanh(np.log(k / forward)))
                    for k in strikes
                }
            else:
                smile = Svi(0.18 * years, 0.05 * np.sqrt(years), -0.3, 0.02, 0.13, forward, years)
            expiries[time] = Expiry(time, forward, 0.05, smile=smile)
        underlyings[symbol] = Underlying(spot, perp=spot * 0.9998, expiries=expiries)
    price = told.get(settlement, 1.0002)
    assets = {symbol: AssetQuote(spot, offsets=symbol) for symbol, spot in told.items() if symbol != settlement}
    return Market(NOW, settlement, price, underlyings, assets, {("BTC", "ETH"): 0.8}, HISTORY)


def quantities(most: int = 50) -> SearchStrategy[Fraction]:
    """Hundredths, either sign, not zero."""
    return st.integers(-100 * most, 100 * most).filter(bool).map(lambda n: Fraction(n, 100))


@st.composite
def instruments(
    draw: st.DrawFn, symbols: tuple[str, ...] = tuple(SPOTS), kinds: tuple[Kind, ...] = tuple(Kind)
) -> Instrument:
    """Of `market()`: strikes from a third of the spot to three times it."""
    symbol, kind = draw(st.sampled_from(symbols)), draw(st.sampled_from(kinds))
    if kind == Kind.PERP:
        return Instrument(kind, symbol)
    expiry = NOW + draw(st.sampled_from(DAYS)) * DAY
    if kind == Kind.FUTURE:
        return Instrument(kind, symbol, expiry)
    step = STEPS[symbol]
    steps = st.integers(int(SPOTS[symbol] / step / 3) + 1, int(SPOTS[symbol] / step * 3))
    return Instrument(kind, symbol, expiry, step * draw(steps), draw(st.booleans()))


@st.composite
def positions(
    draw: st.DrawFn, symbols: tuple[str, ...] = tuple(SPOTS), kinds: tuple[Kind, ...] = tuple(Kind)
) -> Position:
    """One position, with an entry price, an unrealised profit or neither."""
    instrument, quantity = draw(instruments(symbols, kinds)), draw(quantities())
    if instrument.kind == Kind.OPTION:
        return Position(instrument, quantity)
    entry = draw(st.none() | st.integers(80, 120))
    funding = Fraction(draw(st.integers(-10_000, 10_000)), 100) if instrument.kind == Kind.PERP else Fraction(0)
    if entry is None:
        return Position(
            instrument, quantity, unrealised=Fraction(draw(st.integers(-(10**6), 10**6)), 100), funding=funding
        )
    return Position(instrument, quantity, Fraction(SPOTS[instrument.underlying]) * entry / 100, funding=funding)


@st.composite
def portfolios(
    draw: st.DrawFn,
    most: int = 8,
    symbols: tuple[str, ...] = tuple(SPOTS),
    kinds: tuple[Kind, ...] = tuple(Kind),
    collateral: tuple[str, ...] = tuple(SPOTS),
) -> Portfolio:
    """Up to `most` positions in different instruments, cash, and perhaps coins as collateral."""
    held = draw(st.lists(positions(symbols, kinds), max_size=most, unique_by=lambda one: one.instrument))
    coins = draw(st.sets(st.sampled_from(collateral))) if collateral else set()
    amounts = st.integers(1, 5_000).map(lambda n: Fraction(n, 100))
    return Portfolio(
        "A-1",
        Fraction(draw(st.integers(-(10**8), 10**9)), 100),
        tuple(Holding(coin, draw(amounts)) for coin in sorted(coins)),
        tuple(held),
    )
