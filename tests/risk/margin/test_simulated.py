"""Monte Carlo margin: closed forms for linear books, exact against float, paths against ends, a tail's properties."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import margins
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk import black76
from risk.margin import simulated
from risk.margin.book import Expiry, Instrument, Kind, Market, Order, Portfolio, Position, Svi, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.policy import calculator
from risk.margin.sampled import years_of
from risk.margin.valuing import quoted
from risk.simulation.revalue import UnitLossTooLarge
from risk.simulation.tail import normal_shortfall, student_shortfall
from risk.volatility import YEAR
from schemas.strict import TomlError

PROFILES = Path(__file__).parents[3] / "risk" / "margin" / "profiles"
NAMES = ("monte_carlo_var", "monte_carlo_es", "monte_carlo_es_path")
MARKET = margins.market()
PERP = Instrument(Kind.PERP, "BTC")
ETH = Instrument(Kind.PERP, "ETH")
OPTION = Instrument(Kind.OPTION, "BTC", margins.NOW + 37 * margins.DAY, 95_000.0, False)
MARKET_VOLATILITY = MARKET.underlyings["BTC"].expiries[OPTION.expiry].smile[95_000.0]
FAST = settings(max_examples=15, deadline=None)


@cache
def _text(name):
    return (PROFILES / f"{name}.toml").read_text()


def ask(name, portfolio, market=MARKET, fact=exactly, **over):
    return calculator(_text(name), over).assess(portfolio, market, fact)


def book(*positions):
    return Portfolio("A-1", positions=positions)


def stated(**simulation):
    """Overrides: volatility as the profile states it, over one day."""
    return {"simulation": simulation, "volatility": {"sources": ["stated"]}}


@pytest.mark.parametrize("name", NAMES)
@FAST
@given(portfolio=margins.portfolios(6))
def test_exact_and_float_agree_to_the_quantum(name, portfolio):
    exact, floats = ask(name, portfolio), ask(name, portfolio, fact=as_float)
    for field in ("initial", "maintenance", "equity", "mark_to_market"):
        assert isinstance(getattr(exact, field), Fraction | int)
        assert abs(float(getattr(exact, field)) - getattr(floats, field)) <= 1e-6


@pytest.mark.parametrize(
    ("degrees", "tilt", "share", "closed"),
    [
        (0, 1, 0.01, normal_shortfall(0.01)),
        (0, 1, 0.025, normal_shortfall(0.025)),
        (4, 3, 0.01, student_shortfall(0.01, 4.0)),
        (4, 3, 0.025, student_shortfall(0.025, 4.0)),
        (8, 2, 0.01, student_shortfall(0.01, 8.0)),
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_linear_book_needs_the_closed_form(degrees, tilt, share, closed, seed):
    over = stated(degrees=degrees, tilt=tilt, seed=seed, maintenance_confidence=0.9)
    portfolio = book(Position(PERP, Fraction(3)), Position(Instrument(Kind.PERP, "ETH"), Fraction(-20)))
    told = ask("monte_carlo_es", portfolio, confidence=1 - share, **over)
    one, other = 3 * MARKET.underlyings["BTC"].perp * 0.6, -20 * MARKET.underlyings["ETH"].perp * 0.75
    size = math.sqrt((one**2 + other**2 + 2 * 0.8 * one * other) / 365) / MARKET.settlement_price
    assert float(told.initial) == pytest.approx(size * closed, rel=0.02)


def test_value_at_risk_is_breached_by_its_share_of_the_law():
    over = stated(degrees=0, tilt=1)
    told = ask("monte_carlo_var", book(Position(PERP, Fraction(1))), confidence=0.99, **over)
    size = MARKET.underlyings["BTC"].perp * 0.6 / math.sqrt(365) / MARKET.settlement_price
    assert float(told.initial) == pytest.approx(2.3263478740408408 * size, rel=0.01)


def test_the_same_seed_gives_the_same_answer_and_another_a_near_one():
    portfolio = book(Position(PERP, Fraction(1)))
    one, again = ask("monte_carlo_es", portfolio), ask("monte_carlo_es", portfolio)
    assert one == again
    other = ask("monte_carlo_es", portfolio, simulation={"seed": 7})
    assert one.initial != other.initial
    assert float(other.initial) == pytest.approx(float(one.initial), rel=0.03)


@FAST
@given(portfolio=margins.portfolios(5, collateral=()))
def test_a_path_s_worst_point_costs_no_less_than_its_end(portfolio):
    """The ends are the same paths'; but an option is revalued at each point with the time it has left there."""
    end, path = ask("monte_carlo_es", portfolio), ask("monte_carlo_es_path", portfolio)
    assert path.initial >= end.initial
    assert path.maintenance >= end.maintenance


