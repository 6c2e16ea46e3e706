"""Black's formula against QuantLib, against sixty-digit arithmetic, and at its limits."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import black76
from risk.black76 import OutOfDomainError, PremiumOutOfBoundsError

STRIKE = 50_000.0
MONEYNESS = (0.2, 0.35, 0.6, 0.8, 0.9, 0.97, 0.999, 1.0, 1.0003, 1.02, 1.1, 1.3, 1.7, 2.9, 5.0)
VOLATILITIES = (0.05, 0.11, 0.3, 0.55, 0.8, 1.5, 3.0)
YEARS = (1 / 8766, 1 / 365.25, 7 / 365.25, 30 / 365.25, 0.25, 1.0, 3.0)
RATES = (0.0, 0.05, -0.01, 0.21)
TOLERANCE = 1e-10
NAMES = ("price", "delta", "gamma", "vega", "theta", "rho")


def quantlib(call, forward, volatility, years, rate):
    discount, deviation = np.exp(-rate * years), volatility * np.sqrt(years)
    payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if call else QuantLib.Option.Put, STRIKE)
    one = QuantLib.BlackCalculator(payoff, float(forward), float(deviation), float(discount))
    # QuantLib's rho lets the forward follow the rate, dF/dr = T F; ours holds it
    rho = one.rho(years) - years * forward * one.deltaForward()
    return one.value(), one.deltaForward(), one.gammaForward(), one.vega(years), one.theta(forward, years), rho


def exact(call, forward, volatility, years, rate):
    with mpmath.workdps(60):
        f, k, v, t, r = (mpmath.mpf(x) for x in (forward, STRIKE, volatility, years, rate))
        deviation, discount, side = v * mpmath.sqrt(t), mpmath.exp(-r * t), 1 if call else -1
        d1 = mpmath.log(f / k) / deviation + deviation / 2
        density = mpmath.npdf(d1)
        reach, payment = mpmath.ncdf(side * d1), mpmath.ncdf(side * (d1 - deviation))
        value = side * discount * (f * reach - k * payment)
        decay = discount * f * density * v / (2 * mpmath.sqrt(t))
        gamma, vega = discount * density / (f * deviation), discount * f * density * mpmath.sqrt(t)
        return value, side * discount * reach, gamma, vega, r * value - decay, -t * value


def relative(ours, theirs):
    return float(abs(mpmath.mpf(float(ours)) / theirs - 1)) if theirs else float(abs(ours))


GRID = list(product((True, False), MONEYNESS, VOLATILITIES, YEARS, RATES))


def test_quantlib_agrees_to_1e_10_or_is_shown_to_be_the_inexact_one():
    # QuantLib takes F N(d1) - K N(d2) as a plain difference and its N(x) is absolute to 1e-16, so it loses relative
    # digits out of the money. No floor is granted: at each difference sixty digits say who is right.
    call, moneyness, volatility, years, rate = (np.array(column) for column in zip(*GRID, strict=True))
    ours = np.array(black76.greeks(call, STRIKE * moneyness, STRIKE, volatility, years, rate)).T
    agreed = 0
    for mine, (c, m, v, t, r) in zip(ours, GRID, strict=True):
        theirs = quantlib(c, STRIKE * m, v, t, r)
        differ = [i for i in range(6) if abs(mine[i] - theirs[i]) > TOLERANCE * abs(theirs[i])]
        agreed += 6 - len(differ)
        truth = exact(c, STRIKE * m, v, t, r) if differ else ()
        for i in differ:
            if abs(truth[i]) < 1e-290:  # below the normal doubles; both are zero to any use
                assert abs(mine[i]) < 1e-290 and abs(theirs[i]) < 1e-9
                continue
            assert relative(mine[i], truth[i]) < TOLERANCE, (NAMES[i], c, m, v, t, r)
            assert relative(theirs[i], truth[i]) > TOLERANCE / 2, (NAMES[i], c, m, v, t, r)
    assert agreed > 0.7 * 6 * len(GRID)


def test_quantlib_agrees_absolutely_everywhere():
    call, moneyness, volatility, years, rate = (np.array(column) for column in zip(*GRID, strict=True))
    ours = black76.price(call, STRIKE * moneyness, STRIKE, volatility, years, rate)
    theirs = np.array([quantlib(c, STRIKE * m, v, t, r)[0] for c, m, v, t, r in GRID])
    assert np.max(np.abs(ours - theirs) / (STRIKE * (1 + moneyness))) < 1e-15


@settings(deadline=None)
@given(
    call=st.booleans(),
    steps=st.floats(-35, 35),
    volatility=st.floats(0.05, 3.0),
    years=st.floats(1 / 8766, 3.0),
    rate=st.floats(-0.05, 0.3),
)
def test_sixty_digits_agree_far_out_of_the_money(call, steps, volatility, years, rate):
    forward = float(STRIKE * np.exp(np.clip(steps * volatility * np.sqrt(years), -4.0, 4.0)))
    ours = black76.greeks(call, forward, STRIKE, volatility, years, rate)
    truth = exact(call, forward, volatility, years, rate)
    for i in (0, 1, 2, 3, 5):  # theta is a difference of two terms where the rate is not zero
        if abs(truth[i]) > 1e-290:
            assert relative(ours[i], truth[i]) < TOLERANCE, NAMES[i]


@pytest.mark.parametrize("steps", [-37, -30, -20, -10, -6, -4, -3, -1, -0.1, 0])
def test_the_smallest_deviation_keeps_its_digits(steps):
    # an hour at 5 %: what is left of the difference of two terms is a hundred thousandth of each
    forward = float(STRIKE * np.exp(steps * 0.05 * np.sqrt(1 / 8766)))
    truth = exact(True, forward, 0.05, 1 / 8766, 0.0)
    ours = black76.greeks(True, forward, STRIKE, 0.05, 1 / 8766)
    assert [relative(ours[i], truth[i]) < TOLERANCE for i in range(6)] == [True] * 6


@settings(deadline=None)
@given(
    forward=st.floats(1e-3, 1e7),
    strike=st.floats(1e-3, 1e7),
    volatility=st.floats(0.0, 10.0),
    years=st.floats(0.0, 10.0),
    rate=st.floats(-0.1, 0.5),
)
def test_put_call_parity_and_bounds(forward, strike, volatility, years, rate):
    call, put = black76.price([True, False], forward, strike, volatility, years, rate)
    discount = np.exp(-rate * years)
    assert call - put == pytest.approx(discount * (forward - strike), abs=4e-16 * discount * (forward + strike))
    assert discount * max(forward - strike, 0) <= call <= discount * forward * (1 + 1e-15)
    assert discount * max(strike - forward, 0) <= put <= discount * strike * (1 + 1e-15)


def test_greeks_are_the_slopes_of_the_price():
    def bumped(**by):
        at = {"forward": 51_000.0, "strike": STRIKE, "volatility": 0.6, "years": 0.2, "rate": 0.04}
        return black76.price([True, False], *(at[name] + by.get(name, 0.0) for name in at))

    def slope(name, h):
        return (bumped(**{name: h}) - bumped(**{name: -h})) / (2 * h)

    one = black76.greeks([True, False], 51_000.0, STRIKE, 0.6, 0.2, 0.04)
    assert one.delta == pytest.approx(slope("forward", 0.5), rel=1e-8)
    assert one.gamma == pytest.approx((bumped(forward=5) - 2 * bumped() + bumped(forward=-5)) / 25, rel=1e-5)
    assert one.vega == pytest.approx(slope("volatility", 1e-5), rel=1e-8)
    assert one.theta == pytest.approx(-slope("years", 1e-6), rel=1e-7)
    assert one.rho == pytest.approx(slope("rate", 1e-5), rel=1e-8)


@pytest.mark.parametrize(("volatility", "years"), [(0.0, 1.0), (0.8, 0.0), (0.0, 0.0)])
def test_without_volatility_or_time_the_price_is_the_discounted_intrinsic_value(volatility, years):
    one = black76.greeks([True, True, True, False, False, False], [90, 100, 110] * 2, 100, volatility, years, 0.1)
    discount = np.exp(-0.1 * years)
    assert one.price == pytest.approx(discount * np.array([0, 0, 10, 10, 0, 0]), abs=0)
    assert one.delta == pytest.approx(discount * np.array([0, 0.5, 1, -1, -0.5, 0]), abs=0)
    assert list(one.gamma) == [0, np.inf, 0] * 2
    assert list(one.vega) == [0, pytest.approx(discount * 100 / np.sqrt(2 * np.pi) * np.sqrt(years)), 0] * 2
    assert np.all(np.isneginf(one.theta[[1, 4]])) if volatility else np.all(np.isfinite(one.theta))
    assert one.theta[[0, 2]] == pytest.approx(0.1 * one.price[[0, 2]])


def test_an_endless_volatility_costs_the_forward_or_the_strike():
    assert black76.price([True, False], 100.0, 80.0, 1e6, 1.0) == pytest.approx([100.0, 80.0], rel=1e-15)


def test_inputs_broadcast():
    assert black76.price([[True], [False]], 100.0, [90.0, 100.0, 110.0], 0.5, 0.1).shape == (2, 3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((True, 100.0, 0.0, 0.5, 1.0), "strike = 0.0: must be positive"),
        ((True, 100.0, [90.0, -1.0], 0.5, 1.0), r"strike\[1\] = -1.0: must be positive"),
        ((True, [[100.0, 0.0]], 90.0, 0.5, 1.0), r"forward\[0, 1\] = 0.0: must be positive"),
        ((True, 100.0, 90.0, -0.5, 1.0), "volatility = -0.5: must be finite and not negative"),
        ((True, 100.0, 90.0, float("nan"), 1.0), "volatility = nan"),
        ((True, 100.0, 90.0, 0.5, -1e-9), "years = -1e-09"),
        ((True, 100.0, 90.0, 0.5, 1.0, float("inf")), "rate = inf: must be finite"),
    ],
)
def test_what_no_option_has_is_named(inputs, message):
    for function in (black76.price, black76.greeks):
        with pytest.raises(OutOfDomainError, match=message):
            function(*inputs)


@settings(deadline=None)
@given(
    call=st.booleans(),
    moneyness=st.floats(0.2, 5.0),
    volatility=st.floats(0.05, 3.0),
    years=st.floats(1 / 8766, 3.0),
    rate=st.floats(-0.05, 0.3),
)
def test_the_implied_volatility_prices_back(call, moneyness, volatility, years, rate):
    premium = black76.price(call, moneyness, 1.0, volatility, years, rate)
    implied = black76.implied_volatility(call, moneyness, 1.0, premium, years, rate)
    again = black76.price(call, moneyness, 1.0, implied, years, rate)
    assert again == pytest.approx(premium, abs=1e-15 * (1 + moneyness))
    out = moneyness <= 1 if call else moneyness >= 1
    if out and premium > 1e-280:
        assert implied == pytest.approx(volatility, rel=1e-11)


def test_the_implied_volatility_is_found_in_a_dozen_steps(monkeypatch):
    monkeypatch.setattr(black76, "_MOST_STEPS", 12)
    call, moneyness, volatility, years, _ = (np.array(column) for column in zip(*GRID, strict=True))
    premium = black76.price(call, moneyness, 1.0, volatility, years)
    told = (premium > 1e-280) & np.where(call, moneyness <= 1, moneyness >= 1)
    implied = black76.implied_volatility(call[told], moneyness[told], 1.0, premium[told], years[told])
    assert implied == pytest.approx(volatility[told], rel=1e-11)


def test_the_implied_volatility_reads_from_one_premium_to_the_bound():
    premiums = np.array([1e-250, 1e-12, 1e-3, 1.0, 40.0, 90.0, 99.9, 99.9999999])
    implied = black76.implied_volatility(True, 100.0, 120.0, premiums, 0.5)
    assert black76.price(True, 100.0, 120.0, implied, 0.5) == pytest.approx(premiums, rel=1e-12)
    assert np.all(np.diff(implied) > 0)
    assert black76.implied_volatility(False, 100.0, 120.0, 20.0, 0.5) == 0.0


@pytest.mark.parametrize(
    ("call", "premium", "message"),
    [
        (True, 19.9, r"premium 19.9: no-arbitrage bounds are 20.0 \(included\) to 120.0 \(excluded\)"),
        (True, 120.0, "premium 120.0: no-arbitrage"),
        (False, 100.0, r"no-arbitrage bounds are 0.0 \(included\) to 100.0 \(excluded\)"),
        (True, [21.0, 130.0], r"premium 130.0 at \[1\]"),
    ],
)
def test_a_premium_outside_its_bounds_is_named(call, premium, message):
    with pytest.raises(PremiumOutOfBoundsError, match=message):
        black76.implied_volatility(call, 120.0, 100.0, premium, 0.5)


def test_an_expired_option_has_no_implied_volatility():
    with pytest.raises(OutOfDomainError, match=r"years = 0\.0: must be positive where a volatility is asked for"):
        black76.implied_volatility(True, 120.0, 100.0, 20.0, 0.0)
