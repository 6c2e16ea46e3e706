"""Liquidation plans: the greedy's choices, hedges, collateral, and what holds of every plan."""

from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from liquidation.costs import Holding
from liquidation.plan import I64Array, Requirement, Sale
from liquidation.plan import plan as planned_for
from schemas.limits import BASIS_POINTS, MICRO

scenarios("features/a_plan_sells_no_more_than_heals.feature")


def plan(
    holdings: Iterable[Holding], equity: int, requirement: Requirement, discount: int, steps: int = 4
) -> list[Sale]:
    return list(planned_for(holdings, equity, requirement, discount, steps=steps).sales)


NUMBERS = {"BTC": 1, "ETH": 2, "ALT": 3}
LOSS = {1: 10, 2: 10, 3: 40}


def stressed(instruments: list[int]) -> Requirement:
    """1.2 x the larger loss, all prices falling or all rising."""
    losses = np.array([LOSS[number] for number in instruments], np.int64) * MICRO

    def requirement(lots: I64Array) -> tuple[I64Array, I64Array]:
        maintenance = np.abs(lots @ losses)
        return maintenance, maintenance * 12 // 10

    return requirement


@pytest.fixture
def account() -> SimpleNamespace:
    return SimpleNamespace(holdings=[], equity=0, sales=[])


@given(parsers.parse("an account with equity {equity:d}"))
def has_equity(account: SimpleNamespace, equity: int) -> None:
    account.equity = equity * MICRO


@given(parsers.parse("it holds {btc:d} BTC, {eth:d} ETH and {alt:d} ALT"))
def holds(account: SimpleNamespace, btc: int, eth: int, alt: int) -> None:
    account.holdings = [
        Holding(number, lots, abs(lots) * 100 * MICRO) for number, lots in ((1, btc), (2, eth), (3, alt)) if lots
    ]


@when("its liquidation is planned")
def planned(account: SimpleNamespace) -> None:
    numbers = [one.instrument for one in account.holdings]
    account.sales = plan(account.holdings, account.equity, stressed(numbers), 100)


@then(parsers.parse("it sells {sales}"))
def sells(account: SimpleNamespace, sales: str) -> None:
    pairs = [] if sales == "nothing" else [pair.split() for pair in sales.split(", ")]
    assert account.sales == [Sale(NUMBERS[name], int(lots)) for name, lots in pairs]


def hedged(lots: I64Array) -> tuple[I64Array, I64Array]:
    """10 a lot for what two legs leave open, and 1 a lot for both legs: a hedge with a basis charge."""
    maintenance = (10 * np.abs(lots[:, 0] + lots[:, 1]) + np.abs(lots[:, :2]).sum(axis=1)) * MICRO
    return maintenance, maintenance


def test_a_hedge_with_a_charge_is_cut_on_both_legs_at_once() -> None:
    legs = [Holding(1, 40, 4000 * MICRO), Holding(2, -40, 4000 * MICRO)]
    # 80 are required; each piece of both legs frees 20 and costs 2
    assert plan(legs, 63 * MICRO, hedged, 10) == [Sale(1, -10), Sale(2, 10)]
    assert plan(legs, 44 * MICRO, hedged, 10) == [Sale(1, -20), Sale(2, 20)]


def test_where_no_piece_frees_anything_everything_is_sold() -> None:
    def fixed(lots: I64Array) -> tuple[I64Array, I64Array]:
        required = np.where(lots.any(axis=1), 100 * MICRO, 0)
        return required, required

    assert plan([Holding(1, 4, 400 * MICRO), Holding(2, -3, 300 * MICRO)], 50 * MICRO, fixed, 10) == [
        Sale(1, -4),
        Sale(2, 3),
    ]


COIN = Holding(9, 100, 1000 * MICRO, 100 * MICRO, True)


def charging(position: int, coin: int) -> Requirement:
    def requirement(lots: I64Array) -> tuple[I64Array, I64Array]:
        maintenance = np.abs(lots) @ np.array([position, coin], np.int64) * MICRO
        return maintenance, maintenance

    return requirement


def test_collateral_is_sold_where_that_is_cheaper_than_breaking_a_position() -> None:
    position = Holding(1, 10, 1000 * MICRO)
    # a tenth of the coin's worth is held back as its haircut: selling a quarter of it frees 25 + its own margin
    assert plan([position, COIN], 195 * MICRO, charging(10, 1), 100) == [Sale(9, -25)]
    assert plan([position, COIN], 195 * MICRO, charging(30, 1), 100) == [Sale(1, -9)]


def test_coins_cover_negative_cash_only_once_no_position_is_left() -> None:
    def nothing(lots: I64Array) -> tuple[I64Array, I64Array]:
        return np.zeros(len(lots), np.int64), np.zeros(len(lots), np.int64)

    # 1000 of coin, cut by 100, and 400 owed: equity 500. A lot brings 9.90, so 41 lots repay it
    assert plan([COIN], 500 * MICRO, nothing, 100) == [Sale(9, -41)]
    assert plan([COIN, Holding(1, 10, 1000 * MICRO)], 500 * MICRO, nothing, 100) == []
    assert plan([COIN], 900 * MICRO, nothing, 100) == []
    # worth less than is owed: all of it
    assert plan([COIN], -600 * MICRO, nothing, 100) == [Sale(9, -100)]


def test_the_coin_cut_most_covers_cash_first() -> None:
    def nothing(lots: I64Array) -> tuple[I64Array, I64Array]:
        return np.zeros(len(lots), np.int64), np.zeros(len(lots), np.int64)

    token = Holding(10, 100, 1000 * MICRO, 500 * MICRO, True)
    assert plan([COIN, token], (900 + 500 - 400) * MICRO, nothing, 100) == [Sale(10, -41)]


books = st.lists(
    st.tuples(st.integers(-30, 30).filter(bool), st.integers(0, 200), st.integers(0, 50), st.integers(-9, 9)),
    min_size=1,
    max_size=5,
)


@hypothesis_given(books, st.integers(-100, 2000), st.integers(0, 500), st.integers(1, 6))
def test_a_plan_only_reduces_and_heals_or_sells_all(
    rows: list[tuple[int, int, int, int]], dollars: int, discount: int, steps: int
) -> None:
    holdings = [Holding(5 + number, lots, abs(lots) * worth * MICRO) for number, (lots, worth, _, _) in enumerate(rows)]
    gross = np.array([row[2] for row in rows], np.int64) * MICRO
    net = np.array([row[3] for row in rows], np.int64) * MICRO

    def requirement(lots: I64Array) -> tuple[I64Array, I64Array]:
        initial = np.maximum(np.abs(lots) @ gross, 3 * np.abs(lots @ net))
        return initial, initial

    equity = dollars * MICRO
    sales = {sale.instrument: sale.quantity for sale in plan(holdings, equity, requirement, discount, steps=steps)}
    left = []
    for one in holdings:
        sold = sales.get(one.instrument, 0)
        assert sold * one.quantity <= 0
        assert abs(sold) <= abs(one.quantity)
        left.append(one.quantity + sold)
        equity -= -(-one.worth * abs(sold) * discount // (abs(one.quantity) * BASIS_POINTS))
    # pieces round their cost up one by one
    rounding = len(holdings) * (steps + 30)
    assert not any(left) or equity + rounding >= requirement(np.array([left], np.int64))[1][0]
    assert plan(holdings[::-1], dollars * MICRO, requirement, discount, steps=steps) == [
        Sale(number, quantity) for number, quantity in sales.items()
    ]
