"""Auctions of every kind in any order of bids, trades, marks, heals and crashes of the services: nothing appears or
vanishes, nothing stays reserved, nothing is sold beyond the plan, and the number of shards does not show."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from managed import Managed
from world import HOUR, PERP_BTC, PERP_ETH, USD

from ledger.wholebooks import first_difference, whole_books
from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.events import EVENTS
from schemas.kinds import ClosingReason, LegKind, Parameter
from schemas.outcomes import (
    AuctionClosed,
    AuctionOpened,
    LegPosted,
    PortfolioClosed,
    PortfolioOpened,
)
from schemas.wire import EntryHeader, decode

DOLLAR = 1_000_000
FAILING = (16, 17, 18)
RICH = (30, 31)
BIDDERS = (19, 20, 21, 22)
RULES = {
    Parameter.PORTFOLIO_AUCTION_MARKS: 2,
    Parameter.AUCTION_FRACTION: 4_000,
    Parameter.AUCTION_FLOOR: 150,
    Parameter.GAP_TOLD: 1,
    Parameter.LIQUIDATION_FEE: 30,
    Parameter.WHOLE_LIQUIDATION_FEE: 10,
}

Step = tuple[Any, ...]
BTC, ETH = st.integers(55, 85), st.integers(14, 21)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), BTC, ETH),
        st.tuples(st.just("marked"), BTC, ETH),
        st.tuples(st.just("marked"), BTC, ETH),
        st.tuples(st.just("sealed"), st.sampled_from(BIDDERS), st.integers(0, 600)),
        st.tuples(st.just("sealed"), st.sampled_from(BIDDERS), st.integers(0, 500)),
        st.tuples(st.just("dutch"), st.sampled_from(BIDDERS), st.integers(1, 4)),
        st.tuples(st.just("trade"), st.sampled_from(FAILING), st.integers(-200, 200).filter(bool)),
        st.tuples(st.just("deposit"), st.sampled_from(FAILING), st.integers(1, 2_000)),
        st.tuples(st.just("backstop"), st.sampled_from(BIDDERS), st.integers(0, 3_000)),
        st.just(("crash",)),
        st.just(("say",)),
        st.just(("answer",)),
    ),
    min_size=4,
    max_size=24,
)


def world(shards: int, fund: int) -> Managed:
    w = Managed(shards)
    w.open(*FAILING, *RICH)
    w.open(*BIDDERS, liquidator=1)
    for account in RICH:
        w.deposit(account, 90_000 * DOLLAR)
    for number, account in enumerate(BIDDERS):
        w.deposit(account, (1_500 + 4_000 * number) * DOLLAR)
    for number, account in enumerate(FAILING):
        w.deposit(account, (950 + 250 * number) * DOLLAR)
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=fund * DOLLAR))
    w.send(
        *(
            e.ParameterChanged(parameter=name, scope=0, time=w.time, effective=w.time + HOUR, value=value)
            for name, value in RULES.items()
        )
    )
    for number, account in enumerate(FAILING):
        w.trade(account, RICH[0], PERP_BTC, 600 + 150 * number, 800_000)
        w.trade(RICH[1], account, PERP_ETH, 200 + 100 * number, 20_000)
    w.mark(after=HOUR)
    w.answer()
    return w


def play(w: Managed, step: Step, number: int) -> None:
    """One step. A mark waits for the answers to the last, as the pricer's do."""
    facts = w.state.facts
    match step:
        case ("mark" | "marked" as name, btc, eth):
            w.answer()
            w.mark(btc=btc * 100, eth=eth * 10)
            if name == "marked":
                w.answer()
        case ("sealed", bidder, discount):
            for running in sorted(facts.portfolios):
                told = e.PortfolioBid(bidder=bidder, auction=running, bid=number, time=w.time, discount=discount)
                w.send(told)
        case ("dutch", bidder, part):
            found = sorted((n, one) for state in w.clearing.states for n, one in state.auctions.items())
            for running, one in found:
                mark = int(w.state.market.mark[one.instrument])
                terms = Terms(one.start, one.step, one.floor)
                ticks = auction.price(one.remaining, mark, auction.discount(terms, w.state.mark - one.mark))
                lots = max(1, abs(one.remaining) // part)
                w.send(
                    e.Bid(
                        bidder=bidder, instrument=one.instrument, auction=running, bid=number, time=w.time,
                        quantity=lots if one.remaining < 0 else -lots, price=ticks,
                    )
                )  # fmt: skip
        case ("trade", account, lots):
            price = int(w.state.market.mark[PERP_BTC])
            buyer, seller = (account, RICH[0]) if lots > 0 else (RICH[0], account)
            w.trade(buyer, seller, PERP_BTC, abs(lots), price)
        case ("deposit", account, dollars):
            w.deposit(account, dollars * DOLLAR)
        case ("backstop", account, dollars):
            w.send(e.BackstopCommitted(account=account, time=w.time, capacity=dollars * DOLLAR))
        case ("crash",):
            w.crash()
        case ("say",):
            w.say()
        case ("answer",):
            w.answer()


def reserved(w: Managed) -> set[int]:
    """Auctions that something is reserved for."""
    return {key[0] for state in w.clearing.states for own in state.reservations.values() for key in own}


def check(w: Managed) -> None:
    """What must hold when everything is answered."""
    w.check()
    on_offer = w.state.facts.portfolios
    assert all(state.facts.portfolios == on_offer for state in w.clearing.states)
    assert not w.state.facts.portfolio_lots
    # a Dutch bid is answered at once; a sealed one lies until its portfolio is taken off
    assert reserved(w) <= on_offer.keys()
    # no account is sold twice at the same time
    dutch = {one.account for state in w.clearing.states for one in state.auctions.values()}
    assert not dutch & {one.account for one in on_offer.values()}
    assert not dutch & {0}
    sold_no_more_than_planned(w)


def sold_no_more_than_planned(w: Managed) -> None:
    """An auction's legs never exceed what it opened with, and a portfolio is sold whole and once."""
    opened = {one.auction: abs(one.quantity) for one in w.said if isinstance(one, AuctionOpened)}
    portfolios = {one.auction: one for one in w.said if isinstance(one, PortfolioOpened)}
    assert not opened.keys() & portfolios.keys()
    closed = [one.auction for one in w.said if isinstance(one, PortfolioClosed)]
    assert len(closed) == len(set(closed))
    offered = sum(abs(lots) for number in portfolios for lots in lots_told(w)[number].values())
    planned = sum(opened.values()) + offered
    sold = sum(
        abs(one.quantity)
        for one in w.said
        if isinstance(one, LegPosted)
        and one.kind in (LegKind.LIQUIDATION, LegKind.BACKSTOP)
        and one.intended in FAILING
    )
    assert sold <= planned


def lots_told(w: Managed) -> defaultdict[int, dict[int, int]]:
    """Lots by auction and instrument that the journal put on offer."""
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for data in w.entries:
        for run in decode(data, EntryHeader, EVENTS).runs:
            if run.message.cls is e.PortfolioLot:
                for row in run.rows:
                    found[int(row["auction"])][int(row["instrument"])] = int(row["quantity"])
    return found


def run(shards: int, fund: int, course: list[Step]) -> Managed:
    w = world(shards, fund)
    for number, step in enumerate(course, 1):
        play(w, step, number)
        if w.answers.following() is None:
            check(w)
    w.answer()
    w.mark()
    w.answer()
    check(w)
    return w


def the_same(fund: int, course: list[Step]) -> None:
    """One shard whose services never crash, and four whose services do, come to the same journal and books."""
    calm = [step if step != ("crash",) else ("nothing",) for step in course]
    one, four = run(1, fund, calm), run(4, fund, course)
    assert one.entries == four.entries
    assert first_difference(whole_books(one.clearing.states), whole_books(four.clearing.states)) is None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([300, 100_000, 100_000]), st.integers(57, 67), steps)
