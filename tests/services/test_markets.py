"""The oracles of the demonstration: the path through a bar, and what is told at each step."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.events import (
    FundingRate,
    OracleAssetPrice,
    OracleForward,
    OraclePrice,
    OracleVolatility,
    SettlementPrice,
)
from schemas.kinds import Kind, Payoff, Settling
from schemas.units import format_time, parse_time
from services.exchange import (
    Exchange,
    NotListableError,
    council,
    customary_expiries,
    exchange,
    grid,
    tick_value,
)
from services.markets import (
    PricesUnusableError,
    forward,
    openings,
    oracle_events,
    path,
    points,
    volatility,
)
from services.tables import Bar, FundingRow, read_funding, read_prices

DATA = Path(__file__).parents[2] / "services" / "data"
BARS = read_prices(DATA / "crash_2020_03.csv")
FUNDING = read_funding(DATA / "funding_2020_03.csv")
VENUE = exchange(openings(BARS), BARS[0].ts)
TRACK = path(BARS, VENUE)


def bar(ts: str, prices: str, symbol: str = "BTC") -> Bar:
    names = ("open", "high", "low", "close")
    return Bar.model_validate({"ts": ts, "symbol": symbol, **dict(zip(names, prices.split(), strict=True))})


def step_at(text: str) -> int:
    return [int(time) for time in TRACK.times].index(parse_time(text))


def test_a_falling_bar_goes_up_first_and_a_rising_one_down() -> None:
    assert points(bar("2020-01-01T00:00:00Z", "5 9 1 4")) == (5_000_000, 9_000_000, 1_000_000, 4_000_000)
    assert points(bar("2020-01-01T00:00:00Z", "5 9 1 6")) == (5_000_000, 1_000_000, 9_000_000, 6_000_000)


def test_four_steps_a_bar() -> None:
    assert len(TRACK) == 384
    assert format_time(int(TRACK.times[7])) == "2020-03-11T01:45:00.000000Z"
    at = step_at("2020-03-13T02:00:00Z")
    assert TRACK.prices[at : at + 4, 0].tolist() == [4_131_230_000, 3_782_130_000, 5_276_970_000, 4_848_710_000]


def test_bars_that_make_no_path() -> None:
    one = bar("2020-01-01T00:00:00Z", "5 9 1 4")
    two = bar("2020-01-01T01:00:00Z", "5 9 1 4", "ETH")
    small = exchange({"BTC": 5_000_000}, one.ts)
    with pytest.raises(PricesUnusableError, match="at least two bars"):
        path([one], small)
    with pytest.raises(PricesUnusableError, match="ETH is no underlying"):
        path([one, two], small)


def test_a_later_bar_changes_nothing_that_was_told_before() -> None:
    for hours in (1, 37, 60):
        early = path(BARS[: 2 * hours + 2], VENUE)
        for step in range(4 * hours):
            assert oracle_events(early, VENUE, FUNDING, step) == oracle_events(TRACK, VENUE, FUNDING, step)


def test_the_middle_source_comes_last_and_tells_the_bar() -> None:
    for step in (0, 137, 200):
        told = [one for one in oracle_events(TRACK, VENUE, FUNDING, step) if isinstance(one, OraclePrice)]
        for underlying in (0, 1):
            prices = sorted(one.price for one in told if one.underlying == underlying)
            assert len(set(prices)) == 3
            assert prices[1] == TRACK.prices[step, underlying]
            assert prices[2] - prices[0] <= prices[1] * 21 // 10_000
        assert told[2].price == TRACK.prices[step, 0]
        assert told[5].price == TRACK.prices[step, 1]
        assert all(one.bid < one.price < one.ask and one.round == step + 1 for one in told)


def test_every_expiry_has_a_forward_and_every_strike_a_volatility_until_it_expires() -> None:
    expired = parse_time("2020-03-13T08:00:00Z")
    for step in (0, step_at("2020-03-13T07:45:00Z"), step_at("2020-03-13T08:00:00Z")):
        events = oracle_events(TRACK, VENUE, FUNDING, step)
        alive = [one for one in VENUE.instruments if one.expiry == 0 or one.expiry > TRACK.times[step]]
        assert {(one.underlying, one.expiry) for one in events if isinstance(one, OracleForward)} == {
            (one.underlying, one.expiry) for one in alive
        }
        points_told = [(e.underlying, e.expiry, e.strike) for e in events if isinstance(e, OracleVolatility)]
        wanted = {(o.underlying, o.expiry, o.strike * 1_000_000 // o.price_scale) for o in alive if o.strike}
        assert len(points_told) == len(set(points_told))
        assert set(points_told) == wanted
        assert ((0, expired) in {(one.underlying, one.expiry) for one in alive}) == (TRACK.times[step] < expired)


def test_asset_prices_leave_the_dollar_out() -> None:
    told = {e.asset: e.price for e in oracle_events(TRACK, VENUE, FUNDING, 0) if isinstance(e, OracleAssetPrice)}
    assert told == {1: 1_000_000, 2: 7_894_570_000, 3: 200_740_000, 4: 10_000_000}


def test_the_proxy_rises_in_the_crash_and_has_a_skew() -> None:
    monthly = VENUE.expiries[1]
    at = 8_000_000_000
    calm, wild = volatility(TRACK, 30, 0, monthly, at), volatility(TRACK, 203, 0, monthly, at)
    assert 500_000 < calm < 1_000_000
    assert wild > 2 * calm
    assert volatility(TRACK, 30, 0, monthly, 6_000_000_000) > calm


def test_the_carry_falls_with_the_drawdown() -> None:
    june = VENUE.expiries[2]
    assert forward(TRACK, 0, 0, june) > TRACK.prices[0, 0]
    at = step_at("2020-03-13T02:15:00Z")
    assert forward(TRACK, at, 0, june) < TRACK.prices[at, 0]


def test_funding_is_told_for_every_perp_at_its_hour() -> None:
    told = [
        (s, e) for s in range(len(TRACK)) for e in oracle_events(TRACK, VENUE, FUNDING, s) if isinstance(e, FundingRate)
    ]
    assert {e.effective for _, e in told} == {row.ts for row in FUNDING} - {BARS[0].ts}
    assert all(TRACK.times[s] == e.effective == e.time for s, e in told)
    assert len(told) == 3 * 11
    at = parse_time("2020-03-13T08:00:00Z")
    perps = {one.symbol: one.instrument for one in VENUE.instruments if one.kind == Kind.PERP}
    assert {e.instrument: e.rate for _, e in told if e.effective == at} == {
        perps["BTC-PERP"]: -3_000_000,
        perps["BTC-PERP-INV"]: -3_000_000,
        perps["ETH-PERP"]: -2_817_780,
    }


def test_a_rate_between_two_steps_is_told_once() -> None:
    row = FundingRow.model_validate({"ts": "2020-03-11T08:07:00Z", "symbol": "BTC", "rate": "0.001"})
    told = [s for s in range(len(TRACK)) for e in oracle_events(TRACK, VENUE, [row], s) if isinstance(e, FundingRate)]
    assert told == [step_at("2020-03-11T08:15:00Z")] * 2


def test_settlement_prices() -> None:
    told = [
        (step, event)
        for step in range(len(TRACK))
        for event in oracle_events(TRACK, VENUE, FUNDING, step)
        if isinstance(event, SettlementPrice)
    ]
    daily = {one.instrument for one in VENUE.instruments if one.settling == Settling.SETTLED_TO_MARKET}
    assert [(e.effective, e.instrument) for _, e in told if not e.final] == [
        (parse_time(f"2020-03-{day}T08:00:00Z"), instrument) for day in (11, 12, 13, 14) for instrument in sorted(daily)
    ]
    finals = [e for _, e in told if e.final]
    at = step_at("2020-03-13T08:00:00Z")
    assert [(e.underlying, e.instrument, e.expiry) for e in finals] == [
        (0, 0, VENUE.expiries[0]),
        (1, 0, VENUE.expiries[0]),
    ]
    # ticks are hundredths of a dollar: the mean of the hour's four last points, rounded down
    assert finals[0].price == sum(TRACK.prices[at - 3 : at + 1, 0].tolist()) // 4 // 10_000
    assert all(TRACK.times[step] == e.effective for step, e in told)


# --- the exchange itself ----------------------------------------------------------------------------------------------


def expiries(text: str) -> list[str]:
    return [format_time(one)[:16] for one in customary_expiries(parse_time(text))]


@pytest.mark.parametrize(
    ("opened", "wanted"),
    [
        ("2020-03-11T00:00:00Z", ["2020-03-13T08:00", "2020-03-27T08:00", "2020-06-26T08:00"]),
        ("2020-03-13T07:59:59Z", ["2020-03-13T08:00", "2020-03-27T08:00", "2020-06-26T08:00"]),
        ("2020-03-13T08:00:00Z", ["2020-03-20T08:00", "2020-03-27T08:00", "2020-06-26T08:00"]),
        ("2022-12-28T00:00:00Z", ["2022-12-30T08:00", "2023-01-27T08:00", "2023-03-31T08:00"]),
    ],
)
def test_customary_expiries(opened: str, wanted: list[str]) -> None:
    assert expiries(opened) == wanted
    assert all(datetime.fromisoformat(f"{one}:00").replace(tzinfo=UTC).weekday() == 4 for one in wanted)


def test_grids_follow_the_price() -> None:
    btc, eth = grid(7_894_570_000), grid(200_740_000)
    assert (btc.lot, eth.lot) == (100_000, 1_000_000)
    assert btc.strikes == tuple(k * 1_000_000_000 for k in range(3, 13))
    assert eth.strikes == tuple(k * 20_000_000 for k in range(4, 16))


@pytest.mark.parametrize("dollars", ["0.0002", "0.07", "1", "9.99", "35.5", "1200", "64000", "125000"])
def test_any_price_gets_consistent_instruments(dollars: str) -> None:
    price = int(float(dollars) * 1_000_000)
    venue: Exchange = exchange({"XYZ": price}, BARS[0].ts)
    for one in venue.instruments:
        if one.payoff == Payoff.LINEAR:
            assert one.tick_value * one.price_scale * 10**8 == one.lot_size * 10**6
        assert 1_000_000 % one.price_scale == 0
        assert one.tick_value > 0
    strikes = [one.strike for one in venue.instruments if one.strike]
    assert min(strikes) >= 1
    assert len({one.symbol for one in venue.instruments}) == len(venue.instruments)
    assert all(len(one.symbol) <= 24 for one in venue.instruments)


def test_numbers_are_dense_and_names_find_them() -> None:
    assert [one.instrument for one in VENUE.instruments] == list(range(1, len(VENUE.instruments) + 1))
    assert [one.asset for one in VENUE.assets] == list(range(5))
    assert VENUE.number(VENUE.instrument["ETH-27MAR20-100-P"].instrument).symbol == "ETH-27MAR20-100-P"
    assert [one.haircut for one in VENUE.assets] == [0, 200, 500, 1_000, 5_000]
    assert VENUE.instrument["BTC-PERP"].tick_value == 10
    assert VENUE.instrument["BTC-PERP-INV"].contract_value == 10 * 10**8 * 100


def test_what_cannot_be_listed() -> None:
    for opening in ({}, {"USD": 1_000_000}, {f"C{k}": 1_000_000 for k in range(14)}):
        with pytest.raises(NotListableError):
            exchange(opening, 0)
    with pytest.raises(NotListableError, match="tick value"):
        tick_value(1, 100)


def test_the_council_gives_its_notice() -> None:
    steps = [int(time) for time in TRACK.times]
    told = [one for a, b in pairwise(steps) for one in council(VENUE, steps[0], a, b)]
    assert len(told) == 5
    assert all(one.effective - one.time == 3_600_000_000 for one in told)
    assert [one.scope for one in told] == [4, 0, 3, 3, 0]
