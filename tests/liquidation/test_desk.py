"""The desk, round by round, and its indifference to the order of outcomes and the number of shards."""

import json
import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from liquidation import bankruptcy
from liquidation.auction import Offering, Terms
from liquidation.desk import Desk
from liquidation.greedy import Case, I64Array, Required
from liquidation.plan import Rules
from liquidation.program import Scan
from schemas.chart import House
from schemas.events import AuctionEnded, Awarded, DeleveragingCalled, LiquidationPlanned
from schemas.kinds import ClosingReason, Payoff
from schemas.limits import BASIS_POINTS, MAX_PRICE, MICRO
from schemas.outcomes import (
    AuctionClosed,
    AuctionOpened,
    BidReserved,
    DeficitFound,
    DeleveragingCandidate,
    HouseBalance,
    LiquidationBalance,
    LiquidationDue,
    LiquidationPosition,
    MarkDone,
)

scenarios("features/the_desk_answers_each_round.feature")

PERP, OTHER, SPOT = 1, 2, 9
COIN = 1
CENT = MICRO // 100


class View:
    """Perps of 100 dollars a lot, ten of margin each, at 10,000 ticks; OTHER settles in a coin of a dollar a lot."""

    def __init__(self) -> None:
        self.marks = {PERP: 10_000, OTHER: 10_000, SPOT: 100}
        self.limits: dict[int, int] = {}
        self.offers = Offering()
        self.deep = 0

    def terms(self) -> Terms:
        return Terms(50, 50, 100)

    def offering(self) -> Offering:
        return self.offers

    def bearable(self, held: Mapping[tuple[int, int], int]) -> Mapping[int, int]:
        return {asset: amount for (house, asset), amount in held.items() if house == House.FUND}

    def tears_up(self) -> bool:
        return False

    def pacing(self) -> Mapping[int, int]:
        return self.limits

    def underlying(self, instrument: int) -> int:
        return instrument

    def mark(self, instrument: int) -> int:
        return self.marks[instrument]

    def payoff(self, _instrument: int) -> Payoff:
        return Payoff.LINEAR

    def settlement(self, instrument: int) -> int:
        return COIN if instrument == OTHER else 0

    def value(self, instrument: int, quantity: int) -> int:
        return abs(quantity) * self.marks[instrument] * CENT

    def spot(self, asset: int) -> int | None:
        return SPOT if asset == COIN else None

    def lot(self, _spot: int) -> int:
        return 1_000

    def haircut(self, asset: int) -> int:
        return 1_000 if asset == COIN else 0

    def amount_value(self, asset: int, amount: int) -> int:
        return amount * (1_000 if asset == COIN else 1)

    def rules(self) -> Rules:
        return Rules()

    def depth(self, _instrument: int) -> int:
        return self.deep

    def scans(self, _cases: Sequence[Case]) -> list[Scan]:
        return []

    def required(self, cases: Sequence[Case]) -> Required:
        width = max((len(case.holdings) for case in cases), default=0)
        per_lot = np.zeros((len(cases), width), np.int64)
        for row, case in enumerate(cases):
            for at, one in enumerate(case.holdings):
                per_lot[row, at] = MICRO // 10 if one.instrument == SPOT else 10 * MICRO

        def required(whose: I64Array, lots: I64Array) -> I64Array:
            initial: I64Array = (np.abs(lots) * per_lot[whose, : lots.shape[1]]).sum(axis=1)
            return initial

        return required


def due(account: int, equity: int, positions: Mapping[int, int], balances: Mapping[int, int], mark: int) -> list[Any]:
    return [
        LiquidationDue(index=0, account=account, mark=mark, equity=equity, maintenance=0, buffer=0, initial=0),
        *(
            LiquidationPosition(index=0, account=account, instrument=number, quantity=quantity, cost=0)
            for number, quantity in positions.items()
        ),
        *(
            LiquidationBalance(index=0, asset=asset, account=account, balance=balance)
            for asset, balance in balances.items()
        ),
    ]


def fund(amount: int) -> HouseBalance:
    return HouseBalance(index=0, asset=0, account=House.FUND, balance=amount)


def done(mark: int) -> MarkDone:
    return MarkDone(
        index=0, accounts=0, liquidating=0, deficits=0, mark=mark, time=0, equity=0, maintenance=0, initial=0
    )


