"""The treasurer: on totals, once, and never what is on the way already."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from insurance.episode import Ground
from insurance.policy import InForce, Rank, shipped
from insurance.treasurer import Treasurer
from schemas.chart import House
from schemas.events import FundPaid
from schemas.kinds import Reason, WaterfallLayer
from schemas.outcomes import AssessmentCapacity, DeficitFound, HouseBalance, LaidOut, MarkDone


def owes(account: int, amount: int, asset: int = 0, mark: int = 1) -> DeficitFound:
    return DeficitFound(index=0, asset=asset, account=account, mark=mark, amount=amount)


def holds(amount: int, asset: int = 0, account: int = House.FUND) -> HouseBalance:
    return HouseBalance(index=0, asset=asset, account=account, balance=amount)


def done(mark: int = 1) -> MarkDone:
    return MarkDone(
        index=0, accounts=0, liquidating=0, deficits=0, mark=mark, time=0, equity=0, maintenance=0, initial=0
    )


def paid(events: list[FundPaid]) -> list[tuple[int, int, int]]:
    return [(event.account, event.asset, event.amount) for event in events]


def answered(treasurer: Treasurer, *outcomes: Any) -> list[tuple[int, int, int]]:
    treasurer.observe(outcomes)
    return paid(treasurer.decide())


def test_nothing_is_decided_until_every_shard_is_done() -> None:
    treasurer = Treasurer(shards=2)
    assert answered(treasurer, owes(20, 5), holds(4), done()) == []
    assert answered(treasurer, owes(21, 5), holds(6), done()) == [(20, 0, 5), (21, 0, 5)]
    assert treasurer.decide() == []


def test_a_fund_that_is_short_pays_pro_rata_over_all_shards() -> None:
    assert answered(Treasurer(), owes(20, 30), owes(21, 10), holds(20), done()) == [(20, 0, 15), (21, 0, 5)]


def test_only_the_funds_own_balance_pays_and_each_asset_its_own() -> None:
    told = (owes(20, 5), owes(21, 5, asset=2), holds(9, account=House.FEES), holds(3, asset=2), done())
    assert answered(Treasurer(), *told) == [(21, 2, 3)]


def test_what_is_on_the_way_is_neither_paid_again_nor_promised_to_others() -> None:
    treasurer = Treasurer()
    assert answered(treasurer, owes(20, 60), holds(100), done(1)) == [(20, 0, 60)]
    assert answered(treasurer, owes(20, 60), owes(21, 90), holds(100), done(2)) == [(21, 0, 40)]
    treasurer.posted()
    treasurer.posted()
    assert answered(treasurer, owes(21, 50), holds(70), done(3)) == [(21, 0, 50)]


@given(st.lists(st.tuples(st.integers(16, 19), st.integers(1, 50)), max_size=6), st.integers(-5, 80), st.booleans())
def test_restored_it_says_what_it_would_have_said(debts: list[tuple[int, int]], fund: int, posted: bool) -> None:
    told = [owes(account, amount) for account, amount in debts]
    one, other = Treasurer(), Treasurer()
    answered(one, *told, holds(fund), done(1))
    if posted:
        one.posted()
    one.observe(told[:2])
    other.restore(one.exported())
    rest = [*told, holds(fund), done(2)]
    assert answered(other, *rest) == answered(one, *rest)


def test_what_is_posted_after_the_books_were_told_is_not_promised_again() -> None:
    treasurer = Treasurer()
    assert answered(treasurer, owes(20, 60), holds(100), done(1)) == [(20, 0, 60)]
    treasurer.observe([owes(20, 60), owes(21, 90), holds(100), done(2)])  # told before the payment is in the journal
    treasurer.posted()
    assert paid(treasurer.decide()) == [(21, 0, 40)]
    treasurer.posted()
    assert answered(treasurer, owes(21, 50), holds(0), done(3)) == []


POLICY = InForce(1, 1, bytes(32), shipped("exchange").ranks)


def test_under_a_policy_a_layer_is_asked_first_and_pays_what_it_laid_out() -> None:
    ground = Ground(policy=POLICY, member_of=lambda account: account)
    treasurer = Treasurer(shards=2)
    treasurer.observe([owes(20, 30), holds(40, account=House.OWN_CAPITAL), done(1)])
    assert treasurer.decide(ground) == []
    treasurer.observe([owes(21, 10), holds(9), done(1)])
    (asked,) = treasurer.decide(ground)
    assert (asked.layer, asked.amount) == (WaterfallLayer.OWN_CAPITAL, 10)
    assert treasurer.proceed(ground) == []  # not in the journal yet
    treasurer.posted()
    treasurer.observe([laid_out(WaterfallLayer.OWN_CAPITAL, 7)])  # less than it was asked for
    one, two, fund = treasurer.proceed(ground)
    assert [(event.account, event.amount) for event in (one, two)] == [(20, 5), (21, 2)]
    assert (fund.layer, fund.amount) == (WaterfallLayer.FUND, 9)
    treasurer.posted()
    treasurer.observe([laid_out(WaterfallLayer.FUND, 9)])
    assert [(event.account, event.amount) for event in treasurer.proceed(ground)] == [(20, 7), (21, 2)]
    treasurer.posted()
    assert treasurer.proceed(ground) == []


def test_a_mark_that_comes_in_between_is_passed_over() -> None:
    ground = Ground(policy=POLICY, member_of=lambda account: account)
    treasurer = Treasurer()
    treasurer.observe([owes(20, 30), holds(100), done(1)])
    assert len(treasurer.decide(ground)) == 1
    treasurer.observe([owes(20, 30), holds(100), done(2)])
    assert treasurer.decide(ground) == []
    treasurer.posted()
    treasurer.observe([laid_out(WaterfallLayer.FUND, 30)])
    assert [event.amount for event in treasurer.proceed(ground)] == [30]
    treasurer.posted()
    treasurer.observe([owes(21, 5), holds(70), done(3)])
    assert [event.amount for event in treasurer.decide(ground)] == [5]


def laid_out(layer: WaterfallLayer, amount: int, mark: int = 1) -> LaidOut:
    return LaidOut(
        index=0, layer=layer, reason=Reason.NONE, asset=0, account=0, member=0, mark=mark, asked=amount, amount=amount
    )


def test_restored_in_the_middle_of_a_mark_it_goes_on_alike() -> None:
    ground = Ground(policy=POLICY, member_of=lambda account: account)
    one = Treasurer()
    one.observe([owes(20, 30), owes(21, 31), holds(100, account=House.OWN_CAPITAL), holds(9), done(1)])
    one.decide(ground)
    one.posted()
    one.observe([laid_out(WaterfallLayer.OWN_CAPITAL, 25)])
    other = Treasurer()
    other.restore(json.loads(json.dumps(one.exported())))
    assert other.exported() == one.exported()
    assert other.proceed(ground) == one.proceed(ground) != []
    assert other.exported() == one.exported()


def test_a_member_with_an_account_in_deficit_is_not_called_for_more() -> None:
    ranks = (Rank(WaterfallLayer.OWN_COLLATERAL), Rank(WaterfallLayer.ASSESSMENT), Rank(WaterfallLayer.TEAR_UP))
    members = {20: 1, 21: 1, 22: 2, 23: 3}
    ground = Ground(
        policy=InForce(1, 1, bytes(32), ranks),
        parts={(member, 0): 100 for member in (1, 2, 3)},
        member_of=members.__getitem__,
    )
    treasurer = Treasurer()
    able = [
        AssessmentCapacity(index=0, asset=0, account=account, member=members[account], mark=1, amount=1_000)
        for account in (21, 22, 23)
    ]
    treasurer.observe([owes(20, 61), *able, done(1)])
    assert [(one.account, one.amount) for one in treasurer.decide(ground)] == [(22, 31), (23, 30)]
