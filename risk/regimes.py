"""Market regimes found from data: a Gaussian Markov-switching model of volatility and correlation, named by volatility.

The fit is deterministic: it begins at quantiles of volatility, not at a draw. What a day's regime is, is told twice:
by what was known that day (`filtered`, for margins) and by the whole history (`smoothed`, for studies).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from risk.forecast.har import trailing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAMES: Final = ("calm", "normal", "stress")
"""by rising volatility"""
VOLATILITY_DAYS: Final = 7
CORRELATION_DAYS: Final = 30
_ROUNDS: Final = 200
_CLOSE: Final = 1e-7
_RIDGE: Final = 1e-3
"""added to each regime's variances, in units of the features' own: no regime can shrink to one day"""
_STAYS: Final = 0.95
"""the chance to stay in a regime from which the fit begins"""


class NoRegimes(ValueError):  # noqa: N818 - named for what cannot be had
    """Features that no regimes can be found in: says why."""


@dataclass(frozen=True, slots=True)
class Regimes:
    """The fitted model. Regimes are numbered by rising volatility; features are standardised before use."""

    centre: FloatArray
    scale: FloatArray
    """mean and deviation of each feature"""
    means: FloatArray
    """[regimes, features], standardised"""
    covariances: FloatArray
    """[regimes, features, features]"""
    start: FloatArray
    stay: FloatArray
    """[from, to]: the chance of one regime the day after another"""
    likelihood: float
    """mean log likelihood a day"""

    def volatility(self) -> FloatArray:
        """Each regime's typical volatility a year (365 days): the first feature turned back."""
        typical: FloatArray = np.exp(self.means[:, 0] * self.scale[0] + self.centre[0])
        return typical

    def correlation(self) -> FloatArray:
        """Each regime's typical mean correlation: the second feature turned back."""
        typical: FloatArray = np.tanh(self.means[:, 1] * self.scale[1] + self.centre[1])
        return typical

    def length(self) -> FloatArray:
        """How many days each regime lasts in the mean."""
        lasts: FloatArray = 1.0 / np.maximum(1.0 - np.diag(self.stay), 1e-12)
        return lasts


def features(realised: FloatArray, returns: FloatArray) -> FloatArray:
    """[days, 2] of daily realised variances and returns [days, assets], each from that day and earlier ones.

    The log of the assets' mean volatility a year over a week, and the mean pairwise correlation over a month, as
    Fisher's z; both over as many days as there are at the beginning.
    """
    count, assets = returns.shape
    if assets < 2 or count < CORRELATION_DAYS:
        raise NoRegimes(f"{count} days of {assets} assets: {CORRELATION_DAYS} days of two assets are needed")
    log_volatility = np.mean(
        [0.5 * np.log(365.0 * trailing(realised[:, asset], VOLATILITY_DAYS)) for asset in range(assets)], axis=0
    )
    together = np.zeros(count)
    number = 0
    for a in range(assets):
        for b in range(a + 1, assets):
            cross = trailing(returns[:, a] * returns[:, b], CORRELATION_DAYS)
            own = trailing(np.square(returns[:, a]), CORRELATION_DAYS) * trailing(
                np.square(returns[:, b]), CORRELATION_DAYS
            )
            together += np.clip(cross / np.sqrt(np.maximum(own, 1e-30)), -0.995, 0.995)
            number += 1
    return np.stack([log_volatility, np.arctanh(together / number)], axis=1)


