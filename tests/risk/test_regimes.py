"""Regimes: found again where they were made, the same every time, and no look ahead in what a day is told."""

import math

import numpy as np
import pytest

from risk.regimes import NAMES, NoRegimes, features, filtered, fitted, labels, named, smoothed

STAY = np.array([[0.97, 0.02, 0.01], [0.02, 0.96, 0.02], [0.01, 0.04, 0.95]])
CENTRES = np.array([[-1.0, 0.4], [-0.4, 0.8], [0.3, 1.2]])


def made(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """The true regime of each day and the features it shows."""
    draw = np.random.default_rng(seed)
    state, states = 0, np.empty(count, np.int64)
    for day in range(count):
        states[day] = state
        state = int(draw.choice(3, p=STAY[state]))
    return states, CENTRES[states] + draw.normal(0.0, 0.15, (count, 2))


def test_the_regimes_that_made_the_days_are_found() -> None:
    states, values = made(2_000)
    model = fitted(values)
    assert model.volatility() == pytest.approx(np.exp(CENTRES[:, 0]), rel=0.05)
    assert model.correlation() == pytest.approx(np.tanh(CENTRES[:, 1]), rel=0.05)
    assert np.diag(model.stay) == pytest.approx(np.diag(STAY), abs=0.02)
    assert (labels(smoothed(model, values)) == states).mean() > 0.97
    assert (labels(filtered(model, values)) == states).mean() > 0.95
    assert named(model) == NAMES
    assert model.length()[0] == pytest.approx(1 / 0.03, rel=0.6)


def test_names_rise_with_volatility_whatever_the_order_of_days() -> None:
    _, values = made(900)
    for values_in_order in (values, values[::-1]):
        volatility = fitted(values_in_order.copy()).volatility()
        assert (np.diff(volatility) > 0.0).all()


def test_the_same_days_give_the_same_bytes() -> None:
    _, values = made(600)
    first, second = fitted(values), fitted(values.copy())
    assert first.means.tobytes() == second.means.tobytes()
    assert filtered(first, values).tobytes() == filtered(second, values).tobytes()


def test_what_a_day_is_told_does_not_know_what_comes() -> None:
    _, values = made(600)
    model = fitted(values)
    changed = values.copy()
    changed[400:] += 2.0
    assert (filtered(model, changed)[:400] == filtered(model, values)[:400]).all()
    assert (smoothed(model, changed)[:400] != smoothed(model, values)[:400]).any()


def test_chances_sum_to_one() -> None:
    _, values = made(300)
    model = fitted(values)
    for chances in (filtered(model, values), smoothed(model, values)):
        assert chances.sum(axis=1) == pytest.approx(1.0)


def test_features_are_a_week_s_volatility_and_a_month_s_correlation_of_the_past() -> None:
    draw = np.random.default_rng(2)
    realised, returns = draw.exponential(1e-3, (90, 3)), draw.normal(0.0, 0.03, (90, 3))
    told = features(realised, returns)
    day = 60
    volatility = [math.sqrt(365 * realised[day - 6 : day + 1, asset].mean()) for asset in range(3)]
    assert told[day, 0] == pytest.approx(np.mean(np.log(volatility)))
    window = returns[day - 29 : day + 1]
    sizes = np.sqrt((window**2).sum(axis=0))
    together = (window.T @ window) / np.outer(sizes, sizes)
    assert math.tanh(told[day, 1]) == pytest.approx((together[0, 1] + together[0, 2] + together[1, 2]) / 3)
    changed = realised.copy()
    changed[day + 1 :] *= 9.0
    assert (features(changed, returns)[: day + 1] == told[: day + 1]).all()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: features(np.ones((40, 1)), np.ones((40, 1))), "40 days of 1 assets"),
        (lambda: features(np.ones((20, 2)), np.ones((20, 2))), "20 days of 2 assets"),
        (lambda: fitted(np.zeros((50, 2))), "50 days for 3 regimes"),
        (lambda: fitted(np.full((100, 2), np.nan)), "day 0 are no numbers"),
        (lambda: fitted(np.ones((100, 2))), "never changes"),
    ],
)
def test_what_cannot_be_found_is_named(wrong, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NoRegimes, match=told):
        wrong()
