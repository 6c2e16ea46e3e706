"""Arbitrage is found where it is known to be, and nowhere else; SSVI is free of it by its parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import black76
from risk.margin.book import Svi
from risk.surface.arbitrage import breaches, grid
from risk.surface.ssvi import Ssvi, is_free, slices
from risk.surface.svi import density, variance

VOGT = Svi(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153, 1.0, 1.0)
"""A. Vogt's slice, in Gatheral and Jacquier's paper: b (1 + |rho|) < 4, positive variance, and yet a butterfly"""


def kinds(*several):
    return [one.kind for one in breaches(several)]


def test_vogt_s_slice_has_its_butterfly_where_the_paper_shows_it():
    found = breaches([VOGT])
    assert [one.kind for one in found] == ["butterfly"]
    assert 0.6 < found[0].k < 1.2 and found[0].by > 0.01


def test_the_density_is_the_second_difference_of_prices():
    # undiscounted puts: d2P/dK2 is the density; g x lognormal density of the same variance is its formula
    svi = Svi(0.01, 0.1, -0.4, 0.02, 0.15, 1.0, 0.25)
    k = np.linspace(-0.6, 0.6, 25)
    strike, step = np.exp(k), 1e-4

    def put(at):
        return black76.price(False, 1.0, at, np.sqrt(variance(svi, np.log(at))), 1.0)

    second = (put(strike + step) - 2 * put(strike) + put(strike - step)) / step**2
    w = variance(svi, k)
    d2 = -k / np.sqrt(w) - np.sqrt(w) / 2
    assert density(svi, k) * np.exp(-d2 * d2 / 2) / np.sqrt(2 * np.pi * w) / strike == pytest.approx(second, abs=2e-6)


@pytest.mark.parametrize(
    ("several", "wanted"),
    [
        ([Svi(0.01, 0.05, -0.3, 0.0, 0.1, 1.0, 0.1)], []),
        ([Svi(0.04, 0.0, 0.0, 0.0, 0.1, 1.0, 0.1), Svi(0.04, 0.0, 0.0, 0.0, 0.1, 1.0, 0.2)], []),
        ([Svi(0.04, 0.0, 0.0, 0.0, 0.1, 1.0, 0.1), Svi(0.03, 0.0, 0.0, 0.0, 0.1, 1.0, 0.2)], ["calendar"]),
        # above on any grid, below in the far wing: only the slopes tell
        ([Svi(0.01, 0.05, 0.0, 0.0, 0.1, 1.0, 0.1), Svi(4.0, 0.04, 0.0, 0.0, 0.1, 1.0, 0.2)], ["calendar slope"] * 2),
        ([Svi(-0.02, 0.1, 0.0, 0.0, 0.1, 1.0, 0.1)], ["variance", "butterfly"]),
        ([Svi(2.0, 1.5, 0.5, 0.0, 2.0, 1.0, 1.0)], ["butterfly", "slope"]),
    ],
)
def test_one_arbitrage_a_line(several, wanted):
    got = kinds(*several)
    assert got == wanted


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(st.floats(1e-4, 0.3), min_size=1, max_size=6),
    rho=st.floats(-0.95, 0.95),
    part=st.floats(0.01, 1.0),
    gamma=st.floats(0.01, 0.5),
)
def test_any_ssvi_within_its_conditions_is_free(steps, rho, part, gamma):
    law = Ssvi(tuple(np.cumsum(steps)), rho, part * 2 / (1 + abs(rho)) * 0.999999, gamma)
    assert is_free(law)
    years = list(np.linspace(0.02, 1.0, len(steps)))
    assert breaches(slices(law, [1.0] * len(steps), years)) == []


def test_the_conditions_are_told_from_their_breach():
    free = Ssvi((0.01, 0.05), -0.3, 1.0, 0.4)
    assert is_free(free)
    for broken in (
        free._replace(theta=(0.05, 0.01)),
        free._replace(eta=1.6),
        free._replace(gamma=0.6),
        free._replace(theta=(0.0, 0.1)),
    ):
        assert not is_free(broken)


def test_the_grid_is_dense_within_and_reaches_without():
    k = grid(6.0)
    assert k[0] == -192.0 and k[-1] == 192.0 and np.all(np.diff(k) > 0) and {-6.0, 6.0} <= set(k)
    assert np.min(np.diff(k)) < 5e-4
