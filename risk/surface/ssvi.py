"""SSVI: one skew and one curvature law for all expiries, free of static arbitrage by its parameters alone.

J. Gatheral, A. Jacquier (2014): w(k) = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)), theta the total
variance at the money and phi = eta / (theta^gamma (1 + theta)^(1 - gamma)). With theta not falling in time,
0 < gamma <= 1/2 and eta (1 + |rho|) <= 2 there are neither butterflies nor calendar spreads (their Remark 4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from risk.margin.book import Svi
from risk.surface.fitting import Data
from risk.surface.fitting import distances as distances_of

FloatArray = npt.NDArray[np.float64]

_MOST: Final = 2.0 - 1e-6
_LEAST_STEP: Final = 1e-7
"""by how much theta rises from expiry to expiry at least, relative: so that rounding makes no calendar spread"""


class Ssvi(NamedTuple):
    """The surface's parameters; `theta` by expiry, nearest first."""

    theta: tuple[float, ...]
    rho: float
    eta: float
    gamma: float


def slices(ssvi: Ssvi, forwards: Sequence[float], years: Sequence[float]) -> tuple[Svi, ...]:
    """Each expiry's smile as a raw SVI slice."""
    return tuple(
        _slice(theta, ssvi, forward, ahead) for theta, forward, ahead in zip(ssvi.theta, forwards, years, strict=True)
    )


def is_free(ssvi: Ssvi) -> bool:
    """Whether the parameters satisfy the conditions under which no static arbitrage is left."""
    rising = all(far >= near for near, far in pairwise(ssvi.theta))
    steep = ssvi.eta * (1.0 + abs(ssvi.rho))
    return rising and ssvi.theta[0] > 0.0 and 0.0 < ssvi.gamma <= 0.5 and 0.0 < steep <= 2.0 and abs(ssvi.rho) < 1.0


def fit(data: Sequence[Data], forwards: Sequence[float], at_the_money: Sequence[float]) -> Ssvi:
    """The SSVI nearest to the quotes of all expiries, nearest first, weighed as in `risk.surface.fitting`.

    `at_the_money` are total variances to start from. The conditions are not walls but the parameters' own form:
    theta by its steps, eta by its part of 2 / (1 + |rho|); what comes out is free of arbitrage whatever was quoted.
    """
    years = [one.years for one in data]
    theta = np.maximum.accumulate(np.maximum(np.asarray(at_the_money, np.float64), 1e-8))
    steps = np.maximum(np.diff(theta, prepend=0.0), 1e-4 * theta)

    def residuals(x: FloatArray) -> FloatArray:
        whole = slices(_made(x), forwards, years)
        return np.concatenate([distances_of(one, svi) for one, svi in zip(data, whole, strict=True)])

    count = len(data)
    starts = [
        np.concatenate([np.log(steps), [rho, part, gamma]])
        for rho in (-0.4, 0.0)
        for part in (0.3, 0.8)
        for gamma in (0.3, 0.45)
    ]
    low = np.concatenate([np.full(count, -25.0), [-0.98, 1e-4, 1e-3]])
    high = np.concatenate([np.full(count, 4.0), [0.98, 1.0, 0.5]])
    best = min(starts, key=lambda one: float(np.sum(residuals(one) ** 2)))
    found = least_squares(residuals, np.clip(best, low + 1e-9, high - 1e-9), bounds=(low, high), max_nfev=60)
    return _made(found.x)


def _made(x: FloatArray) -> Ssvi:
    rho, part, gamma = (float(one) for one in x[-3:])
    theta = np.cumsum(np.exp(x[:-3])) * (1.0 + _LEAST_STEP * np.arange(len(x) - 3))
    return Ssvi(tuple(float(one) for one in theta), rho, part * _MOST / (1.0 + abs(rho)), gamma)


def _slice(theta: float, ssvi: Ssvi, forward: float, years: float) -> Svi:
    phi = ssvi.eta / (theta**ssvi.gamma * (1.0 + theta) ** (1.0 - ssvi.gamma))
    left = 1.0 - ssvi.rho * ssvi.rho
    return Svi(
        0.5 * theta * left, 0.5 * theta * phi, ssvi.rho, -ssvi.rho / phi, float(np.sqrt(left)) / phi, forward, years
    )
