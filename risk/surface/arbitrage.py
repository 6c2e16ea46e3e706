"""Whether slices of a surface are free of static arbitrage: butterflies within an expiry, calendar spreads across.

Free of butterflies means a density that is nowhere negative: Gatheral's g(k) >= 0 and wings no steeper than Lee's 2.
Free of calendar spreads means that total variance at the same k = ln(strike / forward) nowhere falls with time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.margin.book import Svi
from risk.surface.svi import density, variance

FloatArray = npt.NDArray[np.float64]

DENSE: Final = 2001
"""points of a check's grid"""
NOTHING: Final = 1e-12
"""what rounding may leave below a bound"""


class Breach(NamedTuple):
    """One arbitrage: which kind, between or within which slices (by number), where, and by how much."""

    kind: str
    """butterfly, slope, variance (not positive), calendar, calendar slope"""
    slices: tuple[int, ...]
    k: float
    by: float


def grid(reach: float, points: int = DENSE) -> FloatArray:
    """Log-moneyness to check on: to `reach` on both sides, dense in the middle and ever wider outwards, and five posts
    beyond, to 32 times as far: two wings of one slope may still lie the wrong way."""
    near = reach * np.sinh(np.linspace(-5.0, 5.0, points)) / np.sinh(5.0)
    posts = reach * 2.0 ** np.arange(1, 6)
    return np.concatenate([-posts[::-1], near, posts])


def far_out(years: float, quoted: float) -> float:
    """How far to check: three times the widest quote's |k|, and ten deviations of a volatility of 100 % at least."""
    return max(3.0 * quoted, 10.0 * math.sqrt(years))


def breaches(slices: Sequence[Svi], quoted: float = 0.5, points: int = DENSE) -> list[Breach]:
    """Every arbitrage of these slices, nearest expiry first; none: the surface is free of both kinds on a grid of
    `points` as far as `far_out` (`quoted`: the widest quote's |k|) and, by the slopes of its wings, past it."""
    found: list[Breach] = []
    for number, one in enumerate(slices):
        found += alone(one, number, quoted, points)
        if number:
            found += calendar(slices[number - 1], one, number, quoted, points)
    return found


def alone(one: Svi, number: int, quoted: float, points: int = DENSE) -> list[Breach]:
    """What is wrong with slice `number` by itself; the rest as in `breaches`."""
    k = np.union1d(grid(far_out(one.tau, quoted), points), _round_bend(one))
    found = _lowest("variance", (number,), k, variance(one, k) - NOTHING)
    found += _lowest("butterfly", (number,), k, density(one, k) + NOTHING)
    steepest = one.b * (1.0 + abs(one.rho))
    if steepest > 2.0:
        found.append(Breach("slope", (number,), float(np.copysign(np.inf, one.rho)), steepest - 2.0))
    return found


def calendar(near: Svi, far: Svi, number: int, quoted: float, points: int = DENSE) -> list[Breach]:
    """Where slice `number`, `far`, has less variance than `near` before it: on the grid and in the wings' limit."""
    numbers = (number - 1, number)
    k = np.concatenate([grid(far_out(far.tau, quoted), points), _round_bend(near), _round_bend(far)])
    found = _lowest("calendar", numbers, k, variance(far, k) - variance(near, k) + NOTHING)
    for side in (-1.0, 1.0):
        fall = near.b * (1.0 + side * near.rho) - far.b * (1.0 + side * far.rho)
        if fall > NOTHING:
            found.append(Breach("calendar slope", numbers, side * np.inf, fall))
    return found


def _round_bend(svi: Svi) -> FloatArray:
    """Where a slice is most bent, in its own scale: a sharp one lies between a grid's points."""
    return np.asarray(svi.m + svi.sigma * np.sinh(np.linspace(-2.0, 2.0, 161)))


def _lowest(kind: str, numbers: tuple[int, ...], k: FloatArray, room: FloatArray) -> list[Breach]:
    at = int(np.argmin(room))
    return [Breach(kind, numbers, float(k[at]), -float(room[at]))] if room[at] < 0.0 else []
