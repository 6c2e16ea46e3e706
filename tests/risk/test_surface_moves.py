"""The risk array of a moved surface against the plain formula, one cell at a time, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest

from risk import black76
from risk.margin.book import Svi
from risk.surface.moves import LEAST_VOLATILITY, MOST_TERM, REFERENCE, Book, Moves, NotAMove, risk_array, term_weight
from risk.surface.moves import volatility as moved

SLICES = tuple(
    Svi(0.2 * t, 0.08 * t**0.5, -0.3, 0.01, 0.1 * t**0.5, 90_000.0 * (1 + 0.05 * t), t) for t in (0.01, 0.2, 1)
)


def book(n, seed):
    random = np.random.default_rng(seed)
    number = random.integers(0, len(SLICES), n)
    wide = np.sqrt(np.array([one.tau for one in SLICES]))[number]
    return Book(random.random(n) < 0.5, 90_000.0 * np.exp(random.normal(0, 0.5, n) * wide), number)


def scenarios(n, seed):
    random = np.random.default_rng(seed)
    return Moves(*(random.uniform(-one, one, n) for one in (0.6, 0.5, 0.3, 0.3)))


def test_every_cell_is_the_plain_formula_s():
    held, moves = book(60, 1), scenarios(40, 2)
    array = risk_array(SLICES, held, moves)
    for i in range(60):
        svi, strike = SLICES[held.slice[i]], held.strike[i : i + 1]
        now = black76.price(held.call[i], svi.forward, strike, moved(svi, strike, 0, 0, 0, 0), svi.tau)
        for j in range(40):
            spot, level, skew, term = (float(one[j]) for one in moves)
            after = black76.price(
                held.call[i], svi.forward * (1 + spot), strike, moved(svi, strike, spot, level, skew, term), svi.tau
            )
            assert array[i, j] == pytest.approx(float((after - now)[0]), abs=1e-14 * 90_000 * 8)


def test_each_move_does_what_its_name_says():
    svi, strikes = SLICES[1], np.array([60_000.0, 90_900.0, 130_000.0])
    still = moved(svi, strikes, 0, 0, 0, 0)
    assert moved(svi, strikes, 0, 0.5, 0, 0) == pytest.approx(1.5 * still)
    skewed = moved(svi, strikes, 0, 0, -0.1, 0) - still
    assert skewed[0] > 0 > skewed[2] and abs(skewed[1]) < 1e-12
    up_spot = moved(svi, strikes * 1.2, 0.2, 0, 0, 0)
    assert up_spot == pytest.approx(still)  # sticky in moneyness
    assert np.all(moved(svi, strikes, 0, -2.0, 0, 0) == LEAST_VOLATILITY)
    assert term_weight(REFERENCE) == 0.0 and term_weight(1e-9) == MOST_TERM and -1 < term_weight(10.0) < -0.9
    assert moved(SLICES[0], strikes, 0, 0, 0, 0.1)[1] > moved(SLICES[0], strikes, 0, 0, 0, 0)[1]


def test_parts_of_a_book_can_be_done_apart():
    held, moves = book(50, 3), scenarios(16, 4)
    whole, out = risk_array(SLICES, held, moves), np.empty((50, 16))
    for part in (slice(0, 20), slice(20, 50)):
        risk_array(SLICES, Book(held.call[part], held.strike[part], held.slice[part]), moves, out[part])
    assert np.array_equal(whole, out)


@pytest.mark.parametrize(
    ("held", "moves", "words"),
    [
        (book(2, 1), Moves(*np.array([[-1.0], [0.0], [0.0], [0.0]])), r"spot\[0\] = -1"),
        (book(2, 1), Moves(*np.array([[0.0], [np.nan], [0.0], [0.0]])), "finite columns"),
        (Book(np.array([True]), np.array([9e4]), np.array([3])), scenarios(2, 1), "slices are 0 to 2"),
        (Book(np.array([True]), np.array([0.0]), np.array([0])), scenarios(2, 1), "strikes are positive"),
    ],
)
def test_what_cannot_be_revalued_is_named(held, moves, words):
    with pytest.raises(NotAMove, match=words):
        risk_array(SLICES, held, moves)
