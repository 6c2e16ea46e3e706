"""The expansion against hand-worked sums, against revaluation for small moves, and its named risks."""

from __future__ import annotations

import pytest

from risk import black76
from risk.black76 import OutOfDomainError
from risk.greeks import sensitivities
from risk.margin.book import Instrument, Kind
from risk.margin.expansion import StepPastExpiry, expansion
from risk.margin.valuing import Quoted

CALL = Quoted(Instrument(Kind.OPTION, "BTC", 1, 100_000.0, True), 95_000.0, 96_000.0, 0.1, 0.05, 0.6)
PUT = Quoted(Instrument(Kind.OPTION, "BTC", 1, 80_000.0, False), 95_000.0, 96_000.0, 0.1, 0.05, 0.7)
PERP = Quoted(Instrument(Kind.PERP, "BTC"), 95_000.0, 95_500.0, 0.0, 0.0, 0.0)
FUTURE = Quoted(Instrument(Kind.FUTURE, "BTC", 1), 95_000.0, 96_000.0, 0.1, 0.05, 0.0)


def test_each_term_is_its_greek_times_its_move():
    greek = sensitivities(True, 96_000.0, 100_000.0, 0.6, 0.1, 0.05)
    parts = expansion([CALL], [-2.0], -0.05, 0.1, 0.01)
    by = -0.05 * 96_000.0
    assert parts.delta == pytest.approx(-2 * greek.delta * by)
    assert parts.gamma == pytest.approx(-2 * greek.gamma * by * by / 2)
    assert parts.vega == pytest.approx(-2 * greek.vega * 0.1)
    assert parts.vanna == pytest.approx(-2 * greek.vanna * by * 0.1)
    assert parts.volga == pytest.approx(-2 * greek.volga * 0.1 * 0.1 / 2)
    assert parts.theta == pytest.approx(-2 * greek.theta * 0.01)
    assert parts.charm == pytest.approx(-2 * greek.charm * by * 0.01)
    now = black76.price(True, 96_000.0, 100_000.0, 0.6, 0.1, 0.05)
    after = black76.price(True, 91_200.0, 100_000.0, 0.7, 0.09, 0.05)
    assert parts.revaluation == pytest.approx(float(-2 * (after - now)))
    assert parts.expanded + parts.unexplained == pytest.approx(parts.revaluation)


def test_futures_and_perps_are_all_delta():
    parts = expansion([PERP, FUTURE], [1.5, -0.5], [-0.1, 0.2], 0.3, 0.0)
    assert parts.delta == parts.revaluation == pytest.approx(-1.5 * 9_550 - 0.5 * 19_200)
    assert parts.expanded == parts.delta and parts.unexplained == 0.0


def test_what_is_left_out_is_of_third_order():
    # with every move a tenth, what the terms miss is nearly a thousandth
    legs, held = [CALL, PUT, FUTURE], [-3.0, 5.0, 1.0]
    coarse = expansion(legs, held, 0.02, 0.02, 0.0).unexplained
    fine = expansion(legs, held, 0.002, 0.002, 0.0).unexplained
    assert abs(fine) < abs(coarse) / 500


def test_shocks_may_differ_by_leg_and_volatility_stops_at_zero():
    both = expansion([CALL, PUT], [1.0, 1.0], 0.0, [0.1, -0.9])
    apart = [expansion([CALL], [1.0], 0.0, 0.1), expansion([PUT], [1.0], 0.0, -0.9)]
    assert both.revaluation == pytest.approx(sum(one.revaluation for one in apart))
    assert apart[1].revaluation == pytest.approx(-float(black76.price(False, 96_000.0, 80_000.0, 0.7, 0.1, 0.05)))


def test_a_step_past_expiry_and_a_move_to_nothing_are_refused():
    with pytest.raises(StepPastExpiry, match=r"0\.1"):
        expansion([CALL], [1.0], 0.0, 0.0, 0.2)
    with pytest.raises(StepPastExpiry):
        expansion([CALL], [1.0], 0.0, 0.0, -0.001)
    with pytest.raises(OutOfDomainError, match="forward"):
        expansion([CALL], [1.0], -1.0)


def test_at_expiry_at_the_money_nothing_moves_and_nothing_is_infinite():
    ended = Quoted(Instrument(Kind.OPTION, "BTC", 1, 96_000.0, True), 96_000.0, 96_000.0, 0.0, 0.0, 0.5)
    assert expansion([ended], [1.0], 0.0).expanded == 0.0
