"""An account in liquidation that trades by itself while it is sold: what its auction has left, and what an award that
was on its way already does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import HOUR, PERP_BTC, PERP_ETH, USD, account_book

from ledger.snapshot import dump, load
from ledger.state import Auction
from liquidation import auction
from liquidation.auction import Terms
from schemas import events as e
from schemas.kinds import ClosingReason, LegKind, Parameter, Reason, Rung
from schemas.outcomes import AuctionClosed, AuctionOpened, LegPosted, PortfolioClosed, Rejected

scenarios("features/own_trades_come_off_the_auction.feature")

DOLLAR = 1_000_000
FAILING, RICH, BIDDER, BACKSTOP = 16, 17, 18, 19
LOTS = 900


def world(shards: int = 1, *, eth: int = 0, dollars: int = 1_500, rules: dict[Parameter, int] | None = None) -> Managed:
    """Account 16 is long, 17 is on the other side, 18 bids; a fund that carries what is lost."""
    w = Managed(shards)
    w.open(FAILING, RICH)
    w.open(BIDDER, BACKSTOP, liquidator=1)
    for account in (RICH, BIDDER, BACKSTOP):
        w.deposit(account, 50_000 * DOLLAR)
    w.deposit(FAILING, dollars * DOLLAR)
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=100_000 * DOLLAR))
    w.send(
        *(
            e.ParameterChanged(parameter=name, scope=0, time=w.time, effective=w.time + HOUR, value=value)
            for name, value in (rules or {}).items()
        )
    )
    w.trade(FAILING, RICH, PERP_BTC, LOTS, 800_000)
    if eth:
        w.trade(FAILING, RICH, PERP_ETH, eth, 20_000)
    w.mark(after=HOUR)
    w.answer()
    return w


def gone(w: Managed) -> int:
    """The market falls until the account's equity is gone; the number of the auction of all it has."""
    w.mark(btc=6_300, eth=160)
    w.answer()
    (number,) = auctions(w)
    assert auctions(w)[number].remaining == -LOTS
    return number


def auctions(w: Managed) -> dict[int, Auction]:
    return {number: one for state in w.clearing.states for number, one in state.auctions.items()}


def trade(w: Managed, lots: int) -> None:
    """The account buys (sells) lots by itself at the mark."""
    price = int(w.state.market.mark[PERP_BTC])
    w.trade(*((FAILING, RICH) if lots > 0 else (RICH, FAILING)), PERP_BTC, abs(lots), price)


def bid(w: Managed, number: int, lots: int, *, bidder: int = BIDDER) -> None:
    """A bid that would take any price up to the mark."""
    ticks = int(w.state.market.mark[PERP_BTC])
    w.send(
        e.Bid(bidder=bidder, instrument=PERP_BTC, auction=number, bid=w.offset, time=w.time, quantity=lots, price=ticks)
    )


def holds(w: Managed, account: int) -> int:
    return w.position(account, PERP_BTC)[0]


def reserved(w: Managed) -> int:
    return sum(len(state.reservations) for state in w.clearing.states)


def heard(w: Managed, kind: type[Any]) -> list[Any]:
    return [one for one in w.said if isinstance(one, kind)]


# --- the feature's steps ---------------------------------------------------------------------------------------------


@pytest.fixture
def house() -> SimpleNamespace:
    return SimpleNamespace()


@given(parsers.parse("OWN_TRADES_CLIP is {value:d} over {shards:d} shards, and all of the account is on auction"))
def on_auction(house: SimpleNamespace, value: int, shards: int) -> None:
    house.w = world(shards, rules={Parameter.OWN_TRADES_CLIP: value})
    house.number = gone(house.w)


@when(parsers.parse("it trades {trades} by itself"))
def trades_itself(house: SimpleNamespace, trades: str) -> None:
    for lots in trades.split(", ") if trades != "nothing" else []:
        trade(house.w, int(lots))
        house.w.answer()
        house.w.check()


