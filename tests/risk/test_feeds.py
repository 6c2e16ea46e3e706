"""Several feeds, one price: one line one case, and what no single feed can do whatever it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.feeds import Agreed, Feed, Rules, aged, agree, depegged, haircut, lower_median, upper_median, widened
from schemas.kinds import Reason

SECOND = 1_000_000
NOW = 10_000 * SECOND
RULES = Rules(feeds=3, deviation=500, max_age=60 * SECOND)
STALE, OUTLYING, FEW = Reason.ORACLE_STALE, Reason.ORACLE_OUTLYING, Reason.ORACLE_FEW_FEEDS


def feed(price: int, weight: int = 1, age: int = 0, spread: int = 0) -> Feed:
    return Feed(price, price - spread, price + spread, NOW - age * SECOND, weight)


def feeds(*told: tuple[int, ...]) -> dict[int, Feed]:
    return {number: feed(*one) for number, one in enumerate(told, 1)}


CASES: list[tuple[str, list[tuple[int, ...]], int | None, dict[int, Reason]]] = [
    # what it shows, (price, weight, age in seconds) of feeds 1, 2 ..., the price, who is left out
    ("the middle one of three", [(100,), (101,), (102,)], 101, {}),
    ("the lower of two in the middle", [(100,), (101,), (102,), (103,)], 101, {}),
    ("the same price three times", [(100,), (100,), (100,)], 100, {}),
    ("weights move the middle", [(100, 4), (101, 3), (103, 2)], 101, {}),
    ("at half the weight the lower one is the median", [(100, 3), (101, 2), (102, 1), (103, 1)], 101, {}),
    ("five per cent above is not outlying", [(100,), (100,), (105,)], 100, {}),
    ("more is, and two are too few", [(100,), (100,), (106,)], None, {3: OUTLYING}),
    ("of four, three are left", [(100,), (101,), (102,), (1_000_000,)], 101, {4: OUTLYING}),
    ("a feed at nothing", [(1,), (100,), (101,), (102,)], 101, {1: OUTLYING}),
    ("two pumped of five", [(100,), (101,), (102,), (500,), (500,)], 101, {4: OUTLYING, 5: OUTLYING}),
    ("two against two say nothing", [(100,), (100,), (500,), (500,)], None, dict.fromkeys(range(1, 5), OUTLYING)),
    ("two against two not far apart", [(100,), (100,), (104,), (104,)], 100, {}),
    ("as old as may be", [(100,), (101,), (102, 1, 60)], 101, {}),
    ("a second older", [(100,), (101,), (102, 1, 61)], None, {3: STALE}),
    ("one old of four", [(100,), (101,), (102,), (103, 1, 61)], 101, {4: STALE}),
    ("an hour ahead of the others", [(100,), (101,), (102,), (103, 1, -3_600)], 101, {4: STALE}),
    ("half of the weight decides alone", [(100, 2), (101,), (102,)], None, {}),
    ("nearly half does not", [(100, 9), (101, 5), (102, 5)], 101, {}),
    ("one feed", [(100,)], None, {}),
    ("no feed", [], None, {}),
]  # fmt: skip


@pytest.mark.parametrize(("told", "price", "left_out"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_agree(told: list[tuple[int, ...]], price: int | None, left_out: dict[int, Reason]) -> None:
    verdict = agree(feeds(*told), RULES, NOW)
    assert (verdict.agreed.price if verdict.agreed else None) == price
    assert verdict.reason == (FEW if price is None else Reason.NONE)
    assert verdict.left_out == left_out


def test_a_price_is_as_old_and_as_doubtful_as_its_median_feed() -> None:
    told = {1: feed(100, age=5, spread=1), 2: feed(101, age=30, spread=3), 3: feed(102, age=10, spread=2)}
    # own quotes reach 99 ... 101, 98 ... 104, 100 ... 104: 2, 3 and 3 from 101
    assert agree(told, RULES, NOW).agreed == Agreed(101, NOW - 10 * SECOND, 3)
    halves = {number: feed(100, spread=spread) for number, spread in enumerate((0, 0, 2, 2))}
    assert agree(halves, RULES, NOW).agreed == Agreed(100, NOW, 2)  # of two in the middle the larger doubt


def test_one_feed_cannot_make_the_others_old() -> None:
    """The clock that ages are read from is the fold's or the feeds' median, whichever is later."""
    told = feeds((100,), (101,), (102,)) | {4: feed(103, age=-86_400)}
    agreed = agree(told, RULES, NOW - 60 * SECOND).agreed
    assert agreed is not None
    assert (agreed.price, agreed.time) == (101, NOW)
    # two hours later three have spoken again and the fourth has not: it is old although the fold's time stands still
    later = {n: one._replace(time=one.time + 7_200 * SECOND) for n, one in told.items() if n < 4} | {4: feed(103)}
    assert agree(later, RULES, NOW).left_out == {4: STALE}


@st.composite
def crowds(draw: st.DrawFn) -> tuple[dict[int, Feed], int, Rules]:
    """Feeds near one another or not, the number of one that lies, and rules."""
    count = draw(st.integers(3, 8))
    spread = draw(st.sampled_from([3, 50, 2_000]))
    told = {
        number: Feed(
            draw(st.integers(10_000 - spread, 10_000 + spread)), 1, 10**6, NOW - draw(st.integers(0, 90)) * SECOND,
            draw(st.integers(1, 5)),
        )
        for number in range(1, count + 1)
    }  # fmt: skip
    rules = Rules(draw(st.integers(3, 5)), draw(st.sampled_from([1, 100, 500, 5_000])), 60 * SECOND)
    return told, draw(st.integers(1, count)), rules


@settings(max_examples=400, deadline=None)
@given(crowds(), st.integers(1, 2**46), st.integers(-200, 200), st.integers(0, 2**46))
def test_no_feed_moves_the_price_beyond_what_the_others_say(
    crowd: tuple[dict[int, Feed], int, Rules], price: int, age: int, doubt: int
) -> None:
    told, liar, rules = crowd
    told[liar] = Feed(price, price - doubt, price + doubt, NOW - age * SECOND, told[liar].weight)
    agreed = agree(told, rules, NOW).agreed
    if agreed is not None:
        others = [one for number, one in told.items() if number != liar]
        assert min(one.price for one in others) <= agreed.price <= max(one.price for one in others)
        assert min(one.time for one in others) <= agreed.time <= max(one.time for one in others)
        reach = [max(one.ask - agreed.price, agreed.price - one.bid) for one in others]
        assert min(reach) <= agreed.uncertainty <= max(reach)


@settings(max_examples=200, deadline=None)
@given(crowds(), st.integers(1, 2**46))
def test_no_feed_has_all_the_others_left_out(crowd: tuple[dict[int, Feed], int, Rules], price: int) -> None:
    """Where the others, all live and of one weight, are within the deviation of each other, they keep their say."""
    told, liar, rules = crowd
    near = {n: one._replace(price=10_000 + n, time=NOW, weight=1) for n, one in told.items()}
    near[liar] = near[liar]._replace(price=price)
    left_out = agree(near, rules._replace(deviation=50), NOW).left_out
    assert set(left_out) <= {liar}


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 5)), min_size=1, max_size=9))
def test_medians_leave_at_most_half_of_the_weight_on_either_side(told: list[tuple[int, int]]) -> None:
    whole = sum(weight for _, weight in told)
    low, high = lower_median(told), upper_median(told)
    assert low <= high
    for median in (low, high):
        assert 2 * sum(weight for value, weight in told if value < median) <= whole
        assert 2 * sum(weight for value, weight in told if value > median) <= whole
    assert low == lower_median(reversed(told))


@pytest.mark.parametrize(
    ("age", "limit", "part"),
    [(0, 0, 0), (10**12, 0, 0), (0, 100, 0), (50, 100, 0), (51, 100, 200), (75, 100, 5_000), (100, 100, 10_000),
     (1_000, 100, 10_000), (2, 3, 3_334)],
)  # fmt: skip
def test_age_costs_nothing_until_half_the_limit_and_all_at_it(age: int, limit: int, part: int) -> None:
    assert aged(age, limit) == part


@pytest.mark.parametrize(
    ("case", "cut"),
    [
        ({"base": 500}, 500),
        ({"base": 500, "widening": 10_000, "part": 5_000}, 750),
        ({"base": 501, "widening": 10_000, "part": 5_000}, 752),
        ({"base": 9_000, "widening": 10_000, "part": 10_000}, 10_000),
        ({"base": 500, "floor": 5_000}, 5_000),
        ({"base": 6_000, "floor": 5_000}, 6_000),
    ],
    ids=str,
)
def test_haircuts_follow_age_and_peg(case: dict[str, Any], cut: int) -> None:
    assert haircut(**({"widening": 0, "part": 0, "floor": 0} | case)) == cut


def test_widening_never_narrows() -> None:
    assert [widened(1_500, 5_000, part) for part in (0, 1, 10_000)] == [1_500, 1_501, 2_250]


@pytest.mark.parametrize(
    ("price", "bound", "lost"),
    [(980_000, 0, False), (980_000, 200, False), (979_999, 200, True), (1_500_000, 200, False), (1, 10_000, False)],
)
def test_a_peg_is_lost_below_its_bound(price: int, bound: int, lost: bool) -> None:
    assert depegged(price, bound) is lost
