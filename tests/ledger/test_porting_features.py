"""The features of a member's default: who goes over to another member, and whose money pays."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from defaulting import COIN, FAILING, OTHER, SOUND, WINDOW, Defaulting
from pytest_bdd import given, parsers, scenarios, then, when
from world import HOUR, MICRO, PERP_BTC, USD, reasons

from ledger.margining import margin_with_orders
from ledger.state import Order
from schemas import events as e
from schemas.kinds import LinkKind, Parameter, PostingKind, Reason, Rung, Segregation
from schemas.outcomes import DeficitCovered, OrderClosed, PortingChecked, WithdrawalAnswered

scenarios("features/porting.feature", "features/segregation.feature")

HOUSE, CLIENT, POOL_A, POOL_B, LONE, SECOND, IDLE, IDLE_POOL, POOR, POOR_POOL, RICH_POOL = range(16, 27)
SOUND_HOUSE, SOUND_CLIENT, DEFAULTED_HOUSE = 40, 41, 42
FOURTH = 4
"""a member that is in default too"""
ACCOUNTS = {
    "an individual client": CLIENT,
    "the individual client": CLIENT,
    "a house account": HOUSE,
    "a client of member 2": SOUND_CLIENT,
    "an account nobody has": 55,
    "a client below margin": POOR,
    "an omnibus of two": POOL_A,
    "an omnibus, one below margin": RICH_POOL,
    "a client without positions": IDLE,
    "an omnibus without positions": IDLE_POOL,
}
TAKERS = {
    "member 2": SOUND, "member 3": OTHER, "its own member": FAILING, "a member in default": FOURTH,
    "nobody's member": 99,
}  # fmt: skip
LATER = {"at once": 0, "after 3.5 hours": 14, "after 4 hours": 16}
"""marks, a quarter of an hour each"""


@dataclass
class Scene:
    """The clearinghouse of a scenario, and what was answered last."""

    world: Defaulting = field(default_factory=Defaulting)
    answer: str = ""
    before: int = 0
    account: int = 0


@pytest.fixture
def scene() -> Scene:
    return Scene()


def units(dollars: str) -> int:
    exact = Decimal(dollars) * MICRO
    assert exact == int(exact), dollars
    return int(exact)


def opened(world: Defaulting) -> None:
    """Members 1, 2 and 4 with every sort of account; those of member 1 hold a bitcoin, where they hold any."""
    w = world
    w.member(SOUND_HOUSE, SOUND, Segregation.HOUSE, 1_000)
    w.member(SOUND_CLIENT, SOUND, Segregation.INDIVIDUAL, 1_000)
    w.member(DEFAULTED_HOUSE, FOURTH, Segregation.HOUSE, 1_000)
    w.member(HOUSE, FAILING, Segregation.HOUSE, 5_000)
    for account, segregation, dollars in (
        (CLIENT, Segregation.INDIVIDUAL, 5_000),
        (POOR, Segregation.INDIVIDUAL, 900),
        (POOL_A, Segregation.OMNIBUS, 5_000),
        (POOL_B, Segregation.OMNIBUS, 5_000),
        (LONE, Segregation.OMNIBUS, 5_000),
        (RICH_POOL, Segregation.OMNIBUS, 5_000),
        (POOR_POOL, Segregation.OMNIBUS, 900),
        (IDLE, Segregation.INDIVIDUAL, 5_000),
        (IDLE_POOL, Segregation.OMNIBUS, 5_000),
    ):
        w.member(account, FAILING, segregation, dollars)
    w.tie([POOL_A, POOL_B])
    w.tie([RICH_POOL, POOR_POOL])
    for account in (HOUSE, CLIENT, POOL_A, POOL_B, LONE, RICH_POOL):
        w.long(account, COIN)
    for account in (POOR, POOR_POOL):  # below initial margin, above maintenance
        w.long(account, thin(w, account))


def thin(world: Defaulting, account: int) -> int:
    """The lots that use an account's margin up without calling it: between maintenance and initial margin."""
    state = world.owner(account)
    lots = 100
    while True:
        margin = margin_with_orders(state, account, [Order(PERP_BTC, lots, 800_000)])
        if margin.initial > margin.equity:
            return lots
        lots += 5


@given(parsers.parse("member 1 is in default, with a window of {hours:d} hours"))
def in_default(scene: Scene, hours: int) -> None:
    w = scene.world
    opened(w)
    w.send(e.OrderOpened(venue=1, instrument=PERP_BTC, account=CLIENT, time=w.time, order=1, quantity=5, price=700_000))
    w.default(FOURTH)
    said = w.default(FAILING, hours * HOUR)
    assert [one.order for one in said if isinstance(one, OrderClosed)] == [1], "an order that could raise risk stays"
    assert hours * HOUR == WINDOW
    w.step()
    assert w.rung(POOR) == Rung.REDUCE_ONLY and w.rung(POOR_POOL) == Rung.REDUCE_ONLY
    assert not w.position(HOUSE, PERP_BTC)[0], "the house account is closed out at the first mark"
    scene.before = w.balance(CLIENT)


