"""Forecasts side by side, out of sample: an expanding window, fitted again at times, with no look ahead.

The losses are those that rank forecasts rightly though true variance is never seen (Patton 2011): QLIKE and the mean
squared error of variance. Whether a difference is more than chance is told by the Diebold-Mariano statistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from risk.forecast.days import Days, FloatArray, Forecaster, TooFewDays
from risk.forecast.ewma import of_realised, of_returns
from risk.forecast.garch import garch
from risk.forecast.har import har
from risk.forecast.learned import learned

FORECASTERS: Final[Mapping[str, Forecaster]] = {
    "EWMA": of_returns,
    "EWMA realised": of_realised,
    "GARCH(1,1)-t": garch,
    "HAR": har,
    "learned": learned,
}
START: Final = 365
"""days of the first window"""
REFIT: Final = 91
"""days from one fit to the next"""
_PERCENT: Final = 1e4
"""of variance: the MSE is told in percent squared, as returns in percent have it"""


class Score(NamedTuple):
    """One forecaster on one asset."""

    asset: str
    forecaster: str
    days: int
    qlike: float
    """mean of x/f - ln(x/f) - 1"""
    mse: float
    """mean of (x - f)^2, variances of returns in percent"""
    against_first: float
    """Diebold-Mariano of QLIKE against the first forecaster: below -1.96 it is better at 95 %; NaN for the first"""


def walk(forecaster: Forecaster, days: Days, start: int = START, refit: int = REFIT) -> FloatArray:
    """The forecasts of days `start` ..., each from earlier days alone. Raises TooFewDays where there is none."""
    count = len(days.realised)
    if count <= start:
        raise TooFewDays(f"{count} days, the first window alone takes {start}")
    ahead = np.empty(count - start)
    for begin in range(start, count, refit):
        end = min(begin + refit, count)
        predict = forecaster(days.until(begin))
        ahead[begin - start : end - start] = predict(days.until(end - 1))[begin - 1 :]
    return ahead


def qlike(forecast: FloatArray, realised: FloatArray) -> FloatArray:
    """The loss of each day; zero where the forecast is what came."""
    ratio = realised / forecast
    loss: FloatArray = ratio - np.log(ratio) - 1.0
    return loss


def squared(forecast: FloatArray, realised: FloatArray) -> FloatArray:
    """The squared error of each day's variance, returns in percent."""
    loss: FloatArray = np.square((realised - forecast) * _PERCENT)
    return loss


def diebold_mariano(loss: FloatArray, other: FloatArray) -> float:
    """The mean difference over its standard error, autocorrelation counted (Bartlett weights, n^(1/3) lags)."""
    gap = loss - other
    centred = gap - gap.mean()
    count = len(gap)
    lags = int(count ** (1 / 3))
    variance = float(centred @ centred) / count
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag]) / count
    return float(gap.mean()) / math.sqrt(variance / count) if variance > 0.0 else math.nan


def compare(
    assets: Mapping[str, Days],
    forecasters: Mapping[str, Forecaster] = FORECASTERS,
    start: int = START,
    refit: int = REFIT,
) -> tuple[Score, ...]:
    """Every forecaster on every asset, over the same days. Raises TooFewDays, NotConverged."""
    scores: list[Score] = []
    for asset, days in assets.items():
        came = days.realised[start:]
        first: FloatArray | None = None
        for name, forecaster in forecasters.items():
            ahead = walk(forecaster, days, start, refit)
            loss = qlike(ahead, came)
            against = math.nan if first is None else diebold_mariano(loss, first)
            first = loss if first is None else first
            scores.append(
                Score(asset, name, len(came), float(loss.mean()), float(squared(ahead, came).mean()), against)
            )
    return tuple(scores)
