"""A whole surface moved by scenarios, and what each instrument gains in each: the risk array of an option book.

A scenario moves the spot (forwards with it, in proportion), and the smile in three ways: its level (every volatility by
a part of itself), its term (near expiries by more than far ones) and its skew (by so much a unit of log-moneyness). The
smile is sticky in moneyness: it is read at ln(strike / moved forward).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from risk.black76_kernel import scaled_tail
from risk.margin.book import Svi
from schemas.compiled import compiled

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REFERENCE: Final = 30.0 / 365.0
"""years: the expiry that a move of term leaves where it is"""
MOST_TERM: Final = 3.0
"""an expiry of no time moves by this times the term, one far off by -1 times"""
LEAST_VOLATILITY: Final = 0.01
"""no move takes a volatility below it"""


class Moves(NamedTuple):
    """Scenarios as columns of one length."""

    spot: FloatArray
    """relative: -0.2 is down by a fifth; above -1"""
    level: FloatArray
    """relative move of every volatility: 0.3 is up by three tenths of itself"""
    skew: FloatArray
    """added to a volatility per unit of ln(strike / moved forward)"""
    term: FloatArray
    """relative move x (sqrt(REFERENCE / years) - 1), the root's part held within MOST_TERM"""


class Book(NamedTuple):
    """Options as columns of one length."""

    call: BoolArray
    strike: FloatArray
    slice: npt.NDArray[np.int64]
    """which of the surface's slices"""


class NotAMove(ValueError):  # noqa: N818 - named for what is found
    """A scenario or book that cannot be revalued: which, and why."""


def term_weight(years: float) -> float:
    """How much of a term move reaches an expiry this far off."""
    return min(math.sqrt(REFERENCE / years) - 1.0, MOST_TERM)


def risk_array(slices: Sequence[Svi], book: Book, moves: Moves, out: FloatArray | None = None) -> FloatArray:
    """Dollars one contract of each option gains in each scenario [options, scenarios], fully revalued, undiscounted.

    `out` is written to where it is given. Pure and free of the interpreter's lock: parts of a book may be done side by
    side. Raises NotAMove.
    """
    spot, level, skew, term = (np.asarray(one, np.float64) for one in moves)
    if any(one.shape != spot.shape or not np.all(np.isfinite(one)) for one in (spot, level, skew, term)):
        raise NotAMove("scenarios are finite columns of one length")
    if np.any(spot <= -1.0):
        at = int(np.argmax(spot <= -1.0))
        raise NotAMove(f"spot[{at}] = {spot[at]}: a price falls by less than the whole")
    if np.any(book.slice < 0) or np.any(book.slice >= len(slices)):
        raise NotAMove(f"slices are 0 to {len(slices) - 1}")
    if not np.all((book.strike > 0.0) & np.isfinite(book.strike)):
        raise NotAMove("strikes are positive and finite")
    table = np.array([(s.a, s.b, s.rho, s.m, s.sigma, s.forward, s.tau, term_weight(s.tau)) for s in slices])
    gains = np.empty((len(book.strike), len(spot))) if out is None else out
    _revalue(book.call, book.strike, book.slice, table, spot, level, skew, term, np.log1p(spot), gains)
    return gains


def volatility(svi: Svi, strike: FloatArray, spot: float, level: float, skew: float, term: float) -> FloatArray:
    """The volatilities of a slice's strikes after one move: what `risk_array` prices with, written plainly."""
    k = np.log(strike / (svi.forward * (1.0 + spot)))
    across = k - svi.m
    total = svi.a + svi.b * (svi.rho * across + np.sqrt(across * across + svi.sigma * svi.sigma))
    moved = np.sqrt(total / svi.tau) * (1.0 + level + term * term_weight(svi.tau)) + skew * k
    return np.asarray(np.maximum(moved, LEAST_VOLATILITY))


@compiled
def _revalue(
    call: BoolArray,
    strike: FloatArray,
    number: npt.NDArray[np.int64],
    table: FloatArray,
    spot: FloatArray,
    level: FloatArray,
    skew: FloatArray,
    term: FloatArray,
    log_spot: FloatArray,
    gains: FloatArray,
) -> None:
    width = len(spot)
    firsts, seconds, halves = np.empty(width + 1), np.empty(width + 1), np.empty(width + 1)
    worth = np.empty(width + 1)
    for i in range(len(strike)):
        row = table[number[i]]
        a, b, rho, m, sigma, forward, years, near = row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]
        root, per_year = math.sqrt(years), 1.0 / years
        at, floor = math.log(strike[i] / forward), LEAST_VOLATILITY * math.sqrt(years)
        # the last column is the market as it stands; loops are cut so that each of them is one the compiler can widen
        for j in range(width + 1):
            moving = j < width
            k = at - log_spot[j] if moving else at
            across = k - m
            total = a + b * (rho * across + math.sqrt(across * across + sigma * sigma))
            factor = 1.0 + level[j] + term[j] * near if moving else 1.0
            tilt = skew[j] * k if moving else 0.0
            deviation = max((math.sqrt(total * per_year) * factor + tilt) * root, floor)
            away = min(abs(k) / deviation, 60.0)
            firsts[j] = 0.5 * deviation - away
            seconds[j] = (0.5 * deviation + away) * 0.7071067811865476
        for j in range(width + 1):
            halves[j] = 0.5 * math.exp(-0.5 * firsts[j] * firsts[j])
        for j in range(width + 1):
            tail = halves[j] * scaled_tail(abs(firsts[j]) * 0.7071067811865476)
            paid = halves[j] * scaled_tail(seconds[j])
            worth[j] = (tail if firsts[j] <= 0.0 else 1.0 - tail) - paid
        for j in range(width + 1):
            f = forward * (1.0 + spot[j]) if j < width else forward
            exercised = f > strike[i] if call[i] else f < strike[i]
            worth[j] = min(f, strike[i]) * worth[j] + (abs(f - strike[i]) if exercised else 0.0)
        for j in range(width):
            gains[i, j] = worth[j] - worth[width]
