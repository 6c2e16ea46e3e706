"""The guard: limits on totals over all shards, hysteresis, and whom it asks about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insurance.breakers import Guard, Rules, limit, owners_limit, trips
from schemas.chart import House
from schemas.events import BreakerChanged, OwnerAsked, OwnerLimited
from schemas.limits import MAX_EXPOSURE
from schemas.outcomes import HouseBalance, MarkDone, OpenInterest, OwnerInterest

DOLLAR = (1_000_000, 1_000_000, 0)
"""worth a dollar, a million units of it in one, all of it counts"""


def rules(**values: Any) -> Rules:
    told: dict[str, Any] = {
        "stress": {0: 1_000},
        "share": {0: 10_000},
        "reset": 9_000,
        "owner_share": 0,
        "standing": {},
        "limited": frozenset(),
        "worth": {0: DOLLAR},
    }
    return Rules(**(told | values))


def opened(long: int, short: int | None = None, underlying: int = 0) -> OpenInterest:
    return OpenInterest(index=0, underlying=underlying, mark=1, long=long, short=long if short is None else short)


def owned(owner: int, long: int, short: int = 0, asked: int = 0) -> OwnerInterest:
    return OwnerInterest(index=0, asked=asked, underlying=0, owner=owner, mark=1, long=long, short=short)


def holds(amount: int, asset: int = 0, account: int = House.FUND) -> HouseBalance:
    return HouseBalance(index=0, asset=asset, account=account, balance=amount)


def done(mark: int = 1) -> MarkDone:
    return MarkDone(
        index=0, accounts=0, liquidating=0, deficits=0, mark=mark, time=0, equity=0, maintenance=0, initial=0
    )


def decided(guard: Guard, by: Rules, *outcomes: object) -> list[Any]:
    guard.observe(outcomes)
    return guard.decide(by)


def changed(tripped: int, interest: int, most: int, underlying: int = 0) -> BreakerChanged:
    return BreakerChanged(tripped=tripped, underlying=underlying, mark=1, interest=interest, limit=most)


@pytest.mark.parametrize(
    ("fund", "share", "stress", "most"),
    [
        (1_000, 10_000, 1_000, 10_000),
        (1_000, 10_000, 3_000, 3_333),  # rounded down
        (1_000, 2_500, 1_000, 2_500),
        (1_000, 0, 1_000, 0),
        (0, 10_000, 1_000, 0),
        (-5, 10_000, 1_000, 0),  # a fund below zero carries nothing
        (2**62, 10_000, 1, MAX_EXPOSURE),  # cut to what an int64 holds
    ],
)
def test_the_limit(fund: int, share: int, stress: int, most: int) -> None:
    assert limit(fund, share, stress) == most


def test_what_an_owner_may_hold_is_rounded_down() -> None:
    assert [owners_limit(9_999, share) for share in (0, 1, 5_000, 10_000)] == [0, 0, 4_999, 9_999]


@pytest.mark.parametrize(
    ("tripped", "interest", "after"),
    [
        (False, 0, False),
        (False, 100, False),
        (False, 101, True),
        (True, 101, True),
        (True, 100, True),
        (True, 90, True),
        (True, 89, False),
        (True, 0, False),
    ],
)
def test_it_trips_above_its_limit_and_is_let_go_below_a_part_of_it(tripped: bool, interest: int, after: bool) -> None:
    assert trips(tripped, interest, 100, 9_000) is after


@given(st.lists(st.integers(91, 100), max_size=50), st.booleans())
def test_between_the_two_it_never_changes(course: list[int], tripped: bool) -> None:
    for interest in course:
        assert trips(tripped, interest, 100, 9_000) == tripped


@given(st.lists(st.integers(0, 200), max_size=100))
def test_each_change_takes_a_move_through_the_whole_band(course: list[int]) -> None:
    tripped, turned = False, 0
    crossed = 0
    side = False
    for interest in course:
        after = trips(tripped, interest, 100, 9_000)
        turned += after != tripped
        tripped = after
        if (interest > 100 and not side) or (interest < 90 and side):
            crossed += 1
            side = not side
    assert turned == crossed


def test_an_empty_fund_lets_nothing_go_while_anything_could_be_opened() -> None:
    assert trips(False, 0, 0, 9_000) is False
    assert trips(False, 1, 0, 9_000) is True
    assert trips(True, 0, 0, 9_000) is True


def test_nothing_is_decided_until_every_shard_is_done() -> None:
    guard = Guard(shards=2)
    guard.observe([opened(6_000), holds(600), done()])
    assert not guard.waits
    assert guard.decide(rules()) == []
    assert decided(guard, rules(), opened(4_001), holds(400), done()) == [changed(1, 10_001, 10_000)]
    assert not guard.waits
    assert guard.decide(rules()) == []


def test_a_shard_that_repeats_an_older_mark_does_not_count_for_it() -> None:
    guard = Guard(shards=2)
    assert decided(guard, rules(), done(1), done(2)) == []
    assert decided(guard, rules(), done(2)) != []


@pytest.mark.parametrize(
    ("standing", "interest", "told"),
    [
        ({}, 0, [changed(0, 0, 10_000)]),  # the first limit is told
        ({0: (0, 10_000)}, 10_000, []),
        ({0: (0, 10_000)}, 10_001, [changed(1, 10_001, 10_000)]),
        ({0: (1, 10_000)}, 9_000, []),
        ({0: (1, 10_000)}, 8_999, [changed(0, 8_999, 10_000)]),
        ({0: (0, 9_901)}, 9_950, []),  # above the limit last told, by less than it may be off
        ({0: (0, 9_900)}, 0, [changed(0, 0, 10_000)]),  # off by more than 1 %
        ({0: (0, 10_101)}, 0, []),
        ({0: (0, 10_102)}, 0, [changed(0, 0, 10_000)]),
        ({0: (1, 5_000)}, 9_500, [changed(1, 9_500, 10_000)]),
    ],
)
def test_what_is_told_of_a_limit(standing: dict[int, tuple[int, int]], interest: int, told: list[Any]) -> None:
    assert decided(Guard(), rules(standing=standing), opened(interest), holds(1_000), done()) == told


def test_the_larger_side_counts_and_each_underlying_by_itself() -> None:
    by = rules(stress={0: 1_000, 3: 10_000}, share={0: 10_000, 3: 5_000}, standing={0: (0, 10_000), 3: (0, 500)})
    told = decided(Guard(), by, opened(1, 10_001), opened(501, 7, underlying=3), holds(1_000), done())
    assert told == [changed(1, 10_001, 10_000), changed(1, 501, 500, underlying=3)]


def test_a_fund_of_coins_counts_at_their_price_after_the_haircut_and_debts_count_nothing() -> None:
    by = rules(worth={0: DOLLAR, 2: (8_000_000_000, 100_000_000, 500), 5: DOLLAR})
    told = decided(
        Guard(), by, holds(1_000), holds(100, asset=2), holds(-700, asset=5), holds(9, account=House.FEES), done()
    )
    # 100 of 10^8 parts of 8,000 dollars, less 5 %: 7,600 micro-dollars
    assert told == [changed(0, 0, 10 * (1_000 + 7_600))]


# --- owners -----------------------------------------------------------------------------------------------------------

HELD = rules(owner_share=1_000, standing={0: (0, 10_000)})
"""one owner may hold 1,000"""


def limited(owner: int, tripped: int, interest: int) -> OwnerLimited:
    return OwnerLimited(limited=tripped, underlying=0, owner=owner, mark=1, interest=interest, limit=1_000)


def test_who_might_hold_too_much_is_asked_about_in_order() -> None:
    told = decided(Guard(), HELD, owned(31, 600), owned(30, 700), owned(31, 5), holds(1_000), done())
    assert told == [OwnerAsked(underlying=0, owner=30, mark=1), OwnerAsked(underlying=0, owner=31, mark=1)]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([(600, 0), (400, 0)], []),
        ([(600, 0), (401, 0)], [limited(30, 1, 1_001)]),
        ([(600, 0), (0, 600)], []),  # the larger side
        ([(0, 500), (900, 501)], [limited(30, 1, 1_001)]),
    ],
)
def test_what_all_shards_say_when_asked_decides(parts: list[tuple[int, int]], told: list[Any]) -> None:
    guard = Guard(shards=2)
    assert decided(guard, HELD, holds(1_000), done(), done()) == []
    assert decided(guard, HELD, *(owned(30, *sides, asked=1) for sides in parts)) == told


def test_answers_are_in_order_of_owners_whatever_the_shards_order() -> None:
    guard = Guard()
    assert decided(guard, HELD, holds(1_000), done()) == []
    told = decided(guard, HELD, owned(31, 1_001, asked=1), owned(30, 1_002, asked=1))
    assert told == [limited(30, 1, 1_002), limited(31, 1, 1_001)]


def test_a_limited_owner_is_judged_by_the_mark_alone() -> None:
    by = rules(owner_share=1_000, standing={0: (0, 10_000)}, limited=frozenset({(0, 30), (0, 31), (0, 32)}))
    told = decided(Guard(), by, owned(30, 899), owned(31, 900), holds(1_000), done())
    assert told == [limited(30, 0, 899), limited(32, 0, 0)]  # of 32 no shard has anything


@given(
    st.lists(
        st.one_of(
            st.builds(opened, st.integers(0, 20_000), st.integers(0, 20_000)),
            st.builds(owned, st.integers(30, 32), st.integers(0, 2_000), st.integers(0, 2_000), st.integers(0, 1)),
            st.builds(holds, st.integers(0, 2_000)),
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 12),
)
def test_neither_the_order_of_shards_nor_a_restart_shows(told: list[Any], random: Any, cut: int) -> None:
    by = rules(owner_share=1_000, standing={0: (0, 10_000)}, limited=frozenset({(0, 30)}))
    expected = decided(Guard(shards=2), by, *told, done(), done())
    mixed = [*told, done(), done()]
    random.shuffle(mixed)
    first, second = Guard(shards=2), Guard(shards=2)
    first.observe(mixed[:cut])
    second.restore(json.loads(json.dumps(first.exported())))
    assert decided(second, by, *mixed[cut:]) == expected


def test_a_mark_that_is_passed_over_leaves_what_was_asked() -> None:
    guard = Guard()
    guard.observe([opened(99_999), owned(31, 5_000), owned(30, 1_001, asked=1), holds(1_000), done()])
    guard.skip()
    assert guard.waits
    assert guard.decide(HELD) == [limited(30, 1, 1_001)]
    assert not guard.waits