def fitted(values: FloatArray, regimes: int = len(NAMES)) -> Regimes:
    """Expectation maximisation over features [days, features]; the first is log volatility. Raises NoRegimes."""
    count = len(values)
    if count < 30 * regimes:
        raise NoRegimes(f"{count} days for {regimes} regimes: {30 * regimes} are needed")
    if not np.isfinite(values).all():
        raise NoRegimes(f"the features of day {int(np.argwhere(~np.isfinite(values))[0, 0])} are no numbers")
    centre, scale = values.mean(axis=0), values.std(axis=0)
    if not (scale > 0.0).all():
        raise NoRegimes("a feature never changes")
    x = (values - centre) / scale
    order = np.argsort(np.argsort(x[:, 0], kind="stable"), kind="stable")
    weights = np.eye(regimes)[order * regimes // count]
    stay = np.full((regimes, regimes), (1.0 - _STAYS) / max(1, regimes - 1))
    np.fill_diagonal(stay, _STAYS)
    start, before = np.full(regimes, 1.0 / regimes), -math.inf
    for _ in range(_ROUNDS):
        means, covariances = _moments(x, weights)
        model = Regimes(centre, scale, means, covariances, start, stay, before)
        weights, moved, likelihood = _smooth(model, _densities(model, x))
        start, stay = weights[0], moved / moved.sum(axis=1, keepdims=True)
        if likelihood - before < _CLOSE:
            break
        before = likelihood
    by_volatility = np.argsort(means[:, 0], kind="stable")
    return Regimes(
        centre,
        scale,
        means[by_volatility],
        covariances[by_volatility],
        start[by_volatility],
        stay[np.ix_(by_volatility, by_volatility)],
        likelihood,
    )


def filtered(model: Regimes, values: FloatArray) -> FloatArray:
    """[days, regimes]: each regime's chance by what is known at the end of the day. The model itself is given."""
    forward, _ = _forward(model, _densities(model, (values - model.centre) / model.scale))
    return forward


def smoothed(model: Regimes, values: FloatArray) -> FloatArray:
    """[days, regimes]: each regime's chance by the whole history. For studies: it knows what came later."""
    weights, _, _ = _smooth(model, _densities(model, (values - model.centre) / model.scale))
    return weights


def labels(chances: FloatArray) -> IntArray:
    """The likeliest regime of each day."""
    likeliest: IntArray = np.argmax(chances, axis=1).astype(np.int64)
    return likeliest


def named(model: Regimes) -> Sequence[str]:
    """The regimes' names: calm, normal, stress where they are three, calm and stress where two, else numbers."""
    count = len(model.means)
    if count == 2:
        return (NAMES[0], NAMES[-1])
    return NAMES if count == len(NAMES) else tuple(f"regime {number}" for number in range(count))


def _moments(x: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    total = weights.sum(axis=0)
    means = weights.T @ x / total[:, None]
    gaps = x[None, :, :] - means[:, None, :]
    covariances = np.einsum("kt,kti,ktj->kij", weights.T, gaps, gaps) / total[:, None, None]
    return means, covariances + _RIDGE * np.eye(x.shape[1])


def _densities(model: Regimes, x: FloatArray) -> FloatArray:
    """[days, regimes] log densities."""
    columns = []
    for mean, covariance in zip(model.means, model.covariances, strict=True):
        gaps = np.linalg.solve(np.linalg.cholesky(covariance), (x - mean).T)
        size = float(np.linalg.slogdet(2.0 * math.pi * covariance)[1])
        columns.append(-0.5 * (np.square(gaps).sum(axis=0) + size))
    return np.stack(columns, axis=1)


def _forward(model: Regimes, densities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The filtered chances, and each day's log likelihood given the days before."""
    most = densities.max(axis=1)
    scaled = np.exp(densities - most[:, None])
    forward, told = np.empty_like(scaled), np.empty(len(scaled))
    ahead = model.start
    for day, density in enumerate(scaled):
        joint = ahead * density
        total = joint.sum()
        forward[day] = joint / total
        told[day] = math.log(total)
        ahead = forward[day] @ model.stay
    return forward, told + most


def _smooth(model: Regimes, densities: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """The smoothed chances, the expected number of moves [from, to], the mean log likelihood."""
    forward, told = _forward(model, densities)
    weights = np.empty_like(forward)
    weights[-1] = forward[-1]
    moved = np.zeros_like(model.stay)
    for day in range(len(forward) - 2, -1, -1):
        ahead = np.maximum(forward[day] @ model.stay, 1e-300)
        joint = forward[day][:, None] * model.stay * (weights[day + 1] / ahead)[None, :]
        weights[day] = joint.sum(axis=1)
        moved += joint
    return weights, moved, float(told.mean())
