"""Old surfaces, curves and correlations widen a profile's answers, and past their limit stop new risk."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import margins
import pytest

from risk.margin.answer import Assessment
from risk.margin.book import Instrument, Kind, Market, Order, Portfolio, Position
from risk.margin.exact import as_float, exactly
from services.margin import ready
from services.margin_reading import BadInput

HOUR = 3_600.0
FIRST = margins.NOW + margins.DAYS[0] * margins.DAY
LATER = margins.NOW + margins.DAYS[1] * margins.DAY
CALL = Instrument(Kind.OPTION, "BTC", FIRST, 100_000.0, True)
FUTURE = Instrument(Kind.FUTURE, "BTC", FIRST)
PERP, ETH = Instrument(Kind.PERP, "BTC"), Instrument(Kind.PERP, "ETH")
AGES = {
    "surfaces": {"fresh": 1, "stopped": 5, "most": 1},
    "curves": {"fresh": 1, "stopped": 5, "most": 1},
    "correlations": {"fresh": 10, "stopped": 20, "most": 1},
}


def aged(surface: float = 0.0, curve: float = 0.0, correlations: float = 0.0, correlation: float = 0.8) -> Market:
    """The market with BTC's first expiry and the correlations so many hours old."""
    market = margins.market()
    btc = market.underlyings["BTC"]
    first = replace(btc.expiries[FIRST], surface_age=surface * HOUR, curve_age=curve * HOUR)
    underlyings = {**market.underlyings, "BTC": replace(btc, expiries={**btc.expiries, FIRST: first})}
    return replace(
        market,
        underlyings=underlyings,
        correlations={("BTC", "ETH"): correlation},
        correlations_age=correlations * HOUR,
    )


def ask(portfolio: Portfolio, market: Market, name: str = "crypto_span", **over: Any) -> Assessment:
    return ready(name, {"ages": AGES, **over}).assess(portfolio, market, exactly)


def book(*held: tuple[Instrument, float]) -> Portfolio:
    return Portfolio("A-1", positions=tuple(Position(one, Fraction(quantity)) for one, quantity in held))


@pytest.mark.parametrize(
    ("held", "age", "wider", "new_risk"),
    [
        ((CALL, -1), {"surface": 1}, False, True),
        ((CALL, -1), {"surface": 3}, True, True),
        ((CALL, -1), {"surface": 5}, True, False),
        ((CALL, -1), {"curve": 3}, True, True),
        ((FUTURE, 1), {"curve": 3}, True, True),
        ((FUTURE, 1), {"curve": 6}, True, False),
        # a future rests on no smile, a perp on no curve
        ((FUTURE, 1), {"surface": 6}, False, True),
        ((PERP, 1), {"surface": 6, "curve": 6, "correlations": 30}, False, True),
        ((replace(CALL, expiry=LATER), -1), {"surface": 6, "curve": 6}, False, True),
    ],
)
def test_what_is_old_widens_and_then_stops(
    held: tuple[Instrument, float], age: dict[str, float], wider: bool, new_risk: bool
) -> None:
    young, old = ask(book(held), aged()), ask(book(held), aged(**age))
    assert (old.initial > young.initial) == wider
    assert (old.initial == young.initial) == (not wider)
    assert old.new_risk == new_risk
    assert any("h old" in note for note in old.notes) == wider
    assert any("no new risk" in note for note in old.notes) == (not new_risk)


def test_the_widening_is_the_lost_confidence_s() -> None:
    """Half of the way from fresh to stopped is half of the confidence: moves grow by .95 - .5."""
    told = ask(book((FUTURE, 1)), aged(curve=3))
    assert "BTC: moves widened by 45.0% for doubtful or old prices" in told.notes
    assert "BTC 2026-01-30: curve 3.0 h old, 50.0% widened" in told.notes


def test_older_never_costs_less() -> None:
    held = book((CALL, -2), (FUTURE, 1), (ETH, -20))
    figures = [ask(held, aged(h, h, 4 * h)).initial for h in (0, 1, 2, 3, 4, 5, 9)]
    assert figures == sorted(figures)
    assert figures[-1] > figures[0]


@pytest.mark.parametrize("name", ["crypto_span", "monte_carlo_var"])
@pytest.mark.parametrize("correlation", [0.8, -0.5])
@pytest.mark.parametrize("other", [-28.0, 28.0])
def test_old_correlations_go_both_ways_and_the_dearer_counts(name: str, correlation: float, other: float) -> None:
    held = book((PERP, 1), (ETH, other))
    figures = [
        ask(held, aged(correlations=hours, correlation=correlation), name).initial for hours in (0, 10, 15, 20, 99)
    ]
    assert figures[0] == figures[1] <= figures[2] <= figures[3] == figures[4]
    assert not ask(held, aged(correlations=20, correlation=correlation), name).new_risk


def test_hedges_of_an_old_correlation_are_credited_as_of_none() -> None:
    held = book((PERP, 1), (ETH, -28))
    nothing = ask(held, aged(correlation=0.0))
    assert ask(held, aged(correlations=20)).initial == nothing.initial > ask(held, aged()).initial


def test_an_order_that_rests_on_an_old_surface_is_new_risk() -> None:
    asked = replace(book((PERP, 1)), orders=(Order(CALL, Fraction(-1), Fraction(1_000)),))
    assert not ask(asked, aged(surface=6)).new_risk
    assert ask(asked, aged(surface=4)).new_risk


def test_a_profile_without_limits_knows_no_age() -> None:
    held, calculator = book((CALL, -1)), ready("derive_pmrm2")
    told = calculator.assess(held, aged(99, 99, 999), as_float)
    assert told == calculator.assess(held, aged(), as_float)


@pytest.mark.parametrize(
    ("ages", "path"),
    [
        ({**AGES, "smiles": {}}, "ages.smiles"),
        ({**AGES, "surfaces": {"fresh": 5, "stopped": 5, "most": 1}}, "ages.surfaces"),
        ({**AGES, "curves": {"fresh": 1, "stopped": 5, "most": 2}}, "ages.curves.most"),
        ({**AGES, "correlations": 3}, "ages.correlations"),
    ],
)
def test_bad_limits_are_named_by_their_place(ages: Any, path: str) -> None:
    with pytest.raises(BadInput) as told:
        ready("crypto_span", {"ages": ages})
    assert told.value.path == f"$.overrides.{path}"
