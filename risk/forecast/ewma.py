"""The exponentially weighted mean as a forecast of variance."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.signal import lfilter

from risk.forecast.days import LEAST, Days, FloatArray, Predict

DECAY: Final = 0.94
"""RiskMetrics' for daily figures"""
_START: Final = 20
"""the mean of so many values is where the recursion begins"""


def smoothed(values: FloatArray, decay: float = DECAY) -> FloatArray:
    """v[t] = decay v[t-1] + (1 - decay) x[t]. Up to the 20th value it is the mean of the values so far."""
    start = min(_START, len(values))
    means: FloatArray = np.cumsum(values[:start]) / np.arange(1, start + 1)
    if len(values) <= start:
        return means
    rest, _ = lfilter([1.0 - decay], [1.0, -decay], values[start:], zi=np.array([decay * means[-1]]))
    return np.concatenate([means, rest])


def of_returns(_: Days) -> Predict:
    """EWMA of squared daily returns: nothing is fitted."""
    return lambda days: np.maximum(smoothed(np.square(days.returns)), LEAST)


def of_realised(_: Days) -> Predict:
    """EWMA of realised variance: nothing is fitted."""
    return lambda days: np.maximum(smoothed(days.realised), LEAST)
