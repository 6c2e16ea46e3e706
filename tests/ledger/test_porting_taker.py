"""The feature of the receiving member: whose own house accounts must stand before it takes a client over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from defaulting import COIN, FAILING, SOUND, Defaulting
from pytest_bdd import given, parsers, scenarios, then, when
from world import HOUR, MICRO, PERP_BTC, reasons

from insurance.porting import Porting, portings
from ledger.margining import margins_of
from schemas import events as e
from schemas.kinds import Parameter, Reason, Rung, Segregation
from schemas.outcomes import PortingChecked

scenarios("features/porting_taker.feature")

CLIENT, POOL_A, POOL_B = 17, 18, 19
HOUSE, HOUSE_TWO, OWN_CLIENT = 40, 43, 41
WHOM = {"an individual client": (CLIENT,), "an omnibus of two": (POOL_A, POOL_B)}
BELOW, LIQUIDATED = 720, 900
"""lots of a long of an account with 1,000 dollars: below its initial margin, below its maintenance"""


@dataclass
class Scene:
    """The clearinghouse of a scenario, and what was answered last."""

    world: Defaulting = field(default_factory=Defaulting)
    answer: str = ""


@pytest.fixture
def scene() -> Scene:
    return Scene()


@given(parsers.parse("PORTING_MARGIN is {value:d} over {shards:d} shards, and member 1 is in default"))
def in_default(scene: Scene, value: int, shards: int) -> None:
    w = scene.world = Defaulting(shards)
    w.change(Parameter.PORTING_MARGIN, value)
    for account, segregation in (
        (CLIENT, Segregation.INDIVIDUAL),
        (POOL_A, Segregation.OMNIBUS),
        (POOL_B, Segregation.OMNIBUS),
    ):
        w.member(account, FAILING, segregation, 5_000)
        w.long(account, COIN)
    w.tie([POOL_A, POOL_B])
    w.member(OWN_CLIENT, SOUND, Segregation.INDIVIDUAL, 1_000)
    w.default()


def house(world: Defaulting, account: int, lots: int = 100) -> None:
    world.member(account, SOUND, Segregation.HOUSE, 1_000)
    world.long(account, lots)


@given(parsers.parse("of member 2 {state}"))
def standing(scene: Scene, state: str) -> None:
    w = scene.world
    match state:
        case "every account stands above its initial margin":
            house(w, HOUSE)
            house(w, HOUSE_TWO, -100)
        case "a house account is below its initial margin":
            house(w, HOUSE, BELOW)
        case "a house account is in liquidation":
            house(w, HOUSE, LIQUIDATED)
        case "one of two house accounts is below its initial margin":
            house(w, HOUSE)
            house(w, HOUSE_TWO, BELOW)
        case "a client is below its initial margin":
            house(w, HOUSE)
            w.long(OWN_CLIENT, BELOW)
        case "a house account has fallen below it since the mark":
            house(w, HOUSE)
        case "there is no house account":
            pass
        case _:
            raise AssertionError(state)
    w.step(bid=False)
    if "since the mark" in state:
        w.long(HOUSE, BELOW)
    rungs = {account: w.rung(account) for account in (HOUSE, HOUSE_TWO, OWN_CLIENT) if w.state.exists(account)}
    below = Rung.LIQUIDATING if "liquidation" in state else Rung.REDUCE_ONLY
    named = {"a ": HOUSE, "on": HOUSE_TWO}.get(state[:2]) if "is below" in state or "liquidation" in state else None
    named = OWN_CLIENT if state.startswith("a client") else named
    assert rungs == {account: below if account == named else Rung.HEALTHY for account in rungs}


@when(parsers.re(r"member 2 accepts (?P<whom>an individual client|an omnibus of two)$"))
def accepts(scene: Scene, whom: str) -> None:
    w, accounts = scene.world, WHOM[whom]
    scene.answer = answered(w, accounts, w.accept(accounts[-1]))


def answered(world: Defaulting, accounts: tuple[int, ...], said: list[Any]) -> str:
    refused = reasons(said)
    refused += [one.reason.name for one in said if isinstance(one, PortingChecked) and one.reason]
    now = {world.member_of(account) for account in accounts}
    assert now == ({FAILING} if refused else {SOUND})
    return f"refused: {refused[0]}" if refused else "ported"


@when("member 2 puts money into its house account")
def pays_in(scene: Scene) -> None:
    scene.world.deposit(HOUSE, 10_000 * MICRO)
    scene.world.step()


@when("member 2 accepts an individual client, and is put in default before the word")
def fails_in_between(scene: Scene) -> None:
    w = scene.world
    begun = len(w.said)
    w.send(e.PortingAccepted(account=CLIENT, taker=SOUND, time=w.time))
    w.send(e.MemberDefaulted(member=SOUND, time=w.time, window=HOUR))
    w.answer()
    scene.answer = answered(w, (CLIENT,), w.said[begun:])


@then(parsers.parse("the answer is {answer}"))
def answer_is(scene: Scene, answer: str) -> None:
    assert scene.answer == answer


# --- one by one -------------------------------------------------------------------------------------------------------


def test_what_a_check_costs_no_account_anything() -> None:
    """The check changes no books, and says of every house account of the taker and of what would go."""
    w = Defaulting(4)
    w.change(Parameter.PORTING_MARGIN, 1)
    w.member(CLIENT, FAILING, Segregation.INDIVIDUAL, 5_000)
    house(w, HOUSE)
    house(w, HOUSE_TWO, BELOW)
    w.default()
    w.step(bid=False)
    before = w.digests()
    said = w.send(e.PortingAccepted(account=CLIENT, taker=SOUND, time=w.time))
    assert before == w.digests()
    margin = margins_of(w.owner(HOUSE_TWO), HOUSE_TWO)
    assert margin.equity < margin.initial and w.position(HOUSE_TWO, PERP_BTC)[0] == BELOW
    assert {one.account: one.reason for one in said if isinstance(one, PortingChecked)} == {
        CLIENT: Reason.NONE,
        HOUSE: Reason.NONE,
        HOUSE_TWO: Reason.PORTING_TAKER_BELOW_MARGIN,
    }


@pytest.mark.parametrize(
    ("said", "goes"),
    [
        # account -> what its shard said of it, of an acceptance of an omnibus of 18 and 19 by member 2
        ({18: Reason.NONE, 19: Reason.NONE}, [18, 19]),
        ({18: Reason.NONE, 19: Reason.NONE, 40: Reason.NONE}, [18, 19]),
        ({18: Reason.NONE, 19: Reason.NONE, 40: Reason.PORTING_TAKER_BELOW_MARGIN}, []),
        ({18: Reason.NONE, 19: Reason.PORTING_IN_BREACH, 40: Reason.NONE}, []),
        ({18: Reason.NONE, 40: Reason.NONE}, []),
        ({40: Reason.NONE}, []),
    ],
)
def test_who_goes_over(said: dict[int, Reason], goes: list[int]) -> None:
    checked = [PortingChecked(index=0, reason=why, account=one, head=19, taker=2) for one, why in said.items()]
    assert portings(reversed(checked), {19: [18, 19]}) == [Porting(one, 2) for one in goes]
