"""How crypto-span counts collateral, gains and closing costs: hand-worked figures, and what holds of any amount."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import margins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.collateral.pools import Pool
from risk.collateral.staked import Bond
from risk.liquidity import points
from risk.margin.answer import Assessment, CollateralAnswer
from risk.margin.book import (
    AssetQuote,
    Expiry,
    Holding,
    Instrument,
    Kind,
    Market,
    Portfolio,
    Position,
    Strike,
    Underlying,
)
from risk.margin.exact import as_float, exactly
from risk.margin.model import Calculator
from risk.margin.policy import calculator
from schemas.strict import TomlError

PROFILE = (Path(__file__).parents[3] / "risk" / "margin" / "profiles" / "crypto_span.toml").read_text()
MONTH = margins.NOW + 30 * margins.DAY
TERMS = "collateral_terms"
NO_BASIS = {"perp": 0, "least": 0, "annualised": 0, "spread": 0}
NO_LIQUIDITY = {"rate": 0, "impact": 0, "option": 0}


def profile(**over: Any) -> Calculator:
    return calculator(PROFILE, over)


PLAIN = profile()
BARE = profile(basis=NO_BASIS, liquidity=NO_LIQUIDITY)
UNCUT = {"haircuts": {"default": {"maintenance": 0, "initial_extra": 0}}}


PLAIN_QUOTE = AssetQuote(1.0)


def market(quote: AssetQuote = PLAIN_QUOTE, price: float = 1.0, **btc: Any) -> Market:
    """One coin at 100,000 with a month's expiry; the asset is called GOV."""
    expiry = Expiry(MONTH, 100_000.0, smile={100_000.0: 0.5}, strikes=btc.pop("strikes", {}))
    return Market(
        margins.NOW,
        "USDC",
        price,
        {"BTC": Underlying(100_000.0, expiries={MONTH: expiry}, **btc)},
        {"GOV": quote},
        {("BTC", "GOV"): 0.9},
    )


def perp(quantity: float) -> Position:
    return Position(Instrument(Kind.PERP, "BTC"), Fraction(quantity))


def call(quantity: float) -> Position:
    return Position(Instrument(Kind.OPTION, "BTC", MONTH, 100_000.0, call=True), Fraction(quantity))


def book(amount: float | Fraction, *positions: Position, owner: str = "") -> Portfolio:
    return Portfolio("A-1", collateral=(Holding("GOV", Fraction(amount)),), positions=positions, owner=owner)


def counted(
    quote: AssetQuote, amount: float = 1_000.0, model: Calculator | None = None, **more: Any
) -> CollateralAnswer:
    one = profile(**UNCUT) if model is None else model
    return one.assess(book(amount, **more), market(quote), exactly).collateral[0]


def cut(quote: AssetQuote, amount: float = 1_000.0, model: Calculator | None = None) -> float:
    told = counted(quote, amount, model)
    return float(told.haircut / told.value)


def charge(told: Assessment, name: str) -> float:
    return float(next(one.initial for one in told.add_ons if one.name == name))


def test_static_haircut_where_the_market_says_no_more() -> None:
    told = counted(AssetQuote(1.0), model=PLAIN)
    assert (told.haircut, told.haircut_maintenance) == (1_000, 500)


def test_a_dynamic_haircut_by_hand() -> None:
    """Two deviations of 90 % a year over the profile's day: 1 - exp(-1.8 / root(365)) = 8.9914 % -> 900 points; three
    quarters of the deviations for maintenance: 6.8242 % -> 683. A static haircut that is larger holds."""
    told = counted(AssetQuote(1.0, volatility=0.9))
    assert (float(told.haircut), float(told.haircut_maintenance)) == (90.0, 68.3)
    assert points(1 - math.exp(-1.8 / math.sqrt(365))) == 900
    held = counted(AssetQuote(1.0, volatility=0.9, haircut_maintenance=0.05, haircut_initial_extra=0.1))
    assert (float(held.haircut), float(held.haircut_maintenance)) == (150.0, 68.3)