@then(parsers.parse("{lots:d} lots are on auction"))
def lots_on_auction(house: SimpleNamespace, lots: int) -> None:
    assert [-one.remaining for one in auctions(house.w).values()] == ([lots] if lots else [])
    closed = [one.reason for one in heard(house.w, AuctionClosed)]
    assert closed == ([] if lots else [ClosingReason.CLIPPED])


@when(parsers.parse("a bidder bids for {lots:d}"))
def bids(house: SimpleNamespace, lots: int) -> None:
    bid(house.w, house.number, lots)
    house.w.answer()
    house.w.check()
    assert reserved(house.w) == 0


@then(parsers.parse("the bidder has bought {bought:d}, and the account holds {lots}"))
def has_bought(house: SimpleNamespace, bought: int, lots: str) -> None:
    w = house.w
    assert (holds(w, BIDDER), holds(w, FAILING)) == (bought, int(lots))
    assert not auctions(w)
    assert [one.reason.name for one in heard(w, Rejected)] == []


@when(parsers.parse("it sells a lot after each of {marks:d} marks"))
def sells_lots(house: SimpleNamespace, marks: int) -> None:
    for _ in range(marks):
        trade(house.w, -1)
        house.w.mark()
        house.w.answer()


@then(parsers.parse("its auction has come to a discount of {discount:d} basis points"))
def discounted(house: SimpleNamespace, discount: int) -> None:
    w = house.w
    (one,) = auctions(w).values()
    assert auction.discount(Terms(one.start, one.step, one.floor), w.state.mark - one.mark) == discount
    assert -one.remaining == LOTS - 6 == holds(w, FAILING)


# --- rules one by one ------------------------------------------------------------------------------------------------

CLIPS = {Parameter.OWN_TRADES_CLIP: 1}


def test_a_partial_plan_leaves_what_it_meant_to_leave() -> None:
    """The desk plans to sell part; what the account sells of it by itself is not sold again."""
    w = world(4, rules=CLIPS, dollars=2_200)
    w.mark(btc=6_600)
    w.answer()
    ((number, one),) = auctions(w).items()
    planned = -one.remaining
    assert 100 < planned < LOTS
    trade(w, -60)
    w.answer()
    bid(w, number, LOTS)
    w.answer()
    assert (holds(w, BIDDER), holds(w, FAILING)) == (planned - 60, LOTS - planned)
    w.mark()
    w.answer()
    assert w.owner(FAILING).accounts.rung[FAILING] < Rung.LIQUIDATING


def test_how_trades_are_cut_into_entries_and_shards_does_not_show() -> None:
    sizes = (-200, 150, -350, 40, -100)
    books, remaining = [], []
    for shards, together in ((1, False), (1, True), (4, False), (4, True)):
        w = world(shards, rules=CLIPS)
        gone(w)
        price = int(w.state.market.mark[PERP_BTC])
        trades = [
            w.trade_event(*((FAILING, RICH) if lots > 0 else (RICH, FAILING)), PERP_BTC, abs(lots), price)
            for lots in sizes
        ]
        for one in [trades] if together else [[one] for one in trades]:
            w.send(*one)
            w.answer()
        books.append(account_book(w, FAILING))
        remaining.append([one.remaining for one in auctions(w).values()])
    # 900 -> 700 -> 850 -> 500 -> 540 -> 440: the least on the way stays
    assert remaining == [[-440]] * 4
    assert books == [books[0]] * 4


def test_a_shard_begun_from_a_snapshot_and_a_restarted_desk_go_on() -> None:
    w = world(4, rules=CLIPS)
    number = gone(w)
    trade(w, -100)
    w.answer()
    w.clearing.states = [load(dump(state), w.clearing.shard_of) for state in w.clearing.states]
    w.crash()
    trade(w, -300)
    w.answer()
    bid(w, number, LOTS)
    w.answer()
    assert (holds(w, BIDDER), holds(w, FAILING)) == (500, 0)


