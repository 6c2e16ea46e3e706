"""Equity has one definition and counts nothing twice: what turns one kind of wealth into another leaves it alone."""

from __future__ import annotations

import numpy as np
import pytest
from happenings import Happening, founded, happen, happenings
from hypothesis import given, settings
from hypothesis import strategies as st
from world import (
    BTC,
    CALL_BTC,
    ETH,
    EXPIRY,
    FCALL_BTC,
    FUT_BTC,
    GOV,
    HOUR,
    INV_BTC,
    ISOLATED,
    MICRO,
    PERP_BTC,
    PERP_ETH,
    PUT_BTC,
    QUANTO_ETH,
    SPOT_BTC,
    STM_BTC,
    USD,
    USDC,
    World,
)

from ledger.margining import margins_of
from ledger.state import State, holdings
from risk.breakdown import breakdown
from schemas import events as e
from schemas.chart import FIRST_ACCOUNT
from schemas.kinds import Kind, Payoff, Reason, Style
from schemas.limits import BASIS_POINTS, FUNDING_SCALE
from schemas.outcomes import PositionSettled


def equity(world: World, account: int) -> int:
    """Micro-dollars, as the kernel counts them now."""
    margin = margins_of(world.owner(account), account)
    assert margin.reason in (Reason.NONE, Reason.NO_RISK_ARRAY)
    return margin.equity


def plain_equity(state: State, account: int) -> int:
    """The third way: the definition written down once more, with nothing but Python's integers."""
    m, pool = state.market, state.pool
    gain = int(state.profiles.gain[state.accounts.profile[account]])

    def dollars(amount: int, asset: int) -> int:
        return amount * int(m.asset_price[asset]) // int(m.asset_scale[asset])

    total = -int(state.accounts.fees_due[account])
    for asset, amount in enumerate(state.balance[account].tolist()):
        value = dollars(amount, asset)
        total += value * (BASIS_POINTS - int(m.haircut[asset])) // BASIS_POINTS if value > 0 else value
    start = int(pool.start[account])
    for p in range(start, start + int(pool.count[account])):
        i, quantity, cost = int(pool.instrument[p]), int(pool.quantity[p]), int(pool.cost[p])
        listed, mark = state.facts.instruments[i], int(m.mark[i])
        if not quantity or not mark:
            continue
        if listed.payoff == Payoff.INVERSE:
            size = abs(quantity) * listed.contract_value // mark
            value = -size if quantity > 0 else size
        else:
            value = quantity * mark * listed.tick_value
        if listed.style == Style.PREMIUM:
            total += dollars(value, listed.settlement_asset)
        else:
            profit = dollars(value - cost, listed.settlement_asset)
            total += profit * gain // BASIS_POINTS if profit > 0 else profit
        if listed.kind == Kind.PERP:
            due = -quantity * (int(m.funding[i]) - int(pool.funding[p])) // FUNDING_SCALE
            total += dollars(due, listed.settlement_asset)
    return total


@given(happenings(12))
@settings(max_examples=40, deadline=None)
def test_three_ways_to_the_same_equity(course: list[Happening]) -> None:
    world = founded()
    happen(world, course)
    state = world.state
    for account in range(FIRST_ACCOUNT, 21):
        told = margins_of(state, account)
        taken = breakdown(account, holdings(state), state.market, state.profiles)
        assert told.equity == taken.equity == plain_equity(state, account)
        assert (told.maintenance, told.initial) == (taken.maintenance, taken.initial)


DOLLARS = [PERP_BTC, PERP_ETH, FUT_BTC, STM_BTC, CALL_BTC, PUT_BTC, FCALL_BTC]


