"""Closing costs: hand-worked figures, and what holds of any size, delay and gap."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.liquidity import (
    Loss,
    Unusable,
    buffer,
    impact,
    legs_multiplier,
    longer,
    loss_given_default,
    measured_gap,
    points,
    strike_multiplier,
    unwinding,
)

SIZES = st.floats(0.0, 1e12)
SMALL = st.floats(0.0, 100.0)
GAPS = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("part", "expected"),
    [(0.0, 0), (0.01, 100), (0.010001, 101), (1e-9, 1), (1.0, 10_000), (3.0, 10_000), (0.1 + 0.2, 3_000)],
)
def test_parts_round_against_the_account(part: float, expected: int) -> None:
    assert points(part) == expected


@pytest.mark.parametrize("part", [math.nan, math.inf, -0.1])
def test_what_is_no_part_is_named(part: float) -> None:
    with pytest.raises(Unusable, match="part"):
        points(part)


def test_impact_by_hand() -> None:
    """A quarter of the depth that moves the price by 2 % moves it by 1 %; four times the depth, by 4 %."""
    assert impact(25e6, 100e6, 0.02) == pytest.approx(0.01)
    assert impact(400e6, 100e6, 0.02) == pytest.approx(0.04)
    assert impact(400e6, 100e6, 0.02, power=1.0) == pytest.approx(0.08)
    assert impact(0.0, 100e6, 0.02) == 0.0


def test_loss_given_default_by_hand() -> None:
    """$400m at $100m a day: four days, one of them in the auction. The move of 40 % over one day grows by root(1 + 3
    / 3) - 1 = .41421; the sale moves the price by .02 x root(4)."""
    loss = loss_given_default(400e6, 100e6, 0.02, 100e6, 0.4, 1.0, 1.0, inside=1.0)
    assert loss == Loss(pytest.approx(0.04), pytest.approx(0.4 * (math.sqrt(2) - 1)))
    assert unwinding(400e6, 100e6) == 4.0
    # a settlement delay of three days doubles the move, whatever the size
    assert loss_given_default(1.0, 100e6, 0.0, 100e6, 0.4, 4.0, 1.0, inside=1.0).market == pytest.approx(0.4)


@given(SIZES, SIZES, SMALL, SMALL, SMALL)
def test_a_larger_size_or_longer_delay_never_loses_less(
    size: float, more: float, days: float, later: float, move: float
) -> None:
    def told(dollars: float, period: float) -> Loss:
        return loss_given_default(dollars, 1e8, 0.02, 5e8, move, period, 1.0, inside=1.0)

    small, large = told(size, days), told(size + more, days + later)
    assert large.impact >= small.impact
    assert large.market >= small.market
    assert buffer(0, large, 0.01) >= buffer(0, small, 0.01)


def test_strike_multiplier_by_hand() -> None:
    assert strike_multiplier(0.0, 0.1, 1.5, 0.5, 4.0) == 1.0
    # 3.5 deviations: two past the liquid ones
    assert strike_multiplier(0.35, 0.1, 1.5, 0.5, 4.0) == pytest.approx(2.0)
    # half of the open interest, at 2 for the whole; and a spread of .3 where .1 is tight
    assert strike_multiplier(0.0, 0.1, 1.5, 0.5, 4.0, 0.5, 2.0) == pytest.approx(2.0)
    assert strike_multiplier(0.0, 0.1, 1.5, 0.5, 4.0, spread=0.3, tight=0.1) == pytest.approx(3.0)
    assert strike_multiplier(0.35, 0.1, 1.5, 0.5, 4.0, 0.5, 2.0, 0.3, 0.1) == 4.0
    # without a deviation every distance is infinite
    assert strike_multiplier(0.01, 0.0, 1.5, 0.5, 4.0) == 4.0
    assert strike_multiplier(0.0, 0.0, 1.5, 0.5, 4.0) == 1.0


@given(SMALL, st.floats(0.0, 5.0), st.floats(0.0, 1.0), st.floats(0.0, 3.0), SMALL, st.floats(0.0, 1.0))
def test_a_strike_further_out_or_less_liquid_is_never_cheaper(
    away: float, deviation: float, held: float, spread: float, further: float, more: float
) -> None:
    def told(distance: float, share: float, wide: float) -> float:
        return strike_multiplier(distance, deviation, 1.5, 0.5, 4.0, share, 2.0, wide, 0.1)

    here = told(away, held, spread)
    assert 1.0 <= here <= 4.0
    assert told(away + further, held, spread) >= here
    assert told(away, held + more, spread) >= here
    assert told(away, held, spread + more) >= here


@pytest.mark.parametrize(("legs", "expected"), [(0, 1.0), (4, 1.0), (6, 1.1), (1_000, 4.0)])
def test_many_legs_are_dearer(legs: int, expected: float) -> None:
    assert legs_multiplier(legs, 4, 0.05, 4.0) == pytest.approx(expected)


def test_the_measured_gap_by_hand() -> None:
    """Twenty liquidations, one of which lost 10 %: the 95 % quantile is the nineteenth, 1 %; a run of losses is caught
    by the mean: after 10 % once more, .06 x .1 + .94 x before."""
    quiet = [0.01] * 20
    assert measured_gap(quiet) == pytest.approx(0.01)
    assert measured_gap([*quiet[1:], 0.1]) == pytest.approx(0.01 * 0.94 + 0.1 * 0.06)
    assert measured_gap([*quiet[2:], 0.1, 0.1], decay=0.999) == pytest.approx(0.1)
    assert measured_gap([]) == 0.0
    assert measured_gap([-0.2, -0.1]) == 0.0


@given(GAPS, st.floats(0.5, 1.0))
def test_the_gap_covers_the_stated_share_of_what_was_observed(gaps: list[float], quantile: float) -> None:
    told = measured_gap(gaps, quantile=quantile)
    assert sum(gap <= told for gap in gaps) >= quantile * len(gaps) - 1e-9
    assert measured_gap([*gaps, told + 0.1], quantile=quantile) >= told * 0.94


def test_the_buffer_covers_loss_and_gap() -> None:
    loss = Loss(0.012, 0.03)
    assert buffer(100, loss, 0.005) == 470
    assert buffer(1_000, loss, 0.005) == 1_000


@pytest.mark.parametrize("gaps", [[math.nan], [0.1, math.inf]])
def test_a_gap_that_is_no_number_is_named(gaps: list[float]) -> None:
    with pytest.raises(Unusable, match="gap"):
        measured_gap(gaps)


def test_a_depth_of_nothing_is_named() -> None:
    with pytest.raises(Unusable, match="depth"):
        impact(1.0, 0.0, 0.02)
    with pytest.raises(Unusable, match="covered"):
        longer(1.0, 0.0, 0.0)
