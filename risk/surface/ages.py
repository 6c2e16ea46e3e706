"""Ages of surfaces, curves and correlations: young ones count as they are, older ones widen, old ones stop new risk."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_HOUR = 3_600.0


class State(StrEnum):
    """What may be done with a quotation of this age."""

    FRESH = "fresh"
    WIDENED = "widened"
    """it counts, and costs more"""
    STOPPED = "stopped"
    """what is held is margined at the widest; no new risk is taken on"""


@dataclass(frozen=True, slots=True)
class Limits:
    """When something is old, and what its age costs. Hours; between the two limits the cost grows in proportion."""

    fresh: float
    """until here nothing widens"""
    stopped: float
    """from here on no new risk; the cost is at its most"""
    most: float
    """part of a confidence that is lost by then, or of the way that correlations have gone to 1 and to 0"""


class Widening(NamedTuple):
    """What an age does."""

    state: State
    part: float
    """0 to 1, as `Limits.most`"""

    @property
    def new_risk(self) -> bool:
        """Whether positions may be opened."""
        return self.state != State.STOPPED


class BadLimits(ValueError):  # noqa: N818 - named for what is found
    """Limits that make no sense: which, and why."""


class FromTheFuture(ValueError):  # noqa: N818
    """Something said to have been made after now."""


def checked(limits: Limits) -> Limits:
    """The limits as they are. Raises BadLimits."""
    if not all(map(math.isfinite, (limits.fresh, limits.stopped, limits.most))):
        raise BadLimits("limits are finite")
    if not 0.0 <= limits.fresh < limits.stopped:
        raise BadLimits(f"fresh {limits.fresh:g} and stopped {limits.stopped:g}: 0 <= fresh < stopped is needed")
    if not 0.0 <= limits.most <= 1.0:
        raise BadLimits(f"most {limits.most:g}: it is a part, 0 to 1")
    return limits


def widened(age: float, limits: Limits) -> Widening:
    """What something made `age` seconds ago is worth. Raises FromTheFuture, BadLimits."""
    checked(limits)
    if not age >= 0.0:
        raise FromTheFuture(f"an age of {age:g} seconds")
    gone = min(max((age / _HOUR - limits.fresh) / (limits.stopped - limits.fresh), 0.0), 1.0)
    state = State.FRESH if gone == 0.0 else State.STOPPED if gone == 1.0 else State.WIDENED
    return Widening(state, gone * limits.most)


def widest(several: Iterable[Widening]) -> Widening:
    """What several ages do together: the worst state, and the largest part. None at all is fresh."""
    every = (Widening(State.FRESH, 0.0), *several)
    return Widening(max((one.state for one in every), key=tuple(State).index), max(one.part for one in every))


def both_ways(
    correlations: Mapping[tuple[str, str], float], part: float
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
    """The correlations moved by this part towards 1, and towards 0; each is positive semi-definite where they were. A
    requirement is the larger under both: the first costs books that lean one way everywhere, the second hedges."""
    kept = {pair: (1.0 - part) * value for pair, value in correlations.items()}
    return {pair: value + part for pair, value in kept.items()}, kept