def test_the_cost_of_selling_by_hand() -> None:
    """A million of what moves by 2 % at four: 1 %."""
    assert cut(AssetQuote(1.0, depth=4e6), 1e6) == pytest.approx(0.01)
    assert cut(AssetQuote(1.0, depth=4e6, volatility=0.9), 1e6) == pytest.approx(1 - 0.91 * 0.99)


def test_staked_collateral_waits() -> None:
    """One day's window, 21 days to unbond, 1 % penalty, 5 % a year; the waiting is rounded up to whole points."""
    lost = 1 - 0.99 * math.exp(-0.05 * 21 / 365) * math.exp(-1.8 * (math.sqrt(22 / 365) - math.sqrt(1 / 365)))
    quote = AssetQuote(1.0, volatility=0.9, bond=Bond(21, 0.01, 0.05))
    assert cut(quote) == pytest.approx(1 - (1 - points(lost) / 1e4) * (1 - 0.09))


@pytest.mark.parametrize(
    ("price", "initial"),
    [(1.0, 1_000.0), (1.25, 1_000.0), (0.97, 970 * 0.96), (0.4, 0.0)],
)
def test_a_stable_coin_off_its_peg(price: float, initial: float) -> None:
    """Above the peg no more than the peg; at .97 the price, and 2 x (.99 - .97) of it less."""
    told = counted(AssetQuote(price, peg=1.0))
    assert float(told.value - told.haircut) == pytest.approx(initial)


def test_limits_by_hand() -> None:
    """10 million count whole, 20 by half, 20 by a quarter; past them nothing. Of the house's 100 million 75 count."""
    assert counted(AssetQuote(1.0), 60e6).value == 60 * 10**6
    for amount, counts in ((10e6, 10e6), (20e6, 15e6), (60e6, 25e6), (90e6, 25e6)):
        told = counted(AssetQuote(1.0), amount)
        assert float(told.value - told.haircut) == pytest.approx(counts)
    shared = counted(AssetQuote(1.0, held=100e6), 4e6)
    assert float(shared.value - shared.haircut) == pytest.approx(3e6)


def test_the_owners_own_token_is_refused_by_name() -> None:
    quote = AssetQuote(1.0, issuer="ACME")
    told = PLAIN.assess(book(1_000, owner="ACME"), market(quote), exactly)
    assert told.collateral[0].haircut == told.collateral[0].haircut_maintenance == told.equity == 1_000
    assert told.notes == ("GOV: wrong-way collateral refused, issued by the account's own owner",)
    assert counted(quote, owner="other").haircut == 0


@pytest.mark.parametrize(
    ("position", "offsets", "refused"),
    [(perp(1), None, True), (perp(-1), None, False), (call(-1), None, False), (perp(1), "BTC", False)],
)
def test_what_falls_with_the_book_is_refused(position: Position, offsets: str | None, refused: bool) -> None:
    """At a correlation of .9 with BTC: of a book long of BTC, unless it is in the scan with it."""
    model = profile(**UNCUT)
    told = model.assess(book(1_000, position), market(AssetQuote(1.0, offsets=offsets)), exactly)
    assert (told.collateral[0].haircut == 1_000) == refused
    assert any("wrong-way" in note for note in told.notes) == refused


def test_what_the_scan_moves_is_not_refused_beside_what_it_does_not() -> None:
    at = market(AssetQuote(1.0, offsets="BTC"))
    at = replace(at, assets={**at.assets, "USDX": AssetQuote(1.0)})
    held = replace(book(1_000, perp(1)), collateral=(Holding("GOV", Fraction(1_000)), Holding("USDX", Fraction(1))))
    assert profile(**UNCUT).assess(held, at, exactly).collateral[0].haircut == 0


POOL = Pool(base=100, other=10e6, tokens=1_000)


