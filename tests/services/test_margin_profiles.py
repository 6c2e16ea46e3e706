"""What holds of every published profile: its facts, exact and float alike, initial margin, what netting saves."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import cache

import jsonschema
import margins
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from risk.margin.answer import Assessment
from risk.margin.book import AssetQuote, Holding, Instrument, Kind, Market, Portfolio, Position
from risk.margin.calculator import answer, isolated
from risk.margin.catalogue import MODELS
from risk.margin.exact import Fact, as_float, exactly, up
from risk.margin.model import Calculator
from risk.margin.policy import BUFFER_FLOOR
from services.margin import as_json, published_profiles, published_text, ready
from services.margin_forms import MarginForm

NAMES = published_profiles()
LINEAR_ONLY = frozenset({"vega_levels"})
"""profiles of models that margin no options"""
SCALED_HAIRCUTS = frozenset({"derive_pmrm1"})
"""profiles that, as published, have haircuts within the worst loss, and so multiply them for initial margin"""
COINS = {"deribit_pm_btc": "BTC", "deribit_pm_eth": "ETH", "deribit_pm_older": "BTC", "deribit_pm_older_wide": "BTC"}
"""what an inverse profile settles in"""
DAMPENED = frozenset({"deribit"})
"""models that take a fixed sum off the loss of each calculation: parts get it each, the whole once"""
QUANTILES = frozenset({"historical_var99", "filtered_historical", "monte_carlo_var"})
"""a quantile of the whole may be past the sum of its parts' quantiles: value at risk is not subadditive"""
STATED_FACTORS = frozenset({"derive_pmrm", "okx"})
"""models that, as published, ask more than its value of a long option: a skew move counts whichever way it goes, an
initial margin of 1.3 times the maintenance margin"""
HOMOGENEOUS = frozenset(
    ("grid", "derive_pmrm", "derive_srm", "span", "isolated", "fixed_notional", "delta_netting", "static_var",
     "historical", "monte_carlo")
)  # fmt: skip
"""models without tiers, thresholds or sums of their own: three times the book needs three times the margin"""
FEW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
every_profile = pytest.mark.parametrize("name", NAMES)


@cache
def profile(name: str) -> Calculator:
    return ready(name)


@cache
def market_of(name: str) -> Market:
    """A dollar market of two underlyings; of a profile that answers in a coin, that coin's."""
    coin = COINS.get(name)
    return margins.market() if coin is None else margins.market(coin, {coin: margins.SPOTS[coin]})


def some(data: st.DataObject, name: str, most: int = 4) -> Portfolio:
    """A portfolio that the profile's model margins."""
    market = market_of(name)
    kinds = (Kind.PERP, Kind.FUTURE) if name in LINEAR_ONLY else tuple(Kind)
    return data.draw(margins.portfolios(most, tuple(market.underlyings), kinds, tuple(market.assets)))


def assessed(name: str, portfolio: Portfolio, fact: Fact) -> Assessment:
    return profile(name).assess(portfolio, market_of(name), fact)


def test_there_are_profiles_and_every_model_has_one() -> None:
    assert {profile(name).header.model for name in NAMES} == set(MODELS)
    headers = [profile(name).header for name in NAMES]
    assert len({header.name for header in headers}) == len(NAMES)


@every_profile
def test_a_profile_states_its_facts(name: str) -> None:
    header = profile(name).header
    assert header.source and header.description
    assert 0.5 <= header.confidence < 1.0
    assert header.period.days >= 0.0
    assert "current" not in header.name.lower()
    assert published_text(name).isascii()


@every_profile
@FEW
@given(data=st.data())
def test_exact_and_float_agree_to_the_quantum(name: str, data: st.DataObject) -> None:
    portfolio = some(data, name)
    exact, floating = assessed(name, portfolio, exactly), assessed(name, portfolio, as_float)
    for field in ("initial", "maintenance", "equity", "mark_to_market"):
        assert abs(float(getattr(exact, field)) - float(getattr(floating, field))) <= 1e-6, field
    assert isinstance(exact.initial, Fraction | int)
    assert isinstance(exact.maintenance, Fraction | int)


@every_profile
@FEW
@given(data=st.data())
def test_initial_covers_maintenance_and_buffer_and_netting_saves(name: str, data: st.DataObject) -> None:
    portfolio, market = some(data, name), market_of(name)
    told = answer(profile(name), portfolio, market)
    assert told.initial.requirement >= told.maintenance.requirement + told.buffer
    assert told.initial.excess == told.equity - told.initial.requirement
    # beyond what is charged by name a portfolio needs no more than its parts
    if told.header.model not in DAMPENED and name not in QUANTILES:
        charged = sum((max(one.initial, 0) for one in told.add_ons), Fraction(0))
        assert told.capital_saved + charged >= -Fraction(len(portfolio.positions) + 2, told.quantum)
    form = as_json(told)
    MarginForm.model_validate(form)
    json.dumps(form, allow_nan=False)


@every_profile
def test_an_empty_book_needs_nothing(name: str) -> None:
    told = answer(profile(name), Portfolio("A-1"), market_of(name))
    assert (told.initial.requirement, told.maintenance.requirement, told.equity) == (0, 0, 0)
    jsonschema.validate(as_json(told), MarginForm.model_json_schema())


