"""Members' defaults over any course: nothing is made or lost, no client pays for the house, shards do not show."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from defaulting import BUYER, COIN, FAILING, SOUND, WINDOW, Defaulting
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from simulation.rules import _decided, _folded, _numbered
from world import BTC, HOUR, MICRO, PERP_BTC, SPOT_BTC, USD, account_book, reasons

from ledger.members import pool_of
from ledger.snapshot import dump, load
from schemas import events as e
from schemas.chart import House
from schemas.kinds import LinkKind, Parameter, PostingKind, Rung, Segregation
from schemas.outcomes import (
    CloseOutDue,
    DeficitCovered,
    DeleveragingCandidate,
    PortingChecked,
    Posted,
    ResourcesMoved,
    WithdrawalAnswered,
)
from services.explain import member_default

HOUSE, HOUSE_TWO, LONE, OTHER_LONE, A, B, C, D = range(16, 24)
KINDS = {
    HOUSE: Segregation.HOUSE,
    HOUSE_TWO: Segregation.HOUSE,
    LONE: Segregation.INDIVIDUAL,
    OTHER_LONE: Segregation.INDIVIDUAL,
    A: Segregation.OMNIBUS,
    B: Segregation.OMNIBUS,
    C: Segregation.OMNIBUS,
    D: Segregation.OMNIBUS,
}
CLIENTS = (LONE, OTHER_LONE, A, B, C, D)
POOLS = ({A, B}, {C, D})
SOUND_HOUSE = 40


class Course(NamedTuple):
    """What each account brings, and what happens then."""

    dollars: tuple[int, ...]
    lots: tuple[int, ...]
    steps: tuple[tuple[Any, ...], ...]


STEPS = st.one_of(
    st.tuples(st.just("mark"), st.integers(5_000, 12_000)),
    st.tuples(st.just("mark"), st.integers(5_000, 12_000)),
    st.tuples(st.just("accept"), st.sampled_from([*CLIENTS, HOUSE]), st.sampled_from([SOUND, FAILING, 99])),
    st.tuples(st.just("default"), st.sampled_from([FAILING, FAILING, SOUND])),
    st.tuples(st.just("deposit"), st.sampled_from(CLIENTS), st.integers(1, 2_000)),
    st.tuples(st.just("ask"), st.sampled_from([*CLIENTS, HOUSE]), st.integers(1, 5_000)),
)
COURSES = st.builds(
    Course,
    st.tuples(*[st.integers(300, 6_000)] * len(KINDS)),
    st.tuples(*[st.integers(-COIN, COIN).filter(bool)] * len(KINDS)),
    st.lists(STEPS, min_size=3, max_size=9).map(tuple),
)
EASE = settings(
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a course smaller takes minutes
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def members(world: Defaulting, course: Course, *, house: int | None = None) -> None:
    """The failing member's accounts with their positions; `house` dollars for its house accounts instead."""
    world.member(SOUND_HOUSE, SOUND, Segregation.HOUSE, 10_000)
    for (account, kind), dollars, lots in zip(KINDS.items(), course.dollars, course.lots, strict=True):
        world.member(account, FAILING, kind, house if house is not None and kind == Segregation.HOUSE else dollars)
        world.long(account, lots)
    world.tie([A, B])
    world.tie([C, D])


