"""Implied volatility by strike and expiry: total variance, linear over log-moneyness and linear over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

YEAR: Final = 365 * 86_400_000_000
"""microseconds in the year that volatility is counted by: 365 days, as crypto exchanges count it"""


class Point(NamedTuple):
    """One observed volatility."""

    expiry: int
    """microseconds since 1970"""
    strike: float
    """dollars"""
    volatility: float
    """fraction a year: 0.8 is 80 %"""


class Smile(NamedTuple):
    """The total variances (volatility^2 x years) of one expiry over log(strike / forward), ascending."""

    years: float
    log_moneyness: FloatArray
    variance: FloatArray


class Surface(NamedTuple):
    """The smiles of an underlying, nearest expiry first."""

    smiles: tuple[Smile, ...]


class NoPointsError(ValueError):
    """A surface of no points."""

    def __init__(self) -> None:
        super().__init__("a volatility surface needs at least one point")


class PointNotPositiveError(ValueError):
    """A strike, volatility or forward that is zero, negative or not finite: which, of which expiry, and its value."""

    def __init__(self, name: str, expiry: int, value: float) -> None:
        super().__init__(f"{name} {value} of expiry {expiry}: must be positive and finite")


class UnsortedPointsError(ValueError):
    """Points must ascend by expiry, then strike: the first that does not."""

    def __init__(self, position: int, point: Point) -> None:
        super().__init__(
            f"point {position} (expiry {point.expiry}, strike {point.strike}) comes before the one ahead of it"
        )


class DuplicateStrikeError(ValueError):
    """Two volatilities for one strike of one expiry."""

    def __init__(self, point: Point) -> None:
        super().__init__(f"strike {point.strike} of expiry {point.expiry} has two volatilities")


class ExpiredPointsError(ValueError):
    """Points of an expiry that is not ahead: a total variance over no time says nothing."""

    def __init__(self, expiry: int, time: int) -> None:
        super().__init__(f"points of expiry {expiry} at time {time}: expired")


class NoForwardError(ValueError):
    """An expiry without a forward: its strikes have no moneyness."""

    def __init__(self, expiry: int) -> None:
        super().__init__(f"no forward for expiry {expiry}")


def surface(points: Sequence[Point], forwards: Mapping[int, float], time: int) -> Surface:
    """The surface through these points at `time` (microseconds); `forwards` are dollars by expiry.

    Raises NoPointsError, PointNotPositiveError, UnsortedPointsError, DuplicateStrikeError, ExpiredPointsError,
    NoForwardError.
    """
    if not points:
        raise NoPointsError
    for position, point in enumerate(points):
        for name, value in (("strike", point.strike), ("volatility", point.volatility)):
            if not (math.isfinite(value) and value > 0.0):
                raise PointNotPositiveError(name, point.expiry, value)
        before = points[position - 1][:2] if position else (point.expiry, 0.0)
        if before == point[:2]:
            raise DuplicateStrikeError(point)
        if before > point[:2]:
            raise UnsortedPointsError(position, point)
    by_expiry = groupby(points, key=lambda point: point.expiry)
    return Surface(tuple(_smile(expiry, list(these), forwards, time) for expiry, these in by_expiry))


def _smile(expiry: int, points: Sequence[Point], forwards: Mapping[int, float], time: int) -> Smile:
    if expiry <= time:
        raise ExpiredPointsError(expiry, time)
    if expiry not in forwards:
        raise NoForwardError(expiry)
    forward = forwards[expiry]
    if not (math.isfinite(forward) and forward > 0.0):
        raise PointNotPositiveError("forward", expiry, forward)
    years = (expiry - time) / YEAR
    strikes = np.array([point.strike for point in points])
    volatilities = np.array([point.volatility for point in points])
    return Smile(years, np.log(strikes / forward), volatilities * volatilities * years)


def volatility(surface: Surface, years: FloatArray, log_moneyness: FloatArray) -> FloatArray:
    """Volatilities [queries] at these times to expiry and log(strike / forward), each measured from its own forward.

    Within an expiry total variance is linear between strikes and flat past the outer ones. Between two expiries it is
    linear in time at the same log-moneyness; before the first and after the last the volatility is theirs. So where the
    points' total variance rises with time (no calendar arbitrage) the surface's does.
    """
    ends = np.array([smile.years for smile in surface.smiles])
    last = len(ends) - 1
    after = np.clip(np.searchsorted(ends, years), 0, last)
    before = np.where((years < ends[after]) & (after > 0), after - 1, after)
    low, high = np.empty(len(years)), np.empty(len(years))
    for number, smile in enumerate(surface.smiles):
        for side, wanted in ((low, before == number), (high, after == number)):
            side[wanted] = np.interp(log_moneyness[wanted], smile.log_moneyness, smile.variance)
    start, end = ends[before], ends[after]
    between = after > before
    part = np.divide(years - start, end - start, out=np.zeros(len(years)), where=between)
    # outside of the expiries (and on one) before and after are one smile, whose own time turns its variance back
    variance = np.where(between, (low + (high - low) * part) / np.where(between, years, 1.0), low / start)
    answer: FloatArray = np.sqrt(variance)
    return answer
