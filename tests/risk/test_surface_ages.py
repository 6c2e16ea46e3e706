"""Ages: one line a case; what is old widens, what is too old stops."""

from __future__ import annotations

import numpy as np
import pytest

from risk.surface.ages import BadLimits, FromTheFuture, Limits, State, Widening, both_ways, widened, widest

LIMITS = Limits(fresh=1.0, stopped=5.0, most=0.8)


@pytest.mark.parametrize(
    ("hours", "state", "part"),
    [
        (0.0, State.FRESH, 0.0),
        (1.0, State.FRESH, 0.0),
        (2.0, State.WIDENED, 0.2),
        (3.0, State.WIDENED, 0.4),
        (5.0, State.STOPPED, 0.8),
        (50.0, State.STOPPED, 0.8),
    ],
)
def test_a_surface_of_an_age(hours: float, state: State, part: float) -> None:
    got = widened(3_600 * hours, LIMITS)
    assert got == Widening(state, pytest.approx(part))
    assert got.new_risk == (state != State.STOPPED)


def test_the_worst_of_several_counts() -> None:
    assert widest((Widening(State.WIDENED, 0.4), Widening(State.STOPPED, 0.1))) == Widening(State.STOPPED, 0.4)
    assert widest(()) == Widening(State.FRESH, 0.0)


def test_correlations_go_both_ways_and_stay_semi_definite() -> None:
    random = np.random.default_rng(1).normal(size=(5, 3))
    matrix = np.corrcoef(random)  # rank 2 at most: on the edge of being semi-definite
    names = "ABCDE"
    told = {(names[a], names[b]): float(matrix[a, b]) for a in range(5) for b in range(a + 1, 5)}
    for part in (0.0, 0.3, 1.0):
        up, down = both_ways(told, part)
        assert all(up[pair] >= told[pair] - 1e-15 and abs(down[pair]) <= abs(told[pair]) for pair in told)
        for one in (up, down):
            moved = np.eye(5)
            for (a, b), value in one.items():
                moved[names.index(a), names.index(b)] = moved[names.index(b), names.index(a)] = value
            assert np.linalg.eigvalsh(moved).min() > -1e-12
    assert set(both_ways(told, 1.0)[0].values()) == {1.0}


@pytest.mark.parametrize(
    "limits", [Limits(5.0, 5.0, 0.0), Limits(-1.0, 5.0, 0.0), Limits(1.0, np.inf, 0.0), Limits(1.0, 2.0, 1.1)]
)
def test_limits_that_make_no_sense_are_refused(limits: Limits) -> None:
    with pytest.raises(BadLimits):
        widened(1.0, limits)


@pytest.mark.parametrize("age", [-1.0, float("nan")])
def test_nothing_was_made_after_now(age: float) -> None:
    with pytest.raises(FromTheFuture):
        widened(age, LIMITS)