def act(world: Defaulting, step: tuple[Any, ...]) -> None:
    """One thing that somebody does; the services do not answer yet."""
    match step:
        case ("mark", price):
            world.mark(btc=price)
            world.bid_all()
        case ("accept", account, taker):
            world.send(e.PortingAccepted(account=account, taker=taker, time=world.time))
        case ("default", member):
            world.send(e.MemberDefaulted(member=member, time=world.time, window=HOUR // 2))
        case ("deposit", account, dollars):
            world.deposit(account, dollars * MICRO)
        case ("ask", account, dollars):
            world.deposit_number += 1
            world.send(
                e.WithdrawalRequested(
                    asset=USD, account=account, withdrawal=world.deposit_number, time=world.time, amount=dollars * MICRO
                )
            )


def played(course: Course, shards: int = 1, *, house: int | None = None, crashes: bool = False) -> Defaulting:
    """The course in lockstep: everything is answered before the next thing happens."""
    world = Defaulting(shards)
    members(world, course, house=house)
    for step in (("default", FAILING), *course.steps):
        act(world, step)
        if crashes:
            while world.say():
                world.crash()
        world.answer()
        world.check()
    world.settle()
    return world


def approved(world: Defaulting) -> int:
    """Dollars that withdrawals on their way amount to."""
    return sum(one.amount for s in world.clearing.states for one in s.approved.values() if one.asset == USD)


def no_client_pays(world: Defaulting) -> None:
    """What was moved between accounts of the member kept to segregation: read from the postings alone."""
    transit = int(House.TRANSIT)
    for one in world.said:
        if not isinstance(one, Posted):
            continue
        if one.kind == PostingKind.MEMBER_RESOURCES and one.credit == transit:
            assert KINDS.get(one.debit, Segregation.HOUSE) == Segregation.HOUSE, one
        if one.kind == PostingKind.OMNIBUS_SHARE:
            assert KINDS[one.debit if one.credit == transit else one.credit] == Segregation.OMNIBUS, one
    for one in world.said:
        if isinstance(one, ResourcesMoved) and one.segregation == Segregation.OMNIBUS:
            assert any({one.account, one.other} <= pool for pool in POOLS), one
    assert world.balance(House.TRANSIT) == approved(world), "something that was set aside has not arrived"


@given(COURSES)
@EASE
def test_shards_and_crashes_do_not_show(course: Course) -> None:
    """The same journal to the byte, and the same books, over one and four shards, and with services that die."""
    one, four = played(course), played(course, 4, crashes=True)
    assert one.entries == four.entries
    for account in (*KINDS, SOUND_HOUSE, BUYER):
        assert account_book(one, account) == account_book(four, account)
        assert one.member_of(account) == four.member_of(account)
    for house in House:
        assert one.balance(house) == four.balance(house)
    no_client_pays(one)
    event(f"moved {sum(isinstance(x, ResourcesMoved) for x in one.said) > 0}")


@given(COURSES)
@EASE
def test_what_the_house_loses_never_lowers_what_a_client_has(course: Course) -> None:
    """Worlds that differ in the house's assets alone: poor, and so rich that it owes nothing. Where the house does not
    pay for its clients every client ends with the same; where it does, with no less than that."""
    ends = []
    for house, covers in ((1, 0), (10_000_000, 0), (1, 1)):
        world = Defaulting()
        world.change(Parameter.HOUSE_COVERS_CLIENTS, covers)
        members(world, course, house=house)
        for step in (("default", FAILING), *course.steps):
            act(world, step)
            world.answer()
        world.settle()
        ends.append([account_book(world, account)[1:] for account in CLIENTS])
    assert ends[0] == ends[1]
    for (without, held), (balances, same) in zip(ends[0], ends[2], strict=True):
        assert held == same and all(a <= b for a, b in zip(without, balances, strict=True))


@given(st.sampled_from([1, 4]), COURSES, st.lists(st.integers(0, 3), min_size=12, max_size=12))
@EASE
def test_services_that_are_late_lose_nothing(shards: int, course: Course, pauses: list[int]) -> None:
    """Marks, acceptances and withdrawals come while the fund still owes answers to what was before; a mark comes once
    the desk has answered the last one, as the pricer's do."""
    world = Defaulting(shards)
    members(world, course)
    for step, pause in zip((("default", FAILING), *course.steps), pauses, strict=False):
        while step[0] == "mark" and world.state.answered != world.state.mark:
            world.say()
        act(world, step)
        for _ in range(pause):
            world.say()
        world.check()
    world.answer()
    world.settle()
    world.check()
    no_client_pays(world)


def test_the_fund_as_a_service_that_follows_the_topics_says_the_same() -> None:
    """It keeps no accounts; from the facts and the notices of four shards it decides what the embedded form decided."""
    steps = (("mark", 7_000), ("accept", LONE, SOUND), ("mark", 7_100), ("accept", A, SOUND), ("mark", 7_000))
    dollars = (1_500, 400, 5_000, 500, 5_000, 5_000, 500, 1_500)
    world = played(Course(dollars, (COIN,) * len(KINDS), steps), 4)
    assert [one for one in world.said if isinstance(one, ResourcesMoved)]
    wanted, _ = _folded(world.entries, world.clearing.settings)
    _decided(_numbered(world.entries), wanted, world.clearing.settings)


# --- one by one -------------------------------------------------------------------------------------------------------


def small(house: int = 5_000, client: int = 5_000) -> Defaulting:
    world = Defaulting()
    world.member(SOUND_HOUSE, SOUND, Segregation.HOUSE, 10_000)
    world.member(HOUSE, FAILING, Segregation.HOUSE, house)
    world.member(LONE, FAILING, Segregation.INDIVIDUAL, client)
    world.member(A, FAILING, Segregation.OMNIBUS, client)
    world.member(B, FAILING, Segregation.OMNIBUS, client)
    return world


def of_member(member: int, window: int = 0) -> e.MemberDefaulted:
    return e.MemberDefaulted(member=member, time=0, window=window)


def taken(account: int, other: int, amount: int = 1, asset: int = USD) -> e.MemberResourcesTaken:
    return e.MemberResourcesTaken(asset=asset, account=account, other=other, mark=1, amount=amount)


def given_to(account: int, other: int, amount: int = 1) -> e.MemberResourcesGiven:
    return e.MemberResourcesGiven(asset=USD, account=account, other=other, mark=1, amount=amount)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (of_member(99), "UNKNOWN_MEMBER"),
        (of_member(FAILING), "MEMBER_DEFAULTED"),
        (of_member(SOUND, -1), "VALUE_OUT_OF_RANGE"),
        (of_member(SOUND, 31 * 24 * HOUR), "VALUE_OUT_OF_RANGE"),
        (e.MemberSettled(member=SOUND, mark=1), "MEMBER_NOT_DEFAULTED"),
        (e.AccountPorted(account=LONE, member=SOUND, taker=SOUND), "MEMBER_NOT_DEFAULTED"),
        (e.AccountPorted(account=HOUSE, member=FAILING, taker=SOUND), "PORTING_NOT_A_CLIENT"),
        (e.AccountPorted(account=LONE, member=FAILING, taker=FAILING), "SAME_MEMBER"),
        (taken(LONE, HOUSE), "SEGREGATION_FORBIDS"),
        (taken(LONE, A), "SEGREGATION_FORBIDS"),
        (taken(A, LONE), "SEGREGATION_FORBIDS"),
        (taken(A, HOUSE), "SEGREGATION_FORBIDS"),
        (taken(A, B), "SEGREGATION_FORBIDS"),
        (taken(HOUSE, SOUND_HOUSE), "SEGREGATION_FORBIDS"),
        (taken(SOUND_HOUSE, SOUND_HOUSE), "MEMBER_NOT_DEFAULTED"),
        (taken(HOUSE, HOUSE), "SAME_ACCOUNT"),
        (taken(HOUSE, 55), "UNKNOWN_ACCOUNT"),
        (taken(55, HOUSE), "UNKNOWN_ACCOUNT"),
        (taken(HOUSE, LONE, 0), "AMOUNT_NOT_POSITIVE"),
        (taken(HOUSE, LONE, 2**60 + 1), "AMOUNT_NOT_POSITIVE"),
        (taken(HOUSE, LONE, 1, 15), "UNKNOWN_ASSET"),
        (taken(HOUSE, LONE, 1, BTC), "NOTHING_DUE"),
        (given_to(LONE, SOUND_HOUSE), "SEGREGATION_FORBIDS"),
        (given_to(SOUND_HOUSE, SOUND_HOUSE), "MEMBER_NOT_DEFAULTED"),
        (e.AccountLinked(link=LinkKind.CLIENT, removed=0, account=A, other=B, time=0), "MEMBER_DEFAULTED"),
    ],
)
def test_refused_by_name(said: Any, refused: str) -> None:
    world = small()
    world.default()
    before = world.digests()
    assert reasons(world.send(said)) == [refused]
    assert before == world.digests()