def opened(planned: Any) -> AuctionOpened:
    names = ("instrument", "account", "auction", "mark", "quantity", "start", "step", "floor")
    return AuctionOpened(index=0, **{name: getattr(planned, name) for name in names})


def bid(number: int, bidder: int, auction: int, quantity: int, price: int, instrument: int = PERP) -> BidReserved:
    return BidReserved(
        index=0, bidder=bidder, instrument=instrument, auction=auction, bid=number, quantity=quantity, price=price
    )


def candidate(account: int, call: int, quantity: int, score: int, instrument: int = PERP) -> DeleveragingCandidate:
    return DeleveragingCandidate(
        index=0, account=account, instrument=instrument, call=call, quantity=quantity, score=score
    )


# --- the feature's steps ---------------------------------------------------------------------------------------------


@pytest.fixture
def house() -> SimpleNamespace:
    return SimpleNamespace(desk=Desk(), view=View(), told=[], said=[], mark=0)


def answer(house: SimpleNamespace, mark: int) -> None:
    house.mark = mark
    house.desk.observe([*house.told, done(mark)])
    house.said = house.desk.decide(house.view)


@given(parsers.parse("account {account:d} is long {lots:d} with equity {equity:d}"))
def is_long(house: SimpleNamespace, account: int, lots: int, equity: int) -> None:
    house.told += due(account, equity * MICRO, {PERP: lots}, {}, 1)


@given(parsers.parse("account {account:d} owes {amount:d}"))
def owes(house: SimpleNamespace, account: int, amount: int) -> None:
    house.told.append(DeficitFound(index=0, asset=0, account=account, mark=1, amount=amount * MICRO))


@given(parsers.parse("the fund holds {amount:d}"))
def fund_holds(house: SimpleNamespace, amount: int) -> None:
    house.told.append(fund(amount * MICRO))


@when(parsers.parse("mark {mark:d} is answered"))
@when(parsers.parse("mark {mark:d} finds the same"))
def mark_answered(house: SimpleNamespace, mark: int) -> None:
    answer(house, mark)


@when(parsers.parse("marks {first:d} and {last:d} find the same"))
def marks_answered(house: SimpleNamespace, first: int, last: int) -> None:
    for mark in range(first, last + 1):
        answer(house, mark)
        assert house.said == []


@when("the auction is opened and nobody bids")
def nobody_bids(house: SimpleNamespace) -> None:
    house.desk.observe([opened(house.said[-1])])
    house.said = house.desk.decide(house.view)
    assert house.said == []


@when(parsers.parse("the auction is opened and bids {bids} are reserved"))
def bids_reserved(house: SimpleNamespace, bids: str) -> None:
    house.desk.observe([opened(house.said[-1])])
    for number, text in enumerate(bids.split(", "), 1):
        bidder, offer = text.split(": ")
        quantity, price = offer.split(" at ")
        house.desk.observe([bid(number, int(bidder), 1, int(quantity), int(price))])
    house.said = house.desk.decide(house.view)


@when(parsers.parse("the call names the shorts {shorts}"))
def call_names(house: SimpleNamespace, shorts: str) -> None:
    for text in shorts.split(", "):
        account, held = text.split(": ")
        quantity, score = held.split(" ranked ")
        house.desk.observe([candidate(int(account), 1, -int(quantity), int(score))])
    house.said = house.desk.decide(house.view)


@then("the desk says nothing")
def says_nothing(house: SimpleNamespace) -> None:
    assert house.said == []


@then("the desk says")
def says(house: SimpleNamespace, datatable: list[list[str]]) -> None:
    names = [name for name in datatable[0] if name != "why"]
    expected = [dict(zip(datatable[0], row, strict=True)) for row in datatable[1:]]
    assert [type(event).__name__ for event in house.said] == [row["event"] for row in expected]
    for event, row in zip(house.said, expected, strict=True):
        for name in names[1:]:
            if row[name]:
                assert getattr(event, name) == int(row[name]), (event, row)


# --- rules one by one ------------------------------------------------------------------------------------------------


def planned_at(desk: Desk, view: View, mark: int, *told: Any) -> list[Any]:
    desk.observe([*told, done(mark)])
    return desk.decide(view)


def running(desk: Desk, view: View, lots: int = 40, equity: int = 395 * MICRO) -> LiquidationPlanned:
    """One auction of account 101 in PERP, open since mark 1."""
    (planned,) = planned_at(desk, view, 1, *due(101, equity, {PERP: lots}, {}, 1))
    assert isinstance(planned, LiquidationPlanned)
    desk.observe([opened(planned)])
    assert desk.decide(view) == []
    return planned