def test_the_worst_point_of_a_brownian_path_costs_up_to_what_reflection_says():
    """The largest loss of a path seen all the time has twice the tail of its end; eight looks a day see most of it."""
    portfolio = book(Position(PERP, Fraction(1)))
    size = MARKET.underlyings["BTC"].perp * 0.6 / math.sqrt(365) / MARKET.settlement_price
    found = [
        float(ask("monte_carlo_es_path", portfolio, **stated(degrees=0, tilt=1, paths=50_000, steps=n)).initial) / size
        for n in (1, 8, 64)
    ]
    assert found[0] < found[1] < found[2] < normal_shortfall(0.005)
    assert found[2] > 0.96 * normal_shortfall(0.005)


@FAST
@given(one=margins.portfolios(4, collateral=()), other=margins.portfolios(4, collateral=()))
def test_expected_shortfall_of_a_sum_is_no_more_than_the_sum(one, other):
    joined = Portfolio("A-1", positions=one.positions + other.positions)
    for name in ("monte_carlo_es", "monte_carlo_es_path"):
        for field in ("initial", "maintenance"):
            parts = sum(getattr(ask(name, part), field) for part in (one, other))
            assert getattr(ask(name, joined), field) <= parts


@FAST
@given(portfolio=margins.portfolios(4, collateral=()), times=st.integers(2, 1_000_000))
def test_twice_the_book_needs_twice_as_much(portfolio, times):
    """To the last digit, past 63 bits too."""
    larger = tuple(replace(one, quantity=one.quantity * times) for one in portfolio.positions)
    for name in NAMES:
        assert ask(name, replace(portfolio, positions=larger)).initial == times * ask(name, portfolio).initial


@FAST
@given(instrument=margins.instruments(kinds=(Kind.OPTION,)), quantity=st.integers(1, 1_000))
def test_a_long_option_never_costs_more_than_its_value(instrument, quantity):
    for name in NAMES:
        told = ask(name, book(Position(instrument, Fraction(quantity))))
        assert told.initial <= told.mark_to_market * Fraction("1.1") + Fraction(1, 10**6)
        assert told.maintenance <= told.mark_to_market + Fraction(1, 10**6)


def test_a_hedge_with_the_same_underlying_costs_less():
    future = Instrument(Kind.FUTURE, "BTC", margins.NOW + 37 * margins.DAY)
    alone = ask("monte_carlo_es", book(Position(PERP, Fraction(1))))
    hedged = ask("monte_carlo_es", book(Position(PERP, Fraction(1)), Position(future, Fraction(-1))))
    assert hedged.initial < alone.initial / 20


def test_collateral_that_offsets_moves_with_its_underlying_and_pays_its_haircut():
    coin = margins.Holding("BTC", Fraction(2))
    short = book(Position(PERP, Fraction(-2)))
    bare, covered = ask("monte_carlo_es", short), ask("monte_carlo_es", replace(short, collateral=(coin,)))
    value = covered.collateral[0].value
    assert value == 2 * exactly(MARKET.assets["BTC"].price / MARKET.settlement_price)
    assert covered.add_ons[0].initial == value * Fraction("0.15")
    assert covered.initial - covered.add_ons[0].initial < bare.initial / 20
    assert covered.equity == bare.equity + value


