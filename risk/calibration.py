"""Scan ranges from history: the move that the stated confidence covers over the margin period, damped by a tool.

A range holds for longs and shorts, so it is the larger of the two one-sided quantiles: at 97.72 % of normal moves it is
two standard deviations. Ranges are whole basis points, rounded up.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.forecast.ewma import smoothed
from risk.procyclicality import BUFFER, FLOOR_DAYS, STRESSED_WEIGHT
from schemas.limits import BASIS_POINTS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAY: Final = 86_400_000_000
HOUR: Final = 3_600_000_000
"""microseconds"""
PROXY_HALF_LIFE: Final = 240
"""bars: how fast the volatility that stands for an implied one forgets"""
LEAST: Final = 100
"""observations"""


class Tool(StrEnum):
    """Which anti-procyclical tool damps the range (Delegated Regulation (EU) 153/2013, article 28)."""

    NONE = "none"
    BUFFER = "buffer"
    STRESSED = "stressed"
    FLOOR = "floor"


class TooFew(ValueError):  # noqa: N818 - named for what is missing
    """Not enough observations for a quantile: how many there are."""


class Moves(NamedTuple):
    """Relative moves over the margin period, by the time at which each ends."""

    ends: IntArray
    moves: FloatArray


class Range(NamedTuple):
    """A scan range and what it is made of; the parts are fractions."""

    basis_points: int
    lookback: float
    """what covers the moves of the lookback"""
    stressed: float
    """what covers the moves of the stressed days of the whole history; 0 where none was used"""
    long_run: float
    """what covers the moves of ten years, or of as many as there are"""
    observations: int
    stressed_observations: int
    years: float
    """that the long run really spans"""


def moves(times: IntArray, values: FloatArray, period: int) -> Moves:
    """Moves between values that lie exactly `period` microseconds apart; where one of the two is missing, none."""
    later = np.searchsorted(times, times + period)
    there = later < len(times)
    there[there] = times[later[there]] == times[there] + period
    begin, end = np.flatnonzero(there), later[there]
    return Moves(times[end], values[end] / values[begin] - 1.0)


def covering(values: FloatArray, confidence: float) -> float:
    """The least range that covers this share of falls, and of rises: the larger of the two. Raises TooFew."""
    if len(values) < LEAST:
        raise TooFew(f"{len(values)} moves, {LEAST} are needed")
    up, down = (float(np.quantile(side, confidence, method="inverted_cdf")) for side in (values, -values))
    return max(up, down, 0.0)


def scan_range(history: Moves, stressed_days: IntArray, to: int, lookback: int, confidence: float, tool: Tool) -> Range:
    """The range at `to` (microseconds) from moves that ended by then, `lookback` in days.

    `stressed_days` are starts of days (microseconds). Without enough stressed moves the tool STRESSED raises TooFew, as
    does every tool where the lookback holds too few.
    """
    known = history.ends <= to
    ends, values = history.ends[known], history.moves[known]
    recent = values[ends > to - lookback * DAY]
    level = covering(recent, confidence)
    long_past = ends > to - FLOOR_DAYS * DAY
    floor = covering(values[long_past], confidence)
    in_stress = values[np.isin((ends - 1) // DAY * DAY, stressed_days)]
    stressed = covering(in_stress, confidence) if len(in_stress) >= LEAST or tool is Tool.STRESSED else 0.0
    damped = {
        Tool.NONE: level,
        Tool.BUFFER: level * (1.0 + BUFFER),
        Tool.STRESSED: (1.0 - STRESSED_WEIGHT) * level + STRESSED_WEIGHT * max(level, stressed),
        Tool.FLOOR: max(level, floor),
    }[tool]
    return Range(
        in_basis_points(damped),
        level,
        stressed,
        floor,
        len(recent),
        len(in_stress),
        float(ends[-1] - ends[long_past][0]) / (365 * DAY),
    )


def in_basis_points(value: float) -> int:
    """Rounded up to a whole basis point, one at least; a millionth of one above is taken for rounding."""
    return max(1, math.ceil(value * BASIS_POINTS - 1e-6))


def implied_proxy(times: IntArray, closes: FloatArray) -> tuple[IntArray, FloatArray]:
    """What stands for implied volatility where none is recorded: EWMA volatility of the bars' own returns.

    The first values, whose past is shorter than the half-life, are left out.
    """
    squares = np.square(np.diff(np.log(closes)))
    decay = 0.5 ** (1.0 / PROXY_HALF_LIFE)
    values = np.sqrt(np.maximum(smoothed(squares, decay), 1e-12))
    return times[1 + PROXY_HALF_LIFE :], values[PROXY_HALF_LIFE:]
