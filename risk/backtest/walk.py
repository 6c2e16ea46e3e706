"""The walk: at every start a margin model is asked about the book, in the market as it was known then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.backtest.laying import Laid, smile
from risk.backtest.past import PROXY, Past
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
    Underlying,
)
from risk.margin.calculator import isolated as alone
from risk.margin.exact import as_float
from risk.margin.model import Calculator
from risk.volatility import YEAR

FloatArray = npt.NDArray[np.float64]

CASH: Final = "USDC"
LOOKBACK: Final = 365
"""days of history where the profile names none"""
CORRELATED: Final = 90
"""days that correlations are taken over"""
FEWEST: Final = 20
"""days below which no correlation is given"""
ISOLATED_EVERY: Final = 7
"""the sum of the legs alone is asked for at every so many starts"""
_LOTS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Asked:
    """What was required at each start, dollars; NaN where the model refused."""

    initial: FloatArray
    maintenance: FloatArray
    isolated: FloatArray
    """initial margin of the legs and of the collateral, each alone, added up; NaN where it was not asked"""
    refused: Mapping[str, int]
    """reasons, and how many starts each stands for"""
    notes: tuple[str, ...]
    """what the answers said their reader must know, each once"""


def walk(past: Past, laid: Laid, calculator: Calculator, coin: str = "") -> Asked:
    """Ask at every start. A ValueError of the model is counted by what it says; `coin` is what the book settles in."""
    count = len(laid.starts)
    initial, maintenance, isolated = (np.full(count, np.nan) for _ in range(3))
    refused: Counter[str] = Counter()
    notes: dict[str, None] = {}
    lookback = calculator.header.lookback or LOOKBACK
    for number in range(count):
        seen = market(past, laid, number, lookback, coin)
        book = portfolio(laid, number, seen.settlement_price)
        try:
            told = calculator.assess(book, seen, as_float)
            initial[number] = float(told.initial) * seen.settlement_price
            maintenance[number] = float(told.maintenance) * seen.settlement_price
            notes.update(dict.fromkeys(told.notes))
            if number % ISOLATED_EVERY == 0 and len(book.positions) > 1:
                isolated[number] = float(alone(calculator, book, seen, as_float)) * seen.settlement_price
        except ValueError as error:
            refused[f"{type(error).__name__}: {error}"] += 1
    return Asked(initial, maintenance, isolated, dict(refused), tuple(notes))


def portfolio(laid: Laid, number: int, settlement_price: float = 1.0) -> Portfolio:
    """The book at a start, funded with as much as its gross notional."""
    positions = tuple(
        Position(
            Instrument(leg.kind, leg.underlying, int(leg.expiry[number]), float(leg.strike[number]), leg.call),
            _exact(leg.quantity[number]),
        )
        for leg in laid.legs
    )
    if laid.book.collateral:
        funds = _exact(laid.funds[number])
        return Portfolio(laid.book.name, collateral=(Holding(laid.book.collateral, funds),), positions=positions)
    return Portfolio(laid.book.name, cash=_exact(laid.funds[number] / settlement_price), positions=positions)


def market(past: Past, laid: Laid, number: int, lookback: int, coin: str = "") -> Market:
    """The market as it was known at a start, with `lookback` days of history before it."""
    place = int(laid.starts[number])
    names = laid.book.underlyings
    story = history(past, names, place, lookback)
    underlyings = {
        name: Underlying(
            spot=float(past.paths[name].spot[place]),
            perp=float(past.paths[name].perp[place]),
            expiries=_expiries(past, laid, number, name),
        )
        for name in names
    }
    assets = {name: AssetQuote(price=underlyings[name].spot, offsets=name) for name in names}
    return Market(
        time=int(past.times[place]),
        settlement=coin or CASH,
        settlement_price=underlyings[coin].spot if coin else 1.0,
        underlyings=underlyings,
        assets=assets,
        correlations=_correlations(story),
        history=story,
    )


def history(past: Past, names: tuple[str, ...], place: int, lookback: int) -> History:
    """Moves over the days that end at a place of the grid; days on which not all prices are known are left out."""
    at = place - 24 * np.arange(min(lookback, place // 24), -1, -1)
    spots = np.stack([past.paths[name].spot[at] for name in names], axis=1)
    volatilities = np.stack([past.paths[name].volatility[at] for name in names], axis=1)
    returns = spots[1:] / spots[:-1] - 1.0
    moves = volatilities[1:] / volatilities[:-1] - 1.0
    whole = np.isfinite(returns).all(axis=1)
    proxied = any(bool(past.paths[name].proxied[at].any()) for name in names)
    return History(
        underlyings=names,
        times=past.times[at][1:][whole],
        returns=returns[whole],
        volatility_moves=np.where(np.isfinite(moves), moves, 0.0)[whole],
        proxy=PROXY if proxied else "",
    )


def _expiries(past: Past, laid: Laid, number: int, name: str) -> dict[int, Expiry]:
    place = int(laid.starts[number])
    path = past.paths[name]
    by_time: dict[int, dict[float, float]] = {}
    for leg in laid.legs:
        if leg.underlying == name and leg.kind != Kind.PERP:
            strikes = by_time.setdefault(int(leg.expiry[number]), {})
            if leg.kind == Kind.OPTION:
                strikes[float(leg.strike[number])] = 0.0
    answer = {}
    for time, strikes in by_time.items():
        years = (time - int(past.times[place])) / YEAR
        forward = float(path.spot[place] * np.exp(path.carry[place] * years))
        curve = {
            strike: float(
                smile(path.volatility[place], np.float64(forward), np.float64(strike), np.float64(years))  # type: ignore[arg-type]
            )
            for strike in sorted(strikes)
        }
        answer[time] = Expiry(time=time, forward=forward, smile=curve)
    return answer


def _correlations(story: History) -> dict[tuple[str, str], float]:
    recent = story.returns[-CORRELATED:]
    if len(story.underlyings) < 2 or len(recent) < FEWEST:
        return {}
    matrix = np.atleast_2d(np.corrcoef(recent, rowvar=False))
    return {(one, other): float(matrix[i, j]) for (i, one), (j, other) in combinations(enumerate(story.underlyings), 2)}


def _exact(quantity: float) -> Fraction:
    return Fraction(round(quantity * _LOTS), _LOTS)
