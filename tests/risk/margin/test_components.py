"""The named parts of an answer by hand: what prices, volatility and all of it together take in the worst scenario."""

from __future__ import annotations

from fractions import Fraction

import margins
import pytest

from risk.greeks import sensitivities
from risk.margin.book import Instrument, Kind, Portfolio, Position
from risk.margin.calculator import Answer, answer
from risk.margin.components import SHOCK
from risk.margin.valuing import quoted
from services.margin import ready

EXPIRY = margins.NOW + margins.DAYS[1] * margins.DAY
CALL = Instrument(Kind.OPTION, "BTC", EXPIRY, 100_000.0, True)
PERP = Instrument(Kind.PERP, "BTC")


def told(name: str, *held: tuple[Instrument, int]) -> Answer:
    book = Portfolio("A-1", positions=tuple(Position(one, Fraction(quantity)) for one, quantity in held))
    return answer(ready(name), book, margins.market())


def test_a_short_call_by_its_greeks_in_the_worst_scenario() -> None:
    market, got = margins.market(), told("crypto_span", (CALL, -1))
    leg = quoted(CALL, market)
    greeks = sensitivities(True, leg.forward, 100_000.0, leg.volatility, leg.years, leg.rate)
    # prices 40 % up and the future by half a percent and 5 % a year more, volatility up by a fifth of itself
    forward = leg.forward * 1.4 * (1 + 0.005 + 0.05 * leg.years)
    assert got.components.delta_risk == pytest.approx(
        float(greeks.delta) * (forward - leg.forward) / market.settlement_price, rel=1e-9
    )
    assert got.components.vega_risk == pytest.approx(
        float(greeks.vega) * 0.2 * leg.volatility / market.settlement_price, rel=1e-9
    )
    assert got.worst_initial == "price+40%"
    worst = next(one for one in got.scenarios if one.id == got.worst_initial)
    assert got.components.stress_loss == pytest.approx(-float(worst.pnl), rel=1e-9)
    parts = got.components.expansion
    assert parts.revaluation == pytest.approx(-got.components.stress_loss * market.settlement_price, rel=1e-6)


@pytest.mark.parametrize("name", ["crypto_span", "span"])
def test_the_expansion_has_the_step_of_time(name: str) -> None:
    leg = quoted(CALL, margins.market())
    greeks = sensitivities(True, leg.forward, 100_000.0, leg.volatility, leg.years, leg.rate)
    parts = told(name, (CALL, -1)).components.expansion
    assert parts.theta == pytest.approx(-float(greeks.theta) / 365, rel=1e-9)
    assert parts.charm != 0.0
    assert told("paradex_pm", (CALL, -1)).components.expansion.theta == 0.0


def test_a_model_without_scenarios_is_told_by_reference_moves() -> None:
    market, got = margins.market(), told("isolated", (CALL, -1))
    leg = quoted(CALL, market)
    greeks = sensitivities(True, leg.forward, 100_000.0, leg.volatility, leg.years, leg.rate)
    assert got.components.vega_risk == pytest.approx(
        float(greeks.vega) * SHOCK * leg.volatility / market.settlement_price, rel=1e-9
    )
    assert "reference moves" in got.components.note


def test_what_has_no_volatility_has_no_vega_risk_and_a_hedge_no_delta_risk() -> None:
    outright, hedged = told("crypto_span", (PERP, 1)), told("crypto_span", (PERP, 1), (PERP, -1))
    assert outright.components.vega_risk == 0.0
    assert outright.components.delta_risk == outright.components.stress_loss > 0.4 * margins.SPOTS["BTC"]
    assert hedged.components[:3] == (0.0, 0.0, 0.0)
