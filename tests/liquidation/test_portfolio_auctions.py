"""Whole portfolios through the fold and the desk: sealed bids, backstops, and what ends an offer."""

from types import SimpleNamespace
from typing import Any

import pytest
from managed import Managed
from pytest_bdd import given, parsers, scenarios, then, when
from world import HOUR, PERP_BTC, PERP_ETH, SPAN, USD, reasons

from ledger.snapshot import dump, load
from liquidation import auction
from schemas import events as e
from schemas.kinds import ClosingReason, LegKind, Parameter, Reason
from schemas.outcomes import (
    AuctionOpened,
    BackstopCapacity,
    LegPosted,
    LiquidationGap,
    PortfolioBidDropped,
    PortfolioClosed,
    PortfolioOpened,
)

scenarios("features/a_whole_portfolio_is_sold_by_sealed_bids.feature")

DOLLAR = 1_000_000
RULES = {
    Parameter.PORTFOLIO_AUCTION_MARKS: 2,
    Parameter.PORTFOLIO_RESERVE: 500,
    Parameter.BACKSTOP_DISCOUNT: 500,
    Parameter.GAP_TOLD: 1,
}


def world(shards: int = 1, *, fund: int = 100_000, rules: dict[Parameter, int] | None = None) -> Managed:
    """Accounts 17 and 18 on the other side, 19 to 22 rich bidders, 23 and 24 poor ones."""
    w = Managed(shards)
    w.open(16, 17, 18)
    w.open(19, 20, 21, 22, 23, 24, liquidator=1)
    for account in (17, 18, 19, 20, 21, 22):
        w.deposit(account, 50_000 * DOLLAR)
    w.deposit(16, 1_500 * DOLLAR)
    w.deposit(24, 2_000 * DOLLAR)
    w.send(e.FundContributed(own=0, asset=USD, backer=1, time=w.time, amount=fund * DOLLAR))
    w.send(
        *(
            e.ParameterChanged(parameter=name, scope=0, time=w.time, effective=w.time + HOUR, value=value)
            for name, value in (RULES if rules is None else rules).items()
        )
    )
    w.trade(16, 17, PERP_BTC, 900, 800_000)
    w.trade(16, 18, PERP_ETH, 300, 20_000)
    w.mark(after=HOUR)
    w.answer()
    return w


def falls(w: Managed) -> int:
    """The market falls and the portfolio of account 16 is on offer; its number."""
    w.mark(btc=6_300, eth=160)
    w.answer()
    (number,) = w.state.facts.portfolios
    return number


def heard(w: Managed, kind: type[Any]) -> list[Any]:
    return [one for one in w.said if isinstance(one, kind)]


def bid(w: Managed, number: int, bidder: int, auction: int, discount: int) -> list[Any]:
    return w.send(e.PortfolioBid(bidder=bidder, auction=auction, bid=number, time=w.time, discount=discount))


def reserved(w: Managed) -> int:
    return sum(len(state.reservations) for state in w.clearing.states)


def holds(w: Managed, account: int) -> tuple[int, int]:
    return w.position(account, PERP_BTC)[0], w.position(account, PERP_ETH)[0]


def pairs(text: str) -> list[tuple[int, str]]:
    return [(int(one), rest) for one, rest in (part.split(": ") for part in text.split(", "))]


# --- the feature's steps ---------------------------------------------------------------------------------------------


@pytest.fixture
def house() -> SimpleNamespace:
    w = world(4)
    falls(w)
    return SimpleNamespace(w=w, said=[])


@given(parsers.parse("bids {bids}"))
def bids_made(house: SimpleNamespace, bids: str) -> None:
    for number, (bidder, discount) in enumerate(pairs(bids), 1):
        assert reasons(bid(house.w, number, bidder, 1, int(discount))) == []
    house.w.answer()


@given(parsers.parse("backstops {backstops}"))
def backstops_commit(house: SimpleNamespace, backstops: str) -> None:
    for account, dollars in pairs(backstops):
        house.w.send(e.BackstopCommitted(account=account, time=house.w.time, capacity=int(dollars) * DOLLAR))


