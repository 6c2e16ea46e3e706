"""GARCH(1,1) with Student t errors on daily returns, fitted by maximum likelihood."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from arch import arch_model
from scipy.signal import lfilter

from risk.forecast.days import LEAST, Days, FloatArray, Predict

_SCALE: Final = 100.0
"""returns are fitted in percent: the optimiser's steps suit that size"""


class NotConverged(ValueError):  # noqa: N818 - named for what happened
    """The likelihood has no maximum that the optimiser could find: for how many days, and what it said."""


class Garch(NamedTuple):
    """variance[t+1] = omega + alpha return[t]^2 + beta variance[t]."""

    omega: float
    alpha: float
    beta: float
    freedom: float
    """degrees of freedom of the errors"""


def fitted(days: Days) -> Garch:
    """The parameters for these days. Raises NotConverged."""
    model = arch_model(days.returns * _SCALE, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
    result = model.fit(disp="off", show_warning=False)
    if result.convergence_flag != 0:
        raise NotConverged(
            f"GARCH(1,1) over {len(days.returns)} days: the optimiser ended with {result.convergence_flag}"
        )
    told = result.params
    return Garch(float(told["omega"]) / _SCALE**2, float(told["alpha[1]"]), float(told["beta[1]"]), float(told["nu"]))


def predicted(model: Garch, days: Days, start: float) -> FloatArray:
    """The next day's variance at each day; `start` is the variance of the first."""
    inputs = model.omega + model.alpha * np.square(days.returns)
    variance, _ = lfilter([1.0], [1.0, -model.beta], inputs, zi=np.array([model.beta * start]))
    answer: FloatArray = np.maximum(variance, LEAST)
    return answer


def garch(past: Days) -> Predict:
    """GARCH(1,1) with the parameters of these days, begun at their variance. Raises NotConverged."""
    model, start = fitted(past), float(np.mean(np.square(past.returns)))
    return lambda days: predicted(model, days, start)