def test_a_mark_is_answered_when_every_shard_has_said_done() -> None:
    desk, view = Desk(shards=2), View()
    desk.observe([*due(101, 395 * MICRO, {PERP: 40}, {}, 1), done(1)])
    assert desk.decide(view) == []
    desk.observe([done(1)])
    assert len(desk.decide(view)) == 1
    assert desk.decide(view) == []


def test_a_healed_account_is_forgotten_and_its_bids_are_released() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    closed = AuctionClosed(index=0, reason=ClosingReason.HEALED, account=101, auction=1, remaining=-10)
    desk.observe([bid(1, 201, 1, 10, 9_950), closed, done(2)])
    assert desk.decide(view) == [Awarded(instrument=PERP, account=0, bidder=201, auction=1, bid=1, quantity=0, price=0)]


def test_an_auction_whose_account_is_no_longer_due_ends() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    assert planned_at(desk, view, 2) == [AuctionEnded(account=101, auction=1)]


def test_an_auction_that_never_opened_is_planned_again_under_a_new_number() -> None:
    desk, view = Desk(), View()
    told = due(101, 395 * MICRO, {PERP: 40}, {}, 1)
    assert [event.auction for event in planned_at(desk, view, 1, *told)] == [1]
    assert [event.auction for event in planned_at(desk, view, 2, *told)] == [2]


def test_a_bid_on_an_auction_that_is_not_open_is_released() -> None:
    desk, view = Desk(), View()
    planned_at(desk, view, 1, *due(101, 395 * MICRO, {PERP: 40}, {}, 1))
    desk.observe([bid(1, 201, 1, 10, 9_950), bid(2, 201, 7, 10, 9_950)])
    assert [(event.bid, event.quantity) for event in desk.decide(view)] == [(1, 0), (2, 0)]


def test_bids_of_the_failing_account_and_in_another_instrument_win_nothing() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    desk.observe([bid(1, 101, 1, 10, 9_999), bid(2, 201, 1, 10, 9_999, OTHER), bid(3, 202, 1, 4, 9_950)])
    awarded = desk.decide(view)
    assert sorted((event.bid, event.quantity) for event in awarded) == [(1, 0), (2, 0), (3, 4)]


def test_an_auction_offers_no_more_than_the_position_found() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    assert planned_at(desk, view, 2, *due(101, 5 * MICRO, {PERP: 3}, {}, 2)) == []
    desk.observe([bid(1, 201, 1, 10, 9_950)])
    # its shard still holds ten open, so the desk has to end it
    assert desk.decide(view) == [
        Awarded(instrument=PERP, account=101, bidder=201, auction=1, bid=1, quantity=3, price=9_900),
        AuctionEnded(account=101, auction=1),
    ]


def test_an_auction_of_a_position_turned_round_ends() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    assert planned_at(desk, view, 2, *due(101, 5 * MICRO, {PERP: -40}, {}, 2)) == [AuctionEnded(account=101, auction=1)]


def test_the_price_follows_the_mark_of_now() -> None:
    desk, view = Desk(), View()
    running(desk, view)
    view.marks[PERP] = 8_000
    assert planned_at(desk, view, 2, *due(101, 5 * MICRO, {PERP: 40}, {}, 2)) == []
    desk.observe([bid(1, 201, 1, 2, 9_000)])
    assert [event.price for event in desk.decide(view)] == [7_920]


def test_collateral_whose_auction_stays_unsold_is_not_deleveraged() -> None:
    desk, view = Desk(), View()
    told = due(101, -230 * MICRO, {}, {0: -500 * MICRO, COIN: 300_000}, 1)
    (planned,) = planned_at(desk, view, 1, *told)
    assert (planned.instrument, planned.quantity) == (SPOT, -300)
    desk.observe([opened(planned)])
    for mark in range(2, 9):
        assert planned_at(desk, view, mark, *told) == []


def test_a_haircut_is_not_a_shortfall() -> None:
    # 300 dollars of coin are cut by 30: equity -20 is 10 dollars to the good
    desk, view = Desk(), View()
    told = due(101, -20 * MICRO, {PERP: 40}, {0: -290 * MICRO, COIN: 300_000}, 1)
    assert all(isinstance(event, LiquidationPlanned) for event in planned_at(desk, view, 1, *told))