@given("account 16 sells 100 BTC-PERP by itself")
def sells(house: SimpleNamespace) -> None:
    house.w.trade(17, 16, PERP_BTC, 100, 630_000)


@given("bidder 24 loses what it has")
def loses(house: SimpleNamespace) -> None:
    house.w.trade(24, 17, PERP_BTC, 700, 790_000)


@when(parsers.re(r"bidder (?P<bidder>\d+) bids (?P<discount>-?\d+) on auction (?P<auction>\d+) while it is open"))
def bids_open(house: SimpleNamespace, bidder: str, discount: str, auction: str) -> None:
    house.said = bid(house.w, 9, int(bidder), int(auction), int(discount))


@when(parsers.re(r"bidder (?P<bidder>\d+) bids (?P<discount>-?\d+) on auction (?P<auction>\d+) once it is closed"))
def bids_late(house: SimpleNamespace, bidder: str, discount: str, auction: str) -> None:
    closes(house)
    house.said = bid(house.w, 9, int(bidder), int(auction), int(discount))


@when("the offer closes")
def closes(house: SimpleNamespace) -> None:
    for _ in range(2):
        house.w.mark()
        house.w.answer()
    house.w.check()


@when("the next mark comes")
def next_mark(house: SimpleNamespace) -> None:
    house.w.mark()
    house.w.answer()
    house.w.check()


@when("the market recovers")
def recovers(house: SimpleNamespace) -> None:
    house.w.mark(btc=8_000, eth=200)
    house.w.answer()


@when("the market falls further than the fund can carry")
def falls_on(house: SimpleNamespace) -> None:
    house.w.trade(16, 17, PERP_BTC, 90_000, 630_000)
    house.w.mark(btc=4_000, eth=100)
    house.w.answer()
    house.w.check()


@when("the desk also plans to sell its BTC-PERP leg by leg")
def also_plans(house: SimpleNamespace) -> None:
    house.said = house.w.send(
        e.LiquidationPlanned(
            instrument=PERP_BTC, account=16, auction=77, mark=house.w.marks, quantity=-1, start=50, step=50, floor=500
        )
    )


@then(parsers.parse("it is refused as {reason}"))
def refused(house: SimpleNamespace, reason: str) -> None:
    assert reasons(house.said) == [reason]


@then("nothing is reserved for anybody")
def none_reserved(house: SimpleNamespace) -> None:
    assert reserved(house.w) == 0


@then(
    parsers.parse(
        "bidder {winner:d} holds 900 BTC-PERP and 300 ETH-PERP, bought {discount:d} basis points below the mark"
    )
)
def bought(house: SimpleNamespace, winner: int, discount: int) -> None:
    (won,) = heard(house.w, PortfolioClosed)
    assert won.reason == ClosingReason.FILLED
    quantity, cost = house.w.position(winner, PERP_BTC)
    assert quantity == 900
    assert cost == 900 * 10 * auction.price(-900, 630_000, discount)
    assert house.w.position(winner, PERP_ETH) == (300, 300 * 100 * auction.price(-300, 16_000, discount))


@then("account 16 holds nothing")
def holds_nothing(house: SimpleNamespace) -> None:
    assert holds(house.w, 16) == (0, 0)


@then(parsers.re(r"account 16 holds (?P<btc>\d+) \+ (?P<eth>\d+)"))
def account_holds(house: SimpleNamespace, btc: str, eth: str) -> None:
    assert holds(house.w, 16) == (int(btc), int(eth))


@then(parsers.parse("the backstops hold {held}"))
def backstops_hold(house: SimpleNamespace, held: str) -> None:
    assert {account: holds(house.w, account) for account in range(19, 25) if any(holds(house.w, account))} == {
        account: tuple(int(part) for part in lots.split(" + ")) for account, lots in pairs(held)
    }
    taken = [one for one in heard(house.w, LegPosted) if one.kind == LegKind.BACKSTOP and one.account == 16]
    assert {one.price for one in taken} == {auction.price(-1, 630_000, 500), auction.price(-1, 16_000, 500)}