def test_what_is_settled_in_its_own_coin_loses_in_coins():
    """A long perp of one coin at -m loses 1 - 1 / (1 - m) coins: more than m; a coin of cash loses none."""
    market = margins.market("BTC", {"BTC": margins.SPOTS["BTC"]})
    perp = Position(PERP, Fraction(1))
    told = ask("monte_carlo_var", book(perp), market)
    worst = next(one for one in told.scenarios if one.id == told.worst_initial)
    moved = told.legs[0].forward_in_worst / market.underlyings["BTC"].perp
    scale = market.underlyings["BTC"].perp / market.underlyings["BTC"].spot
    assert float(worst.pnl) == pytest.approx(scale * (1.0 - 1.0 / moved), rel=1e-9)
    assert moved < 1.0
    # short one coin in dollars against one coin of cash: worth the same dollars in every state
    assert ask("monte_carlo_var", replace(book(perp), cash=Fraction(1)), market).initial == told.initial


def test_each_leg_and_group_of_the_deciding_path_is_black_76_at_its_prices():
    expiry = margins.NOW + 37 * margins.DAY
    option = Instrument(Kind.OPTION, "BTC", expiry, 100_000.0, True)
    held = book(Position(PERP, Fraction(3, 2)), Position(option, Fraction(-7, 3)))
    told = ask("monte_carlo_var", held)
    worst = next(one for one in told.scenarios if one.id == told.worst_initial)
    assert told.initial == -worst.pnl
    assert sum(group.pnl for group in worst.groups) == worst.pnl == sum(leg.pnl_in_worst for leg in told.legs)
    leg = told.legs[1]
    left = 36 * margins.DAY / YEAR
    after = black76.price(True, leg.forward_in_worst, 100_000.0, leg.volatility_in_worst, left, 0.05)
    gain = -7 / 3 * (float(after) / MARKET.settlement_price - float(leg.mark))
    assert float(leg.pnl_in_worst) == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("settlement", ["USDC", "ETH"])
def test_a_second_slow_implementation_agrees(name, settlement):
    """Every path by itself in floats: prices from the states, Black-76 by arrays, the tail by repeated sorting."""
    market = margins.market(settlement)
    expiry = margins.NOW + 9 * margins.DAY
    future, call = Instrument(Kind.FUTURE, "ETH", expiry), Instrument(Kind.OPTION, "ETH", expiry, 3_400.0, True)
    held = (Position(PERP, Fraction(-2)), Position(future, Fraction(31)), Position(call, Fraction(-40)))
    model = calculator(_text(name))
    rules = simulated._rules(tomllib.loads(_text(name), parse_float=Decimal), model.header)
    made = simulated.sample(rules, market, years_of(model.header.period.days)).states
    quotes = [quoted(one.instrument, market) for one in held]
    worst = np.full(made.prices.shape[2], -np.inf)
    for step, elapsed in enumerate(made.elapsed):
        bitcoin, ether = made.prices[:, step]
        dollar = 1.0 / (market.settlement_price * (ether if settlement == "ETH" else 1.0))
        moved = np.clip(made.volatilities[1, step] * (30 / 9) ** 0.3, -math.log(5.0), math.log(5.0))
        left = quotes[2].years - elapsed
        after = black76.price(
            True, quotes[2].forward * ether, 3_400.0, quotes[2].volatility * np.exp(moved), left, 0.05
        )
        mark = black76.price(True, quotes[2].forward, 3_400.0, quotes[2].volatility, quotes[2].years, 0.05)
        gain = -2 * quotes[0].forward * (bitcoin - 1.0) * dollar + 31 * quotes[1].forward * (ether - 1.0) * dollar
        gain = gain - 40 * (after * dollar - mark / market.settlement_price)
        worst = np.maximum(worst, -gain)
    pairs = sorted(zip(worst.tolist(), made.weights.tolist(), strict=True), reverse=True)
    left, total = 0.01 * float(made.weights.sum()), 0.0
    for loss, weight in pairs:
        part = min(weight, left)
        total, left = total + part * loss, left - part
        if left <= 0.0:
            break
    expected = loss if name == "monte_carlo_var" else total / (0.01 * float(made.weights.sum()))
    told = model.assess(Portfolio("A-1", positions=held), market, exactly)
    assert float(told.initial) == pytest.approx(expected, rel=1e-9)


