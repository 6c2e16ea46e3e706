"""Draws: the same seed gives the same bytes, the weighted moments are those of the law, bad plans are named."""

from __future__ import annotations

import numpy as np
import pytest

from risk.simulation.copula import BadCorrelation, factor
from risk.simulation.draws import WEIGHT, BadDraws, Plan, draws
from risk.simulation.filtering import ewma_variance, garch_variance
from risk.simulation.paths import LOWEST, Returns, Smile, states

PLANS = [
    Plan(10_000, 1, 0.0, quasi=True),
    Plan(10_000, 1, 0.0, quasi=False),
    Plan(10_000, 2, 4.0, quasi=True, tilt=1.0),
    Plan(10_000, 3, 4.0, quasi=True, tilt=3.0),
    Plan(100_000, 3, 4.0, quasi=False, tilt=3.0),
    Plan(10_000, 3, 8.0, quasi=True, tilt=2.0),
]
STILL = Smile(0.0, 0.0, 5.0)
PLAIN = Returns(False, 100.0)


@pytest.mark.parametrize("plan", PLANS)
def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(plan):
    fresh = draws.__wrapped__
    one, again, other = fresh(plan, 3, 4), fresh(plan, 3, 4), fresh(plan._replace(seed=99), 3, 4)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, again, strict=True))
    assert (one.ends.shape, one.between.shape, one.weights.shape) == (
        (3, plan.paths),
        (3, 3, plan.paths),
        (plan.paths,),
    )
    assert one.ends.tobytes() != other.ends.tobytes()
    assert one.between.tobytes() != other.between.tobytes()


@pytest.mark.parametrize("plan", PLANS)
def test_under_its_weights_a_draw_has_mean_nothing_variance_one_and_no_correlation(plan):
    drawn = draws(plan, 3)
    moves, weights = drawn.ends * drawn.mixing, drawn.weights / drawn.weights.sum()
    assert abs(drawn.weights.mean() / WEIGHT - 1.0) < 0.02
    assert np.all(np.abs(moves @ weights) < 1e-12)  # mirror images
    covariance = (moves * weights) @ moves.T
    # t of 4 degrees has no fourth moment: its variance is seen slowly
    assert np.allclose(covariance, np.eye(3), atol=0.15 if plan.degrees == 4.0 else 0.05)


def test_ends_do_not_depend_on_the_steps_between():
    plan = Plan(1_000, 5, 4.0)
    assert draws(plan, 2, 1).ends.tobytes() == draws(plan, 2, 9).ends.tobytes()


def test_draws_are_shared_and_so_not_to_be_written():
    with pytest.raises(ValueError, match="read-only"):
        draws(Plan(100, 5, 4.0), 2).ends[0, 0] = 0.0


@pytest.mark.parametrize(
    ("plan", "factors", "steps", "what"),
    [
        (Plan(3, 1, 4.0), 1, 1, "3 paths"),
        (Plan(0, 1, 4.0), 1, 1, "0 paths"),
        (Plan(10, 1, 2.0), 1, 1, "2.0 degrees"),
        (Plan(10, 1, float("nan")), 1, 1, "nan degrees"),
        (Plan(10, 1, 4.0, tilt=0.5), 1, 1, "tilt 0.5"),
        (Plan(10, 1, 4.0), 0, 1, "0 factors"),
        (Plan(10, 1, 4.0), 1, 0, "0 steps"),
    ],
)
def test_a_plan_that_cannot_be_drawn_is_named(plan, factors, steps, what):
    with pytest.raises(BadDraws, match=what):
        draws(plan, factors, steps)


def test_a_bridge_ends_at_its_end_and_has_the_variance_of_its_share_of_the_way():
    drawn = draws(Plan(20_000, 5, 0.0), 2, 8)
    told = states(drawn, factor(("A",), {}, 0.0), np.array([0.01]), 1.0, STILL, PLAIN)
    moves = (told.prices[0] - 1.0) / 0.01
    assert np.allclose(moves.var(axis=1), np.arange(1, 9) / 8, rtol=0.03)
    assert np.allclose(moves[-1], drawn.ends[0])
    assert np.allclose(told.elapsed, np.arange(1, 9) / 8)
    # increments that do not touch are independent
    assert abs(np.corrcoef(moves[3] - moves[1], moves[7] - moves[5])[0, 1]) < 0.03


def test_moves_have_the_correlations_asked_for_and_volatility_its_leverage():
    correlations = {("A", "B"): 0.8, ("C", "A"): -0.3}
    drawn = draws(Plan(20_000, 5, 0.0), 6)
    told = states(
        drawn, factor("ABC", correlations, 0.1), np.array([0.01, 0.02, 0.03]), 1.0, Smile(-0.6, 0.05, 5.0), PLAIN
    )
    prices, volatilities = told.prices[:, 0] - 1.0, told.volatilities[:, 0]
    assert np.allclose(np.corrcoef(prices), [[1, 0.8, -0.3], [0.8, 1, 0.1], [-0.3, 0.1, 1]], atol=0.02)
    assert np.allclose(prices.std(axis=1), [0.01, 0.02, 0.03], rtol=0.02)
    assert np.corrcoef(prices[0], volatilities[0])[0, 1] == pytest.approx(-0.6, abs=0.02)
    assert volatilities.std(axis=1) == pytest.approx([0.05] * 3, rel=0.02)


def test_prices_stay_above_nothing_and_below_the_largest_move():
    drawn = draws(Plan(10_000, 5, 3.0, tilt=4.0), 2)
    told = states(drawn, factor("A", {}, 0.0), np.array([5.0]), 1.0, Smile(-0.5, 9.0, 4.0), Returns(False, 2.0))
    assert told.prices.min() == 1.0 + LOWEST
    assert told.prices.max() == 3.0
    assert np.exp(np.abs(told.volatilities).max()) == pytest.approx(4.0)


def test_a_matrix_that_cannot_be_is_brought_to_one_that_can_and_says_by_how_much():
    assert factor("ABC", {("A", "B"): 0.5}, 0.5).moved == 0.0
    broken = factor("ABC", {("A", "B"): 0.9, ("B", "C"): 0.9, ("A", "C"): -0.9}, 0.0)
    matrix = broken.loadings @ broken.loadings.T
    assert np.allclose(np.diag(matrix), 1.0)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    assert 0.3 < broken.moved < 1.0
    # what was negative is gone, not turned round: three in a plane
    assert np.linalg.matrix_rank(matrix, tol=1e-9) == 2
    with pytest.raises(BadCorrelation, match=r"A/B of 1\.5"):
        factor("AB", {("A", "B"): 1.5}, 0.0)


def test_variances_by_hand_and_each_from_the_days_before_it():
    returns = np.array([0.02, -0.04, 0.01])
    mean = (0.0004 + 0.0016 + 0.0001) / 3
    second = 0.9 * mean + 0.1 * 0.0004
    assert ewma_variance(returns, 0.9)[:3] == pytest.approx([mean, second, 0.9 * second + 0.1 * 0.0016])
    assert garch_variance(returns, 0.1, 0.8)[1] == pytest.approx(0.1 * mean + 0.1 * 0.0004 + 0.8 * mean)
    # past the beginning, a day's variance does not know the day
    later = np.append(returns, 0.5)
    assert garch_variance(returns, 0.0, 0.0)[-1] == pytest.approx(mean)
    assert ewma_variance(later, 0.5)[3] - 0.125 * np.mean(later**2) == pytest.approx(
        ewma_variance(returns, 0.5)[3] - 0.125 * mean
    )
