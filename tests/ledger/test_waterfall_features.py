"""The waterfall's features: who pays how much of a loss, to the unit, told through the whole fold and the fund; each
for one shard and for four."""

from __future__ import annotations

from collections import defaultdict

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from waterfalls import Falling
from world import BTC, HOUR, INV_BTC, PERP_BTC, USD, reasons

from insurance.policy import shipped
from schemas.chart import House
from schemas.kinds import LegKind, PostingKind, Segregation, WaterfallLayer
from schemas.outcomes import DeficitCovered, LaidOut, LegPosted, LossBorne, Posted

scenarios(
    "features/waterfall_exchange.feature",
    "features/waterfall_ccp.feature",
    "features/waterfall_changes.feature",
)

PEOPLE = {"Ann": 16, "Bob": 17, "Carol": 20, "Gwen": 21, "Hugo": 22, "Fred": 23, "Hank": 24}
HOUSES = {2: 18, 3: 19}
"""the house accounts of the members that did not fail"""
DEEP = 100_000_000_000
SPARE = 1_000_000
PER_LOT = 1_000
"""smallest units that a lot gains with each dollar, in hundreds"""


@pytest.fixture(params=[1, 4], autouse=True)
def world(request: pytest.FixtureRequest) -> Falling:
    world = Falling(request.param)
    world.member(PEOPLE["Ann"], 1)
    world.member(PEOPLE["Bob"], 1, segregation=Segregation.INDIVIDUAL)
    for member, account in HOUSES.items():
        world.member(account, member, SPARE)
    for name in ("Carol", "Gwen", "Hugo", "Hank"):
        world.member(PEOPLE[name], PEOPLE[name], DEEP)
    return world


@pytest.fixture
def move() -> dict[str, float]:
    """The bitcoin price of the next mark."""
    return {}


@pytest.fixture
def said() -> list[str]:
    """Why the last publication was refused."""
    return []


@given(parsers.parse("own capital of {capital:d} and a fund of {fund:d}"))
def house(world: Falling, capital: int, fund: int) -> None:
    if capital:
        world.capital(capital)
    if fund:
        world.fund(fund)


@given(parsers.parse('the policy "{name}"'))
@when(parsers.parse('the policy "{name}" is published anew'))
def policy(world: Falling, name: str) -> None:
    world.publish(shipped(name))


@given(parsers.parse("members 1, 2 and 3 contributed {a:d}, {b:d} and {c:d}"))
def members(world: Falling, a: int, b: int, c: int) -> None:
    for member, amount in ((1, a), (2, b), (3, c)):
        if amount:
            world.contribute(member, amount)


@given(parsers.parse("member 2's house account has {left:d} left"))
def spare(world: Falling, left: int) -> None:
    world.owe(HOUSES[2], SPARE - left)