def test_the_part_that_a_mark_sells_is_that_of_the_plan() -> None:
    w = world(4, rules=CLIPS | {Parameter.AUCTION_FRACTION: 2_500})
    number = gone(w)
    trade(w, -300)
    w.answer()
    bid(w, number, LOTS)
    w.answer()
    assert holds(w, BIDDER) == 225
    w.mark()
    w.answer()
    bid(w, number, LOTS)
    w.answer()
    assert holds(w, BIDDER) == 450
    assert [-one.quantity for one in heard(w, AuctionOpened)] == [900, 600, 375, 150]


@pytest.mark.parametrize("late", [-100, -500, -800, -900])
def test_an_award_on_its_way_stands_and_the_desk_sells_no_more_than_is_left(late: int) -> None:
    """The desk has awarded 500 of 900 when the account sells by itself: the award's legs are on two shards, and one of
    them cannot know; both are posted. What follows it is what is left."""
    w = world(4, rules=CLIPS)
    number = gone(w)
    bid(w, number, 500)
    assert w.answers.following() is not None
    trade(w, late)
    bid(w, number, LOTS, bidder=BACKSTOP)
    w.answer()
    w.check()
    assert holds(w, BIDDER) == 500
    assert holds(w, FAILING) == min(0, LOTS + late - 500)
    assert holds(w, BACKSTOP) == max(0, LOTS + late - 500)
    assert not auctions(w) and reserved(w) == 0


def test_a_portfolio_awarded_while_its_account_sells_stands_and_the_next_mark_judges() -> None:
    rules = CLIPS | {Parameter.PORTFOLIO_AUCTION_MARKS: 1}
    w = world(4, eth=300, rules=rules)
    w.mark(btc=6_300, eth=160)
    w.answer()
    (number,) = w.state.facts.portfolios
    w.send(e.PortfolioBid(bidder=BIDDER, auction=number, bid=1, time=w.time, discount=100))
    w.answer()
    w.mark()
    assert w.answers.following() is not None
    trade(w, -400)
    w.answer()
    w.check()
    assert (holds(w, BIDDER), holds(w, FAILING)) == (900, -400)
    assert [one.reason for one in heard(w, PortfolioClosed)] == [ClosingReason.FILLED]
    assert reserved(w) == 0


def test_a_portfolio_of_which_its_account_sold_is_taken_off_at_the_mark_of_its_close() -> None:
    w = world(4, eth=300, rules={Parameter.PORTFOLIO_AUCTION_MARKS: 1})
    w.mark(btc=6_300, eth=160)
    w.answer()
    (number,) = w.state.facts.portfolios
    w.send(e.PortfolioBid(bidder=BIDDER, auction=number, bid=1, time=w.time, discount=100))
    trade(w, -1)
    w.mark()
    w.answer()
    assert holds(w, BIDDER) == 0 and holds(w, FAILING) == 899
    assert [one.reason for one in heard(w, PortfolioClosed)] == [ClosingReason.CLIPPED]
    (again,) = w.state.facts.portfolios.values()
    assert again.lots[PERP_BTC] == -899 and reserved(w) == 0


def test_backstops_take_over_what_the_mark_found() -> None:
    """Their part is laid out at the mark, so only what is sold in that one round of events is not seen."""
    w = world(4, eth=300, rules=CLIPS | {Parameter.PORTFOLIO_AUCTION_MARKS: 1})
    w.send(e.BackstopCommitted(account=BACKSTOP, time=w.time, capacity=70_000 * DOLLAR))
    w.mark(btc=6_300, eth=160)
    w.answer()
    trade(w, -300)
    w.mark()
    w.answer()
    w.mark()
    w.answer()
    w.check()
    taken = [one for one in heard(w, LegPosted) if one.kind == LegKind.BACKSTOP and one.intended == BACKSTOP]
    assert {one.reason for one in taken} == {Reason.NONE}
    assert (holds(w, BACKSTOP), holds(w, FAILING)) == (600, 0)
