"""A book laid at many starts at once: its legs' quantities, strikes and values, and what it lost after each start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.backtest.past import HOUR, Past
from risk.backtest.portfolios import NOTIONAL, Book
from risk.margin.book import Kind
from risk.volatility import YEAR

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SKEW: Final = -0.05
"""part of the volatility at the money that is added for each standard deviation of log-moneyness"""
CURVE: Final = 0.025
"""and for its square"""
WINGS: Final = 3.0
"""deviations past which the smile is flat"""
LOT: Final = 1e-6
_DAY: Final = 24 * HOUR
_SHORTEST: Final = 1.0 / 365.0


class PeriodTooLong(ValueError):  # noqa: N818 - named for what is found
    """A margin period that a leg does not live through."""


@dataclass(frozen=True, slots=True)
class LaidLeg:
    """A leg at every start [starts]; `expiry` and `strike` are zero where it has none."""

    kind: Kind
    underlying: str
    call: bool
    quantity: FloatArray
    """whole multiples of LOT"""
    expiry: IntArray
    strike: FloatArray


@dataclass(frozen=True, slots=True)
class Laid:
    """A book at its starts."""

    book: Book
    starts: IntArray
    """places in the grid; only those where all prices and volatilities are known"""
    legs: tuple[LaidLeg, ...]
    gross: FloatArray
    """dollars: the legs' notionals added up, whatever their sign"""
    funds: FloatArray
    """of the collateral asset, or dollars: worth `gross`"""


class Losses(NamedTuple):
    """What a book lost after each start, dollars (gains are negative): closed at the end of the period, or at the
    worst hour in it."""

    end: FloatArray
    worst: FloatArray


def usable(past: Past, book: Book, starts: IntArray, hours: int) -> IntArray:
    """The starts at which all that the book needs is known, and is known for the hours after them."""
    reach = np.minimum(starts[:, None] + np.arange(hours + 1), len(past.times) - 1)
    there = starts + hours < len(past.times)
    for name in book.underlyings:
        path = past.paths.get(name)
        if path is None:
            return starts[:0]
        there &= np.isfinite(path.spot[reach]).all(axis=1) & np.isfinite(path.volatility[reach]).all(axis=1)
    return starts[there]


def lay(past: Past, book: Book, starts: IntArray, notional: float = NOTIONAL) -> Laid:
    """The book at every start, in the prices of that hour; `notional` dollars for a leg of weight 1."""
    legs = []
    gross = np.zeros(len(starts))
    for leg in book.legs:
        path = past.paths[leg.underlying]
        spot = path.spot[starts]
        quantity = _lots(leg.weight * notional / spot)
        expiry = past.times[starts] + leg.days * _DAY if leg.days else np.zeros(len(starts), np.int64)
        forward = spot * np.exp(path.carry[starts] * leg.days / 365.0)
        strike = leg.moneyness * forward if leg.kind == Kind.OPTION else np.zeros(len(starts))
        legs.append(LaidLeg(leg.kind, leg.underlying, leg.call, quantity, expiry, strike))
        gross += np.abs(quantity) * spot
    if book.hedged:
        hedge = _hedge(past, legs, starts)
        legs.append(hedge)
        gross += np.abs(hedge.quantity) * past.paths[hedge.underlying].spot[starts]
    funds = gross / past.paths[book.collateral].spot[starts] if book.collateral else gross
    return Laid(book, starts, tuple(legs), gross, _lots(funds))


def losses(past: Past, laid: Laid, hours: int, coin: str = "") -> Losses:
    """By the real path: every leg at its price of each hour, options revalued at that hour's volatility, funding paid.

    With `coin` the legs are inverse contracts that settle in it: losses are counted in coins and told in dollars of the
    start, which is how a requirement in coins is told as well. Raises PeriodTooLong.
    """
    reach = laid.starts[:, None] + np.arange(hours + 1)
    total = np.zeros(reach.shape)
    for leg in laid.legs:
        path = past.paths[leg.underlying]
        value = worth(past, leg, reach)
        if coin and leg.kind == Kind.OPTION:
            gain = (value / path.spot[reach] - (value / path.spot[reach])[:, :1]) * path.spot[laid.starts][:, None]
        elif coin:
            gain = value[:, :1] * (1.0 - value[:, :1] / value)
        else:
            gain = value - value[:, :1]
        if leg.kind == Kind.PERP:
            gain = gain - (path.funding[reach] - path.funding[laid.starts][:, None])
        total += leg.quantity[:, None] * gain
    if laid.book.collateral:
        prices = past.paths[laid.book.collateral].spot[reach]
        total += laid.funds[:, None] * (prices - prices[:, :1])
    return Losses(-total[:, -1], -total.min(axis=1))


def worth(past: Past, leg: LaidLeg, at: IntArray) -> FloatArray:
    """Dollars one contract is worth at places of the grid [starts, ...]. Raises PeriodTooLong."""
    path = past.paths[leg.underlying]
    if leg.kind == Kind.PERP:
        return path.perp[at]
    years = (leg.expiry[:, None] - past.times[at]) / YEAR
    if np.any(years <= 0.0):
        raise PeriodTooLong(f"{leg.underlying} {leg.kind}: expires within the margin period")
    forward = path.spot[at] * np.exp(path.carry[at] * years)
    if leg.kind == Kind.FUTURE:
        return forward
    strike = np.broadcast_to(leg.strike[:, None], forward.shape)
    volatility = smile(path.volatility[at], forward, strike, years)
    return black76.price(leg.call, forward, strike, volatility, years)


def smile(at_the_money: FloatArray, forward: FloatArray, strike: FloatArray, years: FloatArray) -> FloatArray:
    """The volatility of a strike: a parabola in standard deviations of log-moneyness, flat past WINGS."""
    deviation = at_the_money * np.sqrt(np.maximum(years, _SHORTEST))
    away = np.clip(np.log(strike / forward) / deviation, -WINGS, WINGS)
    answer: FloatArray = at_the_money * (1.0 + SKEW * away + CURVE * away * away)
    return answer


def _hedge(past: Past, legs: list[LaidLeg], starts: IntArray) -> LaidLeg:
    """The perp that takes out the options' delta, smile held."""
    name = legs[0].underlying
    path = past.paths[name]
    delta = np.zeros(len(starts))
    for leg in legs:
        years = (leg.expiry - past.times[starts]) / YEAR
        forward = path.spot[starts] * np.exp(path.carry[starts] * years)
        volatility = smile(path.volatility[starts], forward, leg.strike, years)
        one = black76.greeks(leg.call, forward, leg.strike, volatility, years).delta
        delta += leg.quantity * one * forward / path.spot[starts]
    nothing = np.zeros(len(starts))
    return LaidLeg(Kind.PERP, name, False, _lots(-delta), nothing.astype(np.int64), nothing)


def _lots(quantity: FloatArray) -> FloatArray:
    answer: FloatArray = np.round(quantity / LOT) * LOT
    return answer
