"""The desk's offers round by round: a limit on what a mark sells, whole portfolios, and the backstops behind them."""

import json
from typing import Any

import pytest
from test_desk import COIN, OTHER, PERP, View, bid, candidate, done, due, fund, opened, planned_at

from liquidation.auction import Offering
from liquidation.desk import Desk
from schemas.events import (
    AuctionEnded,
    Awarded,
    DeleveragingCalled,
    LiquidationPlanned,
    PortfolioAwarded,
    PortfolioEnded,
    PortfolioOffered,
)
from schemas.kinds import ClosingReason, Reason
from schemas.limits import MICRO
from schemas.outcomes import BackstopCapacity, PortfolioBidDropped, PortfolioBidReserved, PortfolioOpened


def restarted(desk: Desk) -> Desk:
    kept = json.loads(json.dumps(desk.exported()))
    again = Desk()
    again.restore(kept)
    return again


def room(account: int, dollars: int) -> BackstopCapacity:
    return BackstopCapacity(index=0, account=account, mark=0, committed=dollars * MICRO, capacity=dollars * MICRO)


def gone(mark: int, equity: int = -20) -> list[Any]:
    """An account whose equity is gone: long 40 of one, short 20 of another; the fund carries what is missing."""
    return [*due(101, equity * MICRO, {PERP: 40, OTHER: -20}, {0: 1}, mark), fund(1_000 * MICRO)]


def on_offer(view: View) -> Desk:
    desk = Desk()
    view.offers = Offering(marks=2, reserve=500, backstop=200)
    said = planned_at(desk, view, 1, *gone(1))
    assert [type(one).__name__ for one in said] == ["PortfolioLot", "PortfolioLot", "PortfolioOffered"]
    told = PortfolioOpened(index=0, reason=Reason.NONE, lots=2, account=101, auction=1, mark=1, closes=3, reserve=500)
    desk.observe([told])
    assert desk.decide(view) == []
    return desk


def sealed(number: int, bidder: int, discount: int) -> PortfolioBidReserved:
    return PortfolioBidReserved(index=0, bidder=bidder, auction=1, bid=number, discount=discount)


# --- what a mark sells -----------------------------------------------------------------------------------------------


def test_a_mark_sells_no_more_than_its_part_and_the_next_goes_on() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(fraction=2_500)
    told = due(101, -20 * MICRO, {PERP: 40}, {}, 1)
    (planned,) = planned_at(desk, view, 1, *told, fund(1_000 * MICRO))
    desk.observe([opened(planned), bid(1, 201, 1, 6, 9_950), bid(2, 202, 1, 40, 9_950)])
    assert [(one.bid, one.quantity) for one in desk.decide(view)] == [(1, 6), (2, 4)]
    desk = restarted(desk)
    desk.observe([bid(3, 201, 1, 6, 9_950)])
    assert [(one.bid, one.quantity) for one in desk.decide(view)] == [(3, 0)]
    assert planned_at(desk, view, 2, *due(101, -20 * MICRO, {PERP: 30}, {}, 2), fund(1_000 * MICRO)) == []
    desk.observe([bid(4, 201, 1, 40, 9_950)])
    assert [(one.bid, one.quantity) for one in desk.decide(view)] == [(4, 10)]


@pytest.mark.parametrize(
    ("depth", "impact", "start"),
    [
        (0, 20, 50),  # nothing is known of its depth
        (4_000, 0, 50),  # not switched on
        (4_000, 20, 50 + 20),  # 4,000 dollars are sold: as many as its depth
        (1_000, 20, 50 + 40),  # four times its depth: twice the move
        (40, 20, 100),  # never below the floor
    ],
)
def test_an_auction_opens_lower_by_what_its_sale_is_expected_to_move(depth: int, impact: int, start: int) -> None:
    desk, view = Desk(), View()
    view.offers, view.deep = Offering(impact=impact), depth
    (planned,) = planned_at(desk, view, 1, *due(101, -20 * MICRO, {PERP: 40}, {}, 1), fund(1_000 * MICRO))
    assert (planned.quantity, planned.start, planned.step, planned.floor) == (-40, start, 50, 100)


@pytest.mark.parametrize("clearing", [0, 80])
def test_two_bidders_may_give_their_bids_the_same_number(clearing: int) -> None:
    desk, view = Desk(), View()
    view.offers = Offering(clearing=clearing)
    (planned,) = planned_at(desk, view, 1, *due(101, 40 * MICRO, {PERP: 40}, {}, 1), fund(1_000 * MICRO))
    desk.observe([opened(planned), bid(1, 202, 1, 25, 9_990), bid(1, 201, 1, 5, 9_990)])
    said = desk.decide(view)
    awards = [(one.bidder, one.bid, one.quantity) for one in said if isinstance(one, Awarded)]
    assert awards == [(201, 1, 5), (202, 1, 25)]


