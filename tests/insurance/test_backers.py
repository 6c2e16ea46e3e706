"""The fund's backers: units at what they are worth, never more paid than there is, nobody gains by coming or going."""

from types import SimpleNamespace

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from insurance.backers import CLEARINGHOUSE, MAX_UNITS, Deposit, Minted, Request, mint, outstanding, redeem

scenarios("features/a_backer_shares_what_the_fund_gains_and_loses.feature")

OLD, NEW = 1, 2


@pytest.fixture
def told() -> SimpleNamespace:
    return SimpleNamespace(fund=0, units={}, minted=[], paid=[])


@given(parsers.parse("the fund held {fund:d} and there were {units:d} units"))
def held(told: SimpleNamespace, fund: int, units: int) -> None:
    told.fund = fund
    told.units = {(OLD, 0): units} if units else {}


@when(parsers.parse("a backer puts in {amount:d}"))
def puts_in(told: SimpleNamespace, amount: int) -> None:
    told.minted = mint({0: told.fund + amount}, told.units, [Deposit(NEW, 0, amount)])


@then(parsers.parse("it gets {units:d} units"))
def gets(told: SimpleNamespace, units: int) -> None:
    mine = [one for one in told.minted if one.backer == NEW]
    assert sum(one.units for one in mine) == units
    void = told.fund == 0 and outstanding(told.units, 0) > 0
    assert [one.fresh for one in mine] == ([void] if units else [])


@then(parsers.parse("the clearinghouse gets {units:d} for what was there before"))
def house(told: SimpleNamespace, units: int) -> None:
    assert sum(one.units for one in told.minted if one.backer == CLEARINGHOUSE) == units


@when(parsers.parse("{units:d} of them are given back, and of the asset {owed} is owed"))
def given_back(told: SimpleNamespace, units: int, owed: str) -> None:
    short = frozenset() if owed == "nothing" else frozenset({0})
    told.paid = redeem({0: told.fund}, told.units, [Request(OLD, 0, 1, units)], short)


@then(parsers.parse("{amount} is paid"))
def is_paid(told: SimpleNamespace, amount: str) -> None:
    assert [one.amount for one in told.paid] == ([] if amount == "nothing" else [int(amount)])


step = st.tuples(st.sampled_from(["in", "out", "fee", "loss"]), st.integers(1, 3), st.integers(1, 10**6))


@hypothesis_given(st.lists(step, max_size=30))
def test_the_fund_is_never_negative_and_coming_and_going_takes_nothing_from_others(
    steps: list[tuple[str, int, int]],
) -> None:
    fund, units = 0, {}
    for what, backer, amount in steps:
        before, count = fund, outstanding(units, 0)
        if what == "in":
            fund += amount
            for one in mint({0: fund}, units, [Deposit(backer, 0, amount)]):
                units = {} if one.fresh else units
                units[one.backer, 0] = units.get((one.backer, 0), 0) + one.units
            if before and count:
                # what the others' units are worth together has not fallen
                assert fund * count >= before * outstanding(units, 0)
        elif what == "out" and units.get((backer, 0)):
            asked = min(amount, units[backer, 0])
            for one in redeem({0: fund}, units, [Request(backer, 0, 1, asked)]):
                assert one.amount * count <= before * asked
                fund -= one.amount
                units[backer, 0] -= asked
        elif what == "fee":
            fund += amount
        elif what == "loss":
            fund -= min(fund, amount)
        units = {key: has for key, has in units.items() if has}
        assert fund >= 0
        assert outstanding(units, 0) <= MAX_UNITS


def test_units_stop_at_their_limit() -> None:
    units = {(OLD, 0): MAX_UNITS - 5}
    assert mint({0: 101}, units, [Deposit(NEW, 0, 100)]) == [Minted(NEW, 0, 5, False)]


def test_requests_of_one_mark_are_paid_in_order_each_from_what_is_left() -> None:
    asked = [Request(OLD, 0, 1, 50), Request(NEW, 0, 2, 50)]
    paid = redeem({0: 101}, {(OLD, 0): 50, (NEW, 0): 50}, asked)
    assert [one.amount for one in paid] == [50, 51]
