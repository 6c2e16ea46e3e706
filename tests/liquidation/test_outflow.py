"""What may leave: on totals, by who came first, the same in any order of outcomes, over any shards and restarts."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquidation.outflow import DAY, Gate, Rules
from schemas.chart import House
from schemas.events import WithdrawalJudged, WithdrawalsHeld
from schemas.kinds import Reason
from schemas.outcomes import (
    DeficitFound,
    HouseBalance,
    LiquidationDue,
    MarkDone,
    WithdrawalAnswered,
    WithdrawalWaiting,
)

HOLD, TENTH = Rules(True, {}), Rules(False, {0: 1_000})


def waits(account: int, amount: int, mark: int = 1, withdrawal: int = 1, asset: int = 0) -> WithdrawalWaiting:
    return WithdrawalWaiting(index=0, asset=asset, account=account, withdrawal=withdrawal, mark=mark, amount=amount)


def answered(account: int, amount: int, reason: Reason = Reason.NONE, withdrawal: int = 1) -> WithdrawalAnswered:
    return WithdrawalAnswered(index=0, reason=reason, asset=0, account=account, withdrawal=withdrawal, amount=amount)


def owes(account: int, amount: int = 1) -> DeficitFound:
    return DeficitFound(index=0, asset=0, account=account, mark=1, amount=amount)


def failing(equity: int) -> LiquidationDue:
    return LiquidationDue(index=0, account=16, mark=1, equity=equity, maintenance=9, buffer=0, initial=9)


def house(account: House, balance: int, asset: int = 0) -> HouseBalance:
    return HouseBalance(index=0, asset=asset, account=account, balance=balance)


def done(mark: int = 1, time: int = 0) -> MarkDone:
    return MarkDone(
        index=0, accounts=0, liquidating=0, deficits=0, mark=mark, time=time, equity=0, maintenance=0, initial=0
    )


def said(events: list[Any]) -> list[Any]:
    """The events in short: True or False for the hold, (account, allowed) for who was judged."""
    return [bool(one.held) if isinstance(one, WithdrawalsHeld) else (one.account, bool(one.allowed)) for one in events]


@pytest.mark.parametrize(
    ("told", "held", "answer"),
    [
        ([], False, [(16, True)]),
        ([owes(20)], False, [True]),  # held from here on: nobody is judged
        ([owes(20)], True, []),  # and is still
        ([], True, [False, (16, True)]),  # no longer, and who waited goes
        ([failing(-1)], False, [True]),
        ([failing(0)], False, [(16, True)]),
        ([house(House.FEES, -1)], False, [True]),
        ([house(House.FEES, -1), house(House.FUND, 1)], False, [(16, True)]),
        ([house(House.FEES, -1), house(House.FUND, 1, asset=1)], False, [True]),  # another asset pays nothing
        ([house(House.SUSPENSE, -1), house(House.ROUNDING, -1)], False, [(16, True)]),
    ],
)
def test_who_is_in_deficit_holds_all(told: list[Any], held: bool, answer: list[Any]) -> None:
    gate = Gate()
    gate.observe([waits(16, 5), *told, done()])
    assert said(gate.decide(1, HOLD, held=held)) == answer
    assert said(gate.decide(1, Rules(False, {}), held=False)) == [(16, True)], "where the rule is off"


def test_a_days_part_is_counted_by_what_left_and_begins_anew_at_midnight() -> None:
    gate = Gate()
    gate.observe([house(House.CUSTODY, -100), waits(16, 6), waits(17, 6), waits(18, 11), waits(19, 4), done(1)])
    assert said(gate.decide(1, TENTH, held=False)) == [(16, True), (18, False), (19, True)]
    assert said(gate.decide(1, TENTH, held=False)) == [(16, True), (18, False), (19, True)], "deciding counts nothing"
    gate.observe([answered(16, 6), answered(18, 11, Reason.WITHDRAWAL_RATE), answered(19, 4, Reason.ACCOUNT_FROZEN)])
    gate.observe([house(House.CUSTODY, -500), waits(17, 6, 2), waits(20, 4, 2), done(2, DAY - 1)])
    assert said(gate.decide(2, TENTH, held=False)) == [(20, True)], "4 of 10 are left, whatever came in since"
    gate.observe([answered(20, 4)])
    gate.observe([house(House.CUSTODY, -90), waits(15, 9, 3), waits(17, 6, 3), done(3, DAY)])
    assert said(gate.decide(3, TENTH, held=False)) == [(17, True)], "9 of 90; 17 came first"


def test_a_word_goes_only_to_who_waited_at_this_mark() -> None:
    gate = Gate()
    gate.observe([waits(16, 6, 1), done(1)])
    gate.observe([done(2)])
    assert gate.decide(2, HOLD, held=False) == []


STEPS = st.lists(
    st.one_of(
        st.builds(waits, st.integers(16, 20), st.integers(1, 60), withdrawal=st.integers(1, 3)),
        st.builds(house, st.sampled_from([House.CUSTODY, House.FUND, House.FEES]), st.integers(-300, 20)),
        st.builds(owes, st.integers(16, 20)),
        st.builds(failing, st.integers(-2, 2)),
    ),
    max_size=12,
)


@given(st.lists(STEPS, min_size=1, max_size=4), st.integers(1, 4), st.randoms(use_true_random=False), st.booleans())
def test_neither_order_nor_shards_nor_restarts_show(
    marks: list[list[Any]], shards: int, draw: random.Random, hold: bool
) -> None:
    rules = Rules(hold, {0: 2_000})
    one, other = Gate(1), Gate(shards)
    held = False
    for number, outcomes in enumerate(marks, 1):
        fresh = [
            waits(x.account, x.amount, number, x.withdrawal) if isinstance(x, WithdrawalWaiting) else x
            for x in outcomes
        ]
        named = {(x.account, x.withdrawal): x for x in fresh if isinstance(x, WithdrawalWaiting)}
        fresh = [x for x in fresh if not isinstance(x, WithdrawalWaiting)] + list(named.values())
        time = number * DAY // 2
        one.observe([*fresh, done(number, time)])
        mixed = list(fresh)
        draw.shuffle(mixed)
        parts: list[list[Any]] = [[] for _ in range(shards)]
        for outcome in mixed:
            parts[draw.randrange(shards)].append(outcome)
        for part in parts:
            other.observe([*part, done(number, time)])
        answer = one.decide(number, rules, held=held)
        again = Gate(shards)
        again.restore(json.loads(json.dumps(other.exported())))
        other = again
        assert other.decide(number, rules, held=held) == answer
        held = bool(answer[0].held) if answer and isinstance(answer[0], WithdrawalsHeld) else held
        gone = [
            answered(x.account, named[x.account, x.withdrawal].amount, withdrawal=x.withdrawal)
            for x in answer
            if isinstance(x, WithdrawalJudged) and x.allowed
        ]
        one.observe(gone)
        other.observe(reversed(gone))
