"""OKX's portfolio margin: the published answer, by hand, against a second implementation, and what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from doubts import figures, markets, portfolios, profile
from hypothesis import given, settings
from hypothesis import strategies as st
from margins import DAY, NOW

from risk.margin.answer import Assessment
from risk.margin.book import AssetQuote, Expiry, Holding, Instrument, Kind, Market, Portfolio, Position, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.okx import tiered
from risk.margin.okx_rules import Tier
from risk.margin.valuing import svi_volatility
from schemas.strict import TomlError

YEAR = 365.0


def black(call: bool, forward: float, strike: float, vol: float, tau: float, rate: float = 0.0) -> float:
    spread, discount = vol * math.sqrt(tau), math.exp(-rate * tau)
    if spread == 0:
        return max(forward - strike if call else strike - forward, 0.0) * discount
    d1 = math.log(forward / strike) / spread + spread / 2
    first, second = (0.5 * math.erfc(-x / math.sqrt(2)) for x in (d1, d1 - spread))
    value = forward * first - strike * second if call else strike * (1 - second) - forward * (1 - first)
    return value * discount


def slow_tiers(amount: float, tiers: Any) -> float:
    taken, start = 0.0, 0.0
    for tier in tiers:
        end = tier.get("to", math.inf)
        taken += max(min(amount, end) - start, 0) * tier["rate"]
        start = end
    return taken


def slow(p: Any, portfolio: Portfolio, market: Market) -> tuple[float, float]:
    """Initial and maintenance requirement: max(max(MR1, MR2, MR6) + MR3 + MR4 + MR5, MR7) + MR8 + MR9, haircuts."""
    price = market.settlement_price
    total, lower, higher = 0.0, 0.0, 0.0
    for one in portfolio.collateral:
        quote = market.assets[one.asset]
        cut = p["haircuts"].get(one.asset, p["haircuts"]["default"])
        mm = cut["maintenance"] if quote.haircut_maintenance is None else quote.haircut_maintenance
        im = cut["initial_extra"] if quote.haircut_initial_extra is None else quote.haircut_initial_extra
        size = abs(float(one.amount)) * quote.price / price
        lower, higher = lower + size * mm, higher + size * (mm + im)
    for name, u in market.underlyings.items():
        own = p["classes"]["default"]
        for row in p["classes"].values():
            if name in row.get("underlyings", []):
                own = row
        legs = []
        for x in portfolio.positions:
            i = x.instrument
            if i.underlying != name:
                continue
            if i.kind == Kind.PERP:
                legs.append((float(x.quantity), i, u.perp, 0.0, 0.0, 0.0))
            else:
                e, tau = u.expiries[i.expiry], (i.expiry - NOW) / 1e6 / (86400 * YEAR)
                vol = svi_volatility(e.smile, i.strike) if i.kind == Kind.OPTION else 0.0
                legs.append((float(x.quantity), i, e.forward, tau, vol, e.rate))
        coins = sum(
            float(one.amount) * market.assets[one.asset].price
            for one in portfolio.collateral
            if market.assets[one.asset].offsets == name
        )

        def worth(
            leg: Any, spot: float = 0, turn: int = 0, hours: float = 0, basis: float = 0, rates: Any = None
        ) -> float:
            q, i, forward, tau, vol, rate = leg
            forward *= (1 + spot) * (1 + basis * tau)
            if i.kind != Kind.OPTION:
                return q * forward
            days, v = tau * YEAR, p["volatility"]
            points, relative = (float(np.interp(days, v["days"], v[key])) for key in ("points", "relative"))
            vol = max(vol + turn * max(points, relative * vol), 0)
            if rates is not None:
                rate += float(np.interp(days, p["rates"]["tenors"], rates)) / 100
            return q * black(i.call, forward, i.strike, vol, max(tau - hours / 24 / YEAR, 0), rate)

        def gain(legs=legs, coins=coins, worth=worth, **move: Any) -> float:
            return sum(worth(leg, **move) - worth(leg) for leg in legs) + coins * move.get("spot", 0)

        moves = [0.0, *own["moves"], *(-one for one in own["moves"])]
        mr1 = max(-gain(spot=move, turn=turn) for move in moves for turn in (-1, 0, 1))
        mr2 = max(-gain(hours=p["theta"]["hours"]), 0)
        mr6 = max(-gain(spot=move) for move in (own["extreme"], -own["extreme"])) * p["extreme"]["take"]
        by_expiry: dict[int, float] = {}
        for leg in legs:
            by_expiry[leg[1].expiry] = by_expiry.get(leg[1].expiry, 0) + worth(leg, turn=1) - worth(leg)
        won = sum(one for one in by_expiry.values() if one > 0)
        mr3 = p["term"]["share"] * min(won, won - sum(by_expiry.values()))
        mr4 = max(-gain(basis=one) for one in (own["basis"], -own["basis"]))
        mr5 = max(-gain(rates=[sign * one for one in row]) for row in p["rates"]["components"] for sign in (1, -1))
        base = 0.0
        for q, i, *_ in legs:
            if i.kind != Kind.OPTION:
                base += abs(q) * u.spot * p["minimum"]["future"]
            elif q < 0:
                base += -q * u.spot * p["minimum"]["option"]
        mr7 = slow_tiers(base, p["minimum"]["tiers"])
        total += max(max(mr1, mr2, mr6) + mr3 + max(mr4, 0) + max(mr5, 0), mr7) / price
    total += max(-float(portfolio.cash), 0) * p["borrow"]["rate"]
    for one in portfolio.collateral:
        dollars = float(one.amount) * market.assets[one.asset].price
        total += max(-dollars, 0) / price * p["borrow"]["rate"]
        if one.asset in p["depeg"]["stablecoins"]:
            total += slow_tiers(abs(dollars), p["depeg"]["tiers"]) / price
    return total * p["factors"]["initial"] + higher, total + lower


@pytest.mark.parametrize("settlement", ["USDC", "BTC"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_it_is_what_the_rules_give(settlement: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets(settlement)), data.draw(portfolios())
    if settlement == "BTC":
        portfolio = replace(portfolio, collateral=tuple(one for one in portfolio.collateral if one.asset != "BTC"))
    told = profile("okx_pm").assess(portfolio, market, as_float)
    expected = slow(figures("okx_pm"), portfolio, market)
    assert (float(told.initial), float(told.maintenance)) == pytest.approx(expected, rel=1e-8, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_exact_and_float_agree_to_the_quantum(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    exact, floating = (profile("okx_pm").assess(portfolio, market, fact) for fact in (exactly, as_float))
    for one in ("initial", "maintenance", "equity", "mark_to_market"):
        assert abs(getattr(exact, one) - Fraction(getattr(floating, one))) <= Fraction(1, 10**6)


# -- by hand ------------------------------------------------------------------------------------------------------


def flat(*days: int, rate: float = 0.0, volatility: float = 0.6, symbol: str = "BTC", **changes: Any) -> Market:
    """A spot and forwards of 100,000."""
    expiries = {
        NOW + one * DAY: Expiry(NOW + one * DAY, 100_000.0, rate, smile={100_000.0: volatility}) for one in days
    }
    market = Market(NOW, "USDT", 1.0, {symbol: Underlying(100_000.0, expiries=expiries)})
    return replace(market, **changes)


def perp(quantity: str, symbol: str = "BTC") -> Position:
    return Position(Instrument(Kind.PERP, symbol), Fraction(quantity), Fraction(100_000))


def future(quantity: str, days: int) -> Position:
    return Position(Instrument(Kind.FUTURE, "BTC", NOW + days * DAY), Fraction(quantity), Fraction(100_000))


def option(quantity: str, strike: float, call: bool, days: int = 30) -> Position:
    return Position(Instrument(Kind.OPTION, "BTC", NOW + days * DAY, strike, call), Fraction(quantity))


def asked(positions: tuple[Position, ...], market: Market, *held: Holding, cash: int = 0) -> Assessment:
    return profile("okx_pm").assess(Portfolio("A-1", Fraction(cash), held, positions), market, exactly)


def charges(told: Assessment) -> dict[str, float]:
    return {one.name: float(one.maintenance) for one in told.add_ons if one.maintenance}


def test_ten_million_of_a_stablecoin_take_the_published_202_500() -> None:
    # 1,000,000 x 0.75 % + 4,000,000 x 1.75 % + 5,000,000 x 2.5 % = 7,500 + 70,000 + 125,000
    market = flat(assets={"USDC": AssetQuote(1.0)})
    told = asked((), market, Holding("USDC", Fraction(10_000_000)))
    assert charges(told) == {"MR9 stablecoin depeg": 202_500.0}
    assert (told.maintenance, told.initial) == (202_500, 202_500 * Fraction("1.3"))
    # the settlement asset itself has no peg to lose against itself
    assert asked((), market, cash=10_000_000).maintenance == 0
    assert asked((), market, Holding("USDT", Fraction(10_000_000))).maintenance == 0


@pytest.mark.parametrize(
    ("symbol", "part"),
    [
        # MR1's 12 % and half of MR6's 24 % are the same; of the others 18 % and 25 %
        ("BTC", Fraction("0.12")),
        ("SOL", Fraction("0.18")),
        ("PEPE", Fraction("0.25")),
    ],
)
def test_a_perp_of_each_class(symbol: str, part: Fraction) -> None:
    for quantity in ("2", "-2"):
        told = asked((perp(quantity, symbol),), flat(symbol=symbol))
        found = (float(told.maintenance), float(told.initial))
        assert found == pytest.approx((float(200_000 * part), float(260_000 * part)), abs=1e-6)


@pytest.mark.parametrize(
    ("days", "volatility", "up"),
    [
        # 25 points are more than 0.35 x 0.6; at 100 % they are less than 0.35
        (30, 0.6, 0.85),
        (30, 1.0, 1.35),
        # halfway to 60 days: 22.5 points, 30 %; past it 20 points, 25 %
        (45, 0.6, 0.825),
        (45, 1.0, 1.3),
        (90, 0.6, 0.8),
        (90, 1.0, 1.25),
        # a third of the way to 30 days: 28.333 points, 45 %
        (10, 0.6, 0.6 + 0.3 - 0.05 / 3),
    ],
)
def test_mr1_shocks_of_volatility(days: int, volatility: float, up: float) -> None:
    told = asked((option("-1", 100_000.0, True, days),), flat(days, volatility=volatility))
    tau = days / YEAR
    expected = black(True, 112_000, 1e5, up, tau) - black(True, 1e5, 1e5, volatility, tau)
    pnl = {one.id: float(one.pnl) for one in told.scenarios}
    assert -pnl["BTC MR1 +0.12 vol up"] == pytest.approx(expected, abs=1e-6)
    if told.worst_initial == "BTC MR1 +0.12 vol up":
        assert told.legs[0].volatility_in_worst == pytest.approx(up)


def test_mr2_counts_a_day() -> None:
    told = asked((option("1", 100_000.0, True),), flat(30))
    pnl = {one.id: float(one.pnl) for one in told.scenarios}
    day = black(True, 1e5, 1e5, 0.6, 29 / YEAR) - black(True, 1e5, 1e5, 0.6, 30 / YEAR)
    assert pnl["BTC MR2 24 h"] == pytest.approx(day, abs=1e-6)


def test_mr3_keeps_half_of_what_vega_nets_between_expiries() -> None:
    told = asked((option("1", 100_000.0, True, 30), option("-1", 100_000.0, True, 90)), flat(30, 90))
    # up: 25 points at 30 days, 20 points at 90
    near = black(True, 1e5, 1e5, 0.85, 30 / YEAR) - black(True, 1e5, 1e5, 0.6, 30 / YEAR)
    far = black(True, 1e5, 1e5, 0.8, 90 / YEAR) - black(True, 1e5, 1e5, 0.6, 90 / YEAR)
    assert near < far
    assert charges(told)["BTC MR3 vega term structure"] == pytest.approx(near / 2, abs=1e-6)
    # of one expiry nothing nets
    same = asked((option("1", 100_000.0, True), option("-1", 110_000.0, True)), flat(30))
    assert "BTC MR3 vega term structure" not in charges(same)


def test_mr4_moves_a_future_away_from_its_perp() -> None:
    told = asked((perp("-2"), future("2", 73)), flat(73))
    # no move of the spot costs anything; 5 % x 73/365 of 200,000
    assert told.worst_initial == "BTC MR1 +0"
    assert charges(told) == {"BTC MR4 basis": pytest.approx(2_000.0)}
    # two expiries move together: 5 % x 36.5/365 x 100,000 between them
    calendar = asked((future("1", 73), future("-1", 36)), flat(73, 36))
    assert charges(calendar)["BTC MR4 basis"] == pytest.approx(0.05 * 37 / 365 * 100_000)


def test_mr5_discounts_along_the_worse_component() -> None:
    # bought and sold at one strike: 100,000 - 40,000 to be had in 30 days, whatever the price
    box = (
        option("1", 40_000.0, True),
        option("-1", 40_000.0, False),
        option("-1", 100_000.0, True),
        option("1", 100_000.0, False),
    )
    told = asked(box, flat(30, rate=0.1))
    # at 30 days the first component is 1.5 points, the second 1: 60,000 (exp(-0.1 t) - exp(-0.115 t))
    worth = [60_000 * math.exp(-rate * 30 / YEAR) for rate in (0.1, 0.115)]
    assert charges(told)["BTC MR5 rates"] == pytest.approx(worth[0] - worth[1], abs=1e-6)


def test_mr6_is_half_of_an_extreme_move() -> None:
    # beyond 18 % the call begins to cost: half of what 24 % take
    told = asked((option("-1", 118_000.0, True, 1), perp("0.1")), flat(1, volatility=0.05))
    pnl = {one.id: float(one.pnl) for one in told.scenarios}
    assert told.worst_initial == "BTC MR6 +0.24"
    assert pnl["BTC MR6 +0.24"] == pytest.approx((2_400 - 6_000) / 2, abs=1e-6)


def test_mr7_is_the_least_a_book_is_charged() -> None:
    # 2,000 each way: 4e8 of notional x 0.1 % = 400,000; 250,000 x 1 + 150,000 x 2 = 550,000. MR4: 5 % / 365 of 2e8
    told = asked((perp("2000"), future("-2000", 1)), flat(1))
    assert told.maintenance == 550_000
    basis = 0.05 / 365 * 2e8
    assert charges(told) == {
        "BTC MR4 basis": pytest.approx(basis),
        "BTC MR7 minimum charge": pytest.approx(550_000 - basis),
    }


def test_mr8_charges_debts() -> None:
    market = flat(assets={"SOL": AssetQuote(150.0, haircut_maintenance=0.0, haircut_initial_extra=0.0)})
    told = asked((), market, Holding("SOL", Fraction(-10)), cash=-1_000)
    # 5 % of 1,500 and of 1,000
    assert charges(told) == {"MR8 borrowing": 125.0}
    assert told.equity == -2_500


def test_coins_held_hedge_what_is_sold() -> None:
    market = flat(assets={"BTC": AssetQuote(100_000.0, 1.0, "BTC")})
    told = asked((perp("-1"),), market, Holding("BTC", Fraction(1)))
    # MR7 alone, 0.1 % of 100,000; the haircut is 5 % and 5 % more
    assert charges(told) == {"BTC MR7 minimum charge": pytest.approx(100.0), "BTC haircut": 5_000.0}
    assert float(told.initial) == pytest.approx(130 + 10_000)


@pytest.mark.parametrize(
    ("amount", "taken"), [(0, 0), (100, 10), (101, Fraction("10.2")), (300, 50), (1_000, 50 + 350)]
)
def test_tiers_take_each_slice_at_its_rate(amount: int, taken: Fraction) -> None:
    tiers = (Tier(100.0, 0.1), Tier(300.0, 0.2), Tier(None, 0.5))
    assert tiered(Fraction(amount), tiers, exactly) == taken


# -- what must hold -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_more_moves_never_lower_the_margin(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    few = profile("okx_pm", {"classes": {"btc_eth": {"moves": ["0.04", "0.12"]}}})
    assert few.assess(portfolio, market, exactly).maintenance <= (
        profile("okx_pm").assess(portfolio, market, exactly).maintenance
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_option_bought_costs_no_more_than_its_value_basis_and_rates(data: st.DataObject) -> None:
    portfolio = data.draw(portfolios(kinds=(Kind.OPTION,)))
    if not portfolio.positions:
        return
    bought = replace(portfolio.positions[0], quantity=abs(portfolio.positions[0].quantity))
    told = profile("okx_pm").assess(Portfolio("A-1", positions=(bought,)), data.draw(markets()), exactly)
    stated = sum(one for name, one in charges(told).items() if "MR4" in name or "MR5" in name)
    assert float(told.maintenance) <= float(told.mark_to_market) + stated + 1e-6
    assert "MR7 minimum charge" not in " ".join(charges(told))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 10**5).map(lambda n: Fraction(n, 100)),
    part=st.integers(1, 100).map(lambda n: Fraction(n, 100)),
    sign=st.sampled_from([1, -1]),
)
def test_a_hedge_costs_no_more_than_basis_and_minimum(size: Fraction, part: Fraction, sign: int) -> None:
    market = flat(37)
    held = replace(perp("1"), quantity=sign * size)
    hedge = replace(future("1", 37), quantity=-sign * size * part)
    alone, hedged = (asked(book, market) for book in ((held,), (held, hedge)))
    stated = sum(one for name, one in charges(hedged).items() if "MR4" in name or "MR7" in name)
    assert float(hedged.maintenance) <= float(alone.maintenance) + stated
    assert hedged.scenarios and min(one.pnl for one in hedged.scenarios) >= min(one.pnl for one in alone.scenarios)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_parts_add_up(data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    told = profile("okx_pm").assess(portfolio, market, exactly)
    worst = next((one.pnl for one in told.scenarios if one.id == told.worst_initial), Fraction(0))
    assert told.maintenance == -worst + sum(one.maintenance for one in told.add_ons)
    assert told.initial == -worst * Fraction("1.3") + sum(one.initial for one in told.add_ons)
    assert all(one.pnl == sum(group.pnl for group in one.groups) for one in told.scenarios)


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"mr10": {}}, "mr10"),
        ({"classes": {"majors": {"underlyings": ["BTC"]}}}, "classes.majors.underlyings"),
        ({"classes": {"default": {"moves": ["0.2", "0.1"]}}}, "classes.default.moves"),
        ({"classes": {"default": {"underlyings": ["BTC"]}}}, "classes.default.underlyings"),
        ({"volatility": {"points": ["0.3"]}}, "volatility.points"),
        ({"rates": {"components": [[1, 2]]}}, r"rates.components\[0\]"),
        ({"depeg": {"tiers": [{"to": 5, "rate": 1}]}}, r"depeg.tiers\[0\].to"),
        ({"minimum": {"tiers": [{"to": 5, "rate": 1}, {"to": 4, "rate": 1}, {"rate": 1}]}}, r"minimum.tiers\[1\].to"),
        ({"factors": {"initial": "0.9"}}, "factors.initial"),
    ],
)
def test_a_wrong_profile_is_named(overrides: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError, match=path):
        profile("okx_pm", overrides)
