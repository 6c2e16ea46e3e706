"""Ages: one line a case; what is old widens, what is too old stops."""

from __future__ import annotations

import numpy as np
import pytest

from risk.surface.ages import BadLimits, FromTheFuture, Limits, State, Widening, widened, widened_correlations, widest

HOUR = 3_600_000_000
LIMITS = Limits(fresh=1.0, stopped=5.0, volatility_shock=0.5, haircut=1.0, correlation=0.8)


@pytest.mark.parametrize(
    ("hours", "state", "shock", "haircut", "correlation"),
    [
        (0.0, State.FRESH, 1.0, 1.0, 0.0),
        (1.0, State.FRESH, 1.0, 1.0, 0.0),
        (2.0, State.WIDENED, 1.125, 1.25, 0.2),
        (3.0, State.WIDENED, 1.25, 1.5, 0.4),
        (5.0, State.STOPPED, 1.5, 2.0, 0.8),
        (50.0, State.STOPPED, 1.5, 2.0, 0.8),
    ],
)
def test_a_surface_of_an_age(hours, state, shock, haircut, correlation):
    got = widened(10 * HOUR, 10 * HOUR + int(hours * HOUR), LIMITS)
    assert got == Widening(state, pytest.approx(shock), pytest.approx(haircut), pytest.approx(correlation))
    assert got.new_risk == (state != State.STOPPED)


def test_the_worst_of_several_counts():
    a = Widening(State.WIDENED, 1.4, 1.1, 0.0)
    b = Widening(State.STOPPED, 1.0, 1.0, 0.5)
    assert widest((a, b)) == Widening(State.STOPPED, 1.4, 1.1, 0.5)
    assert widest(()) == Widening(State.FRESH, 1.0, 1.0, 0.0)


def test_correlations_go_both_ways_and_stay_semi_definite():
    random = np.random.default_rng(1).normal(size=(5, 3))
    matrix = np.corrcoef(random)  # rank 2 at most: on the edge of being semi-definite
    for weight in (0.0, 0.3, 1.0):
        up, down = widened_correlations(matrix, weight)
        assert np.all(up >= matrix - 1e-15) and np.all(np.abs(down) <= np.abs(matrix) + 1e-15)
        for one in (up, down):
            assert np.allclose(np.diag(one), 1.0) and np.linalg.eigvalsh(one).min() > -1e-12
    assert np.all(widened_correlations(matrix, 1.0)[0] == 1.0)


@pytest.mark.parametrize(
    "limits",
    [Limits(5.0, 5.0), Limits(-1.0, 5.0), Limits(1.0, np.inf), Limits(1.0, 2.0, -0.1), Limits(1.0, 2.0, 0.0, 0.0, 1.1)],
)
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(BadLimits):
        widened(0, 1, limits)


def test_nothing_is_read_after_now():
    with pytest.raises(FromTheFuture):
        widened(2, 1, LIMITS)
