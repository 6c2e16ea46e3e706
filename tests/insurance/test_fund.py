"""What the fund pays: the pro rata rule, the waterfall's order, and what holds of every payment."""

from types import SimpleNamespace

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from insurance.fund import DeficitNotPositiveError, Owed, Payment, pay
from insurance.waterfall import UNPUBLISHED
from schemas.kinds import WaterfallLayer

scenarios("features/fund_pays_pro_rata_when_short.feature")

ASSET = 1


@pytest.fixture
def desk() -> SimpleNamespace:
    return SimpleNamespace(fund=0, owed=[], payments=[])


@given(parsers.parse("the fund holds {amount:d}"))
def fund_holds(desk: SimpleNamespace, amount: int) -> None:
    desk.fund = amount


@given(parsers.parse("accounts {a:d}, {b:d} and {c:d} owe {x:d}, {y:d} and {z:d}"))
def owe(desk: SimpleNamespace, a: int, b: int, c: int, x: int, y: int, z: int) -> None:
    desk.owed = [Owed(a, ASSET, x), Owed(b, ASSET, y), Owed(c, ASSET, z)]


@given(parsers.parse("account {account:d} owes {amount:d} of another asset"))
def owes_another(desk: SimpleNamespace, account: int, amount: int) -> None:
    desk.owed = [Owed(account, ASSET + 1, amount)]


@when("the fund pays")
def pays(desk: SimpleNamespace) -> None:
    desk.payments = pay({ASSET: desk.fund}, desk.owed)


@then(parsers.parse("they are paid {x:d}, {y:d} and {z:d}"))
def paid(desk: SimpleNamespace, x: int, y: int, z: int) -> None:
    got = {payment.account: payment.amount for payment in desk.payments}
    assert [got.get(owed.account, 0) for owed in desk.owed] == [x, y, z]


@then("nothing is paid")
def nothing_paid(desk: SimpleNamespace) -> None:
    assert desk.payments == []


deficits = st.lists(st.builds(Owed, st.integers(16, 24), st.integers(0, 2), st.integers(1, 50) | st.integers(1, 2**60)))
funds = st.dictionaries(st.integers(0, 2), st.integers(-5, 200) | st.integers(0, 2**62))


@hypothesis_given(funds, deficits, st.randoms())
def test_the_fund_pays_all_it_can_and_nobody_more_than_is_owed(fund: dict[int, int], told: list[Owed], rng) -> None:
    payments = pay(fund, told)
    for asset in range(3):
        owed = sum(one.amount for one in told if one.asset == asset)
        paid = sum(one.amount for one in payments if one.asset == asset)
        assert paid == min(max(fund.get(asset, 0), 0), owed)
    for payment in payments:
        owed = sum(one.amount for one in told if (one.account, one.asset) == (payment.account, payment.asset))
        total = sum(one.amount for one in told if one.asset == payment.asset)
        available = min(max(fund[payment.asset], 0), total)
        assert 0 < payment.amount <= owed
        # within a unit of the exact share
        assert abs(payment.amount * total - available * owed) < total
    shuffled = list(told)
    rng.shuffle(shuffled)
    assert pay(fund, shuffled) == payments


def test_deficits_of_one_account_count_as_one() -> None:
    assert pay({1: 10}, [Owed(20, 1, 3), Owed(20, 1, 3)]) == [Payment(20, 1, 6)]


def test_a_deficit_of_nothing_is_refused() -> None:
    with pytest.raises(DeficitNotPositiveError):
        pay({1: 10}, [Owed(20, 1, 0)])


def test_the_waterfall_is_account_then_fund_then_deleveraging() -> None:
    order = [WaterfallLayer.OWN_COLLATERAL, WaterfallLayer.FUND, WaterfallLayer.DELEVERAGING]
    assert [step.layer for step in UNPUBLISHED] == order
