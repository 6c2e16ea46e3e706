"""All sensitivities of an option that a desk looks at: Black's six and the second-order vanna, charm and volga."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from risk import black76

FloatArray = npt.NDArray[np.float64]


class Sensitivities(NamedTuple):
    """An option's value and its derivatives, each of the broadcast shape of the inputs; the forward is held."""

    price: FloatArray
    """dollars"""
    delta: FloatArray
    """dV/dF: dollars per dollar of the forward"""
    gamma: FloatArray
    """d2V/dF2"""
    vega: FloatArray
    """dV/dvolatility: dollars per 1.00 of volatility"""
    theta: FloatArray
    """-dV/dT: dollars per year that passes"""
    rho: FloatArray
    """dV/dr: dollars per 1.00 of rate"""
    vanna: FloatArray
    """d2V/(dF dvolatility): delta per 1.00 of volatility, vega per dollar of the forward"""
    charm: FloatArray
    """-d2V/(dF dT): delta per year that passes"""
    volga: FloatArray
    """d2V/dvolatility2: vega per 1.00 of volatility"""


def sensitivities(
    call: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    volatility: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike = 0.0,
) -> Sensitivities:
    """Value and all derivatives; inputs, units and errors as in `risk.black76.price`, the first six as in its `greeks`.

    Limits at zero volatility or time: away from the money vanna and volga are zero and charm is rate x delta. At the
    money volga is zero, vanna is discount x sqrt(T / 8 pi), charm is minus infinity as time runs out at a volatility
    that is not zero, and rate x delta where volatility is zero.
    """
    first = black76.greeks(call, forward, strike, volatility, years, rate)
    f, k, v, t, r = np.broadcast_arrays(
        *(np.asarray(one, np.float64) for one in (forward, strike, volatility, years, rate))
    )
    gap = black76.log_ratio(f, k)
    root = np.sqrt(t)
    deviation = v * root
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        away = np.where(gap == 0.0, 0.0, gap / deviation)
        # at zero deviation `away` is infinite off the money and the density nothing
        steps = away + 0.5 * deviation
        density = np.exp(-r * t - 0.5 * steps * steps) / np.sqrt(2.0 * np.pi)
        lives = density > 0.0
        off = lives & (gap != 0.0)
        vanna = density * (0.5 * root - np.where(off, away / v, 0.0))
        decay = np.where(off, away / (2.0 * t), 0.0) - np.where(v > 0.0, v / (4.0 * root), 0.0)
        charm = r * first.delta + np.where(lives, density * decay, 0.0)
        volga = f * density * root * (np.where(off, away * away / v, 0.0) - 0.25 * v * t)
    return Sensitivities(*first, np.where(lives, vanna, 0.0), charm, np.where(lives, volga, 0.0))
