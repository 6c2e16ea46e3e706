"""Curves over time to expiry: discounts from treasury par yields, forwards from futures and put-call parity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

FloatArray = npt.NDArray[np.float64]

TREASURY: Final[Mapping[str, float]] = {
    "m1": 1 / 12,
    "m3": 0.25,
    "m6": 0.5,
    "y1": 1.0,
    "y2": 2.0,
    "y3": 3.0,
    "y5": 5.0,
    "y7": 7.0,
    "y10": 10.0,
    "y20": 20.0,
    "y30": 30.0,
}
"""years to maturity of the par curve's columns"""
_FEWEST: Final = 3
"""pairs that a forward by parity rests on"""


class Discounts(NamedTuple):
    """What a dollar later is worth now. Between knots the logarithm is linear in time (the forward rate is constant);
    past the last the last forward rate goes on."""

    time: int
    """microseconds: when the yields were read"""
    years: FloatArray
    logs: FloatArray
    """ln(discount); the first knot is (0, 0)"""


class Forwards(NamedTuple):
    """Prices for delivery. Between knots ln(forward / spot) is linear in time; past the last its last slope goes on,
    before the first it goes to nothing at no time."""

    time: int
    """microseconds: when the prices were read"""
    spot: float
    years: FloatArray
    carry: FloatArray
    """ln(forward / spot); the first knot is (0, 0)"""


class Pair(NamedTuple):
    """A call and a put of one strike and expiry. Prices in coin (a part of the forward); each is a bid and an ask."""

    strike: float
    call_bid: float
    call_ask: float
    put_bid: float
    put_ask: float


class BadCurve(ValueError):  # noqa: N818 - named for what is found
    """A curve that cannot be made: which knot, and why."""


def discounts(par: Mapping[float, float], time: int) -> Discounts:
    """The curve under which every par bond is worth par.

    `par` are yields by years to maturity, decimals, on the semi-annual bond basis: up to half a year simple
    interest (at half a year that is one coupon), from a year on bonds with a coupon every half year, solved for in
    turn. Raises BadCurve.
    """
    if not par:
        raise BadCurve("a curve of no yields")
    years, logs = [0.0], [0.0]
    for maturity, rate in sorted(par.items()):
        if not (math.isfinite(rate) and math.isfinite(maturity) and maturity > 0.0 and rate > -1.0):
            raise BadCurve(f"maturity {maturity}, yield {rate}: finite numbers, a maturity above zero are needed")
        if maturity <= 0.5:
            found = -math.log1p(rate * maturity)
        else:
            if (2.0 * maturity) % 1.0:
                raise BadCurve(f"maturity {maturity}: a bond's is a multiple of half a year")

            def short_of_par(end: float, maturity: float = maturity, rate: float = rate) -> float:
                made = Discounts(time, np.array([*years, maturity]), np.array([*logs, end]))
                return par_price(made, maturity, rate) - 1.0

            low, high = logs[-1] - 2.0 * (maturity - years[-1]), logs[-1] + 1.0
            if short_of_par(low) * short_of_par(high) > 0.0:
                raise BadCurve(f"maturity {maturity}: no discount makes a bond of {rate} worth par")
            found = float(brentq(short_of_par, low, high, xtol=1e-15, rtol=1e-14))
        years.append(maturity)
        logs.append(found)
    return Discounts(time, np.array(years), np.array(logs))


def par_price(curve: Discounts, maturity: float, coupon: float) -> float:
    """What a bond of principal 1 with this yearly coupon, paid by halves, is worth."""
    dates = np.arange(1, round(2.0 * maturity) + 1) * 0.5
    paid = discount(curve, dates)
    return float(0.5 * coupon * np.sum(paid) + paid[-1])


def discount(curve: Discounts, years: npt.ArrayLike) -> FloatArray:
    """Dollars now for a dollar at these times."""
    return np.asarray(np.exp(_along(curve.years, curve.logs, years)))


def rate(curve: Discounts, years: npt.ArrayLike) -> FloatArray:
    """Continuously compounded zero rates at these times; at no time the first forward rate."""
    t = np.asarray(years, np.float64)
    soon = np.maximum(t, 1e-6)
    return np.asarray(-_along(curve.years, curve.logs, soon) / soon)


def forwards(spot: float, futures: Mapping[float, float], time: int) -> Forwards:
    """The curve through a spot and futures' marks (or forwards by parity) by years to expiry. Raises BadCurve."""
    if not (math.isfinite(spot) and spot > 0.0):
        raise BadCurve(f"spot {spot}: must be positive and finite")
    for years, price in futures.items():
        if not (math.isfinite(price) and price > 0.0 and math.isfinite(years) and years > 0.0):
            raise BadCurve(f"future at {years} years, {price}: both must be positive and finite")
    ends = sorted(futures)
    carry = [math.log(futures[years] / spot) for years in ends]
    return Forwards(time, spot, np.array([0.0, *ends]), np.array([0.0, *carry]))


def forward(curve: Forwards, years: npt.ArrayLike) -> FloatArray:
    """Dollars for delivery at these times."""
    return np.asarray(curve.spot * np.exp(_along(curve.years, curve.carry, years)))


def by_parity(pairs: Sequence[Pair]) -> float | None:
    """The forward that put-call parity tells of one expiry; None with less than three two-sided pairs.

    In coin call - put = 1 - strike / forward, whatever the volatility. The median over the pairs, each weighed by one
    over how far bid and ask leave it open: pairs near the money are tight, far ones add little.
    """
    told: list[tuple[float, float]] = []
    for one in pairs:
        if not (0.0 < one.call_bid <= one.call_ask and 0.0 < one.put_bid <= one.put_ask):
            continue
        lowest, highest = one.call_bid - one.put_ask, one.call_ask - one.put_bid
        if highest < 1.0:
            least, most = one.strike / (1.0 - lowest), one.strike / (1.0 - highest)
            told.append((0.5 * (least + most), 1.0 / max(most - least, 1e-9 * most)))
    if len(told) < _FEWEST:
        return None
    told.sort()
    reached, half = 0.0, 0.5 * sum(weight for _, weight in told)
    for (price, weight), (after, _) in pairwise([*told, told[-1]]):
        reached += weight
        if reached > half:
            return price
        if reached == half:
            return 0.5 * (price + after)
    return told[-1][0]


def _along(knots: FloatArray, values: FloatArray, years: npt.ArrayLike) -> FloatArray:
    t = np.asarray(years, np.float64)
    if np.any(~np.isfinite(t)) or np.any(t < 0.0):
        raise BadCurve("a curve is asked at finite times, not below zero")
    if len(knots) == 1:
        return np.zeros(t.shape)
    slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    inside = np.interp(t, knots, values)
    return np.asarray(inside + slope * np.maximum(t - knots[-1], 0.0))
