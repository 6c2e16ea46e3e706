"""The breakers' features: tables a risk officer can read, told through the whole fold and the services that decide."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import BTC_U, HOUR, MICRO, PERP_BTC, PERP_ETH, SPAN, SPOT_BTC, reasons

from ledger.barred import barred, limited_groups
from ledger.state import Life
from schemas import events as e
from schemas.kinds import BreakerCause, LinkKind, Parameter, Reason, Rung, Segregation
from schemas.outcomes import AuctionOpened, BreakerSwitched, LegPosted, OpenInterest, OrderClosed
from schemas.sources import Role

scenarios(
    "features/breakers_open_interest.feature",
    "features/breakers_owner.feature",
    "features/breakers_price.feature",
)

PEOPLE = {"Alice": 16, "Bob": 17, "Carol": 18, "Dave": 19, "A1": 20, "A2": 21, "A3": 22, "B1": 23, "M1": 24, "Liz": 25}
OWNERS = {"A1": 500, "A2": 500, "A3": 500, "B1": 501}
NAMES = {500: "Ann", 501: "Ben"}
TICKS = 800_000
INSTRUMENTS = {"the perp": PERP_BTC, "ETH": PERP_ETH, "coins": SPOT_BTC}


@dataclass
class Scene:
    """The clearinghouse of a scenario."""

    world: Managed = field(default_factory=Managed)
    orders: int = 0

    def set(self, *values: tuple[Parameter, int, int]) -> None:
        w = self.world
        at = w.time + HOUR
        w.send(*(e.ParameterChanged(parameter=p, scope=s, time=w.time, effective=at, value=v) for p, s, v in values))
        w.mark(after=HOUR)
        w.answer()

    def open(self, *names: str, dollars: int = 1_000_000) -> None:
        for name in names:
            account = PEOPLE[name]
            owner = OWNERS.get(name, account)
            self.world.send(
                e.AccountOpened(
                    account=account, segregation=Segregation.INDIVIDUAL, liquidator=int(name == "Liz"), profile=SPAN,
                    member=1, owner=owner, time=self.world.time, name=name,
                )
            )  # fmt: skip
            if dollars:
                self.world.deposit(account, dollars * MICRO)

    def mark(self, **prices: float) -> list[Any]:
        before = len(self.world.said)
        self.world.mark(**prices)
        self.world.answer()
        return self.world.said[before:]

    def trade(self, account: str, lots: int, other: str, price: int = TICKS) -> list[Any]:
        buyer, seller = (account, other) if lots > 0 else (other, account)
        return self.world.trade(PEOPLE[buyer], PEOPLE[seller], PERP_BTC, abs(lots), price)

    def order(self, account: str, lots: int, instrument: int = PERP_BTC) -> list[Any]:
        self.orders += 1
        return self.world.send(
            e.OrderOpened(
                venue=1, instrument=instrument, account=PEOPLE[account], time=self.world.time, order=self.orders,
                quantity=lots, price=TICKS,
            )
        )  # fmt: skip

    def give(self, dollars: int) -> None:
        w = self.world
        if dollars:
            w.send(e.FundContributed(own=0, asset=0, backer=1, time=w.time, amount=dollars * MICRO))

    @property
    def state(self) -> str:
        return "stopped" if BTC_U in barred(self.world.state) else "let in"


@pytest.fixture
def scene() -> Scene:
    return Scene()


def rows(table: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def answer(said: list[Any]) -> str:
    return (reasons(said) or ["taken"])[0]


# --- open interest ----------------------------------------------------------------------------------------------------


@given(
    parsers.parse("a fund of {fund:d} dollars, of which {share:d} % may be lost to a stress of {stress:d} %"),
)
def fund(scene: Scene, fund: int, share: int, stress: int) -> None:
    scene.give(fund)
    scene.open("Alice", "Bob", "Carol")
    scene.open("Dave", dollars=0)
    scene.set(
        (Parameter.BREAKER_FUND_SHARE, BTC_U, share * 100),
        (Parameter.BREAKER_STRESS, BTC_U, stress * 100),
    )


@given(parsers.parse("Alice buys {lots:d} lots of the perp from Bob"))
@when(parsers.parse("Alice buys {lots:d} lots of the perp from Bob"))
def buys(scene: Scene, lots: int) -> None:
    if lots:
        assert answer(scene.trade("Alice", lots, "Bob")) == "taken"


@given(parsers.parse("Alice has an order to buy {bought:d} lots of the perp, and one to sell {sold:d}"))
def resting(scene: Scene, bought: int, sold: int) -> None:
    assert answer(scene.order("Alice", bought)) == answer(scene.order("Alice", -sold)) == "taken"


@when("a mark is made")
def a_mark(scene: Scene) -> None:
    scene.mark()


@then(parsers.parse("open interest is {interest} dollars of {limit}"))
def interest_of(scene: Scene, interest: str, limit: str) -> None:
    assert figures(scene) == (interest, limit)


def figures(scene: Scene) -> tuple[str, str]:
    """Open interest as the last mark told it, and the limit in force, dollars; - where there is none."""
    mark = scene.world.state.mark
    told = [one for one in scene.world.said if isinstance(one, OpenInterest) and one.mark == mark]
    limit = scene.world.state.facts.breakers.get(BTC_U)
    if not told:
        assert limit is None
        return "-", "-"
    assert len(told) == scene.world.clearing.settings.shards
    assert limit is not None
    sides = (sum(one.long for one in told), sum(one.short for one in told))
    return f"{max(sides) / MICRO:g}", f"{limit[1] / MICRO:g}"


@then(parsers.parse("new risk in BTC is {state}"))
def stands(scene: Scene, state: str) -> None:
    assert scene.state == state


@then("Alice's order to buy is closed and the one to sell is not")
def closed(scene: Scene) -> None:
    assert [one.order for one in scene.world.said if isinstance(one, OrderClosed)] == [1]
    assert list(scene.world.state.orders[PEOPLE["Alice"]]) == [2]


@then("these are answered")
def answered(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        what = row["what"]
        if order := re.fullmatch(r"(\w+) orders to (buy|sell) (\d+) of (.+)", what):
            name, side, lots, instrument = order.groups()
            told = scene.order(name, int(lots) if side == "buy" else -int(lots), INSTRUMENTS[instrument])
        else:
            trade = re.fullmatch(r"(\w+) buys (\d+) of the perp from (\w+)", what)
            assert trade is not None
            told = scene.trade(trade[1], int(trade[2]), trade[3])
            # both legs are there, each with its account or in SUSPENSE
            assert len([one for one in told if isinstance(one, LegPosted)]) == 2
        assert answer(told) == row["answer"], what


@then("the council's status of the perp is OPEN")
def council(scene: Scene) -> None:
    assert scene.world.state.life[PERP_BTC] == Life.OPEN


@when("this happens before each mark")
def course(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        what = row["what"]
        if what == "the stress is switched off":
            scene.set((Parameter.BREAKER_STRESS, BTC_U, 0))
        else:
            if trade := re.fullmatch(r"(\w+) buys (\d+) from (\w+)", what):
                assert answer(scene.trade(trade[1], int(trade[2]), trade[3])) == "taken"
            elif debt := re.fullmatch(r"Dave leaves a debt of (\d+)", what):
                scene.trade("Dave", 1_000, "Carol")
                scene.trade("Dave", -1_000, "Carol", TICKS - 100 * int(debt[1]))
            elif given_ := re.fullmatch(r"a backer brings (\d+)", what):
                scene.give(int(given_[1]))
            else:
                assert what == "nothing"
            scene.mark()
        assert (*figures(scene), scene.state) == (row["interest"], row["limit"], row["state"]), what


# --- owners -----------------------------------------------------------------------------------------------------------


@given("four shards and owners held to a tenth")
def owners(scene: Scene) -> None:
    scene.world = Managed(shards=4)
    scene.give(1_000)
    scene.open("A1", "A2", "A3", "B1", "M1", "Carol", "Dave")
    scene.set(
        (Parameter.BREAKER_STRESS, BTC_U, 100),
        (Parameter.OWNER_SHARE, 0, 1_000),
    )


@given(parsers.parse("accounts A1 and B1 {link}"))
def linked(scene: Scene, link: str) -> None:
    if link == "have one owner":
        w = scene.world
        w.send(e.AccountLinked(link=LinkKind.OWNER, removed=0, account=PEOPLE["B1"], other=PEOPLE["A1"], time=w.time))
    else:
        assert link == "are not linked"


@when("these lots are bought, and a mark is made")
def bought(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        for name, lots in row.items():
            if int(lots):
                # the other side is spread over three owners, as it is held to the share too
                part = int(lots) // 3
                for other, of in (("M1", int(lots) - 2 * part), ("Carol", part), ("Dave", part)):
                    assert not of or answer(scene.trade(name, of, other)) == "taken"
    scene.mark()


@then(parsers.parse("these owners are limited: {names}"))
def limited(scene: Scene, names: str) -> None:
    expected = [] if names == "-" else names.split(", ")
    assert [NAMES.get(owner, str(owner)) for _, owner in sorted(limited_groups(scene.world.state))] == expected


@then("each of these lots is answered, without a mark")
def each(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        lots = int(row["lots"])
        assert answer(scene.order(row["account"], lots)) == row["order"], row
        assert answer(scene.trade(row["account"], lots, "M1" if lots > 0 else "Carol")) == row["leg"], row


@then("after A1 sells down to these lots, and a mark each, Ann is")
def down(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        held, _ = scene.world.position(PEOPLE["A1"], PERP_BTC)
        assert answer(scene.trade("A1", int(row["lots"]) - held, "M1")) == "taken", row
        scene.mark()
        owners = {owner for _, owner in limited_groups(scene.world.state)}
        assert ("limited" if 500 in owners else "free") == row["Ann"], row


# --- prices -----------------------------------------------------------------------------------------------------------


@given(parsers.parse("BTC may move {most:d} % between two marks, and is held for {marks:d} marks after"))
def moves(scene: Scene, most: int, marks: int) -> None:
    scene.set((Parameter.PRICE_BREAKER, BTC_U, most * 100), (Parameter.PRICE_BREAKER_MARKS, 0, marks))


@when(parsers.parse("BTC goes from 8000 to {price:d}"))
def goes(scene: Scene, price: int) -> None:
    scene.mark(btc=8_000)
    scene.mark(btc=price)


@when("these prices are marked")
def marked(scene: Scene, datatable: list[list[str]]) -> None:
    stood = "let in"
    for row in rows(datatable):
        told = [one for one in scene.mark(btc=int(row["price"])) if isinstance(one, BreakerSwitched)]
        assert scene.state == row["state"], row
        assert all(one.cause == BreakerCause.PRICE for one in told)
        if scene.state != stood:
            assert [one.tripped for one in told] == [int(scene.state == "stopped")], row
        stood = scene.state


@given("Alice has 1400 dollars and 1000 lots of the perp")
def leveraged(scene: Scene) -> None:
    scene.open("Alice", dollars=1_400)
    scene.open("Bob", "Liz")
    scene.trade("Alice", 1_000, "Bob")


@then("Alice is in liquidation at that very mark, and her auction sells to a liquidator who holds nothing")
def liquidated(scene: Scene) -> None:
    w = scene.world
    assert w.state.accounts.rung[PEOPLE["Alice"]] == Rung.LIQUIDATING
    auction = [one for one in w.said if isinstance(one, AuctionOpened)][-1]
    assert auction.mark == w.state.mark
    w.send(
        e.Bid(
            bidder=PEOPLE["Liz"], instrument=PERP_BTC, auction=auction.auction, bid=1, time=w.time,
            quantity=-auction.quantity, price=700_000,
        ),
        role=Role.LIQUIDATOR,
    )  # fmt: skip
    w.answer()
    assert w.position(PEOPLE["Liz"], PERP_BTC)[0] == -auction.quantity
    assert answer(scene.trade("Liz", 1, "Bob")) == Reason.BREAKER_TRIPPED.name
