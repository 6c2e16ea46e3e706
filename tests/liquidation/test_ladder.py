"""The health ladder, rule by rule, and the arrays against the scalar."""

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from liquidation.ladder import called, healthy_from, margins_in_order, rung, rungs
from schemas.kinds import Rung
from schemas.limits import MICRO

scenarios("features/equity_covers_margin_and_buffer.feature", "features/ladder_hysteresis.feature")

MAINTENANCE, BUFFER, INITIAL = 100 * MICRO, 10 * MICRO, 130 * MICRO


@pytest.fixture
def account() -> SimpleNamespace:
    return SimpleNamespace(
        before=Rung.HEALTHY, equity=0, sellable=True, called_for=0, grace=0, hysteresis=0, after=None
    )


@given(parsers.parse("the account was {before}"))
def was(account: SimpleNamespace, before: str) -> None:
    account.before = Rung[before]


@given(parsers.parse("its equity is {dollars}"))
def has_equity(account: SimpleNamespace, dollars: str) -> None:
    account.equity = int(Decimal(dollars) * MICRO)


@given(parsers.parse("it holds {what}"))
def holds(account: SimpleNamespace, what: str) -> None:
    account.sellable = {"positions": True, "nothing": False}[what]


@given(parsers.parse("it was called {marks:d} marks ago with {grace:d} marks of grace"))
def was_called(account: SimpleNamespace, marks: int, grace: int) -> None:
    account.called_for, account.grace = marks, grace


@given(parsers.parse("the ladder has a hysteresis of {percent:d} %"))
def has_hysteresis(account: SimpleNamespace, percent: int) -> None:
    account.hysteresis = percent * 100


@when("the mark is answered")
def mark(account: SimpleNamespace) -> None:
    account.after = rung(
        account.before,
        account.equity,
        MAINTENANCE,
        BUFFER,
        INITIAL,
        account.called_for,
        account.grace,
        account.sellable,
        account.hysteresis,
    )


@then(parsers.parse("the account is {after}"))
def is_on(account: SimpleNamespace, after: str) -> None:
    assert account.after is Rung[after]


@then(parsers.parse("it has been called for {marks:d} marks"))
def has_been_called(account: SimpleNamespace, marks: int) -> None:
    breached = np.array([account.equity < MAINTENANCE + BUFFER])
    told = called(np.array([account.after], np.uint8), breached, np.array([account.called_for]))
    assert told.tolist() == [marks]


def test_an_account_that_owes_nothing_and_holds_nothing_is_healthy() -> None:
    assert rung(Rung.DEFICIT, 0, 0, 0, 0, 0, 0, False) is Rung.HEALTHY


@hypothesis_given(
    st.lists(
        st.tuples(
            st.sampled_from(Rung),
            st.integers(-5, 40) | st.integers(-(2**61), 2**61),
            st.integers(0, 12) | st.integers(0, 2**61),
            st.integers(0, 4),
            st.integers(0, 8),
            st.integers(0, 3),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 3),
    st.sampled_from([0, 0, 1, 2_500, 5_000]),
)
def test_all_accounts_at_once_stand_where_each_stands_alone(
    accounts: list[tuple[Rung, int, int, int, int, int, bool]], grace: int, hysteresis: int
) -> None:
    rows = [
        (before, equity, maintenance, buffer, maintenance + buffer + above, called, sellable)
        for before, equity, maintenance, buffer, above, called, sellable in accounts
    ]
    before, equity, maintenance, buffer, initial, called, sellable = zip(*rows, strict=True)
    got = rungs(
        np.array(before, np.uint8),
        np.array(equity, np.int64),
        np.array(maintenance, np.int64),
        np.array(buffer, np.int64),
        np.array(initial, np.int64),
        np.array(called, np.int64),
        grace,
        np.array(sellable, np.bool_),
        hysteresis,
    )
    assert got.dtype == np.uint8
    assert got.tolist() == [rung(*row[:6], grace, row[6], hysteresis) for row in rows]


@hypothesis_given(
    st.sampled_from(Rung),
    st.integers(-5, 60),
    st.integers(0, 12),
    st.integers(0, 4),
    st.integers(0, 8),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([1, 1_000, 5_000]),
)
def test_hysteresis_never_lets_an_account_stand_better_or_be_sold_sooner(
    before: Rung, equity: int, maintenance: int, buffer: int, above: int, since: int, grace: int, hysteresis: int
) -> None:
    initial = maintenance + buffer + above
    bare = rung(before, equity, maintenance, buffer, initial, since, grace, True)
    held = rung(before, equity, maintenance, buffer, initial, since, grace, True, hysteresis)
    assert held >= bare
    assert (held >= Rung.LIQUIDATING) == (bare >= Rung.LIQUIDATING)
    if before == Rung.HEALTHY or equity >= healthy_from(initial, hysteresis):
        assert held == bare


@hypothesis_given(st.integers(0, 2**62), st.integers(0, 5_000))
def test_the_way_back_is_the_same_for_a_number_and_for_a_column(initial: int, hysteresis: int) -> None:
    exact = -(-initial * (10_000 + hysteresis) // 10_000)
    assert healthy_from(initial, hysteresis) == exact
    assert healthy_from(np.array([initial]), hysteresis).tolist() == [exact]


def test_an_initial_margin_below_maintenance_and_buffer_is_seen() -> None:
    good, bad = np.array([130, 110]), np.array([130, 109])
    maintenance, buffer = np.array([100, 100]), np.array([10, 10])
    assert margins_in_order(maintenance, buffer, good)
    assert not margins_in_order(maintenance, buffer, bad)
