"""The default model: hand-worked figures, a slow second implementation, coverage, and what holds of any portfolio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import margins
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from risk.margin.answer import Assessment, buffer_of
from risk.margin.book import AssetQuote, Expiry, Holding, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.model import Calculator
from risk.margin.policy import calculator
from risk.margin.valuing import quoted
from schemas.strict import TomlError

PROFILE = (Path(__file__).parents[3] / "risk" / "margin" / "profiles" / "crypto_span.toml").read_text()
SPOTS = {"BTC": 100_000.0, "ETH": 4_000.0}
MARKET = margins.market()
MONTH = margins.NOW + 30 * margins.DAY
YEAR = 365 * margins.DAY
NO_LIQUIDITY = {"rate": 0, "impact": 0, "option": 0}
NO_BASIS = {"perp": 0, "least": 0, "annualised": 0, "spread": 0}


def profile(**over: Any) -> Calculator:
    return calculator(PROFILE, over)


PLAIN = profile()
SCAN = profile(liquidity=NO_LIQUIDITY)
BARE = profile(liquidity=NO_LIQUIDITY, basis=NO_BASIS)


def plain_market(correlation: float | None = 0.8, settlement_price: float = 1.0, **underlying: Any) -> Market:
    """Spot, perp and one expiry in 30 days all at one price; volatility .5 everywhere."""
    at = {
        symbol: Underlying(
            spot, expiries={MONTH: Expiry(MONTH, spot, smile={spot: 0.5})}, **(underlying if symbol == "BTC" else {})
        )
        for symbol, spot in SPOTS.items()
    }
    correlations = {} if correlation is None else {("BTC", "ETH"): correlation}
    assets = {"BTC": AssetQuote(SPOTS["BTC"], offsets="BTC"), "USDT": AssetQuote(1.0)}
    return Market(margins.NOW, "USDC", settlement_price, at, assets, correlations)


def book(*positions: Position) -> Portfolio:
    return Portfolio("A-1", positions=positions)


def perp(quantity: float | Fraction, symbol: str = "BTC") -> Position:
    return Position(Instrument(Kind.PERP, symbol), Fraction(quantity))


def future(quantity: float | Fraction, symbol: str = "BTC", expiry: int = MONTH) -> Position:
    return Position(Instrument(Kind.FUTURE, symbol, expiry), Fraction(quantity))


def option(quantity: float, strike: float, symbol: str = "BTC", *, call: bool) -> Position:
    return Position(Instrument(Kind.OPTION, symbol, MONTH, strike, call), Fraction(quantity))


def charge(told: Assessment, name: str) -> float:
    return float(next(one.initial for one in told.add_ons if one.name == name))


def scanned(told: Assessment) -> float:
    return max(-min(float(one.pnl) for one in told.scenarios), 0.0)


def asked(one: Calculator, *positions: Position, market: Market | None = None) -> float:
    return float(one.assess(book(*positions), plain_market() if market is None else market, as_float).initial)


def test_price_and_basis_by_hand() -> None:
    """Long 1 perp: 1 - .6 x .99 = 40.6 %; a future of 30 days: basis .005 + .05 x 30 / 365; short: the other way."""
    assert asked(SCAN, perp(1)) == pytest.approx(40_600.0)
    assert asked(SCAN, perp(-1)) == pytest.approx(100_000 * (1.4 * 1.01 - 1))
    assert asked(SCAN, future(1)) == pytest.approx(100_000 * (1 - 0.6 * (1 - 0.005 - 0.05 * 30 / 365)))
    assert asked(BARE, perp(1)) == pytest.approx(40_000.0)


def test_listed_moves_stand_at_two_deviations() -> None:
    told = PLAIN.assess(book(perp(1)), plain_market(), as_float)
    assert [one.id for one in told.scenarios] == [f"price{move:+g}%" for move in (-40, -20, -10, -5, 0, 5, 10, 20, 40)]


def test_calendar_charge_by_hand() -> None:
    """Long 1 perp, short 1 future, no basis scenarios: nothing to scan, .5 % of the matched 100,000."""
    told = profile(liquidity=NO_LIQUIDITY, basis={"perp": 0, "least": 0, "annualised": 0}).assess(
        book(perp(1), future(-1)), plain_market(), exactly
    )
    assert scanned(told) == 0.0
    assert charge(told, "calendar spread") == pytest.approx(500.0)
    # basis up and down is common to the legs: the difference of their moves, at the highest price
    assert scanned(SCAN.assess(book(perp(1), future(-1)), plain_market(), as_float)) == pytest.approx(
        1.4 * 100_000 * (0.01 - 0.005 - 0.05 * 30 / 365)
    )


def test_long_options_lean_on_nobody() -> None:
    """A long call of one expiry and a long put of another lean apart, and pay no charge between expiries; with a small
    perp they pay for that much; against a short option or a future the same call pays."""
    near, late = (margins.NOW + days * margins.DAY for days in margins.DAYS[:2])
    call = Position(Instrument(Kind.OPTION, "BTC", near, 100_000.0, call=True), Fraction(1))
    put = Position(Instrument(Kind.OPTION, "BTC", late, 90_000.0, call=False), Fraction(1))
    assert charge(PLAIN.assess(book(call, put), MARKET, as_float), "calendar spread") == 0.0
    small = PLAIN.assess(book(call, put, perp(Fraction(1, 1_000))), MARKET, as_float)
    assert 0.0 < charge(small, "calendar spread") <= 0.001 * 96_000 * 0.005
    assert charge(PLAIN.assess(book(call, future(-1, expiry=late)), MARKET, as_float), "calendar spread") > 100.0
    short = replace(put, instrument=replace(put.instrument, call=True), quantity=Fraction(-1))
    assert charge(PLAIN.assess(book(call, short), MARKET, as_float), "calendar spread") > 100.0


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [
        # equal and opposite: 2 x 40,000 less the credited part; c = .9 x correlation
        (1.0, 40_000 * math.sqrt(2 * (1 - 0.9))),
        (0.8, 40_000 * math.sqrt(2 * (1 - 0.72))),
        (0.0, 40_000 * math.sqrt(2)),
        (-1.0, 80_000.0),
        (None, 80_000.0),
    ],
)
def test_correlation_cushion_by_hand(correlation: float | None, expected: float) -> None:
    told = BARE.assess(book(perp(1), perp(-25, "ETH")), plain_market(correlation), as_float)
    assert scanned(told) == 0.0
    assert charge(told, "correlation") == pytest.approx(expected)


def test_like_positions_are_never_diversified() -> None:
    """In stress correlations are 1: both long, no credit at any correlation."""
    for correlation in (-0.5, 0.0, 0.8):
        told = BARE.assess(book(perp(1), perp(25, "ETH")), plain_market(correlation), exactly)
        assert float(told.initial) == pytest.approx(80_000.0)
        assert charge(told, "correlation") == 0.0


@pytest.mark.parametrize(("ours", "theirs"), [(1, -1), (-1, 1)])
def test_no_delta_credit_where_both_lean_one_way(ours: int, theirs: int) -> None:
    """A long BTC call and a short ETH put are both long (and the other way round): together what each needs alone,
    exactly, at a correlation of 1."""
    call, put = option(ours, 105_000.0, call=True), option(theirs * 25, 3_800.0, "ETH", call=False)
    market = plain_market(1.0)
    whole, *parts = (SCAN.assess(book(*these), market, exactly).initial for these in ((call, put), (call,), (put,)))
    assert whole == sum(parts)
    # short calls against short puts lean apart, and are credited
    apart = SCAN.assess(book(option(-1, 105_000.0, call=True), put if theirs < 0 else call), market, exactly)
    assert apart.initial > 0


@pytest.mark.parametrize(
    ("hours", "confidence", "widening"),
    [
        (0.0, 1.0, 1.0),
        (0.0, 0.95, 1.0),
        (0.0, 0.75, 1.2),
        (1 / 60, 1.0, 1.0),
        (2 + 1 / 60, 1.0, 1.2),
        (1 + 1 / 60, 0.85, 1.2),
        (1_000.0, 0.0, 2.0),
    ],
)
def test_doubtful_and_old_prices_widen(hours: float, confidence: float, widening: float) -> None:
    market = plain_market(age=hours * 3_600, confidence=confidence)
    told = BARE.assess(book(perp(1)), market, as_float)
    assert float(told.initial) == pytest.approx(40_000.0 * widening)
    assert any("widened" in note for note in told.notes) == (widening > 1)


def test_the_perps_own_confidence_counts_where_it_is_held() -> None:
    market = plain_market(perp_confidence=0.75)
    assert asked(BARE, perp(1), market=market) == pytest.approx(48_000.0)
    assert asked(BARE, future(1), market=market) == pytest.approx(40_000.0)


def test_liquidity_grows_with_position_and_legs_and_distance() -> None:
    def cushion(*positions: Position) -> float:
        return charge(PLAIN.assess(book(*positions), plain_market(), as_float), "liquidity")

    # 100,000 x (.0005 + .02 x root(100,000 / 200 million))
    assert cushion(perp(1)) == pytest.approx(100_000 * (0.0005 + 0.02 / math.sqrt(2_000)))
    assert cushion(perp(2_000)) == pytest.approx(2e8 * (0.0005 + 0.02))
    # at the money: .1 % of 100,000, growing to double at 100 million
    assert cushion(option(-1, 100_000.0, call=True)) == pytest.approx(100 * 1.001)
    assert cushion(option(-1_000, 100_000.0, call=True)) == pytest.approx(200_000.0)
    # 3.5 deviations out: 2 past what is liquid, half more for each
    deviation = 0.5 * math.sqrt(30 / 365)
    far = option(-1, 100_000.0 * math.exp(3.5 * deviation), call=True)
    assert cushion(far) == pytest.approx(100 * 1.001 * 2.0)
    # six short legs: two past the free four, a twentieth more for each
    legs = [option(-1, 100_000.0, call=True)] * 6
    assert cushion(*legs) == pytest.approx(6 * 100 * 1.006 * 1.1)


def test_depeg_and_collateral() -> None:
    """At .93 the requirement grows by (.98 - .93) x 2 of itself; a tether is haircut, a coin moves with the scan."""
    assert asked(BARE, perp(1), market=plain_market(settlement_price=0.93)) == pytest.approx(40_000 / 0.93 * 1.1)
    tether = Portfolio("A-1", collateral=(Holding("USDT", Fraction(1_000)),))
    told = BARE.assess(tether, plain_market(), exactly)
    assert (float(told.initial), float(told.maintenance), told.equity) == (pytest.approx(20), pytest.approx(5), 1_000)
    coin = Portfolio("A-1", collateral=(Holding("BTC", Fraction(1)),))
    assert float(BARE.assess(coin, plain_market(), exactly).initial) == pytest.approx(40_000 + 5_000)
    # a short perp against it: the scan is nought, the haircut stays
    covered = replace(coin, positions=(perp(-1),))
    assert float(BARE.assess(covered, plain_market(), exactly).initial) == pytest.approx(5_000)


def test_decay_is_one_step_of_time() -> None:
    """With the price and volatility where they are, a long straddle loses a day."""
    one = profile(scan={"prices": [0], "volatility": 0}, basis=NO_BASIS, liquidity=NO_LIQUIDITY)
    told = one.assess(book(option(1, 100_000.0, call=True), option(1, 100_000.0, call=False)), plain_market(), as_float)

    def straddle(days: float) -> float:
        return float(200_000 * (2 * norm.cdf(0.25 * math.sqrt(days / 365)) - 1))

    assert float(told.initial) == pytest.approx(straddle(30) - straddle(29), rel=1e-9)


@pytest.mark.parametrize(
    ("distribution", "confidence", "deviations"),
    [
        ("normal", "0.97724987", 2.0),
        ("normal", "0.99", float(norm.ppf(0.99))),
        ("student", "0.97724987", float(student.ppf(0.97724987, 4)) / math.sqrt(2)),
        ("student", "0.99", float(student.ppf(0.99, 4)) / math.sqrt(2)),
        ("student", "0.995", float(student.ppf(0.995, 4)) / math.sqrt(2)),
    ],
)
def test_the_stated_confidence_is_what_is_covered(distribution: str, confidence: str, deviations: float) -> None:
    """A book of 1 coin, moves of 20 % deviation: long and short each lose more than initial margin in 1 - confidence of
    400,000 moves, within three deviations of that share; two standard deviations cover 97.72 %."""
    one = profile(confidence=confidence, scan={"distribution": distribution}, basis=NO_BASIS, liquidity=NO_LIQUIDITY)
    random, draws = np.random.Generator(np.random.Philox(11)), 400_000
    unit = random.standard_normal(draws) if distribution == "normal" else random.standard_t(4, draws) / math.sqrt(2)
    stated = float(confidence)
    for side in (1, -1):
        initial = asked(one, perp(side)) / SPOTS["BTC"]
        assert initial == pytest.approx(0.2 * deviations, abs=2e-7)
        covered = float(np.mean(-side * 0.2 * unit <= initial))
        assert covered == pytest.approx(stated, abs=3 * math.sqrt(stated * (1 - stated) / draws))
    if deviations == 2.0:
        assert stated == pytest.approx(0.9772, abs=5e-5)


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("other", [-40.0, -25.0, -10.0, -1.0, 10.0, 25.0])
def test_two_underlyings_are_covered_at_their_correlation(correlation: float, other: float) -> None:
    """The requirement is never below two deviations of the sum: root(a^2 + b^2 + 2 c a b), whatever the hedge."""
    one = profile(liquidity=NO_LIQUIDITY, basis=NO_BASIS, correlation={"hedge": 1})
    a, b = 40_000.0, 0.4 * other * SPOTS["ETH"]
    initial = asked(one, perp(1), perp(Fraction(other), "ETH"), market=plain_market(correlation))
    assert initial >= math.sqrt(a * a + b * b + 2 * correlation * a * b) - 1e-6


def value(position: Position, market: Market, move: float, turn: int, basis: int) -> float:
    """Dollars of one contract in a scenario of the default profile, written out."""
    one, at = position.instrument, quoted(position.instrument, market)
    shift = 0.01 if one.kind == Kind.PERP else 0.005 + 0.05 * at.years
    forward = at.forward * (1 + move) * (1 + basis * shift)
    if one.kind != Kind.OPTION:
        return forward
    years = max(at.years - 24 / 8_760, 0.0)
    return black(one, forward, at.volatility * (1 + 0.2 * turn), years, at.rate)


def black(one: Instrument, forward: float, volatility: float, years: float, rate: float) -> float:
    deviation, sign = volatility * math.sqrt(years), 1 if one.call else -1
    d1 = math.log(forward / one.strike) / deviation + deviation / 2
    undiscounted = sign * (forward * norm.cdf(sign * d1) - one.strike * norm.cdf(sign * (d1 - deviation)))
    return float(math.exp(-rate * years) * undiscounted)


def mark(position: Position, market: Market) -> float:
    one, at = position.instrument, quoted(position.instrument, market)
    return at.forward if one.kind != Kind.OPTION else black(one, at.forward, at.volatility, at.years, at.rate)


def slow(portfolio: Portfolio, market: Market) -> tuple[float, float]:
    """Scan and correlation cushion, one loop at a time."""
    lines: dict[str, list[float]] = {}
    for position in portfolio.positions:
        lines.setdefault(position.instrument.underlying, [])
    for symbol, line in lines.items():
        mine = [one for one in portfolio.positions if one.instrument.underlying == symbol]
        for move in (-0.4, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4):
            outcomes = []
            for turn in (-1, 0, 1):
                for basis in (-1, 0, 1):
                    gains = [
                        float(one.quantity) * (value(one, market, move, turn, basis) - mark(one, market))
                        for one in mine
                    ]
                    outcomes.append(sum(gains) / market.settlement_price)
            line.append(min(outcomes))
    alone = {symbol: max(-min(line), 0.0) for symbol, line in lines.items()}
    joint = max(-min(map(sum, zip(*lines.values(), strict=True))), 0.0) if lines else 0.0
    saving = sum(alone.values()) - joint
    part = 1 - math.sqrt((1 - 0.9 * market.correlations["BTC", "ETH"]) / 2)
    used = min(saving / 2, *alone.values()) if len(alone) == 2 else 0.0
    return joint, max(sum(alone.values()) - 2 * used * part - joint, 0.0)


@settings(max_examples=30, deadline=None)
@given(margins.portfolios(most=5, collateral=()))
def test_slow_second_implementation(portfolio: Portfolio) -> None:
    told = PLAIN.assess(portfolio, MARKET, as_float)
    joint, cushion = slow(portfolio, MARKET)
    assert scanned(told) == pytest.approx(joint, rel=1e-9, abs=1e-4)
    assert charge(told, "correlation") == pytest.approx(cushion, rel=1e-9, abs=1e-4)
    named = ("calendar spread", "liquidity", "liquidation buffer", "depeg", "haircut")
    others = sum(charge(told, name) for name in named)
    assert float(told.initial) == pytest.approx(joint + cushion + others, rel=1e-9, abs=1e-4)


@pytest.mark.parametrize("settlement", ["USDC", "BTC"])
@settings(max_examples=30, deadline=None)
@given(portfolio=margins.portfolios())
def test_exact_meets_float(settlement: str, portfolio: Portfolio) -> None:
    market = margins.market(settlement)
    if settlement == "BTC":
        portfolio = replace(portfolio, cash=portfolio.cash / 100_000)
    exact, floating = PLAIN.assess(portfolio, market, exactly), PLAIN.assess(portfolio, market, as_float)
    for figure in ("initial", "maintenance", "equity", "mark_to_market"):
        assert float(getattr(exact, figure)) == pytest.approx(getattr(floating, figure), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(margins.portfolios(), st.integers(0, 99).map(lambda n: Fraction(n, 100)), st.sampled_from(["0.5", "0.9", "1"]))
def test_initial_covers_maintenance_and_buffer(portfolio: Portfolio, buffer: Fraction, part: str) -> None:
    one = profile(buffer=str(float(buffer)), maintenance_part=part)
    told = one.assess(portfolio, MARKET, exactly)
    assert told.initial >= told.maintenance + buffer_of(told, exactly(float(buffer)))
    assert told.maintenance >= 0


@settings(max_examples=30, deadline=None)
@given(margins.portfolios(collateral=()), st.integers(2, 9))
def test_the_scan_is_homogeneous(portfolio: Portfolio, times: int) -> None:
    more = replace(portfolio, positions=tuple(replace(p, quantity=p.quantity * times) for p in portfolio.positions))
    single, multiple = (SCAN.assess(one, MARKET, exactly) for one in (portfolio, more))
    assert multiple.initial == times * single.initial
    # the liquidity cushion grows faster
    assert charge(PLAIN.assess(more, MARKET, exactly), "liquidity") >= times * charge(
        PLAIN.assess(portfolio, MARKET, exactly), "liquidity"
    ) * (1 - 1e-12)


@settings(max_examples=40, deadline=None)
@given(margins.quantities(), st.integers(0, 100), st.sampled_from(["future", "ETH"]))
def test_a_hedge_costs_no_more_than_its_charges(quantity: Fraction, part: int, by: str) -> None:
    """A hedge in a future or in the other underlying: the scan with its correlation cushion does not rise, the rest is
    the stated charges for spreads and liquidity."""
    size = -quantity * Fraction(part, 100)
    hedge = future(size, expiry=margins.NOW + 9 * margins.DAY) if by == "future" else perp(size * 25, "ETH")
    alone, hedged = (
        PLAIN.assess(book(*these), MARKET, as_float) for these in ((perp(quantity),), (perp(quantity), hedge))
    )
    # of ether, credit for less than half of the hedge's own need makes it dearer: that is the cushion's charge
    cushion = charge(hedged, "correlation")
    assert scanned(hedged) <= scanned(alone) + 1e-6
    assert (
        hedged.initial
        <= alone.initial
        + cushion
        + charge(hedged, "calendar spread")
        + charge(hedged, "liquidity")
        - charge(alone, "liquidity")
        + 1e-6
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(margins.instruments(kinds=(Kind.OPTION,)), st.integers(1, 5_000)), min_size=1, max_size=6))
def test_long_options_cost_their_value_at_most(held: list[tuple[Instrument, int]]) -> None:
    """Any number of them, over expiries and underlyings, cushions and charges included."""
    positions = {one: Position(one, Fraction(hundredths, 100)) for one, hundredths in held}
    told = PLAIN.assess(book(*positions.values()), MARKET, as_float)
    assert told.initial <= told.mark_to_market + 1e-6


def levels(kept: tuple[float, ...]) -> Mapping[str, Any]:
    return {"scan": {"prices": list(kept)}}


@settings(max_examples=30, deadline=None)
@given(margins.portfolios(symbols=("BTC",), collateral=()), st.sets(st.integers(0, 8), min_size=1))
def test_more_scenarios_never_lower_the_scan(portfolio: Portfolio, kept: set[int]) -> None:
    prices = (-0.4, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4)
    fewer = profile(**levels(tuple(prices[n] for n in sorted(kept)))).assess(portfolio, MARKET, as_float)
    assert scanned(fewer) <= scanned(PLAIN.assess(portfolio, MARKET, as_float)) + 1e-9


def test_a_coin_settled_loss_is_counted_in_the_coin() -> None:
    """Long 1 perp of 100,000 settled in BTC: -40 % is 40,000 of dollars that are then .6 of their coin's."""
    market = Market(margins.NOW, "BTC", 100_000.0, {"BTC": Underlying(100_000.0)})
    assert asked(BARE, perp(1), market=market) == pytest.approx(0.4 / 0.6)


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"scan": {"prices": []}}, "scan.prices"),
        ({"scan": {"prices": [0, "-0.1"]}}, "scan.prices[1]"),
        ({"scan": {"prices": [0, 0]}}, "scan.prices[1]"),
        ({"scan": {"prices": [-1]}}, "scan.prices[0]"),
        ({"scan": {"distribution": "cauchy"}}, "scan.distribution"),
        ({"scan": {"degrees": 2}}, "scan.degrees"),
        ({"scan": {"sigma": 2}}, "scan.sigma"),
        ({"underlyings": {"BTC": {"depth": 0}}}, "underlyings.BTC.depth"),
        ({"underlyings": {"XRP": {"scale": 1}}}, "underlyings.XRP.depth"),
        ({"liquidity": {"most": "0.5"}}, "liquidity.most"),
        ({"correlation": {"hedge": 2}}, "correlation.hedge"),
        ({"maintenance_part": 2}, "maintenance_part"),
        ({"unheard": 1}, "unheard"),
    ],
)
def test_bad_profiles_are_named_by_place(over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        profile(**over)
    assert caught.value.path == path
