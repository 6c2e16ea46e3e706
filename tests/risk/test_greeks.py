"""Every greek against QuantLib where it has it, against differences of prices of 150 digits, and at its limits."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest
import QuantLib

from risk import black76
from risk.greeks import sensitivities

STRIKE = 50_000.0
GRID = list(
    product((True, False), (0.6, 0.9, 0.999, 1.0, 1.05, 1.5), (0.11, 0.55, 1.5), (1 / 365, 30 / 365, 1.0), (0.0, 0.05))
)


def exact_price(call, forward, volatility, years, rate):
    f, k, v, t, r = (mpmath.mpf(x) for x in (forward, STRIKE, volatility, years, rate))
    d1 = mpmath.log(f / k) / (v * mpmath.sqrt(t)) + v * mpmath.sqrt(t) / 2
    side = 1 if call else -1
    reach, paid = mpmath.ncdf(side * d1), mpmath.ncdf(side * (d1 - v * mpmath.sqrt(t)))
    return side * mpmath.exp(-r * t) * (f * reach - k * paid)


@pytest.mark.parametrize(("call", "moneyness", "volatility", "years", "rate"), GRID[::3])
def test_differences_of_long_prices_agree(call, moneyness, volatility, years, rate):
    forward = STRIKE * moneyness
    ours = sensitivities(call, forward, STRIKE, volatility, years, rate)
    with mpmath.workdps(150):
        f, v, t = mpmath.mpf(forward), mpmath.mpf(volatility), mpmath.mpf(years)
        h, e, s = f * mpmath.mpf(10) ** -12, v * mpmath.mpf(10) ** -12, t * mpmath.mpf(10) ** -12

        def value(df=0, dv=0, dt=0):
            return exact_price(call, f + df, v + dv, t + dt, rate)

        def cross(name, one, other):
            up, down = {name: other}, {name: -other}
            ends = value(df=one, **up) - value(df=one, **down) - value(df=-one, **up) + value(df=-one, **down)
            return ends / (4 * one * other)

        truth = {
            "delta": (value(df=h) - value(df=-h)) / (2 * h),
            "gamma": (value(df=h) - 2 * value() + value(df=-h)) / h**2,
            "vega": (value(dv=e) - value(dv=-e)) / (2 * e),
            "theta": -(value(dt=s) - value(dt=-s)) / (2 * s),
            "rho": -t * value(),
            "vanna": cross("dv", h, e),
            "charm": -cross("dt", h, s),
            "volga": (value(dv=e) - 2 * value() + value(dv=-e)) / e**2,
        }
        scale = {"vanna": 1e-6, "charm": 1e-6, "volga": 1e-3}
        for name, wanted in truth.items():
            if abs(wanted) > 1e-200:
                gap = abs(mpmath.mpf(float(getattr(ours, name))) - wanted)
                assert gap < 1e-9 * abs(wanted) + 1e-12 * scale.get(name, 0.0), name


@pytest.mark.parametrize(("call", "moneyness", "volatility", "years", "rate"), GRID)
def test_quantlib_agrees_where_it_has_the_greek(call, moneyness, volatility, years, rate):
    forward = STRIKE * moneyness
    discount, deviation = np.exp(-rate * years), volatility * np.sqrt(years)
    payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if call else QuantLib.Option.Put, STRIKE)
    one = QuantLib.BlackCalculator(payoff, forward, float(deviation), float(discount))
    ours = sensitivities(call, forward, STRIKE, volatility, years, rate)
    size = {"price": forward, "delta": 1, "gamma": 1 / forward, "vega": forward, "theta": forward, "rho": forward}
    theirs = {
        "price": one.value(),
        "delta": one.deltaForward(),
        "gamma": one.gammaForward(),
        "vega": one.vega(years),
        "theta": one.theta(forward, years),
        "rho": one.rho(years) - years * forward * one.deltaForward(),
    }
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, rel=1e-9, abs=1e-13 * size[name]), name
    # its vanna is by the spot, which with spot = forward is ours
    assert ours.vanna == pytest.approx(one.vanna(forward, years), rel=1e-8, abs=1e-12)
    # its volga is vega's slope in the deviation, not in the volatility: sqrt(T) lies between (ours is the one that the
    # differences above confirm)
    assert ours.volga == pytest.approx(one.volga(years) * np.sqrt(years), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("forward", "volatility", "years", "wanted"),
    [
        (50_000.0, 0.0, 0.5, {"vanna": np.exp(-0.05) * np.sqrt(0.5 / (8 * np.pi)), "charm": 0.05 * np.exp(-0.05)}),
        (50_000.0, 0.5, 0.0, {"vanna": 0.0, "charm": -np.inf}),
        (50_000.0, 0.0, 0.0, {"vanna": 0.0, "charm": 0.05}),
        (60_000.0, 0.0, 0.5, {"vanna": 0.0, "charm": 0.1 * np.exp(-0.05)}),
        (60_000.0, 0.5, 0.0, {"vanna": 0.0, "charm": 0.1}),
        (40_000.0, 0.0, 0.5, {"vanna": 0.0, "charm": 0.0}),
        (40_000.0, 0.5, 0.0, {"vanna": 0.0, "charm": 0.0}),
    ],
)
def test_limits_at_zero_volatility_and_time_are_as_stated(forward, volatility, years, wanted):
    ours = sensitivities(True, forward, STRIKE, volatility, years, 0.1)
    assert float(ours.volga) == 0.0
    for name, value in wanted.items():
        assert float(getattr(ours, name)) == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("forward", [50_000.0, 50_500.0])
def test_the_limits_are_reached_from_near(forward):
    near = sensitivities(True, forward, STRIKE, 1e-8, 0.5, 0.1)
    at = sensitivities(True, forward, STRIKE, 0.0, 0.5, 0.1)
    for name in ("delta", "vanna", "charm", "volga"):
        assert float(getattr(near, name)) == pytest.approx(float(getattr(at, name)), rel=1e-5, abs=1e-4), name


def test_a_call_and_its_put_share_the_second_order():
    call, put = (sensitivities(side, [40_000.0, 55_000.0], STRIKE, 0.6, 0.2, 0.03) for side in (True, False))
    assert np.array_equal(call.vanna, put.vanna) and np.array_equal(call.volga, put.volga)
    assert call.charm - put.charm == pytest.approx(0.03 * np.exp(-0.006) * np.ones(2))


def test_inputs_broadcast_and_bad_ones_are_named():
    whole = sensitivities(True, np.full((3, 1), STRIKE), np.full(4, STRIKE), 0.5, 1.0)
    assert {one.shape for one in whole} == {(3, 4)}
    with pytest.raises(black76.OutOfDomainError, match=r"volatility\[1\] = -0.1"):
        sensitivities(True, STRIKE, STRIKE, [0.1, -0.1], 1.0)
