"""The pricer goes on with what can be priced, whatever an accepted price does to one instrument."""

import pytest
from world import PERP_ETH, QUANTO_ETH, SPOT_ETH, World

from schemas.events import InstrumentMark
from schemas.wire import messages_of
from services.pricer import market


def marked(world: World) -> set[int]:
    runs = market(world.state, world.marks + 1, world.time)
    return {one.instrument for one in messages_of(runs) if isinstance(one, InstrumentMark)}


@pytest.mark.parametrize(
    ("eth", "left_out"),
    [
        (200.0, set()),
        (2.0, {PERP_ETH, SPOT_ETH}),  # a hundredth of two dollars is less than a lot may be worth
    ],
)
def test_a_lot_too_small_is_left_out_and_the_rest_is_marked(eth: float, left_out: set[int]) -> None:
    world = World()
    before = marked(world)
    world.mark(eth=eth)
    assert {SPOT_ETH, PERP_ETH, QUANTO_ETH} < before
    assert before - marked(world) == left_out
