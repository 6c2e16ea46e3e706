"""Ages of surfaces, curves and correlation matrices: young ones count as they are, older ones widen, old ones stop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_HOUR = 3_600_000_000


class State(StrEnum):
    """What may be done with a quotation of this age."""

    FRESH = "fresh"
    WIDENED = "widened"
    """it counts, with wider shocks"""
    STOPPED = "stopped"
    """existing risk is margined at the widest; no new risk is taken on"""


@dataclass(frozen=True, slots=True)
class Limits:
    """When something is old, and what its age costs. Hours; between the two limits the cost grows in proportion."""

    fresh: float
    """until here nothing widens"""
    stopped: float
    """from here on no new risk; all costs are at their most"""
    volatility_shock: float = 0.0
    """relative widening of volatility shocks at the second limit: 0.5 makes 20 % into 30 %"""
    haircut: float = 0.0
    """relative growth of haircuts and scan ranges at the second limit"""
    correlation: float = 0.0
    """at the second limit, how much of the way to 1 and to 0 correlations have gone"""


class Widening(NamedTuple):
    """What an age does."""

    state: State
    shock_multiplier: float
    haircut_multiplier: float
    correlation_weight: float
    """part by which correlations move, see `widened_correlations`"""

    @property
    def new_risk(self) -> bool:
        """Whether positions may be opened."""
        return self.state != State.STOPPED


class BadLimits(ValueError):  # noqa: N818 - named for what is found
    """Limits that make no sense: which, and why."""


class FromTheFuture(ValueError):  # noqa: N818
    """Something said to have been read after now."""


def checked(limits: Limits) -> Limits:
    """The limits as they are. Raises BadLimits."""
    figures = (limits.fresh, limits.stopped, limits.volatility_shock, limits.haircut, limits.correlation)
    if not all(np.isfinite(figures)):
        raise BadLimits("limits are finite")
    if not 0.0 <= limits.fresh < limits.stopped:
        raise BadLimits(f"fresh {limits.fresh} and stopped {limits.stopped}: 0 <= fresh < stopped is needed")
    if limits.volatility_shock < 0.0 or limits.haircut < 0.0 or not 0.0 <= limits.correlation <= 1.0:
        raise BadLimits("widening is not negative, correlation's at most 1")
    return limits


def widened(time: int, now: int, limits: Limits) -> Widening:
    """What something read at `time` is worth at `now` (microseconds). Raises FromTheFuture, BadLimits."""
    checked(limits)
    if time > now:
        raise FromTheFuture(f"read at {time}, which is after {now}")
    hours = (now - time) / _HOUR
    part = min(max((hours - limits.fresh) / (limits.stopped - limits.fresh), 0.0), 1.0)
    state = State.FRESH if part == 0.0 else State.STOPPED if part == 1.0 else State.WIDENED
    return Widening(state, 1.0 + part * limits.volatility_shock, 1.0 + part * limits.haircut, part * limits.correlation)


def widest(several: tuple[Widening, ...]) -> Widening:
    """What several ages do together: the worst state, and the largest of each cost. None at all is fresh."""
    order = tuple(State)
    state = max((one.state for one in several), key=order.index, default=State.FRESH)
    return Widening(
        state,
        max((one.shock_multiplier for one in several), default=1.0),
        max((one.haircut_multiplier for one in several), default=1.0),
        max((one.correlation_weight for one in several), default=0.0),
    )


def widened_correlations(matrix: FloatArray, weight: float) -> tuple[FloatArray, FloatArray]:
    """The matrix moved by this part towards all ones, and towards independence; each is positive semi-definite where it
    was. A requirement is the larger under both: the first costs books that are long everywhere, the second hedges."""
    return np.asarray((1.0 - weight) * matrix + weight), np.asarray(
        (1.0 - weight) * matrix + weight * np.eye(len(matrix))
    )
