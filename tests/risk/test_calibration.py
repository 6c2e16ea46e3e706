"""Calibration: what a confidence covers, moves over gaps, the tools, whole basis points; and the frontier."""

import math

import numpy as np
import pytest
from scipy.special import stdtr

from risk.calibration import (
    DAY,
    HOUR,
    Moves,
    TooFew,
    Tool,
    covering,
    implied_proxy,
    in_basis_points,
    moves,
    scan_range,
)
from risk.frontier import ALL, MULTIPLES, TOOLS, WARM_UP, frontier
from risk.regimes import NAMES

DAYS = np.arange(4_000) * DAY
TWO_DEVIATIONS = 0.9772


def drawn(count: int, deviation: float, seed: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).normal(0.0, deviation, count)


def test_two_standard_deviations_cover_97_72_one_sided() -> None:
    assert covering(drawn(200_000, 0.03), TWO_DEVIATIONS) == pytest.approx(0.06, rel=0.02)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99, 0.999])
def test_the_stated_confidence_is_covered_on_both_sides_and_by_no_smaller_range(confidence: float) -> None:
    values = drawn(5_000, 0.02, 3) + np.where(np.arange(5_000) % 50 == 0, -0.05, 0.0)
    level = covering(values, confidence)
    assert (values <= level).mean() >= confidence
    assert (-values <= level).mean() >= confidence
    less = level * (1 - 1e-9)
    assert min((values <= less).mean(), (-values <= less).mean()) < confidence


def test_moves_are_over_the_whole_period_and_none_over_a_gap() -> None:
    times = np.array([0, 1, 2, 4, 5, 6]) * HOUR
    told = moves(times, np.array([100.0, 110.0, 120.0, 132.0, 120.0, 66.0]), 2 * HOUR)
    assert told.ends.tolist() == [2 * HOUR, 4 * HOUR, 6 * HOUR]
    assert told.moves == pytest.approx([0.2, 0.1, -0.5])


def history(calm: float = 0.01, stress: float = 0.05) -> tuple[Moves, np.ndarray, int]:  # type: ignore[type-arg]
    """Four thousand days of moves; days 1000 to 1499 were stressed."""
    stressed = (DAYS >= 1_000 * DAY) & (DAYS < 1_500 * DAY)
    values = np.where(stressed, drawn(4_000, stress, 5), drawn(4_000, calm, 6))
    return Moves(DAYS + DAY, values), DAYS[stressed], int(DAYS[-1]) + DAY


def test_each_tool_is_its_formula() -> None:
    told, stressed, to = history()
    ranges = {tool: scan_range(told, stressed, to, 365, 0.99, tool) for tool in Tool}
    level = covering(told.moves[-365:], 0.99)
    in_stress = covering(told.moves[1_000:1_500], 0.99)
    long_run = covering(told.moves[-3_650:], 0.99)
    assert ranges[Tool.NONE].lookback == level
    assert ranges[Tool.NONE].basis_points == math.ceil(level * 10_000)
    assert ranges[Tool.BUFFER].basis_points == math.ceil(1.25 * level * 10_000)
    assert ranges[Tool.STRESSED].basis_points == math.ceil((0.75 * level + 0.25 * in_stress) * 10_000)
    assert ranges[Tool.FLOOR].basis_points == math.ceil(long_run * 10_000)
    assert ranges[Tool.FLOOR].years == pytest.approx(10.0, abs=0.01)
    assert (ranges[Tool.NONE].observations, ranges[Tool.NONE].stressed_observations) == (365, 500)


def test_what_came_after_changes_nothing() -> None:
    told, stressed, _ = history()
    to = int(DAYS[2_000])
    changed = told._replace(moves=np.where(told.ends > to, 0.5, told.moves))
    for tool in Tool:
        assert scan_range(changed, stressed, to, 365, 0.99, tool) == scan_range(told, stressed, to, 365, 0.99, tool)


def test_more_confidence_never_asks_for_less() -> None:
    told, stressed, to = history()
    for tool in Tool:
        points = [scan_range(told, stressed, to, 365, c, tool).basis_points for c in (0.9, 0.95, 0.99, 0.997)]
        assert points == sorted(points)


@pytest.mark.parametrize(
    ("value", "points"), [(0.1, 1_000), (0.10001, 1_001), (0.1 + 0.2 - 0.2, 1_000), (0.0, 1), (0.29, 2_900)]
)
def test_ranges_are_whole_basis_points_rounded_up(value: float, points: int) -> None:
    assert in_basis_points(value) == points


