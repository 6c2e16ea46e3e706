"""Marks, deltas and risk arrays: worked by hand, against QuantLib, and what holds for every instrument."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.arrays import LossTooLargeError, MoveOutOfRangeError, NoRangesError, Ranges, delta_rows, risk_arrays
from risk.pricing import (
    PERP,
    Asset,
    Curve,
    InverseOptionError,
    LotTooLargeError,
    LotTooSmallError,
    MarkOutOfRangeError,
    NoAssetError,
    NoCurveError,
    NotPositiveError,
    assets_of,
    price,
)
from risk.scenarios import Scenario, grid, linear, span16
from risk.valuation import contract_value
from risk.volatility import YEAR, NoForwardError, NoPointsError, Point
from schemas.events import AssetListed, InstrumentListed, UnderlyingListed
from schemas.kinds import Kind, Payoff, Right, Settling, Style

NOW = 1_700_000_000_000_000
DAY = YEAR // 365
EXPIRY = NOW + 30 * DAY
BTC, ETH = 0, 1
USD, USDC, COIN, ETHER = 0, 1, 2, 3
ASSETS = {USD: Asset(1.0, 6), USDC: Asset(0.98, 6), COIN: Asset(50_000.0, 8, BTC), ETHER: Asset(2_000.0, 8, ETH)}
CURVES = {
    BTC: Curve({PERP: 50_000.0, EXPIRY: 50_500.004}, (Point(EXPIRY, 40_000.0, 0.7), Point(EXPIRY, 60_000.0, 0.7))),
    ETH: Curve({PERP: 2_000.0, EXPIRY: 2_010.0}, (Point(EXPIRY, 2_000.0, 0.8),)),
}
RANGES = {BTC: Ranges(0.15, 0.25), ETH: Ranges(0.2, 0.3)}

FUTURE = InstrumentListed(
    kind=Kind.FUTURE,
    payoff=Payoff.LINEAR,
    style=Style.FUTURES,
    settling=Settling.COLLATERALISED,
    right=Right.NONE,
    underlying=BTC,
    settlement_asset=USD,
    base_asset=COIN,
    instrument=1,
    time=NOW,
    effective=NOW,
    expiry=EXPIRY,
    strike=0,
    price_scale=100,
    tick_value=10,  # micro-dollars: a lot of 0.001 coins, a tick of a cent
    contract_value=0,
    lot_size=100_000,
    symbol="BTC-30D",
)
PERPETUAL = replace(FUTURE, kind=Kind.PERP, expiry=0, symbol="BTC-PERP")
SPOT = replace(FUTURE, kind=Kind.SPOT, expiry=0, lot_size=10_000, tick_value=1, symbol="BTC-USD")
INVERSE = replace(  # ten dollars a contract: 10 x 10^8 smallest units x 100 ticks a dollar
    PERPETUAL, payoff=Payoff.INVERSE, settlement_asset=COIN, tick_value=0, contract_value=10**11, symbol="BTC-INV"
)
CALL = replace(FUTURE, kind=Kind.OPTION, right=Right.CALL, strike=5_200_000, symbol="BTC-52000-C")
PUT = replace(CALL, right=Right.PUT, symbol="BTC-52000-P")
UP, DOWN = linear([0.1]), linear([-0.1])


def quanta(dollars):
    return round(Fraction(dollars) * 1_024_000_000)


def priced(*instruments, curves=CURVES, assets=ASSETS, time=NOW):
    return price([replace(one, instrument=i) for i, one in enumerate(instruments)], curves, assets, time)


def losses(instrument, scenarios, *, ranges=RANGES, step=0, **market):
    return risk_arrays(priced(instrument, **market), scenarios, ranges, step)[0].tolist()


# --- worked by hand --------------------------------------------------------------------------------------------------


def test_a_future_s_loss_is_measured_from_its_rounded_mark():
    # 50,500.004 is marked 50,500.00; a tenth less is 45,450.0036; a lot is 0.001 coins
    assert priced(FUTURE).mark.tolist() == [5_050_000]
    assert losses(FUTURE, DOWN) == [quanta("5.0499964")]
    assert losses(FUTURE, UP) == [-quanta("5.0500044")]
    assert losses(FUTURE, linear([0.0])) == [-quanta("0.000004")]
    assert priced(FUTURE).delta.tolist() == [quanta("50.500004")]


@pytest.mark.parametrize(("dollars", "ticks"), [(100.125, 10_012), (100.375, 10_038), (100.3751, 10_038)])
def test_marks_are_rounded_half_to_even(dollars, ticks):
    one = replace(PERPETUAL, tick_value=1_000)
    assert priced(one, curves={BTC: Curve({PERP: dollars})}).mark.tolist() == [ticks]


def test_a_perp_and_a_spot_follow_their_own_prices():
    assert losses(PERPETUAL, DOWN) == [quanta(5)]
    assert losses(SPOT, DOWN) == [quanta("0.5")]  # a lot of 10^4 of 10^8 units
    assert priced(SPOT).delta.tolist() == [quanta(5)]


def test_a_spot_s_loss_is_measured_from_its_asset_s_recorded_price():
    # marked 50,000.00 as an instrument, recorded as 50,000.003400 as an asset, worth 45,000.00306036 after
    odd = ASSETS | {COIN: Asset(50_000.0034004, 8, BTC)}
    assert priced(SPOT, assets=odd).mark.tolist() == [5_000_000]
    assert losses(SPOT, DOWN, assets=odd) == [quanta("0.500000033964")]


def test_an_inverse_long_is_worth_coins_at_the_coin_s_moved_price():
    # 10 dollars are 20,000 units at 50,000 and 25,000 at 40,000: 5,000 units lost, worth 40,000 a coin: 2 dollars;
    # at the unmoved price they would be 2.5. At 60,000 they are 16,666 2/3: 3,333 1/3 units gained, worth 2 dollars.
    assert losses(INVERSE, linear([-0.2, 0.2, 1.0])) == [quanta(2), -quanta(2), -quanta(10)]
    assert priced(INVERSE).delta.tolist() == [quanta(10)]
    apart = ASSETS | {COIN: Asset(50_000.0, 8)}
    assert losses(INVERSE, linear([-0.2]), assets=apart) == [quanta("2.5")]


def test_a_quanto_is_valued_at_an_unmoved_price_unless_its_asset_is_the_underlying():
    quanto = replace(PERPETUAL, payoff=Payoff.QUANTO, underlying=ETH, settlement_asset=COIN, symbol="ETH-QUANTO")
    # 200 dollars are 20,000 ticks of 10 units: 0.002 coins, 100 dollars
    assert losses(quanto, DOWN) == [quanta(100)]
    assert losses(quanto, UP) == [-quanta(100)]
    own = replace(quanto, settlement_asset=ETHER)
    # 0.002 ethers: 3.6 dollars at 1,800 and 4.4 at 2,200
    assert losses(own, DOWN) == [quanta("3.6")]
    assert losses(own, UP) == [-quanta("4.4")]


def test_a_settlement_asset_off_its_peg_scales_the_loss():
    assert losses(replace(PERPETUAL, settlement_asset=USDC), DOWN) == [quanta("4.9")]


def test_the_extreme_scenarios_count_in_part():
    lots = losses(PERPETUAL, span16(2, 0.35))
    thirds = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3]
    assert lots == [-quanta(Fraction(third, 3) * Fraction("7.5")) for third in thirds] + [
        -quanta(Fraction("0.35") * 15),
        quanta(Fraction("0.35") * 15),
    ]


def test_scan_ranges_belong_to_the_underlying():
    ether = replace(PERPETUAL, underlying=ETH, symbol="ETH-PERP", tick_value=1_000)
    whole = risk_arrays(priced(PERPETUAL, ether), linear([-1], scans=True), RANGES)
    assert whole.tolist() == [[quanta("7.5")], [quanta(40)]]


def test_delta_rows_follow_the_slope_alone():
    one = priced(PERPETUAL, CALL, INVERSE)
    rows = delta_rows(one, span16(2, 0.35), RANGES)
    assert rows[0].tolist() == risk_arrays(one, span16(2, 0.35), RANGES)[0].tolist()
    assert rows[:, 10].tolist() == [round(-delta * 0.15) for delta in one.delta.tolist()]
    assert rows[:, 15].tolist() == [round(delta * 0.3 * 0.35) for delta in one.delta.tolist()]
    assert rows[:, 0].tolist() == [0, 0, 0]


# --- options ---------------------------------------------------------------------------------------------------------


def quantlib(right, strike, forward, volatility, years):
    kind = QuantLib.Option.Call if right == Right.CALL else QuantLib.Option.Put
    return QuantLib.blackFormula(kind, strike, forward, volatility * np.sqrt(years))


@pytest.mark.parametrize("option", [CALL, PUT])
@pytest.mark.parametrize("step", [0, DAY, 60 * DAY])
def test_an_option_is_revalued_on_the_moved_forward_volatility_and_time(option, step):
    scenarios = [*span16(3, 0.3), *grid([-0.4, 0.05], [2, -5])]
    one = priced(option)
    answer = risk_arrays(one, scenarios, RANGES, step)[0]
    years = max(30 * DAY - step, 0) / YEAR
    for scenario, loss in zip(scenarios, answer, strict=True):
        forward = 50_500.004 * (1 + 0.15 * scenario.scans + scenario.move)
        volatility = 0.7 * max(1 + 0.25 * scenario.volatility, 0)
        value = quantlib(option.right, 52_000, forward, volatility, years)
        expected = (int(one.mark[0]) / 100 - value) * 0.001 * scenario.weight
        assert loss == pytest.approx(expected * 1.024e9, abs=2), scenario.id


def test_an_option_s_mark_is_within_a_tick_of_the_model_and_its_delta_is_black_s():
    one = priced(CALL, PUT)
    for right, mark, delta in zip((Right.CALL, Right.PUT), one.mark, one.delta, strict=True):
        assert abs(mark - 100 * quantlib(right, 52_000, 50_500.004, 0.7, 30 / 365)) <= 1
        up, down = (quantlib(right, 52_000, 50_500.004 * (1 + h), 0.7, 30 / 365) for h in (1e-5, -1e-5))
        assert delta == pytest.approx((up - down) / 2e-5 * 0.001 * 1.024e9, rel=1e-6)


def test_a_worthless_option_is_marked_one_tick_and_loses_it_everywhere():
    far = replace(CALL, strike=50_000_000)
    assert priced(far).mark.tolist() == [1]
    assert losses(far, linear([0.0, -0.1])) == [quanta("0.00001")] * 2


def test_an_expired_option_is_its_intrinsic_value():
    late = {BTC: Curve({EXPIRY: 50_500.0}, (Point(EXPIRY + DAY, 40_000.0, 0.7),))}
    late[BTC].forwards[EXPIRY + DAY] = 50_500.0
    one = priced(CALL, PUT, curves=late, time=EXPIRY)
    assert one.mark.tolist() == [1, 150_001]
    answer = risk_arrays(one, linear([0.1]), RANGES, DAY)
    assert answer.tolist() == [[-quanta("3.55") + quanta("0.00001")], [quanta("1.50001")]]


def test_the_volatility_range_grows_towards_expiry_by_its_power():
    near, far = NOW + 10 * DAY, NOW + 90 * DAY
    curve = Curve({near: 50_000.0, far: 50_000.0}, (Point(near, 50_000.0, 0.6), Point(far, 50_000.0, 0.6)))
    ranges = {BTC: Ranges(0.1, 0.5, short_power=0.3, long_power=0.13)}
    for expiry, factor in ((near, 3**0.3), (far, 3**-0.13)):
        one = replace(CALL, expiry=expiry, strike=5_000_000)
        value = quantlib(Right.CALL, 50_000, 50_000, 0.6 * (1 + 0.5 * factor), (expiry - NOW) / YEAR)
        mark = int(priced(one, curves={BTC: curve}).mark[0])
        loss = losses(one, [Scenario("up", volatility=1)], curves={BTC: curve}, ranges=ranges)[0]
        assert loss == pytest.approx((mark / 100 - value) * 0.001 * 1.024e9, abs=2)


def test_a_premium_held_in_the_coin_loses_the_coin_s_move_too():
    held = replace(CALL, style=Style.PREMIUM, settlement_asset=COIN, tick_value=10)
    margined = replace(held, style=Style.FUTURES)
    mark = int(priced(held).mark[0])
    after = 100 * quantlib(Right.CALL, 52_000, 50_500.004 * 0.9, 0.7, 30 / 365)
    coins = 10 * 1e-8
    assert losses(held, DOWN)[0] == pytest.approx((mark * 50_000 - after * 45_000) * coins * 1.024e9, abs=4)
    assert losses(margined, DOWN)[0] == pytest.approx((mark - after) * 45_000 * coins * 1.024e9, abs=4)
    per_dollar = 100 * coins * 50_000 * 1.024e9
    lean, cost = (int(priced(one).delta[0]) for one in (margined, held))
    value = quantlib(Right.CALL, 52_000, 50_500.004, 0.7, 30 / 365)
    assert cost - lean == pytest.approx(value * per_dollar, rel=1e-9)
    assert losses(replace(held, settlement_asset=USD), DOWN) == losses(replace(margined, settlement_asset=USD), DOWN)


# --- what always holds -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    forward=st.floats(100.0, 200_000.0),
    moneyness=st.floats(0.3, 3.0),
    volatility=st.floats(0.05, 3.0),
    days=st.floats(0.0, 700.0),
    scale=st.sampled_from([1, 10, 100, 10_000]),
    lots=st.integers(1, 10),
    style=st.sampled_from(list(Style)),
    step=st.sampled_from([0, DAY]),
)
def test_a_call_sold_for_a_put_is_a_future(forward, moneyness, volatility, days, scale, lots, style, step):
    expiry = NOW + 1 + int(days * DAY)
    curve = {BTC: Curve({expiry: forward}, (Point(expiry, forward, volatility),))}
    shape = {"expiry": expiry, "price_scale": scale, "tick_value": lots * 1_000_000 // scale}
    strike = max(1, round(forward * moneyness * scale))
    call, put = (replace(one, strike=strike, style=style, **shape) for one in (CALL, PUT))
    three = priced(call, put, replace(FUTURE, **shape), curves=curve)
    assert three.mark[0] - three.mark[1] == three.mark[2] - strike
    assert np.all(three.mark >= 1)
    rows = risk_arrays(three, [*span16(2, 0.35), *grid([-0.5, 1.0], [1, -1])], RANGES, step)
    assert np.max(np.abs(rows[0] - rows[1] - rows[2])) <= 2
    assert abs(int(three.delta[0] - three.delta[1] - three.delta[2])) <= 2


@settings(deadline=None)
@given(
    payoff=st.sampled_from([Payoff.LINEAR, Payoff.INVERSE]),
    ticks=st.integers(100_000, 20_000_000),
    moves=st.lists(st.floats(-0.9, 5.0), min_size=1, max_size=20, unique_by=lambda move: f"{move:+g}"),
)
def test_what_is_linear_loses_in_proportion_to_the_quantum(payoff, ticks, moves):
    one = PERPETUAL if payoff == Payoff.LINEAR else INVERSE
    market = {"curves": {BTC: Curve({PERP: ticks / 100})}, "assets": ASSETS | {COIN: Asset(ticks / 100, 8, BTC)}}
    whole = Fraction(ticks, 100) / 1_000 if payoff == Payoff.LINEAR else Fraction(10)
    for move, loss in zip(moves, losses(one, linear(moves), **market), strict=True):
        assert abs(loss + whole * Fraction(move) * 1_024_000_000) < 0.51


@settings(deadline=None)
@given(mark=st.integers(100_000, 20_000_000), after=st.integers(100_000, 20_000_000))
def test_mark_less_loss_is_what_the_ledger_s_integers_say(mark, after):
    move = after / mark - 1
    for one, slack in ((PERPETUAL, 0), (INVERSE, 2)):
        at = ASSETS | {COIN: Asset(mark / 100, 8, BTC)}
        loss = losses(one, linear([move]), curves={BTC: Curve({PERP: mark / 100})}, assets=at)[0]
        gained = contract_value(one.payoff, 1_000, after, one.tick_value, one.contract_value) - contract_value(
            one.payoff, 1_000, mark, one.tick_value, one.contract_value
        )
        unit = Fraction(1, 10**6) if slack == 0 else Fraction(after, 100 * 10**8)
        # the floors of the ledger's coin values are a unit each, over a thousand lots
        assert abs(1_000 * Fraction(loss) + gained * unit * 1_024_000_000) <= 1_000 + slack * unit * 1_024_000_000


def test_many_instruments_answer_as_each_alone():
    strikes = range(3_000_000, 8_000_000, 20_000)
    book = [replace(one, strike=strike) for strike in strikes for one in (CALL, PUT)]
    book[7:7] = [FUTURE, SPOT, INVERSE]
    scenarios = grid([i / 50 for i in range(-16, 17)], [1, 0, -1])
    together = risk_arrays(priced(*book), scenarios, RANGES, DAY)
    assert together.shape == (len(book), 99)
    for i in (0, 6, 7, 8, 9, 10, 11, 200, len(book) - 1):
        assert together[i].tolist() == losses(book[i], scenarios, step=DAY)


def test_nothing_listed_gives_nothing():
    assert risk_arrays(priced(), UP, RANGES).shape == (0, 1)
    assert delta_rows(priced(), UP, RANGES).shape == (0, 1)


def test_assets_move_with_the_underlying_of_their_symbol():
    listed = [
        AssetListed(asset=number, decimals=decimals, haircut=0, symbol=symbol, time=0)
        for number, decimals, symbol in ((0, 6, "USD"), (2, 8, "BTC"), (5, 8, "GOV"))
    ]
    underlyings = [UnderlyingListed(underlying=9, time=0, lowest=1, highest=2, symbol="BTC")]
    assert assets_of(listed, underlyings, {0: 1.0, 2: 50_000.0}) == {0: Asset(1.0, 6), 2: Asset(50_000.0, 8, 9)}


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "market", "error", "message"),
    [
        (replace(FUTURE, underlying=7), {}, NoCurveError, "BTC-30D: underlying 7"),
        (replace(FUTURE, settlement_asset=9), {}, NoAssetError, "BTC-30D: asset 9"),
        (replace(SPOT, base_asset=9), {}, NoAssetError, "BTC-USD: asset 9"),
        (replace(FUTURE, expiry=EXPIRY + 1), {}, NoForwardError, f"expiry {EXPIRY + 1}"),
        (CALL, {"curves": {BTC: Curve({EXPIRY: 50_000.0})}}, NoPointsError, "at least one"),
        (FUTURE, {"curves": {BTC: Curve({EXPIRY: 0.0})}}, NotPositiveError, "BTC-30D: the forward is 0.0"),
        (FUTURE, {"assets": {USD: Asset(float("nan"), 6)}}, NotPositiveError, "the price of asset 0 is nan"),
        (replace(CALL, payoff=Payoff.INVERSE), {}, InverseOptionError, "BTC-52000-C"),
        (FUTURE, {"curves": {BTC: Curve({EXPIRY: 0.004})}}, MarkOutOfRangeError, "BTC-30D: a mark of 0.0 ticks"),
        (FUTURE, {"curves": {BTC: Curve({EXPIRY: 2e10})}}, MarkOutOfRangeError, "BTC-30D: a mark of"),
        (FUTURE, {"curves": {BTC: Curve({EXPIRY: 488.0})}}, LotTooSmallError, "BTC-30D: a lot is worth 0.488 dollars"),
        (replace(FUTURE, tick_value=10**6), {}, LotTooLargeError, r"BTC-30D: a lot is worth 5.05e\+06"),
    ],
)
def test_what_cannot_be_priced_is_named(instrument, market, error, message):
    with pytest.raises(error, match=message):
        priced(instrument, **market)


def test_half_a_dollar_is_enough_for_a_lot():
    assert priced(FUTURE, curves={BTC: Curve({EXPIRY: 488.5})}).mark.tolist() == [48_850]


def test_scenarios_that_cannot_be_run_are_named():
    with pytest.raises(NoRangesError, match="underlying 0"):
        losses(FUTURE, UP, ranges={ETH: Ranges(0.1)})
    with pytest.raises(MoveOutOfRangeError, match=r"scenario span-16 moves underlying 0 by -1\.2: must stay above -1"):
        losses(FUTURE, span16(3, 0.3), ranges={BTC: Ranges(0.4)})
    with pytest.raises(LossTooLargeError, match=r"instrument 0 loses -4\.545e\+06 dollars a lot in price\+9"):
        losses(replace(FUTURE, tick_value=100_000), linear([0.1, 9.0]))
    far = replace(INVERSE, contract_value=10**16)
    with pytest.raises(LossTooLargeError, match=r"instrument 0 loses 9e\+06 dollars"):
        losses(far, linear([-0.9]), assets=ASSETS | {COIN: Asset(50_000.0, 8)})
    with pytest.raises(LossTooLargeError, match="instrument 0"):
        risk = priced(replace(FUTURE, tick_value=100_000))
        delta_rows(risk, linear([9.0]), RANGES)
