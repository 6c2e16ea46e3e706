"""Haircuts, staking and pools: hand-worked figures, and what holds of any asset."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from risk.collateral import haircuts, pools, staked
from risk.collateral.haircuts import haircut, moved, off_peg, sold, together
from risk.collateral.staked import Bond
from risk.liquidity import Unusable

VOLATILITIES = st.floats(0.0, 5.0)
DAYS = st.floats(0.0, 400.0)
SIZES = st.floats(0.0, 1e12)
MOVES = st.floats(-1.0, 10.0)
PARTS = st.floats(0.0, 1.0)


def test_a_haircut_by_hand() -> None:
    """Volatility 73 %, 2.33 deviations, 10 days: 1 - exp(-2.33 x .73 x root(10 / 365)) =
    24.53 %; selling a quarter of the depth costs 1 % of the rest: 25.29 %, rounded up."""
    market = 1 - math.exp(-2.33 * 0.73 * math.sqrt(10 / 365))
    assert moved(0.73, 10, 2.33) == pytest.approx(market)
    assert haircut(0.73, 10, 2.33, 25e6, 100e6, 0.02) == math.ceil(1e4 * (1 - (1 - market) * 0.99))
    assert haircut(0.73, 10, 2.33, 25e6, 100e6, 0.02) == 2_530
    assert haircut(0.0, 10, 2.33, 0.0, 100e6, 0.02) == 0


@given(VOLATILITIES, DAYS, SIZES, VOLATILITIES, DAYS, SIZES)
def test_a_haircut_rises_with_volatility_window_and_size(
    volatility: float, days: float, size: float, wilder: float, longer: float, larger: float
) -> None:
    def told(*at: float) -> int:
        return haircut(at[0], at[1], 2.0, at[2], 1e8, 0.02)

    here = told(volatility, days, size)
    assert 0 <= here <= 10_000
    assert told(volatility + wilder, days, size) >= here
    assert told(volatility, days + longer, size) >= here
    assert told(volatility, days, size + larger) >= here


@given(st.floats(1.0, 1e12), st.floats(1.0, 1e12), st.floats(0.1, 2.0))
def test_more_of_an_asset_never_brings_in_less(size: float, more: float, power: float) -> None:
    def proceeds(dollars: float) -> float:
        return dollars * (1 - sold(dollars, 1e6, 0.5, power))

    assert proceeds(size + more) >= proceeds(size) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (1.0, 0.0),
        (0.995, 0.0),
        # .97: two points below .99 of the peg, twice
        (0.97, 0.04),
        (0.5, 0.98),
        (0.4, 1.0),
        # above the peg only the peg counts
        (1.25, 0.2),
    ],
)
def test_off_the_peg_by_hand(price: float, expected: float) -> None:
    assert off_peg(price, 1.0, 0.99, 2.0) == pytest.approx(expected)


@given(st.floats(0.01, 3.0), st.floats(0.0, 3.0))
def test_a_stable_coin_never_counts_above_its_peg_nor_less_at_a_higher_price(price: float, more: float) -> None:
    def counts(at: float) -> float:
        return at * (1 - off_peg(at, 1.0, 0.99, 2.0))

    assert counts(price) <= 1.0 + 1e-12
    assert counts(price + more) >= counts(price) - 1e-12


def test_unbonding_by_hand() -> None:
    """21 days at 5 % a year and volatility .8, two deviations past a window of a day, 1 % lost by leaving."""
    bond = Bond(21, 0.01, 0.05)
    expected = 1 - 0.99 * math.exp(-0.05 * 21 / 365) * math.exp(-1.6 * (math.sqrt(22 / 365) - math.sqrt(1 / 365)))
    assert staked.unbonding(bond, 0.8, 1, 2) == pytest.approx(expected)
    assert expected == pytest.approx(0.2753, abs=1e-4)
    assert staked.unbonding(Bond(0), 0.8, 1, 2) == 0.0


@given(DAYS, DAYS, PARTS, VOLATILITIES)
def test_waiting_longer_never_costs_less(days: float, more: float, penalty: float, volatility: float) -> None:
    here = staked.unbonding(Bond(days, penalty, 0.05), volatility, 1, 2)
    assert penalty - 1e-12 <= here <= 1
    assert staked.unbonding(Bond(days + more, penalty, 0.05), volatility, 1, 2) >= here - 1e-12


def test_interest_counts_as_far_as_the_index_was_recorded() -> None:
    assert staked.redeemable(1_000_001, 1_050_000_000_000_000_000) == 1_050_001
    with pytest.raises(Unusable):
        staked.redeemable(1, staked.INDEX - 1)


def test_a_pool_by_hand() -> None:
    """100 coins and 10 million dollars, 1,000 tokens, at 100,000: 2 root(10^9 x 10^5) / 1,000 = 20,000. Pushing the
    pool to 50 coins and 20 million changes nothing. At four times the price: twice as much, where holding makes 2.5."""
    pool = pools.Pool(100, 10e6, 1_000)
    assert pools.value(pool, 100_000) == pytest.approx(20_000)
    assert pools.value(pools.Pool(50, 20e6, 1_000), 100_000) == pytest.approx(20_000)
    assert pools.value(pool, 400_000) == pytest.approx(40_000)
    assert pools.gain(3.0) == pytest.approx(1.0)
    assert pools.impermanent_loss(3.0) == pytest.approx(0.5)
    assert pools.impermanent_loss(-1.0) == pytest.approx(0.5)


@given(MOVES)
def test_a_pool_never_gains_more_than_holding(move: float) -> None:
    assert pools.impermanent_loss(move) >= -1e-12
    assert pools.gain(move) >= -1.0


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.floats(0.01, 100))
def test_a_pool_is_never_worth_more_than_its_coins(base: float, other: float, price: float) -> None:
    assume(base * price > 0)
    assert pools.value(pools.Pool(base, other, 1), price) <= (base * price + other) * (1 + 1e-12)


@given(st.lists(PARTS, max_size=5))
def test_parts_lost_one_after_another(parts: list[float]) -> None:
    whole = together(*parts)
    assert max([0.0, *parts]) - 1e-12 <= whole <= min(1.0, sum(parts)) + 1e-12


@pytest.mark.parametrize("bad", [math.nan, -1.0, math.inf])
def test_what_cannot_be_used_is_named(bad: float) -> None:
    with pytest.raises(Unusable, match="volatility"):
        moved(bad, 1, 2)
    with pytest.raises(Unusable, match="price"):
        off_peg(bad, 1, 0.99, 2)
    with pytest.raises(Unusable, match="tokens"):
        pools.value(pools.Pool(1, 1, bad), 1)
    with pytest.raises(Unusable, match="part"):
        haircuts.together(bad)