def test_two_sealed_bids_of_one_number_both_count() -> None:
    view = View()
    desk = restarted(on_offer(view))
    desk.observe([sealed(7, 202, 100), sealed(7, 201, 300)])
    assert desk.decide(view) == []
    desk = restarted(desk)
    for mark in (2, 3):
        said = planned_at(desk, view, mark, *gone(mark))
    (won,) = (one for one in said if isinstance(one, PortfolioAwarded))
    assert (won.bidder, won.bid, won.discount) == (202, 7, 100)


@pytest.mark.parametrize(("clearing", "lots"), [(0, -20), (80, -10)])
def test_a_call_auction_is_planned_as_if_sold_at_its_start(clearing: int, lots: int) -> None:
    """A quarter sold at 0.5 % leaves 302 dollars against 300, at the next mark's 1 % only 297."""
    desk, view = Desk(), View()
    view.offers = Offering(clearing=clearing)
    (planned,) = planned_at(desk, view, 1, *due(101, 307 * MICRO, {PERP: 40}, {}, 1))
    assert planned.quantity == lots


def test_only_what_found_nobody_is_sold_and_only_until_its_account_has_healed() -> None:
    view = View()
    view.offers = Offering(unmet=True)
    desk = Desk()
    failed = due(101, -100 * MICRO, {PERP: 40, OTHER: -20}, {}, 1)

    def said(mark: int, *told: Any) -> list[tuple[str, int, int]]:
        return [(type(one).__name__, one.instrument, one.quantity) for one in planned_at(desk, view, mark, *told)]

    called = [("DeleveragingCalled", PERP, -40), ("DeleveragingCalled", OTHER, 20)]
    assert said(1, *failed) == called
    desk.observe([candidate(301, 2, 5, 9)])
    assert [(one.instrument, one.quantity) for one in desk.decide(view)] == [(OTHER, -5)]
    assert said(2, *failed) == [called[1], ("LiquidationPlanned", PERP, -40)]
    desk.observe([candidate(301, 3, 5, 9)])
    desk.decide(view)
    desk = restarted(desk)
    assert said(3, *failed) == [called[1], ("LiquidationPlanned", PERP, -40)]
    desk.observe([candidate(301, 4, 5, 9)])
    desk.decide(view)
    assert said(4) == []
    assert said(5, *failed) == called


def test_a_call_auction_takes_bids_from_the_first_mark_and_fills_them_at_one_price() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(clearing=80)
    (planned,) = planned_at(desk, view, 1, *due(101, 40 * MICRO, {PERP: 40}, {}, 1), fund(1_000 * MICRO))
    assert (planned.quantity, planned.start, planned.step, planned.floor) == (-40, 80, 50, 100)
    desk.observe([opened(planned), bid(1, 201, 1, 25, 9_990), bid(2, 202, 1, 25, 9_970), bid(3, 203, 1, 9, 9_919)])
    said = desk.decide(view)
    assert [(one.bid, one.quantity, one.price) for one in said if isinstance(one, Awarded)] == [
        (1, 25, 9_970),
        (2, 15, 9_970),
        (3, 0, 9_970),
    ]


@pytest.mark.parametrize(
    ("equity", "clearing", "start"),
    [
        # 40 lots are worth 4,000
        (40, 80, 80),  # a hundredth of it: all of the 80 points
        (40, 5_000, 100),  # never past the floor
        (36, 100, 90),  # 90 points use the equity up
        (20, 80, 50),  # the auction's own start is what a falling price has anyway
        (-20, 80, 50),  # nothing left: the price falls mark by mark
    ],
)
def test_a_call_auction_takes_no_bid_at_once_that_the_fund_would_pay_for(
    equity: int, clearing: int, start: int
) -> None:
    desk, view = Desk(), View()
    view.offers = Offering(clearing=clearing)
    (planned,) = planned_at(desk, view, 1, *due(101, equity * MICRO, {PERP: 40}, {}, 1), fund(1_000 * MICRO))
    assert (planned.quantity, planned.start) == (-40, start)


def test_what_is_left_at_the_floor_because_a_mark_sold_its_part_is_not_deleveraged() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(fraction=1_000)
    (planned,) = planned_at(desk, view, 1, *due(101, -20 * MICRO, {PERP: 40}, {}, 1), fund(1_000 * MICRO))
    desk.observe([opened(planned)])
    desk.decide(view)
    held = 40
    for mark in range(2, 9):
        assert planned_at(desk, view, mark, *due(101, -20 * MICRO, {PERP: held}, {}, mark), fund(1_000 * MICRO)) == []
        desk.observe([bid(mark, 201, 1, 40, 9_950)])
        held -= sum(one.quantity for one in desk.decide(view))
    assert held == 40 - 7 * 4
    told = [*due(101, -20 * MICRO, {PERP: held}, {}, 9), fund(1_000 * MICRO)]
    assert planned_at(desk, view, 9, *told) == []
    # nobody bids at mark 9
    told = [*due(101, -20 * MICRO, {PERP: held}, {}, 10), fund(1_000 * MICRO)]
    assert [type(one) for one in planned_at(desk, view, 10, *told)] == [AuctionEnded, DeleveragingCalled]


