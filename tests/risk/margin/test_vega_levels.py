"""Vega's levels: the published factors, levels worked by hand in whole units, orders, funding, what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import margins
import pytest
from hypothesis import given, settings

from risk.margin.book import Instrument, Kind, Order, Portfolio, Position
from risk.margin.exact import as_float, exactly
from risk.margin.policy import calculator
from risk.margin.vega_levels import Levels, NotLinear, Scaling, levels, maintenance_of, risk_factors
from schemas.strict import TomlError
from services.margin import published_text

MARKET = margins.market()
PERP, FUTURE = Instrument(Kind.PERP, "BTC"), Instrument(Kind.FUTURE, "BTC", margins.NOW + 9 * margins.DAY)
SCALING = Scaling(Fraction("1.1"), Fraction("1.2"), Fraction("1.4"))
FACTORS = (Fraction("0.8"), Fraction("3.5"))
SLIPPAGE = Fraction("0.01")
LINEAR = (Kind.PERP, Kind.FUTURE)


def asked(portfolio: Portfolio, fact: Any = exactly, **over: Any) -> Any:
    return calculator(published_text("vega_levels"), over).assess(portfolio, MARKET, fact)


def test_the_published_risk_factors() -> None:
    """lambda 1e-6, tau .1, sigma 1."""
    told = risk_factors(1e-6, 0.1, 1.0)
    assert told.short == pytest.approx(3.55690359157934, abs=1e-9)
    assert round(told.long, 4) == 0.8007


def test_drift_helps_the_long_and_harms_the_short() -> None:
    """At e^(mu tau) = e^.05: (1 - long) and (1 + short) are e^.05 times those without drift."""
    still, rising = risk_factors(1e-6, 0.1, 1.0), risk_factors(1e-6, 0.1, 1.0, 0.5)
    assert (1 - rising.long) / (1 - still.long) == pytest.approx(1.0512710963760241)
    assert (1 + rising.short) / (1 + still.short) == pytest.approx(1.0512710963760241)


@pytest.mark.parametrize(
    ("position", "buys", "sells", "funding", "maintenance"),
    [
        (3, 0, 0, 0, 2_430),  # 3 x 1,000 x (.01 + .8)
        (-3, 0, 0, 0, 10_530),  # 3 x 1,000 x (.01 + 3.5)
        (3, 2, 0, 0, 4_030),  # and 2 x 1,000 x .8, without slippage
        (3, 0, 2, 0, 7_000),  # short side: 2 x 1,000 x 3.5, more than the long side's 2,430
        (3, 0, "0.5", 0, 2_430),  # short side 1,750, less
        (-3, 9, 0, 0, 10_530),  # long side 7,200, less
        (0, 1, 1, 0, 3_500),
        ("0.0001", 0, 0, 0, 1),  # .081 rounded up
        (3, 0, 0, 70, 2_500),  # funding to pay
        (3, 0, 0, -70, 2_430),  # funding to receive takes nothing off
    ],
)
def test_maintenance_by_hand(position: Any, buys: Any, sells: Any, funding: int, maintenance: int) -> None:
    told = maintenance_of(
        Fraction(position), Fraction(buys), Fraction(sells), Fraction(1_000), FACTORS, SLIPPAGE, Fraction(funding)
    )
    assert told == maintenance


@pytest.mark.parametrize(
    ("maintenance", "scaling", "expected"),
    [
        (1_000, SCALING, (1_000, 1_100, 1_200, 1_400)),
        (7, SCALING, (7, 7, 8, 9)),  # floors of 7.7, 8.4, 9.8
        # the factor itself is cut to five decimals first: 1.10000 x 10^6, not 1.100009 x 10^6
        (10**6, replace(SCALING, search=Fraction("1.100009")), (10**6, 1_100_000, 1_200_000, 1_400_000)),
    ],
)
def test_levels_are_rounded_down(maintenance: int, scaling: Scaling, expected: tuple[int, ...]) -> None:
    assert levels(maintenance, scaling) == Levels(*expected)


def test_the_model_by_hand() -> None:
    """Short 2 perps at 95,644.3673 / 1.0002 = 95,625.242252 USDC, rounded to 10^-6. Short factor 3.556903591579 and
    slippage .01: 2 x 95,625.242252 x 3.566903591579 = 682,172.039985 (to within the digits below); initial x 1.2."""
    told = asked(Portfolio("A", positions=(Position(PERP, Fraction(-2)),)))
    mark = round(95_663.5 * 0.9998 / 1.0002 * 10**6)
    maintenance = -(-2 * mark * (exactly(risk_factors(1e-6, 0.1, 1.0).short) + SLIPPAGE) // 1)
    assert told.maintenance == Fraction(maintenance, 10**6)
    assert float(told.maintenance) == pytest.approx(2 * 95_625.242252 * 3.56690359157934, rel=1e-9)
    assert told.initial == Fraction(maintenance * 12 // 10, 10**6)


def test_orders_are_in_the_initial_level_and_not_in_maintenance() -> None:
    held = Portfolio("A", positions=(Position(PERP, Fraction(1)),))
    with_orders = replace(
        held, orders=(Order(PERP, Fraction(2), Fraction(90_000)), Order(PERP, Fraction(-1), Fraction(99_000)))
    )
    before, after = asked(held), asked(with_orders)
    assert after.maintenance == before.maintenance
    mark = Fraction(round(95_663.5 * 0.9998 / 1.0002 * 10**6))
    long, short = (exactly(one) for one in risk_factors(1e-6, 0.1, 1.0))
    # the sell alone, 1 x 3.5569, is more than the long side: 1 x .8107 + 2 x .8007 = 2.4121
    assert mark * short > mark * (long + SLIPPAGE) + 2 * mark * long
    assert after.initial == Fraction(int(-(-mark * short // 1)) * 12 // 10, 10**6)


def test_an_order_alone_is_margined_in_its_own_market() -> None:
    alone = asked(Portfolio("A", orders=(Order(FUTURE, Fraction(1), Fraction(90_000)),)))
    assert (alone.maintenance, alone.initial > 0) == (0, True)
    # a short perp takes nothing off a long future: every market has its own account
    both = asked(Portfolio("A", positions=(Position(PERP, Fraction(-1)), Position(FUTURE, Fraction(1)))))
    parts = [
        asked(Portfolio("A", positions=(Position(*one),))) for one in ((PERP, Fraction(-1)), (FUTURE, Fraction(1)))
    ]
    assert both.initial == sum(one.initial for one in parts)


def test_what_a_perp_owes_in_funding_counts_in_part() -> None:
    """90 % of 1,000 owed; what is owed to the holder does not count, nor does a future's."""
    base = asked(Portfolio("A", positions=(Position(PERP, Fraction(1)),))).maintenance
    owing = asked(Portfolio("A", positions=(Position(PERP, Fraction(1), funding=Fraction(-1_000)),))).maintenance
    owed = asked(Portfolio("A", positions=(Position(PERP, Fraction(1), funding=Fraction(1_000)),))).maintenance
    assert owing - base == 900
    assert owed == base