def test_the_bankruptcy_price_gives_the_haircut_back() -> None:
    # worth 100 dollars less than nothing, of which the haircut of 30 is no part: 70 of 4000 are 1.75 %
    desk, view = Desk(), View()
    events = planned_at(desk, view, 1, *due(101, -100 * MICRO, {PERP: 40}, {0: -290 * MICRO, COIN: 300_000}, 1))
    assert [(event.quantity, event.price) for event in events if isinstance(event, DeleveragingCalled)] == [
        (-40, 10_175)
    ]


def test_a_coin_that_a_position_is_settled_in_is_kept_while_the_position_stands() -> None:
    desk, view = Desk(), View()
    balances = {0: -290 * MICRO, COIN: 300_000}
    (planned,) = planned_at(desk, view, 1, *due(101, -20 * MICRO, {OTHER: 4}, balances, 1), fund(0))
    assert (planned.instrument, planned.quantity) == (OTHER, -4)


def test_a_debt_in_a_coin_is_bought_back_in_whole_lots() -> None:
    desk, view = Desk(), View()
    (planned,) = planned_at(desk, view, 1, *due(101, -20 * MICRO, {}, {0: 290 * MICRO, COIN: -310_900}, 1))
    assert (planned.instrument, planned.quantity) == (SPOT, 310)


def test_the_fund_is_promised_once_by_account_number() -> None:
    desk, view = Desk(), View()
    told = [*due(102, -100 * MICRO, {PERP: 40}, {}, 1), *due(101, -100 * MICRO, {PERP: 40}, {}, 1)]
    events = planned_at(desk, view, 1, *told, fund(60 * MICRO), fund(40 * MICRO))
    assert [(type(event), event.account, event.quantity) for event in events] == [
        (LiquidationPlanned, 101, -40),
        (DeleveragingCalled, 102, -40),
    ]


def test_a_counterparty_is_closed_once_and_a_failing_one_never() -> None:
    desk, view = Desk(), View()
    told = [*due(101, -100 * MICRO, {PERP: 40}, {}, 1), *due(102, -100 * MICRO, {PERP: 40}, {}, 1)]
    told += due(103, 1, {PERP: -50}, {}, 1)
    calls = [event for event in planned_at(desk, view, 1, *told) if isinstance(event, DeleveragingCalled)]
    assert [call.call for call in calls] == [1, 2]
    desk.observe(
        row
        for call in (2, 1)
        for row in (candidate(301, call, -50, 9), candidate(302, call, -50, 8), candidate(103, call, -50, 10))
    )
    assert [(event.call, event.counterparty, event.quantity) for event in desk.decide(view)] == [
        (1, 301, 40),
        (2, 301, 10),
        (2, 302, 30),
    ]


# --- the bankruptcy price --------------------------------------------------------------------------------------------


@hypothesis_given(
    st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1),
    st.integers(-(10**14), 10**14),
)
def test_closing_everything_at_the_bankruptcy_price_leaves_nothing_owing(
    rows: list[tuple[int, int, int]], equity: int
) -> None:
    worth = sum(abs(quantity) * mark * tick for quantity, mark, tick in rows)
    left, held_back = equity, False
    for quantity, mark, tick in rows:
        ticks = bankruptcy.price(Payoff.LINEAR, quantity, mark, equity, worth)
        # a price cannot fall below a tick: a short is relieved of its whole value at most
        held_back |= ticks == 1 or ticks == MAX_PRICE
        left += (ticks - mark) * quantity * tick
    if not held_back:
        assert 0 <= left <= sum(abs(quantity) * tick for quantity, _, tick in rows)


@hypothesis_given(st.integers(-(10**12), 10**12), st.integers(0, 10**12))
def test_what_is_sold_at_the_bankruptcy_discount_owes_nothing(equity: int, worth: int) -> None:
    points = bankruptcy.discount(equity, worth)
    assert points >= 0
    assert points == 0 or worth * points <= equity * BASIS_POINTS < worth * (points + 1)


def test_an_inverse_position_is_bankrupt_where_its_coin_is_used_up() -> None:
    # a long of 100 dollars at 10,000, worth 0.01 coin; equity a tenth of it: 1/p = 1.1/10,000
    assert bankruptcy.price(Payoff.INVERSE, 1, 10_000, 10, 100) == 9_091
    assert bankruptcy.price(Payoff.INVERSE, -1, 10_000, 10, 100) == 11_111
    assert bankruptcy.price(Payoff.INVERSE, 1, 10_000, -100, 100) == MAX_PRICE


