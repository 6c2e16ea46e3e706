"""Forecasts of variance: recursions worked by hand, parameters found again, no look ahead, the losses."""

import math

import numpy as np
import pytest

from risk.forecast.compared import FORECASTERS, compare, diebold_mariano, qlike, squared, walk
from risk.forecast.days import DAY, LEAST, Days, TooFewDays, days_of
from risk.forecast.ewma import smoothed
from risk.forecast.garch import Garch, fitted, predicted
from risk.forecast.har import coefficients, har, regressors, trailing

START = 18_000 * DAY


def simulated(count: int, seed: int = 1) -> Days:
    """Days whose variance follows a GARCH(1,1) with omega 2e-5, alpha 0.1, beta 0.88; realised with noise."""
    draw = np.random.default_rng(seed)
    variance, returns, realised = 1e-3, np.empty(count), np.empty(count)
    for day in range(count):
        returns[day] = math.sqrt(variance) * draw.standard_normal()
        realised[day] = variance * draw.chisquare(24) / 24
        variance = 2e-5 + 0.1 * returns[day] ** 2 + 0.88 * variance
    return Days(START + DAY * np.arange(count), returns, realised)


def test_days_have_the_last_close_s_return_and_the_sum_of_squares_within() -> None:
    times = START + (DAY // 2) * np.arange(6)
    close = np.exp(np.array([0.0, 0.01, 0.03, 0.02, 0.05, 0.01]))
    days = days_of(times, close)
    assert days.times.tolist() == [START + DAY, START + 2 * DAY]
    assert days.returns == pytest.approx([0.01, -0.01])
    assert days.realised == pytest.approx([0.02**2 + 0.01**2, 0.03**2 + 0.04**2])


def test_too_few_days_are_named() -> None:
    with pytest.raises(TooFewDays, match="2 days of bars"):
        days_of(START + DAY * np.arange(2), np.ones(2))
    with pytest.raises(TooFewDays, match="HAR over 50 days"):
        har(simulated(50))
    with pytest.raises(TooFewDays, match="300 days, the first window alone takes 365"):
        walk(FORECASTERS["EWMA"], simulated(300))


def test_a_day_that_stands_still_has_the_least_variance() -> None:
    days = days_of(START + DAY * np.arange(4), np.ones(4))
    assert (days.realised == LEAST).all()


def test_ewma_is_its_recursion() -> None:
    values = np.random.default_rng(2).exponential(1.0, 60)
    by_hand = float(values[:20].mean())
    for value in values[20:]:
        by_hand = 0.94 * by_hand + 0.06 * value
    assert smoothed(values)[-1] == pytest.approx(by_hand, rel=1e-12)
    assert smoothed(values)[4] == pytest.approx(values[:5].mean())


def test_garch_is_its_recursion() -> None:
    model, days = Garch(2e-5, 0.1, 0.88, 6.0), simulated(50)
    by_hand = 1e-3
    for value in days.returns:
        by_hand = 2e-5 + 0.1 * value**2 + 0.88 * by_hand
    assert predicted(model, days, 1e-3)[-1] == pytest.approx(by_hand, rel=1e-12)


def test_garch_finds_the_parameters_that_made_the_days() -> None:
    model = fitted(simulated(6_000))
    assert model.alpha == pytest.approx(0.1, abs=0.03)
    assert model.beta == pytest.approx(0.88, abs=0.04)
    assert model.omega / (1 - model.alpha - model.beta) == pytest.approx(1e-3, rel=0.35)
    assert model.freedom > 20  # the errors were normal


def test_har_finds_the_weights_that_made_the_days() -> None:
    draw = np.random.default_rng(3)
    weights = np.array([-0.7, 0.4, 0.3, 0.2])
    realised = np.full(4_000, 1e-3)
    days = Days(START + DAY * np.arange(4_000), np.zeros(4_000), realised)
    for day in range(30, 4_000):
        past = realised[max(0, day - 30) : day]
        row = np.array([1.0, *(math.log(past[-horizon:].mean()) for horizon in (1, 7, 30))])
        realised[day] = math.exp(row @ weights + 0.3 * draw.standard_normal())
    found, errors = coefficients(days)
    assert found == pytest.approx(weights, abs=0.12)
    assert errors == pytest.approx(0.09, rel=0.1)
    assert regressors(days)[100, 2] == pytest.approx(math.log(trailing(realised, 7)[100]))


@pytest.mark.parametrize("name", FORECASTERS)
def test_no_forecast_looks_ahead(name: str) -> None:
    """What comes at or after a day changes nothing of its forecast; what came the day before does."""
    days = simulated(520)
    ahead = walk(FORECASTERS[name], days, 365, 60)
    changed = days._replace(returns=days.returns.copy(), realised=days.realised.copy())
    changed.returns[480:] *= -5.0
    changed.realised[480:] *= 25.0
    after = walk(FORECASTERS[name], changed, 365, 60)
    assert (after[: 480 - 365 + 1] == ahead[: 480 - 365 + 1]).all()
    assert after[481 - 365] != ahead[481 - 365]


def test_a_forecaster_that_peeks_is_caught_by_that_test() -> None:
    def peeks(_: Days):  # type: ignore[no-untyped-def]
        return lambda days: np.full(len(days.realised), days.realised.mean())

    days = simulated(520)
    changed = days._replace(realised=days.realised.copy())
    changed.realised[480:] *= 25.0
    assert (walk(peeks, changed)[: 480 - 365] != walk(peeks, days)[: 480 - 365]).any()


@pytest.mark.parametrize("name", FORECASTERS)
def test_the_same_days_give_the_same_bytes(name: str) -> None:
    days = simulated(460)
    assert walk(FORECASTERS[name], days).tobytes() == walk(FORECASTERS[name], days).tobytes()


@pytest.mark.parametrize("name", FORECASTERS)
def test_every_forecast_beats_a_constant_on_days_with_clusters(name: str) -> None:
    days = simulated(1_500)
    came = days.realised[365:]
    constant = np.full(len(came), days.realised[:365].mean())
    assert qlike(walk(FORECASTERS[name], days), came).mean() < qlike(constant, came).mean()


def test_losses() -> None:
    ahead, came = np.array([1e-4, 2e-4]), np.array([1e-4, 1e-4])
    assert qlike(ahead, came) == pytest.approx([0.0, 0.5 - math.log(0.5) - 1.0])
    assert squared(ahead, came) == pytest.approx([0.0, 1.0])


def test_diebold_mariano_is_a_t_statistic_where_losses_are_independent() -> None:
    draw = np.random.default_rng(4)
    told = [diebold_mariano(draw.normal(0, 1, 400), np.zeros(400)) for _ in range(2_000)]
    assert np.mean(np.abs(told) > 1.96) == pytest.approx(0.05, abs=0.025)
    assert diebold_mariano(draw.normal(1, 1, 400), np.zeros(400)) > 10


def test_scores_are_of_the_same_days_and_the_first_is_what_others_are_measured_against() -> None:
    names = {name: FORECASTERS[name] for name in ("EWMA", "HAR")}
    scores = compare({"X": simulated(700)}, names)
    assert [(one.asset, one.forecaster, one.days) for one in scores] == [("X", "EWMA", 335), ("X", "HAR", 335)]
    assert math.isnan(scores[0].against_first)
    assert math.isfinite(scores[1].against_first)
