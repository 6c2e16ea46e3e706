"""Withdrawals in stress, told through the whole fold with the services that answer; and that shards do not show."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import BTC, HOUR, MICRO, PERP_BTC, USD, account_book, reasons

from schemas import events as e
from schemas.kinds import Parameter, Reason
from schemas.outcomes import WithdrawalAnswered, WithdrawalsHold, WithdrawalWaiting

scenarios("features/withdrawals_in_stress.feature")

PEOPLE = {"Alice": 16, "Bob": 17, "Carol": 18, "Dan": 19}
DAY = 24 * HOUR


def cents(dollars: str) -> int:
    return int(Decimal(dollars) * MICRO)


@dataclass
class Scene:
    """The clearinghouse of a scenario; the answers by (account, dollars asked for)."""

    world: Managed = field(default_factory=Managed)
    said_before: int = 0
    number: int = 0
    fallen: bool = False

    def set(self, *values: tuple[Parameter, int, int]) -> None:
        w = self.world
        at = w.time + HOUR
        w.send(*(e.ParameterChanged(parameter=p, scope=s, time=w.time, effective=at, value=v) for p, s, v in values))
        self.mark(HOUR)

    def mark(self, after: int = HOUR // 4) -> None:
        self.said_before = len(self.world.said)
        self.world.mark(btc=5_000.0 if self.fallen else None, after=after)
        self.world.answer()

    def ask(self, account: int, amount: int, asset: int = USD) -> None:
        self.number += 1
        w = self.world
        w.send(e.WithdrawalRequested(asset=asset, account=account, withdrawal=self.number, time=w.time, amount=amount))

    def answers(self) -> dict[tuple[int, int], str]:
        """What the last mark and its answers said, by account and amount."""
        fresh = self.world.said[self.said_before :]
        found = {(one.account, one.amount): "waits" for one in fresh if isinstance(one, WithdrawalWaiting)}
        for one in fresh:
            if isinstance(one, WithdrawalAnswered):
                found[one.account, one.amount] = "approved" if one.reason == Reason.NONE else one.reason.name
        return found


@pytest.fixture
def scene() -> Scene:
    return Scene()


def rows(table: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


@given("accounts with dollars")
def accounts(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        scene.world.open(PEOPLE[row["account"]])
        scene.world.deposit(PEOPLE[row["account"]], cents(row["dollars"]))


@given(parsers.parse("withdrawals are {held} in deficit"))
def hold(scene: Scene, held: str) -> None:
    scene.set((Parameter.WITHDRAWAL_HOLD, 0, {"held": 1, "not held": 0}[held]))


@given(parsers.parse("{percent:d} % of the dollars may leave in a day"))
def rate(scene: Scene, percent: int) -> None:
    """From the next midnight on, so that the day begins with all that was deposited."""
    scene.set((Parameter.WITHDRAWAL_RATE, USD, percent * 100))
    scene.mark(DAY - scene.world.time % DAY)


@given(parsers.parse("the fund has {dollars:d} dollars"))
def fund(scene: Scene, dollars: int) -> None:
    if dollars:
        w = scene.world
        w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=dollars * MICRO))


@given("nothing happened")
def nothing() -> None:
    pass


@given(parsers.parse("Carol is to pay {dollars:d}"))
def fee(scene: Scene, dollars: int) -> None:
    w = scene.world
    # to the fees and, so that they can be told from them, out of the clearinghouse's own again
    w.send(e.FeeCharged(account=PEOPLE["Carol"], time=w.time, effective=w.time, amount=dollars * MICRO))


@given("Carol's long fell")
def fell(scene: Scene) -> None:
    scene.world.trade(PEOPLE["Carol"], PEOPLE["Bob"], PERP_BTC, 100, 800_000)
    scene.fallen = True


@given("5 were rebated")
def rebated(scene: Scene) -> None:
    w = scene.world
    w.trade(PEOPLE["Bob"], PEOPLE["Carol"], PERP_BTC, 100, 800_000, seller_fee=-5 * MICRO)
    w.trade(PEOPLE["Carol"], PEOPLE["Bob"], PERP_BTC, 100, 800_000)


@given(parsers.parse("Alice bought {lots:d} lots of BTC-PERP of Bob at {dollars:d}"))
def bought(scene: Scene, lots: int, dollars: int) -> None:
    scene.world.trade(PEOPLE["Alice"], PEOPLE["Bob"], PERP_BTC, lots, dollars * 100)


@when(parsers.parse("Alice asks for {dollars} dollars"))
def alice_asks(scene: Scene, dollars: str) -> None:
    scene.ask(PEOPLE["Alice"], cents(dollars))


@when("these ask")
def these_ask(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        scene.ask(PEOPLE[row["account"]], cents(row["asks"]))
    scene.mark()


@when("the mark is answered")
@when("the next mark is answered")
def marked(scene: Scene) -> None:
    scene.mark()


@when("a day has passed")
def day(scene: Scene) -> None:
    scene.mark(DAY)


@then(parsers.parse("Alice's answer is {answer}"))
def alice_is_answered(scene: Scene, answer: str) -> None:
    """The last answer there was, `held` where there is none and the hold is in force."""
    told = [one for one in scene.world.said if isinstance(one, WithdrawalAnswered) and one.account == PEOPLE["Alice"]]
    if answer == "held":
        assert not told
        assert [one.held for one in scene.world.said if isinstance(one, WithdrawalsHold)] == [1]
        assert list(scene.answers().values()) == ["waits"]
    else:
        assert [one.reason.name for one in told] == ["NONE" if answer == "approved" else answer]


@then("the mark answers")
def answered(scene: Scene, datatable: list[list[str]]) -> None:
    wanted = {(PEOPLE[row["account"]], cents(row["asks"])): row["answer"] for row in rows(datatable)}
    assert scene.answers() == wanted


@then("the desk's word on it is refused")
def refused(scene: Scene, datatable: list[list[str]]) -> None:
    w = scene.world
    for row in rows(datatable):
        mark = w.marks + {"last": 0, "next": 1}[row["mark"]]
        word = e.WithdrawalJudged(allowed=1, account=PEOPLE["Alice"], withdrawal=scene.number, mark=mark)
        assert reasons(w.send(word)) == [row["reason"]]


@then(parsers.parse("Alice has {dollars:d} dollars"))
def has(scene: Scene, dollars: int) -> None:
    assert scene.world.balance(PEOPLE["Alice"]) == dollars * MICRO


def test_a_word_that_lets_go_while_nothing_may_leave_is_refused() -> None:
    scene = Scene()
    scene.world.open(16, 18)
    scene.world.deposit(16, 1_000 * MICRO)
    scene.set((Parameter.WITHDRAWAL_HOLD, 0, 1))
    fee(scene, 40)
    scene.ask(16, MICRO)
    scene.world.mark()
    held = e.WithdrawalsHeld(held=1, mark=scene.world.marks)
    word = e.WithdrawalJudged(allowed=1, account=16, withdrawal=scene.number, mark=scene.world.marks)
    assert reasons(scene.world.send(held, word)) == ["WITHDRAWAL_HELD"]
    unknown = e.WithdrawalJudged(allowed=1, account=16, withdrawal=99, mark=scene.world.marks)
    assert reasons(scene.world.send(unknown)) == ["UNKNOWN_WITHDRAWAL"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["asks", "asks", "asks", "fee", "fund", "mark", "mark", "day", "crash"]),
        st.integers(16, 22),
        st.integers(1, 900),
        st.sampled_from([USD, BTC]),
    ),
    max_size=14,
)


def story(steps: list[tuple[str, int, int, int]], shards: int) -> tuple[Any, ...]:
    scene = Scene(Managed(shards))
    w = scene.world
    w.open(*range(16, 23))
    for account in range(16, 23):
        w.deposit(account, 700 * MICRO)
        w.deposit(account, 1_000_000, asset=BTC)
    scene.set(
        (Parameter.WITHDRAWAL_HOLD, 0, 1),
        (Parameter.WITHDRAWAL_RATE, USD, 2_000),
        (Parameter.WITHDRAWAL_RATE, BTC, 9_000),
    )
    for what, account, amount, asset in [*steps, ("mark", 16, 1, USD)]:
        if what == "asks":
            scene.ask(account, amount * (MICRO if asset == USD else 1_000), asset)
        elif what == "fee":
            w.send(e.FeeCharged(account=account, time=w.time, effective=w.time, amount=amount * MICRO))
        elif what == "fund":
            w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=amount * MICRO))
        elif what == "crash":
            w.crash()
        else:
            scene.mark(DAY if what == "day" else HOUR)
    answers = sorted(
        (one.account, one.withdrawal, one.reason.name) for one in w.said if isinstance(one, WithdrawalAnswered)
    )
    holds = [(one.held, one.mark) for one in w.said if isinstance(one, WithdrawalsHold)]
    w.check()
    return answers, holds, [account_book(w, account) for account in range(16, 23)]


@settings(max_examples=8, deadline=None)
@hypothesis_given(STEPS)
def test_the_number_of_shards_does_not_show_in_what_leaves(steps: list[tuple[str, int, int, int]]) -> None:
    assert story(steps, 1) == story([step for step in steps if step[0] != "crash"], 4)