@then(parsers.parse("the portfolio is closed as {reason}"))
def closed_as(house: SimpleNamespace, reason: str) -> None:
    assert [one.reason.name for one in heard(house.w, PortfolioClosed)] == [reason]


@then("Dutch auctions of 900 BTC-PERP and 300 ETH-PERP are open")
def dutch(house: SimpleNamespace) -> None:
    told = {(one.instrument, one.quantity) for one in heard(house.w, AuctionOpened)}
    assert told == {(PERP_BTC, -900), (PERP_ETH, -300)}
    assert not house.w.state.facts.portfolios


@then("a portfolio of 800 BTC-PERP and 300 ETH-PERP is on offer")
def offered_again(house: SimpleNamespace) -> None:
    (running,) = house.w.state.facts.portfolios.values()
    assert running.lots == {PERP_BTC: -800, PERP_ETH: -300}


# --- rules one by one ------------------------------------------------------------------------------------------------


def test_with_the_parameter_off_nothing_is_offered_whole() -> None:
    w = world(rules={})
    w.mark(btc=6_300, eth=160)
    w.answer()
    assert not heard(w, PortfolioOpened)
    assert len(heard(w, AuctionOpened)) == 2
    assert not heard(w, LiquidationGap)


def test_a_sealed_bid_reserves_every_leg_and_moves_with_the_mark() -> None:
    w = world()
    number = falls(w)
    bid(w, 1, 19, number, 300)
    own = w.owner(19).reservations[19]
    assert {key: (one.instrument, one.quantity, one.price) for key, one in own.items()} == {
        (number, 1, PERP_BTC): (PERP_BTC, 900, 630_000),
        (number, 1, PERP_ETH): (PERP_ETH, 300, 16_000),
    }
    w.mark(btc=6_200, eth=158)
    assert [one.price for one in own.values()] == [620_000, 15_800]


def test_a_bidder_whose_equity_falls_is_told_that_its_bid_is_void() -> None:
    w = world()
    number = falls(w)
    bid(w, 1, 24, number, 100)
    w.trade(24, 17, PERP_BTC, 700, 790_000)
    w.mark()
    assert [(one.bidder, one.auction, one.bid) for one in heard(w, PortfolioBidDropped)] == [(24, number, 1)]
    assert reserved(w) == 0


def test_an_award_before_the_close_or_above_the_reserve_is_refused() -> None:
    w = world()
    number = falls(w)
    bid(w, 1, 19, number, 300)
    award = {"account": 16, "bidder": 19, "auction": number, "bid": 1}
    assert reasons(w.send(e.PortfolioAwarded(**award, discount=300))) == ["PORTFOLIO_STILL_OPEN"]
    assert reasons(w.send(e.PortfolioAwarded(**award, discount=501))) == ["BID_ABOVE_RESERVE"]
    assert reasons(w.send(e.PortfolioAwarded(**(award | {"auction": 9}), discount=1))) == ["UNKNOWN_AUCTION"]
    assert reserved(w) == 1
    w.check()


LOTS = [(PERP_BTC, -900), (PERP_ETH, -300)]


