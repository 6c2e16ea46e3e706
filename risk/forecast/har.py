"""The heterogeneous autoregression: log realised variance on its own means over a day, a week and a month.

Crypto trades every day: a week is 7 days and a month 30. Logarithms keep forecasts positive; half of the errors'
variance is added, as the mean of a lognormal asks for.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from risk.forecast.days import Days, FloatArray, Predict, TooFewDays

HORIZONS: Final = (1, 7, 30)
"""days"""
_LEAST_DAYS: Final = 120


def trailing(values: FloatArray, days: int) -> FloatArray:
    """The mean of the last `days` values at each place, or of as many as there are."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    back = np.minimum(ends, days)
    mean: FloatArray = (sums[ends] - sums[ends - back]) / back
    return mean


def regressors(days: Days) -> FloatArray:
    """[days, 1 + horizons]: a constant, and the log of the mean realised variance over each horizon."""
    columns = [np.ones(len(days.realised)), *(np.log(trailing(days.realised, horizon)) for horizon in HORIZONS)]
    return np.stack(columns, axis=1)


def coefficients(past: Days) -> tuple[FloatArray, float]:
    """Least squares of tomorrow's log variance on today's regressors, and the errors' variance. Raises TooFewDays."""
    if len(past.realised) < _LEAST_DAYS:
        raise TooFewDays(f"HAR over {len(past.realised)} days, {_LEAST_DAYS} are needed")
    first = max(HORIZONS) - 1
    x, y = regressors(past)[first:-1], np.log(past.realised[first + 1 :])
    weights: FloatArray = np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], np.float64)
    errors = y - x @ weights
    return weights, float(errors @ errors) / (len(y) - len(weights))


def har(past: Days) -> Predict:
    """HAR in logarithms, fitted to these days. Raises TooFewDays."""
    weights, errors = coefficients(past)
    return lambda days: np.exp(regressors(days) @ weights + errors / 2.0)
