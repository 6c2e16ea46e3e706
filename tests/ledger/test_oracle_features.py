"""The oracle's features: tables a risk officer can read, told through the whole fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from world import BTC_U, EXPIRY, HOUR, MICRO, PERP_BTC, USD, USDC, World, reasons

from ledger.margining import margins_of
from schemas import events as e
from schemas.kinds import Parameter, Reason
from schemas.outcomes import WithdrawalAnswered
from schemas.sources import Role
from services.pricer import market

scenarios("features/oracle.feature")

PEOPLE = {"Alice": 16, "Bob": 17}
FEEDS = {"A": 1, "B": 2, "C": 3}
ASSETS = {"dollars": USD, "USDC": USDC}
SECOND = MICRO


@dataclass
class Scene:
    """The clearinghouse of a scenario."""

    world: World = field(default_factory=World)

    def set(self, *values: tuple[Parameter, int, int]) -> None:
        w = self.world
        at = w.time + HOUR
        w.send(*(e.ParameterChanged(parameter=p, scope=s, time=w.time, effective=at, value=v) for p, s, v in values))
        w.mark(after=HOUR)

    def say(self, feed: str, price: float, reach: float = 0.0) -> None:
        micro, half = int(price * MICRO), int(reach * MICRO)
        at = self.world.time
        self.world.send(
            e.OraclePrice(
                underlying=BTC_U, source=FEEDS[feed], round=1, time=at, price=micro, bid=micro - half, ask=micro + half
            )
        )

    def mark(self) -> list[Any]:
        w = self.world
        w.marks += 1
        out = w.send_runs(Role.PRICER, market(w.state, w.marks, w.time))
        return out + w.send(e.Mark(mark=w.marks, market=w.marks, time=w.time))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def rows(table: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


@given("accounts with dollars")
def accounts(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        scene.world.open(PEOPLE[row["account"]])
        scene.world.deposit(PEOPLE[row["account"]], int(row["dollars"]) * MICRO)


@given(parsers.parse("{needed:d} feeds must agree"))
def feeds(scene: Scene, needed: int) -> None:
    """With them ages of assets' prices and forwards, and forwards held to the price: each within 10 %."""
    w = scene.world
    w.send(
        *(e.IndexChanged(underlying=BTC_U, source=n, weight=1, time=w.time, effective=w.time) for n in FEEDS.values())
    )
    if needed:
        scene.set(
            (Parameter.ORACLE_MIN_FEEDS, BTC_U, needed),
            (Parameter.ORACLE_ASSET_AGE, 0, HOUR),
            (Parameter.ORACLE_FORWARD_AGE, 0, HOUR),
            (Parameter.ORACLE_FORWARD_DEVIATION, 0, 1_000),
        )
    w.mark()
    w.time += SECOND
    for name in FEEDS:
        scene.say(name, 8_000)
    scene.mark()


@given("these trades are cleared")
def trades(scene: Scene, datatable: list[list[str]]) -> None:
    for row in rows(datatable):
        buyer, seller = PEOPLE[row["buyer"]], PEOPLE[row["seller"]]
        said = scene.world.trade(buyer, seller, PERP_BTC, int(row["lots"]), int(row["price"]) * 100)
        assert reasons(said) == []


@given(parsers.parse("USDC is held to its peg within 2 %, half of it does not count below that"))
def pegged(scene: Scene) -> None:
    scene.set((Parameter.PEG_BOUND, USDC, 200), (Parameter.DEPEG_HAIRCUT, USDC, 5_000))


@given(parsers.parse("Alice has {amount:d} USDC"))
def coins(scene: Scene, amount: int) -> None:
    scene.world.deposit(PEOPLE["Alice"], amount * MICRO, asset=USDC)


@when("the feeds say")
def say(scene: Scene, datatable: list[list[str]]) -> None:
    scene.world.time += SECOND
    for row in rows(datatable):
        for name, price in row.items():
            if price != "-":
                scene.say(name, float(price))


@when("the feeds' quotes reach, in dollars from 8000")
def reach(scene: Scene, datatable: list[list[str]]) -> None:
    scene.world.time += SECOND
    for row in rows(datatable):
        for name, dollars in row.items():
            scene.say(name, 8_000, float(dollars))


@when(parsers.parse("the perp's forward is said to be {dollars:d}"))
def forward(scene: Scene, dollars: int) -> None:
    w = scene.world
    w.send(
        *(
            e.OracleForward(underlying=BTC_U, round=1, time=w.time, expiry=at, price=dollars * MICRO)
            for at in (0, EXPIRY)
        )
    )


@when(parsers.parse("USDC is worth {dollars:g}"))
def worth(scene: Scene, dollars: float) -> None:
    w = scene.world
    w.send(e.OracleAssetPrice(asset=USDC, round=1, time=w.time, price=round(dollars * MICRO)))


@when("the mark is made")
def made(scene: Scene) -> None:
    scene.mark()


@then(parsers.parse("the price of BTC is {dollars:d}"))
def price(scene: Scene, dollars: int) -> None:
    assert scene.world.state.facts.oracle[BTC_U][0] == dollars * MICRO


@then(parsers.parse("Alice's equity is {dollars:g} dollars"))
def equity(scene: Scene, dollars: float) -> None:
    assert margins_of(scene.world.state, PEOPLE["Alice"]).equity == round(dollars * MICRO)


@then(parsers.parse("Alice's maintenance margin is {maintenance:g} dollars and her initial margin {initial:g}"))
def margin(scene: Scene, maintenance: float, initial: float) -> None:
    said = margins_of(scene.world.state, PEOPLE["Alice"])
    assert (said.maintenance, said.initial) == (round(maintenance * MICRO), round(initial * MICRO))


@then(parsers.parse("Alice's answer for {amount:d} {asset} is {answer}"))
def answered(scene: Scene, amount: int, asset: str, answer: str) -> None:
    w = scene.world
    w.send(
        e.WithdrawalRequested(
            asset=ASSETS[asset], account=PEOPLE["Alice"], withdrawal=1, time=w.time, amount=amount * MICRO
        )
    )
    (said,) = [one for one in scene.mark() if isinstance(one, WithdrawalAnswered)]
    assert said.reason == (Reason.NONE if answer == "approved" else Reason[answer])


@then(parsers.parse("a new trade of BTC-PERP is {answer}"))
def traded(scene: Scene, answer: str) -> None:
    said = scene.world.trade(PEOPLE["Alice"], PEOPLE["Bob"], PERP_BTC, 1, 800_000)
    assert reasons(said) == ([] if answer == "cleared" else [answer] * 2)
