"""The clearing features: tables a risk officer can read, told through the whole fold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from world import (
    BTC,
    BTC_U,
    DELTA,
    EXPIRY,
    FUT_BTC,
    HOUR,
    ISOLATED,
    MICRO,
    PERP_BTC,
    SPAN,
    STM_BTC,
    USD,
    World,
)

from ledger.margining import margins_of
from ledger.state import live_rows
from schemas import events as e
from schemas.chart import House
from schemas.kinds import AccountStatus, InstrumentStatus, Rung, WithdrawalDecision
from schemas.outcomes import LegPosted, WithdrawalAnswered

scenarios(
    "features/novation_and_fees.feature",
    "features/funding.feature",
    "features/variation.feature",
    "features/exercise.feature",
    "features/withdrawals.feature",
    "features/suspense.feature",
    "features/cross_and_isolated.feature",
)

PEOPLE = {"Alice": 16, "Bob": 17, "Carol": 18}
PROFILE = {"span": SPAN, "isolated": ISOLATED, "delta-netting": DELTA}
SATOSHI = 10**8


@dataclass
class Scene:
    """The clearinghouse of a scenario and what was said last."""

    world: World = field(default_factory=World)
    trades: list[e.Trade] = field(default_factory=list)
    said: list[Any] = field(default_factory=list)
    withdrawals: int = 0

    def account(self, name: str) -> int:
        return PEOPLE[name] if name in PEOPLE else int(House[name])

    def instrument(self, symbol: str) -> int:
        return next(n for n, x in self.world.state.facts.instruments.items() if x.symbol == symbol)

    def ticks(self, instrument: int, dollars: str) -> int:
        return int(Decimal(dollars) * self.world.state.facts.instruments[instrument].price_scale)

    def realised(self, account: int, instrument: int) -> int:
        return sum(
            one.realised
            for one in self.world.said
            if getattr(one, "account", 0) == account and getattr(one, "instrument", 0) == instrument
            if hasattr(one, "realised")
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def rows(table: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def units(amount: str, scale: int = MICRO) -> int:
    exact = Decimal(amount or "0") * scale
    assert exact == int(exact), amount
    return int(exact)


@given("accounts with dollars")
def accounts(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        scene.world.open(PEOPLE[row["account"]], profile=PROFILE[row.get("profile", "span")])
        scene.world.deposit(PEOPLE[row["account"]], units(row["dollars"]))


@given("nothing is amiss")
def nothing() -> None:
    pass


@given(parsers.parse("Alice's account is {status}"))
def account_is(scene: Scene, status: str) -> None:
    w = scene.world
    status_ = AccountStatus[status.upper()]
    w.send(e.AccountChanged(status=status_, profile=SPAN, account=16, time=w.time, effective=w.time))
    w.mark()


@given("Bob holds what may be reduced")
def may_be_reduced(scene: Scene) -> None:
    w = scene.world
    w.open(18)
    w.trade(17, 18, PERP_BTC, 10, 800_000)
    _status(scene, PERP_BTC, InstrumentStatus.REDUCE_ONLY)
    w.mark()


def _status(scene: Scene, instrument: int, status: InstrumentStatus) -> None:
    w = scene.world
    w.send(e.InstrumentStatusChanged(status=status, instrument=instrument, time=w.time, effective=w.time))


@when("these trades are cleared")
def trades(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        instrument = scene.instrument(row["instrument"])
        trade = scene.world.trade_event(
            scene.account(row["buyer"]),
            scene.account(row["seller"]),
            instrument,
            int(row["lots"]),
            scene.ticks(instrument, row["price"]),
            buyer_fee=units(row.get("buyer fee", "0")),
            seller_fee=units(row.get("seller fee", "0")),
        )
        scene.trades.append(trade)
        scene.said = scene.world.send(trade)


@when("they are reversed")
def reverse(scene: Scene) -> None:
    for trade in scene.trades:
        values = {name: getattr(trade, name) for name in trade.__slots__}
        scene.world.send(e.TradeReversed(**values))


@when(parsers.parse("the funding rate of {symbol} is {percent} % at the next mark"))
def funding(scene: Scene, symbol: str, percent: str) -> None:
    rate = int(Decimal(percent) * 10**7)
    scene.world.send(
        e.FundingRate(instrument=scene.instrument(symbol), time=scene.world.time, effective=scene.world.time, rate=rate)
    )


@when(parsers.parse("{symbol} is delisted"))
def delist(scene: Scene, symbol: str) -> None:
    _status(scene, scene.instrument(symbol), InstrumentStatus.DELISTED)


@when(parsers.parse("the mark is at {dollars:d}"))
def marked(scene: Scene, dollars: int) -> None:
    scene.said = scene.world.mark(btc=float(dollars))


def _price(scene: Scene, instrument: int, dollars: str, **changes: Any) -> None:
    now = scene.world.time
    event = e.SettlementPrice(
        final=0, sources=3, underlying=BTC_U, instrument=instrument, time=now, effective=now, expiry=EXPIRY,
        window_start=now, window_end=now, price=int(Decimal(dollars) * 100),
    )  # fmt: skip
    scene.world.send(replace(event, **changes))


@when(parsers.parse("the settlement price of both is {dollars}"))
def variation(scene: Scene, dollars: str) -> None:
    _price(scene, STM_BTC, dollars)
    _price(scene, FUT_BTC, dollars)


@when(parsers.parse("the final settlement price of the expiry is {dollars}"))
def final(scene: Scene, dollars: str) -> None:
    _price(scene, 0, dollars, final=1, effective=EXPIRY, window_start=EXPIRY, window_end=EXPIRY)


@when(parsers.parse("the final settlement price of {symbol:S} is {dollars}"))
def final_of(scene: Scene, symbol: str, dollars: str) -> None:
    _price(scene, scene.instrument(symbol), dollars, final=1, expiry=0)


@when("the expiry is marked")
def expire(scene: Scene) -> None:
    scene.world.mark(after=EXPIRY - scene.world.time + HOUR)


@when(parsers.parse("Alice has an order for {lots} lots of BTC-PERP at {dollars:d}"))
def order(scene: Scene, lots: str, dollars: int) -> None:
    if lots != "none":
        scene.world.send(
            e.OrderOpened(
                venue=1, instrument=PERP_BTC, account=16, time=0, order=1, quantity=int(lots), price=dollars * 100
            )
        )


@when(parsers.parse("Alice asks for {dollars} dollars"))
def ask(scene: Scene, dollars: str) -> None:
    scene.withdrawals += 1
    scene.world.send(
        e.WithdrawalRequested(
            asset=USD, account=16, withdrawal=scene.withdrawals, time=scene.world.time, amount=units(dollars)
        )
    )


@when(parsers.parse("the custodian {did} it"))
def decide(scene: Scene, did: str) -> None:
    decision = WithdrawalDecision[did.upper()]
    scene.world.send(e.WithdrawalDecided(decision=decision, account=16, withdrawal=scene.withdrawals, time=0))


@then("the positions are")
def positions(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        account, instrument = scene.account(row["account"]), scene.instrument(row["instrument"])
        found = (*scene.world.position(account, instrument), scene.realised(account, instrument))
        assert found == (int(row["lots"]), units(row["cost"]), units(row["realised"])), row
        assert scene.world.balance(account) == units(row["dollars"]), row


@then("the coins of the positions are")
def coin_positions(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        account, instrument = scene.account(row["account"]), scene.instrument(row["instrument"])
        found = (*scene.world.position(account, instrument), scene.realised(account, instrument))
        assert found[0] == int(row["lots"]), row
        assert found[1:] == (units(row["cost"], SATOSHI), units(row["realised"], SATOSHI)), row
        assert scene.world.balance(account, BTC) == units(row["BTC"], SATOSHI), row


@then("the house has")
@then("the dollars are")
def dollars_are(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        assert scene.world.balance(scene.account(row["account"])) == units(row["dollars"]), row


@then("the balances are")
def balances(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        account = scene.account(row["account"])
        assert scene.world.balance(account) == units(row["dollars"]), row
        assert scene.world.balance(account, BTC) == units(row["BTC"], SATOSHI), row


@then("the equity is")
def equity(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        account = scene.account(row["account"])
        assert margins_of(scene.world.state, account).equity == units(row["dollars"]), row


@then(parsers.parse("the clearinghouse has {dollars:d} dollars and owns nothing"))
def clearinghouse(scene: Scene, dollars: int) -> None:
    state = scene.world.state
    cost = sum(
        int(state.pool.cost[p])
        for p in live_rows(state.pool).tolist()
        if state.market.settlement[state.pool.instrument[p]] == USD
        and state.market.style[state.pool.instrument[p]] == 0
    )
    assert scene.world.balance(House.CLEARINGHOUSE) + cost == dollars * MICRO
    assert not state.net.any()


@then("nobody holds anything")
def flat(scene: Scene) -> None:
    state = scene.world.state
    assert not state.pool.quantity[live_rows(state.pool)].any()
    assert not state.net.any()
    assert scene.world.balance(House.CLEARINGHOUSE) == 0


@then(parsers.parse("the answer is {answer}"))
def answered(scene: Scene, answer: str) -> None:
    (found,) = [one for one in scene.said if isinstance(one, WithdrawalAnswered)]
    assert found.reason.name == ("NONE" if answer == "approved" else answer)


@then("these legs are posted")
def legs(scene: Scene, datatable: list[list[str]]) -> None:
    found = [
        (("buyer", "seller")[leg.leg], leg.account, leg.quantity, leg.reason.name)
        for leg in scene.said
        if isinstance(leg, LegPosted)
    ]
    assert found == [
        (row["side"], scene.account(row["account"]), int(row["lots"]), row["reason"]) for row in rows(datatable)
    ]


@then(parsers.parse("Alice is {rung}"))
def alice_is(scene: Scene, rung: str) -> None:
    assert Rung(int(scene.world.state.accounts.rung[16])).name == rung


@then("Alice and Carol have the same maintenance margin to a millionth of it")
def same_margin(scene: Scene) -> None:
    one, other = (margins_of(scene.world.state, account).maintenance for account in (16, 18))
    assert other > 100 * MICRO
    assert abs(one - other) <= other // 1_000_000 + 1
