"""Correlations: shrinkage against a reference, the nearest matrix against a published one, regimes."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf  # type: ignore[import-untyped]

from risk.correlation import (
    STRESS_BLEND,
    NoCorrelation,
    by_regime,
    least_eigenvalue,
    nearest,
    pairs,
    shrunk,
    towards_one,
)
from risk.regimes import NAMES


def drawn(days: int, matrix: np.ndarray, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    draw = np.random.default_rng(seed)
    return draw.standard_normal((days, len(matrix))) @ np.linalg.cholesky(matrix).T * 0.03


TRUE = np.array([[1.0, 0.8, 0.3], [0.8, 1.0, 0.5], [0.3, 0.5, 1.0]])


@pytest.mark.parametrize("days", [20, 100, 2_000])
def test_shrinkage_is_ledoit_and_wolf_s(days: int) -> None:
    returns = drawn(days, TRUE, days)
    scaled = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    reference, part = ledoit_wolf(scaled)
    matrix, told = shrunk(returns)
    assert told == pytest.approx(part, abs=1e-12)
    assert matrix == pytest.approx(reference, abs=1e-12)


def test_shrinkage_fades_with_days_and_the_truth_is_found() -> None:
    parts = [shrunk(drawn(days, TRUE, 7))[1] for days in (15, 150, 15_000)]
    assert parts == sorted(parts, reverse=True)
    assert shrunk(drawn(15_000, TRUE, 7))[0] == pytest.approx(TRUE, abs=0.03)


def test_fewer_days_than_assets_still_give_a_positive_definite_matrix() -> None:
    matrix, part = shrunk(np.random.default_rng(1).standard_normal((5, 12)))
    assert part > 0.0
    assert least_eigenvalue(matrix) > 0.0


def test_the_nearest_matrix_is_higham_s() -> None:
    """Higham (2002), section 4: the tridiagonal matrix of ones; its nearest has 0.7607 and 0.1573."""
    answer = nearest(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert answer == pytest.approx(np.array([[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]]), abs=1e-4)


def test_a_matrix_that_is_one_stays_and_what_is_made_is_one() -> None:
    assert nearest(TRUE) == pytest.approx(TRUE, abs=1e-9)
    draw = np.random.default_rng(5)
    for _ in range(20):
        wild = np.clip(draw.uniform(-1.2, 1.2, (6, 6)), -1, 1)
        made = nearest(np.triu(wild, 1) + np.triu(wild, 1).T + np.eye(6))
        assert least_eigenvalue(made) > -1e-10
        assert (np.diag(made) == 1.0).all()
        assert np.abs(made).max() <= 1.0 + 1e-12


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_towards_one(part: float) -> None:
    blended = towards_one(TRUE, part)
    assert blended[0, 2] == pytest.approx(0.3 + part * 0.7)
    assert (blended >= TRUE - 1e-12).all()
    assert least_eigenvalue(blended) > -1e-12


def test_each_regime_has_its_own_days_matrix_and_stress_goes_towards_one() -> None:
    labels = np.arange(3_000) % 3
    returns = np.where(
        (labels == 0)[:, None],
        drawn(3_000, np.eye(3) * 0.9 + 0.1, 1),
        np.where((labels == 1)[:, None], drawn(3_000, TRUE, 2), drawn(3_000, TRUE, 3)),
    )
    plain = by_regime(returns, labels, NAMES, dict.fromkeys(NAMES, 0.0))
    told = by_regime(returns, labels, NAMES)
    assert told["calm"][0, 1] == pytest.approx(0.1, abs=0.06)
    assert told["normal"][0, 1] == pytest.approx(0.8, abs=0.06)
    off = ~np.eye(3, dtype=bool)
    assert (told["stress"][off] > plain["stress"][off]).all()
    assert told["stress"] == pytest.approx(1.0 - (1.0 - STRESS_BLEND["stress"]) * (1.0 - plain["stress"]), abs=1e-9)
    assert all(least_eigenvalue(matrix) > -1e-10 for matrix in told.values())


def test_pairs_are_in_alphabetical_order() -> None:
    assert pairs(("SOL", "BTC", "ETH"), TRUE) == {("BTC", "ETH"): 0.5, ("BTC", "SOL"): 0.8, ("ETH", "SOL"): 0.3}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: shrunk(np.zeros((1, 2))), "1 days"),
        (lambda: shrunk(np.array([[0.1, 0.2], [np.nan, 0.1], [0.0, 0.1]])), "day 1 is no number"),
        (lambda: shrunk(np.array([[0.1, 0.2], [0.2, 0.2]])), "asset 1 never moves"),
        (lambda: nearest(np.array([[1.0, 0.5], [0.1, 1.0]])), "symmetric"),
        (lambda: nearest(np.ones((2, 3))), "square"),
        (lambda: towards_one(TRUE, 1.1), "blend of 1.1"),
        (lambda: by_regime(np.ones((9, 2)), np.zeros(9, np.int64), NAMES), "regime calm: asset 0 never moves"),
    ],
)
def test_what_cannot_be_is_named(wrong, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NoCorrelation, match=told):
        wrong()
