"""Simulated states of the market: price and volatility moves of every underlying, at the end and on the way there."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.simulation.copula import Factor
from risk.simulation.draws import Draws, I64Array

FloatArray = npt.NDArray[np.float64]

LOWEST: Final = -0.99
"""no price falls further: a simple return of fat tails would go below zero"""


class States(NamedTuple):
    """States of the market, oldest step first. One path's states share its weight."""

    prices: FloatArray
    """[underlyings, steps, paths] price relative to now"""
    volatilities: FloatArray
    """[underlyings, steps, paths] logarithm of implied volatility of thirty days relative to now"""
    elapsed: FloatArray
    """[steps] years from now"""
    weights: I64Array
    """[paths]"""


class Smile(NamedTuple):
    """How implied volatility moves."""

    leverage: float
    """correlation of its move with the price's: negative where fear comes with falling prices"""
    volatility: float
    """of the logarithm of implied volatility of thirty days, a year"""
    widest: float
    """it is multiplied by no more than this, and divided by no more"""


class Returns(NamedTuple):
    """How a move becomes a price."""

    logarithmic: bool
    """the price is multiplied by exp(move); otherwise by 1 + move, not below 1 + LOWEST"""
    largest: float
    """no price rises by more than this part: fat tails at 10,000 paths otherwise reach prices nobody has seen"""


def states(
    drawn: Draws, correlation: Factor, deviations: FloatArray, years: float, smile: Smile, returns: Returns
) -> States:
    """States on the way to `years` from now; `deviations` are the underlyings' volatilities a year.

    Factors come in twos: as many for prices as there are underlyings, then as many for volatilities, correlated between
    underlyings alike. What stands between the ends is a Brownian bridge; there is no drift.
    """
    count = len(deviations)
    root = np.sqrt(years)
    prices, volatilities, elapsed = [], [], []
    for share, numbers in _bridged(drawn):
        price = correlation.loadings @ numbers[:count]
        other = correlation.loadings @ numbers[count:]
        own = smile.leverage * price + np.sqrt(1.0 - smile.leverage**2) * other
        move = deviations[:, None] * root * price * drawn.mixing
        moved = np.exp(np.minimum(move, 700.0)) - 1.0 if returns.logarithmic else move
        prices.append(1.0 + np.clip(moved, LOWEST, returns.largest))
        bound = np.log(smile.widest)
        volatilities.append(np.clip(smile.volatility * root * own * drawn.mixing, -bound, bound))
        elapsed.append(share * years)
    return States(np.stack(prices, 1), np.stack(volatilities, 1), np.array(elapsed), drawn.weights)


def _bridged(drawn: Draws) -> list[tuple[float, FloatArray]]:
    """At each step: the part of the way, and the path's [factors, paths] numbers there, of variance that part."""
    steps = len(drawn.between) + 1
    at = np.zeros_like(drawn.ends)
    answer = []
    for step in range(1, steps):
        here, left = step / steps, steps - step + 1
        at = at + (drawn.ends - at) / left + np.sqrt((left - 1) / left / steps) * drawn.between[step - 1]
        answer.append((here, at))
    answer.append((1.0, drawn.ends))
    return answer
