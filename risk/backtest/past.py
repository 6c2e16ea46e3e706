"""History on an hourly grid: prices, carry, funding and volatility, each as it was known at that hour.

A bar is known when it has closed, an index when its hour is over: nothing here looks ahead. Implied volatility is the
volatility index of the underlying where there is one. Elsewhere a proxy stands: exponentially weighted realised
volatility times a ratio, which is the reference index's last known ratio to its own underlying's realised volatility,
or RATIO where no index was known in the last week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

HOUR: Final = 3_600_000_000
"""microseconds"""
HOURS_A_YEAR: Final = 8_760.0
HALF_LIFE: Final = 240
"""hours: to realised volatility of ten days the BTC index keeps a steady ratio (its logarithm deviates by 0.15)"""
BURN_IN: Final = 168
"""hours of moves before a realised volatility is given"""
RATIO: Final = 1.2
"""implied / realised volatility where no index was known: the median of BTC's, March 2021 to June 2024"""
RATIO_AGE: Final = 168
"""hours for which the last known ratio stands"""
PRICE_AGE: Final = 12
"""hours for which a price is carried over missing bars"""
CARRY_HOURS: Final = 168
"""hours over which realised funding is averaged to a carry"""
MOST_CARRY: Final = 0.4
PROXY: Final = (
    f"realised volatility of hourly moves (EWMA, half-life {HALF_LIFE // 24} days) x the ratio of the last known "
    f"volatility index to its underlying's, {RATIO} where none was known within {RATIO_AGE // 24} days"
)


class NotAscending(ValueError):  # noqa: N818 - named for what is found
    """Times that do not ascend."""


@dataclass(frozen=True, slots=True)
class Records:
    """What is recorded of one underlying: times of being known (microseconds, ascending) and values."""

    spot: tuple[IntArray, FloatArray]
    perp: tuple[IntArray, FloatArray] | None = None
    """None: the spot stands for it, as it does before the first record"""
    funding: tuple[IntArray, FloatArray] | None = None
    """parts of the notional that longs paid"""
    index: tuple[IntArray, FloatArray] | None = None
    """implied volatility, a fraction a year"""


@dataclass(frozen=True, slots=True)
class Path:
    """One underlying by the hour; NaN where nothing is known."""

    spot: FloatArray
    perp: FloatArray
    carry: FloatArray
    """a year's, continuously compounded, to every expiry: the forward is spot x exp(carry x years)"""
    funding: FloatArray
    """dollars a long of one unit has paid since the first hour"""
    volatility: FloatArray
    """at the money, of every expiry"""
    proxied: npt.NDArray[np.bool_]
    """where `volatility` is the proxy"""


@dataclass(frozen=True, slots=True)
class Past:
    """All underlyings on one grid."""

    times: IntArray
    """every hour, microseconds"""
    paths: Mapping[str, Path]


def past(times: IntArray, records: Mapping[str, Records], reference: str = "BTC") -> Past:
    """The grid's history from what is recorded; `reference` lends its ratio to those without an index.

    Raises NotAscending.
    """
    spots = {name: known(times, *one.spot, PRICE_AGE) for name, one in records.items()}
    realised = {name: realised_volatility(spot) for name, spot in spots.items()}
    lent = _ratio(times, records[reference].index, realised[reference]) if reference in records else None
    paths = {}
    for name, one in records.items():
        ratio = _ratio(times, one.index, realised[name]) if one.index is not None or lent is None else lent
        perp = spots[name] if one.perp is None else known(times, *one.perp, PRICE_AGE)
        recorded = np.zeros(len(times), np.bool_) if one.index is None else np.isfinite(known(times, *one.index, 0))
        carry, paid = _funding(times, one.funding, spots[name])
        paths[name] = Path(
            spots[name],
            np.where(np.isfinite(perp), perp, spots[name]),
            carry,
            paid,
            realised[name] * ratio,
            ~(recorded & np.isfinite(realised[name])),
        )
    return Past(times, paths)


def known(grid: IntArray, times: IntArray, values: FloatArray, oldest: int) -> FloatArray:
    """The last value known at each hour of the grid; NaN where it is more than `oldest` hours old.

    Raises NotAscending.
    """
    if np.any(np.diff(times) <= 0):
        raise NotAscending("times of being known must ascend")
    at = np.searchsorted(times, grid, side="right") - 1
    answer = np.full(len(grid), np.nan)
    there = at >= 0
    there[there] = grid[there] - times[at[there]] <= oldest * HOUR
    answer[there] = values[at[there]]
    return answer


def realised_volatility(prices: FloatArray) -> FloatArray:
    """Exponentially weighted volatility a year of hourly log-moves; NaN before BURN_IN moves are known."""
    with np.errstate(invalid="ignore"):
        moves = np.diff(np.log(prices), prepend=np.nan)
    there = np.isfinite(moves)
    keep = 0.5 ** (1.0 / HALF_LIFE)
    squares = np.asarray(lfilter([1.0], [1.0, -keep], np.where(there, moves, 0.0) ** 2))
    weights = np.asarray(lfilter([1.0], [1.0, -keep], there.astype(np.float64)))
    enough = np.cumsum(there) >= BURN_IN
    answer: FloatArray = np.sqrt(
        np.divide(squares, weights, out=np.full(len(prices), np.nan), where=enough) * HOURS_A_YEAR
    )
    return answer


def _ratio(times: IntArray, index: tuple[IntArray, FloatArray] | None, realised: FloatArray) -> FloatArray:
    if index is None:
        return np.full(len(times), RATIO)
    ratios = known(times, *index, 0) / realised
    there = np.isfinite(ratios)
    carried = known(times, times[there], ratios[there], RATIO_AGE)
    return np.where(np.isfinite(carried), carried, RATIO)


def _funding(
    times: IntArray, funding: tuple[IntArray, FloatArray] | None, spot: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The carry, and what a long has paid since the first hour."""
    if funding is None:
        return np.zeros(len(times)), np.zeros(len(times))
    when, rates = funding
    # a payment belongs to the first hour of the grid that is not before it
    at = np.searchsorted(times, when)
    inside = (at < len(times)) & (when > times[0] - HOUR)
    by_hour = np.zeros(len(times))
    np.add.at(by_hour, at[inside], rates[inside])
    paid = np.cumsum(by_hour)
    before = np.concatenate([np.zeros(min(CARRY_HOURS, len(paid))), paid[:-CARRY_HOURS]])
    elapsed = np.minimum(np.arange(1, len(times) + 1), CARRY_HOURS)
    carry = np.clip((paid - before) / elapsed * HOURS_A_YEAR, -MOST_CARRY, MOST_CARRY)
    return carry, np.cumsum(by_hour * np.nan_to_num(spot))
