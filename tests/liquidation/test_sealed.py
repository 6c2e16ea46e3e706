"""Sealed bids, the backstop tier and the liquidation gap as pure rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquidation.auction import Offering, Running, Terms
from liquidation.backstop import takeover
from liquidation.gap import by_mark, high_quantile, liquidations, proposal
from liquidation.sealed import Portfolios, SealedBid, fits, winner
from schemas.events import PortfolioEnded, PortfolioLot, PortfolioOffered
from schemas.kinds import ClosingReason, Parameter, Reason
from schemas.outcomes import LiquidationGap, PortfolioBidReserved, PortfolioOpened

# --- sealed bids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bids", "reserve", "won"),
    [
        ([], 500, None),
        ([(1, 19, 501)], 500, None),
        ([(1, 19, 500)], 500, 1),
        ([(1, 19, 300), (2, 20, 299)], 500, 2),
        ([(2, 20, 300), (1, 19, 300)], 500, 1),
    ],
)
def test_the_lowest_discount_within_the_reserve_wins(
    bids: list[tuple[int, int, int]], reserve: int, won: int | None
) -> None:
    best = winner([SealedBid(*one) for one in bids], reserve)
    assert (best.bid if best else None) == won


@given(
    st.lists(st.tuples(st.integers(1, 99), st.integers(16, 30), st.integers(0, 600)), unique_by=lambda x: x[0]),
    st.randoms(),
)
def test_the_order_of_bids_does_not_show(bids: list[tuple[int, int, int]], order: Any) -> None:
    told = [SealedBid(*one) for one in bids]
    best = winner(told, 500)
    order.shuffle(told)
    assert winner(told, 500) == best
    assert best is None or all((best.discount, best.bid) <= (one.discount, one.bid) for one in told)


@pytest.mark.parametrize(
    ("lots", "held", "can"),
    [
        ({1: -5, 2: 3}, {1: 5, 2: -3}, True),
        ({1: -5, 2: 3}, {1: 9, 2: -4, 7: 1}, True),
        ({1: -5, 2: 3}, {1: 4, 2: -3}, False),
        ({1: -5, 2: 3}, {1: 5}, False),
        ({1: -5, 2: 3}, {1: -5, 2: -3}, False),
    ],
)
def test_a_portfolio_only_reduces(lots: dict[int, int], held: dict[int, int], can: bool) -> None:
    assert fits(lots, held) is can


OFFERING = Offering(marks=2, reserve=500)


def test_an_offer_is_told_lot_by_lot_and_closed_by_its_number_of_lots() -> None:
    offers = Portfolios()
    assert offers.offer(7, 16, {5: 3, 2: -5}, 10, OFFERING) == [
        PortfolioLot(instrument=2, auction=7, quantity=-5),
        PortfolioLot(instrument=5, auction=7, quantity=3),
        PortfolioOffered(lots=2, account=16, auction=7, mark=10, closes=12, reserve=500),
    ]
    assert offers.of(16) == 7
    assert offers.of(17) is None


@pytest.mark.parametrize(
    ("offering", "lots", "takes"),
    [
        (OFFERING, {1: 1, 2: 1}, True),
        (OFFERING, {1: 1}, False),
        (OFFERING, dict.fromkeys(range(101), 1), False),
        (OFFERING._replace(marks=0), {1: 1, 2: 1}, False),
    ],
)
def test_what_is_offered_whole(offering: Offering, lots: dict[int, int], takes: bool) -> None:
    assert Portfolios().takes(16, lots, offering) is takes


def opened(number: int, reason: Reason = Reason.NONE) -> PortfolioOpened:
    return PortfolioOpened(index=0, reason=reason, lots=2, account=16, auction=number, mark=10, closes=12, reserve=500)


def test_an_account_that_cannot_sell_it_ends_the_offer() -> None:
    offers = Portfolios()
    offers.offer(7, 16, {5: 3, 2: -5}, 10, OFFERING)
    offers.observe(opened(7, Reason.NOTHING_TO_REDUCE))
    assert offers.refused() == [PortfolioEnded(reason=ClosingReason.CLIPPED, account=16, auction=7)]
    assert offers.refused() == []


def test_an_offer_that_no_shard_took_is_forgotten_at_the_next_mark() -> None:
    offers = Portfolios()
    offers.offer(7, 16, {5: 3, 2: -5}, 10, OFFERING)
    assert offers.marked({16}, {16}) == []
    assert offers.of(16) is None


def test_a_portfolio_that_nobody_wanted_is_not_offered_again_before_its_account_heals() -> None:
    offers = Portfolios()
    offers.offer(7, 16, {5: 3, 2: -5}, 10, OFFERING)
    offers.observe(opened(7))
    assert offers.award(7, {16}) == []
    offers.end(7, ClosingReason.NO_BID)
    assert not offers.takes(16, {5: 3, 2: -5}, OFFERING)
    offers.marked({16}, {16})
    assert not offers.takes(16, {5: 3, 2: -5}, OFFERING)
    offers.marked(set(), set())
    assert offers.takes(16, {5: 3, 2: -5}, OFFERING)


def test_a_failing_bidder_wins_nothing() -> None:
    offers = Portfolios()
    offers.offer(7, 16, {5: 3, 2: -5}, 10, OFFERING)
    offers.observe(opened(7))
    offers.observe(PortfolioBidReserved(index=0, bidder=19, auction=7, bid=1, discount=10))
    assert offers.award(7, {16, 19}) == []
    assert len(offers.award(7, {16})) == 2


# --- the limit on what a mark sells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "sold", "fraction", "may"),
    [(40, 0, 10_000, 40), (40, 0, 2_500, 10), (40, 10, 2_500, 0), (41, 0, 2_500, 11), (1, 0, 1, 1), (40, 30, 2_500, 0)],
)
def test_a_mark_sells_its_part_of_the_plan(planned: int, sold: int, fraction: int, may: int) -> None:
    running = Running(16, 1, 1, -planned, Terms(50, 50, 500), planned, True, planned, sold)
    assert running.allowance(fraction) == may
    assert running.for_sale(fraction) == -may


# --- backstops -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lots", "margin", "room", "taken", "why"),
    [
        ({1: -10}, 100, {19: 500}, {(19, 1): 10}, "all of it"),
        ({1: 10}, 100, {19: 500}, {(19, 1): -10}, "a purchase"),
        ({1: -10}, 100, {19: 50}, {(19, 1): 5}, "half the room, half the lots"),
        ({1: -10}, 100, {19: 99}, {(19, 1): 9}, "rounded down"),
        ({1: -10}, 100, {19: 0, 20: -5}, {}, "no room"),
        ({1: -10}, 100, {19: 300, 20: 100}, {(19, 1): 8, (20, 1): 2}, "7.5 and 2.5: the remainder to the lower number"),
        ({1: -10}, 100, {19: 100, 20: 300}, {(19, 1): 3, (20, 1): 7}, "likewise"),
        ({1: -10, 2: 4}, 100, {19: 100, 20: 100}, {(19, 1): 5, (20, 1): 5, (19, 2): -2, (20, 2): -2}, "each leg"),
        ({1: -10}, 0, {19: 100}, {(19, 1): 10}, "what requires nothing"),
    ],
)
def test_backstops_take_pro_rata_of_their_room(
    lots: dict[int, int], margin: int, room: dict[int, int], taken: dict[tuple[int, int], int], why: str
) -> None:
    assert {(one.account, one.instrument): one.quantity for one in takeover(lots, margin, room).taken} == taken, why


@given(
    st.dictionaries(st.integers(1, 5), st.integers(-10_000, 10_000).filter(bool), min_size=1),
    st.integers(0, 10**9),
    st.dictionaries(st.integers(16, 22), st.integers(-(10**6), 10**9)),
)
def test_backstops_never_take_more_than_there_is_nor_than_they_have_room_for(
    lots: dict[int, int], margin: int, room: dict[int, int]
) -> None:
    taken, left = takeover(lots, margin, room)
    for number, quantity in lots.items():
        mine = [one for one in taken if one.instrument == number]
        assert all(one.quantity * quantity < 0 and room[one.account] > 0 for one in mine)
        assert sum(abs(one.quantity) for one in mine) <= abs(quantity)
    assert all(left[account] >= min(0, free) for account, free in room.items())
    spent = sum(room.values()) - sum(left.values())
    assert 0 <= spent <= margin


# --- the gap ---------------------------------------------------------------------------------------------------------


def gap(account: int, mark: int, worth: int, lost: int, maintenance: int = 1_000) -> LiquidationGap:
    return LiquidationGap(
        index=0, account=account, instrument=1, auction=1, mark=mark, quantity=-1, worth=worth, lost=lost,
        maintenance=maintenance,
    )  # fmt: skip


TOLD = [gap(16, 3, 1_000, 20), gap(17, 3, 500, 30), gap(16, 4, 1_000, -5, 2_000), gap(16, 60, 1_000, 100)]


def test_a_mark_is_summed_up() -> None:
    assert {mark: tuple(one) for mark, one in by_mark(TOLD).items()} == {
        3: (2, 1_500, 50, 600),
        4: (1, 1_000, -5, -50),
        60: (1, 1_000, 100, 1_000),
    }


def test_legs_near_one_another_are_one_liquidation() -> None:
    found = liquidations(reversed(TOLD))
    assert [(one.account, one.first, one.last, one.lost, one.share) for one in found] == [
        (17, 3, 3, 30, 300),
        (16, 3, 4, 15, 75),
        (16, 60, 60, 100, 1_000),
    ]


@pytest.mark.parametrize(
    ("shares", "level", "expected"),
    [([], 9_900, 0), ([7], 9_900, 7), ([1, 2, 3, 4], 5_000, 2), ([1, 2, 3, 4], 5_001, 3), ([4, 3, 2, 1], 10_000, 4)],
)
def test_the_quantile_is_a_share_that_was_met(shares: list[int], level: int, expected: int) -> None:
    assert high_quantile(shares, level) == expected


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 10_000))
def test_at_least_the_level_lies_at_or_below_the_quantile(shares: list[int], level: int) -> None:
    found = high_quantile(shares, level)
    assert sum(one <= found for one in shares) * 10_000 >= level * len(shares)
    assert sum(one < found for one in shares) * 10_000 < level * len(shares)


def test_the_proposal_has_its_notice_and_its_limit() -> None:
    change = proposal(TOLD, 1_000, 500)
    assert (change.parameter, change.effective, change.value) == (Parameter.BUFFER_GAP, 1_500, 1_000)
    assert proposal(TOLD, 1_000, 500, most=250).value == 250
    assert proposal(TOLD, 1_000, 500, level=5_000).value == 300
    assert proposal(TOLD[:2], 1_000, 500, last=1).value == 300
    assert proposal([], 1_000, 500).value == 0
