"""The machine-learned forecast: gradient-boosted trees that learn what HAR's errors have in common.

Features are HAR's, the day's return and losses, the volatility of volatility and the day of the week. The boosting has
no random part that its seed does not fix.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor  # type: ignore[import-untyped]

from risk.forecast.days import DAY, Days, FloatArray, Predict
from risk.forecast.har import coefficients, regressors, trailing

SEED: Final = 1
_HELD_OUT: Final = 0.2
"""part of the past, its end, by which the forecasts' level is set: trees fit their own past too well to tell it"""
_FIRST: Final = 29


def features(days: Days) -> FloatArray:
    """[days, features], each from that day and earlier ones."""
    log_variance = np.log(days.realised)
    scale = np.sqrt(trailing(days.realised, 30))
    falls = np.square(np.minimum(days.returns, 0.0))
    spread = trailing(np.square(log_variance), 30) - np.square(trailing(log_variance, 30))
    columns = [
        *regressors(days)[:, 1:].T,
        days.returns / scale,
        trailing(days.returns, 7) / scale,
        trailing(falls, 7) / np.maximum(trailing(days.realised, 7), 1e-12),
        np.sqrt(np.maximum(spread, 0.0)),
        np.log(days.realised / trailing(days.realised, 7)),
        (days.times // DAY % 7).astype(np.float64),
    ]
    return np.stack(columns, axis=1)


def learned(past: Days) -> Predict:
    """HAR corrected by trees, fitted to these days. Raises TooFewDays."""
    cut = int(len(past.realised) * (1.0 - _HELD_OUT))
    early = _corrected(past.until(cut))
    ahead = np.exp(early(past))[cut - 1 : -1]
    level = float(np.mean(past.realised[cut:] / ahead))
    late = _corrected(past)
    return lambda days: np.exp(late(days)) * level


def _corrected(past: Days) -> Predict:
    """The forecast of tomorrow's log variance."""
    weights, _ = coefficients(past)
    errors = np.log(past.realised[_FIRST + 1 :]) - (regressors(past) @ weights)[_FIRST:-1]
    # one thread and exact splits: the same bytes on every machine, and no waiting for threads that others use
    trees = GradientBoostingRegressor(
        n_estimators=60, learning_rate=0.05, max_depth=None, max_leaf_nodes=6, min_samples_leaf=30, random_state=SEED
    )
    trees.fit(features(past)[_FIRST:-1], errors)
    return lambda days: regressors(days) @ weights + np.asarray(trees.predict(features(days)), np.float64)
