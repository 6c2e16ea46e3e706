"""Whatever happens in whatever order, marks that come too early and a fund service that dies between any two entries:
the waterfall conserves money, pays nothing it does not have, touches nobody its policy does not name, and comes out the
same for any number of shards."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulation.rules import _decided, _folded, _numbered
from waterfalls import Falling
from world import BTC, HOUR, INV_BTC, PERP_BTC, USD

from insurance.policy import Rank, shipped
from schemas import events as e
from schemas.chart import House
from schemas.kinds import Parameter, PostingKind, Segregation, WaterfallLayer
from schemas.outcomes import AssessmentCapacity, GainReported, LaidOut, LossBorne, Posted

L = WaterfallLayer
FAILING = (16, 17)
SPARE = {2: 18, 3: 19}
TRADERS = (20, 21)
BYSTANDER = 22
ACCOUNTS = (*FAILING, *SPARE.values(), *TRADERS, BYSTANDER)
DEEP = 100_000_000_000
EVERYTHING = (
    Rank(L.OWN_COLLATERAL),
    Rank(L.FUND, 5_000),
    Rank(L.MEMBER_CONTRIBUTION),
    Rank(L.OWN_CAPITAL, 10_000, 40),
    Rank(L.DEFAULT_FUND, 7_000),
    Rank(L.ASSESSMENT, 20_000),
    Rank(L.GAINS_HAIRCUT, 3_333),
    Rank(L.TEAR_UP),
)

small = st.integers(1, 400)
action = st.one_of(
    st.tuples(st.just("owe"), st.sampled_from(FAILING), small),
    st.tuples(st.just("owe"), st.sampled_from(FAILING), small),
    st.tuples(st.just("owe_bitcoin"), st.sampled_from(FAILING), small),
    st.tuples(st.just("pay"), st.sampled_from(FAILING), small),
    st.tuples(st.just("gain"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("mark"), st.integers(-2, 2), st.just(0)),
    st.tuples(st.just("mark"), st.integers(-2, 2), st.just(0)),
    st.tuples(st.just("say"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("answer"), st.just(0), st.just(0)),
    st.tuples(st.just("capital"), small, st.just(0)),
    st.tuples(st.just("own"), small, st.just(0)),
    st.tuples(st.just("fund"), st.integers(0, 2), small),
    st.tuples(st.just("contribute"), st.integers(1, 3), small),
    st.tuples(st.just("redeem"), st.integers(1, 2), small),
    st.tuples(st.just("policy"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("crash"), st.just(0), st.just(0)),
)


def play(shards: int, actions: list[tuple[str, int, int]], *, crashes: bool = True) -> Falling:
    world = Falling(shards)
    world.member(16, 1)
    world.member(17, 1, segregation=Segregation.OMNIBUS)
    for member, account in SPARE.items():
        world.member(account, member, 150)
    for account in (*TRADERS, BYSTANDER):
        world.member(account, account, DEEP)
    for parameter, value in ((Parameter.BACKERS, 1), (Parameter.BACKER_NOTICE, HOUR), (Parameter.NOTICE, 0)):
        world.send(e.ParameterChanged(parameter=parameter, scope=0, time=0, effective=world.time + HOUR, value=value))
    world.capital(100)
    world.contribute(1, 20)
    world.contribute(2, 50)
    world.step(after=HOUR)
    for number, (what, a, b) in enumerate(actions):
        if what != "crash" or crashes:
            act(world, what, a, b, number)
        world.check()
    world.answer()
    for _ in range(2):
        world.step()
    return world


def act(world: Falling, what: str, a: int, b: int, number: int) -> None:
    match what:
        case "owe":
            world.owe(a, b)
        case "owe_bitcoin":
            world.trade(a, TRADERS[0], INV_BTC, 1, 800_000)
            world.trade(TRADERS[0], a, INV_BTC, 1, 10**11 // (10**11 // 800_000 + b))
        case "pay":
            world.deposit(a, b)
        case "gain":
            world.gain(TRADERS[a], TRADERS[1 - a], b)
        case "mark":
            world.mark(btc=world.prices[0] + a)
        case "say":
            for _ in range(a):
                world.say()
        case "answer":
            world.answer()
        case "capital":
            world.capital(a)
        case "own":
            world.fund(a, own=1)
        case "fund":
            world.fund(b, backer=a)
        case "contribute":
            world.contribute(a, b, USD if b % 3 else BTC)
        case "redeem":
            held = world.state.facts.units.get((a, USD), 0)
            asked = e.BackerWithdrawalRequested(asset=USD, backer=a, request=number, time=0, units=min(b, held))
            world.send(asked)
        case "policy":
            ranks = (shipped("exchange").ranks, shipped("ccp").ranks, EVERYTHING)[a]
            world.ranks(*ranks, effective=world.time)
        case "crash":
            world.crash()


def told(world: Falling) -> Any:
    """What everybody has in the end, what every layer bore and every member has left."""
    houses = {house.name: world.house(house, asset) for house in House for asset in (USD, BTC)}
    balances = {account: (world.balance(account), world.balance(account, BTC)) for account in ACCOUNTS}
    known = world.state.facts
    return houses, balances, world.borne(), world.borne(BTC), dict(known.parts), dict(known.units), dict(known.drawn)


COURSE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LATE_MARK = [("policy", 1, 0), ("mark", 0, 0), ("owe", 16, 300), ("mark", 0, 0), ("say", 2, 0), ("mark", 1, 0)]
GAINS = [("policy", 2, 0), ("mark", 0, 0), ("gain", 0, 3), ("owe", 16, 400), ("owe", 17, 399), ("mark", 2, 0)]
RACE = [("fund", 1, 100), ("owe", 16, 60), ("mark", 0, 0), ("say", 1, 0), ("owe", 17, 90), ("mark", 0, 0)]


OVERTAKEN = [("fund", 0, 1), ("mark", 0, 0), ("owe", 16, 2), ("mark", 0, 0)]
"""two marks before the fund has answered the first: what it holds is not the sum of what both told"""


@COURSE
@given(st.lists(action, min_size=4, max_size=22))
@example(OVERTAKEN)
@example(LATE_MARK)
@example(GAINS)
@example(RACE)
def test_any_course_conserves_and_comes_out_the_same_for_any_number_of_shards(
    actions: list[tuple[str, int, int]],
) -> None:
    one = play(1, actions)
    four = play(4, actions, crashes=False)
    assert told(one) == told(four)
    bounded(one)


def bounded(world: Falling) -> None:
    """Nobody is touched whom the policy does not name, and those it names no further than it says."""
    assert world.balance(BYSTANDER) == DEEP
    assert world.balance(BYSTANDER, BTC) == 0
    takings = [one for one in world.said if isinstance(one, Posted) and one.debit in ACCOUNTS]
    named = {PostingKind.ASSESSMENT, PostingKind.GAINS_HAIRCUT, PostingKind.FEE_DUE, PostingKind.TRADE}
    assert {one.kind for one in takings} <= named
    assert {one.debit for one in takings if one.kind == PostingKind.ASSESSMENT} <= {*SPARE.values()}
    capacity = {
        (one.account, one.mark, one.asset): one.amount for one in world.said if isinstance(one, AssessmentCapacity)
    }
    gains: dict[tuple[int, int], int] = {}
    for one in world.said:
        if isinstance(one, GainReported):
            gains[one.mark, one.asset] = gains.get((one.mark, one.asset), 0) + one.gains
    laid: dict[tuple[int, int], int] = {}
    for one in world.said:
        if isinstance(one, LaidOut) and one.layer == L.ASSESSMENT:
            assert one.amount <= one.asked <= capacity[one.account, one.mark, one.asset]
        if isinstance(one, LaidOut) and one.layer == L.GAINS_HAIRCUT:
            laid[one.mark, one.asset] = laid.get((one.mark, one.asset), 0) + one.amount
    for key, amount in laid.items():
        assert amount <= gains[key]
    paid = sum(one.amount for one in world.said if isinstance(one, LossBorne))
    out = sum(one.amount for one in world.said if isinstance(one, LaidOut))
    assert out - paid == world.house(House.LAID_OUT) + world.house(House.LAID_OUT, BTC) >= 0
    assert world.position(BYSTANDER, PERP_BTC) == (0, 0)


def test_the_fund_as_a_service_that_follows_the_topics_says_the_same() -> None:
    """It decides from the facts and the notices of four shards what the embedded form decided, through every layer."""
    course = [("policy", 2, 0), ("answer", 0, 0), ("mark", 0, 0), ("answer", 0, 0), ("fund", 1, 30), ("gain", 0, 3)]
    course += [("owe", 16, 300), ("owe", 17, 99), ("mark", 2, 0), ("answer", 0, 0), ("redeem", 1, 10)]
    course += [("owe", 16, 60), ("mark", 1, 0), ("answer", 0, 0)]
    world = play(4, course)
    layers = {one.layer for one in world.said if isinstance(one, LaidOut)}
    assert layers == {L.FUND, L.MEMBER_CONTRIBUTION, L.OWN_CAPITAL, L.DEFAULT_FUND, L.ASSESSMENT, L.GAINS_HAIRCUT}
    wanted, _ = _folded(world.entries, world.clearing.settings)
    _decided(_numbered(world.entries), wanted, world.clearing.settings)
