"""Profiles as text: header, overrides, hash, and the rules that hold for every model, with a model of the tests."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import margins
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.margin.answer import Assessment, LegAnswer, ScenarioPnl
from risk.margin.book import Holding, Instrument, Kind, Market, Order, Portfolio, Position
from risk.margin.calculator import Answer, answer, in_float
from risk.margin.exact import Fact, Number, as_float, exactly
from risk.margin.model import Assess, Calculator, Header
from risk.margin.orders import ORDERS, filled
from risk.margin.policy import BUFFER_FLOOR, NOT_ACCEPTED, calculator
from risk.margin.valuing import quoted
from schemas.strict import Fault, Table, TomlError, only, real_of, table_of, text_of, value_of

MARKET = margins.market()
PRICE = Fraction(MARKET.settlement_price)
PERP = Instrument(Kind.PERP, "BTC")
MARK = Fraction(MARKET.underlyings["BTC"].perp or 0.0)
PROFILE = """
name = "test-moves"
published = "2026-01-21"
source = "the tests"
description = "Perps and futures, each moved by every scenario; maintenance is a part of initial."
model = "moves"
confidence = "0.99"
margin_period = { detection = 1, auction = 2, settlement_delay = 21 }
lookback = 365
collateral = ["USDC", "BTC"]
buffer = "0.10"
scenarios = [{ id = "down", move = "-0.20" }, { id = "up", move = "0.10" }]

