"""The simple models by hand: isolated as Deribit publishes it, a part of notional, net delta, static VaR."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import margins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.margin.answer import Assessment
from risk.margin.book import AssetQuote, Expiry, Holding, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.policy import calculator
from schemas.strict import TomlError
from services.margin import published_text

NOW, DAY = margins.NOW, margins.DAY
END = NOW + 73 * DAY
PERP, FUTURE = Instrument(Kind.PERP, "BTC"), Instrument(Kind.FUTURE, "BTC", END)
NAMES = ("isolated", "fixed_notional", "delta_netting", "gen1")
NETTING = ("fixed_notional", "delta_netting")


def level(coin: float = 100_000.0, volatility: float = 0.5) -> Market:
    """BTC with spot, perp and the future all at one price, in a dollar that is worth a dollar."""
    smile = {50_000.0: volatility, 200_000.0: volatility}
    btc = Underlying(coin, perp=coin, expiries={END: Expiry(END, coin, smile=smile)})
    return Market(NOW, "USDC", 1.0, {"BTC": btc}, {"ETH": AssetQuote(4_000.0), "BTC": AssetQuote(coin)})


def option(strike: float, call: bool) -> Instrument:
    return Instrument(Kind.OPTION, "BTC", END, strike, call)


def asked(name: str, *held: tuple[Instrument, Any], market: Market | None = None, **account: Any) -> Assessment:
    portfolio = Portfolio("A", positions=tuple(Position(what, Fraction(n)) for what, n in held), **account)
    return calculator(published_text(name)).assess(portfolio, market or level(), exactly)


# --- isolated --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strike", "call", "initial", "maintenance"),
    [
        # the published formula less the mark, which equity holds
        (100_000.0, True, 15_000, 7_500),  # max(.15 - 0, .1), .075
        (103_000.0, True, 12_000, 7_500),  # max(.15 - .03, .1)
        (120_000.0, True, 10_000, 7_500),  # max(.15 - .20, .1)
        (80_000.0, True, 15_000, 7_500),  # in the money: out of it by nothing
        (100_000.0, False, 15_000, 7_500),
        (98_000.0, False, 13_000, 7_500),  # max(.15 - .02, .1)
        (120_000.0, False, 15_000, 7_500),
    ],
)
def test_a_short_option_alone(strike: float, call: bool, initial: int, maintenance: int) -> None:
    told = asked("isolated", (option(strike, call), -1), market=level(volatility=0.2))
    assert (told.initial, told.maintenance) == (initial, maintenance)
    mark = told.legs[0].mark
    assert told.equity == -mark
    # as it is published, over what the account has without the option's value: formula + mark
    assert told.equity - told.initial == -(initial + mark)


def test_a_put_worth_more_than_its_underlying_has_the_larger_maintenance() -> None:
    """A put struck at 200,000 on 50,000 is worth about 150,000 = 3 U: .075 x 3 U = .225 U, more than .075 U and than
    .15 U, so that initial is maintenance too."""
    told = asked("isolated", (option(200_000.0, False), -1), market=level(50_000.0))
    mark = told.legs[0].mark
    assert mark > 149_000
    assert told.maintenance == mark * Fraction("0.075")
    # and then the profile's buffer of 10 %
    assert told.initial == told.maintenance * Fraction("1.1")


def test_isolated_positions_pay_for_nothing_else() -> None:
    whole = asked("isolated", (PERP, 1), (FUTURE, -1), (option(110_000.0, True), 2))
    # a fifth of both, and the options' value
    assert whole.initial == 20_000 + 20_000 + 2 * whole.legs[2].mark
    assert whole.maintenance == 15_000 + 15_000 + 2 * whole.legs[2].mark / Fraction("1.1")


# --- netted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "initial"),
    [
        ([(PERP, 3), (FUTURE, -1)], 20_000),  # 10 % of 2 x 100,000
        ([(PERP, -3)], 30_000),
        ([(PERP, 1), (FUTURE, -1)], 0),
        ([(option(150_000.0, True), -1)], 10_000),  # an option's notional is its underlying's
        ([(option(80_000.0, False), -2), (PERP, -1)], 10_000),  # short puts are long: 2 - 1
    ],
)
def test_a_tenth_of_net_notional(held: list[tuple[Instrument, int]], initial: int) -> None:
    told = asked("fixed_notional", *held)
    assert (told.initial, told.maintenance) == (initial, Fraction(initial, 2))


@pytest.mark.parametrize(
    ("held", "maintenance"),
    [
        ([(PERP, 3), (FUTURE, -1)], 30_000),  # 15 % of 200,000
        ([(PERP, -1)], 15_000),
        # at the money, 73 days (a fifth of a year), 50 %: half of .5 x sqrt(.2) = .111803, N(.111803) = .5445101
        ([(option(100_000.0, True), -2)], 2 * 15_000 * 0.54451010),
        ([(option(100_000.0, True), -2), (PERP, 1)], 15_000 * (2 * 0.54451010 - 1)),
        # a short straddle's deltas: .5445101 - .4554899
        ([(option(100_000.0, True), -1), (option(100_000.0, False), -1)], 15_000 * 0.0890202),
    ],
)
def test_net_delta_by_its_scan(held: list[tuple[Instrument, int]], maintenance: float) -> None:
    assert float(asked("delta_netting", *held).maintenance) == pytest.approx(maintenance, abs=1e-2)


def test_a_long_option_may_be_let_go() -> None:
    """A far call that hedges nothing costs its value, not 10 % of 100,000; beside a long perp, both."""
    far = option(190_000.0, True)
    alone = asked("fixed_notional", (far, 1))
    assert alone.initial == alone.legs[0].mark > 0
    with_perp = asked("fixed_notional", (PERP, 1), (far, 1))
    assert with_perp.initial == 10_000 + with_perp.legs[1].mark
    # against a short it hedges: nothing is left of the notional
    assert asked("fixed_notional", (PERP, -1), (far, 1)).initial == 0


def test_static_var_nets_nothing() -> None:
    assert asked("gen1", (PERP, 1), (FUTURE, -1)).initial == 2 * 25_000
    assert asked("gen1", (PERP, 1), (FUTURE, -1)).maintenance == 2 * 20_000


def test_eth_is_gen1_s_only_collateral() -> None:
    """100 ETH of 4,000, a fifth cut for maintenance, a quarter for initial margin; BTC and cash count nothing."""
    account = {"cash": Fraction(7_000), "collateral": (Holding("ETH", Fraction(100)), Holding("BTC", Fraction(1)))}
    told = asked("gen1", (PERP, 1), **account)
    assert told.equity == 7_000 + 400_000 + 100_000
    assert told.equity - told.initial == 400_000 * Fraction("0.75") - 25_000
    assert told.equity - told.maintenance == 400_000 * Fraction("0.8") - 20_000
    # a debt is owed whatever it is in
    assert asked("gen1", cash=Fraction(-7_000)).equity == -7_000
    assert asked("gen1", cash=Fraction(-7_000)).initial == 0


# --- of all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(portfolio=margins.portfolios(collateral=()), by=st.fractions(Fraction(1, 5), 5))
def test_homogeneous_and_equal_in_float(name: str, portfolio: Portfolio, by: Fraction) -> None:
    told, market = calculator(published_text(name)), margins.market()
    positions = tuple(Position(one.instrument, one.quantity) for one in portfolio.positions)
    book = Portfolio("A", positions=positions)
    scaled = replace(book, positions=tuple(replace(one, quantity=one.quantity * by) for one in positions))
    exact = told.assess(book, market, exactly)
    for side in ("initial", "maintenance"):
        assert getattr(told.assess(scaled, market, exactly), side) == by * getattr(exact, side)
        assert abs(float(getattr(exact, side)) - getattr(told.assess(book, market, as_float), side)) <= 1e-6


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(one=margins.positions(kinds=(Kind.OPTION,)), rest=margins.portfolios(collateral=()))
def test_a_long_option_never_costs_more_than_its_value(name: str, one: Position, rest: Portfolio) -> None:
    told, market = calculator(published_text(name)), margins.market()
    long = replace(one, quantity=abs(one.quantity))
    alone = told.assess(Portfolio("A", positions=(long,)), market, exactly)
    assert alone.maintenance <= alone.initial <= alone.equity
    kept = replace(rest, positions=tuple(each for each in rest.positions if each.quantity < 0))
    before, after = (
        told.assess(replace(kept, positions=positions), market, exactly)
        for positions in (kept.positions, (*kept.positions, long))
    )
    assert after.maintenance - before.maintenance <= alone.equity
    assert after.initial - before.initial <= alone.equity * (1 + exactly(told.header.buffer))


@pytest.mark.parametrize("name", NETTING)
@settings(max_examples=40, deadline=None)
@given(portfolio=margins.portfolios(symbols=("BTC",), kinds=(Kind.PERP, Kind.FUTURE)), part=st.fractions(0, 1))
def test_a_hedge_never_raises_a_netting_requirement(name: str, portfolio: Portfolio, part: Fraction) -> None:
    told, market = calculator(published_text(name)), margins.market()
    dollars = sum(
        one.quantity * exactly(market.underlyings["BTC"].perp if one.instrument.kind == Kind.PERP else
                               market.underlyings["BTC"].expiries[one.instrument.expiry].forward)
        for one in portfolio.positions
    )  # fmt: skip
    hedge = Position(PERP, -part * dollars / exactly(market.underlyings["BTC"].perp))
    before = told.assess(portfolio, market, exactly)
    after = told.assess(replace(portfolio, positions=(*portfolio.positions, hedge)), market, exactly)
    # the scan's rounding of a unit's value is all that may be left
    assert after.maintenance <= before.maintenance + Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("name", "over", "path"),
    [
        ("isolated", {"short_option": {"initial": "1.5"}}, "short_option.initial"),
        ("isolated", {"short_option": {"init": "0.1"}}, "short_option.init"),
        ("isolated", {"linear": {"BTC": {"initial": "0.1", "more": 1}}}, "linear.BTC.more"),
        ("fixed_notional", {"rates": {"ETH": {"initial": "0.1"}}}, "rates.ETH.maintenance"),
        ("delta_netting", {"rates": {"default": {"initial": "-0.1"}}}, "rates.default.initial"),
        ("gen1", {"scan": 1}, "scan"),
    ],
)
def test_a_bad_profile_is_named_with_its_place(name: str, over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        calculator(published_text(name), over)
    assert caught.value.path == path
