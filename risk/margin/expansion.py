"""A scenario's gain by its greeks, named term by term, beside the full revaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76
from risk.greeks import sensitivities
from risk.margin.book import Kind
from risk.margin.valuing import Quoted

FloatArray = npt.NDArray[np.float64]


class Parts(NamedTuple):
    """What a book gains in a scenario, dollars: each term of the expansion, and the whole by full revaluation."""

    delta: float
    """delta x forward move"""
    gamma: float
    """half gamma x forward move squared"""
    vega: float
    """vega x volatility shock"""
    vanna: float
    """vanna x forward move x volatility shock"""
    volga: float
    """half volga x volatility shock squared"""
    theta: float
    """theta x years that pass"""
    charm: float
    """charm x forward move x years that pass"""
    revaluation: float
    """the book revalued in the scenario less its value now"""

    @property
    def expanded(self) -> float:
        """The sum of the terms."""
        return self.delta + self.gamma + self.vega + self.vanna + self.volga + self.theta + self.charm

    @property
    def unexplained(self) -> float:
        """What the terms do not reach: revaluation less their sum."""
        return self.revaluation - self.expanded


class StepPastExpiry(ValueError):  # noqa: N818 - named for what is found
    """A time step below zero, or past an option's expiry."""


def expansion(
    legs: Sequence[Quoted],
    quantities: Sequence[float],
    move: npt.ArrayLike,
    shock: npt.ArrayLike = 0.0,
    step: npt.ArrayLike = 0.0,
) -> Parts:
    """The parts of a scenario's gain over these legs, each held `quantities` contracts (negative: short).

    `move` is the relative move of spot and forwards (-0.15: down by 15 %), `shock` the absolute move of volatility
    (0.1: ten points), and `step` years that pass, at most to its expiry: each one number for all legs or one a leg.
    A volatility below zero after its shock counts as zero. Discounting keeps its rate. Raises StepPastExpiry, and
    risk.black76.OutOfDomainError for a move of -1 or below.
    """
    held = np.asarray(quantities, np.float64)
    forwards = np.array([leg.forward for leg in legs], np.float64)
    moved = np.broadcast_to(np.asarray(move, np.float64), forwards.shape) * forwards
    option = np.array([leg.instrument.kind == Kind.OPTION for leg in legs], np.bool_)
    linear = float(held[~option] @ moved[~option])
    if not option.any():
        return Parts(linear, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, linear)
    options = [leg for leg in legs if leg.instrument.kind == Kind.OPTION]
    call = np.array([leg.instrument.call for leg in options])
    strike, volatility, years, rate = np.array(
        [(leg.instrument.strike, leg.volatility, leg.years, leg.rate) for leg in options]
    ).T
    passed = np.broadcast_to(np.asarray(step, np.float64), forwards.shape)[option]
    if np.any(passed < 0.0) or np.any(passed > years):
        raise StepPastExpiry(f"a step of {passed.max():g} years: 0 to {years.min():g}, the nearest expiry, is needed")
    forward, by, count = forwards[option], moved[option], held[option]
    shocked = np.broadcast_to(np.asarray(shock, np.float64), forwards.shape)[option]
    now = sensitivities(call, forward, strike, volatility, years, rate)
    after = black76.price(call, forward + by, strike, np.maximum(volatility + shocked, 0.0), years - passed, rate)
    return Parts(
        delta=linear + _sum(count, now.delta, by),
        gamma=_sum(count, now.gamma, 0.5 * by * by),
        vega=_sum(count, now.vega, shocked),
        vanna=_sum(count, now.vanna, by * shocked),
        volga=_sum(count, now.volga, 0.5 * shocked * shocked),
        theta=_sum(count, now.theta, passed),
        charm=_sum(count, now.charm, by * passed),
        revaluation=linear + float(count @ (after - now.price)),
    )


def _sum(count: FloatArray, greek: FloatArray, by: FloatArray) -> float:
    # at the money with no volatility left gamma is infinite: where nothing moves it is not asked
    with np.errstate(invalid="ignore"):
        return float(np.sum(np.where(by == 0.0, 0.0, count * greek * by)))