def test_a_pools_token_loses_by_the_root_in_every_scenario() -> None:
    """1,000 tokens of 20,000: 20 million, of which the scan at 60 % of the price loses 1 - root(.6)."""
    model = profile(basis=NO_BASIS, **{**UNCUT, TERMS: {"tiers": {"default": []}}})
    quote = AssetQuote(20_000.0, offsets="BTC", pool=POOL)
    told = model.assess(book(1_000), market(quote), exactly)
    gains = {one.id: float(one.pnl) for one in told.scenarios}
    assert gains["price-40%"] == pytest.approx(20e6 * (math.sqrt(0.6) - 1))
    assert gains["price+40%"] == pytest.approx(20e6 * (math.sqrt(1.4) - 1))
    for name, move in (("price-40%", -0.4), ("price-5%", -0.05), ("price+40%", 0.4)):
        assert gains[name] < 10e6 * move  # holding the two coins
    # a short perp of its 100 coins hedges it at the spot, and what is left is the impermanent loss
    hedged = model.assess(book(1_000, perp(-100)), market(quote), exactly)
    left = {one.id: float(one.pnl) for one in hedged.scenarios}
    assert left["price-40%"] == pytest.approx(20e6 * (math.sqrt(0.6) - 1 + 0.2))
    assert max(left.values()) == 0.0


def test_a_pools_token_leans_by_half_its_value() -> None:
    """100 tokens, 2 million, against 20 futures short: a million is matched between expiries, .5 % of it charged."""
    future = Position(Instrument(Kind.FUTURE, "BTC", MONTH), Fraction(-20))
    told = PLAIN.assess(
        book(100, future), market(AssetQuote(20_000.0, offsets="BTC", pool=POOL, haircut_maintenance=0.0)), exactly
    )
    assert charge(told, "calendar spread") == pytest.approx(1e6 * 0.005)


def test_a_pools_token_is_worth_no_more_than_its_coins() -> None:
    """Quoted at 25,000, worth 20,000: a fifth does not count, and the scan is of what does."""
    quote = AssetQuote(25_000.0, offsets="BTC", pool=POOL)
    model = profile(basis=NO_BASIS, **{**UNCUT, TERMS: {"tiers": {"default": []}}})
    told = model.assess(book(1_000), market(quote), exactly)
    assert float(told.collateral[0].haircut) == pytest.approx(5e6)
    assert min(float(one.pnl) for one in told.scenarios) == pytest.approx(20e6 * (math.sqrt(0.6) - 1))


def test_an_unrealised_gain_counts_by_its_weight() -> None:
    """Entered at 90,000: 10,000 of gain, of which four fifths count for initial margin; a loss counts whole."""
    model = profile(basis=NO_BASIS, liquidity=NO_LIQUIDITY, **{TERMS: {"gain": "0.8"}})
    gain, loss = (replace(perp(1), entry_price=Fraction(entry)) for entry in (90_000, 110_000))
    told = model.assess(Portfolio("A", positions=(gain,)), market(), exactly)
    assert charge(told, "unrealised gain") == pytest.approx(2_000)
    assert told.maintenance == pytest.approx(30_000)
    assert charge(model.assess(Portfolio("A", positions=(loss,)), market(), exactly), "unrealised gain") == 0
    both = model.assess(Portfolio("A", positions=(gain, loss)), market(), exactly)
    assert charge(both, "unrealised gain") == 0


@pytest.mark.parametrize(
    ("hours", "quantity", "growth"),
    [
        (0.25, 1.0, 0.0),
        # 72 hours more: four days of which one is covered
        (72.25, 1.0, 1.0),
        # a billion a day: 47,000 coins take 4.7 days, 23.5 hours of them in the auction
        (0.25, 47_000.0, math.sqrt(1 + (4.7 - 23.5 / 24) / 3) - 1),
    ],
)
def test_closing_grows_with_settlement_delay_and_days_to_unwind(hours: float, quantity: float, growth: float) -> None:
    model = profile(basis=NO_BASIS, liquidity=NO_LIQUIDITY, margin_period={"settlement_delay": str(hours)})
    told = model.assess(Portfolio("A", positions=(perp(quantity),)), market(), exactly)
    assert charge(told, "liquidity") == pytest.approx(40_000 * quantity * growth)


