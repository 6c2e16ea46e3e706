"""The efficiency-safety frontier: how much margin a rule asks for against how often losses pass it, by regime.

The rule is a volatility margin: multiple x quantile x EWMA volatility x sqrt(margin period), known at the day's end,
then one of the anti-procyclical tools. Whole days; a move counts for a long and for a short position, so each day
gives two observations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from risk.forecast.ewma import smoothed
from risk.procyclicality import FloatArray, buffered, floored, long_run, measured, stress_weighted

IntArray = npt.NDArray[np.int64]

MULTIPLES: Final = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5)
WARM_UP: Final = 60
"""days whose margins are not judged: volatility and floor have too short a past"""
ALL: Final = "all"


class Path(NamedTuple):
    """What a tool works on: the model's margins and the volatilities by which stress and floor are told."""

    margins: FloatArray
    per_volatility: float
    """margin over daily volatility"""
    stressed: FloatArray
    """daily volatility of the stressed observations up to each day"""
    long_run: FloatArray


Tool = Callable[[Path], FloatArray]
TOOLS: Final[Mapping[str, Tool]] = {
    "no tool": lambda path: path.margins,
    "buffer 25 %": lambda path: buffered(path.margins),
    "stressed weight 25 %": lambda path: stress_weighted(path.margins, path.per_volatility * path.stressed),
    "floor 10 years": lambda path: floored(path.margins, path.per_volatility * path.long_run),
}


class Point(NamedTuple):
    """One rule in one regime."""

    tool: str
    multiple: float
    regime: str
    """`all` where it is every day"""
    observations: int
    level: float
    """mean margin, part of the notional"""
    breaches: int
    share: float
    """breaches over observations; NaN where there are none"""
    shortfall: float
    """mean loss beyond margin over all observations, part of the notional"""
    peak_to_trough: float
    largest_rise: float
    """over five days; both are of the whole path, whatever the regime"""


def frontier(
    returns: FloatArray,
    labels: IntArray,
    names: Sequence[str],
    confidence: float,
    days: int,
    multiples: Sequence[float] = MULTIPLES,
    tools: Mapping[str, Tool] = TOOLS,
) -> tuple[Point, ...]:
    """Every tool with every multiple, over all days and in each regime.

    `returns` are relative daily moves, `labels` the regime of each day as known at its end; the margin of a day covers
    the `days` that follow. The stressed observations are the days of the last regime, up to that day.
    """
    after = _moves_after(returns, days)
    judged = np.arange(WARM_UP, len(after))
    stressed = _expanding(returns, labels == len(names) - 1)
    points: list[Point] = []
    for multiple in multiples:
        per_volatility = multiple * float(ndtri(confidence)) * math.sqrt(days)
        volatility = np.sqrt(smoothed(np.square(returns)))
        path = Path(per_volatility * volatility, per_volatility, stressed, np.nan_to_num(long_run(returns), nan=0.0))
        for name, tool in tools.items():
            charged = tool(path)
            told = measured(charged[judged])
            for regime in (ALL, *names):
                held = judged if regime == ALL else judged[labels[judged] == names.index(regime)]
                losses = np.concatenate([-after[held], after[held]])
                margins = np.concatenate([charged[held], charged[held]])
                beyond = np.maximum(losses - margins, 0.0)
                count, breaches = len(losses), int(np.count_nonzero(beyond))
                points.append(
                    Point(
                        name,
                        multiple,
                        regime,
                        count,
                        float(margins.mean()) if count else math.nan,
                        breaches,
                        breaches / count if count else math.nan,
                        float(beyond.mean()) if count else math.nan,
                        told.peak_to_trough,
                        told.largest_rise,
                    )
                )
    return tuple(points)


def _moves_after(returns: FloatArray, days: int) -> FloatArray:
    """The relative move over the `days` after each day, as far as the history goes."""
    worth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    moves: FloatArray = worth[1 + days :] / worth[1:-days] - 1.0
    return moves


def _expanding(returns: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    """Volatility of the chosen days up to each day; zero before the first."""
    squares, counts = np.cumsum(np.where(chosen, np.square(returns), 0.0)), np.cumsum(chosen)
    volatility: FloatArray = np.sqrt(squares / np.maximum(counts, 1))
    return volatility