def test_what_is_worth_nothing_has_the_mark_for_its_bankruptcy_price() -> None:
    assert bankruptcy.price(Payoff.LINEAR, -5, 0, -10, 0) == 1


# --- order and shards ------------------------------------------------------------------------------------------------


def rounds(seed: int) -> list[list[Any]]:
    """Three marks of a house where much goes wrong, as its rounds of outcomes; bids and candidates guess at numbers."""
    chance = random.Random(seed)
    told: list[list[Any]] = []
    for mark in range(1, 4):
        row: list[Any] = []
        for account in range(100, 108):
            if chance.random() < 0.7:
                positions = {number: chance.randint(-40, 40) for number in (PERP, OTHER)}
                balances = {0: chance.randint(-400, 400) * MICRO, COIN: chance.randint(0, 300) * 1_000}
                row += due(account, chance.randint(-300, 300) * MICRO, positions, balances, mark)
            elif chance.random() < 0.5:
                row.append(
                    DeficitFound(index=0, asset=0, account=account, mark=mark, amount=chance.randint(1, 100) * MICRO)
                )
        row += [fund(chance.randint(0, 90) * MICRO) for _ in range(4)]
        told.append(row)
        told.append(
            [
                candidate(account, call, chance.randint(-30, 30), chance.randint(0, 3), number)
                for account in range(300, 306)
                for call in range(1, 12)
                for number in (PERP,)
            ]
        )
        told.append(
            [
                bid(
                    1_000 * mark + number,
                    chance.randint(200, 203),
                    chance.randint(1, 16),
                    chance.choice([-9, 9]),
                    10_000,
                )
                for number in range(20)
            ]
        )
    return told


def transcript(seed: int, shards: int, order: random.Random | None) -> list[list[Any]]:
    desk, view, said = Desk(shards), View(), []
    planned: list[Any] = []
    for number, row in enumerate(rounds(seed)):
        told = [*row, *(opened(event) for event in planned)]
        if number % 3 == 0:
            told += [done(number // 3 + 1)] * shards
        if order is not None:
            order.shuffle(told)
        for part in range(shards):
            desk.observe(told[part::shards])
        said.append(desk.decide(view))
        planned = [event for event in said[-1] if isinstance(event, LiquidationPlanned)]
    return said


@settings(deadline=None)
@hypothesis_given(st.integers(0, 10_000), st.sampled_from([1, 4, 16]), st.randoms())
def test_neither_the_order_of_outcomes_nor_the_shards_show(seed: int, shards: int, order: random.Random) -> None:
    assert transcript(seed, shards, order) == transcript(seed, 1, None)


def test_the_house_where_much_goes_wrong_hears_every_kind_of_event() -> None:
    said = {type(event).__name__ for seed in range(10) for row in transcript(seed, 1, None) for event in row}
    assert said == {
        "LiquidationPlanned",
        "Awarded",
        "AuctionEnded",
        "DeleveragingCalled",
        "Deleveraged",
    }


@settings(deadline=None)
@hypothesis_given(st.integers(0, 10_000))
def test_awards_never_exceed_what_was_opened(seed: int) -> None:
    left: dict[int, int] = {}
    for row in transcript(seed, 1, None):
        for event in row:
            if isinstance(event, LiquidationPlanned):
                assert event.auction == len(left) + 1
                left[event.auction] = event.quantity
            elif isinstance(event, Awarded) and event.quantity:
                assert event.quantity * left[event.auction] < 0
                assert abs(event.quantity) <= abs(left[event.auction])
                left[event.auction] += event.quantity


@settings(deadline=None)
@hypothesis_given(st.integers(0, 10_000), st.integers(0, 8))
def test_a_desk_restored_between_two_rounds_says_what_it_would_have_said(seed: int, stop: int) -> None:
    desk, view, said = Desk(), View(), []
    planned: list[Any] = []
    for number, row in enumerate(rounds(seed)):
        desk.observe(
            [*row, *(opened(event) for event in planned), *([done(number // 3 + 1)] if number % 3 == 0 else [])]
        )
        said.append(desk.decide(view))
        planned = [event for event in said[-1] if isinstance(event, LiquidationPlanned)]
        if number == stop:
            kept = json.loads(json.dumps(desk.exported()))
            desk = Desk()
            desk.restore(kept)
    assert said == transcript(seed, 1, None)
