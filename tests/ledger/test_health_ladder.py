"""The health ladder told through the whole fold, and what its order rests on."""

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
from world import DELTA, HOUR, ISOLATED, MICRO, PERP_BTC, PERP_ETH, SPAN, SPOT_BTC, USD, World, reasons

from schemas import events as e
from schemas.chart import House
from schemas.kinds import AccountStatus, LegKind, Parameter, Reason, Rung
from schemas.outcomes import AuctionOpened, DeficitFound, LegPosted, Rejected, WithdrawalAnswered

scenarios("features/health_ladder.feature")

ALICE, BOB, LIQUIDATOR = 16, 17, 30


@dataclass
class Scene:
    """The clearinghouse of a scenario."""

    world: Managed = field(default_factory=Managed)
    orders: int = 0

    def mark(self, btc: float | None = None) -> list[Any]:
        before = len(self.world.said)
        self.world.mark(btc=btc)
        self.world.answer()
        return self.world.said[before:]

    def order(self, quantity: int) -> str:
        self.orders += 1
        said = self.world.send(
            e.OrderOpened(
                venue=1, instrument=PERP_BTC, account=ALICE, time=0, order=self.orders, quantity=quantity, price=800_000
            )
        )
        return (reasons(said) or ["accepted"])[0]


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.world.open(ALICE, BOB)
    scene.world.open(LIQUIDATOR, liquidator=1)
    for account, dollars in ((ALICE, 500), (BOB, 50_000), (LIQUIDATOR, 50_000)):
        scene.world.deposit(account, dollars * MICRO)
    return scene


def rows(table: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


@given(parsers.parse("a grace of {marks:d} marks"))
def grace(scene: Scene, marks: int) -> None:
    w = scene.world
    at = w.time + HOUR
    w.send(e.ParameterChanged(parameter=Parameter.GRACE, scope=0, time=w.time, effective=at, value=marks))
    w.mark(after=HOUR)
    w.answer()


@given(parsers.parse("Alice holds {lots:d} lots"))
def holds(scene: Scene, lots: int) -> None:
    assert reasons(scene.world.trade(ALICE, BOB, PERP_BTC, lots, 800_000)) == []


@given(parsers.parse("Alice is charged {dollars:d} dollars"))
def charged(scene: Scene, dollars: int) -> None:
    w = scene.world
    w.send(e.FeeCharged(account=ALICE, time=w.time, effective=w.time, amount=dollars * MICRO))


@given(parsers.parse("the fund has {dollars:d} dollars"))
def fund(scene: Scene, dollars: int) -> None:
    w = scene.world
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=dollars * MICRO))


@given("accounts 18 and 20, long 100 lots each with 200 dollars")
def two_long(scene: Scene) -> None:
    w = scene.world
    w.open(18, 20)
    for account in (20, 18):
        w.deposit(account, 200 * MICRO)
        w.trade(account, BOB, PERP_BTC, 100, 800_000)


@when("the mark is answered")
@when("the next mark is answered")
def marked(scene: Scene) -> None:
    scene.mark()


@when(parsers.parse("the price falls to {dollars:d}"))
def falls(scene: Scene, dollars: int) -> None:
    scene.mark(float(dollars))


@when(parsers.parse("Alice trades {lots:d} lots"))
def trades(scene: Scene, lots: int) -> None:
    buyer, seller = (ALICE, BOB) if lots > 0 else (BOB, ALICE)
    assert reasons(scene.world.trade(buyer, seller, PERP_BTC, abs(lots), 800_000)) == []


@when(parsers.parse("a liquidator takes all of it at {dollars}"))
def takes(scene: Scene, dollars: str) -> None:
    """At the mark that follows, the first at which the auction's price has come down so far."""
    w = scene.world
    for _ in range(20):
        for number, auction in sorted(w.state.auctions.items()):
            w.send(
                e.Bid(
                    bidder=LIQUIDATOR, instrument=PERP_BTC, auction=number, bid=1, time=w.time,
                    quantity=-auction.remaining, price=int(Decimal(dollars) * 100),
                )
            )  # fmt: skip
        w.answer()
        if not w.position(ALICE, PERP_BTC)[0]:
            return
        scene.mark()
    raise AssertionError("nobody takes it")


@when("her account is closed")
def close(scene: Scene) -> None:
    w = scene.world
    status = AccountStatus.CLOSED
    w.send(e.AccountChanged(status=status, profile=SPAN, account=ALICE, time=w.time, effective=w.time))
    scene.mark()


@then(parsers.parse("Alice is {rung:w}"))
def alice_is(scene: Scene, rung: str) -> None:
    assert Rung(int(scene.world.state.accounts.rung[ALICE])).name == rung


@then(parsers.parse("Alice is {rung:w} and owes {dollars} dollars"))
def alice_owes(scene: Scene, rung: str, dollars: str) -> None:
    alice_is(scene, rung)
    owed = [one.amount for one in scene.world.said if isinstance(one, DeficitFound) and one.mark == scene.world.marks]
    assert sum(owed) == int(Decimal(dollars) * MICRO)
    assert scene.world.position(ALICE, PERP_BTC)[0] == 0