def test_implied_volatility_moves_against_the_price():
    long, short = (
        ask("monte_carlo_var", book(Position(PERP, Fraction(side)), Position(OPTION, Fraction(1, 10**6))))
        for side in (1, -1)
    )
    here = MARKET_VOLATILITY
    assert long.legs[0].forward_in_worst < MARKET.underlyings["BTC"].perp < short.legs[0].forward_in_worst
    none = ask("monte_carlo_var", book(Position(OPTION, Fraction(1))), smile={"volatility": 0})
    assert none.legs[0].volatility_in_worst == pytest.approx(here)
    with_smile = ask("monte_carlo_es", book(Position(OPTION, Fraction(-1))))
    without = ask("monte_carlo_es", book(Position(OPTION, Fraction(-1))), smile={"volatility": 0})
    assert with_smile.initial > without.initial


@pytest.mark.parametrize(("regime", "correlation"), [("market", 0.8), ("calm", 0.6), ("stress", 0.95)])
def test_a_spread_between_underlyings_is_margined_by_the_regime_s_correlation(regime, correlation):
    over = stated(degrees=0, tilt=1) | {"correlation": {"regime": regime}}
    one, other = MARKET.underlyings["BTC"].perp * 0.6, MARKET.underlyings["ETH"].perp * 0.75
    ratio = Fraction(one / other)
    told = ask("monte_carlo_es", book(Position(PERP, Fraction(1)), Position(ETH, -ratio)), **over)
    size = one * math.sqrt(2 * (1 - correlation) / 365) / MARKET.settlement_price
    assert float(told.initial) == pytest.approx(size * normal_shortfall(0.01), rel=0.03)
    assert any(regime in note for note in told.notes)


def test_correlations_that_contradict_each_other_are_told():
    three = {name: Underlying(100.0) for name in "ABC"}
    wrong = {("A", "B"): 0.9, ("B", "C"): 0.9, ("A", "C"): -0.9}
    told = ask(
        "monte_carlo_es",
        book(Position(Instrument(Kind.PERP, "A"), Fraction(1))),
        Market(margins.NOW, "USDC", 1.0, three, {}, wrong),
    )
    assert any("contradict" in note for note in told.notes)


@pytest.mark.parametrize(
    ("sources", "volatility", "source"),
    [(["stated", "implied"], 0.6, "stated"), (["implied"], None, "implied"), (["history", "implied"], None, "history")],
)
def test_volatility_is_the_first_there_is_and_its_source_is_told(sources, volatility, source):
    told = ask("monte_carlo_es", book(Position(PERP, Fraction(1))), volatility={"sources": sources})
    note = next(one for one in told.notes if one.startswith("volatility a year"))
    assert f"({source})" in note
    assert volatility is None or f"BTC {volatility:g}" in note


def test_without_history_the_next_source_is_used():
    bare = replace(MARKET, history=None)
    told = ask("monte_carlo_es", book(Position(PERP, Fraction(1))), bare)
    assert any("(implied)" in note for note in told.notes)
    nothing = Market(margins.NOW, "USDC", 1.0, {"XYZ": Underlying(5.0)})
    told = ask("monte_carlo_es", book(Position(Instrument(Kind.PERP, "XYZ"), Fraction(1))), nothing)
    assert any("XYZ 0.9 (stated)" in note for note in told.notes)