def answered(said: list[Any], account: int, world: Defaulting, taker: int) -> str:
    refused = reasons(said)
    refused += [one.reason.name for one in said if isinstance(one, PortingChecked) and one.reason]
    if refused:
        return f"refused: {refused[0]}"
    assert world.member_of(account) == taker
    return "ported"


@when(parsers.re(r"(?P<taker>member 2|member 3|its own member|a member in default|nobody's member) accepts (?P<account>.+) (?P<moment>at once|after 3.5 hours|after 4 hours)"))  # noqa: E501  # fmt: skip
def accepts(scene: Scene, taker: str, account: str, moment: str) -> None:
    w, scene.account = scene.world, ACCOUNTS[account]
    for _ in range(max(0, LATER[moment] - 1)):
        w.step()
    before = {one: w.member_of(one) for one in range(16, 43)}
    said = w.accept(scene.account, TAKERS[taker])
    scene.answer = answered(said, scene.account, w, TAKERS[taker])
    if scene.answer != "ported":
        assert before == {one: w.member_of(one) for one in range(16, 43)}, "something went over"


@then(parsers.parse("it is {answer}"))
def it_is(scene: Scene, answer: str) -> None:
    assert scene.answer == answer


@when("the window ends and everything is settled")
def settled(scene: Scene) -> None:
    scene.world.settle()


@then("the account has all its positions and all its collateral, and may trade and withdraw again")
def kept(scene: Scene) -> None:
    w = scene.world
    assert (w.position(CLIENT, PERP_BTC)[0], w.balance(CLIENT)) == (COIN, scene.before)
    assert w.member_of(CLIENT) == SOUND
    assert wants(w, CLIENT, "add to its position") == "allowed"
    assert wants(w, CLIENT, "withdraw") == "allowed"


@then("every client of member 1 is closed out, at no loss but the market's, and may withdraw what it has left")
def closed_out(scene: Scene) -> None:
    w = scene.world
    for account, dollars in ((CLIENT, 5_000), (POOR, 900), (POOL_A, 5_000), (LONE, 5_000), (POOR_POOL, 900)):
        assert w.position(account, PERP_BTC)[0] == 0
        assert w.balance(account) == dollars * MICRO
        assert wants(w, account, "withdraw") == "allowed"


@then("both its accounts are member 2's, and the other omnibus is member 1's")
def whole(scene: Scene) -> None:
    w = scene.world
    assert [w.member_of(one) for one in (POOL_A, POOL_B, LONE)] == [SOUND, SOUND, FAILING]


@when(parsers.parse("member {first:d} and then member {second:d} accept the individual client {how}"))
def both_accept(scene: Scene, first: int, second: int, how: str) -> None:
    w = scene.world
    words = [e.PortingAccepted(account=CLIENT, taker=one, time=w.time) for one in (first, second)]
    if how == "in one entry":
        w.told(*words)
    else:
        w.told(words[0])
        w.told(words[1])


@then(parsers.parse("the client is member {member:d}'s"))
def it_is_members(scene: Scene, member: int) -> None:
    assert scene.world.member_of(CLIENT) == member


@when(parsers.parse("the individual client falls below maintenance {order} member 2 accepts it"))
def race(scene: Scene, order: str) -> None:
    w = scene.world
    if order == "before":
        w.mark(btc=3_500)
        w.answer()
        said = w.accept(CLIENT)
    else:
        begun = len(w.said)
        w.send(e.PortingAccepted(account=CLIENT, taker=SOUND, time=w.time))
        w.mark(btc=3_500)  # before the services have answered
        w.answer()
        said = w.said[begun:]
    assert w.rung(CLIENT) == Rung.LIQUIDATING
    scene.answer = answered([one for one in said if getattr(one, "account", CLIENT) == CLIENT], CLIENT, w, SOUND)


@then(parsers.parse("it is {answer}, and its liquidation goes on until it stands on its own"))
def goes_on(scene: Scene, answer: str) -> None:
    w = scene.world
    assert scene.answer == answer
    for _ in range(12):
        w.step()
    assert w.rung(CLIENT) == Rung.HEALTHY
    assert 0 < w.position(CLIENT, PERP_BTC)[0] < COIN, "it was liquidated in part, not closed out"


def wants(world: Defaulting, account: int, what: str) -> str:
    """What becomes of it."""
    w = world
    match what:
        case "withdraw":
            w.deposit_number += 1
            ask = e.WithdrawalRequested(
                asset=USD, account=account, withdrawal=w.deposit_number, time=w.time, amount=100 * MICRO
            )
            w.send(ask)
            said = w.step()
            found = [one.reason for one in said if isinstance(one, WithdrawalAnswered) and one.account == account]
            assert len(found) == 1
            return "allowed" if found[0] == Reason.NONE else f"refused: {found[0].name}"
        case "deposit":
            said = w.deposit(account, MICRO)
        case "open an account":
            w.member(50, account, Segregation.INDIVIDUAL, 0)
            said = w.said[-1:]
        case "be tied to another":
            link = LinkKind.CLIENT
            said = w.send(e.AccountLinked(link=link, removed=0, account=account, other=LONE, time=w.time))
        case "add to its position" | "reduce its position":
            lots = 5 if what.startswith("add") else -5
            said = w.send(
                e.OrderOpened(venue=1, instrument=PERP_BTC, account=account, time=w.time, order=7, quantity=lots,
                              price=800_000)
            )  # fmt: skip
        case _:
            raise AssertionError(what)
    refused = reasons(said)
    return f"refused: {refused[0]}" if refused else "allowed"