@pytest.mark.parametrize(
    ("account", "lots", "closes", "reserve", "reason"),
    [
        (99, LOTS, 9, 500, "UNKNOWN_ACCOUNT"),
        (16, LOTS[:1], 9, 500, "PORTFOLIO_INCOMPLETE"),
        (16, LOTS, 1, 500, "MARK_NOT_LATER"),
        (16, LOTS, 9, 10_001, "VALUE_OUT_OF_RANGE"),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(
    account: int, lots: list[tuple[int, int]], closes: int, reserve: int, reason: str
) -> None:
    w = world(4)
    said = w.send(
        *(e.PortfolioLot(instrument=i, auction=50, quantity=q) for i, q in lots),
        e.PortfolioOffered(lots=len(lots), account=account, auction=50, mark=2, closes=closes, reserve=reserve),
    )
    assert reasons(said) == [reason]
    assert not any(state.facts.portfolios or state.facts.portfolio_lots for state in w.clearing.states)


def test_a_bid_at_the_closing_mark_comes_too_late() -> None:
    w = world(4)
    number = falls(w)
    w.mark()
    w.answer()
    w.mark()  # it closes, and the desk has not awarded it yet
    assert reasons(bid(w, 1, 19, number, 300)) == ["PORTFOLIO_CLOSED"]
    assert reserved(w) == 0


def test_an_offer_that_its_account_cannot_meet_is_ended_at_once() -> None:
    w = world(4)
    w.send(
        *(e.PortfolioLot(instrument=i, auction=50, quantity=q) for i, q in LOTS),
        e.PortfolioOffered(lots=2, account=16, auction=50, mark=2, closes=9, reserve=500),
    )
    (opened,) = heard(w, PortfolioOpened)
    assert opened.reason == Reason.NOT_LIQUIDATING


def test_the_gap_of_an_award_is_told() -> None:
    w = world()
    number = falls(w)
    bid(w, 1, 19, number, 300)
    w.answer()
    for _ in range(2):
        w.mark()
        w.answer()
    told = {one.instrument: one for one in heard(w, LiquidationGap)}
    assert {i: (one.quantity, one.worth, one.lost) for i, one in told.items()} == {
        PERP_BTC: (-900, 5_670 * DOLLAR, 5_670 * DOLLAR * 3 // 100),
        PERP_ETH: (-300, 480 * DOLLAR, 480 * DOLLAR * 3 // 100),
    }
    assert {one.mark for one in told.values()} == {w.marks}
    assert all(one.maintenance > 0 for one in told.values())


def test_a_shard_begun_from_a_snapshot_tells_the_same_gap() -> None:
    told = []
    for restarted in (False, True):
        w = world()
        number = falls(w)
        bid(w, 1, 19, number, 300)
        w.answer()
        w.mark()
        w.answer()
        w.mark()
        if restarted:
            w.clearing.states = [load(dump(state), w.clearing.shard_of) for state in w.clearing.states]
        w.answer()
        told.append(heard(w, LiquidationGap))
    assert told[0] == told[1] and len(told[0]) == 2


def test_a_backstop_says_its_room_at_each_mark_until_it_ends_it() -> None:
    w = world(4)
    w.send(e.BackstopCommitted(account=19, time=w.time, capacity=70_000 * DOLLAR))
    w.send(e.BackstopCommitted(account=20, time=w.time, capacity=7_000 * DOLLAR))
    w.mark()
    w.answer()
    w.send(e.BackstopCommitted(account=19, time=w.time, capacity=0))
    w.mark()
    assert {(one.account, one.committed, one.capacity) for one in heard(w, BackstopCapacity) if one.mark < w.marks} == {
        (19, 70_000 * DOLLAR, 50_000 * DOLLAR),
        (20, 7_000 * DOLLAR, 7_000 * DOLLAR),
    }
    assert [one.account for one in heard(w, BackstopCapacity) if one.mark == w.marks] == [20]
    assert reasons(w.send(e.BackstopCommitted(account=99, time=w.time, capacity=1))) == ["UNKNOWN_ACCOUNT"]
    assert reasons(w.send(e.BackstopCommitted(account=19, time=w.time, capacity=-1))) == ["VALUE_OUT_OF_RANGE"]


def test_a_gap_raises_the_buffer_after_its_notice() -> None:
    w = world()
    before = int(w.state.profiles.buffer[SPAN])
    w.send(
        e.ParameterChanged(parameter=Parameter.BUFFER_GAP, scope=0, time=w.time, effective=w.time + 2 * HOUR, value=300)
    )
    w.mark(after=HOUR)
    assert int(w.state.profiles.buffer[SPAN]) == before
    w.mark(after=HOUR)
    assert int(w.state.profiles.buffer[SPAN]) == before + 300
    m = w.state.margins
    assert int(m.buffer[16]) == -(-int(m.maintenance[16]) * (before + 300) // 10_000)
    assert int(m.initial[16]) >= int(m.maintenance[16]) + int(m.buffer[16])
