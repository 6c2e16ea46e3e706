"""Limits, wrong-way collateral, unrealised gains, and borrowed balances to the unit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.collateral import gains, limits
from risk.collateral.balances import (
    HOUR,
    INDEX,
    SCALE,
    BalanceRefused,
    Cap,
    Curve,
    Lending,
    Refused,
    accrued,
    borrow,
    lend,
    rate,
    repay,
    take_back,
)
from risk.collateral.limits import Refusal, TiersRise, tiers_of, wrong_way

CURVE = Curve(base=5_000_000, kink=800_000_000, slope=40_000_000, steep=1_000_000_000, reserve=100_000_000)
""".5 %, + 4 % to 80 % used, + 100 % to all of it; a tenth is the house's"""
WIDE = Cap(10**30, 10**30)
TIERS = tiers_of([(Fraction(100), Fraction(1)), (Fraction(100), Fraction(1, 2))])
AMOUNTS = st.integers(0, 1_000).map(Fraction)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (100, 100), (150, 125), (200, 150), (1_000, 150)], ids=lambda n: str(n)
)
def test_what_counts_above_a_limit_falls_by_tiers(value: int, expected: int) -> None:
    assert limits.counted(Fraction(value), TIERS) == expected


def test_the_houses_limit_is_shared_by_size() -> None:
    """50 of the 200 that all hold, of which 150 count: 37.5. What the market says is never less than one's own."""
    assert limits.counted_of_house(Fraction(50), Fraction(200), TIERS) == Fraction(75, 2)
    assert limits.counted_of_house(Fraction(150), Fraction(0), TIERS) == 125
    assert limits.counted_of_house(Fraction(50), Fraction(10**6), ()) == 50


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_more_of_an_asset_never_counts_less_and_others_holdings_never_add(
    own: Fraction, more: Fraction, others: Fraction
) -> None:
    assert limits.counted(own + more, TIERS) >= limits.counted(own, TIERS)
    here = limits.counted_of_house(own, own + others, TIERS)
    assert limits.counted_of_house(own + more, own + more + others, TIERS) >= here
    assert limits.counted_of_house(own, own + others + more, TIERS) <= here <= own


@pytest.mark.parametrize("rows", [[(0, 1)], [(1, 2)], [(1, -1)], [(1, "1/2"), (1, 1)]])
def test_tiers_that_rise_are_named(rows: list[tuple[object, object]]) -> None:
    with pytest.raises(TiersRise):
        tiers_of([(Fraction(str(size)), Fraction(str(part))) for size, part in rows])


@pytest.mark.parametrize(
    ("issuer", "lean", "correlation", "expected"),
    [
        ("ACME", 0.0, 0.0, Refusal.OWN_TOKEN),
        ("", 0.0, 0.9, None),
        ("other", 1e6, 0.9, Refusal.FALLS_WITH_THE_BOOK),
        ("", 1e6, 0.7, None),
        ("", 1e6, -0.9, None),
        ("", -1e6, 0.9, None),
        ("", -1e6, -0.9, Refusal.FALLS_WITH_THE_BOOK),
    ],
)
def test_wrong_way_collateral_is_refused_by_name(
    issuer: str, lean: float, correlation: float, expected: Refusal | None
) -> None:
    assert wrong_way(issuer, "ACME", {"BTC": lean}, {"BTC": correlation}, 0.7) == expected


def test_an_account_without_an_owner_has_issued_nothing() -> None:
    assert wrong_way("", "", {}, {}, 0.7) is None


def test_an_unrealised_gain_by_hand() -> None:
    assert gains.counted(1_001, 9_000) == 900
    assert gains.counted(-1_001, 9_000) == -1_001
    assert gains.not_counted(Fraction(1_000), Fraction(9, 10)) == 100
    assert gains.not_counted(Fraction(-1_000), Fraction(9, 10)) == 0
    # equity of 500 of which 300 is gain, 100 required: 100 may leave, and no more than the cash
    assert gains.withdrawable(10**6, 500, 300, 100) == 100
    assert gains.withdrawable(40, 500, 300, 100) == 40
    assert gains.withdrawable(10**6, 500, -300, 100) == 400
    assert gains.withdrawable(10**6, 500, 450, 100) == 0


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_gain_not_paid_never_leaves(equity: int, gain: int, initial: int) -> None:
    assert gains.withdrawable(10**15, equity + gain, gain, initial) == gains.withdrawable(10**15, equity, 0, initial)


@pytest.mark.parametrize(
    ("lent", "supplied", "expected"),
    [
        (0, 0, 5_000_000),
        (0, 100, 5_000_000),
        (40, 100, 25_000_000),
        (80, 100, 45_000_000),
        (90, 100, 545_000_000),
        (100, 100, 1_045_000_000),
        (120, 100, 1_045_000_000),
        (1, 0, 1_045_000_000),
    ],
)
def test_the_rate_by_utilisation(lent: int, supplied: int, expected: int) -> None:
    assert rate(CURVE, lent, supplied) == expected


