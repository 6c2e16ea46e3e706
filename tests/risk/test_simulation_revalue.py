"""Bulk revaluation against Black-76 of this project, at its limits, and in whole quanta."""

from __future__ import annotations

import numpy as np
import pytest

from risk import black76
from risk.simulation.revalue import Contracts, option_losses, quantised, quantised_option_losses

PATHS = 400


def contracts(rows=300, steps=2, seed=1):
    """Options of all kinds, some of which expire at the second step."""
    random = np.random.Generator(np.random.Philox(seed))
    forward = np.exp(random.uniform(np.log(0.01), np.log(100_000.0), rows))
    strike = forward * np.exp(random.uniform(-1.5, 1.5, rows))
    years = np.exp(random.uniform(np.log(1 / 8766), np.log(3.0), rows))
    volatility = random.uniform(0.05, 3.0, rows)
    call = random.random(rows) < 0.5
    left = np.stack([years, np.maximum(years - 0.1, 0.0)])[:steps]
    return Contracts(
        random.integers(0, 3, rows),
        random.integers(0, 5, rows),
        call,
        forward,
        np.log(forward / strike),
        strike,
        volatility,
        np.sqrt(left),
        np.exp(-0.1 * left),
        black76.price(call, forward, strike, volatility, years, 0.1),
    ), left


def market(seed=2, steps=2):
    random = np.random.Generator(np.random.Philox(seed))
    prices = np.exp(0.3 * random.standard_normal((3, steps, PATHS)))
    prices[:, :, 0], prices[:, :, 1], prices[:, :, 2] = 0.01, 6.0, 1.0
    return prices, np.exp(0.3 * random.standard_normal((5, steps, PATHS))), 0.5 + random.random((steps, PATHS))


def test_every_option_in_every_state_is_worth_what_black_76_says():
    rows, left = contracts()
    prices, volatilities, money = market()
    out = np.empty((len(rows.strike), 2, PATHS))
    option_losses(rows, prices, np.log(prices), volatilities, money, 1.25, 0, out)
    for step in range(2):
        value = black76.price(
            rows.call[:, None],
            rows.forward[:, None] * prices[rows.price_row, step],
            rows.strike[:, None],
            rows.volatility[:, None] * volatilities[rows.volatility_row, step],
            left[step][:, None],
            0.1,
        )
        expected = rows.mark[:, None] * 1.25 - value * money[step]
        size = np.maximum(rows.forward, rows.strike)[:, None] * np.maximum(prices[rows.price_row, step], 1.0)
        assert np.max(np.abs(out[:, step] - expected) / size) < 2e-15 * 4
    assert np.count_nonzero(left[1] == 0.0) > 50  # expired ones are among them


def test_whole_quanta_are_the_floats_rounded_and_a_slice_is_the_whole_s():
    rows, _ = contracts(40)
    prices, volatilities, money = market()
    floats, wholes = np.empty((40, 2, PATHS)), np.empty((40, 2, PATHS), np.int64)
    option_losses(rows, prices, np.log(prices), volatilities, money, 1.0, 0, floats)
    assert quantised_option_losses(rows, prices, np.log(prices), volatilities, money, 1.0, 1e9, 0, wholes) == -1
    assert np.array_equal(wholes, np.floor(floats * 1e9 + 0.5).astype(np.int64))
    part = np.empty((7, 2, PATHS), np.int64)
    quantised_option_losses(rows, prices, np.log(prices), volatilities, money, 1.0, 1e9, 11, part)
    assert np.array_equal(part, wholes[11:18])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e7, -1e7])
def test_what_does_not_fit_is_refused(bad):
    losses, out = np.ones(50), np.empty(50, np.int64)
    assert quantised(losses, 1e12, out)
    losses[17] = bad
    assert not quantised(losses, 1e12, out)


def test_the_first_row_that_does_not_fit_is_told():
    rows, _ = contracts(40)
    prices, volatilities, money = market()
    marks = np.zeros(40)
    marks[23] = np.nan
    out = np.empty((40, 2, PATHS), np.int64)
    refused = quantised_option_losses(
        rows._replace(mark=marks), prices, np.log(prices), volatilities, money, 1.0, 1e9, 0, out
    )
    assert refused == 23
