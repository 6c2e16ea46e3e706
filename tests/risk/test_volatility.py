"""The implied volatility surface: what lies on it, between its points and past them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.volatility import (
    YEAR,
    DuplicateStrikeError,
    ExpiredPointsError,
    NoForwardError,
    NoPointsError,
    Point,
    PointNotPositiveError,
    UnsortedPointsError,
    surface,
    volatility,
)

NOW = 1_700_000_000_000_000
QUARTER, YEAR_OUT = NOW + YEAR // 4, NOW + YEAR
FORWARDS = {QUARTER: 100.0, YEAR_OUT: 110.0}
POINTS = [
    Point(QUARTER, 80.0, 0.9),
    Point(QUARTER, 100.0, 0.6),
    Point(QUARTER, 125.0, 0.7),
    Point(YEAR_OUT, 88.0, 0.8),
    Point(YEAR_OUT, 110.0, 0.5),
]
SURFACE = surface(POINTS, FORWARDS, NOW)


def at(years, moneyness, surface=SURFACE):
    return float(volatility(surface, np.array([years]), np.log([moneyness]))[0])


@pytest.mark.parametrize(
    ("years", "moneyness", "expected"),
    [
        (0.25, 0.8, 0.9),  # the points themselves
        (0.25, 1.0, 0.6),
        (0.25, 1.25, 0.7),
        (1.0, 0.8, 0.8),
        (1.0, 1.0, 0.5),
        (0.25, 0.5, 0.9),  # wings are flat
        (0.25, 9.0, 0.7),
        (1.0, 9.0, 0.5),
        (0.25, np.sqrt(0.8), np.sqrt((0.81 + 0.36) / 2)),  # half-way in log-moneyness: half-way in variance
        (0.25, np.sqrt(1.25), np.sqrt((0.36 + 0.49) / 2)),
        (0.1, 1.0, 0.6),  # before the first expiry and after the last: their volatility
        (0.0, 0.8, 0.9),
        (3.0, 0.8, 0.8),
        (0.625, 1.0, np.sqrt((0.36 * 0.25 + 0.25 * 1.0) / 2 / 0.625)),  # half-way in time: half-way in total variance
        (0.4, 0.8, np.sqrt((0.81 * 0.25 + (0.64 - 0.81 * 0.25) * 0.2) / 0.4)),
    ],
)
def test_interpolation_worked_by_hand(years, moneyness, expected):
    assert at(years, moneyness) == pytest.approx(expected, rel=1e-14)


def test_one_point_is_flat_everywhere():
    flat = surface([Point(QUARTER, 70.0, 0.66)], FORWARDS, NOW)
    assert [at(years, m, flat) for years in (0.0, 0.1, 0.25, 2.0) for m in (0.3, 1.0, 4.0)] == pytest.approx(
        [0.66] * 12
    )


def test_queries_are_answered_in_their_own_order():
    years, moneyness = np.array([1.0, 0.25, 0.625, 0.1]), np.log([1.0, 0.8, 1.0, 1.25])
    together = volatility(SURFACE, years, moneyness)
    assert list(together) == [volatility(SURFACE, years[i : i + 1], moneyness[i : i + 1])[0] for i in range(4)]
    assert volatility(SURFACE, np.array([]), np.array([])).shape == (0,)


@settings(deadline=None)
@given(years=st.floats(0.0, 5.0), log_moneyness=st.floats(-4.0, 4.0))
def test_the_volatility_stays_between_the_points(years, log_moneyness):
    one = volatility(SURFACE, np.array([years]), np.array([log_moneyness]))[0]
    # forward variance between the expiries may leave the points' range, total variance over time may not
    assert 0.45 < one < 0.91


@settings(deadline=None)
@given(log_moneyness=st.floats(-1.0, 1.0), early=st.floats(0.25, 1.0), later=st.floats(0.25, 1.0))
def test_total_variance_rises_with_time_where_the_points_let_it(log_moneyness, early, later):
    early, later = sorted((early, later))
    both = volatility(SURFACE, np.array([early, later]), np.array([log_moneyness] * 2))
    assert both[0] ** 2 * early <= both[1] ** 2 * later * (1 + 1e-12)


@pytest.mark.parametrize(
    ("points", "forwards", "error", "message"),
    [
        ([], FORWARDS, NoPointsError, "at least one"),
        ([Point(QUARTER, 0.0, 0.5)], FORWARDS, PointNotPositiveError, f"strike 0.0 of expiry {QUARTER}"),
        ([Point(QUARTER, 90.0, -0.5)], FORWARDS, PointNotPositiveError, "volatility -0.5"),
        ([Point(QUARTER, 90.0, float("nan"))], FORWARDS, PointNotPositiveError, "volatility nan"),
        ([Point(QUARTER, 90.0, 0.5)], {QUARTER: -1.0}, PointNotPositiveError, "forward -1.0"),
        (POINTS[::-1], FORWARDS, UnsortedPointsError, "point 1 "),
        ([POINTS[1], POINTS[0]], FORWARDS, UnsortedPointsError, "strike 80.0"),
        ([POINTS[0], POINTS[0]], FORWARDS, DuplicateStrikeError, "strike 80.0"),
        ([Point(NOW, 90.0, 0.5)], {NOW: 100.0}, ExpiredPointsError, f"expiry {NOW}"),
        (POINTS, {QUARTER: 100.0}, NoForwardError, f"expiry {YEAR_OUT}"),
    ],
)
def test_what_is_no_surface_is_named(points, forwards, error, message):
    with pytest.raises(error, match=message):
        surface(points, forwards, NOW)