def test_what_a_source_may_not_say() -> None:
    world = small()
    for number, said in ((8_000, of_member(FAILING)), (3_000, taken(HOUSE, LONE)), (1_000, of_member(FAILING))):
        assert reasons(world.entry(number, [said])) == ["UNAUTHORISED_SOURCE"]


def test_what_came_in_between_is_kept_and_what_was_not_needed_goes_back() -> None:
    """A deposit comes after the client's deficit was told and before the house's money is given to it."""
    world = small(house=3_000, client=700)
    world.long(HOUSE, COIN)
    world.long(LONE, COIN)
    world.default()
    world.step(btc=7_000)
    world.mark()
    assert world.rung(LONE) == Rung.DEFICIT and world.balance(LONE) == -300 * MICRO
    world.deposit(LONE, 200 * MICRO)
    world.answer()
    world.settle()
    assert (world.balance(LONE), world.balance(HOUSE)) == (0, 1_900 * MICRO)
    assert world.moved(PostingKind.RESOURCES_RETURNED) == {(int(House.TRANSIT), HOUSE): 200 * MICRO}
    assert world.balance(House.TRANSIT) == 0


def test_the_fund_waits_until_the_house_is_closed_out() -> None:
    """While nobody buys what the house has, nothing is paid for its clients; then the house pays first."""
    world = small(house=3_000, client=700)
    world.change(Parameter.AUCTION_STEP, 1)  # so that nothing is deleveraged meanwhile
    world.long(HOUSE, COIN)
    world.long(LONE, COIN)
    world.default()
    world.mark(btc=7_000)
    world.answer()
    world.bid_all(LONE)
    world.answer()
    for _ in range(3):
        world.step(bid=False)
        assert world.balance(LONE) == -300 * MICRO
    world.settle()
    assert not [one for one in world.said if isinstance(one, DeficitCovered)]
    assert world.balance(LONE) == 0


