"""The health ladder, rule by rule, and the arrays against the scalar."""

from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from liquidation.ladder import rung, rungs
from schemas.kinds import Rung
from schemas.limits import MICRO

scenarios("features/equity_covers_margin_and_buffer.feature")

MAINTENANCE, BUFFER, INITIAL = 100 * MICRO, 10 * MICRO, 130 * MICRO


@pytest.fixture
def account() -> SimpleNamespace:
    return SimpleNamespace(before=Rung.HEALTHY, equity=0, sellable=True, called_for=0, grace=0, after=None)


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
    )


@then(parsers.parse("the account is {after}"))
def is_on(account: SimpleNamespace, after: str) -> None:
    assert account.after is Rung[after]


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
)
def test_all_accounts_at_once_stand_where_each_stands_alone(
    accounts: list[tuple[Rung, int, int, int, int, int, bool]], grace: int
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
    )
    assert got.dtype == np.uint8
    assert got.tolist() == [rung(*row[:6], grace, row[6]) for row in rows]
