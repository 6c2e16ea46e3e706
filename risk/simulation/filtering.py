"""Daily variances as of each day, from the days before it alone: by exponential weights, and by GARCH(1, 1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def ewma_variance(returns: FloatArray, decay: float) -> FloatArray:
    """[days + 1] the variance expected of each day before it is seen; the last one is tomorrow's.

    Exponential weights that sum to one over the days seen; before the first day the whole sample's mean square, whose
    weight dies away by the same decay.
    """
    return _recursion(returns, 0.0, 1.0 - decay, decay)


def garch_variance(returns: FloatArray, alpha: float, beta: float) -> FloatArray:
    """As `ewma_variance`, by v' = (1 - alpha - beta) mean + alpha r^2 + beta v: pulled back to the sample's mean."""
    return _recursion(returns, (1.0 - alpha - beta) * float(np.mean(returns * returns)), alpha, beta)


def _recursion(returns: FloatArray, base: float, alpha: float, beta: float) -> FloatArray:
    variances = np.empty(len(returns) + 1)
    variances[0] = np.mean(returns * returns)
    for day, value in enumerate(returns * returns):
        variances[day + 1] = base + alpha * value + beta * variances[day]
    return variances