def test_a_house_in_coins_is_turned_into_dollars_and_a_client_keeps_its_coins() -> None:
    world = small(house=0, client=0)
    world.deposit(HOUSE, 10**8, BTC)
    world.deposit(LONE, 10**8, BTC)
    world.default(window=HOUR // 4)
    world.settle()
    assert world.balance(HOUSE, BTC) == 0 and world.balance(HOUSE) == 8_000 * MICRO
    assert world.balance(LONE, BTC) == 10**8 and world.balance(LONE) == 0
    assert {one.collateral for one in world.said if isinstance(one, CloseOutDue) and one.account == HOUSE} == {1}
    assert world.state.market.asset_spot[BTC] == SPOT_BTC


def test_a_client_is_not_deleveraged_for_its_own_house_at_a_price_below_the_mark() -> None:
    """The fund is empty and nobody bids: the house's loss goes to the other side, but not to its own clients."""
    world = Defaulting(fund=1)
    world.member(SOUND_HOUSE, SOUND, Segregation.HOUSE, 10_000)
    world.member(HOUSE, FAILING, Segregation.HOUSE, 500)
    world.member(LONE, FAILING, Segregation.INDIVIDUAL, 5_000)
    world.trade(HOUSE, LONE, PERP_BTC, COIN, 800_000)
    world.long(HOUSE, COIN)
    world.default()
    said = world.step(btc=7_000, bid=False)
    named = {one.account for one in said if isinstance(one, DeleveragingCandidate)}
    assert named == {BUYER}
    assert world.position(LONE, PERP_BTC)[0] == -COIN


def test_a_covered_account_that_nobody_buys_from_loses_no_more_than_the_floor() -> None:
    world = small(house=0, client=5_000)
    world.long(LONE, COIN)
    world.default(window=HOUR // 4)
    for _ in range(30):
        world.step(bid=False)
    assert world.position(LONE, PERP_BTC)[0] == 0
    assert 5_000 * MICRO - 8_000 * MICRO * 500 // 10_000 <= world.balance(LONE) < 5_000 * MICRO


def test_the_clients_of_an_omnibus_are_those_that_are_tied() -> None:
    world = small()
    world.member(C, FAILING, Segregation.OMNIBUS, 1)
    world.member(D, SOUND, Segregation.OMNIBUS, 1)
    world.tie([C, B, LONE, D])
    world.tie([A, B])
    state = world.state
    assert pool_of(state, A) == pool_of(state, B) == pool_of(state, C) == [A, B, C]
    assert pool_of(state, LONE) == [LONE] and pool_of(state, D) == [D]


def test_a_snapshot_in_the_middle_of_a_default_is_the_whole_of_it() -> None:
    world = small()
    world.long(LONE, COIN)
    world.default()
    world.step()
    state = world.state
    again = load(dump(state))
    declared = state.time - HOUR // 4
    assert again.facts.defaults == state.facts.defaults == {FAILING: (declared, declared + WINDOW, 0)}
    assert dump(again) == dump(state)


def test_without_a_default_nothing_of_it_shows() -> None:
    world = small()
    world.long(LONE, COIN)
    world.step(btc=4_000)
    world.step()
    kinds = (CloseOutDue, PortingChecked, ResourcesMoved)
    assert not [one for one in world.said if isinstance(one, kinds)]
    assert b'"defaults"' not in dump(world.state)


def test_withdrawals_asked_for_before_are_refused_after() -> None:
    world = small()
    world.send(e.WithdrawalRequested(asset=USD, account=HOUSE, withdrawal=1, time=0, amount=MICRO))
    world.default()
    said = world.step()
    assert [one.reason.name for one in said if isinstance(one, WithdrawalAnswered)] == ["MEMBER_DEFAULTED"]


@pytest.mark.parametrize(
    ("account", "first", "never"),
    [
        (HOUSE, "the account's own assets", "assets of the member's clients"),
        (A, "what the accounts of the same omnibus have left, pro rata", "assets of the member's individual clients"),
        (LONE, "what the member's house accounts have left", "assets of any other client of the member"),
    ],
)
def test_the_explanation_says_whose_money_is_touched(account: int, first: str, never: str) -> None:
    world = small()
    world.default()
    world.step()
    told = json.loads(json.dumps(member_default(world.state, account)))
    assert first in told["its_loss_is_paid_by"] and told["its_loss_is_paid_by"][-1] == "then the waterfall"
    assert never in told["its_loss_is_never_paid_by"]
    assert (told["member"], told["settled"], told["window_over"]) == (FAILING, False, False)
