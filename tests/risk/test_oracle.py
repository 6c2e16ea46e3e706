"""The oracle's guard, one line one case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.oracle import Bounds, Good, Tick, guard
from schemas.kinds import Reason

SECOND = 1_000_000
BOUNDS = Bounds(lowest=10, highest=1_000_000, max_deviation=500, max_age=60 * SECOND)
LAST = Good(price=100_000, time=1_000 * SECOND)


def judged(last=LAST, price=100_000, bid=None, ask=None, at=1_001, now=1_002, bounds=BOUNDS):
    tick = Tick(price, price if bid is None else bid, price if ask is None else ask, int(at * SECOND))
    return guard(last, tick, bounds, int(now * SECOND))


CASES = [
    ("the same price later", {}, Reason.NONE),
    ("the first price of all", {"last": None, "price": 900_000}, Reason.NONE),
    ("a price between its quotes", {"bid": 99_999, "ask": 100_001}, Reason.NONE),
    ("a tick from after the fold's time", {"at": 1_010, "now": 1_002}, Reason.NONE),
    ("the last one's time again", {"at": 1_000}, Reason.ORACLE_LATE),
    ("before the last one's time", {"at": 999}, Reason.ORACLE_LATE),
    ("one microsecond after it", {"at": 1_000.000001}, Reason.NONE),
    ("as old as may be", {"now": 1_061}, Reason.NONE),
    ("a microsecond older", {"now": 1_061.000001}, Reason.ORACLE_STALE),
    ("stale and the first of all", {"last": None, "now": 1_062}, Reason.ORACLE_STALE),
    ("bid above ask", {"bid": 100_001, "ask": 99_999}, Reason.ORACLE_CROSSED),
    ("below its bid", {"bid": 100_001, "ask": 100_002}, Reason.ORACLE_CROSSED),
    ("above its ask", {"bid": 99_000, "ask": 99_999}, Reason.ORACLE_CROSSED),
    ("on the lowest bound", {"last": None, "price": 10}, Reason.NONE),
    ("below it", {"last": None, "price": 9}, Reason.ORACLE_OUT_OF_BOUNDS),
    ("zero", {"price": 0}, Reason.ORACLE_OUT_OF_BOUNDS),
    ("negative", {"last": None, "price": -10}, Reason.ORACLE_OUT_OF_BOUNDS),
    ("on the highest bound", {"last": None, "price": 1_000_000}, Reason.NONE),
    ("above it", {"last": None, "price": 1_000_001}, Reason.ORACLE_OUT_OF_BOUNDS),
    ("five per cent up", {"price": 105_000}, Reason.NONE),
    ("a micro-dollar more", {"price": 105_001}, Reason.ORACLE_OUTLYING),
    ("five per cent down", {"price": 95_000}, Reason.NONE),
    ("a micro-dollar less", {"price": 94_999}, Reason.ORACLE_OUTLYING),
    ("any move from a price gone stale", {"price": 300_000, "at": 1_060.000001, "now": 1_061}, Reason.NONE),
    ("a jump while the last one is fresh", {"price": 300_000, "at": 1_060, "now": 1_061}, Reason.ORACLE_OUTLYING),
    ("late comes before stale", {"at": 900, "now": 2_000}, Reason.ORACLE_LATE),
    ("stale comes before crossed", {"now": 2_000, "bid": 2, "ask": 1}, Reason.ORACLE_STALE),
    ("crossed comes before out of bounds", {"price": 1, "bid": 2, "ask": 1}, Reason.ORACLE_CROSSED),
    ("out of bounds comes before outlying", {"price": 2_000_000}, Reason.ORACLE_OUT_OF_BOUNDS),
]


@pytest.mark.parametrize(("change", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_guard(change, reason):
    assert judged(**change) is reason


@settings(deadline=None)
@given(prices=st.lists(st.integers(-5, 2_000_000), max_size=30), gap=st.integers(1, 90))
def test_no_believed_price_is_out_of_bounds_or_jumps_while_fresh(prices, gap):
    last = None
    for i, price in enumerate(prices):
        time = i * gap * SECOND
        if guard(last, Tick(price, price, price, time), BOUNDS, time) is Reason.NONE:
            assert BOUNDS.lowest <= price <= BOUNDS.highest
            if last is not None and time - last.time <= BOUNDS.max_age:
                assert abs(price - last.price) <= last.price * 0.05
            last = Good(price, time)
