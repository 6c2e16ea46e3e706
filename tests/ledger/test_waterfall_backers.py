"""The fund's backers on the books, through the whole fold and the fund; for one shard and for four."""

from __future__ import annotations

from pytest_bdd import given, parsers, scenarios, then, when
from test_waterfall_features import PEOPLE, world
from waterfalls import Falling
from world import HOUR, USD, reasons

from insurance.policy import shipped
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, PostingKind
from schemas.outcomes import BackerStands, Posted

scenarios("features/waterfall_backers.feature")

BACKER, OTHER = 7, 8
__all__ = ["world"]


@given("contributions to the fund become units of it")
def backers(world: Falling) -> None:
    for parameter, value in ((Parameter.BACKERS, 1), (Parameter.BACKER_NOTICE, 2 * HOUR)):
        world.send(
            e.ParameterChanged(
                parameter=parameter, scope=0, time=world.time, effective=world.time + HOUR, value=value
            )
        )  # fmt: skip
    world.step(after=HOUR)


@given(parsers.re("(?P<which>no|exchange's) policy$"))
def under(world: Falling, which: str) -> None:
    if which != "no":
        world.publish(shipped("exchange"))


@given(parsers.parse("a backer that put in {amount:d} and asks for {units:d} units back"))
def asks(world: Falling, amount: int, units: int) -> None:
    world.fund(amount, backer=BACKER)
    world.step()
    assert stands(world, BACKER) == amount
    asked = e.BackerWithdrawalRequested(asset=USD, backer=BACKER, request=1, time=world.time, units=units)
    assert reasons(world.send(asked)) == []


@when(parsers.parse("the notice is over and Ann owes {amount:d} at that mark"))
def over(world: Falling, amount: int) -> None:
    if amount:
        world.owe(PEOPLE["Ann"], amount)
    world.step(after=2 * HOUR)


@when("a mark comes before the notice is over")
def before(world: Falling) -> None:
    world.step(after=2 * HOUR - 1)


@when(parsers.parse("Ann owes {amount:d} at a mark before that"))
def owes_before(world: Falling, amount: int) -> None:
    world.owe(PEOPLE["Ann"], amount)
    world.step()


@when(parsers.parse("another backer puts in {amount:d}"))
def another(world: Falling, amount: int) -> None:
    world.fund(amount, backer=OTHER)
    world.step()


@then(parsers.parse("the other backer has {units:d} units"))
def other_has(world: Falling, units: int) -> None:
    assert stands(world, OTHER) == units


@then(parsers.parse("the backer is paid {amount}"))
def is_paid(world: Falling, amount: str) -> None:
    paid = [one for one in world.said if isinstance(one, Posted) and one.kind == PostingKind.BACKER_WITHDRAWAL]
    assert [one.amount for one in paid] == ([] if amount == "nothing" else [int(amount)])


@then(parsers.parse("the fund has {amount:d} and the backer {units:d} units"))
def fund_has(world: Falling, amount: int, units: int) -> None:
    assert (world.house(House.FUND), stands(world, BACKER)) == (amount, units)
    assert all(state.facts.units == world.state.facts.units for state in world.clearing.states)


def stands(world: Falling, backer: int) -> int:
    """A backer's units, as last told."""
    told = [one for one in world.said if isinstance(one, BackerStands) and one.backer == backer]
    return told[-1].units if told else 0
