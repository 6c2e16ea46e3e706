"""Auto-deleveraging: the rank and how a quantity is laid on the ranked."""

from types import SimpleNamespace

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from pytest_bdd import given, parsers, scenarios, then, when

from insurance.deleveraging import MAX_SCORE, Candidate, Closing, allocate, prorate, score
from schemas.limits import MICRO

scenarios("features/most_profitable_and_leveraged_are_deleveraged_first.feature")


@pytest.fixture
def queue() -> SimpleNamespace:
    return SimpleNamespace(candidates=[], closings=[])


@then("these positions rank as told, in millionths")
def ranks(datatable: list[list[str]]) -> None:
    for entry, worth, profit, equity, rank, why in datatable[1:]:
        got = score(int(profit) * MICRO, int(entry) * MICRO, int(worth) * MICRO, int(equity) * MICRO)
        assert got == int(rank), why


@given("these longs")
def longs(queue: SimpleNamespace, datatable: list[list[str]]) -> None:
    queue.candidates = [Candidate(*map(int, row)) for row in datatable[1:]]


@when(parsers.parse("a failing short buys back {lots:d}"))
def buys_back(queue: SimpleNamespace, lots: int) -> None:
    queue.closings = allocate(lots, queue.candidates)


@then("these sell")
def sell(queue: SimpleNamespace, datatable: list[list[str]]) -> None:
    assert queue.closings == [Closing(int(account), -int(lots)) for account, lots in datatable[1:]]


def test_a_score_fits_an_int64_and_a_bankrupt_profiteer_ranks_high() -> None:
    assert score(2**61, 1, 2**61, -5) == MAX_SCORE
    assert score(-(2**61), 1, 0, 2**61) == -MAX_SCORE
    assert score(1, 0, 0, 0) == MICRO


@hypothesis_given(
    st.integers(-60, 60).filter(bool),
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-3, 3)), max_size=10),
    st.randoms(),
)
def test_closings_reduce_by_no_more_than_is_held_or_called(quantity: int, rows: list[tuple[int, int]], rng) -> None:
    candidates = [Candidate(16 + number, *row) for number, row in enumerate(rows)]
    closings = allocate(quantity, candidates)
    held = {candidate.account: candidate.quantity for candidate in candidates}
    for closing in closings:
        assert closing.quantity * quantity < 0
        assert closing.quantity * held[closing.account] < 0
        assert abs(closing.quantity) <= abs(held[closing.account])
    available = sum(abs(lots) for lots in held.values() if lots * quantity > 0)
    assert sum(abs(closing.quantity) for closing in closings) == min(abs(quantity), available)
    rng.shuffle(candidates)
    assert allocate(quantity, candidates) == closings


TORN = [
    (-10, [(16, -6), (17, -4)], [(16, 6), (17, 4)], "in full"),
    (-5, [(16, -6), (17, -4)], [(16, 3), (17, 2)], "in proportion"),
    (-1, [(16, -5), (17, -5)], [(16, 1)], "equal remainders: the lower number"),
    (-2, [(16, -1), (17, -1), (18, -7)], [(18, 2)], "the largest remainder takes the lot that is left"),
    (-20, [(16, -6), (17, -4)], [(16, 6), (17, 4)], "no more than there is"),
    (7, [(16, -6), (17, 3), (18, 0)], [(17, -3)], "only the other side"),
    (-7, [], [], "nobody"),
]


@pytest.mark.parametrize(("quantity", "held", "closed", "why"), TORN, ids=[row[3] for row in TORN])
def test_a_tear_up_is_shared_by_what_each_holds(
    quantity: int, held: list[tuple[int, int]], closed: list[tuple[int, int]], why: str
) -> None:
    candidates = [Candidate(account, lots, 0) for account, lots in held]
    assert prorate(quantity, candidates) == [Closing(*one) for one in closed]
    assert prorate(quantity, reversed(candidates)) == [Closing(*one) for one in closed]