def test_an_option_that_expires_within_the_period_ends_at_its_payment():
    expiry = margins.NOW + margins.DAY // 2
    smile = Svi(0.001, 0.001, 0.0, 0.0, 0.1, 100.0, 0.5 / 365)
    underlying = Underlying(100.0, expiries={expiry: Expiry(expiry, 100.0, smile=smile)})
    market = Market(margins.NOW, "USDC", 1.0, {"A": underlying})
    call = Instrument(Kind.OPTION, "A", expiry, 90.0, True)
    told = ask("monte_carlo_var", book(Position(call, Fraction(1))), market)
    leg = told.legs[0]
    assert float(leg.pnl_in_worst) == pytest.approx(max(leg.forward_in_worst - 90.0, 0.0) - float(leg.mark), abs=1e-9)


def test_orders_are_the_frame_s_matter():
    order = Order(PERP, Fraction(1), Fraction(95_000))
    held = book(Position(PERP, Fraction(1)))
    with_order = ask("monte_carlo_es", replace(held, orders=(order,)))
    assert with_order.initial > ask("monte_carlo_es", held).initial
    assert with_order.maintenance == ask("monte_carlo_es", held).maintenance


def test_a_unit_past_what_a_matrix_holds_is_named():
    market = Market(margins.NOW, "USDC", 1.0, {"A": Underlying(1e9)})
    with pytest.raises(UnitLossTooLarge, match="leg 0 loses"):
        ask("monte_carlo_es", book(Position(Instrument(Kind.PERP, "A"), Fraction(1))), market)


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"simulation": {"paths": 999}}, "simulation.paths"),
        ({"simulation": {"paths": 10}}, "simulation.paths"),
        ({"simulation": {"degrees": 1.5}}, "simulation.degrees"),
        ({"simulation": {"measure": "mean"}}, "simulation.measure"),
        ({"simulation": {"draws": "dice"}}, "simulation.draws"),
        ({"simulation": {"returns": "other"}}, "simulation.returns"),
        ({"simulation": {"seed": -1}}, "simulation.seed"),
        ({"simulation": {"tilt": 0.5}}, "simulation.tilt"),
        ({"simulation": {"other": 1}}, "simulation.other"),
        ({"smile": {"leverage": -1.5}}, "smile.leverage"),
        ({"volatility": {"sources": ["tea"]}}, "volatility.sources.0"),
        ({"correlation": {"regime": "panic"}}, "correlation.regime"),
        ({"correlation": {"regimes": {"calm": {"BTC": 0.5}}}}, "correlation.regimes.calm.BTC"),
        ({"correlation": {"regimes": {"calm": {"BTC/ETH": 0.5, "ETH/BTC": 0.5}}}}, "correlation.regimes.calm.ETH/BTC"),
        ({"correlation": {"regimes": {"calm": {"BTC/ETH": 1.5}}}}, "correlation.regimes.calm.BTC/ETH"),
        ({"underlyings": {"BTC": {"price": 1}}}, "underlyings.BTC.price"),
        ({"margin_period": {"detection": 0, "auction": 0, "settlement_delay": 0}}, "margin_period"),
        ({"tables": {}}, "tables"),
    ],
)
def test_a_bad_parameter_is_named_by_its_place(over, path):
    with pytest.raises(TomlError) as caught:
        calculator(_text("monte_carlo_es"), over)
    assert caught.value.path == path


def test_long_integers_and_short_ones_give_one_answer():
    """A book within 63 bits, and the same one at a million times its size, which is past them."""
    held = book(Position(PERP, Fraction(1, 3)), Position(OPTION, Fraction(-2, 7)))
    larger = replace(held, positions=tuple(replace(p, quantity=p.quantity * 10**9) for p in held.positions))
    small, large = ask("monte_carlo_es", held), ask("monte_carlo_es", larger)
    assert large.initial == small.initial * 10**9
    assert np.isclose(float(large.initial), ask("monte_carlo_es", larger, fact=as_float).initial)