def test_the_measured_gap_is_charged() -> None:
    """1.5 % of the dollars of a perp, and of an option's delta."""
    model = profile(basis=NO_BASIS, liquidity=NO_LIQUIDITY)
    told = model.assess(Portfolio("A", positions=(perp(-2),)), market(gap=0.015), exactly)
    assert charge(told, "liquidity") == pytest.approx(3_000)
    short = model.assess(Portfolio("A", positions=(call(-1),)), market(gap=0.015), exactly)
    delta = 0.5 + 0.5 * math.erf(0.25 * math.sqrt(30 / 365) / math.sqrt(2))
    assert charge(short, "liquidity") == pytest.approx(1_500 * delta)


def test_open_interest_and_spread_make_a_strike_dear() -> None:
    """.1 % of 100,000, 1.001 of it at 100 million; twice the share of the open interest that is held, .2; and a spread
    of 25 % where 10 % is tight, 1.5."""
    alone = Portfolio("A", positions=(call(-1),))

    def cushion(**strike: float) -> float:
        told = PLAIN.assess(alone, market(strikes={100_000.0: Strike(**strike)}), exactly)
        return charge(told, "liquidity")

    assert cushion() == pytest.approx(100.1)
    assert cushion(open_interest=10.0) == pytest.approx(100.1 * 1.2)
    assert cushion(spread=0.25) == pytest.approx(100.1 * 2.5)
    assert cushion(open_interest=0.5, spread=0.9) == pytest.approx(100.1 * 4)


def test_the_buffer_covers_what_closing_costs() -> None:
    """Of a hedged book that scans to nothing a quarter of the requirement is no room for it: the rest is added."""
    future = Position(Instrument(Kind.FUTURE, "BTC", MONTH), Fraction(-1))
    told = profile(basis=NO_BASIS).assess(Portfolio("A", positions=(perp(1), future)), market(), exactly)
    cost = charge(told, "liquidity")
    assert cost > 100
    assert float(told.initial - told.maintenance) == pytest.approx(cost)
    assert charge(told, "liquidation buffer") == pytest.approx(0.75 * cost)


