"""The native formula against the vectorised one: how many units in the last place lie between them, stated here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfcx

from risk.black76_kernel import OUTPUTS, price_and_greeks, scaled_tail
from risk.greeks import sensitivities
from schemas.compiled import compiled

EPS = np.finfo(np.float64).eps


@compiled
def tails(x, out):
    for i in range(len(x)):
        out[i] = scaled_tail(x[i])


def both(call, *columns):
    columns = [np.ascontiguousarray(one, np.float64) for one in np.broadcast_arrays(*columns)]
    call = np.ascontiguousarray(np.broadcast_to(call, columns[0].shape))
    out = np.empty((len(OUTPUTS), len(call)))
    price_and_greeks(call, *columns, out)
    theirs = sensitivities(call, *columns)
    return dict(zip(OUTPUTS, out, strict=True)), {name: getattr(theirs, name) for name in OUTPUTS}


def test_the_scaled_tail_is_good_to_seven_units_in_the_last_place():
    x = np.concatenate([np.linspace(0.0, 30.0, 100_001), np.geomspace(30.0, 1e6, 10_001)])
    ours = np.empty(len(x))
    tails(x, ours)
    assert np.max(np.abs(ours / erfcx(x) - 1.0)) < 7 * EPS


def test_random_options_agree_to_the_units_stated():
    random = np.random.default_rng(7)
    n = 100_000
    forward = random.uniform(1e2, 1e5, n)
    strike = forward * np.exp(random.normal(0.0, 0.4, n))
    volatility, years = random.uniform(0.05, 2.0, n), random.uniform(1 / 8760, 3.0, n)
    ours, theirs = both(random.random(n) < 0.5, forward, strike, volatility, years, random.uniform(-0.02, 0.2, n))
    low = np.minimum(forward, strike)
    # absolute: units in the last place of what each figure is made of
    scale = {
        "price": np.maximum(low, np.abs(theirs["price"])),
        "delta": np.ones(n),
        "gamma": np.maximum(theirs["gamma"], 1e-300),
        "vega": forward * np.sqrt(years),
        "theta": np.maximum(np.abs(theirs["theta"]), low),
        "rho": np.maximum(low, np.abs(theirs["price"])) * years,
        "vanna": 1.0 / volatility,
    }
    for name in OUTPUTS:
        if name != "gamma":
            assert np.max(np.abs(ours[name] - theirs[name]) / scale[name]) < 8 * EPS, name
    # relative: out of the money the difference of two tails keeps ten digits even where the price is 1e-200
    for name in OUTPUTS[:4]:
        there = np.abs(theirs[name]) > 1e-250
        gap = np.abs(ours[name] - theirs[name])[there] / np.abs(theirs[name])[there]
        assert np.max(gap) < 1e-9 and np.quantile(gap, 0.99) < 1e-13, name


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("forward", [40_000.0, 50_000.0, 60_000.0])
@pytest.mark.parametrize("volatility", [0.0, 0.5])
@pytest.mark.parametrize("years", [0.0, 0.5])
def test_the_limits_are_those_of_the_vectorised_formula(call, forward, volatility, years):
    ours, theirs = both(np.array([call]), [forward], [50_000.0], [volatility], [years], [0.05])
    for name in OUTPUTS:
        assert float(ours[name][0]) == pytest.approx(float(theirs[name][0]), rel=1e-13, abs=1e-13), name
