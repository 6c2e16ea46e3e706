"""Pacing: the part of a wanted flow that a round's volume allows; what the desk lets be on offer at a mark."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liquidation.impact import Decay, Impact, Liquidity, moves
from liquidation.pacing import ALL_AT_ONCE, BadPace, Pace, allowed, ordered, paced, paced_whole, proposed, room
from liquidation.plan import Sale
from schemas.limits import MICRO
from schemas.outcomes import LiquidationDue


@pytest.mark.parametrize(
    ("participation", "flow", "part"),
    [
        (0.1, -50.0, 1.0),
        (0.1, -100.0, 1.0),
        (0.1, -400.0, 0.25),
        (0.1, 400.0, 0.25),
        (0.1, 0.0, 1.0),
        (2.0, 400.0, 1.0),
    ],
)
def test_a_round_sells_its_part_of_volume(participation: float, flow: float, part: float) -> None:
    assert allowed(Pace("a", participation), np.array([flow]), np.array([1_000.0])).tolist() == [part]


def test_all_at_once_knows_no_limit() -> None:
    assert allowed(ALL_AT_ONCE, np.array([-1e18, 0.0]), np.array([1.0, 1.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("participation", [0.0, -1.0, float("nan")])
def test_a_pace_that_sells_nothing_is_refused(participation: float) -> None:
    with pytest.raises(BadPace):
        allowed(Pace("never", participation), np.array([1.0]), np.array([1.0]))


# --- the desk's ------------------------------------------------------------------------------------------------------

BTC_PERP, BTC_FUTURE, ETH_PERP = 1, 2, 3
BTC, ETH = 0, 1


class View:
    """A lot of BTC is worth 10, one of ETH 3."""

    def __init__(self, **limits: int) -> None:
        self.limits = {{"btc": BTC, "eth": ETH}[name]: limit for name, limit in limits.items()}

    def pacing(self) -> dict[int, int]:
        return self.limits

    def underlying(self, instrument: int) -> int:
        return ETH if instrument == ETH_PERP else BTC

    def value(self, instrument: int, quantity: int) -> int:
        return abs(quantity) * (3 if instrument == ETH_PERP else 10)


def offered(view: View, plans: list[tuple[int, dict[int, int]]], running: dict[int, int]) -> list[dict[int, int]]:
    seen = cast("Any", view)
    free = room(running.items(), seen)
    told = [paced([Sale(i, lots) for i, lots in plan.items()], equity, free, seen) for equity, plan in plans]
    return [{sale.instrument: sale.quantity for sale in one} for one in told]


@pytest.mark.parametrize(
    ("limits", "running", "plans", "now"),
    [
        # (equity, plan) of each account in the order they are served -> what each offers
        pytest.param({}, {}, [(5, {1: -100})], [{1: -100}], id="no limit"),
        pytest.param({"btc": 500}, {}, [(5, {1: -100})], [{1: -50}], id="half"),
        pytest.param({"btc": 505}, {}, [(5, {1: -100})], [{1: -51}], id="lots are rounded up"),
        pytest.param({"btc": 1}, {}, [(5, {1: -100})], [{1: -1}], id="at least a lot"),
        pytest.param({"btc": 500}, {2: 30}, [(5, {1: -100})], [{1: -20}], id="less what is on offer"),
        pytest.param({"btc": 500}, {2: 70}, [(5, {1: -100})], [{}], id="no room: it waits"),
        pytest.param({"btc": 500}, {}, [(5, {1: -40}), (5, {1: 40})], [{1: -40}, {1: 10}], id="the first is served"),
        pytest.param({"btc": 500}, {}, [(5, {1: -100, 2: 50})], [{1: -34, 2: 17}], id="both legs by one part"),
        pytest.param({"eth": 30}, {}, [(5, {1: -100, 3: 20})], [{1: -50, 3: 10}], id="and legs without a limit too"),
        pytest.param({"btc": 500, "eth": 6}, {}, [(5, {1: -100, 3: 20})], [{1: -10, 3: 2}], id="the least part"),
        pytest.param({"btc": 500}, {}, [(5, {3: -100})], [{3: -100}], id="another underlying"),
        pytest.param({"btc": 500}, {2: 70}, [(0, {1: -100})], [{1: -100}], id="equity gone: never delayed"),
        pytest.param({"btc": 500}, {}, [(-1, {1: -40}), (5, {1: -40})], [{1: -40}, {1: -10}], id="it takes room"),
        pytest.param({"btc": 500}, {}, [(5, {})], [{}], id="nothing planned"),
    ],
)
def test_what_is_offered_at_a_mark(
    limits: dict[str, int],
    running: dict[int, int],
    plans: list[tuple[int, dict[int, int]]],
    now: list[dict[int, int]],
) -> None:
    assert offered(View(**limits), plans, running) == now


@pytest.mark.parametrize(
    ("limits", "running", "portfolios", "go", "left"),
    [
        # (equity, portfolio) of each account in the order they are served -> whether it goes, and the room that is left
        pytest.param({}, {}, [(5, {1: -99})], [True], {}, id="no limit"),
        pytest.param({"btc": 500}, {}, [(5, {1: -30, 2: 20})], [True], {BTC: 0}, id="both legs fill it"),
        pytest.param({"btc": 500}, {3: 9}, [(5, {1: -31, 3: 20})], [True], {BTC: 190}, id="one leg has no limit"),
        pytest.param({"btc": 500}, {2: 1}, [(5, {1: -30, 2: 20})], [False], {BTC: 0}, id="too much: it waits, uncut"),
        pytest.param({"btc": 500, "eth": 60}, {3: 1}, [(5, {1: -9, 3: 20})], [False], {BTC: 0, ETH: 0}, id="one lacks"),
        pytest.param({"btc": 500}, {}, [(5, {1: -99, 3: 2})], [True], {BTC: -490}, id="larger than the limit, alone"),
        pytest.param({"btc": 500}, {2: 1}, [(5, {1: -99, 3: 2})], [False], {BTC: 0}, id="larger, and not alone"),
        pytest.param({"btc": 500}, {2: 1}, [(0, {1: -99, 3: 2})], [True], {BTC: -500}, id="equity gone: never delayed"),
        pytest.param(
            {"btc": 500},
            {2: 1},
            [(5, {1: -50, 3: 2}), (6, {1: -9, 3: 2})],
            [False, False],
            {BTC: 0},
            id="none passes it",
        ),
        pytest.param(
            {"btc": 500}, {2: 1}, [(5, {1: -50, 3: 2}), (6, {3: -9, 4: 2})], [False, False], {BTC: 0}, id="by any leg"
        ),
        pytest.param(
            {"btc": 500}, {2: 99}, [(5, {1: -9, 3: 2})], [False], {BTC: -490}, id="what is over the limit stays over it"
        ),
        pytest.param(
            {"btc": 500}, {}, [(5, {1: -30, 3: 2}), (6, {1: -20, 3: 2})], [True, True], {BTC: 0}, id="two side by side"
        ),
    ],
)
def test_a_whole_portfolio_goes_or_waits(
    limits: dict[str, int],
    running: dict[int, int],
    portfolios: list[tuple[int, dict[int, int]]],
    go: list[bool],
    left: dict[int, int],
) -> None:
    seen = cast("Any", View(**limits))
    free = room(running.items(), seen)
    assert [paced_whole(lots, equity, free, seen) for equity, lots in portfolios] == go
    assert free == left


LOTS = st.integers(-(10**6), 10**6).filter(bool)
PLANS = st.lists(st.tuples(st.integers(-5, 5), st.dictionaries(st.integers(1, 3), LOTS)), max_size=6)


@given(PLANS, st.integers(1, 10**7), st.integers(1, 10**7))
def test_no_more_than_the_limit_and_a_lot_a_leg_and_never_nothing(
    plans: list[tuple[int, dict[int, int]]], btc: int, eth: int
) -> None:
    plans.sort(key=lambda one: one[0])
    view = View(btc=btc, eth=eth)
    told = offered(view, plans, {})
    for underlying, limit, lot in ((BTC, btc, 20), (ETH, eth, 3)):
        on_offer = sum(
            view.value(i, lots)
            for (equity, _), one in zip(plans, told, strict=True)
            for i, lots in one.items()
            if view.underlying(i) == underlying and equity > 0
        )
        assert on_offer < limit + lot * len(plans)
    for (equity, wanted), one in zip(plans, told, strict=True):
        assert equity > 0 or one == wanted
        assert all(0 < lots / wanted[i] <= 1 for i, lots in one.items()) and set(one) in (set(), set(wanted))
    assert any(told) or not any(wanted for _, wanted in plans)


def test_the_order_is_total() -> None:
    """The least equity for its initial margin first, then the lower number; equity that is gone before all."""
    rows = {20: (50, 100), 19: (5, 10), 18: (49, 100), 17: (-1, 1_000), 16: (-1, 10), 21: (0, 0), 22: (-9, 0)}
    due = {
        account: LiquidationDue(
            index=0, account=account, mark=1, equity=equity, maintenance=0, buffer=0, initial=initial
        )
        for account, (equity, initial) in rows.items()
    }
    assert [one.account for one in ordered(due)] == [22, 16, 17, 21, 18, 19, 20]
    assert ordered(dict(reversed(due.items()))) == ordered(due)


def test_a_limit_proposed_from_a_move_makes_no_larger_one() -> None:
    impact = Impact(scale=1.5, decay=Decay.NONE)
    liquidity = Liquidity(np.array([0.05, 0.1]), np.array([1e9, 2e7]), np.eye(2))
    limits = proposed(impact, liquidity, 0.01)
    sold = -np.array(limits) / MICRO
    made = -moves(impact, liquidity, sold)
    assert made == pytest.approx([0.01, 0.01], rel=1e-4) and (made <= 0.01).all()
    assert proposed(impact, liquidity, 1e-9) == [MICRO, MICRO]
