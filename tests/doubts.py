"""Random markets that a margin model must doubt: feeds unsure of themselves, a coin below its peg, options about to
expire; and random portfolios in them."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from margins import DAY, NOW, SPOTS, STEPS, quantities

from risk.margin.book import (
    AssetQuote,
    Expiry,
    Holding,
    Instrument,
    Kind,
    Market,
    Portfolio,
    Position,
    Svi,
    Underlying,
)
from risk.margin.model import Calculator
from risk.margin.policy import calculator
from risk.volatility import YEAR

PROFILES = Path(__file__).parents[1] / "risk" / "margin" / "profiles"
AHEAD = (DAY // 72, DAY // 2, 9 * DAY, 37 * DAY, 400 * DAY)
"""twenty minutes, twelve hours, and longer"""


def profile(name: str, overrides: dict[str, Any] | None = None) -> Calculator:
    if overrides:
        return calculator((PROFILES / f"{name}.toml").read_text(), overrides)
    return _as_published(name)


@cache
def _as_published(name: str) -> Calculator:
    return calculator((PROFILES / f"{name}.toml").read_text())


@cache
def figures(name: str) -> Any:
    """A profile's tables as plain floats, for a second reader of its numbers."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, bool):
            return value
        try:
            return float(Decimal(value))
        except (ArithmeticError, ValueError, TypeError):
            return value

    return plain(tomllib.loads((PROFILES / f"{name}.toml").read_text(), parse_float=Decimal))


CONFIDENCES = st.sampled_from([1.0, 1.0, 0.7, 0.5, 0.25])


@st.composite
def markets(draw: st.DrawFn, settlement: str = "USDC") -> Market:
    underlyings = {}
    for symbol, spot in SPOTS.items():
        expiries = {}
        for ahead in AHEAD:
            years, rate = ahead / YEAR, draw(st.sampled_from([0.0, 0.05, 0.21, -0.03]))
            forward = spot * (1.0 + 0.06 * years)
            level = draw(st.sampled_from([0.3, 0.55, 1.1]))
            smile = Svi(level * level * years * 0.7, 0.06 * years**0.5, -0.3, 0.02, 0.13, forward, years)
            expiries[NOW + ahead] = Expiry(
                NOW + ahead, forward, rate, draw(CONFIDENCES), draw(CONFIDENCES), draw(CONFIDENCES), smile
            )
        underlyings[symbol] = Underlying(spot, draw(CONFIDENCES), spot * 0.999, draw(CONFIDENCES), expiries)
    price = SPOTS.get(settlement) or draw(st.sampled_from([1.0002, 1.0, 0.984, 0.93]))
    assets = {
        "BTC": AssetQuote(SPOTS["BTC"] * 0.998, draw(CONFIDENCES), "BTC", 0.03, 0.015),
        "ETH": AssetQuote(SPOTS["ETH"], draw(CONFIDENCES), "ETH"),
        "USDT": AssetQuote(0.999, draw(CONFIDENCES)),
    }
    return Market(NOW, settlement, price, underlyings, assets)


@st.composite
def instruments(draw: st.DrawFn, kinds: tuple[Kind, ...] = tuple(Kind)) -> Instrument:
    symbol, kind = draw(st.sampled_from(sorted(SPOTS))), draw(st.sampled_from(kinds))
    if kind == Kind.PERP:
        return Instrument(kind, symbol)
    expiry = NOW + draw(st.sampled_from(AHEAD))
    if kind == Kind.FUTURE:
        return Instrument(kind, symbol, expiry)
    near = round(SPOTS[symbol] / STEPS[symbol])
    # few strikes, so that calls and puts meet at one
    strike = STEPS[symbol] * draw(st.sampled_from([near // 2, near - 2, near - 1, near, near + 1, near + 2, near * 2]))
    return Instrument(kind, symbol, expiry, strike, draw(st.booleans()))


@st.composite
def portfolios(draw: st.DrawFn, kinds: tuple[Kind, ...] = tuple(Kind), debts: bool = True) -> Portfolio:
    rows = draw(st.lists(st.tuples(instruments(kinds), quantities(5)), max_size=7, unique_by=lambda row: row[0]))
    positions = []
    for instrument, quantity in rows:
        entry = Fraction(SPOTS[instrument.underlying]) * draw(st.integers(90, 110)) / 100
        linear = instrument.kind != Kind.OPTION
        positions.append(
            Position(
                instrument,
                quantity,
                entry if linear else None,
                funding=Fraction(draw(st.integers(0, 9)) if linear else 0),
            )
        )
    amounts = st.integers(-300 if debts else 1, 300).filter(bool).map(lambda n: Fraction(n, 100))
    held = draw(st.sets(st.sampled_from(["BTC", "ETH", "USDT"])))
    return Portfolio(
        "A-1",
        Fraction(draw(st.integers(-(10**7), 10**7)), 100),
        tuple(Holding(coin, draw(amounts)) for coin in sorted(held)),
        tuple(positions),
    )
