"""Tests of coverage: Kupiec's proportion of failures, Christoffersen's independence and conditional coverage.

P. Kupiec, "Techniques for verifying the accuracy of risk measurement models", Journal of Derivatives 3 (1995).
P. Christoffersen, "Evaluating interval forecasts", International Economic Review 39 (1998).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from scipy.special import chdtrc


class NotARate(ValueError):  # noqa: N818 - named for what is found
    """An expected share of breaches that is not between 0 and 1."""


class MoreBreachesThanDays(ValueError):  # noqa: N818
    """A count of breaches below zero or past the number of observations."""


class LikelihoodRatio(NamedTuple):
    """A likelihood-ratio test: -2 ln(likelihood under the hypothesis / largest likelihood), and how likely that is."""

    statistic: float
    p_value: float
    degrees: int
    """of freedom of the chi-square that the p-value is of"""


def kupiec(breaches: int, observations: int, expected: float) -> LikelihoodRatio:
    """Is the share of breaches the expected one? One degree of freedom.

    Nothing observed says nothing: statistic 0, p-value 1. Raises NotARate, MoreBreachesThanDays.
    """
    if not 0.0 < expected < 1.0:
        raise NotARate(f"expected share of breaches {expected}: must be between 0 and 1")
    if not 0 <= breaches <= observations:
        raise MoreBreachesThanDays(f"{breaches} breaches in {observations} observations")
    kept = observations - breaches
    under = _likelihood(breaches, kept, expected)
    return _tested(under, _likelihood(breaches, kept, breaches / observations if observations else 0.0), 1)


def independence(breached: Sequence[bool]) -> LikelihoodRatio:
    """Does a breach make the next one likelier (or less likely)? One degree of freedom.

    Against a Markov chain of first order: how often a breach follows a breach, and how often it follows none.
    """
    calm_calm, calm_breach, breach_calm, breach_breach = transitions(breached)
    moves = calm_calm + calm_breach + breach_calm + breach_breach
    share = (calm_breach + breach_breach) / moves if moves else 0.0
    under = _likelihood(calm_breach + breach_breach, calm_calm + breach_calm, share)
    after_calm = calm_breach / (calm_calm + calm_breach) if calm_calm + calm_breach else 0.0
    after_breach = breach_breach / (breach_calm + breach_breach) if breach_calm + breach_breach else 0.0
    free = _likelihood(calm_breach, calm_calm, after_calm) + _likelihood(breach_breach, breach_calm, after_breach)
    return _tested(under, free, 1)


def conditional(breached: Sequence[bool], expected: float) -> LikelihoodRatio:
    """Both at once, the sum of the two statistics: two degrees of freedom. Raises NotARate."""
    unconditional = kupiec(sum(breached), len(breached), expected)
    statistic = unconditional.statistic + independence(breached).statistic
    return LikelihoodRatio(statistic, float(chdtrc(2, statistic)), 2)


def transitions(breached: Sequence[bool]) -> tuple[int, int, int, int]:
    """How often calm follows calm, breach follows calm, calm follows breach, breach follows breach."""
    counts = [0, 0, 0, 0]
    for before, after in pairwise(breached):
        counts[2 * bool(before) + bool(after)] += 1
    return counts[0], counts[1], counts[2], counts[3]


def _likelihood(breaches: int, kept: int, share: float) -> float:
    """ln(share^breaches (1 - share)^kept), where 0^0 is 1."""
    told = 0.0
    if breaches:
        told += breaches * math.log(share)
    if kept:
        told += kept * math.log1p(-share)
    return told


def _tested(under: float, free: float, degrees: int) -> LikelihoodRatio:
    statistic = max(0.0, 2.0 * (free - under))  # rounding may put equal likelihoods a hair apart
    return LikelihoodRatio(statistic, float(chdtrc(degrees, statistic)), degrees)
