"""Joint moves: correlation matrices made fit to draw from, and their factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class BadCorrelation(ValueError):  # noqa: N818 - named for what is found
    """A correlation outside -1 ... 1: which pair, and its value."""


class Factor(NamedTuple):
    """What turns independent numbers into correlated ones."""

    loadings: FloatArray
    """[names, factors] rows of length one; the factor that moves most comes first"""
    moved: float
    """largest change that was needed to make the matrix one that random numbers can have; 0: none"""


def factor(names: Sequence[str], correlations: Mapping[tuple[str, str], float], missing: float) -> Factor:
    """The loadings of the matrix that these pairs make; a pair in either order, `missing` where none is given.

    A matrix with negative eigenvalues loses them and is scaled back to ones on its diagonal. Principal components, not
    a triangle: the first quasi-random dimensions, which are the most even, then carry most of what happens.
    Raises BadCorrelation.
    """
    matrix = np.eye(len(names))
    for i, other in enumerate(names):
        for j, one in enumerate(names[:i]):
            value = correlations.get((one, other), correlations.get((other, one), missing))
            if not -1.0 <= value <= 1.0:
                raise BadCorrelation(f"correlation {one}/{other} of {value} is not in -1 ... 1")
            matrix[i, j] = matrix[j, i] = value
    values, vectors = np.linalg.eigh(matrix)
    # a vector's sign is the library's choice: fixed here, so that one seed gives one answer
    vectors = vectors * np.where(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(names))] < 0, -1.0, 1.0)
    loadings = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    loadings = loadings / np.linalg.norm(loadings, axis=1, keepdims=True)
    moved = float(np.max(np.abs(loadings @ loadings.T - matrix), initial=0.0))
    return Factor(loadings, moved if moved > 1e-9 else 0.0)