QUOTES = st.builds(
    AssetQuote,
    price=st.floats(0.01, 1_000.0),
    offsets=st.none() | st.just("BTC"),
    volatility=st.none() | st.floats(0.0, 4.0),
    depth=st.none() | st.floats(1.0, 1e9),
    held=st.floats(0.0, 1e9),
    peg=st.none() | st.floats(0.5, 100.0),
    bond=st.none() | st.builds(Bond, st.floats(0.0, 100.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
)
AMOUNTS = st.integers(1, 10**8).map(Fraction)
BOOKS = st.sampled_from([(), (perp(3),), (perp(-3),), (perp(-1), call(2))])


@settings(max_examples=60, deadline=None)
@given(QUOTES, AMOUNTS, AMOUNTS, BOOKS)
def test_more_collateral_never_counts_less(
    quote: AssetQuote, amount: Fraction, more: Fraction, positions: tuple[Position, ...]
) -> None:
    """Neither for initial nor for maintenance margin, whatever its size: limits stop it counting, nothing turns it."""
    small, large = (
        PLAIN.assess(book(each, *positions), market(quote), exactly).collateral[0] for each in (amount, amount + more)
    )
    assert large.value - large.haircut >= small.value - small.haircut - Fraction(1, 10**6)
    assert large.value - large.haircut_maintenance >= small.value - small.haircut_maintenance - Fraction(1, 10**6)
    assert 0 <= small.haircut_maintenance <= small.haircut <= small.value


@settings(max_examples=40, deadline=None)
@given(QUOTES.map(lambda quote: replace(quote, offsets=None)), AMOUNTS, AMOUNTS, BOOKS)
def test_more_collateral_never_lowers_the_excess(
    quote: AssetQuote, amount: Fraction, more: Fraction, positions: tuple[Position, ...]
) -> None:
    """Of collateral that no scenario moves."""
    small, large = (PLAIN.assess(book(each, *positions), market(quote), exactly) for each in (amount, amount + more))
    assert large.equity - large.initial >= small.equity - small.initial - Fraction(1, 10**6)
    assert large.equity - large.maintenance >= small.equity - small.maintenance - Fraction(1, 10**6)


@settings(max_examples=40, deadline=None)
@given(QUOTES.map(lambda quote: replace(quote, offsets="BTC", depth=None)), AMOUNTS, AMOUNTS, BOOKS)
def test_nor_does_more_of_what_the_scan_moves(
    quote: AssetQuote, amount: Fraction, more: Fraction, positions: tuple[Position, ...]
) -> None:
    """It is charged no more than it counts for; beside other legs, the charge for leaning apart is the one stated."""
    small, large = (
        profile(basis=NO_BASIS).assess(book(each, *positions), market(quote), exactly)
        for each in (amount, amount + more)
    )
    assert large.equity - large.initial >= small.equity - small.initial - Fraction(1, 10**6)


def test_what_counts_nothing_hedges_nothing() -> None:
    """A short perp against the owner's own token, and against more of one than its limit lets count."""
    coin = AssetQuote(100_000.0, offsets="BTC", issuer="ACME")
    model = profile(basis=NO_BASIS, liquidity=NO_LIQUIDITY, **UNCUT)
    own = model.assess(book(1, perp(-1), owner="ACME"), market(coin), exactly)
    assert own.initial - own.collateral[0].haircut == 40_000
    other = model.assess(book(1, perp(-1)), market(coin), exactly)
    assert other.initial == 0
    # 600 coins, 60 million, of which 25 count: 350 perps of 600 stand unhedged
    past = model.assess(book(600, perp(-600)), market(replace(coin, issuer="")), exactly)
    assert float(past.initial - past.collateral[0].haircut) == pytest.approx(350 * 40_000)


@settings(max_examples=60, deadline=None)
@given(QUOTES, AMOUNTS, BOOKS, st.floats(0.0, 0.1))
def test_exact_meets_float(quote: AssetQuote, amount: Fraction, positions: tuple[Position, ...], gap: float) -> None:
    amount = amount / 10**4
    exact, floating = (
        PLAIN.assess(book(amount, *positions), market(quote, gap=gap), fact) for fact in (exactly, as_float)
    )
    for figure in ("initial", "maintenance", "equity"):
        assert float(getattr(exact, figure)) == pytest.approx(getattr(floating, figure), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.floats(0.0, 0.5), st.floats(0.0, 0.5), margins.quantities())
def test_the_cushion_never_falls_with_delay_or_gap(
    hours: float, more: float, gap: float, wider: float, quantity: Fraction
) -> None:
    def cushion(delay: float, seen: float) -> float:
        model = profile(margin_period={"settlement_delay": f"{delay:.6f}"})
        return charge(
            model.assess(Portfolio("A", positions=(perp(float(quantity)),)), market(gap=seen), exactly), "liquidity"
        )

    here = cushion(hours, gap)
    assert cushion(hours + more, gap) >= here - 1e-6
    assert cushion(hours, gap + wider) >= here - 1e-6


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 500.0), st.floats(0.0, 1.0), st.integers(1, 5_000))
def test_a_long_option_costs_its_value_at_most_however_long_closing_takes(
    hours: float, gap: float, hundredths: int
) -> None:
    model = profile(margin_period={"settlement_delay": f"{hours:.6f}"})
    told = model.assess(Portfolio("A", positions=(call(hundredths / 100),)), market(gap=gap), as_float)
    assert told.initial <= told.mark_to_market + 1e-6


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"tiers": {"GOV": [[10, 2]]}}, "collateral_terms.tiers.GOV"),
        ({"tiers": {"GOV": [[10, "0.5"], [10, 1]]}}, "collateral_terms.tiers.GOV"),
        ({"tiers": {"GOV": [10]}}, "collateral_terms.tiers.GOV"),
        ({"house_tiers": {"GOV": [["x", 1]]}}, "collateral_terms.house_tiers.GOV[0][0]"),
        ({"impact": 0}, "collateral_terms.impact"),
        ({"gain": 2}, "collateral_terms.gain"),
        ({"unheard": 2}, "collateral_terms.unheard"),
    ],
)
def test_bad_terms_are_named_by_place(over: dict[str, Any], path: str) -> None:
    with pytest.raises(TomlError) as caught:
        profile(**{TERMS: over})
    assert caught.value.path == path
