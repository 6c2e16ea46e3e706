"""Where a liquidated account ends, against what its plan promised: the feature's steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pytest_bdd import given, parsers, scenarios, then, when
from test_call_auction_on_the_books import ALICE, ONE, bid, failing
from world import PERP_BTC

from ledger.margining import margins_of
from schemas.kinds import Parameter
from schemas.limits import BASIS_POINTS
from services.view import StateView

scenarios("features/an_account_ends_where_its_plan_promised.feature")


@pytest.fixture
def scene() -> SimpleNamespace:
    return SimpleNamespace()


@given(parsers.parse("bitcoin falls to {price:d} and Alice is in liquidation"))
def falls(scene: SimpleNamespace, price: int) -> None:
    scene.world, scene.opened = failing(1, float(price), {Parameter.PLAN_METHOD: 1})


@when(parsers.parse("after {marks:d} marks at {price:d} a bidder takes the auction"))
def taken(scene: SimpleNamespace, marks: int, price: int) -> None:
    for _ in range(marks):
        scene.world.mark(btc=float(price))
        scene.world.answer()
    scene.sold = StateView(scene.world.state).value(PERP_BTC, scene.opened.quantity)
    assert bid(scene.world, scene.opened, (ONE, 1)) == []
    (leg,) = bid(scene.world, scene.opened, (ONE, 800_000))
    assert leg.quantity == scene.opened.quantity


@then(parsers.parse("she ends {ends} her target, short by at most {short:d} basis points of what was sold"))
def ended(scene: SimpleNamespace, ends: str, short: int) -> None:
    margin = margins_of(scene.world.owner(ALICE), ALICE)
    missed = margin.initial - margin.equity
    assert (missed <= 0) == (ends == "at or above")
    assert missed * BASIS_POINTS <= short * scene.sold