def test_too_few_moves_are_named() -> None:
    told, stressed, to = history()
    with pytest.raises(TooFew, match="50 moves"):
        scan_range(told, stressed, to, 50, 0.99, Tool.NONE)
    with pytest.raises(TooFew, match="0 moves"):
        scan_range(told, stressed[:0], to, 365, 0.99, Tool.STRESSED)
    assert scan_range(told, stressed[:0], to, 365, 0.99, Tool.FLOOR).stressed == 0.0


def test_the_proxy_follows_the_bars_own_volatility() -> None:
    calm, wild = drawn(3_000, 0.001, 7), drawn(3_000, 0.004, 8)
    times, closes = np.arange(6_001) * HOUR, np.exp(np.cumsum(np.concatenate([[0.0], calm, wild])))
    at, values = implied_proxy(times, closes)
    assert len(at) == len(values) == 6_001 - 241
    assert values[2_500] == pytest.approx(0.001, rel=0.15)
    assert values[-1] == pytest.approx(0.004, rel=0.15)
    known = closes.copy()
    known[4_000:] *= 2.0
    assert (implied_proxy(times, known)[1][: 4_000 - 241] == values[: 4_000 - 241]).all()


def rules():  # type: ignore[no-untyped-def]
    draw = np.random.default_rng(9)
    labels = np.repeat(np.arange(40) % 3, 50).astype(np.int64)
    returns = draw.standard_normal(2_000) * np.array([0.01, 0.02, 0.05])[labels]
    return returns, labels, frontier(returns, labels, NAMES, 0.99, 1)


def test_the_frontier_has_every_rule_in_every_regime() -> None:
    _, labels, points = rules()
    assert len(points) == len(MULTIPLES) * len(TOOLS) * 4
    whole = [one for one in points if one.tool == "no tool" and one.multiple == 1.0]
    assert [one.regime for one in whole] == [ALL, *NAMES]
    assert whole[0].observations == 2 * (len(labels) - 1 - WARM_UP) == sum(one.observations for one in whole[1:])
    assert whole[0].breaches == sum(one.breaches for one in whole[1:])
    shares = [one.observations / whole[0].observations for one in whole[1:]]
    assert whole[0].level == pytest.approx(sum(s * one.level for s, one in zip(shares, whole[1:], strict=True)))
    assert whole[1].share < whole[2].share < whole[3].share


def test_more_margin_is_never_less_safe_and_tools_only_add() -> None:
    _, _, points = rules()
    by_rule = {(one.tool, one.multiple, one.regime): one for one in points}
    for tool in TOOLS:
        for regime in (ALL, *NAMES):
            line = [by_rule[tool, multiple, regime] for multiple in MULTIPLES]
            assert [one.share for one in line] == sorted((one.share for one in line), reverse=True)
            assert [one.level for one in line] == sorted(one.level for one in line)
            plain = by_rule["no tool", 1.0, regime]
            assert by_rule[tool, 1.0, regime].level >= plain.level - 1e-12
            assert by_rule[tool, 1.0, regime].share <= plain.share


def test_a_calm_market_s_margin_covers_what_it_says() -> None:
    returns = drawn(20_000, 0.02, 11)
    told = frontier(returns, np.zeros(20_000, np.int64), NAMES, 0.99, 1, (1.0,), {"no tool": TOOLS["no tool"]})
    # EWMA is a mean of about (1 + 0.94) / (1 - 0.94) = 32 squares: a return over it has about the t distribution's tail
    assert told[0].share == pytest.approx(float(stdtr(32, -2.3263)), abs=0.001)
    assert told[3].observations == 0
    assert math.isnan(told[3].share)


def test_no_margin_of_the_frontier_looks_ahead() -> None:
    returns, labels, _ = rules()
    paths = []
    for factor in (1.0, 6.0):
        changed = returns.copy()
        changed[1_500:] *= factor
        seen: list[np.ndarray] = []  # type: ignore[type-arg]

        def spy(path, tool, seen=seen):  # type: ignore[no-untyped-def]
            seen.append(tool(path))
            return seen[-1]

        watched = {name: (lambda path, tool=tool: spy(path, tool)) for name, tool in TOOLS.items()}
        frontier(changed, labels, NAMES, 0.99, 1, (1.0,), watched)
        paths.append(seen)
    for before, after in zip(*paths, strict=True):
        assert (before[:1_500] == after[:1_500]).all()
