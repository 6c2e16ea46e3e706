"""The tools that damp margin paths, each against a path worked by hand, and the measures."""

import numpy as np
import pytest

from risk.procyclicality import OutOfRule, buffered, floored, long_run, measured, stress_weighted


def test_the_buffer_is_whole_in_calm_drawn_as_margins_rise_and_then_used_up() -> None:
    margins = np.array([100.0] * 10 + [110.0, 140.0, 200.0])
    charged = buffered(margins, 0.25, 10)
    assert charged[:10] == pytest.approx([125.0] * 10)
    # the mean of the last ten, today's included: 101, then 105, then 115
    assert charged[10:] == pytest.approx([1.25 * 101.0, 140.0, 200.0])


def test_the_buffer_is_built_again_when_margins_fall() -> None:
    margins = np.array([200.0] * 5 + [100.0] * 5)
    assert buffered(margins, 0.25, 5)[-1] == pytest.approx(125.0)


def test_the_stressed_weight_is_a_quarter_and_mild_stress_lowers_nothing() -> None:
    assert stress_weighted(np.array([100.0, 400.0]), 300.0) == pytest.approx([150.0, 400.0])
    assert stress_weighted(np.array([100.0]), np.array([300.0]), 0.5) == pytest.approx([200.0])


def test_the_floor_holds_where_the_model_is_below_it() -> None:
    assert floored(np.array([80.0, 120.0]), 100.0).tolist() == [100.0, 120.0]


def test_the_long_run_volatility_is_over_the_lookback_and_knows_no_later_day() -> None:
    returns = np.array([0.03, -0.04, 0.01, 0.02])
    volatility = long_run(returns, days=2, least=2)
    assert np.isnan(volatility[0])
    assert volatility[1] == pytest.approx(np.sqrt((0.0009 + 0.0016) / 2))
    assert volatility[3] == pytest.approx(np.sqrt((0.0001 + 0.0004) / 2))
    changed = returns.copy()
    changed[3] = 9.0
    assert (long_run(changed, 2, 2)[1:3] == volatility[1:3]).all()


@pytest.mark.parametrize(
    "tool", [lambda path: buffered(path), lambda path: floored(path, long)], ids=["buffer", "floor"]
)
def test_no_tool_looks_ahead_and_none_charges_less_than_the_model(tool) -> None:  # type: ignore[no-untyped-def]
    path = np.abs(np.random.default_rng(1).normal(100.0, 30.0, 200))
    charged = tool(path)
    later = path.copy()
    later[150:] *= 7.0
    assert (tool(later)[:150] == charged[:150]).all()
    assert (charged >= path).all()


long = 90.0


def test_each_tool_lowers_the_peak_to_trough_of_a_path_with_a_crash() -> None:
    path = np.concatenate([np.full(200, 100.0), np.linspace(100.0, 300.0, 5), np.full(50, 300.0)])
    before = measured(path)
    assert before.peak_to_trough == pytest.approx(3.0)
    for charged in (buffered(path), stress_weighted(path, 400.0), floored(path, 150.0)):
        after = measured(charged)
        assert after.peak_to_trough < before.peak_to_trough
        assert after.largest_rise < before.largest_rise


@pytest.mark.parametrize(
    ("path", "days", "ratio", "rise", "began"),
    [
        ([100, 100, 100], 5, 1.0, 0.0, 0),
        ([100, 120, 90, 135], 1, 1.5, 0.5, 2),
        ([100, 110, 121, 133.1], 2, 1.331, 0.21, 0),
        ([100, 200, 50, 60, 120], 5, 4.0, 1.4, 2),
        ([7], 5, 1.0, 0.0, 0),
    ],
)
def test_measures(path: list[float], days: int, ratio: float, rise: float, began: int) -> None:
    told = measured(np.array(path, np.float64), days)
    assert told.peak_to_trough == pytest.approx(ratio)
    assert (told.largest_rise, told.rise_began) == (pytest.approx(rise), began)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: buffered(np.ones(3), 0.2), "buffer of 0.2"),
        (lambda: buffered(np.ones(3), trend_days=0), "0 days"),
        (lambda: stress_weighted(np.ones(3), 1.0, 0.1), "stressed weight of 0.1"),
        (lambda: floored(np.array([1.0, np.nan]), 1.0), "day 1 is no number"),
        (lambda: floored(np.array([1.0, -2.0]), 1.0), "day 1 is -2"),
        (lambda: measured(np.array([])), "path of 0"),
        (lambda: measured(np.array([1.0, 0.0])), "margin 0 on day 1"),
    ],
)
def test_what_is_below_the_rule_is_named(wrong, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OutOfRule, match=told):
        wrong()