@when(parsers.re(r"(?P<account>.+) wants to (?P<what>.+) (?P<moment>at once|when all is settled)"))
def wanted(scene: Scene, account: str, what: str, moment: str) -> None:
    if moment == "when all is settled":
        scene.world.settle()
    scene.answer = wants(scene.world, FAILING if account == "member 1" else ACCOUNTS[account], what)


# --- segregation -----------------------------------------------------------------------------------------------------


@given(parsers.parse("HOUSE_COVERS_CLIENTS is {value:d}"))
def covers(scene: Scene, value: int) -> None:
    scene.world.change(Parameter.HOUSE_COVERS_CLIENTS, value)


@given(parsers.parse("a member whose accounts have, in dollars, house {house}, individual {individual}, omnibus {a} and {b}"))  # noqa: E501  # fmt: skip
def a_member(scene: Scene, house: str, individual: str, a: str, b: str) -> None:
    w = scene.world
    w.member(SOUND_HOUSE, SOUND, Segregation.HOUSE, 1_000)
    for account, segregation, dollars in (
        (HOUSE, Segregation.HOUSE, house),
        (CLIENT, Segregation.INDIVIDUAL, individual),
        (POOL_A, Segregation.OMNIBUS, a),
        (POOL_B, Segregation.OMNIBUS, b),
    ):
        holds_a_bitcoin(w, account, segregation, dollars)
    w.tie([POOL_A, POOL_B])


def holds_a_bitcoin(world: Defaulting, account: int, segregation: Segregation, dollars: str) -> None:
    world.member(account, FAILING, segregation, float(dollars))
    world.long(account, COIN)


@given(parsers.parse("a second house account with {dollars} dollars"))
def second_house(scene: Scene, dollars: str) -> None:
    holds_a_bitcoin(scene.world, SECOND, Segregation.HOUSE, dollars)


@given(parsers.parse("another omnibus with {dollars} dollars"))
def another_omnibus(scene: Scene, dollars: str) -> None:
    holds_a_bitcoin(scene.world, LONE, Segregation.OMNIBUS, dollars)


@when("it is put in default and the price falls by 1,000 dollars")
def falls(scene: Scene) -> None:
    w = scene.world
    w.default()
    w.step(btc=7_000)
    w.settle()


@when("it is put in default, the omnibus is taken over, and the price falls by 1,000 dollars")
def falls_after(scene: Scene) -> None:
    w = scene.world
    w.default()
    assert answered(w.accept(POOL_A), POOL_A, w, SOUND) == "ported"
    w.step(btc=7_000)
    w.settle()


@then(parsers.parse("they are left with house {house}, individual {individual}, omnibus {a} and {b}"))
def left(scene: Scene, house: str, individual: str, a: str, b: str) -> None:
    found = [scene.world.balance(one) for one in (HOUSE, CLIENT, POOL_A, POOL_B)]
    assert found == [units(one) for one in (house, individual, a, b)]
    assert scene.world.balance(7) == 0, "something is still in TRANSIT"


@then(parsers.parse("the fund has paid {dollars}"))
def fund_paid(scene: Scene, dollars: str) -> None:
    w = scene.world
    assert sum(one.amount for one in w.said if isinstance(one, DeficitCovered)) == units(dollars)
    assert w.balance(3) == units("1000000") - units(dollars)


@then(parsers.parse("the house has paid {individual} for the individual client and {a} for the omnibus"))
def house_paid(scene: Scene, individual: str, a: str) -> None:
    moved = scene.world.moved(PostingKind.MEMBER_RESOURCES)
    assert (moved.get((7, CLIENT), 0), moved.get((7, POOL_A), 0)) == (units(individual), units(a))
    assert moved[HOUSE, 7] == units(individual) + units(a)


@then(parsers.parse("the second house account is left with {dollars}"))
def second_left(scene: Scene, dollars: str) -> None:
    assert (scene.world.balance(HOUSE), scene.world.balance(SECOND)) == (0, units(dollars))


@then(parsers.parse("the other omnibus is left with {dollars}"))
def other_left(scene: Scene, dollars: str) -> None:
    assert scene.world.balance(LONE) == units(dollars)


@then("the omnibus keeps its two bitcoins and its 10000 dollars")
def keeps(scene: Scene) -> None:
    w = scene.world
    assert [(w.position(one, PERP_BTC)[0], w.balance(one)) for one in (POOL_A, POOL_B)] == [(COIN, units("5000"))] * 2