[maintenance]
kind = "part"
part = "0.8"
"""


def moves(table: Table, header: Header) -> Assess:
    """Positions of linear instruments moved by every scenario; the largest loss over all of them."""
    only(table, "", ("scenarios", "maintenance"))
    listed: Any = value_of(table, "", "scenarios")
    for number, one in enumerate(listed):
        only(one, f"scenarios[{number}]", ("id", "move"))
    steps = [
        (text_of(one, f"scenarios[{n}]", "id"), real_of(one, f"scenarios[{n}]", "move", -1.0, 9.0, signed=True))
        if not str(one["move"]).startswith("-")
        else (text_of(one, f"scenarios[{n}]", "id"), float(str(one["move"])))
        for n, one in enumerate(listed)
    ]
    rule = table_of(table, "", "maintenance")
    if text_of(rule, "maintenance", "kind") == "part":
        only(rule, "maintenance", ("kind", "part"))
        part = real_of(rule, "maintenance", "part", 0.0, 1.0)
    else:
        only(rule, "maintenance", ("kind",))
        part = 1.0

    def assess(portfolio: Portfolio, market: Market, fact: Fact) -> Assessment:
        price = market.settlement_price
        marks = [fact(quoted(one.instrument, market).forward / price) for one in portfolio.positions]
        gain: Number = sum(
            (
                one.unrealised + one.funding
                if one.entry_price is None
                else one.quantity * (mark - one.entry_price / Fraction(price))
                for one, mark in zip(portfolio.positions, marks, strict=True)
            ),
            Fraction(0),
        )
        held: Number = sum(
            (one.amount * fact(market.assets[one.asset].price / price) for one in portfolio.collateral), Fraction(0)
        )
        worth = sum((one.quantity * mark for one, mark in zip(portfolio.positions, marks, strict=True)), Fraction(0))
        scenarios = [ScenarioPnl(name, worth * fact(move)) for name, move in steps]
        worst = min(scenarios, key=lambda one: one.pnl)
        scan = max(-worst.pnl, 0)
        move = dict(steps)[worst.id]
        legs = tuple(
            LegAnswer(
                n, mark, {}, one.quantity * mark * fact(move), quoted(one.instrument, market).forward * (1 + move)
            )
            for n, (one, mark) in enumerate(zip(portfolio.positions, marks, strict=True))
        )
        return Assessment(
            scan, scan * fact(part), portfolio.cash + held + gain, gain, worst.id, worst.id, tuple(scenarios), legs
        )

    return assess


def made(overrides: str | Table = "", text: str = PROFILE) -> Calculator:
    return calculator(text, overrides, {"moves": moves})


def perp(quantity: object, symbol: str = "BTC", entry: Fraction | None = None) -> Position:
    return Position(Instrument(Kind.PERP, symbol), Fraction(str(quantity)), entry)


def book(*positions: Position, cash: int = 100_000, orders: tuple[Order, ...] = ()) -> Portfolio:
    return Portfolio("A-1", Fraction(cash), (), positions, orders)


def asked(portfolio: Portfolio, overrides: str | Table = "") -> Answer:
    return answer(made(overrides), portfolio, MARKET)


def test_the_header_says_what_every_profile_states() -> None:
    header = made().header
    assert (header.name, header.published, header.model) == ("test-moves", "2026-01-21", "moves")
    assert (header.confidence, header.lookback, header.collateral) == (0.99, 365, ("USDC", "BTC"))
    assert header.period.days == 1.0


WRONG = [  # what replaces what in the text, the fault, its path
    ('name = "test-moves"', "", Fault.MISSING, "name"),
    ('published = "2026-01-21"', 'published = "January"', Fault.OUT_OF_RANGE, "published"),
    ('model = "moves"', 'model = "none"', Fault.UNKNOWN_KIND, "model"),
    ('confidence = "0.99"', 'confidence = "1"', Fault.OUT_OF_RANGE, "confidence"),
    ('confidence = "0.99"', "confidence = nan", Fault.OUT_OF_RANGE, "confidence"),
    ('confidence = "0.99"', 'confidence = "0.3"', Fault.OUT_OF_RANGE, "confidence"),
    ("auction = 2", "auction = -2", Fault.OUT_OF_RANGE, "margin_period.auction"),
    ("auction = 2", "auction = 2, more = 1", Fault.UNKNOWN_KEY, "margin_period.more"),
    ("lookback = 365", 'lookback = "365"', Fault.WRONG_TYPE, "lookback"),
    ('collateral = ["USDC", "BTC"]', 'collateral = "BTC"', Fault.WRONG_TYPE, "collateral"),
    ('collateral = ["USDC", "BTC"]', "collateral = [1]", Fault.WRONG_TYPE, "collateral.0"),
    ('buffer = "0.10"', 'buffer = "1.5"', Fault.OUT_OF_RANGE, "buffer"),
    ('buffer = "0.10"', 'buffer = "0.10"\nbufer = 1', Fault.UNKNOWN_KEY, "bufer"),
    ('move = "0.10"', 'move = "0.10", weight = 1', Fault.UNKNOWN_KEY, "scenarios[1].weight"),
    ('part = "0.8"', 'parts = "0.8"', Fault.UNKNOWN_KEY, "maintenance.parts"),
    ("[maintenance]", "[maintenance", Fault.NOT_TOML, ""),
    ("lookback = 365", "lookback = 365\nlookback = 366", Fault.NOT_TOML, ""),
]


@pytest.mark.parametrize(("old", "new", "fault", "path"), WRONG)
def test_what_is_wrong_in_a_profile_is_named_with_its_path(old: str, new: str, fault: Fault, path: str) -> None:
    assert old in PROFILE
    with pytest.raises(TomlError) as told:
        made(text=PROFILE.replace(old, new, 1))
    assert (told.value.fault, told.value.path) == (fault, path)


WRONG_OVERRIDES: list[tuple[str | Table, Fault, str]] = [
    ('maintenance.parts = "0.5"', Fault.UNKNOWN_KEY, "maintenance.parts"),
    ("nothing = 1", Fault.UNKNOWN_KEY, "nothing"),
    ({"maintenance": {"part": 1.5}}, Fault.OUT_OF_RANGE, "maintenance.part"),
    ({"maintenance": {"part": float("nan")}}, Fault.OUT_OF_RANGE, "maintenance.part"),
    ({"scenarios": [{"id": "a", "move": None}]}, Fault.WRONG_TYPE, "scenarios[0].move"),
    ({"scenarios": [{"id": "a", "moves": 1}]}, Fault.UNKNOWN_KEY, "scenarios[0].moves"),
    ("name =", Fault.NOT_TOML, ""),
]


@pytest.mark.parametrize(("overrides", "fault", "path"), WRONG_OVERRIDES)
def test_what_is_wrong_in_overrides_is_named_with_its_path(overrides: str | Table, fault: Fault, path: str) -> None:
    with pytest.raises(TomlError) as told:
        made(overrides)
    assert (told.value.fault, told.value.path) == (fault, path)


def test_overrides_replace_lists_whole_and_tables_key_by_key() -> None:
    told = asked(book(perp(1)), 'scenarios = [{ id = "crash", move = "-0.5" }]\nmaintenance.part = "0.5"\n')
    assert [one.id for one in told.scenarios] == ["crash"]
    assert told.worst_initial == "crash"
    assert abs(told.initial.requirement - MARK / PRICE / 2) < Fraction(1, 10**5)
    assert abs(told.maintenance.requirement - MARK / PRICE / 4) < Fraction(1, 10**5)
    # a table of another kind is another table: the part it had is not carried over
    whole = asked(book(perp(1)), 'maintenance.kind = "whole"').maintenance.requirement
    assert abs(whole - MARK / PRICE / 5) < Fraction(1, 10**5)


def test_the_hash_is_of_the_text_and_of_one_change_however_it_is_written() -> None:
    assert made().digest == hashlib.sha256(PROFILE.encode()).hexdigest()
    assert made({}).digest == made("# nothing\n").digest == made().digest
    spellings: list[str | Table] = [
        "buffer = 0.25",
        "# a quarter\nbuffer = 0.250",
        {"buffer": 0.25},
        {"buffer": Decimal("0.2500")},
    ]
    assert len({made(one).digest for one in spellings}) == 1
    assert made("buffer = 0.25").digest != made("buffer = 0.26").digest != made().digest


def test_initial_is_never_below_maintenance_and_buffer() -> None:
    told = asked(book(perp(1)), 'maintenance.part = "1"')
    assert told.initial.requirement == told.maintenance.requirement + told.buffer
    assert [one.name for one in told.add_ons] == [BUFFER_FLOOR]
    assert abs(told.buffer - told.maintenance.requirement / 10) <= Fraction(1, 10**6)
    assert asked(book(perp(1))).add_ons == ()


def test_collateral_that_is_not_accepted_counts_nothing() -> None:
    held = replace(book(perp(1)), collateral=(Holding("BTC", Fraction(1)), Holding("ETH", Fraction(2))))
    all_of_it, one_less = asked(held), asked(replace(held, collateral=held.collateral[:1]))
    assert abs(all_of_it.initial.excess - one_less.initial.excess) <= Fraction(2, 10**6)
    assert abs(all_of_it.maintenance.excess - one_less.maintenance.excess) <= Fraction(2, 10**6)
    assert all_of_it.equity > one_less.equity + 6_000
    assert [one.name for one in all_of_it.add_ons] == [NOT_ACCEPTED]
    assert any("ETH" in note for note in all_of_it.notes)
    # a debt in it stays owed
    owing = asked(replace(held, collateral=(*held.collateral[:1], Holding("ETH", Fraction(-2)))))
    assert owing.equity < one_less.equity - 6_000
    assert owing.initial.requirement == one_less.initial.requirement
    # what everything is settled in is cash, wherever it is told
    cash = asked(replace(book(perp(1), cash=0), collateral=(Holding("USDC", Fraction(100_000)),)))
    assert cash.equity == asked(book(perp(1))).equity


def test_excess_ratio_and_what_is_saved() -> None:
    told = asked(book(perp(1), perp(-30, "ETH")))
    assert told.initial.excess == told.equity - told.initial.requirement
    assert told.initial.ratio is not None
    assert abs(told.initial.ratio - told.equity / told.initial.requirement) <= Fraction(1, 10**6)
    assert told.capital_saved == told.isolated_requirement - told.initial.requirement > 0
    # by hand: the perp's fall by a fifth, and the ethers' rise by a tenth
    ether = Fraction(MARKET.underlyings["ETH"].perp or 0.0)
    assert abs(told.isolated_requirement - (MARK / 5 + 30 * ether / 10) / PRICE) < Fraction(1, 10**5)
    assert asked(book()).initial.ratio is None


def test_the_named_parts_of_a_linear_book_are_its_loss() -> None:
    told = asked(book(perp(1)))
    assert told.components.delta_risk == pytest.approx(float(told.initial.requirement), rel=1e-9)
    assert told.components.stress_loss == pytest.approx(float(told.initial.requirement), rel=1e-9)
    assert (told.components.vega_risk, told.components.note) == (0.0, "")
    assert told.legs[0].greeks == {"delta": 1.0}


def order(quantity: object, price: object, instrument: Instrument = PERP) -> Order:
    return Order(instrument, Fraction(str(quantity)), Fraction(str(price)))


def test_pending_orders_are_in_initial_margin_as_their_worst_fill() -> None:
    mark, plain = MARK, asked(book(perp(1)))
    deeper = asked(book(perp(1), orders=(order(1, mark), order(-5, mark))))
    # all sells: short 4, of which a rise by a tenth is the worst
    assert abs(deeper.initial.requirement - 4 * mark / 10 / PRICE) < Fraction(1, 10**5)
    assert deeper.maintenance == plain.maintenance
    assert [one.name for one in deeper.add_ons] == [ORDERS]
    # what only makes the position smaller asks for nothing, and a fill below the mark is paid for
    assert asked(book(perp(1), orders=(order("-0.5", mark),))).initial.requirement == plain.initial.requirement
    dear = asked(book(perp(1), orders=(order("-0.5", mark - 80_000),)))
    assert abs(dear.initial.requirement - plain.initial.requirement - (40_000 - mark / 10) / PRICE) < Fraction(1, 10**5)


def test_orders_of_two_underlyings_are_worst_together() -> None:
    ether = Instrument(Kind.PERP, "ETH")
    spot = Fraction(MARKET.underlyings["ETH"].perp or 0.0)
    told = asked(book(orders=(order(1, MARK), order(10, spot, ether))))
    assert abs(told.initial.requirement - (MARK + 10 * spot) / 5 / PRICE) < Fraction(1, 10**5)


def test_orders_that_hedge_each_other_may_fill_alone() -> None:
    ether = Instrument(Kind.PERP, "ETH")
    spot = Fraction(MARKET.underlyings["ETH"].perp or 0.0)
    told = asked(book(orders=(order(1, MARK), order(-20, spot, ether))))
    assert abs(told.initial.requirement - MARK / 5 / PRICE) < Fraction(1, 10**5)


def test_a_filled_order_joins_the_position_and_nothing_is_lost() -> None:
    entered = book(perp(2, entry=Fraction(90_000)))
    half = filled(entered, [order(2, 100_000)], MARKET)
    assert half.positions == (perp(4, entry=Fraction(95_000)),)
    closed = filled(entered, [order(-2, 100_000)], MARKET)
    assert closed.positions == ()
    assert closed.cash - entered.cash == 20_000 / PRICE
    assert filled(book(), [order(1, 95_000)], MARKET).positions == (perp(1, entry=Fraction(95_000)),)
    call = Instrument(Kind.OPTION, "BTC", MARKET.time + 9 * margins.DAY, 95_000.0, True)
    bought = filled(book(), [order(1, 2_000, call)], MARKET)
    assert bought.cash == 100_000 - 2_000 / PRICE
    assert bought.positions[0].quantity == 1


LINEAR = (Kind.PERP, Kind.FUTURE)


@settings(max_examples=60, deadline=None)
@given(portfolio=margins.portfolios(kinds=LINEAR))
def test_exact_and_float_agree_to_the_quantum(portfolio: Portfolio) -> None:
    told, near = asked(portfolio), in_float(made(), portfolio, MARKET)
    for exact, floating in (
        (told.initial.requirement, near.initial),
        (told.maintenance.requirement, near.maintenance),
        (told.equity, near.equity),
    ):
        assert abs(float(exact) - floating) <= 2e-6


@settings(max_examples=60, deadline=None)
@given(
    portfolio=margins.portfolios(kinds=LINEAR, collateral=()),
    fills=st.lists(st.integers(-500, 500).filter(bool), max_size=4),
)
def test_orders_never_lower_what_is_required(portfolio: Portfolio, fills: list[int]) -> None:
    orders = tuple(order(Fraction(n, 100), 95_000 + n) for n in fills)
    for fact in (exactly, as_float):
        without = made().assess(portfolio, MARKET, fact)
        within = made().assess(replace(portfolio, orders=orders), MARKET, fact)
        assert within.initial >= without.initial
        assert within.maintenance == without.maintenance
