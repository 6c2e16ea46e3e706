"""Breakers over shards: the same for any number of them and after any crash; how far above a limit one can get; what a
tripped breaker must not stop; and what the fold refuses to believe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from managed import Managed
from world import BTC_U, ETH_U, HOUR, INV_BTC, MICRO, PERP_BTC, PERP_ETH, SPAN, START, World, reasons

from ledger.barred import barred, limited_groups
from ledger.snapshot import dump, load
from ledger.wholebooks import first_difference, whole_books
from schemas import events as e
from schemas.kinds import BreakerCause, LegKind, LinkKind, Parameter, Reason, Segregation
from schemas.outcomes import BreakerSwitched, LegPosted, OpenInterest, OwnerInterest
from schemas.sources import Role
from services.asking import Kind as QuestionKind
from services.asking import Proposed, Question, answer

TICKS = 800_000
LOT = 8 * MICRO
"""of the perp at 8,000 dollars: open interest in micro-dollars"""
FIRST = 16


def world(shards: int = 1, fund: int = 1_000, accounts: int = 20, accounts_of: int = 1, **values: int) -> Managed:
    """Accounts 16, 17 ..., so many of one owner in turn; limits as named, of BTC and ETH alike."""
    w = Managed(shards=shards)
    w.send(e.FundContributed(own=0, asset=0, backer=1, time=w.time, amount=fund * MICRO))
    for number in range(accounts):
        w.send(
            e.AccountOpened(
                account=FIRST + number, segregation=Segregation.INDIVIDUAL, liquidator=int(number == accounts - 1),
                profile=SPAN, member=1, owner=900 + number // accounts_of, time=w.time, name="",
            )
        )  # fmt: skip
        w.deposit(FIRST + number, 1_000_000 * MICRO)
    change(w, {"BREAKER_STRESS": 1_000, **values})
    return w


def change(w: Managed, values: dict[str, int]) -> None:
    at = w.time + HOUR
    scoped = {Parameter.BREAKER_STRESS, Parameter.BREAKER_FUND_SHARE, Parameter.PRICE_BREAKER}
    w.send(
        *(
            e.ParameterChanged(parameter=Parameter[name], scope=scope, time=w.time, effective=at, value=value)
            for name, value in values.items()
            for scope in ((BTC_U, ETH_U) if Parameter[name] in scoped else (0,))
        )
    )
    w.mark(after=HOUR)
    w.answer()


def marked(w: Managed, **rest: Any) -> None:
    w.mark(**rest)
    w.answer()


def opened(w: World, account: int, instrument: int = PERP_BTC) -> int:
    return w.position(account, instrument)[0]


# --- any number of shards, any crash ----------------------------------------------------------------------------------

MOVE = st.tuples(
    st.integers(0, 11), st.integers(0, 11), st.sampled_from((PERP_BTC, PERP_ETH, INV_BTC)), st.integers(1, 800)
)
ROUND = st.tuples(st.lists(MOVE, max_size=4), st.sampled_from((8_000, 8_000, 7_000, 9_500)), st.integers(0, 300))


def course(shards: int, rounds: list[Any], crash: Callable[[Managed], None] = lambda _: None) -> Managed:
    w = world(shards, accounts=12, accounts_of=3, OWNER_SHARE=3_000, PRICE_BREAKER=1_000, PRICE_BREAKER_MARKS=2)
    for number, (moves, price, given_) in enumerate(rounds):
        for buyer, seller, instrument, lots in moves:
            if buyer != seller:
                ticks = {PERP_BTC: TICKS, INV_BTC: TICKS}.get(instrument, 20_000)
                w.trade(FIRST + buyer, FIRST + seller, instrument, lots, ticks)
        if number == 1:
            w.send(e.AccountLinked(link=LinkKind.OWNER, removed=0, account=FIRST, other=FIRST + 11, time=w.time))
        if given_:
            w.send(e.FundContributed(own=0, asset=0, backer=1, time=w.time, amount=given_ * MICRO))
        w.mark(btc=price)
        crash(w)
        while w.say():
            crash(w)
    return w


def crashed(w: Managed) -> None:
    """The services begin again from what they kept, and every shard from its snapshot."""
    w.crash()
    clearing = w.clearing
    clearing.states = [load(dump(state), clearing.shard_of) for state in clearing.states]


@settings(max_examples=8, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=5))
def test_the_journal_does_not_show_the_number_of_shards_nor_a_crash(rounds: list[Any]) -> None:
    one = course(1, rounds)
    w = course(4, rounds, crashed)
    assert w.entries == one.entries
    assert first_difference(whole_books(one.clearing.states), whole_books(w.clearing.states)) is None
    assert switched(w) == switched(one)


def switched(w: World) -> list[Any]:
    return [one for one in w.said if isinstance(one, BreakerSwitched)]


def test_a_course_in_which_every_breaker_trips_and_is_let_go() -> None:
    """The same equality where all causes are seen, so that the random ones cannot be empty all along."""
    rounds = [
        ([(0, 3, PERP_BTC, 300), (1, 4, PERP_BTC, 300)], 8_000, 0),
        ([(2, 5, PERP_BTC, 300), (6, 9, PERP_BTC, 800), (6, 9, PERP_ETH, 800)], 8_000, 0),
        ([(3, 0, PERP_BTC, 300), (4, 1, PERP_BTC, 300), (5, 2, PERP_BTC, 300)], 9_500, 0),
        ([(9, 6, PERP_BTC, 800)], 9_500, 300),
        ([], 9_500, 0),
        ([], 9_500, 0),
    ]
    one = course(1, rounds)
    seen = {(told.cause, told.tripped) for told in switched(one)}
    assert seen == {(cause, tripped) for cause in BreakerCause for tripped in (0, 1)}
    for w in (course(4, rounds), course(16, rounds), course(4, rounds, crashed)):
        assert w.entries == one.entries
        assert first_difference(whole_books(one.clearing.states), whole_books(w.clearing.states)) is None


# --- how far above a limit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 4, 16])
@pytest.mark.parametrize("between", [0, 1, 500])
def test_open_interest_passes_its_limit_by_what_is_traded_between_two_marks_and_by_no_more(
    shards: int, between: int
) -> None:
    """The limit is 10,000 dollars: 1,250 lots. Filled to the lot at a mark; what is traded until the fund's word is in
    the journal comes on top, spread over all shards or not; nothing after it."""
    w = world(shards)
    for number in range(10):
        w.trade(FIRST + number, FIRST + 10 + number % 9, PERP_BTC, 125, TICKS)
    marked(w)
    assert barred(w.state) == set()
    for number in range(between):
        w.trade(FIRST + number % 10, FIRST + 10 + number % 9, PERP_BTC, 1, TICKS)
    w.mark()  # the shards have told it; the fund's word is not there yet
    w.trade(FIRST, FIRST + 10, PERP_BTC, 7, TICKS)
    w.answer()
    after = w.trade(FIRST, FIRST + 10, PERP_BTC, 1, TICKS)
    marked(w)
    held = sum(one.long for one in w.said if isinstance(one, OpenInterest) and one.mark == w.state.mark)
    if between:
        assert barred(w.state) == {BTC_U}
        assert reasons(after) == ["BREAKER_TRIPPED", "BREAKER_TRIPPED"]
        assert held == (1_250 + between + 7) * LOT  # the bound, and it is met
    else:
        assert reasons(after) == []
        assert held == (1_250 + 7 + 1) * LOT  # found at the next mark
        assert barred(w.state) == {BTC_U}


@pytest.mark.parametrize("shards", [1, 4, 16])
@pytest.mark.parametrize("accounts", [1, 2, 5, 10])
def test_an_owner_spread_over_shards_gets_no_further_than_one_in_a_single_account(shards: int, accounts: int) -> None:
    """An owner may hold 2,000 dollars: 250 lots. Spread as evenly as can be, which shows least in each shard, the owner
    is found out at the first lot above; what is traded between two marks comes on top."""
    w = world(shards, accounts=20, accounts_of=accounts, OWNER_SHARE=2_000)
    mine, others = range(FIRST, FIRST + accounts), range(FIRST + 10, FIRST + 20)
    lots = [250 // accounts + (number < 250 % accounts) for number in range(accounts)]
    for account, of in zip(mine, lots, strict=True):
        for number, other in enumerate(others):  # the other side is spread, so that it is not limited first
            if part := of // 10 + (number < of % 10):
                w.trade(account, other, PERP_BTC, part, TICKS)
    marked(w)
    assert (BTC_U, 900) not in limited_groups(w.state)
    w.trade(FIRST, FIRST + 10, PERP_BTC, 1, TICKS)
    marked(w)
    assert (BTC_U, 900) in limited_groups(w.state)
    assert sum(opened(w, account) for account in mine) == 251
    for account in mine:
        assert reasons(w.trade(account, FIRST + 11, PERP_BTC, 1, TICKS))[0] == "OWNER_LIMITED"


def test_few_owners_are_told_of() -> None:
    """A shard tells of an owner only where an account holds more than its even part: of the others nothing is said."""
    w = world(4, fund=100_000, accounts=20, OWNER_SHARE=1_000)
    before = len(w.said)
    for number in range(9):
        w.trade(FIRST + number, FIRST + 10 + number, PERP_BTC, 1_000 if number == 3 else 10, TICKS)
    change(w, {"BREAKER_STRESS": 150_000})  # an owner may hold 666 dollars; before, a hundred thousand
    marked(w)
    told = {one.owner for one in w.said[before:] if isinstance(one, OwnerInterest) and one.underlying == BTC_U}
    assert told == {903, 913}


# --- what it must not stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 4])
def test_liquidations_auctions_and_deleveraging_go_on(shards: int) -> None:
    """The underlying is tripped, the bidder's owner limited: awards open the bidder's position all the same, what none
    buys is deleveraged, and open interest does not rise by it."""
    w = world(shards, fund=100, accounts=12, OWNER_SHARE=10)
    weak, weaker, maker, liquidator = FIRST, FIRST + 1, FIRST + 2, FIRST + 11
    w.send(e.AccountOpened(
        account=40, segregation=Segregation.INDIVIDUAL, liquidator=0, profile=SPAN, member=1, owner=40, time=w.time,
        name="",
    ))  # fmt: skip
    w.deposit(40, 1_500 * MICRO)
    w.trade(40, maker, PERP_BTC, 1_000, TICKS)
    w.trade(weaker, maker, PERP_BTC, 2_000, TICKS)
    w.trade(weak, maker, PERP_BTC, 2_000, TICKS)
    w.trade(liquidator, maker, PERP_BTC, 10, TICKS)
    marked(w)
    assert barred(w.state) == {BTC_U}
    assert (BTC_U, 911) in limited_groups(w.state)
    before = interest(w)
    marked(w, btc=7_200)
    (number, auction) = next((n, a) for s in w.clearing.states for n, a in s.auctions.items())
    assert auction.account == 40
    half = -auction.remaining // 2
    w.send(
        e.Bid(bidder=liquidator, instrument=PERP_BTC, auction=number, bid=1, time=w.time, quantity=half, price=720_000)
    )
    w.answer()
    assert opened(w, liquidator) == 10 + half
    assert interest(w) == before
    marked(w, btc=3_800)  # the rest is past what it has, and what the fund has
    marked(w)
    kinds = {one.kind for one in w.said if isinstance(one, LegPosted) and one.reason == Reason.NONE}
    assert {LegKind.LIQUIDATION, LegKind.DELEVERAGING} <= kinds
    assert opened(w, 40) < 500
    assert interest(w) < before
    assert barred(w.state) == {BTC_U}
    w.check()


def interest(w: World) -> int:
    """Lots held long of the perp."""
    return sum(max(opened(w, account), 0) for account in range(FIRST, 41))


# --- what the fold does not believe -----------------------------------------------------------------------------------

TOLD: dict[str, Any] = {"tripped": 1, "underlying": BTC_U, "mark": 2, "interest": 11, "limit": 10}
OWNER: dict[str, Any] = {"limited": 1, "underlying": BTC_U, "owner": 900, "mark": 2, "interest": 11, "limit": 10}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (e.BreakerChanged(**TOLD), "NONE"),
        (e.BreakerChanged(**TOLD | {"underlying": 9}), "UNKNOWN_UNDERLYING"),
        (e.BreakerChanged(**TOLD | {"mark": 9}), "MARK_NOT_NEXT"),
        (e.BreakerChanged(**TOLD | {"mark": 0}), "MARK_NOT_NEXT"),
        (e.BreakerChanged(**TOLD | {"interest": 10}), "BREAKER_UNFOUNDED"),
        (e.BreakerChanged(**TOLD | {"tripped": 2}), "BREAKER_UNFOUNDED"),
        (e.BreakerChanged(**TOLD | {"tripped": 0}), "BREAKER_UNFOUNDED"),
        (e.BreakerChanged(**TOLD | {"interest": -1}), "VALUE_OUT_OF_RANGE"),
        (e.BreakerChanged(**TOLD | {"limit": 2**63 - 1}), "VALUE_OUT_OF_RANGE"),
        (e.BreakerChanged(**TOLD | {"tripped": 0, "interest": 0, "limit": 1_000 * 10 * MICRO}), "BREAKER_UNCHANGED"),
        (e.OwnerLimited(**OWNER), "NONE"),
        (e.OwnerLimited(**OWNER | {"underlying": 9}), "UNKNOWN_UNDERLYING"),
        (e.OwnerLimited(**OWNER | {"mark": 9}), "MARK_NOT_NEXT"),
        (e.OwnerLimited(**OWNER | {"interest": 10}), "BREAKER_UNFOUNDED"),
        (e.OwnerLimited(**OWNER | {"limited": 0}), "BREAKER_UNFOUNDED"),
        (e.OwnerLimited(**OWNER | {"limited": 0, "interest": 10}), "BREAKER_UNCHANGED"),
        (e.OwnerLimited(**OWNER | {"interest": -1}), "VALUE_OUT_OF_RANGE"),
        (e.OwnerAsked(underlying=BTC_U, owner=900, mark=2), "NONE"),
        (e.OwnerAsked(underlying=9, owner=900, mark=2), "UNKNOWN_UNDERLYING"),
    ],
)
def test_a_word_that_its_own_figures_do_not_bear_out_is_refused(event: Any, reason: str) -> None:
    w = world(OWNER_SHARE=1_000)
    said = w.send(event, role=Role.FUND)
    assert (reasons(said) or ["NONE"])[0] == reason


@pytest.mark.parametrize("event", [e.BreakerChanged(**TOLD), e.OwnerLimited(**OWNER), e.OwnerAsked(
    underlying=BTC_U, owner=900, mark=1
)])  # fmt: skip
def test_where_nothing_is_limited_nobody_can_stop_risk(event: Any) -> None:
    w = Managed()
    assert reasons(w.send(event, role=Role.FUND)) == ["BREAKER_OFF"]
    assert reasons(w.send(event, role=Role.EXCHANGE)) == ["UNAUTHORISED_SOURCE"]


def test_a_preview_refuses_what_the_fold_would() -> None:
    w = world(OWNER_SHARE=1_000)
    w.trade(FIRST, FIRST + 1, PERP_BTC, 10, TICKS)

    def previewed(lots: int) -> tuple[bool, str | None]:
        orders = (Proposed(instrument=PERP_BTC, quantity=lots, price=TICKS),)
        told = answer(w.state, Question(kind=QuestionKind.PREVIEW, account=FIRST, orders=orders))
        return told["accepted"], told["reason"]

    assert previewed(1) == (True, None)
    w.send(e.OwnerLimited(**OWNER), role=Role.FUND)
    assert (previewed(1), previewed(-1)) == ((False, "OWNER_LIMITED"), (True, None))
    w.send(e.BreakerChanged(**TOLD), role=Role.FUND)
    assert (previewed(1), previewed(-1)) == ((False, "BREAKER_TRIPPED"), (True, None))


def test_an_account_opened_or_linked_later_is_held_to_its_owners_limit() -> None:
    w = world(4, accounts=4, OWNER_SHARE=1_000)
    w.send(e.OwnerLimited(**OWNER), role=Role.FUND)
    for number, owner in ((50, 900), (51, 60), (52, 899)):
        w.send(e.AccountOpened(
            account=number, segregation=Segregation.INDIVIDUAL, liquidator=0, profile=SPAN, member=1, owner=owner,
            time=START, name="",
        ))  # fmt: skip
        w.deposit(number, 10_000 * MICRO)

    def answers() -> list[str]:
        told = (w.trade(number, FIRST + 1, PERP_BTC, 1, TICKS) for number in (50, 51, 52))
        return [(reasons(one) or ["NONE"])[0] for one in told]

    assert answers() == ["OWNER_LIMITED", "NONE", "NONE"]
    link = {"link": LinkKind.OWNER, "account": 51, "other": FIRST, "time": START}
    w.send(e.AccountLinked(removed=0, **link))
    assert answers() == ["OWNER_LIMITED", "OWNER_LIMITED", "NONE"]
    w.send(e.AccountLinked(removed=1, **link))
    assert answers() == ["OWNER_LIMITED", "NONE", "NONE"]
