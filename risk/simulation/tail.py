"""The tail of a loss vector: value at risk, expected shortfall, its standard error, and the closed forms.

Losses are positive, as integers (then every answer is exact) or floats; weights are positive integers. A share is the
part of the whole weight that lies in the tail: 1/100 for 99 %.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

FloatArray = npt.NDArray[np.float64]
I64Array = npt.NDArray[np.int64]
Losses = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.object_]


class NoTail(ValueError):  # noqa: N818 - named for what is missing
    """A share that is not between 0 and 1, or losses without weight: says which."""


class Tail(NamedTuple):
    """The worst losses that make up a share of the whole weight."""

    order: npt.NDArray[np.intp]
    """all losses, worst first; among equals the earlier first"""
    whole: int
    """so many of them lie in the tail whole; of the next one a part"""
    weight: Fraction
    """of the tail"""
    rest: Fraction
    """what of the next one's weight belongs to the tail"""


def tail(losses: Losses, weights: I64Array, share: Fraction) -> Tail:
    """The tail of `share`. Raises NoTail."""
    if not 0 < share < 1:
        raise NoTail(f"share {share} is not between 0 and 1")
    order = np.argsort(-losses, kind="stable")
    reached = np.cumsum(weights[order])
    if len(reached) == 0 or reached[-1] <= 0:
        raise NoTail(f"{len(reached)} losses without weight")
    target = share * int(reached[-1])
    whole = int(np.searchsorted(reached, target.numerator // target.denominator, side="right"))
    return Tail(order, whole, target, target - (int(reached[whole - 1]) if whole else 0))


def value_at_risk(losses: Losses, weights: I64Array, share: Fraction) -> int | float:
    """The least loss that is exceeded by no more than `share`. Raises NoTail."""
    worst = tail(losses, weights, share)
    return _number(losses, worst.order[min(worst.whole, len(losses) - 1)])


def expected_shortfall(losses: Losses, weights: I64Array, share: Fraction) -> Fraction | float:
    """The mean of the worst `share`, the loss at its edge counted by the part that lies in it. Raises NoTail."""
    worst = tail(losses, weights, share)
    total: Fraction | float = 0
    for at in worst.order[: worst.whole]:
        total = total + int(weights[at]) * _number(losses, at)
    if worst.rest:
        total = total + worst.rest * _number(losses, worst.order[worst.whole])
    return total / worst.weight


def standard_error(losses: Losses, weights: I64Array, share: Fraction) -> float:
    """Of the expected shortfall, as if the draws were independent: antithetic and quasi-random ones do better.

    By its influence function: each path adds weight x (edge + (loss - edge)^+ / share - shortfall).
    """
    edge = float(value_at_risk(losses, weights, share))
    mean = float(expected_shortfall(losses, weights, share))
    amounts = np.asarray(losses, np.float64)
    part = weights / weights.sum() * (edge + np.maximum(amounts - edge, 0.0) / float(share) - mean)
    return math.sqrt(float(np.sum(part * part)))


def normal_shortfall(share: float) -> float:
    """Expected shortfall of a standard normal loss: density at the quantile over the share."""
    quantile = float(ndtri(share))
    return math.exp(-0.5 * quantile * quantile) / math.sqrt(2.0 * math.pi) / share


def student_shortfall(share: float, degrees: float) -> float:
    """Expected shortfall of a Student t loss scaled to unit variance (McNeil, Frey, Embrechts, 2.2.4)."""
    quantile = float(stdtrit(degrees, share))
    log_density = (
        math.lgamma((degrees + 1) / 2)
        - math.lgamma(degrees / 2)
        - 0.5 * math.log(degrees * math.pi)
        - (degrees + 1) / 2 * math.log1p(quantile * quantile / degrees)
    )
    shortfall = math.exp(log_density) / share * (degrees + quantile * quantile) / (degrees - 1)
    return shortfall * math.sqrt((degrees - 2) / degrees)


def _number(losses: Losses, at: np.intp) -> int | float:
    value = losses[at]
    return value if isinstance(value, int) else value.item()
