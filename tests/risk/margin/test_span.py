"""SPAN on a market: arrays and composite deltas against a slow reckoning, the profiles by hand, its properties."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import margins
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.margin.answer import Assessment
from risk.margin.book import Expiry, History, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.policy import calculator
from risk.margin.span import composite_weights
from schemas.strict import TomlError
from services.margin import published_text

NOW, DAY = margins.NOW, margins.DAY
NEAR, MIDDLE, FAR = NOW + 20 * DAY, NOW + 90 * DAY, NOW + 300 * DAY
SOON = NOW + 36 * 3_600_000_000
PERP, ETH = Instrument(Kind.PERP, "BTC"), Instrument(Kind.PERP, "ETH")
PROFILES = ("span", "span_nse")
CHARGED = ("calendar spreads", "delivery")


def future(expiry: int) -> Instrument:
    return Instrument(Kind.FUTURE, "BTC", expiry)


def option(strike: float, call: bool, expiry: int = NEAR) -> Instrument:
    return Instrument(Kind.OPTION, "BTC", expiry, strike, call)


def level(forward: float = 100_000.0, volatility: float = 0.5) -> Market:
    """BTC at 100,000 with four expiries at `forward`, ETH at 4,000; dollars."""
    smile = {50_000.0: volatility, 200_000.0: volatility}
    expiries = {time: Expiry(time, forward, smile=smile) for time in (SOON, NEAR, MIDDLE, FAR)}
    btc = Underlying(100_000.0, perp=100_000.0, expiries=expiries)
    return Market(NOW, "USDC", 1.0, {"BTC": btc, "ETH": Underlying(4_000.0)})


def asked(
    *held: tuple[Instrument, Any], market: Market | None = None, name: str = "span", over: Any = ""
) -> Assessment:
    portfolio = Portfolio("A", positions=tuple(Position(what, Fraction(n)) for what, n in held))
    return calculator(published_text(name), over).assess(portfolio, market or level(), exactly)


def charge(told: Assessment, name: str) -> Fraction:
    return Fraction(next(one.maintenance for one in told.add_ons if one.name == name))


# --- arrays ----------------------------------------------------------------------------------------------------------


def test_a_perp_s_array_is_thirds_of_the_scan_range() -> None:
    """15 % of 100,000, extremes 3 x 15,000 x .33 = 14,850."""
    told = asked((PERP, 1))
    thirds = [0, 0, 5, 5, -5, -5, 10, 10, -10, -10, 15, 15, -15, -15, 14.85, -14.85]
    assert [float(one.pnl) for one in told.scenarios] == pytest.approx([1_000 * third for third in thirds])
    assert (told.worst_maintenance, told.maintenance, told.initial) == ("span-13", 15_000, 18_000)


def test_time_decay_is_in_every_element() -> None:
    """A forward of 102,000 in 20 days runs to the spot of 100,000: after a day ln(1.02) / 20 of it is gone, 100.94 of a
    long future, scenarios 1 and 2; 13 loses 102,000 - 102,000 e^(-ln 1.02 / 20) x .85 = 15,385.80."""
    told = asked((future(NEAR), 1), market=level(102_000.0))
    gone = 102_000 * (1 - math.exp(-math.log(1.02) / 20))
    assert gone == pytest.approx(100.94, abs=0.01)
    assert [float(one.pnl) for one in told.scenarios[:2]] == pytest.approx([-gone, -gone])
    assert float(told.scenarios[12].pnl) == pytest.approx(-(gone + 0.15 * (102_000 - gone)))
    still = asked((future(NEAR), 1), market=level(102_000.0), over={"look_ahead": 0})
    assert still.scenarios[0].pnl == 0


def black(call: bool, forward: float, strike: float, volatility: float, years: float) -> tuple[float, float]:
    """Value and delta at rate zero, from the error function."""
    if years <= 0:
        return max(forward - strike if call else strike - forward, 0.0), float(forward > strike) - (not call)
    deviation = volatility * math.sqrt(years)
    first = math.log(forward / strike) / deviation + deviation / 2
    below = [0.5 * (1 + math.erf(one / math.sqrt(2))) for one in (first, first - deviation)]
    value = forward * below[0] - strike * below[1]
    return (value, below[0]) if call else (value - forward + strike, below[0] - 1)


@pytest.mark.parametrize("expiry", [SOON, NEAR, FAR])
@pytest.mark.parametrize(("strike", "call"), [(100_000.0, True), (80_000.0, False), (130_000.0, True)])
def test_an_option_s_array_and_composite_delta(strike: float, call: bool, expiry: int) -> None:
    """Volatility 50 +- 12.5 points, a day on; the forward stands at the spot, so it does not run."""
    told = asked((option(strike, call, expiry), 1))
    years = (expiry - NOW - DAY) / DAY / 365
    now = black(call, 100_000.0, strike, 0.5, years + 1 / 365)[0]
    thirds = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3]
    for number, third in enumerate(thirds):
        moved = black(call, 100_000.0 + 5_000 * third, strike, 0.375 if number % 2 else 0.625, years)[0]
        assert float(told.scenarios[number].pnl) == pytest.approx(moved - now, abs=1e-6)
    for number, forward in ((14, 145_000.0), (15, 55_000.0)):
        moved = black(call, forward, strike, 0.5, years)[0]
        assert float(told.scenarios[number].pnl) == pytest.approx(0.33 * (moved - now), abs=1e-6)
    density = [math.exp(-2 * (third / 3) ** 2) for third in range(-3, 4)]
    delta = sum(
        weight * black(call, 100_000.0 + 5_000 * third, strike, 0.5, years)[1]
        for third, weight in zip(range(-3, 4), density, strict=True)
    ) / sum(density)
    # read off what it uses up in a spread: flat 1 per dollar delta, of as much perp as hedges nearly none of it
    rows = [{"legs": [{"tier": "near", "side": "A"}, {"tier": "far", "side": "B"}], "rate": 1}]
    tiers = [{"name": "near", "to_days": 0}, {"name": "far", "to_days": 400}]
    told = asked((option(strike, call, expiry), 1), (PERP, -9 if call else 9), over={"tiers": tiers, "calendars": rows})
    assert float(charge(told, "calendar spreads")) == pytest.approx(abs(delta) * 100_000, abs=1e-6)


def test_the_composite_delta_s_weights() -> None:
    """exp(-(2 k / 3)^2 / 2) for k = 0 ... 3: 1, .8007, .4111, .1353, of 1 + 2 x 1.3472."""
    assert composite_weights(2.0)[:2] == pytest.approx([1 / 3.694370, 0.800737 / 3.694370], abs=1e-6)
    assert composite_weights(2.0).sum() == pytest.approx(1.0)


# --- the profiles by hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("short", "rate"),
    # the perp is near: near-near .5 %, near-middle 1 %, near-far 1 % and .1 % for each of 10 months (300 days: 9.86)
    [(NEAR, "0.005"), (MIDDLE, "0.01"), (FAR, "0.02")],
)
def test_calendar_spreads_by_tier(short: int, rate: str) -> None:
    told = asked((PERP, 2), (future(short), -1))
    assert charge(told, "calendar spreads") == 100_000 * Fraction(rate)
    assert told.maintenance == 15_000 + 100_000 * Fraction(rate)


def test_tiers_in_priority_order() -> None:
    """+3 perps (near), -1 near, -1 middle, -1 far: near-near 500, near-middle 1,000, near-far 2,000. None is left."""
    told = asked((PERP, 3), (future(NEAR), -1), (future(MIDDLE), -1), (future(FAR), -1))
    assert told.maintenance == charge(told, "calendar spreads") == 3_500
    assert told.initial == 4_200


def test_a_month_near_delivery() -> None:
    """Ends in 36 hours: 3 long, 1 of them spread against the perp (500): .2 % of 1 and .5 % of 2."""
    told = asked((future(SOON), 3), (PERP, -1))
    assert charge(told, "delivery") == 200 + 1_000
    assert told.maintenance == 30_000 + 500 + 1_200


@pytest.mark.parametrize(("days", "delivery"), [(19, 0), (20, 500), ("19.9", 0)])
def test_delivery_begins_so_many_days_ahead(days: Any, delivery: int) -> None:
    assert charge(asked((future(NEAR), 1), over={"delivery": {"days": days}}), "delivery") == delivery
    assert charge(asked((PERP, 1), over={"delivery": {"days": days}}), "delivery") == 0


def test_credit_between_underlyings() -> None:
    """+1 BTC, -20 ETH of 4,000: 80,000 dollar deltas face each other; 80,000 x (.15 + .20) x .5 = 14,000."""
    told = asked((PERP, 1), (ETH, -20))
    assert charge(told, "inter-commodity credit") == -14_000
    assert told.maintenance == 15_000 + 16_000 - 14_000
    assert told.worst_maintenance == "BTC span-13, ETH span-11"
    assert next(one.pnl for one in told.scenarios if one.id == told.worst_maintenance) == -31_000
    same = asked((PERP, 1), (ETH, 20))
    assert (charge(same, "inter-commodity credit"), same.maintenance) == (0, 31_000)


def test_a_flat_credit_is_in_dollars() -> None:
    """Contracts, 1 against 20: one spread of 1,000 dollars, in a settlement asset of .5 dollars."""
    legs = [{"underlying": "BTC", "side": "A"}, {"underlying": "ETH", "side": "B", "ratio": 20}]
    over = {"deltas": "contracts", "credits": [{"legs": legs, "rate": 1_000, "method": "FLAT"}]}
    told = asked((PERP, 1), (ETH, -20), market=replace(level(), settlement_price=0.5), over=over)
    assert told.maintenance == 62_000 - 2_000


def test_contracts_and_dollars_charge_alike_where_prices_are_one() -> None:
    held = ((PERP, 3), (future(NEAR), -1), (future(FAR), -1), (option(120_000.0, True, MIDDLE), -2))
    dollars, contracts = asked(*held), asked(*held, over={"deltas": "contracts"})
    assert float(dollars.maintenance) == pytest.approx(float(contracts.maintenance), rel=1e-9)


def test_short_options_have_a_minimum() -> None:
    """5 deep out-of-the-money calls: 1 % of the spot each, more than all of their scenarios."""
    told = asked((option(199_000.0, True, SOON), -5))
    assert told.maintenance == pytest.approx(5_000, abs=1e-6)
    assert charge(told, "short option minimum") > 4_000


def test_net_option_value_stands_where_equity_leaves_it_out() -> None:
    """The excess is the same either way."""
    held = ((option(110_000.0, True), -3), (option(90_000.0, False), 1), (PERP, 1))
    inside, outside = asked(*held), asked(*held, over={"options_in_equity": False})
    value = -3 * inside.legs[0].mark + inside.legs[1].mark
    assert charge(outside, "net option value") == -value > 0
    assert charge(inside, "net option value") == 0
    assert outside.equity == inside.equity - value
    assert outside.equity - outside.maintenance == inside.equity - inside.maintenance


def test_nse_scan_ranges_follow_the_volatility_and_have_a_floor() -> None:
    """A daily volatility of 2 % on every day: 6 x 2 % x sqrt 2 = 16.97 %, above 14.2 %; of 1 %: the least."""

    def told(daily: float) -> Assessment:
        moves = daily * np.array([[(-1.0) ** day] for day in range(60)])
        times = NOW - DAY * np.arange(60, 0, -1, dtype=np.int64)
        history = History(("BTC",), times, moves, np.zeros_like(moves))
        return asked((PERP, 1), market=replace(level(), history=history), name="span_nse")

    assert float(told(0.02).maintenance) == pytest.approx(100_000 * 0.12 * math.sqrt(2))
    assert told(0.01).maintenance == 14_200
    assert told(0.02).notes == ()
    without = asked((PERP, 1), name="span_nse")
    assert without.maintenance == 14_200
    assert without.notes == ("BTC: no history, the least scan range stands",)


def test_nse_calendar_charge_is_of_the_far_month() -> None:
    """2.2 % of the farther forward, 102,000, for one spread; the rest of the answer is scan risk."""
    told = asked((PERP, 1), (future(FAR), -1), market=level(102_000.0), name="span_nse")
    assert charge(told, "calendar spreads") == 2_244


# --- properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=40, deadline=None)
@given(portfolio=margins.portfolios(collateral=()), by=st.fractions(Fraction(1, 5), 5))
def test_homogeneous_in_sum_and_equal_in_float(name: str, portfolio: Portfolio, by: Fraction) -> None:
    told, market = calculator(published_text(name)), margins.market()
    exact, floating = told.assess(portfolio, market, exactly), told.assess(portfolio, market, as_float)
    scaled = replace(
        portfolio, positions=tuple(replace(one, quantity=one.quantity * by) for one in portfolio.positions)
    )
    for side in ("initial", "maintenance"):
        assert getattr(told.assess(scaled, market, exactly), side) == by * getattr(exact, side)
        assert abs(float(getattr(exact, side)) - getattr(floating, side)) <= 1e-6
    # what is named adds up to what is required
    lost = {one.id: -one.pnl for one in exact.scenarios}
    alone = len({one.instrument.underlying for one in portfolio.positions}) == 1
    if portfolio.positions and (alone or "," in exact.worst_maintenance):
        scanned = lost[exact.worst_maintenance]
        if scanned >= 0 and all(
            sum(part.pnl for part in one.groups if part.underlying == symbol) <= 0
            for one in exact.scenarios if one.id == exact.worst_maintenance for symbol in margins.SPOTS
        ):  # fmt: skip
            assert exact.maintenance == scanned + sum(one.maintenance for one in exact.add_ons)
            assert exact.initial == scanned + sum(one.initial for one in exact.add_ons)


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=60, deadline=None)
@given(one=margins.positions(kinds=(Kind.OPTION,)))
def test_a_long_option_never_costs_more_than_its_value(name: str, one: Position) -> None:
    told = calculator(published_text(name)).assess(
        Portfolio("A", positions=(replace(one, quantity=abs(one.quantity)),)), margins.market(), exactly
    )
    assert 0 <= told.maintenance <= told.initial <= told.equity


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=60, deadline=None)
@given(
    portfolio=margins.portfolios(symbols=("BTC",), kinds=(Kind.PERP, Kind.FUTURE), collateral=()),
    part=st.fractions(0, 1),
    expiry=st.sampled_from((None, *margins.DAYS)),
)
def test_a_hedge_raises_nothing_but_its_charges(
    name: str, portfolio: Portfolio, part: Fraction, expiry: int | None
) -> None:
    told, market = calculator(published_text(name)), margins.market()
    price = {None: market.underlyings["BTC"].perp} | {
        days: market.underlyings["BTC"].expiries[NOW + days * DAY].forward for days in margins.DAYS
    }
    net = sum(
        one.quantity * exactly(price[(one.instrument.expiry - NOW) // DAY if one.instrument.expiry else None])
        for one in portfolio.positions
    )
    instrument = PERP if expiry is None else future(NOW + expiry * DAY)
    hedge = Position(instrument, -part * net / exactly(price[expiry]))
    before = told.assess(portfolio, market, exactly)
    after = told.assess(replace(portfolio, positions=(*portfolio.positions, hedge)), market, exactly)
    charges = sum(max(charge(after, kind) - charge(before, kind), 0) for kind in CHARGED)
    # a day's carry differs from month to month: part of the basis, far below a thousandth of what is hedged
    basis = abs(part * net) / 1_000
    assert after.maintenance <= before.maintenance + charges + basis


@settings(max_examples=40, deadline=None)
@given(portfolio=margins.portfolios(collateral=()))
def test_more_of_the_extreme_never_lowers_the_scan(portfolio: Portfolio) -> None:
    """More of the extreme losses counts, all else as it is: the largest loss is no smaller."""
    market = margins.market()
    spreads: dict[str, Any] = {"calendars": [], "credits": [], "underlyings": {}}
    small, large = (
        calculator(published_text("span"), spreads | {"grid": {"extreme_multiple": 3, "extreme_weight": weight}})
        for weight in ("0.01", "0.9")
    )
    assert large.assess(portfolio, market, exactly).maintenance >= small.assess(portfolio, market, exactly).maintenance


def test_two_longs_get_no_credit() -> None:
    """A long BTC call and a short ETH put are both long."""
    market = margins.market()
    call = Instrument(Kind.OPTION, "BTC", NOW + 37 * DAY, 95_000.0, True)
    put = Instrument(Kind.OPTION, "ETH", NOW + 37 * DAY, 3_400.0, False)
    told = asked((call, 1), (put, -30), market=market)
    assert charge(told, "inter-commodity credit") == 0
    assert told.maintenance == sum(asked(one, market=market).maintenance for one in ((call, 1), (put, -30)))
    assert charge(asked((call, 1), (put, 30), market=market), "inter-commodity credit") < 0


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"grid": {"extreme_weight": 0}}, "grid.extreme_weight"),
        ({"grid": {"moves": 16}}, "grid.moves"),
        ({"weighting": "CAP"}, "weighting"),
        ({"deltas": "lots"}, "deltas"),
        ({"underlyings": {"BTC": {"price_scan": 0}}}, "underlyings.BTC.price_scan"),
        ({"underlyings": {"SOL": {"price_scan": "0.3"}}}, "underlyings.SOL.volatility_scan"),
        ({"tiers": [{"name": "a", "to_days": 9}, {"name": "b", "to_days": 9}]}, "tiers[1].to_days"),
        ({"tiers": [{"name": "near", "to_days": 9}, {"name": "near", "to_days": 19}]}, "tiers[1].name"),
        ({"tiers": [{"name": "a", "to_days": 9}]}, "calendars[0].legs[0].tier"),
        ({"calendars": [{"legs": [{"tier": "near", "side": "A"}], "rate": 0}]}, "calendars[0].legs"),
        ({"credits": [{"legs": [{"underlying": "BTC", "side": "C"}], "rate": 0}]}, "credits[0].legs[0].side"),
        ({"credits": [{"legs": 1, "rate": 0}]}, "credits[0].legs"),
        ({"credits": [5]}, "credits[0]"),
        ({"delivery": {"spread": 2}}, "delivery.spread"),
        ({"from_history": {"decay": "0.9", "deviations": 6, "day": 2}}, "from_history.day"),
        ({"spot_month": 1}, "spot_month"),
    ],
)
def test_a_bad_profile_is_named_with_its_place(over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        calculator(published_text("span"), over)
    assert caught.value.path == path
