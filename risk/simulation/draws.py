"""Where simulated numbers come from: seeded Philox, or scrambled Sobol points, with more of them where the tail is.

A Student t vector is a normal one times a mixing number common to the whole path: one bad window is bad for all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv, ndtri

FloatArray = npt.NDArray[np.float64]
I64Array = npt.NDArray[np.int64]

WEIGHT: Final = 1 << 36
"""a weight of one, in quanta: sums of a million weights stay exact in 63 bits"""
_LEAST: Final = 2.0**-60
_MOST: Final = 1.0 - 2.0**-53


class BadDraws(ValueError):  # noqa: N818 - named for what is asked wrongly
    """A set of draws that cannot be made: says what was asked."""


class Plan(NamedTuple):
    """How to draw."""

    paths: int
    """even: every path has its mirror image (antithetic)"""
    seed: int
    degrees: float
    """of freedom, above 2; 0 is the normal law"""
    quasi: bool = True
    """ends of paths from Sobol points (scrambled by the seed); otherwise from Philox"""
    tilt: float = 1.0
    """1 or more: the mixing number is drawn at u^tilt for a uniform u and weighted back; 1 is no tilt"""


class Draws(NamedTuple):
    """Numbers of unit variance under their weights. Read-only."""

    ends: FloatArray
    """[factors, paths] standard normal: the end of each path"""
    between: FloatArray
    """[steps - 1, factors, paths] standard normal: the way there"""
    mixing: FloatArray
    """[paths] what both are multiplied by"""
    weights: I64Array
    """[paths] in quanta of 1 / WEIGHT"""


@lru_cache(maxsize=8)
def draws(plan: Plan, factors: int, steps: int = 1) -> Draws:
    """The draws of a plan: the same plan gives the same bytes. Raises BadDraws.

    Only the ends are quasi-random: they decide nearly all of a loss, and Sobol points lose their evenness in hundreds
    of dimensions. The ends do not depend on `steps`, so a path ends where the terminal model of the same plan does.
    """
    if plan.paths < 2 or plan.paths % 2 or factors < 1 or steps < 1:
        raise BadDraws(f"{plan.paths} paths (an even number), {factors} factors, {steps} steps")
    if plan.degrees != 0 and not plan.degrees > 2.0:
        raise BadDraws(f"{plan.degrees} degrees of freedom have no variance: more than 2, or 0 for the normal law")
    if not plan.tilt >= 1.0:
        raise BadDraws(f"tilt {plan.tilt} is below 1")
    half = plan.paths // 2
    uniforms = _uniforms(plan, factors + 1, half)
    ends = _mirrored(ndtri(uniforms[1:]))
    mixing, weights = _mixing(plan, uniforms[0])
    bridge = _generator(plan.seed, 1)
    between = _mirrored(bridge.standard_normal((steps - 1, factors, half)))
    answer = Draws(ends, between, np.tile(mixing, 2), np.tile(weights, 2))
    for array in answer:
        array.flags.writeable = False
    return answer


def _uniforms(plan: Plan, dimensions: int, count: int) -> FloatArray:
    if not plan.quasi:
        plain = _generator(plan.seed, 0).random((dimensions, count))
        return np.clip(plain, _LEAST, _MOST)
    # scipy.stats takes half a second to import: only who draws quasi-random numbers pays for it
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=True, bits=52, rng=_generator(plan.seed, 0)).random_base2(
        (count - 1).bit_length()
    )
    return np.clip(np.ascontiguousarray(points[:count].T), _LEAST, _MOST)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(stream,))))


def _mirrored(half: FloatArray) -> FloatArray:
    return np.concatenate([half, -half], axis=-1)


def _mixing(plan: Plan, uniform: FloatArray) -> tuple[FloatArray, I64Array]:
    if plan.degrees == 0:
        return np.ones(len(uniform)), np.full(len(uniform), WEIGHT)
    # du^tilt = tilt u^(tilt - 1) du: the weight is bounded by the tilt, whatever the portfolio
    chi_square = 2.0 * gammaincinv(plan.degrees / 2.0, np.maximum(uniform**plan.tilt, 1e-300))
    weights = np.rint(plan.tilt * uniform ** (plan.tilt - 1.0) * WEIGHT).astype(np.int64)
    return np.sqrt((plan.degrees - 2.0) / chi_square), weights
