"""Scenario lists: SPAN's sixteen as published, grids, lines, and what is refused."""

from __future__ import annotations

import pytest

from risk.scenarios import Scenario, ScenarioError, checked, grid, linear, span16
from schemas.limits import MAX_SCENARIOS

PUBLISHED = """
 1  0    +1  1 |  2  0    -1  1 |  3 +1/3 +1  1 |  4 +1/3 -1  1
 5 -1/3  +1  1 |  6 -1/3  -1  1 |  7 +2/3 +1  1 |  8 +2/3 -1  1
 9 -2/3  +1  1 | 10 -2/3  -1  1 | 11 +1   +1  1 | 12 +1   -1  1
13 -1    +1  1 | 14 -1    -1  1 | 15 +2    0 .35 | 16 -2   0 .35
"""


def fraction(text):
    over, _, under = text.partition("/")
    return float(over) / float(under or 1)


def test_span_s_sixteen_are_the_published_ones():
    cells = [cell.split() for line in PUBLISHED.split("\n") for cell in line.split("|") if cell.strip()]
    published = [
        Scenario(f"span-{n}", scans=fraction(price), volatility=float(vol), weight=float(weight))
        for n, price, vol, weight in cells
    ]
    assert list(span16(2, 0.35)) == published


def test_a_grid_holds_every_pair_prices_outermost():
    assert [(one.move, one.volatility, one.scans) for one in grid([-0.16, 0.0, 0.16], [1, 0, -0.5])] == [
        (-0.16, 1, 0), (-0.16, 0, 0), (-0.16, -0.5, 0),
        (0.0, 1, 0), (0.0, 0, 0), (0.0, -0.5, 0),
        (0.16, 1, 0), (0.16, 0, 0), (0.16, -0.5, 0),
    ]  # fmt: skip
    assert [one.id for one in grid([-1, 1], [0.5], scans=True)] == ["price-1x,vol+0.5", "price+1x,vol+0.5"]
    assert [one.scans for one in grid([-1, 1], [0.5], scans=True)] == [-1, 1]


def test_a_line_moves_prices_alone():
    assert linear([-0.1, 0.1]) == (Scenario("price-0.1", move=-0.1), Scenario("price+0.1", move=0.1))
    assert linear([-1], scans=True) == (Scenario("price-1x", scans=-1),)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid([], [1.0]), "scenario list: 0 scenarios"),
        (lambda: linear([i / 10_000 for i in range(MAX_SCENARIOS + 1)]), f"{MAX_SCENARIOS + 1} scenarios"),
        (lambda: linear([0.1, 0.1]), r"scenario price\+0.1: stands twice"),
        (lambda: linear([float("nan")]), "not finite"),
        (lambda: span16(2, 0), "scenario span-15: weight 0 is not in"),
        (lambda: span16(2, 1.5), "weight 1.5"),
        (lambda: span16(float("inf"), 0.3), "scenario span-15: not finite"),
        (lambda: checked([Scenario("a"), Scenario("a")]), "scenario a: stands twice"),
    ],
)
def test_what_is_no_list_of_scenarios_is_named(make, message):
    with pytest.raises(ScenarioError, match=message):
        make()
