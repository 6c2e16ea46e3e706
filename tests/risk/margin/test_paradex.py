"""The model `grid` with the profiles of Paradex and Aevo: the published minimum, and what holds of any portfolio."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import margins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from risk import black76
from risk.margin.answer import Assessment
from risk.margin.book import Expiry, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.model import Calculator
from risk.margin.policy import calculator
from risk.margin.valuing import quoted
from schemas.strict import TomlError

PROFILES = Path(__file__).parents[3] / "risk" / "margin" / "profiles"
BOTH = ("paradex_pm.toml", "aevo_pm.toml")
YEAR = 365 * margins.DAY
SPOT = 70_000.0


def profile(name: str, **over: Any) -> Calculator:
    return calculator((PROFILES / name).read_text(), over)


def book(*positions: Position) -> Portfolio:
    return Portfolio("A-1", positions=positions)


def perp(quantity: int) -> Position:
    return Position(Instrument(Kind.PERP, "BTC"), Fraction(quantity))


def charge(told: Assessment, name: str) -> float:
    return float(next(one.initial for one in told.add_ons if one.name == name))


def one_year(strike: float, volatility: float = 1.0) -> Market:
    expiry = Expiry(margins.NOW + YEAR, SPOT, smile={strike: volatility})
    return Market(margins.NOW, "USDC", 1.0, {"BTC": Underlying(SPOT, expiries={expiry.time: expiry})})


def test_published_minimum_by_delta() -> None:
    """Long 1 perp, short 5 calls of delta .3 at 70,000: net .5 at 2 %, hedged 1 at 1 %: 1,400. The strike is the one
    whose delta is .3 at a volatility of 1 in a year: d1 = N^-1(.3) = ln(70,000 / K) + 1/2."""

    strike = SPOT * math.exp(0.5 - float(ndtri(0.3)))
    short = Position(Instrument(Kind.OPTION, "BTC", margins.NOW + YEAR, strike, call=True), Fraction(-5))
    told = profile("paradex_pm.toml", scenarios=[[0, "none", 1]]).assess(
        book(perp(1), short), one_year(strike), exactly
    )
    assert float(told.initial) == pytest.approx(1_400.0, abs=1e-6)
    assert float(told.maintenance) == pytest.approx(700.0, abs=1e-6)
    assert charge(told, "minimum by delta") == pytest.approx(1_400.0, abs=1e-6)
    # under the whole grid the minimum is less than the worst scenario and adds nothing
    whole = profile("paradex_pm.toml").assess(book(perp(1), short), one_year(strike), exactly)
    assert charge(whole, "minimum by delta") == 0.0
    assert whole.notes == ("minimum by delta: 1400",)


@pytest.mark.parametrize(
    ("name", "quantity", "initial", "worst"),
    [
        # 16 % of 70,000; tails: .66 x .24 = 15.84 %, .33 x .48 = 15.84 %
        ("paradex_pm.toml", 1, 11_200.0, "-16%,up"),
        # up: 5 x .032 = 16 %, as the grid's end
        ("paradex_pm.toml", -1, 11_200.0, "+16%,up"),
        ("aevo_pm.toml", 1, 14_000.0, "-20%,up"),
        ("aevo_pm.toml", -2, 28_000.0, "+20%,up"),
    ],
)
def test_outright_perp(name: str, quantity: int, initial: float, worst: str) -> None:
    told = profile(name).assess(book(perp(quantity)), one_year(SPOT), exactly)
    assert float(told.initial) == pytest.approx(initial)
    assert told.worst_initial == worst


def test_provisions_and_floor() -> None:
    """Funding of a perp at 1 % and fees of everything at .1 %, of 70,000 each; the floor on what is short."""
    provisions = {"funding": "0.01", "fees": "0.001"}
    told = profile("paradex_pm.toml", provisions=provisions, floor="0.02").assess(
        book(perp(-1)), one_year(SPOT), exactly
    )
    assert charge(told, "funding provision") == pytest.approx(700.0)
    assert charge(told, "fee provision") == pytest.approx(70.0)
    assert charge(told, "floor") == pytest.approx(1_400.0)
    assert float(told.initial) == pytest.approx(11_200.0 + 700.0 + 70.0 + 1_400.0)
    assert float(told.maintenance) == pytest.approx(float(told.initial) / 2)


def test_aevo_moves_volatility_by_points() -> None:
    """With the price where it is, a straddle loses what lies between 100 and 75 points of volatility."""
    call, put = (
        Position(Instrument(Kind.OPTION, "BTC", margins.NOW + YEAR, SPOT, call), Fraction(1)) for call in (True, False)
    )
    told = profile("aevo_pm.toml").assess(book(call, put), one_year(SPOT), as_float)
    loss = sum(
        float(black76.price(is_call, SPOT, SPOT, 1.0, 1.0) - black76.price(is_call, SPOT, SPOT, 0.75, 1.0))
        for is_call in (True, False)
    )
    flat = next(one for one in told.scenarios if one.id == "+0%,down")
    assert -float(flat.pnl) == pytest.approx(loss)


def slow(name: str, portfolio: Portfolio, market: Market) -> float:
    """The worst scenario straight from the page, leg by leg, by numbers of its own."""
    rows: list[tuple[float, str, float]]
    if name == "aevo_pm.toml":
        rows = [(s, v, 1.0) for s in (1.2, 1.1, 1.0, 0.9, 0.8) for v in ("up", "none", "down")]
    else:
        rows = [(s, v, 1.0) for s in (1.12, 1.08, 1.04, 1.0, 0.96, 0.92, 0.88) for v in ("up", "down")]
        rows += [(1.16, "up", 1.0), (0.84, "up", 1.0), (0.34, "up", 0.24), (0.67, "up", 0.48), (1.5, "up", 0.32)]
        rows += [(2, "up", 0.16), (3, "up", 0.08), (4, "up", 0.0533), (5, "up", 0.04), (6, "up", 0.032)]
    losses = [0.0]
    for spot, turn, weight in rows:
        gain = 0.0
        for position in portfolio.positions:
            one, at = position.instrument, quoted(position.instrument, market)
            after = at.forward * spot
            if one.kind != Kind.OPTION:
                gain += float(position.quantity) * (after - at.forward)
                continue
            days = at.years * 365
            size = (30 / days) ** (0.3 if days <= 30 else 0.13)
            up, down = at.volatility * (1 + 0.4 * size), at.volatility * (1 - 0.22 * size)
            if name == "aevo_pm.toml":
                up, down = at.volatility + 0.5, max(at.volatility - 0.25, 0.0)
            volatility = {"up": up, "none": at.volatility, "down": down}[turn]
            first = black76.price(one.call, at.forward, one.strike, at.volatility, at.years, at.rate)
            gain += float(position.quantity) * float(
                black76.price(one.call, after, one.strike, volatility, at.years, at.rate) - first
            )
        losses.append(-gain * weight / market.settlement_price)
    return max(losses)


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=30, deadline=None)
@given(portfolio=margins.portfolios(collateral=()))
def test_slow_second_implementation(name: str, portfolio: Portfolio) -> None:
    market = margins.market()
    told = profile(name).assess(portfolio, market, as_float)
    assert float(told.initial) - charge(told, "minimum by delta") == pytest.approx(
        slow(name, portfolio, market), rel=1e-12, abs=1e-6
    )


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=25, deadline=None)
@given(portfolio=margins.portfolios())
def test_exact_meets_float(name: str, portfolio: Portfolio) -> None:
    one, market = profile(name), margins.market()
    exact, floating = one.assess(portfolio, market, exactly), one.assess(portfolio, market, as_float)
    for figure in ("initial", "maintenance", "equity", "mark_to_market"):
        assert float(getattr(exact, figure)) == pytest.approx(getattr(floating, figure), abs=1e-6)


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=25, deadline=None)
@given(portfolio=margins.portfolios(collateral=()), times=st.integers(2, 9))
def test_homogeneous(name: str, portfolio: Portfolio, times: int) -> None:
    one, market = profile(name), margins.market()
    more = replace(portfolio, positions=tuple(replace(p, quantity=p.quantity * times) for p in portfolio.positions))
    assert one.assess(more, market, exactly).initial == times * one.assess(portfolio, market, exactly).initial


@settings(max_examples=40, deadline=None)
@given(margins.quantities(), st.integers(0, 100))
def test_a_hedge_costs_no_more_than_the_minimum(quantity: Fraction, part: int) -> None:
    """A future against a perp: the scan falls; only the minimum by delta may stand in for it, which is less."""
    one, market = profile("paradex_pm.toml"), margins.market()
    alone = Position(Instrument(Kind.PERP, "BTC"), quantity)
    expiry = margins.NOW + margins.DAYS[0] * margins.DAY
    hedge = Position(Instrument(Kind.FUTURE, "BTC", expiry), -quantity * Fraction(part, 100))
    assert one.assess(book(alone, hedge), market, as_float).initial <= one.assess(book(alone), market, as_float).initial


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=40, deadline=None)
@given(instrument=margins.instruments(kinds=(Kind.OPTION,)), hundredths=st.integers(1, 5_000))
def test_a_long_option_costs_its_value_at_most(name: str, instrument: Instrument, hundredths: int) -> None:
    """Beyond it only by what the minimum by delta adds, which does not ask what the option is worth."""
    told = profile(name).assess(book(Position(instrument, Fraction(hundredths, 100))), margins.market(), as_float)
    assert told.initial <= told.mark_to_market + charge(told, "minimum by delta") + 1e-6


@settings(max_examples=30, deadline=None)
@given(margins.portfolios(), st.integers(1, 14))
def test_more_scenarios_never_lower_the_worst(portfolio: Portfolio, kept: int) -> None:
    rows = [[m, t, 1] for m in ("0.2", "0.1", 0, -0.1, -0.2) for t in ("up", "none", "down")]
    fewer = profile("aevo_pm.toml", scenarios=rows[:kept]).assess(portfolio, margins.market(), as_float)
    assert fewer.initial <= profile("aevo_pm.toml").assess(portfolio, margins.market(), as_float).initial + 1e-9


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"scenarios": "all"}, "scenarios"),
        ({"scenarios": [[0, "up"]]}, "scenarios[0]"),
        ({"scenarios": [["x", "up", 1]]}, "scenarios[0][0]"),
        ({"minimum_delta": {"gross": 1}}, "minimum_delta.gross"),
        ({"provisions": {"fees": 2}}, "provisions.fees"),
        ({"volatility": {"points": 1}}, "volatility.points"),
        ({"maintenance_part": "-1"}, "maintenance_part"),
    ],
)
def test_bad_profiles_are_named_by_place(over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        profile("paradex_pm.toml", **over)
    assert caught.value.path == path