def test_auctions_conserve_in_any_order_and_over_any_shards(fund: int, fall: int, rest: list[Step]) -> None:
    course = [("marked", fall, 16), *rest]
    the_same(fund, course)


COURSES: dict[str, list[Step]] = {
    "sealed": [
        ("mark", 62, 16), ("answer",), ("sealed", 21, 300), ("sealed", 22, 200), ("crash",), ("mark", 61, 16),
        ("mark", 60, 16),
        ("answer",),
    ],
    "backstops": [
        ("backstop", 22, 3_000), ("backstop", 21, 2_000), ("mark", 62, 16), ("answer",), ("mark", 62, 16), ("answer",),
        ("mark", 62, 16), ("crash",), ("answer",),
    ],
    "leg by leg": [
        ("mark", 62, 16), ("answer",), ("mark", 62, 16), ("answer",), ("mark", 62, 16), ("answer",), ("dutch", 22, 1),
        ("answer",), ("mark", 62, 16), ("answer",), ("dutch", 22, 1), ("answer",), ("dutch", 21, 2), ("answer",),
        ("mark", 62, 16), ("answer",), ("dutch", 22, 1), ("answer",),
    ],
    "unsold": [("mark", 62, 16), *[("answer",), ("mark", 62, 16)] * 9],
    "healed": [("mark", 62, 16), ("answer",), ("sealed", 22, 100), ("answer",), ("mark", 85, 20), ("answer",)],
}  # fmt: skip


@pytest.mark.parametrize("fund", [0, 300, 100_000])
@pytest.mark.parametrize("name", COURSES)
def test_what_auctions_are_made_for_conserves(name: str, fund: int) -> None:
    one, four = run(1, fund, COURSES[name]), run(4, fund, COURSES[name])
    assert first_difference(whole_books(one.clearing.states), whole_books(four.clearing.states)) is None
    assert one.entries == four.entries


def test_the_courses_come_to_every_end_of_an_offer() -> None:
    ends = {
        (type(one).__name__, one.reason)
        for name in COURSES
        for one in run(1, 100_000, COURSES[name]).said
        if isinstance(one, PortfolioClosed | AuctionClosed)
    }
    assert {reason for kind, reason in ends if kind == "PortfolioClosed"} >= {
        ClosingReason.FILLED,
        ClosingReason.NO_BID,
        ClosingReason.BACKSTOPPED,
        ClosingReason.HEALED,
    }
    assert ("AuctionClosed", ClosingReason.FILLED) in ends
