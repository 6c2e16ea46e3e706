"""What forced sales do to prices: the square-root law, its decay, and what one underlying's sales do to another's.

A trade of Q dollars moves a price by Y x sigma x sqrt(Q / V), sigma the day's volatility and V its volume (Almgren and
others 2005; Toth and others 2011; for Bitcoin Donier and Bonart 2015). It then fades, exponentially or with a power
of time (Bouchaud and others 2004). Here the law is applied to the flow that has not yet faded, so that without decay a
sale cut in pieces moves the price as far as the whole.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Decay(Enum):
    """How the flow of a round fades with the rounds that follow."""

    NONE = "none"
    EXPONENTIAL = "exponential"
    POWER = "power"


class Impact(NamedTuple):
    """The law's parameters. They are assumptions: no figure of this market is measured."""

    scale: float = 1.0
    """Y, about one in the studies named above"""
    cross: float = 0.5
    """what part of the correlation carries the impact over to another underlying"""
    decay: Decay = Decay.EXPONENTIAL
    rounds: float = 24.0
    """exponential: rounds to 1/e; power: rounds after which fading sets in"""
    power: float = 0.5
    """exponent of the power decay"""


class Liquidity(NamedTuple):
    """What the law needs of the underlyings, by their numbers."""

    volatility: FloatArray
    """[underlyings] of a day, parts"""
    volume: FloatArray
    """[underlyings] dollars a day, above zero"""
    correlation: FloatArray
    """[underlyings, underlyings]"""


def fading(impact: Impact, ages: FloatArray) -> FloatArray:
    """What part of a flow is left after so many rounds."""
    if impact.decay is Decay.NONE:
        return np.ones_like(ages)
    if impact.decay is Decay.EXPONENTIAL:
        left: FloatArray = np.exp(-ages / impact.rounds)
    else:
        left = (1.0 + ages / impact.rounds) ** -impact.power
    return left


def lasting(impact: Impact, flows: FloatArray, age: int = 0) -> FloatArray:
    """The flow [underlyings] that still weighs on prices `age` rounds after the last of `flows` [rounds, underlyings],
    dollars bought, sales negative."""
    left = fading(impact, np.arange(len(flows) - 1, -1, -1, dtype=np.float64) + age)
    weighed: FloatArray = left @ flows
    return weighed


def moves(impact: Impact, liquidity: Liquidity, flow: FloatArray) -> FloatArray:
    """Logarithmic price moves [underlyings] under a lasting flow."""
    return _spread(impact, liquidity, np.sign(flow) * np.sqrt(np.abs(flow) / liquidity.volume))


def average_moves(impact: Impact, liquidity: Liquidity, before: FloatArray, after: FloatArray) -> FloatArray:
    """The mean of `moves` on the way from one lasting flow to another: at what it is traded on that way.

    The mean of sign(q) sqrt|q| is (2/3) (|b|^1.5 - |a|^1.5) / (b - a), whatever the signs.
    """
    a, b = before / liquidity.volume, after / liquidity.volume
    step = b - a
    still = np.abs(step) < 1e-12
    mean = (2.0 / 3.0) * (np.abs(b) ** 1.5 - np.abs(a) ** 1.5) / np.where(still, 1.0, step)
    return _spread(impact, liquidity, np.where(still, np.sign(a) * np.sqrt(np.abs(a)), mean))


def _spread(impact: Impact, liquidity: Liquidity, own: FloatArray) -> FloatArray:
    carried = impact.cross * liquidity.correlation
    np.fill_diagonal(carried, 1.0)
    spread: FloatArray = impact.scale * liquidity.volatility * (carried @ own)
    return spread
