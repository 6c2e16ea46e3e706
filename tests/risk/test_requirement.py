"""The margin kernel against the breakdown, and both against every subset of fills."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from portfolios import (
    FINE,
    Account,
    Asset,
    Instrument,
    Order,
    Position,
    Rules,
    holdings_of,
    margin_of,
    margins_of,
    market_of,
    profiles_of,
    seeded,
)

from risk.breakdown import breakdown, requirement_of_subset
from risk.credit import proportion
from risk.profile import Netting
from risk.requirement import UNPAYABLE, margin_accounts, scratch
from risk.tables import Holdings, Margins, Market, Profiles, margins
from schemas.kinds import Kind, Payoff, Reason, Style

UNDERLYINGS = 3
ASSETS = 3
SMALL = st.integers(-50, 50)
TINY = st.integers(-1, 1)
"""losses so small that scenarios tie and other charges decide"""
Portfolio = tuple[Holdings, Market, Profiles]


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    kind = draw(st.sampled_from(Kind))
    payoff = Payoff.LINEAR if kind == Kind.SPOT else draw(st.sampled_from(Payoff))
    style = draw(st.sampled_from(Style)) if kind == Kind.OPTION else Style.FUTURES
    return Instrument(
        kind=kind,
        payoff=payoff,
        style=style,
        underlying=draw(st.integers(0, UNDERLYINGS - 1)),
        settlement=draw(st.integers(0, ASSETS - 1)),
        base=draw(st.integers(0, ASSETS - 1)),
        bucket=draw(st.integers(0, 3)),
        tick_value=draw(st.integers(1, 1000)),
        contract_value=draw(st.integers(1, 10**12)),
        lot_size=draw(st.integers(1, 10**6)),
        mark=draw(st.integers(1, 10**7)),
        marked=draw(st.integers(0, 19)) > 0,
        delta=draw(st.one_of(SMALL, st.integers(-(10**14), 10**14))),
        notional=draw(st.integers(0, 10**11)),
        funding=draw(st.integers(-(10**12), 10**12)),
    )


@st.composite
def rules(draw: st.DrawFn, count: int) -> Rules:
    width = draw(st.integers(0, 20)) if draw(st.booleans()) else draw(st.integers(0, 3))
    loss = draw(st.sampled_from([TINY, SMALL, st.integers(-(10**14), 10**14)]))
    rows = [
        draw(st.lists(loss, min_size=width, max_size=width)) if width and draw(st.integers(0, 19)) else None
        for _ in range(count)
    ]
    points = st.integers(0, 10_000)
    columns = [draw(st.lists(points, min_size=UNDERLYINGS, max_size=UNDERLYINGS)) for _ in range(3)]
    pairs = [pair for pair in combinations(range(UNDERLYINGS), 2) if draw(st.booleans())]
    return Rules(
        rows=rows,
        netting=draw(st.sampled_from(Netting)),
        gain=draw(st.sampled_from([0, 5_000, 10_000])),
        initial=draw(st.integers(10_000, 30_000)),
        buffer=draw(points),
        scan=columns[0],
        basis=columns[1] if draw(st.booleans()) else [0] * UNDERLYINGS,
        short_option=columns[2] if draw(st.booleans()) else [0] * UNDERLYINGS,
        credits=[(a, b, draw(points)) for a, b in draw(st.permutations(pairs))],
    )


@st.composite
def accounts(draw: st.DrawFn, count: int, profiles: int, orders: int) -> Account:
    lots = draw(st.sampled_from([TINY, SMALL, st.integers(-100_000, 100_000)]))
    numbers = st.integers(0, count - 1)
    return Account(
        positions=[
            Position(number, draw(lots), draw(st.integers(-(10**12), 10**12)), draw(st.integers(-(10**12), 10**12)))
            for number in draw(st.lists(numbers, max_size=count, unique=True))
        ],
        balances=[draw(st.one_of(SMALL, st.integers(-(10**13), 10**13))) for _ in range(ASSETS)],
        orders=[
            Order(number, draw(lots), draw(st.integers(1, 10**7)))
            for number in draw(st.lists(numbers, max_size=orders))
        ],
        fees_due=draw(st.integers(0, 10**9)),
        profile=draw(st.integers(0, profiles - 1)),
    )


@st.composite
def portfolios(draw: st.DrawFn, orders: int = 4) -> Portfolio:
    listed = draw(st.lists(instruments(), min_size=1, max_size=6))
    spots = [number for number, instrument in enumerate(listed) if instrument.kind == Kind.SPOT]
    assets = [Asset()] + [
        Asset(
            price=draw(st.integers(1, 10**11)),
            scale=10 ** draw(st.integers(0, 8)),
            haircut=draw(st.integers(0, 10_000)),
            spot=draw(st.sampled_from([-1, *spots])),
        )
        for _ in range(ASSETS - 1)
    ]
    profiles = draw(st.lists(rules(len(listed)), min_size=1, max_size=2))
    held = draw(st.lists(accounts(len(listed), len(profiles), orders), min_size=1, max_size=3))
    return holdings_of(held, ASSETS), market_of(listed, assets), profiles_of(profiles)


def assert_same(out: Margins, holdings: Holdings, market: Market, profiles: Profiles) -> None:
    for account in range(len(holdings.start)):
        expected = breakdown(account, holdings, market, profiles)
        for name, column in out._asdict().items():
            assert int(column[account]) == int(getattr(expected, name)), (account, name, expected)


@settings(max_examples=600, deadline=None)
@given(portfolios())
def test_kernel_and_breakdown_agree(portfolio: Portfolio) -> None:
    holdings, market, profiles = portfolio
    assert_same(margins_of(holdings, market, profiles), holdings, market, profiles)


@settings(max_examples=300, deadline=None)
@given(portfolios(orders=5))
def test_no_subset_of_fills_needs_more_than_the_bound(portfolio: Portfolio) -> None:
    holdings, market, profiles = portfolio
    for account in range(len(holdings.start)):
        parts = breakdown(account, holdings, market, profiles)
        bound = -(-parts.required_with_orders.total // 1024)
        places = range(len(parts.orders))
        subsets = [subset for size in range(len(places) + 1) for subset in combinations(places, size)]
        needs = [requirement_of_subset(account, subset, holdings, market, profiles) for subset in subsets]
        assert max(needs) <= bound
        rule = int(holdings.profile[account])
        if not profiles.basis[rule].any() and not profiles.credit_count[rule]:
            assert max(needs) == bound


@given(st.integers(1, 2**62 - 1), st.data())
def test_proportion_is_exact(whole: int, data: st.DataObject) -> None:
    part = data.draw(st.integers(0, whole))
    amount = data.draw(st.integers(0, 2**62 - 1))
    assert proportion(amount, part, whole) == amount * part // whole


def digest(seed: int) -> str:
    out = margins_of(*seeded(seed, 300))
    return hashlib.sha256(b"".join(column.tobytes() for column in out)).hexdigest()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kernel_and_breakdown_agree_on_large_portfolios(seed: int) -> None:
    holdings, market, profiles = seeded(seed, 120)
    out = margins_of(holdings, market, profiles)
    assert set(out.status) == {Reason.NONE}
    assert len(set(out.worst)) > 10
    assert_same(out, holdings, market, profiles)


def test_a_plain_processor_gives_the_same_bytes() -> None:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent.parent), str(here.parent), str(here)])
    generic = subprocess.run(
        [sys.executable, "-c", "import test_requirement; print(test_requirement.digest(7))"],
        env={**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert generic.stdout.strip() == digest(7)


def test_slices_in_any_order_give_the_same_figures() -> None:
    holdings, market, profiles = seeded(4, 100)
    whole, cut = margins_of(holdings, market, profiles), margins(100)
    room = scratch(len(market.kind), int(holdings.order_count.max()))
    for part in np.array_split(np.random.default_rng(1).permutation(100), 7):
        margin_accounts(part, holdings, market, profiles, room, cut)
    for one, other in zip(whole, cut, strict=True):
        assert one.tobytes() == other.tobytes()
    assert (room.group == -1).all()
    assert not room.sold.any()
    assert not room.cells.any()


def test_only_the_accounts_asked_for_are_written() -> None:
    holdings, market, profiles = seeded(5, 10)
    out = margins(10)
    out.equity[:] = -7
    margin_accounts(np.array([3, 8]), holdings, market, profiles, scratch(len(market.kind), 9), out)
    assert (np.delete(out.equity, [3, 8]) == -7).all()
    assert (out.equity[[3, 8]] != -7).all()


ROW = Rules([[5 * FINE, -5 * FINE]], buffer=0)
FUTURE = Instrument(kind=Kind.FUTURE, mark=100, delta=FINE)


def test_exposure_past_its_bound_is_refused_by_name_and_in_breach() -> None:
    lots = 2**62 // (5 * FINE) + 1
    whole = margin_of(Account([Position(0, lots - 1)], [10**15]), market_of([FUTURE]), ROW)
    assert whole["status"] == Reason.NONE
    assert whole["maintenance"] == (lots - 1) * 5_000_000
    past = margin_of(Account([Position(0, lots)], [10**18]), market_of([FUTURE]), ROW)
    assert past["status"] == Reason.RISK_BOUND_EXCEEDED
    assert past["maintenance"] == past["initial"] == UNPAYABLE
    assert past["equity"] <= 0


@pytest.mark.parametrize(
    "account",
    [
        Account([Position(0, 2**30)], [0]),
        Account([Position(0, 1, -(2**61))], [-(2**61)]),
        Account([Position(0, 1)], [2**61]),
    ],
)
def test_equity_past_its_bound_is_refused_by_name(account: Account) -> None:
    out = margin_of(account, market_of([replace(FUTURE, mark=2**30, tick_value=4)]), ROW)
    assert out["status"] == Reason.RISK_BOUND_EXCEEDED
    assert out["equity"] <= 0 < out["maintenance"]


def test_an_order_that_cannot_be_valued_bars_only_what_opens_risk() -> None:
    account = Account([Position(0, 1)], [100_000_000], [Order(1, 1, 100)])
    out = margin_of(account, market_of([FUTURE, FUTURE]), Rules([[5 * FINE], None], buffer=0))
    assert (out["status"], out["maintenance"], out["initial"]) == (Reason.NONE, 5_000_000, UNPAYABLE)


def test_more_orders_than_the_scratch_has_room_for_are_unpayable() -> None:
    holdings = holdings_of([Account(orders=[Order(0, 1, 100)] * 3)])
    out = margins(1)
    margin_accounts(np.array([0]), holdings, market_of([FUTURE]), profiles_of([ROW]), scratch(1, 2), out)
    assert out.initial[0] == UNPAYABLE


def test_without_a_risk_array_a_position_is_named() -> None:
    account = Account([Position(0, 1)], [100_000_000])
    out = margin_of(account, market_of([FUTURE]), Rules([None]))
    assert (out["status"], out["maintenance"]) == (Reason.NO_RISK_ARRAY, 0)
    assert margin_of(Account((), [1]), market_of([FUTURE]), Rules([None]))["status"] == Reason.NONE
