"""Correlation matrices: estimated and shrunk, positive semi-definite, one for each regime, towards 1 in stress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STRESS_BLEND: Final[Mapping[str, float]] = {"calm": 0.0, "normal": 0.0, "stress": 0.5}
"""how far each regime's matrix is taken towards all ones: in a crash what was diversified falls together"""
_ROUNDS: Final = 500
_CLOSE: Final = 1e-12


class NoCorrelation(ValueError):  # noqa: N818 - named for what cannot be had
    """Returns or a matrix that no correlation can be made of: says why."""


def shrunk(returns: FloatArray) -> tuple[FloatArray, float]:
    """The correlations of returns [days, assets] and how far they were shrunk towards none (0 to 1).

    Ledoit and Wolf (2004) on standardised returns: the part that makes the expected error of the whole matrix least.
    Raises NoCorrelation for fewer than two days, a return that is no number, an asset that never moves.
    """
    count, assets = returns.shape
    if count < 2:
        raise NoCorrelation(f"{count} days of returns, two are needed")
    if not np.isfinite(returns).all():
        raise NoCorrelation(f"the return of day {int(np.argwhere(~np.isfinite(returns))[0, 0])} is no number")
    spread = returns.std(axis=0)
    if not (spread > 0.0).all():
        raise NoCorrelation(f"asset {int(np.argmin(spread))} never moves")
    scaled = (returns - returns.mean(axis=0)) / spread
    sample = scaled.T @ scaled / count
    distance = float(np.square(sample - np.eye(assets)).sum())
    squares = np.square(scaled)
    noise = float((squares.T @ squares / count - np.square(sample)).sum()) / count
    part = min(1.0, max(0.0, noise / distance)) if distance > 0.0 else 1.0
    matrix = (1.0 - part) * sample + part * np.eye(assets)
    np.fill_diagonal(matrix, 1.0)
    return matrix, part


def nearest(matrix: FloatArray) -> FloatArray:
    """The nearest correlation matrix (Frobenius norm) by Higham's alternating projections: for what people write down.

    Raises NoCorrelation where the matrix is not square, symmetric and finite.
    """
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, atol=1e-9):
        raise NoCorrelation("a correlation matrix is square, symmetric and of numbers")
    current, correction = matrix.copy(), np.zeros_like(matrix)
    for _ in range(_ROUNDS):
        before = current
        held = current - correction
        positive = _positive(held)
        correction = positive - held
        current = positive.copy()
        np.fill_diagonal(current, 1.0)
        if float(np.abs(current - before).max()) < _CLOSE:
            break
    # the last projection was on the unit diagonal: what it left below zero goes by scaling, which keeps the diagonal
    made = _positive(current)
    scale = np.sqrt(np.diag(made))
    answer: FloatArray = made / np.outer(scale, scale)
    np.fill_diagonal(answer, 1.0)
    return answer


def towards_one(matrix: FloatArray, part: float) -> FloatArray:
    """(1 - part) x matrix + part x all ones: positive semi-definite where the matrix is. Raises NoCorrelation."""
    if not 0.0 <= part <= 1.0:
        raise NoCorrelation(f"a blend of {part:g} is not in 0 to 1")
    answer: FloatArray = (1.0 - part) * matrix + part
    return answer


def least_eigenvalue(matrix: FloatArray) -> float:
    """Not below zero (but for rounding) where the matrix is positive semi-definite."""
    return float(np.linalg.eigvalsh(matrix)[0])


def by_regime(
    returns: FloatArray, labels: IntArray, names: Sequence[str], blend: Mapping[str, float] = STRESS_BLEND
) -> dict[str, FloatArray]:
    """Each regime's matrix from the days [days, assets] that carry its label, shrunk, blended towards ones.

    Raises NoCorrelation, KeyError for a regime that `blend` does not name.
    """
    matrices: dict[str, FloatArray] = {}
    for label, name in enumerate(names):
        try:
            matrix, _ = shrunk(returns[labels == label])
        except NoCorrelation as error:
            raise NoCorrelation(f"regime {name}: {error}") from None
        matrices[name] = nearest(towards_one(matrix, blend[name]))
    return matrices


def pairs(symbols: Sequence[str], matrix: FloatArray) -> dict[tuple[str, str], float]:
    """A market's correlations: by pair of symbols in alphabetical order."""
    place = {symbol: number for number, symbol in enumerate(symbols)}
    ordered = sorted(symbols)
    return {
        (a, b): float(matrix[place[a], place[b]]) for number, a in enumerate(ordered) for b in ordered[number + 1 :]
    }


def _positive(matrix: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    made: FloatArray = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return (made + made.T) / 2.0
