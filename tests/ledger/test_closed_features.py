"""The last rung of the ladder told through the whole fold and the fund, each for one shard and for three."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from waterfalls import Falling
from world import BTC, HOUR, ISOLATED, PERP_BTC, USD, reasons

from insurance.policy import shipped
from ledger.snapshot import dump, load
from schemas import events as e
from schemas.kinds import AccountStatus, Parameter, Rung, WithdrawalDecision
from schemas.outcomes import DeficitCovered, LegPosted, LossBorne, Rejected, RungChanged
from services.explain import standing

scenarios("features/closed.feature")

ALICE, BOB = 16, 17


@pytest.fixture(params=[1, 3], autouse=True)
def world(request: pytest.FixtureRequest) -> Falling:
    world = Falling(request.param)
    world.member(ALICE, 1)
    world.member(BOB, 2, 100_000_000_000)
    return world


def change(world: Falling, parameter: Parameter, value: int) -> None:
    effective = world.time + HOUR
    world.send(e.ParameterChanged(parameter=parameter, scope=0, time=world.time, effective=effective, value=value))
    world.step(after=HOUR)


def rung(world: Falling) -> str:
    return Rung(int(world.owner(ALICE).accounts.rung[ALICE])).name


@given(parsers.parse("the rule is {rule} and losses are paid {how}"))
def ruled(world: Falling, rule: str, how: str) -> None:
    change(world, Parameter.CLOSE_DEFAULTED, int(rule == "on"))
    if how == "by a waterfall":
        world.publish(shipped("exchange"))


@given(parsers.parse("own capital of {capital:d} and a fund of {fund:d}"))
def house(world: Falling, capital: int, fund: int) -> None:
    if capital:
        world.capital(capital)
    if fund:
        world.fund(fund)


@given(parsers.parse("Alice has {what}"))
def has(world: Falling, what: str) -> None:
    match what:
        case "7 satoshi":
            world.deposit(ALICE, 7, BTC)
        case "a fee not yet due":
            world.send(e.FeeCharged(account=ALICE, time=world.time, effective=world.time + 90 * HOUR, amount=1))
            change(world, Parameter.NOTICE, HOUR)  # a mark
            world.fund(1)
        case _:
            world.deposit(ALICE, 9)
            world.send(e.WithdrawalRequested(asset=USD, account=ALICE, withdrawal=1, time=world.time, amount=9))
            world.step()


@when(parsers.parse("Alice owes {amount:d}"))
def owes(world: Falling, amount: int) -> None:
    world.owe(ALICE, amount)
    world.step()


@when(parsers.parse("Alice then deposits {amount:d}"))
def deposits(world: Falling, amount: int) -> None:
    if amount:
        assert reasons(world.deposit(ALICE, amount)) == []


@when("the next mark is answered")
def marked(world: Falling) -> None:
    world.clearing.states[:] = [load(dump(state), world.clearing.shard_of) for state in world.clearing.states]
    world.crash()
    world.step()


@when(parsers.parse("{marks:d} more marks are answered"))
def more(world: Falling, marks: int) -> None:
    for _ in range(marks):
        marked(world)


@when("the registrar opens her account again")
def reopened(world: Falling) -> None:
    opened = AccountStatus.OPEN
    world.send(e.AccountChanged(status=opened, profile=ISOLATED, account=ALICE, time=world.time, effective=world.time))
    world.step()


@then(parsers.parse("Alice is {where:w} and others paid {amount:d}"))
def stands(world: Falling, where: str, amount: int) -> None:
    assert rung(world) == where
    paid = sum(one.amount for one in world.said if isinstance(one, DeficitCovered | LossBorne))
    assert paid == amount


@then(parsers.parse("Alice is {where:w}, her account is {status:w} and has {left}"))
def ends(world: Falling, where: str, status: str, left: str) -> None:
    told = standing(world.owner(ALICE), ALICE)
    assert (told["rung"], told["status"]) == (where.lower(), status.lower())
    assert rung(world) == where
    assert world.balance(ALICE) == int(left)


@then("this is what she may do")
def may(world: Falling, datatable: list[list[str]]) -> None:
    doings: dict[str, Any] = {
        "deposit": e.Deposited(asset=USD, account=ALICE, deposit=99, time=0, amount=5),
        "withdraw": e.WithdrawalRequested(asset=USD, account=ALICE, withdrawal=99, time=0, amount=5),
        "order": e.OrderOpened(
            venue=1, instrument=PERP_BTC, account=ALICE, time=0, order=99, quantity=1, price=800_000
        ),
        "leg": world.trade_event(ALICE, BOB, PERP_BTC, 1, 800_000),
    }
    for what, answer in datatable[1:]:
        before = world.digests()
        said = world.send(doings[what])
        assert (reasons(said) or ["accepted"]) == [answer], what
        if any(isinstance(one, Rejected) for one in said):
            assert world.digests() == before
        assert not [one for one in said if isinstance(one, LegPosted) and one.account == ALICE]


@then("it was told once that she is closed, and by what")
def told_once(world: Falling) -> None:
    told = [one for one in world.said if isinstance(one, RungChanged) and one.account == ALICE]
    assert [(one.before, one.after) for one in told][-1] == (Rung.DEFICIT, Rung.CLOSED)
    assert sum(one.after == Rung.CLOSED for one in told) == 1


def test_a_withdrawal_that_comes_back_is_hers_and_one_that_was_paid_closes_nothing_later(world: Falling) -> None:
    """Only the mark after the payment closes: what is open then is not looked for again."""
    ruled(world, "on", "by the fund")
    world.fund(500)
    has(world, "a withdrawal on its way")
    owes(world, 100)
    marked(world)
    world.send(e.WithdrawalDecided(decision=WithdrawalDecision.RETURNED, account=ALICE, withdrawal=1, time=world.time))
    marked(world)
    assert (rung(world), world.balance(ALICE)) == ("HEALTHY", 9)


def test_where_the_rule_is_off_at_the_payment_the_account_stays_open(world: Falling) -> None:
    world.fund(500)
    effective = world.time + HOUR
    on = {"parameter": Parameter.CLOSE_DEFAULTED, "scope": 0, "time": world.time, "value": 1}
    world.send(e.ParameterChanged(**on, effective=effective))
    owes(world, 100)
    assert world.balance(ALICE) == 0
    world.step(after=HOUR)
    assert rung(world) == "HEALTHY"
