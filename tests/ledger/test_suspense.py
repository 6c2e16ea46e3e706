"""Suspense takes what accounts cannot: however much arrives, the shard goes on and the books balance."""

from __future__ import annotations

import pytest
from world import FUT_BTC, PERP_BTC, World

from schemas.chart import House
from schemas.kinds import Reason
from schemas.limits import MAX_COST, MAX_QUANTITY
from schemas.outcomes import LegPosted

SUSPENSE = int(House.SUSPENSE)
UNKNOWN = 60


@pytest.mark.parametrize("instrument", [PERP_BTC, FUT_BTC])
def test_suspense_holds_more_than_an_account_may(instrument: int) -> None:
    world = World(shards=2, accounts=64)
    # the unknown buyer's number belongs to shard 0, the sellers' to shard 1: neither leg meets the other in suspense
    sellers = (21, 23, 25)
    world.open(*sellers)
    for seller in sellers:
        said = world.trade(UNKNOWN, seller, instrument, MAX_QUANTITY, 1)
        bought = next(leg for leg in said if isinstance(leg, LegPosted) and leg.intended == UNKNOWN)
        assert (bought.account, bought.reason) == (SUSPENSE, Reason.UNKNOWN_ACCOUNT)
    assert world.position(SUSPENSE, instrument)[0] == 3 * MAX_QUANTITY
    world.mark()


def test_opposite_legs_in_suspense_add_up_and_realise_nothing() -> None:
    world = World()
    world.open(20)
    world.trade(UNKNOWN, 20, PERP_BTC, 10, 800_000)
    world.trade(20, UNKNOWN, PERP_BTC, 4, 900_000)
    assert world.position(SUSPENSE, PERP_BTC) == (6, (10 * 800_000 - 4 * 900_000) * 10)
    assert world.balance(SUSPENSE) == 0
    # the account closed 4 of its 10: it lost 4 x 1,000 dollars x 0.001
    assert world.balance(20) == -4 * 100_000 * 10
    world.mark()


def test_what_suspense_holds_settles_at_expiry() -> None:
    world = World()
    world.open(20)
    world.trade(UNKNOWN, 20, FUT_BTC, MAX_QUANTITY, 100)
    assert abs(world.position(SUSPENSE, FUT_BTC)[1]) <= MAX_COST
    world.mark()
    assert int(world.state.total.sum()) == 0
