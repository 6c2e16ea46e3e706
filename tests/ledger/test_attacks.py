"""Attacks on other clearing layers, replayed as events through the fold and the services that answer it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import BTC, BTC_U, HOUR, MICRO, PERP_BTC, SPOT_BTC, START, USD, reasons

from ledger.margining import margins_of
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Kind, Parameter, Payoff, Reason, Right, Rung, Settling, Style
from schemas.outcomes import WithdrawalAnswered, WithdrawalWaiting

scenarios("features/attacks.feature")

EVE, MALLORY, BOB, ALICE, LIQUIDATOR = 16, 17, 18, 19, 20
TOKEN, MNGO_U, MNGO_PERP = 5, 2, 20
SATOSHI = 10**8
UNITS = {"dollars": (USD, MICRO), "BTC": (BTC, SATOSHI)}


@dataclass
class Scene:
    """The clearinghouse of a scenario."""

    world: Managed = field(default_factory=Managed)
    said: list[Any] = field(default_factory=list)
    asked: int = USD
    refused: list[str] = field(default_factory=list)

    def set(self, *values: tuple[Parameter, int, int]) -> None:
        w = self.world
        at = w.time + HOUR
        w.send(*(e.ParameterChanged(parameter=p, scope=s, time=w.time, effective=at, value=v) for p, s, v in values))
        self.mark(after=HOUR)

    def mark(self, *, btc: float | None = None, after: int = HOUR // 4) -> None:
        before = len(self.world.said)
        self.world.mark(btc=btc, after=after)
        self.world.answer()
        self.said = self.world.said[before:]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def amount_of(told: str) -> tuple[int, int]:
    """(asset, smallest units) of "20 BTC"."""
    number, name = told.split()
    asset, scale = UNITS[name]
    return asset, int(Decimal(number) * scale)


@given("Eve and Mallory with 5000 dollars each, and Bob with 300000 dollars and 50 BTC")
def people(scene: Scene) -> None:
    w = scene.world
    w.open(EVE, MALLORY, BOB)
    for account, dollars in ((EVE, 5_000), (MALLORY, 5_000), (BOB, 300_000)):
        w.deposit(account, dollars * MICRO)
    w.deposit(BOB, 50 * SATOSHI, asset=BTC)


# --- a thin token -----------------------------------------------------------------------------------------------------


@given("Eve is long 300 lots of MNGO-PERP against Mallory")
def thin(scene: Scene) -> None:
    w = scene.world
    perp = e.InstrumentListed(
        instrument=MNGO_PERP, symbol="MNGO-PERP", kind=Kind.PERP, payoff=Payoff.LINEAR, style=Style.FUTURES,
        settling=Settling.COLLATERALISED, right=Right.NONE, underlying=MNGO_U, settlement_asset=USD, base_asset=0,
        time=START, effective=START, expiry=0, strike=0, price_scale=10_000, tick_value=100_000, contract_value=0,
        lot_size=1_000 * SATOSHI,
    )  # fmt: skip
    w.send(e.UnderlyingListed(underlying=MNGO_U, time=START, lowest=1, highest=10 * MICRO, symbol="MNGO"), perp)
    w.prices[MNGO_U] = 0.04
    scene.mark()
    assert reasons(w.trade(EVE, MALLORY, MNGO_PERP, 300, 400)) == []
    scene.mark()


@given(parsers.parse("a price may move by {percent:d} % between two rounds"))
def deviation(scene: Scene, percent: int) -> None:
    scene.set((Parameter.ORACLE_MAX_DEVIATION, 0, percent * 100))


@when(parsers.parse("MNGO is pushed to {dollars} in {rounds:d} rounds"))
def pushed(scene: Scene, dollars: str, rounds: int) -> None:
    """Within a minute, between two marks."""
    w = scene.world
    last, to = 0.04, float(dollars)
    for number in range(1, rounds + 1):
        w.time += MICRO
        price = round(last * (to / last) ** (number / rounds) * MICRO)
        tick = e.OraclePrice(underlying=MNGO_U, source=1, round=number, time=w.time, price=price, bid=price, ask=price)
        scene.said = w.send(tick)
    w.prices[MNGO_U] = w.state.facts.oracle[MNGO_U][0] / MICRO


@when(parsers.parse("Eve {does}"))
def eve(scene: Scene, does: str) -> None:
    w = scene.world
    if does == "sells all to Mallory at 0.91":
        assert reasons(w.trade(MALLORY, EVE, MNGO_PERP, 300, 9_100)) == []
    elif does != "waits":
        lots = int(does.split()[1]) * 1_000
        assert does == f"buys {lots // 1_000} BTC of Bob on credit"
        assert reasons(w.trade(EVE, BOB, SPOT_BTC, lots, 800_000)) == []


@when(parsers.parse("she asks for {told}"))
def asks(scene: Scene, told: str) -> None:
    w = scene.world
    scene.asked, amount = amount_of(told)
    w.send(e.WithdrawalRequested(asset=scene.asked, account=EVE, withdrawal=1, time=w.time, amount=amount))


@when("the mark is made")
def mark(scene: Scene) -> None:
    scene.mark()


@then(parsers.parse("its price is {dollars}"))
def price_is(scene: Scene, dollars: str) -> None:
    assert scene.world.state.facts.oracle[MNGO_U][0] == int(Decimal(dollars) * MICRO)


@then(parsers.parse("the last push was {answer}"))
def push_was(scene: Scene, answer: str) -> None:
    assert (reasons(scene.said) or ["accepted"]) == [answer]


@then(parsers.parse("the answer is {answer}"))
def answer_is(scene: Scene, answer: str) -> None:
    found = ["waits" for one in scene.said if isinstance(one, WithdrawalWaiting)]
    for one in scene.said:
        if isinstance(one, WithdrawalAnswered):
            found = ["approved" if one.reason == Reason.NONE else one.reason.name]
    assert found == [answer]


@then(parsers.parse("{told} of it is on its way"))
def on_its_way(scene: Scene, told: str) -> None:
    asset, amount = amount_of(told)
    assert asset == scene.asked
    assert scene.world.balance(House.TRANSIT, asset) == amount
    for _ in range(3):
        scene.mark()
    assert scene.world.balance(House.TRANSIT, asset) == amount, "nor at the marks that follow"


# --- a price pushed for a moment --------------------------------------------------------------------------------------


@given(parsers.parse("{feeds:d} feeds must agree on BTC, and a call has {grace:d} marks of grace"))
def guarded(scene: Scene, feeds: int, grace: int) -> None:
    w = scene.world
    index = [e.IndexChanged(underlying=BTC_U, source=n, weight=1, time=w.time, effective=w.time) for n in (1, 2, 3)]
    w.send(*index)
    scene.set((Parameter.GRACE, 0, grace))
    if feeds:
        scene.set((Parameter.ORACLE_MIN_FEEDS, BTC_U, feeds), (Parameter.ORACLE_FORWARD_DEVIATION, 0, 500))
    others(scene, 8_000)
    scene.mark()


def others(scene: Scene, dollars: int) -> None:
    """What the two other venues say where several are listened to."""
    w = scene.world
    if w.state.parameter(Parameter.ORACLE_MIN_FEEDS, BTC_U):
        w.time += MICRO
        micro = dollars * MICRO
        w.send(
            *(
                e.OraclePrice(underlying=BTC_U, source=n, round=1, time=w.time, price=micro, bid=micro, ask=micro)
                for n in (2, 3)
            )
        )


@given("Alice with 500 dollars is long 300 lots of BTC-PERP")
def alice(scene: Scene) -> None:
    w = scene.world
    w.open(ALICE, BOB)
    w.open(LIQUIDATOR, liquidator=1)
    for account, dollars in ((ALICE, 500), (BOB, 50_000), (LIQUIDATOR, 50_000)):
        w.deposit(account, dollars * MICRO)
    others(scene, 8_000)
    scene.mark()
    assert reasons(w.trade(ALICE, BOB, PERP_BTC, 300, 800_000)) == []


@when(parsers.parse("one venue's price of BTC is {dollars:d} for one mark, and a liquidator bids"))
def spike(scene: Scene, dollars: int) -> None:
    w = scene.world
    others(scene, 8_000)
    scene.mark(btc=float(dollars))
    for number, auction in sorted(w.state.auctions.items()):
        w.send(
            e.Bid(
                bidder=LIQUIDATOR, instrument=PERP_BTC, auction=number, bid=1, time=w.time,
                quantity=-auction.remaining, price=dollars * 100,
            )
        )  # fmt: skip
        w.answer()


@when(parsers.parse("the price is {dollars:d} again"))
def back(scene: Scene, dollars: int) -> None:
    others(scene, dollars)
    scene.mark(btc=float(dollars))


@then(parsers.parse("Alice is {rung:w} and holds {lots:d} lots"))
def alice_holds(scene: Scene, rung: str, lots: int) -> None:
    assert Rung(int(scene.world.state.accounts.rung[ALICE])).name == rung
    assert scene.world.position(ALICE, PERP_BTC)[0] == lots


@then(parsers.parse("Alice is {rung:w} and has {dollars} dollars"))
def alice_has(scene: Scene, rung: str, dollars: str) -> None:
    assert Rung(int(scene.world.state.accounts.rung[ALICE])).name == rung
    assert margins_of(scene.world.state, ALICE).equity == int(Decimal(dollars) * MICRO)


# --- a token of no worth ----------------------------------------------------------------------------------------------

RULES = {
    "no rule is set": (),
    "new collateral waits a week": ((Parameter.COLLATERAL_NOTICE, 0, 7 * 24 * HOUR),),
    "an asset's price may move by 10 %": (
        (Parameter.ORACLE_ASSET_AGE, 0, HOUR),
        (Parameter.ORACLE_ASSET_DEVIATION, 0, 1_000),
    ),
    "10 % of BTC may leave in a day": ((Parameter.WITHDRAWAL_RATE, BTC, 1_000),),
    "withdrawals are held in deficit": ((Parameter.WITHDRAWAL_HOLD, 0, 1),),
    "withdrawals are not held in deficit": (),
}


@given(parsers.re(rf"(?P<rule>{'|'.join(RULES)})"))
def rule(scene: Scene, rule: str) -> None:
    if RULES[rule]:
        scene.set(*RULES[rule])


@when(parsers.parse("a token is listed with a haircut of {percent:d} %, a million of it is Eve's, and {price}"))
def listed(scene: Scene, percent: int, price: str) -> None:
    w = scene.world
    w.send(e.AssetListed(asset=TOKEN, decimals=8, time=w.time, haircut=percent * 100, symbol="FAKE"))
    w.deposit(EVE, 10**6 * SATOSHI, asset=TOKEN)
    scene.said = []
    told = {"nobody says its price": [], "it is said to be 1": [1.0], "it is said to be 0.01, then 1": [0.01, 1.0]}
    for dollars in told[price]:
        w.time += MICRO
        scene.said += w.send(e.OracleAssetPrice(asset=TOKEN, round=1, time=w.time, price=round(dollars * MICRO)))


@when(parsers.parse("{what} is changed at once"))
def changed(scene: Scene, what: str) -> None:
    w = scene.world
    parameter, scope, value = {
        "nothing": (None, 0, 0),
        "its haircut, to 0": (Parameter.HAIRCUT, TOKEN, 0),
        "that week, to nothing": (Parameter.COLLATERAL_NOTICE, 0, 0),
        "that limit, to 100 %": (Parameter.WITHDRAWAL_RATE, BTC, 10_000),
    }[what]
    if parameter is not None:
        scene.said += w.send(
            e.ParameterChanged(parameter=parameter, scope=scope, time=w.time, effective=w.time, value=value)
        )
    scene.refused = reasons(scene.said)


@then(parsers.parse("what was refused on the way is {name:w}"))
def refused(scene: Scene, name: str) -> None:
    assert scene.refused == ([] if name == "nothing" else [name])


def test_new_collateral_counts_once_its_notice_has_passed() -> None:
    """The rule does not bar a token for ever; and a token listed before the rule is not touched by it."""
    scene = Scene()
    w = scene.world
    w.open(EVE)
    w.send(e.AssetListed(asset=6, decimals=8, time=w.time, haircut=0, symbol="OLD"))
    w.deposit(EVE, SATOSHI, asset=6)
    rule(scene, "new collateral waits a week")
    listed(scene, 0, "it is said to be 1")
    w.send(e.OracleAssetPrice(asset=6, round=1, time=w.time, price=MICRO))
    scene.mark()
    assert margins_of(w.state, EVE).equity == MICRO
    scene.mark(after=6 * 24 * HOUR)
    assert margins_of(w.state, EVE).equity == MICRO
    scene.mark(after=24 * HOUR)
    assert margins_of(w.state, EVE).equity == (10**6 + 1) * MICRO
