"""What a reversed trade takes back and from whom, told through the whole fold, for one shard and for three."""

from __future__ import annotations

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from waterfalls import Falling
from world import HOUR, PERP_BTC, USD, reasons

from insurance.policy import shipped
from ledger.conservation import ConservationBroken
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter
from schemas.outcomes import LegPosted

scenarios("features/reversals.feature")

ALICE, BOB, CAROL = 16, 17, 18
PRICE = 800_000
A_TICK = 10
"""smallest units that a lot gains with it"""
HAS = 100_000_000_000


@pytest.fixture(params=[1, 3], autouse=True)
def world(request: pytest.FixtureRequest) -> Falling:
    world = Falling(request.param)
    for account in (ALICE, BOB):
        world.member(account, account, HAS)
    world.member(CAROL, CAROL)
    return world


@given(parsers.parse("REVERSAL_KEEPS_FUND is {rule} and the policy in force is {policy}"))
def ruled(world: Falling, rule: str, policy: str) -> None:
    change = {"parameter": Parameter.REVERSAL_KEEPS_FUND, "scope": 0, "value": int(rule == "on")}
    world.send(e.ParameterChanged(**change, time=world.time, effective=world.time + HOUR))
    world.step(after=HOUR)
    if policy != "none":
        world.publish(shipped(policy))


@given(parsers.parse("the fund got {amount:d} from a backer"))
def backed(world: Falling, amount: int) -> None:
    if amount:
        world.fund(amount, backer=1)


def reversed_trade(world: Falling, trade: int, fee: int) -> e.TradeReversed:
    return e.TradeReversed(
        venue=1, instrument=PERP_BTC, buyer=ALICE, seller=BOB, time=0, trade=trade, quantity=1, price=PRICE,
        buyer_fee=fee, seller_fee=0,
    )  # fmt: skip


@when(parsers.parse("Alice pays a fee of {fee:d} on a trade with Bob"))
def trades(world: Falling, fee: int) -> None:
    before = world.house(House.FUND)
    assert reasons(world.trade(ALICE, BOB, PERP_BTC, 1, PRICE, buyer_fee=fee)) == []
    assert world.house(House.FUND) - before == fee // 5


@when(parsers.parse("the fund pays {amount:d} that Carol owes"))
def pays(world: Falling, amount: int) -> None:
    before = world.house(House.FUND)
    for buyer, seller, price in ((CAROL, BOB, PRICE + amount // A_TICK), (BOB, CAROL, PRICE)):
        assert reasons(world.trade(buyer, seller, PERP_BTC, 1, price)) == []
    assert world.balance(CAROL) == -amount
    world.step()
    assert (world.house(House.FUND), world.balance(CAROL)) == (before - amount, 0)


@when("the trade is reversed")
def reverses(world: Falling) -> None:
    assert reasons(world.send(reversed_trade(world, world.trade_number - 2, 100))) == []


@when(parsers.parse("{trades:d} trades that never were are reversed, of a fee of {fee:d} each"))
def invented(world: Falling, trades: int, fee: int) -> None:
    for number in range(trades):
        assert reasons(world.send(reversed_trade(world, 900 + number, fee))) == []


@then("Alice has what she had")
def has(world: Falling) -> None:
    assert (world.balance(ALICE), world.position(ALICE, PERP_BTC)[0]) == (HAS, 0)


@then(parsers.parse("the fund has {fund:d} and FEES has {fees:d}"))
def houses(world: Falling, fund: int, fees: int) -> None:
    assert (world.house(House.FUND), world.house(House.FEES)) == (fund, fees)


@then("the next mark is answered")
def answered(world: Falling) -> None:
    world.step()


@then(parsers.parse("the next mark stops: the fund has {amount:d}"))
def stops(world: Falling, amount: int) -> None:
    with pytest.raises(ConservationBroken) as stopped:
        world.mark()
    assert stopped.value.broken == (f"asset {USD}: the fund has {amount}",)


def test_what_comes_back_of_a_rebate_the_fund_has_no_part_in(world: Falling) -> None:
    ruled(world, "on", "none")
    world.fund(100)
    world.trade(ALICE, BOB, PERP_BTC, 1, PRICE, buyer_fee=-50)
    said = world.send(reversed_trade(world, world.trade_number, -50))
    assert [one.fund_share for one in said if isinstance(one, LegPosted)] == [0, 0]
    assert (world.house(House.FUND), world.house(House.FEES)) == (100, 0)
