"""The Dutch auction: its price schedule and its awards."""

from types import SimpleNamespace

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from liquidation.auction import Award, Reserved, Terms, awards, called, discount, marks_to_floor, price
from schemas.limits import BASIS_POINTS, MAX_PRICE

scenarios("features/auction_price_falls_to_its_floor.feature")
scenarios("features/a_call_auction_has_one_price.feature")


@pytest.fixture
def auction() -> SimpleNamespace:
    return SimpleNamespace()


@given(parsers.parse("an auction from {start:d} by {step:d} to {floor:d} basis points"))
def runs(auction: SimpleNamespace, start: int, step: int, floor: int) -> None:
    auction.terms = Terms(start, step, floor)


@then("these are its prices")
def prices(auction: SimpleNamespace, datatable: list[list[str]]) -> None:
    for leg, mark, marks, expected, why in datatable[1:]:
        quantity = {"sale": -1, "purchase": 1}[leg]
        assert price(quantity, int(mark), discount(auction.terms, int(marks))) == int(expected), why


@given(parsers.parse("{lots:d} lots for sale at {ticks:d}"))
def for_sale(auction: SimpleNamespace, lots: int, ticks: int) -> None:
    auction.remaining, auction.ticks = -lots, ticks


@when("these bids are awarded")
def award(auction: SimpleNamespace, datatable: list[list[str]]) -> None:
    bids = [Reserved(int(bid), int(bidder), int(lots), int(limit)) for bid, bidder, lots, limit in datatable[1:]]
    auction.awards = awards(auction.remaining, auction.ticks, bids)


@then("the awards are")
def awarded(auction: SimpleNamespace, datatable: list[list[str]]) -> None:
    assert [(one.bid, one.quantity) for one in auction.awards] == [(int(bid), int(n)) for bid, n, _ in datatable[1:]]


@given(parsers.parse("a call auction of {lots:d} lots at a mark of {mark:d} that takes bids down to {ticks:d}"))
def call_auction(auction: SimpleNamespace, lots: int, mark: int, ticks: int) -> None:
    auction.remaining, auction.mark, auction.ticks = -lots, mark, ticks


@then("each of these sets of bids has its price")
def one_price(auction: SimpleNamespace, datatable: list[list[str]]) -> None:
    for written, sold, paid, _ in datatable[1:]:
        pairs = [one.split(" at ") for one in written.split(", ") if one != "none"]
        # a sale takes buyers, a purchase sellers
        side = -1 if auction.remaining > 0 else 1
        bids = [Reserved(n, 100 + n, side * int(lots), int(limit)) for n, (lots, limit) in enumerate(pairs)]
        served, price = called(auction.remaining, auction.ticks, auction.mark, bids)
        assert (sum(abs(one.quantity) for one in served), price) == (int(sold), int(paid)), written


def test_the_floor_is_reached_after_as_many_marks_as_its_steps() -> None:
    for terms in (Terms(50, 25, 125), Terms(50, 40, 125), Terms(125, 25, 125), Terms(0, 1, 300)):
        reached = marks_to_floor(terms)
        assert reached is not None
        assert discount(terms, reached) == terms.floor
        assert reached == 0 or discount(terms, reached - 1) < terms.floor
    assert marks_to_floor(Terms(50, 0, 125)) is None


@hypothesis_given(st.integers(0, MAX_PRICE), st.integers(0, BASIS_POINTS), st.sampled_from([-1, 1]))
def test_a_liquidator_is_never_paid_more_than_the_discount(mark: int, basis_points: int, side: int) -> None:
    paid = price(side, mark, basis_points)
    assert 1 <= paid <= MAX_PRICE
    if 1 < paid < MAX_PRICE:
        gain = mark - paid if side < 0 else paid - mark
        assert 0 <= gain * BASIS_POINTS <= mark * basis_points < (gain + 1) * BASIS_POINTS


bids = st.lists(st.tuples(st.integers(100, 110), st.integers(-20, 20), st.integers(90, 110)), max_size=12).map(
    lambda rows: [Reserved(number, *row) for number, row in enumerate(rows)]
)


@hypothesis_given(st.integers(-40, 40).filter(bool), st.integers(90, 110), bids, st.randoms())
def test_awards_never_exceed_what_is_for_sale_nor_a_bid(remaining: int, ticks: int, told: list[Reserved], rng) -> None:
    answers = awards(remaining, ticks, told)
    by_number = {bid.bid: bid for bid in told}
    assert sorted(by_number) == sorted(answer.bid for answer in answers)
    for answer in answers:
        bid = by_number[answer.bid]
        assert 0 <= abs(answer.quantity) <= abs(bid.quantity)
        if answer.quantity:
            assert answer.quantity * remaining < 0 < answer.quantity * bid.quantity
            assert (bid.price >= ticks) if remaining < 0 else (bid.price <= ticks)
    sold = sum(answer.quantity for answer in answers)
    wanted = sum(
        abs(bid.quantity)
        for bid in told
        if bid.quantity * remaining < 0 and ((bid.price >= ticks) if remaining < 0 else (bid.price <= ticks))
    )
    assert abs(sold) == min(abs(remaining), wanted)
    shuffled = list(told)
    rng.shuffle(shuffled)
    assert awards(remaining, ticks, shuffled) == answers


@hypothesis_given(st.integers(-40, 40).filter(bool), st.integers(0, 10), bids)
def test_one_price_that_nobody_served_did_not_offer(remaining: int, off: int, told: list[Reserved]) -> None:
    mark = 100
    sign = 1 if remaining < 0 else -1
    ticks = mark - sign * off
    served, paid = called(remaining, ticks, mark, told)
    assert min(ticks, mark) <= paid <= max(ticks, mark)
    by_number = {bid.bid: bid for bid in told}
    won = [by_number[award.bid].price for award in served if award.quantity]
    assert all(sign * price >= sign * paid for price in won)
    # and it is the best such price for the account: somebody's own, the mark, or, where nobody is served, the auction's
    assert paid in ({mark, *won} if won else {ticks})
    # every bid is answered, in the order of awards, and gets what it would have got there, or nothing
    plain = awards(remaining, ticks, told)
    assert [one.bid for one in served] == [one.bid for one in plain]
    assert all(one.quantity in (0, other.quantity) for one, other in zip(served, plain, strict=True))
    # no other number of them, best first, brings the account more beyond the auction's price
    brought = sum(abs(one.quantity) for one in served) * abs(paid - ticks)
    lots = 0
    for one in plain:
        lots += abs(one.quantity)
        price = by_number[one.bid].price
        clamped = min(price, mark) if remaining < 0 else max(price, mark)
        assert not one.quantity or lots * abs(clamped - ticks) <= brought


def test_a_purchase_is_awarded_to_the_lowest_offer() -> None:
    assert awards(6, 1010, [Reserved(1, 101, -4, 1010), Reserved(2, 102, -4, 1005), Reserved(3, 103, 9, 1000)]) == [
        Award(3, 103, 0),
        Award(2, 102, -4),
        Award(1, 101, -2),
    ]
