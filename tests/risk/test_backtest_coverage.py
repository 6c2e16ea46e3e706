"""Coverage tests against numbers worked by hand, Kupiec's published regions, and their size in simulation."""

import math

import numpy as np
import pytest

from risk.backtest.coverage import (
    MoreBreachesThanDays,
    NotARate,
    conditional,
    independence,
    kupiec,
    transitions,
)

CRITICAL = 3.841458820694124
"""of chi-square with one degree at 5 %"""


@pytest.mark.parametrize(
    ("breaches", "observations", "expected", "statistic", "p_value"),
    [
        (0, 100, 0.01, -200 * math.log(0.99), 0.156154),  # 2.01007
        (1, 100, 0.01, 0.0, 1.0),
        (4, 255, 0.01, 0.709952, 0.399460),  # 2 (251 ln(251/252.45) + 4 ln(4/2.55))
        (0, 255, 0.05, -510 * math.log(0.95), 3.144e-7),
        (10, 10, 0.5, 20 * math.log(2), 0.00019664),
        (0, 0, 0.01, 0.0, 1.0),
    ],
)
def test_kupiec_by_hand(breaches: int, observations: int, expected: float, statistic: float, p_value: float) -> None:
    told = kupiec(breaches, observations, expected)
    assert told.statistic == pytest.approx(statistic, abs=1e-5)
    assert told.p_value == pytest.approx(p_value, rel=1e-3)
    assert told.degrees == 1


@pytest.mark.parametrize(
    ("expected", "days", "fewest", "most"),
    [
        # Kupiec (1995): the counts N that do not refuse the model at 5 %, for 255, 510 and 1,000 days
        (0.01, 255, 1, 6),  # printed as N < 7; none at all is refused too, at 5.13
        (0.01, 510, 2, 10),
        (0.01, 1_000, 5, 16),
        (0.025, 255, 3, 11),
        (0.025, 510, 7, 20),
        (0.025, 1_000, 16, 35),
        (0.05, 255, 7, 20),
        (0.05, 510, 17, 35),
        (0.05, 1_000, 38, 64),
        (0.075, 255, 12, 27),
        (0.075, 510, 28, 50),
        (0.075, 1_000, 60, 91),
        (0.10, 255, 17, 35),
        (0.10, 510, 39, 64),
        (0.10, 1_000, 82, 119),
    ],
)
def test_kupiec_table(expected: float, days: int, fewest: int, most: int) -> None:
    held = [count for count in range(days + 1) if kupiec(count, days, expected).statistic < CRITICAL]
    assert (held[0], held[-1]) == (fewest, most)


def test_christoffersen_by_hand() -> None:
    """Ten days, breaches on the 3rd, 4th and 9th: n00 4, n01 2, n10 2, n11 1."""
    breached = [False, False, True, True, False, False, False, False, True, False]
    assert transitions(breached) == (4, 2, 2, 1)
    # after calm 2/6, after a breach 1/3, together 3/9: all one third, so nothing speaks against independence
    assert independence(breached).statistic == pytest.approx(0.0, abs=1e-12)
    clustered = [False] * 6 + [True] * 3 + [False]
    assert transitions(clustered) == (5, 1, 1, 2)
    # 2 [5 ln(5/6) + ln(1/6) + ln(1/3) + 2 ln(2/3) - 6 ln(6/9) - 3 ln(3/9)]
    by_hand = 2 * (
        5 * math.log(5 / 6)
        + math.log(1 / 6)
        + math.log(1 / 3)
        + 2 * math.log(2 / 3)
        - 6 * math.log(2 / 3)
        - 3 * math.log(1 / 3)
    )
    told = independence(clustered)
    assert told.statistic == pytest.approx(by_hand)
    assert by_hand == pytest.approx(2.231436, abs=1e-5)
    assert told.p_value == pytest.approx(math.erfc(math.sqrt(by_hand / 2)))
    both = conditional(clustered, 0.3)
    assert both.statistic == pytest.approx(by_hand)  # three in ten are what is expected
    assert both.p_value == pytest.approx(math.exp(-by_hand / 2))  # chi-square with two degrees
    assert both.degrees == 2


def test_breaches_one_after_another_refuse_independence_and_scattered_ones_do_not() -> None:
    days = np.zeros(1_000, bool)
    days[500:510] = True
    assert independence(days.tolist()).p_value < 1e-10
    days[:] = False
    days[::100] = True
    assert independence(days.tolist()).p_value > 0.5


def test_size_in_simulation() -> None:
    """Under the hypothesis each test refuses about as often as its level says; margins are never exactly chi-square."""
    drawn = np.random.Generator(np.random.Philox(7)).random((2_000, 1_000)) < 0.05
    refused = np.zeros(3)
    for row in drawn:
        days = row.tolist()
        tests = (kupiec(sum(days), len(days), 0.05), independence(days), conditional(days, 0.05))
        refused += [one.p_value < 0.05 for one in tests]
    shares = refused / len(drawn)
    assert all(0.03 < share < 0.09 for share in shares), shares
    wrong = sum(kupiec(int(row.sum()), 1_000, 0.02).p_value < 0.05 for row in drawn) / len(drawn)
    assert wrong > 0.95  # power: a margin of 98 % that holds 95 % is found out


@pytest.mark.parametrize("expected", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_that_is_none(expected: float) -> None:
    with pytest.raises(NotARate):
        kupiec(1, 10, expected)


@pytest.mark.parametrize(("breaches", "days"), [(-1, 10), (11, 10)])
def test_counts_that_cannot_be(breaches: int, days: int) -> None:
    with pytest.raises(MoreBreachesThanDays):
        kupiec(breaches, days, 0.01)