@given(
    st.sampled_from(DOLLARS), st.integers(1, 200), st.integers(-400, 400), st.integers(0, 1_000), st.integers(-50, 50)
)
@settings(max_examples=60, deadline=None)
def test_a_trade_at_the_mark_costs_its_fees_alone(instrument: int, lots: int, before: int, fee: int, off: int) -> None:
    # Whatever is held before and whatever it cost: opening, adding, reducing, closing and flipping.
    world = founded()
    mark = int(world.state.market.mark[instrument])
    if before:
        world.trade(*((16, 17) if before > 0 else (17, 16)), instrument, abs(before), max(1, mark + off))
    was = [equity(world, account) for account in (16, 17)]
    world.trade(16, 17, instrument, lots, mark, buyer_fee=fee, seller_fee=-fee)
    assert [equity(world, account) for account in (16, 17)] == [was[0] - fee, was[1] + fee]


@given(st.sampled_from([INV_BTC, QUANTO_ETH]), st.integers(1, 200), st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_opening_at_the_mark_in_a_coin_costs_no_more_than_rounding(instrument: int, lots: int, more: int) -> None:
    world = World()
    world.open(16, 17)
    for account in (16, 17):
        world.deposit(account, 10**9)
    mark = int(world.state.market.mark[instrument])
    for quantity in (lots, more):
        if quantity:
            world.trade(16, 17, instrument, quantity, mark)
    # an inverse leg is rounded to a satoshi, 80 micro-dollars, each time
    assert all(abs(equity(world, account) - 10**9) <= 161 for account in (16, 17))


def _rich() -> World:
    world = World()
    world.open(16, 17)
    for account in (16, 17):
        world.deposit(account, 5_000 * MICRO)
    return world


@pytest.mark.parametrize(
    ("asset", "amount", "counts"),
    [
        (USD, 100_000_000, 100_000_000),  # 100 dollars are 100 dollars
        (USDC, 100_000_000, 98_000_000),  # 2 % off
        (USDC, 1, 0),  # 0.98 millionths, rounded down
        (BTC, 1_000_000, 76_000_000),  # 0.01 x 8,000 less 5 %
        (ETH, 100_000_000, 180_000_000),  # 1 x 200 less 10 %
        (GOV, 1_000_000_000, 10_000_000),  # 10 x 2 less 50 %
    ],
)
def test_a_deposit_counts_by_its_value_after_haircut(asset: int, amount: int, counts: int) -> None:
    world = _rich()
    world.deposit(16, amount, asset)
    assert equity(world, 16) == 5_000 * MICRO + counts


def test_selling_a_coin_at_its_mark_releases_its_haircut_and_a_debt_counts_in_full() -> None:
    world = _rich()
    world.deposit(16, 1_000_000, BTC)  # ten lots of 0.001 BTC
    assert equity(world, 16) == (5_000 + 76) * MICRO
    world.trade(17, 16, SPOT_BTC, 4, 800_000)
    # four lots: 32 dollars for what counted as 30.40
    assert equity(world, 16) == (5_000 + 76) * MICRO + 1_600_000
    # the buyer pays 32 dollars for what counts as 30.40
    assert equity(world, 17) == 5_000 * MICRO - 1_600_000
    world.trade(17, 16, SPOT_BTC, 8, 800_000)
    # six lots more release 2.40; two that it does not have are owed in full: 16 received, 16 owed
    assert equity(world, 16) == (5_000 + 80) * MICRO
    assert world.balance(16, BTC) == -200_000


def test_paying_variation_moves_no_equity() -> None:
    world = _rich()
    world.trade(16, 17, STM_BTC, 10, 800_000)
    world.mark(btc=7_000)
    before = [equity(world, account) for account in (16, 17)]
    assert before == [4_990 * MICRO, 5_010 * MICRO]  # 10 lots of 0.001 BTC, 1,000 dollars lower
    world.send(
        e.SettlementPrice(
            final=0, sources=1, underlying=0, instrument=STM_BTC, time=0, effective=world.time, expiry=EXPIRY,
            window_start=0, window_end=0, price=700_000,
        )
    )  # fmt: skip
    said = world.mark()
    assert [(one.account, one.cash) for one in said if isinstance(one, PositionSettled)] == [
        (16, -10 * MICRO), (17, 10 * MICRO),
    ]  # fmt: skip
    assert [equity(world, account) for account in (16, 17)] == before
    assert world.balance(16) == 4_990 * MICRO


def test_funding_lowers_equity_when_it_accrues_and_not_when_it_is_paid() -> None:
    world = _rich()
    world.trade(16, 17, PERP_BTC, 10, 800_000)
    world.send(e.FundingRate(instrument=PERP_BTC, time=0, effective=0, rate=1_000_000))  # 0.1 % of 80 dollars
    world.mark()
    accrued = [equity(world, account) for account in (16, 17)]
    assert accrued == [5_000 * MICRO - 80_000, 5_000 * MICRO + 80_000]
    assert world.balance(16) == 5_000 * MICRO
    world.trade(16, 17, PERP_BTC, 1, 800_000)
    assert world.balance(16) == 5_000 * MICRO - 80_000
    assert [equity(world, account) for account in (16, 17)] == accrued


def test_a_fee_lowers_equity_when_it_is_charged_and_not_when_it_is_paid() -> None:
    world = _rich()
    world.send(e.FeeCharged(account=16, time=0, effective=world.time + HOUR, amount=7))
    assert (equity(world, 16), world.balance(16)) == (5_000 * MICRO - 7, 5_000 * MICRO)
    world.mark(after=HOUR - 1)
    assert (equity(world, 16), world.balance(16)) == (5_000 * MICRO - 7, 5_000 * MICRO)
    world.mark(after=1)
    assert (equity(world, 16), world.balance(16)) == (5_000 * MICRO - 7, 5_000 * MICRO - 7)


@pytest.mark.parametrize("instrument", [CALL_BTC, FCALL_BTC, PUT_BTC])
@pytest.mark.parametrize("price", [7_000, 8_000, 9_000])
def test_exercise_turns_the_option_into_its_payoff(instrument: int, price: int) -> None:
    world = _rich()
    world.trade(16, 17, instrument, 10, 30_000)
    world.mark(btc=price, after=EXPIRY - HOUR - world.time)
    before = [equity(world, account) for account in (16, 17)]
    mark = int(world.state.market.mark[instrument])
    world.send(
        e.SettlementPrice(
            final=1, sources=1, underlying=0, instrument=0, time=0, effective=EXPIRY, expiry=EXPIRY, window_start=0,
            window_end=0, price=price * 100,
        )
    )  # fmt: skip
    world.mark(after=HOUR)
    payoff = max(0, price - 8_000 if instrument != PUT_BTC else 8_000 - price) * 100
    # what was counted at its mark is counted as its payoff: 10 lots x 10 micro-dollars a tick
    change = (payoff - mark) * 100
    assert [equity(world, account) for account in (16, 17)] == [before[0] + change, before[1] - change]
    assert world.position(16, instrument) == (0, 0)


def test_unrealised_gains_do_not_count_under_an_isolated_profile_and_losses_do() -> None:
    world = World()
    world.open(16, 17, profile=ISOLATED)
    for account in (16, 17):
        world.deposit(account, 5_000 * MICRO)
    world.trade(16, 17, PERP_BTC, 10, 800_000)
    world.mark(btc=8_500)
    # 10 lots x 50,000 ticks x 10 = 5 dollars
    assert (equity(world, 16), equity(world, 17)) == (5_000 * MICRO, 4_995 * MICRO)


def test_margins_are_known_after_each_entry() -> None:
    world = _rich()
    world.trade(16, 17, PERP_BTC, 10, 790_000)
    state = world.state
    assert int(state.margins.equity[16]) == equity(world, 16) == 5_001 * MICRO
    assert np.array_equal(state.margins.maintenance[16:18], [margins_of(state, a).maintenance for a in (16, 17)])
