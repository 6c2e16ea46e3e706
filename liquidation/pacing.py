"""Pacing: how much of what must be sold is sold in a round, so that sales stay a part of what the market trades."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Pace(NamedTuple):
    """A limit on forced sales."""

    name: str
    participation: float
    """largest part of a round's volume in an underlying that forced sales may be"""


ALL_AT_ONCE: Final = Pace("all at once", float("inf"))
PACES: Final = (ALL_AT_ONCE, Pace("half of volume", 0.5), Pace("fifth of volume", 0.2), Pace("tenth of volume", 0.1))
"""those that are compared"""


class BadPace(ValueError):  # noqa: N818 - named for what is wrong
    """A participation that is not above zero: nothing would ever be sold."""

    def __init__(self, participation: float) -> None:
        super().__init__(f"participation {participation}: must be above zero")


def allowed(pace: Pace, flow: FloatArray, volume: FloatArray) -> FloatArray:
    """The part [underlyings] of a wanted flow (dollars, either sign) that may be traded in a round.

    `volume` is the round's, dollars, above zero. Raises BadPace.
    """
    if not pace.participation > 0.0:
        raise BadPace(pace.participation)
    if pace.participation == float("inf"):
        return np.ones_like(flow)
    limit = pace.participation * volume
    part: FloatArray = limit / np.maximum(np.abs(flow), limit)
    return part