# --- whole portfolios ------------------------------------------------------------------------------------------------


def test_a_portfolio_waits_until_it_closes_and_goes_to_the_lowest_bid_through_a_restart() -> None:
    view = View()
    desk = on_offer(view)
    desk.observe([sealed(1, 201, 300), sealed(2, 202, 250), sealed(3, 203, 250)])
    assert desk.decide(view) == []
    desk = restarted(desk)
    assert planned_at(desk, view, 2, *gone(2)) == []
    desk = restarted(desk)
    assert planned_at(desk, view, 3, *gone(3)) == [
        PortfolioAwarded(account=101, bidder=202, auction=1, bid=2, discount=250),
        PortfolioEnded(reason=ClosingReason.FILLED, account=101, auction=1),
    ]
    assert restarted(desk).exported() == desk.exported()


def test_a_void_bid_does_not_win() -> None:
    view = View()
    desk = on_offer(view)
    desk.observe([sealed(1, 201, 300), sealed(2, 202, 250)])
    desk.decide(view)
    planned_at(desk, view, 2, *gone(2))
    void = PortfolioBidDropped(index=0, bidder=202, auction=1, bid=2)
    assert [one.bid for one in planned_at(desk, view, 3, *gone(3), void) if isinstance(one, PortfolioAwarded)] == [1]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([], ClosingReason.HEALED),
        (due(101, -20 * MICRO, {PERP: 40, OTHER: -19}, {}, 2), ClosingReason.CLIPPED),
        (due(101, -20 * MICRO, {PERP: -40, OTHER: -20}, {}, 2), ClosingReason.CLIPPED),
        (due(101, -2_000 * MICRO, {PERP: 40, OTHER: -20}, {}, 2), ClosingReason.DELEVERAGED),
    ],
)
def test_a_mark_may_end_an_offer(told: list[Any], reason: ClosingReason) -> None:
    view = View()
    desk = on_offer(view)
    said = planned_at(desk, view, 2, *told, fund(1_000 * MICRO))
    assert said[0] == PortfolioEnded(reason=reason, account=101, auction=1)


def test_nobody_bids_and_the_rest_that_backstops_leave_is_sold_leg_by_leg() -> None:
    view = View()
    desk = on_offer(view)
    planned_at(desk, view, 2, *gone(2))
    # all of it requires 600 dollars of a taker, ten a lot: a quarter of that is there, 100 to 50
    said = planned_at(desk, view, 3, *gone(3), room(301, 100), room(302, 50), room(303, 0))
    taken = [one for one in said if isinstance(one, Awarded)]
    assert [(one.bidder, one.instrument, one.quantity, one.price, one.bid) for one in taken] == [
        (301, PERP, 7, 9_800, 0),
        (302, PERP, 3, 9_800, 0),
        (301, OTHER, -3, 10_200, 0),
        (302, OTHER, -2, 10_200, 0),
    ]
    assert said[4] == PortfolioEnded(reason=ClosingReason.BACKSTOPPED, account=101, auction=1)
    assert [(one.instrument, one.quantity) for one in said[5:] if isinstance(one, LiquidationPlanned)] == [
        (PERP, -30),
        (OTHER, 15),
    ]


def test_what_stays_unsold_at_the_floor_goes_to_the_backstops_before_it_is_deleveraged() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(backstop=300)
    told = due(101, 395 * MICRO, {PERP: 40}, {}, 1)
    (planned,) = planned_at(desk, view, 1, *told)
    desk.observe([opened(planned)])
    desk.decide(view)
    for mark in (2, 3):
        assert planned_at(desk, view, mark, *due(101, 395 * MICRO, {PERP: 40}, {}, mark), room(301, 60)) == []
    said = planned_at(desk, view, 4, *due(101, 395 * MICRO, {PERP: 40}, {}, 4), room(301, 60), room(101, 999))
    assert [(type(one), one.quantity) for one in said if not isinstance(one, AuctionEnded)] == [
        (Awarded, 6),
        (DeleveragingCalled, -4),
    ]
    assert said[0].price == 9_700


