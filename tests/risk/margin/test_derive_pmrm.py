"""Derive's portfolio margin: by hand, against a second implementation straight from the published formulas, and what
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
from risk.margin.book import AssetQuote, Expiry, Holding, Instrument, Kind, Market, Portfolio, Position, Svi, Underlying
from risk.margin.exact import as_float, exactly
from risk.margin.valuing import NotInMarket
from schemas.strict import TomlError

PROFILES = ("derive_pmrm2", "derive_pmrm2_mainnet", "derive_pmrm2_test", "derive_pmrm1")
DAY_30 = NOW + 30 * DAY
YEARS_30 = 30 / 365


# -- the second implementation: position by position, plain floats, the formulas as they are published ------------


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def black(call: bool, forward: float, strike: float, vol: float, tau: float, discount: float) -> float:
    tv = vol * math.sqrt(tau)
    if tv == 0:
        return max(forward - strike if call else strike - forward, 0.0) * discount
    if tv >= 24:
        return (forward if call else strike) * discount
    m = strike / forward
    d1 = -math.log(m) / tv + tv / 2
    d2 = d1 - tv
    if call:
        return (phi(d1) - m * phi(d2)) * forward * discount
    return (m * phi(-d2) - phi(-d1)) * forward * discount


def svi_vol(s: Svi, strike: float) -> float:
    wing = 4 * math.sqrt(s.a + s.b * s.sigma)
    k = min(max(math.log(strike / s.forward), -wing), wing)
    w = min(s.a + s.b * (math.sqrt((k - s.m) ** 2 + s.sigma**2) + s.rho * (k - s.m)), 144)
    return math.sqrt(w / s.tau)


def shocked_vol(p: Any, direction: str, vol: float, strike: float, forward: float, secs: float) -> float:
    v, k = p["volatility"], p["skew"]
    tau = secs / (365 * 86400)
    power = v["short_power"] if secs <= 30 * 86400 else v["long_power"]
    x = (30 * 86400 / max(secs, v["floor_days"] * 86400)) ** power
    if direction == "up":
        return max(v["least_up"], vol * (1 + v["up"] * x))
    if direction == "down":
        return vol * max(0, 1 - v["down"] * x)
    if direction == "none":
        return vol
    log = math.log(strike / forward)
    cap = k["cap_slope"] * math.sqrt(tau) + k["linear_cap"]
    if direction == "abs":
        log, cap = abs(log), k["cap_slope"] * math.sqrt(tau) + k["abs_cap"]
    star = max(k["least_width"], math.sqrt(tau) * k["width"] * (k["width_static"] + math.sqrt(tau) * k["width_slope"]))
    mult = 1 + min(cap, log * cap / star) if log >= 0 else 1 + max(-cap, log * cap / star)
    return vol * max(mult, 0)


def slow(p: Any, portfolio: Portfolio, market: Market) -> tuple[float, float, float]:
    """Initial requirement, maintenance requirement, equity: margin(isInitial) of the publication, turned round."""
    stable = market.settlement_price
    im_factor = p["factors"]["initial"] + max(p["peg"]["threshold"] - stable, 0) * p["peg"]["factor"]
    mm_factor = p["factors"]["maintenance"]
    scaled, discounting = p["factors"].get("scale_contingencies", False), p["marks"]["discounted"]
    conf = p["oracle"]
    mtm, total_min, mm_cont, im_cont, inside = 0.0, 0.0, 0.0, 0.0, 0.0

    def doubt(confidence: float, notional: float) -> float:
        return (1 - confidence) * conf["charge"] * notional if confidence < conf["threshold"] else 0.0

    held = []
    for one in portfolio.collateral:
        quote = market.assets[one.asset]
        cut = p["haircuts"]["default"]
        mm_rate = cut["maintenance"] if quote.haircut_maintenance is None else quote.haircut_maintenance
        im_rate = cut["initial_extra"] if quote.haircut_initial_extra is None else quote.haircut_initial_extra
        value = float(one.amount) * quote.price / stable
        held.append((quote, value))
        mtm += value
        if scaled:
            inside += abs(value) * (mm_rate + im_rate)
        else:
            mm_cont += abs(value) * mm_rate
            im_cont += abs(value) * im_rate
        sure = quote.confidence
        if quote.offsets:
            sure = min(sure, market.underlyings[quote.offsets].confidence)
        im_cont += doubt(sure, abs(value))

    for name, one in market.underlyings.items():
        mine = [(x.instrument, float(x.quantity), x) for x in portfolio.positions if x.instrument.underlying == name]
        backing = sum(value for quote, value in held if quote.offsets == name)
        perps = [(q, x) for i, q, x in mine if i.kind == Kind.PERP]
        for q, x in perps:
            mtm += q * (one.perp - float(x.entry_price)) + float(x.funding)
        expiries = sorted({i.expiry for i, _, _ in mine if i.kind != Kind.PERP})

        def value_at(expiry: int, spot: float, direction: str, mine=mine, one=one) -> tuple[float, float]:
            """Options' and futures' worth of an expiry."""
            e = one.expiries[expiry]
            secs = (expiry - NOW) / 1e6
            tau = secs / (365 * 86400)
            discount = math.exp(-max(e.rate, 0) * tau) if discounting else 1.0
            fixed, variable = 0.0, e.forward
            if secs < 1800:
                fixed, variable = e.forward * (1800 - secs) / 1800, e.forward * secs / 1800
            forward = variable * spot + fixed
            options, futures = 0.0, 0.0
            for i, q, _ in mine:
                if i.expiry != expiry or i.kind == Kind.PERP:
                    continue
                if i.kind == Kind.FUTURE:
                    futures += q * forward
                    continue
                vol = shocked_vol(p, direction, svi_vol(e.smile, i.strike), i.strike, e.forward, secs)
                options += q * black(i.call, forward, i.strike, vol, tau, discount)
            return options, futures

        lowest = math.inf
        for row in p["scenarios"]:
            s, direction, d = row["spot"], row["volatility"], row.get("dampening", 1.0)
            pnl = d * (sum(q for q, _ in perps) * one.perp * (s - 1) + (s - 1) * backing)
            for expiry in expiries:
                tau, rate = (expiry - NOW) / 1e6 / (365 * 86400), max(one.expiries[expiry].rate, 0)
                now_options, now_futures = value_at(expiry, 1.0, "none")
                options, futures = value_at(expiry, s, direction)
                lo, sh = p["discount"]["long"], p["discount"]["short"]
                if options >= 0:
                    scale = lo["base"] * math.exp(-tau * (rate * lo["rate_multiple"] + lo["add"]))
                else:
                    scale = sh["base"] * math.exp(tau * (rate * sh["rate_multiple"] + sh["add"]))
                    scale = min(math.exp(rate * tau) if discounting else 1.0, scale)
                gain = (options * scale - now_options) * d
                if direction in ("linear", "abs"):
                    gain = -abs(gain)
                pnl += gain + (futures - now_futures) * d
            lowest = min(lowest, pnl)
        basis = 0.0
        for expiry in expiries:
            tau = (expiry - NOW) / 1e6 / (365 * 86400)
            here = sum(value_at(expiry, 1.0, "none"))
            worse = min(
                sum(value_at(expiry, p["basis"]["up"], "none")) - here,
                sum(value_at(expiry, p["basis"]["down"], "none")) - here,
                0.0,
            )
            basis += worse * (p["basis"]["add"] + p["basis"]["multiple"] * tau)
        total_min += min(basis, lowest)

        linear = sum(abs(q) for i, q, _ in mine if i.kind != Kind.OPTION) * one.spot
        short = 0.0
        for expiry in expiries:
            for strike in {i.strike for i, _, _ in mine if i.expiry == expiry and i.kind == Kind.OPTION}:
                same = [
                    (i, q) for i, q, _ in mine if i.expiry == expiry and i.strike == strike and i.kind == Kind.OPTION
                ]
                calls, puts = sum(q for i, q in same if i.call), sum(q for i, q in same if not i.call)
                if calls * puts < 0:
                    short += max(-min(calls, puts) - max(calls, puts), 0)
                else:
                    short += -min(calls, 0) - min(puts, 0)
        for size, rate in ((linear, p["perp"]), (short * one.spot, p["option"])):
            if scaled:
                inside += size * (rate["maintenance"] + rate["initial_extra"])
            else:
                mm_cont += size * rate["maintenance"]
                im_cont += size * rate["initial_extra"]
        im_cont += doubt(min(one.confidence, one.perp_confidence), sum(abs(q) for q, _ in perps) * one.spot)
        for expiry in expiries:
            e = one.expiries[expiry]
            sure = min(one.confidence, e.confidence, e.rate_confidence, e.volatility_confidence)
            im_cont += doubt(sure, sum(abs(q) for i, q, _ in mine if i.expiry == expiry) * one.spot)
            mtm += value_at(expiry, 1.0, "none")[0]
        for i, q, x in mine:
            if i.kind == Kind.FUTURE:
                mtm += q * (one.expiries[i.expiry].forward - float(x.entry_price)) + float(x.funding)
    cash = float(portfolio.cash)
    initial = (total_min - inside) * im_factor - mm_cont - im_cont + mtm + cash
    maintenance = (total_min - inside) * mm_factor - mm_cont + mtm + cash
    return mtm + cash - initial, mtm + cash - maintenance, mtm + cash


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_it_is_what_the_published_formulas_give(name: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    told = profile(name).assess(portfolio, market, as_float)
    found = (float(told.initial), float(told.maintenance), float(told.equity))
    assert found == pytest.approx(slow(figures(name), portfolio, market), rel=1e-9, abs=1e-5)


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_exact_and_float_agree_to_the_quantum(name: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    exact, floating = (profile(name).assess(portfolio, market, fact) for fact in (exactly, as_float))
    for one in ("initial", "maintenance", "equity", "mark_to_market"):
        assert abs(getattr(exact, one) - Fraction(getattr(floating, one))) <= Fraction(1, 10**6)


# -- by hand ------------------------------------------------------------------------------------------------------


def flat(spot: float = 100_000.0, volatility: float = 0.6, ahead: int = 30 * DAY, **changes: Any) -> Market:
    """BTC with one expiry, no rate, one volatility for all strikes, a dollar that is a dollar."""
    expiry = Expiry(NOW + ahead, spot, 0.0, smile={spot: volatility})
    market = Market(NOW, "USDC", 1.0, {"BTC": Underlying(spot, expiries={NOW + ahead: expiry})})
    return replace(market, **changes)


def perp(quantity: str) -> Position:
    return Position(Instrument(Kind.PERP, "BTC"), Fraction(quantity), Fraction(100_000))


def option(quantity: str, strike: float, call: bool, ahead: int = 30 * DAY) -> Position:
    return Position(Instrument(Kind.OPTION, "BTC", NOW + ahead, strike, call), Fraction(quantity))


def asked(
    name: str, positions: tuple[Position, ...], market: Market, collateral: tuple[Holding, ...] = (), **changes: Any
) -> Assessment:
    return profile(name, changes).assess(Portfolio("A-1", Fraction(0), collateral, positions), market, exactly)


def charges(told: Assessment) -> dict[str, tuple[float, float]]:
    return {one.name: (float(one.initial), float(one.maintenance)) for one in told.add_ons}


def test_a_perp() -> None:
    told = asked("derive_pmrm2", (perp("2"),), flat())
    # of -18 % x 200,000 and the tails, the worst is -0.66 x 0.21 = -13.86 %, -0.33 x 0.42 = -13.86 %: -18 % it is
    assert told.worst_initial == "BTC -18% vol up"
    assert told.scenarios[-1].id == "BTC basis" and told.scenarios[-1].pnl == 0
    # 36,000 + (3 % + 1 %) x 200,000; maintenance 0.8 x 36,000 + 3 % x 200,000
    assert (told.initial, told.maintenance) == (44_000, 34_800)
    assert charges(told) == {"BTC perp": (8_000.0, 6_000.0)}
    # a short one loses by 5 x 0.02772 = 13.86 % of itself at six times the price, no more than 18 %
    assert asked("derive_pmrm2", (perp("-2"),), flat()).initial == 44_000


def test_a_tail_counts_dampened() -> None:
    tails = {one.id: one.pnl for one in asked("derive_pmrm2", (perp("-1"),), flat()).scenarios}
    assert tails["BTC +500% vol up"] == -100_000 * 5 * Fraction("0.02772")
    assert tails["BTC +50% vol up"] == -100_000 * Fraction("0.5") * Fraction("0.2772")


def test_the_first_version_scales_its_charges() -> None:
    told = asked("derive_pmrm1", (perp("2"),), flat())
    # 15 % x 200,000 + 2 % x 200,000 = 34,000 lie inside; initial 1.3 times that
    assert (told.initial, told.maintenance) == (44_200, 34_000)


def test_a_call_sold() -> None:
    told = asked("derive_pmrm2", (option("-1", 100_000.0, True),), flat())
    mark = black(True, 100_000, 100_000, 0.6, YEARS_30, 1.0)
    # at 30 days the factor of the shock is 1: volatility 0.6 x 1.5 = 0.9; forward 118,000. What is owed grows by 1.05
    # exp(0.16 x 30/365), held to 1 / discount = 1 (the rate is zero)
    moved = black(True, 118_000, 100_000, 0.9, YEARS_30, 1.0)
    assert told.worst_initial == "BTC +18% vol up"
    loss = moved - mark
    # naked: 0.3 % and 0.2 % of the spot
    assert float(told.initial) == pytest.approx(loss + 500, abs=1e-6)
    assert float(told.maintenance) == pytest.approx(0.8 * loss + 300, abs=1e-6)
    assert float(told.mark_to_market) == pytest.approx(-mark, abs=1e-6)
    assert told.legs[0].forward_in_worst == pytest.approx(118_000)
    assert told.legs[0].volatility_in_worst == pytest.approx(0.9)


def test_a_call_bought_is_discounted_and_costs_no_more_than_its_value() -> None:
    told = asked("derive_pmrm2", (option("1", 100_000.0, True),), flat())
    mark = black(True, 100_000, 100_000, 0.6, YEARS_30, 1.0)
    # worst is down 13.5 %, volatility x 0.7 (the -18 % has volatility up); 0.95 exp(-0.16 x 30/365) of it counts
    moved = black(True, 86_500, 100_000, 0.42, YEARS_30, 1.0) * 0.95 * math.exp(-0.16 * YEARS_30)
    assert told.worst_initial == "BTC -13.5% vol down"
    assert float(told.initial) == pytest.approx(mark - moved, abs=1e-6)
    assert told.initial <= told.mark_to_market


def test_the_file_as_it_is_makes_what_is_bought_worth_more() -> None:
    both = [asked(name, (option("1", 50_000.0, True),), flat()).initial for name in PROFILES[:2]]
    assert both[1] < both[0]


@pytest.mark.parametrize(
    ("days", "direction", "volatility", "expected"),
    [
        # (30/30)^.3 = 1
        (30, "up", 0.6, 0.9),
        (30, "down", 0.6, 0.42),
        # (30/7.5)^.3 = 1.5157: 0.6 x (1 + .5 x 1.5157)
        (7.5, "up", 0.6, 0.6 * (1 + 0.5 * 4**0.3)),
        # past thirty days the other power: (30/120)^.13
        (120, "down", 0.6, 0.6 * (1 - 0.3 * 0.25**0.13)),
        # below one day the floor: 30^.3
        (0.5, "up", 0.6, 0.6 * (1 + 0.5 * 30**0.3)),
        # 0.2 x 1.5 = 0.3 is below the least
        (30, "up", 0.2, 0.4),
        # 1 - 0.3 x 30^.3 = 0.168
        (0.5, "down", 0.6, 0.6 * (1 - 0.3 * 30**0.3)),
    ],
)
def test_shocks_of_volatility(days: float, direction: str, volatility: float, expected: float) -> None:
    ahead = round(days * DAY)
    market = flat(volatility=volatility, ahead=ahead)
    only_one = [{"spot": 1, "volatility": direction}]
    quantity = "-1" if direction == "up" else "1"
    told = asked("derive_pmrm2", (option(quantity, 100_000.0, True, ahead),), market, scenarios=only_one)
    moved = next(one for one in told.scenarios if one.id == f"BTC +0% vol {direction}")
    years = days / 365
    scale = 1.0 if direction == "up" else 0.95 * math.exp(-0.16 * years)
    sign = float(quantity)
    mark, shocked = (black(True, 1e5, 1e5, one, years, 1.0) for one in (volatility, expected))
    assert float(moved.pnl) == pytest.approx(sign * (shocked * scale - mark), abs=1e-6)


def test_a_skew_takes_the_same_either_way() -> None:
    market = flat()
    strike = 120_000.0
    bought, sold = (asked("derive_pmrm2", (option(one, strike, True),), market) for one in ("1", "-1"))
    # k = ln 1.2 = 0.18232; width = sqrt(30/365) x 4 x 0.6 = 0.688062; cap = 0.25 - 0.1 x 0.286691 = 0.221331;
    # the volatility is multiplied by 1 + 0.18232 x 0.221331 / 0.688062 = 1.058648
    root = math.sqrt(YEARS_30)
    multiple = 1 + math.log(1.2) * (0.25 - 0.1 * root) / (root * 4 * 0.6)
    assert multiple == pytest.approx(1.058648, abs=1e-6)
    mark, moved = (black(True, 1e5, strike, 0.6 * one, YEARS_30, 1.0) for one in (1.0, multiple))
    pnl = {one.id: float(one.pnl) for one in sold.scenarios}
    assert pnl["BTC skew linear"] == pnl["BTC skew abs"] == pytest.approx(mark - moved, abs=1e-6)
    pnl = {one.id: float(one.pnl) for one in bought.scenarios}
    scaled = moved * 0.95 * math.exp(-0.16 * YEARS_30)
    assert pnl["BTC skew linear"] == pytest.approx(-abs(scaled - mark), abs=1e-6)


def test_below_the_forward_the_two_skews_part() -> None:
    pnl = {one.id: float(one.pnl) for one in asked("derive_pmrm2", (option("-1", 80_000.0, False),), flat()).scenarios}
    root = math.sqrt(YEARS_30)
    bend = math.log(1.25) * (0.25 - 0.1 * root) / (root * 4 * 0.6)
    mark, less, more = (black(False, 1e5, 8e4, 0.6 * one, YEARS_30, 1.0) for one in (1.0, 1 - bend, 1 + bend))
    assert pnl["BTC skew linear"] == pytest.approx(-abs(mark - less), abs=1e-6)
    assert pnl["BTC skew abs"] == pytest.approx(mark - more, abs=1e-6)


@pytest.mark.parametrize(
    ("strike", "linear", "absolute"),
    [
        # ln 0.4 = -0.916 and ln 2.5 = 0.916 lie past the width, 0.688: the tilt stops at the cap, 0.25 - 0.1 x 0.286691
        (40_000.0, -1, 1),
        (250_000.0, 1, 1),
    ],
)
def test_a_skew_stops_at_its_cap(strike: float, linear: int, absolute: int) -> None:
    told = asked("derive_pmrm2", (option("-1", strike, strike > 1e5),), flat(volatility=2.0))
    pnl = {one.id: float(one.pnl) for one in told.scenarios}
    cap = 0.25 - 0.1 * math.sqrt(YEARS_30)
    for name, sign in (("linear", linear), ("abs", absolute)):
        mark, moved = (black(strike > 1e5, 1e5, strike, one, YEARS_30, 1.0) for one in (2.0, 2.0 * (1 + sign * cap)))
        assert pnl[f"BTC skew {name}"] == pytest.approx(-abs(moved - mark), abs=1e-6)


def test_the_basis_decides_where_the_spot_does_not() -> None:
    # a call bought and a put sold are a forward: against a perp sold, no move of both costs anything but the basis
    positions = (option("1", 100_000.0, True), option("-1", 100_000.0, False), perp("-1"))
    calm = [{"spot": "1.135", "volatility": "none"}, {"spot": "0.865", "volatility": "none"}]
    plain = {"long": {"base": 1, "add": 0}, "short": {"base": 1, "add": 0}}
    told = asked("derive_pmrm2", positions, flat(), scenarios=calm, discount=plain)
    assert told.worst_initial == "BTC basis"
    # 4.5 % x 100,000 x (0.5 + 2 x 30/365)
    loss = 4_500 * (0.5 + 2 * YEARS_30)
    assert float(-told.scenarios[-1].pnl) == pytest.approx(loss, abs=1e-6)
    # the put is covered by the call at its strike, the perp is charged 3 % + 1 %
    assert float(told.initial) == pytest.approx(loss + 4_000, abs=1e-6)
    assert float(told.maintenance) == pytest.approx(0.8 * loss + 3_000, abs=1e-6)
    assert sum(one.pnl_in_worst for one in told.legs) == told.scenarios[-1].pnl


def test_in_the_last_half_hour_part_of_the_settlement_price_is_known() -> None:
    # ten minutes before: two thirds are fixed, 18 % on a third of the forward is 6 %
    ahead = 10 * 60 * 10**6
    market = flat(ahead=ahead)
    rows = [{"spot": "1.18", "volatility": "none"}]
    told = asked("derive_pmrm2", (option("-1", 50_000.0, True, ahead),), market, scenarios=rows)
    assert float(-told.scenarios[0].pnl) == pytest.approx(6_000, abs=1e-3)


def test_a_discounted_option_by_hand() -> None:
    market = flat()
    expiry = replace(market.underlyings["BTC"].expiries[DAY_30], rate=0.2)
    market = replace(market, underlyings={"BTC": replace(market.underlyings["BTC"], expiries={DAY_30: expiry})})
    discount = math.exp(-0.2 * YEARS_30)
    sold = option("-1", 100_000.0, True)
    told = asked("derive_pmrm2", (sold,), market)
    mark = black(True, 1e5, 1e5, 0.6, YEARS_30, discount)
    # min(1 / discount = 1.016575, 1.05 exp(0.16 x 30/365) = 1.063900): the debt is undone of its discount
    moved = black(True, 118_000, 1e5, 0.9, YEARS_30, discount) / discount
    assert float(told.initial) == pytest.approx(moved - mark + 500, abs=1e-6)
    assert float(asked("derive_pmrm1", (sold,), market).mark_to_market) == pytest.approx(-mark / discount, abs=1e-6)
    # a rate below zero is none
    negative = replace(expiry, rate=-0.2)
    market = replace(market, underlyings={"BTC": replace(market.underlyings["BTC"], expiries={DAY_30: negative})})
    assert float(asked("derive_pmrm2", (sold,), market).mark_to_market) == pytest.approx(-mark / discount, abs=1e-6)


@pytest.mark.parametrize(
    ("calls", "puts", "naked"),
    [
        ("-2", "-3", 5),
        ("-2", "3", 0),
        ("-5", "3", 2),
        ("2", "-3", 1),
        ("2", "3", 0),
    ],
)
def test_naked_shorts(calls: str, puts: str, naked: int) -> None:
    told = asked("derive_pmrm2", (option(calls, 1e5, True), option(puts, 1e5, False)), flat())
    found = charges(told).get("BTC naked short options", (0.0, 0.0))
    assert found == (pytest.approx(naked * 500.0), pytest.approx(naked * 300.0))


def test_collateral_that_cancels_risk_moves_and_other_does_not() -> None:
    market = flat(
        assets={
            "LBTC": AssetQuote(99_000.0, 1.0, "BTC", 0.03, 0.015),
            "SUSD": AssetQuote(1.1, 1.0, None, 0.02, 0.01),
        }
    )
    held = (Holding("LBTC", Fraction(1)), Holding("SUSD", Fraction(1_000)))
    told = asked("derive_pmrm2", (perp("-1"),), market, held)
    # up 18 % the perp loses 18,000 and the coin gains 17,820
    pnl = {one.id: one.pnl for one in told.scenarios}
    assert pnl["BTC +18% vol up"] == -18_000 + 17_820
    # haircuts: 3 % and 1.5 % of 99,000, 2 % and 1 % of 1,100; worst is 500 % x 0.02772 x 1,000 = 138.6 less than 180
    assert charges(told) == {
        "BTC perp": (4_000.0, 3_000.0),
        "LBTC haircut": (pytest.approx(4_455.0), pytest.approx(2_970.0)),
        "SUSD haircut": (pytest.approx(33.0), pytest.approx(22.0)),
    }
    assert told.initial == 180 + 4_000 + 4_455 + 33
    assert told.equity == 99_000 + 1_100
    assert [(one.asset, one.haircut) for one in told.collateral] == [("LBTC", 4_455), ("SUSD", 33)]


def test_an_unsure_oracle_raises_initial_margin_alone() -> None:
    sure = flat()
    one = sure.underlyings["BTC"]
    unsure = replace(sure, underlyings={"BTC": replace(one, perp_confidence=0.5)})
    before, after = (asked("derive_pmrm2", (perp("2"),), market) for market in (sure, unsure))
    # below 0.55: (1 - 0.5) x 1 x 200,000
    assert (after.initial - before.initial, after.maintenance) == (100_000, before.maintenance)
    edge = replace(sure, underlyings={"BTC": replace(one, perp_confidence=0.55)})
    assert asked("derive_pmrm2", (perp("2"),), edge).initial == before.initial
    # an option asks its own expiry's feeds
    shaky = replace(one.expiries[DAY_30], volatility_confidence=0.4)
    market = replace(sure, underlyings={"BTC": replace(one, expiries={DAY_30: shaky})})
    found = charges(asked("derive_pmrm2", (option("-1", 1e5, True), option("3", 9e4, False)), market))
    assert found["BTC oracle confidence"] == (pytest.approx(0.6 * 4 * 100_000), 0.0)
    assert "BTC oracle confidence" not in charges(asked("derive_pmrm2", (perp("1"),), market))


def test_a_dollar_below_its_peg_raises_initial_margin_alone() -> None:
    # 0.99 - 0.95 = 0.04, x 4 = 0.16 more of the worst scenario's 36,000
    told = asked("derive_pmrm2", (perp("2"),), flat(settlement_price=0.95))
    assert (told.initial, told.maintenance) == (44_000 + 5_760, 34_800)
    assert charges(told)["stable depeg"] == (5_760.0, 0.0)


def test_it_settles_in_no_coin() -> None:
    with pytest.raises(NotInMarket, match="settlement"):
        asked("derive_pmrm2", (perp("1"),), flat(settlement="BTC", settlement_price=100_000.0))


# -- what must hold -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_twice_the_book_takes_twice_the_margin(name: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    twice = replace(
        portfolio,
        positions=tuple(replace(one, quantity=2 * one.quantity) for one in portfolio.positions),
        collateral=tuple(replace(one, amount=2 * one.amount) for one in portfolio.collateral),
    )
    one, two = (profile(name).assess(book, market, exactly) for book in (portfolio, twice))
    assert (two.initial, two.maintenance) == (2 * one.initial, 2 * one.maintenance)


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_parts_add_up(name: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    told = profile(name).assess(portfolio, market, exactly)
    assert told.initial >= told.maintenance >= 0
    rules = figures(name)["factors"]
    worst = next((one.pnl for one in told.scenarios if one.id == told.worst_initial), Fraction(0))
    assert all(one.pnl == sum(group.pnl for group in one.groups) for one in told.scenarios)
    assert told.initial == -worst * Fraction(str(rules["initial"])) + sum(one.initial for one in told.add_ons)
    backing = {one.asset: one.value for one in told.collateral if market.assets[one.asset].offsets}
    if not backing:
        assert sum(leg.pnl_in_worst for leg in told.legs) == worst


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_option_bought_costs_no_more_than_its_value(data: st.DataObject) -> None:
    """With sure feeds and a sound dollar: the options' stated factors are for what is sold. The skew's sign aside, what
    an option can lose is all of it; a tilt that doubles what it is worth is charged as a loss, and the least volatility
    of a shock up can do so to one that has none."""
    portfolio = data.draw(portfolios(kinds=(Kind.OPTION,)))
    if not portfolio.positions:
        return
    bought = replace(portfolio.positions[0], quantity=abs(portfolio.positions[0].quantity))
    market = replace(data.draw(markets()), settlement_price=1.0)
    sure = {
        name: replace(
            one,
            confidence=1.0,
            expiries={
                time: replace(point, confidence=1.0, rate_confidence=1.0, volatility_confidence=1.0)
                for time, point in one.expiries.items()
            },
        )
        for name, one in market.underlyings.items()
    }
    told = profile("derive_pmrm2").assess(
        Portfolio("A-1", positions=(bought,)), replace(market, underlyings=sure), exactly
    )
    skew = max((-one.pnl for one in told.scenarios if "skew" in one.id), default=Fraction(0))
    assert told.initial <= max(told.mark_to_market, skew)


@pytest.mark.parametrize("name", PROFILES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_more_scenarios_never_lower_the_margin(name: str, data: st.DataObject) -> None:
    market, portfolio = data.draw(markets()), data.draw(portfolios())
    rows = figures(name)["scenarios"]
    kept = data.draw(
        st.lists(st.sampled_from(rows), min_size=1, unique_by=lambda row: (row["spot"], row["volatility"]))
    )
    few, all_of_them = (profile(name, {"scenarios": one}).assess(portfolio, market, exactly) for one in (kept, rows))
    assert few.initial <= all_of_them.initial
    assert few.maintenance <= all_of_them.maintenance


HUNDREDTHS = st.integers(1, 500).map(lambda n: Fraction(n, 100))


@settings(max_examples=40, deadline=None)
@given(size=HUNDREDTHS, part=st.integers(1, 100).map(lambda n: Fraction(n, 100)), sign=st.sampled_from([1, -1]))
def test_a_hedge_costs_no_more_than_its_own_charge(size: Fraction, part: Fraction, sign: int) -> None:
    """A future against a perp, a perp against a coin held: the scan falls, 4 % of the hedge is added."""
    market = flat(assets={"BTC": AssetQuote(100_000.0, 1.0, "BTC", 0.03, 0.015)})
    charge = Fraction(4, 100) * size * part * 100_000
    future = Position(Instrument(Kind.FUTURE, "BTC", DAY_30), -sign * size * part, Fraction(100_000))
    held = replace(perp("1"), quantity=sign * size)
    alone, hedged = (asked("derive_pmrm2", book, market) for book in ((held,), (held, future)))
    assert hedged.initial <= alone.initial + charge
    assert -hedged.scenarios[0].pnl <= abs(alone.scenarios[0].pnl)
    coins = (Holding("BTC", size),)
    short = replace(perp("1"), quantity=-size * part)
    alone, hedged = (asked("derive_pmrm2", book, market, coins) for book in ((), (short,)))
    assert hedged.initial <= alone.initial + charge


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"colour": 1}, "colour"),
        ({"scenarios": []}, "scenarios"),
        ({"scenarios": [{"spot": 1, "volatility": "sideways"}]}, r"scenarios\[0\].volatility"),
        ({"scenarios": [{"spot": "1.1", "volatility": "abs"}]}, r"scenarios\[0\].spot"),
        ({"scenarios": [{"spot": 1, "volatility": "up"}] * 2}, r"scenarios\[1\]"),
        ({"scenarios": [{"spot": 1, "volatility": "up", "weight": 1}]}, r"scenarios\[0\].weight"),
        ({"factors": {"initial": "0.7"}}, "factors.initial"),
        ({"skew": {"depth": 1}}, "skew.depth"),
        ({"haircuts": {"BTC": {"maintenance": 2, "initial_extra": 0}}}, "haircuts.BTC.maintenance"),
        ({"discount": {"long": {"base": "three"}}}, "discount.long.base"),
    ],
)
def test_a_wrong_profile_is_named(overrides: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError, match=path):
        profile("derive_pmrm2", overrides)