@every_profile
def test_every_figure_of_an_answer_adds_up(name: str) -> None:
    market = market_of(name)
    symbol = next(iter(market.underlyings))
    expiry = market.time + margins.DAYS[0] * margins.DAY
    strike = margins.STEPS[symbol] * round(market.underlyings[symbol].spot / margins.STEPS[symbol])
    positions = [
        Position(Instrument(Kind.PERP, symbol), Fraction(2), unrealised=Fraction(5)),
        Position(Instrument(Kind.FUTURE, symbol, expiry), Fraction(-1), unrealised=Fraction(-3)),
    ]
    if name not in LINEAR_ONLY:
        positions.append(Position(Instrument(Kind.OPTION, symbol, expiry, strike, True), Fraction(-1)))
    portfolio = Portfolio("A-1", Fraction(1_000), (), tuple(positions))
    told = answer(profile(name), portfolio, market)
    assert [one.position for one in told.legs] == list(range(len(positions)))
    assert abs(told.equity - told.mark_to_market - 1_000) <= Fraction(3, told.quantum)
    alone = up(isolated(profile(name), portfolio, market), told.quantum)
    assert told.isolated_requirement == alone == told.capital_saved + told.initial.requirement
    assert told.components.delta_risk > 0.0
    # from the answer alone: requirement = what the scenarios take + add-ons, to the roundings
    for side in ("initial", "maintenance"):
        asked, named = getattr(told, side), sum((getattr(one, side) for one in told.add_ons), Fraction(0))
        assert abs(asked.requirement - asked.scan - named) <= Fraction(len(told.add_ons) + 2, told.quantum)
    assert name in LINEAR_ONLY or told.components.vega_risk >= 0.0
    for one in told.scenarios:
        if one.groups:
            assert abs(one.pnl - sum(group.pnl for group in one.groups)) <= Fraction(len(one.groups) + 1, told.quantum)


@every_profile
@FEW
@given(data=st.data())
def test_legs_and_groups_add_up_to_the_scenario(name: str, data: st.DataObject) -> None:
    portfolio = replace(some(data, name), collateral=())
    told = assessed(name, portfolio, exactly)
    for one in told.scenarios:
        if one.groups:
            assert sum(group.pnl for group in one.groups) == one.pnl
    worst = next((one for one in told.scenarios if one.id == told.worst_initial), None)
    if worst is not None:
        assert sum(one.pnl_in_worst for one in told.legs) == worst.pnl


@every_profile
@FEW
@given(data=st.data(), amount=st.integers(1, 10**6))
def test_collateral_takes_nothing_from_an_account(name: str, data: st.DataObject, amount: int) -> None:
    """Not even what no profile accepts, or what its haircut leaves nothing of."""
    refused = "WORTHLESS"
    market = market_of(name)
    market = replace(
        market,
        assets={**market.assets, refused: AssetQuote(1.0, haircut_maintenance=1.0, haircut_initial_extra=1.0)},
    )
    portfolio = some(data, name)
    more = replace(portfolio, collateral=(*portfolio.collateral, Holding(refused, Fraction(amount))))
    without, held = (profile(name).assess(one, market, exactly) for one in (portfolio, more))
    if name not in SCALED_HAIRCUTS:
        assert held.equity - held.initial >= without.equity - without.initial
    assert held.equity - held.maintenance >= without.equity - without.maintenance


@every_profile
@FEW
@given(data=st.data())
def test_more_cash_is_more_excess(name: str, data: st.DataObject) -> None:
    portfolio = some(data, name)
    richer = replace(portfolio, cash=max(portfolio.cash, Fraction(0)) + 1_000)
    poorer = replace(portfolio, cash=max(portfolio.cash, Fraction(0)))
    for side in ("initial", "maintenance"):
        more, less = assessed(name, richer, exactly), assessed(name, poorer, exactly)
        assert more.equity - getattr(more, side) >= less.equity - getattr(less, side)


@every_profile
@FEW
@given(data=st.data())
def test_requirements_are_homogeneous_where_the_model_is(name: str, data: st.DataObject) -> None:
    if profile(name).header.model not in HOMOGENEOUS:
        return
    portfolio = some(data, name)
    threefold = replace(
        portfolio,
        cash=3 * portfolio.cash,
        collateral=tuple(replace(one, amount=3 * one.amount) for one in portfolio.collateral),
        positions=tuple(
            replace(one, quantity=3 * one.quantity, unrealised=3 * one.unrealised, funding=3 * one.funding)
            for one in portfolio.positions
        ),
    )
    once, thrice = assessed(name, portfolio, exactly), assessed(name, threefold, exactly)
    assert abs(3 * once.initial - thrice.initial) <= Fraction(1, 10**5)
    assert abs(3 * once.maintenance - thrice.maintenance) <= Fraction(1, 10**5)


@every_profile
@FEW
@given(data=st.data())
def test_a_long_option_costs_no_more_than_its_value_and_its_named_charges(name: str, data: st.DataObject) -> None:
    if name in LINEAR_ONLY or profile(name).header.model in STATED_FACTORS:
        return
    instrument = data.draw(margins.instruments(tuple(market_of(name).underlyings), (Kind.OPTION,)))
    told = assessed(name, Portfolio("A-1", positions=(Position(instrument, Fraction(10)),)), exactly)
    assert BUFFER_FLOOR not in {one.name for one in told.add_ons}
    charges = sum((max(one.initial, 0) for one in told.add_ons), Fraction(0))
    assert told.initial <= told.mark_to_market + charges + Fraction(1, 10**6)


def test_the_named_parts_have_the_weight_of_their_scenario() -> None:
    """Of far moves Paradex counts a part: the delta of a call sold far out of the money is counted so too."""
    market = market_of("paradex_pm")
    expiry = market.time + margins.DAYS[0] * margins.DAY
    call = Instrument(Kind.OPTION, "BTC", expiry, 150_000.0, True)
    told = answer(profile("paradex_pm"), Portfolio("A-1", positions=(Position(call, Fraction(-10)),)), market)
    assert told.worst_initial == "+500%,up"
    assert abs(told.components.delta_risk * market.settlement_price + told.components.expansion.delta * 0.032) < 1e-6