def test_a_portfolio_that_its_account_cannot_sell_is_taken_off_at_once() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(marks=2, reserve=500)
    said = planned_at(desk, view, 1, *gone(1))
    (offer,) = [one for one in said if isinstance(one, PortfolioOffered)]
    desk.observe(
        [
            PortfolioOpened(
                index=0, reason=Reason.NOTHING_TO_REDUCE, lots=2, account=101, auction=offer.auction, mark=1, closes=3,
                reserve=500,
            )
        ]
    )  # fmt: skip
    assert desk.decide(view) == [PortfolioEnded(reason=ClosingReason.CLIPPED, account=101, auction=1)]


def offers_at(desk: Desk, view: View, mark: int, equities: dict[int, int]) -> list[tuple[int, str, int]]:
    """What is planned and taken off at a mark, of accounts that are each long 40 of one and short 20 of another."""
    told = [one for a, equity in equities.items() for one in due(a, equity, {PERP: 40, OTHER: -20}, {0: 1}, mark)]
    said = planned_at(desk, view, mark, *told, fund(1_000 * MICRO))
    for one in said:
        if isinstance(one, PortfolioOffered):
            names = ("lots", "account", "auction", "mark", "closes", "reserve")
            fields = {name: getattr(one, name) for name in names}
            desk.observe([PortfolioOpened(index=0, reason=Reason.NONE, **fields)])
        if isinstance(one, LiquidationPlanned):
            desk.observe([opened(one)])
    assert desk.decide(view) == []
    kinds = (PortfolioOffered, PortfolioEnded, LiquidationPlanned)
    return [(one.account, type(one).__name__, one.auction) for one in said if isinstance(one, kinds)]


@pytest.mark.parametrize(
    ("limits", "second", "now"),
    [
        ({}, MICRO, [101, 102]),
        ({PERP: 8_000}, MICRO, [101, 102]),
        ({PERP: 7_999}, MICRO, [101]),
        ({PERP: 4_000}, MICRO, [101]),
        ({PERP: 10}, MICRO, [101]),  # larger than the whole limit, and nothing else is on offer
        ({OTHER: 3_999, PERP: 8_000}, MICRO, [101]),
        ({PERP: 4_000}, 0, [102]),  # its equity is gone: it comes first, is never delayed, and takes the room
    ],
)
def test_portfolios_share_the_room_of_a_mark(limits: dict[int, int], second: int, now: list[int]) -> None:
    desk, view = Desk(), View()
    view.offers = Offering(marks=2, reserve=500)
    view.limits = {number: dollars * MICRO for number, dollars in limits.items()}
    said = offers_at(desk, view, 1, {101: MICRO, 102: second})
    assert [account for account, _, _ in said] == now


def test_a_portfolio_that_waits_is_offered_when_what_was_before_it_is_gone_and_holds_smaller_ones_back() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(marks=2, reserve=500)
    view.limits = {PERP: 6_000 * MICRO}
    both = {101: MICRO, 102: 2 * MICRO}
    assert offers_at(desk, view, 1, both) == [(101, "PortfolioOffered", 1)]
    desk = restarted(desk)
    # a single position behind the one that waits finds room for half of it, and does not take it
    told = [
        *due(101, MICRO, {PERP: 40, OTHER: -20}, {0: 1}, 2),
        *due(102, 2 * MICRO, {PERP: 40, OTHER: -20}, {0: 1}, 2),
    ]
    assert planned_at(desk, view, 2, *told, *due(103, 3 * MICRO, {PERP: 40}, {}, 2), fund(1_000 * MICRO)) == []
    # the first finds no bid: leg by leg it takes the room that it had, and the second goes on waiting
    assert offers_at(desk, view, 3, both) == [
        (101, "PortfolioEnded", 1),
        (101, "LiquidationPlanned", 2),
        (101, "LiquidationPlanned", 3),
    ]
    assert offers_at(desk, view, 4, {102: 2 * MICRO})[-1] == (102, "PortfolioOffered", 4)


def test_one_position_is_no_portfolio_and_coins_are_none_of_it() -> None:
    desk, view = Desk(), View()
    view.offers = Offering(marks=2, reserve=500)
    told = due(101, -20 * MICRO, {PERP: 40}, {0: -290 * MICRO, COIN: 300_000}, 1)
    said = planned_at(desk, view, 1, *told, fund(1_000 * MICRO))
    assert {type(one) for one in said} == {LiquidationPlanned}


def test_a_snapshot_of_before_is_read() -> None:
    desk, view = Desk(), View()
    (planned,) = planned_at(desk, view, 1, *due(101, 395 * MICRO, {PERP: 40}, {}, 1))
    desk.observe([opened(planned)])
    desk.decide(view)
    kept = desk.exported()
    kept["auctions"] = [row[:8] for row in kept["auctions"]]
    again = Desk()
    again.restore(kept)
    again.observe([bid(1, 201, 1, 10, 9_950), done(9)])
    desk.observe([bid(1, 201, 1, 10, 9_950), done(9)])
    assert again.decide(view) == desk.decide(view)
