"""Anti-procyclical tools that clearing rules name, as functions over a margin path, and measures of procyclicality.

The tools are those of Delegated Regulation (EU) 153/2013, article 28 (1): a buffer of at least 25 % that may be drawn
down, at least 25 % weight to stressed observations, a floor by the volatility of ten years. A margin path is one
number a day, oldest first; none of the tools looks at later days.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BUFFER: Final = 0.25
"""article 28 (1) (a): the least buffer"""
STRESSED_WEIGHT: Final = 0.25
"""article 28 (1) (b): the least weight of stressed observations"""
FLOOR_DAYS: Final = 3_650
"""article 28 (1) (c): the lookback of the floor"""
TREND_DAYS: Final = 60
"""over so many days the level is measured above which the buffer is drawn"""


class OutOfRule(ValueError):  # noqa: N818 - named for what it is
    """A parameter below what the rule asks for, or a path that is no path of margins."""


def buffered(margins: FloatArray, buffer: float = BUFFER, trend_days: int = TREND_DAYS) -> FloatArray:
    """The buffer tool: margins are charged (1 + buffer) times, and the buffer is drawn down as they rise.

    Charged = max(margin, (1 + buffer) x min(margin, mean of the last `trend_days` margins, today's included)): while
    the model's margin stays below its mean the whole buffer is held, above it the charge stands still until the
    buffer is used up. Raises OutOfRule below 25 %.
    """
    if buffer < BUFFER:
        raise OutOfRule(f"a buffer of {buffer:g}: the rule asks for {BUFFER:g} at least")
    if trend_days < 1:
        raise OutOfRule(f"a mean over {trend_days} days")
    path = _path(margins)
    sums = np.concatenate([[0.0], np.cumsum(path)])
    days = np.arange(1, len(path) + 1)
    back = np.minimum(days, trend_days)
    mean = (sums[days] - sums[days - back]) / back
    charged: FloatArray = np.maximum(path, (1.0 + buffer) * np.minimum(path, mean))
    return charged


def stress_weighted(margins: FloatArray, stressed: FloatArray | float, weight: float = STRESSED_WEIGHT) -> FloatArray:
    """The weight tool: (1 - weight) x margin + weight x the margin that stressed observations alone ask for.

    Stressed observations that are milder than today's do not lower it. Raises OutOfRule below 25 %.
    """
    if not STRESSED_WEIGHT <= weight <= 1.0:
        raise OutOfRule(f"a stressed weight of {weight:g}: the rule asks for {STRESSED_WEIGHT:g} to 1")
    path = _path(margins)
    worse = np.maximum(path, _path(np.broadcast_to(np.asarray(stressed, np.float64), path.shape)))
    charged: FloatArray = (1.0 - weight) * path + weight * worse
    return charged


def floored(margins: FloatArray, floor: FloatArray | float) -> FloatArray:
    """The floor tool: never below what the long-run volatility asks for (see `long_run`)."""
    path = _path(margins)
    charged: FloatArray = np.maximum(path, _path(np.broadcast_to(np.asarray(floor, np.float64), path.shape)))
    return charged


def long_run(returns: FloatArray, days: int = FLOOR_DAYS, least: int = 30) -> FloatArray:
    """Daily volatility over the last `days` returns at the end of each day, or over as many as there are.

    The mean return counts as zero. Before there are `least` returns there is no answer: NaN.
    """
    squares = np.concatenate([[0.0], np.cumsum(np.square(returns))])
    ends = np.arange(1, len(returns) + 1)
    back = np.minimum(ends, days)
    volatility: FloatArray = np.sqrt(np.maximum(squares[ends] - squares[ends - back], 0.0) / back)
    volatility[: least - 1] = np.nan
    return volatility


class Procyclicality(NamedTuple):
    """How much a margin path asks for when money is short."""

    peak_to_trough: float
    """largest margin over smallest"""
    largest_rise: float
    """largest relative rise over at most `days` days: 0.5 is half as much again"""
    days: int
    rise_began: int
    """the day (place in the path) from which the largest rise is counted"""


def measured(margins: FloatArray, days: int = 5) -> Procyclicality:
    """The measures of a path. Raises OutOfRule where it is empty, or a margin is not positive and finite."""
    path = _path(margins)
    if not len(path) or days < 1:
        raise OutOfRule(f"a path of {len(path)} margins, rises over {days} days")
    if not (path > 0.0).all():
        raise OutOfRule(f"margin {path[path <= 0.0][0]:g} on day {int(np.argmax(path <= 0.0))}")
    rises = np.zeros(len(path))
    for ahead in range(1, min(days, len(path) - 1) + 1):
        rises[:-ahead] = np.maximum(rises[:-ahead], path[ahead:] / path[:-ahead] - 1.0)
    began = int(np.argmax(rises))
    return Procyclicality(float(path.max() / path.min()), float(rises[began]), days, began)


def _path(margins: npt.ArrayLike) -> FloatArray:
    path = np.asarray(margins, np.float64)
    wrong = np.flatnonzero(~(np.isfinite(path) & (path >= 0.0)))
    if len(wrong):
        day = int(wrong[0])
        value = float(path[day])
        what = f"{value:g}" if math.isfinite(value) else "no number"
        raise OutOfRule(f"the margin of day {day} is {what}")
    return path
