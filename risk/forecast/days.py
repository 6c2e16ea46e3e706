"""What forecasts are made from, days with their return and realised variance; and what a forecaster is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DAY: Final = 86_400_000_000
"""microseconds"""
LEAST: Final = 1e-8
"""daily realised variance is not taken as less: logarithms are made of it (a volatility of 0.2 % a year)"""


class Days(NamedTuple):
    """Consecutive days of one asset, oldest first, all of one length."""

    times: IntArray
    """the day's start, microseconds since 1970"""
    returns: FloatArray
    """log return of the day"""
    realised: FloatArray
    """sum of squared log returns within the day"""

    def until(self, end: int) -> Days:
        """The first `end` days."""
        return Days(self.times[:end], self.returns[:end], self.realised[:end])


Predict = Callable[[Days], FloatArray]
"""variance of the day after each day, from what is known at that day's end"""
Forecaster = Callable[[Days], Predict]
"""fits to these days and gives the forecast; fitting sees nothing else"""


class TooFewDays(ValueError):  # noqa: N818 - named for what is missing
    """A history too short for what is asked of it."""


def days_of(times: IntArray, close: FloatArray) -> Days:
    """Days of bars' closes; `times` are their openings, ascending. A day's first move is from the last close before it.

    The first day is left out, as its return is not known. Raises TooFewDays below three days.
    """
    day = times // DAY
    last = np.flatnonzero(np.diff(day, append=day[-1:] + 1)) if len(day) else np.zeros(0, np.int64)
    if len(last) < 3:
        raise TooFewDays(f"{len(last)} days of bars, three are needed")
    moves = np.diff(np.log(close), prepend=np.log(close[:1]))
    realised = np.add.reduceat(np.square(moves), np.append(0, last[:-1] + 1))
    return Days(
        (day[last[1:]] * DAY).astype(np.int64),
        np.diff(np.log(close[last])),
        np.maximum(realised[1:], LEAST),
    )