@then(parsers.parse("the fund has {dollars} dollars left"))
def fund_left(scene: Scene, dollars: str) -> None:
    assert scene.world.balance(House.FUND) == int(Decimal(dollars) * MICRO)


@then(parsers.parse("her order to buy 1 lot is {answer}"))
def buys(scene: Scene, answer: str) -> None:
    assert scene.order(1) == answer


@then(parsers.parse("her order to sell 1 lot is accepted"))
def sells(scene: Scene) -> None:
    assert scene.order(-1) == "accepted"
    scene.world.send(e.OrderCancelled(account=ALICE, time=0, order=scene.orders))


@then(parsers.parse("her request for 0.01 dollars is {answer}"))
def asks(scene: Scene, answer: str) -> None:
    w = scene.world
    for number in range(1, scene.orders + 1):
        w.send(e.OrderCancelled(account=ALICE, time=0, order=number))
    w.send(e.WithdrawalRequested(asset=USD, account=ALICE, withdrawal=1, time=w.time, amount=MICRO // 100))
    (told,) = [one for one in scene.mark() if isinstance(one, WithdrawalAnswered)]
    assert ("approved" if told.reason == Reason.NONE else told.reason.name) == answer


@then(parsers.parse("she holds {lots:d} lots"))
def she_holds(scene: Scene, lots: int) -> None:
    assert scene.world.position(ALICE, PERP_BTC)[0] == lots


@then("she pays no fee")
def no_fee(scene: Scene) -> None:
    assert not [one for one in scene.world.said if isinstance(one, LegPosted) and one.fee]
    assert scene.world.balance(House.FUND) == 0


@then(parsers.parse("a deposit is refused with {reason:w}"))
def no_deposit(scene: Scene, reason: str) -> None:
    assert [one.reason.name for one in scene.world.deposit(ALICE, MICRO) if isinstance(one, Rejected)] == [reason]


@then(parsers.parse("a leg of hers lies in suspense with {reason:w}"))
def in_suspense(scene: Scene, reason: str) -> None:
    legs = [one for one in scene.world.trade(ALICE, BOB, PERP_BTC, 1, 770_000) if isinstance(one, LegPosted)]
    assert [(one.account, one.reason.name) for one in legs if one.intended == ALICE] == [(House.SUSPENSE, reason)]


@then("these are answered")
def served(scene: Scene, datatable: list[list[str]]) -> None:
    said = scene.world.said
    found = {one.account: "auctioned" for one in said if isinstance(one, AuctionOpened)}
    for one in said:
        if isinstance(one, LegPosted) and one.kind == LegKind.DELEVERAGING and one.account != BOB:
            found[one.account] = f"deleveraged at its bankruptcy price {one.price // 100}"
    assert found == {int(row["account"]): row["how"] for row in rows(datatable)}


# --- what the ladder's order rests on ---------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@hypothesis_given(
    st.lists(
        st.tuples(
            st.sampled_from(["trade", "trade", "order"]),
            st.sampled_from([PERP_BTC, PERP_ETH, SPOT_BTC]),
            st.integers(-3_000, 3_000).filter(bool),
            st.sampled_from([16, 17, 18]),
        ),
        max_size=12,
    ),
    st.sampled_from([2_000.0, 7_900.0, 30_000.0]),
)
def test_the_initial_margin_covers_maintenance_and_buffer_whatever_is_held(
    steps: list[tuple[str, int, int, int]], price: float
) -> None:
    w = World()
    for account, profile in zip((16, 17, 18), (SPAN, DELTA, ISOLATED), strict=True):
        w.open(account, profile=profile)
        w.deposit(account, 3_000 * MICRO)
    w.open(19)
    for number, (what, instrument, lots, account) in enumerate(steps):
        ticks = 20_000 if instrument == PERP_ETH else 800_000
        if what == "trade":
            buyer, seller = (account, 19) if lots > 0 else (19, account)
            w.trade(buyer, seller, instrument, abs(lots), ticks)
        else:
            w.send(
                e.OrderOpened(
                    venue=1, instrument=instrument, account=account, time=0, order=number, quantity=lots, price=ticks
                )
            )
    w.mark(btc=price)
    m, who = w.state.margins, [16, 17, 18, 19]
    assert (m.initial[who] >= m.maintenance[who] + m.buffer[who]).all()


@pytest.mark.parametrize("shards", [2, 3])
def test_the_order_of_accounts_is_the_same_for_any_number_of_shards(shards: int) -> None:
    def told(shards: int) -> list[tuple[Any, ...]]:
        scene = Scene(Managed(shards))
        scene.world.open(BOB)
        scene.world.deposit(BOB, 50_000 * MICRO)
        two_long(scene)
        fund(scene, 100)
        falls(scene, 5_000)
        served(scene, [["account", "how"], ["18", "auctioned"], ["20", "deleveraged at its bankruptcy price 6000"]])
        kinds = (AuctionOpened, LegPosted)
        return sorted(
            (one.account, type(one).__name__, one.quantity) for one in scene.world.said if isinstance(one, kinds)
        )

    assert told(shards) == told(1)
