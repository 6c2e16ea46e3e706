"""A source with the fund's role that pays out what is not there: what every shard can see is refused by name; what only
all shards together show stops the books at the next mark, by name, at the same place for everybody, and nothing moved
to anybody who did not owe."""

from __future__ import annotations

from typing import Any

import pytest
from waterfalls import Falling
from world import HOUR, USD, World, reasons

from insurance.policy import shipped
from ledger.conservation import ConservationBroken, balances_add_up, positions_add_up
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, WaterfallLayer
from schemas.outcomes import LaidOut
from schemas.sources import Role, source

ANN, BOB, CAROL = 16, 17, 18
ROGUE = source(Role.FUND, 9)
L = WaterfallLayer


def short_of_money(shards: int, policy: str = "") -> Falling:
    """Ann owes 100 and Bob 50, the fund had 60: after the mark's answer 90 is owed and the fund has nothing."""
    world = Falling(shards)
    world.member(ANN, 1)
    world.member(BOB, 2)
    world.member(CAROL, 3, 10**9)
    if policy:
        world.publish(shipped(policy))
    world.fund(60, backer=1)
    world.owe(ANN, 100)
    world.owe(BOB, 50)
    world.step()
    assert world.house(House.FUND) == 0 and world.balance(ANN) + world.balance(BOB) == -90
    return world


def with_backer(shards: int) -> Falling:
    """A fund of 60 that belongs to a backer who asked for all of it, the notice over."""
    world = Falling(shards)
    for parameter, value in ((Parameter.BACKERS, 1), (Parameter.BACKER_NOTICE, 0)):
        world.send(e.ParameterChanged(parameter=parameter, scope=0, time=0, effective=world.time + HOUR, value=value))
    world.step(after=HOUR)
    world.fund(60, backer=1)
    world.step()
    world.send(e.BackerWithdrawalRequested(asset=USD, backer=1, request=1, time=world.time, units=60))
    return world


def paid(world: Falling, account: int, amount: int) -> Any:
    return e.FundPaid(asset=USD, account=account, mark=world.marks, amount=amount)


def layer_paid(world: Falling, account: int, amount: int) -> Any:
    return e.LayerPaid(layer=L.FUND, asset=USD, account=account, member=1, mark=world.marks, amount=amount)


def drawn(world: Falling, amount: int) -> Any:
    return e.LayerDrawn(layer=L.FUND, asset=USD, member=0, mark=world.marks, amount=amount)


def redeemed(world: Falling, amount: int) -> Any:
    return e.BackerPaid(asset=USD, backer=1, request=1, mark=world.marks, units=60, amount=amount)


STOPS = [
    (
        "the fund pays the 40 that it has not",
        short_of_money,
        lambda w: [paid(w, ANN, 40)],
        "the fund has -40",
    ),
    (
        "two accounts are paid by it, each by its own shard",
        short_of_money,
        lambda w: [paid(w, ANN, 40), paid(w, BOB, 20)],
        "the fund has -60",
    ),
    (
        "an account is paid what no layer laid out",
        lambda s: short_of_money(s, "exchange"),
        lambda w: [layer_paid(w, ANN, 40)],
        "what the layers laid out has -40",
    ),
    (
        "the fund lays out what it has not",
        lambda s: short_of_money(s, "exchange"),
        lambda w: [drawn(w, 7)],
        "the fund has -7",
    ),
    ("a backer gets more than there is", with_backer, lambda w: [redeemed(w, 61)], "the fund has -1"),
]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("founded", "said", "broken"), [row[1:] for row in STOPS], ids=[row[0] for row in STOPS])
def test_it_stops_by_name_and_nothing_is_lost(shards: int, founded: Any, said: Any, broken: str) -> None:
    world: Falling = founded(shards)
    before, sound = len(world.entries), world.digests()
    held = world.balance(CAROL)
    assert reasons(world.entry(ROGUE, said(world))) == []
    for state in world.clearing.states:  # whatever was said, it only moved
        assert balances_add_up(state) == [] and positions_add_up(state) == []
    assert world.balance(CAROL) == held
    with pytest.raises(ConservationBroken) as stopped:
        world.mark()
    assert stopped.value.broken == (f"asset {USD}: {broken}",)

    again = World(
        shards, ready=False
    )  # whoever folds the journal has the books as they were, and stops at the same place
    for data in world.entries[:before]:
        again.bytes(data)
    assert again.digests() == sound
    with pytest.raises(ConservationBroken) as found:
        for data in world.entries[before:]:
            again.bytes(data)
    assert (found.value.n, found.value.broken) == (stopped.value.n, stopped.value.broken)


@pytest.mark.parametrize("shards", [1, 3])
def test_whoever_sees_it_before_the_mark_can_make_it_good(shards: int) -> None:
    world = short_of_money(shards)
    world.entry(ROGUE, [paid(world, ANN, 40)])
    world.fund(40)
    world.step()
    assert world.house(House.FUND) == 0


REFUSED = [
    ("more than the account owes", "", lambda w: paid(w, ANN, 10**6), ["NOTHING_DUE"]),
    ("who owes nothing", "", lambda w: paid(w, CAROL, 1), ["NOTHING_DUE"]),
    ("a layer that is not in force", "", lambda w: drawn(w, 1), ["LAYER_NOT_IN_POLICY"]),
    (
        "more than a member's part",
        "ccp",
        lambda w: e.LayerDrawn(layer=L.DEFAULT_FUND, asset=USD, member=3, mark=w.marks, amount=1),
        ["LAYER_EMPTY"],
    ),
    ("a redemption that nobody asked for", "", lambda w: redeemed(w, 1), ["UNKNOWN_BACKER_REQUEST"]),
]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("policy", "said", "names"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_every_shard_can_see_is_refused(shards: int, policy: str, said: Any, names: list[str]) -> None:
    world = short_of_money(shards) if not policy else Falling(shards)
    if policy:
        world.member(ANN, 3)
        world.publish(shipped(policy))
    before = world.digests()
    assert reasons(world.entry(ROGUE, [said(world)])) == names
    assert world.digests() == before
    world.step()


def test_own_capital_lays_out_no_more_than_it_has() -> None:
    world = short_of_money(1, "exchange")
    world.capital(5)
    told = world.entry(ROGUE, [e.LayerDrawn(layer=L.OWN_CAPITAL, asset=USD, member=0, mark=world.marks, amount=9)])
    assert [(one.reason.name, one.amount) for one in told if isinstance(one, LaidOut)] == [("LAYER_EMPTY", 5)]
    world.step()