def test_an_hours_interest_by_hand() -> None:
    """40 % used: 2.5 % a year of 4 x 10^11 over 8,760 hours is 1,141,552.5, rounded up; lenders get nine tenths."""
    pool = borrow(lend(Lending(0), 1, 10**12), 2, 4 * 10**11, WIDE)
    told = accrued(pool, CURVE, HOUR)
    assert told.owed(2) - 4 * 10**11 == 1_141_553
    assert told.owned(1) - 10**12 == 1_027_397
    assert told.reserve == 1_141_553 - 1_027_397


def test_looking_often_changes_nothing() -> None:
    pool = borrow(lend(Lending(0), 1, 10**12), 2, 9 * 10**11, WIDE)
    often = pool
    for minute in range(0, 24 * 60 * 3, 7):
        often = accrued(often, CURVE, minute * HOUR // 60)
    assert accrued(often, CURVE, 72 * HOUR) == accrued(pool, CURVE, 72 * HOUR)
    assert accrued(pool, CURVE, -HOUR) == pool


@dataclass
class _Paid:
    """What each side put in and took out."""

    interest: int = 0
    earned: int = 0


def _surplus(pool: Lending) -> Fraction:
    """The reserve before any rounding."""
    owed, owned = sum(pool.debts.values()) * pool.debt_index, sum(pool.supplies.values()) * pool.supply_index
    return pool.cash + Fraction(owed - owned, INDEX)


STEPS = st.lists(
    st.tuples(st.sampled_from(("lend", "take", "borrow", "repay", "wait")), st.integers(1, 4), st.integers(1, 10**7)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_interest_paid_is_interest_earned_and_the_reserve_to_the_unit(steps: list[tuple[str, int, int]]) -> None:
    """Any order of movements and waits; at the end everybody settles whole."""
    pool, paid = lend(Lending(0), 9, 10**7), _Paid(earned=-(10**7))
    for what, account, amount in steps:
        before = _surplus(pool)
        if what == "wait":
            pool = accrued(pool, CURVE, pool.time + (amount % 200) * HOUR)
        elif what == "lend":
            pool, paid.earned = lend(pool, account, amount), paid.earned - amount
        elif what == "take" and (most := min(amount, pool.owned(account), pool.cash)) > 0:
            pool, paid.earned = take_back(pool, account, most), paid.earned + most
        elif what == "borrow" and (most := min(amount, pool.cash)) > 0:
            pool, paid.interest = borrow(pool, account, most, WIDE), paid.interest - most
        elif what == "repay" and (most := min(amount, pool.owed(account))) > 0:
            pool, paid.interest = repay(pool, account, most), paid.interest + most
        # what is nobody's never shrinks, but for what a later hour takes of an earlier rounding
        assert _surplus(pool) >= before
        assert pool.reserve >= _surplus(pool) >= 0
    for account in list(pool.debts):
        if owed := pool.owed(account):
            pool, paid.interest = repay(pool, account, owed), paid.interest + owed
    for account in list(pool.supplies):
        if owned := pool.owned(account):
            pool, paid.earned = take_back(pool, account, owned), paid.earned + owned
    assert paid.interest == paid.earned + pool.reserve
    assert pool.cash == pool.reserve


def test_a_year_does_not_drift() -> None:
    """8,760 hours at a rate that stays: the product of the hours, to the unit."""
    flat = Curve(base=50_000_000, kink=SCALE // 2, slope=0, steep=0, reserve=0)
    pool = borrow(lend(Lending(0), 1, 10**15), 2, 10**15, WIDE)
    told = accrued(pool, flat, 8_760 * HOUR)
    exact = 10**15 * (1 + Fraction(5, 100 * 8_760)) ** 8_760
    assert 0 <= told.owed(2) - exact < 2
    assert 0 <= exact - told.owned(1) < 2
    assert told.debt_index > INDEX


@pytest.mark.parametrize(
    ("why", "what"),
    [
        (Refused.ACCOUNT_CAP, lambda pool: borrow(pool, 2, 51, Cap(100, 1_000))),
        (Refused.WHOLE_CAP, lambda pool: borrow(pool, 3, 51, Cap(100, 100))),
        (Refused.NOT_LENT, lambda pool: borrow(pool, 2, 951, WIDE)),
        (Refused.NOT_LENT, lambda pool: take_back(pool, 1, 951)),
        (Refused.NOT_OWNED, lambda pool: take_back(pool, 1, 1_001)),
        (Refused.NOT_OWED, lambda pool: repay(pool, 2, 51)),
        (Refused.NO_AMOUNT, lambda pool: repay(pool, 2, 0)),
    ],
)
def test_movements_past_the_caps_are_refused_by_name(why: Refused, what) -> None:  # type: ignore[no-untyped-def]
    pool = borrow(lend(Lending(0), 1, 1_000), 2, 50, WIDE)
    with pytest.raises(BalanceRefused) as caught:
        what(pool)
    assert caught.value.why == why