@given(parsers.re(r"since the last mark Gwen gained (?P<gwen>\d+)( and Hugo (?P<hugo>\d+))?$"))
def gained(world: Falling, move: dict[str, float], gwen: str, hugo: str | None) -> None:
    for name, gain in (("Gwen", int(gwen)), ("Hugo", int(hugo or 0))):
        if gain:
            world.gain(PEOPLE[name], PEOPLE["Hank"], gain // PER_LOT)
            move["btc"] = world.prices[0] + 1


@when(parsers.parse("Ann owes {ann:d} and Bob owes {bob:d}"))
def owe(world: Falling, move: dict[str, float], ann: int, bob: int) -> None:
    for name, amount in (("Ann", ann), ("Bob", bob)):
        if amount:
            world.owe(PEOPLE[name], amount)
    world.step(**move)


@when(parsers.parse("Ann owes {amount:d} more"))
def owe_more(world: Falling, amount: int) -> None:
    world.owe(PEOPLE["Ann"], amount)
    world.step()


@when(parsers.parse("Bob owes {amount:d} then"))
def bob_then(world: Falling, amount: int) -> None:
    world.owe(PEOPLE["Bob"], amount)
    world.step()


@when("another mark comes at the same price")
def again(world: Falling) -> None:
    world.step()


@when(parsers.parse("Ann owes {amount:d} of bitcoin"))
def owe_bitcoin(world: Falling, amount: int) -> None:
    """An inverse perp bought and sold a little lower."""
    per_lot = 10**11
    lower = per_lot // (per_lot // 800_000 + amount)
    world.trade(PEOPLE["Ann"], PEOPLE["Carol"], INV_BTC, 1, 800_000)
    world.trade(PEOPLE["Carol"], PEOPLE["Ann"], INV_BTC, 1, lower)
    assert world.balance(PEOPLE["Ann"], BTC) == -amount
    world.step()


@when(parsers.parse("Ann owes {amount:d}, and pays it herself while the capital is on its way"))
def pays_herself(world: Falling, amount: int) -> None:
    world.owe(PEOPLE["Ann"], amount)
    world.mark()
    while not any(isinstance(one, LaidOut) for one in world.said):
        assert world.say()
    world.deposit(PEOPLE["Ann"], amount)
    world.answer()
    world.check()


@given(parsers.parse("Fred is long {lots:d} lots against Gwen, short {a:d}, and Hugo, short {b:d}"))
def fred(world: Falling, lots: int, a: int, b: int) -> None:
    world.member(PEOPLE["Fred"], 9, 18_000_000)
    for name, part in (("Gwen", a), ("Hugo", b)):
        world.trade(PEOPLE["Fred"], PEOPLE[name], PERP_BTC, part, 800_000)
    assert world.position(PEOPLE["Fred"], PERP_BTC)[0] == lots


@when("the price falls so far that Fred cannot hold them, and nobody bids")
def falls(world: Falling) -> None:
    world.step(btc=6_150)
    for _ in range(20):
        if world.position(PEOPLE["Fred"], PERP_BTC)[0]:
            world.step()


@then(parsers.parse("own capital pays {ann:d} for Ann and {bob:d} for Bob"))
def capital_pays(world: Falling, ann: int, bob: int) -> None:
    assert bears(world, WaterfallLayer.OWN_CAPITAL) == (ann, bob)


@then(parsers.parse("the fund pays {ann:d} for Ann and {bob:d} for Bob"))
def fund_pays(world: Falling, ann: int, bob: int) -> None:
    assert bears(world, WaterfallLayer.FUND) == (ann, bob)


@then(parsers.parse("the member's own contribution bears {ann:d} for Ann and {bob:d} for Bob"))
def own_contribution_of_both(world: Falling, ann: int, bob: int) -> None:
    assert bears(world, WaterfallLayer.MEMBER_CONTRIBUTION) == (ann, bob)


@then(parsers.parse("the member's own contribution bears {amount:d}"))
def own_contribution(world: Falling, amount: int) -> None:
    assert bears(world, WaterfallLayer.MEMBER_CONTRIBUTION) == (amount, 0)


@then(parsers.parse("own capital bears {amount:d}"))
def capital_bears(world: Falling, amount: int) -> None:
    assert bears(world, WaterfallLayer.OWN_CAPITAL) == (amount, 0)


@then(parsers.parse("the default fund bears {two:d} of member 2 and {three:d} of member 3"))
def mutual(world: Falling, two: int, three: int) -> None:
    laid = laid_out(world, WaterfallLayer.DEFAULT_FUND)
    assert (laid[2], laid[3]) == (two, three)
    assert bears(world, WaterfallLayer.DEFAULT_FUND) == (two + three, 0)


@then(parsers.parse("members 2 and 3 are called for {two:d} and {three:d}"))
def called_for(world: Falling, two: int, three: int) -> None:
    laid = laid_out(world, WaterfallLayer.ASSESSMENT)
    assert (laid[2], laid[3]) == (two, three)
    taken = posted(world, PostingKind.ASSESSMENT)
    assert (taken[HOUSES[2]], taken[HOUSES[3]]) == (two, three)


@then(parsers.parse("haircuts of gains bear {amount:d}"))
def haircuts(world: Falling, amount: int) -> None:
    assert bears(world, WaterfallLayer.GAINS_HAIRCUT) == (amount, 0)


@then(parsers.re(r"(?P<gwen>\d+) are withheld from Gwen( and (?P<hugo>\d+) from Hugo)?$"))
def withheld(world: Falling, gwen: str, hugo: str | None) -> None:
    cut = posted(world, PostingKind.GAINS_HAIRCUT)
    assert dict(cut) == {PEOPLE["Gwen"]: int(gwen)} | ({PEOPLE["Hugo"]: int(hugo)} if hugo else {})


@then(parsers.parse("Ann still owes {ann:d} and Bob {bob:d}"))
def still_owe(world: Falling, ann: int, bob: int) -> None:
    assert (-world.balance(PEOPLE["Ann"]), -world.balance(PEOPLE["Bob"])) == (ann, bob)


@then("Carol has what she had")
def carol(world: Falling) -> None:
    assert world.balance(PEOPLE["Carol"]) == DEEP


@then(parsers.parse("the insurance fund, which the policy does not name, still has {amount:d}"))
@then(parsers.parse("the fund still has {amount:d}"))
def fund_has(world: Falling, amount: int) -> None:
    assert world.house(House.FUND) == amount


@then(parsers.parse("own capital still has {amount:d}"))
def capital_has(world: Falling, amount: int) -> None:
    assert world.house(House.OWN_CAPITAL) == amount


@then("nothing is paid for Ann in bitcoin")
def nothing_in_bitcoin(world: Falling) -> None:
    assert world.borne(BTC) == {} == world.borne(USD)
    assert world.balance(PEOPLE["Ann"], BTC) < 0


@then(parsers.parse("the fund alone pays {amount:d} for Ann"))
def as_ever(world: Falling, amount: int) -> None:
    assert [(one.account, one.amount) for one in world.said if isinstance(one, DeficitCovered)] == [(16, amount)]
    assert world.borne() == {}


@then(parsers.parse("own capital was asked for {amount:d} and nothing is owed"))
def asked(world: Falling, amount: int) -> None:
    told = [one for one in world.said if isinstance(one, LaidOut)]
    assert [(one.layer, one.amount) for one in told] == [(WaterfallLayer.OWN_CAPITAL, amount)]
    assert world.balance(PEOPLE["Ann"]) == 0
    assert world.borne() == {}


@then(parsers.re(r"(?P<amount>\d+) (lie|lies) laid out"))
def lies(world: Falling, amount: str) -> None:
    assert world.house(House.LAID_OUT) == int(amount)


@then(parsers.parse("what was laid out pays {old:d} for Bob and own capital {new:d}"))
def old_first(world: Falling, old: int, new: int) -> None:
    assert bears(world, WaterfallLayer.LAID_OUT) == (0, old)
    assert bears(world, WaterfallLayer.OWN_CAPITAL) == (0, new)
    assert world.house(House.LAID_OUT) == 0


@then(parsers.parse("Gwen buys {a:d} and Hugo {b:d} of it at the mark"))
def torn_up(world: Falling, a: int, b: int) -> None:
    legs = [one for one in world.said if isinstance(one, LegPosted) and one.kind == LegKind.TEAR_UP]
    taken = {one.account: one.quantity for one in legs if one.account != PEOPLE["Fred"]}
    assert taken == {PEOPLE["Gwen"]: a, PEOPLE["Hugo"]: b}
    assert {one.price for one in legs} == {int(world.state.market.mark[PERP_BTC])}


@then("Fred holds nothing")
def fred_is_out(world: Falling) -> None:
    assert world.position(PEOPLE["Fred"], PERP_BTC)[0] == 0


@then("nothing was torn up")
def by_rank(world: Falling) -> None:
    kinds = {one.kind for one in world.said if isinstance(one, LegPosted)}
    assert LegKind.DELEVERAGING in kinds
    assert LegKind.TEAR_UP not in kinds


@when(parsers.re('the policy "(?P<name>.*)" is published to take effect (?P<late>at once|in an hour)'))
def published(world: Falling, said: list[str], name: str, late: str) -> None:
    said[:] = reasons(world.publish(shipped(name), world.time + (0 if late == "at once" else HOUR)))


@then(parsers.parse("it is refused: {reason}"))
def refused(said: list[str], reason: str) -> None:
    assert said == [reason]


@when("a mark comes an hour later")
def an_hour(world: Falling) -> None:
    world.step(after=HOUR)


def bears(world: Falling, layer: WaterfallLayer) -> tuple[int, int]:
    """What a layer bore for Ann and for Bob."""
    sums = dict.fromkeys(("Ann", "Bob"), 0)
    for one in world.said:
        if isinstance(one, LossBorne) and one.layer == layer and one.asset == USD:
            sums["Ann" if one.account == PEOPLE["Ann"] else "Bob"] += one.amount
    return sums["Ann"], sums["Bob"]


def laid_out(world: Falling, layer: WaterfallLayer) -> defaultdict[int, int]:
    """member -> what its part of a layer laid out."""
    sums: defaultdict[int, int] = defaultdict(int)
    for one in world.said:
        if isinstance(one, LaidOut) and one.layer == layer:
            sums[one.member] += one.amount
    return sums


def posted(world: Falling, kind: PostingKind) -> defaultdict[int, int]:
    """account -> what was taken from it."""
    sums: defaultdict[int, int] = defaultdict(int)
    for one in world.said:
        if isinstance(one, Posted) and one.kind == kind:
            sums[one.debit] += one.amount
    return sums