def test_options_are_refused() -> None:
    option = Instrument(Kind.OPTION, "BTC", FUTURE.expiry, 95_000.0, True)
    with pytest.raises(NotLinear, match="BTC option"):
        asked(Portfolio("A", positions=(Position(option, Fraction(1)),)))
    with pytest.raises(NotLinear, match="BTC option"):
        asked(Portfolio("A", orders=(Order(option, Fraction(1), Fraction(1)),)))


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"scaling": {"search": "1.3"}}, "scaling"),
        ({"scaling": {"search": "1"}}, "scaling"),
        ({"scaling": {"most": "1"}}, "scaling.most"),
        ({"underlyings": {"default": {"breach": 0}}}, "underlyings.default.breach"),
        ({"underlyings": {"BTC": {"breach": "0.01"}}}, "underlyings.BTC.tau"),
        ({"decimals": "6"}, "decimals"),
        ({"levels": 1}, "levels"),
    ],
)
def test_a_bad_profile_is_named_with_its_place(over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        asked(Portfolio("A"), **over)
    assert caught.value.path == path


@settings(max_examples=50, deadline=None)
@given(margins.portfolios(kinds=LINEAR))
def test_levels_stand_in_order_and_float_agrees(portfolio: Portfolio) -> None:
    exact, floating = asked(portfolio), asked(portfolio, as_float)
    assert exact.initial >= exact.maintenance
    assert abs(float(exact.initial) - float(floating.initial)) <= 1e-6
    assert abs(float(exact.maintenance) - float(floating.maintenance)) <= 1e-6
