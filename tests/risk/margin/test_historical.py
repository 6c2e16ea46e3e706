"""Historical margin: by hand, rescaled by hand, without look-ahead, and on the real moves of March 2020 and LUNA."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import margins
import numpy as np
import pytest
from hypothesis import given, settings

from risk.margin.book import History, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.historical import HistoryTooShort, NoHistory
from risk.margin.policy import calculator
from schemas.strict import TomlError
from schemas.units import parse_time

ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
PROFILES = ROOT / "risk" / "margin" / "profiles"
NAMES = ("historical_var99", "filtered_historical")
PERP = Instrument(Kind.PERP, "A")
LONG = Portfolio("A-1", positions=(Position(PERP, Fraction(1)),))


@cache
def _text(name):
    return (PROFILES / f"{name}.toml").read_text()


def ask(name, portfolio, market, fact=exactly, **over):
    """Without the buffer, which would hide the quantile where the tail is short."""
    return calculator(_text(name), {"buffer": 0} | over).assess(portfolio, market, fact)


def market(returns, volatility=None, proxy=""):
    """One underlying at 100 with these daily moves behind it."""
    moves = np.asarray(returns, float)[:, None]
    times = margins.NOW - margins.DAY * np.arange(len(moves), 0, -1, dtype=np.int64)
    known = np.zeros_like(moves) if volatility is None else np.asarray(volatility, float)[:, None]
    return Market(
        margins.NOW, "USDC", 1.0, {"A": Underlying(100.0)}, history=History(("A",), times, moves, known, proxy)
    )


FALLS = -np.arange(1, 501) / 10_000  # 1 bp ... 5 %


@pytest.mark.parametrize(
    ("over", "basis_points"),
    [
        ({}, 495),  # five of five hundred, 1 %, may be worse
        ({"confidence": 0.975}, 488),  # 12.5: twelve may
        (
            {"confidence": 0.975, "history": {"maintenance_confidence": 0.9, "measure": "shortfall"}},
            (494.5 * 12 + 488 * 0.5) / 12.5,
        ),
        ({"lookback": 100, "history": {"maintenance_confidence": 0.9}}, 499),
        (
            {"history": {"horizon": "root"}, "margin_period": {"settlement_delay": 92}},
            1e4 * (1 - 0.9505**2),
        ),  # four days
    ],
)
def test_the_quantile_and_the_mean_by_hand(over, basis_points):
    random = np.random.Generator(np.random.Philox(1))
    returns = FALLS if "lookback" in over else random.permutation(FALLS)
    told = ask("historical_var99", LONG, market(returns), **over)
    assert float(told.initial) == pytest.approx(basis_points / 100, abs=1e-9)


def test_the_deciding_day_is_told_and_the_worst_ones():
    told = ask("historical_var99", LONG, market(FALLS))
    day = margins.NOW - 6 * margins.DAY
    assert told.worst_initial == "day-2026-01-15" == f"day-{np.datetime64(day, 'us').astype('datetime64[D]')}"
    assert told.scenarios[0].id == "day-2026-01-20"
    assert float(told.scenarios[0].pnl) == pytest.approx(-5.0)


def test_moves_over_two_days_overlap_and_compound():
    returns = np.tile([0.1, -0.2, 0.05, 0.0], 100)
    over = {"margin_period": {"settlement_delay": 44}, "confidence": 0.6, "history": {"maintenance_confidence": 0.55}}
    told = ask("historical_var99", LONG, market(returns), **over)
    # over two days in turn: 1.1 x .8 = -12 %, .8 x 1.05 = -16 %, +5 %, +10 %; two fifths reach past the worst quarter
    assert float(told.initial) == pytest.approx(12.0)
    assert len(told.scenarios) > 1
    assert "2 whole days" in told.notes[0]


def test_filtering_rescales_a_move_by_the_volatility_now_over_that_of_its_day():
    random = np.random.Generator(np.random.Philox(3))
    calm, wild = 0.01 * random.standard_normal(400), 0.04 * random.standard_normal(200)
    over = {"lookback": 600}
    after_wild = ask("filtered_historical", LONG, market(np.concatenate([calm, wild])), **over)
    after_calm = ask("filtered_historical", LONG, market(np.concatenate([wild, calm])), **over)
    # 99 % of a normal law at the volatility of the end, whatever came before
    assert float(after_wild.initial) == pytest.approx(2.33 * 4.0, rel=0.25)
    assert float(after_calm.initial) == pytest.approx(2.33 * 1.0, rel=0.25)
    plain = [ask("historical_var99", LONG, market(np.concatenate(two)), **over) for two in ((calm, wild), (wild, calm))]
    assert plain[0].initial == pytest.approx(float(plain[1].initial))


@pytest.mark.parametrize("over", [{}, {"filter": {"kind": "garch", "alpha": 0.1, "beta": 0.85, "settling": 60}}])
def test_a_filter_by_hand(over):
    returns = np.tile([0.01, -0.03, 0.02, -0.01], 100)
    told = ask("filtered_historical", LONG, market(returns), **over)
    alpha, beta = (0.1, 0.85) if over else (0.03, 0.97)
    mean = float(np.mean(returns**2))
    variance = [mean]
    for move in returns:
        variance.append((1 - alpha - beta) * mean + alpha * move**2 + beta * variance[-1])
    scaled = sorted(returns[day] * math.sqrt(variance[-1] / variance[day]) for day in range(60, 400))
    assert float(told.initial) == pytest.approx(-100.0 * scaled[3], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(portfolio=margins.portfolios(6))
def test_exact_and_float_agree_to_the_quantum(name, portfolio):
    here = margins.market()
    exact, floats = ask(name, portfolio, here), ask(name, portfolio, here, as_float)
    for field in ("initial", "maintenance", "equity", "mark_to_market"):
        assert abs(float(getattr(exact, field)) - getattr(floats, field)) <= 1e-6


def test_options_are_revalued_with_the_day_s_move_of_volatility():
    here = margins.market()
    option = Instrument(Kind.OPTION, "BTC", margins.NOW + 37 * margins.DAY, 95_000.0, False)
    short = Portfolio("A-1", positions=(Position(option, Fraction(-1)),))
    still = replace(here, history=replace(margins.HISTORY, volatility_moves=np.zeros((500, 2))))
    moved, kept = ask("historical_var99", short, here), ask("historical_var99", short, still)
    assert moved.initial > kept.initial * Fraction(11, 10)
    assert "the history knows no move of implied volatility: options keep theirs" in kept.notes
    assert all("no move" not in note for note in moved.notes)
    assert all(any("no basis risk" in note for note in one.notes) for one in (moved, kept))


def test_the_proxy_for_implied_volatility_is_told():
    told = ask("historical_var99", LONG, market(FALLS, proxy="EWMA of realised volatility x 1.1"))
    assert "implied volatility in history: EWMA of realised volatility x 1.1" in told.notes


@pytest.mark.parametrize(
    ("here", "error", "what"),
    [
        (replace(market(FALLS), history=None), NoHistory, "no history|draws its states"),
        (
            replace(market(FALLS), underlyings={"A": Underlying(100.0), "B": Underlying(1.0)}),
            NoHistory,
            "underlyings.B",
        ),
        (market(FALLS[:99]), HistoryTooShort, "99 days: 100 are needed"),
    ],
)
def test_a_history_that_is_not_enough_is_named(here, error, what):
    with pytest.raises(error, match=what):
        ask("historical_var99", LONG, here)


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"history": {"measure": "mean"}}, "history.measure"),
        ({"history": {"horizon": "long"}}, "history.horizon"),
        ({"history": {"other": 1}}, "history.other"),
        ({"lookback": 0}, "lookback"),
        ({"filter": {"kind": "kalman"}}, "filter.kind"),
        ({"filter": {"kind": "garch", "alpha": 0.2, "beta": 0.8, "settling": 1}}, "filter.alpha"),
        ({"filter": {"kind": "garch", "alpha": 0.2, "beta": 0.7, "decay": 1, "settling": 1}}, "filter.decay"),
        ({"simulation": {}}, "simulation"),
    ],
)
def test_a_bad_parameter_is_named_by_its_place(over, path):
    with pytest.raises(TomlError) as caught:
        calculator(_text("filtered_historical"), over)
    assert caught.value.path == path


def _daily(symbol):
    """Daily closes of the hourly file, by day."""
    if not DATA.is_dir():
        pytest.skip(f"the market data is not there: {DATA}")
    with gzip.open(DATA / f"hourly_{symbol}USDT_spot.csv.gz", "rt", newline="") as file:
        return {row["ts"][:10]: float(row["close"]) for row in csv.DictReader(file)}


@pytest.mark.data
@pytest.mark.parametrize(
    ("start", "crash", "end"), [("2020-03-01", "day-2020-03-12", "2020-04-01"), ("2022-04-20", None, "2022-06-25")]
)
def test_filtered_history_rises_in_a_crash_and_plain_history_remembers_it(start, crash, end):
    closes = _daily("BTC")
    days = sorted(closes)

    def at(day, name):
        past = days[max(0, days.index(day) - 500) : days.index(day) + 1]
        prices = np.array([closes[one] for one in past])
        times = np.array([parse_time(f"{one}T00:00:00Z") for one in past[1:]], np.int64)
        moves = (prices[1:] / prices[:-1] - 1.0)[:, None]
        history = History(("A",), times, moves, np.zeros_like(moves))
        now = Market(int(times[-1]), "USDC", 1.0, {"A": Underlying(100.0)}, history=history)
        return ask(name, LONG, now, lookback=100_000, confidence=0.98, history={"maintenance_confidence": 0.95})

    before, after = at(start, "filtered_historical"), at(end, "filtered_historical")
    assert after.initial > before.initial
    plain = at(end, "historical_var99")
    assert plain.initial >= at(start, "historical_var99").initial
    assert crash is None or crash in [one.id for one in plain.scenarios]
