"""Derive's standard margin: by hand, against a second implementation straight from the published formulas, and what
must hold of any portfolio."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from doubts import figures, markets, portfolios, profile
from hypothesis import given, settings
from hypothesis import strategies as st
from margins import DAY, NOW

from risk.margin.answer import Assessment
from risk.margin.book import AssetQuote, Expiry, Holding, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.valuing import NotInMarket, svi_volatility
from schemas.strict import TomlError

AHEAD = NOW + 30 * DAY
YEARS = 30 / 365


def black(call: bool, forward: float, strike: float, vol: float, tau: float) -> float:
    d1 = math.log(forward / strike) / (vol * math.sqrt(tau)) + vol * math.sqrt(tau) / 2
    first, second = (0.5 * math.erfc(-x / math.sqrt(2)) for x in (d1, d1 - vol * math.sqrt(tau)))
    return forward * first - strike * second if call else strike * (1 - second) - forward * (1 - first)


def slow(p: Any, portfolio: Portfolio, market: Market) -> tuple[float, float, float]:
    """Initial and maintenance requirement, equity: from the net margins of the publication, negative where money is
    needed."""
    stable, o, conf, peg = market.settlement_price, p["option"], p["oracle"], p["peg"]

    def doubt(confidence: float) -> float:
        return (1 - confidence) * conf["charge"] if confidence < conf["threshold"] else 0.0

    def net(initial: bool) -> float:
        margin = float(portfolio.cash)
        for one in portfolio.collateral:
            quote, amount = market.assets[one.asset], float(one.amount)
            if one.asset not in p["base"] or amount < 0:
                margin += min(amount, 0) * quote.price / stable
                continue
            base = p["base"][one.asset]
            sure = min(quote.confidence, market.underlyings[quote.offsets].confidence) if quote.offsets else 1.0
            margin += amount * quote.price * base["factor"] * (base["initial_scale"] if initial else 1)
            margin -= amount * quote.price * doubt(sure) if initial else 0
        for name, u in market.underlyings.items():
            here = [
                (x.instrument, float(x.quantity), x) for x in portfolio.positions if x.instrument.underlying == name
            ]
            linear, short = 0.0, 0.0
            for i, q, x in here:
                if i.kind == Kind.OPTION:
                    short += max(-q, 0)
                    continue
                linear += abs(q)
                price = u.perp if i.kind == Kind.PERP else u.expiries[i.expiry].forward
                sure = u.perp_confidence if i.kind == Kind.PERP else u.expiries[i.expiry].confidence
                margin -= abs(q) * price * p["perp"]["initial" if initial else "maintenance"]
                margin += q * (price - float(x.entry_price)) + float(x.funding)
                margin -= doubt(min(sure, u.confidence)) * abs(q) * u.spot if initial else 0
            for expiry in {i.expiry for i, _, _ in here if i.kind == Kind.OPTION}:
                e, tau = u.expiries[expiry], (expiry - NOW) / 1e6 / (365 * 86400)
                legs = [(i, q) for i, q, _ in here if i.kind == Kind.OPTION and i.expiry == expiry]
                alone = 0.0
                for i, n in legs:
                    if n > 0:
                        continue
                    worth = n * black(i.call, e.forward, i.strike, svi_volatility(e.smile, i.strike), tau)
                    if i.call:
                        otm = max(i.strike - u.spot, 0) / u.spot
                        mm = worth + o["maintenance"] * u.spot * n
                        im = max(o["initial"] - otm, o["initial_least"]) * u.spot * n + worth
                    else:
                        otm = max(u.spot - i.strike, 0) / u.spot
                        mm = min(o["maintenance"] * u.spot * n, o["maintenance"] * worth) + worth
                        im = min(max(o["initial"] - otm, o["initial_least"]) * u.spot * n + worth, mm * o["put_offset"])
                    alone += im if initial else mm
                paid = [
                    sum(n * max(s - i.strike if i.call else i.strike - s, 0) for i, n in legs)
                    for s in [0.0] + [i.strike for i, _ in legs]
                ]
                most = min([0.0, *paid])
                calls = sum(n for i, n in legs if i.call)
                if calls < 0:
                    most += o["unpaired_initial" if initial else "unpaired_maintenance"] * e.forward * calls
                margin += max(alone, most)
                if initial:
                    sold = sum(max(-n, 0) for _, n in legs)
                    margin -= doubt(min(u.confidence, e.confidence, e.volatility_confidence)) * u.spot * sold
            if initial:
                margin -= max(peg["threshold"] - stable, 0) * peg["factor"] * u.spot * (linear + short)
        return margin

    equity = float(portfolio.cash)
    for one in portfolio.collateral:
        equity += float(one.amount) * market.assets[one.asset].price / stable
    for x in portfolio.positions:
        i, q, u = x.instrument, float(x.quantity), market.underlyings[x.instrument.underlying]
        if i.kind == Kind.OPTION:
            e, tau = u.expiries[i.expiry], (i.expiry - NOW) / 1e6 / (365 * 86400)
            equity += q * black(i.call, e.forward, i.strike, svi_volatility(e.smile, i.strike), tau)
        else:
            price = u.perp if i.kind == Kind.PERP else u.expiries[i.expiry].forward
            equity += q * (price - float(x.entry_price)) + float(x.funding)
    return equity - net(True), equity - net(False), equity


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_it_is_what_the_published_formulas_give(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    told = profile("derive_srm").assess(portfolio, market, as_float)
    initial, maintenance, equity = slow(figures("derive_srm"), portfolio, market)
    assert float(told.maintenance) == pytest.approx(maintenance, rel=1e-9, abs=1e-5)
    assert float(told.initial) == pytest.approx(initial, rel=1e-9, abs=1e-5)
    assert float(told.equity) == pytest.approx(equity, rel=1e-9, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exact_and_float_agree_to_the_quantum(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    exact, floating = (profile("derive_srm").assess(portfolio, market, fact) for fact in (exactly, as_float))
    for one in ("initial", "maintenance", "equity", "mark_to_market"):
        assert abs(getattr(exact, one) - Fraction(getattr(floating, one))) <= Fraction(1, 10**6)


# -- by hand: a spot and a forward of 100,000, volatility 60 %, 30 days -------------------------------------------


def flat(**changes: Any) -> Market:
    point = Expiry(AHEAD, 100_000.0, 0.0, smile={100_000.0: 0.6})
    coin = AssetQuote(100_000.0, 1.0, "BTC")
    market = Market(NOW, "USDC", 1.0, {"BTC": Underlying(100_000.0, expiries={AHEAD: point})}, {"BTC": coin})
    return replace(market, **changes)


def perp(quantity: str) -> Position:
    return Position(Instrument(Kind.PERP, "BTC"), Fraction(quantity), Fraction(100_000))


def option(quantity: str, strike: float, call: bool) -> Position:
    return Position(Instrument(Kind.OPTION, "BTC", AHEAD, strike, call), Fraction(quantity))


def asked(positions: tuple[Position, ...], market: Market | None = None, *held: Holding) -> Assessment:
    return profile("derive_srm").assess(Portfolio("A-1", Fraction(0), held, positions), market or flat(), exactly)


@pytest.mark.parametrize(
    ("positions", "initial", "maintenance"),
    [
        # 10 % and 6.5 % of 200,000, long or short
        ((perp("2"),), 20_000, 13_000),
        ((perp("-2"),), 20_000, 13_000),
        # a call sold at the money: 15 % of the spot, 9 %; the mark is a debt that equity has counted
        ((option("-1", 100_000.0, True),), 15_000, 9_000),
        # 1 % out of the money: 14 %; 10 % out: 5 %, but 13 % at least
        ((option("-1", 101_000.0, True),), 14_000, 9_000),
        ((option("-1", 110_000.0, True),), 13_000, 9_000),
        # in the money: nothing more than 15 %
        ((option("-1", 90_000.0, True),), 15_000, 9_000),
        # a put sold, 1 % out of the money
        ((option("-1", 99_000.0, False),), 14_000, 9_000),
        # a put far in the money is worth 150,000: 9 % of that are 13,500, more than 9 % of the spot. Initial: 1.05 x
        # (150,000 + 13,500) = 171,675, more than 150,000 + 15,000
        ((option("-1", 250_000.0, False),), 21_675, 13_500),
    ],
)
def test_positions_by_hand(positions: tuple[Position, ...], initial: float, maintenance: float) -> None:
    told = asked(positions)
    assert (float(told.initial), float(told.maintenance)) == pytest.approx((initial, maintenance), abs=0.01)


def test_a_spread_takes_no_more_than_it_can_lose() -> None:
    legs = (option("-1", 100_000.0, True), option("1", 110_000.0, True))
    told = asked(legs)
    marks = [black(True, 1e5, strike, 0.6, YEARS) for strike in (1e5, 1.1e5)]
    # at 110,000 and above it pays -10,000; equity owes the difference of the marks already. By itself the call sold
    # takes 15,000 and its mark
    assert float(told.initial) == pytest.approx(10_000 - (marks[0] - marks[1]), abs=1e-6)
    assert told.maintenance == told.initial
    assert float(told.equity - told.initial) == pytest.approx(-10_000, abs=1e-6)


def test_unpaired_calls_are_charged_in_forwards() -> None:
    # five of ten calls sold have none bought beside them: 10 x -4,000 at most to the upper strike, and 5 x 1.2
    # forwards, far more than each by itself: 10 x 15,000 and the marks
    told = asked((option("-10", 100_000.0, True), option("5", 104_000.0, True)))
    mark = black(True, 1e5, 1.04e5, 0.6, YEARS)
    assert float(told.initial) == pytest.approx(150_000 + 5 * mark, abs=1e-6)
    # where the forward's part is small, the greatest loss is the better of the two: 10 x 4,000 + 5 x 0.1 x 100,000
    cheap = profile("derive_srm", {"option": {"unpaired_initial": "0.1", "unpaired_maintenance": "0.1"}})
    book = Portfolio("A-1", positions=(option("-10", 100_000.0, True), option("5", 104_000.0, True)))
    told = cheap.assess(book, flat(), exactly)
    assert float(told.equity - told.initial) == pytest.approx(-40_000 - 50_000, abs=1e-6)
    # a put bought pairs with no call sold
    book = replace(book, positions=(*book.positions, option("10", 50_000.0, False)))
    told = cheap.assess(book, flat(), exactly)
    assert float(told.equity - told.initial) == pytest.approx(-40_000 - 50_000, abs=1e-6)


def test_a_long_option_costs_its_value() -> None:
    told = asked((option("1", 100_000.0, True), option("2", 70_000.0, False)))
    assert told.initial == told.maintenance == told.mark_to_market == told.equity


def test_a_coin_backs_a_part_of_its_value() -> None:
    told = asked((), flat(), Holding("BTC", Fraction(2)))
    # 200,000: 75 % for maintenance, 93 % of that for initial
    assert (told.equity - told.initial, told.equity - told.maintenance) == (139_500, 150_000)
    # the settlement asset at 0.8: the coin's value in it grows, what it backs does not
    told = asked((), flat(settlement_price=0.8), Holding("BTC", Fraction(2)))
    assert (told.equity, told.equity - told.initial) == (250_000, 139_500)
    # an unsure feed: (1 - 0.5) of the value is taken off for initial
    unsure = flat(assets={"BTC": AssetQuote(100_000.0, 0.5, "BTC")})
    told = asked((), unsure, Holding("BTC", Fraction(2)))
    assert (told.equity - told.initial, told.equity - told.maintenance) == (39_500, 150_000)


def test_an_unsure_oracle_and_a_lost_peg_raise_initial_margin_alone() -> None:
    book = (perp("-2"), option("-3", 100_000.0, True), option("4", 200_000.0, False))
    before = asked(book)
    one = flat().underlyings["BTC"]
    # perp: 0.6 x 200,000; options: the calls sold, 0.5 x 300,000
    point = replace(one.expiries[AHEAD], volatility_confidence=0.5)
    shaky = flat(underlyings={"BTC": replace(one, perp_confidence=0.4, expiries={AHEAD: point})})
    told = asked(book, shaky)
    assert (told.initial - before.initial, told.maintenance) == (120_000 + 150_000, before.maintenance)
    # (0.99 - 0.95) x 4 = 16 % of the spot for two perps and three options sold
    told = asked(book, flat(settlement_price=0.95))
    assert (told.initial - before.initial, told.maintenance) == (80_000, before.maintenance)


def test_it_settles_in_no_coin() -> None:
    with pytest.raises(NotInMarket, match="settlement"):
        asked((perp("1"),), flat(settlement="BTC"))


# -- what must hold -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_twice_the_book_takes_twice_the_margin(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    twice = replace(
        portfolio,
        positions=tuple(replace(one, quantity=2 * one.quantity) for one in portfolio.positions),
        collateral=tuple(replace(one, amount=2 * one.amount) for one in portfolio.collateral),
    )
    one, two = (profile("derive_srm").assess(book, market, exactly) for book in (portfolio, twice))
    assert (two.initial, two.maintenance) == (2 * one.initial, 2 * one.maintenance)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_option_bought_never_costs_more_than_its_value(data: st.DataObject) -> None:
    """Added to any book, as a hedge or not: the requirement rises by its mark at most. Cash pays for it, so the excess
    falls by no more than the premium."""
    market, portfolio = data.draw(markets()), data.draw(portfolios(kinds=(Kind.OPTION, Kind.PERP)))
    options = [one for one in portfolio.positions if one.instrument.kind == Kind.OPTION]
    if not options:
        return
    bought = replace(options[0], quantity=abs(options[0].quantity))
    rest = tuple(one for one in portfolio.positions if one is not options[0])
    without, with_it = (
        profile("derive_srm").assess(replace(portfolio, collateral=(), positions=book), market, exactly)
        for book in (rest, (*rest, bought))
    )
    value = with_it.mark_to_market - without.mark_to_market
    assert with_it.initial - without.initial <= value
    assert with_it.maintenance - without.maintenance <= value


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"scenarios": []}, "scenarios"),
        ({"option": {"strike": 1}}, "option.strike"),
        ({"base": {"SOL": {"factor": 2, "initial_scale": 1}}}, "base.SOL.factor"),
        ({"peg": {"threshold": "low"}}, "peg.threshold"),
    ],
)
def test_a_wrong_profile_is_named(overrides: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError, match=path):
        profile("derive_srm", overrides)
